package sfu

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
)

func FuzzParseRTP(f *testing.F) {
	h := rtp.Header{Version: 2, SequenceNumber: 7, Timestamp: 9, SSRC: 11, PayloadType: 111, Marker: true}
	_ = h.SetExtension(3, []byte{0x85})
	good, _ := (&rtp.Packet{Header: h, Payload: []byte("opus")}).Marshal()
	f.Add(good, uint8(3))
	f.Add(good[:13], uint8(3))
	h = rtp.Header{Version: 2, Extension: true, ExtensionProfile: 0x1000, CSRC: []uint32{1, 2}}
	_ = h.SetExtension(3, []byte{0x85})
	two, _ := (&rtp.Packet{Header: h, Payload: []byte("x"), PaddingSize: 5}).Marshal()
	f.Add(two, uint8(3))
	f.Add([]byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, id uint8) {
		p, err := parseRTP(b, id)
		if err != nil {
			return
		}
		// What we accept the library of the other end reads the same way.
		var want rtp.Packet
		if err := want.Unmarshal(b); err != nil {
			return
		}
		if p.seq != want.SequenceNumber || p.ts != want.Timestamp || p.ssrc != want.SSRC || p.pt != want.PayloadType || p.marker != want.Marker {
			t.Fatalf("got %+v, want %+v", p, want.Header)
		}
		if !bytes.Equal(p.payload, want.Payload) {
			t.Fatalf("payload %x, want %x", p.payload, want.Payload)
		}
	})
}

func TestParseRTPReadsTheAudioLevel(t *testing.T) {
	for _, profile := range []uint16{0xbede, 0x1000} {
		h := rtp.Header{Version: 2, Extension: true, ExtensionProfile: profile}
		_ = h.SetExtension(5, []byte("mid"))
		_ = h.SetExtension(3, []byte{0x80 | 23})
		b, err := (&rtp.Packet{Header: h, Payload: []byte("x")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseRTP(b, 3)
		if err != nil || !p.leveled || p.level != 23 || !p.voice {
			t.Errorf("profile %x: got %+v, %v", profile, p, err)
		}
	}
}

func FuzzPayloads(f *testing.F) {
	f.Add([]byte{0x90, 0x80, 0x81, 0x02, 0x00})
	f.Add([]byte{0x90, 0xe0, 0x7f, 0x10, 0x20, 0x01})
	f.Add([]byte{0x18, 0, 3, 0x67, 1, 2, 0, 1, 0x65})
	f.Add([]byte{0x1c, 0x85})
	f.Fuzz(func(t *testing.T, b []byte) {
		h264Key(b)
		h, ok := parseVP8(b)
		if !ok {
			return
		}
		c := bytes.Clone(b)
		putVP8(c, h, h.picture, h.tl0)
		if !bytes.Equal(b, c) {
			t.Fatalf("writing back what was read changed %x to %x", b, c)
		}
		putVP8(c, h, h.picture+1, h.tl0+1)
		again, ok := parseVP8(c)
		mask := uint16(0x7f)
		if h.long {
			mask = 0x7fff
		}
		if !ok || h.pictureAt > 0 && again.picture != (h.picture+1)&mask || h.tl0At > 0 && again.tl0 != h.tl0+1 || again.key != h.key {
			t.Fatalf("got %+v from %+v", again, h)
		}
	})
}

func FuzzSDP(f *testing.F) {
	f.Add("v=0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AA:BB\r\na=setup:active\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=inactive\r\n")
	f.Add("m=video 0 x 96 97\na=mid:1\na=msid:s t\na=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\na=ssrc-group:FID 1 2\na=ssrc:1 x\na=ssrc:2 x\na=rid:q send\nm=\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDescription(text, maxSections)
		if err != nil {
			return
		}
		if d.ufrag == "" || d.pwd == "" || d.print == "" || len(d.sections) > maxSections {
			t.Fatalf("accepted %+v", d)
		}
		// What we answer is itself a description, of the same sections.
		sections, places := (&publisher{peer: &Peer{participant: &participant{}, room: &Room{}}}).reply(d)
		answer := local{version: 1, setup: "passive", ufrag: "u", pwd: "p", print: "AA"}
		again, err := parseDescription(answer.write(sections), len(sections))
		if err != nil || len(again.sections) != len(d.sections) {
			t.Fatalf("answer %v: %s", err, answer.write(sections))
		}
		for _, p := range places {
			if len(p.codecs) == 0 {
				t.Fatalf("a section without codecs: %+v", p)
			}
		}
	})
}

func FuzzSTUN(f *testing.F) {
	plain := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	f.Add(plain)
	f.Add(append(append([]byte{0, 1, 0, 8}, plain[4:]...), 0, 6, 0, 3, 'a', ':', 'b', 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !plainBinding(b) {
			return
		}
		from := netip.MustParseAddrPort("192.0.2.1:4660")
		a := bindingAnswer(nil, b, from)
		if len(a) != 32 || !bytes.Equal(a[4:20], b[4:20]) {
			t.Fatalf("answer %x", a)
		}
		if port := binary.BigEndian.Uint16(a[26:]) ^ 0x2112; port != 4660 {
			t.Fatalf("port %d", port)
		}
	})
}

func TestPlainBindingLeavesConnectivityChecksAlone(t *testing.T) {
	check := append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	check = append(check, 0, 6, 0, 3, 'a', ':', 'b', 0)
	if plainBinding(check) {
		t.Error("a connectivity check was taken for a plain request")
	}
	plain := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	if !plainBinding(plain) {
		t.Error("a plain request was not seen")
	}
}

func TestFlowGoesThroughSuspectToLost(t *testing.T) {
	for _, c := range []struct {
		from   FlowState
		silent time.Duration
		want   FlowState
	}{
		{FlowNone, time.Hour, FlowNone},
		{Flowing, 399 * time.Millisecond, Flowing},
		{Flowing, 400 * time.Millisecond, Suspect},
		{Suspect, 999 * time.Millisecond, Suspect},
		{Suspect, time.Second, Lost},
		{Flowing, time.Minute, Lost},
		{Lost, 0, Flowing},
	} {
		if got := c.from.Next(c.silent); got != c.want {
			t.Errorf("from %d after %v: got %d, want %d", c.from, c.silent, got, c.want)
		}
	}
}
