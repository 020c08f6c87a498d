package scheduling

import (
	"log/slog"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Ids are UUIDv7.
type (
	AppointmentID string
	SeatID        string
	// CaseRef is the id of a case, opaque here; see CaseFacts.
	CaseRef string
)

// Kind is the kind of a visit, named like the activity that it is.
type Kind string

// The kinds of visit.
const (
	// JointVideoVisit: the specialist sees the patient on video, the local physician
	// present.
	JointVideoVisit Kind = "joint_video_visit"
	// Advice: the specialist advises the local physician, without the patient.
	Advice Kind = "advise_physician"
)

// visit is what a kind of visit asks for.
type visit struct {
	duration time.Duration // if none is asked for
	patient  bool          // the patient takes part
}

var visits = map[Kind]visit{
	JointVideoVisit: {duration: 30 * time.Minute, patient: true},
	Advice:          {duration: 30 * time.Minute},
}

// Role is what a seat is for.
type Role string

// The roles of seats.
const (
	RolePatient        Role = "patient"
	RoleLocalPhysician Role = "local_physician"
	RoleSpecialist     Role = "specialist"
	RoleInterpreter    Role = "interpreter"
	RoleCoordinator    Role = "coordinator"
	RoleObserver       Role = "observer"
)

// Clinician tells whether the role practises, so that its seat rests on a
// determination.
func (r Role) Clinician() bool { return r == RoleLocalPhysician || r == RoleSpecialist }

// Response is what the person seated answered (FHIR R4 Appointment.participant.status).
type Response string

// The responses of a seat.
const (
	NeedsAction Response = "needs-action"
	Accepted    Response = "accepted"
	Declined    Response = "declined"
	Tentative   Response = "tentative"
)

// Appointment is a booked time. Its truth is the local start on the anchor clock;
// StartAt is derived from it by the zone data named in ZoneVersion.
type Appointment struct {
	ID           AppointmentID
	Organization identity.OrganizationID // the clinic that booked it
	Kind         Kind
	Case         CaseRef
	StartLocal   Wall
	AnchorZone   string
	AnchorPerson identity.PersonID // whose clock keeps its wall time
	StartAt      time.Time         // UTC
	Duration     time.Duration
	ZoneVersion  string
	UID          string // of the calendar file
	Sequence     int    // of the calendar file
	// Interpreted is the language pair an interpreter carries; zero if everybody shares
	// a language.
	Interpreted [2]string
	State       State
	HeldUntil   time.Time // of a hold: when it lapses
	Reason      string    // code, why canceled or in need of attention
	Tasks       []Task
	Note        string // shown to the people seated
	// Override is why limits were set aside for it, in words; Overridden which.
	Override   string
	Overridden []Overridden
	Version    int
	CreatedBy  identity.PersonID
	CreatedAt  time.Time
	Seats      []Seat
}

// End is the instant at which it ends.
func (a Appointment) End() time.Time { return a.StartAt.Add(a.Duration) }

// Opens is the instant from which it may be entered.
func (a Appointment) Opens() time.Time { return a.StartAt.Add(-JoinOpens) }

// Joinable tells whether it may be entered at an instant: everybody said yes, it is
// not long before the start and not after the end.
func (a Appointment) Joinable(at time.Time) bool {
	switch a.State {
	case StateBooked:
		return !at.Before(a.Opens()) && at.Before(a.End())
	case StateInProgress:
		return true
	}
	return false
}

// Seat returns the live seat of a person.
func (a Appointment) Seat(person identity.PersonID) (Seat, bool) {
	for _, s := range a.Seats {
		if s.Person == person && !s.Released {
			return s, true
		}
	}
	return Seat{}, false
}

// LogValue gives the id alone.
func (a Appointment) LogValue() slog.Value { return slog.StringValue(string(a.ID)) }

// Seat is one person in one appointment.
type Seat struct {
	ID            SeatID
	Person        identity.PersonID
	Role          Role
	Required      bool
	During        Range // with buffers
	Response      Response
	Determination string    // id; clinicians only
	Pair          [2]string // interpreters: the languages carried, BCP 47
	Leg           int       // interpreters: 0 direct; 1 and 2 the legs of a relay
	AttestedAt    time.Time // interpreters: when they promised confidentiality; zero if not yet
	Released      bool      // keeps nobody any more
}

// Task is a condition that must be met before the appointment starts. Booking is
// allowed while it is open; joining is not.
type Task struct {
	Condition string            `json:"condition"` // name of the condition, such as "consent=telehealth"
	Person    identity.PersonID `json:"person"`    // the clinician whose determination asks for it
	Activity  string            `json:"activity"`
}
