package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/deploy/migrations"
)

// runMigrate brings a named database to the schema of this binary. It runs as the
// owner of the schema, apart from serve, which never migrates a named database.
func runMigrate(ctx context.Context, e environment, args []string) error {
	if _, err := parse(e, flags("migrate"), args); err != nil {
		return err
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	if c.MigrateURL == "" {
		return errors.New("CONSILIUM_MIGRATE_URL is not set: the database to migrate, as role consilium_owner (the private database migrates itself at start)")
	}
	version, err := migrations.Up(ctx, c.MigrateURL)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "schema version %d\n", version)
	return nil
}

// runCheck prints the configuration and says what is wrong with it.
func runCheck(ctx context.Context, e environment, args []string) error {
	if _, err := parse(e, flags("check"), args); err != nil {
		return err
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	c.print(e.out)
	if err := c.validate(); err != nil {
		return err
	}
	if c.DatabaseURL != "" {
		if err := checkDatabase(ctx, c.DatabaseURL); err != nil {
			return fmt.Errorf("DATABASE_URL: %w", err)
		}
		pool, err := pgxpool.New(ctx, c.DatabaseURL)
		if err != nil {
			return fmt.Errorf("DATABASE_URL: %w", err)
		}
		defer pool.Close()
		if err := audit.New(audit.Config{Pool: pool}).CheckPolicies(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(e.out, "\nthe configuration is complete")
	return nil
}

// checkDatabase tells whether the database has the schema of this binary, and the
// role none of the powers that would bypass it.
func checkDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var powers bool
	var role string
	if err := conn.QueryRow(ctx, `
		select rolname, rolsuper or rolbypassrls or rolcreaterole
		from pg_roles where rolname = current_user`).Scan(&role, &powers); err != nil {
		return err
	}
	if powers {
		return fmt.Errorf("role %s may bypass row policies: use consilium_app", role)
	}
	newest, err := migrations.Newest()
	if err != nil {
		return err
	}
	var version int64
	if err := conn.QueryRow(ctx, `select coalesce(max(version_id), 0) from goose_db_version where is_applied`).Scan(&version); err != nil {
		return fmt.Errorf("no schema there (%w): run consilium migrate", err)
	}
	if version < newest {
		return fmt.Errorf("schema version %d is older than this binary's %d: run consilium migrate", version, newest)
	}
	return nil
}
