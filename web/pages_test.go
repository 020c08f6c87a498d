package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/mail"
)

// Every page of the core, as everybody, in every language: a whole document with its
// language and direction, one h1, no message without text, a label for each field.
func TestEveryPageIsWholeInEveryLanguage(t *testing.T) {
	h := open(t, Deps{Demo: true})
	keep(t, h)
	for _, l := range i18n.Languages {
		for _, who := range []string{"", "otieno", "tremblay", "aziz", "wanjiru"} {
			for _, path := range []string{"/", "/sign-in", "/demo", "/profile", "/outbox", "/nothing-here"} {
				cookie := "language=" + l.Tag
				if who != "" {
					actor, _, err := h.identity.Authenticate(context.Background(), h.token[who])
					if err != nil {
						t.Fatal(err)
					}
					if err := h.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
						t.Fatal(err)
					}
					cookie += "; login=" + h.token[who]
				}
				w := get(h, path, header("Cookie", cookie))
				if w.Code >= 300 && w.Code < 400 {
					continue
				}
				if w.Code >= 500 {
					t.Errorf("%s %s as %q: status %d", l.Tag, path, who, w.Code)
				}
				for _, problem := range whole(t, w.Body.String(), l) {
					t.Errorf("%s %s as %q: %s", l.Tag, path, who, problem)
				}
			}
		}
	}
}

// whole lists what is wrong with a page.
func whole(t *testing.T, body string, l i18n.Language) []string {
	t.Helper()
	var out []string
	if m := regexp.MustCompile(`\[[a-z_]+(\.[a-z_]+)+\]|&lt;no value|%!`).FindString(body); m != "" {
		out = append(out, "text is missing: "+m)
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	ids, labels, fields, h1 := map[string]bool{}, map[string]bool{}, map[string]bool{}, 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		a := map[string]string{}
		for _, x := range n.Attr {
			a[x.Key] = x.Val
		}
		if id := a["id"]; id != "" {
			if ids[id] {
				out = append(out, "id stands twice: "+id)
			}
			ids[id] = true
		}
		switch n.Data {
		case "html":
			if a["lang"] != l.Tag || a["dir"] != l.Dir {
				out = append(out, "html has lang "+a["lang"]+" and dir "+a["dir"])
			}
		case "h1":
			h1++
		case "label":
			labels[a["for"]] = true
		case "input", "select", "textarea":
			if a["type"] != "hidden" {
				fields[a["id"]] = true
			}
		case "script":
			if a["nonce"] == "" {
				out = append(out, "script without nonce")
			}
		}
	}
	if h1 != 1 {
		out = append(out, "not exactly one h1")
	}
	for id := range fields {
		if !labels[id] {
			out = append(out, "field without label: "+id)
		}
	}
	return out
}

func keep(t *testing.T, h house) {
	t.Helper()
	ctx := context.Background()
	who, err := h.identity.Person(ctx, h.people["aziz"])
	if err != nil {
		t.Fatal(err)
	}
	m := mail.Message{Key: "1-x", Leaf: 0, Person: who, Language: "ar", Subject: "دعوة إلى استشارة بالفيديو",
		Body:        "مرحبًا\n\n" + origin + "/appointments/1\nhttp://localhost:8080.evil.example/\n",
		Attachments: []mail.Attachment{{Name: "invitation.ics", ContentType: "text/calendar; method=REQUEST", Data: []byte("BEGIN:VCALENDAR")}}}
	for range 2 { // a repeated job keeps one
		if err := h.outbox.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOutboxShowsMailWithWorkingLinks(t *testing.T) {
	h := open(t, Deps{Demo: true})
	keep(t, h)
	body := get(h, "/outbox").Body.String()
	if n := strings.Count(body, "<article"); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
	for _, want := range []string{`href="/appointments/1"`, `lang="ar" dir="rtl"`, "invitation.ics"} {
		if !strings.Contains(body, want) {
			t.Errorf("outbox has no %s", want)
		}
	}
	if strings.Contains(body, `href="http://localhost:8080.evil`) {
		t.Error("an address of another site became a link")
	}
	link := regexp.MustCompile(`/outbox/[0-9a-f-]+/0`).FindString(body)
	w := get(h, link)
	if w.Code != 200 || w.Body.String() != "BEGIN:VCALENDAR" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/calendar") {
		t.Errorf("attachment: %d %q %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if w := get(h, strings.TrimSuffix(link, "0")+"7"); w.Code != 404 {
		t.Errorf("attachment that is not there: %d", w.Code)
	}
}

var sameOrigin = header("Sec-Fetch-Site", "same-origin")

func TestOneClickSignsInAndProfileKeepsWhatWasTyped(t *testing.T) {
	h := open(t, Deps{Demo: true})
	w := ask(h, "POST", "/demo", "person="+string(h.people["otieno"]), sameOrigin)
	cookie := w.Header().Get("Set-Cookie")
	if w.Code != 303 || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Fatalf("sign-in: %d %q", w.Code, cookie)
	}
	in := header("Cookie", strings.Split(cookie, ";")[0])
	if body := get(h, "/", in).Body.String(); !strings.Contains(body, "Dr Amina Otieno") || !strings.Contains(body, `href="/cases"`) {
		t.Errorf("home of a physician:\n%s", body)
	}
	w = ask(h, "POST", "/profile", "language=fr&zone=Mars/Olympus", in, sameOrigin)
	body := w.Body.String()
	if w.Code != 422 || !strings.Contains(body, `value="Mars/Olympus"`) || !strings.Contains(body, `href="#zone"`) || !strings.Contains(body, `aria-invalid="true"`) {
		t.Errorf("unknown zone: %d\n%s", w.Code, body)
	}
	w = ask(h, "POST", "/profile", "language=fr&zone=America/Toronto", in, sameOrigin)
	if w.Code != 303 {
		t.Fatalf("save: %d", w.Code)
	}
	w = get(h, "/profile", in, func(r *http.Request) { r.AddCookie(flashOf(w)) })
	if !strings.Contains(w.Body.String(), "Enregistré.") || !strings.Contains(w.Body.String(), `lang="fr"`) {
		t.Errorf("after saving:\n%s", w.Body)
	}
	w = ask(h, "POST", "/sign-out", "", in, sameOrigin)
	if w.Code != 303 || get(h, "/profile", in).Code != 303 {
		t.Error("signed out, and still in")
	}
}

func TestDemonstrationKeyOfTheBrowserIsTheOneTheServerKnows(t *testing.T) {
	source, err := os.ReadFile("ts/src/demokey.ts")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), `"`+identity.DemonstrationAAGUID+`"`) {
		t.Error("demokey.ts has another model")
	}
}

func TestNamesOfErrorsAreMessages(t *testing.T) {
	s := newServer(Deps{PublicURL: origin})
	for _, row := range s.errors {
		if !s.i18n.Has(row.title) || !s.i18n.Has(row.text) {
			t.Errorf("%v: %s or %s is no message", row.is, row.title, row.text)
		}
		if row.status < 400 || row.status > 599 {
			t.Errorf("%v: status %d", row.is, row.status)
		}
	}
	for id := range flashable {
		if !s.i18n.Has(id) {
			t.Errorf("flash %s is no message", id)
		}
	}
	for _, r := range []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleInterpreter, identity.RoleCoordinator,
		identity.RoleOfficer, identity.RoleAdministrator, identity.RolePatient} {
		if !s.i18n.Has(i18n.ID("role." + string(r))) {
			t.Errorf("role %s has no name", r)
		}
	}
}

func flashOf(w *httptest.ResponseRecorder) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == cookieFlash {
			return c
		}
	}
	return &http.Cookie{Name: "none", Value: "x"}
}

// Every code that a rule can give is a sentence in every language, so that a refusal
// says why (tested for the rules this binary carries).
func TestEveryReasonOfARuleIsASentence(t *testing.T) {
	rules, err := credentialing.NewRuleSet(credentialing.Embedded(), time.LoadLocation)
	if err != nil {
		t.Fatal(err)
	}
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	ids := rules.MessageIDs()
	if len(ids) < 50 {
		t.Fatalf("%d reasons only", len(ids))
	}
	for _, id := range ids {
		if !b.Has(i18n.ID(id)) && id != "scope.other" { // which is said as a code
			t.Errorf("%s is no message", id)
		}
	}
	for _, l := range i18n.Languages {
		for _, code := range []string{"forbid:KE-002", "no-pack:UG", "missing:ZZ-002:licence_patient_jurisdiction"} {
			e := rules.Explain(code)
			if s := b.Localizer(l.Tag, "").Sentence(e.MessageID, e.Data); strings.Contains(s, "<no value>") || strings.Contains(s, "{{") || len(s) < 10 {
				t.Errorf("%s in %s: %q", code, l.Tag, s)
			}
		}
	}
}

func TestInvitationToMakeTheFirstPasskeyIsShownAndSpendsNothing(t *testing.T) {
	h := open(t, Deps{})
	token, err := h.identity.Invite(context.Background(), identity.System("operator", ""), h.people["tremblay"])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w := get(h, "/enroll/"+token, header("Cookie", "language=fr"))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "Prof. Claire Tremblay") || !strings.Contains(w.Body.String(), `data-token="`+token+`"`) {
			t.Fatalf("page: %d\n%s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), `name="return" value="/enroll`) {
			t.Error("the choice of language carries the token")
		}
	}
	json := func(path, body string) *httptest.ResponseRecorder {
		return ask(h, "POST", path, body, sameOrigin, header("Content-Type", "application/json"), header("Accept", "application/json"))
	}
	if w := json("/enroll/begin", `{"token":"`+token+`"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"challenge"`) {
		t.Errorf("begin: %d %s", w.Code, w.Body)
	}
	if w := get(h, "/enroll/"+strings.Repeat("A", len(token))); w.Code != 404 {
		t.Errorf("unknown invitation: %d", w.Code)
	}
	if w := json("/enroll/begin", `{"token":"x"}`); w.Code != 404 || !strings.Contains(w.Body.String(), `"code":"error.invite"`) {
		t.Errorf("unknown invitation: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/enroll/begin", "token=x", sameOrigin); w.Code != 400 {
		t.Errorf("a form instead of JSON: %d", w.Code)
	}
}

func TestPersonEndsOtherLoginsAndActsForAnotherOrganization(t *testing.T) {
	h := open(t, Deps{Demo: true})
	ctx := context.Background()
	other, err := h.identity.SignInDemo(ctx, h.people["otieno"])
	if err != nil {
		t.Fatal(err)
	}
	in := h.as("otieno")
	if w := ask(h, "POST", "/profile/logins/end-others", "", in, sameOrigin); w.Code != 303 {
		t.Fatalf("end others: %d", w.Code)
	}
	if get(h, "/profile", header("Cookie", "login="+other)).Code != 303 || get(h, "/profile", in).Code != 200 {
		t.Error("the other login lives, or this one ended")
	}
	if strings.Contains(get(h, "/profile", in).Body.String(), "/profile/organization") {
		t.Error("a choice of organizations where there is one")
	}
	seed := identity.System("seed", "")
	org, err := h.identity.AddOrganization(ctx, seed, identity.Organization{Name: "Palm Grove Hospital", Kind: "hospital", Zone: "Asia/Riyadh", Place: "SA"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.identity.AddGrant(ctx, seed, h.people["otieno"], identity.Grant{Organization: org, Role: identity.RoleCoordinator}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(get(h, "/profile", in).Body.String(), "Palm Grove Hospital") {
		t.Error("no choice of organizations")
	}
	w := ask(h, "POST", "/profile/organization", "organization="+string(org), in, sameOrigin)
	turned := header("Cookie", strings.Split(w.Header().Get("Set-Cookie"), ";")[0])
	if w.Code != 303 || !strings.Contains(get(h, "/", turned).Body.String(), "Coordinator") {
		t.Errorf("acting for the other: %d", w.Code)
	}
	if get(h, "/profile", in).Code != 303 {
		t.Error("the old token lives")
	}
	if w := ask(h, "POST", "/profile/organization", "organization="+string(h.people["aziz"]), turned, sameOrigin); w.Code != 404 {
		t.Errorf("an organization that is not the person's: %d", w.Code)
	}
}
