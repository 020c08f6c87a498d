package sfu_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
)

// inbox is a client's side of a socket.
type inbox struct {
	mu       sync.Mutex
	messages []*livekit.SignalResponse
}

func (b *inbox) Send(m *livekit.SignalResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, m)
}

func (b *inbox) Close() {}

// first is the message that came first, nil before any.
func (b *inbox) first() *livekit.SignalResponse {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		return nil
	}
	return b.messages[0]
}

// token is the last that came.
func (b *inbox) token() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.messages) - 1; i >= 0; i-- {
		if raw := b.messages[i].GetRefreshToken(); raw != "" {
			return raw
		}
	}
	return ""
}

func TestALongCallAlwaysHoldsALiveToken(t *testing.T) {
	leakcheck.Check(t)
	var mu sync.Mutex
	clock := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: key, Secret: secret, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.Open("room"); err != nil {
		t.Fatal(err)
	}
	perm := &livekit.ParticipantPermission{CanSubscribe: true}
	ticket, _, err := server.Room("room").Admit("a", "", nil, perm)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := server.Verify(ticket)
	if err != nil {
		t.Fatal(err)
	}
	var box inbox
	peer, err := server.Join(context.Background(), sfu.JoinRequest{Claims: claims, Sink: &box})
	if err != nil {
		t.Fatal(err)
	}
	// Three hours, a second at a time. At each of them the socket might drop.
	for second := range 3 * 60 * 60 {
		mu.Lock()
		clock = clock.Add(time.Second)
		mu.Unlock()
		server.Tick()
		c, err := server.Verify(box.token())
		if err != nil {
			t.Fatalf("after %d s the token is dead", second)
		}
		if left := c.ExpiresAt.Sub(now()); left < 9*time.Minute {
			t.Fatalf("after %d s the token lives only %s", second, left)
		}
	}
	if _, err := server.Verify(ticket); err == nil {
		t.Error("the ticket of three hours ago still opens")
	}
	peer.Dropped(&box)
	c, err := server.Verify(box.token())
	if err != nil {
		t.Fatal(err)
	}
	if c.Video == nil || c.Video.Room != "room" || c.Video.RoomAdmin || c.Video.GetCanPublish() {
		t.Errorf("the token grants %+v", c.Video)
	}
	var again inbox
	resumed, err := server.Resume(context.Background(), c, peer.SID(), &again)
	if err != nil || resumed != peer {
		t.Fatalf("resume: %v, %v", resumed, err)
	}
	if m := again.first(); m.GetReconnect() == nil {
		t.Errorf("first message after the resume is %T", m.GetMessage())
	}
	// Whoever was removed gets nothing more, and what it holds opens nothing.
	server.Room("room").Remove("a")
	if err := server.Check(c); err == nil {
		t.Error("a revoked ticket still resumes")
	}
}
