// Package migrations holds the schema in numbered SQL files and applies them with
// goose: forward only, one transaction each, under an advisory lock.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed *.sql
var files embed.FS

// Up applies what is missing as the owner of the schema and returns the version
// reached. It may run in several processes at once: one applies, the others wait.
func Up(ctx context.Context, ownerURL string) (int64, error) {
	version, err := with(ctx, ownerURL, func(p *goose.Provider) (int64, error) {
		if _, err := p.Up(ctx); err != nil {
			return 0, fmt.Errorf("migrate: %w", err)
		}
		return p.GetDBVersion(ctx)
	})
	if err != nil {
		return 0, err
	}
	return version, jobs(ctx, ownerURL)
}

// jobs applies River's own migrations, pinned to its version in go.mod, and lets
// the application's role use what they made.
func jobs(ctx context.Context, ownerURL string) error {
	pool, err := pgxpool.New(ctx, ownerURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	_, err = pool.Exec(ctx, `grant usage on all sequences in schema public to consilium_app`)
	return err
}

// Version is the schema version of a database.
func Version(ctx context.Context, url string) (int64, error) {
	return with(ctx, url, func(p *goose.Provider) (int64, error) { return p.GetDBVersion(ctx) })
}

// Newest is the schema version that this binary needs.
func Newest() (int64, error) {
	p, err := goose.NewProvider(goose.DialectPostgres, &sql.DB{}, files)
	if err != nil {
		return 0, err
	}
	sources := p.ListSources()
	return sources[len(sources)-1].Version, nil
}

func with(ctx context.Context, url string, f func(*goose.Provider) (int64, error)) (int64, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return 0, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithAllowOutofOrder(true))
	if err != nil {
		return 0, err
	}
	return f(p)
}
