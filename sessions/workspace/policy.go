package workspace

import (
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Refusal tells why a command is refused. Code is ours; where a rule of the patient's
// jurisdiction refuses, Rule and Reasons are those of the determination.
type Refusal struct {
	Code         string
	Rule         string
	Jurisdiction string
	Reasons      []string
	Lead         string // the reason to show first
	Until        time.Time
}

func (r *Refusal) Error() string {
	if r.Rule != "" {
		return "workspace: refused: " + r.Code + " by " + r.Rule
	}
	return "workspace: refused: " + r.Code
}

// The codes of refusals.
const (
	RefusedRole        = "role"        // the actor's part in the case does not include it
	RefusedScope       = "scope"       // a rule of the patient's place; see Rule
	RefusedState       = "state"       // the case is not at this point
	RefusedReadBack    = "read_back"   // a card waits to be read back
	RefusedConsent     = "consent"     // no consent covers it
	RefusedAgreement   = "agreement"   // the two organizations have none for this class
	RefusedAssertion   = "assertion"   // the passkey's answer does not hold
	RefusedStale       = "stale"       // the case changed since the page was made
	RefusedExpired     = "expired"     // the page is older than five minutes, or was used
	RefusedIncomplete  = "incomplete"  // the case lacks what its next step needs
	RefusedOtherSigner = "other_login" // prepared by another person or browser
)

// Facts are what policies see: the actor's part in the case and where it stands.
// They are loaded and locked in the transaction that acts.
type Facts struct {
	State   State
	Own     bool   // the actor acts for the clinic whose case it is
	Roles   []Role // the actor's parts in the case
	Creator bool
}

func (f Facts) is(r Role) bool { return slices.Contains(f.Roles, r) }

// SignFacts are what maySign sees.
type SignFacts struct {
	Facts
	Determination credentialing.Determination // for sign_decision, at this instant
	OpenReadBacks int
	CaseVersion   int
	ShownVersion  int // the version of the case that the document shows
}

func refuse(code string) *Refusal { return &Refusal{Code: code} }

func step(f Facts, ev Event) *Refusal {
	if _, ok := f.State.Next(ev); !ok {
		return refuse(RefusedState)
	}
	return nil
}

// mayCreate: a local physician opens cases of the own clinic.
func mayCreate(a identity.Actor) *Refusal {
	if a.Guest() || a.Organization == "" || !a.Has(identity.RoleLocalPhysician) {
		return refuse(RefusedRole)
	}
	return nil
}

// mayKnow: members, and for the board the clinic's coordinators, administrators and
// officers. Everybody else gets ErrNotFound.
func mayKnow(a identity.Actor, f Facts) bool {
	if len(f.Roles) > 0 {
		return true
	}
	return f.Own && !a.Guest() && (a.Has(identity.RoleCoordinator) || a.Has(identity.RoleAdministrator) || a.Has(identity.RoleOfficer))
}

// mayOpen: who may know of a case may open its page; what is on it is decided by
// mayReadClinical and mayReadFile.
func mayOpen(a identity.Actor, f Facts) *Refusal {
	if !mayKnow(a, f) || a.Guest() {
		return refuse(RefusedRole)
	}
	return nil
}

// mayReadClinical: the responsible physician, and a specialist of the case while
// advising is permitted. Coordinators and administrators never (security, section 5).
func mayReadClinical(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !(f.is(RoleResponsible) || f.is(RoleSpecialist)) {
		return refuse(RefusedRole)
	}
	return nil
}

// mayReadIdentity: the responsible physician; each opening is an event.
func mayReadIdentity(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	return nil
}

// mayEdit: the responsible physician, while nothing was submitted or more was asked.
func mayEdit(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	if !f.State.Editable() {
		return refuse(RefusedState)
	}
	return nil
}

// maySubmit: the responsible physician.
func maySubmit(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	return step(f, Submit)
}

// mayTriage: the responsible physician or the clinic's coordinator sees who may advise.
func mayTriage(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !(f.is(RoleResponsible) || f.Own && a.Has(identity.RoleCoordinator)) {
		return refuse(RefusedRole)
	}
	if f.State != Submitted && f.State != Triaged && f.State != Declined {
		return refuse(RefusedState)
	}
	return nil
}

// mayAssign: as triage; the specialist's scope is decided by the determination.
func mayAssign(a identity.Actor, f Facts, d credentialing.Determination) *Refusal {
	if r := mayTriage(a, f); r != nil {
		return r
	}
	return scope(d)
}

// mayReturn: the specialist or the coordinator asks for more information.
func mayReturn(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !(f.is(RoleSpecialist) || f.Own && a.Has(identity.RoleCoordinator)) {
		return refuse(RefusedRole)
	}
	return step(f, Return)
}

// mayDecline: the specialist.
func mayDecline(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleSpecialist) {
		return refuse(RefusedRole)
	}
	return step(f, Decline)
}

// mayWithdrawCase: the responsible physician.
func mayWithdrawCase(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	return step(f, Withdraw)
}

// mayRecordConsent: the responsible physician, or the patient.
func mayRecordConsent(a identity.Actor, f Facts) *Refusal {
	if !(f.is(RolePatient) || f.is(RoleResponsible) && !a.Guest()) {
		return refuse(RefusedRole)
	}
	if f.State.Over() {
		return refuse(RefusedState)
	}
	return nil
}

// mayWithdrawConsent: as recording, and always, whatever the state: a withdrawal is
// never refused for a reason of ours.
func mayWithdrawConsent(a identity.Actor, f Facts) *Refusal {
	if !(f.is(RolePatient) || f.is(RoleResponsible) && !a.Guest()) {
		return refuse(RefusedRole)
	}
	return nil
}

// mayConfirmPlace: the patient at the door, the responsible physician, or the
// clinic's coordinator who asked.
func mayConfirmPlace(a identity.Actor, f Facts) *Refusal {
	if f.is(RolePatient) || !a.Guest() && (f.is(RoleResponsible) || f.Own && a.Has(identity.RoleCoordinator)) {
		return nil
	}
	return refuse(RefusedRole)
}

// mayUpload: the responsible physician, until the case is decided.
func mayUpload(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	switch f.State {
	case Decided, HandedBack, Closed, Withdrawn:
		return refuse(RefusedState)
	}
	return nil
}

// FileFacts are what mayReadFile sees.
type FileFacts struct {
	Facts
	Advising  bool // scope for advise_physician, now
	Consented bool // record_sharing of the file's class to this reader's country
	Agreement bool // between the two organizations, for this class
}

// mayReadFile: the responsible physician; a specialist of the case while advising is
// permitted, the patient consented to this class going there, and the two
// organizations have an agreement for it.
func mayReadFile(a identity.Actor, f FileFacts) *Refusal {
	if r := mayReadClinical(a, f.Facts); r != nil {
		return r
	}
	if f.is(RoleResponsible) {
		return nil
	}
	if !f.Advising {
		return refuse(RefusedScope)
	}
	if !f.Consented {
		return refuse(RefusedConsent)
	}
	if !f.Agreement {
		return refuse(RefusedAgreement)
	}
	return nil
}

// maySay: those who may read the case, until it is over.
func maySay(a identity.Actor, f Facts) *Refusal {
	if r := mayReadClinical(a, f); r != nil {
		return r
	}
	if f.State.Over() {
		return refuse(RefusedState)
	}
	return nil
}

// mayDraftOpinion: a specialist of the case, from assignment on.
func mayDraftOpinion(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleSpecialist) {
		return refuse(RefusedRole)
	}
	return step(f, GiveOpinion)
}

// maySubmitOpinion: as drafting, within the scope of this instant.
func maySubmitOpinion(a identity.Actor, f Facts, d credentialing.Determination) *Refusal {
	if r := mayDraftOpinion(a, f); r != nil {
		return r
	}
	return scope(d)
}

// mayReadBack: the responsible physician confirms the cards.
func mayReadBack(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	if f.State != Advised {
		return refuse(RefusedState)
	}
	return nil
}

// maySign: the responsible local physician, licensed in the patient's place at this
// instant (R1), when every card is read back and the document shows the case as it
// is. The determination comes first, so that everybody who may not sign is told by
// which rule.
func maySign(a identity.Actor, f SignFacts) *Refusal {
	if r := scope(f.Determination); r != nil {
		return r
	}
	if a.Guest() || !f.is(RoleResponsible) || f.Determination.Person != a.Person ||
		f.Determination.Activity != credentialing.SignDecision {
		return refuse(RefusedRole)
	}
	if r := step(f.Facts, SignDecision); r != nil {
		return r
	}
	if f.OpenReadBacks > 0 {
		return refuse(RefusedReadBack)
	}
	if f.CaseVersion != f.ShownVersion {
		return refuse(RefusedStale)
	}
	return nil
}

// mayHandBack: the responsible physician.
func mayHandBack(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	return step(f, HandBack)
}

// mayClose: the responsible physician, after the hand-back.
func mayClose(a identity.Actor, f Facts) *Refusal {
	if a.Guest() || !f.is(RoleResponsible) {
		return refuse(RefusedRole)
	}
	return step(f, Close)
}

// mayExport: those who signed or answer for the case take the bundle with them.
func mayExport(a identity.Actor, f Facts) *Refusal {
	if r := mayReadClinical(a, f); r != nil {
		return r
	}
	switch f.State {
	case Advised, Decided, HandedBack, Closed:
		return nil
	}
	return refuse(RefusedState)
}

// scope turns a determination that denies into a refusal.
func scope(d credentialing.Determination) *Refusal {
	r := d.Refusal()
	if r == nil {
		if d.Decision == "" {
			return refuse(RefusedScope) // nothing was determined: default deny
		}
		return nil
	}
	return &Refusal{Code: RefusedScope, Rule: r.Rule, Jurisdiction: r.Jurisdiction, Reasons: r.Reasons, Lead: d.Lead(), Until: r.Until}
}
