package workspace_test

import (
	"errors"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// again follows recorded changes, as scheduling does in the running service, and looks
// at the cases concerned.
func (w *world) again() workspace.Reviewed {
	w.t.Helper()
	w.ok(w.audit.Write(w.ctx, audit.Scope{}, func(tx *audit.Tx) error {
		_, err := tx.Exec(w.ctx, `select mark_reviews($1, 1000)`, tx.Now())
		return err
	}))
	return must(w.cases.Reevaluate(w.ctx))(w.t)
}

func TestOpenCaseIsMarkedWhenItsSpecialistMayNoLongerAdvise(t *testing.T) {
	w := newWorld(t)
	id, other := w.assigned(), w.create()
	if r := w.again(); r.SetAside+r.Restored+r.Skipped != 0 || r.Cases < 1 {
		t.Fatalf("at first: %+v", r)
	}
	if r := w.again(); r != (workspace.Reviewed{}) {
		t.Fatalf("nothing changed: %+v", r)
	}
	license := w.hold(w.tremblay, credentialing.KindLicense, "CA-QC", "DEMO-QC-0001", credentialing.Claim{})
	report := func(st credentialing.Status) {
		t.Helper()
		for _, by := range []identity.PersonID{w.wanjiru, w.kiptoo} {
			pending, err := w.creds.ReportStatus(w.ctx, w.actors[by], credentialing.StatusReport{Credential: license, Status: st, Source: "register"})
			w.ok(err)
			if !pending {
				return
			}
		}
	}
	w.again()
	report(credentialing.StatusSuspended)
	if r := w.again(); r.SetAside != 1 {
		t.Fatalf("after the suspension: %+v", r)
	}
	why := must(w.cases.Obstacles(w.ctx, w.actors[w.otieno], id))(t)
	if len(why) != 1 || why[0].Person != w.tremblay || why[0].Lead != "forbid:ZZ-012" || why[0].Role != workspace.RoleSpecialist {
		t.Fatalf("obstacles %+v, want Prof. Tremblay's suspension", why)
	}
	if n := w.count(`select count(*) from determination where id = $1 and decision = 'deny' and activity = 'advise_physician'`, why[0].Determination); n != 1 {
		t.Error("the refusal is not stored")
	}
	if own := must(w.cases.Obstacles(w.ctx, w.actors[w.tremblay], id))(t); len(own) != 1 {
		t.Errorf("the specialist learns %+v of herself", own)
	}
	if why := must(w.cases.Obstacles(w.ctx, w.actors[w.otieno], other))(t); len(why) != 0 {
		t.Errorf("the other case: %+v", why)
	}
	if _, err := w.cases.Obstacles(w.ctx, w.actors[w.weber], id); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("somebody else asks: %v", err)
	}
	if v := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(t); v.State != workspace.Assigned {
		t.Errorf("the case is %s, want it as it was", v.State)
	}
	w.pass(time.Second)
	report(credentialing.StatusActive)
	if r := w.again(); r.Restored != 1 {
		t.Fatalf("after the reinstatement: %+v", r)
	}
	if why := must(w.cases.Obstacles(w.ctx, w.actors[w.otieno], id))(t); len(why) != 0 {
		t.Errorf("obstacles %+v, want none", why)
	}
	for act, want := range map[string]int{"case.set_aside": 1, "case.restored": 1} {
		if n := w.count(`select count(*) from audit_leaf where act = $1`, act); n != want {
			t.Errorf("%d events %s, want %d", n, act, want)
		}
	}
}

// An open case is judged for now: the clock alone takes a scope away, at the instant
// that was known ahead.
func TestOpenCaseIsMarkedWhenTheClockTakesAScopeAway(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	w.again()
	checked := start
	if n := w.count(`select count(*) from case_review where case_id = $1 and next_change_at > $2 and next_change_at <= $3`, string(id), start, checked.AddDate(0, 0, 32)); n != 1 {
		t.Fatal("the next change is not known ahead")
	}
	w.set(checked.AddDate(0, 0, 30))
	if r := w.again(); r.SetAside != 0 {
		t.Fatalf("a day early: %+v", r)
	}
	w.set(checked.AddDate(0, 0, 31).Add(time.Minute)) // lists are looked into monthly
	if r := w.again(); r.SetAside != 1 {
		t.Fatalf("when the look into the lists is too old: %+v", r)
	}
	for _, p := range []identity.PersonID{w.otieno, w.tremblay} {
		w.ok(w.creds.CheckExclusions(w.ctx, w.actors[w.wanjiru], credentialing.ExclusionCheck{Person: p, Lists: []string{"demo"}}))
	}
	if r := w.again(); r.Restored != 1 {
		t.Fatalf("after another look: %+v", r)
	}
}
