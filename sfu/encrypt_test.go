package sfu_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/livekit/server-sdk-go/v2/e2ee"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// sealedClient is the real Go client with a key for sound and data, and what it could
// read with it. What livekit-client sees of the same stands in web/ts/story/protocol.ts.
type sealedClient struct {
	t    *testing.T
	id   string
	keys *e2ee.ExternalKeyProvider
	room *lksdk.Room

	mu       sync.Mutex
	pub      *lksdk.RemoteTrackPublication
	read     []uint32 // numbers of the frames that were read
	altered  int      // frames that were read and are not what was sent
	unread   int      // frames that the key does not open
	injected int      // frames of the server's, known as such
	data     []string
	changed  chan struct{}
}

func (c *sealedClient) note(f func()) {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *sealedClient) until(what string, ok func() bool) {
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
			c.t.Fatalf("%s waited in vain for %s: read %d, altered %d, unread %d, injected %d, data %q", c.id, what, len(c.read), c.altered, c.unread, c.injected, c.data)
		}
	}
}

// sealedFrame is a frame whose content says whether it is whole.
func sealedFrame(n uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x78}, n) // one byte stays in clear
	return append(b, bytes.Repeat([]byte{byte(n), 0xf8, 0xff, 0xfe}, 20)...)
}

func newSealedClient(t *testing.T, url, id, pass string) *sealedClient {
	t.Helper()
	c := &sealedClient{t: t, id: id, keys: e2ee.NewExternalKeyProvider(), changed: make(chan struct{}, 1)}
	if err := c.keys.SetKeyFromPassphrase(pass, 0); err != nil {
		t.Fatal(err)
	}
	raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	cb := lksdk.NewRoomCallback()
	cb.OnDataPacket = func(d lksdk.DataPacket, _ lksdk.DataReceiveParams) {
		if u, ok := d.(*lksdk.UserDataPacket); ok {
			c.note(func() { c.data = append(c.data, string(u.Payload)) })
		}
	}
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		open, err := lksdk.NewFrameDecryptor(c.keys, lksdk.CodecOpus, c.room.SifTrailer())
		if err != nil {
			t.Error(err)
			return
		}
		c.note(func() { c.pub = pub })
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if len(p.Payload) == 0 {
				continue
			}
			frame, err := open.DecryptFrame(p.Payload)
			c.note(func() {
				switch {
				case err != nil:
					c.unread++
				case frame == nil:
					c.injected++
				case len(frame) < 5 || !bytes.Equal(frame, sealedFrame(binary.BigEndian.Uint32(frame[1:]))):
					c.altered++
				default:
					c.read = append(c.read, binary.BigEndian.Uint32(frame[1:]))
				}
			})
		}
	}
	c.room = lksdk.NewRoom(cb)
	c.room.SetLogger(logger.GetDiscardLogger())
	if err := c.room.JoinWithToken(url, raw, lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()),
		lksdk.WithDataEncryption(&lksdk.EncryptionOptions{KeyProvider: c.keys})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.room.Disconnect)
	return c
}

// speak publishes numbered frames, encrypted, until the test ends.
func (c *sealedClient) speak() *lksdk.LocalTrackPublication {
	c.t.Helper()
	seal, err := lksdk.NewFrameEncryptor(c.keys, lksdk.CodecOpus)
	if err != nil {
		c.t.Fatal(err)
	}
	track, err := lksdk.NewLocalTrack(opusMic, lksdk.WithFrameEncryptor(seal))
	if err != nil {
		c.t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	pub, err := c.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_MICROPHONE, Encryption: livekit.Encryption_GCM})
	if err != nil {
		c.t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for n := uint32(1); ; n++ {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: sealedFrame(n), Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	c.t.Cleanup(func() {
		close(stop)
		<-ended
	})
	return pub
}

func TestFramesEncryptedEndToEndPassUntouched(t *testing.T) {
	_, url := start(t, none, none)
	alice := newSealedClient(t, url, "alice", "a key that alice and bob have")
	bob := newSealedClient(t, url, "bob", "a key that alice and bob have")
	eve := newSealedClient(t, url, "eve", "another key")

	alice.speak()
	bob.until("frames", func() bool { return len(bob.read) >= 50 })
	bob.mu.Lock()
	read, pub := slices.Clone(bob.read), bob.pub
	bob.mu.Unlock()
	for i := 1; i < len(read); i++ {
		if read[i] <= read[i-1] {
			t.Fatalf("frame %d follows frame %d", read[i], read[i-1])
		}
	}
	if got := pub.TrackInfo().GetEncryption(); got != livekit.Encryption_GCM {
		t.Errorf("the track is announced with encryption %v", got)
	}
	// Who has another key gets the same frames, and cannot read one. Nobody else notices.
	eve.until("frames", func() bool { return eve.unread >= 50 })

	// Data goes the same way.
	if err := alice.room.LocalParticipant.PublishDataPacket(&lksdk.UserDataPacket{Payload: []byte("sealed")}, lksdk.WithDataPublishReliable(true)); err != nil {
		t.Fatal(err)
	}
	bob.until("data", func() bool { return len(bob.data) == 1 && bob.data[0] == "sealed" })

	// What the server makes itself is known as such: bob pauses, and hears alice again.
	bob.pub.SetEnabled(false)
	bob.until("a frame of silence", func() bool { return bob.injected > 0 })
	var before int
	bob.note(func() { before = len(bob.read) })
	bob.pub.SetEnabled(true)
	bob.until("frames after the pause", func() bool { return len(bob.read) >= before+20 })

	// The key changes on both sides, one after the other: what is sealed with a key that
	// is not there yet is lost to the receiver alone.
	if err := alice.keys.SetKeyFromPassphrase("the next key", 1); err != nil {
		t.Fatal(err)
	}
	bob.until("frames of a key it lacks", func() bool { return bob.unread > 5 })
	bob.note(func() { before = len(bob.read) })
	if err := bob.keys.SetKeyFromPassphrase("the next key", 1); err != nil {
		t.Fatal(err)
	}
	bob.until("frames of the next key", func() bool { return len(bob.read) >= before+20 })
	bob.note(func() {
		if bob.altered > 0 {
			t.Errorf("%d frames were altered", bob.altered)
		}
	})
	eve.note(func() {
		if len(eve.read)+eve.altered > 0 || len(eve.data) > 0 {
			t.Errorf("another key read %d frames and %q", len(eve.read)+eve.altered, eve.data)
		}
	})
}
