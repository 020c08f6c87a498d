package sfu

import (
	"encoding/binary"
	"strings"

	"github.com/pion/webrtc/v4"
)

// mimeRED is redundant audio (RFC 2198) around Opus: each packet carries the frame
// before it once more, so that a single loss costs nothing.
const mimeRED = "audio/red"

// red is the codec of both directions. Its blocks are Opus of payload type 111.
var red = webrtc.RTPCodecParameters{
	RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: mimeRED, ClockRate: audioClock, Channels: 2, SDPFmtpLine: "111/111",
	},
	PayloadType: 63,
}

// maxRedundancy is how many earlier frames a packet may carry; clients send one or
// two, and what is older has been played.
const maxRedundancy = 4

// redBlock is an earlier frame inside a RED packet.
type redBlock struct {
	offset  uint32 // timestamp of the packet minus that of the frame
	payload []byte
}

// redPacket is a RED payload by its blocks, the oldest first.
type redPacket struct {
	primary []byte
	blocks  [maxRedundancy]redBlock
	n       int
}

// parseRED reads a RED payload whose blocks are all of the payload type given.
func parseRED(b []byte, pt uint8) (redPacket, bool) {
	var r redPacket
	var sizes [maxRedundancy]int
	at := 0
	for {
		if at >= len(b) || b[at]&0x7f != pt {
			return redPacket{}, false
		}
		if b[at]&0x80 == 0 {
			at++
			break
		}
		if at+4 > len(b) || r.n == maxRedundancy {
			return redPacket{}, false
		}
		v := binary.BigEndian.Uint32(b[at:])
		r.blocks[r.n].offset = v >> 10 & 0x3fff
		sizes[r.n] = int(v & 0x3ff)
		r.n++
		at += 4
	}
	for i := range r.n {
		if at+sizes[i] > len(b) {
			return redPacket{}, false
		}
		r.blocks[i].payload = b[at : at+sizes[i]]
		at += sizes[i]
	}
	r.primary = b[at:]
	return r, len(r.primary) > 0
}

// renumberRED writes another payload type into the block headers of a payload that
// parseRED has accepted.
func renumberRED(b []byte, pt uint8) {
	for at := 0; ; at += 4 {
		more := b[at] & 0x80
		b[at] = more | pt
		if more == 0 {
			return
		}
	}
}

// rebuilt is how many packets are remembered as rebuilt from redundancy: longer than
// any of them can be late.
const rebuilt = 64

// redState is what one received RED stream needs; the reading goroutine owns it.
type redState struct {
	pt, opus uint8 // payload types in the publisher's numbers; pt 0 is a stream without
	done     [rebuilt]uint16
	known    [rebuilt]bool
}

// of finds the payload types of a receiver.
func (s *redState) of(codecs []webrtc.RTPCodecParameters) {
	for _, c := range codecs {
		switch {
		case strings.EqualFold(c.MimeType, mimeRED):
			s.pt = uint8(c.PayloadType)
		case strings.EqualFold(c.MimeType, webrtc.MimeTypeOpus):
			s.opus = uint8(c.PayloadType)
		}
	}
}

func (s *redState) note(seq uint16) {
	s.done[seq%rebuilt], s.known[seq%rebuilt] = seq, true
}

// had tells whether this packet's frame was already sent on, rebuilt. Then its late
// self must not be: with GCM the same number must never carry other bytes.
func (s *redState) had(seq uint16) bool {
	return s.known[seq%rebuilt] && s.done[seq%rebuilt] == seq
}

// redMaker makes RED of single frames: each packet carries the frame before it once
// more. Subscribers without RED get the frame alone.
type redMaker struct {
	seq   uint16
	ts    uint32
	frame []byte // the last one, empty for none
	out   []byte // what wrap returned
}

// The fields of a block's header: 14 bits of time, 10 of length.
const (
	maxREDOffset = 1<<14 - 1
	maxREDBlock  = 1<<10 - 1
)

// forget is called where the stream is cut: what comes next has another past.
func (m *redMaker) forget() { m.frame = m.frame[:0] }

// wrap returns the payload for a frame, valid until the next call. A frame that comes
// after a later one repeats nothing, and is not repeated.
func (m *redMaker) wrap(seq uint16, ts uint32, frame []byte) []byte {
	pt := uint8(opus.PayloadType)
	m.out = m.out[:0]
	known := len(m.frame) > 0
	if known && int16(seq-m.seq) <= 0 {
		m.out = append(append(m.out, pt), frame...)
		return m.out
	}
	if offset := ts - m.ts; known && offset > 0 && offset <= maxREDOffset && len(m.frame) <= maxREDBlock {
		m.out = binary.BigEndian.AppendUint32(m.out, uint32(0x80|pt)<<24|offset<<10|uint32(len(m.frame)))
		m.out = append(append(m.out, pt), m.frame...)
	} else {
		m.out = append(m.out, pt)
	}
	m.out = append(m.out, frame...)
	m.seq, m.ts, m.frame = seq, ts, append(m.frame[:0], frame...)
	return m.out
}
