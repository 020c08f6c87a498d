package packetcache_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/sfu/packetcache"
)

var start = time.Unix(1e9, 0)

func TestMissingNamesTheGapUntilItIsFilled(t *testing.T) {
	c := packetcache.New(128)
	c.Store(65534, []byte("a"), start)
	if r := c.Store(2, []byte("b"), start); r.Gap != 3 || !r.Newest {
		t.Fatalf("got %+v, want a gap of 3 across the wrap", r)
	}
	if diff := cmp.Diff(c.Missing(nil), []uint16{65535, 0, 1}); diff != "" {
		t.Fatal(diff)
	}
	if r := c.Store(0, []byte("late"), start); !r.New || r.Newest {
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
		c.Store(seq, []byte{byte(seq)}, start)
	}
	if r := c.Store(39, []byte{39}, start); r.New {
		t.Fatal("a duplicate was new")
	}
	if r := c.Store(5, []byte{5}, start); r.New {
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
		c.Store(seq, nil, start)
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
			if c.Store(seq, []byte(body), start).New {
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

// At whatever rate a stream comes, and whatever its packets are like, what came within
// the last second is there as it was, as long as that is no more than the cache may hold.
func TestTheLastSecondIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := packetcache.New(1024)
		every := rapid.IntRange(1, 40).Draw(t, "milliseconds between packets")
		first := rapid.Uint16().Draw(t, "first")
		size := rapid.IntRange(12, 1280)
		var packets [][]byte
		for i := range rapid.IntRange(1, 3000).Draw(t, "packets") {
			packets = append(packets, bytes.Repeat([]byte{byte(i)}, size.Draw(t, "size")))
			now := start.Add(time.Duration(i*every) * time.Millisecond)
			if r := c.Store(first+uint16(i), packets[i], now); !r.New || !r.Newest || r.Gap > 0 {
				t.Fatalf("packet %d: %+v", i, r)
			}
			back := rapid.IntRange(0, min(i, 999/every)).Draw(t, "back")
			if got := c.Get(first+uint16(i-back), nil); !bytes.Equal(got, packets[i-back]) {
				t.Fatalf("packet %d of %d, of %d ms ago, is gone or another", i-back, i, back*every)
			}
		}
	})
}

// A stream that is slow or has small packets takes little room.
func TestAStreamOfSoundTakesLittleRoom(t *testing.T) {
	c := packetcache.New(1024)
	packet := make([]byte, 100)
	allocated := testing.AllocsPerRun(1, func() {
		for i := range 10000 {
			c.Store(uint16(i), packet, start.Add(time.Duration(i)*20*time.Millisecond))
		}
	})
	if allocated > 10 {
		t.Errorf("%v allocations for 200 s of sound", allocated)
	}
}

// What a cache gives is what was stored under the number, or nothing, whatever sizes,
// pauses, bursts and gaps its packets came with.
func TestGivesWhatWasStoredWhateverItsRhythm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := packetcache.New(rapid.SampledFrom([]int{64, 256, 512}).Draw(t, "most"))
		now := time.Unix(1, 0)
		seq := rapid.Uint16().Draw(t, "first")
		was := map[uint16][]byte{}
		buf := make([]byte, 0, 2048)
		check := func(s uint16) {
			if got := c.Get(s, buf); got != nil && !bytes.Equal(got, was[s]) {
				t.Fatalf("packet %d has %d bytes of %d, or others", s, len(got), len(was[s]))
			}
		}
		var n byte
		for range rapid.IntRange(1, 60).Draw(t, "bursts") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 300, 1500}).Draw(t, "pause")) * time.Millisecond)
			size := rapid.SampledFrom([]int{0, 1, 90, 456, 1208, 1500}).Draw(t, "size")
			seq += uint16(rapid.SampledFrom([]int{0, 0, 0, 1, 5, 300}).Draw(t, "gap"))
			for range rapid.IntRange(1, 80).Draw(t, "packets") {
				n++
				seq++
				p := bytes.Repeat([]byte{n}, size)
				c.Store(seq, p, now)
				was[seq] = p
			}
			if got := c.Get(seq, buf); got == nil {
				t.Fatalf("the newest packet, %d, is not there", seq)
			}
			for k := range uint16(512) {
				check(seq - k)
			}
		}
	})
}
