package credentialing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// permittedBy is a vector that permits, with the number of the credential that carries it.
func permittedBy(t *testing.T) (Question, Credentials, int) {
	t.Helper()
	v := vectorsOf(t)[6] // a license in Texas, a principal one in Illinois
	q := v.question(starter())
	if d := Evaluate(q, v.Specialist); d.Decision != Permit {
		t.Fatalf("the vector does not permit: %v", d.Reasons)
	}
	i := slices.IndexFunc(v.Specialist.List, func(h Held) bool { return h.Kind == KindLicense && h.Jurisdiction == "US-TX" })
	if i < 0 {
		t.Fatal("no license in Texas")
	}
	held := v.Specialist
	held.List = slices.Clone(held.List)
	return q, held, i
}

func TestCredentialTiedToAFacilityCountsThereOnly(t *testing.T) {
	q, held, i := permittedBy(t)
	held.List[i].Facility = "houston"
	for _, c := range []struct {
		facility string
		want     bool
	}{{"houston", true}, {"dallas", false}, {"", false}} {
		q.Case.Facility = c.facility
		d := Evaluate(q, held)
		if d.Allowed() != c.want || slices.Contains(d.Reasons, "credential:"+held.List[i].ID+":other-facility") == c.want {
			t.Errorf("at %q: %s %v", c.facility, d.Decision, d.Reasons)
		}
	}
	// What the local physician holds elsewhere is no license here either.
	q, held, i = permittedBy(t)
	lp := held.List[i]
	lp.ID, lp.Facility = "lp", "houston"
	q.Case.Facility = "dallas"
	q.Local = &LocalFacts{ID: held.Person, Licenses: []Held{lp}}
	q.Activity = SignDecision
	held.List[i].Facility = "houston"
	if d := Evaluate(q, held); d.Allowed() {
		t.Errorf("signs at another facility: %v", d.Reasons)
	}
}

func TestRestrictionTakesActsAndPlacesForItsTime(t *testing.T) {
	for _, c := range []struct {
		why    string
		r      Restriction
		want   bool
		reason bool
	}{
		{"the act, here", Restriction{Acts: []Activity{"ACT"}, Places: []string{"US-TX"}}, false, true},
		{"the act, everywhere", Restriction{Acts: []Activity{"ACT"}}, false, true},
		{"every act, in the whole country", Restriction{Places: []string{"US"}}, false, true},
		{"another act", Restriction{Acts: []Activity{SignDecision}}, true, false},
		{"another place", Restriction{Places: []string{"US-NY"}}, true, false},
		{"only told", Restriction{Text: "reports each month"}, true, true},
		{"over", Restriction{Acts: []Activity{"ACT"}, To: Date(2020, 1, 1)}, true, false},
		{"not yet", Restriction{Acts: []Activity{"ACT"}, From: Date(2099, 1, 1)}, true, false},
	} {
		q, held, i := permittedBy(t)
		for k := range c.r.Acts {
			if c.r.Acts[k] == "ACT" {
				c.r.Acts[k] = q.Activity
			}
		}
		held.List[i].Restrictions = []Restriction{c.r}
		d := Evaluate(q, held)
		if d.Allowed() != c.want || slices.Contains(d.Reasons, "credential:"+held.List[i].ID+":restricted") != c.reason {
			t.Errorf("%s: %s %v", c.why, d.Decision, d.Reasons)
		}
	}
}

func TestRestrictionBeginsAndEndsByTheClock(t *testing.T) {
	q, held, i := permittedBy(t)
	from, until := q.At.Add(48*time.Hour), q.At.Add(96*time.Hour)
	held.List[i].Restrictions = []Restriction{{Acts: []Activity{q.Activity}, From: Instant(from), To: Instant(until)}}
	q.ChecksAt, q.Mode = q.At, Plan
	var got []bool
	for _, s := range Spans(q, held, q.At, q.At.Add(120*time.Hour)) {
		if n := len(got); n == 0 || got[n-1] != s.Determination.Allowed() {
			got = append(got, s.Determination.Allowed())
		}
	}
	if !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("allowed %v, want before and after the restriction", got)
	}
	if at := NextChange(q, held, q.At.Add(time.Hour), until); !at.Equal(from) {
		t.Errorf("changes next at %v, want %v", at, from)
	}
}

// TestAnswersOfTheFirstEvaluatorReplayAsTheyWereGiven: it let a credential that is
// tied to a facility count everywhere.
func TestAnswersOfTheFirstEvaluatorReplayAsTheyWereGiven(t *testing.T) {
	q, held, i := permittedBy(t)
	held.List[i].Facility = "houston"
	q.evaluator = "1"
	d := Evaluate(q, held)
	if d.Decision != Permit || d.Evaluator != "1" {
		t.Fatalf("%s by evaluator %s", d.Decision, d.Evaluator)
	}
	if err := Record(q, held, &d); err != nil {
		t.Fatal(err)
	}
	again, err := Replay(starter(), d.Facts, d.Answer, d.Hash)
	if err != nil || again.Hash != d.Hash {
		t.Fatal(err)
	}
	answer := []byte(strings.Replace(string(d.Answer), `"evaluator":"1"`, `"evaluator":"9"`, 1))
	if _, err := Replay(starter(), d.Facts, answer, HashOf(d.Facts, answer)); err == nil || !strings.Contains(err.Error(), "evaluator") {
		t.Errorf("an evaluator nobody knows: %v", err)
	}
}

// TestNarrowingNeverGrantsMore: tying a credential that helps to a facility, or
// restricting it, never raises the decision, and neither does removing a narrowed one.
func TestNarrowingNeverGrantsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		q.Case.Facility = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "here")
		if len(held.List) == 0 {
			return
		}
		i := rapid.IntRange(0, len(held.List)-1).Draw(t, "which")
		if s := q.Rules.StandingOf(held.List[i], q.At); !s.Usable || s.Overdue {
			return
		}
		before := Evaluate(q, held)
		less := held
		less.List = slices.Clone(held.List)
		if rapid.Bool().Draw(t, "tie") {
			less.List[i].Facility = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "facility")
		} else {
			less.List[i].Restrictions = []Restriction{{Acts: rapid.SliceOfN(rapid.SampledFrom(Activities), 0, 2).Draw(t, "acts"),
				Places: rapid.SliceOfN(rapid.SampledFrom([]string{"US", "KE", "US-TX", "DE"}), 0, 2).Draw(t, "places"), From: Instant(q.At.Add(-time.Hour))}}
		}
		after := Evaluate(q, less)
		if after.Decision.rank() > before.Decision.rank() && !onlyNamed(before, after) {
			t.Fatalf("narrowed: %s %v, before: %s %v", after.Decision, after.Reasons, before.Decision, before.Reasons)
		}
		gone := less
		gone.List = slices.Delete(slices.Clone(less.List), i, i+1)
		if without := Evaluate(q, gone); without.Decision.rank() > after.Decision.rank() && !onlyNamed(after, without) {
			t.Fatalf("without the narrowed one: %s %v, with it: %s %v", without.Decision, without.Reasons, after.Decision, after.Reasons)
		}
	})
}
