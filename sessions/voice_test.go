package sessions_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// ear is one person's connection to one media room. Microphones send packets that
// say who speaks, so that what is heard needs no decoding.
type ear struct {
	b    *browser
	room *lksdk.Room

	mu      sync.Mutex
	heard   map[string]int       // guarded by mu; packets by "<publisher> <speaker>"
	last    map[string]time.Time // guarded by mu; of the same
	changed chan struct{}        // guarded by mu
	gone    bool                 // guarded by mu; disconnected by the server
	wg      sync.WaitGroup
}

// join connects with the newest ticket for "main" or "booth".
func (b *browser) join(room string) *ear {
	b.w.t.Helper()
	from := b.mark()
	b.must("ticket.renew")
	a := b.until(from, "admitted", nil)
	e := &ear{b: b, heard: map[string]int{}, last: map[string]time.Time{}, changed: make(chan struct{})}
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		e.wg.Go(func() {
			for {
				packet, _, err := track.ReadRTP()
				if err != nil {
					return
				}
				speaker, _, ok := strings.Cut(string(packet.Payload), " ")
				if !ok {
					continue // silence
				}
				key := p.Identity() + " " + speaker
				e.note(func() { e.heard[key]++; e.last[key] = time.Now() })
			}
		})
	}
	cb.OnDisconnected = func() { e.note(func() { e.gone = true }) }
	lksdk.SetLogger(logger.GetDiscardLogger())
	e.room = lksdk.NewRoom(cb)
	e.room.SetLogger(logger.GetDiscardLogger())
	err := e.room.JoinWithToken(a.text("media", room, "url"), a.text("media", room, "token"), lksdk.WithAutoSubscribe(true),
		lksdk.WithDisableRegionDiscovery(), lksdk.WithConnectTimeout(patience), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		b.w.t.Fatalf("%s joins %s: %v", b.key, room, err)
	}
	b.w.t.Cleanup(func() {
		e.room.Disconnect()
		e.wg.Wait()
	})
	return e
}

func (e *ear) note(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
	close(e.changed)
	e.changed = make(chan struct{})
}

// until waits for the record to satisfy ok, which sees it locked.
func (e *ear) until(what string, ok func() bool) {
	e.b.w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		e.mu.Lock()
		done, changed := ok(), e.changed
		e.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			e.mu.Lock()
			defer e.mu.Unlock()
			e.b.w.t.Fatalf("%s waited in vain until %s; heard %v", e.b.key, what, e.heard)
		}
	}
}

// hears waits for ten more packets of a speaker through a publisher.
func (e *ear) hears(publisher, speaker string) {
	e.b.w.t.Helper()
	key := publisher + " " + speaker
	e.mu.Lock()
	n := e.heard[key]
	e.mu.Unlock()
	e.until("hearing "+speaker+" through "+publisher, func() bool { return e.heard[key] >= n+10 })
}

// total is how many packets of a speaker came, through anybody.
func (e *ear) total(speaker string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for key, count := range e.heard {
		if strings.HasSuffix(key, " "+speaker) {
			n += count
		}
	}
	return n
}

// speaks publishes a microphone that says the person's key every 20 ms; the function
// returned ends the packets.
func (e *ear) speaks() (stop func()) {
	t := e.b.w.t
	t.Helper()
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	if _, err := e.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "mic", Source: livekit.TrackSource_MICROPHONE}); err != nil {
		t.Fatalf("%s publishes: %v", e.b.key, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = track.WriteSample(media.Sample{Data: fmt.Appendf(nil, "%s %d", e.b.key, n), Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// channel waits until the feed shows a channel in a state.
func (b *browser) channel(from int, tag, state string) message {
	b.w.t.Helper()
	return b.until(from, "channels", func(m message) bool {
		for _, c := range m["channels"].([]any) {
			if one := message(c.(map[string]any)); one.text("tag") == tag && one.text("state") == state {
				return true
			}
		}
		return false
	})
}

func TestInterpreterIsHeardInTheChannelOnlyOnAir(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	idris, otieno := g.idris.join("main"), g.otieno.join("main")
	otieno.speaks()
	idris.hears(g.otieno.id(), "otieno")
	// Everybody hears their own language from the start: she needs to set nothing.
	if m := g.idris.until(0, "channels", nil); m.text("listening") != "ar" {
		t.Errorf("the patient listens to %q", m.text("listening"))
	}
	if m := g.tremblay.until(0, "channels", nil); m.text("listening") != "en" {
		t.Errorf("the specialist listens to %q", m.text("listening"))
	}
	floor, booth := g.aziz.join("main"), g.aziz.join("booth")
	floor.hears(g.otieno.id(), "otieno")
	from := g.aziz.mark()
	booth.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	idris.hears(g.otieno.id(), "otieno") // meanwhile the leg flows, off the air
	if n := idris.total("aziz"); n != 0 {
		t.Fatalf("%d packets of the interpreter off the air", n)
	}
	g.aziz.must("go_live")
	g.idris.channel(0, "ar", "live")
	idris.hears("channel:ar", "aziz")
	idris.hears(g.otieno.id(), "otieno") // I6: the floor goes on
	if n := otieno.total("aziz"); n != 0 {
		t.Errorf("%d packets of the interpreter reached one who listens to the other channel", n)
	}
	g.aziz.until(from, "booth", func(m message) bool { return m.text("self") == "on_air" && m.text("out") == "ar" })
	g.aziz.must("stop")
	n := idris.total("aziz")
	idris.hears(g.otieno.id(), "otieno")
	idris.hears(g.otieno.id(), "otieno")
	if more := idris.total("aziz") - n; more > 10 { // on the way when it was gated
		t.Errorf("%d packets of the interpreter after going off the air", more)
	}
}

func TestConsecutiveInterpreterSpeaksOnTheFloor(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	idris := g.idris.join("main")
	g.otieno.must("mode.propose", "mode", "consecutive")
	g.aziz.until(0, "notice", func(m message) bool { return m.text("code") == "mode.proposed" })
	if code := g.tremblay.do("mode.confirm", "mode", "consecutive"); code != "forbidden" {
		t.Errorf("the specialist confirmed: %q", code)
	}
	g.aziz.must("mode.confirm", "mode", "consecutive")
	g.idris.until(0, "channels", func(m message) bool { return m.text("mode") == "consecutive" })
	floor := g.aziz.join("main")
	floor.speaks()
	idris.hears(g.aziz.id(), "aziz")
	if code := g.aziz.do("go_live"); code != "mode_conflict" {
		t.Errorf("went live in consecutive mode: %q", code)
	}
	g.aziz.must("mode.propose", "mode", "simultaneous")
	g.otieno.must("mode.confirm", "mode", "simultaneous")
	idris.fallsSilent("aziz") // the right to speak on the floor ended with the mode
}

func TestHandoverReachesListenersWithoutAHole(t *testing.T) {
	w := newWorld(t)
	// A second certified interpreter takes a seat of her own beside Aziz.
	w.second("Noor Haddad", "haddad")
	g := w.gather()
	haddad := w.arrive("haddad").ready()
	g.otieno.must("admit", "participant", haddad.id())
	haddad.until(0, "admitted", nil)
	idris := g.idris.join("main")
	one, two := g.aziz.join("booth"), haddad.join("booth")
	one.speaks()
	two.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	haddad.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	idris.hears("channel:ar", "aziz")
	if code := haddad.do("go_live"); code != "channel_busy" {
		t.Errorf("beside a healthy colleague: %q", code)
	}
	g.aziz.must("handover.offer", "to", haddad.id())
	haddad.until(0, "notice", func(m message) bool { return m.text("code") == "handover.offered" })
	haddad.must("handover.accept")
	if n := idris.total("haddad"); n != 0 {
		t.Errorf("%d packets of the partner before the switch", n)
	}
	g.aziz.must("handover.switch")
	idris.hears("channel:ar", "haddad")
	idris.hears("channel:ar", "aziz") // both for a moment
	haddad.until(0, "booth", func(m message) bool { return m.text("state") == "live" && m.text("on_air") == haddad.id() })
	idris.fallsSilent("aziz")
	idris.hears("channel:ar", "haddad")
}
