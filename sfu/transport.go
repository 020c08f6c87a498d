package sfu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

var srtpProfiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

// Limits of a session description from outside.
const (
	maxSections = 64
	maxLine     = 4096
)

var errSDP = errors.New("sfu: session description refused")

// cleanSDP checks the limits and takes the remote candidates out: remote addresses
// come only from connectivity checks that prove the password, so that the engine
// never sends to an address somebody merely names.
func cleanSDP(sdp string) (string, error) {
	var b strings.Builder
	b.Grow(len(sdp))
	sections := 0
	for line := range strings.SplitSeq(sdp, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if len(line) > maxLine {
			return "", errSDP
		}
		if strings.HasPrefix(line, "m=") {
			if sections++; sections > maxSections {
				return "", errSDP
			}
		}
		if line == "" || strings.HasPrefix(line, "a=candidate:") || line == "a=end-of-candidates" {
			continue
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String(), nil
}

// sendingMids lists the sections of an offer by whether the other side sends there.
func sendingMids(sdp string) map[string]bool {
	sends := map[string]bool{}
	mid, sending, in := "", true, false
	flush := func() {
		if in && mid != "" {
			sends[mid] = sending
		}
	}
	for line := range strings.SplitSeq(sdp, "\n") {
		line = strings.TrimSuffix(line, "\r")
		switch {
		case strings.HasPrefix(line, "m="):
			flush()
			in, mid, sending = true, "", true
			if f := strings.Fields(line); len(f) > 1 && f[1] == "0" {
				sending = false
			}
		case strings.HasPrefix(line, "a=mid:"):
			mid = line[len("a=mid:"):]
		case line == "a=inactive" || line == "a=recvonly":
			sending = false
		}
	}
	flush()
	return sends
}

// publisher is the connection on which a client sends.
type publisher struct {
	peer    *Peer
	pc      *webrtc.PeerConnection
	trickle trickle

	// started is closed when ICE has the client's credentials. Until then Pion would
	// take a second offer for a restart and answer with credentials of its own.
	started chan struct{}
	offered bool // owned by the peer's loop
}

func newPublisher(p *Peer) (*publisher, error) {
	api, err := p.srv.publisherAPI(&p.intake)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{p.srv.cert}})
	if err != nil {
		return nil, fmt.Errorf("make publisher connection: %w", err)
	}
	pub := &publisher{peer: p, pc: pc, trickle: trickle{peer: p, target: livekit.SignalTarget_PUBLISHER}, started: make(chan struct{})}
	var once sync.Once
	pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		if state != webrtc.ICEConnectionStateNew {
			once.Do(func() { close(pub.started) })
		}
	})
	p.pubPC.Store(pc)
	pc.OnICECandidate(pub.trickle.candidate)
	pc.OnTrack(pub.onTrack)
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		kind := livekit.DataPacket_RELIABLE
		switch dc.Label() {
		case "_lossy":
			kind = livekit.DataPacket_LOSSY
		case "_reliable":
		default:
			return
		}
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			defer p.guard()
			p.room.receiveData(p, kind, m.Data)
		})
	})
	return pub, nil
}

// offer answers a client's offer and ends the tracks whose sections stopped.
func (pub *publisher) offer(sd *livekit.SessionDescription) error {
	sdp, err := cleanSDP(sd.GetSdp())
	if err != nil {
		return err
	}
	if pub.offered {
		select {
		case <-pub.started:
		case <-pub.peer.done:
			return nil
		case <-time.After(time.Second): // it never takes so long
		}
	}
	pub.offered = true
	pub.trickle.hold()
	defer pub.trickle.release()
	if err := pub.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return fmt.Errorf("publisher offer: %w", err)
	}
	pub.preferCodecs(sdp)
	answer, err := pub.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("publisher answer: %w", err)
	}
	if err := pub.pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("publisher answer: %w", err)
	}
	p := pub.peer
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: answer.SDP, Id: sd.GetId()},
	}})
	sends := sendingMids(sdp)
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	for _, t := range append([]*Track(nil), p.tracks...) {
		if sending, ok := sends[t.mid]; ok && !sending {
			p.room.unpublishLocked(t)
		}
	}
	return nil
}

// preferCodecs puts the codec that a track was added with first in the answer, and RED
// for sound: clients send with the first one.
func (pub *publisher) preferCodecs(sdp string) {
	cids := sectionTracks(sdp)
	want := map[string]string{}
	pub.peer.room.mu.Lock()
	for _, t := range pub.peer.pending {
		switch {
		case t.wantCodec != "":
			want[t.cid] = t.wantCodec
		case !t.video() && !t.info.GetDisableRed():
			want[t.cid] = mimeRED
		}
	}
	pub.peer.room.mu.Unlock()
	if len(want) == 0 {
		return
	}
	for _, tr := range pub.pc.GetTransceivers() {
		mime := want[cids[tr.Mid()]]
		if mime == "" || tr.Receiver() == nil {
			continue
		}
		var first, rest []webrtc.RTPCodecParameters
		for _, c := range tr.Receiver().GetParameters().Codecs {
			if strings.EqualFold(c.MimeType, mime) {
				first = append(first, c)
			} else {
				rest = append(rest, c)
			}
		}
		if len(first) > 0 {
			_ = tr.SetCodecPreferences(append(first, rest...))
		}
	}
}

// sectionTracks finds the track id of each section that names one.
func sectionTracks(sdp string) map[string]string {
	tracks := map[string]string{}
	mid, track := "", ""
	flush := func() {
		if mid != "" && track != "" {
			tracks[mid] = track
		}
		mid, track = "", ""
	}
	for line := range strings.SplitSeq(sdp, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.HasPrefix(line, "m=") {
			flush()
		} else if rest, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mid = rest
		} else if rest, ok := strings.CutPrefix(line, "a=msid:"); ok {
			if f := strings.Fields(rest); len(f) == 2 {
				track = f[1]
			}
		}
	}
	flush()
	return tracks
}

// onTrack is called for each received stream: once for audio, up to three times for
// video with layers.
func (pub *publisher) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	p := pub.peer
	r := p.room
	defer p.guard()
	mid := ""
	if tr := receiver.RTPTransceiver(); tr != nil {
		mid = tr.Mid()
	}
	t, l := pub.begin(remote, receiver, mid)
	if t == nil {
		// Nobody asked for this track, or it is not allowed: its packets end here.
		r.srv.log.Warn("stream without track", "participant", p.sid, "mid", mid)
		p.discard(remote)
		return
	}
	go l.readRTCP(r.srv.now)
	t.read(l)
	t.layers[l.index].CompareAndSwap(l, nil)
}

// begin finds the track of a stream and makes the stream a layer of it; the first
// layer publishes the track.
func (pub *publisher) begin(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver, mid string) (*Track, *layer) {
	p, r := pub.peer, pub.peer.room
	r.mu.Lock()
	defer r.mu.Unlock()
	t, fresh := pub.matchLocked(remote, mid)
	if t == nil {
		return nil, nil
	}
	l := t.addLayer(p, remote, receiver)
	if fresh {
		t.mid = mid
		t.codec = remote.Codec().RTPCodecCapability
		if t.video() && (t.codec.MimeType == "" || remote.PayloadType() == 0) {
			t.codec = codecOf(receiver)
		}
		t.vp8 = strings.EqualFold(t.codec.MimeType, webrtc.MimeTypeVP8)
		t.h264 = strings.EqualFold(t.codec.MimeType, webrtc.MimeTypeH264)
		t.info.Mid = mid
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

// codecOf finds the codec of a simulcast receiver, whose first payload type is not
// known yet.
func codecOf(receiver *webrtc.RTPReceiver) webrtc.RTPCodecCapability {
	for _, t := range receiver.Tracks() {
		if c := t.Codec(); c.MimeType != "" {
			return c.RTPCodecCapability
		}
	}
	for _, c := range receiver.GetParameters().Codecs {
		if !strings.EqualFold(c.MimeType, webrtc.MimeTypeRTX) {
			return c.RTPCodecCapability
		}
	}
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock}
}

func (p *Peer) discard(remote *webrtc.TrackRemote) {
	buf := make([]byte, 1600)
	for {
		if _, _, err := remote.Read(buf); err != nil && !errors.Is(err, webrtc.ErrCodecNotFound) {
			return
		}
		p.intake.strange.Add(1)
	}
}

// matchLocked finds the track that a stream belongs to: a further layer of one that
// is published, or one that was announced, by its cid, else by kind.
func (pub *publisher) matchLocked(remote *webrtc.TrackRemote, mid string) (t *Track, fresh bool) {
	p := pub.peer
	if p.room.people[p.identity] != p.participant {
		return nil, false
	}
	for _, t := range p.tracks {
		if t.mid == mid && mid != "" {
			return t, false
		}
	}
	found := -1
	for i, t := range p.pending {
		if t.cid == remote.ID() && t.kind == remote.Kind() {
			found = i
			break
		}
	}
	if found < 0 {
		for i, t := range p.pending {
			if t.kind == remote.Kind() {
				found = i
				break
			}
		}
	}
	if found < 0 {
		return nil, false
	}
	t = p.pending[found]
	p.pending = append(p.pending[:found:found], p.pending[found+1:]...)
	if !mayPublish(p.perm, t.source) {
		return nil, false
	}
	return t, true
}

// sending is one subscription on the wire.
type sending struct {
	track       *subTrack
	sender      *webrtc.RTPSender
	transceiver *webrtc.RTPTransceiver
}

// subscriber is the connection on which a client receives. The server offers.
type subscriber struct {
	peer     *Peer
	pc       *webrtc.PeerConnection
	trickle  trickle
	reliable *webrtc.DataChannel
	lossy    *webrtc.DataChannel

	active   map[string]sending       // by track sid
	freed    []*webrtc.RTPTransceiver // without track, not yet offered so
	leaving  []*webrtc.RTPTransceiver // offered so, without answer
	idle     map[webrtc.RTPCodecType][]*webrtc.RTPTransceiver
	id       uint32
	inflight *livekit.SignalResponse // the offer without answer
	again    bool                    // offer once more after the answer
	restart  bool                    // with other ICE credentials
}

func newSubscriber(p *Peer) (*subscriber, error) {
	pc, err := p.srv.subAPI.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{p.srv.cert}})
	if err != nil {
		return nil, fmt.Errorf("make subscriber connection: %w", err)
	}
	s := &subscriber{
		peer: p, pc: pc, active: map[string]sending{},
		idle:    map[webrtc.RTPCodecType][]*webrtc.RTPTransceiver{},
		trickle: trickle{peer: p, target: livekit.SignalTarget_SUBSCRIBER},
	}
	pc.OnICECandidate(s.trickle.candidate)
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			p.connected()
		}
	})
	ordered, unordered, none := true, false, uint16(0)
	if s.reliable, err = pc.CreateDataChannel("_reliable", &webrtc.DataChannelInit{Ordered: &ordered}); err == nil {
		s.lossy, err = pc.CreateDataChannel("_lossy", &webrtc.DataChannelInit{Ordered: &unordered, MaxRetransmits: &none})
	}
	if err != nil {
		_ = pc.Close()
		return nil, fmt.Errorf("make data channels: %w", err)
	}
	s.reliable.OnOpen(p.dataOpened)
	p.subPC.Store(pc)
	p.room.mu.Lock()
	p.data[livekit.DataPacket_RELIABLE] = s.reliable
	p.data[livekit.DataPacket_LOSSY] = s.lossy
	p.room.mu.Unlock()
	return s, nil
}

// dataOpened sends the reliable packets that came before the channel was open.
func (p *Peer) dataOpened() {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.dataOpen = true
	for _, raw := range p.early {
		_ = p.data[livekit.DataPacket_RELIABLE].Send(raw)
	}
	p.early = nil
}

// add sends another track, in a section that is free or in a new one.
func (s *subscriber) add(d *subTrack) error {
	codecs := preferred(d.track.codec)
	if codecs == nil {
		return webrtc.ErrUnsupportedCodec
	}
	var tr *webrtc.RTPTransceiver
	var sender *webrtc.RTPSender
	var err error
	if free := s.idle[d.track.kind]; len(free) > 0 {
		tr = free[len(free)-1]
		s.idle[d.track.kind] = free[:len(free)-1]
		sender, err = s.peer.srv.subAPI.NewRTPSender(d, s.pc.SCTP().Transport())
		if err == nil {
			err = tr.SetSender(sender, d)
		}
	} else {
		tr, err = s.pc.AddTransceiverFromTrack(d, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err == nil {
			sender = tr.Sender()
		}
	}
	if err != nil {
		return fmt.Errorf("send track: %w", err)
	}
	if err := tr.SetCodecPreferences(codecs); err != nil {
		// Pion keeps what the first answer accepted: some clients have no RED, no RTX or
		// not every codec.
		accepted := slices.DeleteFunc(slices.Clone(codecs), func(c webrtc.RTPCodecParameters) bool {
			return tr.SetCodecPreferences([]webrtc.RTPCodecParameters{c}) != nil
		})
		if tr.SetCodecPreferences(accepted) != nil || len(accepted) == 0 {
			return fmt.Errorf("send track: %w", err)
		}
	}
	s.active[d.track.sid] = sending{track: d, sender: sender, transceiver: tr}
	go d.readRTCP(sender)
	return nil
}

// drop stops every sending that is not in keep.
func (s *subscriber) drop(keep map[string]*subTrack) (changed bool) {
	for sid, a := range s.active {
		if keep[sid] == a.track {
			continue
		}
		delete(s.active, sid)
		changed = true
		if err := s.pc.RemoveTrack(a.sender); err != nil {
			s.peer.srv.log.Warn("unsubscribe", "participant", s.peer.sid, "track", sid, "error", err)
			continue
		}
		s.freed = append(s.freed, a.transceiver)
	}
	return changed
}

// negotiate offers the present sections, once at a time.
func (s *subscriber) negotiate() {
	if s.inflight != nil {
		s.again = true
		return
	}
	var options *webrtc.OfferOptions
	if s.restart {
		options = &webrtc.OfferOptions{ICERestart: true}
	}
	s.again, s.restart = false, false
	s.trickle.hold()
	defer s.trickle.release()
	offer, err := s.pc.CreateOffer(options)
	if err == nil {
		err = s.pc.SetLocalDescription(offer)
	}
	if err != nil {
		s.fail("offer", err)
		return
	}
	s.leaving, s.freed = append(s.leaving, s.freed...), nil
	s.id++
	mids := map[string]string{}
	for sid, a := range s.active {
		mids[a.transceiver.Mid()] = sid
	}
	s.inflight = &livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{Offer: &livekit.SessionDescription{
		Type: "offer", Sdp: offer.SDP, Id: s.id, MidToTrackId: mids,
	}}}
	s.peer.send(proto.Clone(s.inflight).(*livekit.SignalResponse))
}

// answer takes the client's answer to the offer in flight; others are dropped.
func (s *subscriber) answer(sd *livekit.SessionDescription) {
	if s.inflight == nil || sd.GetId() != 0 && sd.GetId() != s.id {
		return
	}
	sdp, err := cleanSDP(sd.GetSdp())
	if err == nil {
		err = s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
	}
	if err != nil {
		s.fail("answer", err)
		return
	}
	s.inflight = nil
	for _, tr := range s.leaving {
		s.idle[tr.Kind()] = append(s.idle[tr.Kind()], tr)
	}
	s.leaving = nil
	if s.again || s.restart {
		s.negotiate()
	}
}

// resume repeats an offer whose answer the old socket took with it (Pion cannot roll
// back), and restarts ICE when the way to the client is not up.
func (s *subscriber) resume() {
	switch s.pc.ICEConnectionState() {
	case webrtc.ICEConnectionStateConnected, webrtc.ICEConnectionStateCompleted:
	default:
		s.restart = true
	}
	if s.inflight != nil {
		again := proto.Clone(s.inflight).(*livekit.SignalResponse)
		if d := s.pc.LocalDescription(); d != nil { // its candidates went to the dead socket
			again.GetOffer().Sdp = d.SDP
		}
		s.peer.send(again)
		return
	}
	if s.restart {
		s.negotiate()
	}
}

// fail ends a peer whose connection cannot be negotiated; the client joins again.
func (s *subscriber) fail(what string, err error) {
	s.peer.srv.log.Warn("subscriber "+what, "participant", s.peer.sid, "error", err)
	s.peer.restart(livekit.DisconnectReason_STATE_MISMATCH)
}

// restart sends the client away to join again.
func (p *Peer) restart(reason livekit.DisconnectReason) {
	p.stop(livekit.LeaveRequest_RECONNECT, reason)
	p.room.leave(p.participant, reason)
}

// ntpTime converts a 64-bit NTP timestamp (RFC 3550 §4).
func ntpTime(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64((ntp&0xffffffff)*1e9>>32))
}

func toNTP(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// ntpEpoch is the seconds from 1900 to 1970.
const ntpEpoch = 2208988800
