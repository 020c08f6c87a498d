package fhir

import (
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Object is a resource or a part of one, as JSON has it.
type Object = map[string]any

// Source is what is exported of a person.
type Source struct {
	Base   string    // address of the API without a slash at the end; ours of extensions and codes begin with it
	At     time.Time // the instant asked about
	Person identity.Person
	File   credentialing.PersonFile // as of that instant
	Roles  []credentialing.PastRole // with those that have ended
	// Organizations are the names of those that Roles, facilities and Verifiers mean.
	Organizations map[identity.OrganizationID]string
	// Verifiers are the organizations that those who verified work for.
	Verifiers map[identity.PersonID]identity.OrganizationID
}

// put leaves out what is empty: FHIR has no empty arrays.
func put(o Object, field string, list []any) {
	if len(list) > 0 {
		o[field] = list
	}
}

func set(o Object, field, value string) {
	if value != "" {
		o[field] = value
	}
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// period is from and to as the source gave them: a bare date stays one.
func period(from, to credentialing.Moment) Object {
	p := Object{}
	set(p, "start", from.String())
	set(p, "end", to.String())
	if len(p) == 0 {
		return nil
	}
	return p
}

func (s Source) coding(system, code string) Object {
	return Object{"coding": []any{Object{"system": s.Base + "/CodeSystem/" + system, "code": code}}}
}

func (s Source) extension(name string) string { return s.Base + "/StructureDefinition/" + name }

func (s Source) organization(id identity.OrganizationID) Object {
	r := Object{"reference": "Organization/" + string(id), "type": "Organization"}
	set(r, "display", s.Organizations[id])
	return r
}

func (s Source) self() Object {
	return Object{"reference": "Practitioner/" + string(s.Person.ID), "type": "Practitioner", "display": s.Person.Name}
}

// Practitioner is FHIR R4 Practitioner: the qualifications are what was verified, and the
// numbers of licenses and registrations among them are identifiers too.
func (s Source) Practitioner() Object {
	identifiers := []any{Object{"system": s.Base + "/person", "value": string(s.Person.ID)}}
	for _, c := range s.File.Credentials {
		if c.Counts.Verified != nil && (c.Kind == credentialing.KindLicense || c.Kind == credentialing.KindRegistration) {
			identifiers = append(identifiers, Object{"type": Object{"coding": []any{Object{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "LN"}}},
				"value": c.Number, "assigner": Object{"display": c.Issuer}})
		}
	}
	o := Object{"resourceType": "Practitioner", "id": string(s.Person.ID), "active": !s.Person.Disabled, "identifier": identifiers,
		"name": []any{Object{"text": s.Person.Name}}}
	var languages, held []any
	for _, tag := range s.Person.Languages {
		languages = append(languages, Object{"coding": []any{Object{"system": "urn:ietf:bcp:47", "code": tag}}})
	}
	put(o, "communication", languages)
	for _, c := range s.File.Credentials {
		if c.Counts.Verified == nil {
			continue
		}
		held = append(held, s.qualification(c))
	}
	put(o, "qualification", held)
	return o
}

// qualification is one verified credential; its id is the credential's.
func (s Source) qualification(c credentialing.CredentialView) Object {
	q := Object{"id": string(c.ID), "code": s.coding("credential-kind", string(c.Kind)),
		"identifier": []any{Object{"value": c.Number, "assigner": Object{"display": c.Issuer}}}, "issuer": Object{"display": c.Issuer}}
	if p := period(c.Counts.ValidFrom, c.Counts.ValidTo); p != nil {
		q["period"] = p
	}
	more := []any{Object{"url": s.extension("credential-status"), "valueCode": standing(c.Standing)}}
	for _, place := range places(c) {
		// Our own value set of ISO 3166 codes: the US directory's knows postal states only.
		more = append(more, Object{"url": s.extension("where-valid"), "valueCodeableConcept": Object{"coding": []any{Object{"system": iso3166(place), "code": place}}}})
	}
	if c.Counts.Type != "" {
		more = append(more, Object{"url": s.extension("credential-type"), "valueString": c.Counts.Type})
	}
	q["extension"] = more
	return q
}

// standing is how a credential stands, in one word.
func standing(st credentialing.Standing) string {
	switch {
	case st.Usable:
		return "active"
	case st.StatusAt.Adverse():
		return string(st.StatusAt)
	case st.Reason != "":
		return st.Reason
	}
	return "unknown"
}

// places are where a credential is valid: its own place, or the territories of a cover.
func places(c credentialing.CredentialView) []string {
	if c.Jurisdiction != "" {
		return []string{c.Jurisdiction}
	}
	var out []string
	for _, t := range c.Counts.Territories {
		if t != "*" {
			out = append(out, t)
		}
	}
	return out
}

func iso3166(code string) string {
	if strings.Contains(code, "-") {
		return "urn:iso:std:iso:3166:-2"
	}
	return "urn:iso:std:iso:3166"
}

// PractitionerRoles are FHIR R4 PractitionerRole: one for each role, with the privileges that
// the person has at its organization. One that is over, or is to come, is not active.
func (s Source) PractitionerRoles() []Object {
	var out []Object
	for _, g := range s.Roles {
		o := Object{"resourceType": "PractitionerRole", "id": g.ID, "active": g.Held && !s.Person.Disabled, "practitioner": s.self(), "code": []any{s.coding("role", string(g.Role))}}
		p := Object{}
		set(p, "start", instant(g.From))
		set(p, "end", instant(g.Until))
		if len(p) > 0 {
			o["period"] = p
		}
		if g.Organization != "" {
			o["organization"] = s.organization(g.Organization)
		}
		if s.Person.Specialty != "" && (g.Role == identity.RoleSpecialist || g.Role == identity.RoleLocalPhysician) {
			o["specialty"] = []any{s.coding("specialty", s.Person.Specialty)}
		}
		var more []any
		for _, c := range s.File.Credentials {
			privilege := c.Kind == credentialing.KindPrivilege || c.Kind == credentialing.KindPrivilegeByProxy
			if privilege && c.Counts.Verified != nil && s.standsWith(c, g) {
				more = append(more, s.privilege(c))
			}
		}
		put(o, "extension", more)
		out = append(out, o)
	}
	return out
}

// standsWith tells with which role a privilege stands: with that at its facility; one by
// proxy also with that at the distant site, or, if there is neither, with each role of a
// specialist, for the person works for the facility only through the agreement.
func (s Source) standsWith(c credentialing.CredentialView, g credentialing.PastRole) bool {
	at := func(g credentialing.PastRole) bool {
		return c.Counts.Facility == string(g.Organization) || c.Claim.Proxy != nil && g.Organization != "" && c.Claim.Proxy.Site == g.Organization
	}
	if at(g) || c.Kind != credentialing.KindPrivilegeByProxy {
		return at(g)
	}
	return g.Role == identity.RoleSpecialist && !slices.ContainsFunc(s.Roles, func(g credentialing.PastRole) bool { return g.Held && at(g) })
}

// proxy are the parts of a privilege by proxy: the written agreement with its parties and
// period, the distant site's accreditation and last decision, and what is shared back.
// A claim that nobody has verified yet says nothing of the one that counts.
func (s Source) proxy(c credentialing.CredentialView) []any {
	x := c.Claim.Proxy
	if x == nil || c.Counts.Version != string(c.ClaimID) {
		return nil
	}
	nested := func(name string, parts ...any) any { return Object{"url": name, "extension": parts} }
	span := func(parts []any, from, to credentialing.Moment) []any {
		if p := period(from, to); p != nil {
			parts = append(parts, Object{"url": "period", "valuePeriod": p})
		}
		return parts
	}
	site := Object{"display": c.Issuer}
	if x.Site != "" {
		site = s.organization(x.Site)
		site["display"] = c.Issuer
	}
	agreement := []any{Object{"url": "identifier", "valueIdentifier": Object{"value": c.Number, "assigner": Object{"display": c.Issuer}}},
		Object{"url": "facility", "valueReference": s.organization(identity.OrganizationID(c.Counts.Facility))}, Object{"url": "distant-site", "valueReference": site}}
	out := []any{nested("written-agreement", span(agreement, x.AgreementFrom, x.AgreementTo)...),
		nested("accreditation", span([]any{Object{"url": "accreditor", "valueString": x.Accreditor}}, x.AccreditedFrom, x.AccreditedTo)...),
		nested("last-decision", Object{"url": "decision", "valueCode": string(x.Decision)}, Object{"url": "decided", "valueDate": x.DecidedOn.String()})}
	if !x.DecidedOn.IsDate() {
		out[2] = nested("last-decision", Object{"url": "decision", "valueCode": string(x.Decision)}, Object{"url": "decided", "valueDateTime": x.DecidedOn.String()})
	}
	for _, share := range x.Shares {
		out = append(out, Object{"url": "shared", "valueCode": string(share)})
	}
	if len(c.Reviews) > 0 {
		out = append(out, Object{"url": "last-review", "valueDateTime": instant(c.Reviews[0].HeldAt)})
	}
	if !c.NextReview.IsZero() {
		out = append(out, Object{"url": "next-review", "valueDateTime": instant(c.NextReview)})
	}
	return out
}

// privilege is an extension: a facility's privilege is no license, so it stands with the
// role there and not among the qualifications alone.
func (s Source) privilege(c credentialing.CredentialView) Object {
	parts := []any{Object{"url": "credential", "valueString": string(c.ID)}, Object{"url": "kind", "valueCode": string(c.Kind)},
		Object{"url": "status", "valueCode": standing(c.Standing)}}
	for _, a := range c.Counts.Activities {
		parts = append(parts, Object{"url": "activity", "valueCode": string(a)})
	}
	if p := period(c.Counts.ValidFrom, c.Counts.ValidTo); p != nil {
		parts = append(parts, Object{"url": "period", "valuePeriod": p})
	}
	if c.Kind == credentialing.KindPrivilegeByProxy {
		// The number of such a credential is that of its written agreement, its issuer the distant site.
		parts = append(parts, Object{"url": "agreement", "valueString": c.Number}, Object{"url": "distant-site", "valueString": c.Issuer})
		parts = append(parts, s.proxy(c)...)
	}
	return Object{"url": s.extension("privilege"), "extension": parts}
}
