package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func windowsUnfilled(ctx context.Context, tx *audit.Tx, soon time.Time, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, window_id::text from windows_unfilled($1, $2, $3)`, tx.Now(), soon, most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("windows to look at: %w", err)
	}
	return out, nil
}

// windowOf finds a window of the scope's clinic by its id.
func windowOf(ctx context.Context, tx *audit.Tx, id string) (of PresenceID, occurrence Wall, err error) {
	var at time.Time
	err = tx.QueryRow(ctx, `
		select presence_id::text, occurrence_local
		from presence_window
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id).Scan(&of, &at)
	return of, WallAt(time.UTC, at), oneRow(err)
}

// markLooked is true for the first who looks at a window.
func markLooked(ctx context.Context, tx *audit.Tx, id string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update presence_window
		set looked_at = $3
		where organization_id = $1 and id = $2 and looked_at is null`, tx.Scope.Organization, id, tx.Now())
	if err != nil {
		return false, fmt.Errorf("note that a window was looked at: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// presenceWindows are the windows of somebody for the clinic, and their times for others.
func presenceWindows(ctx context.Context, tx *audit.Tx, id identity.PersonID, within Range, clinic identity.OrganizationID) (here []place, elsewhere []Range, err error) {
	rows, err := tx.Query(ctx, presenceSQL, []string{string(id)}, within.Start, within.End, string(clinic), tx.Now(), 0)
	if err != nil {
		return nil, nil, fmt.Errorf("windows of %s: %w", id, err)
	}
	return scanPresence(rows)
}

func presencesOpen(ctx context.Context, tx *audit.Tx, most int, until time.Time) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, presence_id::text from presences_open($1, $2, $3)`, tx.Now(), until, most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("presences without a last date: %w", err)
	}
	return out, nil
}

// programMonth counts the windows of a presence whose occurrence lies within [from, to),
// and what took place in them.
func programMonth(ctx context.Context, tx *audit.Tx, p Presence, from, to Date) (ProgramMonth, error) {
	out := ProgramMonth{Presence: p.ID, Person: p.Person}
	err := tx.QueryRow(ctx, `
		select
			count(*) filter (where w.state in ('open', 'moved') and v.held > 0),
			count(*) filter (where w.state in ('open', 'moved') and v.held = 0 and upper(w.during) <= @now),
			count(*) filter (where w.state = 'moved'),
			count(*) filter (where w.state = 'canceled'),
			count(*) filter (where w.state = 'released'),
			count(*) filter (where w.state in ('open', 'moved') and v.held = 0 and upper(w.during) > @now),
			coalesce(sum(v.held), 0), coalesce(sum(v.minutes), 0)::int, coalesce(sum(v.ledger), 0)::int, coalesce(sum(v.ahead), 0),
			(select count(distinct a.case_id)
			 from presence_window x
			 join seat s on s.organization_id = x.organization_id and s.person_id = x.person_id and s.role = 'specialist' and s.during && x.during
			 join appointment a on a.organization_id = s.organization_id and a.id = s.appointment_id and x.during @> a.start_at and a.state = 'fulfilled'
			 where x.organization_id = @organization and x.presence_id = @presence and x.occurrence_local >= @from and x.occurrence_local < @to
			   and x.state in ('open', 'moved'))
		from presence_window w
		cross join lateral (
			select count(*) filter (where a.state = 'fulfilled') as held,
				count(*) filter (where s.released_at is null and a.state in ('pending', 'booked', 'needs_attention')) as ahead,
				sum(extract(epoch from a.duration) / 60) filter (where a.state = 'fulfilled') as minutes,
				sum((select sum(e.weight) from fair_hours_entry e where e.organization_id = a.organization_id and e.appointment_id = a.id))
					filter (where a.state = 'fulfilled') as ledger
			from seat s
			join appointment a on a.organization_id = s.organization_id and a.id = s.appointment_id
			where s.organization_id = w.organization_id and s.person_id = w.person_id and s.role = 'specialist' and s.during && w.during
			  and w.during @> a.start_at) v
		where w.organization_id = @organization and w.presence_id = @presence and w.occurrence_local >= @from and w.occurrence_local < @to`,
		pgx.StrictNamedArgs{"now": tx.Now(), "organization": string(p.Organization), "presence": string(p.ID), "from": Wall{Date: from}.asUTC(), "to": Wall{Date: to}.asUTC()}).
		Scan(&out.Held, &out.Unused, &out.Moved, &out.Canceled, &out.Released, &out.Planned, &out.Visits, &out.Minutes, &out.Ledger, &out.Scheduled, &out.Cases)
	if err != nil {
		return out, fmt.Errorf("count windows: %w", err)
	}
	return out, nil
}
