package sfu

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/seqmap"
)

// frame is a packet on its way to the subscribers, with what is read of its payload
// once for all of them.
type frame struct {
	*rtpPacket
	layer int
	key   bool
	vp8   vp8Header
}

// line carries sealed packets to one client: a link.
type line interface {
	write(s *sender, o *outgoing, payload []byte, via *batch)
}

// subTrack is one track as one subscriber gets it.
type subTrack struct {
	track *Track
	peer  *Peer

	open   atomic.Bool  // packets may flow; the only thing read for a paused track
	bound  atomic.Bool  // it was agreed how: a key frame of before is of no use
	target atomic.Int32 // wanted layer, -1 for none

	verdict  Verdict                      // guarded by room.mu
	settings *livekit.UpdateTrackSettings // guarded by room.mu
	told     livekit.StreamState          // guarded by room.mu
	cap      int                          // guarded by room.mu: best layer the link carries, -1 for none
	meter    meter                        // guarded by room.mu: of what is sent
	counted  tally                        // guarded by room.mu

	out sender // the ssrc of both is set before bind
	rtx sender // packets that are sent again

	mu      sync.Mutex
	line    line // nil until bound
	pt      uint8
	rtxPT   uint8
	rtxSeq  uint16
	repairs int   // how many packets may be sent again
	redPT   uint8 // 0: the subscriber has no RED
	twccID  uint8 // 0: the subscriber does not report arrivals
	inside  bool  // the last packet sent was not the end of its frame
	current int   // layer that is forwarded
	seq     *seqmap.Stream
	scratch []byte
	again   []byte // packet to send again
	packets uint32
	octets  uint32
	bytes   uint64 // what octets wraps of
	resent  uint64
	padded  uint64
	lost    uint8 // fraction of the last report
}

func newSubTrack(t *Track, p *Peer) *subTrack {
	size := 256
	if t.video() {
		size = 1024
	}
	d := &subTrack{
		track: t, peer: p, current: -1, cap: unlimited,
		seq:    seqmap.New(size, uint16(rand.Uint32()>>1), rand.Uint32()),
		rtxSeq: uint16(rand.Uint32()),
	}
	return d
}

// bind takes the client's answer to the section of this track: how it is sent.
func (d *subTrack) bind(l line, h *heard) {
	var pt, rtx, redundant uint8
	for _, exact := range []bool{true, false} {
		for _, c := range h.codecs {
			if pt == 0 && mimeIs(c.MimeType, d.track.codec.MimeType) &&
				(!exact || !d.track.h264 || h264Same(c.SDPFmtpLine, d.track.codec.SDPFmtpLine)) {
				pt = uint8(c.PayloadType)
			}
		}
	}
	for _, c := range h.codecs {
		switch {
		case mimeIs(c.MimeType, mimeRED):
			redundant = uint8(c.PayloadType)
		case mimeIs(c.MimeType, webrtc.MimeTypeRTX) && fmtpValue(c.SDPFmtpLine, "apt") == itoa(int(pt)):
			rtx = uint8(c.PayloadType)
		}
	}
	if !h.receives || pt == 0 {
		// The client cannot decode the track, or does not want to: it alone stays silent.
		d.peer.srv.log.Warn("track not taken by subscriber", "participant", d.peer.sid, "track", d.track.sid)
		d.unbind()
		return
	}
	d.mu.Lock()
	fresh := d.line == nil
	d.line, d.pt, d.rtxPT, d.redPT, d.twccID = l, pt, rtx, redundant, h.extensions[twccURI]
	d.mu.Unlock()
	d.bound.Store(true)
	if fresh {
		d.peer.bound(d)
	}
}

// unbind stops the sending for good or until the next bind.
func (d *subTrack) unbind() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = nil
	d.bound.Store(false)
	if d.peer != nil {
		d.peer.pace.drop(d)
	}
}

// write sends one packet of the track to the subscriber, if it gets it.
func (d *subTrack) write(f *frame, now time.Time) {
	if !d.open.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// Looked at again under the lock: after setOpen(false) returns, nothing leaves.
	if d.line == nil || !d.open.Load() {
		return
	}
	if len(f.payload) == 0 {
		if f.layer == d.current {
			d.seq.Drop(f.seq)
		}
		return
	}
	first, redundant := false, d.redPT != 0 && f.primary != nil
	if f.rebuilt && d.redPT != 0 || f.late && !redundant {
		return
	}
	if d.track.video() {
		if target := int(d.target.Load()); f.layer == target && (d.current != target || !d.seq.Ready()) && f.key {
			d.seq.Switch(uint8(f.layer), f.seq, f.ts, d.seq.Project(now, videoClock, videoFrame))
			if f.vp8.pictureAt > 0 {
				d.seq.SwitchPicture(f.vp8.picture, f.vp8.tl0)
			}
			d.current = f.layer
		}
		if f.layer != d.current {
			return
		}
	} else if !d.seq.Ready() {
		d.seq.Switch(0, f.seq, f.ts, d.seq.Project(now, audioClock, audioFrame))
		d.current, first = 0, true
	}
	seq, ts, ok := d.seq.Map(f.seq, f.ts, now)
	if !ok {
		return
	}
	payload := f.payload
	if f.vp8.pictureAt > 0 {
		d.seq.Pictures(f.vp8.picture, f.vp8.tl0)
		o := d.seq.Origin()
		if o.Picture != 0 || o.TL0 != 0 {
			d.scratch = append(d.scratch[:0], payload...)
			payload = d.scratch
			putVP8(payload, f.vp8, f.vp8.picture+o.Picture, f.vp8.tl0+o.TL0)
		}
	}
	pt := d.pt
	switch {
	case redundant && first:
		// What the packet repeats belongs to a past that this subscriber did not hear.
		pt = d.redPT
		d.scratch = append(append(d.scratch[:0], d.pt), f.primary...)
		payload = d.scratch
	case redundant:
		pt = d.redPT
	case f.primary != nil:
		payload = f.primary
	}
	d.inside = d.track.video() && !f.marker
	d.send(&d.out, outgoing{pt: pt, seq: seq, ts: ts, marker: f.marker || first}, payload, now, f.via)
	d.packets++
	d.octets += uint32(len(payload))
	d.bytes += uint64(len(payload))
	d.repairs = min(d.repairs+1, repairBurst)
}

// send puts a packet on the wire, or with a weak link into the queue for it.
func (d *subTrack) send(s *sender, o outgoing, payload []byte, now time.Time, via *batch) {
	if o.twccID = d.twccID; o.twccID != 0 {
		if d.track.video() {
			if taken, full := d.peer.pace.push(d, s, &o, payload); taken {
				if full {
					d.seq.Stop()
					d.current = -1
					d.keyframe(now)
				}
				return
			}
		}
		o.twcc = d.peer.est.sent(len(payload)+overhead, now)
	}
	d.line.write(s, &o, payload, via)
}

// padding is the content of a packet that only fills the link.
var padding = func() (b [paddingSize]byte) {
	b[paddingSize-1] = paddingSize
	return b
}()

// pad sends packets without content, to see whether the link carries more. It does
// nothing inside a frame.
func (d *subTrack) pad(n int, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line == nil || d.twccID == 0 || d.seq.Ready() && d.inside || d.peer.pace.waiting() {
		return false
	}
	for range n {
		seq, ts := d.seq.Pad(now)
		o := outgoing{padding: true, pt: d.pt, seq: seq, ts: ts, twccID: d.twccID, twcc: d.peer.est.sent(paddingSize+overhead, now)}
		d.line.write(&d.out, &o, padding[:], nil)
		d.packets++
		d.padded++
	}
	return true
}

// setOpen opens or closes the gate. When it returns after closing, no packet of the
// track follows; audio ends with one frame of silence, or the decoder would go on
// guessing for 200 ms.
func (d *subTrack) setOpen(open bool, now time.Time) {
	if d.open.Load() == open {
		return
	}
	if open {
		d.open.Store(true)
		d.keyframe(now)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open.Store(false)
	if !d.track.video() && d.line != nil && d.seq.Started() && d.seq.Ready() {
		seq, ts := d.seq.Insert(now, audioClock, audioFrame)
		d.send(&d.out, outgoing{pt: d.pt, seq: seq, ts: ts}, d.track.ending(), now, nil)
		d.packets++
	}
	d.seq.Stop()
	d.current = -1
	if d.track.video() && d.peer != nil {
		d.peer.pace.drop(d)
	}
}

// keyframe asks for a key frame of the wanted layer.
func (d *subTrack) keyframe(now time.Time) {
	if d.track.video() && d.open.Load() && d.bound.Load() {
		if target := int(d.target.Load()); target >= 0 {
			d.track.requestKeyframe(target, now)
		}
	}
}

// choose picks the layer: the best that flows and is not above what is wanted, else
// the lowest that flows.
func (d *subTrack) choose(now time.Time) {
	if !d.track.video() {
		return
	}
	want := max(0, min(d.wantedLayer()-d.peer.give.level, d.cap))
	best, lowest := -1, -1
	for i := range d.track.layers {
		l := d.track.layers[i].Load()
		if l == nil || now.UnixNano()-l.last.Load() > int64(layerAlive) {
			continue
		}
		if lowest < 0 {
			lowest = i
		}
		if i <= want {
			best = i
		}
	}
	if best < 0 {
		best = lowest
	}
	switch {
	case best < 0:
	case int(d.target.Swap(int32(best))) != best:
		d.keyframe(now)
	case d.open.Load() && d.waits(best) && d.track.unanswered(best, now):
		d.keyframe(now)
	}
}

// waits tells whether a layer is wanted that has not begun for want of a key frame.
func (d *subTrack) waits(layer int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line != nil && (d.current != layer || !d.seq.Ready())
}

// layerAlive is how long a layer without packets counts as flowing: a screen at one
// frame a second is alive.
const layerAlive = 1500 * time.Millisecond

// wantedLayer reads the subscriber's settings; the room is locked.
func (d *subTrack) wantedLayer() int {
	s := d.settings
	if s == nil {
		return 2
	}
	if s.Width > 0 {
		for _, l := range d.track.info.GetLayers() {
			if l.Width >= s.Width && l.Quality != livekit.VideoQuality_OFF {
				return int(l.Quality)
			}
		}
		return 2
	}
	if s.Quality == livekit.VideoQuality_OFF {
		return 0
	}
	return int(s.Quality)
}

// resend answers one lost packet from the publisher's cache, over the RTX stream
// (RFC 4588): with GCM the same number must never carry other bytes.
func (d *subTrack) resend(out uint16, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line == nil || d.rtxPT == 0 || !d.open.Load() {
		return
	}
	o, ok := d.seq.Lookup(out)
	// Nobody is sent more again than was sent: a client that asks for everything
	// gets twice as much, not a hundred times.
	if !ok || d.repairs == 0 {
		return
	}
	d.repairs--
	d.resent++
	l := d.track.layers[o.Source].Load()
	if l == nil {
		return
	}
	d.again = l.cache.Get(o.Seq, d.again)
	if d.again == nil {
		return
	}
	p, err := parseRTP(d.again, 0)
	if err != nil || len(p.payload) == 0 {
		return
	}
	d.scratch = append(d.scratch[:0], 0, 0)
	binary.BigEndian.PutUint16(d.scratch, out)
	d.scratch = append(d.scratch, p.payload...)
	if d.track.vp8 {
		if h, ok := parseVP8(p.payload); ok && h.pictureAt > 0 {
			putVP8(d.scratch[2:], h, h.picture+o.Picture, h.tl0+o.TL0)
		}
	}
	d.rtxSeq++
	d.send(&d.rtx, outgoing{pt: d.rtxPT, seq: d.rtxSeq, ts: p.ts + o.TSOffset, marker: p.marker}, d.scratch, now, nil)
}
