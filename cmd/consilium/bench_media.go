package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/consilium-health/consilium/cmd/consultbot/bot"
)

// shape is one load of the benchmark (counts for each room).
type shape struct {
	name                          string
	rooms, av, audio, subscribers int
	mutual                        bool
}

// shapes are the three loads, scaled to what two processors carry together with their
// generator; full are the loads of the design.
func shapes(full bool) []shape {
	if full {
		return []shape{{"consult", 10, 3, 0, 0, true}, {"teaching", 1, 3, 0, 60, false}, {"interpretation", 1, 4, 3, 20, false}}
	}
	return []shape{{"consult", 4, 3, 0, 0, true}, {"teaching", 1, 3, 0, 20, false}, {"interpretation", 1, 4, 3, 8, false}}
}

// sample is what one run measured.
type sample struct {
	micros   float64 // processor time of the server for each packet received by somebody
	mebibyte float64 // memory of the server for each participant
	bot.Result
}

// contender is a server under measurement: start brings it up and returns its process;
// stop ends it, or leaves it alone where it was running before.
type contender struct {
	name, url, key, secret string
	start                  func(context.Context) (pid int, stop func(), err error)
	samples                map[string][]sample
}

// runBenchMedia measures the media engine, and another server of the protocol beside
// it, alternating.
func runBenchMedia(ctx context.Context, e environment, args []string) error {
	f := flags("bench")
	against := f.String("against", "", "another server on this machine that is running, ws://127.0.0.1:PORT")
	binary := f.String("against-binary", "", "or the program of livekit-server, started afresh for each run")
	key := f.String("key", "benchkey", "API key of the other server")
	pass := f.String("secret", "a-secret-of-the-benchmark-of-32-characters", "API secret of the other server")
	runs := f.Int("runs", 5, "runs of each shape and server; the table shows medians")
	window := f.Duration("window", 10*time.Second, "time in which packets are counted")
	full := f.Bool("full", false, "the whole loads, for four processors or more")
	only := f.String("shape", "", "this shape alone: consult, teaching or interpretation")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 || *runs < 1 || *window < time.Second || *against != "" && *binary != "" {
		f.Usage()
		return errUsage
	}
	dir, err := os.MkdirTemp("", "consilium-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, err := ownEngine(dir)
	if err != nil {
		return err
	}
	list := []*contender{ours}
	switch {
	case *against != "":
		other, err := runningServer(*against, *key, *pass)
		if err != nil {
			return err
		}
		list = append(list, other)
	case *binary != "":
		other, err := startedServer(dir, *binary, *key, *pass)
		if err != nil {
			return err
		}
		list = append(list, other)
	}
	for round := range *runs {
		for _, s := range shapes(*full) {
			if *only != "" && *only != s.name {
				continue
			}
			for _, c := range list {
				got, err := c.measure(ctx, s, *window)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", s.name, c.name, err)
				}
				c.samples[s.name] = append(c.samples[s.name], got)
				fmt.Fprintf(e.err, "%d/%d %-15s %-9s %6.1f µs a packet, %d received, %d lost, load %.1f\n",
					round+1, *runs, s.name, c.name, got.micros, got.Received, got.Lost, loadAverage())
			}
		}
	}
	printMedia(e.out, list, shapes(*full))
	fmt.Fprintf(e.out, "\nMedians of %d runs of %v on %d processors, load %.1f at the end; generator and servers on the same machine.\n",
		*runs, *window, runtime.NumCPU(), loadAverage())
	return nil
}

// measure starts the server, plays the shape and stops it.
func (c *contender) measure(ctx context.Context, s shape, window time.Duration) (sample, error) {
	pid, stop, err := c.start(ctx)
	if err != nil {
		return sample{}, err
	}
	defer stop()
	before := memory(pid)
	var began, ended time.Duration
	var full float64
	limit, cancel := context.WithTimeout(ctx, window+2*time.Minute)
	defer cancel()
	r, err := bot.Run(limit, bot.Config{
		URL: c.url, Key: c.key, Secret: c.secret, Prefix: fmt.Sprintf("bench-%d-", time.Now().UnixNano()),
		Rooms: s.rooms, AV: s.av, Audio: s.audio, Subscribers: s.subscribers, Mutual: s.mutual,
		JoinGap: 30 * time.Millisecond, Warm: 3 * time.Second, Window: window,
		Begin: func() { began = processorTime(pid) },
		End:   func() { ended, full = processorTime(pid), memory(pid) },
	})
	switch {
	case err != nil:
		return sample{}, err
	case len(r.Errors) > 0:
		return sample{}, r.Errors[0]
	case r.Tracks < r.Wanted || r.Received == 0:
		return sample{}, fmt.Errorf("%d of %d tracks carried packets", r.Tracks, r.Wanted)
	}
	return sample{
		Result: r, micros: float64(ended-began) / float64(time.Microsecond) / float64(r.Received),
		mebibyte: (full - before) / float64(r.Participants),
	}, nil
}

// printMedia writes the medians and, where two were measured, the ratios.
func printMedia(out io.Writer, list []*contender, all []shape) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tserver\tµs a packet\tMiB each\tdelay p50\tp99\tjoin p50\tp99\tlost\t")
	type figures struct{ micros, memory, p50, p99 float64 }
	for _, s := range all {
		var row []figures
		for _, c := range list {
			got := c.samples[s.name]
			if len(got) == 0 {
				continue
			}
			ms := func(of func(sample) time.Duration) float64 {
				return median(got, func(x sample) float64 { return float64(of(x)) / float64(time.Millisecond) })
			}
			v := figures{
				median(got, func(x sample) float64 { return x.micros }), median(got, func(x sample) float64 { return x.mebibyte }),
				ms(func(x sample) time.Duration { return x.DelayP50 }), ms(func(x sample) time.Duration { return x.DelayP99 }),
			}
			row = append(row, v)
			var lost, received int64
			for _, x := range got {
				lost, received = lost+x.Lost, received+x.Received
			}
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.2f\t%.2f ms\t%.1f ms\t%.0f ms\t%.0f ms\t%.3f %%\t\n", s.name, c.name, v.micros, v.memory, v.p50, v.p99,
				ms(func(x sample) time.Duration { return x.JoinP50 }), ms(func(x sample) time.Duration { return x.JoinP99 }),
				100*float64(lost)/float64(max(1, lost+received)))
		}
		if len(row) == 2 {
			a, b := row[0], row[1]
			fmt.Fprintf(w, "\tratio\t%.2f\t%.2f\t%.2f\t%.2f\t\t\t\t\n", a.micros/b.micros, a.memory/b.memory, a.p50/b.p50, a.p99/b.p99)
		}
	}
	_ = w.Flush()
}

func median(list []sample, of func(sample) float64) float64 {
	v := make([]float64, 0, len(list))
	for _, x := range list {
		v = append(v, of(x))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// ownEngine is this program's engine in a process of its own.
func ownEngine(dir string) (*contender, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	pass, err := secret()
	if err != nil {
		return nil, err
	}
	c := &contender{name: "consilium", key: "bench", secret: pass, samples: map[string][]sample{}}
	c.start = func(ctx context.Context) (int, func(), error) {
		address, err := freeAddress()
		if err != nil {
			return 0, nil, err
		}
		c.url = "ws://" + address
		return launch(ctx, filepath.Join(dir, "own.log"), "http://"+address+"/healthz",
			exec.Command(program, "media", "--addr", address, "--udp-port", "0", "--key", c.key, "--secret", c.secret))
	}
	return c, nil
}

// startedServer is livekit-server with its defaults, on loopback.
func startedServer(dir, program, key, pass string) (*contender, error) {
	c := &contender{name: "livekit", key: key, secret: pass, samples: map[string][]sample{}}
	c.start = func(ctx context.Context) (int, func(), error) {
		address, err := freeAddress()
		if err != nil {
			return 0, nil, err
		}
		_, port, _ := net.SplitHostPort(address)
		config := filepath.Join(dir, "livekit.yaml")
		if err := os.WriteFile(config, fmt.Appendf(nil, `port: %s
bind_addresses: ["127.0.0.1"]
keys: {%s: "%s"}
logging: {level: error}
rtc: {port_range_start: 50000, port_range_end: 60000, tcp_port: 0, use_external_ip: false, use_mdns: false, node_ip: 127.0.0.1,
  enable_loopback_candidate: true, stun_servers: ["127.0.0.1:9"], interfaces: {includes: ["lo"]}, ips: {includes: ["127.0.0.1/32"]}}
`, port, key, pass), 0o600); err != nil {
			return 0, nil, err
		}
		c.url = "ws://" + address
		return launch(ctx, filepath.Join(dir, "livekit.log"), "http://"+address+"/", exec.Command(program, "--config", config))
	}
	return c, nil
}

// runningServer is a server that somebody else started on this machine.
func runningServer(address, key, pass string) (*contender, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" || u.Port() == "" || !loopback(u.Hostname()) {
		return nil, fmt.Errorf("--against %q is not ws://127.0.0.1:PORT: the processor time of a server is known on its own machine only", address)
	}
	pid, err := listener(u.Port())
	if err != nil {
		return nil, fmt.Errorf("--against %s: %w", address, err)
	}
	return &contender{
		name: "other", url: address, key: key, secret: pass, samples: map[string][]sample{},
		start: func(context.Context) (int, func(), error) { return pid, func() {}, nil },
	}, nil
}

// launch starts a server and waits until it answers.
func launch(ctx context.Context, logFile, health string, server *exec.Cmd) (int, func(), error) {
	log, err := os.Create(logFile)
	if err != nil {
		return 0, nil, err
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	stop := func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = server.Process.Kill()
			<-ended
		}
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			said, _ := os.ReadFile(logFile)
			return 0, nil, fmt.Errorf("%s ended: %w\n%s", server.Path, err, said)
		case <-limit.Done():
			stop()
			return 0, nil, fmt.Errorf("%s does not answer: %w", server.Path, limit.Err())
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(limit, http.MethodGet, health, nil)
		if err != nil {
			stop()
			return 0, nil, err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return server.Process.Pid, stop, nil
			}
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// clockTick is the unit of processor time in /proc (proc(5); 100 on every Linux that
// Go runs on).
const clockTick = time.Second / 100

// processorTime is what a process has used, its threads included.
func processorTime(pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	var all time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		all += time.Duration(n) * clockTick
	}
	return all
}

// memory is a process's resident memory in MiB.
func memory(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(size)[0], 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}

// listener finds the process that listens on a TCP port of this machine.
func listener(port string) (int, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, err
	}
	want := fmt.Sprintf(":%04X", n)
	socket := ""
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			// sl local_address rem_address st … inode; state 0A listens.
			if v := strings.Fields(lines.Text()); len(v) > 9 && strings.HasSuffix(v[1], want) && v[3] == "0A" {
				socket = "socket:[" + v[9] + "]"
			}
		}
		_ = f.Close()
	}
	if socket == "" {
		return 0, errors.New("nothing listens there")
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == socket {
			return strconv.Atoi(strings.Split(fd, "/")[2])
		}
	}
	return 0, errors.New("the process that listens there belongs to another account")
}
