package workspace

import (
	"fmt"
	"html"
	"strings"

	"github.com/consilium-health/consilium/credentialing/audit"
)

type object = map[string]any

// fhirDocument is the case's documents as a FHIR R4 document Bundle: a Composition
// that stands on the pseudonymous Patient and the signers, a section for each signed
// document. It follows from the documents alone, byte for byte.
func fhirDocument(docs []document) ([]byte, error) {
	if len(docs) == 0 {
		return nil, fmt.Errorf("fhir: no document")
	}
	last := docs[len(docs)-1]
	urn := func(id string) string { return "urn:uuid:" + id }
	patient := object{"resourceType": "Patient", "id": string(last.Case), "gender": last.Patient.Sex,
		"birthDate": fmt.Sprint(last.Patient.BirthYear), "name": []any{object{"use": "anonymous", "text": last.Patient.Initials}},
		"address": []any{object{"country": Country(last.Patient.Place)}}}
	status := "preliminary" // advice without a decision
	if last.Decision != nil {
		status = "final"
	}
	var sections, entries, authors []any
	seen := map[string]bool{}
	var custodian object
	for _, d := range docs {
		author := object{"reference": urn(string(d.Signer.Person)), "display": d.Signer.Name}
		if !seen[string(d.Signer.Person)] {
			seen[string(d.Signer.Person)] = true
			authors = append(authors, author)
			p := object{"resourceType": "Practitioner", "id": string(d.Signer.Person), "name": []any{object{"text": d.Signer.Name}}}
			if d.Signer.License != "" {
				p["qualification"] = []any{object{"identifier": []any{object{"value": d.Signer.License}}, "code": object{"text": "license"}}}
			}
			entries = append(entries, object{"fullUrl": urn(string(d.Signer.Person)), "resource": p})
		}
		title, text, lang := "Decision", "", ""
		if d.Opinion != nil {
			title, text, lang = "Opinion", d.Opinion.narrative(), d.Opinion.Language
		} else {
			text, lang = d.Decision.narrative(), d.Decision.Language
		}
		sections = append(sections, object{"title": title, "author": []any{author},
			"text": object{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml" lang="` + html.EscapeString(lang) + `">` + text + `</div>`}})
		custodian = object{"resourceType": "Organization", "id": string(d.Clinic.ID), "name": d.Clinic.Name}
	}
	composition := object{"resourceType": "Composition", "id": string(last.ID), "status": status,
		"type":    object{"coding": []any{object{"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}}},
		"subject": object{"reference": urn(string(last.Case))}, "date": last.PreparedAt, "author": authors,
		"title": "Case " + last.Number, "custodian": object{"reference": urn(string(last.Clinic.ID)), "display": last.Clinic.Name}, "section": sections}
	first := []any{object{"fullUrl": urn(string(last.ID)), "resource": composition}, object{"fullUrl": urn(string(last.Case)), "resource": patient},
		object{"fullUrl": urn(string(last.Clinic.ID)), "resource": custodian}}
	return audit.Canonical(object{"resourceType": "Bundle", "type": "document", "timestamp": last.PreparedAt,
		"identifier": object{"system": "urn:ietf:rfc:3986", "value": urn(string(last.ID))}, "entry": append(first, entries...)})
}

func paragraph(b *strings.Builder, label, text string) {
	if text != "" {
		fmt.Fprintf(b, "<p><b>%s</b>: %s</p>", label, html.EscapeString(text))
	}
}

func (o OpinionContent) narrative() string {
	var b strings.Builder
	paragraph(&b, "understanding", o.Understanding)
	paragraph(&b, "assessment", o.Assessment)
	for _, d := range o.Differential {
		paragraph(&b, d.Likelihood, d.Condition)
	}
	for _, r := range o.Recommendations {
		paragraph(&b, fmt.Sprintf("%d, %s, %s", r.ID, r.Strength, r.Urgency), r.Text)
	}
	paragraph(&b, "red flags", o.RedFlags)
	paragraph(&b, "would change the advice", o.WouldChange)
	paragraph(&b, "references", o.References)
	paragraph(&b, "limits", o.Limits)
	return b.String()
}

func (d DecisionContent) narrative() string {
	var b strings.Builder
	paragraph(&b, "outcome", string(d.Outcome))
	for _, a := range d.Answers {
		paragraph(&b, fmt.Sprintf("recommendation %d, %s", a.Recommendation, a.Outcome), a.Reason)
	}
	paragraph(&b, "plan", d.Plan)
	paragraph(&b, "told the patient ("+d.ToldLanguage+")", d.ToldPatient)
	paragraph(&b, "follow-up", d.FollowUp)
	return b.String()
}
