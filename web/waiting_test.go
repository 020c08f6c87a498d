package web

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

var waitingForm = regexp.MustCompile(`action="(/waiting/[^"]+)"[^>]*><input type="hidden" name="version" value="(\d+)"><input type="hidden" name="do" value="take"`)

func TestCaseWaitsForATimeAndIsOfferedOne(t *testing.T) {
	c := openClinic(t)
	if body := c.get("otieno", c.times()+"?specialist="+string(c.people["tremblay"])).Body.String(); !strings.Contains(body, "/cases/"+c.ref+"/waiting") {
		t.Fatal("the page of times has no way to the waiting list")
	}
	form := url.Values{"kind": {"joint_video_visit"}, "duration": {"30"}, "specialist": {string(c.people["tremblay"])}, "latest": {"soon"}}
	if w := c.post("otieno", "/cases/"+c.ref+"/waiting", form); w.Code != 422 || !strings.Contains(w.Body.String(), "Choose a day within a year") {
		t.Errorf("no day: status %d", w.Code)
	}
	form.Set("latest", scheduling.WallAt(time.UTC, time.Now().AddDate(0, 0, 9)).Date.String())
	if w := c.post("otieno", "/cases/"+c.ref+"/waiting", form); w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	if w := c.post("mwangi", "/cases/"+c.ref+"/waiting", form); w.Code != 409 || !strings.Contains(w.Body.String(), "waits for this specialist already") {
		t.Errorf("twice: status %d", w.Code)
	}
	if n, err := c.scheduling.OfferWaiting(context.Background()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	body := c.get("mwangi", "/waiting").Body.String()
	m := waitingForm.FindStringSubmatch(body)
	if m == nil || !strings.Contains(body, "Answer these") || !strings.Contains(body, "Prof. Claire Tremblay") || !strings.Contains(body, "data-until=") {
		t.Fatalf("no offer on the page:\n%.5000s", body)
	}
	for who, want := range map[string]int{"tremblay": 403, "wanjiru": 403, "aziz": 403, "alharbi": 404} {
		if w := c.post(who, m[1], url.Values{"version": {m[2]}, "do": {"take"}}); w.Code != want {
			t.Errorf("%s takes it: status %d, want %d", who, w.Code, want)
		}
	}
	if w := c.post("mwangi", m[1], url.Values{"version": {"1"}, "do": {"take"}}); w.Code != 409 {
		t.Errorf("a stale version: status %d", w.Code)
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, problem := range whole(t, c.get("otieno", "/waiting").Body.String(), l) {
			t.Errorf("%s: %s", l.Tag, problem)
		}
	}
	done := c.post("mwangi", m[1], url.Values{"version": {m[2]}, "do": {"take"}})
	if done.Code != 303 || !strings.HasPrefix(done.Header().Get("Location"), "/appointments/") {
		t.Fatalf("take: status %d\n%.3000s", done.Code, done.Body)
	}
	if body := c.get("mwangi", done.Header().Get("Location")).Body.String(); !strings.Contains(body, "waits for the interpreter") {
		t.Error("the visit is not booked")
	}
	if body := c.get("mwangi", "/waiting").Body.String(); !strings.Contains(body, "Nobody waits") || !strings.Contains(body, "booked") {
		t.Error("the list does not show that it ended")
	}
}
