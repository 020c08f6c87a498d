package scheduling

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// another is a second case of the clinic, like the first.
func (w *world) another() CaseRef {
	ref := CaseRef(w.newCase())
	f := w.cases.facts[w.ref]
	f.Context.Case = string(ref)
	w.cases.facts[ref] = f
	return ref
}

func (w *world) wait(ref CaseRef, latest time.Time) Waiting {
	w.t.Helper()
	x, err := w.s.Wait(ctx, w.otieno(), WaitRequest{Case: ref, Kind: JointVideoVisit, Specialist: w.claire, Latest: latest})
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

func (w *world) offer() int {
	w.t.Helper()
	n, err := w.s.OfferWaiting(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// entry is how an entry of the waiting list stands.
func (w *world) entry(id WaitingID) Waiting {
	w.t.Helper()
	list, err := w.s.WaitingList(ctx, w.otieno())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range list {
		if x.ID == id {
			return x
		}
	}
	w.t.Fatalf("%s is not on the list", id)
	return Waiting{}
}

func TestWhatIsCanceledIsOfferedToWhoWaitsLongest(t *testing.T) {
	w := newWorld(t)
	until := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)
	// Both days are full: an hour each, in which everybody can.
	var booked []Appointment
	for range 4 {
		a, err := w.s.Book(ctx, w.otieno(), w.request(w.first()))
		if err != nil {
			t.Fatal(err)
		}
		booked = append(booked, a)
	}
	first, second := w.wait(w.another(), until), w.wait(w.another(), until)
	if _, err := w.s.Wait(ctx, w.otieno(), WaitRequest{Case: first.Case, Kind: JointVideoVisit, Specialist: w.claire, Latest: until}); !errors.Is(err, ErrState) {
		t.Errorf("wait twice: %v, want ErrState", err)
	}
	if n := w.offer(); n != 0 {
		t.Fatalf("%d offers though nothing is free", n)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), booked[2].ID, booked[2].Version, ReasonPatient); err != nil {
		t.Fatal(err)
	}
	if n := w.offer(); n != 1 {
		t.Fatalf("%d offers of one free time", n)
	}
	x := w.entry(first.ID)
	if x.State != WaitingOffered || !x.Start.Equal(booked[2].StartAt) || !x.OfferedUntil.Equal(worldStart.Add(OfferFor)) || w.entry(second.ID).State != WaitingOpen {
		t.Fatalf("first %+v, second %+v", x, w.entry(second.ID))
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'waiting.offered'`); n != 1 {
		t.Errorf("%d events of offers", n)
	}
	// The deadline goes by: the next gets it.
	w.setClock(x.OfferedUntil)
	if _, err := w.s.TakeOffer(ctx, w.otieno(), x.ID, x.Version); !errors.Is(err, ErrHoldExpired) {
		t.Errorf("take after the deadline: %v", err)
	}
	if n := w.offer(); n != 1 {
		t.Fatalf("%d offers after the deadline", n)
	}
	y := w.entry(second.ID)
	if y.State != WaitingOffered || !y.Start.Equal(booked[2].StartAt) || w.entry(first.ID).State != WaitingOpen {
		t.Fatalf("first %+v, second %+v", w.entry(first.ID), y)
	}
	if _, err := w.s.TakeOffer(ctx, w.otieno(), y.ID, y.Version-1); !errors.Is(err, ErrVersion) {
		t.Errorf("a stale version: %v", err)
	}
	for _, who := range []identity.Actor{w.aziz(), w.actor(w.claire, w.other, identity.RoleSpecialist)} {
		if _, err := w.s.TakeOffer(ctx, who, y.ID, y.Version); !errors.Is(err, ErrNotFound) {
			t.Errorf("another takes it: %v", err)
		}
	}
	a, err := w.s.TakeOffer(ctx, w.otieno(), y.ID, y.Version)
	if err != nil || a.State != StatePending || !a.StartAt.Equal(booked[2].StartAt) || a.Case != second.Case {
		t.Fatalf("%+v, %v", a, err)
	}
	if x := w.entry(second.ID); x.State != WaitingBooked || x.Appointment != a.ID {
		t.Errorf("the entry: %+v", x)
	}
	// Who let it pass is offered another, and may decline and stop.
	if _, err := w.s.Cancel(ctx, w.otieno(), booked[3].ID, booked[3].Version, ReasonPatient); err != nil {
		t.Fatal(err)
	}
	w.offer()
	x = w.entry(first.ID)
	if x.State != WaitingOffered || !x.Start.Equal(booked[3].StartAt) {
		t.Fatalf("%+v", x)
	}
	if err := w.s.PassOffer(ctx, w.otieno(), x.ID, x.Version); err != nil {
		t.Fatal(err)
	}
	if n := w.offer(); n != 0 {
		t.Error("a time that was declined is offered again")
	}
	if free := w.first(); !free.Equal(booked[3].StartAt) {
		t.Errorf("first start %v, want the declined %v", free, booked[3].StartAt)
	}
	x = w.entry(first.ID)
	if err := w.s.StopWaiting(ctx, w.otieno(), x.ID, x.Version); err != nil {
		t.Fatal(err)
	}
	if err := w.s.StopWaiting(ctx, w.otieno(), x.ID, x.Version+1); !errors.Is(err, ErrState) {
		t.Errorf("stop twice: %v", err)
	}
	third := w.wait(first.Case, until)
	w.setClock(until)
	w.offer()
	if x := w.entry(third.ID); x.State != WaitingExpired {
		t.Errorf("nothing in time: %s", x.State)
	}
}

func TestWaitIsRefusedWhereNothingCouldBeBooked(t *testing.T) {
	w := newWorld(t)
	good := WaitRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, Latest: worldStart.AddDate(0, 0, 7)}
	for name, bad := range map[string]func(*WaitRequest){
		"past":             func(r *WaitRequest) { r.Latest = worldStart },
		"too far":          func(r *WaitRequest) { r.Latest = worldStart.AddDate(3, 0, 0) },
		"shorter":          func(r *WaitRequest) { r.Earliest = r.Latest.Add(-time.Minute) },
		"kind":             func(r *WaitRequest) { r.Kind = "tea" },
		"length":           func(r *WaitRequest) { r.Duration = time.Second },
		"not a specialist": func(r *WaitRequest) { r.Specialist = w.amina },
	} {
		req := good
		bad(&req)
		if _, err := w.s.Wait(ctx, w.otieno(), req); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s: %v, want ErrInvalidRequest", name, err)
		}
	}
	if _, err := w.s.Wait(ctx, w.aziz(), good); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNotFound) {
		t.Errorf("an interpreter: %v", err)
	}
	if n := w.count(`select count(*) from waiting`); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// The history of many who cancel, book, take, pass and let lapse at once: nobody sits
// twice, an entry holds at most one time, and what is held is held for somebody.
func TestWaitingListKeepsItsPromiseAmongMany(t *testing.T) {
	w := newWorld(t)
	until := time.Date(2026, 12, 4, 15, 0, 0, 0, time.UTC)
	for range 4 {
		if _, err := w.s.Book(ctx, w.otieno(), w.request(w.first())); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		w.wait(w.another(), until)
	}
	expected := func(err error) bool {
		var refusal *Refusal
		return err == nil || errors.As(err, &refusal) || errors.Is(err, ErrSlotTaken) || errors.Is(err, ErrVersion) || errors.Is(err, ErrState) ||
			errors.Is(err, ErrHoldExpired) || errors.Is(err, ErrInvalidRequest)
	}
	for round := range 6 {
		var wg sync.WaitGroup
		fail := make(chan error, 64)
		do := func(f func() error) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := f(); !expected(err) {
					fail <- err
				}
			}()
		}
		list, err := w.s.WaitingList(ctx, w.otieno())
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.s.AppointmentsOf(ctx, identity.System("test", w.clinic), worldStart, until)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			do(func() error { _, err := w.s.OfferWaiting(ctx); return err })
		}
		for i, x := range list {
			if x.State != WaitingOffered {
				continue
			}
			for range 2 { // two coordinators
				do(func() (err error) {
					switch (i + round) % 3 {
					case 0:
						err = w.s.PassOffer(ctx, w.otieno(), x.ID, x.Version)
					case 1:
						_, err = w.s.TakeOffer(ctx, w.otieno(), x.ID, x.Version)
					}
					return err
				})
			}
		}
		for i, a := range all {
			if (a.State == StatePending || a.State == StateBooked) && i%2 == round%2 {
				do(func() error { _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); return err })
			}
		}
		do(func() error {
			_, err := w.s.Book(ctx, w.otieno(), BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire,
				Start: time.Date(2026, 11, 30, 13, 0, 0, 0, time.UTC).AddDate(0, 0, round%5)})
			return err
		})
		wg.Wait()
		close(fail)
		for err := range fail {
			t.Fatal(err)
		}
		now := w.clock()
		if n := w.count(`select count(*) from seat a join seat b on a.person_id = b.person_id and a.id < b.id and a.during && b.during
			where a.released_at is null and b.released_at is null`); n != 0 {
			t.Fatalf("round %d: %d overlaps", round, n)
		}
		if n := w.count(`select count(*) from waiting w left join appointment a on a.id = w.appointment_id where w.state = 'offered' and w.offered_until > $1 and a.state <> 'held'`, now); n != 0 {
			t.Fatalf("round %d: %d offers of what is not held", round, n)
		}
		if n := w.count(`select count(*) from appointment a where a.state = 'held' and not exists (select from waiting w where w.appointment_id = a.id and w.state = 'offered')`); n != 0 {
			t.Fatalf("round %d: %d times are held for nobody", round, n)
		}
		if n := w.count(`select count(*) from waiting w join appointment a on a.id = w.appointment_id where w.state = 'booked' and a.state not in ('pending', 'booked', 'canceled')`); n != 0 {
			t.Fatalf("round %d: %d entries are booked without a booking", round, n)
		}
		w.setClock(now.Add(OfferFor / 2))
	}
}
