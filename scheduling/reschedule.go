package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// MoveRequest asks for another time of an appointment.
type MoveRequest struct {
	Appointment AppointmentID
	Version     int // that was read
	// Start is the instant; or StartLocal is what the clock of Zone shall show then.
	Start      time.Time
	StartLocal *Wall
	Zone       string
	// Occurrence says which one is meant when the clock shows StartLocal twice: 1 or 2.
	Occurrence int
}

// MayMove tells whether the actor may give the appointment another time now, as
// Reschedule asks.
func MayMove(actor identity.Actor, a Appointment, now time.Time) bool {
	return arranges(actor, a.Organization) && a.movable() && now.Before(a.StartAt)
}

// movable tells whether an appointment in its state can get another time: it is on,
// has not begun, and somebody advises.
func (a Appointment) movable() bool {
	switch a.State {
	case StatePending, StateBooked, StateNeedsAttention:
		return a.Case != "" && a.specialist() != ""
	}
	return false
}

// MoveTimes lists the starts within [from, to) to which an appointment can be moved:
// the search of its case, in which its own seats are in nobody's way.
func (s *Service) MoveTimes(ctx context.Context, actor identity.Actor, id AppointmentID, from, to time.Time, limit int) (SearchAnswer, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return SearchAnswer{}, err
	}
	var out SearchAnswer
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		switch {
		case !arranges(actor, a.Organization):
			return ErrForbidden
		case !a.movable():
			return ErrState
		}
		out, err = s.moveTimes(ctx, tx, actor, a, from, to, limit, candidates)
		return err
	})
	if err != nil {
		return SearchAnswer{}, fmt.Errorf("other times of appointment %s: %w", id, err)
	}
	return out, nil
}

func (s *Service) moveTimes(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, from, to time.Time, limit int,
	candidates []identity.Person) (SearchAnswer, error) {
	w := planned{ref: a.Case, kind: a.Kind, specialist: a.specialist(), duration: a.Duration, from: from, to: to}
	if now := tx.Now(); w.from.Before(now) {
		w.from = now
	}
	if !w.to.After(w.from) || w.to.Sub(w.from) > longestAhead {
		return SearchAnswer{}, fmt.Errorf("%w: range", ErrInvalidRequest)
	}
	p, err := s.plan(ctx, tx, actor, w, candidates)
	if err != nil {
		return SearchAnswer{}, err
	}
	p.forget(a, false)
	out, err := p.answer(defaultGrid, limit)
	out.Slots = slices.DeleteFunc(out.Slots, func(x Slot) bool { return x.Start.Equal(a.StartAt) })
	return out, err
}

// Reschedule gives an appointment another time, in one transaction: the old seats are
// freed and the new ones taken by one statement, everybody is judged anew, and the
// calendar's sequence grows. The interpreter who has the seat is kept where that is
// possible, and asked again. What refuses is as in Book, and leaves the old time in
// place.
func (s *Service) Reschedule(ctx context.Context, actor identity.Actor, req MoveRequest) (Appointment, error) {
	start, err := BookRequest{Start: req.Start, StartLocal: req.StartLocal, Zone: req.Zone, Occurrence: req.Occurrence}.start()
	if err != nil {
		return Appointment{}, err
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var out Appointment
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, req.Appointment, true)
		if err != nil {
			return err
		}
		switch {
		case !arranges(actor, a.Organization):
			return ErrForbidden
		case a.Version != req.Version:
			return ErrVersion
		case !a.movable() || !tx.Now().Before(a.StartAt):
			return ErrState
		case start.Equal(a.StartAt):
			return fmt.Errorf("%w: it begins then already", ErrInvalidRequest)
		}
		out, err = s.reschedule(ctx, tx, actor, a, start, candidates)
		return err
	})
	if errors.Is(err, ErrSlotTaken) {
		return Appointment{}, s.moveTaken(ctx, actor, req.Appointment, start, err)
	}
	if err != nil {
		return Appointment{}, fmt.Errorf("reschedule appointment %s: %w", req.Appointment, err)
	}
	return out, nil
}

func (s *Service) reschedule(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, start time.Time, candidates []identity.Person) (Appointment, error) {
	p, crew, err := s.planMove(ctx, tx, actor, a, start, candidates)
	if err != nil {
		return a, err
	}
	if err := s.keepRest(ctx, tx, p, start, crew, nil); err != nil {
		return a, err
	}
	drawn, err := s.draft(ctx, tx, actor, p, a.ID, start, crew)
	if err != nil {
		return a, err
	}
	next := a
	next.StartLocal, next.StartAt, next.ZoneVersion, next.AnchorZone, next.AnchorPerson = drawn.StartLocal, drawn.StartAt, drawn.ZoneVersion, drawn.AnchorZone, drawn.AnchorPerson
	next.Interpreted, next.Tasks, next.Seats, next.Reason, next.Sequence = drawn.Interpreted, drawn.Tasks, nil, "", a.Sequence+1
	next.Override, next.Overridden = "", nil // were for the old time
	var gone []Seat
	for _, seat := range a.Seats {
		if !seat.Released {
			seat.Released = true
			gone = append(gone, seat)
		}
		next.Seats = append(next.Seats, seat)
	}
	if next.State, err = a.afterMove(len(crew) > 0); err != nil {
		return a, err
	}
	if err := release(ctx, tx, a, gone); err != nil {
		return a, err
	}
	took, err := insertSeats(ctx, tx, Appointment{ID: a.ID, Organization: a.Organization, Seats: drawn.Seats})
	if err != nil {
		return a, err
	}
	if took < int64(len(drawn.Seats)) {
		return a, ErrSlotTaken
	}
	if err := saveRebooked(ctx, tx, next, nil); err != nil {
		return a, err
	}
	next.Version++
	next.Seats = append(next.Seats, drawn.Seats...)
	if err := reviewNow(ctx, tx, a.ID); err != nil {
		return a, err
	}
	e := actor.Event("appointment.moved")
	e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
	e.Reason = string(next.State)
	e.Detail = map[string]any{"from": a.StartAt.Format(time.RFC3339), "to": next.StartAt.Format(time.RFC3339), "zone": next.AnchorZone,
		"local": next.StartLocal.String(), "tzdata": next.ZoneVersion, "sequence": next.Sequence}
	for _, seat := range drawn.Seats {
		if seat.Role == RoleSpecialist {
			e.Determination = seat.Determination
		}
	}
	return next, s.asked(ctx, tx, next, e, gone...)
}

// afterMove is the state at the new time: it waits for the interpreter's yes, if one
// is needed, whatever was said to the old time.
func (a Appointment) afterMove(interpreted bool) (State, error) {
	ev := EventConfirm
	switch {
	case interpreted:
		ev = EventWait
	case a.State == StateNeedsAttention:
		ev = EventRepair
	case a.State == StateBooked:
		return StateBooked, nil
	}
	to, ok := a.State.Next(ev)
	if !ok {
		return a.State, ErrState
	}
	return to, nil
}

// planMove plans the appointment at another start, with the interpreter who has the
// seat or, if that one cannot, with any.
func (s *Service) planMove(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, start time.Time, candidates []identity.Person) (*plan, []chair, error) {
	tries := [][]identity.PersonID{nil}
	if had := a.interpreters(); had != nil {
		tries = [][]identity.PersonID{had, nil}
	}
	var last error
	for _, pinned := range tries {
		w := planned{ref: a.Case, kind: a.Kind, specialist: a.specialist(), duration: a.Duration, interpreters: pinned, from: start, to: start.Add(a.Duration)}
		p, err := s.plan(ctx, tx, actor, w, candidates)
		if err != nil {
			return nil, nil, err
		}
		p.forget(a, false)
		crew, err := p.check(start)
		if err == nil {
			return p, crew, nil
		}
		if !impossible(err) {
			return nil, nil, err
		}
		last = err
	}
	return nil, nil, last
}

// moveTaken is what is free instead of a start that was taken.
func (s *Service) moveTaken(ctx context.Context, actor identity.Actor, id AppointmentID, start time.Time, cause error) error {
	answer, err := s.MoveTimes(ctx, actor, id, start.Add(-3*24*time.Hour), start.Add(10*24*time.Hour), 13*24*4)
	if err != nil {
		return fmt.Errorf("nearest free starts: %w", err)
	}
	return slotTaken(nearestSlots(answer.Slots, start), cause)
}

// nearestSlots are the three slots nearest to a start.
func nearestSlots(slots []Slot, start time.Time) []Slot {
	slices.SortStableFunc(slots, func(x, y Slot) int { return cmp.Compare(x.Start.Sub(start).Abs(), y.Start.Sub(start).Abs()) })
	return slots[:min(3, len(slots))]
}
