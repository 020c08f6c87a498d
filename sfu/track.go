package sfu

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/packetcache"
)

// pliInterval keeps key frame requests below two a second for each layer: every
// key frame costs all receivers a burst.
const pliInterval = 500 * time.Millisecond

// Track is one published track: up to three layers in, any number of subscribers
// out. The packet path reads subs and taps, which are replaced whole.
type Track struct {
	sid     string
	cid     string
	room    *Room
	owner   *participant
	kind    webrtc.RTPCodecType
	source  livekit.TrackSource
	channel string // tag, when the track is one of a language channel

	info      *livekit.TrackInfo        // guarded by room.mu
	codec     webrtc.RTPCodecCapability // set before announced
	vp8       bool                      // set before announced
	h264      bool                      // set before announced
	wantCodec string                    // mime type the client asked for
	mid       string                    // set before announced
	sealed    []byte                    // frame of silence, when the track is encrypted end to end; set before pending
	wanted    livekit.VideoQuality      // guarded by room.mu: what dynacast was told last
	lower     time.Time                 // guarded by room.mu: since when less is wanted
	layers    [3]atomic.Pointer[layer]  // by quality; 0 alone without simulcast
	subs      atomic.Pointer[[]*subTrack]
	taps      atomic.Pointer[[]*channelTrack] // replaced under the feed table's lock
	tapped    atomic.Pointer[tapped]          // replaced under room.mu

	offered   bool // guarded by room.mu: while it is pending, a section of the last offer sends it
	announced bool // guarded by room.mu
	muted     atomic.Bool
	ended     atomic.Bool

	last   atomic.Int64 // UnixNano of the last packet
	flow   atomic.Uint32
	gaps   atomic.Uint32 // times that the flow was lost
	frames atomic.Uint32 // audio packets since the last look
	active atomic.Uint32 // of these, with speech
	loud   atomic.Uint32 // 127 minus the lowest level since the last look
}

// layer is one received RTP stream.
type layer struct {
	index   int
	rid     string
	mid     string
	ssrc    uint32
	media   uint8 // payload type
	rtxPT   uint8 // of its repair; 0 for none
	track   *Track
	peer    *Peer
	levelID uint8
	cache   *packetcache.Cache
	last    atomic.Int64
	bytes   atomic.Uint64 // on the wire
	meter   meter         // of bytes; guarded by room.mu
	red     redState      // owned by the reading goroutine

	mu        sync.Mutex
	pliAt     time.Time
	pliWanted bool
	transit   int64   // of the last packet, in clock units
	jitter    float64 // RFC 3550 §6.4.1
	before    packetcache.Stats
	srNTP     uint64 // of the last sender report
	srRTP     uint32
	srAt      time.Time
}

func (t *Track) video() bool { return t.kind == webrtc.RTPCodecTypeVideo }

func (t *Track) subscribers() []*subTrack {
	if p := t.subs.Load(); p != nil {
		return *p
	}
	return nil
}

// addSub and removeSub replace the list of subscribers; the room is locked.
func (t *Track) addSub(d *subTrack) {
	old := t.subscribers()
	next := make([]*subTrack, len(old), len(old)+1)
	copy(next, old)
	next = append(next, d)
	t.subs.Store(&next)
}

func (t *Track) removeSub(d *subTrack) {
	old := t.subscribers()
	next := make([]*subTrack, 0, len(old))
	for _, o := range old {
		if o != d {
			next = append(next, o)
		}
	}
	t.subs.Store(&next)
}

// layerIndex places a rid: q, h, f from the lowest (RFC 8853, in LiveKit's names).
func layerIndex(rid string) int {
	switch rid {
	case "h", "1":
		return 1
	case "f", "2":
		return 2
	}
	return 0
}

// cacheMost is how many packets of a layer are kept: a second of 8 Mbit/s.
const cacheMost = 1024

// newLayer takes in one received stream.
func newLayer(t *Track, p *Peer, ssrc uint32, at place, rid string, pt uint8) *layer {
	l := &layer{
		index: layerIndex(rid), rid: rid, mid: at.mid, ssrc: ssrc, media: pt, track: t, peer: p,
		cache: packetcache.New(cacheMost), levelID: at.heard.extensions[levelURI],
	}
	if !t.video() {
		l.red.of(at.codecs)
	}
	for _, c := range at.codecs {
		if mimeIs(c.MimeType, webrtc.MimeTypeRTX) && fmtpValue(c.SDPFmtpLine, "apt") == itoa(int(pt)) {
			l.rtxPT = uint8(c.PayloadType)
		}
	}
	return l
}

func (t *Track) receive(l *layer, p *rtpPacket, raw []byte, now time.Time) {
	var blocks redPacket
	if l.red.pt != 0 && p.pt == l.red.pt && len(p.payload) > 0 {
		var ok bool
		if blocks, ok = parseRED(p.payload, l.red.opus); !ok {
			return
		}
		p.primary = blocks.primary
		if l.red.opus != uint8(opus.PayloadType) {
			renumberRED(p.payload, uint8(opus.PayloadType))
		}
	}
	got := l.cache.Store(p.seq, raw, now)
	if !got.New {
		return
	}
	l.last.Store(now.UnixNano())
	l.bytes.Add(uint64(len(raw) + overhead))
	if got.Newest {
		l.measure(p.ts, now, t.clock())
		if got.Gap > 0 && t.video() {
			t.nack(l)
		}
	}
	t.note(p, now)
	// What is lost and stands in this packet once more comes first, for those who
	// do not get the packet as it is.
	if p.primary != nil && got.Newest && got.Gap > 0 {
		for back := min(got.Gap, blocks.n); back > 0; back-- {
			b := blocks.blocks[blocks.n-back]
			if len(b.payload) == 0 {
				continue
			}
			seq := p.seq - uint16(back)
			l.red.note(seq)
			t.forward(l.index, &rtpPacket{
				pt: l.red.opus, seq: seq, ts: p.ts - b.offset, ssrc: p.ssrc, payload: b.payload, level: 127, rebuilt: true, via: p.via,
			}, now)
		}
	}
	p.late = p.primary != nil && !got.Newest && l.red.had(p.seq)
	t.forward(l.index, p, now)
}

// note counts a packet for flow and speech.
func (t *Track) note(p *rtpPacket, now time.Time) {
	t.last.Store(now.UnixNano())
	if !t.video() {
		if FlowState(t.flow.Load()) != Flowing && FlowState(t.flow.Swap(uint32(Flowing))) != Flowing {
			t.room.emitFlow(t, Flowing)
		}
		t.frames.Add(1)
		if p.leveled && p.level <= speechLevel {
			t.active.Add(1)
		}
		if loud := uint32(127 - p.level); p.leveled && loud > t.loud.Load() {
			t.loud.Store(loud)
		}
	}
}

// forward hands one packet to all subscribers and channel tracks.
func (t *Track) forward(index int, p *rtpPacket, now time.Time) {
	if t.muted.Load() {
		return
	}
	f := frame{rtpPacket: p, layer: index}
	if len(p.payload) > 0 {
		switch {
		case t.vp8:
			f.vp8, _ = parseVP8(p.payload)
			f.key = f.vp8.key
		case t.h264:
			f.key = h264Key(p.payload)
		}
	}
	for _, d := range t.subscribers() {
		d.write(&f, now)
	}
	if taps := t.taps.Load(); taps != nil && len(p.payload) > 0 && !p.late {
		for _, c := range *taps {
			c.write(t, p, now)
		}
	}
	if x := t.tapped.Load(); x != nil {
		x.write(index, p, now)
	}
}

func (t *Track) clock() uint32 {
	if t.video() {
		return videoClock
	}
	return audioClock
}

// requestKeyframe asks the publisher of a layer for a key frame, at once or as soon
// as the last request is old enough.
func (t *Track) requestKeyframe(index int, now time.Time) {
	l := t.layers[index].Load()
	if l == nil {
		return
	}
	l.mu.Lock()
	if now.Sub(l.pliAt) < pliInterval {
		l.pliWanted = true
		l.mu.Unlock()
		return
	}
	l.pliAt, l.pliWanted = now, false
	l.mu.Unlock()
	t.room.srv.count.keyRequests.Add(1)
	l.peer.writePublisherRTCP(&rtcp.PictureLossIndication{MediaSSRC: l.ssrc})
}

// unanswered tells whether a key frame of the layer was asked for a while ago. Clients
// drop a request that comes within 300 ms of another, of whichever layer.
func (t *Track) unanswered(index int, now time.Time) bool {
	l := t.layers[index].Load()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.pliAt) >= 2*pliInterval
}

// nack asks the publisher for what is missing.
func (t *Track) nack(l *layer) {
	missing := l.cache.Missing(nil)
	if len(missing) == 0 {
		return
	}
	l.peer.writePublisherRTCP(&rtcp.TransportLayerNack{
		MediaSSRC: l.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(missing),
	})
}

// measure updates the interarrival jitter.
func (l *layer) measure(ts uint32, now time.Time, clock uint32) {
	arrival := now.UnixNano() / 1000 * int64(clock) / 1e6
	transit := arrival - int64(ts)
	l.mu.Lock()
	d := int32(uint32(transit - l.transit))
	l.transit = transit
	if d < 0 {
		d = -d
	}
	// A step of more than a second is a new timeline, not jitter.
	if uint32(d) < clock {
		l.jitter += (float64(d) - l.jitter) / 16
	}
	l.mu.Unlock()
}

// report returns the reception report of the layer since the last one.
func (l *layer) report(now time.Time) (r rtcp.ReceptionReport, lost uint64, ok bool) {
	s, ok := l.cache.Stats()
	if !ok {
		return rtcp.ReceptionReport{}, 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	expected := s.Expected - l.before.Expected
	received := s.Received - l.before.Received
	l.before = s
	r = rtcp.ReceptionReport{
		SSRC: l.ssrc, LastSequenceNumber: s.Highest, Jitter: uint32(l.jitter),
	}
	if expected > received && expected > 0 {
		r.FractionLost = uint8(min(255, (expected-received)*256/expected))
		lost = expected - received
	}
	if s.Expected > s.Received {
		r.TotalLost = uint32(min(0x7fffff, s.Expected-s.Received))
	}
	if !l.srAt.IsZero() {
		r.LastSenderReport = uint32(l.srNTP >> 16)
		r.Delay = uint32(now.Sub(l.srAt) * 65536 / time.Second)
	}
	return r, lost, true
}
