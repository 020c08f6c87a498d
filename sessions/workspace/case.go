package workspace

import (
	"log/slog"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Ids are UUIDv7.
type (
	CaseID     string
	ConsentID  string
	FileID     string
	MessageID  string
	DocumentID string // an opinion or a decision
	RequestID  string // a document prepared for signing
	ReadBackID string
)

// State is where a case stands.
type State string

// The states of a case (design casework, section 2).
const (
	Draft      State = "draft"
	Submitted  State = "submitted"
	Triaged    State = "triaged"
	Assigned   State = "assigned"
	Advised    State = "advised"
	Decided    State = "decided"
	HandedBack State = "handed_back"
	Closed     State = "closed"
	Returned   State = "returned"  // more information is asked for
	Declined   State = "declined"  // by a specialist; it goes back to triage
	Withdrawn  State = "withdrawn" // by the local physician
)

// Event is what moves a case.
type Event string

// The events of a case.
const (
	Submit       Event = "submit"
	Triage       Event = "triage"
	Assign       Event = "assign"
	Return       Event = "return"
	Decline      Event = "decline"
	GiveOpinion  Event = "give_opinion"
	SignDecision Event = "sign_decision"
	HandBack     Event = "hand_back"
	Close        Event = "close"
	Withdraw     Event = "withdraw"
)

// Next is the state after ev, and whether ev is allowed in s. It is the only place
// that knows the transitions.
func (s State) Next(ev Event) (State, bool) {
	switch s {
	case Draft:
		switch ev {
		case Submit:
			return Submitted, true
		case Withdraw:
			return Withdrawn, true
		}
	case Submitted:
		switch ev {
		case Triage:
			return Triaged, true
		case Return:
			return Returned, true
		case Withdraw:
			return Withdrawn, true
		}
	case Returned:
		switch ev {
		case Submit:
			return Submitted, true
		case Withdraw:
			return Withdrawn, true
		}
	case Triaged:
		switch ev {
		case Assign:
			return Assigned, true
		case Return:
			return Returned, true
		case Withdraw:
			return Withdrawn, true
		}
	case Assigned:
		switch ev {
		case GiveOpinion:
			return Advised, true
		case Decline:
			return Declined, true
		case Return:
			return Returned, true
		case Withdraw:
			return Withdrawn, true
		}
	case Declined:
		switch ev {
		case Triage:
			return Triaged, true
		case Withdraw:
			return Withdrawn, true
		}
	case Advised:
		switch ev {
		case GiveOpinion: // a second opinion stands beside the first
			return Advised, true
		case SignDecision:
			return Decided, true
		}
	case Decided:
		if ev == HandBack {
			return HandedBack, true
		}
	case HandedBack:
		if ev == Close {
			return Closed, true
		}
	}
	return s, false
}

// Editable tells whether the local physician may still change the question.
func (s State) Editable() bool { return s == Draft || s == Returned }

// Over tells whether nothing follows any more.
func (s State) Over() bool { return s == Closed || s == Withdrawn }

// Urgency says how soon an answer is needed.
type Urgency string

// The urgencies, each with the clock by which an answer is due.
const (
	Routine   Urgency = "routine"
	Soon      Urgency = "soon"
	Urgent    Urgency = "urgent"
	Emergency Urgency = "emergency"
)

// AnswerWithin is the clock of an urgency until programs bring protocols of their
// own: what a hospital's on-call rules usually ask.
func (u Urgency) AnswerWithin() time.Duration {
	switch u {
	case Emergency:
		return time.Hour
	case Urgent:
		return 6 * time.Hour
	case Soon:
		return 48 * time.Hour
	default:
		return 7 * 24 * time.Hour
	}
}

// Role is what a person is in one case.
type Role string

// The roles of members.
const (
	RoleResponsible Role = "responsible" // the one responsible local physician
	RoleSpecialist  Role = "specialist"
	RolePatient     Role = "patient"
	RoleObserver    Role = "observer"
)

// Case is the part of a case that is not clinical.
type Case struct {
	ID           CaseID
	Organization identity.OrganizationID
	Number       string // speakable, with a check letter: "2417-K"
	State        State
	Version      int
	Specialty    string
	Urgency      Urgency
	Responsible  identity.PersonID
	Specialist   identity.PersonID // "" until assigned
	// Place is where the patient is (ISO 3166), as last asked and recorded.
	Place      string
	PlaceAt    time.Time // zero: never asked
	PlaceBy    identity.PersonID
	PlaceHow   string
	Zone       string // IANA zone of the place
	Languages  []string
	CreatedAt  time.Time
	DueAt      time.Time // when the answer is due; zero before submission
	Reason     string    // code: why returned, declined or withdrawn
	ChangedAt  time.Time
	Patient    Pseudonym
	HandedTo   string // to whom the answer was handed back
	HandBackAt time.Time
}

// LogValue gives the id alone.
func (c Case) LogValue() slog.Value { return slog.StringValue(string(c.ID)) }

// Pseudonym is how the patient appears in the workspace.
type Pseudonym struct {
	Initials  string            `json:"initials"`
	Sex       string            `json:"sex"` // FHIR R4 administrative-gender
	BirthYear int               `json:"birth_year"`
	Person    identity.PersonID `json:"-"` // "" if the patient has no account
}

// Age is the age in full years at most, from the year alone.
func (p Pseudonym) Age(at time.Time) int { return at.Year() - p.BirthYear }

// PatientIdentity is kept apart from the case, opened by role, and each opening is
// an event.
type PatientIdentity struct {
	Name      string `json:"name"`
	BirthDate string `json:"birth_date"` // YYYY-MM-DD
	Record    string `json:"record"`     // the hospital's record number
	Contact   string `json:"contact"`
}

// LogValue keeps personal data out of logs.
func (PatientIdentity) LogValue() slog.Value { return slog.StringValue("patient") }

// Clinical is what the local physician tells about the patient. It is sealed.
type Clinical struct {
	Language   string    `json:"language"` // BCP 47 tag of these texts
	Title      string    `json:"title"`
	Question   Question  `json:"question"`
	History    string    `json:"history"`
	Medication string    `json:"medication"`
	Allergies  []Allergy `json:"allergies"`
	Findings   string    `json:"findings"`
	Preference string    `json:"preference"` // interpreter's gender, culture, diet
}

// LogValue keeps clinical text out of logs.
func (Clinical) LogValue() slog.Value { return slog.StringValue("clinical") }

// Question is the structured question.
type Question struct {
	Asked  string `json:"asked"`
	Tried  string `json:"tried"`
	Feared string `json:"feared"`
	ByWhen string `json:"by_when"`
}

// Allergy is one substance the patient does not bear.
type Allergy struct {
	Substance string `json:"substance"`
	Reaction  string `json:"reaction"`
	Severity  string `json:"severity"` // mild, moderate, severe
}

// Member is a person in a case.
type Member struct {
	Person identity.PersonID
	Role   Role
	From   time.Time
	Until  time.Time // zero: still
}

// Message is one entry of a case's discussion.
type Message struct {
	ID       MessageID
	Author   identity.PersonID // "" for the system
	Audience string            // "main" or "aside"
	Session  string            // the session it was said in; "" outside
	Language string            // BCP 47
	Text     string
	At       time.Time
}

// LogValue gives the id alone.
func (m Message) LogValue() slog.Value { return slog.StringValue(string(m.ID)) }
