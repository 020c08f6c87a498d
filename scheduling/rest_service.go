package scheduling

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// restMargin is how far beyond a search somebody's visits still matter to their rest.
const restMargin = 48 * time.Hour

// SetRest replaces what the actor's clinic asks of those who work in its visits.
// r.Version is the one that was read, 0 for the defaults. It is for officers.
func (s *Service) SetRest(ctx context.Context, actor identity.Actor, r RestRules) (RestRules, error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) || actor.Organization == "" {
		return r, ErrForbidden
	}
	for _, d := range []struct{ value, most time.Duration }{{r.Between, 24 * time.Hour}, {r.InARow, 12 * time.Hour}, {r.Break, 4 * time.Hour}, {r.InterpretDay, 24 * time.Hour}} {
		if d.value < 0 || d.value > d.most || d.value%time.Minute != 0 {
			return r, fmt.Errorf("%w: rest %v", ErrInvalidRequest, d.value)
		}
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := saveRest(ctx, tx, r, actor.Person); err != nil {
			return err
		}
		e := actor.Event("rest_rules.set")
		e.Objects = map[string]string{"organization": string(actor.Organization)}
		minutes := func(d time.Duration) int64 { return int64(d / time.Minute) }
		e.Detail = map[string]any{"between": minutes(r.Between), "in_a_row": minutes(r.InARow), "break": minutes(r.Break), "interpret_day": minutes(r.InterpretDay), "version": r.Version + 1}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("set rest rules: %w", err)
	}
	r.Version++
	return r, nil
}

// RestOf reads what the actor's clinic asks: for its officers and those who arrange.
func (s *Service) RestOf(ctx context.Context, actor identity.Actor) (RestRules, error) {
	out := DefaultRest
	if !actor.Has(identity.RoleOfficer) && !arranges(actor, actor.Organization) || actor.Organization == "" {
		return out, ErrForbidden
	}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		return scanRest(tx.QueryRow(ctx, restSQL, tx.Scope.Organization), &out)
	})
	if err != nil {
		return out, fmt.Errorf("rest rules: %w", err)
	}
	return out, nil
}

// Overridden is a limit that a person set aside for a visit, with a written reason.
type Overridden struct {
	Limit  LimitKind         `json:"limit"`
	Person identity.PersonID `json:"person"`
	Rest   *RestFault        `json:"rest,omitempty"` // of a rest rule
}

// Overridable tells whether staff may set a limit aside with a written reason: hours,
// notice, horizon and rest. Seats, licenses, consents, exclusions and what the patient
// asked for never.
func (l LimitKind) Overridable() bool {
	switch l {
	case LimitHours, LimitNotice, LimitHorizon, LimitRest:
		return true
	}
	return false
}

const shortestReason = 5 // letters of a written reason

// rested is the rest of somebody in the visit that is planned.
func (p *plan) rested(id identity.PersonID, role Role, sits []Sit) *Rest {
	if !role.Clinician() && role != RoleInterpreter {
		return nil
	}
	return &Rest{Rules: p.rest, Zone: p.zones[id], Sits: sits, Interprets: role == RoleInterpreter}
}

// setAside lifts, for a start, the limits that staff may set aside and that would
// refuse it, and returns them. Interpreters keep their rest: another may be free.
func (p *plan) setAside(start time.Time) ([]Overridden, error) {
	s, err := p.look(p.query(start, start.Add(p.duration), time.Second))
	if err != nil {
		return nil, err
	}
	var out []Overridden
	for i, o := range s.parties {
		for limit, m := range o.limits {
			kind := personLimits[limit]
			if m.count() > 0 || !kind.Overridable() {
				continue
			}
			one := Overridden{Limit: kind, Person: identity.PersonID(o.party.ID)}
			party := &p.parties[i]
			switch kind {
			case LimitHours:
				party.Hours, party.Version = always, 0
			case LimitNotice:
				party.MinNotice = 0
			case LimitHorizon:
				party.MaxAhead = nil
			case LimitRest:
				faults, err := party.Rest.faults(start, start.Add(p.duration))
				if err != nil {
					return nil, err
				}
				if len(faults) > 0 {
					one.Rest = &faults[0]
				}
				party.Rest = nil
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// keepRest lets nobody else seat the people of a visit until the transaction ends, and
// looks once more whether its limits of rest are kept: visits that were booked since
// the plan was made count. exempt are people whose limits were set aside.
func (s *Service) keepRest(ctx context.Context, tx *audit.Tx, p *plan, start time.Time, crew []chair, exempt []Overridden) error {
	if err := s.keepPlace(ctx, tx, p, start); err != nil {
		return err
	}
	if p.rest.none() {
		return nil // one visit can break nothing of another; seats are kept apart by their constraint
	}
	roles := map[identity.PersonID]Role{}
	for _, id := range p.clinicians() {
		roles[id] = p.roles[id]
	}
	for _, c := range crew {
		roles[c.person] = RoleInterpreter
	}
	people := make([]identity.PersonID, 0, len(roles))
	for id := range roles {
		people = append(people, id)
	}
	slices.Sort(people)
	end := start.Add(p.duration)
	busy, sits, err := takenLocked(ctx, tx, people, start.Add(-restMargin), end.Add(restMargin))
	if err != nil {
		return err
	}
	for _, id := range people {
		for _, r := range busy[id] {
			if r.Start.Before(end) && start.Before(r.End) && !(p.own != nil && r.Start.Before(p.own.End) && p.own.Start.Before(r.End)) {
				return ErrSlotTaken
			}
		}
		if slices.ContainsFunc(exempt, func(o Overridden) bool { return o.Person == id && o.Limit == LimitRest }) {
			continue
		}
		faults, err := p.rested(id, roles[id], p.withoutOwn(sits[id])).faults(start, end)
		if err != nil {
			return err
		}
		if len(faults) > 0 {
			return &Refusal{Limit: LimitRest, Person: id, Lead: "rest:" + string(faults[0].Rule), Rest: &faults[0]}
		}
	}
	return nil
}

// withoutOwn leaves out the visit that is planned anew.
func (p *plan) withoutOwn(sits []Sit) []Sit {
	if p.own == nil {
		return sits
	}
	return slices.DeleteFunc(slices.Clone(sits), func(s Sit) bool { return s.Start.Equal(p.own.Start) && s.End.Equal(p.own.End) })
}

// override reads a written reason; ok is false if there is none.
func (r BookRequest) override() (reason string, err error) {
	reason = strings.TrimSpace(r.Override)
	if reason != "" && len([]rune(reason)) < shortestReason || len(reason) > maxNote {
		return "", fmt.Errorf("%w: reason of an override", ErrInvalidRequest)
	}
	return reason, nil
}

// restFault is what a visit at a start would break of somebody's rest, the worst first;
// nil if nothing.
func (p *plan) restFault(id identity.PersonID, start time.Time) *RestFault {
	for _, o := range p.parties {
		if o.ID != string(id) || o.Rest == nil {
			continue
		}
		if faults, err := o.Rest.faults(start, start.Add(p.duration)); err == nil && len(faults) > 0 {
			return &faults[0]
		}
	}
	return nil
}
