package web

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
)

var needsID = regexp.MustCompile(`name="id" value="([0-9a-f-]*)"`)

// needs is what the form of a page sends, with some fields set.
func (c clinic) needs(who, path string, set url.Values) url.Values {
	c.t.Helper()
	m := needsID.FindStringSubmatch(c.get(who, path).Body.String())
	if m == nil {
		c.t.Fatalf("%s has no form on %s", who, path)
	}
	f := url.Values{"id": {m[1]}}
	for k, v := range set {
		f[k] = v
	}
	return f
}

func TestWishesOfThePatientAreWrittenDownShownAndKept(t *testing.T) {
	c := openClinic(t)
	path := "/cases/" + c.ref + "/needs"
	if w := c.post("aziz", "/profile/gender", url.Values{"gender": {"female"}}); w.Code != 303 {
		t.Fatalf("state a gender: status %d", w.Code)
	}
	if !strings.Contains(c.get("aziz", "/profile").Body.String(), `<option value="female" selected`) {
		t.Error("the profile does not show what was stated")
	}
	if w := c.post("aziz", "/profile/gender", url.Values{"gender": {"x"}}); w.Code != 422 {
		t.Errorf("no such gender: status %d", w.Code)
	}
	set := url.Values{"interpreter": {"must-female"}, "diet": {"halal"}, "words": {"Her mother comes along."}, "not": {string(c.people["farah"])},
		"day-0": {"FR"}, "start-0": {"12:00"}, "end-0": {"14:00"}, "how-0": {"must"}, "what-0": {"Friday prayer"},
		"day-1": {"all"}, "from-1": {"2031-01-01"}, "until-1": {"2031-01-30"}, "how-1": {"wish"}}
	if w := c.post("mwangi", path, c.needs("mwangi", path, set)); w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	body := c.get("otieno", c.times()).Body.String()
	for _, want := range []string{"Wishes for visits", "halal", "Her mother comes along.", "Friday prayer", "Friday, 12:00–14:00", "must be", "Yusuf Farah", "Peter Mwangi"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of times does not show %q", want)
		}
	}
	for _, field := range []string{`value="must-female" selected`, `value="12:00"`, `value="2031-01-30"`, `value="` + string(c.people["farah"]) + `" checked`} {
		if !strings.Contains(c.get("otieno", path).Body.String(), field) {
			t.Errorf("the form does not hold %s", field)
		}
	}
	// Nobody is a man: the reason names the wish, and only the patient gives way.
	must := c.needs("otieno", path, url.Values{"interpreter": {"must-male"}})
	if w := c.post("otieno", path, must); w.Code != 303 {
		t.Fatalf("status %d", w.Code)
	}
	search := c.times() + "?kind=joint_video_visit&duration=30&specialist=" + string(c.people["tremblay"])
	body = c.get("otieno", search).Body.String()
	for _, want := range []string{"what gender the interpreter must be", "Only the patient can give way", "because of what the patient asks for"} {
		if !strings.Contains(body, want) {
			t.Errorf("why there is no time does not say %q", want)
		}
	}
	if strings.Contains(body, `name="override"`) {
		t.Error("staff may set the wish aside")
	}
	// From an old page: refused, and what was typed stays.
	must["words"] = []string{"typed for long"}
	w := c.post("mwangi", path, must)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "typed for long") {
		t.Errorf("an old page: status %d", w.Code)
	}
	if body := c.get("otieno", path).Body.String(); !strings.Contains(body, "Stated before") || !strings.Contains(body, "halal") {
		t.Error("what was stated before is gone")
	}
	for name, bad := range map[string]url.Values{
		"the day of time 1":   {"start-0": {"10:00"}, "end-0": {"11:00"}},
		"the hours of time":   {"day-0": {"MO"}, "start-0": {"10:00"}},
		"equal hours":         {"day-0": {"MO"}, "start-0": {"10:00"}, "end-0": {"10:00"}},
		"a time of the dark":  {"day-0": {"MO"}, "start-0": {"25:00"}, "end-0": {"26:00"}},
		"dates":               {"day-0": {"MO"}, "from-0": {"2031-02-30"}},
		"dates the wrong way": {"day-0": {"MO"}, "from-0": {"2031-02-02"}, "until-0": {"2031-02-01"}},
		"a wish":              {"interpreter": {"must-goat"}},
		"somebody":            {"not": {"x"}},
		"too long":            {"diet": {strings.Repeat("x", 1001)}},
	} {
		f := c.needs("mwangi", path, bad)
		w := c.post("mwangi", path, f)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `id="errors"`) {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
	if again := c.needs("mwangi", path, nil)["id"][0]; again == must["id"][0] {
		t.Error("the id of the statement did not change")
	}
	for who, want := range map[string]int{"aziz": 404, "farah": 404, "wanjiru": 403, "alharbi": 404, "tremblay": 404} {
		if w := c.get(who, path); w.Code != want && w.Code != 403 && w.Code != 404 || strings.Contains(w.Body.String(), "halal") {
			t.Errorf("%s: status %d", who, w.Code)
		}
		if w := c.post(who, path, must); w.Code != 403 && w.Code != 404 {
			t.Errorf("%s writes: status %d", who, w.Code)
		}
	}
}

func TestThePatientStatesWishesFromTheVisit(t *testing.T) {
	c := openClinic(t)
	if w := c.post("aziz", "/profile/gender", url.Values{"gender": {"female"}}); w.Code != 303 {
		t.Fatal(w.Code)
	}
	at := c.book()
	id := strings.TrimPrefix(at, "/appointments/")
	token, err := c.identity.SignInDemo(context.Background(), c.people["idris"])
	if err != nil {
		t.Fatal(err)
	}
	c.token["idris"] = token
	path := at + "/needs"
	if !strings.Contains(c.get("idris", at).Body.String(), path) {
		t.Fatal("the patient's visit does not lead to the wishes")
	}
	if strings.Contains(c.get("aziz", at).Body.String(), "/needs") || c.get("aziz", path).Code < 400 {
		t.Error("the interpreter is led to the wishes")
	}
	body := c.get("idris", path).Body.String()
	if strings.Contains(body, "Yusuf Farah") || !strings.Contains(body, "Layla Aziz") {
		t.Error("the patient is to see the interpreter of the visit, and no others")
	}
	f := c.needs("idris", path, url.Values{"interpreter": {"must-male"}, "day-0": {"all"}, "how-0": {"wish"}, "what-0": {"<b>quiet</b>"}})
	if w := c.post("idris", path, f); w.Code != 303 {
		t.Fatalf("status %d\n%.2000s", w.Code, w.Body)
	}
	ofCase := "/cases/" + c.ref + "/needs"
	if !strings.Contains(c.get("otieno", at).Body.String(), ofCase) {
		t.Error("the visit does not lead those who arrange to the wishes")
	}
	body = c.get("otieno", ofCase).Body.String()
	if !strings.Contains(body, "Stated by the patient") || !strings.Contains(body, "These visits are against") || !strings.Contains(body, id) {
		t.Error("those who arrange do not see that the visit is against what the patient asks for now")
	}
	if strings.Contains(body, "<b>quiet</b>") {
		t.Error("the patient's words are markup")
	}
	if w := c.get("tremblay", path); w.Code != 200 || strings.Contains(w.Body.String(), "<form method=\"post\" action=\""+path) {
		t.Errorf("the specialist reads: status %d", w.Code)
	}
	if w := ask(c, http.MethodPost, path, f.Encode(), c.as("otieno"), header("Sec-Fetch-Site", "same-origin")); w.Code != 403 {
		t.Errorf("the physician states as the patient: status %d", w.Code)
	}
	for _, l := range i18n.Languages {
		for _, who := range []string{"otieno", "idris"} {
			actor := c.actor(who)
			if err := c.identity.SetPreferences(context.Background(), identity.Actor{Person: actor.Person, Login: actor.Login}, l.Tag, actor.Zone); err != nil {
				t.Fatal(err)
			}
			paths := []string{path, "/profile"}
			if who == "otieno" {
				paths = append(paths, "/cases/"+c.ref+"/needs", c.times()+"?kind=joint_video_visit&duration=30&specialist="+string(c.people["tremblay"]))
			}
			for _, path := range paths {
				for _, problem := range whole(t, c.get(who, path).Body.String(), l) {
					t.Errorf("%s %s %s: %s", l.Tag, who, path, problem)
				}
			}
		}
	}
}
