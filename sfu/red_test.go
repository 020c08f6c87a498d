package sfu

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/packetcache"
	"github.com/consilium-health/consilium/sfu/seqmap"
)

// wire records what a subscriber is sent.
type wire struct{ packets []rtp.Packet }

func (w *wire) write(s *sender, o *outgoing, payload []byte, _ *batch) {
	w.packets = append(w.packets, rtp.Packet{Header: rtp.Header{
		Version: 2, Marker: o.marker, PayloadType: o.pt, SequenceNumber: o.seq, Timestamp: o.ts, SSRC: s.ssrc,
	}, Payload: bytes.Clone(payload)})
}

// soundFrame is the nth Opus frame of a test.
func soundFrame(n int) []byte { return fmt.Appendf([]byte{0x78}, "frame %d", n) }

// redundant is the nth RED packet, with depth frames before it.
func redundantPacket(n, depth int, redPT, opusPT uint8) []byte {
	var payload, bodies []byte
	for back := depth; back > 0; back-- {
		body := soundFrame(n - back)
		v := uint32(0x80|opusPT)<<24 | uint32(back*audioFrame)<<10 | uint32(len(body))
		payload = append(payload, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
		bodies = append(bodies, body...)
	}
	payload = append(append(append(payload, opusPT), bodies...), soundFrame(n)...)
	raw, err := (&rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: redPT, SequenceNumber: uint16(65500 + n), Timestamp: uint32(n * audioFrame), SSRC: 7},
		Payload: payload,
	}).Marshal()
	if err != nil {
		panic(err)
	}
	return raw
}

func redStage() (track *Track, l *layer, plain, full *wire, channelOut *wire, c *channelTrack) {
	srv := &Server{now: time.Now}
	room := &Room{srv: srv}
	owner := &participant{identity: "a"}
	track = &Track{kind: webrtc.RTPCodecTypeAudio, room: room, owner: owner}
	track.flow.Store(uint32(Flowing))
	l = &layer{cache: packetcache.New(256), red: redState{pt: 63, opus: 111}}
	sub := func(t *Track, redPT uint8) *wire {
		w := &wire{}
		d := newSubTrack(t, nil)
		d.line, d.pt, d.redPT, d.out.ssrc = w, 111, redPT, 1
		d.open.Store(true)
		t.addSub(d)
		return w
	}
	plain, full = sub(track, 0), sub(track, 63)
	out := &Track{kind: webrtc.RTPCodecTypeAudio, room: room, owner: owner, channel: "de"}
	out.flow.Store(uint32(Flowing))
	channelOut = sub(out, 0)
	c = &channelTrack{track: out, source: track, seq: seqmap.New(256, 1, 0)}
	track.taps.Store(&[]*channelTrack{c})
	return track, l, plain, full, channelOut, c
}

func TestRedundancyRepairsSoundForThoseWithoutIt(t *testing.T) {
	track, l, plain, full, channelOut, _ := redStage()
	now := time.Unix(1000, 0)
	const count = 400
	random := rand.New(rand.NewPCG(1, 2))
	lost, late := 0, 0
	var held []byte
	before := false
	for n := 10; n < count; n++ {
		now = now.Add(20 * time.Millisecond)
		raw := redundantPacket(n, 2, 63, 111)
		// A tenth is lost, and a tenth comes after its successor.
		if n > 10 && !before && held == nil {
			switch random.IntN(10) {
			case 0:
				lost++
				before = true
				continue
			case 1:
				late++
				held = raw
				continue
			}
		}
		before = false
		for _, b := range [][]byte{raw, held} {
			if b == nil {
				continue
			}
			p, err := parseRTP(b, 0)
			if err != nil {
				t.Fatal(err)
			}
			track.receive(l, &p, b, now)
		}
		held = nil
	}
	if lost < 20 || late < 20 {
		t.Fatalf("only %d lost and %d late", lost, late)
	}
	for name, w := range map[string]*wire{"subscriber without RED": plain, "channel": channelOut} {
		if len(w.packets) != count-10 {
			t.Errorf("%s: %d packets of %d", name, len(w.packets), count-10)
		}
		for i, p := range w.packets {
			if p.PayloadType != 111 || !bytes.Equal(p.Payload, soundFrame(10+i)) {
				t.Fatalf("%s: packet %d has type %d and %q", name, i, p.PayloadType, p.Payload)
			}
			if i > 0 && (p.SequenceNumber != w.packets[i-1].SequenceNumber+1 || p.Timestamp != w.packets[i-1].Timestamp+audioFrame) {
				t.Fatalf("%s: packet %d is numbered %d at %d after %d at %d", name, i, p.SequenceNumber, p.Timestamp, w.packets[i-1].SequenceNumber, w.packets[i-1].Timestamp)
			}
		}
	}
	if got := len(full.packets); got != count-10-lost {
		t.Errorf("subscriber with RED: %d packets, want %d", got, count-10-lost)
	}
	seen := map[uint16]bool{}
	for i, p := range full.packets {
		if seen[p.SequenceNumber] {
			t.Fatalf("number %d was used twice", p.SequenceNumber)
		}
		seen[p.SequenceNumber] = true
		r, ok := parseRED(p.Payload, 111)
		if p.PayloadType != 63 || !ok {
			t.Fatalf("subscriber with RED: packet %d is no RED", i)
		}
		if want := 2; i == 0 && r.n != 0 || i > 0 && r.n != want {
			t.Fatalf("packet %d repeats %d frames", i, r.n)
		}
	}
}

func TestRedundancyOfAnotherPastIsNotSent(t *testing.T) {
	track, l, _, full, _, _ := redStage()
	d := track.subscribers()[1]
	now := time.Unix(1000, 0)
	step := func(n int) {
		now = now.Add(20 * time.Millisecond)
		raw := redundantPacket(n, 1, 63, 111)
		p, _ := parseRTP(raw, 0)
		track.receive(l, &p, raw, now)
	}
	for n := range 5 {
		step(10 + n)
	}
	d.setOpen(false, now)
	for n := range 5 {
		step(15 + n)
	}
	d.peer = &Peer{participant: &participant{}}
	d.setOpen(true, now)
	step(20)
	step(21)
	if n := len(full.packets); n != 5+1+2 {
		t.Fatalf("%d packets", n)
	}
	if p := full.packets[5]; p.PayloadType != 111 || !bytes.Equal(p.Payload, silence) {
		t.Errorf("the pause begins with type %d %x", p.PayloadType, p.Payload)
	}
	for i, want := range map[int]int{0: 0, 1: 1, 6: 0, 7: 1} {
		r, ok := parseRED(full.packets[i].Payload, 111)
		if !ok || r.n != want {
			t.Errorf("packet %d repeats %d frames, want %d", i, r.n, want)
		}
	}
}

func TestREDIsRenumberedToTheSubscribersTypes(t *testing.T) {
	track, l, plain, full, _, _ := redStage()
	l.red = redState{pt: 112, opus: 96}
	raw := redundantPacket(10, 1, 112, 96)
	p, _ := parseRTP(raw, 0)
	track.receive(l, &p, raw, time.Unix(1000, 0))
	raw = redundantPacket(11, 1, 112, 96)
	p, _ = parseRTP(raw, 0)
	track.receive(l, &p, raw, time.Unix(1000, 0))
	if r, ok := parseRED(full.packets[1].Payload, 111); !ok || r.n != 1 || full.packets[1].PayloadType != 63 {
		t.Errorf("type %d payload %x", full.packets[1].PayloadType, full.packets[1].Payload)
	}
	if !bytes.Equal(plain.packets[1].Payload, soundFrame(11)) {
		t.Errorf("payload %q", plain.packets[1].Payload)
	}
	// RED around something else, and what is cut off, end here.
	for _, bad := range [][]byte{{0x6e, 1}, {0xef, 0, 0}, {0x6f}, {0x80 | 96, 0x0f, 0x00, 0xff, 96, 1}} {
		p := rtpPacket{pt: 112, seq: 200, payload: bad}
		track.receive(l, &p, bad, time.Unix(1000, 0))
	}
	if len(full.packets) != 2 {
		t.Errorf("%d packets", len(full.packets))
	}
}

func FuzzParseRED(f *testing.F) {
	f.Add(redundantPacket(10, 2, 63, 111)[12:])
	f.Add([]byte{0x6f, 1})
	f.Add([]byte{0xef, 0x0f, 0x00, 0x02, 0x6f, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRED(b, 111)
		if !ok {
			return
		}
		size := 1 + len(r.primary)
		for _, k := range r.blocks[:r.n] {
			size += 4 + len(k.payload)
		}
		if size != len(b) {
			t.Fatalf("read %d bytes of %d", size, len(b))
		}
		c := bytes.Clone(b)
		renumberRED(c, 96)
		again, ok := parseRED(c, 96)
		if !ok || again.n != r.n || !bytes.Equal(again.primary, r.primary) {
			t.Fatalf("%x became %x", b, c)
		}
	})
}
