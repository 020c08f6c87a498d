package packetcache_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/sfu/packetcache"
)

func TestMissingNamesTheGapUntilItIsFilled(t *testing.T) {
	c := packetcache.New(128)
	c.Store(65534, []byte("a"))
	if r := c.Store(2, []byte("b")); r.Gap != 3 || !r.Newest {
		t.Fatalf("got %+v, want a gap of 3 across the wrap", r)
	}
	if diff := cmp.Diff(c.Missing(nil), []uint16{65535, 0, 1}); diff != "" {
		t.Fatal(diff)
	}
	if r := c.Store(0, []byte("late")); !r.New || r.Newest {
		t.Fatalf("got %+v for a late packet", r)
	}
	if diff := cmp.Diff(c.Missing(nil), []uint16{65535, 1}); diff != "" {
		t.Fatal(diff)
	}
	for range 10 {
		c.Missing(nil)
	}
	if got := c.Missing(nil); len(got) != 0 {
		t.Fatalf("got %v, want no endless requests", got)
	}
}

func TestStoreRefusesDuplicatesAndTheTooOld(t *testing.T) {
	c := packetcache.New(16)
	for seq := range uint16(40) {
		c.Store(seq, []byte{byte(seq)})
	}
	if r := c.Store(39, []byte{39}); r.New {
		t.Fatal("a duplicate was new")
	}
	if r := c.Store(5, []byte{5}); r.New {
		t.Fatal("a packet older than the ring was new")
	}
	if got := c.Get(5, nil); got != nil {
		t.Fatalf("got %v for a packet that left the ring", got)
	}
	if got := c.Get(30, nil); len(got) != 1 || got[0] != 30 {
		t.Fatalf("got %v, want packet 30", got)
	}
}

func TestStatsCountLoss(t *testing.T) {
	c := packetcache.New(16)
	for _, seq := range []uint16{10, 11, 13, 14} {
		c.Store(seq, nil)
	}
	got, _ := c.Stats()
	if want := (packetcache.Stats{Highest: 14, Expected: 5, Received: 4}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// Whatever the order, the cache gives back exactly what was stored last under a
// number within its window, and never something else.
func TestGetReturnsWhatWasStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := packetcache.New(64)
		head := rapid.Uint16().Draw(t, "start")
		stored := map[uint16]string{}
		for i := range rapid.IntRange(1, 300).Draw(t, "packets") {
			seq := head + uint16(rapid.IntRange(-20, 20).Draw(t, "step"))
			if int16(seq-head) > 0 {
				head = seq
			}
			body := fmt.Sprint(i)
			if c.Store(seq, []byte(body)).New {
				stored[seq] = body
			}
			for back := range uint16(30) {
				if got := c.Get(head-back, nil); got != nil && string(got) != stored[head-back] {
					t.Fatalf("packet %d: got %q, want %q", head-back, got, stored[head-back])
				}
			}
		}
	})
}

func TestAGrownCacheKeepsWhatItHadAndMore(t *testing.T) {
	c := packetcache.New(4)
	for seq := range uint16(6) {
		c.Store(seq, []byte{byte(seq)})
	}
	c.Grow(16)
	c.Grow(8)
	for seq := uint16(6); seq < 14; seq++ {
		c.Store(seq, []byte{byte(seq)})
	}
	for seq := range uint16(14) {
		if got := c.Get(seq, nil); (len(got) == 1 && got[0] == byte(seq)) != (seq >= 2) {
			t.Errorf("packet %d: %v", seq, got)
		}
	}
	if c.Store(3, []byte{9}).New {
		t.Error("a packet that is there was taken again")
	}
}
