package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// MissedAfter is how long after its start a visit that nobody began can be said not to
// have taken place.
const MissedAfter = 10 * time.Minute

// MayMiss tells whether the actor may say now that somebody did not come, as Missed
// asks.
func MayMiss(actor identity.Actor, a Appointment, now time.Time) bool {
	seat, seated := a.Seat(actor.Person)
	_, ok := a.State.Next(EventMiss)
	return ok && (arranges(actor, a.Organization) || seated && seat.Role.Clinician()) && !now.Before(a.StartAt.Add(MissedAfter))
}

// Missed notes that a visit did not take place because somebody required did not come,
// and frees everybody. absent is the seat of who did not come; "" is not said. version
// is the one that was read. It is for clinicians seated and those who arrange.
func (s *Service) Missed(ctx context.Context, actor identity.Actor, id AppointmentID, version int, absent SeatID) (Appointment, error) {
	var a Appointment
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if a, err = open(ctx, tx, actor, id, true); err != nil {
			return err
		}
		seat, seated := a.Seat(actor.Person)
		if !arranges(actor, a.Organization) && !(seated && seat.Role.Clinician()) {
			return ErrForbidden
		}
		if a.Version != version {
			return ErrVersion
		}
		if !MayMiss(actor, a, tx.Now()) {
			return ErrState
		}
		known := absent == ""
		for _, o := range a.Seats {
			known = known || o.ID == absent
		}
		if !known {
			return ErrNotFound
		}
		a.State, _ = a.State.Next(EventMiss)
		if a, err = saveState(ctx, tx, a); err != nil {
			return err
		}
		if err := releaseSeats(ctx, tx, a); err != nil {
			return err
		}
		if err := voidReminders(ctx, tx, a, -1); err != nil {
			return err
		}
		e := actor.Event("appointment.missed")
		e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
		if absent != "" {
			e.Objects["seat"] = string(absent)
		}
		for i := range a.Seats {
			a.Seats[i].Released = true
		}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("note that appointment %s did not take place: %w", id, err)
	}
	return a, nil
}

// Holds lists what the clinic of a case holds of the time of its people and a
// specialist, by start, for those who arrange there.
func (s *Service) Holds(ctx context.Context, actor identity.Actor, ref CaseRef, specialist identity.PersonID) ([]Appointment, error) {
	if !known(ref) || !known(specialist) {
		return nil, ErrNotFound
	}
	var list []Appointment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, specialist)
		if err != nil {
			return err
		}
		if !arranges(actor, facts.Organization) {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		people := []string{string(specialist)}
		for _, id := range []identity.PersonID{facts.LocalPhysician, facts.Patient} {
			if id != "" {
				people = append(people, string(id))
			}
		}
		list, err = appointmentsWhere(ctx, tx, `organization_id = @organization and id in (
				select s.appointment_id from seat s
				where s.organization_id = @organization and s.person_id = any(@people::uuid[]) and s.kind = 'hold' and s.released_at is null and s.expires_at > @now)
			order by start_at, id`, pgx.StrictNamedArgs{"organization": string(facts.Organization), "people": people, "now": tx.Now()}) // seat_hold
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("holds for case %s: %w", ref, err)
	}
	return list, nil
}
