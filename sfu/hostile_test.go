package sfu_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu"
)

var opusMic = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}

func participantOf(server *sfu.Server, id string) (sfu.ParticipantState, bool) {
	for _, p := range server.Room("room").State().Participants {
		if p.Identity == id {
			return p, true
		}
	}
	return sfu.ParticipantState{}, false
}

// ended tells whether the client was told to leave.
func (b *browser) ended() *livekit.LeaveRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// unharmed tells that the sound of somebody else went on all the while.
func unharmed(t *testing.T, b *browser) {
	t.Helper()
	share, late := b.sound()
	t.Logf("meanwhile %.2f%% of the sound came, 95%% within %s", share*100, late)
	if share < 0.99 || late > 300*time.Millisecond {
		t.Errorf("the others notice: %.2f%% of the sound came, 95%% within %s", share*100, late)
	}
}

func TestAPublisherFarAboveItsRateEndsAlone(t *testing.T) {
	server, _ := start(t, none, none)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	m := newBrowser(t, server, "m", nil)
	a.speak()
	b.until("sound", patience, func() bool { return b.redSeen.Load() > 50 })
	b.sound()
	track := m.publish(opusMic, livekit.TrackSource_MICROPHONE)
	seq := uint16(0)
	// 50 packets a second would be right; 2000 come, on a busy machine in heaps.
	began, sent := time.Now(), 0
	m.pace(2*time.Millisecond, func(int) {
		for ; sent < int(time.Since(began)/(500*time.Microsecond)); sent++ {
			seq++
			_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 960}, Payload: make([]byte, 1000)})
		}
	})
	b.until("the flood is counted", patience, func() bool {
		p, ok := participantOf(server, "m")
		return ok && p.OverRate > 1000
	})
	b.until("the flooder is sent away", 30*time.Second, func() bool { return m.ended() != nil })
	if l := m.ended(); l.Action != livekit.LeaveRequest_DISCONNECT || l.Reason != livekit.DisconnectReason_PARTICIPANT_REMOVED {
		t.Errorf("told %v", l)
	}
	if _, ok := participantOf(server, "m"); ok {
		t.Error("the flooder is still there")
	}
	if p, ok := participantOf(server, "a"); !ok || p.OverRate != 0 {
		t.Errorf("the good publisher: %+v", p)
	}
	unharmed(t, b)
}

func TestWhatNobodyAskedForIsDroppedAndCounted(t *testing.T) {
	server, _ := start(t, none, none)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	a.speak()
	b.until("sound", patience, func() bool { return b.redSeen.Load() > 50 })
	// A section without add_track: its SSRC belongs to no track.
	track, err := webrtc.NewTrackLocalStaticRTP(opusMic, "stranger", "stream")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.pub.AddTrack(track); err != nil {
		t.Fatal(err)
	}
	a.offer()
	a.pace(20*time.Millisecond, func(n int) {
		_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}, Payload: make([]byte, 80)})
	})
	b.sound()
	b.until("strange packets are counted", patience, func() bool {
		p, _ := participantOf(server, "a")
		return p.Strange > 50
	})
	if p, _ := participantOf(server, "b"); len(p.Receives) != 1 {
		t.Errorf("b receives %+v", p.Receives)
	}
	unharmed(t, b)
}

func TestAHostileDescriptionEndsItsPeerAlone(t *testing.T) {
	server, _ := start(t, none, none)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	a.speak()
	b.until("sound", patience, func() bool { return b.redSeen.Load() > 50 })
	b.sound()
	for i, make := range []func(sections string) *livekit.SignalRequest{
		func(s string) *livekit.SignalRequest {
			return &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: s, Id: 1}}}
		},
		func(s string) *livekit.SignalRequest {
			return &livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: s, Id: 2}}}
		},
	} {
		m := newBrowser(t, server, fmt.Sprint("m", i), nil)
		m.until("connected", patience, func() bool { return m.sub.ConnectionState() == webrtc.PeerConnectionStateConnected })
		var sdp strings.Builder
		sdp.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
		for n := range 200 {
			fmt.Fprintf(&sdp, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n", n)
		}
		m.peer.Handle(make(sdp.String()))
		m.until("a description of 200 sections ends its peer", patience, func() bool {
			// An answer nobody waits for is dropped, which is as well.
			p, ok := participantOf(server, fmt.Sprint("m", i))
			return m.ended() != nil && !ok || i == 1 && ok && p.State == "ACTIVE"
		})
	}
	began := b.redSeen.Load()
	b.until("sound goes on", patience, func() bool { return b.redSeen.Load()-began > 50 })
	unharmed(t, b)
}
