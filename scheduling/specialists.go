package scheduling

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Option is a specialist of the specialty that a case asks, as a choice of whom to
// find a time with.
type Option struct {
	Person   identity.PersonID
	Name     string
	Zone     string
	Home     string // ISO 3166
	Assigned bool   // to the case
	// Permitted tells whether the visit is permitted at some time of the next days.
	Permitted bool
	// Wanted tells whether they are whom the patient asked for; who is not, though the
	// patient said they must be, is not Permitted either, without a Refusal.
	Wanted bool
	// Refusal says why not, or, if permitted, from when on no longer.
	Refusal *Refusal
}

// Specialists lists whom a visit of a case could be with: who may first, the others
// with the reason. The assigned specialist stands before all.
func (s *Service) Specialists(ctx context.Context, actor identity.Actor, ref CaseRef, kind Kind) ([]Option, error) {
	if _, ok := visits[kind]; !ok {
		return nil, fmt.Errorf("%w: kind %q", ErrInvalidRequest, kind)
	}
	if !known(ref) {
		return nil, ErrNotFound
	}
	everybody, err := s.people.PeopleWith(ctx, identity.RoleSpecialist, "")
	if err != nil {
		return nil, fmt.Errorf("specialists on file: %w", err)
	}
	var out []Option
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, "")
		if err != nil {
			return err
		}
		if !arranges(actor, facts.Organization) {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		needs, _, err := needsHistory(ctx, tx, ref, facts.Patient)
		if err != nil {
			return err
		}
		from := tx.Now()
		for _, one := range everybody {
			if one.Disabled || one.ID == facts.LocalPhysician || one.ID == facts.Patient ||
				one.ID != facts.Assigned && facts.Specialty != "" && one.Specialty != facts.Specialty {
				continue
			}
			o, err := s.option(ctx, tx, ref, kind, one, from)
			if err != nil {
				return err
			}
			o.Assigned = one.ID == facts.Assigned
			w := needs.Clinician
			o.Wanted = !visits[kind].patient || w.Gender == "" || one.Gender == w.Gender
			if !o.Wanted && w.Must {
				o.Permitted, o.Refusal = false, nil
			}
			out = append(out, o)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("specialists for case %s: %w", ref, err)
	}
	rank := func(o Option) int {
		switch {
		case o.Assigned:
			return 0
		case o.Permitted && o.Wanted:
			return 1
		case o.Permitted:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(out, func(a, b Option) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

func (s *Service) option(ctx context.Context, tx *audit.Tx, ref CaseRef, kind Kind, one identity.Person, from time.Time) (Option, error) {
	o := Option{Person: one.ID, Name: one.Name, Zone: s.zoneOf(one), Home: one.Home}
	facts, err := s.cases.Facts(ctx, tx, ref, one.ID)
	if err != nil {
		return o, err
	}
	p := &plan{planned: planned{ref: ref, kind: kind, specialist: one.ID, from: from, to: from.Add(defaultAhead)}, facts: facts, now: from,
		roles: map[identity.PersonID]Role{one.ID: RoleSpecialist}, spans: map[identity.PersonID][]credentialing.Span{}}
	spans, err := s.scope.SpansFor(ctx, tx, p.ask(one.ID, time.Time{}, time.Time{}), p.from, p.to)
	if err != nil {
		return o, fmt.Errorf("permissions of %s: %w", one.ID, err)
	}
	p.spans[one.ID] = spans
	o.Permitted = len(permitted(spans)) > 0
	for _, span := range spans {
		if span.Decision == credentialing.Deny {
			o.Refusal = p.refuse(LimitLicense, one.ID, from)
			break
		}
	}
	return o, nil
}
