package workspace_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// What looking again asks of many cases is what Facts says of each.
func TestFactsOfManyCasesAreTheFactsOfEach(t *testing.T) {
	w := newWorld(t)
	ids := []workspace.CaseID{w.assigned(), w.create(), w.assigned()}
	w.consent(ids[1], workspace.LiveConsult)
	given := w.consent(ids[2], workspace.LiveConsult)
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors[w.otieno], ids[2], given[0], string(workspace.SpokenWitnessed)))
	w.ok(w.cases.ConfirmPlace(w.ctx, w.actors[w.otieno], ids[0], "UG", "asked_by_phone"))
	var asks []scheduling.CaseAsk
	for _, id := range ids {
		for _, who := range []identity.PersonID{w.tremblay, w.weber, ""} {
			asks = append(asks, scheduling.CaseAsk{Case: scheduling.CaseRef(id), Specialist: who})
		}
	}
	asks = append(asks, scheduling.CaseAsk{Case: scheduling.CaseRef(uuid.NewString())}, scheduling.CaseAsk{Case: "nothing"})
	w.ok(w.audit.Read(w.ctx, audit.Scope{Organization: string(w.hospital)}, func(tx *audit.Tx) error {
		many, err := w.cases.FactsOf(w.ctx, tx, asks)
		if err != nil {
			return err
		}
		for i, a := range asks[:9] {
			one, err := w.cases.Facts(w.ctx, tx, a.Case, a.Specialist)
			if err != nil {
				return err
			}
			if moved := i < 3; moved == many[i].Until.IsZero() {
				t.Errorf("facts of %d change at %v", i, many[i].Until)
			}
			one.Until = many[i].Until
			if diff := cmp.Diff(many[i], one); diff != "" {
				t.Errorf("case %d with %q:\n%s", i/3, a.Specialist, diff)
			}
		}
		for _, f := range many[9:] {
			if f.Organization != "" {
				t.Errorf("a case that is not there: %+v", f)
			}
		}
		return nil
	}))
	// Another clinic sees none of them.
	w.ok(w.audit.Read(w.ctx, audit.Scope{Organization: string(w.institute)}, func(tx *audit.Tx) error {
		many, err := w.cases.FactsOf(w.ctx, tx, asks[:1])
		if err == nil && many[0].Organization != "" {
			t.Error("another clinic reads a case")
		}
		return err
	}))
}

func TestCommandsThatChangeWhatIsKnownOfACaseAreChanges(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	changes := func() int {
		return w.count(`select count(*) from credential_change where case_id = $1 and organization_id = $2`, string(id), string(w.hospital))
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"place", func() error { return w.cases.ConfirmPlace(w.ctx, w.actors[w.otieno], id, "TZ", "asked_by_phone") }},
		{"consent", func() error { w.consent(id, workspace.Interpreter); return nil }},
		{"withdrawal", func() error {
			given := w.consent(id, workspace.LiveConsult)
			return w.cases.WithdrawConsent(w.ctx, w.actors[w.otieno], id, given[0], string(workspace.SpokenWitnessed))
		}},
		{"state", func() error { return w.cases.Withdraw(w.ctx, w.actors[w.otieno], id, "no_longer_needed") }},
	} {
		before := changes()
		w.ok(step.do())
		if changes() == before {
			t.Errorf("%s is not recorded as a change", step.name)
		}
	}
	if n := w.count(`select count(*) from change_pending`); n < 4 {
		t.Errorf("%d changes wait to be followed", n)
	}
}
