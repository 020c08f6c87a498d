//go:build promise

package sfu_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/signal"
)

// moved is one address at which one engine answers after the other, as behind a proxy
// that takes new sockets to whoever is ready.
type moved struct {
	now atomic.Pointer[http.Handler]
}

func (m *moved) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*m.now.Load()).ServeHTTP(w, r) }

// engine runs an engine until end is called.
func (m *moved) engine(t *testing.T) (server *sfu.Server, answer http.Handler, end func()) {
	t.Helper()
	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: key, Secret: secret, AutoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ended := atomic.Bool{}
	end = func() {
		if !ended.Swap(true) {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(end)
	return server, signal.Handler(signal.Config{Server: server}), end
}

// TestPromise12 moves a consult of three to a second engine: the first drains, those who
// come are taken to the second, and who is still there is sent after them. The gap is the
// longest time in which nothing of one of them reaches another.
func TestPromise12ADrainedConsultIsMoved(t *testing.T) {
	for _, form := range []struct {
		name    string
		options []lksdk.ConnectOption
	}{{"two connections", nil}, {"one connection", []lksdk.ConnectOption{single}}} {
		t.Run(form.name, func(t *testing.T) {
			quiet(t)
			leakcheck.Check(t)
			m := &moved{}
			first, answer, end := m.engine(t)
			m.now.Store(&answer)
			web := httptest.NewServer(m)
			t.Cleanup(web.Close)

			ids := []string{"a", "b", "c"}
			var all []*sdkClient
			for _, id := range ids {
				c := newSDKClient(t, web.URL, id, form.options...)
				c.speak()
				all = append(all, c)
			}
			for _, c := range all {
				for _, id := range ids {
					if id != c.id {
						c.sees("subscribed " + id)
					}
				}
				c.hears()
			}
			// A right that was taken is not had again by moving.
			perm := &livekit.ParticipantPermission{CanSubscribe: true, CanPublish: true, CanPublishSources: []livekit.TrackSource{livekit.TrackSource_MICROPHONE}}
			if _, err := first.Room("room").Update("a", nil, nil, nil, perm); err != nil {
				t.Fatal(err)
			}

			second, answer, _ := m.engine(t)
			m.now.Store(&answer)
			first.Drain()
			for _, c := range all { // who is there goes on
				c.hears()
				c.measure()
			}
			end()
			for _, c := range all {
				for _, id := range ids {
					if id != c.id {
						c.sees("subscribed " + id)
					}
				}
				c.hears()
			}
			var gaps []time.Duration
			for _, c := range all {
				gaps = append(gaps, c.gap())
				c.mu.Lock()
				if slices.ContainsFunc(c.seen, func(s string) bool { return len(s) > 12 && s[:12] == "disconnected" }) {
					t.Errorf("%s was told that the call has ended: %q", c.id, c.seen)
				}
				c.mu.Unlock()
			}
			t.Logf("longest time without a packet of sound of somebody while the consult moved: %v", gaps)
			if worst := slices.Max(gaps); worst > time.Second {
				t.Errorf("%v without sound", worst)
			}
			if first.Clients() != 0 || second.Clients() != 3 {
				t.Errorf("%d are at the first engine, %d at the second", first.Clients(), second.Clients())
			}
			all[0].until("the right that is left", func() bool {
				all[0].wake()
				p := all[0].room.LocalParticipant.Permissions()
				return p.GetCanPublish() && !p.GetCanPublishData() && len(p.GetCanPublishSources()) == 1
			})
		})
	}
}

// measure begins to measure the longest time without a packet of somebody; gap tells it.
func (c *sdkClient) measure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.longest = map[string]time.Time{}, 0
}

func (c *sdkClient) gap() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.longest
}
