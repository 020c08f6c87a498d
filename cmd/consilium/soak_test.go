//go:build promise

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"

	"github.com/consilium-health/consilium/cmd/consultbot/bot"
)

// soakLength is an hour, or what CONSILIUM_SOAK says, such as 5m.
func soakLength(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv("CONSILIUM_SOAK")
	if v == "" {
		return time.Hour
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 3*time.Minute {
		t.Fatalf("CONSILIUM_SOAK: %q is not a time of three minutes or more", v)
	}
	return d
}

// mediaProcess is `consilium media` in a process of its own.
type mediaProcess struct {
	t               *testing.T
	binary, address string
	udp             int
	figures         string
	server          *exec.Cmd
	log             *os.File
}

func newMediaProcess(t *testing.T) *mediaProcess {
	t.Helper()
	dir := t.TempDir()
	m := &mediaProcess{t: t, binary: filepath.Join(dir, "consilium")}
	if out, err := exec.Command("go", "build", "-o", m.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var err error
	for _, to := range []*string{&m.address, &m.figures} {
		if *to, err = freeAddress(); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	m.udp = conn.LocalAddr().(*net.UDPAddr).Port
	_ = conn.Close()
	if m.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.kill(syscall.SIGTERM)
		if t.Failed() {
			said, _ := os.ReadFile(m.log.Name())
			t.Logf("the engine said:\n%s", said)
		}
		_ = m.log.Close()
	})
	m.start()
	return m
}

func (m *mediaProcess) url() string { return "ws://" + m.address }

// start starts the engine, or starts it again, and waits until it answers.
func (m *mediaProcess) start() {
	m.t.Helper()
	m.server = exec.Command(m.binary, "media", "--addr", m.address, "--udp-port", strconv.Itoa(m.udp), "--key", "key", "--secret", mediaSecret)
	m.server.Env = append(os.Environ(), "CONSILIUM_METRICS_ADDR="+m.figures)
	m.server.Stdout, m.server.Stderr = m.log, m.log
	if err := m.server.Start(); err != nil {
		m.t.Fatal(err)
	}
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if res, err := http.Get("http://" + m.address + "/healthz"); err == nil {
			_ = res.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			m.t.Fatal("the engine does not answer")
		}
	}
}

func (m *mediaProcess) kill(sig syscall.Signal) {
	if m.server == nil {
		return
	}
	_ = m.server.Process.Signal(sig)
	_ = m.server.Wait()
	m.server = nil
}

// read returns figures by name, labels included.
func (m *mediaProcess) read() map[string]float64 {
	m.t.Helper()
	res, err := http.Get("http://" + m.figures + "/metrics")
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasPrefix(name, "#") {
			all[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return all
}

// rest is what the engine holds when only the call that stays is there.
type rest struct {
	at                                time.Duration
	resident, heap, goroutines, files float64 // heap is what lived at the last collection
}

// TestSoak lets people join, speak and leave again and again beside a call that stays.
// What the engine holds at rest must not grow.
func TestSoak(t *testing.T) {
	length := soakLength(t)
	m := newMediaProcess(t)
	ctx, cancel := context.WithCancel(t.Context())
	stays := make(chan bot.Result, 1)
	go func() {
		r, _ := bot.Run(ctx, bot.Config{
			URL: m.url(), Key: "key", Secret: mediaSecret, Prefix: "stays-", Rooms: 1, AV: 2, Subscribers: 1, Mutual: true,
			JoinGap: 30 * time.Millisecond, Warm: time.Second, Window: 24 * time.Hour,
		})
		stays <- r
	}()
	defer func() { cancel(); <-stays }()
	began := time.Now()
	var rests []rest
	joins, shown := 0, time.Duration(0)
	for cycle := 0; time.Since(began) < length; cycle++ {
		r, err := bot.Run(ctx, bot.Config{
			URL: m.url(), Key: "key", Secret: mediaSecret, Prefix: "churn-", Rooms: 2, AV: 1, Audio: 1, Subscribers: 2, Mutual: true,
			JoinGap: 20 * time.Millisecond, Warm: 300 * time.Millisecond, Window: 1500 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Errors {
			t.Errorf("cycle %d: %v", cycle, e)
		}
		if r.Received == 0 {
			t.Fatalf("cycle %d: nobody received anything", cycle)
		}
		joins += r.Participants
		if len(rests) > 0 && time.Since(began)-rests[len(rests)-1].at < max(length/40, 20*time.Second) {
			continue
		}
		at := m.awaitRest(3)
		at.at = time.Since(began)
		rests = append(rests, at)
		joins += m.vanish(ctx, cycle, 6) // they are kept for the grace time, and gone at the next look
		if at.at-shown >= length/10 || len(rests) == 1 {
			shown = at.at
			t.Logf("%7s  %6d joins  %6.1f MiB resident  %5.1f MiB live  %4.0f goroutines  %3.0f files", at.at.Round(time.Second), joins, at.resident, at.heap, at.goroutines, at.files)
		}
	}
	n := len(rests)
	if n < 7 {
		t.Fatalf("only %d looks", n)
	}
	middle := func(list []rest, of func(rest) float64) float64 {
		v := make([]float64, 0, len(list))
		for _, r := range list {
			v = append(v, of(r))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	// The first quarter fills caches and pools.
	early, late := rests[n/4:n/2], rests[3*n/4:]
	for _, f := range []struct {
		name  string
		of    func(rest) float64
		slack float64 // beyond a twentieth
	}{
		{"resident MiB", func(r rest) float64 { return r.resident }, 6},
		{"live MiB", func(r rest) float64 { return r.heap }, 2},
		{"goroutines", func(r rest) float64 { return r.goroutines }, 4},
		{"open files", func(r rest) float64 { return r.files }, 2},
	} {
		a, b := middle(early, f.of), middle(late, f.of)
		t.Logf("%-13s %.1f in the second quarter, %.1f in the last", f.name, a, b)
		if b > a*1.05+f.slack {
			t.Errorf("%s grew from %.1f to %.1f in %d joins", f.name, a, b, joins)
		}
	}
	cancel()
	r := <-stays
	stays <- r
	t.Logf("%d joins; the call that stayed: %d packets received, %d lost, %d silences above 300 ms, the longest %v", joins, r.Received, r.Lost, r.Gaps, r.LongestGap)
	if r.Received == 0 {
		t.Error("the call that stayed received nothing")
	}
}

// vanish joins and is gone without a word, before any connection.
func (m *mediaProcess) vanish(ctx context.Context, cycle, n int) int {
	m.t.Helper()
	for i := range n {
		raw, err := auth.NewAccessToken("key", mediaSecret).SetIdentity(fmt.Sprint("v", cycle, "-", i)).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "churn-0"}).ToJWT()
		if err != nil {
			m.t.Fatal(err)
		}
		conn, _, err := websocket.Dial(ctx, m.url()+"/rtc?access_token="+raw, nil)
		if err != nil {
			m.t.Fatal(err)
		}
		_, _, _ = conn.Read(ctx)
		_ = conn.CloseNow()
	}
	return n
}

// awaitRest waits until so many participants are left, and looks at what is held.
func (m *mediaProcess) awaitRest(participants float64) rest {
	m.t.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		f := m.read()
		if f[`consilium_sfu_participants{kind="client"}`] == participants {
			return rest{
				resident: f["process_resident_memory_bytes"] / (1 << 20), heap: f["go_memstats_next_gc_bytes"] / (2 << 20),
				goroutines: f["go_goroutines"], files: f["process_open_fds"],
			}
		}
		select {
		case <-tick.C:
		case <-limit:
			m.t.Fatalf("%v participants are left", f[`consilium_sfu_participants{kind="client"}`])
		}
	}
}
