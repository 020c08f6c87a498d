package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/localpg"
	"github.com/consilium-health/consilium/deploy/migrations"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/turn"
	"github.com/consilium-health/consilium/web/mail"
)

// app is the running service: what was started, in the order of its start. It is
// stopped in the opposite order.
type app struct {
	cfg  config
	log  *slog.Logger
	stop []func() // undo, newest last

	cluster       *localpg.Cluster // nil on a named database
	pool          *pgxpool.Pool
	db            *audit.DB
	signer        audit.Signer
	identity      *identity.Service
	credentialing *credentialing.Service
	workspace     *workspace.Service
	scheduling    *scheduling.Service
	sessions      *sessions.Service
	outbox        *mail.Outbox // nil unless demo
	engine        *sfu.Server  // nil on a cluster
	relay         *turn.Server // nil without one
	figures       *figures     // nil unless set
	draining      atomic.Bool  // from the first signal on
	media         sessions.Media
	listener      net.Listener
	server        *http.Server
}

// later registers what undoes a step of the start.
func (a *app) later(f func()) { a.stop = append(a.stop, f) }

func (a *app) close() {
	for i := len(a.stop) - 1; i >= 0; i-- {
		a.stop[i]()
	}
	a.stop = nil
}

// start brings everything up to serving. On an error nothing is left running.
func start(ctx context.Context, cfg config, log *slog.Logger) (*app, error) {
	a := &app{cfg: cfg, log: log}
	if err := a.start(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *app) start(ctx context.Context) (err error) {
	// The address first: a taken port is the likeliest refusal and the cheapest.
	if a.listener, err = net.Listen("tcp", a.cfg.Addr); err != nil {
		return fmt.Errorf("listen on %s: %w (give another address with --addr or CONSILIUM_ADDR)", a.cfg.Addr, err)
	}
	a.later(func() { _ = a.listener.Close() })
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"directories", a.directories},
		{"zones", a.openZones},
		{"database", a.openDatabase},
		{"keys", a.openKeys},
		{"services", a.openServices},
		{"media", a.openMedia},
		{"jobs", a.startJobs},
		{"figures", a.openFigures},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		a.log.DebugContext(ctx, "started", "step", step.name, "took", time.Since(began))
	}
	return nil
}

func (a *app) directories(context.Context) error {
	if err := os.MkdirAll(a.cfg.Data, 0o755); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// openZones takes the zone data that the operator names, if it is not older than the
// binary's.
func (a *app) openZones(context.Context) error {
	if a.cfg.ZoneInfo == "" {
		return nil
	}
	data, err := zoneinfo.ReadFile(a.cfg.ZoneInfo)
	if err == nil {
		err = zoneinfo.Use(data)
	}
	if err != nil {
		return fmt.Errorf("CONSILIUM_ZONEINFO: %w", err)
	}
	return nil
}

// openDatabase starts the private cluster or connects to the named database, and
// sees to it that the schema fits.
func (a *app) openDatabase(ctx context.Context) error {
	url := a.cfg.DatabaseURL
	if url == "" {
		cluster, err := localpg.Start(ctx, localpg.Config{
			Base: filepath.Join(a.cfg.Data, "database"), PGBin: a.cfg.PGBin, Durable: !a.cfg.demo, Log: a.log,
		})
		if err != nil {
			return err
		}
		a.cluster = cluster
		a.later(cluster.Stop)
		if _, err := migrations.Up(ctx, cluster.OwnerURL()); err != nil {
			return err
		}
		url = cluster.AppURL()
	}
	if err := checkDatabase(ctx, url); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	a.pool = pool
	a.later(pool.Close)
	return nil
}

// openKeys reads the log's signing key, making it on the first start. It lies apart
// from the database, readable by this account only.
func (a *app) openKeys(context.Context) error {
	file := filepath.Join(a.cfg.Data, "keys", "log.key")
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		origin := strings.TrimPrefix(strings.TrimPrefix(a.cfg.Origin, "https://"), "http://") + "/audit/1"
		secret, _, err := audit.GenerateKey(origin)
		if err != nil {
			return fmt.Errorf("log key: %w", err)
		}
		if err := os.WriteFile(file+".new", []byte(secret), 0o600); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
		raw = []byte(secret)
	} else if err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	a.signer, err = audit.NewSigner(strings.TrimSpace(string(raw)))
	return err
}

// openServices wires the rooms from the bottom up.
func (a *app) openServices(ctx context.Context) (err error) {
	a.db = audit.New(audit.Config{Pool: a.pool, Clock: a.cfg.now, Tell: mail.Tell})
	if err := a.db.CheckPolicies(ctx); err != nil {
		return err
	}
	if err := a.checkClock(ctx); err != nil {
		return err
	}
	if err := a.cfg.shareClock(); err != nil {
		return err
	}
	if a.identity, err = identity.New(identity.Config{
		DB: a.db, RPID: a.cfg.rpID(), RPName: "Consilium", Origins: []string{a.cfg.Origin}, Demo: a.cfg.demo,
	}); err != nil {
		return err
	}
	accepted, err := a.cfg.acceptance(a.db.Now())
	if err != nil {
		return err
	}
	blobs, err := workspace.OpenBlobs(filepath.Join(a.cfg.Data, "files"), filepath.Join(a.cfg.Data, "keys", "cases"))
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	vault, err := blobs.Vault()
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	scan := scanner(a.cfg.demo || a.cfg.bench)
	if a.credentialing, err = credentialing.New(credentialing.Config{
		DB: a.db, Identity: a.identity, Zones: scheduling.LoadZone, AcceptUnverified: accepted, Vault: vault, Scan: scan,
	}); err != nil {
		return err
	}
	if a.workspace, err = workspace.New(workspace.Config{
		DB: a.db, Identity: a.identity, Credentialing: a.credentialing, Blobs: blobs, Signer: a.signer,
		RPID: a.cfg.rpID(), Origins: []string{a.cfg.Origin}, Scan: scan, Demo: a.cfg.demo,
	}); err != nil {
		return err
	}
	a.scheduling, err = scheduling.New(scheduling.Config{
		DB: a.db, Identity: a.identity, Credentialing: a.credentialing, Cases: a.workspace, Origin: a.cfg.Origin,
	})
	return err
}

// clamdSocket is where Debian's clamav-daemon listens.
const clamdSocket = "/run/clamav/clamd.ctl"

// scanner looks for malware in files. The demonstration does without where none runs,
// and marks its files; serve waits for one.
func scanner(demo bool) workspace.Scanner {
	if _, err := os.Stat(clamdSocket); err != nil && demo {
		return nil
	}
	return workspace.Clamd{Socket: clamdSocket}
}

// acceptance is who takes unconfirmed rule packs upon themselves: in `demo` the
// demonstration itself.
func (c *config) acceptance(now time.Time) (*credentialing.Acceptance, error) {
	if c.demo {
		return &credentialing.Acceptance{By: "The demonstration", Until: now.AddDate(10, 0, 0)}, nil
	}
	if c.AcceptUnverified == "" {
		return nil, nil
	}
	by, until, ok := strings.Cut(c.AcceptUnverified, " until ")
	day, err := time.Parse(time.DateOnly, until)
	if !ok || err != nil || strings.TrimSpace(by) == "" {
		return nil, fmt.Errorf("CONSILIUM_ACCEPT_UNVERIFIED: %q is not NAME until YYYY-MM-DD", c.AcceptUnverified)
	}
	return &credentialing.Acceptance{By: by, Until: day}, nil
}

// startJobs starts the workers of background jobs.
func (a *app) startJobs(ctx context.Context) error {
	var sender mail.Sender
	texts, err := smsConfig(a.cfg)
	if err != nil {
		return err
	}
	if a.cfg.demo {
		a.outbox = mail.NewOutbox(a.db)
		sender = a.outbox
		if texts == nil {
			texts = a.outbox
		}
	} else {
		relay, err := smtpConfig(a.cfg)
		if err != nil {
			return err
		}
		smtp, err := mail.NewSMTP(relay)
		if err != nil {
			return err
		}
		sender = smtp
	}
	worker, err := mail.NewWorker(mail.Config{People: a.identity, Invitations: a.scheduling, Uploads: a.credentialing, Sender: sender, Origin: a.cfg.Origin, Clock: a.db.Now,
		Contacts: a.identity, SMS: texts})
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	river.AddWorker(workers, worker.Texts())
	client, err := river.NewClient(riverpgxv5.New(a.pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}}, Workers: workers, Logger: a.log,
		PeriodicJobs: a.periodic(workers),
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	// The client gets a context of its own: Ctrl-C must not cut a running job.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	a.later(func() {
		limit, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := client.Stop(limit); err != nil {
			a.log.Warn("jobs did not end in time", "error", err)
		}
	})
	a.followChanges(ctx)
	return nil
}

// ready tells whether requests can be served.
func (a *app) ready(ctx context.Context) error {
	if a.draining.Load() {
		return errDraining
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err })
}

// secret is random text for keys that live as long as the process.
func secret() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
