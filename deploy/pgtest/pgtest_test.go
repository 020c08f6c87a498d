package pgtest_test

import (
	"context"
	"testing"

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
