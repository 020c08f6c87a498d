package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// RolesOfAllTx is RolesOfTx of several people with one query.
func (s *Service) RolesOfAllTx(ctx context.Context, tx *audit.Tx, ids ...PersonID) (map[PersonID][]Grant, error) {
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		if isID(string(id)) {
			list = append(list, string(id))
		}
	}
	rows, err := tx.Query(ctx, `
		select g.person_id::text, g.id::text, coalesce(g.organization_id::text, ''), g.role, g.valid_from, g.valid_until
		from role_grant g
		where g.person_id = any($1) and g.valid_from <= $2 and (g.valid_until is null or g.valid_until > $2)
		order by g.valid_from, g.id`, list, tx.Now()) // role_grant_person
	if err != nil {
		return nil, fmt.Errorf("roles of people: %w", err)
	}
	out := map[PersonID][]Grant{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var person PersonID
		var g Grant
		var until *time.Time
		if err := row.Scan(&person, &g.ID, &g.Organization, &g.Role, &g.From, &until); err != nil {
			return struct{}{}, err
		}
		g.From = g.From.UTC()
		if until != nil {
			g.Until = until.UTC()
		}
		out[person] = append(out[person], g)
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("roles of people: %w", err)
	}
	return out, nil
}
