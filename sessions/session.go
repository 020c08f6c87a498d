package sessions

import (
	"errors"
	"log/slog"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// Errors of the room.
var (
	// ErrNotFound means that there is no such session, or none the actor may know of.
	ErrNotFound = errors.New("sessions: not found")
	// ErrEnded means that the session is over.
	ErrEnded = errors.New("sessions: ended")
	// ErrSlow means that the reader of a feed did not keep up.
	ErrSlow = errors.New("sessions: slow reader")
	// ErrReplaced means that the person opened the feed once more, elsewhere.
	ErrReplaced = errors.New("sessions: replaced by a newer connection")
	// ErrProtocol means that a frame was not what the protocol allows.
	ErrProtocol = errors.New("sessions: protocol violated")
	// ErrRate means that commands came faster than a person makes them.
	ErrRate = errors.New("sessions: too many commands")
	// ErrTooMany means that one login holds too many feeds open.
	ErrTooMany = errors.New("sessions: too many feeds")
	// ErrTicket means that the ticket of the page does not open this feed.
	ErrTicket = errors.New("sessions: ticket refused")
	// ErrStopped means that this node stopped running the session; come again.
	ErrStopped = errors.New("sessions: stopped here")
)

// Elsewhere means that another node runs the session.
type Elsewhere struct{ Address string }

func (e *Elsewhere) Error() string { return "sessions: another node runs it" }

// The door of a session opens before the appointment's start and stays open for a
// while after its planned end.
const (
	doorOpens  = scheduling.JoinOpens
	doorCloses = 60 * time.Minute
)

// SessionState is where a session stands.
type SessionState string

// The states of a session.
const (
	SessionOpen    SessionState = "open"    // its door is open, nobody was admitted
	SessionRunning SessionState = "running" // the appointment has begun
	SessionEnded   SessionState = "ended"
)

// Next is the state after an event: "begin" or "end".
func (s SessionState) Next(ev string) (SessionState, bool) {
	switch {
	case s == SessionOpen && ev == "begin":
		return SessionRunning, true
	case s != SessionEnded && ev == "end":
		return SessionEnded, true
	}
	return s, false
}

// Presence is where one participant stands.
type Presence string

// The presences of a participant.
const (
	Expected Presence = "expected"
	InLobby  Presence = "lobby"
	Admitted Presence = "admitted"
	Left     Presence = "left"
	Removed  Presence = "removed"
)

// PresenceEvent is what moves a participant.
type PresenceEvent string

// The events of a participant.
const (
	Arrive   PresenceEvent = "arrive"
	Admit    PresenceEvent = "admit"
	Leave    PresenceEvent = "leave"
	SendBack PresenceEvent = "send_back" // to the lobby
	Expel    PresenceEvent = "remove"    // declined at the door, or removed
)

// Next is the state after ev, and whether ev has a place in p. Who left waits in the
// lobby when coming again; who was removed stays out until let back.
func (p Presence) Next(ev PresenceEvent) (Presence, bool) {
	switch ev {
	case Arrive:
		switch p {
		case Expected, Left:
			return InLobby, true
		case InLobby, Admitted: // a connection came back
			return p, true
		}
	case Admit:
		return Admitted, p == InLobby || p == Admitted
	case Leave:
		return Left, p == InLobby || p == Admitted
	case SendBack:
		return InLobby, p == Admitted || p == Removed
	case Expel:
		return Removed, p != Removed
	}
	return p, false
}

// Session is one consultation.
type Session struct {
	ID           SessionID
	Organization identity.OrganizationID // the clinic whose case it is
	Appointment  scheduling.AppointmentID
	Case         workspace.CaseID
	Kind         scheduling.Kind
	Mode         Mode
	State        SessionState
	Start, End   time.Time
	Closes       time.Time
	Epoch        uint64
	Interpreted  bool // was ever on the air
	feedKey      []byte
}

// LogValue gives the id alone.
func (s Session) LogValue() slog.Value { return slog.StringValue(string(s.ID)) }

// Participant is one person of a session, kept.
type Participant struct {
	ID            Identity
	Session       SessionID
	Person        identity.PersonID
	Role          scheduling.Role
	State         Presence
	Pair          [2]string    // of interpreters
	Spoken        string       // BCP 47
	Listening     string       // "" is the floor
	Place         string       // of the patient, as said at the door
	CheckedAt     time.Time    // devices were checked
	Check         *DeviceCheck // what the check found; nil: not checked
	AdmittedAt    time.Time
	AdmittedBy    identity.PersonID
	Determination string
}

// DeviceCheck is what the check of devices and network found at the door.
type DeviceCheck struct {
	At      time.Time
	Audio   bool
	Video   bool
	Network string // good, fair or poor
}

// LogValue gives the id alone.
func (p Participant) LogValue() slog.Value { return slog.StringValue(string(p.ID)) }

// DoorState says what the page of the lobby shows.
type DoorState string

// The states of a door.
const (
	DoorEarly    DoorState = "early"
	DoorLobby    DoorState = "lobby"
	DoorAdmitted DoorState = "admitted"
	DoorRemoved  DoorState = "removed"
	DoorEnded    DoorState = "ended"
	DoorUnready  DoorState = "unready" // the appointment is not booked (any more)
)

// Door is what one person sees before the room: who they are and when it is. It
// tells nothing of the others and opens no media.
type Door struct {
	State       DoorState
	Appointment scheduling.AppointmentID
	Session     SessionID // "" until the door is open
	Participant Identity
	Role        scheduling.Role
	Name        string // the own
	Language    string // of the interface
	Languages   []string
	Zone        string
	Host        bool // may let others in
	Kind        scheduling.Kind
	Mode        Mode
	Start, End  time.Time
	Opens       time.Time
	Closes      time.Time
	Channels    []string // tags that interpretation offers
	Pair        [2]string
	// AskPlace tells that the person says where they are; Place is what is on file.
	AskPlace bool
	Place    string
	// Ticket is the first frame of the feed; it opens this feed for this login alone.
	Ticket string
}
