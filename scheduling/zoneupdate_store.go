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
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// overlaps tells that a seat would have met another of its person.
func overlaps(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == "seat_no_overlap"
}

func isOneOf(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// keepEdition stores an edition once, so that what clocks read before a change can be
// told after it.
func keepEdition(ctx context.Context, tx *audit.Tx, d *zoneinfo.Data) error {
	var has bool
	if err := tx.QueryRow(ctx, `select exists (select from zone_edition where version = $1)`, d.Version()).Scan(&has); err != nil || has {
		return err
	}
	_, err := tx.Exec(ctx, `
		insert into zone_edition (version, archive, added_at)
		values ($1, $2, $3)
		on conflict (version) do nothing`, d.Version(), d.Archive(), tx.Now())
	if err != nil {
		return fmt.Errorf("keep edition: %w", err)
	}
	return nil
}

// edition is nil when it is not on file.
func edition(ctx context.Context, tx *audit.Tx, version string) (*zoneinfo.Data, error) {
	var raw []byte
	err := tx.QueryRow(ctx, `select archive from zone_edition where version = $1`, version).Scan(&raw)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("edition %s: %w", version, err)
	}
	return zoneinfo.Open(raw, version)
}

func zonesOvertaken(ctx context.Context, tx *audit.Tx, version string) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, update_id::text from zone_overtaken($1)`, version)
	return byClinic(rows)
}

func zonesStale(ctx context.Context, tx *audit.Tx, version string, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, appointment_id::text from zone_stale($1, $2, $3)`, version, tx.Now(), most)
	return byClinic(rows)
}

func lockStale(ctx context.Context, tx *audit.Tx, ids []string, version string) ([]Appointment, error) {
	return appointmentsWhere(ctx, tx, `organization_id = @organization and id = any(@ids::uuid[]) and tzdata_version <> @version
		and start_at > @now and state in ('pending', 'booked', 'needs_attention') order by id for update`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "ids": ids, "version": version, "now": tx.Now()})
}

func noteEdition(ctx context.Context, tx *audit.Tx, ids []string, version string) error {
	_, err := tx.Exec(ctx, `
		update appointment
		set tzdata_version = $3
		where organization_id = $1 and id = any($2::uuid[])`, tx.Scope.Organization, ids, version)
	if err != nil {
		return fmt.Errorf("note edition: %w", err)
	}
	return nil
}

// openZoneUpdate returns the clinic's open update; fresh tells that it is new.
func openZoneUpdate(ctx context.Context, tx *audit.Tx, id, version string) (of string, fresh bool, err error) {
	tag, err := tx.Exec(ctx, `
		insert into zone_update (id, organization_id, version, found_at)
		values ($1, $2, $3, $4)
		on conflict (organization_id) where (closed_at is null) do nothing`, id, tx.Scope.Organization, version, tx.Now())
	if err != nil {
		return "", false, fmt.Errorf("open zone update: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return id, true, nil
	}
	err = tx.QueryRow(ctx, `
		select id::text
		from zone_update
		where organization_id = $1 and closed_at is null`, tx.Scope.Organization).Scan(&of)
	return of, false, err
}

// closeZoneUpdate ends an update, and what is left of it: visits that were moved or
// canceled by hand meanwhile.
func closeZoneUpdate(ctx context.Context, tx *audit.Tx, id string) error {
	if _, err := tx.Exec(ctx, `
		update zone_update_item
		set state = 'void'
		where organization_id = $1 and update_id = $2 and state in ('pending', 'conflict')`, tx.Scope.Organization, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		update zone_update
		set closed_at = $3
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id, tx.Now())
	return err
}

// widen keeps the people of a visit for its old and its new time. Where somebody is
// not free for both, nothing is widened and it is a conflict.
func widen(ctx context.Context, tx *audit.Tx, a Appointment, delta time.Duration) (conflict bool, err error) {
	if delta == 0 {
		return false, nil
	}
	point, err := tx.Begin(ctx)
	if err != nil {
		return false, err
	}
	_, err = point.Exec(ctx, `
		update seat
		set during = tstzrange(lower(during) + least($3::interval, interval '0'), upper(during) + greatest($3::interval, interval '0'))
		where organization_id = $1 and appointment_id = $2 and released_at is null`, string(a.Organization), string(a.ID), delta)
	if overlaps(err) {
		return true, point.Rollback(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("widen seats: %w", err)
	}
	return false, point.Commit(ctx)
}

// settleSeats gives the seats of a listed visit the one time that was decided.
func settleSeats(ctx context.Context, tx *audit.Tx, i ZoneItem, d ZoneDecision) error {
	delta := i.delta()
	if delta == 0 {
		return nil
	}
	widened := []string{}
	for _, p := range i.Parties {
		if p.Widened {
			widened = append(widened, string(p.Seat))
		}
	}
	// Who was seated since the visit was listed has its old time only.
	sql := `
		update seat
		set during = tstzrange(lower(during) - least($4::interval, interval '0'), upper(during) - greatest($4::interval, interval '0'))
		where organization_id = $1 and appointment_id = $2 and released_at is null and id = any($3::uuid[])`
	if d == KeepWall {
		sql = `
		update seat
		set during = case when id = any($3::uuid[])
			then tstzrange(lower(during) + greatest($4::interval, interval '0'), upper(during) + least($4::interval, interval '0'))
			else tstzrange(lower(during) + $4::interval, upper(during) + $4::interval) end
		where organization_id = $1 and appointment_id = $2 and released_at is null`
	}
	_, err := tx.Exec(ctx, sql, tx.Scope.Organization, string(i.Appointment), widened, delta)
	if overlaps(err) {
		return ErrSlotTaken
	}
	if err != nil {
		return fmt.Errorf("settle seats: %w", err)
	}
	return nil
}

func insertZoneItem(ctx context.Context, tx *audit.Tx, i ZoneItem) error {
	parties, err := json.Marshal(i.Parties)
	if err != nil {
		return err
	}
	// One of another time, from before the visit was moved by hand, is over.
	if _, err := tx.Exec(ctx, `
		update zone_update_item
		set state = 'void'
		where organization_id = $1 and appointment_id = $2 and state in ('pending', 'conflict')`, tx.Scope.Organization, string(i.Appointment)); err != nil {
		return fmt.Errorf("end zone item: %w", err)
	}
	state := "pending"
	if i.Conflict {
		state = "conflict"
	}
	_, err = tx.Exec(ctx, `
		insert into zone_update_item (id, organization_id, update_id, appointment_id, from_version, old_start, new_start, parties, state)
		values (@id, @organization, @update, @appointment, @from, @old, @new, @parties, @state)`,
		pgx.StrictNamedArgs{"id": i.ID, "organization": tx.Scope.Organization, "update": i.Update, "appointment": string(i.Appointment),
			"from": i.From, "old": i.OldStart, "new": i.NewStart, "parties": parties, "state": state})
	if err != nil {
		return fmt.Errorf("insert zone item: %w", err)
	}
	return nil
}

const zoneItemColumns = `
	i.id::text, i.update_id::text, i.appointment_id::text, i.from_version, u.version, i.old_start, i.new_start, i.parties, i.state = 'conflict'`

func scanZoneItem(row pgx.CollectableRow) (ZoneItem, error) { return scanZoneItemAnd(row) }

func scanZoneItemAnd(row pgx.CollectableRow, more ...any) (ZoneItem, error) {
	var i ZoneItem
	var parties []byte
	err := row.Scan(append([]any{&i.ID, &i.Update, &i.Appointment, &i.From, &i.To, &i.OldStart, &i.NewStart, &parties, &i.Conflict}, more...)...)
	if err != nil {
		return i, err
	}
	i.OldStart, i.NewStart = i.OldStart.UTC(), i.NewStart.UTC()
	return i, json.Unmarshal(parties, &i.Parties)
}

// zoneItems are the open items of an update, or of all of the clinic's, whose visits
// are still on and were not moved meanwhile.
func zoneItems(ctx context.Context, tx *audit.Tx, update string) ([]ZoneItem, error) {
	rows, _ := tx.Query(ctx, `
		select `+zoneItemColumns+`
		from zone_update_item i
		join zone_update u on u.organization_id = i.organization_id and u.id = i.update_id
		join appointment a on a.organization_id = i.organization_id and a.id = i.appointment_id
		where i.organization_id = $1 and i.state in ('pending', 'conflict') and ($2 = '' or i.update_id = nullif($2, '')::uuid)
		  and a.start_at = i.old_start and a.state in ('pending', 'booked', 'needs_attention')
		order by i.old_start, i.id`, tx.Scope.Organization, update)
	list, err := pgx.CollectRows(rows, scanZoneItem)
	if err != nil {
		return nil, fmt.Errorf("zone items: %w", err)
	}
	return list, nil
}

// zoneItemOf is an open item.
func zoneItemOf(ctx context.Context, tx *audit.Tx, id string) (ZoneItem, error) {
	rows, _ := tx.Query(ctx, `
		select `+zoneItemColumns+`
		from zone_update_item i
		join zone_update u on u.organization_id = i.organization_id and u.id = i.update_id
		where i.organization_id = $1 and i.id = $2 and i.state in ('pending', 'conflict')`, tx.Scope.Organization, id)
	i, err := pgx.CollectExactlyOneRow(rows, scanZoneItem)
	return i, oneRow(err)
}

func endZoneItem(ctx context.Context, tx *audit.Tx, id, state, by string) error {
	var at any
	if by != "" {
		at = tx.Now()
	}
	_, err := tx.Exec(ctx, `
		update zone_update_item
		set state = $3, decided_by = $4, decided_at = $5
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id, state, null(identity.PersonID(by)), at)
	if err != nil {
		return fmt.Errorf("end zone item: %w", err)
	}
	return nil
}

// askAnew forgets the answers of those whose clock reads another time than they
// agreed to.
func askAnew(ctx context.Context, tx *audit.Tx, a Appointment, seats []string) error {
	_, err := tx.Exec(ctx, `
		update seat
		set response = 'needs-action', responded_at = null
		where organization_id = $1 and appointment_id = $2 and id = any($3::uuid[])`, string(a.Organization), string(a.ID), seats)
	if err != nil {
		return fmt.Errorf("ask anew: %w", err)
	}
	return nil
}

// saveClock writes the time of an appointment, by which edition it was derived, and
// its state.
func saveClock(ctx context.Context, tx *audit.Tx, a Appointment) error {
	_, err := tx.Exec(ctx, `
		update appointment
		set start_local = @local, start_at = @start, tzdata_version = @tzdata, ical_sequence = @sequence, state = @state,
			version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"local": a.StartLocal.asUTC(), "start": a.StartAt, "tzdata": a.ZoneVersion, "sequence": a.Sequence,
			"state": string(a.State), "now": tx.Now(), "organization": string(a.Organization), "id": string(a.ID)})
	if err != nil {
		return fmt.Errorf("save clock of appointment %s: %w", a.ID, err)
	}
	return nil
}
