package sessions

import (
	"context"
	"time"
)

// SessionID identifies a consultation (UUIDv7).
type SessionID string

// RoomName is the name of one room of a session: "main" (everybody admitted),
// "aside" (clinicians without the patient) or "booth/<pair>" (interpreters of one
// language pair). Separation of rooms keeps a private word private on both engines.
type RoomName string

// RoomMain is the room that everybody admitted to the session joins.
const RoomMain RoomName = "main"

// Identity names one participant of a session to the media engine. It is the
// seat's id (UUIDv7), never a person's name. Server-made channel participants have
// identities of the form "channel:<tag>".
type Identity string

// Source is what a track shows or carries, in the words of the LiveKit protocol.
type Source string

// The sources a participant may be allowed to publish.
const (
	SourceMicrophone       Source = "microphone"
	SourceCamera           Source = "camera"
	SourceScreenShare      Source = "screen_share"
	SourceScreenShareAudio Source = "screen_share_audio"
)

// Rights are what a participant may do in one room. The zero value permits nothing.
type Rights struct {
	Publish   []Source // sources the participant may publish; empty: none
	Subscribe bool     // may receive what the session's Routes let through
	Data      bool     // may send data packets
	Hidden    bool     // not shown to the other participants
}

// Admission asks the engine to let one participant into one room.
type Admission struct {
	Session    SessionID
	Room       RoomName
	Identity   Identity
	Name       string            // shown to the others in the room
	Attributes map[string]string // shown to the others: "role", "language", ...
	Rights     Rights
}

// Ticket opens one room for one identity. It is valid for 60 seconds and only
// opens the signaling socket; rights are enforced by the engine afterwards.
type Ticket struct {
	URL       string // ws:// or wss:// address of the engine, without path
	Token     string // LiveKit access token (HS256)
	Room      RoomName
	ExpiresAt time.Time
}

// ChannelRoute says which leg feeds one of the two audio tracks of a language
// channel. The server-made participant "channel:<tag>" of room main publishes
// tracks named "out.0" and "out.1"; both exist from the first Route that names
// the tag until Close, whatever feeds them.
type ChannelRoute struct {
	Tag  string   // BCP 47 tag of the channel, "ar"
	Slot int      // 0 or 1
	Room RoomName // room in which the leg is published; "" feeds nothing
	Leg  Identity // participant whose microphone track is the leg; "" feeds nothing
}

// Reception says what one participant of room main receives. Who is not in
// Routes.Receive receives nothing at all (default deny).
type Reception struct {
	// Floor: the microphone, camera and screen tracks of the other participants.
	Floor bool
	// Channels are the tags whose tracks flow. Tracks of other channels stay
	// subscribed but paused, so that a switch costs no renegotiation.
	Channels []string
	// Silenced are publishers whose tracks are withheld from this participant
	// although Floor is set (consent, private routes, strict consecutive mode).
	Silenced []Identity
}

// Routes is the whole routing of a session, replaced at once. Epoch grows with
// every change; an engine ignores routes older than the ones it has.
type Routes struct {
	Epoch    uint64
	Channels []ChannelRoute
	// Receive is keyed by the identity in room main. Inside a booth everybody
	// receives everybody; a leg reaches main only through a ChannelRoute.
	Receive map[Identity]Reception
	// Record are the participants whose voice and picture may be recorded, in whichever
	// room and channel: all that is needed was agreed to. Nobody else's is ever taken.
	// The engine in this process obeys it packet by packet; a cluster records nothing.
	Record []Identity
}

// MediaEventKind names what happened at the engine.
type MediaEventKind string

// The events an engine reports. They arrive in order for each session.
const (
	MediaJoined      MediaEventKind = "joined"      // participant connected
	MediaLeft        MediaEventKind = "left"        // participant gone (grace time over, left or removed)
	MediaPublished   MediaEventKind = "published"   // Source is set
	MediaUnpublished MediaEventKind = "unpublished" // Source is set
	MediaMuted       MediaEventKind = "muted"       // Source is set
	MediaUnmuted     MediaEventKind = "unmuted"     // Source is set
	// MediaFlow: packets of a booth leg or floor microphone started flowing,
	// became suspect (none for 400 ms) or were lost (none for 1000 ms). Flow is set.
	MediaFlow MediaEventKind = "flow"
)

// Flow is the state of a published audio track as the engine sees its packets.
type Flow string

// The states of a flow (design: interpretation, section 6.2).
const (
	FlowFlowing Flow = "flowing"
	FlowSuspect Flow = "suspect"
	FlowLost    Flow = "lost"
)

// MediaEvent is something the engine saw.
type MediaEvent struct {
	Session  SessionID
	Room     RoomName
	Identity Identity
	Kind     MediaEventKind
	Source   Source
	Flow     Flow
	At       time.Time
}

// Media is the engine that carries a session's sound and pictures. sfu/embedded
// implements it in this process, sfu/livekit on a LiveKit cluster; sfu/mediatest
// states what both promise. Every method may be repeated with the same arguments
// without further effect, may be called from any goroutine, and blocks at most
// until its context ends.
type Media interface {
	// Open makes the rooms of a session. Admit to a room that is not open fails.
	Open(ctx context.Context, session SessionID, rooms ...RoomName) error
	// Admit returns a fresh ticket for one participant in one room.
	Admit(ctx context.Context, a Admission) (Ticket, error)
	// Change replaces the rights of a participant; tracks no longer allowed end.
	// It is no error if the participant is not connected.
	Change(ctx context.Context, session SessionID, room RoomName, who Identity, rights Rights) error
	// Remove disconnects a participant within 100 ms and revokes tickets given
	// before. It is no error if the participant is not connected.
	Remove(ctx context.Context, session SessionID, room RoomName, who Identity) error
	// Route replaces the routes of a session: server side, next packet.
	Route(ctx context.Context, session SessionID, routes Routes) error
	// Close ends all rooms of a session.
	Close(ctx context.Context, session SessionID) error
	// Watch calls f for every event from now on, in order for each session, until
	// stop is called. f must not block and must not call the engine.
	Watch(f func(MediaEvent)) (stop func())
}
