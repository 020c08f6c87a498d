package livekit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sessions"
)

// watchIdentity is our hidden participant of every room.
const watchIdentity = "consilium:watch"

// channelPrefix begins the identity of a language channel.
const channelPrefix = "channel:"

const (
	pace      = 50 * time.Millisecond // of looking at flows
	pollEvery = time.Second           // of asking the cluster who is there
	// expectEvery is the pace of asking while a ticket is out whose holder is not
	// there: a cluster tells of somebody who publishes nothing after three seconds only.
	expectEvery = 150 * time.Millisecond
	callLimit   = 5 * time.Second // of one call of ours to the cluster
)

// session is one session of ours on the cluster.
type session struct {
	id    sessions.SessionID
	media *Media

	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{} // something changed at the cluster

	// apply is held while calls to the cluster are made, so that two settlements do
	// not overtake each other. It is taken before mu.
	apply sync.Mutex

	mu       sync.Mutex
	rooms    map[sessions.RoomName]*room // guarded by mu
	routes   sessions.Routes             // guarded by mu
	channels map[string]*channel         // guarded by mu; made under apply
	stopped  bool                        // guarded by mu
}

// room is one room of a session; guarded by the session's mu.
type room struct {
	name     sessions.RoomName
	wire     string
	watch    *lksdk.Room
	admitted map[sessions.Identity]*admission
	people   map[sessions.Identity]*person
	gone     map[string]time.Time // sids that left lately: a poll may be older than that
}

// admission is a live one.
type admission struct {
	since   int64 // tickets of an older serial were revoked
	rights  sessions.Rights
	expires time.Time // of the newest ticket
}

// person is a participant that the cluster showed.
type person struct {
	sid     string
	serial  int64 // of the ticket
	watched bool  // our watcher showed them; else they are known from the poll
	joined  bool  // told
	tracks  map[string]*track
	granted *livekit.ParticipantPermission // as last sent
	denied  map[string]bool                // tracks unsubscribed by us
}

// track is a published one.
type track struct {
	sid    string
	source livekit.TrackSource
	muted  bool
	asked  time.Time // when we last asked to receive it
	inward int       // readers of it; none: its packets do not come

	last atomic.Int64 // when its last packet came, in nanoseconds
	flow atomic.Value // sessions.Flow, "" before the first packet
	taps atomic.Pointer[[]*slot]
}

func newSession(m *Media, id sessions.SessionID) *session {
	s := &session{
		id: id, media: m, wake: make(chan struct{}, 1),
		rooms: map[sessions.RoomName]*room{}, channels: map[string]*channel{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.run)
	s.work.Go(s.pulse)
	return s
}

// end lets nobody in any more and follows nothing.
func (s *session) end() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
}

// stop leaves the rooms and waits until nothing of the session runs.
func (s *session) stop() {
	s.end()
	s.mu.Lock()
	var rooms []*lksdk.Room
	for _, r := range s.rooms {
		if r.watch != nil {
			rooms = append(rooms, r.watch)
		}
	}
	for _, c := range s.channels {
		rooms = append(rooms, c.conn)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.Disconnect()
	}
	s.work.Wait()
}

// delete ends the rooms at the cluster, after what is being made there: nothing is made
// again behind it.
func (s *session) delete(ctx context.Context) error {
	s.end()
	s.apply.Lock()
	defer s.apply.Unlock()
	var problems []error
	for _, name := range s.names() {
		_, err := s.media.client.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: wire(s.id, name)})
		problems = append(problems, missing(err))
	}
	return errors.Join(problems...)
}

func (s *session) names() []sessions.RoomName {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]sessions.RoomName, 0, len(s.rooms))
	for name := range s.rooms {
		names = append(names, name)
	}
	return names
}

// open makes a room and puts our watcher into it.
func (s *session) open(ctx context.Context, name sessions.RoomName) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	s.mu.Lock()
	r := s.rooms[name]
	if s.stopped {
		s.mu.Unlock()
		return ErrNotOpen
	}
	there := r != nil && r.watch != nil && r.watch.ConnectionState() != lksdk.ConnectionStateDisconnected
	s.mu.Unlock()
	if there {
		return nil
	}
	if r == nil {
		r = &room{name: name, wire: wire(s.id, name), admitted: map[sessions.Identity]*admission{},
			people: map[sessions.Identity]*person{}, gone: map[string]time.Time{}}
	}
	if _, err := s.media.client.CreateRoom(ctx, &livekit.CreateRoomRequest{
		Name: r.wire, EmptyTimeout: emptyLife, DepartureTimeout: emptyLife,
	}); err != nil {
		return err
	}
	conn, err := s.watchRoom(ctx, r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		conn.Disconnect()
		return ErrNotOpen
	}
	r.watch = conn
	s.rooms[name] = r
	s.mu.Unlock()
	s.nudge()
	return nil
}

func (s *session) watchRoom(ctx context.Context, r *room) (*lksdk.Room, error) {
	cb := lksdk.NewRoomCallback()
	nudge := s.nudge
	cb.OnParticipantConnected = func(*lksdk.RemoteParticipant) { nudge() }
	cb.OnParticipantDisconnected = func(*lksdk.RemoteParticipant) { nudge() }
	cb.OnReconnected = nudge
	cb.OnDisconnected = nudge
	cb.OnTrackPublished = func(*lksdk.RemoteTrackPublication, *lksdk.RemoteParticipant) { nudge() }
	cb.OnTrackUnpublished = func(*lksdk.RemoteTrackPublication, *lksdk.RemoteParticipant) { nudge() }
	cb.OnTrackMuted = func(lksdk.TrackPublication, lksdk.Participant) { nudge() }
	cb.OnTrackUnmuted = cb.OnTrackMuted
	cb.OnTrackSubscribed = func(in *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, p *lksdk.RemoteParticipant) {
		sid, who := pub.SID(), sessions.Identity(p.Identity())
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.stopped {
			s.work.Go(func() { s.receive(r, who, sid, in) })
		}
	}
	grant := &auth.VideoGrant{Hidden: true}
	grant.SetCanPublish(false)
	grant.SetCanPublishData(false)
	grant.SetCanSubscribe(true)
	return s.media.connect(ctx, r.wire, watchIdentity, livekit.ParticipantInfo_STANDARD, nil, grant, cb)
}

// nudge lets run look at the rooms.
func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (s *session) admit(a sessions.Admission, serial int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[a.Room]
	if r == nil || s.stopped {
		return ErrNotOpen
	}
	if in := r.admitted[a.Identity]; in != nil {
		in.rights, in.expires = a.Rights, time.Now().Add(ticketLife)
	} else {
		r.admitted[a.Identity] = &admission{since: serial, rights: a.Rights, expires: time.Now().Add(ticketLife)}
	}
	s.nudge()
	return nil
}

func (s *session) change(ctx context.Context, name sessions.RoomName, who sessions.Identity, rights sessions.Rights) error {
	s.mu.Lock()
	r := s.rooms[name]
	if r == nil {
		s.mu.Unlock()
		return ErrNotOpen
	}
	if in := r.admitted[who]; in != nil {
		in.rights = rights
	}
	s.mu.Unlock()
	return s.settle(ctx, false)
}

func (s *session) revoke(name sessions.RoomName, who sessions.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[name]; r != nil {
		delete(r.admitted, who)
	}
}

// run follows the cluster: it looks at the rooms when something changed there, and
// asks who is there: each second, and more often while somebody is expected.
func (s *session) run() {
	tick := time.NewTicker(expectEvery)
	defer tick.Stop()
	var polled time.Time
	for {
		again := false
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
			again = time.Since(polled) >= pollEvery
			if again {
				polled = time.Now()
				s.rewatch()
			} else if !s.expecting() {
				continue
			}
			s.poll(again)
		}
		s.look()
		ctx, cancel := context.WithTimeout(s.ctx, callLimit)
		if err := s.settle(ctx, again); err != nil && s.ctx.Err() == nil {
			s.media.log.Warn("media rights not settled", "session", s.id, "error", err)
			time.AfterFunc(pace, s.nudge)
		}
		cancel()
	}
}

// rewatch brings back watchers that were lost.
func (s *session) rewatch() {
	s.mu.Lock()
	var lost []sessions.RoomName
	for name, r := range s.rooms {
		if r.watch.ConnectionState() == lksdk.ConnectionStateDisconnected {
			lost = append(lost, name)
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, callLimit)
	defer cancel()
	for _, name := range lost {
		if err := s.open(ctx, name); err != nil && s.ctx.Err() == nil {
			s.media.log.Warn("media room lost", "session", s.id, "error", err)
		}
	}
}

func (s *session) expecting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, r := range s.rooms {
		if r.expects(now) {
			return true
		}
	}
	return false
}

// expects tells whether somebody with a ticket is not there yet.
func (r *room) expects(now time.Time) bool {
	for who, in := range r.admitted {
		if p := r.people[who]; now.Before(in.expires) && (p == nil || !p.watched) {
			return true
		}
	}
	return false
}

// poll asks the cluster who is in each room, or in those where somebody is expected.
// It lists the hidden too, whom our watcher does not see.
func (s *session) poll(all bool) {
	now := time.Now()
	s.mu.Lock()
	var rooms []*room
	for _, r := range s.rooms {
		if all || r.expects(now) {
			rooms = append(rooms, r)
		}
		for sid, at := range r.gone {
			if now.Sub(at) > 2*callLimit {
				delete(r.gone, sid)
			}
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, callLimit)
	defer cancel()
	for _, r := range rooms {
		list, err := s.media.client.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: r.wire})
		if err != nil {
			continue // the next poll asks again
		}
		s.mu.Lock()
		there := map[string]bool{}
		for _, p := range list.Participants {
			_, left := r.gone[p.Sid]
			if left || p.Identity == watchIdentity || strings.HasPrefix(p.Identity, channelPrefix) || p.State == livekit.ParticipantInfo_DISCONNECTED {
				continue
			}
			there[p.Sid] = true
			// A newer one of that identity is not followed by an older.
			if in := r.people[sessions.Identity(p.Identity)]; in == nil || in.sid == p.Sid || !in.watched {
				s.seen(r, sessions.Identity(p.Identity), p.Sid, p.Metadata)
			}
		}
		for who, p := range r.people {
			if !p.watched && !there[p.sid] {
				s.left(r, who, p)
			}
		}
		s.mu.Unlock()
	}
}

// look compares what the watchers see with what was seen before, and tells the
// difference.
func (s *session) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	for _, r := range s.rooms {
		if r.watch.ConnectionState() != lksdk.ConnectionStateConnected {
			continue // what it shows now is not so
		}
		there := map[sessions.Identity]bool{}
		for _, rp := range r.watch.GetRemoteParticipants() {
			id := rp.Identity()
			if tag, ok := strings.CutPrefix(id, channelPrefix); ok {
				if c := s.channels[tag]; c != nil {
					c.shown.Store(len(rp.TrackPublications()) >= len(c.slots))
				}
				continue
			}
			who := sessions.Identity(id)
			there[who] = true
			p := s.seen(r, who, rp.SID(), rp.Metadata())
			p.watched = true
			if p.joined {
				s.compare(r, who, p, rp)
			}
		}
		for who, p := range r.people {
			if !there[who] && p.watched {
				s.left(r, who, p)
			}
		}
	}
	s.tapLocked()
}

// seen notes a participant and tells that they joined, if they were admitted.
func (s *session) seen(r *room, who sessions.Identity, sid, metadata string) *person {
	p := r.people[who]
	if p != nil && p.sid != sid {
		s.left(r, who, p)
		p = nil
	}
	if p == nil {
		serial, err := strconv.ParseInt(metadata, 10, 64)
		if err != nil {
			serial = 0
		}
		p = &person{sid: sid, serial: serial, tracks: map[string]*track{}, denied: map[string]bool{}}
		r.people[who] = p
	}
	if !p.joined && r.admits(who, p) {
		p.joined = true
		s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaJoined})
	}
	return p
}

func (r *room) admits(who sessions.Identity, p *person) bool {
	in := r.admitted[who]
	return in != nil && p.serial >= in.since
}

func (s *session) left(r *room, who sessions.Identity, p *person) {
	for sid, t := range p.tracks {
		s.ended(r, who, t)
		delete(p.tracks, sid)
	}
	delete(r.people, who)
	r.gone[p.sid] = time.Now()
	if p.joined {
		s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaLeft})
	}
}

func (s *session) ended(r *room, who sessions.Identity, t *track) {
	if list := t.taps.Swap(nil); list != nil {
		for _, c := range *list {
			c.feed(nil, time.Now())
		}
	}
	if t.flow.Swap(sessions.Flow("")) != sessions.Flow("") {
		s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaFlow, Source: sources[t.source], Flow: sessions.FlowLost})
	}
	s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaUnpublished, Source: sources[t.source]})
}

// compare tells what changed with a participant's tracks.
func (s *session) compare(r *room, who sessions.Identity, p *person, rp *lksdk.RemoteParticipant) {
	there := map[string]bool{}
	for _, tp := range rp.TrackPublications() {
		pub, ok := tp.(*lksdk.RemoteTrackPublication)
		if !ok || sources[pub.Source()] == "" {
			continue
		}
		sid := pub.SID()
		there[sid] = true
		t := p.tracks[sid]
		if t == nil {
			t = &track{sid: sid, source: pub.Source()}
			t.flow.Store(sessions.Flow(""))
			p.tracks[sid] = t
			s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaPublished, Source: sources[t.source]})
		}
		if muted := pub.IsMuted(); muted != t.muted {
			t.muted = muted
			kind := sessions.MediaUnmuted
			if muted {
				kind = sessions.MediaMuted
				t.silence(time.Now())
			}
			s.tell(r, who, sessions.MediaEvent{Kind: kind, Source: sources[t.source]})
		}
		if t.source == livekit.TrackSource_MICROPHONE && pub.Kind() == lksdk.TrackKindAudio && t.inward == 0 && time.Since(t.asked) > pollEvery {
			t.asked = time.Now()
			if err := pub.SetSubscribed(true); err != nil {
				t.asked = time.Time{}
			}
		}
	}
	for sid, t := range p.tracks {
		if !there[sid] {
			delete(p.tracks, sid)
			s.ended(r, who, t)
		}
	}
}

// allLeft tells that everybody is gone.
func (s *session) allLeft() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rooms {
		for who, p := range r.people {
			s.left(r, who, p)
		}
	}
}

func (s *session) tell(r *room, who sessions.Identity, e sessions.MediaEvent) {
	e.Session, e.Room, e.Identity = s.id, r.name, who
	s.media.tell(e)
}
