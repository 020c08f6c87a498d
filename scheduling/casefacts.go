package scheduling

import (
	"context"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// CaseFacts is how scheduling asks about a case. The workspace implements it, cmd
// wires it.
type CaseFacts interface {
	// Facts tells what a meeting of the case with a specialist rests on. It reads
	// within tx, so a case that tx's scope may not see is ErrNotFound; it may enter the
	// clinic that owns the case. It writes nothing, may be called again, and blocks
	// only for the database.
	Facts(ctx context.Context, tx *audit.Tx, ref CaseRef, specialist identity.PersonID) (Facts, error)
}

// Facts are what scheduling knows of a case: who, and which languages.
type Facts struct {
	// Organization is the clinic whose case it is; appointments belong to it.
	Organization identity.OrganizationID
	// Patient takes a seat in visits with the patient; "" if no person is on file.
	Patient identity.PersonID
	// PatientLanguages are BCP 47 tags, best first.
	PatientLanguages []string
	// PatientZone is the IANA zone of the place where the patient will be.
	PatientZone string
	// LocalPhysician is the responsible physician; "" if nobody is.
	LocalPhysician identity.PersonID
	// Assigned is the specialist the case is assigned to; "" if nobody is.
	Assigned identity.PersonID
	// Over tells that nothing more is to be booked for the case: it is closed or
	// withdrawn.
	Over bool
	// Specialty is the code of the specialty that is asked.
	Specialty string
	// Context is what credentialing must know of the case, its consents narrowed to
	// the specialist as receiver. Scheduling passes it on unopened.
	Context credentialing.CaseContext
	// Until is when the clock alone makes one of these facts another; zero if it does
	// not.
	Until time.Time
}

// CaseAsk asks for the facts of a case with a specialist; "" is none.
type CaseAsk struct {
	Case       CaseRef
	Specialist identity.PersonID
}

// ManyCases is CaseFacts for many cases at once. What looks at bookings again asks it
// of whoever answers CaseFacts.
type ManyCases interface {
	// FactsOf answers in the order of asks, with one query a table, within the clinic
	// that tx is in. A case that is not there has facts without Organization. It
	// writes nothing, may be called again, and blocks only for the database.
	FactsOf(ctx context.Context, tx *audit.Tx, asks []CaseAsk) ([]Facts, error)
}
