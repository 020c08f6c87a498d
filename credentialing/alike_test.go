package credentialing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuestionsThatAreAlikeAreAnsweredAsEachAlone draws instants and lengths of one
// question and compares the answers with those of each evaluated by itself.
func TestQuestionsThatAreAlikeAreAnsweredAsEachAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		now := q.At
		if rapid.Bool().Draw(t, "a plan") {
			q.Mode, q.ChecksAt = Plan, now
		}
		for i := range held.List { // ends and restrictions within the time drawn
			if rapid.Bool().Draw(t, "ends") {
				held.List[i].ValidTo = Instant(now.Add(time.Duration(rapid.IntRange(1, 24*90).Draw(t, "ends after")) * time.Hour))
			}
		}
		group := make([]Question, rapid.IntRange(1, 12).Draw(t, "how many"))
		from, to := now, now
		for i := range group {
			group[i] = q
			group[i].At = now.Add(time.Duration(rapid.IntRange(0, 24*120).Draw(t, "hours ahead")) * time.Hour)
			end := group[i].At
			if n := rapid.IntRange(0, 72).Draw(t, "hours long"); n > 0 {
				end = end.Add(time.Duration(n) * time.Hour)
				group[i].Through = end
			}
			if end.After(to) {
				to = end
			}
			if group[i].likeness(now) != group[0].likeness(now) {
				t.Fatal("questions that differ in their instants alone are not alike")
			}
		}
		alike := newAlike(group[0], &held, from, to)
		for i, one := range group {
			got, want := alike.decide(one), Decide(one, held)
			if got.Decision != want.Decision || !slices.Equal(got.Reasons, want.Reasons) || !slices.Equal(got.Conditions, want.Conditions) {
				t.Fatalf("question %d for %s: %s %v, alone %s %v", i, one.At, got.Decision, got.Reasons, want.Decision, want.Reasons)
			}
		}
	})
}

func TestQuestionsThatDifferInAFactAreNotAlike(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	video, days := "live-video", int64(3)
	whole := func() Question {
		return Question{At: now, Mode: Plan, Activity: AdvisePhysician, Places: []string{"KE"}, Rules: starter(), From: "CA-ON",
			Case:  CaseFacts{LocationConfirmed: Yes(), Languages: []string{"en"}},
			Local: &LocalFacts{ID: "L1", Requested: Yes(), Licenses: []Held{}}, Consents: []Consent{{Type: "telehealth", Recorded: now.Add(-time.Hour)}},
			Transfer: &Transfer{From: "KE", To: "CA"}}
	}
	a := whole()
	same := whole()
	same.At, same.Through, same.Consents[0].Recorded = now.Add(time.Hour), now.Add(2*time.Hour), now.Add(-2*time.Hour)
	if a.likeness(now) != same.likeness(now) {
		t.Errorf("when a consent was recorded in the past makes a difference:\n%s\n%s", a.likeness(now), same.likeness(now))
	}
	for name, change := range map[string]func(q *Question){
		"rules":            func(q *Question) { q.Rules = &RuleSet{} },
		"mode":             func(q *Question) { q.Mode = Act },
		"activity":         func(q *Question) { q.Activity = JointVideoVisit },
		"places":           func(q *Question) { q.Places = []string{"DE", "KE"} },
		"unconfirmed":      func(q *Question) { q.AcceptUnverified = true },
		"seat":             func(q *Question) { q.From = "" },
		"checks":           func(q *Question) { q.ChecksAt = now },
		"facility":         func(q *Question) { q.Case.Facility = "F" },
		"location":         func(q *Question) { q.Case.LocationConfirmed = No() },
		"identity":         func(q *Question) { q.Case.IdentityConfirmed = Yes() },
		"languages":        func(q *Question) { q.Case.Languages = nil },
		"modality":         func(q *Question) { q.Case.Modality = &video },
		"days":             func(q *Question) { q.Case.DaysSinceInPerson = &days },
		"first":            func(q *Question) { q.Case.FirstContact = No() },
		"controlled":       func(q *Question) { q.Case.ControlledSubstance = No() },
		"prior":            func(q *Question) { q.Case.PriorInPerson = No() },
		"interpreter":      func(q *Question) { q.Case.Interpreter = No() },
		"licensed":         func(q *Question) { q.Case.FacilityLicensed = No() },
		"agreed":           func(q *Question) { q.Case.InstitutionAgreement = No() },
		"long":             func(q *Question) { q.Case.LongTerm = No() },
		"no physician":     func(q *Question) { q.Local = nil },
		"physician":        func(q *Question) { q.Local.ID = "L2" },
		"licenses unknown": func(q *Question) { q.Local.Licenses = nil },
		"requested":        func(q *Question) { q.Local.Requested = nil },
		"present":          func(q *Question) { q.Local.Present = Yes() },
		"authority":        func(q *Question) { q.Local.FinalAuthority = No() },
		"signed":           func(q *Question) { q.Local.Signed = No() },
		"no transfer":      func(q *Question) { q.Transfer = nil },
		"basis":            func(q *Question) { q.Transfer.Basis = "standard-contract" },
		"consent unknown":  func(q *Question) { q.Consents = nil },
		"no consent":       func(q *Question) { q.Consents = []Consent{} },
		"consent to come":  func(q *Question) { q.Consents[0].Recorded = now.Add(time.Hour) },
		"consent ending":   func(q *Question) { q.Consents[0].Withdrawn = now.Add(time.Hour) },
		"consent ended":    func(q *Question) { q.Consents[0].Withdrawn = now },
	} {
		b := whole()
		change(&b)
		if a.likeness(now) == b.likeness(now) {
			t.Errorf("%s makes no difference", name)
		}
	}
}
