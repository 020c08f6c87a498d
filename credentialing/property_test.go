package credentialing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestUnknownIsNeverBetterThanAnswering: not knowing a fact allows no more than
// either of its values.
func TestUnknownIsNeverBetterThanAnswering(t *testing.T) {
	facts := map[string]func(q *Question) **bool{
		"location":   func(q *Question) **bool { return &q.Case.LocationConfirmed },
		"identity":   func(q *Question) **bool { return &q.Case.IdentityConfirmed },
		"first":      func(q *Question) **bool { return &q.Case.FirstContact },
		"controlled": func(q *Question) **bool { return &q.Case.ControlledSubstance },
		"prior":      func(q *Question) **bool { return &q.Case.PriorInPerson },
		"facility":   func(q *Question) **bool { return &q.Case.FacilityLicensed },
		"agreement":  func(q *Question) **bool { return &q.Case.InstitutionAgreement },
		"long term":  func(q *Question) **bool { return &q.Case.LongTerm },
		"present":    func(q *Question) **bool { return &q.Local.Present },
		"requested":  func(q *Question) **bool { return &q.Local.Requested },
		"authority":  func(q *Question) **bool { return &q.Local.FinalAuthority },
		"signed":     func(q *Question) **bool { return &q.Local.Signed },
	}
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		for name, at := range facts {
			local := *q.Local
			q.Local = &local
			p := at(&q)
			was := *p
			*p = nil
			unknown := Evaluate(q, held)
			for _, v := range []*bool{Yes(), No()} {
				*p = v
				if known := Evaluate(q, held); unknown.Decision.rank() > known.Decision.rank() {
					t.Fatalf("%s unknown: %s, %t: %s", name, unknown.Decision, *v, known.Decision)
				}
			}
			*p = was
		}
		without := q
		without.Transfer = nil
		if a, b := Evaluate(without, held), Evaluate(q, held); a.Decision.rank() > b.Decision.rank() {
			t.Fatalf("transfer unknown: %s, known: %s", a.Decision, b.Decision)
		}
	})
}

// TestAnotherForbidNeverGrantsMore adds a stop to every place.
func TestAnotherForbidNeverGrantsMore(t *testing.T) {
	whens := []string{"exclusion_hit", "{not: licence_own_jurisdiction}", "data_crosses_border", "first_contact", "{not: {consent: telehealth}}", "controlled_substance"}
	for _, when := range whens {
		files := Embedded()
		files["ZZ.yaml"] = append(files["ZZ.yaml"], fmt.Sprintf(
			"  - {id: ZZ-900, effect: forbid, activities: [\"*\"], when: [%s], text: \"A stop more.\", confidence: platform-policy, cites: [], verified: {state: platform-policy, by: null}}\n", when)...)
		more, err := NewRuleSet(files, time.LoadLocation)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			q, held := drawQuestion(t)
			before := Evaluate(q, held)
			q.Rules = more
			if after := Evaluate(q, held); after.Decision.rank() > before.Decision.rank() {
				t.Fatalf("with a stop more %s, before %s", after.Decision, before.Decision)
			}
		})
	}
}

// TestExceptionsFromMonotoneAreNamed: the only rules that the linter lets pass are
// those named, and each of them needs it.
func TestExceptionsFromMonotoneAreNamed(t *testing.T) {
	rs := starter()
	for id, why := range notMonotone {
		r, _, ok := rs.Rule(id)
		if !ok || why == "" {
			t.Errorf("%s is no rule, or has no reason", id)
			continue
		}
		named := *r
		named.ID = "XX-001"
		if err := lintTone(&named); err == nil {
			t.Errorf("%s needs no exception", id)
		}
	}
}

// TestDecisionsDoNotDependOnTheMachine: the same facts in another zone of the
// process give the same bytes.
func TestFactsAreWrittenInUTC(t *testing.T) {
	v := vectorsOf(t)[0]
	q := v.question(starter())
	d := Evaluate(q, v.Specialist)
	if err := Record(q, v.Specialist, &d); err != nil {
		t.Fatal(err)
	}
	nairobi := time.FixedZone("", 3*3600)
	q.At = q.At.In(nairobi)
	e := Evaluate(q, v.Specialist)
	if err := Record(q, v.Specialist, &e); err != nil {
		t.Fatal(err)
	}
	if e.Hash != d.Hash || strings.Contains(string(e.Facts), "+03:00") {
		t.Error("the zone of the caller is in the facts")
	}
}

func TestStatesOfWork(t *testing.T) {
	for _, c := range []struct {
		from State
		e    WorkEvent
		want State
		ok   bool
	}{
		{StateClaimed, EventAnswer, StateAnswered, true}, {StateClaimed, EventDoubt, StateNeedsReview, true},
		{StateAnswered, EventApprove, StateApproved, true}, {StateAnswered, EventReject, StateRejected, true},
		{StateNeedsReview, EventReject, StateRejected, true}, {StateNeedsReview, EventApprove, "", false},
		{StateClaimed, EventApprove, "", false}, {StateApproved, EventApprove, "", false}, {StateApproved, EventReject, "", false},
		{StateRejected, EventApprove, "", false}, {StateApproved, EventClaim, StateClaimed, true},
	} {
		if got, ok := c.from.Next(c.e); ok != c.ok || ok && got != c.want {
			t.Errorf("%s after %s: %s %t", c.from, c.e, got, ok)
		}
	}
}

// TestCheckJustAfterTheInstantCounts: a form's time has no seconds, so the lists may
// have been looked into moments after the instant asked about.
func TestCheckJustAfterTheInstantCounts(t *testing.T) {
	v := vectorsOf(t)[6]
	q := v.question(starter())
	after := q.At.Add(20 * time.Second)
	held := v.Specialist
	held.ExclusionCheckedAt = &after
	if d := Evaluate(q, held); d.Decision != Permit {
		t.Errorf("%s %v", d.Decision, d.Reasons)
	}
	held.ExclusionCheckedAt = nil
	if d := Evaluate(q, held); d.Decision != Deny {
		t.Errorf("never checked: %s", d.Decision)
	}
}

// TestReasonsSayNothingOfOtherPlaces: what a person lacks elsewhere is no reason
// here, but a suspension is one everywhere.
func TestReasonsSayNothingOfOtherPlaces(t *testing.T) {
	v := vectorsOf(t)[6] // a license in Texas, a principal one in Illinois
	q := v.question(starter())
	held := v.Specialist
	claim := Held{ID: "ke", Kind: KindRegistration, Type: "temporary-licence", Jurisdiction: "KE", Status: []StatusFrom{}, Activities: []Activity{}}
	held.List = append(held.List, claim)
	if d := Evaluate(q, held); strings.Contains(strings.Join(d.Reasons, " "), "credential:ke") {
		t.Errorf("in Texas: %v", d.Reasons)
	}
	claim.Kind, claim.Jurisdiction = KindLicense, "GB"
	claim.Status = []StatusFrom{{StatusSuspended, q.At.Add(-time.Hour)}}
	held.List[len(held.List)-1] = claim
	if d := Evaluate(q, held); !strings.Contains(strings.Join(d.Reasons, " "), "credential:ke:suspended") {
		t.Errorf("suspended in Britain: %v", d.Reasons)
	}
}
