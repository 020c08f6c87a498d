package web

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
)

// endingSoon is a license of somebody that counts and ends in 20 days, and a link for it.
func (o office) endingSoon(t *testing.T, who string) (id credentialing.CredentialID, token string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	grace := identity.Actor{Person: o.people["wanjiru"], Organization: o.clinic, Roles: []identity.Role{identity.RoleOfficer}}
	samuel := identity.Actor{Person: o.people["kiptoo"], Organization: o.clinic, Roles: []identity.Role{identity.RoleOfficer}}
	end := time.Now().AddDate(0, 0, 20)
	e, err := o.cred.EnterClaim(t.Context(), grace, credentialing.ClaimRequest{Person: o.people[who], Kind: credentialing.KindLicense, Issuer: "Medical council",
		Number: "SECRET-" + who, Jurisdiction: "KE", Claim: credentialing.Claim{HolderName: "Holder Name", ValidFrom: credentialing.Date(2020, 1, 1),
			ValidTo: credentialing.Date(end.Year(), end.Month(), end.Day())}})
	must(err)
	sum, err := o.cred.AttachEvidence(t.Context(), grace, e.Credential, credentialing.EvidenceFile{Bytes: []byte("register page"), Source: "register"})
	must(err)
	v, err := o.cred.Verify(t.Context(), grace, credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "register",
		Result: credentialing.ResultFound, Evidence: sum})
	must(err)
	must(o.cred.Approve(t.Context(), samuel, v))
	token, err = o.cred.IssueUploadLink(t.Context(), identity.System("mail", ""), e.Credential, o.people[who])
	must(err)
	return e.Credential, token
}

type sentFile struct{ name, content string }

// sendBy posts files by a link as nobody, from an address.
func (o office) sendBy(t *testing.T, token, validTo string, files []sentFile, with ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range files {
		part, err := m.CreateFormFile("file", f.name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte(f.content))
	}
	_ = m.WriteField("valid_to", validTo)
	_ = m.Close()
	r := httptest.NewRequest(http.MethodPost, origin+"/renew/"+token, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	sameOrigin(r)
	for _, f := range with {
		f(r)
	}
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

func TestRenewedDocumentComesByLinkWithoutSignIn(t *testing.T) {
	o := openOffice(t)
	id, token := o.endingSoon(t, "otieno")
	for range 3 { // a scanner of mail looks, in all its ways
		for _, method := range []string{"GET", "HEAD"} {
			if w := ask(o, method, "/renew/"+token, "", header("Sec-Purpose", "prefetch")); w.Code != 200 {
				t.Fatalf("%s: %d", method, w.Code)
			}
		}
	}
	body := get(o, "/renew/"+token).Body.String()
	for _, must := range []string{"Medical council", "Last day", "good until"} {
		if !strings.Contains(body, must) {
			t.Errorf("the page does not say %q", must)
		}
	}
	for _, secret := range []string{"Otieno", "SECRET", "Holder Name", "register", string(o.people["otieno"]), string(id)} {
		if strings.Contains(body, secret) {
			t.Errorf("the page tells %q", secret)
		}
	}
	page := []sentFile{{"license.txt", "the new license"}, {"back.txt", "its back"}}
	if w := o.sendBy(t, token, "2099-12-31", page, header("Sec-Fetch-Site", "cross-site")); w.Code != 403 {
		t.Errorf("from another site: %d", w.Code)
	}
	for _, c := range []struct {
		name, validTo string
		files         []sentFile
		want          string
	}{
		{"nothing", "2099-12-31", nil, "Files"},
		{"no last day", "", page, "Give the last day printed"},
		{"a day long past", "2020-01-01", page, "Give the last day printed"},
		{"no day at all", "tomorrow", page, "Give the last day printed"},
		{"script", "2099-12-31", []sentFile{{"fine.txt", "text"}, {"trick.pdf", "<html><script>alert(1)</script>"}}, "trick.pdf"},
		{"empty", "2099-12-31", []sentFile{{"void.txt", ""}}, "This file is empty"},
		{"large", "2099-12-31", []sentFile{{"big.txt", strings.Repeat("a", credentialing.MaxEvidence+1)}}, "larger than 10 MB"},
	} {
		if w := o.sendBy(t, token, c.validTo, c.files); w.Code != 422 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d", c.name, w.Code)
		}
	}
	if w := o.sendBy(t, token, "2099-12-31", page); w.Code != 303 {
		t.Fatalf("send: %d\n%s", w.Code, w.Body)
	}
	if body := get(o, "/renew/"+token).Body.String(); !strings.Contains(body, "2 files have arrived") {
		t.Error("the page does not count what came")
	}
	if body := get(o, "/credentials?show=verify", o.as("wanjiru")).Body.String(); !strings.Contains(body, "Came by link") {
		t.Error("the queue does not say that it came by link")
	}
	at := "/credentials/" + string(id)
	if body := get(o, at, o.as("wanjiru")).Body.String(); strings.Count(body, "Came by link, without sign-in") != 2 || !strings.Contains(body, "2099-12-31") {
		t.Error("the page of the credential does not show what came")
	}
	if w := ask(o, "POST", "/renew/"+token+"/finish", "a=b", sameOrigin); w.Code != 200 || !strings.Contains(w.Body.String(), "The link is closed") {
		t.Errorf("close: %d", w.Code)
	}
	for _, bad := range []string{token, strings.Repeat("A", 43), "x"} {
		if w := get(o, "/renew/"+bad); w.Code != 404 || !strings.Contains(w.Body.String(), "This link does not work") {
			t.Errorf("link %.3s: %d", bad, w.Code)
		}
		if w := o.sendBy(t, bad, "2099-12-31", page); w.Code != 404 {
			t.Errorf("send by link %.3s: %d", bad, w.Code)
		}
	}
}

func TestUploadPageIsWholeInTheLanguageOfItsPerson(t *testing.T) {
	o := openOffice(t)
	id, token := o.endingSoon(t, "otieno")
	for _, l := range i18n.Languages {
		if err := o.identity.SetPreferences(t.Context(), identity.Actor{Person: o.people["otieno"]}, l.Tag, "Africa/Nairobi"); err != nil {
			t.Fatal(err)
		}
		body := get(o, "/renew/"+token, header("Accept-Language", "de")).Body.String()
		if !strings.Contains(body, fmt.Sprintf(`lang="%s"`, l.Tag)) {
			t.Errorf("%s: the page is in another language", l.Tag)
		}
		for _, problem := range whole(t, body, l) {
			t.Errorf("%s: %s", l.Tag, problem)
		}
		for _, problem := range whole(t, get(o, "/credentials/"+string(id), o.as("otieno")).Body.String(), l) {
			t.Errorf("%s, credential: %s", l.Tag, problem)
		}
	}
}

func TestOfficerAsksAndRevokesLinks(t *testing.T) {
	o := openOffice(t)
	id, token := o.endingSoon(t, "otieno")
	at := "/credentials/" + string(id)
	body := get(o, at, o.as("wanjiru")).Body.String()
	_, rest, ok := strings.Cut(body, `action="`+at+`/links/`)
	if !ok {
		t.Fatalf("no link on the page of the credential:\n%s", body)
	}
	link, _, _ := strings.Cut(rest, "/revoke")
	if strings.Contains(body, token) {
		t.Error("the page of the credential tells the token")
	}
	if w := ask(o, "POST", at+"/links/"+link+"/revoke", "a=b", o.as("weber"), sameOrigin); w.Code != 404 {
		t.Errorf("another physician revokes: %d", w.Code)
	}
	if w := ask(o, "POST", at+"/links", "a=b", o.as("otieno"), sameOrigin); w.Code != 403 {
		t.Errorf("the holder asks themselves: %d", w.Code)
	}
	o.send(t, "wanjiru", at+"/links", nil)
	o.send(t, "wanjiru", at+"/links/"+link+"/revoke", nil)
	if w := get(o, "/renew/"+token); w.Code != 404 {
		t.Errorf("after revoking: %d", w.Code)
	}
}

func TestWaysByLinkAreLimited(t *testing.T) {
	o := openOffice(t)
	for range triesBurst + 600 { // one comes back each second
		if w := get(o, "/renew/"+strings.Repeat("A", 43)); w.Code == 429 {
			return
		}
	}
	t.Error("an address may try for ever")
}
