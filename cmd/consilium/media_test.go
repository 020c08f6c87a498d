package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lklogger "github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// printed is what a command that runs has printed so far.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

// await returns the first submatch of what is printed.
func (p *printed) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		text := p.text.String()
		p.mu.Unlock()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		select {
		case <-p.more:
		case <-limit:
			t.Fatalf("%s was not printed: %s", pattern, text)
		}
	}
}

const mediaSecret = "a-secret-of-at-least-32-characters"

// startMedia runs `consilium media` with these settings.
func startMedia(t *testing.T, pairs ...string) *printed {
	t.Helper()
	out, _, _ := runsMedia(t, pairs...)
	return out
}

// runsMedia is startMedia with what a signal does, and a channel closed at its end.
func runsMedia(t *testing.T, pairs ...string) (out *printed, stop func(), ended <-chan struct{}) {
	t.Helper()
	lksdk.SetLogger(lklogger.GetDiscardLogger())
	out = &printed{more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan struct{})
	var err error
	go func() {
		defer close(end)
		err = run(ctx, environment{getenv: env(pairs...), out: out, err: io.Discard},
			[]string{"media", "--addr", "127.0.0.1:0", "--udp-port", "0", "--key", "key", "--secret", mediaSecret})
	}()
	t.Cleanup(func() {
		cancel()
		<-end
		if err != nil {
			t.Error(err)
		}
	})
	return out, cancel, end
}

// talker is a participant on the Go SDK who speaks and counts what they hear.
type talker struct {
	room    *lksdk.Room
	heard   atomic.Int64
	changed chan struct{} // something below changed
	again   atomic.Int64  // times that it reconnected
	gone    atomic.Bool
}

func talk(t *testing.T, url, room, id string, options ...lksdk.ConnectOption) *talker {
	t.Helper()
	raw, err := auth.NewAccessToken("key", mediaSecret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	p := &talker{changed: make(chan struct{}, 1)}
	note := func() {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			p.heard.Add(1)
			note()
		}
	}
	cb.OnReconnected = func() { p.again.Add(1); note() }
	cb.OnDisconnected = func() { p.gone.Store(true); note() }
	if p.room, err = lksdk.ConnectToRoomWithToken(url, raw, cb, append(options, lksdk.WithDisableRegionDiscovery())...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.room.Disconnect)
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	track.SetLogger(lklogger.GetDiscardLogger())
	if _, err := p.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_MICROPHONE}); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	return p
}

// until waits for something that a talker notes.
func (p *talker) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-p.changed:
		case <-limit:
			t.Fatalf("not in 30 s: %s (heard %d packets, reconnected %d times)", what, p.heard.Load(), p.again.Load())
		}
	}
}

// hears waits for so many packets more.
func (p *talker) hears(t *testing.T, n int64) {
	t.Helper()
	before := p.heard.Load()
	p.until(t, "sound", func() bool { return p.heard.Load() >= before+n })
}

// pemFiles writes a certificate for 127.0.0.1 and its key.
func pemFiles(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestMediaGoesThroughTheRelayThatIsSet(t *testing.T) {
	cert, key := pemFiles(t, 7)
	out := startMedia(t, "CONSILIUM_TURN_UDP", "127.0.0.1:0", "CONSILIUM_TURN_TCP", "127.0.0.1:0",
		"CONSILIUM_TURN_TLS", "127.0.0.1:0", "CONSILIUM_TURN_CERT", cert, "CONSILIUM_TURN_KEY", key, "CONSILIUM_METRICS_ADDR", "127.0.0.1:0")
	url := out.await(t, `media engine: (ws://\S+),`)
	relays := strings.Fields(out.await(t, `relay: (.*)`))
	figures := "http://" + out.await(t, `figures: /metrics and /rooms on (\S+)`)
	if len(relays) != 3 || !strings.HasPrefix(relays[2], "turns:127.0.0.1:") {
		t.Fatalf("clients are told of %v", relays)
	}
	conn, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(relays[2], "turns:"), "?transport=tcp"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); n != 7 {
		t.Errorf("certificate %d", n)
	}
	_ = conn.Close()
	relayed := lksdk.WithICETransportPolicy(webrtc.ICETransportPolicyRelay)
	listener := talk(t, url, "the room", "listener", relayed)
	talk(t, url, "the room", "speaker", relayed)
	listener.hears(t, 10)
	get := func(path, accept string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, figures+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
		}
		return string(body)
	}
	all := get("/metrics", "*/*")
	for _, want := range []string{
		"consilium_sfu_rooms 1\n", `consilium_sfu_participants{kind="client"} 2`, "go_goroutines ", "process_resident_memory_bytes ", `consilium_turn_refused_total{why="port"} `,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the figures lack %s", want)
		}
	}
	for _, never := range []string{"consilium_turn_allocations 0\n", `consilium_turn_bytes_total{to="client"} 0` + "\n", "the room", "listener"} {
		if strings.Contains(all, never) {
			t.Errorf("the figures say %s", never)
		}
	}
	if page := get("/rooms", "text/html"); !strings.Contains(page, `<a href="?room=the%20room">the room</a>`) {
		t.Errorf("the page of rooms is %s", page)
	}
	if page := get("/rooms?room=the+room", "text/html"); !strings.Contains(page, "MICROPHONE") || !strings.Contains(page, "without a limit found") {
		t.Errorf("the page of the room is %s", page)
	}
	if text := get("/rooms?room=the+room", "application/json"); !strings.Contains(text, `"resent": 0`) {
		t.Errorf("the room is %s", text)
	}
}

func TestRelayAndFiguresAreRefusedWithSentences(t *testing.T) {
	cert, key := pemFiles(t, 1)
	for name, test := range map[string]struct {
		pairs []string
		want  string
	}{
		"an address without port":      {[]string{"CONSILIUM_TURN_UDP", "192.0.2.7"}, "is not IP:port"},
		"every address and no name":    {[]string{"CONSILIUM_TURN_TCP", "0.0.0.0:3478"}, "set CONSILIUM_TURN_HOST"},
		"TLS without certificate":      {[]string{"CONSILIUM_TURN_TLS", "127.0.0.1:0", "CONSILIUM_TURN_KEY", key}, "CONSILIUM_TURN_CERT"},
		"a secret that is guessed":     {[]string{"CONSILIUM_TURN_UDP", "127.0.0.1:0", "CONSILIUM_TURN_SECRET", mediaSecret + ",short"}, "32 characters"},
		"a page as relay":              {[]string{"CONSILIUM_TURN_UDP", "127.0.0.1:0", "CONSILIUM_TURN_URLS", "https://turn.example.org"}, "is not turn:"},
		"an engine on every address":   {[]string{"CONSILIUM_TURN_UDP", "127.0.0.1:0", "CONSILIUM_MEDIA_ADDR", "0.0.0.0:7882"}, "one exact address"},
		"a relay beside a cluster":     {[]string{"CONSILIUM_TURN_UDP", "127.0.0.1:0", "MEDIA_URL", "wss://x.example.org", "CONSILIUM_MEDIA_KEY", "k", "CONSILIUM_MEDIA_SECRET", mediaSecret}, "the cluster has its own"},
		"media over TCP, no address":   {[]string{"CONSILIUM_MEDIA_TCP", "7881"}, "is not IP:port"},
		"a public name, not a number":  {[]string{"CONSILIUM_MEDIA_PUBLIC", "media.example.org"}, "is not an IP address"},
		"figures for everybody":        {[]string{"CONSILIUM_METRICS_ADDR", "0.0.0.0:9464"}, "CONSILIUM_METRICS_OPEN"},
		"figures on a name of the net": {[]string{"CONSILIUM_METRICS_ADDR", "consult.example.org:9464"}, "CONSILIUM_METRICS_OPEN"},
		"figures without port":         {[]string{"CONSILIUM_METRICS_ADDR", "localhost"}, "is not host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(true, env(test.pairs...))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	for name, pairs := range map[string][]string{
		"a relay":                      {"CONSILIUM_TURN_UDP", "192.0.2.7:3478", "CONSILIUM_TURN_TLS", "[2001:db8::7]:443", "CONSILIUM_TURN_CERT", cert, "CONSILIUM_TURN_KEY", key},
		"figures by a socket":          {"CONSILIUM_METRICS_ADDR", "unix:/run/consilium/metrics.sock"},
		"figures for the net, by name": {"CONSILIUM_METRICS_ADDR", "0.0.0.0:9464", "CONSILIUM_METRICS_OPEN", "Operations"},
	} {
		c, err := load(true, env(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenewedCertificateIsTakenWithoutARestart(t *testing.T) {
	cert, key := pemFiles(t, 1)
	c := &certificate{cert: cert, key: key}
	serial := func() int64 {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	again := func() { c.checked = time.Time{} }
	newCert, newKey := pemFiles(t, 2)
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	// The new certificate is there and its key is not yet: the old pair stays.
	move(newCert, cert)
	again()
	if n := serial(); n != 1 {
		t.Errorf("between the files: certificate %d", n)
	}
	move(newKey, key)
	if n := serial(); n != 1 {
		t.Errorf("within the minute: certificate %d", n)
	}
	again()
	if n := serial(); n != 2 {
		t.Errorf("afterwards: certificate %d", n)
	}
}

func TestFiguresByAUnixSocketAreForTheGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	for range 2 {
		out := &strings.Builder{}
		f, err := openFigures(metricsSettings{Addr: "unix:" + path}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.tell(out)
		if _, err := openFigures(metricsSettings{Addr: "unix:" + path}, nil, nil); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second listener: %v", err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}
		res, err := client.Get("http://figures/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("got %d", res.StatusCode)
		}
		f.close()
	}
}
