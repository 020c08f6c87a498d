package i18n

// Messages of the fault area: which credential stands in the way, since or until
// when, and what an answer rests on.
const (
	FaultAdvice       ID = "fault.advice"
	FaultAdviceLink   ID = "fault.advice.link"
	FaultAsk          ID = "fault.ask"
	FaultBegins       ID = "fault.begins"
	FaultCredential   ID = "fault.credential"
	FaultCredentialOf ID = "fault.credential.of"
	FaultEnded        ID = "fault.ended"
	FaultEnds         ID = "fault.ends"
	FaultEvidence     ID = "fault.evidence"
	FaultFlashLater   ID = "fault.flash.later"
	FaultGrounds      ID = "fault.grounds"
	FaultLapsed       ID = "fault.lapsed"
	FaultNoEvidence   ID = "fault.no_evidence"
	FaultNotVerified  ID = "fault.not_verified"
	FaultOverdue      ID = "fault.overdue"
	FaultRenew        ID = "fault.renew"
	FaultRevoked      ID = "fault.revoked"
	FaultStatusFrom   ID = "fault.status_from"
	FaultStatusHint   ID = "fault.status_from.hint"
	FaultSurrendered  ID = "fault.surrendered"
	FaultSuspended    ID = "fault.suspended"
	FaultUnverified   ID = "fault.unverified"
	FaultVerified     ID = "fault.verified"
)
