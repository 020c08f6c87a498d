package workspace

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// Subjects are the questions that the open cases of a clinic rest on: what an officer
// must know before other rules come into force. It is for officers and jobs.
func (s *Service) Subjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID) ([]credentialing.Subject, error) {
	return s.subjects(ctx, actor, org, `select id from clinical_case where organization_id = @organization`, pgx.StrictNamedArgs{})
}

// RefusedSubjects are those of Subjects that may be refused now: of the cases against
// whose people something stands, and of those that are due to be looked at again. Only
// cases come of which one of the people is a member.
func (s *Service) RefusedSubjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID, people []identity.PersonID) ([]credentialing.Subject, error) {
	return s.subjects(ctx, actor, org, `
		select r.case_id
		from case_review r
		where r.organization_id = @organization and (r.held <> '[]' or r.next_change_at <= @now)
			and r.case_id in (select m.case_id from case_member m where m.person_id = any(@people::uuid[]) and m.until_at is null)`,
		pgx.StrictNamedArgs{"people": people, "now": s.db.Now()})
}

func (s *Service) subjects(ctx context.Context, actor identity.Actor, org identity.OrganizationID, which string, args pgx.StrictNamedArgs) ([]credentialing.Subject, error) {
	if actor.Job == "" && !actor.Has(identity.RoleOfficer) {
		return nil, ErrNotFound
	}
	var out []credentialing.Subject
	err := s.db.Read(ctx, audit.Scope{Organization: string(org), Person: string(actor.Person)}, func(tx *audit.Tx) error {
		args["organization"] = string(org)
		rows, err := tx.Query(ctx, which, args)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		cases, err := selectCases(ctx, tx, ids, len(ids))
		if err != nil {
			return err
		}
		var parts []credentialing.Subject
		var asks []scheduling.CaseAsk
		add := func(c caseRow, person identity.PersonID, a credentialing.Activity) {
			parts = append(parts, credentialing.Subject{Kind: "case", ID: string(c.ID), Organization: org, Ask: credentialing.Ask{Person: person, Activity: a,
				At: tx.Now(), Mode: credentialing.Plan}})
			asks = append(asks, scheduling.CaseAsk{Case: scheduling.CaseRef(c.ID), Specialist: c.Specialist})
		}
		for _, c := range cases {
			if !slices.Contains(watched, c.State) {
				continue
			}
			if c.Responsible != "" {
				add(c, c.Responsible, credentialing.SignDecision)
			}
			if c.Specialist != "" && c.State == Assigned {
				add(c, c.Specialist, credentialing.AdvisePhysician)
			}
		}
		facts, err := s.FactsOf(ctx, tx, asks)
		if err != nil {
			return err
		}
		for i := range parts {
			parts[i].Ask.Case = facts[i].Context
		}
		out = parts
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("questions of the cases of %s: %w", org, err)
	}
	return out, nil
}
