package sfu

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/datachannel"
	"github.com/pion/rtcp"
	"github.com/pion/sctp"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

// twccID is the id of the transport-wide number in what we offer.
const twccID = 3

// section is one line of the subscriber's description: a place for a track, which is
// used again when its track has gone.
type section struct {
	mid    string
	kind   webrtc.RTPCodecType
	codecs []webrtc.RTPCodecParameters
	track  *subTrack // nil without
	phase  phase

	// Of a client with one connection:
	receives bool // it is ready to, by its last offer
	awaits   bool // its track starts with the next offer
}

// phase is how far the leaving of a track has been told.
type phase int

const (
	idle    phase = iota // may be used
	busy                 // has a track
	freed                // its track has gone, which is not yet offered
	leaving              // offered so, without answer
)

// subscriber is the connection on which a client receives. The server offers, unless the
// client has one connection for both directions; see seats.
type subscriber struct {
	peer *Peer
	link *link
	seats

	// owned by the peer's loop
	sections []*section // after the data section
	active   map[string]*section
	local    local
	started  bool
	id       uint32
	inflight *livekit.SignalResponse // the offer without answer
	offered  []spoken                // what it said
	again    bool                    // offer once more after the answer
	restart  bool                    // with other ICE credentials
	anew     bool                    // inflight has other ICE credentials
	keeps    bool                    // restart keeps the way there is meanwhile
	kept     time.Time               // until when it is kept, zero if it is not
	used     map[uint32]bool         // SSRCs: one key never protects two streams of one number

	mu    sync.Mutex
	bySSR map[uint32]*subTrack // guarded by mu: who reports are of
}

func newSubscriber(p *Peer) (*subscriber, error) {
	s := emptySubscriber(p)
	var err error
	if s.link, err = p.newLink(s, true); err != nil {
		return nil, err
	}
	s.local = local{setup: "actpass", print: p.srv.identity.print, id: rand.Uint64() >> 2}
	p.subLink.Store(s.link)
	return s, nil
}

// add sends another track, in a section that is free or in a new one.
func (s *subscriber) add(d *subTrack) error {
	codecs := preferred(d.track.codec)
	if codecs == nil {
		return webrtc.ErrUnsupportedCodec
	}
	place := s.free(d.track.kind)
	place.codecs, place.track, place.phase = codecs, d, busy
	d.out.ssrc = s.freeSSRC()
	if d.track.video() {
		d.rtx.ssrc = s.freeSSRC()
	}
	s.active[d.track.sid] = place
	s.mu.Lock()
	s.bySSR[d.out.ssrc] = d
	s.mu.Unlock()
	return nil
}

// free returns a section for another track of a kind.
func (s *subscriber) free(kind webrtc.RTPCodecType) *section {
	if s.pub != nil {
		place := &section{kind: kind}
		s.waiting = append(s.waiting, place)
		return place
	}
	for _, c := range s.sections {
		if c.phase == idle && c.kind == kind {
			return c
		}
	}
	place := &section{mid: itoa(len(s.sections) + 1), kind: kind}
	s.sections = append(s.sections, place)
	return place
}

func (s *subscriber) freeSSRC() uint32 {
	for {
		if v := rand.Uint32(); v != 0 && !s.used[v] {
			s.used[v] = true
			return v
		}
	}
}

// drop stops every sending that is not in keep.
func (s *subscriber) drop(keep map[string]*subTrack) (changed bool) {
	for sid, place := range s.active {
		d := place.track
		if keep[sid] == d {
			continue
		}
		s.leave(d)
		changed = true
		place.track, place.phase = nil, freed
		s.waiting = slices.DeleteFunc(s.waiting, func(w *section) bool { return w == place })
	}
	return changed
}

// leave stops the sending of a track.
func (s *subscriber) leave(d *subTrack) {
	delete(s.active, d.track.sid)
	d.unbind()
	s.mu.Lock()
	delete(s.bySSR, d.out.ssrc)
	s.mu.Unlock()
}

// negotiate offers the present sections, once at a time, or has the client offer.
func (s *subscriber) negotiate() {
	if s.pub != nil {
		s.ask()
		return
	}
	if s.inflight != nil {
		s.again = true
		return
	}
	var err error
	s.anew = false
	if gather := s.link.gather; s.local.version == 0 || s.restart {
		if s.local.version > 0 {
			gather, s.anew = s.link.restart, true
			if s.kept = s.peer.srv.now().Add(keptWay); !s.keeps {
				s.kept = time.Time{}
				s.link.move(netip.AddrPort{})
			}
		}
		if s.local.ufrag, s.local.pwd, s.local.candidates, err = gather(); err != nil {
			s.fail("offer", err)
			return
		}
	}
	s.again, s.restart, s.keeps = false, false, false
	s.local.version++
	s.id++
	mids := map[string]string{}
	s.offered = append(s.offered[:0], spoken{kind: "application", mid: "0"})
	for _, place := range s.sections {
		o := spoken{
			kind: place.kind.String(), mid: place.mid, direction: "inactive", codecs: place.codecs,
			extensions: []extensionID{{twccURI, twccID}},
		}
		if d := place.track; d != nil {
			mids[place.mid] = d.track.sid
			// Stream and track id both carry the track's sid, so that a section can be
			// used again for another track.
			o.direction, o.stream, o.track, o.ssrc, o.rtx = "sendonly", d.track.owner.sid+"|"+d.track.sid, d.track.sid, d.out.ssrc, d.rtx.ssrc
		} else if place.phase == freed {
			place.phase = leaving
		}
		s.offered = append(s.offered, o)
	}
	s.inflight = &livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{Offer: &livekit.SessionDescription{
		Type: "offer", Sdp: s.local.write(s.offered), Id: s.id, MidToTrackId: mids,
	}}}
	s.peer.send(proto.Clone(s.inflight).(*livekit.SignalResponse))
}

// answer takes the client's answer to the offer in flight; others are dropped.
func (s *subscriber) answer(sd *livekit.SessionDescription) {
	if s.inflight == nil || sd.GetId() != 0 && sd.GetId() != s.id {
		return
	}
	d, err := parseDescription(sd.GetSdp(), len(s.offered))
	if err == nil {
		err = s.accept(d)
	}
	if err != nil {
		s.fail("answer", err)
		return
	}
	s.inflight = nil
	if s.again || s.restart {
		s.negotiate()
	}
}

func (s *subscriber) accept(d *description) error {
	switch {
	case len(d.sections) != len(s.offered):
		return fmt.Errorf("%w: %d sections of %d", errSDP, len(d.sections), len(s.offered))
	case d.setup != "active":
		return fmt.Errorf("%w: not the DTLS client", errSDP)
	case s.started && d.print != s.link.print:
		return fmt.Errorf("%w: another certificate", errSDP)
	}
	for i, o := range s.offered {
		if d.sections[i].kind != o.kind || !d.sections[i].rejected && d.sections[i].mid != o.mid {
			return fmt.Errorf("%w: section %d is another", errSDP, i)
		}
	}
	if !s.started {
		s.started = true
		if err := s.link.start(d); err != nil {
			return err
		}
	} else if err := s.link.credentials(d); err != nil {
		return err
	}
	for i, place := range s.sections[:len(s.offered)-1] {
		if place.phase == leaving {
			place.phase = idle
		}
		// Only what this very offer said of the section is answered.
		if t := place.track; t != nil && s.offered[i+1].ssrc == t.out.ssrc {
			t.bind(s.link, &d.sections[i+1])
		}
	}
	return nil
}

// resume repeats an offer whose answer the old socket took with it, and restarts ICE
// when the way to the client is not up.
func (s *subscriber) resume() {
	if s.pub != nil {
		// What was asked may be lost with the old socket. The client offers in any case.
		s.asked, s.prompted = [2]int{}, false
		return
	}
	if !s.link.connected() {
		s.restart, s.keeps = true, false
	}
	if s.inflight != nil {
		s.peer.send(proto.Clone(s.inflight).(*livekit.SignalResponse))
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

// close ends the connection.
func (s *subscriber) close() { s.link.close() }

// rtp implements linkUser: a subscriber sends none.
func (s *subscriber) rtp(*stream, []byte, *batch) {}

// control implements linkUser.
func (s *subscriber) control(packets []rtcp.Packet) {
	now := s.peer.srv.now()
	of := func(ssrc uint32) *subTrack {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.bySSR[ssrc]
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.PictureLossIndication:
			if d := of(p.MediaSSRC); d != nil {
				d.keyframe(now)
			}
		case *rtcp.FullIntraRequest:
			for _, e := range p.FIR {
				if d := of(e.SSRC); d != nil {
					d.keyframe(now)
				}
			}
		case *rtcp.TransportLayerNack:
			d := of(p.MediaSSRC)
			if d == nil {
				continue
			}
			for _, pair := range p.Nacks {
				pair.Range(func(seq uint16) bool {
					d.resend(seq, now)
					return true
				})
			}
		case *rtcp.TransportLayerCC:
			s.peer.est.received(p, now)
		case *rtcp.ReceiverReport:
			s.reports(p.Reports, of)
		case *rtcp.SenderReport:
			s.reports(p.Reports, of)
		}
	}
}

func (s *subscriber) reports(list []rtcp.ReceptionReport, of func(uint32) *subTrack) {
	for _, r := range list {
		if d := of(r.SSRC); d != nil {
			d.mu.Lock()
			d.lost = r.FractionLost
			d.mu.Unlock()
		}
	}
}

// up implements linkUser.
func (s *subscriber) up() { s.peer.connected() }

// data implements linkUser: both channels are ours to open, with the odd numbers of the
// DTLS server (RFC 8832 §6).
func (s *subscriber) data(assoc *sctp.Association) {
	var readers sync.WaitGroup
	defer readers.Wait()
	for i, c := range []datachannel.Config{
		livekit.DataPacket_RELIABLE: {Label: "_reliable", ChannelType: datachannel.ChannelTypeReliable},
		livekit.DataPacket_LOSSY:    {Label: "_lossy", ChannelType: datachannel.ChannelTypePartialReliableRexmitUnordered},
	} {
		c.LoggerFactory = s.link.log
		dc, err := datachannel.Dial(assoc, uint16(1+2*i), &c)
		if err != nil {
			break
		}
		kind := livekit.DataPacket_Kind(i)
		dc.OnOpen(func() {
			defer s.peer.guard()
			s.peer.dataOpened(kind, dc)
		})
		readers.Go(func() {
			defer s.peer.guard()
			var b [512]byte
			for {
				// Clients answer the opening here and say no more.
				if _, err := dc.Read(b[:]); err != nil {
					return
				}
			}
		})
	}
}
