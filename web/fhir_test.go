package web

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/fhir"
)

// readByAnother has another implementation of FHIR R4 read a resource: it refuses
// unknown fields and codes, wrong types of references and what is missing.
func readByAnother(t *testing.T, body []byte) {
	t.Helper()
	u, err := jsonformat.NewUnmarshaller("UTC", fhirversion.R4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Unmarshal(body); err != nil {
		t.Errorf("another implementation refuses it: %v\n%s", err, body)
	}
}

// fhir asks the API as somebody.
func (o office) fhir(t *testing.T, who, path string, status int) fhir.Object {
	t.Helper()
	w := get(o, "/fhir"+path, o.as(who), header("Accept", "application/fhir+json"))
	if w.Code != status || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/fhir+json") {
		t.Fatalf("%s as %s: %d %s\n%s", path, who, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	readByAnother(t, w.Body.Bytes())
	var out fhir.Object
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func statuses0(bundle fhir.Object) []string {
	var out []string
	list, _ := bundle["entry"].([]any)
	for _, e := range list {
		out = append(out, e.(fhir.Object)["resource"].(fhir.Object)["status"].(string))
	}
	return out
}

func TestFHIRExportTellsWhatWasVerifiedAndHow(t *testing.T) {
	o := openOffice(t)
	me := string(o.people["otieno"])
	o.fhir(t, "nobody", "/metadata", 200)
	license, _ := o.endingSoon(t, "otieno")
	claim := o.send(t, "wanjiru", "/credentials/people/"+me+"/claim", url.Values{"kind": {"malpractice"}, "issuer": {"Mutual"}, "number": {"M-1"},
		"territories": {"KE US-CA *"}, "valid_from": {"2020-01-01"}, "valid_to": {"2099-12-31"}, "currency": {"USD"}, "per_claim": {"1000000"}, "aggregate": {"3000000"}})
	o.send(t, "wanjiru", "/credentials/people/"+me+"/claim", url.Values{"kind": {"licence"}, "issuer": {"Medical council"}, "number": {"SECRET-otieno"},
		"jurisdiction": {"KE"}, "valid_from": {"2026-01-01"}, "valid_to": {"2099-12-31"}})
	o.send(t, "wanjiru", "/credentials/people/"+me+"/exclusions", url.Values{"lists": {"LEIE"}, "entry": {"E-999"}})

	p := o.fhir(t, "wanjiru", "/Practitioner/"+me, 200)
	held, _ := p["qualification"].([]any)
	if len(held) != 1 || held[0].(fhir.Object)["id"] != string(license) {
		t.Fatalf("qualifications: %v", held)
	}
	one := held[0].(fhir.Object)
	if one["issuer"].(fhir.Object)["display"] != "Medical council" || one["period"].(fhir.Object)["start"] != "2020-01-01" {
		t.Errorf("qualification: %v", one)
	}
	roles := o.fhir(t, "wanjiru", "/PractitionerRole?practitioner=Practitioner/"+me, 200)
	if roles["total"] != 1.0 {
		t.Errorf("roles: %v", roles)
	}
	results := o.fhir(t, "otieno", "/VerificationResult?target="+url.QueryEscape("Practitioner/"+me), 200)
	got := strings.Join(statuses0(results), " ")
	if strings.Count(got, "validated") != 1 || strings.Count(got, "attested") != 2 {
		t.Errorf("statuses: %s", got)
	}
	body, err := json.Marshal([]fhir.Object{p, roles, results})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"E-999", "LEIE", "sha256", "M-1"} {
		if strings.Contains(string(body), secret) {
			t.Errorf("the export tells %q", secret)
		}
	}
	o.send(t, "wanjiru", claim+"/verify", url.Values{"method": {"certificate"}, "source": {"Mutual"}, "result": {"needs-review"}, "status": {"active"}})
	o.send(t, "wanjiru", "/credentials/"+string(license)+"/status", url.Values{"new_status": {"suspended"}, "status_source": {"council"}})
	results = o.fhir(t, "wanjiru", "/VerificationResult?target="+me, 200)
	if got := strings.Join(statuses0(results), " "); !strings.Contains(got, "in-process") {
		t.Errorf("after a doubtful answer: %s", got)
	}
	p = o.fhir(t, "wanjiru", "/Practitioner/"+me, 200)
	if body, _ := json.Marshal(p["qualification"]); !strings.Contains(string(body), `"valueCode":"suspended"`) {
		t.Errorf("after a suspension: %s", body)
	}

	// Who may not know of it is told nothing.
	for _, c := range []struct {
		who, path string
		status    int
	}{
		{"weber", "/Practitioner/" + me, 404},
		{"weber", "/VerificationResult?target=" + me, 404},
		{"wanjiru", "/Practitioner/x", 404},
		{"wanjiru", "/PractitionerRole", 400},
		{"wanjiru", "/PractitionerRole?practitioner=" + me + "&role=x", 400},
		{"nobody", "/Practitioner/" + me, 401},
	} {
		if out := o.fhir(t, c.who, c.path, c.status); out["resourceType"] != "OperationOutcome" {
			t.Errorf("%s as %s: %v", c.path, c.who, out)
		}
	}
}

func TestFHIRExportOfPrivilegesAndEmptyFiles(t *testing.T) {
	src := fhir.Source{Base: "https://consult.example.org/fhir", Person: identity.Person{ID: "0198c0de-0000-7000-8000-000000000001", Name: "Dr A"}}
	for _, o := range append(append([]fhir.Object{src.Practitioner()}, src.PractitionerRoles()...), fhir.Bundle(src.Base, src.Base, time.Now(), src.VerificationResults())) {
		body, _ := json.Marshal(o)
		readByAnother(t, body)
	}
	src.Roles = []credentialing.PastRole{{ID: "role-1", Organization: "org-1", Role: identity.RoleSpecialist, From: time.Now(), Held: true}}
	held := credentialing.Held{Version: "claim-1", Kind: credentialing.KindPrivilegeByProxy, Facility: "org-1", Activities: []credentialing.Activity{credentialing.AdvisePhysician},
		ValidFrom: credentialing.Date(2026, 1, 1), Verified: &credentialing.Verified{Method: "equivalent", At: time.Now(), NextDue: time.Now().AddDate(1, 0, 0)}}
	src.File.Credentials = []credentialing.CredentialView{{ID: "c-1", ClaimID: "claim-1", Kind: held.Kind, Issuer: "Distant Hospital", Number: "AGREEMENT-7", Counts: held,
		Claim: credentialing.Claim{Facility: "org-1", Proxy: &credentialing.Proxy{Site: "org-2", AgreementFrom: credentialing.Date(2025, 7, 1), AgreementTo: credentialing.Date(2027, 6, 30),
			Accreditor: "Accreditor", AccreditedTo: credentialing.Date(2027, 3, 31), Decision: credentialing.ProxyRenewed, DecidedOn: credentialing.Date(2025, 12, 1),
			Shares: []credentialing.Share{credentialing.ShareEvents, credentialing.ShareReview}}},
		Standing: credentialing.Standing{Usable: true}, NextReview: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}
	body, _ := json.Marshal(src.PractitionerRoles()[0])
	readByAnother(t, body)
	for _, want := range []string{"AGREEMENT-7", "Distant Hospital", "Organization/org-2", `"end":"2027-06-30"`, `"end":"2027-03-31"`, `"valueDate":"2025-12-01"`, "adverse-events", "2027-01-01T00:00:00Z"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the privilege by proxy does not say %s: %s", want, body)
		}
	}
	for _, c := range []struct {
		why   string
		roles []credentialing.PastRole
		want  string // the ids of the roles with which it stands
	}{
		{"at the distant site", []credentialing.PastRole{{Held: true, ID: "a", Organization: "org-2", Role: identity.RoleSpecialist}, {Held: true, ID: "b", Organization: "org-3", Role: identity.RoleSpecialist}}, "a"},
		{"at neither", []credentialing.PastRole{{Held: true, ID: "a", Organization: "org-4", Role: identity.RoleOfficer}, {Held: true, ID: "b", Organization: "org-3", Role: identity.RoleSpecialist}}, "b"},
	} {
		src.Roles = c.roles
		var with string
		for _, o := range src.PractitionerRoles() {
			if body, _ := json.Marshal(o); strings.Contains(string(body), "AGREEMENT-7") {
				with += o["id"].(string)
			}
		}
		if with != c.want {
			t.Errorf("a role %s: it stands with %q, want %q", c.why, with, c.want)
		}
	}
	unverified := src
	unverified.File.Credentials = []credentialing.CredentialView{src.File.Credentials[0]}
	unverified.File.Credentials[0].ClaimID = "claim-2" // a new claim that nobody has verified
	if body, _ := json.Marshal(unverified.PractitionerRoles()); strings.Contains(string(body), "written-agreement") {
		t.Errorf("a claim is exported as verified: %s", body)
	}
	for _, o := range src.VerificationResults() {
		body, _ := json.Marshal(o)
		readByAnother(t, body)
	}
}

// TestFHIRResourcesHaveVersionsByWhatWasKnown reads the history of a practitioner, a role and a
// verification while a license is entered, answered, approved and suspended, and a role
// ends.
func TestFHIRResourcesHaveVersionsByWhatWasKnown(t *testing.T) {
	o := openOffice(t)
	me := string(o.people["otieno"])
	license, _ := o.endingSoon(t, "otieno")
	o.send(t, "wanjiru", "/credentials/"+string(license)+"/status", url.Values{"new_status": {"suspended"}, "status_source": {"Council"}})
	entries := func(path string) (out []fhir.Object) {
		t.Helper()
		bundle := o.fhir(t, "wanjiru", path, 200)
		list, _ := bundle["entry"].([]any)
		for _, e := range list {
			out = append(out, e.(fhir.Object))
		}
		return out
	}
	history := entries("/Practitioner/" + me + "/_history")
	if len(history) != 3 { // came on record, was approved, was suspended
		t.Fatalf("%d versions: %v", len(history), history)
	}
	for i, e := range history {
		r := e["resource"].(fhir.Object)
		number := strconv.Itoa(len(history) - i)
		if r["meta"].(fhir.Object)["versionId"] != number || e["response"].(fhir.Object)["etag"] != `W/"`+number+`"` {
			t.Errorf("version %s: %v", number, e)
		}
		w := get(o, "/fhir/Practitioner/"+me+"/_history/"+number, o.as("wanjiru"))
		if w.Code != 200 || w.Header().Get("ETag") != `W/"`+number+`"` || w.Header().Get("Last-Modified") == "" {
			t.Errorf("version %s: %d %v", number, w.Code, w.Header())
		}
		readByAnother(t, w.Body.Bytes())
		body, _ := json.Marshal(r["qualification"])
		if suspended := strings.Contains(string(body), `"valueCode":"suspended"`); suspended != (i == 0) {
			t.Errorf("version %s: %s", number, body)
		}
		if _, held := r["qualification"]; held == (i == 2) {
			t.Errorf("version %s: %v", number, r)
		}
	}
	current := o.fhir(t, "wanjiru", "/Practitioner/"+me, 200)
	if current["meta"].(fhir.Object)["versionId"] != "3" {
		t.Errorf("the present version: %v", current["meta"])
	}
	if one := entries("/Practitioner/" + me + "/_history?_count=1"); len(one) != 1 || one[0]["resource"].(fhir.Object)["meta"].(fhir.Object)["versionId"] != "3" {
		t.Errorf("the last alone: %v", one)
	}
	if none := entries("/Practitioner/" + me + "/_history?_since=2999-01-01T00:00:00Z"); len(none) != 0 {
		t.Errorf("since a day to come: %v", none)
	}

	// A verification goes from attested to validated; its id is found by search.
	found := entries("/VerificationResult?target=Practitioner/" + me)
	if len(found) != 1 {
		t.Fatalf("verifications: %v", found)
	}
	id := found[0]["resource"].(fhir.Object)["id"].(string)
	var statuses []string
	for _, e := range entries("/VerificationResult/" + id + "/_history") {
		statuses = append(statuses, e["resource"].(fhir.Object)["status"].(string))
	}
	if got := strings.Join(statuses, " "); got != "validated in-process attested" {
		t.Errorf("verification: %s", got)
	}
	if same := o.fhir(t, "otieno", "/VerificationResult/"+id, 200); same["status"] != "validated" {
		t.Errorf("verification: %v", same)
	}

	// A role that has ended is not among the roles, and is read by its id.
	role := entries("/PractitionerRole?practitioner=" + me)[0]["resource"].(fhir.Object)["id"].(string)
	if err := o.identity.EndGrant(t.Context(), identity.System("seed", ""), role); err != nil {
		t.Fatal(err)
	}
	if now := entries("/PractitionerRole?practitioner=" + me); len(now) != 0 {
		t.Errorf("the role is over: %v", now)
	}
	over := o.fhir(t, "wanjiru", "/PractitionerRole/"+role, 200)
	if over["active"] != false || over["period"].(fhir.Object)["end"] == nil {
		t.Errorf("the role that is over: %v", over)
	}
	if past := o.fhir(t, "wanjiru", "/PractitionerRole/"+role+"/_history/1", 200); past["active"] != true || past["period"].(fhir.Object)["end"] != nil {
		t.Errorf("the role as it was known: %v", past)
	}
	if both := entries("/PractitionerRole/" + role + "/_history"); len(both) != 2 {
		t.Errorf("history of the role: %v", both)
	}
	if by := entries("/PractitionerRole?_id=" + role); len(by) != 1 {
		t.Errorf("the role by its id: %v", by)
	}

	// A new claim that is not approved has a verification of its own, which goes when it is corrected.
	claim := url.Values{"kind": {"malpractice"}, "issuer": {"Mutual"}, "number": {"M-1"}, "territories": {"KE"}, "valid_from": {"2020-01-01"}, "valid_to": {"2099-12-31"},
		"currency": {"USD"}, "per_claim": {"1000000"}, "aggregate": {"3000000"}}
	o.send(t, "wanjiru", "/credentials/people/"+me+"/claim", claim)
	waiting := ""
	for _, e := range entries("/VerificationResult?target=" + me) {
		if r := e["resource"].(fhir.Object); r["status"] == "attested" {
			waiting = r["id"].(string)
		}
	}
	claim.Set("valid_to", "2098-12-31")
	o.send(t, "wanjiru", "/credentials/people/"+me+"/claim", claim)
	if gone := o.fhir(t, "wanjiru", "/VerificationResult/"+waiting, 410); gone["resourceType"] != "OperationOutcome" {
		t.Errorf("a claim that was replaced: %v", gone)
	}
	if last := entries("/VerificationResult/" + waiting + "/_history")[0]; last["request"].(fhir.Object)["method"] != "DELETE" || last["resource"] != nil {
		t.Errorf("a claim that was replaced: %v", last)
	}
}

func TestFHIRSearchFindsByIdentifierAndRefusesTheRest(t *testing.T) {
	o := openOffice(t)
	me := string(o.people["otieno"])
	o.endingSoon(t, "otieno")
	o.claim(t, "weber") // nobody has asked the source
	base := origin + "/fhir"
	for _, c := range []struct {
		who, path string
		found     float64
	}{
		{"wanjiru", "/Practitioner?identifier=" + me, 1},
		{"wanjiru", "/Practitioner?identifier=" + url.QueryEscape(base+"/person|"+me), 1},
		{"wanjiru", "/Practitioner?identifier=" + url.QueryEscape("|"+me), 0},
		{"wanjiru", "/Practitioner?identifier=SECRET-otieno", 1},
		{"wanjiru", "/Practitioner?identifier=" + url.QueryEscape("|SECRET-otieno"), 1},
		{"wanjiru", "/Practitioner?identifier=" + url.QueryEscape("urn:other|SECRET-otieno"), 0},
		{"wanjiru", "/Practitioner?identifier=SECRET-otieno," + string(o.people["weber"]), 2},
		{"wanjiru", "/Practitioner?identifier=DEMO-KE-weber", 0},
		{"wanjiru", "/Practitioner?identifier=nobody", 0},
		{"wanjiru", "/Practitioner?_id=" + me, 1},
		{"wanjiru", "/Practitioner?_id=" + me + "&identifier=nobody", 0},
		{"wanjiru", "/Practitioner?_id=" + me + "&_format=json", 1},
		{"weber", "/Practitioner?identifier=SECRET-otieno", 0},
		{"otieno", "/Practitioner?identifier=SECRET-otieno", 1},
		{"wanjiru", "/PractitionerRole?practitioner=" + url.QueryEscape(base+"/Practitioner/"+me), 1},
		{"wanjiru", "/PractitionerRole?practitioner=" + me + ",Practitioner/" + string(o.people["weber"]), 2},
		{"wanjiru", "/VerificationResult?target=Practitioner/" + string(o.people["weber"]), 1},
	} {
		if bundle := o.fhir(t, c.who, c.path, 200); bundle["total"] != c.found || bundle["type"] != "searchset" {
			t.Errorf("%s as %s: %v", c.path, c.who, bundle)
		}
	}
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/Practitioner", 400, "invalid"}, {"/Practitioner?identifier=", 400, "invalid"}, {"/Practitioner?identifier=x|", 400, "invalid"},
		{"/Practitioner?name=Amina", 400, "invalid"}, {"/Practitioner?_id=" + me + "&_id=" + me, 400, "invalid"},
		{"/Practitioner?_id=" + me + "&_format=xml", 406, "not-supported"}, {"/Practitioner/" + me + "?_format=xml", 406, "not-supported"},
		{"/PractitionerRole?target=" + me, 400, "invalid"}, {"/VerificationResult?practitioner=" + me, 400, "invalid"},
		{"/Practitioner/x", 404, "not-found"}, {"/PractitionerRole/x", 404, "not-found"}, {"/VerificationResult/" + me, 404, "not-found"},
		{"/Practitioner/" + me + "/_history/0", 404, "not-found"}, {"/Practitioner/" + me + "/_history/99", 404, "not-found"},
		{"/Practitioner/" + me + "/_history/01", 404, "not-found"}, {"/Practitioner/" + me + "/_history?_count=-1", 400, "invalid"},
		{"/Practitioner/" + me + "/_history?_since=yesterday", 400, "invalid"}, {"/Patient/1", 404, "not-supported"}, {"/Practitioner/" + me + "/$everything", 404, "not-supported"},
	} {
		out := o.fhir(t, "wanjiru", c.path, c.status)
		issue, _ := out["issue"].([]any)
		if len(issue) != 1 || issue[0].(fhir.Object)["code"] != c.code {
			t.Errorf("%s: %v", c.path, out)
		}
	}
	w := ask(o, "PUT", "/fhir/Practitioner/"+me, "{}", o.as("wanjiru"), sameOrigin)
	if w.Code != 405 || !strings.Contains(w.Body.String(), "OperationOutcome") {
		t.Errorf("a change: %d %s", w.Code, w.Body)
	}
	capability := o.fhir(t, "nobody", "/metadata", 200)
	body, _ := json.Marshal(capability)
	for _, want := range []string{"vread", "history-instance", `"name":"identifier"`, `"name":"target"`, `"name":"practitioner"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the statement of what it does lacks %s", want)
		}
	}
}
