package sfu

import (
	"testing"
	"time"
)

func TestVideoGivesWayToLossAndComesBack(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var g giving
	step := func(lost uint8, seconds int) {
		for range seconds {
			now = now.Add(time.Second)
			g = g.next(lost, now)
		}
	}
	if step(60, 1); g.level != 0 {
		t.Fatal("one bad second took a layer")
	}
	if step(60, 5); g.level != givingAll {
		t.Fatalf("level %d after six bad seconds, want no video", g.level)
	}
	if step(0, 9); g.level != givingAll {
		t.Fatal("video came back too soon")
	}
	step(0, 300)
	if g.level != 0 {
		t.Fatalf("level %d after a long calm", g.level)
	}
	// Each try that fails soon makes the next wait longer.
	var waits []int
	for range 3 {
		step(60, 2)
		n := 0
		for level := g.level; g.level == level; n++ {
			step(0, 1)
		}
		waits = append(waits, n)
	}
	if waits[0] > waits[1] || waits[1] >= waits[2] {
		t.Errorf("waits %v do not grow", waits)
	}
	if step(20, 100); g.level != 0 {
		t.Error("loss that is repaired with ease took a layer")
	}
}
