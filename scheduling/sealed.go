package scheduling

import (
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// sealedTo tells whether a person may not yet read who else takes part: all they ever
// were in the visit is an interpreter who has not promised confidentiality. Who is asked,
// or has refused, learns the pair, the time and how it is done, and nothing of anybody
// else.
func (a Appointment) sealedTo(person identity.PersonID) bool {
	seated := false
	for _, s := range a.Seats {
		if s.Person != person || person == "" {
			continue
		}
		if s.Role != RoleInterpreter || !s.AttestedAt.IsZero() {
			return false
		}
		seated = true
	}
	return seated
}

// readBy is the visit as the actor may read it. Every reader of appointments gives out
// what it returns; only commands work on the whole. Before the promise of
// confidentiality an interpreter has their own seat, the kind, the pair and the time, on
// no clock that would tell where somebody is.
func (a Appointment) readBy(actor identity.Actor) Appointment {
	if arranges(actor, a.Organization) || !a.sealedTo(actor.Person) {
		return a
	}
	return a.unnamed(actor.Person)
}

func (a Appointment) unnamed(person identity.PersonID) Appointment {
	a.Seats = slices.DeleteFunc(slices.Clone(a.Seats), func(s Seat) bool { return s.Person != person })
	if a.AnchorPerson != person {
		a.AnchorPerson, a.AnchorZone, a.StartLocal = "", "UTC", WallAt(time.UTC, a.StartAt)
	}
	if a.CreatedBy != person {
		a.CreatedBy = ""
	}
	a.Case, a.Note, a.Override = "", "", ""
	a.Tasks, a.Overridden = nil, nil
	return a
}

// ReadsWho tells whether the actor may read who the specialist of a visit is, as
// AboutSpecialist asks: the patient on their seat, those who arrange for the clinic, and
// the clinic's people who sit there, interpreters once they have promised
// confidentiality.
func ReadsWho(actor identity.Actor, a Appointment) bool {
	if arranges(actor, a.Organization) {
		return true
	}
	seat, seated := a.Seat(actor.Person)
	return seated && !a.sealedTo(actor.Person) &&
		(seat.Role == RolePatient || !actor.Guest() && actor.Organization == a.Organization)
}
