package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/web/i18n"
)

// office is the pages with two officers, two physicians and a specialist abroad.
type office struct {
	house
	db     *audit.DB
	cred   *credentialing.Service
	clinic identity.OrganizationID
}

func openOffice(t *testing.T) office {
	t.Helper()
	ctx := context.Background()
	db := audit.New(audit.Config{Pool: pgtest.New(t).Pool})
	ids, err := identity.New(identity.Config{DB: db, RPID: "localhost", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	cred, err := credentialing.New(credentialing.Config{DB: db, Identity: ids, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "Demonstration", Until: time.Now().AddDate(1, 0, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	o := office{db: db, cred: cred, house: house{identity: ids, people: map[string]identity.PersonID{}, token: map[string]string{}}}
	seed := identity.System("seed", "")
	if o.clinic, err = ids.AddOrganization(ctx, seed, identity.Organization{Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key, name, home string
		role            identity.Role
	}{
		{"otieno", "Dr Amina Otieno", "KE", identity.RoleLocalPhysician}, {"weber", "Dr Jonas Weber", "DE", identity.RoleSpecialist},
		{"wanjiru", "Grace Wanjiru", "KE", identity.RoleOfficer}, {"kiptoo", "Samuel Kiptoo", "KE", identity.RoleOfficer},
	} {
		id, err := ids.AddPerson(ctx, seed, identity.Person{Name: c.name, Language: "en", Languages: []string{"en"}, Zone: "Africa/Nairobi", Home: c.home,
			Email: c.key + "@example.org"}, identity.Grant{Organization: o.clinic, Role: c.role})
		if err != nil {
			t.Fatal(err)
		}
		o.people[c.key] = id
		if o.token[c.key], err = ids.SignInDemo(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	o.Handler = New(Deps{Identity: ids, Credentialing: cred, PublicURL: origin, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return o
}

// send posts a form as somebody and returns where the answer leads.
func (o office) send(t *testing.T, who, path string, form url.Values) string {
	t.Helper()
	w := ask(o, "POST", path, form.Encode(), o.as(who), sameOrigin)
	if w.Code != 303 {
		t.Fatalf("POST %s as %s: %d\n%s", path, who, w.Code, w.Body)
	}
	return w.Header().Get("Location")
}

// attach uploads a file as somebody.
func (o office) attach(t *testing.T, who, path, content string) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	f, err := m.CreateFormFile("file", "page.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte(content))
	_ = m.WriteField("file_source", "Register of the council")
	_ = m.Close()
	r := httptest.NewRequest(http.MethodPost, origin+path+"/evidence", &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	o.as(who)(r)
	sameOrigin(r)
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

// claim enters a license for a person through the form.
func (o office) claim(t *testing.T, who string) string {
	return o.send(t, "wanjiru", "/credentials/people/"+string(o.people[who])+"/claim", url.Values{"kind": {"licence"}, "issuer": {"Medical council"},
		"number": {"DEMO-KE-" + who}, "jurisdiction": {"ke"}, "valid_from": {"2020-01-01"}, "valid_to": {"2099-12-31"}})
}

func TestClaimBecomesACredentialThroughThePagesOfTwoOfficers(t *testing.T) {
	o := openOffice(t)
	at := o.claim(t, "otieno")
	if w := o.attach(t, "wanjiru", at, "Otieno, Amina. In good standing."); w.Code != 303 {
		t.Fatalf("upload: %d\n%s", w.Code, w.Body)
	}
	if w := o.attach(t, "wanjiru", at, "<html><script>alert(1)</script></html>"); w.Code != 422 {
		t.Errorf("a page with a script was kept: %d", w.Code)
	}
	body := get(o, at, o.as("wanjiru")).Body.String()
	file := regexp.MustCompile(at + `/evidence/[0-9a-f]{64}`).FindString(body)
	if w := get(o, file, o.as("wanjiru")); w.Body.String() != "Otieno, Amina. In good standing." || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("evidence: %d %q", w.Code, w.Body)
	}
	answer := url.Values{"method": {"primary-source"}, "source": {"Register of the council"}, "result": {"found"}, "status": {"active"},
		"shows": {file[len(file)-64:]}}
	o.send(t, "wanjiru", at+"/verify", answer)
	body = get(o, at, o.as("wanjiru")).Body.String()
	if strings.Contains(body, at+"/approve") || !strings.Contains(body, "another officer must approve it") {
		t.Error("the verifier is offered the approval")
	}
	verification := regexp.MustCompile(`name="verification" value="([^"]+)"`)
	body = get(o, at, o.as("kiptoo")).Body.String()
	id := verification.FindStringSubmatch(body)
	if id == nil {
		t.Fatalf("no approval is offered to the second officer:\n%s", body)
	}
	form := url.Values{"verification": {id[1]}}
	if w := ask(o, "POST", at+"/approve", form.Encode(), o.as("wanjiru"), sameOrigin); w.Code != 422 || !strings.Contains(w.Body.String(), "Somebody else must do this") {
		t.Errorf("the verifier approves: %d", w.Code)
	}
	if !strings.Contains(get(o, "/", o.as("kiptoo")).Body.String(), at) {
		t.Error("the start page does not say that an approval waits")
	}
	o.send(t, "kiptoo", at+"/approve", form)
	if body = get(o, at, o.as("otieno")).Body.String(); !strings.Contains(body, "Approved by <bdi>Samuel Kiptoo</bdi>") {
		t.Errorf("the holder does not see who approved:\n%s", body)
	}
	if strings.Contains(body, at+"/verify") {
		t.Error("the holder is offered the verification")
	}
}

func TestOfficerPagesAreWholeInEveryLanguage(t *testing.T) {
	o := openOffice(t)
	license := o.claim(t, "otieno")
	o.claim(t, "weber")
	o.attach(t, "wanjiru", license, "a page")
	o.send(t, "wanjiru", license+"/verify", url.Values{"method": {"primary-source"}, "source": {"Register"}, "result": {"found"}, "status": {"suspended"}})
	weber := "/credentials/people/" + string(o.people["weber"])
	o.send(t, "wanjiru", weber+"/exclusions", url.Values{"lists": {"LEIE, SAM"}, "entry": {"E-1"}})
	var answer string
	err := o.db.Write(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
		d, err := o.cred.Determine(t.Context(), tx, identity.System("test", ""), credentialing.Ask{Person: o.people["weber"], Activity: credentialing.DirectConsult,
			At: time.Now(), Mode: credentialing.Act, Case: credentialing.CaseContext{Organization: o.clinic, Places: []string{"KE", "UG"}}})
		answer = "/credentials/answers/" + string(d.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	try := "/credentials/try?" + url.Values{"person": {string(o.people["weber"])}, "activity": {"joint_video_visit"}, "place": {"KE"}, "at": {"2026-12-01T10:00"},
		"local": {string(o.people["otieno"])}, "clinic": {string(o.clinic)}}.Encode()
	for _, l := range i18n.Languages {
		for _, who := range []string{"wanjiru", "kiptoo"} {
			actor, _, err := o.identity.Authenticate(t.Context(), o.token[who])
			if err != nil {
				t.Fatal(err)
			}
			if err := o.identity.SetPreferences(t.Context(), actor, l.Tag, actor.Zone); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/", "/credentials", weber, weber + "/claim", license, answer, "/credentials/try", try} {
				w := get(o, path, o.as(who))
				if w.Code != 200 {
					t.Errorf("%s %s as %s: %d", l.Tag, path, who, w.Code)
				}
				for _, problem := range whole(t, w.Body.String(), l) {
					t.Errorf("%s %s as %s: %s", l.Tag, path, who, problem)
				}
			}
		}
	}
	if body := get(o, weber, o.as("wanjiru")).Body.String(); !strings.Contains(body, answer) {
		t.Error("the file does not lead to the answer given")
	}
	if body := get(o, answer, o.as("wanjiru")).Body.String(); !strings.Contains(body, `class="notice ok"`) || !strings.Contains(body, "no-pack:UG") {
		t.Errorf("the answer is not worked out again:\n%s", body)
	}
	if w := get(o, answer, o.as("weber")); w.Code != 403 {
		t.Errorf("a specialist reads answers: %d", w.Code)
	}
	body := get(o, try, o.as("wanjiru")).Body.String()
	for _, want := range []string{"forbid:KE-002", "unmet:ZZ-020:malpractice_cover", "KE-001"} {
		if !strings.Contains(body, want) {
			t.Errorf("the tried question does not name %s", want)
		}
	}
}

func TestOfficerPagesAreForOfficersAndOnesOwn(t *testing.T) {
	o := openOffice(t)
	at := o.claim(t, "otieno")
	own := "/credentials/people/" + string(o.people["otieno"])
	for _, c := range []struct {
		who, path string
		want      int
	}{
		{"otieno", "/credentials", 403}, {"otieno", "/credentials/try", 403}, {"otieno", "/credentials/mine", 200}, {"otieno", own, 200}, {"otieno", at, 200},
		{"weber", own, 404}, {"weber", at, 404}, {"weber", own + "/claim", 404}, {"kiptoo", own, 200}, {"kiptoo", "/credentials/nothing", 404},
	} {
		if w := get(o, c.path, o.as(c.who)); w.Code != c.want {
			t.Errorf("%s as %s: %d, want %d", c.path, c.who, w.Code, c.want)
		}
	}
	w := ask(o, "POST", at+"/status", "new_status=revoked&status_source=x", o.as("otieno"), sameOrigin)
	if w.Code != 403 {
		t.Errorf("a physician reports a status: %d", w.Code)
	}
}

func TestClaimFormKeepsWhatWasTypedAndNamesTheField(t *testing.T) {
	o := openOffice(t)
	path := "/credentials/people/" + string(o.people["weber"]) + "/claim"
	w := ask(o, "POST", path, url.Values{"kind": {"registration"}, "issuer": {"Council"}, "number": {"X-1"}, "jurisdiction": {"KE"}}.Encode(), o.as("wanjiru"), sameOrigin)
	if body := w.Body.String(); w.Code != 422 || !strings.Contains(body, `href="#type"`) || !strings.Contains(body, `value="X-1"`) {
		t.Errorf("a registration without type: %d", w.Code)
	}
}
