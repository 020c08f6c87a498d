package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func saveProgram(ctx context.Context, tx *audit.Tx, p Presence) error {
	r := p.Program
	_, err := tx.Exec(ctx, `
		update presence
		set capacity_cases = @cases, capacity_minutes = @minutes, intake_hours = @hours, intake_by = @by, unfilled = @unfilled,
			substitutes = @substitutes::uuid[], version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"cases": r.Cases, "minutes": r.Minutes, "hours": r.IntakeHours, "by": string(r.Intake), "unfilled": string(r.Unfilled),
			"substitutes": strs(r.Substitutes), "now": tx.Now(), "organization": string(p.Organization), "id": string(p.ID)})
	if err != nil {
		return fmt.Errorf("save rules of presence %s: %w", p.ID, err)
	}
	return nil
}

// lockPlace tells whether the window of limited capacity in which a start lies, if any,
// has a place left, and keeps others from taking it.
func lockPlace(ctx context.Context, tx *audit.Tx, specialist identity.PersonID, start time.Time, duration time.Duration) (bool, error) {
	var window string
	var cases, minutes int
	err := tx.QueryRow(ctx, `
		select w.id::text, r.capacity_cases, r.capacity_minutes
		from presence_window w
		join presence r on r.organization_id = w.organization_id and r.id = w.presence_id
		where w.organization_id = $1 and w.person_id = $2 and w.during @> $3::timestamptz and w.state in ('open', 'moved')
		  and r.capacity_cases + r.capacity_minutes > 0`, tx.Scope.Organization, string(specialist), start).Scan(&window, &cases, &minutes)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("window of a start: %w", err)
	}
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 107))`, window); err != nil {
		return false, fmt.Errorf("keep a place: %w", err)
	}
	var visits int
	var booked time.Duration
	err = tx.QueryRow(ctx, `
		select count(*), coalesce(sum(a.duration), interval '0')
		from presence_window w
		join seat s on s.organization_id = w.organization_id and s.person_id = w.person_id and s.role = 'specialist' and s.during && w.during
			and s.released_at is null and (s.expires_at is null or s.expires_at > $2)
		join appointment a on a.organization_id = s.organization_id and a.id = s.appointment_id and w.during @> a.start_at
		where w.organization_id = $1 and w.id = $3`, tx.Scope.Organization, tx.Now(), window).Scan(&visits, &booked)
	if err != nil {
		return false, fmt.Errorf("what is booked in a window: %w", err)
	}
	return (cases == 0 || visits < cases) && (minutes == 0 || booked+duration <= time.Duration(minutes)*time.Minute), nil
}

// fillsOf counts what is booked in the windows of a presence.
func fillsOf(ctx context.Context, tx *audit.Tx, p Presence) (map[Wall]Fill, error) {
	rows, _ := tx.Query(ctx, `
		select w.occurrence_local, count(*), coalesce(sum(extract(epoch from a.duration) / 60), 0)::int
		from presence_window w
		join seat s on s.organization_id = w.organization_id and s.person_id = w.person_id and s.role = 'specialist' and s.during && w.during
			and s.released_at is null and (s.expires_at is null or s.expires_at > $3)
		join appointment a on a.organization_id = s.organization_id and a.id = s.appointment_id and w.during @> a.start_at
		where w.organization_id = $1 and w.presence_id = $2
		group by w.occurrence_local`, string(p.Organization), string(p.ID), tx.Now())
	out := map[Wall]Fill{}
	var at time.Time
	var f Fill
	if _, err := pgx.ForEachRow(rows, []any{&at, &f.Visits, &f.Minutes}, func() error {
		out[WallAt(time.UTC, at)] = f
		return nil
	}); err != nil {
		return nil, fmt.Errorf("what is booked in windows: %w", err)
	}
	return out, nil
}

// savePresence writes rule, length and sequence of a presence that is locked.
func savePresence(ctx context.Context, tx *audit.Tx, p Presence) error {
	rule, err := json.Marshal(p.Rule)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		update presence
		set rule = @rule, duration = @duration, ical_sequence = @sequence, version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"rule": rule, "duration": p.Duration, "sequence": p.Sequence, "now": tx.Now(), "organization": string(p.Organization), "id": string(p.ID)})
	if err != nil {
		return fmt.Errorf("save presence %s: %w", p.ID, err)
	}
	return nil
}

func occurrenceTimes(list []Window) []time.Time {
	out := make([]time.Time, len(list))
	for i, w := range list {
		out[i] = w.Occurrence.asUTC()
	}
	return out
}

func deleteWindows(ctx context.Context, tx *audit.Tx, p Presence, list []Window) error {
	_, err := tx.Exec(ctx, `
		delete from presence_window
		where organization_id = $1 and presence_id = $2 and occurrence_local = any($3::timestamp[])`, string(p.Organization), string(p.ID), occurrenceTimes(list))
	if err != nil {
		return fmt.Errorf("take out windows: %w", err)
	}
	return nil
}

func cancelWindows(ctx context.Context, tx *audit.Tx, p Presence) error {
	_, err := tx.Exec(ctx, `
		update presence_window
		set state = 'canceled', changed_at = $3
		where organization_id = $1 and presence_id = $2`, string(p.Organization), string(p.ID), tx.Now())
	if err != nil {
		return fmt.Errorf("cancel windows: %w", err)
	}
	return nil
}

// visitsIn are the times of the visits that are booked in windows, without buffers.
func visitsIn(ctx context.Context, tx *audit.Tx, p Presence, list []Window) ([]Range, error) {
	rows, _ := tx.Query(ctx, `
		select distinct a.start_at, a.start_at + a.duration
		from presence_window w
		join seat s on s.organization_id = w.organization_id and s.person_id = w.person_id and s.role = 'specialist' and s.during && w.during
			and s.released_at is null and (s.expires_at is null or s.expires_at > $4)
		join appointment a on a.organization_id = s.organization_id and a.id = s.appointment_id and w.during @> a.start_at
		where w.organization_id = $1 and w.presence_id = $2 and w.occurrence_local = any($3::timestamp[]) and w.state in ('open', 'moved')
		order by 1`, string(p.Organization), string(p.ID), occurrenceTimes(list), tx.Now())
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Range, err error) {
		err = row.Scan(&r.Start, &r.End)
		r.Start, r.End = r.Start.UTC(), r.End.UTC()
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("visits in windows: %w", err)
	}
	return out, nil
}
