package web

import (
	"bytes"
	"context"
	"html"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity/demokey"
	"github.com/consilium-health/consilium/web/i18n"
)

// to wants a redirect and returns where it goes.
func (c clinic) to(w *httptest.ResponseRecorder) string {
	c.t.Helper()
	if w.Code != http.StatusSeeOther {
		c.t.Fatalf("status %d, want a redirect: %s", w.Code, problems(w.Body.String()))
	}
	return w.Header().Get("Location")
}

// problems is the text of an error summary, for messages of tests.
func problems(body string) string {
	_, rest, ok := strings.Cut(body, `id="errors"`)
	if !ok {
		return body[:min(len(body), 600)]
	}
	return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(rest[:min(len(rest), 2000)], " ")
}

// enroll gives somebody a demonstration key.
func (c clinic) enroll(who string) *demokey.Key {
	c.t.Helper()
	k, err := demokey.New("localhost", origin)
	if err != nil {
		c.t.Fatal(err)
	}
	ceremony, options, err := c.identity.BeginEnrollment(context.Background(), c.actor(who))
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := k.Create(options)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.identity.FinishEnrollment(context.Background(), c.actor(who), ceremony, response, "key"); err != nil {
		c.t.Fatal(err)
	}
	return k
}

var optionsValue = regexp.MustCompile(`data-options="([^"]+)"`)

// sign opens the page of a prepared document and signs it as the page's script does.
func (c clinic) sign(who, at string, k *demokey.Key) *httptest.ResponseRecorder {
	c.t.Helper()
	w := c.get(who, at)
	m := optionsValue.FindStringSubmatch(w.Body.String())
	if m == nil {
		c.t.Fatalf("status %d, no options to sign with: %s", w.Code, problems(w.Body.String()))
	}
	answer, err := k.Get([]byte(html.UnescapeString(m[1])))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.post(who, at, url.Values{"assertion": {string(answer)}})
}

func (c clinic) sendFile(who, at, name, class string, content []byte) *httptest.ResponseRecorder {
	c.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("class", class)
	part, _ := m.CreateFormFile("file", name)
	_, _ = part.Write(content)
	_ = m.Close()
	return ask(c, http.MethodPost, at, b.String(), c.as(who), header("Sec-Fetch-Site", "same-origin"), header("Content-Type", m.FormDataContentType()))
}

func picture() []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)))
	return b.Bytes()
}

var patientForm = url.Values{"title": {"Chest pain on exertion"}, "specialty": {"cardiology"}, "language": {"en"}, "urgency": {"soon"}, "known": {"new"},
	"name": {"Achieng Wambui"}, "birth_year": {"1972"}, "sex": {"female"}, "contact": {"achieng@example.org"}, "languages": {"sw", "en"}, "place": {"KE"},
	"zone": {"Africa/Nairobi"}, "identity_confirmed": {"yes"}}

// caseWith makes a submitted and assigned case by forms and returns its address.
func (c clinic) caseWith() string {
	c.t.Helper()
	at := strings.TrimSuffix(c.to(c.post("otieno", "/cases/new", patientForm)), "/edit/question")
	c.to(c.post("otieno", at+"/edit/question", url.Values{"version": {"1"}, "asked": {"Is CT angiography needed?"}}))
	next := c.to(c.post("otieno", at+"/edit/history", url.Values{"version": {"2"}, "history": {"Pain on stairs for two months."}, "medication": {"Aspirin 75 mg"},
		"allergy-1-substance": {"Iodine contrast"}, "allergy-1-severity": {"severe"}}))
	if next != at+"/consents" {
		c.t.Fatalf("after the history the form goes to %s", next)
	}
	c.to(c.post("otieno", at+"/consents", url.Values{"language": {"en"}, "receiver": {string(c.people["tremblay"])}, "how": {"spoken_witnessed"}, "giver": {"patient"},
		"agree": {"live_consult", "advice", "record_sharing.history", "record_sharing.images"}}))
	c.to(c.sendFile("otieno", at+"/files", "ecg.png", "images", picture()))
	c.to(c.sendFile("otieno", at+"/files", "labs.txt", "labs", []byte("Hb 11.2\n")))
	if next := c.to(c.post("otieno", at+"/submit", nil)); next != at+"/specialists" {
		c.t.Fatalf("after submitting the form goes to %s", next)
	}
	c.to(c.post("otieno", at+"/assign", url.Values{"specialist": {string(c.people["tremblay"])}}))
	return at
}

var opinionOf = url.Values{"version": {"0"}, "language": {"fr"}, "understanding": {"Douleur à l'effort."}, "assessment": {"Angor probable."}, "confidence": {"4"},
	"recommendation-1-text": {"Coroscanner après préparation."}, "recommendation-1-strength": {"strong"}, "recommendation-1-urgency": {"days"},
	"card-1-kind": {"dose"}, "card-1-what": {"Bisoprolol"}, "card-1-dose": {"2.5"}, "card-1-unit": {"mg"}, "card-1-route": {"oral"}, "card-1-frequency": {"1/jour"}, "do": {"sign"}}

var cardAction = regexp.MustCompile(`action="(/cases/[^"]+/cards/[^"]+)"`)

// advised is a case with a signed opinion.
func (c clinic) advised() string {
	c.t.Helper()
	at := c.caseWith()
	k := c.enroll("tremblay")
	c.to(c.sign("tremblay", c.to(c.post("tremblay", at+"/opinion", opinionOf)), k))
	return at
}

var answerField = regexp.MustCompile(`name="(answer-[^"]+-)outcome"`)

func TestCaseFromQuestionToHandBackByForms(t *testing.T) {
	c := openClinic(t)
	at := c.advised()

	body := c.get("otieno", at).Body.String()
	for _, want := range []string{"Chest pain on exertion", "Iodine contrast", "Angor probable.", "Bisoprolol 2.5 mg, oral, 1/jour", "Written in French", "ecg.png"} {
		if !strings.Contains(body, want) {
			t.Errorf("the case page does not show %q", want)
		}
	}
	if strings.Contains(body, "Wambui") {
		t.Error("the case page shows the patient's name")
	}
	if !strings.Contains(c.get("otieno", at+"/identity").Body.String(), "Achieng Wambui") {
		t.Error("the responsible physician cannot open the identity")
	}

	decision := url.Values{"language": {"en"}, "outcome": {"accept_with_changes"}, "plan": {"CT on Monday."}, "told": {"What the test is."}, "told_language": {"sw"}}
	m := answerField.FindStringSubmatch(c.get("otieno", at+"/decision").Body.String())
	if m == nil {
		t.Fatal("the decision page asks no answer")
	}
	decision.Set(m[1]+"outcome", "accept_with_changes")
	w := c.post("otieno", at+"/decision", decision)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "CT on Monday.") || !strings.Contains(w.Body.String(), `href="#`+m[1]+`reason"`) {
		t.Errorf("a change without reason: status %d, %s", w.Code, problems(w.Body.String()))
	}
	decision.Set(m[1]+"reason", "with less contrast")
	w = c.post("otieno", at+"/decision", decision)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Read back every card first.") {
		t.Errorf("before the read-back: status %d, %s", w.Code, problems(w.Body.String()))
	}
	card := cardAction.FindStringSubmatch(c.get("otieno", at).Body.String())
	if card == nil {
		t.Fatal("no card to read back")
	}
	c.to(c.post("otieno", card[1], nil))

	page := c.to(c.post("otieno", at+"/decision", decision))
	if !strings.Contains(c.get("otieno", page).Body.String(), `data-passkey="enroll"`) {
		t.Error("without a passkey the page does not offer to make one")
	}
	k := c.enroll("otieno")
	stranger, err := demokey.New("localhost", origin)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Assert([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"` + origin + `","crossOrigin":false}`))
	if err != nil {
		t.Fatal(err)
	}
	if w := c.post("otieno", page, url.Values{"assertion": {string(forged)}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Nothing was signed") {
		t.Errorf("a forged answer: status %d", w.Code)
	}
	shown := c.get("otieno", page).Body.String()
	for _, want := range []string{"CT on Monday.", "with less contrast", "DEMO-KE-0001", "Kenya", "What the test is."} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page to be signed does not show %q", want)
		}
	}
	c.to(c.sign("otieno", page, k))
	body = c.get("otieno", at).Body.String()
	if !strings.Contains(body, "Decision of") || !strings.Contains(body, "demonstration key") {
		t.Error("the case page does not show the signed decision")
	}
	if w := c.get("otieno", page); w.Code != http.StatusConflict {
		t.Errorf("the signed page again: status %d", w.Code)
	}
	w = c.get("otieno", at+"/bundle")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" || !bytes.HasPrefix(w.Body.Bytes(), []byte("PK")) {
		t.Errorf("bundle: status %d, %s", w.Code, w.Header().Get("Content-Type"))
	}
	c.to(c.post("otieno", at+"/hand-back", url.Values{"to": {"referring clinic"}, "summary": {"CT on Monday."}}))
	c.to(c.post("otieno", at+"/close", nil))
	if !strings.Contains(c.get("tremblay", at).Body.String(), "referring clinic") {
		t.Error("the specialist does not see the hand-back")
	}
}

func TestCasePagesShowEachReaderTheirPart(t *testing.T) {
	c := openClinic(t)
	at := c.caseWith()
	specialist := c.get("tremblay", at).Body.String()
	file := regexp.MustCompile(`href="(` + at + `/files/[^"]+)"`)
	seen := file.FindAllStringSubmatch(specialist, -1)
	if len(seen) != 1 || !strings.Contains(specialist, "ecg.png") || strings.Contains(specialist, "labs.txt") {
		t.Errorf("the specialist may open %v; the labs have no consent", seen)
	}
	w := c.get("tremblay", seen[0][1])
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment") || w.Header().Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
		t.Errorf("file: status %d, %v", w.Code, w.Header())
	}
	for _, f := range file.FindAllStringSubmatch(c.get("otieno", at).Body.String(), -1) {
		if f[1] != seen[0][1] {
			if w := c.get("tremblay", f[1]); w.Code != http.StatusForbidden {
				t.Errorf("a file without consent: status %d", w.Code)
			}
		}
	}
	if body := c.get("mwangi", at).Body.String(); strings.Contains(body, "Chest pain") || strings.Contains(body, "Iodine") {
		t.Error("the coordinator sees clinical content")
	}
	for _, who := range []string{"alharbi", "weber", "aziz"} {
		if w := c.get(who, at); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want not found", who, w.Code)
		}
	}
	if w := c.get("tremblay", at+"/decision"); w.Code != http.StatusForbidden {
		t.Errorf("the specialist's decision page: status %d", w.Code)
	}
	if strings.Contains(specialist, at+"/decision") || strings.Contains(specialist, at+"/specialists") {
		t.Error("the specialist is shown steps that are not theirs")
	}
}

func TestWithdrawnConsentClosesTheCasePage(t *testing.T) {
	c := openClinic(t)
	at := c.caseWith()
	for _, m := range regexp.MustCompile(`action="(`+at+`/consents/[^"]+/withdraw)"`).FindAllStringSubmatch(c.get("otieno", at+"/consents").Body.String(), -1) {
		c.to(c.post("otieno", m[1], nil))
	}
	body := c.get("tremblay", at).Body.String()
	if strings.Contains(body, "Iodine") || strings.Contains(body, "Pain on stairs") {
		t.Error("the specialist still reads the case")
	}
}

func TestCaseFormKeepsWhatWasTyped(t *testing.T) {
	c := openClinic(t)
	f := url.Values{"title": {"A title that stays"}, "known": {"new"}, "name": {"Somebody"}, "birth_year": {"x"}, "zone": {"Nowhere/Land"}, "place": {"KE"}}
	w := c.post("otieno", "/cases/new", f)
	body := w.Body.String()
	if w.Code != http.StatusUnprocessableEntity {
		t.Fatalf("status %d", w.Code)
	}
	for _, want := range []string{`value="A title that stays"`, `value="Somebody"`, `href="#birth_year"`, `href="#specialty"`, `href="#languages"`, `id="errors"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form does not hold %s", want)
		}
	}
	at := c.caseWith()
	for name, content := range map[string][]byte{"drawing.svg": []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), "ecg.pdf": picture()} {
		if w := c.sendFile("otieno", at+"/files", name, "images", content); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `href="#file"`) {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
	if w := c.post("otieno", at+"/edit/question", url.Values{"version": {"1"}, "asked": {"?"}}); w.Code != http.StatusConflict {
		t.Errorf("editing a submitted case: status %d", w.Code)
	}
	other := strings.TrimSuffix(c.to(c.post("otieno", "/cases/new", patientForm)), "/edit/question")
	c.to(c.post("otieno", other+"/edit/question", url.Values{"version": {"1"}, "asked": {"first"}}))
	if w := c.post("otieno", other+"/edit/question", url.Values{"version": {"1"}, "asked": {"second tab"}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "second tab") {
		t.Errorf("a stale page: status %d", w.Code)
	}
}

func TestTriageSaysWhyNot(t *testing.T) {
	c := openClinic(t)
	at := strings.TrimSuffix(c.to(c.post("otieno", "/cases/new", patientForm)), "/edit/question")
	c.to(c.post("otieno", at+"/edit/question", url.Values{"version": {"1"}, "asked": {"What next?"}}))
	c.to(c.post("otieno", at+"/edit/history", url.Values{"version": {"2"}, "history": {"Short."}}))
	c.to(c.post("otieno", at+"/submit", nil))
	body := c.get("otieno", at+"/specialists").Body.String()
	_, refused, ok := strings.Cut(body, `id="may-not"`)
	if !ok || !strings.Contains(refused, "Dr Jonas Weber") || !strings.Contains(refused, "liability cover") {
		t.Errorf("Weber is not listed with the reason:\n%.1500s", refused)
	}
	w := c.post("otieno", at+"/assign", url.Values{"specialist": {string(c.people["weber"])}})
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "notice bad") {
		t.Errorf("assigning Weber: status %d", w.Code)
	}
}

func TestCasePagesAreWholeInEveryLanguage(t *testing.T) {
	c := openClinic(t)
	at := c.advised()
	draft := "/cases/" + c.ref
	other := c.caseWith()
	tremblay := "?language=ar&receiver=" + string(c.people["tremblay"])
	for _, l := range i18n.Languages {
		for who, paths := range map[string][]string{
			"otieno": {"/", "/cases", "/cases/new", draft, draft + "/edit/patient", draft + "/edit/question", draft + "/edit/history", draft + "/consents", draft + "/consents" + tremblay,
				at, at + "/decision", at + "/identity", other, other + "/consents"},
			"tremblay": {"/", "/cases", at, other, other + "/opinion", other + "/consents"},
			"mwangi":   {"/cases", at, other, draft},
		} {
			actor := c.actor(who)
			if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				w := c.get(who, path)
				if w.Code != http.StatusOK {
					t.Errorf("%s %s as %s: status %d", l.Tag, path, who, w.Code)
				}
				for _, problem := range whole(t, w.Body.String(), l) {
					t.Errorf("%s %s as %s: %s", l.Tag, path, who, problem)
				}
			}
		}
	}
}
