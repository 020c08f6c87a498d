package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// approved takes a claim through two officers' pages.
func (o office) approved(t *testing.T, at string) {
	t.Helper()
	if w := o.attach(t, "wanjiru", at, "What the register shows of "+at); w.Code != 303 {
		t.Fatalf("upload: %d\n%s", w.Code, w.Body)
	}
	body := get(o, at, o.as("wanjiru")).Body.String()
	file := regexp.MustCompile(at + `/evidence/[0-9a-f]{64}`).FindString(body)
	o.send(t, "wanjiru", at+"/verify", url.Values{"method": {"primary-source"}, "source": {"Register"}, "result": {"found"}, "status": {"active"},
		"shows": {file[len(file)-64:]}})
	body = get(o, at, o.as("kiptoo")).Body.String()
	id := regexp.MustCompile(`name="verification" value="([^"]+)"`).FindStringSubmatch(body)
	if id == nil {
		t.Fatalf("nothing to approve\n%s", body)
	}
	o.send(t, "kiptoo", at+"/approve", url.Values{"verification": {id[1]}})
}

func TestWhatNarrowsACredentialStandsOnItsPagesAndInTheMatrix(t *testing.T) {
	o := openOffice(t)
	o.send(t, "wanjiru", "/credentials/people/"+string(o.people["weber"])+"/exclusions", url.Values{"lists": {"OIG LEIE"}})
	o.approved(t, o.send(t, "wanjiru", "/credentials/people/"+string(o.people["weber"])+"/claim", url.Values{"kind": {"licence"}, "issuer": {"Ärztekammer"},
		"number": {"DEMO-DE-1"}, "jurisdiction": {"de"}, "valid_from": {"2020-01-01"}, "valid_to": {"2099-12-31"}, "restriction": {"No ordering of any kind"},
		"restricted_acts": {"prescribe_or_order"}, "restricted_places": {"de"}, "restricted_to": {"2098-12-31"}}))
	temporary := o.send(t, "wanjiru", "/credentials/people/"+string(o.people["weber"])+"/claim", url.Values{"kind": {"registration"}, "type": {"temporary-licence"},
		"issuer": {"KMPDC"}, "number": {"DEMO-KE-9"}, "jurisdiction": {"ke"}, "valid_from": {"2020-01-01"}, "valid_to": {"2099-12-31"}, "facility": {string(o.clinic)}})
	o.approved(t, temporary)
	for _, c := range []struct {
		form  url.Values
		field string
	}{
		{url.Values{"facility": {"nowhere"}}, "facility"}, {url.Values{"restricted_places": {"XQ"}}, "restricted_places"},
		{url.Values{"restricted_acts": {"singing"}}, "restricted_acts"}, {url.Values{"per_claim": {"-5"}}, "per_claim"},
		{url.Values{"restricted_acts": {"direct_consult"}, "restricted_from": {"2027-02-01"}, "restricted_to": {"2027-01-01"}}, "restricted_to"},
	} {
		for k, v := range map[string]string{"kind": "licence", "issuer": "Chamber", "number": "N-1", "jurisdiction": "de"} {
			c.form.Set(k, v)
		}
		w := ask(o, "POST", "/credentials/people/"+string(o.people["weber"])+"/claim", c.form.Encode(), o.as("wanjiru"), sameOrigin)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `href="#`+c.field) {
			t.Errorf("%v: %d, want a fault of %s", c.form, w.Code, c.field)
		}
	}
	path := "/credentials/people/" + string(o.people["weber"]) + "/as-known"
	body := get(o, path, o.as("kiptoo")).Body.String()
	for _, want := range []string{"At <bdi>Jacaranda Hill Hospital</bdi>", "At any other facility", "A credential on file counts only at another facility.", "A credential on file is restricted."} {
		if !strings.Contains(body, want) {
			t.Errorf("the matrix does not say %q", want)
		}
	}
	if body := get(o, temporary, o.as("kiptoo")).Body.String(); !strings.Contains(body, "Counts only at <bdi>Jacaranda Hill Hospital</bdi>") {
		t.Error("the credential's page does not name its facility")
	}
	o.everyTongue(t, "kiptoo", path, temporary, "/credentials/people/"+string(o.people["weber"])+"/claim")
}
