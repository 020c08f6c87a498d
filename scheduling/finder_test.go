package scheduling

import (
	"testing"

	"pgregory.net/rapid"
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
