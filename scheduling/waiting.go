package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// WaitingID is a UUIDv7.
type WaitingID string

// WaitingState is where an entry of a waiting list stands.
type WaitingState string

// The states of an entry. Waiting and offered ones are open.
const (
	WaitingOpen      WaitingState = "waiting"
	WaitingOffered   WaitingState = "offered"   // a time is held for it
	WaitingBooked    WaitingState = "booked"    // the time was taken
	WaitingWithdrawn WaitingState = "withdrawn" // by a person
	WaitingExpired   WaitingState = "expired"   // nothing became free in time
)

// WaitingEvent is what moves an entry from state to state.
type WaitingEvent string

// The events of an entry.
const (
	WaitingOffer    WaitingEvent = "offer"
	WaitingPass     WaitingEvent = "pass" // declined, or the deadline went by
	WaitingAccept   WaitingEvent = "accept"
	WaitingWithdraw WaitingEvent = "withdraw"
	WaitingExpire   WaitingEvent = "expire"
)

// Next is the state after an event; false means that the event has no place there.
func (s WaitingState) Next(ev WaitingEvent) (WaitingState, bool) {
	switch {
	case s == WaitingOpen && ev == WaitingOffer:
		return WaitingOffered, true
	case s == WaitingOpen && ev == WaitingExpire:
		return WaitingExpired, true
	case s == WaitingOffered && ev == WaitingPass:
		return WaitingOpen, true
	case s == WaitingOffered && ev == WaitingAccept:
		return WaitingBooked, true
	case (s == WaitingOpen || s == WaitingOffered) && ev == WaitingWithdraw:
		return WaitingWithdrawn, true
	}
	return s, false
}

const (
	// OfferFor is how long a time that became free is held for who waits. Times that
	// begin sooner than twice that are held for half of what is left.
	OfferFor = 2 * time.Hour
	// shortestOffer is less than which nobody could answer.
	shortestOffer = 10 * time.Minute
	waitingBatch  = 200
	longestWait   = 366 * 24 * time.Hour
)

// Waiting is a case that waits for a time with a specialist.
type Waiting struct {
	ID               WaitingID
	Organization     identity.OrganizationID
	Case             CaseRef
	Kind             Kind
	Specialist       identity.PersonID
	Duration         time.Duration
	Earliest, Latest time.Time // start and end lie within
	State            WaitingState
	Appointment      AppointmentID // held or booked; "" if none
	Start            time.Time     // of the appointment
	OfferedUntil     time.Time
	Passed           []time.Time // starts that were offered and not taken
	Version          int
	CreatedBy        identity.PersonID
	CreatedAt        time.Time
}

// WaitRequest puts a case on the waiting list.
type WaitRequest struct {
	Case             CaseRef
	Kind             Kind
	Specialist       identity.PersonID
	Duration         time.Duration // 0 is what the kind of visit asks for
	Earliest, Latest time.Time     // zero Earliest is now
}

// Wait puts a case on the waiting list of its clinic, for those who arrange there. A
// case waits once for a specialist: ErrState.
func (s *Service) Wait(ctx context.Context, actor identity.Actor, req WaitRequest) (Waiting, error) {
	v, ok := visits[req.Kind]
	if !ok || !known(req.Specialist) || !known(req.Case) {
		return Waiting{}, fmt.Errorf("%w: kind, case or specialist", ErrInvalidRequest)
	}
	if req.Duration == 0 {
		req.Duration = v.duration
	}
	var out Waiting
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		now := tx.Now()
		from := later(now, req.Earliest)
		if !req.Latest.After(from.Add(req.Duration)) || req.Latest.Sub(now) > longestWait {
			return fmt.Errorf("%w: range", ErrInvalidRequest)
		}
		// The plan refuses whatever could never be booked: a case that is over, people
		// who are not there, a length.
		p, err := s.plan(ctx, tx, actor, planned{ref: req.Case, kind: req.Kind, specialist: req.Specialist, duration: req.Duration, from: from,
			to: earlier(req.Latest, from.Add(longestAhead))}, nil)
		if err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		out = Waiting{ID: WaitingID(id), Organization: p.facts.Organization, Case: req.Case, Kind: req.Kind, Specialist: req.Specialist, Duration: req.Duration,
			Earliest: from.UTC().Truncate(time.Second), Latest: req.Latest.UTC().Truncate(time.Second), State: WaitingOpen, Version: 1, CreatedBy: actor.Person, CreatedAt: now}
		if err := insertWaiting(ctx, tx, out); err != nil {
			return err
		}
		tx.Append(out.event(actor, "waiting.added"))
		return nil
	})
	if err != nil {
		return Waiting{}, fmt.Errorf("put case %s on the waiting list: %w", req.Case, err)
	}
	return out, nil
}

func (w Waiting) event(actor identity.Actor, act string) audit.Event {
	e := actor.Event(act)
	e.Objects = map[string]string{"waiting": string(w.ID), "case": string(w.Case)}
	if w.Appointment != "" {
		e.Objects["appointment"] = string(w.Appointment)
	}
	return e
}

// WaitingList lists the open entries of the actor's clinic, who waits longest first,
// and those that ended within a week: for those who arrange there.
func (s *Service) WaitingList(ctx context.Context, actor identity.Actor) ([]Waiting, error) {
	if !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var list []Waiting
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		list, err = waitingWhere(ctx, tx, `w.organization_id = $1 and (w.state in ('waiting', 'offered') or w.changed_at > $2) order by w.created_at, w.id`, string(actor.Organization), tx.Now().AddDate(0, 0, -7))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting list: %w", err)
	}
	return list, nil
}

// openWaiting locks an entry of the actor's clinic as it was read.
func openWaiting(ctx context.Context, tx *audit.Tx, actor identity.Actor, id WaitingID, version int) (Waiting, error) {
	if !known(id) || !arranges(actor, actor.Organization) {
		return Waiting{}, ErrNotFound
	}
	list, err := waitingWhere(ctx, tx, `w.organization_id = $1 and w.id = $2 for update of w`, string(actor.Organization), string(id))
	switch {
	case err != nil:
		return Waiting{}, err
	case len(list) == 0:
		return Waiting{}, ErrNotFound
	case list[0].Version != version:
		return list[0], ErrVersion
	}
	return list[0], nil
}

// TakeOffer books the time that is held for an entry.
func (s *Service) TakeOffer(ctx context.Context, actor identity.Actor, id WaitingID, version int) (Appointment, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var a Appointment
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		w, err := openWaiting(ctx, tx, actor, id, version)
		if err != nil {
			return err
		}
		to, ok := w.State.Next(WaitingAccept)
		switch {
		case !ok:
			return ErrState
		case !tx.Now().Before(w.OfferedUntil):
			return ErrHoldExpired
		}
		h, err := appointment(ctx, tx, w.Appointment, false)
		if err != nil {
			return err
		}
		if a, err = s.confirm(ctx, tx, actor, h.ID, h.Version, candidates); err != nil {
			return err
		}
		w.State, w.OfferedUntil = to, time.Time{}
		if err := saveWaiting(ctx, tx, w); err != nil {
			return err
		}
		tx.Append(w.event(actor, "waiting.booked"))
		return nil
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("take the offer of waiting %s: %w", id, err)
	}
	return a, nil
}

// PassOffer gives the time that is held for an entry back; it goes to the next who
// waits for it, and this entry waits on for another.
func (s *Service) PassOffer(ctx context.Context, actor identity.Actor, id WaitingID, version int) error {
	return s.leave(ctx, actor, id, version, WaitingPass, "waiting.passed")
}

// StopWaiting takes an entry off the list; what is held for it is free again.
func (s *Service) StopWaiting(ctx context.Context, actor identity.Actor, id WaitingID, version int) error {
	return s.leave(ctx, actor, id, version, WaitingWithdraw, "waiting.withdrawn")
}

func (s *Service) leave(ctx context.Context, actor identity.Actor, id WaitingID, version int, ev WaitingEvent, act string) error {
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		w, err := openWaiting(ctx, tx, actor, id, version)
		if err != nil {
			return err
		}
		to, ok := w.State.Next(ev)
		if !ok {
			return ErrState
		}
		tx.Append(w.event(actor, act))
		return s.unoffer(ctx, tx, w, to)
	})
	if err != nil {
		return fmt.Errorf("waiting %s: %w", id, err)
	}
	return nil
}

// unoffer gives back what is held for an entry, if anything is, and saves its state.
func (s *Service) unoffer(ctx context.Context, tx *audit.Tx, w Waiting, to WaitingState) error {
	if w.State == WaitingOffered {
		a, err := appointment(ctx, tx, w.Appointment, true)
		if err != nil {
			return err
		}
		if next, ok := a.State.Next(EventExpire); ok {
			a.State = next
			if a, err = saveState(ctx, tx, a); err != nil {
				return err
			}
			if err := releaseSeats(ctx, tx, a); err != nil {
				return err
			}
		}
		w.Passed = append(w.Passed, w.Start)
	}
	w.State, w.Appointment, w.OfferedUntil = to, "", time.Time{}
	return saveWaiting(ctx, tx, w)
}

// OfferWaiting holds what is free for those who wait, the longest first, and tells
// those who arrange for them; offers whose deadline went by go on to the next. It is a
// job, to be called again and again; several may run at once. It returns how many
// offers were made.
func (s *Service) OfferWaiting(ctx context.Context) (offered int, err error) {
	var due []waitingRef
	if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = waitingDue(ctx, tx, waitingBatch)
		return err
	}); err != nil {
		return 0, fmt.Errorf("waiting lists: %w", err)
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return 0, err
	}
	// First what nobody took: it may be for another of the same round.
	for _, over := range []bool{true, false} {
		for _, ref := range due {
			made := false
			err := s.write(ctx, audit.Scope{Organization: string(ref.organization)}, func(tx *audit.Tx) (err error) {
				made, err = s.offerOne(ctx, tx, ref, over, candidates)
				return err
			})
			switch {
			case errors.Is(err, ErrSlotTaken): // somebody was faster; the next round finds another
			case err != nil:
				return offered, fmt.Errorf("waiting %s: %w", ref.id, err)
			case made:
				offered++
			}
		}
	}
	return offered, nil
}

func (s *Service) offerOne(ctx context.Context, tx *audit.Tx, ref waitingRef, over bool, candidates []identity.Person) (bool, error) {
	list, err := waitingWhere(ctx, tx, `w.organization_id = $1 and w.id = $2 for update of w skip locked`, string(ref.organization), string(ref.id))
	if err != nil || len(list) == 0 {
		return false, err
	}
	w, now := list[0], tx.Now()
	actor := identity.System("waiting", w.Organization)
	if over {
		if w.State != WaitingOffered || now.Before(w.OfferedUntil) {
			return false, nil
		}
		to, _ := w.State.Next(WaitingPass)
		tx.Append(w.event(actor, "waiting.passed"))
		return false, s.unoffer(ctx, tx, w, to)
	}
	if w.State != WaitingOpen {
		return false, nil
	}
	from := later(now.Add(2*shortestOffer), w.Earliest)
	if !w.Latest.After(from.Add(w.Duration)) {
		w.State, _ = w.State.Next(WaitingExpire)
		e := w.event(actor, "waiting.expired")
		e.Tell = []string{string(w.CreatedBy)}
		tx.Append(e)
		return false, saveWaiting(ctx, tx, w)
	}
	p, err := s.plan(ctx, tx, actor, planned{ref: w.Case, kind: w.Kind, specialist: w.Specialist, duration: w.Duration, from: from,
		to: earlier(w.Latest, from.Add(longestAhead))}, candidates)
	if impossible(err) || errors.Is(err, ErrState) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalidRequest) {
		return false, nil // not now: the case is over, or somebody is gone; a person withdraws it
	}
	if err != nil {
		return false, err
	}
	answer, err := p.answer(defaultGrid, len(w.Passed)+1)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(answer.Slots, func(x Slot) bool {
		return !slices.ContainsFunc(w.Passed, func(t time.Time) bool { return t.Equal(x.Start) })
	})
	if i < 0 {
		return false, nil
	}
	start := answer.Slots[i].Start
	keep := min(OfferFor, start.Sub(now)/2)
	req := BookRequest{Key: fmt.Sprintf("waiting-%s-%d", w.ID, w.Version), Case: w.Case, Kind: w.Kind, Specialist: w.Specialist, Start: start, Duration: w.Duration, hold: keep.Truncate(time.Second)}
	hash, err := req.hash(start)
	if err != nil {
		return false, err
	}
	a, err := s.book(ctx, tx, actor, req, start, hash, candidates)
	if impossible(err) {
		return false, ErrSlotTaken // rolls back
	}
	if err != nil {
		return false, err
	}
	w.State, _ = w.State.Next(WaitingOffer)
	w.Appointment, w.OfferedUntil = a.ID, a.HeldUntil
	if err := saveWaiting(ctx, tx, w); err != nil {
		return false, err
	}
	e := w.event(actor, "waiting.offered")
	e.Tell = []string{string(w.CreatedBy)}
	if local := p.facts.LocalPhysician; local != w.CreatedBy && local != "" {
		e.Tell = append(e.Tell, string(local))
	}
	e.Detail = map[string]any{"start": start.Format(time.RFC3339), "until": a.HeldUntil.Format(time.RFC3339)}
	tx.Append(e)
	return true, nil
}
