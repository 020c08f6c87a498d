package i18n

// Messages of the held area: visits that need attention because somebody may no
// longer do their part.
const (
	HeldChoose          ID = "held.choose"
	HeldDoAlone         ID = "held.do.alone"
	HeldDoInterpreter   ID = "held.do.interpreter"
	HeldDoNarrower      ID = "held.do.narrower"
	HeldDoPhysician     ID = "held.do.physician"
	HeldDoSpecialist    ID = "held.do.specialist"
	HeldDoTime          ID = "held.do.time"
	HeldDone            ID = "held.done"
	HeldGone            ID = "held.gone"
	HeldInterpreted     ID = "held.interpreted"
	HeldKept            ID = "held.kept"
	HeldNone            ID = "held.none"
	HeldOwn             ID = "held.own"
	HeldTitle           ID = "held.title"
	HeldUntil           ID = "held.until"
	HeldWays            ID = "held.ways"
	HeldWhy             ID = "held.why"
	MailRestoredBody    ID = "mail.restored.body"
	MailRestoredSubject ID = "mail.restored.subject"
	MailSetAsidePatient ID = "mail.set_aside.patient"
	MailSetAsideSeated  ID = "mail.set_aside.seated"
	MailSetAsideStaff   ID = "mail.set_aside.staff"
	MailSetAsideSubject ID = "mail.set_aside.subject"
)
