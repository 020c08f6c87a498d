package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var versionValue = regexp.MustCompile(`name="version" value="([^"]+)"`)

func TestAppointmentGetsAnotherTimeByForm(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	if body := c.get("otieno", at).Body.String(); !strings.Contains(body, at+"/move") {
		t.Error("the page of the appointment does not lead to another time")
	}
	if body := c.get("tremblay", at).Body.String(); strings.Contains(body, at+"/move") {
		t.Error("another time is offered to who does not arrange")
	}
	page := c.get("otieno", at+"/move")
	starts := startValue.FindAllStringSubmatch(page.Body.String(), -1)
	version := versionValue.FindStringSubmatch(page.Body.String())
	if page.Code != 200 || len(starts) < 3 || version == nil {
		t.Fatalf("status %d with %d times:\n%.2000s", page.Code, len(starts), page.Body)
	}
	form := url.Values{"version": {version[1]}, "local": {"2027-03-14T02:30"}, "zone": {"America/Toronto"}}
	if w := c.post("otieno", at+"/move", form); w.Code != 422 || !strings.Contains(w.Body.String(), "2027-03-14 03:00") {
		t.Errorf("a time that does not exist: status %d", w.Code)
	}
	form = url.Values{"version": {version[1]}, "start": {starts[1][1]}}
	for who, want := range map[string]int{"tremblay": 403, "alharbi": 404, "aziz": 403} {
		if w := c.post(who, at+"/move", form); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
	if w := c.post("mwangi", at+"/move", form); w.Code != 303 || w.Header().Get("Location") != at {
		t.Fatalf("status %d to %s:\n%.2000s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if w := c.post("mwangi", at+"/move", form); w.Code != 409 {
		t.Errorf("the version that was read before: status %d, want 409", w.Code)
	}
	if body := c.get("tremblay", at).Body.String(); !strings.Contains(body, starts[1][1]) {
		t.Error("the page does not show the new time")
	}
	office{house: c.house, cred: c.cred}.everyTongue(t, "otieno", at, at+"/move")
}

func TestTimeTakenMeanwhileLeavesTheOldWithOthersToChoose(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	page := c.get("otieno", at+"/move").Body.String()
	start := startValue.FindAllStringSubmatch(page, -1)[2][1]
	rival := c.form()
	rival.Set("start", start)
	rival.Set("key", uuid.NewString())
	if w := c.post("mwangi", c.times(), rival); w.Code != 303 {
		t.Fatalf("rival: status %d", w.Code)
	}
	w := c.post("otieno", at+"/move", url.Values{"version": versionValue.FindStringSubmatch(page)[1:2], "start": {start}})
	if n := strings.Count(w.Body.String(), `type="hidden" name="start"`); w.Code != 409 || n != 3 {
		t.Errorf("status %d with %d other times, want 409 with 3", w.Code, n)
	}
	if w := c.get("otieno", at+"/move"); w.Code != 200 || !strings.Contains(w.Body.String(), versionValue.FindStringSubmatch(page)[0]) {
		t.Error("the old time was touched")
	}
}
