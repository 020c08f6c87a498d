package mediatest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"github.com/consilium-health/consilium/sessions"
)

// Engine is a running media engine.
type Engine struct {
	Media  sessions.Media
	Limits Limits
	// Only names promises to test, and Except some that another test of the engine's
	// tests; empty: all, and none.
	Only, Except []string
}

// Limits are the promises that the server behind an engine cannot keep to the letter.
// The zero value promises everything.
type Limits struct {
	// RevokedConnects: the holder of a revoked ticket gets in for a moment, receives no
	// media and is removed.
	RevokedConnects bool
	// DataToAll: data follows the sender's right alone, not the routes.
	DataToAll bool
	// LateDenial: a floor track that is published while somebody is named without the
	// floor, or that they join again from a lost server, may reach them for a moment.
	LateDenial bool
}

// Run tests everything an engine promises. Each promise has sessions of its own.
func Run(t *testing.T, e Engine) {
	lksdk.SetLogger(logger.GetDiscardLogger())
	for _, p := range []struct {
		name string
		test func(*testing.T, *stage)
	}{
		{"JoinNeedsAnOpenRoomAndShowsTheOthers", joinNeedsAnOpenRoom},
		{"NobodyReceivesBeforeTheyAreNamed", nobodyReceivesBeforeNamed},
		{"FloorIsWithheldFromWhoIsNamedWithoutIt", floorWithheld},
		{"RightsDecideWhatIsPublished", rightsDecide},
		{"RoutesFeedAChannelAndSwitchItsLeg", routesFeedAChannel},
		{"LegPublishedLaterIsOnAirAtOnce", legPublishedLater},
		{"BothTracksOfAChannelCarry", bothTracks},
		{"OlderRoutesAreIgnored", olderRoutes},
		{"SilencedPublisherIsWithheldFromThatListenerAlone", silenced},
		{"RemoveDisconnectsAndRevokes", removeDisconnects},
		{"SecondJoinOfAnIdentityEndsTheFirst", secondJoin},
		{"ResumeIsUnseenByTheOthers", resumeUnseen},
		{"EventsComeInOrder", eventsInOrder},
		{"FlowIsSuspectThenLost", flowIsWatched},
		{"DataFollowsRightsAndRoutes", dataFollows},
		{"CloseEndsTheRooms", closeEnds},
	} {
		if len(e.Only) > 0 && !slices.Contains(e.Only, p.name) || slices.Contains(e.Except, p.name) {
			continue
		}
		t.Run(p.name, func(t *testing.T) { p.test(t, newStage(t, e)) })
	}
}

// stage is one session with the rooms main and booth/ar-en.
type stage struct {
	t       *testing.T
	media   sessions.Media
	limits  Limits
	session sessions.SessionID
	epoch   uint64

	mu      sync.Mutex
	changed chan struct{}
	events  []sessions.MediaEvent
}

const booth = sessions.RoomName("booth/ar-en")

func newStage(t *testing.T, e Engine) *stage {
	s := &stage{t: t, media: e.Media, limits: e.Limits, session: sessions.SessionID(uuid.Must(uuid.NewV7()).String()), changed: make(chan struct{})}
	t.Cleanup(e.Media.Watch(func(ev sessions.MediaEvent) {
		if ev.Session != s.session {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, ev)
		close(s.changed)
		s.changed = make(chan struct{})
	}))
	for range 2 { // it may be repeated
		if err := e.Media.Open(t.Context(), s.session, sessions.RoomMain, booth); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for range 2 {
			if err := e.Media.Close(context.Background(), s.session); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

var everything = sessions.Rights{
	Publish:   []sessions.Source{sessions.SourceMicrophone, sessions.SourceCamera, sessions.SourceScreenShare, sessions.SourceScreenShareAudio},
	Subscribe: true, Data: true,
}

func (s *stage) ticket(room sessions.RoomName, who sessions.Identity, rights sessions.Rights) sessions.Ticket {
	s.t.Helper()
	ticket, err := s.media.Admit(s.t.Context(), sessions.Admission{
		Session: s.session, Room: room, Identity: who, Name: "name of " + string(who),
		Attributes: map[string]string{"role": "test"}, Rights: rights,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return ticket
}

func (s *stage) join(room sessions.RoomName, who sessions.Identity) *client {
	s.t.Helper()
	return join(s.t, who, s.ticket(room, who, everything))
}

func (s *stage) route(r sessions.Routes) {
	s.t.Helper()
	s.epoch++
	r.Epoch = s.epoch
	if err := s.media.Route(s.t.Context(), s.session, r); err != nil {
		s.t.Fatal(err)
	}
}

// event waits for an event that satisfies ok.
func (s *stage) event(what string, ok func(sessions.MediaEvent) bool) sessions.MediaEvent {
	s.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		for _, e := range s.events {
			if ok(e) {
				s.mu.Unlock()
				return e
			}
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("no event %q among %+v", what, s.events)
		}
	}
}

func (s *stage) kind(kind sessions.MediaEventKind, who sessions.Identity) sessions.MediaEvent {
	s.t.Helper()
	return s.event(string(kind)+" of "+string(who), func(e sessions.MediaEvent) bool { return e.Kind == kind && e.Identity == who })
}

func (s *stage) flow(flow sessions.Flow, who sessions.Identity) sessions.MediaEvent {
	s.t.Helper()
	return s.event("flow "+string(flow)+" of "+string(who), func(e sessions.MediaEvent) bool {
		return e.Kind == sessions.MediaFlow && e.Flow == flow && e.Identity == who
	})
}

type receive = map[sessions.Identity]sessions.Reception

func joinNeedsAnOpenRoom(t *testing.T, s *stage) {
	_, err := s.media.Admit(t.Context(), sessions.Admission{Session: s.session, Room: "aside", Identity: "a", Rights: everything})
	if err == nil {
		t.Fatal("admitted to a room that is not open")
	}
	a := s.join(sessions.RoomMain, "a")
	b := s.join(sessions.RoomMain, "b")
	a.until("b is there", func() bool { return a.people["b"]["role"] == "test" })
	b.until("a is there", func() bool { return b.people["a"]["role"] == "test" })
	hidden := everything
	hidden.Hidden = true
	h := join(t, "h", s.ticket(sessions.RoomMain, "h", hidden))
	h.until("it sees a", func() bool { return h.people["a"] != nil })
	s.kind(sessions.MediaJoined, "h")
	c := s.join(sessions.RoomMain, "c")
	a.until("c is there", func() bool { return a.people["c"] != nil })
	for _, o := range []*client{a, b, c} {
		o.mu.Lock()
		if o.people["h"] != nil {
			t.Errorf("%s sees a hidden participant", o.id)
		}
		o.mu.Unlock()
	}
	bad := s.ticket(sessions.RoomMain, "d", everything)
	bad.Token = bad.Token[:len(bad.Token)-4] + "AAAA"
	if _, err := dial(t, "d", bad); err == nil {
		t.Fatal("joined with a changed token")
	}
}

func nobodyReceivesBeforeNamed(t *testing.T, s *stage) {
	a := s.join(sessions.RoomMain, "a")
	l := s.join(sessions.RoomMain, "listener")
	other := s.join(sessions.RoomMain, "unnamed")
	a.mic()
	s.flow(sessions.FlowFlowing, "a")
	s.route(sessions.Routes{Receive: receive{"listener": {Floor: true}}})
	l.hears("a/mic", "a", 25)
	if n := other.total("a"); n != 0 {
		t.Errorf("who was not named heard %d packets", n)
	}
	// The other is named, the listener no more.
	s.route(sessions.Routes{Receive: receive{"unnamed": {Floor: true}}})
	other.hears("a/mic", "a", 1)
	before := l.total("a")
	other.hears("a/mic", "a", 25)
	if n := l.total("a") - before; n != 0 {
		t.Errorf("who is no longer named heard %d packets more", n)
	}
}

func floorWithheld(t *testing.T, s *stage) {
	s.join(sessions.RoomMain, "a").mic()
	s.join(booth, "i1").mic()
	w := s.join(sessions.RoomMain, "witness")
	early := s.join(sessions.RoomMain, "early")
	s.route(legOn("i1", receive{"early": {Channels: []string{"ar"}}, "late": {Channels: []string{"ar"}}, "witness": {Floor: true}}))
	late := s.join(sessions.RoomMain, "late")
	for _, l := range []*client{early, late} {
		l.hears("channel:ar/out.0", "i1", 10)
	}
	w.hears("a/mic", "a", 25)
	for _, l := range []*client{early, late} {
		if n := l.total("a"); n != 0 {
			t.Errorf("%s heard %d packets of the floor", l.id, n)
		}
	}
	s.join(sessions.RoomMain, "b").mic()
	w.hears("b/mic", "b", 25)
	for _, l := range []*client{early, late} {
		before := l.total("b")
		if before != 0 && !s.limits.LateDenial {
			t.Errorf("%s heard %d packets of the floor, published later", l.id, before)
		}
		w.hears("b/mic", "b", 25)
		if n := l.total("b") - before; n != 0 {
			t.Errorf("%s still heard %d packets of the floor", l.id, n)
		}
	}
}

func rightsDecide(t *testing.T, s *stage) {
	ticket := s.ticket(sessions.RoomMain, "a", sessions.Rights{Publish: []sessions.Source{sessions.SourceMicrophone}, Subscribe: true})
	a := join(t, "a", ticket)
	b := s.join(sessions.RoomMain, "b")
	s.route(sessions.Routes{Receive: receive{"a": {Floor: true}, "b": {Floor: true}}})
	a.mic()
	b.hears("a/mic", "a", 5)
	// A client waits long for the answer to what is not allowed.
	refused := make(chan error, 1)
	go func() {
		_, err := a.speak(livekit.TrackSource_SCREEN_SHARE_AUDIO, "screen")
		refused <- err
	}()
	b.hears("a/mic", "a", 25)
	b.mu.Lock()
	if n := len(b.heard["a/screen"]); n != 0 {
		t.Errorf("%d packets of a source that is not allowed", n)
	}
	b.mu.Unlock()
	select {
	case err := <-refused:
		if err == nil {
			t.Error("a source that is not allowed was published")
		}
	default:
	}
	c, w := s.join(sessions.RoomMain, "c"), s.join(sessions.RoomMain, "witness")
	s.route(sessions.Routes{Receive: receive{"b": {Floor: true}, "witness": {Floor: true}}})
	c.mic()
	if err := s.media.Change(t.Context(), s.session, sessions.RoomMain, "a", sessions.Rights{Subscribe: true}); err != nil {
		t.Fatal(err)
	}
	s.kind(sessions.MediaUnpublished, "a")
	b.until("the track ends", func() bool { return !b.tracks["a/mic"] })
	before := b.total("a")
	b.hears("c/mic", "c", 20)
	if n := b.total("a") - before; n != 0 {
		t.Errorf("%d packets after the right was taken", n)
	}
	// Without the right to receive nothing arrives, whatever the routes say.
	if err := s.media.Change(t.Context(), s.session, sessions.RoomMain, "b", sessions.Rights{}); err != nil {
		t.Fatal(err)
	}
	w.hears("c/mic", "c", 2) // what was under way has arrived
	before = b.total("c")
	w.hears("c/mic", "c", 25)
	if n := b.total("c") - before; n != 0 {
		t.Errorf("%d packets to who may not receive", n)
	}
	if err := s.media.Change(t.Context(), s.session, sessions.RoomMain, "nobody", everything); err != nil {
		t.Errorf("change of somebody who is not there: %v", err)
	}
}

// legOn routes a leg to the first track of ar.
func legOn(leg sessions.Identity, who receive) sessions.Routes {
	return sessions.Routes{Channels: []sessions.ChannelRoute{{Tag: "ar", Slot: 0, Room: booth, Leg: leg}}, Receive: who}
}

func routesFeedAChannel(t *testing.T, s *stage) {
	i1, i2 := s.join(booth, "i1"), s.join(booth, "i2")
	i1.mic()
	i2.mic()
	l := s.join(sessions.RoomMain, "listener")
	other := s.join(sessions.RoomMain, "floor only")
	who := receive{"listener": {Channels: []string{"ar"}}, "floor only": {Floor: true}}
	s.route(legOn("i1", who))
	l.until("the channel shows itself", func() bool {
		return cmp.Equal(l.people["channel:ar"], map[string]string{"kind": "channel", "tag": "ar"})
	})
	l.hears("channel:ar/out.0", "i1", 25)
	i1.hears("i2/mic", "i2", 5) // inside the booth everybody hears everybody
	for _, next := range []sessions.Identity{"i2", "i1", "i2"} {
		s.route(legOn(next, who))
		l.hears("channel:ar/out.0", string(next), 25)
	}
	s.route(legOn("", who))
	s.route(legOn("i1", who))
	l.hears("channel:ar/out.0", "i1", 10)

	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard["channel:ar/out.0"]
	turns := []string{}
	for i, p := range heard {
		sender, _, _ := strings.Cut(p.text, " ")
		if sender != "silence" && (len(turns) == 0 || turns[len(turns)-1] != sender) {
			turns = append(turns, sender)
		}
		if i == 0 {
			continue
		}
		before := heard[i-1]
		if p.SSRC != before.SSRC || p.PayloadType != before.PayloadType {
			t.Fatalf("packet %d: SSRC or payload type changed at a switch", i)
		}
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Fatalf("packet %d: number %d after %d", i, p.SequenceNumber, before.SequenceNumber)
		}
		if step := p.Timestamp - before.Timestamp; step == 0 || step%960 != 0 || step > 48000 {
			t.Fatalf("packet %d: timestamp moved by %d", i, step)
		}
	}
	// Never a packet of one leg between those of the other: one leg a track.
	if diff := cmp.Diff(turns, []string{"i1", "i2", "i1", "i2", "i1"}); diff != "" {
		t.Errorf("who was heard in turn: %s", diff)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	for k, p := range other.heard {
		if len(p) > 0 {
			t.Errorf("who chose no channel heard %d packets on %s", len(p), k)
		}
	}
}

func legPublishedLater(t *testing.T, s *stage) {
	l := s.join(sessions.RoomMain, "listener")
	s.route(legOn("i1", receive{"listener": {Channels: []string{"ar"}}}))
	i1 := s.join(booth, "i1")
	v := i1.mic()
	l.hears("channel:ar/out.0", "i1", 10)
	// Muted, it is not heard; the channel's track stays.
	v.pub.SetMuted(true)
	s.kind(sessions.MediaMuted, "i1")
	v.pub.SetMuted(false)
	l.hears("channel:ar/out.0", "i1", 10)
	if err := s.media.Remove(t.Context(), s.session, booth, "i1"); err != nil {
		t.Fatal(err)
	}
	s.kind(sessions.MediaLeft, "i1")
	l.mu.Lock()
	if !l.tracks["channel:ar/out.0"] {
		t.Errorf("the channel's track went with its leg: %v", l.tracks)
	}
	l.mu.Unlock()
	s.join(booth, "i1").mic()
	l.hears("channel:ar/out.0", "i1", 10)
}

func bothTracks(t *testing.T, s *stage) {
	s.join(booth, "i1").mic()
	s.join(booth, "i2").mic()
	l := s.join(sessions.RoomMain, "listener")
	s.route(sessions.Routes{
		Channels: []sessions.ChannelRoute{{Tag: "ar", Slot: 0, Room: booth, Leg: "i1"}, {Tag: "ar", Slot: 1, Room: booth, Leg: "i2"}},
		Receive:  receive{"listener": {Channels: []string{"ar"}}},
	})
	l.hears("channel:ar/out.0", "i1", 10)
	l.hears("channel:ar/out.1", "i2", 10)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.count("channel:ar/out.0", "i2") + l.count("channel:ar/out.1", "i1"); n != 0 {
		t.Errorf("%d packets on the wrong track", n)
	}
}

func olderRoutes(t *testing.T, s *stage) {
	a := s.join(sessions.RoomMain, "a")
	a.mic()
	l := s.join(sessions.RoomMain, "listener")
	s.epoch = 9
	s.route(sessions.Routes{Receive: receive{"listener": {Floor: true}}})
	if err := s.media.Route(t.Context(), s.session, sessions.Routes{Epoch: 3}); err != nil {
		t.Fatal(err)
	}
	l.hears("a/mic", "a", 25)
}

func silenced(t *testing.T, s *stage) {
	s.join(sessions.RoomMain, "a").mic()
	s.join(sessions.RoomMain, "b").mic()
	l, m := s.join(sessions.RoomMain, "l"), s.join(sessions.RoomMain, "m")
	s.route(sessions.Routes{Receive: receive{"l": {Floor: true}, "m": {Floor: true}}})
	l.hears("a/mic", "a", 5)
	s.route(sessions.Routes{Receive: receive{"l": {Floor: true, Silenced: []sessions.Identity{"a"}}, "m": {Floor: true}}})
	// What was under way when the route was replaced has arrived with this.
	l.hears("b/mic", "b", 2)
	before := l.total("a")
	m.hears("a/mic", "a", 25)
	l.hears("b/mic", "b", 25)
	if n := l.total("a") - before; n != 0 {
		t.Errorf("%d packets of a silenced publisher", n)
	}
	s.route(sessions.Routes{Receive: receive{"l": {Floor: true}, "m": {Floor: true}}})
	l.hears("a/mic", "a", 5)
}

// removal is the promise of sessions.Media: 100 ms. A busy machine may be late with
// one of them, an engine that is slow is late with all.
const removal = 100 * time.Millisecond

func removeDisconnects(t *testing.T, s *stage) {
	s.join(sessions.RoomMain, "b").mic()
	best := patience
	for range 5 {
		ticket := s.ticket(sessions.RoomMain, "a", everything)
		a := join(t, "a", ticket)
		s.route(sessions.Routes{Receive: receive{"a": {Floor: true}}})
		a.hears("b/mic", "b", 3)
		start := time.Now()
		for range 2 {
			if err := s.media.Remove(t.Context(), s.session, sessions.RoomMain, "a"); err != nil {
				t.Fatal(err)
			}
		}
		a.until("it is disconnected", func() bool { return !a.gone.IsZero() })
		best = min(best, a.gone.Sub(start))
		if a.reason != lksdk.ParticipantRemoved {
			t.Errorf("reason %q", a.reason)
		}
		s.refuses("a", ticket)
		if best < removal {
			break
		}
	}
	if best >= removal {
		t.Errorf("the fastest of five removals took %v", best)
	}
	a := s.join(sessions.RoomMain, "a")
	a.hears("b/mic", "b", 3)
	if err := s.media.Remove(t.Context(), s.session, sessions.RoomMain, "nobody"); err != nil {
		t.Errorf("removal of somebody who is not there: %v", err)
	}
}

// refuses dials with a revoked ticket.
func (s *stage) refuses(who sessions.Identity, ticket sessions.Ticket) {
	s.t.Helper()
	c, err := dial(s.t, who, ticket)
	switch {
	case err != nil:
		return
	case !s.limits.RevokedConnects:
		s.t.Fatal("joined with a revoked ticket")
	}
	c.until("it is removed", func() bool { return !c.gone.IsZero() })
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.heard {
		if len(p) > 0 {
			s.t.Errorf("who came with a revoked ticket heard %d packets on %s", len(p), k)
		}
	}
}

func secondJoin(t *testing.T, s *stage) {
	b := s.join(sessions.RoomMain, "b")
	b.mic()
	s.route(sessions.Routes{Receive: receive{"a": {Floor: true}}})
	first := s.join(sessions.RoomMain, "a")
	first.hears("b/mic", "b", 3)
	second := s.join(sessions.RoomMain, "a")
	first.until("it is disconnected", func() bool { return !first.gone.IsZero() })
	if first.reason != lksdk.DuplicateIdentity {
		t.Errorf("reason %q", first.reason)
	}
	second.hears("b/mic", "b", 3)
}

func resumeUnseen(t *testing.T, s *stage) {
	a, b := s.join(sessions.RoomMain, "a"), s.join(sessions.RoomMain, "b")
	s.route(sessions.Routes{Receive: receive{"a": {Floor: true}, "b": {Floor: true}}})
	a.mic()
	b.mic()
	a.hears("b/mic", "b", 5)
	a.room.Simulate(lksdk.SimulateSignalReconnect)
	a.until("it resumed", func() bool { return len(a.events) > 0 && a.events[len(a.events)-1] == "reconnected" })
	a.hears("b/mic", "b", 5)
	b.hears("a/mic", "a", 5)
	// The resumed socket carries signals: another joins and is seen.
	s.join(sessions.RoomMain, "c")
	a.until("c is there", func() bool { return a.people["c"] != nil })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == sessions.MediaLeft || e.Kind == sessions.MediaUnpublished {
			t.Errorf("event %+v during a resume", e)
		}
	}
}

func eventsInOrder(t *testing.T, s *stage) {
	a := s.join(booth, "a")
	v := a.mic()
	s.flow(sessions.FlowFlowing, "a")
	v.pub.SetMuted(true)
	s.kind(sessions.MediaMuted, "a")
	v.pub.SetMuted(false)
	s.kind(sessions.MediaUnmuted, "a")
	if err := a.room.LocalParticipant.UnpublishTrack(v.pub.SID()); err != nil {
		t.Fatal(err)
	}
	s.kind(sessions.MediaUnpublished, "a")
	a.room.Disconnect()
	last := s.kind(sessions.MediaLeft, "a")
	s.mu.Lock()
	defer s.mu.Unlock()
	got := []sessions.MediaEventKind{}
	var at time.Time
	for _, e := range s.events {
		if e.Room != booth || e.At.IsZero() || e.At.Before(at) {
			t.Errorf("event %+v: wrong room, or time before %v", e, at)
		}
		at = e.At
		if e.Kind == sessions.MediaFlow {
			continue
		}
		if (e.Source == sessions.SourceMicrophone) == (e.Kind == sessions.MediaJoined || e.Kind == sessions.MediaLeft) {
			t.Errorf("event %+v has the wrong source", e)
		}
		got = append(got, e.Kind)
	}
	want := []sessions.MediaEventKind{
		sessions.MediaJoined, sessions.MediaPublished, sessions.MediaMuted,
		sessions.MediaUnmuted, sessions.MediaUnpublished, sessions.MediaLeft,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("events: %s", diff)
	}
	if last.Room != booth {
		t.Errorf("left %s", last.Room)
	}
}

func flowIsWatched(t *testing.T, s *stage) {
	a := s.join(booth, "a")
	v := a.mic()
	s.flow(sessions.FlowFlowing, "a")
	v.stop()
	suspect := s.flow(sessions.FlowSuspect, "a")
	lost := s.flow(sessions.FlowLost, "a")
	if d := lost.At.Sub(suspect.At); d < 300*time.Millisecond {
		t.Errorf("lost %v after suspect, want about 600 ms", d)
	}
}

func dataFollows(t *testing.T, s *stage) {
	mute := everything
	mute.Data = false
	a := s.join(sessions.RoomMain, "a")
	b := join(t, "b", s.ticket(sessions.RoomMain, "b", mute))
	c := s.join(sessions.RoomMain, "c")
	s.route(sessions.Routes{Receive: receive{"a": {Floor: true}, "b": {Floor: true}}})
	say := func(from *client, text string) {
		t.Helper()
		if err := from.room.LocalParticipant.PublishDataPacket(&lksdk.UserDataPacket{Payload: []byte(text)}, lksdk.WithDataPublishReliable(true)); err != nil {
			t.Fatal(err)
		}
	}
	// A client's channel for data opens a moment after it joined.
	for _, from := range []*client{a, c} {
		for _, to := range []*client{a, b} {
			if from != to {
				from.reach(to, func() { say(from, "ready") })
			}
		}
	}
	for _, o := range []*client{a, b, c} {
		o.note(func() { o.data = nil })
	}
	say(b, "not allowed")
	say(c, "from c")
	say(a, "from a")
	a.until("data of c came", func() bool { return slices.Contains(a.data, "c: from c") })
	b.until("data of both came", func() bool { return slices.Contains(b.data, "a: from a") && slices.Contains(b.data, "c: from c") })
	// c is named now, and gets what is sent from now on: nothing of before.
	s.route(sessions.Routes{Receive: receive{"a": {Floor: true}, "c": {Floor: true}}})
	say(a, "to c")
	c.until("data of a came", func() bool { return slices.Contains(c.data, "a: to c") })
	want := []string{"a: to c"}
	if s.limits.DataToAll {
		want = []string{"a: from a", "a: to c"}
	}
	c.mu.Lock()
	if diff := cmp.Diff(c.said(), want); diff != "" {
		t.Errorf("c got %s", diff)
	}
	c.mu.Unlock()
	a.mu.Lock()
	if diff := cmp.Diff(a.said(), []string{"c: from c"}); diff != "" {
		t.Errorf("a got %s", diff)
	}
	a.mu.Unlock()
}

func closeEnds(t *testing.T, s *stage) {
	a, i := s.join(sessions.RoomMain, "a"), s.join(booth, "i")
	ticket := s.ticket(sessions.RoomMain, "late", everything)
	if err := s.media.Close(t.Context(), s.session); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{a, i} {
		c.until("it is disconnected", func() bool { return !c.gone.IsZero() })
	}
	if _, err := dial(t, "late", ticket); err == nil {
		t.Error("joined a closed session")
	}
	if _, err := s.media.Admit(t.Context(), sessions.Admission{Session: s.session, Room: sessions.RoomMain, Identity: "x"}); err == nil {
		t.Error("admitted to a closed session")
	}
}
