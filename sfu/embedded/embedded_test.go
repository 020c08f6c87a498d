package embedded_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/embedded"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/mediatest"
	"github.com/consilium-health/consilium/sfu/signal"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// start runs an engine on loopback for the time of the test.
func start(t *testing.T, cfg sfu.Config) (*embedded.Media, *httptest.Server, *sfu.Server) {
	t.Helper()
	leakcheck.Check(t)
	cfg.UDP, cfg.Key, cfg.Secret = "127.0.0.1:0", key, secret
	server, err := sfu.New(cfg)
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
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	url := "ws" + strings.TrimPrefix(web.URL, "http")
	return embedded.New(embedded.Config{Server: server, URL: func(sessions.SessionID) string { return url }}), web, server
}

func TestContract(t *testing.T) {
	media, _, _ := start(t, sfu.Config{})
	mediatest.Run(t, mediatest.Engine{Media: media})
}
