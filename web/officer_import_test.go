package web

import (
	"bytes"
	"html"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/web/i18n"
)

// file posts a form with a file as somebody.
func (o office) file(t *testing.T, who, path, content string, fields url.Values) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	f, err := m.CreateFormFile("file", "file.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte(content))
	for k := range fields {
		_ = m.WriteField(k, fields.Get(k))
	}
	_ = m.Close()
	r := httptest.NewRequest(http.MethodPost, origin+path, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	o.as(who)(r)
	sameOrigin(r)
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

func TestARegistryFileIsSeenBeforeItIsApplied(t *testing.T) {
	o := openOffice(t)
	license := o.claim(t, "otieno")
	source := url.Values{"source": {"Council file"}}
	head := "kind,issuer,number,jurisdiction,status,valid_to\n"
	w := o.file(t, "wanjiru", "/credentials/imports", head+"licence,Medical council,DEMO-KE-otieno,KE,suspended,\nlicence,Medical council,X-1,KE,active,\n", source)
	at := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(at, "/credentials/imports/") {
		t.Fatalf("upload: %d\n%s", w.Code, w.Body)
	}
	bad := o.file(t, "wanjiru", "/credentials/imports", head+"licence,Medical council,DEMO-KE-otieno,KE,suspended,tomorrow\n", source).Header().Get("Location")
	o.everyTongue(t, "wanjiru", "/credentials/imports", at, bad, "/credentials", "/credentials/expiring")
	o.everyTongue(t, "kiptoo", at)
	actor, _, err := o.identity.Authenticate(t.Context(), o.token["wanjiru"])
	if err != nil {
		t.Fatal(err)
	}
	if err := o.identity.SetPreferences(t.Context(), actor, "en", actor.Zone); err != nil {
		t.Fatal(err)
	}
	if body := get(o, bad, o.as("wanjiru")).Body.String(); !strings.Contains(body, "not a date") || strings.Contains(body, "/apply") {
		t.Error("a file with a bad row can be applied")
	}
	body := get(o, at, o.as("wanjiru")).Body.String()
	if !strings.Contains(body, "Bad news") || !strings.Contains(body, "Nobody on file") || !strings.Contains(body, "SHA-256") {
		t.Errorf("the preview:\n%s", body)
	}
	form := url.Values{}
	for _, m := range regexp.MustCompile(`name="(count_[a-z]+)" value="([0-9]+)"`).FindAllStringSubmatch(body, -1) {
		form.Set(m[1], m[2])
	}
	o.send(t, "wanjiru", at+"/apply", form)
	if body := get(o, license, o.as("wanjiru")).Body.String(); !strings.Contains(body, "Suspended") {
		t.Error("bad news does not stand on the page of the license")
	}
	o.everyTongue(t, "wanjiru", at)
	if w := o.file(t, "wanjiru", "/credentials/imports", head+"licence,Ordre des m\xe9decins,1,FR,active,\n", source); w.Code != 422 || !strings.Contains(w.Body.String(), `href="#file"`) {
		t.Errorf("Latin-1: %d", w.Code)
	}
	if w := o.file(t, "otieno", "/credentials/imports", head, source); w.Code != 403 {
		t.Errorf("a physician sends a file: %d", w.Code)
	}
}

func TestEveryOutcomeAndReasonOfAFileHasItsWords(t *testing.T) {
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range credentialing.Outcomes {
		if !b.Has(i18n.ID("record.outcome." + string(o))) {
			t.Errorf("no words for the outcome %s", o)
		}
	}
	for _, r := range credentialing.RowReasons {
		if !b.Has(i18n.ID("record.row." + r)) {
			t.Errorf("no words for the reason %s", r)
		}
	}
	for _, r := range credentialing.ClaimReasons {
		if !b.Has(i18n.ID("record.row." + r)) {
			t.Errorf("no words for the reason %s", r)
		}
	}
	for _, a := range credentialing.RecordActs {
		if !b.Has(i18n.ID("record.act." + string(a))) {
			t.Errorf("no words for the act %s", a)
		}
	}
}

func TestARegistryFileInAnotherEncodingSaysWhere(t *testing.T) {
	o := openOffice(t)
	head := "kind,issuer,number,jurisdiction,status,holder\n"
	file := head + "licence,Council,1,FR,active,Dr A\nlicence,Council,2,FR,active,Dr Zo\xeb\n"
	w := o.file(t, "wanjiru", "/credentials/imports", file, url.Values{"source": {"Ordre"}})
	if w.Code != 422 || !strings.Contains(w.Body.String(), "Row 2:") || !strings.Contains(w.Body.String(), "holder") || !strings.Contains(w.Body.String(), "not readable in the encoding") {
		t.Errorf("untold: %d\n%s", w.Code, w.Body)
	}
	if w := o.file(t, "wanjiru", "/credentials/imports", file, url.Values{"source": {"Ordre"}, "encoding": {"ebcdic"}}); w.Code != 422 {
		t.Errorf("an encoding that nobody offers: %d", w.Code)
	}
	w = o.file(t, "wanjiru", "/credentials/imports", file, url.Values{"source": {"Ordre"}, "encoding": {"iso-8859-1"}})
	if w.Code != 303 {
		t.Fatalf("told: %d\n%s", w.Code, w.Body)
	}
	if body := get(o, w.Header().Get("Location"), o.as("wanjiru")).Body.String(); !strings.Contains(body, "ISO-8859-1") {
		t.Error("the preview does not say how the file was read")
	}
	o.everyTongue(t, "wanjiru", "/credentials/imports", w.Header().Get("Location"))
}

// TestWhatIsWrongWithARowIsSaidInTheLanguageOfTheReader: each fault of a row and of a
// file, with what its column means, in every language and in no other.
func TestWhatIsWrongWithARowIsSaidInTheLanguageOfTheReader(t *testing.T) {
	o := openOffice(t)
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	source := url.Values{"source": {"Council file"}}
	head := "kind,issuer,number,jurisdiction,status,status_from,valid_from,valid_to,holder,type,activities\n"
	rows := []struct{ row, field, reason string }{
		{"licence,,1,KE,active,,,,,,", "issuer", credentialing.RowRequired},
		{"song,Council,2,KE,active,,,,,,", "kind", credentialing.RowKind},
		{"licence,Council,3,KE,sleepy,,,,,,", "status", credentialing.RowStatus},
		{"licence,Council,4,XQ,active,,,,,,", "jurisdiction", credentialing.RowPlace},
		{"licence,Council,5,KE,active,soon,,,,,", "status_from", credentialing.RowDate},
		{"licence,Council,6,KE,active,,2027-01-01,2026-01-01,,,", "valid_to", credentialing.RowEnds},
		{"licence,Council,7,KE,active,,3000-01-01,,,,", "valid_from", credentialing.RowYear},
		{"licence,Council,8,KE,active,,,,Dr A\tB,,", "holder", credentialing.RowControl},
		{"licence," + strings.Repeat("x", 2000) + ",9,KE,active,,,,,,", "issuer", credentialing.RowTooLong},
		{"licence,Council,10,KE,active,,,,,,sing", "activities", credentialing.RowActivity},
		{"registration,Council,11,KE,active,,,,,,", "type", credentialing.RowRequired},
		{"licence,Council,12,KE,active,,,,,,", "", ""},
		{"licence,Council,12,KE,active,,,,,,", "number", credentialing.RowTwice},
		{"licence,Council,13,KE", "", credentialing.RowColumns},
	}
	file := head
	for _, r := range rows {
		file += r.row + "\n"
	}
	at := o.file(t, "wanjiru", "/credentials/imports", file, source).Header().Get("Location")
	if at == "" {
		t.Fatal("a file with bad rows was not kept")
	}
	whole := map[string]string{ // files of which nothing can be read
		"kind,issuer\n": credentialing.RowRequired, "": credentialing.RowEmpty, "{": credentialing.RowSyntax,
		"kind,kind," + strings.TrimPrefix(head, "kind,"): credentialing.RowColumnTwice,
		strings.TrimSpace(head) + ",song\n":              credentialing.RowColumn,
	}
	fields := map[string]i18n.ID{"issuer": i18n.OfficerIssuer, "kind": i18n.OfficerKind, "status": i18n.OfficerStatus, "jurisdiction": i18n.OfficerPlace,
		"status_from": i18n.FaultStatusFrom, "valid_to": i18n.OfficerTo, "valid_from": i18n.OfficerFrom, "holder": i18n.OfficerHolder,
		"activities": i18n.OfficerActivities, "type": i18n.OfficerType, "number": i18n.OfficerNumber}
	english := b.Localizer("en", "UTC")
	for _, l := range i18n.Languages {
		o.speaks(t, "wanjiru", l.Tag)
		loc := b.Localizer(l.Tag, "UTC")
		body := get(o, at, o.as("wanjiru")).Body.String()
		for _, r := range rows {
			if r.reason == "" {
				continue
			}
			problem := loc.T(i18n.ID("record.row." + r.reason))
			if r.field != "" {
				problem = loc.T(i18n.RowsFieldNamed, i18n.V{"Label": loc.T(fields[r.field]), "Field": r.field, "Problem": problem})
			}
			if !strings.Contains(body, html.EscapeString(problem)) {
				t.Errorf("%s: the page does not say %q of %s", l.Tag, problem, r.row)
			}
			if said := english.T(i18n.ID("record.row." + r.reason)); l.Tag != "en" && strings.Contains(body, html.EscapeString(said)) {
				t.Errorf("%s: the page says %q", l.Tag, said)
			}
		}
		for content, reason := range whole {
			w := o.file(t, "wanjiru", "/credentials/imports", content, source)
			if said := loc.T(i18n.ID("record.row." + reason)); w.Code != 422 || !strings.Contains(w.Body.String(), html.EscapeString(said)) {
				t.Errorf("%s: %q is answered %d without %q", l.Tag, content, w.Code, said)
			}
		}
	}
}
