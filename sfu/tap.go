package sfu

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
)

// ErrTapped means that a room has a tap already.
var ErrTapped = errors.New("sfu: room has a tap")

// Recorder is what a Policy may say beside who receives whom: whose voice and picture
// a Tap may take. A Policy that does not say it, and no Policy at all, permit nothing.
// It is asked for every packet and must answer at once from what it holds.
type Recorder interface {
	// Record judges speaker, the identity whose voice or picture it is: of a language
	// channel, whose tag is then in channel, the interpreter who feeds it at that moment.
	Record(speaker, channel string, source livekit.TrackSource) bool
}

// TapTrack describes a track to a Tap.
type TapTrack struct {
	Room     string
	Identity string // of the publisher; "channel:<tag>" for the tracks of a language channel
	SID      string
	Channel  string // tag, or empty
	Source   livekit.TrackSource
	MimeType string // "audio/opus", "video/VP8" and so on; never RED
	Clock    uint32 // of the timestamps, in hertz
}

// TapPacket is one packet of a track. Its payload is valid during the call only.
type TapPacket struct {
	Track     *TapTrack // the same for all packets of a track
	Speaker   string    // identity whose voice or picture it is
	Layer     int       // 0, or of simulcast 0 to 2 from the smallest
	SSRC      uint32    // of the layer; of a channel's packet the interpreter's
	Seq       uint16
	Timestamp uint32
	Marker    bool
	Payload   []byte
	Arrived   time.Time
}

// Tap takes what a room's participants publish, while the policy permits it. Packet and
// Ended are called one at a time for each track, in the packet path: they must not
// block and must not call the engine.
type Tap interface {
	Packet(p TapPacket)
	// Ended follows the last packet of a track of which there was one.
	Ended(t *TapTrack)
}

// Tap lets a tap take the room's tracks, those of now and later, until stop is called or
// the room ends. Each packet passes only if the room's policy is a Recorder that permits
// its speaker; after Route has returned, no packet passes that the new policy does not
// permit. What is muted is not passed on, and what is encrypted end to end neither.
// Rooms have one tap: the second is ErrTapped, a closed room ErrNoRoom.
func (r *Room) Tap(tap Tap) (stop func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, fmt.Errorf("tap room %s: %w", r.name, ErrNoRoom)
	case r.tap != nil:
		return nil, fmt.Errorf("tap room %s: %w", r.name, ErrTapped)
	}
	r.tap = tap
	for _, p := range r.people {
		for _, t := range p.tracks {
			r.tapLocked(t)
		}
	}
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tap = nil
		for _, p := range r.people {
			for _, t := range p.tracks {
				t.untap()
			}
		}
	}), nil
}

// tapped is one track with its tap and what gates it.
type tapped struct {
	tap  Tap
	info TapTrack

	mu    sync.Mutex
	gate  Recorder // nil permits nothing
	heard bool     // there was a packet
	ended bool
}

// tapLocked puts the room's tap to an announced track.
func (r *Room) tapLocked(t *Track) {
	if r.tap == nil || t.sealed != nil {
		return
	}
	x := &tapped{tap: r.tap, info: TapTrack{
		Room: r.name, Identity: t.owner.identity, SID: t.sid, Channel: t.channel, Source: t.source,
		MimeType: t.codec.MimeType, Clock: t.clock(),
	}}
	x.gate, _ = r.policy.(Recorder)
	t.tapped.Store(x)
}

// regateTapsLocked lets the room's policy gate its tap.
func (r *Room) regateTapsLocked() {
	if r.tap == nil {
		return
	}
	gate, _ := r.policy.(Recorder)
	for _, p := range r.people {
		for _, t := range p.tracks {
			if x := t.tapped.Load(); x != nil {
				x.mu.Lock()
				x.gate = gate
				x.mu.Unlock()
			}
		}
	}
}

// untap ends what a tap gets of a track.
func (t *Track) untap() {
	x := t.tapped.Swap(nil)
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	if x.heard {
		x.tap.Ended(&x.info)
	}
}

// write passes one packet on, if its speaker may be recorded. What a channel sends
// without a leg is nobody's.
func (x *tapped) write(layer int, p *rtpPacket, now time.Time) {
	speaker := x.info.Identity
	if x.info.Channel != "" {
		speaker = p.speaker
	}
	payload := p.opusFrame()
	if len(payload) == 0 || p.late || speaker == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	// The gate is asked under its lock: after it was replaced, nothing of before passes.
	if x.ended || x.gate == nil || !x.gate.Record(speaker, x.info.Channel, x.info.Source) {
		return
	}
	x.heard = true
	x.tap.Packet(TapPacket{
		Track: &x.info, Speaker: speaker, Layer: layer, SSRC: p.ssrc, Seq: p.seq, Timestamp: p.ts, Marker: p.marker, Payload: payload, Arrived: now,
	})
}
