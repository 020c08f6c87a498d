package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
)

// actor is one of the people of the clinic.
func (o office) actor(t *testing.T, key string) identity.Actor {
	t.Helper()
	a, _, err := o.identity.Authenticate(t.Context(), o.token[key])
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// submit posts fields and a file as somebody and returns the answer.
func (o office) submit(t *testing.T, who, path, file string, fields map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("file", "register.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(file))
	for name, value := range fields {
		_ = m.WriteField(name, value)
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

// TestBadClaimsAreRefusedWithFieldAndReasonInEveryLanguage enters what cannot be: the
// page comes back with what was typed, the field and the reason, and nothing is kept.
func TestBadClaimsAreRefusedWithFieldAndReasonInEveryLanguage(t *testing.T) {
	o := openOffice(t)
	count := func() (n int) {
		t.Helper()
		files, err := o.cred.File(t.Context(), o.actor(t, "wanjiru"), o.people["weber"], o.db.Now())
		if err != nil {
			t.Fatal(err)
		}
		return len(files.Credentials)
	}
	path := "/credentials/people/" + string(o.people["weber"]) + "/claim"
	good := url.Values{"kind": {"licence"}, "issuer": {"Council"}, "number": {"L-1"}, "jurisdiction": {"DE"}, "valid_from": {"2026-01-01"}, "valid_to": {"2027-12-31"}}
	o.send(t, "wanjiru", path, good)
	if n := count(); n != 1 {
		t.Fatalf("%d credentials on file", n)
	}
	bundle, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, field, value, reason string
	}{
		{"ends before it begins", "valid_to", "2025-12-31", credentialing.RowEnds},
		{"unknown place", "jurisdiction", "QX", credentialing.RowPlace},
		{"no code", "jurisdiction", "D", credentialing.RowPlace},
		{"no place", "jurisdiction", "", credentialing.RowRequired},
		{"year beyond all", "valid_to", "9999-12-31", credentialing.RowYear},
		{"year before all", "valid_from", "0001-01-01", credentialing.RowYear},
		{"NUL", "issuer", "Coun\x00cil", credentialing.RowControl},
		{"line break", "number", "L\n2", credentialing.RowControl},
		{"bytes of another encoding", "issuer", "Coun\xe9cil", credentialing.RowControl},
		{"unknown territory", "territories", "DE QX", credentialing.RowPlace},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := url.Values{}
			for k, v := range good {
				form[k] = v
			}
			form.Set("number", "L-2")
			form.Set(test.field, test.value)
			for _, lang := range i18n.Languages {
				if err := o.identity.SetPreferences(t.Context(), o.actor(t, "wanjiru"), lang.Tag, "Africa/Nairobi"); err != nil {
					t.Fatal(err)
				}
				w := ask(o, "POST", path, form.Encode(), o.as("wanjiru"), sameOrigin)
				says := bundle.Localizer(lang.Tag, "Africa/Nairobi").T(i18n.ID("record.row." + test.reason))
				if body := w.Body.String(); w.Code != http.StatusUnprocessableEntity || !strings.Contains(body, says) || !strings.Contains(body, `href="#`+test.field) {
					t.Errorf("%s: %d, want %q at %s", lang.Tag, w.Code, says, test.field)
				}
			}
		})
	}
	if n := count(); n != 1 {
		t.Errorf("%d credentials on file after what was refused", n)
	}
	// The number of somebody else's license.
	other := "/credentials/people/" + string(o.people["otieno"]) + "/claim"
	if w := ask(o, "POST", other, good.Encode(), o.as("wanjiru"), sameOrigin); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("another person's number: %d", w.Code)
	}
	for field, long := range map[string]int{"issuer": 201, "number": 101, "holder": 201, "type": 101} {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(field, strings.Repeat("x", long))
		if w := ask(o, "POST", path, form.Encode(), o.as("wanjiru"), sameOrigin); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `href="#`+field) {
			t.Errorf("%s of %d characters: %d", field, long, w.Code)
		}
	}
}

// TestBadRegistryFilesAreRefusedWithRowFieldAndReason brings files that cannot be read,
// or whose rows cannot be: each is said by row and field, and no row is taken.
func TestBadRegistryFilesAreRefusedWithRowFieldAndReason(t *testing.T) {
	o := openOffice(t)
	bundle, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	l := bundle.Localizer("en", "Africa/Nairobi")
	const header = "kind,issuer,number,jurisdiction,status,valid_from,valid_to\n"
	for _, test := range []struct{ name, file, field, reason string }{
		{"empty rows", header, "", credentialing.RowEmpty},
		{"only white space", " \n", "", credentialing.RowEmpty},
		{"a column twice", "kind,issuer,number,jurisdiction,status,status\n", "status", credentialing.RowColumnTwice},
		{"unknown column", "kind,issuer,number,jurisdiction,status,shoe\n", "shoe", credentialing.RowColumn},
		{"a column is missing", "kind,issuer,number,jurisdiction\n", "status", credentialing.RowRequired},
		{"another encoding", header + "licence,Conseil f\xe9d\xe9ral,1,KE,active,,\n", "issuer", credentialing.RowEncoding},
		{"NUL", header + "licence,Coun\x00cil,1,KE,active,,\n", "issuer", credentialing.RowEncoding},
		{"ends before it begins", header + "licence,Council,1,KE,active,2027-01-01,2026-01-01\n", "valid_to", credentialing.RowEnds},
		{"absurd year", header + "licence,Council,1,KE,active,0201-01-01,\n", "valid_from", credentialing.RowYear},
		{"no date", header + "licence,Council,1,KE,active,2026-02-30,\n", "valid_from", credentialing.RowDate},
		{"unknown place", header + "licence,Council,1,QX,active,,\n", "jurisdiction", credentialing.RowPlace},
		{"number twice", header + "licence,Council,1,KE,active,,\nlicence,Council,1,KE,active,,\n", "number", credentialing.RowTwice},
		{"over-long field", header + "licence," + strings.Repeat("x", 400) + ",1,KE,active,,\n", "issuer", credentialing.RowTooLong},
		{"quote not closed", header + "licence,\"Council,1,KE,active,,\n", "", credentialing.RowSyntax},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := o.submit(t, "wanjiru", "/credentials/imports", test.file, map[string]string{"source": "Register"})
			body := w.Body.String()
			if w.Code == http.StatusSeeOther { // read, with rows that are not: the preview says which
				body = ask(o, "GET", w.Header().Get("Location"), "", o.as("wanjiru")).Body.String()
			} else if w.Code != http.StatusUnprocessableEntity {
				t.Fatalf("%d\n%s", w.Code, body)
			}
			if says := l.T(i18n.ID("record.row." + test.reason)); !strings.Contains(body, says) || !strings.Contains(body, test.field) {
				t.Errorf("does not say %q of %q:\n%s", says, test.field, body)
			}
		})
	}
	if w := o.submit(t, "wanjiru", "/credentials/imports", "", map[string]string{"source": "Register"}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an empty file: %d", w.Code)
	}
}
