// Package seqmap renumbers one outgoing RTP stream that is put together from
// several incoming ones.
//
// A subscriber sees one stream with one SSRC, whatever the engine does behind it:
// packets left out, a switch from one simulcast layer to another, a pause, another
// interpreter on air. Stream gives every forwarded packet a sequence number without
// holes for what was left out on purpose, and with a hole for what was lost on the
// way in, so that the subscriber asks again for exactly what can be sent again.
package seqmap

import "time"

// maxRanges is how many changes of the offset are remembered for late packets. A
// packet that is later than 32 changes is refused.
const maxRanges = 32

// span is a run of incoming numbers that share an offset.
type span struct {
	from    uint16 // first incoming number
	offset  uint16
	dropped bool
}

// Origin tells where an outgoing packet came from.
type Origin struct {
	Source   uint8  // as given to Switch
	Seq      uint16 // incoming sequence number
	TSOffset uint32 // outgoing minus incoming timestamp
	Picture  uint16 // outgoing minus incoming VP8 picture id
	TL0      uint8  // outgoing minus incoming VP8 TL0PICIDX
}

type entry struct {
	out    uint16
	origin Origin
	ok     bool
}

// Stream is the numbering of one outgoing stream. It is not safe for use by
// several goroutines at once.
type Stream struct {
	ring []entry

	started  bool // something was sent
	lastSeq  uint16
	lastTS   uint32
	lastSent time.Time

	source  bool // Switch was called
	head    uint16
	spans   []span
	origin  Origin // with Seq unset
	lastPic uint16
	lastTL0 uint8
	pics    bool
}

// New returns a numbering that remembers the origin of the last size packets and
// begins with the sequence number and timestamp given.
func New(size int, seq uint16, ts uint32) *Stream {
	if size <= 0 || size&(size-1) != 0 {
		panic("seqmap: size must be a power of two")
	}
	return &Stream{ring: make([]entry, size), lastSeq: seq - 1, lastTS: ts}
}

// Project returns the RTP timestamp for a packet sent now: the last one plus the
// time that passed since, in whole frames and at least one. It is what follows a
// switch, a pause or a silence (design: livekit-protocol, section 7).
func (s *Stream) Project(now time.Time, clock, frame uint32) uint32 {
	if !s.started {
		return s.lastTS
	}
	ticks := int64(now.Sub(s.lastSent)) * int64(clock) / int64(time.Second)
	k := (ticks + int64(frame)/2) / int64(frame)
	if k < 1 {
		k = 1
	}
	return s.lastTS + uint32(k)*frame
}

// Switch makes the packet with number seq and timestamp ts the next one sent, with
// outgoing timestamp outTS. Packets of the same source before it are refused.
func (s *Stream) Switch(source uint8, seq uint16, ts, outTS uint32) {
	s.source = true
	s.head = seq - 1
	s.spans = append(s.spans[:0], span{from: seq, offset: s.lastSeq + 1 - seq})
	s.origin = Origin{Source: source, TSOffset: outTS - ts}
}

// SwitchPicture continues the VP8 picture ids of the stream at a switch: the frame
// with these incoming ids is the one after the last sent (RFC 7741 §4.2).
func (s *Stream) SwitchPicture(picture uint16, tl0 uint8) {
	if !s.pics {
		s.pics = true
		s.lastPic, s.lastTL0 = picture-1, tl0-1
	}
	s.origin.Picture = s.lastPic + 1 - picture
	s.origin.TL0 = s.lastTL0 + 1 - tl0
}

// Pictures notes the incoming picture ids of the packet that Map accepted last.
func (s *Stream) Pictures(picture uint16, tl0 uint8) {
	if out := picture + s.origin.Picture; int16((out-s.lastPic)<<1) > 0 {
		s.lastPic = out
	}
	if out := tl0 + s.origin.TL0; int8(out-s.lastTL0) > 0 {
		s.lastTL0 = out
	}
}

// Ready tells whether Switch was called.
func (s *Stream) Ready() bool { return s.source }

// Started tells whether anything was sent.
func (s *Stream) Started() bool { return s.started }

// Origin returns the offsets in use.
func (s *Stream) Origin() Origin { return s.origin }

// Last returns the last outgoing timestamp and when it was sent.
func (s *Stream) Last() (ts uint32, at time.Time) { return s.lastTS, s.lastSent }

// Map returns the outgoing number and timestamp of an incoming packet, or false
// when it must not be sent: it is from before the switch, or was left out.
func (s *Stream) Map(seq uint16, ts uint32, now time.Time) (outSeq uint16, outTS uint32, ok bool) {
	if !s.source {
		return 0, 0, false
	}
	newest := int16(seq-s.head) > 0
	sp, ok := s.find(seq)
	if !ok || sp.dropped {
		return 0, 0, false
	}
	outSeq, outTS = seq+sp.offset, ts+s.origin.TSOffset
	if newest {
		s.head = seq
		s.lastSeq = outSeq
		s.lastTS = outTS
		s.lastSent = now
		s.started = true
	}
	o := s.origin
	o.Seq = seq
	s.ring[int(outSeq)&(len(s.ring)-1)] = entry{out: outSeq, origin: o, ok: true}
	return outSeq, outTS, true
}

// Drop leaves the packet out and closes its gap. A packet that is not the newest
// was already counted, and dropping it changes nothing.
func (s *Stream) Drop(seq uint16) {
	if !s.source || int16(seq-s.head) <= 0 {
		return
	}
	last := s.spans[len(s.spans)-1]
	s.head = seq
	// The numbers lost before this one keep their hole.
	s.lastSeq = seq - 1 + last.offset
	s.spans = append(s.spans,
		span{from: seq, offset: last.offset, dropped: true},
		span{from: seq + 1, offset: last.offset - 1})
	if n := len(s.spans) - maxRanges; n > 0 {
		s.spans = append(s.spans[:0], s.spans[n:]...)
	}
}

// Insert returns the number and timestamp for a packet of the engine's own, such as
// the silence that ends a stream, put in after the last one. After it the source
// must be switched again before Map accepts anything.
func (s *Stream) Insert(now time.Time, clock, frame uint32) (seq uint16, ts uint32) {
	ts = s.Project(now, clock, frame)
	s.lastSeq++
	s.lastTS, s.lastSent = ts, now
	s.started = true
	s.source = false
	s.ring[int(s.lastSeq)&(len(s.ring)-1)] = entry{}
	return s.lastSeq, ts
}

// Pad returns the number and timestamp for a packet without content of the engine's
// own after the last one; unlike Insert it lets the source go on. It must not stand
// inside a frame.
func (s *Stream) Pad(now time.Time) (seq uint16, ts uint32) {
	if !s.started {
		s.started, s.lastSent = true, now
	}
	s.lastSeq++
	s.ring[int(s.lastSeq)&(len(s.ring)-1)] = entry{}
	if s.source {
		if last := &s.spans[len(s.spans)-1]; last.from == s.head+1 {
			last.offset++
		} else {
			s.spans = append(s.spans, span{from: s.head + 1, offset: last.offset + 1})
			if n := len(s.spans) - maxRanges; n > 0 {
				s.spans = append(s.spans[:0], s.spans[n:]...)
			}
		}
	}
	return s.lastSeq, s.lastTS
}

// Stop ends the source: Map refuses everything until the next Switch.
func (s *Stream) Stop() { s.source = false }

// find returns the latest span that begins at or before seq.
func (s *Stream) find(seq uint16) (span, bool) {
	for i := len(s.spans) - 1; i >= 0; i-- {
		if int16(seq-s.spans[i].from) >= 0 {
			return s.spans[i], true
		}
	}
	return span{}, false
}

// Lookup tells which incoming packet was sent under an outgoing number.
func (s *Stream) Lookup(out uint16) (Origin, bool) {
	e := s.ring[int(out)&(len(s.ring)-1)]
	if !e.ok || e.out != out {
		return Origin{}, false
	}
	return e.origin, true
}
