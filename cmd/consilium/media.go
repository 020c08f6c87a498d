package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/roomservice"
	sfusignal "github.com/consilium-health/consilium/sfu/signal"
	"github.com/consilium-health/consilium/sfu/turn"
)

// turnSettings are those of the relay for networks that let no UDP through. Without an
// address to listen on there is none.
type turnSettings struct {
	// UDP, TCP and TLS are where it listens, IP:port.
	UDP, TCP, TLS string
	// Cert and Key are PEM files, for TLS; renewed files are taken without a restart.
	Cert, Key string
	// Host is the name or address told to clients; "" is the address listened on. TLS
	// needs the name of the certificate.
	Host string
	// URLs are told to clients instead, separated by commas: for ports that a balancer
	// or a firewall changes.
	URLs string
	// Secret signs the credentials; a second one, after a comma, is accepted as well
	// while it is replaced. "" makes one up at each start.
	Secret string
}

func (t *turnSettings) on() bool { return t.UDP != "" || t.TCP != "" || t.TLS != "" }

// mediaSettings are the settings that `consilium media` has in common with the service.
func mediaSettings() []setting {
	return []setting{
		stringSetting("CONSILIUM_TURN_UDP", "TURN over UDP, IP:port such as 192.0.2.7:3478; unset: none", false, func(c *config) *string { return &c.Turn.UDP }),
		stringSetting("CONSILIUM_TURN_TCP", "TURN over TCP, IP:port; unset: none", false, func(c *config) *string { return &c.Turn.TCP }),
		stringSetting("CONSILIUM_TURN_TLS", "TURN over TLS, IP:port such as 192.0.2.8:443; unset: none", false, func(c *config) *string { return &c.Turn.TLS }),
		stringSetting("CONSILIUM_TURN_CERT", "certificate chain for it, a PEM file", false, func(c *config) *string { return &c.Turn.Cert }),
		stringSetting("CONSILIUM_TURN_KEY", "key of the certificate, a PEM file", false, func(c *config) *string { return &c.Turn.Key }),
		stringSetting("CONSILIUM_TURN_HOST", "name or address told to clients; unset: the IP listened on", false, func(c *config) *string { return &c.Turn.Host }),
		stringSetting("CONSILIUM_TURN_URLS", "told to clients instead, turn:HOST:PORT?transport=tcp,...; unset: made of the above", false, func(c *config) *string { return &c.Turn.URLs }),
		stringSetting("CONSILIUM_TURN_SECRET", "signs relay credentials, 32 characters or more; NEW,OLD while replaced; unset: made up at start", true, func(c *config) *string { return &c.Turn.Secret }),
		stringSetting("CONSILIUM_METRICS_ADDR", "figures and rooms for the operator, 127.0.0.1:9464 or unix:/run/consilium/metrics.sock; unset: none", false, func(c *config) *string { return &c.Metrics.Addr }),
		stringSetting("CONSILIUM_METRICS_OPEN", "who knowingly lets the network read them, a name; unset: loopback only", false, func(c *config) *string { return &c.Metrics.Open }),
	}
}

// validateMedia says what is wrong with the settings of the relay and the figures.
func (c *config) validateMedia() (problems []error) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, ip := range fields(c.MediaPublic) {
		if a, err := netip.ParseAddr(ip); err != nil || a.IsUnspecified() {
			add("CONSILIUM_MEDIA_PUBLIC: %q is not an IP address", ip)
		}
	}
	if _, err := netip.ParseAddrPort(c.MediaTCP); c.MediaTCP != "" && err != nil {
		add("CONSILIUM_MEDIA_TCP: %q is not IP:port", c.MediaTCP)
	}
	t := c.Turn
	for _, l := range []struct{ name, addr string }{{"UDP", t.UDP}, {"TCP", t.TCP}, {"TLS", t.TLS}} {
		a, err := netip.ParseAddrPort(l.addr)
		switch {
		case l.addr == "":
		case err != nil:
			add("CONSILIUM_TURN_%s: %q is not IP:port", l.name, l.addr)
		case a.Addr().IsUnspecified() && t.Host == "" && t.URLs == "":
			add("CONSILIUM_TURN_%s: %q names no address for clients: set CONSILIUM_TURN_HOST", l.name, l.addr)
		}
	}
	if t.TLS != "" && (t.Cert == "" || t.Key == "") {
		add("CONSILIUM_TURN_TLS is set: CONSILIUM_TURN_CERT and CONSILIUM_TURN_KEY are needed too")
	}
	for _, s := range fields(t.Secret) {
		if len(s) < 32 {
			add("CONSILIUM_TURN_SECRET: each needs 32 characters or more")
		}
	}
	for _, u := range fields(t.URLs) {
		if !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
			add("CONSILIUM_TURN_URLS: %q is not turn:HOST:PORT or turns:HOST:PORT", u)
		}
	}
	switch {
	case !t.on():
	case c.MediaURL != "":
		add("CONSILIUM_TURN_...: the relay reaches the media engine of this process only; with MEDIA_URL the cluster has its own")
	default:
		if a, err := netip.ParseAddrPort(c.MediaAddr); err == nil && a.Addr().IsUnspecified() {
			add("CONSILIUM_TURN_...: the relay reaches one exact address: name it in CONSILIUM_MEDIA_ADDR instead of %s", a.Addr())
		}
	}
	return append(problems, c.Metrics.validate()...)
}

// fields are the parts of a list separated by commas.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// relayLater is the relay as the engine knows it: the engine's address is known before
// the relay can listen, and the relay listens before anybody can join.
type relayLater struct{ atomic.Pointer[turn.Server] }

var _ sfu.Relay = (*relayLater)(nil)

// Credentials implements sfu.Relay.
func (r *relayLater) Credentials(participant, room string) (urls []string, username, password string) {
	return r.Load().Credentials(participant, room)
}

// openSFU starts the media engine and, where it is set, the relay to it. The caller
// runs the engine, and calls stop after it ended.
func openSFU(c config, cfg sfu.Config) (engine *sfu.Server, relay *turn.Server, stop func(), err error) {
	cfg.PublicIPs, cfg.TCP = fields(c.MediaPublic), c.MediaTCP
	if !c.Turn.on() {
		engine, err = sfu.New(cfg)
		return engine, nil, func() {}, err
	}
	later := &relayLater{}
	cfg.Relay = later
	if engine, err = sfu.New(cfg); err != nil {
		return nil, nil, nil, err
	}
	if relay, err = c.openTurn(engine.Addr()); err != nil {
		engine.Close()
		return nil, nil, nil, err
	}
	later.Store(relay)
	return engine, relay, func() { _ = relay.Close() }, nil
}

// openTurn starts the relay to the media engine at an address.
func (c *config) openTurn(media netip.AddrPort) (*turn.Server, error) {
	t := c.Turn
	cfg := turn.Config{
		UDP: t.UDP, TCP: t.TCP, TLS: t.TLS, RelayIP: media.Addr().Unmap(), Media: []netip.AddrPort{media},
		Secrets: fields(t.Secret), Host: t.Host, URLs: fields(t.URLs), Public: map[netip.AddrPort]netip.AddrPort{},
	}
	for _, ip := range fields(c.MediaPublic) {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, err
		}
		cfg.Public[netip.AddrPortFrom(a, media.Port())] = media
	}
	if len(cfg.Secrets) == 0 {
		made, err := secret()
		if err != nil {
			return nil, err
		}
		cfg.Secrets = []string{made}
	}
	if t.TLS != "" {
		files := &certificate{cert: t.Cert, key: t.Key}
		if _, err := files.get(nil); err != nil {
			return nil, fmt.Errorf("CONSILIUM_TURN_CERT: %w", err)
		}
		cfg.Certificates = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get}
	}
	relay, err := turn.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return relay, nil
}

// certificate is a pair of PEM files that is read again when they changed, looked at
// once a minute.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	pair    *tls.Certificate // guarded by mu
	state   string           // guarded by mu: sizes and times of the files
	checked time.Time        // guarded by mu
}

const certificateCheck = time.Minute

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && time.Since(c.checked) < certificateCheck {
		return c.pair, nil
	}
	c.checked = time.Now()
	err := c.read()
	if c.pair == nil {
		return nil, err
	}
	return c.pair, nil // a pair that is half written leaves the old one in use
}

func (c *certificate) read() error {
	state := ""
	for _, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		state += strconv.FormatInt(info.Size(), 10) + " " + info.ModTime().String() + ";"
	}
	if state == c.state {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.pair, c.state = &pair, state
	return nil
}

// running runs the engine; the function returned ends it and waits for its end.
func running(ctx context.Context, engine *sfu.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = engine.Run(ctx) // ends with ctx alone
	}()
	return func() {
		cancel()
		engine.Close()
		<-ended
	}
}

// runMedia is the media engine alone: rooms are made by tokens, everybody receives
// everybody, as with any server of the LiveKit protocol.
func runMedia(ctx context.Context, e environment, args []string) error {
	f := flags("media")
	addr := f.String("addr", "127.0.0.1:7880", "where signaling and RoomService are served, host:port")
	port := f.Uint("udp-port", 7882, "UDP port of all media; 0 lets the system choose")
	key := f.String("key", "", "API key")
	pass := f.String("secret", "", "API secret, 32 characters or more")
	if rest, err := parse(e, f, args); err != nil || len(rest) > 0 {
		return errors.Join(err, errUsage)
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	if *key == "" || len(*pass) < 32 {
		return errors.New("media: --key and a --secret of 32 characters or more are needed")
	}
	host, _, err := net.SplitHostPort(*addr)
	if err != nil {
		return fmt.Errorf("media: --addr %q is not host:port", *addr)
	}
	if *port > 65535 {
		return fmt.Errorf("media: --udp-port %d is not a port", *port)
	}
	if host == "localhost" || host == "" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("media: --addr %q: give the IP address of the interface", *addr)
	}
	c.MediaAddr, c.MediaURL = netip.AddrPortFrom(ip, uint16(*port)).String(), ""
	if err := errors.Join(c.validateMedia()...); err != nil {
		return err
	}
	if e.getenv("GOGC") == "" {
		// The packet path makes no garbage, so that collecting twice as often costs
		// nothing that can be measured and saves a third of the memory.
		debug.SetGCPercent(50)
	}
	log := slog.New(slog.NewJSONHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	engine, relay, stop, err := openSFU(c, sfu.Config{
		UDP: c.MediaAddr, Key: *key, Secret: *pass, NodeID: "media", AutoCreate: true, Log: log,
	})
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer stop()
	defer running(ctx, engine)()
	figures, err := openFigures(c.Metrics, engine, relay)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer figures.close()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	mux := http.NewServeMux()
	rtc := sfusignal.Handler(sfusignal.Config{Server: engine})
	mux.Handle("/rtc", rtc)
	mux.Handle("/rtc/", rtc)
	mux.Handle("/twirp/", roomservice.Handler(engine))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(e.out, "media engine: ws://%s, media on UDP %s\n", listener.Addr(), engine.Addr())
	if relay != nil {
		fmt.Fprintf(e.out, "relay: %s\n", strings.Join(relay.URLs(), " "))
	}
	figures.tell(e.out)
	select {
	case <-ctx.Done():
		drain(context.WithoutCancel(ctx), engine, c.Drain, log)
		return server.Close()
	case err := <-served:
		return fmt.Errorf("media: %w", err)
	}
}
