package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Search lists the starts at which the people of a case can meet, each permitted to
// do their part for the whole of it. When there is none it says what binds.
func (s *Service) Search(ctx context.Context, actor identity.Actor, req SearchRequest) (SearchAnswer, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return SearchAnswer{}, err
	}
	var answer SearchAnswer
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		w := planned{ref: req.Case, kind: req.Kind, specialist: req.Specialist, duration: req.Duration, from: req.From, to: req.To}
		if now := tx.Now(); w.from.Before(now) {
			w.from = now
		}
		if w.to.IsZero() {
			w.to = w.from.Add(defaultAhead)
		}
		if w.to.Sub(w.from) > longestAhead {
			return fmt.Errorf("%w: more than %v at once", ErrInvalidRequest, longestAhead)
		}
		var carried map[identity.PersonID]FairNote
		w.also = func(b *pgx.Batch, tx *audit.Tx, people []identity.PersonID) { carried = queueFair(b, tx, people) }
		p, err := s.plan(ctx, tx, actor, w, candidates)
		if err != nil {
			return err
		}
		grid := req.Grid
		if grid == 0 {
			grid = defaultGrid
		}
		if answer, err = p.answer(grid, req.Limit); err != nil {
			return err
		}
		return p.fair(ctx, tx, &answer, carried)
	})
	if err != nil {
		return SearchAnswer{}, fmt.Errorf("search for case %s: %w", req.Case, err)
	}
	return answer, nil
}

// answer searches the whole range of the plan.
func (p *plan) answer(grid time.Duration, limit int) (SearchAnswer, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	out := SearchAnswer{Unqualified: p.unqualified, ZoneVersion: ZoneVersion()}
	if p.interpreted {
		out.Interpreted = p.pair
		out.Team, out.Relays = p.team(), p.relays
	}
	s, err := p.look(p.query(p.from, p.to, grid))
	if err != nil {
		return out, err
	}
	found := s.found(limit + 1)
	if out.More = len(found) > limit; out.More {
		found = found[:limit]
	}
	if out.Slots, err = p.slots(found); err != nil {
		return out, err
	}
	if len(found) == 0 {
		out.WhyNot = p.reasons(s.whyNot())
		return out, nil
	}
	for _, r := range p.reasons(s.limits()) {
		switch r.Limit {
		case LimitLicense, LimitNotice, LimitHorizon, LimitInterpreter, LimitRest, LimitCapacity, LimitNeeds:
			if r.Need == NeedTimes {
				continue // they are kept free, whatever else there is
			}
			out.Cuts = append(out.Cuts, r)
		}
	}
	return out, nil
}

// slots fill in the clocks of everybody.
func (p *plan) slots(found []Found) ([]Slot, error) {
	if len(found) == 0 {
		return nil, nil
	}
	type place struct {
		party SlotParty
		clock *reader
	}
	seen := map[identity.PersonID]place{}
	sit := func(id identity.PersonID, role Role) (place, error) {
		if c, ok := seen[id]; ok {
			return c, nil
		}
		clock, err := newReader(p.zones[id])
		c := place{SlotParty{Person: id, Name: p.people[id].Name, Role: role}, clock}
		seen[id] = c
		return c, err
	}
	order := make([]place, 0, 3)
	for _, id := range p.order() {
		c, err := sit(id, p.roles[id])
		if err != nil {
			return nil, err
		}
		order = append(order, c)
	}
	n := len(order) * len(found)
	for _, f := range found {
		n += len(f.Interpreters)
	}
	all := make([]SlotParty, 0, n) // of all slots, one after the other
	out := make([]Slot, len(found))
	for i, f := range found {
		began := len(all)
		add := func(c place) {
			c.party.Clock = c.clock.at(f.Start)
			all = append(all, c.party)
		}
		for _, c := range order {
			add(c)
		}
		out[i] = Slot{Start: f.Start, Duration: p.duration, Unmet: p.unmet(f)}
		if p.interpreted {
			out[i].Interpreted, out[i].Pivot = p.pair, f.Pivot
			for _, chair := range p.crewOf(f) {
				c, err := sit(chair.person, RoleInterpreter)
				if err != nil {
					return nil, err
				}
				c.party.Pair, c.party.Leg = chair.pair, chair.leg
				add(c)
			}
		}
		out[i].Parties = all[began:len(all):len(all)]
	}
	return out, nil
}

// order is how people are listed: patient, local physician, specialist.
func (p *plan) order() []identity.PersonID {
	out := make([]identity.PersonID, 0, 3)
	if p.roles[p.facts.Patient] == RolePatient {
		out = append(out, p.facts.Patient)
	}
	return append(out, p.facts.LocalPhysician, p.specialist)
}

func (p *plan) reasons(limits []Limit) []Reason {
	out := make([]Reason, 0, len(limits))
	for _, l := range limits {
		id := identity.PersonID(l.Party)
		r := Reason{Limit: l.Kind, Person: id, Name: p.people[id].Name, Role: p.roles[id], Gained: l.Gained, First: l.First}
		switch l.Kind {
		case LimitNeeds:
			r.Need = l.need()
			if r.Need == NeedTimes && !l.Least.IsZero() {
				r.First, r.Meets = l.Least, l.Meets
				if t, ok := p.touched(p.patientZone(), l.Least); ok {
					r.Wish = &t
				}
			}
		case LimitLicense, LimitInterpreter, LimitNotice, LimitCapacity:
			r.Refusal = p.refuse(l.Kind, id, p.from)
		case LimitRest:
			if l.Rest != nil {
				r.First = l.Least
				r.Refusal = &Refusal{Limit: LimitRest, Person: id, Lead: "rest:" + string(l.Rest.Rule), Rest: l.Rest}
			}
		}
		out = append(out, r)
	}
	return out
}
