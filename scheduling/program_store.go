package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing/audit"
)

func insertPresence(ctx context.Context, tx *audit.Tx, p Presence) error {
	rule, err := json.Marshal(p.Rule)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into presence (id, organization_id, person_id, rule, anchor_zone, duration, ical_uid, ical_sequence, version, created_by, created_at, changed_at)
		values (@id, @organization, @person, @rule, @zone, @duration, @uid, @sequence, @version, @person, @now, @now)`,
		pgx.StrictNamedArgs{"id": string(p.ID), "organization": string(p.Organization), "person": string(p.Person), "rule": rule, "zone": p.AnchorZone,
			"duration": p.Duration, "uid": p.UID, "sequence": p.Sequence, "version": p.Version, "now": tx.Now()})
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.ConstraintName == "presence_organization_fkey" {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("insert presence: %w", err)
	}
	return nil
}

// insertWindows takes all windows in one statement, by start, and returns those it
// could take.
func insertWindows(ctx context.Context, tx *audit.Tx, p Presence) (map[Wall]bool, error) {
	n := len(p.Windows)
	id, local, from, to := make([]string, n), make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	begins, state, person, sequence := make([]time.Time, n), make([]string, n), make([]string, n), make([]int32, n)
	for i, w := range p.Windows {
		one, err := newID()
		if err != nil {
			return nil, err
		}
		id[i], local[i], from[i], to[i] = one, w.Occurrence.asUTC(), w.Start, w.End
		begins[i], state[i], person[i], sequence[i] = w.StartLocal.asUTC(), string(w.State), string(w.Person), int32(w.Sequence)
	}
	rows, err := tx.Query(ctx, `
		insert into presence_window (id, organization_id, presence_id, person_id, occurrence_local, start_local, during, tzdata_version,
			ical_sequence, state, changed_at)
		select w.id, @organization, @presence, w.person, w.local, w.begins, tstzrange(w.starts, w.ends), @tzdata, w.sequence, w.state, @now
		from unnest(@id::uuid[], @local::timestamp[], @starts::timestamptz[], @ends::timestamptz[], @begins::timestamp[], @state::text[], @person::uuid[], @sequence::int[])
			as w(id, local, starts, ends, begins, state, person, sequence)
		order by w.starts
		on conflict on constraint presence_no_overlap do nothing
		returning occurrence_local`,
		pgx.StrictNamedArgs{"organization": string(p.Organization), "presence": string(p.ID), "tzdata": ZoneVersion(),
			"now": tx.Now(), "id": id, "local": local, "starts": from, "ends": to, "begins": begins, "state": state, "person": person, "sequence": sequence})
	if err != nil {
		return nil, fmt.Errorf("insert windows: %w", err)
	}
	took := make(map[Wall]bool, n)
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&at}, func() error {
		took[WallAt(time.UTC, at)] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("insert windows: %w", err)
	}
	return took, nil
}

// presencesWhere reads presences that the scope may see, with their windows, oldest
// first. where is a condition of this package; it may use @id.
func presencesWhere(ctx context.Context, tx *audit.Tx, where string, id PresenceID) ([]Presence, error) {
	args := pgx.NamedArgs{"id": null(id)}
	rows, err := tx.Query(ctx, `
		select id::text, organization_id::text, person_id::text, rule, anchor_zone, duration, ical_uid, ical_sequence, version, created_at,
			capacity_cases, capacity_minutes, intake_hours, intake_by, unfilled, substitutes::text[]
		from presence
		where `+where, args)
	if err != nil {
		return nil, fmt.Errorf("read presences: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Presence, err error) {
		var rule []byte
		if err := row.Scan(&p.ID, &p.Organization, &p.Person, &rule, &p.AnchorZone, &p.Duration, &p.UID, &p.Sequence, &p.Version, &p.CreatedAt,
			&p.Program.Cases, &p.Program.Minutes, &p.Program.IntakeHours, &p.Program.Intake, &p.Program.Unfilled, &p.Program.Substitutes); err != nil {
			return p, err
		}
		p.CreatedAt = p.CreatedAt.UTC()
		return p, json.Unmarshal(rule, &p.Rule)
	})
	if err != nil {
		return nil, fmt.Errorf("read presences: %w", err)
	}
	return list, readWindows(ctx, tx, list)
}

// readWindows reads the windows of presences that the scope may see: a clinic all of its
// own, a person those in which they are there.
func readWindows(ctx context.Context, tx *audit.Tx, list []Presence) error {
	at := make(map[PresenceID]int, len(list))
	ids := make([]string, len(list))
	for i, p := range list {
		at[p.ID], ids[i] = i, string(p.ID)
		list[i].Windows = nil
	}
	rows, err := tx.Query(ctx, `
		select presence_id::text, occurrence_local, start_local, lower(during), upper(during), state, ical_sequence, person_id::text
		from presence_window
		where presence_id = any($1::uuid[])
		order by presence_id, occurrence_local`, ids)
	if err != nil {
		return fmt.Errorf("read windows: %w", err)
	}
	var of PresenceID
	var w Window
	var occurrence, local time.Time
	if _, err := pgx.ForEachRow(rows, []any{&of, &occurrence, &local, &w.Start, &w.End, &w.State, &w.Sequence, &w.Person}, func() error {
		one := w
		one.Occurrence, one.StartLocal, one.Start, one.End = WallAt(time.UTC, occurrence), WallAt(time.UTC, local), w.Start.UTC(), w.End.UTC()
		list[at[of]].Windows = append(list[at[of]].Windows, one)
		return nil
	}); err != nil {
		return fmt.Errorf("read windows: %w", err)
	}
	return nil
}

// saveWindow writes one window of a presence that is locked, and the presence.
func saveWindow(ctx context.Context, tx *audit.Tx, p Presence, w Window) error {
	_, err := tx.Exec(ctx, `
		update presence_window
		set start_local = @local, during = tstzrange(@starts::timestamptz, @ends::timestamptz), tzdata_version = @tzdata, ical_sequence = @sequence,
			state = @state, person_id = @person, changed_at = @now
		where organization_id = @organization and presence_id = @presence and occurrence_local = @occurrence`,
		pgx.StrictNamedArgs{"local": w.StartLocal.asUTC(), "starts": w.Start, "ends": w.End, "tzdata": ZoneVersion(), "sequence": w.Sequence,
			"state": string(w.State), "person": string(w.Person), "now": tx.Now(), "organization": string(p.Organization), "presence": string(p.ID), "occurrence": w.Occurrence.asUTC()})
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.ConstraintName == "presence_no_overlap" {
		return ErrSlotTaken
	}
	if err != nil {
		return fmt.Errorf("save window: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		update presence
		set ical_sequence = $3, version = version + 1, changed_at = $4
		where organization_id = $1 and id = $2`, string(p.Organization), string(p.ID), p.Sequence, tx.Now()); err != nil {
		return fmt.Errorf("save presence %s: %w", p.ID, err)
	}
	return nil
}

// presenceOf reads when a specialist is there for the scope's clinic, and when promised
// to another. Index of presence_no_overlap.
const presenceSQL = `
	select from_unix, to_unix, here, free, late, intake_by
	from presence_windows($1::uuid[], tstzrange($2, $3), $4, $5, $6)`

// place is a window of a presence for the scope's clinic.
type place struct {
	Range
	free bool   // another visit fits in
	late bool   // it is too late to place one
	by   Intake // who may place it
}

func scanPresence(rows pgx.Rows) (here []place, elsewhere []Range, err error) {
	var a, b int64
	var ours bool
	var p place
	_, err = pgx.ForEachRow(rows, []any{&a, &b, &ours, &p.free, &p.late, &p.by}, func() error {
		p.Range = Range{time.Unix(a, 0).UTC(), time.Unix(b, 0).UTC()}
		if ours {
			here = append(here, p)
		} else {
			elsewhere = append(elsewhere, p.Range)
		}
		return nil
	})
	return here, elsewhere, err
}
