package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/embedded"
	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/roomservice"
	sfusignal "github.com/consilium-health/consilium/sfu/signal"
	"github.com/consilium-health/consilium/web"
	"github.com/consilium-health/consilium/web/mail"
)

// Limits of the HTTP server (reliability promise 22; security section 15).
const (
	headerLimit   = 5 * time.Second
	idleLimit     = 2 * time.Minute
	shutdownLimit = 10 * time.Second
)

// runServe starts the service as configured by the environment.
func runServe(ctx context.Context, e environment, args []string) error {
	if _, err := parse(e, flags("serve"), args); err != nil {
		return err
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	log, err := logger(e, c)
	if err != nil {
		return err
	}
	a, err := start(ctx, c, log)
	if err != nil {
		return err
	}
	defer a.close()
	fmt.Fprintf(e.out, "Consilium serves %s on %s; data in %s\n", c.Origin, a.listener.Addr(), c.Data)
	return a.run(ctx, nil)
}

// runDemo starts everything with the standing cast.
func runDemo(ctx context.Context, e environment, args []string) error {
	f := flags("demo")
	addr := f.String("addr", "", "where pages are served, host:port on loopback (default localhost:8080)")
	reset := f.Bool("reset", false, "forget everything and begin anew")
	data := f.String("data", "", "directory of the demonstration's data")
	file := f.String("cast", "", "file with other people than the standing cast; its form is that of cmd/consilium/standing.json")
	clock := f.String("clock", "", "what time it is when the demonstration starts, such as 2027-01-05T08:00:00Z; it then goes on as any clock")
	if _, err := parse(e, f, args); err != nil {
		return err
	}
	c, err := load(true, e.getenv)
	if err != nil {
		return err
	}
	if *clock != "" {
		if err := c.setClock(*clock); err != nil {
			return err
		}
	}
	who, err := readCast(*file)
	if err != nil {
		return err
	}
	if *addr != "" {
		c.Addr = *addr
	}
	if *data != "" {
		c.Data = *data
	}
	if c.LogLevel == "info" {
		c.LogLevel = "warn" // a person reads this terminal
	}
	if err := c.validate(); err != nil {
		return err
	}
	log, err := logger(e, c)
	if err != nil {
		return err
	}
	if *reset {
		if err := forget(c.Data); err != nil {
			return err
		}
	}
	a, err := start(ctx, c, log)
	if err != nil {
		return err
	}
	defer a.close()
	people, err := a.seed(ctx, who)
	if err != nil {
		return err
	}
	greet(e, a, who)
	return a.run(ctx, people)
}

// forget removes the demonstration's data, after looking that it is one.
func forget(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "database", "lock")); err != nil {
		return fmt.Errorf("%s does not hold a demonstration; nothing was removed", dir)
	}
	return os.RemoveAll(dir)
}

// greet tells a person at the terminal what to do next.
func greet(e environment, a *app, who *castFile) {
	fmt.Fprintf(e.out, `
Consilium demonstration: everything and everybody here is invented.

  Open        %s/demo
  Mail        %s/outbox
  Data        %s  (kept; --reset begins anew)

The cast, each with one click at the first address:
`, a.cfg.Origin, a.cfg.Origin, a.cfg.Data)
	for _, p := range who.People {
		org := ""
		for _, o := range who.Organizations {
			if o.Key == p.Organization {
				org = o.Name
			}
		}
		fmt.Fprintf(e.out, "  %-22s %-22s %s, %s\n", p.Name, strings.ReplaceAll(p.Title, "_", " "), org, p.Zone)
	}
	fmt.Fprintf(e.out, `
To be several people at once, use a private window or another browser for each.
Ctrl-C stops.
`)
}

func logger(e environment, c config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("CONSILIUM_LOG: %q is not debug, info, warn or error", c.LogLevel)
	}
	return slog.New(slog.NewJSONHandler(e.err, &slog.HandlerOptions{Level: level})), nil
}

// openMedia starts the engine, or turns to the cluster named instead of it, and the
// live sessions on it.
func (a *app) openMedia(ctx context.Context) error {
	if err := a.openEngine(ctx); err != nil {
		return err
	}
	var err error
	a.sessions, err = sessions.New(sessions.Config{
		DB: a.db, Identity: a.identity, Credentialing: a.credentialing, Scheduling: a.scheduling, Workspace: a.workspace, Media: a.media, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.later(a.sessions.Close)
	return nil
}

func (a *app) openEngine(ctx context.Context) error {
	key, pass := a.cfg.MediaKey, a.cfg.MediaSecret
	if a.cfg.MediaURL != "" {
		cluster := livekit.New(livekit.Config{URL: a.cfg.MediaURL, Key: key, Secret: pass, Log: a.log})
		a.later(cluster.Stop)
		a.media = cluster
		return nil
	}
	var err error
	if key == "" {
		key = "embedded"
	}
	if pass == "" {
		if pass, err = secret(); err != nil {
			return err
		}
	}
	engine, relay, stop, err := openSFU(a.cfg, sfu.Config{UDP: a.cfg.MediaAddr, Key: key, Secret: pass, NodeID: "embedded", Log: a.log})
	if err != nil {
		return fmt.Errorf("media engine on %s: %w", a.cfg.MediaAddr, err)
	}
	a.later(stop)
	a.later(running(ctx, engine))
	a.engine, a.relay = engine, relay
	address := "ws" + strings.TrimPrefix(a.cfg.Origin, "http") // http: to ws:, https: to wss:
	a.media = embedded.New(embedded.Config{Server: engine, URL: func(sessions.SessionID) string { return address }})
	return nil
}

// connectSrc is what pages may connect to beside our own address: the cluster, by
// socket and, where its answers are asked for, by HTTP.
func (c *config) connectSrc() []string {
	if c.MediaURL == "" {
		return nil
	}
	return []string{c.MediaURL, "http" + strings.TrimPrefix(c.MediaURL, "ws")}
}

// handler mounts the engine's protocol beside the pages.
func (a *app) handler(people *cast) http.Handler {
	deps := web.Deps{
		Identity: a.identity, Credentialing: a.credentialing, Scheduling: a.scheduling, Workspace: a.workspace, Sessions: a.sessions,
		Outbox: a.outbox, PublicURL: a.cfg.Origin, Demo: a.cfg.demo, Ready: a.ready, TrustFile: a.trustFile,
		Checkpoint: a.db.LatestCheckpoint, ConnectSrc: a.cfg.connectSrc(), Texts: a.cfg.demo || a.cfg.SMSURL != "", Log: a.log, Clock: a.db.Now,
	}
	if people != nil {
		for _, p := range people.file.People {
			deps.Cast = append(deps.Cast, web.CastMember{Person: people.People[p.Key], Note: "cast." + p.Key, Patient: p.patient()})
		}
	}
	mux := http.NewServeMux()
	if a.engine != nil {
		rtc := sfusignal.Handler(sfusignal.Config{Server: a.engine})
		mux.Handle("/rtc", rtc)
		mux.Handle("/rtc/", rtc)
		mux.Handle("/twirp/", roomservice.Handler(a.engine))
	}
	mux.Handle("/", web.New(deps))
	return mux
}

// trustFile is what a verifier of bundles needs to know of this service.
func (a *app) trustFile(context.Context) ([]byte, error) {
	return json.MarshalIndent(a.workspace.Trust(), "", "  ")
}

// run serves until ctx ends, then stops in order: running consults may end, with their
// pages; no new requests, running ones end; the rest by close.
func (a *app) run(ctx context.Context, people *cast) error {
	a.server = &http.Server{
		Handler: a.figures.count(a.handler(people)), ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()
	checkpoints := make(chan struct{})
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { defer close(checkpoints); a.checkpoints(work) }()
	defer func() { cancel(); <-checkpoints }()
	var gone <-chan struct{}
	if a.cluster != nil {
		gone = a.cluster.Done()
	}
	var err error
	select {
	case <-ctx.Done():
		a.log.Info("stopping")
		a.draining.Store(true)
		drain(context.WithoutCancel(ctx), a.engine, a.cfg.Drain, a.log)
	case err = <-served:
		return fmt.Errorf("serve: %w", err)
	case <-gone:
		err = a.cluster.Err()
	}
	limit, end := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer end()
	if serr := a.server.Shutdown(limit); serr != nil {
		_ = a.server.Close()
	}
	return err
}

// checkpoints signs the state of the log each minute in which it grew.
func (a *app) checkpoints(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if _, err := a.db.Checkpoint(ctx, a.signer); err != nil && ctx.Err() == nil && !errors.Is(err, audit.ErrNoCheckpoint) {
			a.log.Error("checkpoint", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// smsConfig is the operator's way to text messages; nil for none.
func smsConfig(c config) (mail.SMS, error) {
	if c.SMSURL == "" {
		return nil, nil
	}
	hook, err := mail.NewWebhook(c.SMSURL, c.SMSSecret)
	if err != nil {
		return nil, fmt.Errorf("CONSILIUM_SMS_URL, CONSILIUM_SMS_SECRET: %w", err)
	}
	return hook, nil
}

// smtpConfig reads the address of the mail relay.
func smtpConfig(c config) (mail.SMTPConfig, error) {
	u, err := url.Parse(c.SMTPURL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return mail.SMTPConfig{}, errors.New("CONSILIUM_SMTP_URL is not smtp://user:password@host:587 or smtps://…:465")
	}
	m := mail.SMTPConfig{Host: u.Hostname(), Implicit: u.Scheme == "smtps", From: c.MailFrom, Username: u.User.Username()}
	m.Password, _ = u.User.Password()
	if p := u.Port(); p != "" {
		if m.Port, err = strconv.Atoi(p); err != nil {
			return mail.SMTPConfig{}, fmt.Errorf("CONSILIUM_SMTP_URL: port %q", p)
		}
	}
	return m, nil
}
