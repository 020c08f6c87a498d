package sfu_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu/internal/weaklink"
)

func TestNobodyActsOnATrackOfAnother(t *testing.T) {
	server, _ := start(t, none, none)
	beside := newBystanders(t, server)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	a.speak()
	b.hears(20)
	victim, _ := participantOf(server, "a")
	sid, cid := victim.Publishes[0].SID, "audio-MICROPHONE" // what publish calls it
	m := newBrowser(t, server, "m", nil)
	m.connected()

	// Muting, describing, pausing it for the others: none of it is m's to say.
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: true}}})
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateAudioTrack{UpdateAudioTrack: &livekit.UpdateLocalAudioTrack{
		TrackSid: sid, Features: []livekit.AudioTrackFeature{livekit.AudioTrackFeature_TF_STEREO},
	}}})
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Disabled: true}}})
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: &livekit.SubscriptionPermission{
		TrackPermissions: []*livekit.TrackPermission{{ParticipantSid: victim.SID, TrackSids: []string{sid}}},
	}}})
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{
		TrackSids: []string{sid}, ParticipantTracks: []*livekit.ParticipantTracks{{ParticipantSid: victim.SID, TrackSids: []string{sid}}}, Subscribe: false,
	}}})
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{UpdateMetadata: &livekit.UpdateParticipantMetadata{Name: "a", Metadata: "a"}}})

	// It publishes under the other's track id, in its section's name and with its SSRC:
	// that is a track of m's, and called m's.
	m.publish(opusMic, livekit.TrackSource_MICROPHONE)
	m.pace(20*time.Millisecond, func(n int) {
		for _, s := range m.pub.GetSenders() {
			if local, ok := s.Track().(*webrtc.TrackLocalStaticRTP); ok && local.ID() == cid {
				_ = local.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}, Payload: []byte("m claims this")})
			}
		}
	})
	b.until("m's own track is there", patience, func() bool {
		p, ok := participantOf(server, "m")
		return ok && len(p.Publishes) == 1 && p.Publishes[0].Arrived > 10
	})
	mine, _ := participantOf(server, "m")
	theirs, _ := participantOf(server, "a")
	switch {
	case mine.Publishes[0].SID == sid:
		t.Error("m publishes a's track")
	case len(theirs.Publishes) != 1 || theirs.Publishes[0].SID != sid || theirs.Publishes[0].Muted:
		t.Errorf("a's track is now %+v", theirs.Publishes)
	}
	info, err := server.Room("room").Participant("a")
	if err != nil || info.Name != "" || info.Metadata != "" || info.Tracks[0].Stereo {
		t.Errorf("a is described as %v, %v", info, err)
	}
	listener, _ := participantOf(server, "b")
	if len(listener.Receives) != 2 || !listener.Receives[0].Open || !listener.Receives[1].Open {
		t.Errorf("b receives %+v", listener.Receives)
	}
	// What it says it had published is not believed: it must join again.
	m.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
		PublishTracks: []*livekit.TrackPublishedResponse{{Cid: cid, Track: &livekit.TrackInfo{Sid: sid}}},
	}}})
	m.until("it is sent away to join again", patience, func() bool { return m.ended() != nil })
	if l := m.ended(); l.Action != livekit.LeaveRequest_RECONNECT || l.Reason != livekit.DisconnectReason_STATE_MISMATCH {
		t.Errorf("told %v", l)
	}
	b.hears(20)
	beside.unharmed()
}

func TestDataOfOneIsNeverThatOfAnother(t *testing.T) {
	server, _ := start(t, none, none)
	got := make(chan *livekit.DataPacket, 64)
	b := newBrowser(t, server, "b", nil)
	b.sub.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(msg webrtc.DataChannelMessage) {
			p := &livekit.DataPacket{}
			if proto.Unmarshal(msg.Data, p) == nil {
				select {
				case got <- p:
				default:
				}
			}
		})
	})
	victim := newBrowser(t, server, "a", nil)
	victim.connected()
	a, _ := participantOf(server, "a")
	m := newBrowser(t, server, "m", nil)
	dc, err := m.pub.CreateDataChannel("_reliable", nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	dc.OnOpen(func() { close(opened) })
	m.offer()
	select {
	case <-opened:
	case <-time.After(patience):
		t.Fatal("the data channel never opened")
	}
	for _, kind := range []livekit.DataPacket_Kind{livekit.DataPacket_RELIABLE, livekit.DataPacket_LOSSY} {
		raw, err := proto.Marshal(&livekit.DataPacket{
			Kind: kind, ParticipantIdentity: "a", ParticipantSid: a.SID,
			Value: &livekit.DataPacket_User{User: &livekit.UserPacket{ParticipantIdentity: "a", ParticipantSid: a.SID, Payload: []byte("as a")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := dc.Send(raw); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-got:
			if p.ParticipantIdentity != "m" || p.ParticipantSid == a.SID || p.GetUser().GetParticipantIdentity() != "m" || p.GetUser().GetParticipantSid() == a.SID {
				t.Errorf("the packet is called %v", p)
			}
		case <-time.After(patience):
			t.Fatal("no data came")
		}
	}
}

func TestASubscriberThatReadsNothingEndsAlone(t *testing.T) {
	server, _ := start(t, none, none)
	beside := newBystanders(t, server)
	relay := weaklink.New(t, server.Addr(), 6)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", nil)
	deaf := newBrowser(t, server, "deaf", relay)
	a.speak()
	a.film(400_000)
	deaf.connected()
	deaf.until("it hears", patience, func() bool { return deaf.redSeen.Load() > 10 && deaf.videos.Load() > 10 })
	b.hears(20)
	// Nothing of it comes any more: no reports, no acknowledgments of data, no checks.
	relay.Up(weaklink.Link{Loss: 1})
	data := make([]byte, 32<<10)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	sent := 0
	a.pace(5*time.Millisecond, func(int) {
		if sent < 12<<20 { // three times what is kept for anybody
			server.Room("room").SendData(livekit.DataPacket_RELIABLE, &livekit.DataPacket{
				DestinationIdentities: []string{"deaf"}, Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: data}},
			})
			sent += len(data)
		}
	})
	b.sound()
	b.hears(150)
	share, _ := b.sound()
	if share < 0.97 {
		t.Errorf("the other listener of the room got %.1f%% of the sound", share*100)
	}
	beside.unharmed()
}
