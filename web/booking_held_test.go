package web

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// suspend reports that Prof. Tremblay's license at home is suspended, and follows.
func (c clinic) suspend() {
	c.t.Helper()
	ctx := context.Background()
	if _, err := c.cred.ReportStatus(ctx, c.actor("wanjiru"), credentialing.StatusReport{Credential: c.licenses["DEMO-ON-0001"],
		Status: credentialing.StatusSuspended, From: time.Now(), Source: "issuer CA-ON"}); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.scheduling.Reevaluate(ctx); err != nil {
		c.t.Fatal(err)
	}
}

var hiddenValue = regexp.MustCompile(`<input type="hidden" name="(version|change|specialist|start)" value="([^"]*)"`)

func TestPageOfAVisitSetAsideSaysWhyAndRebooksIt(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	if w := c.get("otieno", at); strings.Contains(w.Body.String(), `id="held"`) {
		t.Fatal("a booked visit has nothing to decide")
	}
	c.suspend()
	w := c.get("otieno", at)
	body := w.Body.String()
	for _, want := range []string{"A decision is needed", "Nothing is canceled unless you cancel it", "ZZ-012", "Prof. Claire Tremblay",
		"The physician and the patient meet without a specialist"} {
		if w.Code != 200 || !strings.Contains(body, want) {
			t.Errorf("status %d, %q is missing", w.Code, want)
		}
	}
	if t.Failed() {
		t.Fatalf("%.6000s", body)
	}
	if w := c.get("mwangi", at); w.Code != 200 || !strings.Contains(w.Body.String(), "A decision is needed") {
		t.Errorf("the coordinator: status %d", w.Code)
	}
	// The specialist learns why, and decides nothing.
	if w := c.get("tremblay", at); w.Code != 200 || !strings.Contains(w.Body.String(), "ZZ-012") || strings.Contains(w.Body.String(), "/substitute") {
		t.Errorf("the specialist: status %d\n%.4000s", w.Code, w.Body)
	}
	if w := c.get("aziz", at); w.Code != 200 || strings.Contains(w.Body.String(), "ZZ-012") || strings.Contains(w.Body.String(), "/substitute") {
		t.Errorf("the interpreter learns of another's suspension: status %d", w.Code)
	}
	form := url.Values{}
	_, section, _ := strings.Cut(body, `id="held"`)
	for _, m := range hiddenValue.FindAllStringSubmatch(section, -1) {
		form.Set(m[1], m[2]) // the last way: without a specialist
		if m[1] == "start" && form.Get("change") == string(scheduling.Alone) {
			break
		}
	}
	if form.Get("change") != string(scheduling.Alone) {
		t.Fatalf("form %v", form)
	}
	if w := c.post("tremblay", at+"/substitute", form); w.Code != 403 {
		t.Errorf("the specialist rebooks: status %d, want 403", w.Code)
	}
	bad := url.Values{"version": {"x"}, "change": {"alone"}, "start": {form.Get("start")}}
	if w := c.post("otieno", at+"/substitute", bad); w.Code != 400 {
		t.Errorf("a form without version: status %d, want 400", w.Code)
	}
	if w := c.post("otieno", at+"/substitute", form); w.Code != 303 || w.Header().Get("Location") != at {
		t.Fatalf("status %d to %q\n%.3000s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if w := c.get("otieno", at); strings.Contains(w.Body.String(), `id="held"`) {
		t.Error("rebooked, and still something to decide")
	}
	if w := c.post("otieno", at+"/substitute", form); w.Code != 409 {
		t.Errorf("pressed twice: status %d, want 409", w.Code)
	}
}

func TestPageOfAVisitSetAsideInEveryLanguage(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	c.suspend()
	for tag, want := range map[string]string{"en": "A decision is needed", "fr": "Une décision est nécessaire", "ar": "يلزم اتخاذ قرار"} {
		if err := c.identity.SetPreferences(context.Background(), c.actor("otieno"), tag, "Africa/Nairobi"); err != nil {
			t.Fatal(err)
		}
		w := c.get("otieno", at)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "held.") && strings.Contains(w.Body.String(), "held.do") {
			t.Errorf("%s: status %d, want %q", tag, w.Code, want)
		}
	}
}

func TestPageOfACaseSaysWhoLostTheirPart(t *testing.T) {
	c := openClinic(t)
	ctx := context.Background()
	at := "/cases/" + c.ref
	if w := c.get("otieno", at); w.Code != 200 || strings.Contains(w.Body.String(), "ZZ-012") {
		t.Fatalf("status %d", w.Code)
	}
	id, err := c.cases.Create(ctx, c.actor("otieno"), workspace.NewCase{Specialty: "cardiology", Urgency: workspace.Soon, Place: "KE", Zone: "Africa/Nairobi",
		Languages: []string{"ar"}, Patient: workspace.Pseudonym{Initials: "S.I.", Sex: "female", BirthYear: 1992, Person: c.people["idris"]}, IdentityConfirmed: true,
		Clinical: workspace.Clinical{Language: "en", Title: "Murmur", History: "Since childhood.", Findings: "Fixed split.",
			Question: workspace.Question{Asked: "Close it?", Tried: "Nothing.", Feared: "Pressure.", ByWhen: "Soon."}}})
	if err != nil {
		t.Fatal(err)
	}
	at = "/cases/" + string(id)
	giver := workspace.Giver{Kind: "patient"}
	for _, r := range []workspace.ConsentRequest{
		{Purpose: workspace.LiveConsult}, {Purpose: workspace.Advice, Destination: "CA-ON", Receiver: c.people["tremblay"]},
		{Purpose: workspace.RecordSharing, Classes: []workspace.Class{workspace.ClassHistory}, Destination: "CA-ON", Receiver: c.people["tremblay"]},
	} {
		r.Giver, r.How, r.Language = giver, workspace.SpokenWitnessed, "ar"
		if _, err := c.cases.RecordConsent(ctx, c.actor("otieno"), id, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.cases.Submit(ctx, c.actor("otieno"), id); err != nil {
		t.Fatal(err)
	}
	if err := c.cases.Assign(ctx, c.actor("otieno"), id, c.people["tremblay"]); err != nil {
		t.Fatal(err)
	}
	c.suspend()
	if done, err := c.cases.Reevaluate(ctx); err != nil || done.SetAside != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, who := range []string{"otieno", "mwangi"} {
		w := c.get(who, at)
		for _, want := range []string{"may not do their part in this case at the moment", "ZZ-012", "Nothing was changed in the case"} {
			if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: status %d, %q is missing", who, w.Code, want)
			}
		}
	}
}
