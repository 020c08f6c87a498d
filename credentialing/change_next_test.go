package credentialing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNothingChangesBeforeNextChange: between now and NextChange every instant has
// the answer of now.
func TestNothingChangesBeforeNextChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		end := q.At.Add(90 * day)
		next := NextChange(q, held, q.At, end)
		if !next.IsZero() && (!next.After(q.At) || next.After(end)) {
			t.Fatalf("next %v is outside of (%v, %v]", next, q.At, end)
		}
		if next.IsZero() {
			next = end
		}
		first := Evaluate(q, held)
		for _, part := range []float64{0.01, 0.5, 0.99} {
			later := q
			later.At = q.At.Add(time.Duration(part * float64(next.Sub(q.At))))
			if d := Evaluate(later, held); !d.sameAnswer(first) {
				t.Fatalf("at %v: %s %v, at %v before the next change: %s %v", q.At, first.Decision, first.Reasons, later.At, d.Decision, d.Reasons)
			}
		}
		last := q
		if last.At = next.Add(-time.Nanosecond); last.At.After(q.At) {
			if d := Evaluate(last, held); !d.sameAnswer(first) {
				t.Fatalf("a moment before %v: %v, want %v", next, d.Reasons, first.Reasons)
			}
		}
	})
}

func TestNextChangeNamesWhatTheClockDoes(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	checked := at.Add(-10 * day)
	q := Question{At: at, Places: []string{"KE"}, Rules: starter()}
	held := Credentials{ExclusionCheckedAt: &checked, List: []Held{
		{Kind: KindLicense, ValidTo: Instant(at.Add(40 * day)), Verified: &Verified{Method: methodPrimary, NextDue: at.Add(30 * day)}},
	}}
	for _, c := range []struct {
		name         string
		after, until time.Duration
		want         time.Duration
	}{
		{"the age of the lists", 0, 60 * day, 21*day + time.Nanosecond},
		{"the next verification", 22 * day, 60 * day, 30 * day},
		{"the end of the license", 31 * day, 60 * day, 40 * day},
		{"nothing", 41 * day, 60 * day, 0},
		{"nothing so soon", 0, day, 0},
		{"the end itself counts", 31 * day, 40 * day, 40 * day},
	} {
		got := NextChange(q, held, at.Add(c.after), at.Add(c.until))
		if want := at.Add(c.want); c.want == 0 != got.IsZero() || c.want != 0 && !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
}
