package credentialing

import (
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Ids are UUIDv7.
type (
	CredentialID      string
	ClaimID           string
	VerificationID    string
	ExclusionID       string
	AgreementID       string
	FacilityLicenseID string
)

// Claim is what somebody says a credential contains: one version of it.
type Claim struct {
	Type         string        `json:"type,omitempty"`   // "temporary-licence"; level of a certificate
	HolderName   string        `json:"holder,omitempty"` // as printed
	ValidFrom    Moment        `json:"valid_from"`
	ValidTo      Moment        `json:"valid_to"`
	Timezone     string        `json:"timezone,omitempty"`
	Activities   []Activity    `json:"activities,omitempty"`
	Specialties  []string      `json:"specialties,omitempty"`
	Facility     string        `json:"facility,omitempty"` // id of the organization it is tied to
	Restrictions []Restriction `json:"restrictions,omitempty"`
	Territories  []string      `json:"territories,omitempty"`
	Currency     string        `json:"currency,omitempty"`
	PerClaim     int64         `json:"per_claim,omitempty"`
	Aggregate    int64         `json:"aggregate,omitempty"`
	Pair         []string      `json:"pair,omitempty"`  // of an interpreter: two languages
	Modes        []string      `json:"modes,omitempty"` // simultaneous, consecutive, sign
	Proxy        *Proxy        `json:"proxy,omitempty"` // of a privilege by proxy
	Terms        *Terms        `json:"terms,omitempty"` // of liability cover; nil: not stated
}

// Restriction narrows a credential for a time: it does not cover Acts for patients in
// Places. No acts are all acts, no places are all places; with neither it is only told
// (a reporting duty, a supervision).
type Restriction struct {
	Text   string     `json:"text,omitempty"`
	Acts   []Activity `json:"acts,omitempty"`
	Places []string   `json:"places,omitempty"`
	From   Moment     `json:"from"` // zero: since the credential begins
	To     Moment     `json:"to"`   // zero: until it is lifted
}

func (r Restriction) check() error {
	switch {
	case utf8.RuneCountInString(r.Text) > longestRuleText:
		return &Invalid{"restriction", RowTooLong}
	case unreadable(r.Text):
		return &Invalid{"restriction", RowControl}
	case !r.From.sane():
		return &Invalid{"restricted_from", RowYear}
	case !r.To.sane():
		return &Invalid{"restricted_to", RowYear}
	}
	for _, a := range r.Acts {
		if !a.Known() {
			return &Invalid{Field: "restricted_acts"}
		}
	}
	for _, p := range r.Places {
		if !placeExists(p) {
			return &Invalid{Field: "restricted_places"}
		}
	}
	if !r.From.before(r.To) {
		return &Invalid{Field: "restricted_to"}
	}
	if r.Text == "" && len(r.Acts)+len(r.Places) == 0 {
		return &Invalid{Field: "restriction"}
	}
	return nil
}

// ClaimRequest enters a claim. The same issuer and number again is a new version of
// the claim about the same credential.
type ClaimRequest struct {
	Person           identity.PersonID
	Kind             Kind
	Issuer           string
	Number           string
	Jurisdiction     string
	Via              string
	CompactPrincipal bool
	Claim            Claim
}

func (r ClaimRequest) check(zones Zones) error {
	for _, t := range []struct{ field, text string }{{"issuer", r.Issuer}, {"number", r.Number}, {"type", r.Claim.Type}, {"holder", r.Claim.HolderName},
		{"via", r.Via}, {"facility", r.Claim.Facility}, {"currency", r.Claim.Currency}, {"pair", strings.Join(r.Claim.Pair, " ")},
		{"modes", strings.Join(r.Claim.Modes, " ")}} {
		switch {
		case utf8.RuneCountInString(t.text) > longestField:
			return &Invalid{t.field, RowTooLong}
		case unreadable(t.text) || strings.ContainsFunc(t.text, unicode.IsControl):
			return &Invalid{t.field, RowControl}
		}
	}
	for _, m := range []struct {
		field string
		at    Moment
	}{{"valid_from", r.Claim.ValidFrom}, {"valid_to", r.Claim.ValidTo}} {
		if !m.at.sane() {
			return &Invalid{m.field, RowYear}
		}
	}
	if z := r.Claim.Timezone; z != "" {
		if _, err := zones(z); err != nil {
			return &Invalid{"timezone", RowZone}
		}
	}
	for _, t := range r.Claim.Territories {
		if t != "*" && t != "EU" && !placeExists(t) {
			return &Invalid{"territories", RowPlace}
		}
	}
	switch {
	case r.Person == "":
		return &Invalid{Field: "person"}
	case !r.Kind.Known():
		return &Invalid{Field: "kind"}
	case r.Issuer == "":
		return &Invalid{Field: "issuer"}
	case r.Number == "":
		return &Invalid{Field: "number"}
	case r.Jurisdiction == "" && (r.Kind == KindLicense || r.Kind == KindRegistration):
		return &Invalid{"jurisdiction", RowRequired}
	case r.Jurisdiction != "" && !placeExists(r.Jurisdiction):
		return &Invalid{"jurisdiction", RowPlace}
	case r.Kind == KindRegistration && r.Claim.Type == "":
		return &Invalid{Field: "type"}
	case r.Kind == KindMalpractice && len(r.Claim.Territories) == 0:
		return &Invalid{Field: "territories"}
	case r.Kind == KindInterpreter && len(r.Claim.Pair) != 2:
		return &Invalid{Field: "pair"}
	case r.Kind == KindInterpreter && len(r.Claim.Modes) == 0:
		return &Invalid{Field: "modes"}
	}
	for _, a := range r.Claim.Activities {
		if !a.Known() {
			return &Invalid{Field: "activities"}
		}
	}
	for _, x := range r.Claim.Restrictions {
		if err := x.check(); err != nil {
			return err
		}
	}
	if f, t := r.Claim.ValidFrom, r.Claim.ValidTo; !f.before(t) {
		return &Invalid{"valid_to", RowEnds}
	}
	return r.checkTerms()
}

// Entered names what a claim made.
type Entered struct {
	Credential CredentialID
	Claim      ClaimID
}

// EvidenceFile is a file that shows what a source said or what a person holds.
type EvidenceFile struct {
	Bytes      []byte
	Content    io.ReadSeeker // instead of Bytes: a file that is read in pieces, from its beginning
	Source     string        // where it came from
	CapturedAt time.Time     // zero: now
}

// MaxEvidence is the largest file kept as evidence.
const MaxEvidence = 10 << 20

// evidenceTypes are the kinds of files a page can show without running anything
// that is in them.
var evidenceTypes = []string{"application/pdf", "image/png", "image/jpeg", "text/plain", "application/json"}

// Result is what a source answered.
type Result string

// The answers of a source.
const (
	ResultFound       Result = "found"
	ResultNotFound    Result = "not-found"
	ResultNeedsReview Result = "needs-review"
	ResultFailed      Result = "failed"
)

// VerifyRequest records what a source answered about the current claim.
type VerifyRequest struct {
	Credential CredentialID
	// Claim is the version the verifier saw; another current one is ErrStale. "" takes
	// the current one.
	Claim         ClaimID
	Method        string // primary-source, equivalent, certificate, attested, signed-credential
	Source        string
	SourceAddress string
	AskedAt       time.Time // zero: now
	Result        Result
	SourceStatus  Status    // as the source shows it; "" is active
	StatusFrom    time.Time // zero: when the claim begins
	Evidence      [32]byte  // zero: none yet
}

func (r VerifyRequest) check() error {
	switch {
	case !slices.Contains([]string{methodPrimary, methodEquivalent, methodCertificate, methodAttested, methodSigned}, r.Method):
		return &Invalid{Field: "method"}
	case r.Source == "":
		return &Invalid{Field: "source"}
	case !slices.Contains([]Result{ResultFound, ResultNotFound, ResultNeedsReview, ResultFailed}, r.Result):
		return &Invalid{Field: "result"}
	case !r.SourceStatus.Known():
		return &Invalid{Field: "status"}
	}
	return nil
}

// StatusReport is news about a credential.
type StatusReport struct {
	Credential CredentialID
	Status     Status
	From       time.Time // zero: now
	Source     string
}

// ExclusionCheck is a look into sanction lists. No hits is a result too.
type ExclusionCheck struct {
	Person      identity.PersonID
	Lists       []string
	ListVersion string
	At          time.Time // zero: now
	Hits        []ExclusionHit
}

// ExclusionHit is an entry found.
type ExclusionHit struct {
	List   string
	Entry  string
	Type   string
	From   time.Time
	To     time.Time // zero: open
	Strong bool      // by number or full identifiers, not by name alone
}

// Agreement is what two organizations agreed in writing about records going from
// one to the other.
type Agreement struct {
	ID          AgreementID
	From, To    identity.OrganizationID
	Ground      string // the packs' transfer basis: "standard-contract"
	DataClasses []string
	ValidFrom   time.Time
	ValidTo     time.Time // zero: open
	Evidence    [32]byte  // zero: none
}

// InForce tells whether the agreement holds at an instant.
func (a Agreement) InForce(at time.Time) bool {
	return !at.Before(a.ValidFrom) && (a.ValidTo.IsZero() || at.Before(a.ValidTo))
}

// FacilityLicense is a facility's own license to give care at a distance.
type FacilityLicense struct {
	ID           FacilityLicenseID
	Organization identity.OrganizationID
	Jurisdiction string
	Issuer       string
	Number       string
	ValidFrom    time.Time
	ValidTo      time.Time // zero: open
	Evidence     [32]byte  // zero: none
}

// InForce tells whether the license holds at an instant.
func (l FacilityLicense) InForce(at time.Time) bool {
	return !at.Before(l.ValidFrom) && (l.ValidTo.IsZero() || at.Before(l.ValidTo))
}

// Attestation is the person's own statement.
type Attestation struct {
	Kind        string // application, confidentiality, own-place
	TextVersion string
	Text        string // as shown; its hash is kept
	Language    string
	Place       string // of own-place: where the person sits
}

// State is where the work on a claim stands.
type State string

// The states of the work on a claim. Due and overdue follow from the clock.
const (
	StateClaimed     State = "claimed"
	StateAnswered    State = "answered"
	StateApproved    State = "approved"
	StateRejected    State = "rejected"
	StateNeedsReview State = "needs_review"
)

// WorkEvent is what happens to the work on a claim.
type WorkEvent string

// The events of the work on a claim.
const (
	EventClaim   WorkEvent = "claim"   // a new version of the claim was entered
	EventAnswer  WorkEvent = "answer"  // the source answered, and it was found
	EventDoubt   WorkEvent = "doubt"   // the source answered something else
	EventApprove WorkEvent = "approve" // a second person approved
	EventReject  WorkEvent = "reject"  // a second person returned it
)

// Next is the state after an event; false if the event is not possible.
func (s State) Next(e WorkEvent) (State, bool) {
	switch e {
	case EventClaim:
		return StateClaimed, true
	case EventAnswer:
		return StateAnswered, true
	case EventDoubt:
		return StateNeedsReview, true
	case EventApprove:
		return StateApproved, s == StateAnswered
	case EventReject:
		return StateRejected, s == StateAnswered || s == StateNeedsReview
	}
	return s, false
}

// Clocks are the operator's policy on how long answers count (design credentialing
// §3).
type Clocks struct {
	// AnswerAge is how old a source's answer may be when approved.
	AnswerAge time.Duration
	// Reverify is after which time a license is verified again.
	Reverify time.Duration
	// WeakMatchDays are the working days after which an undecided match by name
	// counts.
	WeakMatchDays int
}

// DefaultClocks: 120 days for an answer and monthly lists are NCQA's, since July
// 2025; a year between verifications is the shortest renewal cycle of the boards in
// the starter packs.
var DefaultClocks = Clocks{AnswerAge: 120 * day, Reverify: 365 * day, WeakMatchDays: 2}

// workingDaysAfter adds working days (Monday to Friday, UTC).
func workingDaysAfter(t time.Time, days int) time.Time {
	for days > 0 {
		t = t.Add(day)
		if wd := t.UTC().Weekday(); wd != time.Saturday && wd != time.Sunday {
			days--
		}
	}
	return t
}
