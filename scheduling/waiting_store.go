package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

type waitingRef struct {
	organization identity.OrganizationID
	id           WaitingID
}

func waitingDue(ctx context.Context, tx *audit.Tx, most int) ([]waitingRef, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, waiting_id::text from waiting_due($1, $2)`, tx.Now(), most)
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r waitingRef, err error) {
		return r, row.Scan(&r.organization, &r.id)
	})
	if err != nil {
		return nil, fmt.Errorf("read who waits: %w", err)
	}
	return out, nil
}

func insertWaiting(ctx context.Context, tx *audit.Tx, w Waiting) error {
	_, err := tx.Exec(ctx, `
		insert into waiting (id, organization_id, case_id, kind, specialist_id, duration, earliest, latest, state, version, created_by, created_at, changed_at)
		values (@id, @organization, @case, @kind, @specialist, @duration, @earliest, @latest, @state, @version, @by, @now, @now)`,
		pgx.StrictNamedArgs{"id": string(w.ID), "organization": string(w.Organization), "case": string(w.Case), "kind": string(w.Kind), "specialist": string(w.Specialist),
			"duration": w.Duration, "earliest": w.Earliest, "latest": w.Latest, "state": string(w.State), "version": w.Version, "by": null(w.CreatedBy), "now": tx.Now()})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "waiting_once" {
		return ErrState
	}
	if err != nil {
		return fmt.Errorf("insert waiting: %w", err)
	}
	return nil
}

// waitingWhere reads entries of a clinic, who waits longest first. where is a condition
// of this package on w.
func waitingWhere(ctx context.Context, tx *audit.Tx, where string, args ...any) ([]Waiting, error) {
	rows, _ := tx.Query(ctx, `
		select w.id::text, w.organization_id::text, w.case_id::text, w.kind, w.specialist_id::text, w.duration, w.earliest, w.latest, w.state,
			coalesce(w.appointment_id::text, ''), coalesce(a.start_at, 'epoch'), coalesce(w.offered_until, 'epoch'), w.passed, w.version, w.created_by::text, w.created_at
		from waiting w
		left join appointment a on a.organization_id = w.organization_id and a.id = w.appointment_id
		where `+where, args...)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Waiting, err error) {
		err = row.Scan(&w.ID, &w.Organization, &w.Case, &w.Kind, &w.Specialist, &w.Duration, &w.Earliest, &w.Latest, &w.State,
			&w.Appointment, &w.Start, &w.OfferedUntil, &w.Passed, &w.Version, &w.CreatedBy, &w.CreatedAt)
		w.Earliest, w.Latest, w.CreatedAt, w.Start, w.OfferedUntil = w.Earliest.UTC(), w.Latest.UTC(), w.CreatedAt.UTC(), w.Start.UTC(), w.OfferedUntil.UTC()
		if w.Appointment == "" {
			w.Start = time.Time{}
		}
		if w.State != WaitingOffered {
			w.OfferedUntil = time.Time{}
		}
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("read waiting list: %w", err)
	}
	return list, nil
}

// saveWaiting writes what became of an entry that is locked.
func saveWaiting(ctx context.Context, tx *audit.Tx, w Waiting) error {
	var until any
	if !w.OfferedUntil.IsZero() {
		until = w.OfferedUntil
	}
	if w.Passed == nil {
		w.Passed = []time.Time{}
	}
	_, err := tx.Exec(ctx, `
		update waiting
		set state = @state, appointment_id = @appointment, offered_until = @until, passed = @passed, version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"state": string(w.State), "appointment": null(w.Appointment), "until": until, "passed": w.Passed, "now": tx.Now(),
			"organization": string(w.Organization), "id": string(w.ID)})
	if err != nil {
		return fmt.Errorf("save waiting %s: %w", w.ID, err)
	}
	return nil
}
