package mediatest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/consilium-health/consilium/sessions"
)

// patience is how long a test waits for what must come. It bounds a failure, not a
// promise: promises with times measure them.
const patience = 15 * time.Second

// packet is what a client received.
type packet struct {
	rtp.Header
	text string
	at   time.Time
}

// client is one participant, on the Go SDK of the protocol.
type client struct {
	t    *testing.T
	id   sessions.Identity
	room *lksdk.Room

	mu      sync.Mutex
	changed chan struct{}       // closed and replaced when anything below changes
	heard   map[string][]packet // by "<identity>/<track name>"
	tracks  map[string]bool     // subscribed now, by the same key
	people  map[string]map[string]string
	data    []string
	events  []string
	gone    time.Time
	reason  lksdk.DisconnectionReason

	wg sync.WaitGroup // readers of tracks
}

func key(pub lksdk.TrackPublication, p lksdk.Participant) string {
	return p.Identity() + "/" + pub.Name()
}

// join connects with a ticket and ends with the test.
func join(t *testing.T, id sessions.Identity, ticket sessions.Ticket) *client {
	t.Helper()
	c, err := dial(t, id, ticket)
	if err != nil {
		t.Fatalf("join %s as %s: %v", ticket.Room, id, err)
	}
	return c
}

func dial(t *testing.T, id sessions.Identity, ticket sessions.Ticket) (*client, error) {
	c := &client{
		t: t, id: id, changed: make(chan struct{}),
		heard: map[string][]packet{}, tracks: map[string]bool{}, people: map[string]map[string]string{},
	}
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		k := key(pub, p)
		c.note(func() { c.tracks[k] = true })
		c.wg.Go(func() { c.receive(track, k) })
	}
	cb.OnTrackUnsubscribed = func(_ *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		c.note(func() { delete(c.tracks, key(pub, p)) })
	}
	cb.OnParticipantConnected = func(p *lksdk.RemoteParticipant) {
		c.note(func() { c.people[p.Identity()] = p.Attributes() })
	}
	cb.OnParticipantDisconnected = func(p *lksdk.RemoteParticipant) {
		c.note(func() { delete(c.people, p.Identity()) })
	}
	cb.OnDisconnectedWithReason = func(r lksdk.DisconnectionReason) {
		now := time.Now()
		c.note(func() { c.gone, c.reason = now, r })
	}
	cb.OnReconnecting = func() { c.note(func() { c.events = append(c.events, "reconnecting") }) }
	cb.OnReconnected = func() { c.note(func() { c.events = append(c.events, "reconnected") }) }
	cb.OnDataPacket = func(d lksdk.DataPacket, params lksdk.DataReceiveParams) {
		if u, ok := d.(*lksdk.UserDataPacket); ok {
			c.note(func() { c.data = append(c.data, params.SenderIdentity+": "+string(u.Payload)) })
		}
	}
	c.room = lksdk.NewRoom(cb)
	c.room.SetLogger(logger.GetDiscardLogger())
	err := c.room.JoinWithToken(ticket.URL, ticket.Token, lksdk.WithAutoSubscribe(true),
		lksdk.WithDisableRegionDiscovery(), lksdk.WithConnectTimeout(patience), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		return nil, err
	}
	c.note(func() {
		for _, p := range c.room.GetRemoteParticipants() {
			c.people[p.Identity()] = p.Attributes()
		}
	})
	t.Cleanup(func() {
		c.room.Disconnect()
		// The reader of a track ends with its connection.
		c.wg.Wait()
	})
	return c, nil
}

// note changes the client's record and wakes who waits for it.
func (c *client) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *client) receive(track *webrtc.TrackRemote, k string) {
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		in := packet{Header: p.Header, text: string(p.Payload), at: time.Now()}
		if string(p.Payload) == "\xf8\xff\xfe" {
			in.text = "silence"
		}
		c.note(func() { c.heard[k] = append(c.heard[k], in) })
	}
}

// until waits for the record to satisfy ok, which sees it locked.
func (c *client) until(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		done, changed := ok(), c.changed
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			c.mu.Lock()
			defer c.mu.Unlock()
			heard := map[string]int{}
			for k, p := range c.heard {
				heard[k] = len(p)
			}
			c.t.Fatalf("%s waited in vain until %s (heard %v, subscribed %v, people %v, events %v, reason %q)",
				c.id, what, heard, c.tracks, c.people, c.events, c.reason)
		}
	}
}

// count is how many packets of the sender were heard on a track; locked.
func (c *client) count(k, sender string) int {
	n := 0
	for _, p := range c.heard[k] {
		if strings.HasPrefix(p.text, sender+" ") {
			n++
		}
	}
	return n
}

// hears waits for n packets more of the sender on a track.
func (c *client) hears(k, sender string, n int) {
	c.t.Helper()
	c.mu.Lock()
	n += c.count(k, sender)
	c.mu.Unlock()
	c.until(fmt.Sprintf("%d packets of %s came on %s", n, sender, k), func() bool { return c.count(k, sender) >= n })
}

// total is how many packets were heard of a sender on any track.
func (c *client) total(sender string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for k := range c.heard {
		n += c.count(k, sender)
	}
	return n
}

// voice is a microphone that is sending.
type voice struct {
	pub  *lksdk.LocalTrackPublication
	stop func() // ends the packets, not the track
}

// speak publishes a microphone whose packets say "<who> <number>" every 20 ms.
func (c *client) speak(source livekit.TrackSource, name string) (voice, error) {
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		return voice{}, err
	}
	track.SetLogger(logger.GetDiscardLogger())
	pub, err := c.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: name, Source: source})
	if err != nil {
		return voice{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: fmt.Appendf(nil, "%s %d", c.id, n), Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	stop := func() {
		cancel()
		<-done
	}
	c.t.Cleanup(stop)
	return voice{pub: pub, stop: stop}, nil
}

func (c *client) mic() voice {
	c.t.Helper()
	v, err := c.speak(livekit.TrackSource_MICROPHONE, "mic")
	if err != nil {
		c.t.Fatalf("%s publishes a microphone: %v", c.id, err)
	}
	return v
}

// reach repeats what c says until it reached the other.
func (c *client) reach(to *client, say func()) {
	c.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		say()
		to.mu.Lock()
		changed, there := to.changed, slices.Contains(to.data, string(c.id)+": ready")
		to.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-deadline.C:
			c.t.Fatalf("data of %s never reached %s", c.id, to.id)
		}
	}
}

// said is the data that came, without what reach sent; locked.
func (c *client) said() []string {
	return slices.DeleteFunc(slices.Clone(c.data), func(d string) bool { return strings.HasSuffix(d, ": ready") })
}
