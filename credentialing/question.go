package credentialing

import (
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Question asks whether somebody may do an activity. A nil pointer, list or
// Transfer is a fact that is not known.
type Question struct {
	// At is the instant of the act, not of the booking.
	At time.Time `json:"at"`
	// Through is the end of the act; zero if only At counts. See [EvaluateOver].
	Through time.Time `json:"through,omitzero"`
	// DecidedAt is when the question is asked.
	DecidedAt time.Time `json:"decided_at,omitzero"`
	// ChecksAt is the instant at which the age of the monthly check of exclusion lists
	// counts when it lies before At; zero: At. A plan sets it to now: the checks until
	// the visit are still to be made, and one that is missed is found when it is due.
	ChecksAt time.Time `json:"checks_at,omitzero"`
	Mode     Mode      `json:"mode"`
	Activity Activity  `json:"activity"`
	// Places are where the patients are at the visit (ISO 3166-1 or 3166-2).
	Places   []string    `json:"places"`
	Case     CaseFacts   `json:"case"`
	Local    *LocalFacts `json:"local_physician,omitempty"`
	Consents []Consent   `json:"consents"`
	Transfer *Transfer   `json:"transfer,omitempty"`
	// From is where the person sits (design credentialing §10); no condition sees it.
	From string `json:"from,omitempty"`
	// AcceptUnverified lets packs count that nobody has confirmed.
	AcceptUnverified bool `json:"accept_unverified"`
	// Rules are the editions to decide by.
	Rules *RuleSet `json:"-"`

	evaluator string // the version to decide by; "" is the present one
}

// CaseFacts are what conditions see of a case.
type CaseFacts struct {
	// Facility is the id of the organization through which the care is given; "" is not
	// known. A credential that is tied to a facility counts there only.
	Facility             string   `json:"facility,omitempty"`
	LocationConfirmed    *bool    `json:"location_confirmed,omitempty"`
	IdentityConfirmed    *bool    `json:"identity_confirmed,omitempty"`
	Languages            []string `json:"languages,omitempty"` // the patient's
	Interpreter          *bool    `json:"interpreter,omitempty"`
	Modality             *string  `json:"modality,omitempty"` // "live-video"
	FirstContact         *bool    `json:"first_contact,omitempty"`
	ControlledSubstance  *bool    `json:"controlled_substance,omitempty"`
	PriorInPerson        *bool    `json:"prior_in_person,omitempty"`
	FacilityLicensed     *bool    `json:"facility_licensed,omitempty"`
	InstitutionAgreement *bool    `json:"institution_agreement,omitempty"`
	LongTerm             *bool    `json:"long_term,omitempty"`
	DaysSinceInPerson    *int64   `json:"days_since_in_person,omitempty"`
}

// LocalFacts are what conditions see of the case's local physician.
type LocalFacts struct {
	ID             identity.PersonID `json:"id,omitempty"`
	Licenses       []Held            `json:"licences"` // nil: not known
	Requested      *bool             `json:"requested,omitempty"`
	Present        *bool             `json:"present,omitempty"`
	FinalAuthority *bool             `json:"final_authority,omitempty"`
	Signed         *bool             `json:"signed,omitempty"`
}

// Consent is a consent by its type in the packs' words. It counts from Recorded
// until Withdrawn.
type Consent struct {
	Type      string    `json:"type"`
	Recorded  time.Time `json:"recorded_at"`
	Withdrawn time.Time `json:"withdrawn_at,omitzero"` // zero: not withdrawn
}

func (c Consent) inForce(at time.Time) bool {
	return !c.Recorded.After(at) && (c.Withdrawn.IsZero() || at.Before(c.Withdrawn))
}

// Transfer says between which countries (ISO 3166-1) the record goes, and on which
// ground; Basis is "" if none is recorded.
type Transfer struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Basis string `json:"basis"`
}

// Credentials are what is on file about a person, as known at one moment.
type Credentials struct {
	Person    identity.PersonID `json:"id"`
	Home      string            `json:"home,omitempty"` // where the person is established
	Languages []string          `json:"languages,omitempty"`
	List      []Held            `json:"credentials"`
	// Exclusions are entries on sanction lists that count for this person.
	Exclusions []Exclusion `json:"exclusions"`
	// ExclusionCheckedAt is the last check of the lists; nil if there was none.
	ExclusionCheckedAt *time.Time `json:"exclusion_checked_at,omitempty"`
}

// Held is one credential with its statuses and its verification.
type Held struct {
	ID           string       `json:"id"`
	Version      string       `json:"version,omitempty"` // of the claim
	Kind         Kind         `json:"kind"`
	Type         string       `json:"type,omitempty"`
	Jurisdiction string       `json:"jurisdiction,omitempty"`
	Issuer       string       `json:"issuer,omitempty"`
	Number       string       `json:"number,omitempty"`
	Status       []StatusFrom `json:"status"`
	ValidFrom    Moment       `json:"valid_from"`
	ValidTo      Moment       `json:"valid_to"`
	Timezone     string       `json:"timezone,omitempty"`
	Activities   []Activity   `json:"activities"` // empty: all
	// Facility is the organization that the credential is tied to, if any.
	Facility string `json:"facility,omitempty"`
	// Restrictions take acts or places from it for a time. Their texts are not among the
	// facts.
	Restrictions     []Restriction `json:"restrictions,omitempty"`
	Via              string        `json:"via,omitempty"` // the compact it came through
	CompactPrincipal bool          `json:"compact_principal,omitempty"`
	Territories      []string      `json:"territories,omitempty"` // of cover; "*" is everywhere
	Currency         string        `json:"currency,omitempty"`
	PerClaim         int64         `json:"per_claim,omitempty"` // in whole units, as packs give amounts
	Aggregate        int64         `json:"aggregate,omitempty"`
	// RestsOn are the times within which alone it counts: an agreement, an accreditation.
	RestsOn []Period `json:"rests_on,omitempty"`
	// Pair and Modes are of interpreters' certificates.
	Pair     []string  `json:"pair,omitempty"`
	Modes    []string  `json:"modes,omitempty"`
	Verified *Verified `json:"verified,omitempty"` // nil: nobody has verified it
}

// StatusFrom is a status and the instant from which it holds.
type StatusFrom struct {
	Status Status    `json:"status"`
	From   time.Time `json:"from"`
}

// Verified is the approved verification of a credential.
type Verified struct {
	Method  string    `json:"method"`
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"`
	NextDue time.Time `json:"next_due,omitzero"`
	// Evidence is the SHA-256 of the file that shows it, in hexadecimal digits; "" if
	// there is none.
	Evidence string `json:"evidence,omitempty"`
}

// Exclusion is an entry on a sanction list.
type Exclusion struct {
	List  string    `json:"list"`
	Entry string    `json:"entry"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to,omitzero"` // zero: open
}

func (e Exclusion) active(at time.Time) bool {
	return !e.From.After(at) && (e.To.IsZero() || at.Before(e.To))
}

// utc writes every instant in UTC, so that facts have one form.
func (q Question) utc() Question {
	q.At, q.Through, q.DecidedAt = q.At.UTC(), q.Through.UTC(), q.DecidedAt.UTC()
	q.Consents = slices.Clone(q.Consents)
	for i := range q.Consents {
		c := &q.Consents[i]
		c.Recorded, c.Withdrawn = c.Recorded.UTC(), c.Withdrawn.UTC()
	}
	if q.Local != nil {
		l := *q.Local
		l.Licenses = utcHeld(l.Licenses)
		q.Local = &l
	}
	return q
}

func (c Credentials) utc() Credentials {
	c.List = utcHeld(c.List)
	c.Exclusions = slices.Clone(c.Exclusions)
	for i := range c.Exclusions {
		e := &c.Exclusions[i]
		e.From, e.To = e.From.UTC(), e.To.UTC()
	}
	if c.ExclusionCheckedAt != nil {
		at := c.ExclusionCheckedAt.UTC()
		c.ExclusionCheckedAt = &at
	}
	return c
}

func utcHeld(list []Held) []Held {
	list = slices.Clone(list)
	for i := range list {
		h := &list[i]
		h.Status = slices.Clone(h.Status)
		for j := range h.Status {
			h.Status[j].From = h.Status[j].From.UTC()
		}
		if h.Verified != nil {
			v := *h.Verified
			v.At, v.NextDue = v.At.UTC(), v.NextDue.UTC()
			h.Verified = &v
		}
	}
	return list
}

// Yes, No and the like make facts that are known.
func Yes() *bool { v := true; return &v }

// No is a fact known to be false.
func No() *bool { v := false; return &v }
