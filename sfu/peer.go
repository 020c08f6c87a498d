package sfu

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/datachannel"
	"github.com/pion/rtcp"
)

// Ping times are those that clients of the protocol expect.
const (
	pingInterval = 5 * time.Second
	pingTimeout  = 15 * time.Second
)

// maxBacklog is how many messages wait for a participant whose socket dropped. What
// is later is told again by the resume.
const maxBacklog = 64

// Sink carries messages to one client. Send does not block; when it cannot take a
// message the sink closes itself. Close ends the socket after what was sent.
type Sink interface {
	Send(*livekit.SignalResponse)
	Close()
}

// JoinRequest is a client at the door, with a verified token.
type JoinRequest struct {
	Claims        Claims
	Sink          Sink
	AutoSubscribe bool
	Attributes    map[string]string
	Metadata      string // in place of the token's, in a room made by a token
	SDK           string // what the client calls itself: "js", "go"

	// Single means that the client has one connection for both directions, which it
	// offers. What it sent along with its request is worked on first: Tracks, then Offer;
	// both may be nil.
	Single bool
	Tracks []*livekit.AddTrackRequest
	Offer  *livekit.SessionDescription
}

// Peer is a client in a room: its signaling, and a connection for each direction.
type Peer struct {
	*participant
	room   *Room
	srv    *Server
	auto   bool
	sdk    string
	ticket string
	single bool // one connection for both directions

	// guarded by room.mu
	subs     map[string]*subTrack // by track sid
	wants    map[string]bool      // explicit wishes, by track sid
	settings map[string]*livekit.UpdateTrackSettings
	pending  []*Track                    // added, no packet yet
	data     [2]*datachannel.DataChannel // those that are open, by livekit.DataPacket_Kind
	early    [][]byte                    // reliable packets from before its channel was open
	dataOpen bool                        // the reliable channel is open and early was sent

	refreshed time.Time // when the client got its last token

	sinkMu  sync.Mutex
	sink    Sink                      // guarded by sinkMu, nil while the socket is down
	backlog []*livekit.SignalResponse // guarded by sinkMu
	grace   *time.Timer               // guarded by sinkMu

	ops  chan func()
	wake chan struct{}
	done chan struct{}
	once sync.Once

	pub  *publisher // owned by the loop
	sub  *subscriber
	held *livekit.SessionDescription // owned by the loop: see handleFirst

	publishing  atomic.Pointer[publisher]
	subLink     atomic.Pointer[link]
	reliable    atomic.Uint32             // last reliable sequence taken
	ntp         atomic.Int64              // publisher's NTP clock minus ours, in ns; 0 unknown
	give        giving                    // guarded by room.mu
	est         estimator                 // of the link to the subscriber
	pace        pacer                     // for it, when it is weak
	shared      bool                      // guarded by room.mu: its link is divided by the estimate
	intake      intake                    // what it publishes, before anything reads it
	over        overload                  // guarded by room.mu
	counted     tally                     // guarded by room.mu
	way         answers                   // guarded by room.mu
	consents    [2]consent                // by livekit.SignalTarget; owned by the loop
	probe       prober                    // guarded by room.mu
	worst       uint8                     // guarded by room.mu: loss since quality was told
	quality     livekit.ConnectionQuality // guarded by room.mu
	qualityTold bool                      // guarded by room.mu
}

// Join lets a client into the room its token names.
func (s *Server) Join(_ context.Context, req JoinRequest) (*Peer, error) {
	p, err := s.join(req)
	if err != nil {
		s.count.refusals.Add(1)
		return nil, err
	}
	s.count.joins.Add(1)
	return p, nil
}

func (s *Server) join(req JoinRequest) (*Peer, error) {
	v := req.Claims.Video
	if v == nil || !v.RoomJoin || v.Room == "" || req.Claims.Subject == "" {
		return nil, ErrGrant
	}
	r := s.Room(v.Room)
	if r == nil {
		if !s.cfg.AutoCreate {
			return nil, fmt.Errorf("join room %s: %w", v.Room, ErrNoRoom)
		}
		var err error
		if r, err = s.Create(v.Room, ""); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("join room %s: %w", v.Room, ErrNoRoom)
	}
	perm, name, attributes, err := r.admittedLocked(req.Claims)
	if err != nil {
		return nil, err
	}
	if attributes = maps.Clone(attributes); attributes == nil {
		attributes = map[string]string{}
	}
	metadata := req.Claims.Metadata
	if !r.managed {
		maps.Copy(attributes, req.Attributes)
		if req.Metadata != "" && len(req.Metadata) <= maxMetadata {
			metadata = req.Metadata
		}
	}
	p := &Peer{
		participant: &participant{
			sid: "PA_" + shortID(), identity: req.Claims.Subject, joinedAt: s.now(),
			name: name, metadata: metadata, attributes: attributes,
			kind: req.Claims.GetParticipantKind(), state: livekit.ParticipantInfo_JOINED, perm: perm,
		},
		room: r, srv: s, auto: req.AutoSubscribe, sdk: req.SDK, ticket: req.Claims.ID, sink: req.Sink, single: req.Single,
		subs: map[string]*subTrack{}, wants: map[string]bool{}, settings: map[string]*livekit.UpdateTrackSettings{},
		ops: make(chan func(), 64), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	p.peer = p
	p.pace.est, p.pace.now = &p.est, s.now
	p.intake.now = s.now
	p.intake.grant(0, 0)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.peers.Add(1)
	s.mu.Unlock()
	r.enterLocked(p.participant)

	join := &livekit.JoinResponse{
		Room: r.infoLocked(), Participant: p.infoLocked(),
		ServerVersion: Version, ServerInfo: s.serverInfo(),
		SubscriberPrimary: !p.single, FastPublish: p.perm.GetCanPublish(),
		PingInterval: int32(pingInterval / time.Second), PingTimeout: int32(pingTimeout / time.Second),
		EnabledPublishCodecs: enabledCodecs, ClientConfiguration: &livekit.ClientConfiguration{},
		IceServers: p.iceServers(), SifTrailer: r.trailer,
	}
	for _, o := range r.people {
		if o != p.participant && !o.perm.GetHidden() {
			join.OtherParticipants = append(join.OtherParticipants, o.infoLocked())
		}
	}
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: join}})
	p.sendRefreshLocked()
	r.tellLocked(p.participant)
	p.wakeUp()
	for _, add := range req.Tracks[:min(len(req.Tracks), maxTracks)] {
		p.ops <- func() { p.handleAddTrack(add) }
	}
	if req.Offer != nil {
		p.ops <- func() { p.handleFirst(req.Offer) }
	}
	go p.run()
	return p, nil
}

// admittedLocked decides whether a token still opens the room, and with what rights:
// in a managed room the admission's, which may have changed since the token.
func (r *Room) admittedLocked(c Claims) (perm *livekit.ParticipantPermission, name string, attributes map[string]string, err error) {
	if !r.managed {
		return permission(c.Video), c.Name, c.Attributes, nil
	}
	a := r.admissions[c.Subject]
	if a == nil || a.ticket != c.ID {
		return nil, "", nil, fmt.Errorf("join room %s: %w", r.name, ErrRevoked)
	}
	return a.perm, a.name, a.attributes, nil
}

func grantOf(room string, perm *livekit.ParticipantPermission) *auth.VideoGrant {
	v := &auth.VideoGrant{RoomJoin: true, Room: room, Hidden: perm.GetHidden(), Recorder: perm.GetRecorder()}
	v.SetCanPublish(perm.GetCanPublish())
	v.SetCanSubscribe(perm.GetCanSubscribe())
	v.SetCanPublishData(perm.GetCanPublishData())
	v.SetCanUpdateOwnMetadata(perm.GetCanUpdateMetadata())
	v.SetCanPublishSources(perm.GetCanPublishSources())
	return v
}

// sendRefreshLocked sends a token with which the client may resume.
func (p *Peer) sendRefreshLocked() {
	token, _, err := p.room.ticketLocked(p.identity, &admission{
		ticket: p.ticket, perm: p.perm, name: p.name, attributes: p.attributes,
	}, refreshLife)
	if err != nil {
		p.srv.log.Error("refresh token", "participant", p.sid, "error", err)
		return
	}
	p.refreshed = p.srv.now()
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}})
}

// Check tells whether a token opens its room now, without joining.
func (s *Server) Check(c Claims) error {
	if c.Video == nil || !c.Video.RoomJoin || c.Video.Room == "" || c.Subject == "" {
		return ErrGrant
	}
	r := s.Room(c.Video.Room)
	if r == nil {
		if !s.cfg.AutoCreate {
			return ErrNoRoom
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.drains {
			return ErrClosed
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrNoRoom
	}
	_, _, _, err := r.admittedLocked(c)
	return err
}

// Resume gives a participant whose socket dropped another one. When it is not known
// any more the client is told to join again.
func (s *Server) Resume(_ context.Context, c Claims, sid string, sink Sink) (*Peer, error) {
	if err := s.Check(c); err != nil {
		s.count.refusals.Add(1)
		return nil, err
	}
	if r := s.Room(c.Video.Room); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p := r.people[c.Subject]; p != nil && p.peer != nil && p.sid == sid {
			p.peer.resumeLocked(sink)
			s.count.resumes.Add(1)
			return p.peer, nil
		}
	}
	s.count.unknown.Add(1)
	sink.Send(leaveMessage(livekit.LeaveRequest_RECONNECT, livekit.DisconnectReason_STATE_MISMATCH))
	sink.Close()
	return nil, nil
}

func leaveMessage(action livekit.LeaveRequest_Action, reason livekit.DisconnectReason) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
		CanReconnect: action != livekit.LeaveRequest_DISCONNECT, Reason: reason, Action: action,
	}}}
}

// resumeLocked swaps the socket. The first message is the reconnect; what follows
// repairs what the client may have missed.
func (p *Peer) resumeLocked(sink Sink) {
	r := p.room
	var people []*livekit.ParticipantInfo
	for _, o := range r.people {
		if o == p.participant || !o.perm.GetHidden() {
			people = append(people, o.infoLocked())
		}
	}
	for _, d := range r.departed {
		if r.people[d.Identity] == nil {
			people = append(people, d)
		}
	}
	p.sinkMu.Lock()
	if p.grace != nil {
		p.grace.Stop()
		p.grace = nil
	}
	old := p.sink
	p.sink = sink
	sink.Send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{
		ServerInfo: p.srv.serverInfo(), LastMessageSeq: p.reliable.Load(), IceServers: p.iceServers(), ClientConfiguration: &livekit.ClientConfiguration{},
	}}})
	sink.Send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Update{Update: &livekit.ParticipantUpdate{Participants: people}}})
	sink.Send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{RoomUpdate: &livekit.RoomUpdate{Room: r.infoLocked()}}})
	for _, m := range p.backlog {
		sink.Send(m)
	}
	p.backlog = nil
	p.sinkMu.Unlock()
	p.sendRefreshLocked()
	if old != nil {
		old.Close()
	}
	select {
	case p.ops <- func() { p.sub.resume() }:
	case <-p.done:
	default:
		// A loop with 64 requests waiting will negotiate in any case.
	}
}

// Dropped says that the socket behind this sink is gone. The participant stays for
// the grace time.
func (p *Peer) Dropped(sink Sink) {
	p.sinkMu.Lock()
	defer p.sinkMu.Unlock()
	if p.sink != sink {
		return
	}
	p.sink = nil
	select {
	case <-p.done:
		return
	default:
	}
	p.grace = time.AfterFunc(p.srv.cfg.Grace, func() {
		p.room.leave(p.participant, livekit.DisconnectReason_SIGNAL_CLOSE)
	})
}

// send gives the client a message, or keeps it for a resume when it matters then.
func (p *Peer) send(m *livekit.SignalResponse) {
	p.sinkMu.Lock()
	defer p.sinkMu.Unlock()
	if p.sink != nil {
		p.sink.Send(m)
		return
	}
	switch m.Message.(type) {
	case *livekit.SignalResponse_TrackPublished, *livekit.SignalResponse_Answer, *livekit.SignalResponse_Trickle,
		*livekit.SignalResponse_RequestResponse, *livekit.SignalResponse_Mute, *livekit.SignalResponse_TrackUnpublished:
		if len(p.backlog) < maxBacklog {
			p.backlog = append(p.backlog, m)
		}
	}
}

// SID returns the participant's sid.
func (p *Peer) SID() string { return p.sid }

// Handle takes one request of the client; they are worked on one by one.
func (p *Peer) Handle(req *livekit.SignalRequest) {
	select {
	case p.ops <- func() { p.handle(req) }:
	case <-p.done:
	}
}

func (p *Peer) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// stop ends the peer: the client is told, the loop closes its connections.
func (p *Peer) stop(action livekit.LeaveRequest_Action, reason livekit.DisconnectReason) {
	p.once.Do(func() {
		p.sinkMu.Lock()
		if p.grace != nil {
			p.grace.Stop()
		}
		sink := p.sink
		p.sink = nil
		p.sinkMu.Unlock()
		if sink != nil {
			if action == livekit.LeaveRequest_RECONNECT && p.sdk == "go" {
				// The Go client that is told to join again does not publish again. One that
				// tries to resume in vain does.
				action = livekit.LeaveRequest_RESUME
			}
			if reason != livekit.DisconnectReason_CLIENT_INITIATED {
				sink.Send(leaveMessage(action, reason))
			}
			sink.Close()
		}
		close(p.done)
	})
}

// run is the peer's loop: it owns both connections and all negotiation.
func (p *Peer) run() {
	defer p.srv.peers.Done()
	defer func() {
		if p.sub != nil {
			p.sub.close()
		}
		if p.pub != nil && !p.single {
			p.pub.close()
		}
	}()
	defer p.guard()
	var err error
	if p.single {
		err = p.newSingle()
	} else {
		p.sub, err = newSubscriber(p)
	}
	if err != nil {
		p.srv.log.Error("make subscriber connection", "participant", p.sid, "error", err)
		p.room.leave(p.participant, livekit.DisconnectReason_JOIN_FAILURE)
		return
	}
	p.reconcile()
	p.sub.negotiate()
	for {
		select {
		case <-p.done:
			return
		case op := <-p.ops:
			op()
		case <-p.wake:
			if p.reconcile() {
				p.sub.negotiate()
			}
		}
	}
}

// guard ends a peer whose work panicked, and nobody else. The room's lock may be
// held by what panicked only through defer, which has released it by now.
func (p *Peer) guard() {
	if v := recover(); v != nil {
		p.srv.log.Error("peer panicked", "participant", p.sid, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		p.room.leave(p.participant, livekit.DisconnectReason_STATE_MISMATCH)
	}
}

// wantsLocked tells whether this peer should be subscribed to the track.
func (p *Peer) wantsLocked(t *Track) bool {
	if !p.perm.GetCanSubscribe() || !t.announced || t.ended.Load() {
		return false
	}
	want, said := p.wants[t.sid]
	if !said {
		want = p.auto
	}
	return want && p.room.verdictLocked(p, t) != Deny
}

// reconcile makes the subscriptions what they should be, and tells whether the
// client must be offered the change.
func (p *Peer) reconcile() bool {
	add, current, ok := p.compare()
	if !ok {
		return false
	}
	changed := p.sub.drop(current)
	for _, d := range add {
		if err := p.sub.add(d); err != nil {
			p.srv.log.Error("subscribe", "participant", p.sid, "track", d.track.sid, "error", err)
			continue
		}
		changed = true
	}
	return changed
}

// compare brings the room's list of this peer's subscriptions up to date. It returns
// those that are new and all there are; ok is false when the peer has left.
func (p *Peer) compare() (add []*subTrack, current map[string]*subTrack, ok bool) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.people[p.identity] != p.participant {
		return nil, nil, false
	}
	now := r.srv.now()
	wanted := map[string]bool{}
	for _, o := range r.people {
		if o == p.participant {
			continue
		}
		for _, t := range o.tracks {
			if !p.wantsLocked(t) {
				continue
			}
			wanted[t.sid] = true
			if p.subs[t.sid] != nil {
				continue
			}
			d := newSubTrack(t, p)
			d.settings = p.settings[t.sid]
			d.choose(now)
			p.subs[t.sid] = d
			t.addSub(d)
			r.regateLocked(d, now)
			add = append(add, d)
		}
	}
	for sid, d := range p.subs {
		if !wanted[sid] {
			d.setOpen(false, now)
			d.track.removeSub(d)
			delete(p.subs, sid)
		}
	}
	return add, maps.Clone(p.subs), true
}

// bound is called when a subscription's codec and SSRC are agreed.
func (p *Peer) bound(d *subTrack) {
	d.keyframe(p.srv.now())
	d.track.owner.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackSubscribed{
		TrackSubscribed: &livekit.TrackSubscribed{TrackSid: d.track.sid},
	}})
}

// connected is called when the subscriber connection is up.
func (p *Peer) connected() {
	p.room.activate(p.participant)
	p.room.mu.Lock()
	subs := make([]*subTrack, 0, len(p.subs))
	for _, d := range p.subs {
		subs = append(subs, d)
	}
	p.room.mu.Unlock()
	now := p.srv.now()
	for _, d := range subs {
		d.keyframe(now)
	}
}

func (p *Peer) writePublisherRTCP(packets ...rtcp.Packet) {
	if pub := p.publishing.Load(); pub != nil {
		_ = pub.link.report(nil, packets...)
	}
}

// noteNTP keeps the smallest difference seen between the publisher's clock and ours:
// the report that travelled fastest. All its tracks share it, so lips stay in step.
func (p *Peer) noteNTP(ntp uint64, at time.Time) {
	diff := at.UnixNano() - ntpTime(ntp).UnixNano()
	for {
		old := p.ntp.Load()
		if old != 0 && diff >= old {
			return
		}
		if p.ntp.CompareAndSwap(old, diff) {
			return
		}
	}
}
