package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// times are what is known of when people are to be had: hours on file, what is taken
// and when they work, and what the scope's clinic asks of their rest.
type times struct {
	hours map[identity.PersonID]Availability
	busy  map[identity.PersonID][]Range // buffers inside
	sits  map[identity.PersonID][]Sit
	rest  RestRules
	// presence of the specialist: for the scope's clinic, and promised to another
	here      []place
	elsewhere []Range
}

func newTimes(n int) times {
	return times{hours: make(map[identity.PersonID]Availability, n), busy: make(map[identity.PersonID][]Range, n),
		sits: make(map[identity.PersonID][]Sit, n), rest: DefaultRest}
}

// queueTimes queues what is asked of people: their hours, and what is taken within the
// range, wider by the margin of rest. A clinic without limits of rest needs what is taken
// no wider than the longest buffer.
func queueTimes(b *pgx.Batch, tx *audit.Tx, people []identity.PersonID, from, to time.Time, out *times) {
	b.Queue(availabilitySQL, strs(people)).Query(func(rows pgx.Rows) error { return scanAvailabilities(rows, out.hours) })
	b.Queue(`
		select person_id, from_unix, to_unix, sits_from, sits_to, interprets
		from taken($1::uuid[], (
			select tstzrange($2::timestamptz - m.margin, $3::timestamptz + m.margin)
			from (select case when exists (
					select from rest_rules
					where organization_id = nullif($5, '')::uuid and between_days <= '0' and in_a_row <= '0' and interpret_day <= '0')
				then $7::interval else $6::interval end) as m(margin)), $4)`,
		strs(people), from, to, tx.Now(), tx.Scope.Organization, restMargin, maxBuffer).Query(func(rows pgx.Rows) error { return scanTaken(rows, out.busy, out.sits) })
}

// queueClinic queues the presence of the specialist within the range, with what a visit
// of the duration finds there, and what the scope's clinic asks of rest.
func queueClinic(b *pgx.Batch, tx *audit.Tx, specialist identity.PersonID, from, to time.Time, duration time.Duration, out *times) {
	b.Queue(presenceSQL, []string{string(specialist)}, from, to, tx.Scope.Organization, tx.Now(), int(duration/time.Minute)).Query(func(rows pgx.Rows) (err error) {
		out.here, out.elsewhere, err = scanPresence(rows)
		return err
	})
	b.Queue(restSQL, tx.Scope.Organization).QueryRow(func(row pgx.Row) error { return scanRest(row, &out.rest) })
}

// readTimes reads both in one round trip.
func readTimes(ctx context.Context, tx *audit.Tx, people []identity.PersonID, specialist identity.PersonID, from, to time.Time, duration time.Duration) (times, error) {
	out := newTimes(len(people))
	var b pgx.Batch
	queueTimes(&b, tx, people, from, to, &out)
	queueClinic(&b, tx, specialist, from, to, duration, &out)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return out, fmt.Errorf("read hours and what is taken: %w", err)
	}
	return out, nil
}

// takenLocked reads when people work, and lets nobody else seat them until the
// transaction ends.
func takenLocked(ctx context.Context, tx *audit.Tx, people []identity.PersonID, from, to time.Time) (busy map[identity.PersonID][]Range, sits map[identity.PersonID][]Sit, err error) {
	rows, err := tx.Query(ctx, `
		select person_id, from_unix, to_unix, sits_from, sits_to, interprets
		from taken_locked($1::uuid[], tstzrange($2, $3), $4)`, strs(people), from, to, tx.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("read what is taken: %w", err)
	}
	busy, sits = map[identity.PersonID][]Range{}, map[identity.PersonID][]Sit{}
	if err := scanTaken(rows, busy, sits); err != nil {
		return nil, nil, fmt.Errorf("read what is taken: %w", err)
	}
	return busy, sits, nil
}

func scanTaken(rows pgx.Rows, busy map[identity.PersonID][]Range, sits map[identity.PersonID][]Sit) error {
	var person string
	var a, b int64
	var s Sit
	_, err := pgx.ForEachRow(rows, []any{&person, &a, &b, &s.Start, &s.End, &s.Interprets}, func() error {
		id := identity.PersonID(person)
		busy[id] = append(busy[id], Range{time.Unix(a, 0).UTC(), time.Unix(b, 0).UTC()})
		sits[id] = append(sits[id], Sit{Range{s.Start.UTC(), s.End.UTC()}, s.Interprets})
		return nil
	})
	return err
}

const restSQL = `
	select between_days, in_a_row, break, interpret_day, version
	from rest_rules
	where organization_id = nullif($1, '')::uuid`

// scanRest leaves the defaults where a clinic said nothing.
func scanRest(row pgx.Row, into *RestRules) error {
	var r RestRules
	err := row.Scan(&r.Between, &r.InARow, &r.Break, &r.InterpretDay, &r.Version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err == nil:
		*into = r
	}
	return err
}

func saveRest(ctx context.Context, tx *audit.Tx, r RestRules, by identity.PersonID) error {
	tag, err := tx.Exec(ctx, `
		insert into rest_rules as had (organization_id, between_days, in_a_row, break, interpret_day, version, changed_by, changed_at)
		select @organization, @between, @row, @break, @day, 1, @by, @now
		where @version::int = 0 or exists (select from rest_rules where organization_id = @organization and version = @version)
		on conflict on constraint rest_rules_pkey do update
		set between_days = excluded.between_days, in_a_row = excluded.in_a_row, break = excluded.break, interpret_day = excluded.interpret_day,
			version = had.version + 1, changed_by = excluded.changed_by, changed_at = excluded.changed_at
		where had.version = @version`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "between": r.Between, "row": r.InARow, "break": r.Break, "day": r.InterpretDay,
			"version": r.Version, "by": null(by), "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("save rest rules: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrVersion
	}
	return nil
}
