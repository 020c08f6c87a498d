package web

import (
	"net/url"
	"strings"
	"testing"
)

func TestSpecialistStatesTheirOwnPlaceAndOfficersSeeIt(t *testing.T) {
	o := openOffice(t)
	o.endingSoon(t, "otieno")
	at := "/credentials/own-place"
	body := get(o, at, o.as("otieno")).Body.String()
	if !strings.Contains(body, "No statement yet") || !strings.Contains(body, "Not covered by the rules") || !strings.Contains(body, `value="KE"`) {
		t.Fatalf("before:\n%s", body)
	}
	if body := get(o, at, o.as("wanjiru")).Body.String(); !strings.Contains(body, "Dr Amina Otieno") || !strings.Contains(body, "Something is missing") {
		t.Error("officers do not see what is missing")
	}
	for _, form := range []url.Values{{"place": {"KE"}}, {"place": {"nowhere"}, "agree": {"yes"}}, {"place": {"XQ"}, "agree": {"yes"}}} {
		if w := ask(o, "POST", at, form.Encode(), o.as("otieno"), sameOrigin); w.Code != 422 {
			t.Errorf("%v: %d", form, w.Code)
		}
	}
	o.send(t, "otieno", at, url.Values{"place": {"ke"}, "agree": {"yes"}})
	if body := get(o, at, o.as("wanjiru")).Body.String(); !strings.Contains(body, "good until") || !strings.Contains(body, "In order") {
		t.Error("officers do not see the statement")
	}
	if body := get(o, at, o.as("weber")).Body.String(); strings.Contains(body, "Otieno") || strings.Contains(body, `action="`+at) {
		t.Error("another physician sees it, or is asked without anything on file")
	}
	o.everyTongue(t, "otieno", at)
	o.everyTongue(t, "wanjiru", at, "/credentials")
}
