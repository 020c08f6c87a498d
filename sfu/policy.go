package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"
)

// Verdict is what a Policy says of one track and one participant.
type Verdict uint8

// The verdicts, from the least to the most.
const (
	// Deny: the track is not subscribed and no packet flows.
	Deny Verdict = iota
	// Pause: the track is subscribed, no packet flows. A change to Flow needs no
	// renegotiation.
	Pause
	// Flow: packets flow if the participant wants them.
	Flow
)

// Policy has the last word on everything a room forwards. It is asked whenever it
// is replaced and when tracks and participants come, with the room locked: it must
// answer at once from what it holds and never change. A nil Policy is the ordinary
// one of the protocol: everybody receives everybody.
type Policy interface {
	// Track judges a track of publisher for subscriber, both identities. channel is
	// the tag when the track is one of a language channel, and empty otherwise.
	Track(subscriber, publisher, channel string, source livekit.TrackSource) Verdict
	// Data tells whether data packets of one participant reach the other.
	Data(from, to string) bool
}

// DenyAll is the policy of a room before anything is said of who receives what.
type DenyAll struct{}

// Track implements Policy.
func (DenyAll) Track(_, _, _ string, _ livekit.TrackSource) Verdict { return Deny }

// Data implements Policy.
func (DenyAll) Data(_, _ string) bool { return false }

// EventKind names what happened in a room.
type EventKind string

// The events of a server. Those of one server come in the order they happened.
const (
	RoomStarted       EventKind = "room_started"
	RoomFinished      EventKind = "room_finished"
	ParticipantJoined EventKind = "participant_joined"
	ParticipantLeft   EventKind = "participant_left"
	TrackPublished    EventKind = "track_published"
	TrackUnpublished  EventKind = "track_unpublished"
	TrackMuted        EventKind = "track_muted"
	TrackUnmuted      EventKind = "track_unmuted"
	// TrackFlow: the packets of an audio track started, are suspect (none for
	// 400 ms) or lost (none for a second).
	TrackFlow EventKind = "track_flow"
)

// FlowState is what the engine sees of a track's packets.
type FlowState uint32

// The states of a flow, with the silences after which they begin.
const (
	FlowNone FlowState = iota
	Flowing
	Suspect
	Lost
)

const (
	suspectAfter = 400 * time.Millisecond
	lostAfter    = time.Second
)

// Next returns the state after a silence of that length.
func (f FlowState) Next(silent time.Duration) FlowState {
	switch {
	case f == FlowNone:
		return FlowNone
	case silent >= lostAfter:
		return Lost
	case silent >= suspectAfter:
		return Suspect
	default:
		return Flowing
	}
}

// Event is something that happened in a room.
type Event struct {
	ID          string
	Kind        EventKind
	Room        string
	Info        *livekit.Room
	Identity    string
	Participant *livekit.ParticipantInfo
	Track       *livekit.TrackInfo
	Source      livekit.TrackSource
	Flow        FlowState
	At          time.Time
}
