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
)

// panels reads one panel of the scope's clinic, or all for "". lock lets one give turns
// at a time.
func panels(ctx context.Context, tx *audit.Tx, id PanelID, lock bool) ([]Panel, error) {
	q := `
		select p.id::text, p.name, p.specialty, p.version,
			array(select m.person_id::text from panel_member m where m.panel_id = p.id order by m.position, m.person_id),
			array(select m.share from panel_member m where m.panel_id = p.id order by m.position, m.person_id),
			array(select m.paused from panel_member m where m.panel_id = p.id order by m.position, m.person_id)
		from panel p
		where p.organization_id = $1 and ($2::uuid is null or p.id = $2)
		order by p.name`
	if lock {
		q += ` for update of p`
	}
	rows, _ := tx.Query(ctx, q, tx.Scope.Organization, null(id))
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Panel, err error) {
		var members []string
		var shares []int
		var paused []bool
		err = row.Scan(&p.ID, &p.Name, &p.Specialty, &p.Version, &members, &shares, &paused)
		p.Shares, p.Paused = map[identity.PersonID]int{}, map[identity.PersonID]bool{}
		for i, m := range members {
			id := identity.PersonID(m)
			p.Members = append(p.Members, id)
			if p.Shares[id] = shares[i]; paused[i] {
				p.Paused[id] = true
			}
		}
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read panels: %w", err)
	}
	return list, nil
}

func savePanel(ctx context.Context, tx *audit.Tx, p Panel, by identity.PersonID) error {
	tag, err := tx.Exec(ctx, `
		insert into panel as had (id, organization_id, name, specialty, version, created_by, created_at, changed_at)
		select @id, @organization, @name, @specialty, 1, @by, @now, @now
		where @version::int = 0 or exists (select from panel where organization_id = @organization and id = @id and version = @version)
		on conflict on constraint panel_pkey do update
		set name = excluded.name, specialty = excluded.specialty, version = had.version + 1, changed_at = excluded.changed_at
		where had.version = @version`,
		pgx.StrictNamedArgs{"id": string(p.ID), "organization": tx.Scope.Organization, "name": p.Name, "specialty": p.Specialty, "version": p.Version, "by": null(by), "now": tx.Now()})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "panel_name_once" {
		return &PanelField{Field: "taken"}
	}
	if err != nil {
		return fmt.Errorf("save panel: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrVersion
	}
	shares, paused := make([]int, len(p.Members)), make([]bool, len(p.Members))
	for i, id := range p.Members {
		shares[i], paused[i] = p.Share(id), p.Paused[id]
	}
	if _, err := tx.Exec(ctx, `delete from panel_member where organization_id = $1 and panel_id = $2`, tx.Scope.Organization, string(p.ID)); err != nil {
		return fmt.Errorf("save members: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		insert into panel_member (organization_id, panel_id, person_id, position, share, paused)
		select $1, $2, m.person, m.position, m.share, m.paused
		from unnest($3::uuid[], $4::int[], $5::boolean[]) with ordinality as m(person, share, paused, position)`,
		tx.Scope.Organization, string(p.ID), strs(p.Members), shares, paused); err != nil {
		return fmt.Errorf("save members: %w", err)
	}
	stated, err := json.Marshal(panelStated{p.Name, p.Specialty, p.Members, p.Shares, p.Paused})
	if err != nil {
		return fmt.Errorf("write panel: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		insert into panel_version (organization_id, panel_id, version, stated, changed_by, changed_at)
		values (@organization, @id, @version, @stated, @by, @now)`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": string(p.ID), "version": p.Version + 1, "stated": string(stated), "by": null(by),
			"now": tx.Now()}); err != nil {
		return fmt.Errorf("keep what a panel was: %w", err)
	}
	return nil
}

// panelStated is a panel as its history keeps it.
type panelStated struct {
	Name      string                     `json:"name"`
	Specialty string                     `json:"specialty"`
	Members   []identity.PersonID        `json:"members"`
	Shares    map[identity.PersonID]int  `json:"shares"`
	Paused    map[identity.PersonID]bool `json:"paused"`
}

// panelVersions is what a panel of the scope's clinic was, the latest first.
func panelVersions(ctx context.Context, tx *audit.Tx, id PanelID) ([]PanelVersion, error) {
	rows, _ := tx.Query(ctx, `
		select version, stated, coalesce(changed_by::text, ''), changed_at
		from panel_version
		where organization_id = $1 and panel_id = $2
		order by version desc
		limit 100`, tx.Scope.Organization, string(id)) // panel_version_pkey
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v PanelVersion, err error) {
		var stated []byte
		if err := row.Scan(&v.Version, &stated, &v.By, &v.At); err != nil {
			return v, err
		}
		var p panelStated
		err = json.Unmarshal(stated, &p)
		v.ID, v.At = id, v.At.UTC()
		v.Name, v.Specialty, v.Members, v.Shares, v.Paused = p.Name, p.Specialty, p.Members, p.Shares, p.Paused
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what a panel was: %w", err)
	}
	return list, nil
}

// turns counts what each member got. Index panel_turn_member.
func turns(ctx context.Context, tx *audit.Tx, p Panel, since time.Time) ([]Considered, error) {
	rows, _ := tx.Query(ctx, `
		select m.id::text, count(t.id) filter (where t.at >= $4)::int, max(t.at)
		from unnest($3::uuid[]) as m(id)
		left join panel_turn t on t.organization_id = $1 and t.panel_id = $2 and t.person_id = m.id
		group by m.id`, tx.Scope.Organization, string(p.ID), strs(p.Members), since)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Considered, err error) {
		err = row.Scan(&c.Person, &c.Given, &c.Last)
		c.Share = p.Share(c.Person)
		if c.Last != nil {
			at := c.Last.UTC()
			c.Last = &at
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("count turns: %w", err)
	}
	return list, nil
}

func insertTurn(ctx context.Context, tx *audit.Tx, t Turn, key string, by identity.PersonID) error {
	considered, err := jsonList(t.Considered)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into panel_turn (id, organization_id, panel_id, case_id, kind, person_id, considered, key, created_by, at)
		values (@id, @organization, @panel, @case, @kind, @person, @considered, @key, @by, @at)`,
		pgx.StrictNamedArgs{"id": string(t.ID), "organization": tx.Scope.Organization, "panel": string(t.Panel), "case": string(t.Case), "kind": string(t.Kind),
			"person": string(t.Person), "considered": considered, "key": key, "by": null(by), "at": t.At})
	if err != nil {
		return fmt.Errorf("note turn: %w", err)
	}
	return nil
}

// turnWhere reads one turn of the scope's clinic, which is $1. where is a condition of
// this package.
func turnWhere(ctx context.Context, tx *audit.Tx, where string, args ...any) (t Turn, err error) {
	var considered []byte
	err = tx.QueryRow(ctx, `
		select id::text, panel_id::text, case_id::text, kind, person_id::text, considered, at
		from panel_turn
		where organization_id = $1 and `+where, append([]any{tx.Scope.Organization}, args...)...).
		Scan(&t.ID, &t.Panel, &t.Case, &t.Kind, &t.Person, &considered, &t.At)
	if err != nil {
		return Turn{}, oneRow(err)
	}
	t.At = t.At.UTC()
	return t, json.Unmarshal(considered, &t.Considered)
}
