package scheduling

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Subjects are the questions that the future bookings of a clinic rest on: what an
// officer must know before other rules come into force. It is for officers and jobs.
func (s *Service) Subjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID) ([]credentialing.Subject, error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) {
		return nil, ErrForbidden
	}
	cases, ok := s.cases.(ManyCases)
	if !ok {
		return nil, ErrNoReviews
	}
	r := &reviewing{}
	err := s.db.Read(ctx, audit.Scope{Organization: string(org), Person: string(actor.Person)}, func(tx *audit.Tx) (err error) {
		r.list, err = appointmentsWhere(ctx, tx, `organization_id = @organization and start_at > @now
			and state in ('held', 'pending', 'booked', 'needs_attention')`, pgx.StrictNamedArgs{"organization": string(org), "now": tx.Now()})
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
