package sfu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/datachannel"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/sctp"
	"github.com/pion/webrtc/v4"
)

// maxEarlyPackets of a stream wait while its track is looked for.
const maxEarlyPackets = 64

// publisher is the connection on which a client sends. The client offers.
type publisher struct {
	peer *Peer
	link *link
	sub  *subscriber // who receives on the same connection; nil: on another

	// owned by the peer's loop
	local   local
	started bool

	mu      sync.Mutex
	places  []place           // guarded by mu: the sections of the last offer that media come in
	epoch   int               // guarded by mu: counts offers
	twccID  uint8             // guarded by mu
	arrived *twcc.Recorder    // guarded by mu: what the next feedback tells of
	layers  map[uint32]*layer // guarded by mu: who sender reports are of
	began   time.Time
}

// place is a section of the client's that sends.
type place struct {
	mid    string
	kind   webrtc.RTPCodecType
	cid    string
	codecs []webrtc.RTPCodecParameters // agreed
	rids   []string
	heard  *heard
}

// carries tells whether a payload type is one of media, not of repair.
func (p *place) carries(pt uint8) bool {
	return slices.ContainsFunc(p.codecs, func(c webrtc.RTPCodecParameters) bool {
		return uint8(c.PayloadType) == pt && !mimeIs(c.MimeType, webrtc.MimeTypeRTX)
	})
}

// route says what a received stream is. Whoever reads the link owns it.
type route struct {
	state routeState
	epoch int      // of the offer it was looked up in
	early [][]byte // while it is looked for
	track *Track
	layer *layer
}

type routeState int

const (
	routeNew routeState = iota
	routeSought
	routeKnown
	routeRefused // nobody asked for it
)

func newPublisher(p *Peer) (*publisher, error) {
	pub := emptyPublisher(p)
	var err error
	if pub.link, err = p.newLink(pub, false); err != nil {
		return nil, err
	}
	p.publishing.Store(pub)
	return pub, nil
}

func emptyPublisher(p *Peer) *publisher {
	return &publisher{
		peer: p, local: local{setup: "passive", print: p.srv.identity.print, id: rand.Uint64() >> 2},
		arrived: twcc.NewRecorder(rand.Uint32()), layers: map[uint32]*layer{}, began: p.srv.now(),
	}
}

func (pub *publisher) close() { pub.link.close() }

// offer answers a client's offer and ends the tracks whose sections stopped.
func (pub *publisher) offer(sd *livekit.SessionDescription) error {
	most := maxSections
	if pub.sub != nil {
		most = pub.sub.most()
	}
	d, err := parseDescription(sd.GetSdp(), most)
	if err != nil {
		return fmt.Errorf("publisher offer: %w", err)
	}
	switch {
	case d.setup == "passive":
		return fmt.Errorf("publisher offer: %w: not the DTLS client", errSDP)
	case pub.started && d.print != pub.link.print:
		return fmt.Errorf("publisher offer: %w: another certificate", errSDP)
	}
	restarts := pub.started && d.ufrag != pub.link.ufrag
	switch {
	case !pub.started:
		pub.local.ufrag, pub.local.pwd, pub.local.candidates, err = pub.link.gather()
	case restarts:
		pub.local.ufrag, pub.local.pwd, pub.local.candidates, err = pub.link.restart()
	}
	if err != nil {
		return fmt.Errorf("publisher answer: %w", err)
	}
	sections, places := pub.reply(d)
	pub.mu.Lock()
	pub.places = places
	pub.epoch++
	for _, c := range places {
		if id := c.heard.extensions[twccURI]; id != 0 {
			pub.twccID = id
		}
	}
	pub.mu.Unlock()
	pub.local.version++
	var mids map[string]string
	if pub.sub != nil {
		mids = pub.sub.fill(d, sections, restarts)
	}
	pub.peer.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: pub.local.write(sections), Id: sd.GetId(), MidToTrackId: mids},
	}})
	if pub.started {
		err = pub.link.credentials(d)
	} else {
		pub.started = true
		err = pub.link.start(d)
	}
	if err != nil {
		return fmt.Errorf("publisher offer: %w", err)
	}
	pub.endStopped(d)
	if pub.sub != nil {
		pub.sub.filled(d)
	}
	return nil
}

// endStopped unpublishes the tracks whose sections do not send any more, and forgets
// those that were given up before their first packet.
func (pub *publisher) endStopped(d *description) {
	p := pub.peer
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	for _, t := range slices.Clone(p.tracks) {
		for i := range d.sections {
			if h := &d.sections[i]; h.mid == t.mid && !h.sends {
				p.room.unpublishLocked(t)
			}
		}
	}
	given := len(p.pending)
	p.pending = slices.DeleteFunc(slices.Clone(p.pending), func(t *Track) bool {
		sends := slices.ContainsFunc(d.sections, func(h heard) bool { return h.track == t.cid && h.sends })
		gone := t.offered && !sends
		t.offered = sends
		return gone
	})
	if len(p.pending) < given {
		p.grantLocked()
	}
}

// reply makes our half of an offer.
func (pub *publisher) reply(d *description) (sections []spoken, places []place) {
	wanted := pub.wanted()
	for i := range d.sections {
		h := &d.sections[i]
		s := spoken{kind: h.kind, mid: h.mid, rejected: h.rejected, direction: "inactive"}
		if h.kind != "audio" && h.kind != "video" {
			s.rejected = s.rejected || h.kind != "application"
			sections = append(sections, s)
			continue
		}
		s.codecs = agree(h, wanted[h.track])
		if s.rejected = s.rejected || len(s.codecs) == 0; s.rejected {
			sections = append(sections, s)
			continue
		}
		known := []string{midURI, twccURI, levelURI}
		if h.kind == "video" {
			known = []string{midURI, ridURI, repairURI, twccURI}
		}
		for _, uri := range known {
			if id := h.extensions[uri]; id != 0 {
				s.extensions = append(s.extensions, extensionID{uri, id})
			}
		}
		if h.sends {
			s.direction, s.rids = "recvonly", h.rids
			places = append(places, place{
				mid: h.mid, kind: webrtc.NewRTPCodecType(h.kind), cid: h.track, codecs: s.codecs, rids: h.rids, heard: h,
			})
		}
		sections = append(sections, s)
	}
	return sections, places
}

// wanted is the codec to put first, by cid: the one a track was added with, and RED for
// sound. Clients send with the first one.
func (pub *publisher) wanted() map[string]string {
	want := map[string]string{}
	p := pub.peer
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	for _, list := range [][]*Track{p.tracks, p.pending} {
		for _, t := range list {
			switch {
			case t.wantCodec != "":
				want[t.cid] = t.wantCodec
			case !t.video() && !t.info.GetDisableRed():
				want[t.cid] = mimeRED
			}
		}
	}
	return want
}

// agree takes the codecs of a section that we have too, in the client's order but the
// wanted one first, with what repairs each behind it.
func agree(h *heard, first string) []webrtc.RTPCodecParameters {
	var agreed []webrtc.RTPCodecParameters
	take := func(c webrtc.RTPCodecParameters) {
		ours, ok := ourCodec(c)
		if !ok || slices.ContainsFunc(agreed, func(o webrtc.RTPCodecParameters) bool { return o.PayloadType == c.PayloadType }) {
			return
		}
		c.RTCPFeedback = slices.DeleteFunc(slices.Clone(c.RTCPFeedback), func(f webrtc.RTCPFeedback) bool { return !slices.Contains(ours, f) })
		if mimeIs(c.MimeType, webrtc.MimeTypeOpus) {
			c.SDPFmtpLine = opus.SDPFmtpLine
		}
		agreed = append(agreed, c)
		for _, r := range h.codecs {
			if mimeIs(r.MimeType, webrtc.MimeTypeRTX) && fmtpValue(r.SDPFmtpLine, "apt") == itoa(int(c.PayloadType)) {
				r.RTCPFeedback = nil
				agreed = append(agreed, r)
			}
		}
	}
	for _, c := range h.codecs {
		if first != "" && mimeIs(c.MimeType, first) {
			take(c)
		}
	}
	for _, c := range h.codecs {
		take(c)
	}
	return agreed
}

// ourCodec tells whether we carry a codec, and with what feedback.
func ourCodec(c webrtc.RTPCodecParameters) (feedback []webrtc.RTCPFeedback, ok bool) {
	if mimeIs(c.MimeType, webrtc.MimeTypeOpus) || mimeIs(c.MimeType, mimeRED) {
		return audioFeedback, true
	}
	for _, v := range videoCodecs {
		if mimeIs(v.mime, c.MimeType) && (v.fmtp == "" || h264Same(v.fmtp, c.SDPFmtpLine)) {
			return videoFeedback, true
		}
	}
	return nil, false
}

// rtp implements linkUser.
func (pub *publisher) rtp(in *stream, b []byte, via *batch) {
	p := pub.peer
	if !p.intake.allow(len(b), false) {
		return
	}
	now := p.srv.now()
	pub.arrival(in.ssrc, b, now)
	r := &in.route
	if r.state == routeKnown && r.track.ended.Load() {
		// A section may be used again for another track, with the SSRC that it had.
		*r = route{}
	}
	switch r.state {
	case routeSought:
		if len(r.early) < maxEarlyPackets {
			r.early = append(r.early, slices.Clone(b))
		}
	case routeKnown:
		pub.deliver(r, b, via, now)
	case routeRefused:
		p.intake.strange.Add(1)
		if pub.current() == r.epoch {
			return
		}
		*r = route{}
		fallthrough
	default:
		if pub.seek(in, b); r.state == routeKnown {
			pub.deliver(r, b, via, now)
		}
	}
}

// arrival notes a packet for the congestion feedback.
func (pub *publisher) arrival(ssrc uint32, b []byte, now time.Time) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if pub.twccID == 0 {
		return
	}
	if v := extensionOf(b, pub.twccID); len(v) == 2 {
		pub.arrived.Record(ssrc, binary.BigEndian.Uint16(v), now.Sub(pub.began).Microseconds())
	}
}

// feedback tells the client how its packets arrive.
func (pub *publisher) feedback(via *reports) {
	pub.mu.Lock()
	packets := pub.arrived.BuildFeedbackPacket()
	pub.mu.Unlock()
	if len(packets) > 0 {
		_ = pub.link.report(via, packets...)
	}
}

func (pub *publisher) current() int {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.epoch
}

// seek finds out what a stream is. A new one is looked for elsewhere, because that
// takes the room's lock.
func (pub *publisher) seek(in *stream, b []byte) {
	pub.mu.Lock()
	at, rid, repairs, ok := pub.placeLocked(in.ssrc, b)
	epoch := pub.epoch
	var fixed *layer
	if ok && repairs {
		for _, l := range pub.layers {
			if l.mid == at.mid && (l.rid == rid || l.ssrc == at.heard.repairs[in.ssrc]) {
				fixed = l
			}
		}
	}
	pub.mu.Unlock()
	r := &in.route
	switch {
	case !ok:
		*r = route{state: routeRefused, epoch: epoch}
		pub.peer.intake.strange.Add(1)
	case repairs:
		// Repair that comes before what it repairs is of no use.
		if fixed != nil {
			*r = route{state: routeKnown, track: fixed.track, layer: fixed}
		}
	case len(at.rids) > 1 && rid == "" || !at.carries(b[1]&0x7f):
		// Which layer this is, a later packet says; or one of the codecs.
		pub.peer.intake.strange.Add(1)
	default:
		pt := b[1] & 0x7f
		*r = route{state: routeSought, epoch: epoch, early: [][]byte{slices.Clone(b)}}
		pub.link.spawn(func() { pub.find(in, at, rid, pt) })
	}
}

// placeLocked finds the section of a stream: by its SSRC, or by the ids in the packet.
func (pub *publisher) placeLocked(ssrc uint32, b []byte) (at place, rid string, repairs, ok bool) {
	for _, c := range pub.places {
		rid = string(extensionOf(b, c.heard.extensions[ridURI]))
		if _, is := c.heard.repairs[ssrc]; is {
			return c, rid, true, true
		}
		if i := slices.Index(c.heard.ssrcs, ssrc); i >= 0 {
			if rid == "" && len(c.rids) == 0 && i > 0 {
				rid = itoa(min(i, 2)) // layers without names
			}
			return c, rid, false, true
		}
	}
	for _, c := range pub.places {
		if mid := extensionOf(b, c.heard.extensions[midURI]); len(mid) == 0 || string(mid) != c.mid {
			continue
		}
		if of := extensionOf(b, c.heard.extensions[repairURI]); len(of) > 0 {
			return c, string(of), true, true
		}
		rid = string(extensionOf(b, c.heard.extensions[ridURI]))
		for _, k := range c.codecs {
			if uint8(k.PayloadType) == b[1]&0x7f && mimeIs(k.MimeType, webrtc.MimeTypeRTX) {
				return c, rid, true, true
			}
		}
		return c, rid, false, true
	}
	return place{}, "", false, false
}

// find makes a stream a layer of the track it belongs to, and sends on what waited.
func (pub *publisher) find(in *stream, at place, rid string, pt uint8) {
	t, l := pub.begin(in.ssrc, at, rid, pt)
	if l != nil {
		pub.mu.Lock()
		pub.layers[in.ssrc] = l
		pub.mu.Unlock()
	} else {
		// Nobody asked for this track, or it is not allowed: its packets end here.
		pub.peer.srv.log.Warn("stream without track", "participant", pub.peer.sid, "mid", at.mid)
	}
	pub.link.inMu.Lock()
	defer pub.link.inMu.Unlock()
	r := &in.route
	early := r.early
	if l == nil {
		r.state, r.early = routeRefused, nil
		pub.peer.intake.strange.Add(uint64(len(early)))
		return
	}
	*r = route{state: routeKnown, track: t, layer: l}
	for _, b := range early {
		pub.deliver(r, b, nil, pub.peer.srv.now())
	}
}

// begin finds the track of a stream and makes the stream a layer of it; the first
// layer publishes the track.
func (pub *publisher) begin(ssrc uint32, at place, rid string, pt uint8) (*Track, *layer) {
	i := slices.IndexFunc(at.codecs, func(c webrtc.RTPCodecParameters) bool { return uint8(c.PayloadType) == pt })
	if i < 0 {
		return nil, nil
	}
	p, r := pub.peer, pub.peer.room
	r.mu.Lock()
	defer r.mu.Unlock()
	t, fresh := pub.matchLocked(at)
	if t == nil {
		return nil, nil
	}
	l := newLayer(t, p, ssrc, at, rid, pt)
	if fresh {
		t.mid = at.mid
		t.codec = at.codecs[i].RTPCodecCapability
		t.vp8 = mimeIs(t.codec.MimeType, webrtc.MimeTypeVP8)
		t.h264 = mimeIs(t.codec.MimeType, webrtc.MimeTypeH264)
		t.info.Mid = at.mid
		t.info.MimeType = t.codec.MimeType
		if mimeIs(t.codec.MimeType, mimeRED) {
			t.codec = opus.RTPCodecCapability // what its blocks are
		}
	}
	l.last.Store(r.srv.now().UnixNano())
	t.layers[l.index].Store(l)
	if fresh {
		r.publishLocked(t)
	}
	return t, l
}

// matchLocked finds the track that a stream belongs to: a further layer of one that
// is published, or one that was announced, by its cid, else by kind.
func (pub *publisher) matchLocked(at place) (t *Track, fresh bool) {
	p := pub.peer
	if p.room.people[p.identity] != p.participant {
		return nil, false
	}
	for _, t := range p.tracks {
		if t.mid == at.mid && at.mid != "" {
			return t, false
		}
	}
	found := slices.IndexFunc(p.pending, func(t *Track) bool { return t.cid == at.cid && t.kind == at.kind })
	if found < 0 {
		found = slices.IndexFunc(p.pending, func(t *Track) bool { return t.kind == at.kind })
	}
	if found < 0 {
		return nil, false
	}
	t = p.pending[found]
	p.pending = slices.Delete(slices.Clone(p.pending), found, found+1)
	if !mayPublish(p.perm, t.source) {
		return nil, false
	}
	return t, true
}

// deliver hands a packet to its track.
func (pub *publisher) deliver(r *route, b []byte, via *batch, now time.Time) {
	l := r.layer
	if b[1]&0x7f == l.rtxPT && l.rtxPT != 0 {
		if b = unwrap(b, l.media, l.ssrc); b == nil {
			return
		}
	}
	p, err := parseRTP(b, l.levelID)
	if err != nil {
		return
	}
	if p.pt != l.media && (l.red.pt == 0 || p.pt != l.red.pt && p.pt != l.red.opus) {
		pub.peer.intake.strange.Add(1)
		return
	}
	p.via = via
	r.track.receive(l, &p, b, now)
}

// unwrap makes the packet that a packet of repair carries, in its place (RFC 4588 §4);
// nil when there is none in it.
func unwrap(b []byte, pt uint8, ssrc uint32) []byte {
	p, err := parseRTP(b, 0)
	if err != nil || len(p.payload) < 3 {
		return nil
	}
	size := headerSize(b)
	osn := binary.BigEndian.Uint16(b[size:])
	copy(b[2:size+2], b[:size])
	b = b[2:]
	b[1] = b[1]&0x80 | pt
	binary.BigEndian.PutUint16(b[2:], osn)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// control implements linkUser.
func (pub *publisher) control(packets []rtcp.Packet) {
	if pub.peer.intake.allow(0, true) {
		pub.clocks(packets)
	}
}

// clocks takes the reports that tie what is sent to the client's clock.
func (pub *publisher) clocks(packets []rtcp.Packet) {
	p := pub.peer
	for _, c := range packets {
		sr, ok := c.(*rtcp.SenderReport)
		if !ok {
			continue
		}
		pub.mu.Lock()
		l := pub.layers[sr.SSRC]
		pub.mu.Unlock()
		if l == nil {
			continue
		}
		at := p.srv.now()
		l.mu.Lock()
		l.srNTP, l.srRTP, l.srAt = sr.NTPTime, sr.RTPTime, at
		l.mu.Unlock()
		p.noteNTP(sr.NTPTime, at)
	}
}

// up implements linkUser.
func (pub *publisher) up() {}

// maxChannels of data a client may open; it needs three.
const maxChannels = 8

// data implements linkUser: the client opens its channels.
func (pub *publisher) data(assoc *sctp.Association) {
	var readers sync.WaitGroup
	defer readers.Wait()
	for range maxChannels {
		dc, err := datachannel.Accept(assoc, &datachannel.Config{LoggerFactory: pub.link.log})
		if err != nil {
			return
		}
		kind := livekit.DataPacket_RELIABLE
		switch dc.Label {
		case "_lossy":
			kind = livekit.DataPacket_LOSSY
		case "_reliable":
		default:
			continue
		}
		if pub.sub != nil {
			pub.peer.dataOpened(kind, dc) // what it is sent comes on the same channel
		}
		readers.Go(func() {
			defer pub.peer.guard()
			pub.listen(dc, kind)
		})
	}
}

// listen takes the messages of a channel until it ends.
func (pub *publisher) listen(dc *datachannel.DataChannel, kind livekit.DataPacket_Kind) {
	buf := make([]byte, 2048)
	for {
		n, err := dc.Read(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer) && len(buf) < messageSize:
			buf = make([]byte, 2*len(buf))
		case err != nil:
			return
		default:
			pub.peer.room.receiveData(pub.peer, kind, slices.Clone(buf[:n]))
		}
	}
}
