package workspace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// changed records that what determinations know of a case may be another from now on:
// its bookings are looked at again.
func changed(ctx context.Context, tx *audit.Tx, c caseRow, cause string) error {
	return credentialing.RecordChange(ctx, tx, credentialing.Change{Case: string(c.ID), Organization: c.Organization, Cause: cause})
}

// manyRoles is what the directory gives for many cases at once; *identity.Service does.
type manyRoles interface {
	RolesOfAllTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID][]identity.Grant, error)
}

var _ manyRoles = (*identity.Service)(nil)
var _ scheduling.ManyCases = (*Service)(nil)

// FactsOf answers scheduling of many cases; see [scheduling.ManyCases].
func (s *Service) FactsOf(ctx context.Context, tx *audit.Tx, asks []scheduling.CaseAsk) ([]scheduling.Facts, error) {
	var ids []string
	var specialists []identity.PersonID
	for _, a := range asks {
		if plainID.MatchString(string(a.Case)) {
			ids = append(ids, string(a.Case))
		}
		if a.Specialist != "" {
			specialists = append(specialists, a.Specialist)
		}
	}
	rows, err := selectCases(ctx, tx, append([]string{}, ids...), len(ids))
	if err != nil {
		return nil, err
	}
	cases := make(map[CaseID]caseRow, len(rows))
	for _, c := range rows {
		cases[c.ID] = c
	}
	consents, err := selectConsentsOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	confirmed, err := selectConfirmed(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	where, err := s.organizationsOfAll(ctx, tx, specialists)
	if err != nil {
		return nil, err
	}
	out := make([]scheduling.Facts, len(asks))
	for i, a := range asks {
		c, ok := cases[CaseID(a.Case)]
		if !ok {
			continue
		}
		at, asked := c.PlaceAt.Add(placeHolds), !c.PlaceAt.IsZero()
		cc := caseContext(tx.Now(), c, consents[c.ID], confirmed[c.ID], a.Specialist, where[a.Specialist])
		out[i] = c.facts(cc)
		if asked && at.After(tx.Now()) {
			out[i].Until = at
		}
	}
	return out, nil
}

// facts are what scheduling knows of a case.
func (c caseRow) facts(cc credentialing.CaseContext) scheduling.Facts {
	return scheduling.Facts{Organization: c.Organization, Patient: c.Patient.Person, PatientLanguages: c.Languages,
		PatientZone: c.Zone, LocalPhysician: c.Responsible, Assigned: c.Specialist, Over: c.State.Over(), Specialty: c.Specialty, Context: cc}
}

func (s *Service) organizationsOfAll(ctx context.Context, tx *audit.Tx, people []identity.PersonID) (map[identity.PersonID][]identity.OrganizationID, error) {
	out := map[identity.PersonID][]identity.OrganizationID{}
	many, ok := s.who.(manyRoles)
	if !ok {
		for _, id := range people {
			if _, known := out[id]; known {
				continue
			}
			of, err := s.organizationsOf(ctx, tx, id)
			if err != nil {
				return nil, err
			}
			out[id] = of
		}
		return out, nil
	}
	grants, err := many.RolesOfAllTx(ctx, tx, people...)
	if err != nil {
		return nil, err
	}
	for id, list := range grants {
		out[id] = advises(list, tx.Now())
	}
	return out, nil
}

// advises lists the organizations for which somebody works as a specialist.
func advises(grants []identity.Grant, now time.Time) []identity.OrganizationID {
	var out []identity.OrganizationID
	for _, g := range grants {
		if g.Role == identity.RoleSpecialist && g.Organization != "" && !g.From.After(now) && (g.Until.IsZero() || now.Before(g.Until)) {
			out = append(out, g.Organization)
		}
	}
	return out
}

// selectConsentsOf reads the consents of many cases, without what is sealed.
const consentsOfSQL = `
	select c.case_id::text, c.id::text, c.purpose, c.class, c.destination, coalesce(c.receiver_id::text, ''),
	  coalesce(c.receiver_organization_id::text, ''), c.text_version, c.recorded_at, c.until_at, w.withdrawn_at
	from case_consent c left join case_consent_withdrawal w on w.consent_id = c.id
	where c.case_id = any($1::uuid[])
	order by c.id` // case_consent_by_case

func selectConsentsOf(ctx context.Context, tx *audit.Tx, ids []string) (map[CaseID][]Consent, error) {
	rows, err := tx.Query(ctx, consentsOfSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("consents of cases: %w", err)
	}
	out := map[CaseID][]Consent{}
	return out, scanConsentsOf(rows, out)
}

func scanConsentsOf(rows pgx.Rows, out map[CaseID][]Consent) error {
	_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var id CaseID
		var c Consent
		var until, withdrawn *time.Time
		if err := row.Scan(&id, &c.ID, &c.Purpose, &c.Class, &c.Destination, &c.Receiver, &c.ReceiverOrganization, &c.TextVersion,
			&c.RecordedAt, &until, &withdrawn); err != nil {
			return struct{}{}, err
		}
		c.RecordedAt, c.Until, c.WithdrawnAt = c.RecordedAt.UTC(), value(until), value(withdrawn)
		out[id] = append(out[id], c)
		return struct{}{}, nil
	})
	return err
}

// selectContext reads what a determination must know of a case beside its row, without
// what is sealed: the consents, and when it was confirmed who the patient is.
func selectContext(ctx context.Context, tx *audit.Tx, id CaseID) (consents []Consent, confirmed time.Time, err error) {
	var b pgx.Batch
	found := queueContext(&b, id, &confirmed)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, time.Time{}, fmt.Errorf("consents of case %s: %w", id, err)
	}
	return found[id], confirmed, nil
}

// queueContext queues what selectContext reads.
func queueContext(b *pgx.Batch, id CaseID, confirmed *time.Time) map[CaseID][]Consent {
	found := map[CaseID][]Consent{}
	b.Queue(consentsOfSQL, []string{string(id)}).Query(func(rows pgx.Rows) error { return scanConsentsOf(rows, found) })
	b.Queue(`select confirmed_at from case_patient where case_id = $1`, string(id)).QueryRow(func(row pgx.Row) error {
		var at *time.Time
		err := row.Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		*confirmed = value(at)
		return err
	})
	return found
}

// rolesInBatch is an Identity that answers RolesOfTx in a batch of questions.
type rolesInBatch interface {
	QueueRoles(b *pgx.Batch, tx *audit.Tx, id identity.PersonID) *[]identity.Grant
}

// caseFacts reads in one round trip a case of the scope's clinic, what determinations
// must know of it, and for whom a specialist works. ErrNotFound means no case.
func (s *Service) caseFacts(ctx context.Context, tx *audit.Tx, id CaseID, specialist identity.PersonID) (caseRow, credentialing.CaseContext, error) {
	var b pgx.Batch
	var c []caseRow
	b.Queue(caseSQL, string(id)).Query(func(rows pgx.Rows) (err error) {
		c, err = pgx.CollectRows(rows, scanCase)
		return err
	})
	var confirmed time.Time
	consents := queueContext(&b, id, &confirmed)
	grants := new([]identity.Grant)
	who, batched := s.who.(rolesInBatch)
	if specialist != "" && batched {
		grants = who.QueueRoles(&b, tx, specialist)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return caseRow{}, credentialing.CaseContext{}, fmt.Errorf("facts of case %s: %w", id, err)
	}
	if len(c) == 0 {
		return caseRow{}, credentialing.CaseContext{}, ErrNotFound
	}
	where := advises(*grants, tx.Now())
	if specialist != "" && !batched {
		var err error
		if where, err = s.organizationsOf(ctx, tx, specialist); err != nil {
			return caseRow{}, credentialing.CaseContext{}, err
		}
	}
	return c[0], caseContext(tx.Now(), c[0], consents[id], confirmed, specialist, where), nil
}

// selectConfirmed reads when the identity of the patients of many cases was confirmed.
func selectConfirmed(ctx context.Context, tx *audit.Tx, ids []string) (map[CaseID]time.Time, error) {
	rows, err := tx.Query(ctx, `
		select case_id::text, confirmed_at
		from case_patient
		where case_id = any($1::uuid[]) and confirmed_at is not null`, ids)
	if err != nil {
		return nil, fmt.Errorf("patients of cases: %w", err)
	}
	out := map[CaseID]time.Time{}
	var id CaseID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		out[id] = at.UTC()
		return nil
	})
	return out, err
}
