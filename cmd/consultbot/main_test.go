package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/cmd/consultbot/bot"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/roomservice"
	"github.com/consilium-health/consilium/sfu/signal"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// engine runs the media engine on loopback for the time of the test.
func engine(t *testing.T) (url string) {
	t.Helper()
	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: key, Secret: secret, AutoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	mux := http.NewServeMux()
	h := signal.Handler(signal.Config{Server: server})
	mux.Handle("/rtc", h)
	mux.Handle("/rtc/", h)
	mux.Handle("/twirp/", roomservice.Handler(server))
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return "ws" + strings.TrimPrefix(web.URL, "http")
}

func TestEverybodyReceivesWhatIsSent(t *testing.T) {
	var out, problems strings.Builder
	err := run(t.Context(), &out, &problems, []string{
		"--url", engine(t), "--key", key, "--secret", secret, "--rooms", "2", "--publishers", "1", "--audio", "1",
		"--subscribers", "1", "--warm", "1s", "--duration", "1s", "--json",
	})
	if err != nil {
		t.Fatal(err, problems.String())
	}
	var r bot.Result
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	// In each of two rooms the subscriber gets three tracks, one publisher one and the
	// other two.
	if r.Participants != 6 || r.Tracks != 12 || r.Wanted != 12 || r.JoinErrors != 0 {
		t.Errorf("got %+v", r)
	}
	// 250 packets a second are sent in each room; 550 are received.
	if r.Sent < 250 || r.Received < r.Sent*3/2 || r.Received > r.Sent*3 {
		t.Errorf("%d packets sent and %d received", r.Sent, r.Received)
	}
	if r.DelayP50 <= 0 || r.DelayP99 < r.DelayP50 || r.JoinP50 <= 0 {
		t.Errorf("delays %v and %v, join %v", r.DelayP50, r.DelayP99, r.JoinP50)
	}
}

func TestWrongKeyIsToldAtOnce(t *testing.T) {
	var out, problems strings.Builder
	err := run(t.Context(), &out, &problems, []string{"--url", engine(t), "--key", key, "--secret", "another-secret-of-32-characters-or-more"})
	if err == nil || out.Len() > 0 {
		t.Errorf("got error %v and %q", err, out.String())
	}
}
