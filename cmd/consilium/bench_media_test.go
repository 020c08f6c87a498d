package main

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/cmd/consultbot/bot"
)

func TestProcessBehindAnAddressIsFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	other, err := runningServer("ws://"+address, "key", "secret")
	if err != nil {
		t.Fatal(err)
	}
	pid, stop, err := other.start(t.Context())
	if err != nil || pid != os.Getpid() {
		t.Errorf("got process %d, %v; want %d", pid, err, os.Getpid())
	}
	stop()
	if m := memory(pid); m < 1 || m > 1<<20 {
		t.Errorf("this process has %v MiB", m)
	}
	if processorTime(pid) < 0 {
		t.Error("negative processor time")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"ws://" + address, "ws://192.0.2.1:7880", "http://127.0.0.1:7880", "ws://127.0.0.1"} {
		if _, err := runningServer(bad, "key", "secret"); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestTableShowsMediansAndRatios(t *testing.T) {
	run := func(micros, mebibyte float64, delay time.Duration) sample {
		return sample{micros: micros, mebibyte: mebibyte, Result: bot.Result{Received: 999, Lost: 1, DelayP50: delay, DelayP99: 4 * delay}}
	}
	list := []*contender{
		{name: "consilium", samples: map[string][]sample{"consult": {run(5, 1, time.Millisecond), run(900, 9, time.Second), run(4, 0.5, time.Millisecond)}}},
		{name: "other", samples: map[string][]sample{"consult": {run(10, 2, 2*time.Millisecond), run(11, 4, 3*time.Millisecond), run(9, 1, time.Millisecond)}}},
	}
	var out strings.Builder
	printMedia(&out, list, shapes(false))
	got := ""
	for line := range strings.Lines(out.String()) {
		got += strings.Join(strings.Fields(line), " ") + "\n"
	}
	want := `shape server µs a packet MiB each delay p50 p99 join p50 p99 lost
consult consilium 5.0 1.00 1.00 ms 4.0 ms 0 ms 0 ms 0.100 %
consult other 10.0 2.00 2.00 ms 8.0 ms 0 ms 0 ms 0.100 %
ratio 0.50 0.50 0.50 0.50
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
