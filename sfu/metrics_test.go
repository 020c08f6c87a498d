package sfu_test

import (
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMetricsCountWithoutNamingAnybody(t *testing.T) {
	server, _ := start(t, none, none)
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(server.Collector()); err != nil {
		t.Fatal(err)
	}
	// read sums a metric over the labels that are not named.
	read := func(name string, labels ...string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, f := range families {
			for _, m := range f.Metric {
				text := ""
				for _, l := range m.Label {
					text += l.GetName() + "=" + l.GetValue() + ";"
					for _, secret := range []string{"marker", "room", "127.0.0.1", "PA_", "TR_"} {
						if strings.Contains(l.GetValue(), secret) {
							t.Fatalf("%s has the label %s", f.GetName(), text)
						}
					}
				}
				matches := f.GetName() == "consilium_sfu_"+name
				for _, want := range labels {
					matches = matches && strings.Contains(text, want+";")
				}
				if matches {
					sum += m.Gauge.GetValue() + m.Counter.GetValue()
				}
			}
		}
		return sum
	}
	a := newBrowser(t, server, "marker-a", nil)
	b := newBrowser(t, server, "marker-b", nil)
	a.speak()
	a.film(300_000)
	b.until("picture and sound", patience, func() bool { return b.videos.Load() > 50 && b.redSeen.Load() > 50 })
	b.until("the totals", patience, func() bool { return read("packets_sent_total") > 100 && read("packets_received_total") > 100 })
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"rooms", nil, 1},
		{"participants", []string{"kind=client"}, 2},
		{"participants", []string{"kind=channel"}, 0},
		{"tracks", []string{"kind=audio"}, 1},
		{"tracks", []string{"kind=video"}, 1},
		{"subscriptions", []string{"state=open"}, 2},
		{"subscriptions", []string{"state=paused"}, 0},
		{"joins_total", nil, 2},
		{"resumable", nil, 0},
		{"weak_links", nil, 0},
		{"packets_over_rate_total", nil, 0},
	} {
		if got := read(c.name, c.labels...); got != c.want {
			t.Errorf("%s %v: got %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if read("keyframe_requests_total") == 0 || read("bytes_sent_total") < 10_000 {
		t.Errorf("key frames %v, bytes %v", read("keyframe_requests_total"), read("bytes_sent_total"))
	}
	sent := read("packets_sent_total")
	b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	b.until("b has left", patience, func() bool { return read("leaves_total", "reason=CLIENT_INITIATED") == 1 })
	if now := read("packets_sent_total"); now < sent {
		t.Errorf("a total fell from %v to %v", sent, now)
	}
	if n := read("subscriptions"); n != 0 {
		t.Errorf("%v subscriptions", n)
	}
}
