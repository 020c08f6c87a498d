package web

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/web/i18n"
)

var panelValue = regexp.MustCompile(`<select[^>]*name="panel"[^>]*>.*?<option value="([0-9a-f-]{36})"`)

func TestRequestIsGivenToTheMemberWhoseTurnItIs(t *testing.T) {
	c := openClinic(t)
	if body := c.get("mwangi", c.times()).Body.String(); strings.Contains(body, `name="panel"`) {
		t.Fatal("a panel is asked though there is none")
	}
	form := url.Values{"name": {"Cardiology"}}
	if w := c.post("mwangi", "/panels", form); w.Code != 422 || !strings.Contains(w.Body.String(), "at least one member") {
		t.Errorf("nobody in it: status %d", w.Code)
	}
	form["members"] = []string{string(c.people["weber"]), string(c.people["tremblay"])}
	if w := c.post("wanjiru", "/panels", form); w.Code != 403 {
		t.Errorf("an officer makes panels: status %d", w.Code)
	}
	if w := c.post("mwangi", "/panels", form); w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	if w := c.post("mwangi", "/panels", form); w.Code != 422 {
		t.Errorf("the same name: status %d", w.Code)
	}
	if body := c.get("mwangi", "/panels").Body.String(); !strings.Contains(body, "Cardiology") || !strings.Contains(body, "Dr Jonas Weber") {
		t.Error("the panel is not listed")
	}
	m := panelValue.FindStringSubmatch(strings.ReplaceAll(c.get("otieno", c.times()).Body.String(), "\n", " "))
	if m == nil {
		t.Fatal("the page of times asks no panel")
	}
	ask := url.Values{"panel": {m[1]}, "key": {uuid.NewString()}, "kind": {"joint_video_visit"}, "duration": {"30"}}
	w := c.post("otieno", "/cases/"+c.ref+"/panel", ask)
	at := w.Header().Get("Location")
	if w.Code != 303 || !strings.Contains(at, string(c.people["tremblay"])) {
		t.Fatalf("status %d to %s: Prof. Tremblay has the lower id", w.Code, at)
	}
	body := c.get("otieno", at).Body.String()
	for _, want := range []string{"by turn on", "comes later", "none before", "gets it"} {
		if !strings.Contains(body, want) {
			t.Errorf("the reason does not say %q", want)
		}
	}
	if again := c.post("otieno", "/cases/"+c.ref+"/panel", ask); again.Header().Get("Location") != at {
		t.Error("a second click gives another")
	}
	// Dr Weber is next, and may not.
	next := url.Values{"panel": {m[1]}, "key": {uuid.NewString()}, "kind": {"joint_video_visit"}, "duration": {"30"}}
	if w := c.post("otieno", "/cases/"+c.ref+"/panel", next); w.Header().Get("Location") != at {
		t.Errorf("the second request: status %d to %s", w.Code, w.Header().Get("Location"))
	}
	if body := c.get("otieno", at).Body.String(); !strings.Contains(body, "may not take part in this case") || !strings.Contains(body, "1 request in 90 days") {
		t.Error("the reason does not say who was passed over")
	}
	if w := c.post("alharbi", "/cases/"+c.ref+"/panel", ask); w.Code != 404 {
		t.Errorf("another clinic: status %d", w.Code)
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/panels", at} {
			for _, problem := range whole(t, c.get("otieno", path).Body.String(), l) {
				t.Errorf("%s %s: %s", l.Tag, path, problem)
			}
		}
	}
}
