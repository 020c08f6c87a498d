package sfu

import (
	"encoding/binary"
	"errors"
)

// errRTP means that bytes are no RTP packet of RFC 3550.
var errRTP = errors.New("sfu: malformed RTP packet")

// rtpPacket is what the engine reads of a packet: offsets, not copies.
type rtpPacket struct {
	marker  bool
	pt      uint8
	seq     uint16
	ts      uint32
	ssrc    uint32
	payload []byte // without padding
	level   uint8  // RFC 6464 audio level in -dBov; 127 is silence
	voice   bool   // RFC 6464 voice activity flag
	leveled bool   // level is set

	primary []byte // of a RED packet: its own Opus frame
	rebuilt bool   // no packet of the publisher's: rebuilt from the redundancy of a later one
	late    bool   // of a RED packet: primary was already sent on, rebuilt

	speaker string // of a channel's packet: whose voice it is

	via *batch // what is forwarded because of it leaves with this; nil at once
}

// opusFrame is the packet's frame of sound.
func (p *rtpPacket) opusFrame() []byte {
	if p.primary != nil {
		return p.primary
	}
	return p.payload
}

// parseRTP reads the fixed header, the audio level extension when its id is not
// zero, and the payload.
func parseRTP(b []byte, levelID uint8) (rtpPacket, error) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return rtpPacket{}, errRTP
	}
	p := rtpPacket{
		marker: b[1]&0x80 != 0,
		pt:     b[1] & 0x7f,
		seq:    binary.BigEndian.Uint16(b[2:]),
		ts:     binary.BigEndian.Uint32(b[4:]),
		ssrc:   binary.BigEndian.Uint32(b[8:]),
		level:  127,
	}
	at := 12 + 4*int(b[0]&0x0f)
	if len(b) < at {
		return rtpPacket{}, errRTP
	}
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return rtpPacket{}, errRTP
		}
		profile := binary.BigEndian.Uint16(b[at:])
		size := 4 * int(binary.BigEndian.Uint16(b[at+2:]))
		at += 4
		if len(b) < at+size {
			return rtpPacket{}, errRTP
		}
		if levelID != 0 {
			if v := extension(b[at:at+size], profile, levelID); len(v) > 0 {
				p.level, p.voice, p.leveled = v[0]&0x7f, v[0]&0x80 != 0, true
			}
		}
		at += size
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		pad := int(b[end-1])
		if pad == 0 || at+pad > end {
			return rtpPacket{}, errRTP
		}
		end -= pad
	}
	p.payload = b[at:end]
	return p, nil
}

// extensionOf finds one header extension of a packet whose header was found whole
// (headerSize); id 0 is none.
func extensionOf(b []byte, id uint8) []byte {
	if id == 0 || b[0]&0x10 == 0 {
		return nil
	}
	at := 12 + 4*int(b[0]&0x0f)
	size := 4 * int(binary.BigEndian.Uint16(b[at+2:]))
	return extension(b[at+4:at+4+size], binary.BigEndian.Uint16(b[at:]), id)
}

// extension finds one header extension in its one-byte or two-byte form (RFC 8285).
func extension(b []byte, profile uint16, id uint8) []byte {
	switch {
	case profile == 0xbede:
		for i := 0; i < len(b); {
			if b[i] == 0 {
				i++
				continue
			}
			n := int(b[i]&0x0f) + 1
			if b[i]>>4 == 15 || i+1+n > len(b) {
				return nil
			}
			if b[i]>>4 == id {
				return b[i+1 : i+1+n]
			}
			i += 1 + n
		}
	case profile>>4 == 0x100:
		for i := 0; i+1 < len(b); {
			if b[i] == 0 {
				i++
				continue
			}
			n := int(b[i+1])
			if i+2+n > len(b) {
				return nil
			}
			if b[i] == id {
				return b[i+2 : i+2+n]
			}
			i += 2 + n
		}
	}
	return nil
}

// vp8Header is the part of the VP8 payload descriptor that is renumbered.
type vp8Header struct {
	pictureAt int // offset of the picture id, 0 when absent
	long      bool
	picture   uint16
	tl0At     int // offset of TL0PICIDX, 0 when absent
	tl0       uint8
	key       bool
}

// parseVP8 reads the payload descriptor of RFC 7741 §4.2.
func parseVP8(b []byte) (vp8Header, bool) {
	var h vp8Header
	if len(b) < 1 {
		return h, false
	}
	first := b[0]
	at := 1
	if first&0x80 != 0 {
		if len(b) < 2 {
			return h, false
		}
		x := b[1]
		at = 2
		if x&0x80 != 0 {
			if len(b) < at+1 {
				return h, false
			}
			h.pictureAt = at
			if b[at]&0x80 != 0 {
				if len(b) < at+2 {
					return h, false
				}
				h.long = true
				h.picture = binary.BigEndian.Uint16(b[at:]) & 0x7fff
				at += 2
			} else {
				h.picture = uint16(b[at] & 0x7f)
				at++
			}
		}
		if x&0x40 != 0 {
			if len(b) < at+1 {
				return h, false
			}
			h.tl0At, h.tl0 = at, b[at]
			at++
		}
		if x&0x30 != 0 {
			at++
		}
	}
	if len(b) <= at {
		return h, false
	}
	// A key frame begins with the first packet of partition 0, and the inverse
	// key frame bit of the payload header is 0 (RFC 7741 §4.3).
	h.key = first&0x10 != 0 && first&0x07 == 0 && b[at]&1 == 0
	return h, true
}

// putVP8 writes the outgoing picture ids into a copy of the payload.
func putVP8(b []byte, h vp8Header, picture uint16, tl0 uint8) {
	if h.pictureAt > 0 {
		if h.long {
			binary.BigEndian.PutUint16(b[h.pictureAt:], 0x8000|picture&0x7fff)
		} else {
			b[h.pictureAt] = byte(picture & 0x7f)
		}
	}
	if h.tl0At > 0 {
		b[h.tl0At] = tl0
	}
}

// h264Key tells whether the payload begins a key frame: a sequence parameter set
// or an IDR slice, alone, aggregated or fragmented (RFC 6184 §5).
func h264Key(b []byte) bool {
	if len(b) < 1 {
		return false
	}
	switch t := b[0] & 0x1f; t {
	case 5, 7:
		return true
	case 24: // STAP-A
		for i := 1; i+2 < len(b); {
			n := int(binary.BigEndian.Uint16(b[i:]))
			if u := b[i+2] & 0x1f; u == 5 || u == 7 {
				return true
			}
			i += 2 + n
		}
	case 28: // FU-A
		return len(b) > 1 && b[1]&0x80 != 0 && (b[1]&0x1f == 5 || b[1]&0x1f == 7)
	}
	return false
}
