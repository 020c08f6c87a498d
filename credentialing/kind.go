package credentialing

// Kind is what a credential is. The values are those of pack files and stored
// facts, and never change.
type Kind string

// The kinds of credentials.
const (
	KindLicense          Kind = "licence" // the wire spelling, here and nowhere else
	KindRegistration     Kind = "registration"
	KindCompactLetter    Kind = "compact_letter"
	KindBoard            Kind = "board_certification"
	KindControlledDrug   Kind = "controlled_drug_registration"
	KindLanguage         Kind = "language"
	KindEducation        Kind = "education"
	KindPrivilege        Kind = "privilege"
	KindPrivilegeByProxy Kind = "privilege_by_proxy"
	KindMalpractice      Kind = "malpractice"
	KindInterpreter      Kind = "interpreter_certificate"
)

// How a source was asked.
const (
	methodPrimary     = "primary-source"
	methodEquivalent  = "equivalent"
	methodCertificate = "certificate"
	methodAttested    = "attested"
	methodSigned      = "signed-credential"
)

// Formats of what is kept and read, and words of packs.
const (
	evaluatorVersion  = "2" // rises only with a replay of the corpus; see evaluators
	factsFormat       = "credentialing-facts/1"
	answerFormat      = "credentialing-answer/1"
	packFormat        = "jurisdiction-pack/1"
	conditionsFormat  = "jurisdiction-conditions/1"
	confidenceGeneral = "general-knowledge"
	confidenceOpen    = "not-established"
	statePlatform     = "platform-policy"
	stateVerified     = "verified"
	stateStarter      = "unverified-starter"
	stateReview       = "in-review"
)

// Kinds are all kinds, in the order in which pages list them.
var Kinds = []Kind{KindLicense, KindRegistration, KindCompactLetter, KindBoard, KindControlledDrug, KindMalpractice,
	KindPrivilege, KindPrivilegeByProxy, KindInterpreter, KindLanguage, KindEducation}

// Known tells whether k is a kind.
func (k Kind) Known() bool {
	for _, have := range Kinds {
		if have == k {
			return true
		}
	}
	return false
}

// Activity is what somebody wants to do for a patient.
type Activity string

// The activities that packs speak of.
const (
	AdvisePhysician  Activity = "advise_physician"   // advise the local physician
	JointVideoVisit  Activity = "joint_video_visit"  // see the patient on video, the local physician being there
	DirectConsult    Activity = "direct_consult"     // see the patient alone
	PrescribeOrOrder Activity = "prescribe_or_order" // prescribe a drug, order a test
	SignDecision     Activity = "sign_decision"      // sign what is done
)

// Activities are all activities, in the order in which pages list them.
var Activities = []Activity{AdvisePhysician, JointVideoVisit, DirectConsult, PrescribeOrOrder, SignDecision}

// Known tells whether a is an activity.
func (a Activity) Known() bool {
	for _, have := range Activities {
		if have == a {
			return true
		}
	}
	return false
}

// Mode tells whether an act is planned for later or done now. What is due "before"
// may be open when planning, not when acting.
type Mode string

// The modes of a question.
const (
	Plan Mode = "plan"
	Act  Mode = "act"
)

// Decision is the answer.
type Decision string

// The decisions, the strictest first.
const (
	Deny                 Decision = "deny"
	PermitWithConditions Decision = "permit-with-conditions"
	Permit               Decision = "permit"
)

// rank orders decisions: the higher, the more is allowed.
func (d Decision) rank() int {
	switch d {
	case Permit:
		return 2
	case PermitWithConditions:
		return 1
	default:
		return 0
	}
}

// stricter returns the stricter of two decisions.
func stricter(a, b Decision) Decision {
	if a.rank() <= b.rank() {
		return a
	}
	return b
}

// Status is what a source said about a credential from an instant on. That a
// credential has ended is never a status: it follows from the clock.
type Status string

// The statuses of a credential.
const (
	StatusActive      Status = "active"
	StatusSuspended   Status = "suspended"
	StatusRevoked     Status = "revoked"
	StatusSurrendered Status = "surrendered"
	StatusLapsed      Status = "lapsed"
)

// Adverse tells whether the status is bad news, which acts at once.
func (s Status) Adverse() bool { return s != StatusActive }

// Known tells whether s is a status.
func (s Status) Known() bool {
	switch s {
	case StatusActive, StatusSuspended, StatusRevoked, StatusSurrendered, StatusLapsed:
		return true
	}
	return false
}

// enforcedLimits are the limits that the software itself keeps: it hides and
// refuses the act. The value names what it stops.
var enforcedLimits = map[string]Activity{
	"no-orders":                  PrescribeOrOrder,
	"no-ultimate-authority":      SignDecision,
	"no-office-or-patient-calls": DirectConsult,
}

// toldLimits are the limits that people are told at the door and acknowledge.
var toldLimits = map[string]bool{
	"at-inviting-institution": true, "within-registered-scope": true, "consultation-only": true,
	"decision-stays-with-admitting-institution": true, "within-licensed-institution": true,
	"encrypt-transfer": true, "episodic-only": true, "facility-named-on-the-licence": true, "named-case-only": true,
	"named-institution-only": true, "no-in-person-care": true, "no-office-in-state": true,
	"only-what-the-authorisation-names": true, "record-in-chart": true, "qualified-digital-signature": true,
	"remote-only": true, "law-of-state-of-establishment": true, "remote-only-in-the-single-case": true,
	"document-findings": true, "show-registration-number": true, "temporary-services-only": true,
	"under-supervision-of-local-physician": true,
}

// Enforced tells whether the software itself keeps a limit, and which activity it
// stops.
func Enforced(limit string) (Activity, bool) {
	a, ok := enforcedLimits[limit]
	return a, ok
}

// InterpretModes are the ways of interpreting that a certificate names.
var InterpretModes = []string{"simultaneous", "consecutive", "sign"}
