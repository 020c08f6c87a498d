package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func saveClosedDays(ctx context.Context, tx *audit.Tx, by identity.PersonID, list []ClosedDay) error {
	if _, err := tx.Exec(ctx, `delete from closed_day where organization_id = $1`, tx.Scope.Organization); err != nil {
		return fmt.Errorf("forget closed days: %w", err)
	}
	days, names := make([]time.Time, len(list)), make([]string, len(list))
	for i, d := range list {
		days[i], names[i] = d.Date.utc(), d.Name
	}
	_, err := tx.Exec(ctx, `
		insert into closed_day (organization_id, day, name, changed_by, changed_at)
		select @organization, d.day, d.name, @by, @now
		from unnest(@days::date[], @names::text[]) as d(day, name)`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "by": null(by), "now": tx.Now(), "days": days, "names": names})
	if err != nil {
		return fmt.Errorf("save closed days: %w", err)
	}
	return nil
}

func closedDays(ctx context.Context, tx *audit.Tx, orgs []identity.OrganizationID) ([]ClosedDay, error) {
	rows, _ := tx.Query(ctx, `
		select organization_id::text, day, name
		from closed_day
		where organization_id = any($1::uuid[])
		order by organization_id, day`, strs(orgs))
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ClosedDay, err error) {
		var day time.Time
		err = row.Scan(&c.Organization, &day, &c.Name)
		c.Date = WallAt(time.UTC, day).Date
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read closed days: %w", err)
	}
	return list, nil
}
