package sfu

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/sfu/packetcache"
	"github.com/consilium-health/consilium/sfu/seqmap"
)

// channelStage is a channel with a listener that has RED and one that has not, and two
// legs: one sends RED, the other plain Opus.
func channelStage() (c *channelTrack, legs [2]*Track, layers [2]*layer, full, plain *wire) {
	srv := &Server{now: time.Now}
	room := &Room{srv: srv}
	owner := &participant{identity: "a"}
	track := func(channel string) *Track {
		t := &Track{kind: webrtc.RTPCodecTypeAudio, room: room, owner: owner, channel: channel}
		t.flow.Store(uint32(Flowing))
		return t
	}
	out := track("de")
	c = &channelTrack{track: out, seq: seqmap.New(256, 1, 0)}
	for i := range legs {
		legs[i] = track("")
		legs[i].taps.Store(&[]*channelTrack{c})
		layers[i] = &layer{cache: packetcache.New(256)}
	}
	layers[0].red = redState{pt: 112, opus: 96}
	sub := func(redPT uint8) *wire {
		w := &wire{}
		d := newSubTrack(out, &Peer{participant: owner})
		d.line, d.pt, d.redPT, d.out.ssrc = w, 111, redPT, 1
		d.open.Store(true)
		out.addSub(d)
		return w
	}
	return c, legs, layers, sub(63), sub(0)
}

func plainPacket(n int) []byte {
	raw, err := (&rtp.Packet{
		Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: uint16(4000 + n), Timestamp: uint32(n * audioFrame), SSRC: 8}, Payload: soundFrame(n),
	}).Marshal()
	if err != nil {
		panic(err)
	}
	return raw
}

// frames reads what a listener with RED was sent: its frames, and for each the one that
// stands in it once more.
type sentFrame struct {
	seq    uint16
	ts     uint32
	frame  []byte
	again  []byte
	offset uint32
}

func readRED(t interface{ Fatalf(string, ...any) }, w *wire) (list []sentFrame) {
	for i, p := range w.packets {
		if p.PayloadType == 111 { // the frame of silence at an end
			list = append(list, sentFrame{seq: p.SequenceNumber, ts: p.Timestamp, frame: p.Payload})
			continue
		}
		r, ok := parseRED(p.Payload, 111)
		if p.PayloadType != 63 || !ok || r.n > 1 {
			t.Fatalf("packet %d has type %d and %x", i, p.PayloadType, p.Payload)
		}
		f := sentFrame{seq: p.SequenceNumber, ts: p.Timestamp, frame: r.primary}
		if r.n == 1 {
			f.again, f.offset = r.blocks[0].payload, r.blocks[0].offset
		}
		list = append(list, f)
	}
	return list
}

func TestAChannelRepeatsEachFrameOnceWhateverItsLegSends(t *testing.T) {
	c, legs, layers, full, plain := channelStage()
	now := time.Unix(1000, 0)
	say := func(leg, n int) {
		now = now.Add(20 * time.Millisecond)
		raw := plainPacket(n)
		if leg == 0 {
			raw = redundantPacket(n, 2, 112, 96)
		}
		p, err := parseRTP(raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		legs[leg].receive(layers[leg], &p, raw, now)
	}
	for turn, leg := range []int{0, 1, 0, 1} {
		c.feed(legs[leg], now)
		for n := range 20 {
			say(leg, 20*turn+n)
			say(1-leg, 20*turn+n) // who is not on air is not heard
		}
	}
	c.feed(nil, now) // the last word is silence
	got := readRED(t, full)
	if len(got) != 81 || len(plain.packets) != 81 {
		t.Fatalf("%d and %d packets", len(got), len(plain.packets))
	}
	for i, f := range got {
		want := silence
		if i < 80 {
			want = soundFrame(i)
		}
		if !bytes.Equal(f.frame, want) || !bytes.Equal(plain.packets[i].Payload, want) || plain.packets[i].PayloadType != 111 {
			t.Fatalf("packet %d is %q and %q, want %q", i, f.frame, plain.packets[i].Payload, want)
		}
		switch {
		case i%20 == 0: // the first after a switch: what is before belongs to another leg
			if f.again != nil {
				t.Errorf("packet %d repeats %q of another leg", i, f.again)
			}
		case !bytes.Equal(f.again, got[i-1].frame) || f.offset != f.ts-got[i-1].ts:
			t.Errorf("packet %d repeats %q of %d before", i, f.again, f.offset)
		}
		if i > 0 && f.seq != got[i-1].seq+1 {
			t.Errorf("packet %d is numbered %d after %d", i, f.seq, got[i-1].seq)
		}
	}
}

func TestAChannelsFrameIsNeverCalledAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, legs, layers, full, plain := channelStage()
		now := time.Unix(1000, 0)
		leg := 0
		c.feed(legs[0], now)
		n := [2]int{10, 10}
		var held []byte
		heldLeg := 0
		for range rapid.IntRange(1, 120).Draw(t, "packets") {
			now = now.Add(20 * time.Millisecond)
			what := rapid.IntRange(0, 11).Draw(t, "what")
			raw := plainPacket(n[leg])
			if leg == 0 {
				raw = redundantPacket(n[leg], 2, 112, 96)
			}
			n[leg]++
			list := [][]byte{raw}
			switch {
			case what == 0: // lost
				continue
			case what == 1 && held == nil: // comes later
				held, heldLeg = raw, leg
				continue
			case what == 2 && held != nil && heldLeg == leg:
				list, held = append(list, held), nil
			case what == 3:
				leg, held = 1-leg, nil
				c.feed(legs[leg], now)
				continue
			case what == 4: // silence of half a second
				n[leg] += 25
				now = now.Add(500 * time.Millisecond)
			}
			for _, b := range list {
				p, err := parseRTP(b, 0)
				if err != nil {
					t.Fatal(err)
				}
				legs[leg].receive(layers[leg], &p, b, now)
			}
		}
		// By their time, all frames are the same for everybody, in packets of their own
		// and as repetitions.
		if len(plain.packets) == 0 {
			return
		}
		// Each subscriber has a timeline of its own.
		at, base := map[uint32][]byte{}, full.packets[0].Timestamp-plain.packets[0].Timestamp
		for _, p := range plain.packets {
			p.Timestamp += base
			if old := at[p.Timestamp]; old != nil && !bytes.Equal(old, p.Payload) {
				t.Fatalf("two frames at %d: %q and %q", p.Timestamp, old, p.Payload)
			}
			at[p.Timestamp] = p.Payload
		}
		for i, f := range readRED(t, full) {
			if !bytes.Equal(at[f.ts], f.frame) {
				t.Fatalf("packet %d: %q at %d, without RED %q", i, f.frame, f.ts, at[f.ts])
			}
			if f.again != nil && !bytes.Equal(at[f.ts-f.offset], f.again) {
				t.Fatalf("packet %d repeats %q of %d, which was %q", i, f.again, f.ts-f.offset, at[f.ts-f.offset])
			}
		}
	})
}
