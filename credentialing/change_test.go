package credentialing_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func (w *world) changes() (n int) {
	w.t.Helper()
	w.must(w.pg.Pool.QueryRow(w.t.Context(), `select count(*) from credential_change c join change_pending p on p.change_id = c.id`).Scan(&n))
	return n
}

func TestEveryCommandThatMovesAScopeIsAChange(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	ctx := t.Context()
	var agreement credentialing.AgreementID
	status := func(st credentialing.Status, by identity.Actor) error {
		_, err := w.s.ReportStatus(ctx, by, credentialing.StatusReport{Credential: reg.Credential, Status: st, Source: "register"})
		return err
	}
	e, sum := w.enter(license(w.weber, "DE", "DE-7", credentialing.Date(2028, 1, 1)))
	again, sumAgain := w.enter(license(w.weber, "FR", "FR-7", credentialing.Date(2028, 1, 1)))
	v, back := w.verify(e, sum, "primary-source"), w.verify(again, sumAgain, "primary-source")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"approval", func() error { return w.s.Approve(ctx, w.samuel, v) }},
		{"return", func() error { return w.s.Reject(ctx, w.samuel, back, "unreadable") }},
		{"suspension", func() error { return status(credentialing.StatusSuspended, w.grace) }},
		{"reinstatement by two", func() error {
			return errors.Join(status(credentialing.StatusActive, w.grace), status(credentialing.StatusActive, w.samuel))
		}},
		{"a look into the lists", func() error {
			return w.s.CheckExclusions(ctx, w.grace, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"LEIE"}})
		}},
		{"a hit", func() error {
			return w.s.CheckExclusions(ctx, w.grace, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"LEIE"},
				Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: "E-1", Strong: true}}})
		}},
		{"an agreement", func() (err error) {
			agreement, err = w.s.AddAgreement(ctx, w.grace, credentialing.Agreement{From: w.toronto, To: w.berlin, Ground: "standard-contract"})
			return err
		}},
		{"its end", func() error { return w.s.EndAgreement(ctx, w.grace, agreement) }},
		{"a facility license", func() error {
			_, err := w.s.AddFacilityLicense(ctx, w.grace, credentialing.FacilityLicense{Organization: w.berlin, Jurisdiction: "DE", Issuer: "Land", Number: "1"})
			return err
		}},
		{"a role", func() error {
			_, err := w.pg.Pool.Exec(ctx, `update role_grant set valid_until = $2 where person_id = $1`, string(w.weber.Person), start.AddDate(0, 1, 0))
			return err
		}},
		{"a home", func() error {
			_, err := w.pg.Pool.Exec(ctx, `update person set home = 'FR' where id = $1`, string(w.weber.Person))
			return err
		}},
	} {
		before := w.changes()
		w.must(step.do())
		if w.changes() == before {
			t.Errorf("%s is not a change", step.name)
		}
	}
	// What is refused is none.
	before := w.changes()
	if err := status(credentialing.StatusRevoked, w.otieno); !errors.Is(err, credentialing.ErrForbidden) {
		t.Error(err)
	}
	if w.changes() != before {
		t.Error("a refused report is a change")
	}
}

func TestChangeIsToldAfterItsCommitAndNeverOtherwise(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan credentialing.Change, 10)
	listening := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		first := true
		done <- w.s.FollowChanges(ctx, func(c credentialing.Change) error {
			if first {
				first = false
				close(listening)
			}
			if c != (credentialing.Change{}) {
				got <- c
			}
			return nil
		})
	}()
	<-listening
	broken := errors.New("broken")
	if err := w.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		if err := credentialing.RecordChange(ctx, tx, credentialing.Change{Person: w.weber.Person, Cause: "rolled-back"}); err != nil {
			return err
		}
		return broken
	}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	want := credentialing.Change{Case: "0193a1b2-0000-7000-8000-000000000001", Organization: w.nairobi, Cause: "place", From: start.Add(1500 * time.Millisecond)}
	w.must(w.db.Write(ctx, audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) error {
		c := want
		c.Organization = "" // the transaction's
		return credentialing.RecordChange(ctx, tx, c)
	}))
	c := <-got
	if c.ID == "" {
		t.Error("a change without id")
	}
	c.ID = ""
	if !c.From.Equal(want.From) || c.Case != want.Case || c.Organization != want.Organization || c.Cause != want.Cause || c.Person != "" {
		t.Errorf("got %+v, want %+v", c, want)
	}
	for _, bad := range []credentialing.Change{{}, {Person: w.weber.Person}, {Cause: "nothing"}} {
		var invalid *credentialing.Invalid
		if err := w.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return credentialing.RecordChange(ctx, tx, bad) }); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReviewAllAnswersLikeDetermineAndKeepsWhatItIsAskedTo(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ctx := t.Context()
	var asks []credentialing.Ask
	for _, who := range []identity.Actor{w.tremblay, w.weber, w.otieno, w.kamau} {
		for _, act := range []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit, credentialing.SignDecision} {
			for _, days := range []int{0, 20, 40, 300} { // beyond the age of a check of the lists too
				a := w.ask(who, act)
				a.At = start.AddDate(0, 0, days)
				a.Through = a.At.Add(30 * time.Minute)
				asks = append(asks, a)
			}
		}
	}
	var reviews []credentialing.Review
	w.must(w.db.Write(ctx, audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) (err error) {
		reviews, err = w.s.ReviewAll(ctx, tx, identity.System("reevaluate", w.nairobi), asks, func(i int, _ credentialing.Determination) bool { return i%3 == 0 })
		return err
	}))
	kept := 0
	w.must(w.db.Read(ctx, audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) error {
		for i, r := range reviews {
			d, err := w.s.Judge(ctx, tx, asks[i])
			if err != nil {
				return err
			}
			if d.Decision != r.Determination.Decision || !slices.Equal(d.Reasons, r.Determination.Reasons) || !slices.Equal(d.Conditions, r.Determination.Conditions) {
				t.Errorf("ask %d: %s %v, judged %s %v", i, r.Determination.Decision, r.Determination.Reasons, d.Decision, d.Reasons)
			}
			if !r.NextChange.IsZero() && (!r.NextChange.After(start) || r.NextChange.After(asks[i].Through)) {
				t.Errorf("ask %d changes at %v, outside of now and its end", i, r.NextChange)
			}
			if r.Determination.ID == "" {
				continue
			}
			kept++
			again, err := w.s.Replay(ctx, tx, r.Determination.ID)
			if err != nil || again.Hash != r.Determination.Hash {
				t.Errorf("ask %d: replay %v", i, err)
			}
		}
		return nil
	}))
	if want := (len(asks) + 2) / 3; kept != want {
		t.Errorf("%d kept, want %d", kept, want)
	}
	var events int
	w.must(w.pg.Pool.QueryRow(ctx, `select count(*) from audit_leaf where act = 'scope.determined'`).Scan(&events))
	if events != kept {
		t.Errorf("%d events for %d determinations", events, kept)
	}
}
