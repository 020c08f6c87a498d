package web

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

var heldForm = regexp.MustCompile(`name="version" value="(\d+)"`)

func TestTimeIsHeldWhileThePatientIsAsked(t *testing.T) {
	c := openClinic(t)
	form := c.form()
	form.Set("do", "hold")
	held := c.post("otieno", c.times(), form)
	at := held.Header().Get("Location")
	if held.Code != 303 || !strings.HasPrefix(at, "/appointments/") {
		t.Fatalf("status %d to %s\n%.2000s", held.Code, at, held.Body)
	}
	page := c.get("otieno", at).Body.String()
	for _, want := range []string{"Held, not yet booked", "data-until=", "Dr Amina Otieno", "Book it"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the held time does not say %q", want)
		}
	}
	if strings.Contains(page, "/resend") || strings.Contains(page, "/cancel") {
		t.Error("the page of a held time sends the patient a link or cancels")
	}
	// The coordinator sees it kept, is offered other times, and gets the next free ones.
	other := c.get("mwangi", c.times()+"?specialist="+string(c.people["tremblay"])).Body.String()
	if !strings.Contains(other, "Times that are held") || !strings.Contains(other, "Dr Amina Otieno") {
		t.Error("another's hold is not shown")
	}
	form.Set("key", uuid.NewString())
	for _, do := range []string{"hold", ""} {
		form.Set("do", do)
		if w := c.post("mwangi", c.times(), form); w.Code != 409 || strings.Count(w.Body.String(), `type="hidden" name="start"`) != 3 {
			t.Errorf("held already (%q): status %d", do, w.Code)
		}
	}
	version := heldForm.FindStringSubmatch(page)[1]
	if w := c.post("otieno", at+"/hold", url.Values{"version": {"7"}, "do": {"confirm"}}); w.Code != 409 {
		t.Errorf("a stale version: status %d", w.Code)
	}
	if w := c.post("otieno", at+"/hold", url.Values{"version": {version}, "do": {"confirm"}}); w.Code != 303 {
		t.Fatalf("confirm: status %d\n%.2000s", w.Code, w.Body)
	}
	if page := c.get("otieno", at).Body.String(); strings.Contains(page, "Held, not yet booked") || !strings.Contains(page, "waits for the interpreter") {
		t.Error("the confirmed visit is shown as held")
	}
	form = c.form()
	form.Set("do", "hold")
	back := c.post("otieno", c.times(), form).Header().Get("Location")
	if w := c.post("otieno", back+"/hold", url.Values{"version": {"1"}, "do": {"release"}}); w.Code != 303 {
		t.Errorf("give back: status %d", w.Code)
	}
}

func TestRestIsEditedByOfficersAndSetAsideWithAReason(t *testing.T) {
	c := openClinic(t)
	rules := url.Values{"version": {"0"}, "between": {"11"}, "row": {"90"}, "break": {"10"}, "day": {"0.5"}}
	if w := c.post("otieno", "/rest-rules", rules); w.Code != 403 {
		t.Errorf("a physician edits: status %d", w.Code)
	}
	rules.Set("day", "many")
	if w := c.post("wanjiru", "/rest-rules", rules); w.Code != 422 || !strings.Contains(w.Body.String(), "must be a number from 0 to") {
		t.Errorf("no number: status %d", w.Code)
	}
	rules.Set("day", "0.5")
	if w := c.post("wanjiru", "/rest-rules", rules); w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	if w := c.post("wanjiru", "/rest-rules", rules); w.Code != 409 {
		t.Errorf("a stale version: status %d", w.Code)
	}
	if body := c.get("otieno", "/rest-rules").Body.String(); !strings.Contains(body, "30 minutes") || strings.Contains(body, "<input type=\"number\"") {
		t.Error("the physician does not read the rules, or may edit them")
	}
	// An hour outside of the physician's hours, typed: refused, then booked with a reason.
	a, err := c.scheduling.AvailabilityOf(context.Background(), c.actor("otieno"), c.people["otieno"])
	if err != nil {
		t.Fatal(err)
	}
	day := scheduling.WallAt(time.UTC, time.Now().AddDate(0, 0, 3)).Date
	a.Overrides = append(a.Overrides, scheduling.Override{Date: day}, scheduling.Override{Date: day + 1})
	if _, err := c.scheduling.SetAvailability(context.Background(), c.actor("otieno"), c.people["otieno"], a); err != nil {
		t.Fatal(err)
	}
	form := c.form()
	form.Del("start")
	form.Set("local", day.String()+"T12:00")
	form.Set("zone", "Africa/Nairobi")
	refused := c.post("mwangi", c.times(), form)
	start := regexp.MustCompile(`name="start" value="(` + day.String() + `T09:00:00Z)"`).FindStringSubmatch(refused.Body.String())
	if refused.Code != 422 || start == nil || !strings.Contains(refused.Body.String(), "Book all the same") {
		t.Fatalf("status %d\n%.4000s", refused.Code, refused.Body)
	}
	form.Del("local")
	form.Del("zone")
	form.Set("start", start[1])
	form.Set("override", "no")
	form.Set("key", uuid.NewString())
	if w := c.post("mwangi", c.times(), form); w.Code != 422 || !strings.Contains(w.Body.String(), "Write the reason") {
		t.Errorf("without a reason: status %d", w.Code)
	}
	form.Set("override", "agreed with the physician by telephone")
	form.Set("key", uuid.NewString())
	done := c.post("mwangi", c.times(), form)
	if done.Code != 303 {
		t.Fatalf("with a reason: status %d\n%.4000s", done.Code, done.Body)
	}
	at := done.Header().Get("Location")
	for who, want := range map[string]bool{"otieno": true, "tremblay": true} {
		body := c.get(who, at).Body.String()
		if strings.Contains(body, "agreed with the physician by telephone") != want || who == "otieno" && !strings.Contains(body, "Outside the hours of") {
			t.Errorf("%s does not read what was set aside", who)
		}
	}
}

func TestArrangePagesAreWholeInEveryLanguage(t *testing.T) {
	c := openClinic(t)
	form := c.form()
	form.Set("do", "hold")
	at := c.post("otieno", c.times(), form).Header().Get("Location")
	for _, l := range i18n.Languages {
		for _, who := range []string{"otieno", "wanjiru"} {
			actor := c.actor(who)
			if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/rest-rules", at, c.times() + "?specialist=" + string(c.people["tremblay"])} {
				w := c.get(who, path)
				if w.Code >= 500 {
					t.Errorf("%s %s as %s: status %d", l.Tag, path, who, w.Code)
				}
				for _, problem := range whole(t, w.Body.String(), l) {
					t.Errorf("%s %s as %s: %s", l.Tag, path, who, problem)
				}
			}
		}
	}
}
