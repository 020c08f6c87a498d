package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// config is everything an operator may set. Each field has a default that works;
// `consilium check` prints all of them with secrets masked.
type config struct {
	// Addr is where pages are served, host:port.
	Addr string
	// Origin is the address people type, scheme://host[:port]; passkeys are bound to
	// its host. "" derives http://localhost:PORT, which only `demo` accepts.
	Origin string
	// DatabaseURL names a PostgreSQL of the operator's; "" runs a private one.
	DatabaseURL string
	// MigrateURL connects to that database as the owner of the schema, for `migrate`.
	MigrateURL string
	// Data is the directory of the private database, files and keys.
	Data string
	// PGBin is the directory of the PostgreSQL server binaries; "" searches.
	PGBin string
	// MediaURL names a LiveKit cluster; "" uses the SFU in this process.
	MediaURL string
	// MediaKey and MediaSecret sign the tickets of the media engine. Empty values are
	// made up at start for the embedded engine.
	MediaKey, MediaSecret string
	// MediaAddr is the UDP address of the embedded engine, IP:port; port 0 lets the
	// system choose.
	MediaAddr string
	// MediaTCP is an address of the same engine for clients whose network lets no UDP
	// through, IP:port; "" for none.
	MediaTCP string
	// MediaPublic are the IP addresses by which clients reach MediaAddr behind a NAT,
	// separated by commas; "" tells them MediaAddr itself.
	MediaPublic string
	// Turn is the way to the media engine through networks without UDP.
	Turn turnSettings
	// Metrics is where the operator reads figures and rooms.
	Metrics metricsSettings
	// SMTPURL is smtp://user:password@host:587 or smtps://…:465; "" in `serve` is an error.
	SMTPURL string
	// MailFrom is the sender of all mail.
	MailFrom string
	// MailServer is the authserv-id (RFC 8601) under which the operator's mail server
	// reports whether a message is authentic; "" lets mail-in take none.
	MailServer string
	// SMSURL is the operator's webhook for text messages, https://…; "" sends none.
	SMSURL string
	// SMSSecret signs what is posted there; 32 characters or more.
	SMSSecret string
	// AcceptUnverified names who knowingly accepted rule packs that nobody has
	// confirmed, "NAME until YYYY-MM-DD"; "" refuses them.
	AcceptUnverified string
	// ZoneInfo names zone data newer than the binary's: an archive made by
	// deploy/zoneinfo.sh, with VERSION beside it. "" uses what the binary carries.
	ZoneInfo string
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// Drain is how long running consults may go on after SIGTERM.
	Drain time.Duration

	demo  bool
	bench bool // files are its own, written a moment ago: nobody looks for malware in them
	// ahead is how far the service's clock is ahead of this machine's. Only `demo` has
	// another than 0.
	ahead time.Duration
}

// setting ties one environment name to its field.
type setting struct {
	name, help string
	secret     bool
	get        func(*config) string
	set        func(*config, string) error
}

func text(p func(*config) *string) (func(*config) string, func(*config, string) error) {
	return func(c *config) string { return *p(c) }, func(c *config, v string) error { *p(c) = v; return nil }
}

func stringSetting(name, help string, secret bool, p func(*config) *string) setting {
	get, set := text(p)
	return setting{name, help, secret, get, set}
}

func settings() []setting {
	return slices.Concat(serviceSettings(), mediaSettings())
}

func serviceSettings() []setting {
	return []setting{
		stringSetting("CONSILIUM_ADDR", "where pages are served, host:port", false, func(c *config) *string { return &c.Addr }),
		stringSetting("CONSILIUM_ORIGIN", "the address people type, https://host", false, func(c *config) *string { return &c.Origin }),
		stringSetting("DATABASE_URL", "PostgreSQL 15 or newer, as role consilium_app; unset: a private one", true, func(c *config) *string { return &c.DatabaseURL }),
		stringSetting("CONSILIUM_MIGRATE_URL", "the same database as role consilium_owner, for migrate", true, func(c *config) *string { return &c.MigrateURL }),
		stringSetting("CONSILIUM_DATA", "directory of the private database, files and keys", false, func(c *config) *string { return &c.Data }),
		stringSetting("CONSILIUM_PG_BIN", "directory of the PostgreSQL server binaries; unset: search", false, func(c *config) *string { return &c.PGBin }),
		stringSetting("MEDIA_URL", "LiveKit cluster, wss://host; unset: the SFU in this process", false, func(c *config) *string { return &c.MediaURL }),
		stringSetting("CONSILIUM_MEDIA_KEY", "API key of the media engine", false, func(c *config) *string { return &c.MediaKey }),
		stringSetting("CONSILIUM_MEDIA_SECRET", "API secret of the media engine, 32 characters or more", true, func(c *config) *string { return &c.MediaSecret }),
		stringSetting("CONSILIUM_MEDIA_ADDR", "UDP address of the embedded media engine, IP:port", false, func(c *config) *string { return &c.MediaAddr }),
		stringSetting("CONSILIUM_MEDIA_TCP", "the same over TCP, IP:port, for networks without UDP; unset: none", false, func(c *config) *string { return &c.MediaTCP }),
		stringSetting("CONSILIUM_MEDIA_PUBLIC", "IP addresses by which clients reach it behind a NAT, separated by commas; unset: its own", false, func(c *config) *string { return &c.MediaPublic }),
		stringSetting("CONSILIUM_SMTP_URL", "mail relay, smtp://user:password@host:587", true, func(c *config) *string { return &c.SMTPURL }),
		stringSetting("CONSILIUM_MAIL_FROM", "sender of all mail", false, func(c *config) *string { return &c.MailFrom }),
		stringSetting("CONSILIUM_MAIL_AUTHSERV", "name by which your mail server signs Authentication-Results, for mail-in", false, func(c *config) *string { return &c.MailServer }),
		stringSetting("CONSILIUM_SMS_URL", "your webhook for text messages, https://host/path; unset: none are sent", true, func(c *config) *string { return &c.SMSURL }),
		stringSetting("CONSILIUM_SMS_SECRET", "secret that signs what is posted there, 32 characters or more", true, func(c *config) *string { return &c.SMSSecret }),
		stringSetting("CONSILIUM_ACCEPT_UNVERIFIED", "who accepts unconfirmed rule packs, and until when: NAME until YYYY-MM-DD", false, func(c *config) *string { return &c.AcceptUnverified }),
		stringSetting("CONSILIUM_ZONEINFO", "newer time zone data, zoneinfo.zip with VERSION beside it; unset: as shipped", false, func(c *config) *string { return &c.ZoneInfo }),
		stringSetting("CONSILIUM_LOG", "debug, info, warn or error", false, func(c *config) *string { return &c.LogLevel }),
		{"CONSILIUM_DRAIN", "how long running consults may go on after SIGTERM, such as 60m", false,
			func(c *config) string { return c.Drain.String() },
			func(c *config, v string) (err error) { c.Drain, err = time.ParseDuration(v); return err }},
	}
}

// load reads the environment through getenv. A value may also stand in the file
// named by NAME_FILE. All errors are reported at once.
func load(demo bool, getenv func(string) string) (config, error) {
	c := config{
		Addr: "localhost:8080", MediaAddr: "127.0.0.1:0", LogLevel: "info", Drain: time.Hour,
		MailFrom: "Consilium <no-reply@localhost>", Data: dataDirectory(demo, getenv), demo: demo,
	}
	if demo {
		c.Drain = 0
	}
	var problems []error
	for _, s := range settings() {
		v, file := getenv(s.name), getenv(s.name+"_FILE")
		if v != "" && file != "" {
			problems = append(problems, fmt.Errorf("%s and %s_FILE are both set", s.name, s.name))
			continue
		}
		if file != "" {
			raw, err := os.ReadFile(file)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s_FILE: %w", s.name, err))
				continue
			}
			v = strings.TrimSpace(string(raw))
		}
		if v == "" {
			continue
		}
		if err := s.set(&c, v); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return c, errors.Join(problems...)
}

// dataDirectory is the directory of `--data` by default.
func dataDirectory(demo bool, getenv func(string) string) string {
	name := "consilium"
	if demo {
		name = "consilium-demo"
	}
	if dir := getenv("STATE_DIRECTORY"); dir != "" && !demo {
		return dir
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join(getenv("HOME"), ".local", "share", name)
}

// validate says in one error all that keeps the service from running.
func (c *config) validate() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		add("CONSILIUM_ADDR: %q is not host:port", c.Addr)
	}
	if c.Origin == "" && c.demo {
		c.Origin = "http://" + net.JoinHostPort("localhost", port)
	}
	origin, err := url.Parse(c.Origin)
	switch {
	case c.Origin == "":
		add("CONSILIUM_ORIGIN is not set: the address people type, such as https://consult.example.org")
	case err != nil || origin.Host == "" || origin.Path != "" || origin.RawQuery != "":
		add("CONSILIUM_ORIGIN: %q is not scheme://host", c.Origin)
	case origin.Scheme != "https" && origin.Hostname() != "localhost":
		add("CONSILIUM_ORIGIN: %q: browsers give camera and passkeys only to https or localhost", c.Origin)
	}
	if c.demo && c.DatabaseURL != "" {
		add("DATABASE_URL is set: demo runs its own database only; unset it, or use serve")
	}
	if c.demo && err == nil && !loopback(host) {
		add("CONSILIUM_ADDR: demo signs people in without asking, so it listens on loopback only, not on %q", host)
	}
	if _, err := smsConfig(*c); err != nil {
		add("%w", err)
	}
	if c.MediaURL != "" && (c.MediaKey == "" || c.MediaSecret == "") {
		add("MEDIA_URL is set: CONSILIUM_MEDIA_KEY and CONSILIUM_MEDIA_SECRET are needed too")
	}
	if c.MediaURL != "" {
		u, err := url.Parse(c.MediaURL)
		if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "ws" && u.Scheme != "wss" {
			add("MEDIA_URL: %q is not wss://host", c.MediaURL)
		}
	}
	if c.MediaURL == "" {
		if _, err := netip.ParseAddrPort(c.MediaAddr); err != nil {
			add("CONSILIUM_MEDIA_ADDR: %q is not IP:port", c.MediaAddr)
		}
	}
	problems = append(problems, c.validateMedia()...)
	if !c.demo && c.SMTPURL == "" {
		add("CONSILIUM_SMTP_URL is not set: invitations need a mail relay")
	}
	return errors.Join(problems...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// rpID is the host that passkeys are bound to.
func (c *config) rpID() string {
	u, err := url.Parse(c.Origin)
	if err != nil {
		return "localhost"
	}
	return u.Hostname()
}

// print writes every setting with its value, secrets masked.
func (c *config) print(w io.Writer) {
	for _, s := range settings() {
		v := s.get(c)
		if s.secret && v != "" {
			v = "***"
		}
		fmt.Fprintf(w, "%-28s %s\n", s.name, v)
	}
}
