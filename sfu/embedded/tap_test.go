package embedded_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/embedded"
)

// tape is a tap that notes what it got.
type tape struct {
	mu      sync.Mutex
	packets []taped
	ended   []string
	changed chan struct{}
}

type taped struct {
	identity, speaker, channel, text, mime string
	ts                                     uint32
	arrived                                time.Time
}

func (p *tape) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *tape) Packet(k sfu.TapPacket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets = append(p.packets, taped{k.Track.Identity, k.Speaker, k.Track.Channel, string(k.Payload), k.Track.MimeType, k.Timestamp, k.Arrived})
	p.wake()
}

func (p *tape) Ended(t *sfu.TapTrack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, t.Identity)
	p.wake()
}

// until waits; ok sees the tape locked.
func (p *tape) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		done := ok()
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-p.changed:
		case <-limit:
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("waited in vain for %s: %d packets, ended %q", what, len(p.packets), p.ended)
		}
	}
}

// of counts what was taken of a speaker in a track; locked.
func (p *tape) of(speaker, channel string) (n int) {
	for _, k := range p.packets {
		if k.speaker == speaker && k.channel == channel {
			n++
		}
	}
	return n
}

// talk joins a room and speaks "<who> <number>" until the test ends or leave is called.
func talk(t *testing.T, engine *embedded.Media, session sessions.SessionID, room sessions.RoomName, who sessions.Identity) (leave func()) {
	t.Helper()
	ticket, err := engine.Admit(context.Background(), sessions.Admission{
		Session: session, Room: room, Identity: who, Rights: sessions.Rights{Publish: []sessions.Source{sessions.SourceMicrophone}, Subscribe: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := lksdk.NewRoom(lksdk.NewRoomCallback())
	r.SetLogger(logger.GetDiscardLogger())
	if err := r.JoinWithToken(ticket.URL, ticket.Token, lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger())); err != nil {
		t.Fatal(err)
	}
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	if _, err := r.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Source: livekit.TrackSource_MICROPHONE}); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: fmt.Appendf(nil, "%s %d", who, n), Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	leave = sync.OnceFunc(func() {
		close(stop)
		<-done
		r.Disconnect()
	})
	t.Cleanup(leave)
	return leave
}

func TestOnlyWhoAgreedIsRecorded(t *testing.T) {
	lksdk.SetLogger(logger.GetDiscardLogger())
	engine, _, server := start(t, sfu.Config{})
	ctx := context.Background()
	const session, booth = sessions.SessionID("s"), sessions.RoomName("booth/ar-en")
	if err := engine.Open(ctx, session, sessions.RoomMain, booth); err != nil {
		t.Fatal(err)
	}
	epoch := uint64(0)
	record := func(who ...sessions.Identity) {
		t.Helper()
		epoch++
		if err := engine.Route(ctx, session, sessions.Routes{
			Epoch: epoch, Record: who,
			Channels: []sessions.ChannelRoute{{Tag: "ar", Slot: 0, Room: booth, Leg: "layla"}, {Tag: "ar", Slot: 1}},
			Receive:  map[sessions.Identity]sessions.Reception{"salma": {Floor: true}, "amina": {Floor: true}, "claire": {Floor: true}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	record()
	got, inBooth := &tape{changed: make(chan struct{}, 1)}, &tape{changed: make(chan struct{}, 1)}
	stop, err := server.Room("s/main").Tap(got)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Room("s/main").Tap(&tape{}); err == nil {
		t.Error("a second tap was taken")
	}
	if _, err := server.Room("s/booth/ar-en").Tap(inBooth); err != nil {
		t.Fatal(err)
	}
	leave := talk(t, engine, session, sessions.RoomMain, "salma")
	talk(t, engine, session, sessions.RoomMain, "amina")
	talk(t, engine, session, booth, "layla")

	// claire listens, so that it is known that everybody's packets are there to be taken.
	heard := make(map[string]int)
	var mu sync.Mutex
	more := make(chan struct{}, 1)
	ticket, err := engine.Admit(ctx, sessions.Admission{Session: session, Room: sessions.RoomMain, Identity: "claire", Rights: sessions.Rights{Subscribe: true}})
	if err != nil {
		t.Fatal(err)
	}
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			who, _, _ := strings.Cut(string(p.Payload), " ")
			mu.Lock()
			heard[who]++
			mu.Unlock()
			select {
			case more <- struct{}{}:
			default:
			}
		}
	}
	claire := lksdk.NewRoom(cb)
	claire.SetLogger(logger.GetDiscardLogger())
	if err := claire.JoinWithToken(ticket.URL, ticket.Token, lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(claire.Disconnect)
	goOn := func(speakers ...string) { // half a second of each on the floor
		t.Helper()
		mu.Lock()
		before := maps.Clone(heard)
		mu.Unlock()
		limit := time.After(20 * time.Second)
		for {
			mu.Lock()
			done := !slices.ContainsFunc(speakers, func(who string) bool { return heard[who] < before[who]+25 })
			mu.Unlock()
			if done {
				return
			}
			select {
			case <-more:
			case <-limit:
				t.Fatalf("%v are not heard", speakers)
			}
		}
	}
	size := func() int {
		got.mu.Lock()
		defer got.mu.Unlock()
		return len(got.packets)
	}

	goOn("salma", "amina")
	if n := size(); n > 0 {
		t.Fatalf("%d packets were taken and nobody agreed", n)
	}
	record("salma")
	got.until(t, "the patient", func() bool { return got.of("salma", "") >= 50 })
	// The interpreter agrees as well: the channel is taken, and says whose voice it is.
	record("salma", "layla")
	got.until(t, "the channel", func() bool { return got.of("layla", "ar") >= 25 })
	// She takes it back. From the answer on there is not one packet more.
	record("salma")
	got.mu.Lock()
	channel := got.of("layla", "ar")
	got.mu.Unlock()
	goOn("salma", "amina")
	record()
	all := size()
	goOn("salma", "amina")
	if now := size(); now != all {
		t.Errorf("%d packets were taken after everything was taken back", now-all)
	}
	record("salma")
	got.until(t, "the patient again", func() bool { return len(got.packets) > all+10 })
	leave()
	got.until(t, "the end of a track", func() bool { return slices.Contains(got.ended, "salma") })
	stop()
	record("salma", "amina", "layla")
	all = size()
	goOn("amina")

	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.packets) != all {
		t.Errorf("%d packets were taken after the tap was stopped", len(got.packets)-all)
	}
	if n := got.of("layla", "ar"); n != channel {
		t.Errorf("%d packets of the interpreter were taken after she took it back", n-channel)
	}
	for i, k := range got.packets {
		if who, _, _ := strings.Cut(k.text, " "); who != k.speaker || k.speaker != "salma" && k.speaker != "layla" || k.mime != webrtc.MimeTypeOpus {
			t.Fatalf("packet %d: %+v", i, k)
		}
		if k.arrived.IsZero() {
			t.Fatalf("packet %d has no time of arrival", i)
		}
	}
	inBooth.mu.Lock()
	defer inBooth.mu.Unlock()
	if len(inBooth.packets) > 0 {
		t.Errorf("%d packets were taken inside a booth", len(inBooth.packets))
	}
}
