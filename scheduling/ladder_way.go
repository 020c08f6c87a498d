package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// lastChair is the highest number that a chair may have.
const lastChair = 15

// errRaced means that somebody whom a step of the ladder seats was taken by another visit
// meanwhile: the step is taken back and tried again.
var errRaced = errors.New("scheduling: taken meanwhile")

// anotherWay seats the interpreters of another way for a visit one of whose chairs nobody
// is left to carry: through another pivot, or with those who are there in other chairs.
// Who sits where they are needed keeps seat and answer; who is not needed any more is
// told, and the empty chairs are given up. had are the current askings. False: there is
// no other way.
func (s *Service) anotherWay(ctx context.Context, tx *audit.Tx, a *Appointment, had []Assignment, candidates []identity.Person) (bool, error) {
	specialist := a.specialist()
	if a.Case == "" || specialist == "" {
		return false, nil
	}
	asked := map[identity.PersonID]AskState{}
	for _, x := range had { // in the order of asking
		switch {
		case x.State.live():
			delete(asked, x.Person)
		case x.State == AskRefused || x.State == AskLapsed:
			asked[x.Person] = AskRefused // a person may ask them again, the ladder does not
		}
	}
	job := ladder(*a)
	p, err := s.plan(ctx, tx, job, planned{ref: a.Case, kind: a.Kind, specialist: specialist, duration: a.Duration, from: a.StartAt, to: a.End(), asked: asked, anyWay: true}, candidates)
	if impossible(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.forget(*a, true)
	for i := range p.helpers { // who is here already comes first
		if _, seated := a.Seat(identity.PersonID(p.helpers[i].ID)); seated {
			p.helpers[i].Rank = -1
		}
	}
	crew, err := p.check(a.StartAt)
	if impossible(err) {
		return false, nil
	}
	if err != nil || len(crew) == 0 {
		return false, err
	}
	stay, gone := map[SeatID]bool{}, []Seat{}
	var fresh []chair
	for _, c := range crew {
		i := slices.IndexFunc(a.Seats, func(o Seat) bool {
			return o.Role == RoleInterpreter && !o.Released && o.Person == c.person && o.Pair == c.pair && o.Leg == c.leg
		})
		if i < 0 {
			fresh = append(fresh, c)
		} else {
			stay[a.Seats[i].ID] = true
		}
	}
	next := nextChair(had)
	if len(fresh) == 0 || next+len(fresh)-1 > lastChair {
		return false, nil
	}
	e := job.Event("interpreter.rerouted")
	for i := range a.Seats {
		seat := &a.Seats[i]
		if seat.Role != RoleInterpreter || seat.Released || stay[seat.ID] {
			continue
		}
		seat.Released = true
		gone = append(gone, *seat)
		e.Tell = append(e.Tell, string(seat.Person))
	}
	if err := release(ctx, tx, *a, gone); err != nil {
		return false, err
	}
	list := slices.Clone(had)
	for i, x := range list {
		if !x.State.live() || stay[x.Seat] {
			continue
		}
		list[i].State = AskWithdrawn
		if err := endAssignment(ctx, tx, list[i]); err != nil {
			return false, err
		}
	}
	for _, c := range fresh {
		n := chairFor(list, Seat{Pair: c.pair, Leg: c.leg})
		x, took, err := s.seatOn(ctx, tx, a, Assignment{Chair: n, Pair: c.pair, Leg: c.leg}, c.person)
		if err != nil {
			return false, err
		}
		if !took {
			return false, errRaced
		}
		list = append(list, x)
		if !slices.Contains(e.Tell, string(c.person)) {
			e.Tell = append(e.Tell, string(c.person))
		}
	}
	if err := giveUp(ctx, tx, *a, vacant(list)); err != nil {
		return false, err
	}
	if *a, err = saveState(ctx, tx, *a); err != nil {
		return false, err
	}
	e.Objects = map[string]string{"appointment": string(a.ID)}
	e.Detail = map[string]any{"asked": int64(len(fresh)), "kept": int64(len(stay)), "gone": int64(len(gone))}
	tx.Append(e)
	return true, nil
}

// MissingLeg is a pair of languages that nobody has agreed to carry for a visit.
type MissingLeg struct {
	Pair  [2]string
	Asked bool // somebody is asked and has not answered
}

// MissingLegs are the pairs of languages for which a visit lacks somebody, in the order
// of the legs: for jobs and for those who arrange for its clinic.
func (s *Service) MissingLegs(ctx context.Context, actor identity.Actor, id AppointmentID) ([]MissingLeg, error) {
	var out []MissingLeg
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			return ErrForbidden
		}
		all, err := assignmentsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		list := current(a, all)
		lacks := slices.Concat(vacant(list), slices.DeleteFunc(slices.Clone(list), func(x Assignment) bool { return x.State != Asked }))
		slices.SortStableFunc(lacks, func(x, y Assignment) int { return x.Leg - y.Leg })
		for _, x := range lacks {
			if leg := (MissingLeg{x.Pair, x.State == Asked}); !slices.Contains(out, leg) {
				out = append(out, leg)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what appointment %s has no interpreter for: %w", id, err)
	}
	return out, nil
}
