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
