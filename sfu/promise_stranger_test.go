package sfu_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/internal/weaklink"
)

// capture keeps packets that pass, as somebody who listens on the way would. Connectivity
// checks are not among them: they prove the password, and who repeats one from elsewhere
// is no stranger to ICE any more. What is sent there ends with consent.
type capture struct {
	mu   sync.Mutex
	list [][]byte
}

func (c *capture) see(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) < 2000 && len(b) > 0 && b[0] >= 4 {
		c.list = append(c.list, append([]byte(nil), b...))
	}
	return false
}

func (c *capture) one(r *rand.Rand) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return nil
	}
	return append([]byte(nil), c.list[r.IntN(len(c.list))]...)
}

// invented is a packet of no connection: of each kind that the first byte names (RFC
// 7983), and of none.
func invented(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(1400))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch r.IntN(6) {
	case 0: // STUN with a user name and a tag that nobody made
		b = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, b[:min(len(b), 12)]...)
		for len(b) < 20 {
			b = append(b, 0)
		}
		b = append(b, 0, 6, 0, 9)
		b = append(b, "abcd:efgh\x00\x00\x00"...)
		b = append(b, 0, 8, 0, 20)
		b = append(b, make([]byte, 20)...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
	case 1: // DTLS
		b[0] = byte(20 + r.IntN(44))
		if len(b) > 13 {
			b[1], b[2] = 0xfe, 0xfd
			binary.BigEndian.PutUint16(b[11:], uint16(len(b)-13))
		}
	case 2: // RTP
		b[0] = 0x80
		if len(b) > 1 {
			b[1] = 111
		}
	case 3: // RTCP
		b[0] = 0x80 | byte(r.IntN(32))
		if len(b) > 3 {
			b[1] = byte(200 + r.IntN(8))
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
		}
	case 4: // a STUN request without a name: the one thing that is answered
		b = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	}
	return b
}

// TestPromise13 is packets of every kind of badness, from strangers, on the way, and from
// a participant.
func TestPromise13PacketsFromStrangersReachNothing(t *testing.T) {
	server, _ := start(t, none, none)
	beside := newBystanders(t, server)
	relay := weaklink.New(t, server.Addr(), 3)
	var seen capture
	relay.Up(weaklink.Link{Drop: seen.see})
	relay.Down(weaklink.Link{Drop: seen.see})
	a := newBrowser(t, server, "a", relay)
	b := newBrowser(t, server, "b", relay)
	a.speak()
	b.hears(20)
	b.sound()
	target := net.UDPAddrFromAddrPort(server.Addr())
	var out, in atomic.Int64
	var wg, answers sync.WaitGroup
	t.Cleanup(answers.Wait) // after the sockets are closed
	for n := range 4 {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		answers.Go(func() {
			buf := make([]byte, 2048)
			for {
				size, _, err := conn.ReadFromUDP(buf)
				if err != nil {
					return
				}
				in.Add(int64(size))
			}
		})
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 11))
			for i := range 5000 * volume {
				p := invented(r)
				// Half are packets of the call, as they were or changed, from elsewhere.
				if i%2 == 0 {
					if c := seen.one(r); c != nil {
						p = c
						if i%4 == 0 && len(p) > 0 {
							p[r.IntN(len(p))] ^= byte(1 + r.IntN(255))
						}
					}
				}
				out.Add(int64(len(p)))
				_, _ = conn.WriteToUDP(p, target)
				if i%50 == 0 {
					// 10 000 packets a second and stranger, as far as the machine can.
					<-time.After(5 * time.Millisecond)
				}
			}
		})
		t.Cleanup(func() { _ = conn.Close() })
	}
	wg.Wait()
	beside.unharmed()
	b.hears(20)
	share, _ := b.sound()
	if share < 0.97 {
		t.Errorf("only %.1f%% of the sound came while strangers sent", share*100)
	}
	if p, ok := participantOf(server, "a"); !ok || p.OverRate != 0 || p.Strange != 0 {
		t.Errorf("what strangers sent counts as that of the participant: %+v", p)
	}
	// Nobody uses the engine to send more to somebody than they would themselves.
	t.Logf("%d bytes sent, %d bytes answered", out.Load(), in.Load())
	if in.Load() > out.Load()/4 {
		t.Errorf("strangers sent %d bytes and got %d", out.Load(), in.Load())
	}
}

func TestPromise13DamagedPacketsHarmNobodyElse(t *testing.T) {
	server, _ := start(t, none, none)
	beside := newBystanders(t, server)
	// One whose handshakes are damaged: it may or may not come in. Only what comes to the
	// engine is damaged: what the client does with such a packet is the client's.
	broken := weaklink.New(t, server.Addr(), 4)
	broken.Up(weaklink.Link{Damage: 1})
	newBrowser(t, server, "m", broken)
	// And two who are connected.
	relay := weaklink.New(t, server.Addr(), 5)
	a := newBrowser(t, server, "a", relay)
	b := newBrowser(t, server, "b", relay)
	a.speak()
	b.hears(20)
	b.sound()
	relay.Up(weaklink.Link{Damage: 1})
	b.until("enough damage", patience*volume, func() bool { return relay.Sent().Damaged > 300*volume && broken.Sent().Damaged > 0 })
	beside.unharmed()
	share, _ := b.sound()
	t.Logf("%d damaged packets; %.1f%% of the sound came", relay.Sent().Damaged, share*100)
	if share < 0.97 {
		t.Errorf("only %.1f%% of the sound came beside damaged copies", share*100)
	}
}

func TestPromise13MalformedContentsEndAtTheEngine(t *testing.T) {
	server, _ := start(t, none, none)
	beside := newBystanders(t, server)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	a.speak()
	b.hears(20)
	m := newBrowser(t, server, "m", nil)
	data, err := m.pub.CreateDataChannel("_reliable", nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	data.OnOpen(func() { close(opened) })
	sound := m.publish(webrtc.RTPCodecCapability{MimeType: "audio/red", ClockRate: 48000, Channels: 2}, livekit.TrackSource_MICROPHONE)
	picture := m.publish(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, livekit.TrackSource_CAMERA)
	select {
	case <-opened:
	case <-time.After(patience):
		t.Fatal("the data channel never opened")
	}
	r := rand.New(rand.NewPCG(9, 9))
	noise := func(n int) []byte {
		p := make([]byte, r.IntN(n))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	sent := make(chan struct{})
	m.pace(4*time.Millisecond, func(n int) {
		if n == 1000*volume {
			close(sent)
		}
		h := rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960), Marker: n%3 == 0}
		switch n % 3 {
		case 0:
			h.SequenceNumber = uint16(r.Uint32()) // far ahead and behind
		case 1:
			h.Timestamp = r.Uint32()
		}
		switch n % 4 {
		case 0:
			_ = sound.WriteRTP(&rtp.Packet{Header: h, Payload: noise(1200)})
		case 1:
			_ = picture.WriteRTP(&rtp.Packet{Header: h, Payload: noise(1200)})
		case 2:
			report := append([]byte{0x80 | byte(r.IntN(32)), byte(192 + r.IntN(18)), 0, 0}, noise(200)...)
			report = append(report, make([]byte, (4-len(report)%4)%4)...)
			binary.BigEndian.PutUint16(report[2:], uint16(len(report)/4-1))
			raw := rtcp.RawPacket(report)
			_ = m.pub.WriteRTCP([]rtcp.Packet{&raw})
			_ = m.sub.WriteRTCP([]rtcp.Packet{&raw})
		case 3:
			if data.BufferedAmount() < 1<<20 {
				_ = data.Send(noise(4000))
			}
		}
	})
	select {
	case <-sent:
	case <-time.After(patience * volume):
		t.Fatal("not sent in time")
	}
	beside.unharmed()
	// In its own room the others go on hearing each other.
	of := func() (packets uint32) {
		speaker, _ := participantOf(server, "a")
		listener, _ := participantOf(server, "b")
		for _, r := range listener.Receives {
			if r.From == speaker.SID {
				packets += r.Packets
			}
		}
		return packets
	}
	before := of()
	b.until("the others in the room hear each other", patience, func() bool { return of()-before > 50 })
	if l := b.ended(); l != nil {
		t.Errorf("the listener in the room was told to leave: %v", l)
	}
}
