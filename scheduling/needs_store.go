package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// needsSQL reads what was stated for a case of a clinic or by its patient, the latest
// first. Indexes patient_needs_case and patient_needs_person.
const needsSQL = `
	select id::text, stated, stated_by::text, by_patient, stated_at
	from patient_needs
	where organization_id = $1 and (case_id = $2 or person_id = $3)
	order by stated_at desc, id desc
	limit $4`

const needsKept = 100 // statements that a history shows

func scanNeeds(row pgx.CollectableRow) (n Needs, err error) {
	var stated []byte
	if err := row.Scan(&n.ID, &stated, &n.By, &n.ByPatient, &n.At); err != nil {
		return n, err
	}
	n.At = n.At.UTC()
	return n, json.Unmarshal(stated, &n)
}

// queueNeeds queues the question what holds for a case of the scope's clinic.
func queueNeeds(b *pgx.Batch, tx *audit.Tx, ref CaseRef, patient identity.PersonID, out *Needs) {
	b.Queue(needsSQL, tx.Scope.Organization, string(ref), null(patient), 1).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scanNeeds)
		if len(list) > 0 {
			*out = list[0]
		}
		return err
	})
}

// needsHistory is what holds for a case of the scope's clinic, and what was stated before.
func needsHistory(ctx context.Context, tx *audit.Tx, ref CaseRef, patient identity.PersonID) (now Needs, before []Needs, err error) {
	rows, _ := tx.Query(ctx, needsSQL, tx.Scope.Organization, string(ref), null(patient), needsKept)
	list, err := pgx.CollectRows(rows, scanNeeds)
	if err != nil {
		return Needs{}, nil, fmt.Errorf("read needs: %w", err)
	}
	if len(list) == 0 {
		return Needs{}, nil, nil
	}
	return list[0], list[1:], nil
}

func insertNeeds(ctx context.Context, tx *audit.Tx, ref CaseRef, patient identity.PersonID, follows NeedsID, n Needs) error {
	stated, err := n.stated()
	if err != nil {
		return fmt.Errorf("write needs: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into patient_needs (id, organization_id, case_id, person_id, follows, stated, stated_by, by_patient, stated_at)
		values (@id, @organization, @case, @person, @follows, @stated, @by, @own, @now)`,
		pgx.StrictNamedArgs{"id": string(n.ID), "organization": tx.Scope.Organization, "case": string(ref), "person": null(patient),
			"follows": null(follows), "stated": string(stated), "by": string(n.By), "own": n.ByPatient, "now": n.At})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.ConstraintName == "patient_needs_follows_once" || pg.ConstraintName == "patient_needs_first_once") {
		return ErrVersion
	}
	if err != nil {
		return fmt.Errorf("keep needs: %w", err)
	}
	return nil
}
