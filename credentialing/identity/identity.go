package identity

import (
	"log/slog"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Ids are UUIDv7.
type (
	PersonID       string
	OrganizationID string
	LoginID        string
)

// Role is what a person does for one organization, from and until an instant.
type Role string

// The roles of design security, section 5.
const (
	RoleLocalPhysician Role = "local_physician"
	RoleSpecialist     Role = "specialist"
	RoleInterpreter    Role = "interpreter"
	RoleCoordinator    Role = "coordinator"
	RoleOfficer        Role = "credentialing_officer"
	RoleAdministrator  Role = "administrator"
	RolePatient        Role = "patient"
)

// Person is somebody the service knows. Names never reach a log.
type Person struct {
	ID        PersonID
	Name      string   // as shown: "Dr Amina Otieno"
	Title     string   // profession shown under the name, message id or free text
	Language  string   // BCP 47 tag of the interface: "en", "fr", "ar"
	Languages []string // BCP 47 tags the person works in, best first
	Zone      string   // IANA zone
	Home      string   // ISO 3166 code of the place where a clinician is established
	Specialty string   // code: "cardiology"
	Email     string
	Gender    Gender // as stated by the person, for patients who ask; "" is not stated
	Disabled  bool
}

// Gender is what a person stated of themselves.
type Gender string

// The genders a person may state; "" states none.
const (
	GenderFemale Gender = "female"
	GenderMale   Gender = "male"
	GenderOther  Gender = "other"
)

// Valid tells whether g is one of the constants or "".
func (g Gender) Valid() bool {
	return g == "" || g == GenderFemale || g == GenderMale || g == GenderOther
}

// LogValue keeps personal data out of logs.
func (p Person) LogValue() slog.Value { return slog.StringValue(string(p.ID)) }

// Organization is a tenant.
type Organization struct {
	ID    OrganizationID
	Name  string
	Kind  string // "hospital", "specialist-center", "interpreter-agency", "authority"
	Zone  string
	Place string // ISO 3166 code
}

// Actor is who a request acts as: a person signed in, for one organization.
// It is made only by this package from a Login, or by System.
type Actor struct {
	Person       PersonID
	Organization OrganizationID // the organization the person acts for; "" for guests and patients
	Login        LoginID
	Roles        []Role // roles in force in Organization
	// Seat is set for a guest login: the one seat (opaque id) it may take.
	Seat     string
	Language string // BCP 47
	Zone     string // IANA
	Job      string // name of the background job, when no person acts
}

// System is the actor of a background job.
func System(job string, org OrganizationID) Actor { return Actor{Job: job, Organization: org} }

// Has tells whether the actor holds the role in Organization.
func (a Actor) Has(r Role) bool {
	for _, have := range a.Roles {
		if have == r {
			return true
		}
	}
	return false
}

// Guest tells whether the actor came by a link and may take one seat only.
func (a Actor) Guest() bool { return a.Seat != "" }

// Scope is the actor's own transaction scope.
func (a Actor) Scope() audit.Scope {
	return audit.Scope{Organization: string(a.Organization), Person: string(a.Person)}
}

// Event begins an audit event stamped with the actor.
func (a Actor) Event(act string) audit.Event {
	return audit.Event{Act: act, Actor: string(a.Person), Login: string(a.Login), System: a.Job}
}

// LogValue keeps personal data out of logs.
func (a Actor) LogValue() slog.Value {
	return slog.GroupValue(slog.String("person", string(a.Person)), slog.String("job", a.Job))
}

// Login is one browser's sign-in.
type Login struct {
	ID            LoginID
	Person        PersonID
	Organization  OrganizationID
	Factor        string // "passkey", "demo", "guest"
	Created       time.Time
	LastSeen      time.Time
	IdleUntil     time.Time
	AbsoluteUntil time.Time
	StepUpAt      time.Time // of the last fresh assertion; zero if none
	Seat          string    // of a guest login: the one seat it may take
}
