package livekit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/twitchtv/twirp"

	"github.com/consilium-health/consilium/sessions"
)

// ErrNotOpen means that the session's room was not opened, or is closed.
var ErrNotOpen = errors.New("livekit: room not open")

// ticketLife is how long a ticket opens its room.
const ticketLife = 60 * time.Second

// emptyLife keeps rooms alive while nobody is in them; Close ends them.
const emptyLife = 24 * 3600

// Config is what New needs.
type Config struct {
	URL         string // of the cluster, ws:// or wss:// without path
	Key, Secret string
	// TicketURL tells the address that clients of a session dial; nil means URL.
	TicketURL func(sessions.SessionID) string
	Log       *slog.Logger // nil: the default logger
}

// Media implements sessions.Media.
type Media struct {
	cfg    Config
	client *lksdk.RoomServiceClient
	log    *slog.Logger

	mu       sync.Mutex
	sessions map[sessions.SessionID]*session // guarded by mu
	watchers map[int]func(sessions.MediaEvent)
	next     int
	serial   int64 // of the newest ticket; begins with the time, so that it grows over restarts
}

var _ sessions.Media = (*Media)(nil)

// quiet keeps the SDK's own log, which names addresses, out of ours.
var quiet = sync.OnceFunc(func() { lksdk.SetLogger(logger.GetDiscardLogger()) })

// New returns the cluster as the sessions room sees it. It dials nothing yet.
func New(cfg Config) *Media {
	quiet()
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Media{
		cfg: cfg, client: lksdk.NewRoomServiceClient(cfg.URL, cfg.Key, cfg.Secret), log: cfg.Log,
		sessions: map[sessions.SessionID]*session{}, watchers: map[int]func(sessions.MediaEvent){},
		serial: time.Now().UnixMicro(),
	}
}

// Stop leaves all rooms without ending them.
func (m *Media) Stop() {
	m.mu.Lock()
	open := m.sessions
	m.sessions = map[sessions.SessionID]*session{}
	m.mu.Unlock()
	for _, s := range open {
		s.stop()
	}
}

func wire(id sessions.SessionID, room sessions.RoomName) string {
	return string(id) + "/" + string(room)
}

func (m *Media) session(id sessions.SessionID) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[id]
}

// Open implements sessions.Media.
func (m *Media) Open(ctx context.Context, id sessions.SessionID, rooms ...sessions.RoomName) error {
	m.mu.Lock()
	s := m.sessions[id]
	if s == nil {
		s = newSession(m, id)
		m.sessions[id] = s
	}
	m.mu.Unlock()
	for _, name := range rooms {
		if err := s.open(ctx, name); err != nil {
			return fmt.Errorf("open room %s: %w", wire(id, name), err)
		}
	}
	return nil
}

// Admit implements sessions.Media.
func (m *Media) Admit(_ context.Context, a sessions.Admission) (sessions.Ticket, error) {
	s := m.session(a.Session)
	if s == nil {
		return sessions.Ticket{}, fmt.Errorf("admit %s to %s: %w", a.Identity, wire(a.Session, a.Room), ErrNotOpen)
	}
	m.mu.Lock()
	m.serial++
	serial := m.serial
	m.mu.Unlock()
	if err := s.admit(a, serial); err != nil {
		return sessions.Ticket{}, fmt.Errorf("admit %s to %s: %w", a.Identity, wire(a.Session, a.Room), err)
	}
	p := permission(a.Rights)
	grant := &auth.VideoGrant{RoomJoin: true, Room: wire(a.Session, a.Room), Hidden: a.Rights.Hidden}
	grant.SetCanSubscribe(false) // granted when they are seen
	grant.SetCanPublish(p.CanPublish)
	grant.SetCanPublishData(p.CanPublishData)
	grant.SetCanPublishSources(p.CanPublishSources)
	expires := time.Now().Add(ticketLife)
	token, err := auth.NewAccessToken(m.cfg.Key, m.cfg.Secret).SetIdentity(string(a.Identity)).SetName(a.Name).
		SetAttributes(a.Attributes).SetMetadata(strconv.FormatInt(serial, 10)).SetVideoGrant(grant).SetValidFor(ticketLife).ToJWT()
	if err != nil {
		return sessions.Ticket{}, fmt.Errorf("admit %s: %w", a.Identity, err)
	}
	url := m.cfg.URL
	if m.cfg.TicketURL != nil {
		url = m.cfg.TicketURL(a.Session)
	}
	return sessions.Ticket{URL: url, Token: token, Room: a.Room, ExpiresAt: expires}, nil
}

// Change implements sessions.Media.
func (m *Media) Change(ctx context.Context, id sessions.SessionID, room sessions.RoomName, who sessions.Identity, rights sessions.Rights) error {
	s := m.session(id)
	if s == nil {
		return fmt.Errorf("change rights of %s: %w", who, ErrNotOpen)
	}
	if err := s.change(ctx, room, who, rights); err != nil {
		return fmt.Errorf("change rights of %s: %w", who, err)
	}
	return nil
}

// Remove implements sessions.Media. A room that is closed has nobody to remove.
func (m *Media) Remove(ctx context.Context, id sessions.SessionID, room sessions.RoomName, who sessions.Identity) error {
	s := m.session(id)
	if s == nil {
		return nil
	}
	s.revoke(room, who)
	if err := m.expel(ctx, wire(id, room), string(who)); err != nil {
		return fmt.Errorf("remove %s from %s: %w", who, wire(id, room), err)
	}
	return nil
}

func (m *Media) expel(ctx context.Context, room, who string) error {
	_, err := m.client.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: room, Identity: who})
	return missing(err)
}

// Route implements sessions.Media.
func (m *Media) Route(ctx context.Context, id sessions.SessionID, routes sessions.Routes) error {
	s := m.session(id)
	if s == nil {
		return fmt.Errorf("route session %s: %w", id, ErrNotOpen)
	}
	if err := s.route(ctx, routes); err != nil {
		return fmt.Errorf("route session %s: %w", id, err)
	}
	return nil
}

// Close implements sessions.Media.
func (m *Media) Close(ctx context.Context, id sessions.SessionID) error {
	m.mu.Lock()
	s := m.sessions[id]
	delete(m.sessions, id)
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	err := s.delete(ctx)
	s.stop()
	s.allLeft()
	if err != nil {
		return fmt.Errorf("close session %s: %w", id, err)
	}
	return nil
}

// Watch implements sessions.Media.
func (m *Media) Watch(f func(sessions.MediaEvent)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	id := m.next
	m.watchers[id] = f
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}

// tell hands out one event. The session's lock is held: its events keep their order.
func (m *Media) tell(e sessions.MediaEvent) {
	m.mu.Lock()
	list := make([]func(sessions.MediaEvent), 0, len(m.watchers))
	for _, f := range m.watchers {
		list = append(list, f)
	}
	m.mu.Unlock()
	e.At = time.Now()
	for _, f := range list {
		f(e)
	}
}

// missing makes no error of what is not there, or no more.
func missing(err error) error {
	var t twirp.Error
	if errors.As(err, &t) && t.Code() == twirp.NotFound {
		return nil
	}
	return err
}

var sources = map[livekit.TrackSource]sessions.Source{
	livekit.TrackSource_MICROPHONE:         sessions.SourceMicrophone,
	livekit.TrackSource_CAMERA:             sessions.SourceCamera,
	livekit.TrackSource_SCREEN_SHARE:       sessions.SourceScreenShare,
	livekit.TrackSource_SCREEN_SHARE_AUDIO: sessions.SourceScreenShareAudio,
}

// permission says rights in the words of the protocol, without the right to
// subscribe. An empty list of sources would mean all of them there, so that who may
// publish nothing may not publish.
func permission(rights sessions.Rights) *livekit.ParticipantPermission {
	p := &livekit.ParticipantPermission{CanPublishData: rights.Data, Hidden: rights.Hidden}
	for source, s := range sources {
		if slices.Contains(rights.Publish, s) {
			p.CanPublishSources = append(p.CanPublishSources, source)
		}
	}
	slices.Sort(p.CanPublishSources)
	p.CanPublish = len(p.CanPublishSources) > 0
	return p
}

// connect joins a room as one of ours.
func (m *Media) connect(ctx context.Context, room, identity string, kind livekit.ParticipantInfo_Kind, attributes map[string]string, grant *auth.VideoGrant, cb *lksdk.RoomCallback) (*lksdk.Room, error) {
	grant.RoomJoin, grant.Room = true, room
	token, err := auth.NewAccessToken(m.cfg.Key, m.cfg.Secret).SetIdentity(identity).SetKind(kind).SetAttributes(attributes).
		SetVideoGrant(grant).SetValidFor(ticketLife).ToJWT()
	if err != nil {
		return nil, err
	}
	r := lksdk.NewRoom(cb)
	r.SetLogger(logger.GetDiscardLogger())
	err = r.JoinWithContextAndToken(ctx, m.cfg.URL, token, lksdk.WithAutoSubscribe(false),
		lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		return nil, fmt.Errorf("join %s as %s: %w", room, identity, err)
	}
	return r, nil
}
