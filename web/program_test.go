package web

import (
	"net/url"
	"strings"
	"testing"
)

// presence is the page of one, with the version in it.
func (c clinic) presence(who, at string) (body, version string) {
	c.t.Helper()
	w := c.get(who, at)
	m := versionValue.FindStringSubmatch(w.Body.String())
	if w.Code != 200 || m == nil {
		c.t.Fatalf("%s: status %d\n%.2000s", at, w.Code, w.Body)
	}
	return w.Body.String(), m[1]
}

func TestRulesOfAPresenceAreSavedAndShown(t *testing.T) {
	c := autumn(t)
	at := c.post("tremblay", "/presence", c.wednesdays("clinic", "14:00", "16:00")).Header().Get("Location")
	body, version := c.presence("mwangi", at)
	for _, want := range []string{"Rules of this program", "Visits per window", "Dr Jonas Weber", "urgent cases are placed first"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	form := url.Values{"version": {version}, "cases": {"3"}, "minutes": {"90"}, "hours": {"48"}, "intake": {"coordinator"}, "unfilled": {"release"}, "substitute": {string(c.people["weber"])}}
	for field, bad := range map[string]string{"cases": "many", "minutes": "481", "hours": "-1"} {
		spoiled := url.Values{}
		for k, v := range form {
			spoiled[k] = v
		}
		spoiled.Set(field, bad)
		if w := c.post("tremblay", at+"/rules", spoiled); w.Code != 422 || !strings.Contains(w.Body.String(), "Enter whole numbers") || !strings.Contains(w.Body.String(), `value="`+bad+`"`) {
			t.Errorf("%s %q: status %d", field, bad, w.Code)
		}
	}
	if w := c.post("alharbi", at+"/rules", form); w.Code != 404 {
		t.Errorf("another clinic: status %d", w.Code)
	}
	if w := c.post("mwangi", at+"/rules", form); w.Code != 303 {
		t.Fatalf("status %d\n%.2000s", w.Code, w.Body)
	}
	if w := c.post("tremblay", at+"/rules", form); w.Code != 409 {
		t.Errorf("an old page: status %d", w.Code)
	}
	if body, _ = c.presence("tremblay", at); !strings.Contains(body, "0 of 3 visits") || !strings.Contains(body, `value="90"`) {
		t.Error("the page does not show the rules")
	}
}

func TestSeveralWindowsAreChangedByTheSpecialistAndEndedByBoth(t *testing.T) {
	c := autumn(t)
	at := c.post("tremblay", "/presence", c.wednesdays("clinic", "14:00", "16:00")).Header().Get("Location")
	body, version := c.presence("tremblay", at)
	if !strings.Contains(body, `value="2027-03-24T14:00"`) || !strings.Contains(body, "all that are to come") {
		t.Fatalf("%.4000s", body)
	}
	if theirs, _ := c.presence("mwangi", at); strings.Contains(theirs, `name="series_start"`) || !strings.Contains(theirs, "End the presence from there on") {
		t.Error("the clinic may promise the specialist's time, or may not end the presence")
	}
	if w := c.post("tremblay", at+"/window", url.Values{"version": {version}, "window": {"2027-04-07T14:00"}, "local": {"2027-04-08T10:00"}, "do": {"move"}}); w.Code != 303 {
		t.Fatalf("status %d", w.Code)
	}
	_, version = c.presence("tremblay", at)
	form := url.Values{"version": {version}, "series_from": {"2027-03-24T14:00"}, "series_day": {"TH"}, "series_start": {"13:00"}, "series_end": {"16:00"}, "do": {"edit"}}
	if w := c.post("mwangi", at+"/series", form); w.Code != 403 {
		t.Errorf("the clinic changes: status %d", w.Code)
	}
	w := c.post("tremblay", at+"/series", form)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "moved or canceled by hand") || !strings.Contains(w.Body.String(), `name="series_drop"`) || !strings.Contains(w.Body.String(), `value="13:00"`) {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	form.Set("series_drop", "yes")
	w = c.post("tremblay", at+"/series", form)
	next := w.Header().Get("Location")
	if w.Code != 303 || next == at {
		t.Fatalf("status %d to %s", w.Code, next)
	}
	old, version := c.presence("tremblay", at)
	if strings.Contains(old, "24 Mar 2027") || !strings.Contains(old, "17 Mar 2027") {
		t.Error("the old series goes on")
	}
	if body, _ := c.presence("mwangi", next); !strings.Contains(body, "25 Mar 2027") || strings.Contains(body, "24 Mar 2027") {
		t.Error("the new series does not begin")
	}
	if w := c.post("tremblay", at+"/series", url.Values{"version": {version}, "series_from": {"then"}, "do": {"end"}}); w.Code != 422 {
		t.Errorf("from nowhere: status %d", w.Code)
	}
	if w := c.post("mwangi", at+"/series", url.Values{"version": {version}, "series_from": {"all"}, "do": {"end"}}); w.Code != 303 {
		t.Errorf("the clinic ends it: status %d", w.Code)
	}
	if body, _ := c.presence("mwangi", at); strings.Contains(body, "as planned") {
		t.Error("a window is left")
	}
}

func TestAWindowThatIsGivenUpGoesToWhoStandsInOrToAnotherTime(t *testing.T) {
	c := autumn(t)
	at := c.post("tremblay", "/presence", c.wednesdays("clinic", "14:00", "16:00")).Header().Get("Location")
	_, version := c.presence("tremblay", at)
	if w := c.post("tremblay", at+"/rules", url.Values{"version": {version}, "cases": {"0"}, "minutes": {"0"}, "hours": {"0"}, "intake": {"any"}, "unfilled": {"keep"},
		"substitute": {string(c.people["weber"])}}); w.Code != 303 {
		t.Fatalf("status %d", w.Code)
	}
	body := c.get("mwangi", at+"/instead?of=2027-03-24T14:00").Body.String()
	for _, want := range []string{"Dr Jonas Weber", "The same specialist, at another time", `value="2027-03-25T14:00"`, `name="person"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if w := c.get("mwangi", at+"/instead?of=2027-03-25T14:00"); w.Code != 404 {
		t.Errorf("of no window: status %d", w.Code)
	}
	version = versionValue.FindStringSubmatch(body)[1]
	form := url.Values{"version": {version}, "window": {"2027-03-24T14:00"}, "person": {string(c.people["weber"])}}
	if w := c.post("alharbi", at+"/substitute", form); w.Code != 404 {
		t.Errorf("another clinic: status %d", w.Code)
	}
	if w := c.post("mwangi", at+"/substitute", form); w.Code != 303 {
		t.Fatalf("status %d\n%.2000s", w.Code, w.Body)
	}
	if body, _ = c.presence("weber", at); !strings.Contains(row(body, "24 Mar 2027"), "stands in") {
		t.Error("who stands in does not see it")
	}
	_, version = c.presence("mwangi", at)
	if w := c.post("mwangi", at+"/window", url.Values{"version": {version}, "window": {"2027-03-31T14:00"}, "local": {"2027-04-01T14:00"}, "occurrence": {"1"}, "do": {"move"}}); w.Code != 303 {
		t.Errorf("to the time proposed: status %d", w.Code)
	}
}

func TestPresenceWithoutALastDayAndTheMonth(t *testing.T) {
	c := autumn(t)
	form := c.wednesdays("clinic", "14:00", "16:00")
	form.Del("until")
	form.Set("from", "2026-12-01")
	if w := c.get("tremblay", "/presence/new?"+form.Encode()); w.Code != 422 {
		t.Errorf("neither a last day nor none: status %d", w.Code)
	}
	form.Set("open", "yes")
	if w := c.get("tremblay", "/presence/new?"+form.Encode()); w.Code != 200 || !strings.Contains(w.Body.String(), "26 windows") {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	w := c.post("tremblay", "/presence", form)
	if w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	body := c.get("mwangi", "/presence/report?month=2026-12").Body.String()
	if !strings.Contains(body, "Prof. Claire Tremblay") || !strings.Contains(body, "<td>5</td>") {
		t.Errorf("five Wednesdays are to come:\n%.4000s", body)
	}
	if body := c.get("mwangi", "/presence/report?month=2026-11").Body.String(); !strings.Contains(body, "No windows in this month") {
		t.Error("November had none")
	}
	if w := c.get("mwangi", "/presence/report?month=13"); w.Code != 422 {
		t.Errorf("no month: status %d", w.Code)
	}
	if body := c.get("alharbi", "/presence/report?month=2026-12").Body.String(); strings.Contains(body, "Tremblay") {
		t.Error("another clinic reads it")
	}
}

func TestHolidaysOfBothSidesAreWarningsBesideTheWindows(t *testing.T) {
	c := autumn(t)
	if w := c.post("mwangi", "/presence/holidays", url.Values{"days": {"2027-03-24 Day of the Clinic\n24.3.2027 Again"}}); w.Code != 422 || !strings.Contains(w.Body.String(), "or its day stands twice") ||
		!strings.Contains(w.Body.String(), "24.3.2027 Again") {
		t.Errorf("a line that cannot be read: status %d", w.Code)
	}
	for who, days := range map[string]string{"mwangi": "2027-03-24 Day of the Clinic", "tremblay": "2027-03-31 Day of the Institute"} {
		if w := c.post(who, "/presence/holidays", url.Values{"days": {days}}); w.Code != 303 {
			t.Fatalf("%s: status %d", who, w.Code)
		}
	}
	if body := c.get("mwangi", "/presence/holidays").Body.String(); !strings.Contains(body, "2027-03-24 Day of the Clinic") || strings.Contains(body, "Institute") {
		t.Error("the list is not the house's own")
	}
	for _, who := range []string{"otieno", "wanjiru"} { // their house has a coordinator
		if w := c.get(who, "/presence/holidays"); w.Code != 200 || !strings.Contains(w.Body.String(), "Day of the Clinic") || strings.Contains(w.Body.String(), "<textarea") {
			t.Errorf("%s reads: status %d", who, w.Code)
		}
		if w := c.post(who, "/presence/holidays", url.Values{"days": {""}}); w.Code != 403 {
			t.Errorf("%s changes them: status %d", who, w.Code)
		}
	}
	form := c.wednesdays("clinic", "14:00", "16:00")
	body := c.get("tremblay", "/presence/new?"+form.Encode()).Body.String()
	at := c.post("tremblay", "/presence", form).Header().Get("Location")
	theirs, _ := c.presence("mwangi", at)
	for _, page := range []string{body, theirs} {
		if !strings.Contains(row(page, "24 Mar 2027"), "Day of the Clinic at Jacaranda Hill Hospital") || !strings.Contains(row(page, "31 Mar 2027"), "Day of the Institute at Maple Heart Institute") ||
			strings.Contains(row(page, "17 Mar 2027"), "Day of") {
			t.Errorf("the holidays are not shown:\n%s", row(page, "24 Mar 2027"))
		}
	}
}
