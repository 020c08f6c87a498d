package sfu

import (
	"maps"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtcp"
	"github.com/pion/sctp"
	"github.com/pion/webrtc/v4"
)

// A client that asks for it has one connection for both directions, the publisher's: it
// alone offers, and what it is sent comes in those sections of its offers that it is
// ready to receive in. When there are too few of them, or when what it is sent has
// changed, it is asked to offer again (MediaSectionsRequirement).

// maxGranted bounds the sections that one client is asked to add: each makes each of its
// offers some kilobytes longer. Tracks beyond them wait until others have gone.
const maxGranted = 192

// seats are the sections of a client's offers that it is sent something in. The peer's
// loop owns them.
type seats struct {
	pub      *publisher          // whose connection it is; nil: the subscriber has its own
	of       map[string]*section // by mid
	waiting  []*section          // tracks that have no section yet
	asked    [2]int              // sections asked for that were not offered yet: sound, picture
	granted  int                 // all that were ever asked for
	prompted bool                // asked to offer since its last offer
}

// duplex is the user of a link that carries both directions.
type duplex struct {
	pub *publisher
	sub *subscriber
}

var _ linkUser = (*duplex)(nil)

func (d *duplex) rtp(in *stream, b []byte, via *batch) { d.pub.rtp(in, b, via) }

func (d *duplex) control(packets []rtcp.Packet) {
	if d.pub.peer.intake.allow(0, true) {
		d.pub.clocks(packets)
		d.sub.control(packets)
	}
}

func (d *duplex) up() { d.sub.up() }

func (d *duplex) data(assoc *sctp.Association) { d.pub.data(assoc) }

// newSingle makes the one connection of a client.
func (p *Peer) newSingle() error {
	user := &duplex{pub: emptyPublisher(p), sub: emptySubscriber(p)}
	l, err := p.newLink(user, false)
	if err != nil {
		return err
	}
	user.pub.link, user.sub.link = l, l
	user.pub.sub = user.sub
	user.sub.seats = seats{pub: user.pub, of: map[string]*section{}}
	p.pub, p.sub = user.pub, user.sub
	p.publishing.Store(p.pub)
	p.subLink.Store(l)
	return nil
}

func kindIndex(k webrtc.RTPCodecType) int {
	if k == webrtc.RTPCodecTypeVideo {
		return 1
	}
	return 0
}

// most is how many sections an offer of the client may have.
func (s *seats) most() int { return maxSections + s.granted }

// ask makes the client offer again when it has to hear of something, with further
// sections when those there are do not suffice.
func (s *subscriber) ask() {
	if !s.pub.started {
		return // its first offer comes by itself
	}
	var need [2]int
	owes := len(s.waiting) > 0
	for _, w := range s.waiting {
		need[kindIndex(w.kind)]++
	}
	for _, place := range s.of {
		owes = owes || place.phase == freed || place.awaits
		// One whose track has gone is free after the next answer or the one after it.
		if place.track == nil && place.receives {
			need[kindIndex(place.kind)]--
		}
	}
	var more [2]int
	for i := range more {
		more[i] = min(max(0, need[i]-s.asked[i]), maxGranted-s.granted)
		s.asked[i] += more[i]
		s.granted += more[i]
	}
	if !owes || s.prompted && more == [2]int{} {
		return
	}
	s.prompted = true
	s.peer.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{
		MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumAudios: uint32(more[0]), NumVideos: uint32(more[1])},
	}})
}

// fill puts what the client is sent into our reply to its offer, and returns which track
// each section has. With missed it may not have had the answer before.
func (s *subscriber) fill(d *description, reply []spoken, missed bool) (mids map[string]string) {
	s.prompted = false
	gone := maps.Clone(s.of)
	for i := range d.sections {
		s.hear(&d.sections[i], &reply[i], missed)
		delete(gone, d.sections[i].mid)
	}
	for mid, place := range gone { // which no client does
		s.vacate(place)
		delete(s.of, mid)
	}
	// Sections that the client also sends in only when there are no others.
	for _, sends := range []bool{false, true} {
		for i := range d.sections {
			h := &d.sections[i]
			if place := s.of[h.mid]; place != nil && h.sends == sends {
				s.seat(place)
			}
		}
	}
	mids = map[string]string{}
	for i := range d.sections {
		place, o := s.of[d.sections[i].mid], &reply[i]
		if place == nil || o.rejected || o.kind != place.kind.String() {
			continue
		}
		if t := place.track; t != nil {
			mids[place.mid] = t.track.sid
			if o.direction = "sendonly"; d.sections[i].sends {
				o.direction = "sendrecv"
			}
			o.stream, o.track, o.ssrc, o.rtx = t.track.owner.sid+"|"+t.track.sid, t.track.sid, t.out.ssrc, t.rtx.ssrc
		} else if place.phase == freed {
			place.phase = leaving
		}
	}
	return mids
}

// hear takes what an offer says of one section.
func (s *subscriber) hear(h *heard, o *spoken, missed bool) {
	if h.mid == "" || o.kind != "audio" && o.kind != "video" {
		return
	}
	receives := h.receives && !o.rejected
	place := s.of[h.mid]
	if place == nil {
		if !receives {
			return
		}
		place = &section{mid: h.mid, kind: webrtc.NewRTPCodecType(h.kind)}
		s.of[h.mid] = place
		i := kindIndex(place.kind)
		s.asked[i] = max(0, s.asked[i]-1)
	}
	place.receives = receives
	switch {
	case !receives:
		s.vacate(place)
	case !missed:
		place.awaits = false
		if place.phase == leaving {
			place.phase = idle
		}
	}
}

// vacate frees a section that the client took back: its track gets another.
func (s *subscriber) vacate(place *section) {
	if t := place.track; t != nil {
		s.leave(t)
		s.peer.forget(t)
	}
	place.track, place.phase = nil, idle
}

// seat gives a free section to the track that waits longest.
func (s *subscriber) seat(place *section) {
	if place.track != nil || place.phase != idle || !place.receives {
		return
	}
	for i, w := range s.waiting {
		if w.kind == place.kind {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			place.track, place.phase = w.track, busy
			place.awaits = s.peer.sdk == "go" && s.pub.local.version > 1
			s.active[w.track.track.sid] = place
			return
		}
	}
}

// filled starts what the answer to this offer has told of. Pion takes packets that are
// there before it has read the answer for a stream of its own, and may lose the first of
// them: to it they go when another offer shows that it has. Before the first answer there
// are no keys.
func (s *subscriber) filled(d *description) {
	for i := range d.sections {
		if place := s.of[d.sections[i].mid]; place != nil && place.track != nil && !place.awaits {
			place.track.bind(s.link, &d.sections[i])
		}
	}
	s.ask()
}

// forget ends a subscription that lost its section; the next comparison makes another.
func (p *Peer) forget(d *subTrack) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.subs[d.track.sid] == d {
		d.setOpen(false, r.srv.now())
		d.track.removeSub(d)
		delete(p.subs, d.track.sid)
	}
	p.wakeUp()
}

func emptySubscriber(p *Peer) *subscriber {
	return &subscriber{peer: p, active: map[string]*section{}, bySSR: map[uint32]*subTrack{}, used: map[uint32]bool{}}
}
