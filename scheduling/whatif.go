package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Subjects are the questions that the future bookings of a clinic rest on: what an
// officer must know before other rules come into force. It is for officers and jobs.
func (s *Service) Subjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID) ([]credentialing.Subject, error) {
	return s.subjects(ctx, actor, org, `organization_id = @organization and start_at > @now
		and state in ('held', 'pending', 'booked', 'needs_attention')`, pgx.StrictNamedArgs{})
}

// RefusedSubjects are those of Subjects that may be refused now: of the bookings that
// are set aside, and of those that a change has made due to be looked at again and that
// nobody has looked at yet. Only bookings come on which one of the people sits, or that
// are among ids. It is for officers and jobs.
func (s *Service) RefusedSubjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID, people []identity.PersonID, ids []AppointmentID) ([]credentialing.Subject, error) {
	return s.subjects(ctx, actor, org, `organization_id = @organization and start_at > @now and (state = 'needs_attention'
		or state in ('pending', 'booked') and id in (select r.appointment_id from appointment_review r
			where r.organization_id = @organization and r.next_change_at <= @now))
		and (id = any(@ids::uuid[]) or id in (select s.appointment_id from seat s
			where s.organization_id = @organization and s.person_id = any(@people::uuid[]) and s.released_at is null))`,
		pgx.StrictNamedArgs{"people": people, "ids": ids})
}

// HeldBooking is a booking that is set aside.
type HeldBooking struct {
	ID           AppointmentID
	Organization identity.OrganizationID
	Start        time.Time
}

// HeldBookings are the bookings of a clinic that are set aside and for which a clinician
// is seated, by their start. It is for officers and jobs.
func (s *Service) HeldBookings(ctx context.Context, actor identity.Actor, org identity.OrganizationID) (out []HeldBooking, err error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, audit.Scope{Organization: string(org), Person: string(actor.Person)}, func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `
			select a.id::text, a.start_at
			from appointment a
			where a.organization_id = $1 and a.state = 'needs_attention' and a.start_at > $2
				and exists (select 1 from seat s where s.organization_id = a.organization_id and s.appointment_id = a.id
					and s.role in ('local_physician', 'specialist') and s.released_at is null)
			order by a.start_at, a.id -- appointment_set_aside`, string(org), tx.Now())
		if err != nil {
			return err
		}
		h := HeldBooking{Organization: org}
		_, err = pgx.ForEachRow(rows, []any{&h.ID, &h.Start}, func() error {
			h.Start = h.Start.UTC()
			out = append(out, h)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bookings of %s that are set aside: %w", org, err)
	}
	return out, nil
}

// ClinicsWaiting are the clinics with bookings or cases that are refused now, or that
// are due to be looked at again. It is for officers and jobs.
func (s *Service) ClinicsWaiting(ctx context.Context, actor identity.Actor) (out []identity.OrganizationID, err error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, audit.Scope{Person: string(actor.Person)}, func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `select organization_id::text from clinics_waiting($1)`, tx.Now())
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[identity.OrganizationID])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("clinics where something waits: %w", err)
	}
	return out, nil
}

func (s *Service) subjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID, where string, args pgx.StrictNamedArgs) ([]credentialing.Subject, error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) {
		return nil, ErrForbidden
	}
	cases, ok := s.cases.(ManyCases)
	if !ok {
		return nil, ErrNoReviews
	}
	r := &reviewing{}
	err := s.db.Read(ctx, audit.Scope{Organization: string(org), Person: string(actor.Person)}, func(tx *audit.Tx) (err error) {
		args["organization"], args["now"] = string(org), tx.Now()
		r.list, err = appointmentsWhere(ctx, tx, where, args)
		if err != nil || len(r.list) == 0 {
			return err
		}
		asks := make([]CaseAsk, len(r.list))
		for i, a := range r.list {
			asks[i] = CaseAsk{Case: a.Case, Specialist: a.specialist()}
		}
		if r.facts, err = cases.FactsOf(ctx, tx, asks); err != nil {
			return err
		}
		r.questions(tx.Now())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("questions of the bookings of %s: %w", org, err)
	}
	out := make([]credentialing.Subject, len(r.asks))
	for i, ask := range r.asks {
		a := r.list[r.of[i].appointment]
		out[i] = credentialing.Subject{Kind: "appointment", ID: string(a.ID), Organization: org, Held: a.State == StateNeedsAttention, Ask: ask}
	}
	return out, nil
}
