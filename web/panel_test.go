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
	form := url.Values{"name": {"Cardiology"}, "version": {"0"}}
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
	// Changed: an order, a share, a pause; the history stays.
	edit := "/panels/" + m[1]
	weber, tremblay := string(c.people["weber"]), string(c.people["tremblay"])
	change := url.Values{"version": {"1"}, "name": {"Heart"}, "specialty": {"cardiology"}, "members": {weber, tremblay}, "order-" + weber: {"1"}, "order-" + tremblay: {"2"},
		"share-" + weber: {"3"}, "paused": {weber}}
	for name, bad := range map[string][2]string{"share": {"share-" + weber, "11"}, "order": {"order-" + weber, "first"}, "specialty": {"specialty", "neurology"}, "pause": {"paused", tremblay}, "name": {"name", ""}} {
		f := url.Values{}
		for k, v := range change {
			f[k] = v
		}
		if f.Set(bad[0], bad[1]); name == "pause" {
			f["paused"] = []string{weber, tremblay}
		}
		if w := c.post("mwangi", edit, f); w.Code != 422 || !strings.Contains(w.Body.String(), `id="errors"`) {
			t.Errorf("bad %s: status %d", name, w.Code)
		}
	}
	if w := c.post("mwangi", edit, change); w.Code != 303 {
		t.Fatalf("change: status %d\n%.3000s", w.Code, w.Body)
	}
	if w := c.post("otieno", edit, change); w.Code != 409 {
		t.Errorf("a stale version: status %d", w.Code)
	}
	body = c.get("mwangi", edit).Body.String()
	for _, want := range []string{`value="Heart"`, "What the panel was", "<bdi>Cardiology</bdi>", "Peter Mwangi", `value="3"`, "3 shares", "pauses"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of the panel does not show %q", want)
		}
	}
	for who, code := range map[string]int{"wanjiru": 403, "alharbi": 404, "tremblay": 403} {
		if w := c.get(who, edit); w.Code != code {
			t.Errorf("%s: status %d, want %d", who, w.Code, code)
		}
		if w := c.post(who, edit, change); w.Code != code {
			t.Errorf("%s changes it: status %d, want %d", who, w.Code, code)
		}
	}
	third := url.Values{"panel": {m[1]}, "key": {uuid.NewString()}, "kind": {"joint_video_visit"}, "duration": {"30"}}
	if w := c.post("otieno", "/cases/"+c.ref+"/panel", third); w.Code != 303 || !strings.Contains(c.get("otieno", w.Header().Get("Location")).Body.String(), "takes no requests for now") {
		t.Errorf("the reason does not name the pause: status %d", w.Code)
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/panels", edit, at} {
			for _, problem := range whole(t, c.get("otieno", path).Body.String(), l) {
				t.Errorf("%s %s: %s", l.Tag, path, problem)
			}
		}
	}
}
