package sfu

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// speechLevel is the RFC 6464 level up to which a packet counts as speech.
const speechLevel = 45

// keepDeparted bounds what a resuming client is told of those who left meanwhile.
const keepDeparted = 64

// participant is somebody, or something, that a room shows: a Peer or a language
// channel.
type participant struct {
	sid      string // immutable
	identity string // immutable
	joinedAt time.Time
	kind     livekit.ParticipantInfo_Kind
	peer     *Peer // nil for a channel

	// guarded by room.mu
	name       string
	metadata   string
	attributes map[string]string
	state      livekit.ParticipantInfo_State
	version    uint32
	perm       *livekit.ParticipantPermission
	tracks     []*Track
	told       bool // ParticipantJoined was emitted
	level      float32
}

type admission struct {
	ticket     string
	perm       *livekit.ParticipantPermission
	name       string
	attributes map[string]string
}

// Room is one room of the engine.
type Room struct {
	srv     *Server
	name    string
	sid     string
	created time.Time

	// route serializes Route calls.
	route sync.Mutex

	mu         sync.Mutex
	managed    bool                    // joins need an admission
	policy     Policy                  // nil is the ordinary one
	epoch      uint64                  // of the policy
	admissions map[string]*admission   // by identity
	people     map[string]*participant // by identity
	channels   map[string]*channel     // by tag
	departed   []*livekit.ParticipantInfo
	metadata   string
	emptySince time.Time
	closed     bool

	tap     Tap    // guarded by mu
	trailer []byte // of frames that are made here; fixed
}

func newRoom(s *Server, name string) *Room {
	now := s.now()
	return &Room{
		srv: s, name: name, sid: "RM_" + shortID(), created: now, emptySince: now,
		admissions: map[string]*admission{},
		people:     map[string]*participant{},
		channels:   map[string]*channel{},
		trailer:    newTrailer(),
	}
}

// Name returns the room's name on the wire.
func (r *Room) Name() string { return r.name }

// Info describes the room.
func (r *Room) Info() *livekit.Room {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.infoLocked()
}

func (r *Room) infoLocked() *livekit.Room {
	info := &livekit.Room{
		Sid: r.sid, Name: r.name, Metadata: r.metadata,
		EmptyTimeout:   uint32(r.srv.cfg.EmptyTimeout / time.Second),
		CreationTime:   r.created.Unix(),
		CreationTimeMs: r.created.UnixMilli(),
		EnabledCodecs:  enabledCodecs,
	}
	for _, p := range r.people {
		info.NumParticipants++
		if len(p.tracks) > 0 {
			info.NumPublishers++
		}
	}
	return info
}

var enabledCodecs = []*livekit.Codec{{Mime: "audio/opus"}, {Mime: "video/VP8"}, {Mime: "video/H264"}}

// SetMetadata replaces the room's metadata and tells everybody.
func (r *Room) SetMetadata(metadata string) *livekit.Room {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metadata = metadata
	info := r.infoLocked()
	for _, p := range r.people {
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{RoomUpdate: &livekit.RoomUpdate{Room: info}}})
	}
	return info
}

func (p *participant) send(m *livekit.SignalResponse) {
	if p.peer != nil {
		p.peer.send(m)
	}
}

func (p *participant) infoLocked() *livekit.ParticipantInfo {
	info := &livekit.ParticipantInfo{
		Sid: p.sid, Identity: p.identity, Name: p.name, Metadata: p.metadata,
		State: p.state, Version: p.version, Kind: p.kind,
		JoinedAt: p.joinedAt.Unix(), JoinedAtMs: p.joinedAt.UnixMilli(),
		Permission: p.perm, Attributes: maps.Clone(p.attributes), IsPublisher: len(p.tracks) > 0,
	}
	for _, t := range p.tracks {
		info.Tracks = append(info.Tracks, proto.Clone(t.info).(*livekit.TrackInfo))
	}
	return info
}

// tellLocked sends the participant's present state to everybody who may see it.
func (r *Room) tellLocked(p *participant) {
	p.version++
	info := p.infoLocked()
	m := &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{
		Update: &livekit.ParticipantUpdate{Participants: []*livekit.ParticipantInfo{info}},
	}}
	for _, o := range r.people {
		if o == p || !p.perm.GetHidden() {
			o.send(m)
		}
	}
}

// Participants describes everybody in the room, channels too.
func (r *Room) Participants() []*livekit.ParticipantInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]*livekit.ParticipantInfo, 0, len(r.people))
	for _, p := range r.people {
		infos = append(infos, p.infoLocked())
	}
	return infos
}

// Participant describes one participant.
func (r *Room) Participant(identity string) (*livekit.ParticipantInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[identity]
	if p == nil {
		return nil, fmt.Errorf("participant %s: %w", identity, ErrNoParticipant)
	}
	return p.infoLocked(), nil
}

// enterLocked puts a participant in, ending an older one of that identity first: an
// update with DISCONNECTED is applied by identity.
func (r *Room) enterLocked(p *participant) {
	if old := r.people[p.identity]; old != nil {
		r.leaveLocked(old, livekit.DisconnectReason_DUPLICATE_IDENTITY)
	}
	r.people[p.identity] = p
	r.emptySince = time.Time{}
}

// leaveLocked takes a participant out: routes first, then signals.
func (r *Room) leaveLocked(p *participant, reason livekit.DisconnectReason) {
	if r.people[p.identity] != p {
		return
	}
	delete(r.people, p.identity)
	if p.peer != nil {
		p.peer.countLocked()
		r.srv.count.left(reason)
	}
	for len(p.tracks) > 0 {
		r.unpublishLocked(p.tracks[0])
	}
	if p.peer != nil {
		now := r.srv.now()
		for _, d := range p.peer.subs {
			d.setOpen(false, now)
			d.track.removeSub(d)
		}
		clear(p.peer.subs)
		p.peer.pending = nil
	}
	p.state = livekit.ParticipantInfo_DISCONNECTED
	p.version++
	info := p.infoLocked()
	info.DisconnectReason = reason
	if !p.perm.GetHidden() {
		m := &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{
			Update: &livekit.ParticipantUpdate{Participants: []*livekit.ParticipantInfo{info}},
		}}
		for _, o := range r.people {
			o.send(m)
		}
		r.departed = append(r.departed, info)
		if n := len(r.departed) - keepDeparted; n > 0 {
			r.departed = append(r.departed[:0], r.departed[n:]...)
		}
	}
	if p.told {
		r.srv.emit(Event{Kind: ParticipantLeft, Room: r.name, Info: r.infoLocked(), Identity: p.identity, Participant: info})
	}
	if p.peer != nil {
		action := livekit.LeaveRequest_DISCONNECT
		if reason == livekit.DisconnectReason_SERVER_SHUTDOWN {
			action = livekit.LeaveRequest_RECONNECT // to what starts next
		}
		p.peer.stop(action, reason)
	}
	if len(r.people) == len(r.channels) {
		r.emptySince = r.srv.now()
	}
}

func (r *Room) leave(p *participant, reason livekit.DisconnectReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(p, reason)
}

// joinedLocked marks a participant connected and tells of it once.
func (r *Room) activate(p *participant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.people[p.identity] != p || p.state == livekit.ParticipantInfo_ACTIVE {
		return
	}
	p.state = livekit.ParticipantInfo_ACTIVE
	r.tellLocked(p)
	if !p.told {
		p.told = true
		r.srv.emit(Event{Kind: ParticipantJoined, Room: r.name, Info: r.infoLocked(), Identity: p.identity, Participant: p.infoLocked()})
	}
}

// close ends the room.
func (r *Room) close(reason livekit.DisconnectReason) {
	r.srv.mu.Lock()
	if r.srv.rooms[r.name] == r {
		delete(r.srv.rooms, r.name)
	}
	r.srv.mu.Unlock()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	for _, p := range r.people {
		if p.peer != nil && reason == livekit.DisconnectReason_SERVER_SHUTDOWN {
			p.peer.sendRefreshLocked() // what it may do now, for the engine it joins next
		}
		r.leaveLocked(p, reason)
	}
	clear(r.admissions)
	info := r.infoLocked()
	r.mu.Unlock()
	r.srv.feeds.dropRoom(r)
	r.srv.emit(Event{Kind: RoomFinished, Room: r.name, Info: info})
}

// publishLocked announces a track: its first packet is there, or it is a channel's.
func (r *Room) publishLocked(t *Track) {
	t.announced = true
	t.owner.tracks = append(t.owner.tracks, t)
	r.tapLocked(t)
	r.tellLocked(t.owner)
	r.wakeLocked()
	if t.owner.peer == nil {
		return
	}
	r.srv.emit(Event{
		Kind: TrackPublished, Room: r.name, Info: r.infoLocked(), Identity: t.owner.identity, Source: t.source,
		Participant: t.owner.infoLocked(), Track: proto.Clone(t.info).(*livekit.TrackInfo),
	})
	if t.muted.Load() {
		r.emitMuteLocked(t)
	}
	r.srv.feeds.published(r, t)
}

// unpublishLocked ends a track: packets first, then subscriptions and signals.
func (r *Room) unpublishLocked(t *Track) {
	i := -1
	for k, o := range t.owner.tracks {
		if o == t {
			i = k
		}
	}
	if i < 0 {
		return
	}
	t.ended.Store(true)
	t.untap()
	t.owner.tracks = append(t.owner.tracks[:i:i], t.owner.tracks[i+1:]...)
	if t.owner.peer != nil {
		t.owner.peer.grantLocked()
	}
	now := r.srv.now()
	for _, d := range t.subscribers() {
		d.setOpen(false, now)
		delete(d.peer.subs, t.sid)
	}
	t.subs.Store(nil)
	r.srv.feeds.unpublished(r, t, now)
	if r.people[t.owner.identity] == t.owner {
		r.tellLocked(t.owner)
	}
	r.wakeLocked()
	if t.owner.peer != nil {
		if FlowState(t.flow.Swap(uint32(FlowNone))) != FlowNone {
			r.emitFlow(t, Lost)
		}
		r.srv.emit(Event{
			Kind: TrackUnpublished, Room: r.name, Info: r.infoLocked(), Identity: t.owner.identity, Source: t.source,
			Participant: t.owner.infoLocked(), Track: proto.Clone(t.info).(*livekit.TrackInfo),
		})
	}
}

// wakeLocked lets every peer compare what it subscribes with what it should.
func (r *Room) wakeLocked() {
	for _, p := range r.people {
		if p.peer != nil {
			p.peer.wakeUp()
		}
	}
}

// muteLocked mutes or unmutes a track at the server: its packets stop here.
func (r *Room) muteLocked(t *Track, muted bool) {
	if t.info.Muted == muted {
		return
	}
	t.info.Muted = muted
	t.muted.Store(muted)
	r.regateTrackLocked(t)
	if muted {
		r.srv.feeds.silence(t, r.srv.now())
	}
	if t.announced {
		r.tellLocked(t.owner)
		r.emitMuteLocked(t)
	}
}

func (r *Room) emitMuteLocked(t *Track) {
	kind := TrackUnmuted
	if t.info.Muted {
		kind = TrackMuted
	}
	r.srv.emit(Event{
		Kind: kind, Room: r.name, Info: r.infoLocked(), Identity: t.owner.identity, Source: t.source,
		Participant: t.owner.infoLocked(), Track: proto.Clone(t.info).(*livekit.TrackInfo),
	})
}

func (r *Room) emitFlow(t *Track, f FlowState) {
	if t.owner.peer == nil {
		return
	}
	r.srv.emit(Event{Kind: TrackFlow, Room: r.name, Identity: t.owner.identity, Source: t.source, Flow: f})
}

// Mute mutes or unmutes a published track. Unmuting somebody's microphone from
// afar is refused: ErrGrant.
func (r *Room) Mute(identity, sid string, muted bool) (*livekit.TrackInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[identity]
	if p == nil {
		return nil, fmt.Errorf("mute track of %s: %w", identity, ErrNoParticipant)
	}
	for _, t := range p.tracks {
		if t.sid != sid {
			continue
		}
		if !muted && t.info.Muted {
			return nil, fmt.Errorf("unmute track %s: %w", sid, ErrGrant)
		}
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Mute{Mute: &livekit.MuteTrackRequest{Sid: sid, Muted: muted}}})
		r.muteLocked(t, muted)
		return proto.Clone(t.info).(*livekit.TrackInfo), nil
	}
	return nil, fmt.Errorf("track %s: %w", sid, ErrNoParticipant)
}

// verdictLocked asks the policy about one track and one subscriber.
func (r *Room) verdictLocked(p *Peer, t *Track) Verdict {
	if r.policy == nil {
		return Flow
	}
	return r.policy.Track(p.identity, t.owner.identity, t.channel, t.source)
}

// regateLocked opens or closes one subscription after policy, mute and wish.
func (r *Room) regateLocked(d *subTrack, now time.Time) {
	d.verdict = r.verdictLocked(d.peer, d.track)
	open := d.verdict == Flow && d.peer.perm.GetCanSubscribe() && !d.track.muted.Load() && !d.settings.GetDisabled()
	weak := d.track.video() && (d.peer.give.level == givingAll || d.cap < 0)
	d.setOpen(open && !weak, now)
	state := livekit.StreamState_ACTIVE
	if d.verdict != Flow || weak {
		state = livekit.StreamState_PAUSED
	}
	if state != d.told {
		d.told = state
		if weak && d.verdict == Flow {
			r.srv.count.pauses.Add(1)
		}
		d.peer.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_StreamStateUpdate{
			StreamStateUpdate: &livekit.StreamStateUpdate{StreamStates: []*livekit.StreamStateInfo{{
				ParticipantSid: d.track.owner.sid, TrackSid: d.track.sid, State: state,
			}}},
		}})
	}
}

func (r *Room) regateTrackLocked(t *Track) {
	now := r.srv.now()
	for _, d := range t.subscribers() {
		r.regateLocked(d, now)
	}
}

// regateAllLocked applies a changed policy: every gate now, subscriptions after.
func (r *Room) regateAllLocked() {
	now := r.srv.now()
	for _, p := range r.people {
		if p.peer == nil {
			continue
		}
		for _, d := range p.peer.subs {
			r.regateLocked(d, now)
		}
		p.peer.wakeUp()
	}
}

// Admit lets one identity into the room and returns a ticket for it.
func (r *Room) Admit(identity, name string, attributes map[string]string, perm *livekit.ParticipantPermission) (ticket string, expires time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return "", time.Time{}, fmt.Errorf("admit to room %s: %w", r.name, ErrNoRoom)
	}
	a := r.admissions[identity]
	if a == nil {
		a = &admission{ticket: itoa(int(r.srv.tickets.Add(1)))}
		r.admissions[identity] = a
	}
	a.name, a.attributes, a.perm = name, maps.Clone(attributes), perm
	r.applyPermissionLocked(identity, perm)
	return r.ticketLocked(identity, a, ticketLife)
}

func (r *Room) ticketLocked(identity string, a *admission, life time.Duration) (string, time.Time, error) {
	var c Claims
	c.ID = a.ticket
	c.Subject = identity
	c.Identity = identity
	c.Name = a.name
	c.Attributes = a.attributes
	c.Video = grantOf(r.name, a.perm)
	return r.srv.Sign(c, life)
}

// Change replaces what an identity may do.
func (r *Room) Change(identity string, perm *livekit.ParticipantPermission) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.admissions[identity]; a != nil {
		a.perm = perm
	}
	r.applyPermissionLocked(identity, perm)
}

func (r *Room) applyPermissionLocked(identity string, perm *livekit.ParticipantPermission) {
	p := r.people[identity]
	if p == nil || p.peer == nil || proto.Equal(p.perm, perm) {
		return
	}
	p.perm = perm
	for _, t := range append([]*Track(nil), p.tracks...) {
		if !mayPublish(perm, t.source) {
			r.unpublishLocked(t)
			p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackUnpublished{
				TrackUnpublished: &livekit.TrackUnpublishedResponse{TrackSid: t.sid},
			}})
		}
	}
	pending := p.peer.pending[:0]
	for _, t := range p.peer.pending {
		if mayPublish(perm, t.source) {
			pending = append(pending, t)
		}
	}
	p.peer.pending = pending
	p.peer.grantLocked()
	now := r.srv.now()
	for _, d := range p.peer.subs {
		r.regateLocked(d, now)
	}
	r.tellLocked(p)
	p.peer.wakeUp()
}

// Remove disconnects an identity and revokes its tickets. It reports whether
// somebody was there.
func (r *Room) Remove(identity string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.admissions, identity)
	p := r.people[identity]
	if p == nil || p.peer == nil {
		return false
	}
	r.leaveLocked(p, livekit.DisconnectReason_PARTICIPANT_REMOVED)
	return true
}

// Update changes what the others see of a participant; nil leaves a thing as it is.
func (r *Room) Update(identity string, name, metadata *string, attributes map[string]string, perm *livekit.ParticipantPermission) (*livekit.ParticipantInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[identity]
	if p == nil {
		return nil, fmt.Errorf("update participant %s: %w", identity, ErrNoParticipant)
	}
	r.updateLocked(p, name, metadata, attributes)
	if perm != nil {
		if a := r.admissions[identity]; a != nil {
			a.perm = perm
		}
		r.applyPermissionLocked(identity, perm)
	}
	return p.infoLocked(), nil
}

func (r *Room) updateLocked(p *participant, name, metadata *string, attributes map[string]string) {
	if name != nil {
		p.name = *name
	}
	if metadata != nil {
		p.metadata = *metadata
	}
	if len(attributes) > 0 {
		next := maps.Clone(p.attributes)
		if next == nil {
			next = map[string]string{}
		}
		for k, v := range attributes {
			if v == "" {
				delete(next, k)
			} else {
				next[k] = v
			}
		}
		p.attributes = next
	}
	r.tellLocked(p)
}

// Subscribe changes an identity's wish for tracks; the policy has the last word.
func (r *Room) Subscribe(identity string, sids []string, subscribe bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[identity]
	if p == nil || p.peer == nil {
		return fmt.Errorf("update subscriptions of %s: %w", identity, ErrNoParticipant)
	}
	for _, sid := range sids {
		p.peer.wants[sid] = subscribe
	}
	p.peer.wakeUp()
	return nil
}
