package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func insertReminders(ctx context.Context, tx *audit.Tx, list []reminder) error {
	if len(list) == 0 {
		return nil
	}
	var b pgx.Batch
	queueReminderRows(&b, tx, list)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("insert reminders: %w", err)
	}
	return nil
}

func queueReminderRows(b *pgx.Batch, tx *audit.Tx, list []reminder) {
	n := len(list)
	if n == 0 {
		return
	}
	id, of, seat, kind := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	due, sequence := make([]time.Time, n), make([]int, n)
	for i, r := range list {
		id[i], of[i], seat[i], kind[i], due[i], sequence[i] = r.id, string(r.appointment), string(r.seat), string(r.kind), r.dueAt, r.sequence
	}
	b.Queue(`
		insert into reminder (id, organization_id, appointment_id, seat_id, kind, due_at, sequence, state, changed_at)
		select r.id, @organization, r.appointment_id, r.seat_id, r.kind, r.due_at, r.sequence, 'planned', @now
		from unnest(@id::uuid[], @appointment::uuid[], @seat::uuid[], @kind::text[], @due::timestamptz[], @sequence::int[])
			as r(id, appointment_id, seat_id, kind, due_at, sequence)
		on conflict on constraint reminder_once do nothing`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "now": tx.Now(), "id": id, "appointment": of, "seat": seat, "kind": kind,
			"due": due, "sequence": sequence})
}

// voidReminders ends what is still to be sent of a visit, but for the sequence given;
// -1 spares none.
func voidReminders(ctx context.Context, tx *audit.Tx, a Appointment, but int) error {
	_, err := tx.Exec(ctx, `
		update reminder
		set state = 'void', changed_at = $4
		where organization_id = $1 and appointment_id = $2 and sequence <> $3 and state in ('planned', 'queued')`,
		string(a.Organization), string(a.ID), but, tx.Now())
	if err != nil {
		return fmt.Errorf("void reminders: %w", err)
	}
	return nil
}

// byClinic collects pairs of a clinic and an id of its.
func byClinic(rows pgx.Rows) (map[identity.OrganizationID][]string, error) {
	out := map[identity.OrganizationID][]string{}
	var org identity.OrganizationID
	var id string
	_, err := pgx.ForEachRow(rows, []any{&org, &id}, func() error {
		out[org] = append(out[org], id)
		return nil
	})
	return out, err
}

func remindersDue(ctx context.Context, tx *audit.Tx, until time.Time, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, reminder_id::text from reminders_due($1, $2)`, until, most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("reminders due: %w", err)
	}
	return out, nil
}

func remindersMissing(ctx context.Context, tx *audit.Tx, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, appointment_id::text from reminders_missing($1, $2)`, tx.Now(), most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("reminders missing: %w", err)
	}
	return out, nil
}

// queueReminders takes those that are still planned.
func queueReminders(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, ids []string) ([]ReminderJob, error) {
	rows, _ := tx.Query(ctx, `
		update reminder r
		set state = 'queued', changed_at = $3
		from appointment a, seat s
		where r.organization_id = $1 and r.id = any($2::uuid[]) and r.state = 'planned'
		  and a.organization_id = $1 and a.id = r.appointment_id and s.organization_id = $1 and s.id = r.seat_id
		returning r.id::text, r.due_at, r.kind, a.start_at, s.person_id::text, a.anchor_person_id::text, a.anchor_zone`, string(org), ids, tx.Now())
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ReminderJob, error) {
		j := ReminderJob{Organization: org}
		err := row.Scan(&j.Reminder, &j.DueAt, &j.kind, &j.start, &j.person, &j.anchor, &j.anchorZone)
		j.DueAt = j.DueAt.UTC()
		return j, err
	})
	if err != nil {
		return nil, fmt.Errorf("queue reminders: %w", err)
	}
	return jobs, nil
}

func reminderOf(ctx context.Context, tx *audit.Tx, id string) (r reminder, state string, err error) {
	r.id = id
	err = tx.QueryRow(ctx, `
		select appointment_id::text, seat_id::text, kind, due_at, sequence, state
		from reminder
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id).
		Scan(&r.appointment, &r.seat, &r.kind, &r.dueAt, &r.sequence, &state)
	return r, state, oneRow(err)
}

// endReminder is true for the one who ended it.
func endReminder(ctx context.Context, tx *audit.Tx, id, state string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update reminder
		set state = $3, changed_at = $4
		where organization_id = $1 and id = $2 and state = 'queued'`, tx.Scope.Organization, id, state, tx.Now())
	if err != nil {
		return false, fmt.Errorf("end reminder: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
