package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consilium-health/consilium/credentialing/audit"
)

func TestSchemaKeepsTenantsApart(t *testing.T) {
	f := newLog(t)
	if err := f.CheckPolicies(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsEachHoleInTheSecondLock(t *testing.T) {
	f := newLog(t)
	for _, tc := range []struct{ do, want, undo string }{
		{`create table leak (organization_id uuid)`, "not forced on leak", `drop table leak`},
		{`create table leak (organization_id uuid); alter table leak enable row level security`, "not forced on leak", `drop table leak`},
		{`create table leak (organization_id uuid); alter table leak enable row level security; alter table leak force row level security`, "none on leak", `drop table leak`},
		{`create table leak (organization_id uuid); alter table leak enable row level security; alter table leak force row level security;
		  create policy p on leak using (true)`, "leak takes any row", `drop table leak`},
		{`create table leak (organization_id uuid); alter table leak enable row level security; alter table leak force row level security;
		  create policy p on leak using (organization_id is not null) with check (true)`, "leak takes any row", `drop table leak`},
		{`alter table audit_detail no force row level security`, "not forced on audit_detail", `alter table audit_detail force row level security`},
		{`create view leak as select * from audit_detail`, "the view leak reads as its owner", `drop view leak`},
		{`create materialized view leak as select * from audit_leaf`, "the materialized view leak", `drop materialized view leak`},
		{`create function leak() returns int language sql security definer as 'select 1'`, "the function leak runs as its owner", `drop function leak`},
		{`alter table audit_leaf owner to consilium_app`, "the role owns the table audit_leaf", `alter table audit_leaf owner to consilium_owner`},
	} {
		f.admin(t, tc.do)
		if err := f.CheckPolicies(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.do, err, tc.want)
		}
		f.admin(t, tc.undo)
		if err := f.CheckPolicies(t.Context()); err != nil {
			t.Errorf("after %s: %v", tc.undo, err)
		}
	}
	pool, err := pgxpool.New(t.Context(), f.pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := audit.New(audit.Config{Pool: pool}).CheckPolicies(t.Context()); err == nil || !strings.Contains(err.Error(), "skips row policies") {
		t.Errorf("as superuser: %v", err)
	}
}

// One connection serves clinics in turn, with errors and rollbacks between: the
// scope of one transaction never reaches the next.
func TestScopeNeverReachesTheNextBorrowerOfTheConnection(t *testing.T) {
	f := newLog(t)
	f.add(t, 3, clinicA)
	f.add(t, 5, clinicB)
	config, err := pgxpool.ParseConfig(f.pg.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	db := audit.New(audit.Config{Pool: pool})
	ctx := t.Context()
	scopes := []struct {
		organization string
		want         int
	}{{clinicA, 3}, {"", 0}, {clinicB, 5}, {clinicB, 5}, {"", 0}, {clinicA, 3}}
	undone := fmt.Errorf("undone")
	for i := range 3000 {
		s := scopes[i%len(scopes)]
		err := db.Write(ctx, audit.Scope{Organization: s.organization}, func(tx *audit.Tx) error {
			var n int
			if err := tx.QueryRow(ctx, `select count(*) from audit_detail`).Scan(&n); err != nil {
				return err
			}
			if n != s.want {
				return fmt.Errorf("round %d: %q sees %d details, want %d", i, s.organization, n, s.want)
			}
			switch i % 5 {
			case 1:
				return undone
			case 2:
				_, err := tx.Exec(ctx, `select 1/0`)
				if err == nil {
					return fmt.Errorf("divided by zero")
				}
				return undone
			}
			return nil
		})
		if err != nil && err != undone {
			t.Fatal(err)
		}
		if i%100 == 0 {
			// Outside the helper nothing is readable at all.
			if _, err := pool.Exec(ctx, `select count(*) from audit_detail`); err == nil {
				t.Fatal("read without a scope")
			}
		}
	}
}
