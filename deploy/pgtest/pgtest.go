// Package pgtest gives each test a fresh PostgreSQL database with the whole schema.
//
// The first call in a test process starts a private cluster (package localpg),
// migrates a template once, and every call clones it in under a tenth of a second.
// The cluster ends with the process. CONSILIUM_TEST_DATABASE_URL, a superuser's
// URL, makes the tests run on that server instead.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consilium-health/consilium/deploy/localpg"
	"github.com/consilium-health/consilium/deploy/migrations"
)

// DB is the database of one test. It is dropped when the test ends.
type DB struct {
	Pool     *pgxpool.Pool // as the application's role: row policies apply
	URL      string        // of the application's role
	OwnerURL string        // of the owner of the schema
	AdminURL string        // of a superuser: for looking behind the policies
}

// server is what databases are made on.
type server struct {
	admin    string                             // superuser's URL of the database "postgres"
	url      func(role, database string) string // of the product's roles
	template string
}

var (
	once    sync.Once
	shared  server
	failure error
	count   atomic.Int64
)

// New returns a fresh database. A missing PostgreSQL fails the test.
func New(t testing.TB) *DB {
	t.Helper()
	once.Do(func() { shared, failure = start() })
	if failure != nil {
		t.Fatalf("pgtest: %v", failure)
	}
	ctx := context.Background()
	name := fmt.Sprintf("%s_%d", shared.template, count.Add(1))
	if err := shared.exec(ctx, "create database "+name+" owner "+localpg.OwnerRole+" template "+shared.template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	db := &DB{URL: shared.url(localpg.AppRole, name), OwnerURL: shared.url(localpg.OwnerRole, name), AdminURL: inDatabase(shared.admin, name)}
	config, err := pgxpool.ParseConfig(db.URL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	config.MaxConns = 16
	if db.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		db.Pool.Close()
		if err := shared.exec(ctx, "drop database "+name+" with (force)"); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return db
}

func start() (server, error) {
	ctx := context.Background()
	s, err := connect(ctx)
	if err != nil {
		return server{}, err
	}
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return server{}, err
	}
	s.template = "test_" + hex.EncodeToString(random)
	if err := s.exec(ctx, "create database "+s.template+" owner "+localpg.OwnerRole); err != nil {
		return server{}, err
	}
	_, err = migrations.Up(ctx, s.url(localpg.OwnerRole, s.template))
	return s, err
}

func connect(ctx context.Context) (server, error) {
	if named := os.Getenv("CONSILIUM_TEST_DATABASE_URL"); named != "" {
		return onNamed(ctx, named)
	}
	parent := filepath.Join("/tmp", fmt.Sprintf("consilium-pgtest-%d", os.Geteuid()))
	if err := os.MkdirAll(parent, 0o711); err != nil {
		return server{}, err
	}
	sweep(parent)
	cluster, err := localpg.Start(ctx, localpg.Config{Base: filepath.Join(parent, strconv.Itoa(os.Getpid()))})
	if err != nil {
		return server{}, err
	}
	return server{admin: cluster.AdminURL("postgres"), url: cluster.URL}, nil
}

// onNamed uses a server that is already there. The roles get a password of ours.
func onNamed(ctx context.Context, admin string) (server, error) {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return server{}, err
	}
	defer conn.Close(ctx)
	const password = "only-for-tests"
	if err := localpg.CreateRoles(ctx, conn, password, localpg.Database); err != nil {
		return server{}, err
	}
	return server{admin: admin, url: func(role, database string) string {
		u, err := url.Parse(inDatabase(admin, database))
		if err != nil {
			panic(err) // pgx parsed it before
		}
		u.User = url.UserPassword(role, password)
		return u.String()
	}}, nil
}

// sweep removes the directories of test processes that are gone.
func sweep(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		if raw, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid")); err == nil {
			first, _, _ := strings.Cut(string(raw), "\n")
			if server, err := strconv.Atoi(first); err == nil && syscall.Kill(server, 0) == nil {
				continue // still stopping; the next sweep takes it
			}
		}
		_ = os.RemoveAll(dir)
	}
}

func (s server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func inDatabase(raw, database string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err) // pgx parsed it before
	}
	u.Path = "/" + database
	return u.String()
}
