package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/web/i18n"
)

// everyTongue asks for pages in every language and tells what is not whole in them.
func (o office) everyTongue(t *testing.T, who string, paths ...string) {
	t.Helper()
	for _, l := range i18n.Languages {
		actor, _, err := o.identity.Authenticate(t.Context(), o.token[who])
		if err != nil {
			t.Fatal(err)
		}
		if err := o.identity.SetPreferences(t.Context(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			w := get(o, path, o.as(who))
			if w.Code != 200 {
				t.Errorf("%s %s as %s: %d", l.Tag, path, who, w.Code)
			}
			for _, problem := range whole(t, w.Body.String(), l) {
				t.Errorf("%s %s as %s: %s", l.Tag, path, who, problem)
			}
		}
	}
}

func TestTheFileIsShownAsItWasKnown(t *testing.T) {
	o := openOffice(t)
	license := o.claim(t, "otieno")
	o.send(t, "wanjiru", license+"/status", url.Values{"new_status": {"suspended"}, "status_source": {"Council"}})
	path := "/credentials/people/" + string(o.people["otieno"]) + "/as-known"
	o.everyTongue(t, "otieno", path, path+"?"+url.Values{"valid": {"2026-02-03T10:00"}, "known": {"2026-02-03T10:00"}, "place": {"de"}}.Encode())
	o.everyTongue(t, "wanjiru", path)
	actor, _, err := o.identity.Authenticate(t.Context(), o.token["wanjiru"])
	if err != nil {
		t.Fatal(err)
	}
	if err := o.identity.SetPreferences(t.Context(), actor, "en", actor.Zone); err != nil {
		t.Fatal(err)
	}
	body := get(o, path, o.as("wanjiru")).Body.String()
	for _, want := range []string{"Not valid", "Suspended", "Claim entered", "Grace Wanjiru"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	past := path + "?" + url.Values{"valid": {"2026-02-03T10:00"}, "known": {"2020-01-01T10:00"}}.Encode()
	if body := get(o, past, o.as("wanjiru")).Body.String(); !strings.Contains(body, "Nothing was on file then") || strings.Contains(body, "Suspended") {
		t.Error("what was learned later counts in the past")
	}
	future := path + "?" + url.Values{"known": {time.Now().AddDate(1, 0, 0).Format(localTime)}}.Encode()
	if w := get(o, future, o.as("wanjiru")); w.Code != 422 || !strings.Contains(w.Body.String(), `href="#known"`) {
		t.Errorf("what will be known is answered: %d", w.Code)
	}
	if w := get(o, path, o.as("weber")); w.Code != 404 {
		t.Errorf("another physician reads it: %d", w.Code)
	}
}
