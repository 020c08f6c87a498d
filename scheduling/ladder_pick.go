package scheduling

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Choice is an interpreter who may carry an empty or unanswered chair of a visit and is
// free.
type Choice struct {
	Person identity.PersonID
	Name   string
	Silent bool // was asked about this time and did not answer
}

// Askings are who was asked to interpret a visit and what they said, in the order of
// asking, for those who arrange.
func (s *Service) Askings(ctx context.Context, actor identity.Actor, id AppointmentID) ([]Assignment, error) {
	var out []Assignment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			return ErrForbidden
		}
		out, err = assignmentsOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("askings of appointment %s: %w", id, err)
	}
	return out, nil
}

// Asking is how the actor is asked for a seat of theirs; ErrNotFound if they are not.
func (s *Service) Asking(ctx context.Context, actor identity.Actor, seat SeatID) (Assignment, error) {
	var out Assignment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		list, err := assignmentsTo(ctx, tx, actor.Person, tx.Now())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(x Assignment) bool { return x.Seat == seat && x.State.live() })
		if i < 0 {
			return ErrNotFound
		}
		out = list[i]
		return nil
	})
	if err != nil {
		return Assignment{}, fmt.Errorf("asking for seat %s: %w", seat, err)
	}
	return out, nil
}

// openChair is the one that a person picked by hand would take, with the askings about
// the present time. An empty one comes before one whose holder has not answered.
func (s *Service) openChair(ctx context.Context, tx *audit.Tx, a Appointment) (Assignment, []Assignment, error) {
	if !a.Seeks() || !tx.Now().Before(a.StartAt) {
		return Assignment{}, nil, ErrState
	}
	all, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return Assignment{}, nil, err
	}
	list := current(a, all)
	if empty := vacant(list); len(empty) > 0 {
		return empty[0], list, nil
	}
	if i := slices.IndexFunc(list, func(x Assignment) bool { return x.State == Asked }); i >= 0 {
		return list[i], list, nil
	}
	return Assignment{}, nil, ErrState
}

// choices are who may carry a chair, in the order in which the ladder would ask; who
// was asked about this time and let it pass comes last.
func (s *Service) choices(ctx context.Context, tx *audit.Tx, a Appointment, chair Assignment, list []Assignment, candidates []identity.Person) ([]Choice, error) {
	candidates, err := s.interpretersTx(ctx, tx, candidates)
	if err != nil {
		return nil, err
	}
	free := slices.DeleteFunc(slices.Clone(candidates), func(c identity.Person) bool {
		_, seated := a.Seat(c.ID)
		return seated || c.Disabled || slices.ContainsFunc(list, func(x Assignment) bool { return x.Person == c.ID && x.State == AskRefused })
	})
	helpers, err := s.helpersFor(ctx, tx, a, chair.Pair, free)
	if err != nil {
		return nil, err
	}
	var out []Choice
	for _, h := range helpers {
		if !able(a, chair, h, tx.Now()) {
			continue
		}
		i := slices.IndexFunc(free, func(c identity.Person) bool { return string(c.ID) == h.ID })
		silent := slices.ContainsFunc(list, func(x Assignment) bool { return x.Person == free[i].ID && x.State == AskLapsed })
		out = append(out, Choice{Person: free[i].ID, Name: free[i].Name, Silent: silent})
	}
	slices.SortStableFunc(out, func(x, y Choice) int { return cmp.Compare(first(!x.Silent), first(!y.Silent)) })
	return out, nil
}

// Choices are the interpreters whom those who arrange may ask by hand for a visit that
// waits for one; none if it does not.
func (s *Service) Choices(ctx context.Context, actor identity.Actor, id AppointmentID) ([]Choice, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return nil, err
	}
	var out []Choice
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			return ErrForbidden
		}
		chair, list, err := s.openChair(ctx, tx, a)
		if err == ErrState {
			return nil
		}
		if err != nil {
			return err
		}
		out, err = s.choices(ctx, tx, a, chair, list, candidates)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("interpreters to choose from for appointment %s: %w", id, err)
	}
	return out, nil
}

// Pick asks the interpreter whom a person of the clinic chose, instead of whoever was
// asked and has not answered. A visit that was set aside for want of an interpreter
// waits again. Who cannot be chosen is ErrSlotTaken.
func (s *Service) Pick(ctx context.Context, actor identity.Actor, id AppointmentID, version int, person identity.PersonID) (Appointment, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var a Appointment
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if a, err = open(ctx, tx, actor, id, true); err != nil {
			return err
		}
		switch {
		case !arranges(actor, a.Organization):
			return ErrForbidden
		case a.Version != version:
			return ErrVersion
		}
		chair, list, err := s.openChair(ctx, tx, a)
		if err != nil {
			return err
		}
		may, err := s.choices(ctx, tx, a, chair, list, candidates)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(may, func(c Choice) bool { return c.Person == person }) {
			return ErrSlotTaken
		}
		tell := []string{string(person)}
		if chair.State == Asked {
			chair.State = AskWithdrawn
			if err := endAssignment(ctx, tx, chair); err != nil {
				return err
			}
			if err := releaseSeat(ctx, tx, a, chair.Seat); err != nil {
				return err
			}
			for i := range a.Seats {
				a.Seats[i].Released = a.Seats[i].Released || a.Seats[i].ID == chair.Seat
			}
			tell = append(tell, string(chair.Person))
		}
		x, took, err := s.seatOn(ctx, tx, &a, chair, person)
		if err != nil {
			return err
		}
		if !took {
			return ErrSlotTaken
		}
		if a.State == StateNeedsAttention {
			a.State, _ = a.State.Next(EventWait)
			a.Reason = ""
		}
		if a, err = saveState(ctx, tx, a); err != nil {
			return err
		}
		e := actor.Event("interpreter.asked")
		e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(x.Seat), "assignment": string(x.ID)}
		e.Reason = "picked"
		e.Tell = tell
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("ask another interpreter for appointment %s: %w", id, err)
	}
	return a, nil
}
