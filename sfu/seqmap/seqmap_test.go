package seqmap_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/sfu/seqmap"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestDropClosesTheGapAndLossKeepsIt(t *testing.T) {
	s := seqmap.New(64, 100, 0)
	s.Switch(0, 65534, 0, 0)
	want := func(in uint16, out uint16, ok bool) {
		t.Helper()
		if got, _, gotOK := s.Map(in, 0, start); gotOK != ok || ok && got != out {
			t.Fatalf("packet %d: got %d %v, want %d %v", in, got, gotOK, out, ok)
		}
	}
	want(65534, 100, true)
	s.Drop(65535)
	want(0, 101, true)
	want(2, 103, true) // 1 was lost
	want(1, 102, true) // and comes late
	want(65535, 0, false)
	s.Drop(4) // 3 is lost
	want(5, 105, true)
	want(3, 104, true)
	if o, ok := s.Lookup(105); !ok || o.Seq != 5 {
		t.Fatalf("got %+v %v, want the origin of 105", o, ok)
	}
}

func TestSwitchContinuesAndRefusesThePast(t *testing.T) {
	s := seqmap.New(64, 7, 1000)
	s.Switch(1, 50, 9000, s.Project(start, 48000, 960))
	if seq, ts, _ := s.Map(50, 9000, start); seq != 7 || ts != 1000 {
		t.Fatalf("got %d %d", seq, ts)
	}
	later := start.Add(61 * time.Millisecond)
	s.Switch(2, 3, 70, s.Project(later, 48000, 960))
	if _, _, ok := s.Map(2, 70, later); ok {
		t.Fatal("a packet from before the switch went out")
	}
	seq, ts, ok := s.Map(3, 70, later)
	if !ok || seq != 8 || ts != 1000+3*960 {
		t.Fatalf("got %d %d %v, want 8, three frames on", seq, ts, ok)
	}
	if seq, ts = s.Insert(later, 48000, 960); seq != 9 || ts != 1000+4*960 {
		t.Fatalf("got %d %d for the silence", seq, ts)
	}
	if _, _, ok := s.Map(4, 1030, later); ok {
		t.Fatal("the source went on after it was stopped")
	}
}

// Over random drops, losses, reordering and switches: no outgoing number is used
// twice, numbers grow with the incoming ones, and without loss there is no hole.
func TestStreamNeverRepeatsANumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := seqmap.New(1024, rapid.Uint16().Draw(t, "first"), 0)
		lossless := rapid.Bool().Draw(t, "lossless")
		now := start
		used := map[uint16]bool{}
		highest, any := uint16(0), false
		for source := range rapid.IntRange(1, 5).Draw(t, "sources") {
			in := rapid.Uint16().Draw(t, "in")
			s.Switch(uint8(source), in, 0, s.Project(now, 90000, 3000))
			var late []uint16
			for range rapid.IntRange(1, 60).Draw(t, "packets") {
				now = now.Add(time.Millisecond)
				switch rapid.IntRange(0, 9).Draw(t, "what") {
				case 0:
					s.Drop(in)
				case 1:
					if !lossless {
						late = append(late, in)
						break
					}
					fallthrough
				default:
					out, _, ok := s.Map(in, 0, now)
					if !ok {
						t.Fatalf("packet %d was refused", in)
					}
					if used[out] {
						t.Fatalf("number %d was used twice", out)
					}
					if any && int16(out-highest) <= 0 {
						t.Fatalf("number %d came after %d", out, highest)
					}
					if any && lossless && out != highest+1 {
						t.Fatalf("hole between %d and %d", highest, out)
					}
					used[out], highest, any = true, out, true
				}
				in++
			}
			for _, l := range late {
				if out, _, ok := s.Map(l, 0, now); ok {
					if used[out] {
						t.Fatalf("late packet took number %d", out)
					}
					used[out] = true
					if !any || int16(out-highest) > 0 {
						highest = out
					}
					any = true
				}
			}
		}
	})
}

func TestPaddingShiftsWhatComesAfterIt(t *testing.T) {
	now := time.Unix(0, 0)
	s := seqmap.New(64, 100, 0)
	s.Switch(0, 10, 1000, 5000)
	check := func(in, want uint16) {
		t.Helper()
		if got, _, ok := s.Map(in, 1000, now); !ok || got != want {
			t.Fatalf("%d became %d, %v; want %d", in, got, ok, want)
		}
	}
	check(10, 100)
	check(12, 102)
	for _, want := range []uint16{103, 104} {
		if seq, ts := s.Pad(now); seq != want || ts != 5000 {
			t.Fatalf("padding %d at %d", seq, ts)
		}
	}
	check(13, 105)
	check(11, 101) // late, from before the padding
	s.Drop(14)
	check(15, 106)
	if seq, _ := s.Pad(now); seq != 107 {
		t.Fatal(seq)
	}
	if _, ok := s.Lookup(104); ok {
		t.Error("padding can be sent again")
	}
	s.Stop()
	if seq, _ := s.Pad(now); seq != 108 {
		t.Fatal(seq)
	}
	s.Switch(1, 700, 0, 9000)
	if got, _, ok := s.Map(700, 0, now); !ok || got != 109 {
		t.Fatal(got, ok)
	}
}
