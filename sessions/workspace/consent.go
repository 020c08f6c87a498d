package workspace

import (
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Purpose is what a consent is for.
type Purpose string

// The purposes (design casework, section 5).
const (
	LiveConsult   Purpose = "live_consult"
	Advice        Purpose = "advice"
	RecordSharing Purpose = "record_sharing"
	Recording     Purpose = "recording"
	Captions      Purpose = "captions"
	Interpreter   Purpose = "interpreter"
	Teaching      Purpose = "teaching"
)

// Purposes lists them in the order of the page.
var Purposes = []Purpose{LiveConsult, Interpreter, Advice, RecordSharing, Captions, Recording, Teaching}

// Class is a class of data.
type Class string

// The classes of data.
const (
	ClassIdentity Class = "identity"
	ClassHistory  Class = "history"
	ClassLabs     Class = "labs"
	ClassImages   Class = "images"
	ClassVideo    Class = "video"
)

// Classes lists them in the order of the page.
var Classes = []Class{ClassHistory, ClassLabs, ClassImages, ClassVideo, ClassIdentity}

// Consent is one record: one purpose, one class, one destination. A withdrawal is a
// record of its own; WithdrawnAt repeats its instant.
type Consent struct {
	ID      ConsentID
	Purpose Purpose
	Class   Class // "" where the purpose has no class of data
	// Destination is the country (ISO 3166-1) data may go to; "" for none.
	Destination string
	// Receiver is the person the consent names and ReceiverOrganization the
	// organization; both "" where it names nobody.
	Receiver             identity.PersonID
	ReceiverOrganization identity.OrganizationID
	Giver                Giver
	How                  How
	Witness              identity.PersonID // who heard a spoken consent
	TextVersion          string
	TextSHA256           string // of the text as shown, hex
	Text                 string // as shown
	Language             string // BCP 47, in which it was shown
	RecordedBy           identity.PersonID
	RecordedAt           time.Time
	Until                time.Time // zero: no end
	WithdrawnAt          time.Time // zero: not withdrawn
}

// Giver says who gave a consent.
type Giver struct {
	Kind     string `json:"kind"`     // patient, guardian, proxy
	Name     string `json:"name"`     // of a guardian or proxy
	Relation string `json:"relation"` // of a guardian
}

// How says how a consent was given.
type How string

// The ways to give a consent.
const (
	SignedOnScreen  How = "signed_on_screen"
	SpokenWitnessed How = "spoken_witnessed"
	OnPaper         How = "paper"
)

// end is the instant from which the consent does not count; zero if none.
func (c Consent) end() time.Time { return earlier(c.Until, c.WithdrawnAt) }

// InForce tells whether the consent counts at an instant.
func (c Consent) InForce(at time.Time) bool {
	e := c.end()
	return !c.RecordedAt.After(at) && (e.IsZero() || at.Before(e))
}

// Use asks whether a purpose is covered: which class of data, going to which
// country, received by whom.
type Use struct {
	Purpose     Purpose
	Class       Class  // "" if no class of data is touched
	Destination string // ISO 3166; only the country counts
	Receiver    identity.PersonID
	// ReceiverOrganizations are those the receiver works for.
	ReceiverOrganizations []identity.OrganizationID
	At                    time.Time
}

// Allows is the one function that tells whether consents cover a use. What is not
// said in a consent is not covered; removing a consent never allows more.
func Allows(consents []Consent, u Use) bool {
	return slices.ContainsFunc(consents, func(c Consent) bool {
		return c.Purpose == u.Purpose && c.Class == u.Class && c.InForce(u.At) && c.names(u)
	})
}

// names tells whether the consent's destination and receiver cover the use.
func (c Consent) names(u Use) bool {
	if u.Destination != "" && Country(c.Destination) != Country(u.Destination) {
		return false
	}
	if u.Receiver == "" {
		return true
	}
	return c.receives(u.Receiver, u.ReceiverOrganizations)
}

func (c Consent) receives(person identity.PersonID, organizations []identity.OrganizationID) bool {
	if c.Receiver != "" {
		return c.Receiver == person
	}
	return c.ReceiverOrganization != "" && slices.Contains(organizations, c.ReceiverOrganization)
}

// Country is the ISO 3166-1 part of a code: "CA" of "CA-ON".
func Country(code string) string {
	country, _, _ := strings.Cut(code, "-")
	return country
}

// explained are the text versions of live_consult that say the specialist is seen
// by video only (the packs' remote-only-explained).
var explained = map[string]bool{"2026-11-1": true}

// PackConsents derives the packs' consent types from the records, for one receiver
// and the patient's place. It is the only place that knows the mapping.
func PackConsents(consents []Consent, place string, receiver identity.PersonID, organizations []identity.OrganizationID) []credentialing.Consent {
	var out []credentialing.Consent
	add := func(kind string, from, end time.Time) {
		if end.IsZero() || from.Before(end) {
			out = append(out, credentialing.Consent{Type: kind, Recorded: from, Withdrawn: end})
		}
	}
	for _, c := range consents {
		switch c.Purpose {
		case LiveConsult:
			add("telehealth", c.RecordedAt, c.end())
			if explained[c.TextVersion] {
				add("remote-only-explained", c.RecordedAt, c.end())
			}
		case RecordSharing:
			if !c.receives(receiver, organizations) {
				continue
			}
			if c.Destination != "" && Country(c.Destination) != Country(place) {
				add("overseas-transfer", c.RecordedAt, c.end())
			}
			for _, a := range consents { // sharing counts together with advice
				if a.Purpose == Advice && a.receives(receiver, organizations) {
					add("share-with-specialist", later(a.RecordedAt, c.RecordedAt), earlier(a.end(), c.end()))
				}
			}
		}
	}
	return out
}

// earlier is the earlier of two instants of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
