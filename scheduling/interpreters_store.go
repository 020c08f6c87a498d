package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// StatedWish is a wish with where it comes from.
type StatedWish struct {
	Wish  Wish
	Cause string // "stated" or "conflict": the interpreter declared one
}

// wishesOf are the wishes of a case of the scope's clinic.
func wishesOf(ctx context.Context, tx *audit.Tx, ref CaseRef) (map[identity.PersonID]StatedWish, error) {
	rows, _ := tx.Query(ctx, `
		select person_id::text, wish, cause
		from interpreter_wish
		where organization_id = $1 and case_id = $2`, tx.Scope.Organization, null(ref))
	out := map[identity.PersonID]StatedWish{}
	var id identity.PersonID
	var w StatedWish
	if _, err := pgx.ForEachRow(rows, []any{&id, &w.Wish, &w.Cause}, func() error {
		out[id] = w
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read wishes about interpreters: %w", err)
	}
	return out, nil
}

// saveWish states a wish; WishNone takes it back. What the interpreter declared stands.
func saveWish(ctx context.Context, tx *audit.Tx, ref CaseRef, person identity.PersonID, w StatedWish, by identity.PersonID) error {
	if w.Wish == WishNone {
		_, err := tx.Exec(ctx, `
			delete from interpreter_wish
			where organization_id = $1 and case_id = $2 and person_id = $3 and cause = 'stated'`, tx.Scope.Organization, string(ref), string(person))
		if err != nil {
			return fmt.Errorf("take back a wish: %w", err)
		}
		return nil
	}
	_, err := tx.Exec(ctx, `
		insert into interpreter_wish as had (organization_id, case_id, person_id, wish, cause, stated_by, stated_at)
		values (@organization, @case, @person, @wish, @cause, @by, @now)
		on conflict on constraint interpreter_wish_pkey do update
		set wish = excluded.wish, cause = excluded.cause, stated_by = excluded.stated_by, stated_at = excluded.stated_at
		where had.cause <> 'conflict'`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "case": string(ref), "person": string(person), "wish": string(w.Wish),
			"cause": w.Cause, "by": null(by), "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("state a wish: %w", err)
	}
	return nil
}

// workedInCase are those who said yes to interpret in visits of a case.
func workedInCase(ctx context.Context, tx *audit.Tx, ref CaseRef) (map[identity.PersonID]bool, error) {
	rows, _ := tx.Query(ctx, `
		select distinct s.person_id::text
		from appointment a
		join seat s on s.organization_id = a.organization_id and s.appointment_id = a.id
		where a.organization_id = $1 and a.case_id = $2 and s.role = 'interpreter' and s.response = 'accepted'
		  and a.state in ('booked', 'in_progress', 'fulfilled')`, tx.Scope.Organization, null(ref)) // appointment_case
	list, err := pgx.CollectRows(rows, pgx.RowTo[identity.PersonID])
	if err != nil {
		return nil, fmt.Errorf("read who interpreted in a case: %w", err)
	}
	out := map[identity.PersonID]bool{}
	for _, id := range list {
		out[id] = true
	}
	return out, nil
}

// workload is what an interpreter carried of late, over all clinics.
type workload struct {
	balance int // weighed minutes of hard hours
	minutes int // of seats, also those to come
}

func interpreterLoad(ctx context.Context, tx *audit.Tx, people []identity.PersonID, since time.Time) (map[identity.PersonID]workload, error) {
	rows, _ := tx.Query(ctx, `select person_id::text, balance, minutes from interpreter_load($1::uuid[], $2)`, strs(people), since)
	out := map[identity.PersonID]workload{}
	var id identity.PersonID
	var w workload
	if _, err := pgx.ForEachRow(rows, []any{&id, &w.balance, &w.minutes}, func() error {
		out[id] = w
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read what interpreters carried: %w", err)
	}
	return out, nil
}

const assignmentColumns = `
	id::text, organization_id::text, appointment_id::text, seat_id::text, person_id::text, chair, pair, leg, start_at, state, reason, via,
	asked_at, deadline, answered_at, given_up`

func scanAssignment(row pgx.CollectableRow) (x Assignment, err error) {
	var pair []string
	var answered *time.Time
	if err := row.Scan(&x.ID, &x.Organization, &x.Appointment, &x.Seat, &x.Person, &x.Chair, &pair, &x.Leg, &x.Start, &x.State, &x.Reason, &x.Via,
		&x.AskedAt, &x.Deadline, &answered, &x.GivenUp); err != nil {
		return x, err
	}
	x.Pair = [2]string(pair)
	x.Start, x.AskedAt, x.Deadline = x.Start.UTC(), x.AskedAt.UTC(), x.Deadline.UTC()
	if answered != nil {
		x.AnsweredAt = answered.UTC()
	}
	return x, nil
}

// assignmentsOf are all askings of a visit of the scope's clinic, in their order.
func assignmentsOf(ctx context.Context, tx *audit.Tx, id AppointmentID) ([]Assignment, error) {
	rows, _ := tx.Query(ctx, `
		select `+assignmentColumns+`
		from interpreter_assignment
		where organization_id = $1 and appointment_id = $2
		order by asked_at, id`, tx.Scope.Organization, string(id)) // interpreter_assignment_appointment
	list, err := pgx.CollectRows(rows, scanAssignment)
	if err != nil {
		return nil, fmt.Errorf("read who was asked to interpret: %w", err)
	}
	return list, nil
}

// assignmentsTo are the askings of the scope's person about visits that begin after an
// instant, of all clinics. Index interpreter_assignment_person.
func assignmentsTo(ctx context.Context, tx *audit.Tx, person identity.PersonID, after time.Time) ([]Assignment, error) {
	rows, _ := tx.Query(ctx, `
		select `+assignmentColumns+`
		from interpreter_assignment
		where person_id = $1 and start_at > $2
		order by start_at, id`, string(person), after)
	list, err := pgx.CollectRows(rows, scanAssignment)
	if err != nil {
		return nil, fmt.Errorf("read own askings: %w", err)
	}
	return list, nil
}

func insertAssignment(ctx context.Context, tx *audit.Tx, x Assignment) error {
	_, err := tx.Exec(ctx, `
		insert into interpreter_assignment (id, organization_id, appointment_id, seat_id, person_id, chair, pair, leg, start_at, state, reason, via,
			asked_at, deadline, answered_at)
		values (@id, @organization, @appointment, @seat, @person, @chair, @pair, @leg, @start, @state, @reason, @via, @asked, @deadline, @answered)`,
		pgx.StrictNamedArgs{"id": string(x.ID), "organization": string(x.Organization), "appointment": string(x.Appointment), "seat": string(x.Seat),
			"person": string(x.Person), "chair": x.Chair, "pair": x.Pair[:], "leg": x.Leg, "start": x.Start, "state": string(x.State), "reason": x.Reason,
			"via": x.Via, "asked": x.AskedAt, "deadline": x.Deadline, "answered": instantOrNull(x.AnsweredAt)})
	if err != nil {
		return fmt.Errorf("note who is asked to interpret: %w", err)
	}
	return nil
}

func instantOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// endAssignment notes what became of an asking.
func endAssignment(ctx context.Context, tx *audit.Tx, x Assignment) error {
	_, err := tx.Exec(ctx, `
		update interpreter_assignment
		set state = $3, reason = $4, via = $5, answered_at = $6
		where organization_id = $1 and id = $2`, tx.Scope.Organization, string(x.ID), string(x.State), x.Reason, x.Via, instantOrNull(x.AnsweredAt))
	if err != nil {
		return fmt.Errorf("note what became of an asking: %w", err)
	}
	return nil
}

// renewAssignment gives an asking more time.
func renewAssignment(ctx context.Context, tx *audit.Tx, x Assignment) error {
	_, err := tx.Exec(ctx, `
		update interpreter_assignment
		set deadline = $3
		where organization_id = $1 and id = $2`, tx.Scope.Organization, string(x.ID), x.Deadline)
	if err != nil {
		return fmt.Errorf("give an asking more time: %w", err)
	}
	return nil
}

// giveUp notes that a visit does without chairs.
func giveUp(ctx context.Context, tx *audit.Tx, a Appointment, empty []Assignment) error {
	if len(empty) == 0 {
		return nil
	}
	chairs := make([]int, len(empty))
	for i, x := range empty {
		chairs[i] = x.Chair
	}
	_, err := tx.Exec(ctx, `
		update interpreter_assignment
		set given_up = true
		where organization_id = $1 and appointment_id = $2 and start_at = $3 and chair = any($4::int[])`, string(a.Organization), string(a.ID), a.StartAt, chairs)
	if err != nil {
		return fmt.Errorf("give up a chair: %w", err)
	}
	return nil
}

// moveAssignments lets the askings of a visit follow a change of its instant that
// changed no clock of those asked.
func moveAssignments(ctx context.Context, tx *audit.Tx, id AppointmentID, from, to time.Time) error {
	_, err := tx.Exec(ctx, `
		update interpreter_assignment
		set start_at = $4
		where organization_id = $1 and appointment_id = $2 and start_at = $3`, tx.Scope.Organization, string(id), from, to)
	if err != nil {
		return fmt.Errorf("move askings: %w", err)
	}
	return nil
}

func insertAlert(ctx context.Context, tx *audit.Tx, a Appointment, kind string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into interpreter_alert (appointment_id, organization_id, start_at, kind, raised_at)
		values ($1, $2, $3, $4, $5)
		on conflict on constraint interpreter_alert_pkey do nothing`, string(a.ID), string(a.Organization), a.StartAt, kind, tx.Now())
	if err != nil {
		return false, fmt.Errorf("note an alert: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// wasConfirmed tells whether a visit was booked once, so that its patient knows of it.
func wasConfirmed(ctx context.Context, tx *audit.Tx, id AppointmentID) (was bool, err error) {
	err = tx.QueryRow(ctx, `
		select confirmed_at is not null
		from appointment
		where organization_id = $1 and id = $2`, tx.Scope.Organization, string(id)).Scan(&was)
	return was, oneRow(err)
}

// neverConfirmed are those of some visits that were never booked, so that their patients
// do not know of them.
func neverConfirmed(ctx context.Context, tx *audit.Tx, ids []string) (map[AppointmentID]bool, error) {
	rows, _ := tx.Query(ctx, `
		select id::text
		from appointment
		where organization_id = $1 and id = any($2::uuid[]) and confirmed_at is null`, tx.Scope.Organization, ids)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("visits that were never booked: %w", err)
	}
	out := make(map[AppointmentID]bool, len(list))
	for _, id := range list {
		out[AppointmentID(id)] = true
	}
	return out, nil
}

func interpretersDue(ctx context.Context, tx *audit.Tx, short time.Time, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, appointment_id::text from interpreters_due($1, $2, $3)`, tx.Now(), short, most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("visits that wait for interpreters: %w", err)
	}
	return out, nil
}
