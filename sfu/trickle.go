package sfu

import (
	"sync"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/signalling"
	"github.com/pion/webrtc/v4"
)

// trickle sends the candidates of one connection to its client, never before the
// description that they belong to: at an ICE restart the client still has the old
// description, takes a candidate that comes early for one of the old ways and drops
// it with them, and then has no way to us at all.
type trickle struct {
	peer   *Peer
	target livekit.SignalTarget

	mu      sync.Mutex
	holding bool
	held    []*livekit.SignalResponse
}

// candidate is for webrtc.PeerConnection.OnICECandidate.
func (t *trickle) candidate(c *webrtc.ICECandidate) {
	if c == nil {
		return
	}
	m := &livekit.SignalResponse{Message: &livekit.SignalResponse_Trickle{
		Trickle: signalling.ToProtoTrickle(c.ToJSON(), t.target, false),
	}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holding {
		t.held = append(t.held, m)
		return
	}
	t.peer.send(m)
}

// hold keeps candidates back until release: a description is being made.
func (t *trickle) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holding = true
}

// release sends what was kept back: the description is on its way.
func (t *trickle) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holding = false
	for _, m := range t.held {
		t.peer.send(m)
	}
	t.held = nil
}
