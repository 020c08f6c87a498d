package pgtest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/deploy/migrations"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

func TestDatabasesAreApartAndTheRoleHasNoPowers(t *testing.T) {
	a, b := pgtest.New(t), pgtest.New(t)
	if a.URL == b.URL {
		t.Fatal("two tests got one database")
	}
	var role string
	var powers bool
	if err := a.Pool.QueryRow(context.Background(), `
		select rolname, rolsuper or rolbypassrls from pg_roles where rolname = current_user`).Scan(&role, &powers); err != nil {
		t.Fatal(err)
	}
	if role != "consilium_app" || powers {
		t.Errorf("got role %s with powers %v", role, powers)
	}
}

// Every table of a clinic has forced row policies that check what is written too.
func TestClinicTablesHaveForcedPolicies(t *testing.T) {
	db := pgtest.New(t)
	conn, err := pgx.Connect(context.Background(), db.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), `
		select c.relname, c.relrowsecurity and c.relforcerowsecurity,
		       (select count(*) from pg_policy p where p.polrelid = c.oid),
		       (select count(*) from pg_policy p where p.polrelid = c.oid and p.polwithcheck is null and p.polcmd in ('*', 'a', 'w'))
		from pg_class c
		join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped
		where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	var table string
	var forced bool
	var policies, unchecked int
	seen := 0
	_, err = pgx.ForEachRow(rows, []any{&table, &forced, &policies, &unchecked}, func() error {
		seen++
		if slices.Contains(migrations.PlatformTables, table) {
			return nil
		}
		if !forced || policies == 0 {
			t.Errorf("%s: row policies forced %v, %d policies", table, forced, policies)
		}
		if unchecked > 0 {
			t.Errorf("%s: %d policies do not check what is written", table, unchecked)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no table with an organization")
	}
}
