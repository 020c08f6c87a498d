package web

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// TestTimesThatCannotBeAreRefusedInEveryForm types times that are none, or that come
// twice, into each form that takes one: the sentence is there in every language, and
// nothing has changed.
func TestTimesThatCannotBeAreRefusedInEveryForm(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	count := func() (n int) {
		t.Helper()
		list, err := c.scheduling.AppointmentsOfCase(context.Background(), c.actor("otieno"), scheduling.CaseRef(c.ref), c.organs["jacaranda"])
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	page := c.get("otieno", at).Body.String()
	version := versionValue.FindStringSubmatch(page)
	if version == nil {
		t.Fatal("no version on the page of the visit")
	}
	forms := map[string]struct {
		path string
		f    url.Values
	}{
		"book": {c.times(), url.Values{"kind": {"joint_video_visit"}, "duration": {"30"}, "specialist": {string(c.people["tremblay"])}}},
		"hold": {c.times(), url.Values{"kind": {"joint_video_visit"}, "duration": {"30"}, "specialist": {string(c.people["tremblay"])}, "do": {"hold"}}},
		"move": {at + "/move", url.Values{"version": {version[1]}}},
	}
	bundle, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, "Africa/Nairobi"); err != nil {
			t.Fatal(err)
		}
		say := bundle.Localizer(l.Tag, "Africa/Nairobi")
		for name, bad := range map[string]struct {
			local, zone, occurrence string
			want                    string
		}{
			"no time":             {"2027-13-40T99:99", "Africa/Nairobi", "", say.T(i18n.BookingTypedInvalid)},
			"no zone of this":     {"2027-03-10T10:00", "Mars/Olympus", "", `href="#zone"`},
			"the machine's zone":  {"2027-03-10T10:00", "Local", "", `href="#zone"`},
			"does not exist":      {"2027-03-14T02:30", "America/Toronto", "", "2027-03-14 03:00"},
			"comes twice":         {"2027-11-07T01:30", "America/Toronto", "", `name="occurrence"`},
			"comes not so often":  {"2027-11-07T01:30", "America/Toronto", "3", `name="occurrence"`},
			"does not exist here": {"2027-03-28T02:30", "Europe/Berlin", "2", "2027-03-28 03:00"},
		} {
			for form, x := range forms {
				f := url.Values{"key": {uuid.NewString()}, "local": {bad.local}, "zone": {bad.zone}}
				for k, v := range x.f {
					f[k] = v
				}
				if bad.occurrence != "" {
					f.Set("occurrence", bad.occurrence)
				}
				w := c.post("otieno", x.path, f)
				if w.Code != 422 || !strings.Contains(w.Body.String(), bad.want) || !strings.Contains(w.Body.String(), `id="errors"`) {
					t.Errorf("%s %s, %s: status %d, want %q", l.Tag, form, name, w.Code, bad.want)
				}
			}
		}
		w := c.get("otieno", c.times()+"?kind=joint_video_visit&duration=30&from=2027-02-30&specialist="+string(c.people["tremblay"]))
		if w.Code != 422 || !strings.Contains(w.Body.String(), say.T(i18n.SeekDay)) {
			t.Errorf("%s search from a day that does not exist: status %d", l.Tag, w.Code)
		}
		for _, q := range []string{"from=2027-02-30", "to=tomorrow", "limit=none", "from=2027-03-14T02:30"} {
			if w := c.get("otieno", "/cases/"+c.ref+"/slots?kind=joint_video_visit&specialist="+string(c.people["tremblay"])+"&"+q); w.Code != 400 {
				t.Errorf("%s slots of %s: status %d", l.Tag, q, w.Code)
			}
		}
	}
	if n := count(); n != 1 {
		t.Errorf("%d visits after what was refused, want 1", n)
	}
	if now := versionValue.FindStringSubmatch(c.get("otieno", at).Body.String()); now == nil || now[1] != version[1] {
		t.Errorf("the visit changed: version %v, was %v", now, version)
	}
}
