package scheduling

import (
	"context"
	"fmt"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// SetAvailability replaces when a person may be booked, by the person or by a job.
// a.Version is the version that was read, 0 if there was none; ErrVersion means that
// somebody else was faster. Seats already booked stay.
func (s *Service) SetAvailability(ctx context.Context, actor identity.Actor, person identity.PersonID, a Availability) (Availability, error) {
	if !known(person) {
		return Availability{}, ErrNotFound
	}
	if !maySetHours(actor, person) {
		return Availability{}, ErrForbidden
	}
	if err := a.Validate(); err != nil {
		return Availability{}, err
	}
	// Hours are the person's own: the row policy takes them from nobody else.
	scope := audit.Scope{Organization: string(actor.Organization), Person: string(person)}
	err := s.write(ctx, scope, func(tx *audit.Tx) error {
		if err := saveAvailability(ctx, tx, person, a); err != nil {
			return err
		}
		e := actor.Event("availability.set")
		e.Objects = map[string]string{"person": string(person)}
		e.Detail = map[string]any{"version": a.Version + 1, "zone": a.Zone, "rules": len(a.Rules), "overrides": len(a.Overrides)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Availability{}, fmt.Errorf("set availability of %s: %w", person, err)
	}
	a.Version++
	return a, nil
}

func maySetHours(actor identity.Actor, person identity.PersonID) bool {
	return actor.Job != "" || actor.Person == person && !actor.Guest()
}

// AvailabilityOf reads when a person may be booked, for the person or a job. Who
// never saved any has version 0 and, but for patients, no hours at all.
func (s *Service) AvailabilityOf(ctx context.Context, actor identity.Actor, person identity.PersonID) (Availability, error) {
	if !known(person) {
		return Availability{}, ErrNotFound
	}
	if !maySetHours(actor, person) {
		return Availability{}, ErrForbidden
	}
	var a Availability
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		people, err := s.people.PeopleTx(ctx, tx, person)
		if err != nil {
			return err
		}
		p, ok := people[person]
		if !ok {
			return ErrNotFound
		}
		saved, err := availabilities(ctx, tx, []identity.PersonID{person})
		if err != nil {
			return err
		}
		if a, ok = saved[person]; ok {
			return nil
		}
		a = Availability{Hours: Hours{Zone: s.zoneOf(p)}}
		if actor.Person == person && actor.Has(identity.RolePatient) {
			a = PatientHours(s.zoneOf(p))
		}
		return nil
	})
	if err != nil {
		return Availability{}, fmt.Errorf("availability of %s: %w", person, err)
	}
	return a, nil
}

// zoneOf is the clock of a person; a zone that the data does not know is the default.
func (s *Service) zoneOf(p identity.Person) string {
	if _, err := LoadZone(p.Zone); err != nil {
		return s.zone
	}
	return p.Zone
}
