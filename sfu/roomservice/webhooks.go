package roomservice

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/consilium-health/consilium/sfu"
)

const (
	// hookQueue bounds what waits for a receiver that does not answer; later events
	// are counted in the next that is delivered.
	hookQueue = 1024
	// hookTries and hookPause: five tries within about eight seconds, then the event
	// is dropped and counted.
	hookTries   = 5
	hookPause   = 250 * time.Millisecond
	hookTimeout = 5 * time.Second
	// hookLife is how long the signature of one delivery is good.
	hookLife = 5 * time.Minute
)

// WebhookConfig is what NewWebhooks needs.
type WebhookConfig struct {
	Server *sfu.Server
	URLs   []string
	Client *http.Client // http.DefaultClient if nil
	Log    *slog.Logger // discarded if nil
}

// Webhooks tells other services of the server's events, signed as LiveKit signs
// them: a token of the server's key with the SHA-256 of the body.
type Webhooks struct {
	cfg     WebhookConfig
	stop    func()
	queue   chan *livekit.WebhookEvent
	mu      sync.Mutex
	dropped int32 // guarded by mu
}

// NewWebhooks begins to collect events. Run delivers them.
func NewWebhooks(cfg WebhookConfig) *Webhooks {
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Webhooks{cfg: cfg, queue: make(chan *livekit.WebhookEvent, hookQueue)}
	w.stop = cfg.Server.Watch(w.take)
	return w
}

// hooked are the events of the protocol; mute and flow are not among them.
var hooked = map[sfu.EventKind]bool{
	sfu.RoomStarted: true, sfu.RoomFinished: true, sfu.ParticipantJoined: true, sfu.ParticipantLeft: true,
	sfu.TrackPublished: true, sfu.TrackUnpublished: true,
}

func (w *Webhooks) take(e sfu.Event) {
	if !hooked[e.Kind] {
		return
	}
	event := &livekit.WebhookEvent{
		Event: string(e.Kind), Id: e.ID, CreatedAt: e.At.Unix(), Room: e.Info, Participant: e.Participant, Track: e.Track,
	}
	select {
	case w.queue <- event:
	default:
		w.drop()
	}
}

func (w *Webhooks) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped++
}

// Run delivers events in their order until ctx ends.
func (w *Webhooks) Run(ctx context.Context) error {
	defer w.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.queue:
			w.mu.Lock()
			event.NumDropped, w.dropped = w.dropped, 0
			w.mu.Unlock()
			for _, url := range w.cfg.URLs {
				if err := w.deliver(ctx, url, event); err != nil && ctx.Err() == nil {
					w.cfg.Log.Warn("webhook", "event", event.GetId(), "error", err)
					w.drop()
				}
			}
		}
	}
}

func (w *Webhooks) deliver(ctx context.Context, url string, event *livekit.WebhookEvent) error {
	body, err := protojson.Marshal(event)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", event.GetId(), err)
	}
	pause := hookPause
	for try := 1; ; try++ {
		if err = w.post(ctx, url, body); err == nil || try == hookTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func (w *Webhooks) post(ctx context.Context, url string, body []byte) error {
	sum := sha256.Sum256(body)
	var c sfu.Claims
	c.Sha256 = base64.StdEncoding.EncodeToString(sum[:])
	token, _, err := w.cfg.Server.Sign(c, hookLife)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	req.Header.Set("Authorization", token)
	req.Header.Set("Content-Type", "application/webhook+json")
	res, err := w.cfg.Client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode >= 300 {
		return fmt.Errorf("webhook: receiver answered %d", res.StatusCode)
	}
	return nil
}
