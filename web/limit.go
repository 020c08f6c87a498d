package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What one address may try of the ways in (sign-in, links, first passkeys): a family
// or a ward behind one address gets by; guessing a token of 256 bits does not begin.
const (
	triesBurst  = 60
	triesPerSec = 1
	// keepers is how many addresses are remembered. When it is reached those that are
	// back at their full burst are forgotten, which changes nothing for them.
	keepers = 10_000
)

// limiter counts tries by address.
type limiter struct {
	clock func() time.Time // immutable
	every rate.Limit       // immutable
	burst int              // immutable

	mu   sync.Mutex
	seen map[netip.Prefix]*rate.Limiter // guarded by mu
}

func newLimiter(clock func() time.Time, every rate.Limit, burst int) *limiter {
	return &limiter{clock: clock, every: every, burst: burst, seen: map[netip.Prefix]*rate.Limiter{}}
}

// allow takes one try of an address; false is too many.
func (l *limiter) allow(who netip.Addr) bool {
	now := l.clock()
	key := neighborhood(who)
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.seen[key]
	if !ok {
		if len(l.seen) >= keepers {
			for k, v := range l.seen {
				if v.TokensAt(now) >= float64(l.burst) {
					delete(l.seen, k)
				}
			}
			if len(l.seen) >= keepers {
				return false // under a flood the ways in close; who is inside goes on
			}
		}
		one = rate.NewLimiter(l.every, l.burst)
		l.seen[key] = one
	}
	return one.AllowN(now, 1)
}

// neighborhood is what one holder of addresses commonly has: one of IPv4, a /64 of IPv6.
func neighborhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero address gives the zero prefix
	return p
}

// client is the address a request comes from: the peer's, or, when the peer is a
// proxy we trust, the last address in X-Forwarded-For that is not one.
func (s *Server) client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusts(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next
	}
	return addr
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.d.TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// slowly is a policy of the ways in: everyone, but not too often.
func (s *Server) slowly(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.ways.allow(s.client(r)) {
			w.Header().Set("Retry-After", "60")
			return errTooMany
		}
		return h(w, r)
	}
}
