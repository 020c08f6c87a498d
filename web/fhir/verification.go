package fhir

import (
	"time"

	"github.com/consilium-health/consilium/credentialing"
)

const hl7 = "http://terminology.hl7.org/CodeSystem/"

func concept(system, code string) Object {
	return Object{"coding": []any{Object{"system": hl7 + system, "code": code}}}
}

// VerificationResults are FHIR R4 VerificationResult: one for each period that counts,
// and one for a claim that waits. The id is that of the claim's version.
func (s Source) VerificationResults() []Object {
	var out []Object
	for _, c := range s.File.Credentials {
		if c.Counts.Verified != nil {
			out = append(out, s.counted(c))
		}
		if c.Counts.Verified == nil || c.Counts.Version != string(c.ClaimID) {
			out = append(out, s.waiting(c))
		}
	}
	return out
}

func (s Source) result(c credentialing.CredentialView, id, status string) Object {
	return Object{"resourceType": "VerificationResult", "id": id, "status": status, "target": []any{s.self()},
		"targetLocation": []any{"qualification.where(id='" + string(c.ID) + "')"}, "failureAction": concept("failure-action", "fatal")}
}

// counted is a period that two people stand for.
func (s Source) counted(c credentialing.CredentialView) Object {
	v := c.Counts.Verified
	status := "validated"
	if c.Standing.Overdue {
		status = "req-revalid"
	}
	o := s.result(c, c.Counts.Version, status)
	set(o, "statusDate", instant(v.At))
	set(o, "lastPerformed", instant(v.At))
	o["need"] = concept("need", "initial")
	if !v.NextDue.IsZero() {
		o["need"] = concept("need", "periodic")
		o["nextScheduled"] = date(v.NextDue)
		if days := int(v.NextDue.Sub(v.At) / (24 * time.Hour)); days > 0 {
			o["frequency"] = Object{"repeat": Object{"frequency": 1, "period": days, "periodUnit": "d"}}
		}
	}
	process := "primary"
	if v.Method != "primary-source" {
		process = "standalone"
	}
	o["validationType"] = concept("validation-type", "primary")
	o["validationProcess"] = []any{concept("validation-process", process)}
	o["primarySource"] = []any{Object{"who": Object{"display": c.Issuer}, "validationStatus": concept("validation-status", "successful"), "validationDate": instant(v.At)}}
	for person, org := range s.Verifiers {
		if string(person) == v.By {
			o["validator"] = []any{Object{"organization": s.organization(org)}}
		}
	}
	return o
}

// waiting is a claim that does not count yet: attested by whoever entered it, being
// looked into, or returned.
func (s Source) waiting(c credentialing.CredentialView) Object {
	status := "attested"
	switch c.State {
	case credentialing.StateAnswered, credentialing.StateNeedsReview:
		status = "in-process"
	case credentialing.StateRejected:
		status = "val-fail"
		if c.Counts.Verified != nil {
			status = "reval-fail"
		}
	}
	o := s.result(c, string(c.ClaimID), status)
	set(o, "statusDate", instant(c.EnteredAt))
	o["need"] = concept("need", "initial")
	if c.Counts.Verified != nil {
		o["need"] = concept("need", "periodic")
	}
	who := Object{"display": "entered for the holder"}
	if c.EnteredBy == c.Person {
		who = s.self()
	}
	o["attestation"] = Object{"who": who, "date": date(c.EnteredAt)}
	if v := c.Verification; v != nil {
		set(o, "lastPerformed", instant(v.AskedAt))
		answer := "failed"
		if v.Result == credentialing.ResultFound {
			answer = "unknown" // found, and nobody has approved it
		}
		o["primarySource"] = []any{Object{"who": Object{"display": c.Issuer}, "validationStatus": concept("validation-status", answer), "validationDate": instant(v.AskedAt)}}
	}
	return o
}
