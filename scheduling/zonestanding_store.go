package scheduling

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// zoneStanding is the standing decision of the scope's clinic; DecideLater if none was
// ever put on file.
func zoneStanding(ctx context.Context, tx *audit.Tx) (ZoneStanding, error) {
	out := ZoneStanding{Decision: DecideLater}
	err := tx.QueryRow(ctx, `
		select decision, version, changed_by::text, changed_at
		from zone_standing
		where organization_id = $1`, tx.Scope.Organization).Scan(&out.Decision, &out.Version, &out.By, &out.At)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("read standing decision: %w", err)
	}
	out.At = out.At.UTC()
	return out, nil
}

func saveZoneStanding(ctx context.Context, tx *audit.Tx, z ZoneStanding) error {
	tag, err := tx.Exec(ctx, `
		insert into zone_standing as had (organization_id, decision, version, changed_by, changed_at)
		select @organization, @decision, 1, @by, @now where @version = 1
		on conflict on constraint zone_standing_pkey do nothing`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "decision": string(z.Decision), "version": z.Version, "by": string(z.By), "now": z.At})
	if err == nil && tag.RowsAffected() == 0 {
		tag, err = tx.Exec(ctx, `
			update zone_standing
			set decision = @decision, version = @version, changed_by = @by, changed_at = @now
			where organization_id = @organization and version = @version - 1`,
			pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "decision": string(z.Decision), "version": z.Version, "by": string(z.By), "now": z.At})
	}
	if err != nil {
		return fmt.Errorf("save standing decision: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrVersion
	}
	return nil
}

func zonesDue(ctx context.Context, tx *audit.Tx, soon any, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, item_id::text from zone_due($1, $2)`, soon, most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("undecided visits: %w", err)
	}
	return out, nil
}

// markZoneAlerted notes that those who arrange are told; false if they were, or if the
// item is over.
func markZoneAlerted(ctx context.Context, tx *audit.Tx, id string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update zone_update_item
		set alerted_at = $3
		where organization_id = $1 and id = $2 and alerted_at is null and state in ('pending', 'conflict')`, tx.Scope.Organization, id, tx.Now())
	if err != nil {
		return false, fmt.Errorf("note an alert: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

func markZoneConflict(ctx context.Context, tx *audit.Tx, id string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update zone_update_item
		set state = 'conflict'
		where organization_id = $1 and id = $2 and state = 'pending'`, tx.Scope.Organization, id)
	if err != nil {
		return false, fmt.Errorf("note a conflict: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// markZoneStanding notes that an item was settled by what was decided in advance.
func markZoneStanding(ctx context.Context, tx *audit.Tx, id string) error {
	_, err := tx.Exec(ctx, `
		update zone_update_item
		set standing = true
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id)
	if err != nil {
		return fmt.Errorf("note a standing decision: %w", err)
	}
	return nil
}

func zonesDecided(ctx context.Context, tx *audit.Tx, most int) ([]DecidedZone, error) {
	rows, _ := tx.Query(ctx, `
		select `+zoneItemColumns+`, i.state, coalesce(i.decided_by::text, ''), i.standing, i.decided_at
		from zone_update_item i
		join zone_update u on u.organization_id = i.organization_id and u.id = i.update_id
		where i.organization_id = $1 and i.state in ('kept_wall', 'kept_instant') and i.decided_at is not null
		order by i.decided_at desc, i.id
		limit $2`, tx.Scope.Organization, most)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DecidedZone, error) {
		var d DecidedZone
		var state string
		i, err := scanZoneItemAnd(row, &state, &d.By, &d.Standing, &d.At)
		d.ZoneItem, d.At, d.Decision = i, d.At.UTC(), KeepInstant
		if state == "kept_wall" {
			d.Decision = KeepWall
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("decided visits: %w", err)
	}
	return list, nil
}
