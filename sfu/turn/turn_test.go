package turn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/signal"
	"github.com/consilium-health/consilium/sfu/turn"
)

const secret = "a-secret-of-at-least-32-characters"

var _ sfu.Relay = (*turn.Server)(nil)

var loopback = netip.MustParseAddr("127.0.0.1")

// echo is a media engine that answers everything with itself.
func echo(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDP(buf[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func start(t *testing.T, cfg turn.Config) *turn.Server {
	t.Helper()
	cfg.UDP, cfg.TCP, cfg.RelayIP = "127.0.0.1:0", "127.0.0.1:0", loopback
	if cfg.Secrets == nil {
		cfg.Secrets = []string{secret}
	}
	s, err := turn.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// client opens a client of the server with these credentials.
func client(t *testing.T, s *turn.Server, username, password string) *pion.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	factory := logging.NewDefaultLoggerFactory()
	factory.Writer = io.Discard
	c, err := pion.NewClient(&pion.ClientConfig{
		TURNServerAddr: s.UDPAddr().String(), STUNServerAddr: s.UDPAddr().String(), Conn: conn,
		Username: username, Password: password, RTO: 200 * time.Millisecond, LoggerFactory: factory,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = conn.Close()
	})
	return c
}

func allocate(t *testing.T, s *turn.Server, peer string) (*pion.Client, net.PacketConn) {
	t.Helper()
	_, username, password := s.Credentials(peer, "room")
	c := client(t, s, username, password)
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Close() })
	return c, relay
}

// answers tells whether what is sent to an address comes back.
func answers(t *testing.T, relay net.PacketConn, to netip.AddrPort, wait time.Duration) bool {
	t.Helper()
	if _, err := relay.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to)); err != nil {
		return false
	}
	_ = relay.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 1500)
	n, from, err := relay.ReadFrom(buf)
	return err == nil && string(buf[:n]) == "hello" && from.String() == to.String()
}

func TestRelayRefusesSpecialAddresses(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	otherConn, other := echo(t)
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}})
	c, relay := allocate(t, s, "PA_a")
	if !answers(t, relay, engine, 10*time.Second) {
		t.Fatal("the media engine is not reached")
	}
	for _, to := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.2", "127.1.2.3", "169.254.169.254", "172.16.0.1", "192.0.0.1",
		"192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"8.8.8.8", // no special one, but no media engine either
	} {
		if err := c.CreatePermission(&net.UDPAddr{IP: net.ParseIP(to), Port: int(engine.Port())}); err == nil {
			t.Errorf("a permission for %s was given", to)
		}
	}
	// The media engine's address with another port passes the permission, which knows
	// no port; the packet ends at the socket.
	if answers(t, relay, other, 300*time.Millisecond) {
		t.Error("another port of the media engine's address is reached")
	}
	// And what others send to the relay's port ends there too.
	if _, err := otherConn.WriteToUDP([]byte("stranger"), relay.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Fatal(err)
	}
	if !answers(t, relay, engine, 10*time.Second) {
		t.Error("a stranger's packet came through, or nothing does any more")
	}
}

func TestRelayRefusesAddressesOfIPv6ThatStandForOthers(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}})
	for _, to := range []string{
		"::", "::1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1", "2002:7f00:1::", "2001::1", "2001:db8::1", "fc00::1", "fe80::1", "ff02::1",
	} {
		if turn.Permits(s, net.ParseIP(to)) {
			t.Errorf("%s is permitted", to)
		}
	}
	for _, to := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		if !turn.Permits(s, net.ParseIP(to)) {
			t.Errorf("%s, the media engine, is not permitted", to)
		}
	}
}

func TestAPublicNameOfTheEngineIsReachedWithoutLeaving(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	_, other := echo(t)
	public := netip.MustParseAddrPort("203.0.113.7:7882")
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}, Public: map[netip.AddrPort]netip.AddrPort{public: engine}})
	c, relay := allocate(t, s, "PA_a")
	// What the client sent to that name is answered from that name.
	if !answers(t, relay, public, 10*time.Second) {
		t.Error("the engine is not reached by its public name")
	}
	if !answers(t, relay, engine, 10*time.Second) {
		t.Error("the engine is not reached by its own name any more")
	}
	if answers(t, relay, netip.AddrPortFrom(public.Addr(), public.Port()+1), 300*time.Millisecond) {
		t.Error("another port of the public name is reached")
	}
	if err := c.CreatePermission(&net.UDPAddr{IP: net.ParseIP("203.0.113.8"), Port: 7882}); err == nil {
		t.Error("a neighbor of the public name is permitted")
	}
	if _, err := turn.New(turn.Config{
		UDP: "127.0.0.1:0", RelayIP: loopback, Media: []netip.AddrPort{engine}, Secrets: []string{secret},
		Public: map[netip.AddrPort]netip.AddrPort{public: other},
	}); err == nil {
		t.Error("a public name for something else was taken")
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	_, other := echo(t)
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}, PerPeer: 1})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(s.Collector()); err != nil {
		t.Fatal(err)
	}
	read := func(name, label string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == name && (len(m.Label) == 0 || m.Label[0].GetValue() == label) {
					return m.Gauge.GetValue() + m.Counter.GetValue()
				}
			}
		}
		t.Fatalf("no %s %s", name, label)
		return 0
	}
	c, relay := allocate(t, s, "PA_a")
	if !answers(t, relay, engine, 10*time.Second) {
		t.Fatal("the media engine is not reached")
	}
	if read("consilium_turn_allocations", "") != 1 || read("consilium_turn_bytes_total", "engine") != 5 || read("consilium_turn_bytes_total", "client") != 5 {
		t.Error("what was relayed is not counted")
	}
	_ = c.CreatePermission(&net.UDPAddr{IP: net.ParseIP("169.254.169.254"), Port: 80})
	answers(t, relay, other, 100*time.Millisecond)
	_, username, password := s.Credentials("PA_a", "room")
	if _, err := client(t, s, username, password).Allocate(); err == nil {
		t.Error("a second allocation")
	}
	if _, err := client(t, s, "nobody", "x").Allocate(); err == nil {
		t.Error("an allocation of nobody")
	}
	for _, why := range []string{"address", "port", "quota", "credentials"} {
		if read("consilium_turn_refused_total", why) == 0 {
			t.Errorf("no refusal for %s was counted", why)
		}
	}
}

func TestServerNeedsItsList(t *testing.T) {
	for why, cfg := range map[string]turn.Config{
		"no media address":         {},
		"every address":            {Media: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:7882")}},
		"no port":                  {Media: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}},
		"multicast":                {Media: []netip.AddrPort{netip.MustParseAddrPort("224.0.0.1:7882")}},
		"a secret that is guessed": {Media: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7882")}, Secrets: []string{"short"}},
	} {
		cfg.UDP, cfg.RelayIP = "127.0.0.1:0", loopback
		if cfg.Secrets == nil {
			cfg.Secrets = []string{secret}
		}
		if s, err := turn.New(cfg); err == nil {
			_ = s.Close()
			t.Errorf("%s: accepted", why)
		}
	}
}

func TestCredentialsEndAndRotate(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	var mu sync.Mutex
	ahead := time.Duration(0)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(ahead)
	}
	const next = "another-secret-of-at-least-32-characters"
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}, Now: now, Secrets: []string{next, secret}})
	old := start(t, turn.Config{Media: []netip.AddrPort{engine}, Now: now})
	tryAllocate := func(username, password string) error {
		relay, err := client(t, s, username, password).Allocate()
		if err == nil {
			_ = relay.Close()
		}
		return err
	}
	_, username, password := s.Credentials("PA_a", "room")
	if err := tryAllocate(username, password); err != nil {
		t.Errorf("new secret: %v", err)
	}
	_, oldName, oldPassword := old.Credentials("PA_a", "room")
	if err := tryAllocate(oldName, oldPassword); err != nil {
		t.Errorf("old secret during the rotation: %v", err)
	}
	later := "9" + username[1:]
	for why, c := range map[string][2]string{
		"another password":      {username, password + "x"},
		"a longer life":         {later, password},
		"another participant":   {strings.Replace(username, "PA_a", "PA_b", 1), password},
		"no name of ours":       {"user", password},
		"of the other secret's": {oldName, password},
	} {
		if tryAllocate(c[0], c[1]) == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	// What is held goes on after its credentials ended; nothing new opens with them.
	c := client(t, s, username, password)
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	ahead = 11 * time.Minute
	mu.Unlock()
	if !answers(t, relay, engine, 10*time.Second) {
		t.Error("a call over the relay ends with its credentials")
	}
	if tryAllocate(username, password) == nil {
		t.Error("ended credentials open an allocation")
	}
	_ = relay.Close()
}

func TestQuotas(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}, PerPeer: 2, PerGroup: 3, PerSecond: 80_000})
	_, relay := allocate(t, s, "PA_a")
	allocate(t, s, "PA_a")
	refused := func(peer, group string) bool {
		_, username, password := s.Credentials(peer, group)
		relay, err := client(t, s, username, password).Allocate()
		if err == nil {
			t.Cleanup(func() { _ = relay.Close() })
		}
		return err != nil
	}
	if !refused("PA_a", "room") {
		t.Error("a third allocation of one participant")
	}
	allocate(t, s, "PA_b")
	if !refused("PA_c", "room") {
		t.Error("a fourth of one room")
	}
	if refused("PA_d", "other") {
		t.Error("another room is refused")
	}
	if n := s.Allocations(); n != 4 {
		t.Errorf("%d allocations", n)
	}
	// 10 kB a second and half a second at once: of 100 kB most is dropped.
	for range 100 {
		_, _ = relay.WriteTo(make([]byte, 1000), net.UDPAddrFromAddrPort(engine))
	}
	got := 0
	buf := make([]byte, 1500)
	for {
		_ = relay.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, _, err := relay.ReadFrom(buf); err != nil {
			break
		}
		got++
	}
	if got == 0 || got > 20 {
		t.Errorf("%d packets of 100 passed", got)
	}
}

func TestSilentConnectionsEnd(t *testing.T) {
	leakcheck.Check(t)
	_, engine := echo(t)
	s := start(t, turn.Config{Media: []netip.AddrPort{engine}, PerSource: 64})
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range 80 {
		c, err := net.Dial("tcp", s.TCPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	// Those above the bound of one address are closed at once.
	_ = open[79].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := open[79].Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the 80th connection of one address: %v", err)
	}
	_, username, password := s.Credentials("PA_a", "room")
	c := client(t, s, username, password)
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	if !answers(t, relay, engine, 5*time.Second) {
		t.Error("idle connections harm the others")
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

func TestACallGoesThroughTheRelay(t *testing.T) {
	leakcheck.Check(t)
	lksdk.SetLogger(logger.GetDiscardLogger())
	config := trustedTLS(t)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			relay := &late{}
			server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: "key", Secret: secret, AutoCreate: true, Relay: relay})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- server.Run(ctx) }()
			mux := http.NewServeMux()
			mux.Handle("/rtc", signal.Handler(signal.Config{Server: server}))
			web := httptest.NewServer(mux)
			relay.Server = start(t, turn.Config{Media: []netip.AddrPort{server.Addr()}, TLS: "127.0.0.1:0", Certificates: config})
			for _, u := range relay.URLs() {
				if strings.HasPrefix(u, "turns:") == (transport == "tls") && (transport == "tls" || strings.HasSuffix(u, "="+transport)) {
					relay.urls = append(relay.urls, u)
				}
			}
			if len(relay.urls) != 1 {
				t.Fatalf("clients are told %v of %v", relay.urls, relay.URLs())
			}
			t.Cleanup(func() {
				cancel()
				<-ended
				web.Close()
			})
			heard := make(chan struct{}, 1)
			join := func(id string, relayed bool) *lksdk.Room {
				raw, err := auth.NewAccessToken("key", secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
				if err != nil {
					t.Fatal(err)
				}
				cb := lksdk.NewRoomCallback()
				cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
					for range 10 {
						if _, _, err := track.ReadRTP(); err != nil {
							return
						}
					}
					heard <- struct{}{}
				}
				options := []lksdk.ConnectOption{lksdk.WithDisableRegionDiscovery()}
				if relayed {
					options = append(options, lksdk.WithICETransportPolicy(webrtc.ICETransportPolicyRelay))
				}
				room, err := lksdk.ConnectToRoomWithToken(web.URL, raw, cb, options...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(room.Disconnect)
				return room
			}
			join("b", true)
			a := join("a", false)
			track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_MICROPHONE}); err != nil {
				t.Fatal(err)
			}
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			limit := time.After(20 * time.Second)
			for {
				select {
				case <-ticker.C:
					_ = track.WriteSample(media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}, nil)
					continue
				case <-heard:
				case <-limit:
					t.Fatal("nothing is heard through the relay")
				}
				break
			}
			if relay.Allocations() == 0 {
				t.Error("it went another way")
			}
		})
	}
}

var trustOnce = sync.OnceValues(func() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{loopback.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	x509.SetFallbackRoots(roots)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
})

// trustedTLS is a certificate for loopback that clients of this process trust: those of
// WebRTC take the system's authorities and no others.
func trustedTLS(t *testing.T) *tls.Config {
	t.Helper()
	t.Setenv("GODEBUG", "x509usefallbackroots=1")
	config, err := trustOnce()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// late is a relay whose addresses are known after the engine's.
type late struct {
	*turn.Server
	urls []string
}

func (l *late) Credentials(peer, room string) ([]string, string, string) {
	_, username, password := l.Server.Credentials(peer, room)
	return l.urls, username, password
}
