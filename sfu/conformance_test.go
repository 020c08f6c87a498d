package sfu_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// sdkClient is the real Go client of the protocol, with what it saw. What livekit-client
// in Chromium sees of the same stands in web/ts/story/protocol.ts.
type sdkClient struct {
	t    *testing.T
	id   string
	room *lksdk.Room

	mu      sync.Mutex
	seen    []string
	packets int
	last    map[string]time.Time // of the last packet, by who sent it
	longest time.Duration        // without one of somebody
	changed chan struct{}
}

func (c *sdkClient) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprintf(format, args...))
	c.wake()
}

func (c *sdkClient) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// until waits; ok sees the record locked.
func (c *sdkClient) until(what string, ok func() bool) {
	c.t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		done := ok()
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-c.changed:
		case <-limit:
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Fatalf("%s waited in vain for %s; seen %q, %d packets", c.id, what, c.seen, c.packets)
		}
	}
}

// sees waits for all of these, and forgets them.
func (c *sdkClient) sees(all ...string) {
	c.t.Helper()
	c.until(fmt.Sprint(all), func() bool {
		for _, want := range all {
			if !slices.Contains(c.seen, want) {
				return false
			}
		}
		for _, had := range all {
			i := slices.Index(c.seen, had)
			c.seen = slices.Delete(c.seen, i, i+1)
		}
		return true
	})
}

func (c *sdkClient) hears() {
	c.t.Helper()
	c.mu.Lock()
	from := c.packets
	c.mu.Unlock()
	c.until("sound", func() bool { return c.packets >= from+20 })
}

func newSDKClient(t *testing.T, url, id string, options ...lksdk.ConnectOption) *sdkClient {
	t.Helper()
	v := &auth.VideoGrant{RoomJoin: true, Room: "room"}
	v.SetCanUpdateOwnMetadata(true)
	raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(v).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	c := &sdkClient{t: t, id: id, last: map[string]time.Time{}, changed: make(chan struct{}, 1)}
	cb := lksdk.NewRoomCallback()
	cb.OnParticipantConnected = func(p *lksdk.RemoteParticipant) { c.say("joined %s", p.Identity()) }
	cb.OnParticipantDisconnected = func(p *lksdk.RemoteParticipant) { c.say("left %s", p.Identity()) }
	cb.OnDisconnectedWithReason = func(why lksdk.DisconnectionReason) { c.say("disconnected: %s", why) }
	cb.OnReconnecting = func() { c.say("reconnecting") }
	cb.OnReconnected = func() { c.say("reconnected") }
	cb.OnActiveSpeakersChanged = func(list []lksdk.Participant) {
		for _, p := range list {
			c.say("speaks %s", p.Identity())
		}
	}
	cb.OnTrackMuted = func(_ lksdk.TrackPublication, p lksdk.Participant) { c.say("muted %s", p.Identity()) }
	cb.OnTrackUnmuted = func(_ lksdk.TrackPublication, p lksdk.Participant) { c.say("unmuted %s", p.Identity()) }
	cb.OnTrackUnpublished = func(_ *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		c.say("unpublished %s", p.Identity())
	}
	cb.OnMetadataChanged = func(_ string, p lksdk.Participant) { c.say("metadata %s %s", p.Identity(), p.Metadata()) }
	cb.OnAttributesChanged = func(changed map[string]string, p lksdk.Participant) { c.say("attributes %s %v", p.Identity(), changed) }
	cb.OnDataPacket = func(d lksdk.DataPacket, params lksdk.DataReceiveParams) {
		if u, ok := d.(*lksdk.UserDataPacket); ok {
			c.say("data %s %s %s", params.SenderIdentity, u.Topic, u.Payload)
		}
	}
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		c.say("subscribed %s", p.Identity())
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			c.mu.Lock()
			c.packets++
			now := time.Now()
			if last, ok := c.last[p.Identity()]; ok {
				c.longest = max(c.longest, now.Sub(last))
			}
			c.last[p.Identity()] = now
			c.wake()
			c.mu.Unlock()
		}
	}
	c.room = lksdk.NewRoom(cb)
	c.room.SetLogger(logger.GetDiscardLogger())
	options = append(options, lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err := c.room.JoinWithToken(url, raw, options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.room.Disconnect)
	return c
}

// speak publishes a microphone that is loud until the test ends.
func (c *sdkClient) speak() *lksdk.LocalTrackPublication {
	c.t.Helper()
	track, err := lksdk.NewLocalTrack(opusMic)
	if err != nil {
		c.t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	pub, err := c.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "mic", Source: livekit.TrackSource_MICROPHONE})
	if err != nil {
		c.t.Fatal(err)
	}
	c.sends(track)
	return pub
}

// sends lets a track be loud until the test ends.
func (c *sdkClient) sends(track *lksdk.LocalTrack) {
	c.t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		loud := uint8(10)
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: []byte{0x78, 1, 2, 3}, Duration: 20 * time.Millisecond}, &lksdk.SampleWriteOptions{AudioLevel: &loud})
			}
		}
	}()
	c.t.Cleanup(func() {
		close(stop)
		<-ended
	})
}

// single makes the Go client ask for one connection for both directions.
var single = lksdk.WithSinglePeerConnection()

// bothForms plays a test with two connections and with one.
func bothForms(t *testing.T, play func(*testing.T, ...lksdk.ConnectOption)) {
	t.Run("two connections", func(t *testing.T) { play(t) })
	t.Run("one connection", func(t *testing.T) { play(t, single) })
}

func TestTheGoClientSeesTheWholeProtocol(t *testing.T) {
	for name, forms := range map[string][2][]lksdk.ConnectOption{
		"two connections": {}, "one connection": {{single}, {single}}, "who speaks has one": {{single}, nil}, "who listens has one": {nil, {single}},
	} {
		t.Run(name, func(t *testing.T) { theWholeProtocol(t, forms[0], forms[1]) })
	}
}

func theWholeProtocol(t *testing.T, speaker, listener []lksdk.ConnectOption) {
	server, url := start(t, none, none)
	alice := newSDKClient(t, url, "alice", speaker...)
	bob := newSDKClient(t, url, "bob", listener...)
	alice.sees("joined bob")

	pub := alice.speak()
	bob.sees("subscribed alice")
	bob.hears()
	bob.sees("speaks alice")

	pub.SetMuted(true)
	bob.sees("muted alice")
	pub.SetMuted(false)
	bob.sees("unmuted alice")
	bob.hears()

	if err := alice.room.LocalParticipant.PublishDataPacket(&lksdk.UserDataPacket{Payload: []byte("hello"), Topic: "t"}, lksdk.WithDataPublishReliable(true)); err != nil {
		t.Fatal(err)
	}
	bob.sees("data alice t hello")
	alice.room.LocalParticipant.SetAttributes(map[string]string{"hand": "up"})
	bob.sees("attributes alice map[hand:up]")
	alice.room.LocalParticipant.SetMetadata("m1")
	bob.sees("metadata alice m1")

	// The right to publish is taken: the track ends. It is given again: another comes.
	may := func(publish bool) {
		t.Helper()
		perm := &livekit.ParticipantPermission{CanSubscribe: true, CanPublish: publish, CanPublishData: true, CanUpdateMetadata: true}
		if _, err := server.Room("room").Update("alice", nil, nil, nil, perm); err != nil {
			t.Fatal(err)
		}
		alice.until("the permission", func() bool {
			alice.wake() // the SDK tells nobody of it
			return alice.room.LocalParticipant.Permissions().GetCanPublish() == publish
		})
	}
	may(false)
	bob.sees("unpublished alice")
	may(true)
	alice.speak()
	bob.sees("subscribed alice")
	bob.hears()

	// The socket drops: alice resumes, and bob sees nothing.
	alice.room.Simulate(lksdk.SimulateSignalReconnect)
	alice.sees("reconnected")
	bob.hears()
	bob.until("nothing of the resume", func() bool { return !slices.Contains(bob.seen, "left alice") })

	// Told to join again, alice comes back with what she published.
	alice.room.Simulate(lksdk.SimulateLeaveRequestFullReconnect)
	bob.sees("left alice", "joined alice", "subscribed alice")
	bob.hears()

	if !server.Room("room").Remove("alice") {
		t.Error("alice is not there to be removed")
	}
	alice.sees(fmt.Sprintf("disconnected: %s", lksdk.ParticipantRemoved))
	bob.sees("left alice")
}

// What is given up before its first packet does not count for what may be published.
func TestTracksThatNeverSentAreForgotten(t *testing.T) {
	bothForms(t, func(t *testing.T, form ...lksdk.ConnectOption) {
		_, url := start(t, none, none)
		bob := newSDKClient(t, url, "bob")
		alice := newSDKClient(t, url, "alice", form...)
		pc := alice.room.LocalParticipant.GetPublisherPeerConnection()
		alice.until("a connection", func() bool {
			alice.wake() // the SDK tells nobody of it
			return pc.ConnectionState() == webrtc.PeerConnectionStateConnected
		})
		for i := range 10 {
			track, err := lksdk.NewLocalTrack(opusMic)
			if err != nil {
				t.Fatal(err)
			}
			track.SetLogger(logger.GetDiscardLogger())
			pub, err := alice.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "mic", Source: livekit.TrackSource_MICROPHONE})
			if err != nil {
				t.Fatalf("track %d: %v", i, err)
			}
			agreed := func(yes bool) {
				t.Helper()
				alice.until("an answer", func() bool {
					alice.wake()
					said := pc.CurrentLocalDescription()
					return said != nil && strings.Contains(said.SDP, track.ID()) == yes
				})
			}
			agreed(true)
			if err := alice.room.LocalParticipant.UnpublishTrack(pub.SID()); err != nil {
				t.Fatal(err)
			}
			agreed(false)
		}
		alice.speak()
		bob.sees("subscribed alice")
		bob.hears()
	})
}
