package scheduling

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func TestFinderThatKeepsWindowsFindsWhatFindDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		for i := range p.parties {
			p.parties[i].Version = rapid.IntRange(0, 2).Draw(t, "version")
		}
		for i := range p.interpreters {
			p.interpreters[i].ID += "x" // drawn ids may stand for two people; versions are of one
			p.interpreters[i].Version = rapid.IntRange(0, 2).Draw(t, "version")
		}
		var f Finder
		for range 3 { // later searches meet the windows of earlier ones
			got, err := f.Find(p.q, p.parties, p.interpreters)
			if err != nil {
				t.Fatal(err)
			}
			want, err := Find(p.q, p.parties, p.interpreters)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := describeSlots(got), describeSlots(want); a != b {
				t.Fatalf("kept:\n%s\nanew:\n%s", a, b)
			}
			step := minutes(int64(rapid.IntRange(-20000, 20000).Draw(t, "later")))
			p.q.From, p.q.To, p.q.Now = p.q.From.Add(step), p.q.To.Add(step), p.q.Now.Add(step)
		}
	})
}

func TestFinderForgetsHoursThatChanged(t *testing.T) {
	w := newWorld(t)
	first := w.first()
	a, err := w.s.AvailabilityOf(ctx, w.actor(w.claire, w.other), w.claire)
	if err != nil {
		t.Fatal(err)
	}
	d := WallAt(zone(t, "America/Toronto"), first).Date
	a.Exdates = append(a.Exdates, d)
	w.hours(w.claire, a)
	if again := w.first(); again.Equal(first) {
		t.Errorf("%v is offered though the day was taken out", again)
	}
}

func TestFinderKeepsMasksOfTheStartsAskedFor(t *testing.T) {
	q, parties := Query{From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 4, 30, 0, 0, 0, 0, time.UTC), Duration: time.Hour, Grid: 15 * time.Minute},
		[]Party{{ID: "a", Version: 1, Hours: Hours{Zone: "America/Toronto", Rules: []Rule{{Freq: Weekly, Days: []Weekday{Monday}, Start: 8 * 60, End: 12 * 60}}}}}
	q.Now = q.From
	var f Finder
	look := func(what string, kept int) {
		t.Helper()
		got, err := f.Find(q, parties, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Find(q, parties, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := describeSlots(got), describeSlots(want); a != b || len(got) == 0 {
			t.Errorf("%s: %d kept, %d anew", what, len(got), len(want))
		}
		if len(f.masks.lists) != kept {
			t.Errorf("%s: %d masks are kept, want %d", what, len(f.masks.lists), kept)
		}
	}
	look("first", 1)
	look("again", 1)
	q.From = q.From.Add(-7 * time.Minute) // the same first start
	look("a little earlier", 1)
	q.Duration = 90 * time.Minute
	look("longer", 2)
	q.GridZone = "Asia/Kathmandu"
	look("on another clock", 3)
	parties[0].Version++
	parties[0].Hours.Rules[0].Start = 9 * 60
	look("after the hours changed", 4)
	parties[0].Presence = []Range{{q.From.Add(24 * time.Hour), q.From.Add(30 * time.Hour)}}
	look("with presence", 4)
}

func TestFinderWorksHoursOutAnewWhenTheZoneDataIsReplaced(t *testing.T) {
	q := Query{From: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 15, 0, 0, 0, 0, time.UTC), Duration: time.Hour, Grid: 15 * time.Minute}
	q.Now = q.From
	parties := []Party{{ID: "a", Version: 1, Hours: Hours{Zone: "America/Vancouver", Rules: []Rule{{Freq: Weekly, Days: []Weekday{Tuesday}, Start: 8 * 60, End: 12 * 60}}}}}
	var f Finder
	find := func() time.Time {
		t.Helper()
		got, err := f.Find(q, parties, nil)
		if err != nil || len(got) == 0 {
			t.Fatal(len(got), err)
		}
		return got[0].Start
	}
	before := find()
	other, err := zoneinfo.Open(oldZones(t).Archive(), "2099a") // other rules, said to be newer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := zoneinfo.Use(nil); err != nil {
			t.Error(err)
		}
	})
	if err := zoneinfo.Use(other); err != nil {
		t.Fatal(err)
	}
	if after := find(); after.Sub(before) != time.Hour {
		t.Errorf("08:00 in Vancouver is %v and, by the other rules, %v: want an hour later", before, after)
	}
}

func TestFinderAnswersManyAtOnceAsFindDoes(t *testing.T) {
	q := Query{From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Duration: time.Hour, Grid: 15 * time.Minute}
	q.Now = q.From
	var f Finder
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := range 50 {
				q, p := q, Party{ID: "a", Version: 1 + k%3, Hours: Hours{Zone: "Europe/Berlin", Rules: []Rule{{Freq: Weekly, Days: []Weekday{Monday}, Start: Minute(8+k%3) * 60, End: 12 * 60}}}}
				q.To = q.From.AddDate(0, 0, 14+7*((i+k)%4))
				p.Busy = []Range{{q.From.Add(time.Duration(i+24) * time.Hour), q.From.Add(time.Duration(i+34) * time.Hour)}}
				got, err := f.Find(q, []Party{p}, nil)
				want, err2 := Find(q, []Party{p}, nil)
				if err != nil || err2 != nil || describeSlots(got) != describeSlots(want) {
					t.Errorf("%d, %d: %d starts, %d anew, %v %v", i, k, len(got), len(want), err, err2)
				}
			}
		}()
	}
	wg.Wait()
}

func TestWhatIsKeptIsBoundedInBytes(t *testing.T) {
	var k keep[int, uint64]
	const most = 1 << 20
	for i := range 3000 {
		list := make([]uint64, 1+i%500)
		list[0] = uint64(i)
		k.put(i, list, most)
		k.put(i, list, most) // by two searches at once
		taken := 0
		for key, l := range k.lists {
			if int(l[0]) != key {
				t.Fatalf("key %d has the list of %d", key, l[0])
			}
			taken += 8 * len(l)
		}
		if taken > most || k.bytes > most || k.bytes < taken {
			t.Fatalf("after %d lists %d bytes are kept and %d counted, at most %d", i, taken, k.bytes, most)
		}
		if len(k.lists[i]) != len(list) {
			t.Fatalf("list %d was forgotten at once", i)
		}
	}
}
