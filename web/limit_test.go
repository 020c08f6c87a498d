package web

import (
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestWaysInAreLimitedByAddress(t *testing.T) {
	now := time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)
	l := newLimiter(func() time.Time { return now }, 1, 3)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range 3 {
		if !l.allow(a) {
			t.Fatalf("try %d refused", i)
		}
	}
	if l.allow(a) {
		t.Error("fourth try at once allowed")
	}
	if !l.allow(b) {
		t.Error("a neighbor pays for it")
	}
	now = now.Add(time.Second)
	if !l.allow(a) || l.allow(a) {
		t.Error("after a second there is one try, not none and not two")
	}
	six := netip.MustParseAddr("2001:db8::1")
	for range 3 {
		l.allow(six)
	}
	if l.allow(netip.MustParseAddr("2001:db8::ffff")) {
		t.Error("another address of the same /64 starts anew")
	}
}

func TestFloodOfAddressesIsForgottenAndNeverGrows(t *testing.T) {
	now := time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)
	l := newLimiter(func() time.Time { return now }, 1, 1)
	for i := range keepers {
		l.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if l.allow(netip.MustParseAddr("192.0.2.1")) || len(l.seen) > keepers {
		t.Errorf("%d addresses remembered", len(l.seen))
	}
	now = now.Add(time.Minute)
	if !l.allow(netip.MustParseAddr("192.0.2.1")) || len(l.seen) != 1 {
		t.Errorf("after the flood %d are remembered", len(l.seen))
	}
}

func TestClientAddressIsTakenFromTrustedProxiesOnly(t *testing.T) {
	s := newServer(Deps{PublicURL: origin, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, c := range []struct{ name, peer, forwarded, want string }{
		{"nobody says otherwise", "192.0.2.7:1", "", "192.0.2.7"},
		{"a stranger claims", "192.0.2.7:1", "198.51.100.9", "192.0.2.7"},
		{"the proxy tells", "10.0.0.1:1", "198.51.100.9", "198.51.100.9"},
		{"a claim before the proxy's word", "10.0.0.1:1", "203.0.113.1, 198.51.100.9", "198.51.100.9"},
		{"two proxies", "10.0.0.1:1", "198.51.100.9, 10.2.0.1", "198.51.100.9"},
		{"nonsense", "10.0.0.1:1", "x, y", "10.0.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.client(r); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSignInClosesAfterTooManyTries(t *testing.T) {
	h := open(t, Deps{Clock: func() time.Time { return time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC) }})
	for i := range triesBurst {
		if w := get(h, "/enroll/"+"AAAA"); w.Code != 404 {
			t.Fatalf("try %d: %d", i, w.Code)
		}
	}
	w := get(h, "/enroll/AAAA")
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d", w.Code)
	}
	if w := get(h, "/", h.as("otieno")); w.Code != 200 {
		t.Errorf("who is inside: %d", w.Code)
	}
}
