package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/livekit/protocol/livekit"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu"
)

// ErrNotOpen means that the session's room was not opened, or is closed.
var ErrNotOpen = errors.New("embedded: room not open")

// Config is what New needs.
type Config struct {
	Server *sfu.Server
	// URL tells the address of the engine for a session, ws:// or wss:// without path.
	URL func(sessions.SessionID) string
}

// Media implements sessions.Media.
type Media struct {
	server *sfu.Server
	url    func(sessions.SessionID) string

	mu    sync.Mutex
	rooms map[sessions.SessionID][]sessions.RoomName // guarded by mu
}

var _ sessions.Media = (*Media)(nil)

// New returns the engine as the sessions room sees it.
func New(cfg Config) *Media {
	return &Media{server: cfg.Server, url: cfg.URL, rooms: map[sessions.SessionID][]sessions.RoomName{}}
}

func wire(session sessions.SessionID, room sessions.RoomName) string {
	return string(session) + "/" + string(room)
}

// Open implements sessions.Media.
func (m *Media) Open(_ context.Context, session sessions.SessionID, rooms ...sessions.RoomName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, room := range rooms {
		name := wire(session, room)
		if err := m.server.Open(name); err != nil {
			return fmt.Errorf("open room %s: %w", name, err)
		}
		if !slices.Contains(m.rooms[session], room) {
			m.rooms[session] = append(m.rooms[session], room)
		}
		if room != sessions.RoomMain {
			// Outside main everybody receives everybody.
			if err := m.server.Route(context.Background(), name, sfu.Routing{}); err != nil {
				return fmt.Errorf("open room %s: %w", name, err)
			}
		}
	}
	return nil
}

func (m *Media) room(session sessions.SessionID, room sessions.RoomName) (*sfu.Room, error) {
	r := m.server.Room(wire(session, room))
	if r == nil {
		return nil, fmt.Errorf("room %s: %w", wire(session, room), ErrNotOpen)
	}
	return r, nil
}

// Admit implements sessions.Media.
func (m *Media) Admit(_ context.Context, a sessions.Admission) (sessions.Ticket, error) {
	r, err := m.room(a.Session, a.Room)
	if err != nil {
		return sessions.Ticket{}, fmt.Errorf("admit %s: %w", a.Identity, err)
	}
	token, expires, err := r.Admit(string(a.Identity), a.Name, a.Attributes, permission(a.Rights))
	if err != nil {
		return sessions.Ticket{}, fmt.Errorf("admit %s: %w", a.Identity, err)
	}
	return sessions.Ticket{URL: m.url(a.Session), Token: token, Room: a.Room, ExpiresAt: expires}, nil
}

// Change implements sessions.Media.
func (m *Media) Change(_ context.Context, session sessions.SessionID, room sessions.RoomName, who sessions.Identity, rights sessions.Rights) error {
	r, err := m.room(session, room)
	if err != nil {
		return fmt.Errorf("change rights of %s: %w", who, err)
	}
	r.Change(string(who), permission(rights))
	return nil
}

// Remove implements sessions.Media. A room that is closed has nobody to remove.
func (m *Media) Remove(_ context.Context, session sessions.SessionID, room sessions.RoomName, who sessions.Identity) error {
	if r := m.server.Room(wire(session, room)); r != nil {
		r.Remove(string(who))
	}
	return nil
}

// Route implements sessions.Media.
func (m *Media) Route(ctx context.Context, session sessions.SessionID, routes sessions.Routes) error {
	next := sfu.Routing{Epoch: routes.Epoch, Policy: newPolicy(routes)}
	for _, c := range routes.Channels {
		f := sfu.Feed{Tag: c.Tag, Slot: c.Slot, Identity: string(c.Leg)}
		if c.Room != "" && c.Leg != "" {
			f.Room = wire(session, c.Room)
		}
		next.Feeds = append(next.Feeds, f)
	}
	if err := m.server.Route(ctx, wire(session, sessions.RoomMain), next); err != nil {
		if errors.Is(err, sfu.ErrNoRoom) {
			err = ErrNotOpen
		}
		return fmt.Errorf("route session %s: %w", session, err)
	}
	return nil
}

// Close implements sessions.Media.
func (m *Media) Close(_ context.Context, session sessions.SessionID) error {
	m.mu.Lock()
	rooms := m.rooms[session]
	delete(m.rooms, session)
	m.mu.Unlock()
	for _, room := range rooms {
		m.server.Delete(wire(session, room))
	}
	return nil
}

// Watch implements sessions.Media.
func (m *Media) Watch(f func(sessions.MediaEvent)) (stop func()) {
	return m.server.Watch(func(e sfu.Event) {
		if out, ok := translate(e); ok {
			f(out)
		}
	})
}

var kinds = map[sfu.EventKind]sessions.MediaEventKind{
	sfu.ParticipantJoined: sessions.MediaJoined,
	sfu.ParticipantLeft:   sessions.MediaLeft,
	sfu.TrackPublished:    sessions.MediaPublished,
	sfu.TrackUnpublished:  sessions.MediaUnpublished,
	sfu.TrackMuted:        sessions.MediaMuted,
	sfu.TrackUnmuted:      sessions.MediaUnmuted,
	sfu.TrackFlow:         sessions.MediaFlow,
}

var flows = map[sfu.FlowState]sessions.Flow{
	sfu.Flowing: sessions.FlowFlowing,
	sfu.Suspect: sessions.FlowSuspect,
	sfu.Lost:    sessions.FlowLost,
}

var sources = map[livekit.TrackSource]sessions.Source{
	livekit.TrackSource_MICROPHONE:         sessions.SourceMicrophone,
	livekit.TrackSource_CAMERA:             sessions.SourceCamera,
	livekit.TrackSource_SCREEN_SHARE:       sessions.SourceScreenShare,
	livekit.TrackSource_SCREEN_SHARE_AUDIO: sessions.SourceScreenShareAudio,
}

// translate says an event of the engine in the words of sessions; ok is false for
// what sessions does not hear of.
func translate(e sfu.Event) (out sessions.MediaEvent, ok bool) {
	kind, ok := kinds[e.Kind]
	if !ok {
		return sessions.MediaEvent{}, false
	}
	session, room, ok := strings.Cut(e.Room, "/")
	if !ok {
		return sessions.MediaEvent{}, false
	}
	return sessions.MediaEvent{
		Session: sessions.SessionID(session), Room: sessions.RoomName(room), Identity: sessions.Identity(e.Identity),
		Kind: kind, Source: sources[e.Source], Flow: flows[e.Flow], At: e.At,
	}, true
}

// permission says rights in the words of the protocol. Sources are always listed:
// there an empty list would mean all of them.
func permission(rights sessions.Rights) *livekit.ParticipantPermission {
	p := &livekit.ParticipantPermission{
		CanSubscribe: rights.Subscribe, CanPublishData: rights.Data, Hidden: rights.Hidden,
		CanPublish: len(rights.Publish) > 0,
	}
	for source, s := range sources {
		if slices.Contains(rights.Publish, s) {
			p.CanPublishSources = append(p.CanPublishSources, source)
		}
	}
	slices.Sort(p.CanPublishSources)
	if len(p.CanPublishSources) == 0 {
		p.CanPublish = false
	}
	return p
}

// policy is the sfu.Policy of one epoch of routes; it never changes.
type policy struct {
	receive map[string]reception
	record  map[string]bool
}

type reception struct {
	floor    bool
	channels map[string]bool
	silenced map[string]bool
}

func newPolicy(routes sessions.Routes) *policy {
	p := &policy{receive: map[string]reception{}, record: map[string]bool{}}
	for _, who := range routes.Record {
		p.record[string(who)] = true
	}
	for who, in := range routes.Receive {
		r := reception{floor: in.Floor, channels: map[string]bool{}, silenced: map[string]bool{}}
		for _, tag := range in.Channels {
			r.channels[tag] = true
		}
		for _, s := range in.Silenced {
			r.silenced[string(s)] = true
		}
		p.receive[string(who)] = r
	}
	return p
}

// Track implements sfu.Policy.
func (p *policy) Track(subscriber, publisher, channel string, _ livekit.TrackSource) sfu.Verdict {
	r, ok := p.receive[subscriber]
	switch {
	case !ok:
		return sfu.Deny
	case channel != "":
		if r.channels[channel] {
			return sfu.Flow
		}
		return sfu.Pause
	case !r.floor:
		return sfu.Deny
	case r.silenced[publisher]:
		return sfu.Pause
	default:
		return sfu.Flow
	}
}

// Data implements sfu.Policy: who receives nothing gets no data either.
func (p *policy) Data(from, to string) bool {
	r, ok := p.receive[to]
	return ok && !r.silenced[from]
}

// Record implements sfu.Recorder: whose voice it is counts, also in a language channel.
func (p *policy) Record(speaker, _ string, _ livekit.TrackSource) bool { return p.record[speaker] }
