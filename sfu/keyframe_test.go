package sfu

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/packetcache"
)

// A client may drop a request for a key frame, so a layer that is wanted and does not
// begin is asked for again: once a second, until it begins.
func TestAKeyFrameThatDoesNotComeIsAskedForAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	srv := &Server{now: func() time.Time { return now }}
	owner := &participant{identity: "a"}
	track := &Track{kind: webrtc.RTPCodecTypeVideo, room: &Room{srv: srv}, owner: owner, vp8: true, info: &livekit.TrackInfo{}}
	for i := range 2 {
		track.layers[i].Store(&layer{index: i, cache: packetcache.New(512), peer: &Peer{srv: srv}})
	}
	d := newSubTrack(track, &Peer{participant: owner})
	d.line, d.pt, d.out.ssrc = &wire{}, 96, 1
	d.bound.Store(true)
	d.open.Store(true)
	seq := uint16(0)
	flow := func(layer int, key bool) {
		track.layers[layer].Load().last.Store(now.UnixNano())
		seq++
		payload := []byte{0x10, 1, 0, 0}
		if key {
			payload[1] = 0
		}
		p := &rtpPacket{pt: 96, seq: seq, ts: uint32(seq) * 3000, payload: payload}
		f := frame{rtpPacket: p, layer: layer}
		f.vp8, _ = parseVP8(payload)
		f.key = f.vp8.key
		d.write(&f, now)
	}
	// step is a fifth of a second in which both layers flow, and what was asked in it.
	step := func(keyOf int) (asked uint64) {
		before := srv.count.keyRequests.Load()
		now = now.Add(200 * time.Millisecond)
		for i := range 2 {
			flow(i, i == keyOf)
		}
		d.choose(now)
		return srv.count.keyRequests.Load() - before
	}
	asked := uint64(0)
	for range 16 { // 3.2 s without an answer
		asked += step(-1)
	}
	if asked != 4 {
		t.Errorf("asked %d times in 3 s, want at once and then once a second", asked)
	}
	step(1)
	if d.current != 1 {
		t.Fatalf("layer %d", d.current)
	}
	asked = 0
	for range 16 {
		asked += step(-1)
	}
	if asked != 0 {
		t.Errorf("asked %d times for what is there", asked)
	}
}
