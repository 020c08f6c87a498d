package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// How long seats are held for somebody who is about to book.
const (
	DefaultHold = 10 * time.Minute
	LongestHold = 30 * time.Minute
)

// ErrHoldExpired means that a hold has run out; its seats are free. Try anew.
var ErrHoldExpired = errors.New("scheduling: hold expired")

// Hold keeps the seats of a visit for minutes, judged as in Book, and tells nobody.
// keep 0 is DefaultHold. Confirm makes it a booking; what is not confirmed lapses by
// itself and stops nobody then.
func (s *Service) Hold(ctx context.Context, actor identity.Actor, req BookRequest, keep time.Duration) (Appointment, error) {
	if keep == 0 {
		keep = DefaultHold
	}
	if keep < time.Minute || keep > LongestHold {
		return Appointment{}, fmt.Errorf("%w: hold of %v", ErrInvalidRequest, keep)
	}
	req.hold = keep
	return s.Book(ctx, actor, req)
}

// Confirm makes a hold a booking: the same seats, kept for good. version is the one
// that was read. Everybody is judged once more; who may no longer refuses, and the
// hold stands until it lapses.
func (s *Service) Confirm(ctx context.Context, actor identity.Actor, id AppointmentID, version int) (Appointment, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var a Appointment
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		a, err = s.confirm(ctx, tx, actor, id, version, candidates)
		return err
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("confirm hold %s: %w", id, err)
	}
	return a, nil
}

func (s *Service) confirm(ctx context.Context, tx *audit.Tx, actor identity.Actor, id AppointmentID, version int, candidates []identity.Person) (Appointment, error) {
	a, err := s.held(ctx, tx, actor, id, version)
	if err != nil {
		return a, err
	}
	w := planned{ref: a.Case, kind: a.Kind, specialist: a.specialist(), duration: a.Duration, from: a.StartAt, to: a.End()}
	ev := EventConfirm
	for _, seat := range a.Seats {
		if seat.Role == RoleInterpreter {
			w.interpreters, ev = append(w.interpreters, seat.Person), EventWait
		}
	}
	p, err := s.plan(ctx, tx, actor, w, candidates)
	if err != nil {
		return a, err
	}
	p.forget(a, true) // whoever is held was free, with notice enough, when it was held
	if _, err := p.check(a.StartAt); err != nil {
		return a, err
	}
	a.State, _ = a.State.Next(ev)
	if err := keepSeats(ctx, tx, a); err != nil {
		return a, err
	}
	if a, err = saveState(ctx, tx, a); err != nil {
		return a, err
	}
	a.HeldUntil = time.Time{}
	if err := reviewNow(ctx, tx, a.ID); err != nil {
		return a, err
	}
	return a, s.asked(ctx, tx, a, a.bookedEvent(actor, p.facts.Context.Places))
}

// Release gives a hold back before it lapses by itself.
func (s *Service) Release(ctx context.Context, actor identity.Actor, id AppointmentID, version int) error {
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := s.held(ctx, tx, actor, id, version)
		if err != nil {
			return err
		}
		a.State, _ = a.State.Next(EventExpire)
		if _, err := saveState(ctx, tx, a); err != nil {
			return err
		}
		if err := releaseSeats(ctx, tx, a); err != nil {
			return err
		}
		e := actor.Event("hold.released")
		e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("release hold %s: %w", id, err)
	}
	return nil
}

// held locks a hold that is still good.
func (s *Service) held(ctx context.Context, tx *audit.Tx, actor identity.Actor, id AppointmentID, version int) (Appointment, error) {
	a, err := open(ctx, tx, actor, id, true)
	if err != nil {
		return a, err
	}
	switch {
	case !arranges(actor, a.Organization):
		return a, ErrForbidden
	case a.State == StateLapsed:
		return a, ErrHoldExpired
	case a.Version != version:
		return a, ErrVersion
	case a.State != StateHeld:
		return a, ErrState
	case !tx.Now().Before(a.HeldUntil):
		return a, ErrHoldExpired
	}
	return a, nil
}

// bookedEvent says that the appointment stands. Whom it tells is added by asked.
func (a Appointment) bookedEvent(actor identity.Actor, places []string) audit.Event {
	e := actor.Event("appointment.booked")
	e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
	e.Reason = string(a.State)
	for _, seat := range a.Seats {
		if seat.Role == RoleSpecialist {
			e.Determination = seat.Determination
		}
	}
	if len(places) == 1 {
		e.Jurisdiction = places[0]
	}
	e.Detail = map[string]any{"kind": string(a.Kind), "start": a.StartAt.Format(time.RFC3339), "minutes": int64(a.Duration / time.Minute),
		"zone": a.AnchorZone, "local": a.StartLocal.String(), "tzdata": a.ZoneVersion, "seats": len(a.Seats)}
	if a.Override != "" {
		aside := make([]any, 0, len(a.Overridden))
		for _, o := range a.Overridden {
			aside = append(aside, map[string]any{"limit": string(o.Limit), "person": string(o.Person)})
		}
		e.Detail["override"], e.Detail["overridden"] = a.Override, aside
	}
	return e
}

// heldEvent notes a hold. Nobody is told.
func (a Appointment) heldEvent(actor identity.Actor, places []string) audit.Event {
	e := a.bookedEvent(actor, places)
	e.Act = "appointment.held"
	e.Detail["until"] = a.HeldUntil.Format(time.RFC3339)
	return e
}

// queueLapse queues the freeing of the seats that expired holds, of whatever clinic, keep of these people.
// The constraint seat_no_overlap cannot look at the clock, so this comes before every
// statement that takes seats.
func queueLapse(b *pgx.Batch, tx *audit.Tx, people []string) {
	queueLapseHolds(b, tx.Now(), people, func(organization, appointment string) {
		tx.Append(audit.Event{Act: "hold.lapsed", System: "hold", Organization: organization, Objects: map[string]string{"appointment": appointment}})
	})
}
