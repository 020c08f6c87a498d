package scheduling

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

var _ ManyCases = (*caseBook)(nil)

func (b *caseBook) FactsOf(ctx context.Context, tx *audit.Tx, asks []CaseAsk) ([]Facts, error) {
	out := make([]Facts, len(asks))
	for i, a := range asks {
		if f, err := b.Facts(ctx, tx, a.Case, a.Specialist); err == nil {
			out[i] = f
		}
	}
	return out, nil
}

func (w *world) again() Reviewed {
	w.t.Helper()
	r, err := w.s.Reevaluate(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) read(id AppointmentID) Appointment {
	w.t.Helper()
	a, err := w.s.Appointment(ctx, w.otieno(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// status reports what a regulator says of Prof. Tremblay's license at home; good news
// takes a second officer.
func (w *world) status(st credentialing.Status, from time.Time) {
	w.t.Helper()
	license := w.onFile["DEMO-ON-0001"]
	pending, err := w.cred.ReportStatus(ctx, w.officer, credentialing.StatusReport{Credential: license, Status: st, From: from, Source: "CPSO"})
	if err != nil {
		w.t.Fatal(err)
	}
	if pending {
		if _, err := w.cred.ReportStatus(ctx, w.approver, credentialing.StatusReport{Credential: license, Status: st, From: from, Source: "CPSO"}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestSuspensionSetsTheVisitAsideAndReinstatementRestoresIt(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	w.admin(`insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at) values (gen_random_uuid(), $1, $2, 'coordinator', $3, $3)`,
		string(w.peter), string(w.clinic), worldStart.AddDate(-1, 0, 0))
	a := w.book()
	if r := w.again(); r.Appointments != 1 || r.SetAside+r.Restored+r.Retasked != 0 {
		t.Fatalf("a fresh booking: %+v, want it looked at once and left alone", r)
	}
	if r := w.again(); r != (Reviewed{}) {
		t.Fatalf("nothing changed: %+v", r)
	}
	w.status(credentialing.StatusSuspended, a.StartAt.Add(-time.Hour)) // effective before the visit, reported days ahead
	if r := w.again(); r.SetAside != 1 {
		t.Fatalf("after the suspension: %+v", r)
	}
	held := w.read(a.ID)
	if held.State != StateNeedsAttention || held.Reason != ReasonLost || !held.StartAt.Equal(a.StartAt) || held.Version != a.Version+1 {
		t.Errorf("got %s for %q at %v, version %d", held.State, held.Reason, held.StartAt, held.Version)
	}
	for _, seat := range held.Seats {
		if seat.Released {
			t.Errorf("the seat of %s was given away", seat.Role)
		}
	}
	why, err := w.s.Obstacles(ctx, w.otieno(), a.ID)
	if err != nil || len(why) != 1 || why[0].Person != w.claire || why[0].Lead != "forbid:ZZ-012" || why[0].Determination == "" {
		t.Fatalf("obstacles %+v, %v, want Prof. Tremblay's suspension", why, err)
	}
	if n := w.count(`select count(*) from determination where id = $1 and decision = 'deny' and at = $2`, why[0].Determination, a.StartAt); n != 1 {
		t.Error("the refusal is not stored for the time of the visit")
	}
	if seat, _ := held.Seat(w.claire); seat.Determination != why[0].Determination {
		t.Error("her seat does not rest on the refusal")
	}
	w.status(credentialing.StatusActive, a.StartAt.Add(-time.Hour+time.Second))
	if r := w.again(); r.Restored != 1 {
		t.Fatalf("after the reinstatement: %+v", r)
	}
	if got := w.read(a.ID); got.State != StatePending || got.Reason != "" {
		t.Errorf("state %s, reason %q, want it to wait for the interpreter as before", got.State, got.Reason)
	}
	if why, err := w.s.Obstacles(ctx, w.otieno(), a.ID); err != nil || len(why) != 0 {
		t.Errorf("obstacles %+v, %v, want none", why, err)
	}
	for act, want := range map[string]int{actSetAside: 1, actRestored: 1, "appointment.canceled": 0} {
		if n := w.count(`select count(*) from audit_leaf where act = $1`, act); n != want {
			t.Errorf("%d events %s, want %d", n, act, want)
		}
	}
	if told := a.concerned([]string{string(w.peter)}, true); !slices.Contains(told, string(w.peter)) || len(told) != 5 {
		t.Errorf("told %v, want four people seated and the coordinator", told)
	}
}
