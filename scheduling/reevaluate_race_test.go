package scheduling

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

// A visit is judged, then the license is suspended and followed, then the booking
// commits: the suspension is found although nothing tells of it any more.
func TestChangeDuringABookingIsFoundAfterIt(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	req := w.request(w.first())
	candidates, err := w.s.candidates(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := req.hash(req.Start)
	if err != nil {
		t.Fatal(err)
	}
	var a Appointment
	err = w.audit.Write(ctx, w.otieno().Scope(), func(tx *audit.Tx) (err error) {
		if a, err = w.s.book(ctx, tx, w.otieno(), req, req.Start, hash, candidates); err != nil {
			return err
		}
		w.status(credentialing.StatusSuspended, w.clock()) // commits before this booking
		if r := w.again(); r.Appointments != 0 || r.Changes == 0 {
			t.Errorf("followed %+v, want the change and no visit yet", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := w.again(); r.SetAside != 1 {
		t.Errorf("after the booking: %+v, want it set aside", r)
	}
	if got := w.read(a.ID); got.State != StateNeedsAttention {
		t.Errorf("the visit is %s", got.State)
	}
}

// Several nodes look at the same time, while people accept and cancel: each visit is
// set aside once or was canceled, nobody waits for ever, nothing is told twice.
func TestSeveralNodesLookAgainAtOnce(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	visits := w.bookDays(6)
	w.copies(visits[0], 200)
	w.again()
	w.status(credentialing.StatusSuspended, w.clock())
	var mu sync.Mutex
	var sum Reviewed
	canceled := 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			done, err := w.s.Reevaluate(ctx)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(done)
		})
	}
	for i, a := range visits {
		all.Go(func() {
			if i%2 == 0 {
				_, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla))
				if err != nil && !errors.Is(err, ErrState) {
					t.Error(err)
				}
				return
			}
			_, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther)
			if err != nil && !errors.Is(err, ErrVersion) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				canceled++
			}
		})
	}
	all.Wait()
	sum.add(w.again())
	if sum.SetAside+canceled < 206 || sum.SetAside > 206 || sum.Skipped != 0 {
		t.Errorf("%+v with %d canceled, want each of 206 visits once", sum, canceled)
	}
	if n := w.count(`select count(*) from audit_leaf where act = $1`, actSetAside); n != sum.SetAside {
		t.Errorf("%d events, %d visits set aside", n, sum.SetAside)
	}
	if n := w.count(`select count(*) from appointment where state in ('booked', 'pending')`); n != 0 {
		t.Errorf("%d visits with a suspended specialist stand as if nothing had happened", n)
	}
}

// broken is a case book that fails for one case.
type broken struct {
	*caseBook
	bad CaseRef
}

func (b broken) FactsOf(ctx context.Context, tx *audit.Tx, asks []CaseAsk) ([]Facts, error) {
	for _, a := range asks {
		if a.Case == b.bad {
			return nil, errors.New("this case cannot be read")
		}
	}
	return b.caseBook.FactsOf(ctx, tx, asks)
}

func TestOneVisitThatCannotBeJudgedDoesNotKeepTheOthers(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	visits := w.bookDays(5)
	bad := CaseRef(w.newCase())
	w.cases.facts[bad] = w.cases.facts[w.ref]
	w.admin(`update appointment set case_id = $1 where id = $2`, string(bad), string(visits[2].ID))
	s := *w.s
	s.cases = broken{w.cases, bad}
	w.again()
	w.status(credentialing.StatusSuspended, w.clock())
	done, err := s.Reevaluate(ctx)
	if err != nil || done.SetAside != 4 || done.Skipped != 1 {
		t.Fatalf("%+v, %v, want four set aside and one skipped", done, err)
	}
	w.setClock(w.clock().Add(reviewRetry))
	s.cases = w.cases
	if done, err := s.Reevaluate(ctx); err != nil || done.SetAside != 1 {
		t.Errorf("a minute later: %+v, %v, want the fifth set aside", done, err)
	}
}

// A hold is not judged, but what was recorded while it was one is not forgotten.
func TestChangeDuringAHoldIsFoundOnceItIsBooked(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	a := w.book()
	w.admin(`update appointment set state = 'held' where id = $1`, string(a.ID))
	w.status(credentialing.StatusSuspended, w.clock())
	if r := w.again(); r.Appointments != 1 || r.SetAside != 0 {
		t.Fatalf("held: %+v", r)
	}
	w.admin(`update appointment set state = 'booked' where id = $1`, string(a.ID))
	w.setClock(w.clock().Add(reviewRetry))
	if r := w.again(); r.SetAside != 1 {
		t.Errorf("booked: %+v, want it set aside", r)
	}
}
