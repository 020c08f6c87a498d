package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

func (c clinic) hoursOf(who string) scheduling.Availability {
	c.t.Helper()
	actor := identity.Actor{Person: c.people[who], Roles: []identity.Role{identity.RoleSpecialist}}
	a, err := c.scheduling.AvailabilityOf(context.Background(), actor, actor.Person)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// more sends one of the forms below the week, for the version that stands.
func (c clinic) more(who, do string, fields url.Values) (status int, body string) {
	c.t.Helper()
	form := url.Values{"do": {do}, "version": {strconv.Itoa(c.hoursOf(who).Version)}}
	for k, v := range fields {
		form[k] = v
	}
	w := c.post(who, "/availability/more", form)
	return w.Code, w.Body.String()
}

func TestWeekOfHoursTakesSeveralWindowsADay(t *testing.T) {
	c := autumn(t)
	form := url.Values{"version": {"0"}, "zone": {"America/Toronto"}, "notice": {"12"}, "buffer": {"5"}, "buffer_after": {"15"}, "horizon": {"90"},
		"from-MO": {"09:00", "14:00", ""}, "to-MO": {"12:00", "16:30", ""}, "from-TH": {"09:00", "22:00"}, "to-TH": {"12:00", "02:00"}}
	if w := c.post("tremblay", "/availability", form); w.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %.2000s", w.Code, w.Body)
	}
	a := c.hoursOf("tremblay")
	if len(a.Rules) != 3 || len(a.Rules[0].Days) != 2 || a.BufferBefore != 5*time.Minute || a.BufferAfter != 15*time.Minute || a.MaxAhead != 90*24*time.Hour || a.MinNotice != 12*time.Hour {
		t.Errorf("hours %+v", a)
	}
	body := c.get("tremblay", "/availability?week=2027-03-10&clock=Africa/Nairobi").Body.String()
	// Monday 8 March, before the clocks of Toronto change; the night belongs to Thursday.
	for _, want := range []string{"09:00 – 12:00 EST", "17:00 – 20:00 EAT", "22:00 – 02:00 (+1) EST", "06:00 (+1) – 10:00 (+1) EAT", `value="16:30"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if body = c.get("tremblay", "/availability?week=2027-03-15&clock=Africa/Nairobi").Body.String(); !strings.Contains(body, "16:00 – 19:00 EAT") {
		t.Error("the week after, the clock of Nairobi is not an hour nearer")
	}
	form.Set("version", "1")
	form["from-MO"] = []string{"09:00", "14:00"}
	form["to-MO"] = []string{"12:00", "25:00"}
	w := c.post("tremblay", "/availability", form)
	if body := w.Body.String(); w.Code != http.StatusUnprocessableEntity || !strings.Contains(body, `href="#from-MO-1"`) || !strings.Contains(body, "25:00") {
		t.Errorf("a time without meaning: status %d", w.Code)
	}
	if got := c.hoursOf("tremblay"); got.Version != 1 {
		t.Errorf("version %d after a refusal", got.Version)
	}
}

func TestHoursBesideTheWeekAreAddedAndRemoved(t *testing.T) {
	c := autumn(t)
	c.post("tremblay", "/availability", url.Values{"version": {"0"}, "zone": {"America/Toronto"}, "notice": {"0"}, "buffer": {"0"}, "horizon": {"0"},
		"from-WE": {"09:00"}, "to-WE": {"11:00"}})
	for _, x := range []struct {
		do    string
		form  url.Values
		shows string
	}{
		{"rule", url.Values{"rule_every": {"nth1"}, "rule_day": {"TU"}, "rule_start": {"13:00"}, "rule_end": {"15:00"}}, "first"},
		{"rule", url.Values{"rule_every": {"weeks2"}, "rule_day": {"FR"}, "rule_start": {"08:00"}, "rule_end": {"09:00"}, "rule_from": {"2026-12-01"}}, "Every 2 weeks"},
		{"away", url.Values{"away_from": {"2026-12-21"}, "away_until": {"2027-01-03"}}, "Away from"},
		{"extra", url.Values{"extra_date": {"2026-12-05"}, "extra_start": {"10:00"}, "extra_end": {"12:00"}, "extra_how": {"more"}}, "10:00–12:00"},
		{"extra", url.Values{"extra_date": {"2026-12-09"}, "extra_start": {"18:00"}, "extra_end": {"19:00"}, "extra_how": {"instead"}}, "only"},
		{"trip", url.Values{"trip_from": {"2026-12-14"}, "trip_until": {"2026-12-18"}, "trip_zone": {"Africa/Nairobi"}}, "on the clock of"},
	} {
		if status, body := c.more("tremblay", x.do, x.form); status != http.StatusSeeOther {
			t.Fatalf("%s: status %d: %.3000s", x.do, status, body)
		}
		if body := c.get("tremblay", "/availability").Body.String(); !strings.Contains(body, x.shows) {
			t.Errorf("%s: the page does not say %q", x.do, x.shows)
		}
	}
	for week, want := range map[string][]string{
		"2026-11-30": {"13:00 – 15:00 EST", "10:00 – 12:00 EST"}, // first Tuesday, extra Saturday
		"2026-12-07": {"18:00 – 19:00 EST"},
		"2026-12-14": {"09:00 – 11:00 EAT", "01:00 – 03:00 EST"}, // Wednesday in Nairobi
		"2026-12-21": nil,
	} {
		body := c.get("tremblay", "/availability?clock=Africa/Nairobi&week="+week).Body.String()
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("week of %s does not show %q", week, w)
			}
		}
		if n := strings.Count(body, ">closed<"); want == nil && n != 7 {
			t.Errorf("week of %s: %d days closed", week, n)
		}
	}
	if status, _ := c.more("tremblay", "trip", url.Values{"trip_from": {"2026-12-18"}, "trip_until": {"2026-12-20"}, "trip_zone": {"Asia/Riyadh"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a second trip on a day: status %d", status)
	}
	if status, _ := c.more("tremblay", "trip", url.Values{"trip_from": {"2027-12-18"}, "trip_until": {"2027-12-20"}, "trip_zone": {"Asia/Ryad"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("no such zone: status %d", status)
	}
	if status, _ := c.more("tremblay", "drop-rule", url.Values{"what": {"0"}, "version": {"1"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("an old version: status %d", status)
	}
	for _, x := range [][2]string{{"drop-trip", "0"}, {"drop-dates", "2026-12-21/2027-01-03"}, {"drop-rule", "1"}} {
		if status, body := c.more("tremblay", x[0], url.Values{"what": {x[1]}}); status != http.StatusSeeOther {
			t.Errorf("%s: status %d: %.1000s", x[0], status, body)
		}
	}
	if a := c.hoursOf("tremblay"); len(a.Trips) != 0 || len(a.Overrides) != 1 || len(a.Rules) != 3 {
		t.Errorf("left %+v", a.Hours)
	}
}

func TestExtraHoursAtATimeThatIsSkippedOrComesTwiceAreAskedAbout(t *testing.T) {
	c := autumn(t)
	c.post("tremblay", "/availability", url.Values{"version": {"0"}, "zone": {"America/Toronto"}, "notice": {"0"}, "buffer": {"0"}, "horizon": {"0"},
		"from-SU": {"02:30"}, "to-SU": {"05:00"}})
	// The window of each Sunday is told of, with what remains.
	if body := c.get("tremblay", "/availability").Body.String(); !strings.Contains(body, "03:00 EDT – 05:00 EDT") || !strings.Contains(body, "go forward") {
		t.Error("the clock change within a window is not told")
	}
	gap := url.Values{"extra_date": {"2027-03-14"}, "extra_start": {"02:30"}, "extra_end": {"04:00"}, "extra_how": {"instead"}}
	status, body := c.more("tremblay", "extra", gap)
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "2027-03-14 02:30") || !strings.Contains(body, "2027-03-14 03:00") || !strings.Contains(body, `value="03:00"`) {
		t.Errorf("a time that does not exist: status %d", status)
	}
	fold := url.Values{"extra_date": {"2027-11-07"}, "extra_start": {"01:30"}, "extra_end": {"03:00"}, "extra_how": {"instead"}}
	status, body = c.more("tremblay", "extra", fold)
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "01:30 EDT – 03:00 EST") || !strings.Contains(body, "01:30 EST – 03:00 EST") {
		t.Errorf("a time that comes twice: status %d", status)
	}
	if a := c.hoursOf("tremblay"); a.Version != 1 {
		t.Fatalf("version %d after refusals", a.Version)
	}
	fold.Set("later", "1")
	if status, body = c.more("tremblay", "extra", fold); status != http.StatusSeeOther {
		t.Fatalf("the second: status %d: %.1000s", status, body)
	}
	list, err := c.hoursOf("tremblay").Expand(time.Date(2027, 11, 7, 5, 0, 0, 0, time.UTC), time.Date(2027, 11, 7, 12, 0, 0, 0, time.UTC))
	if err != nil || len(list) != 1 || !list[0].Start.Equal(time.Date(2027, 11, 7, 6, 30, 0, 0, time.UTC)) {
		t.Errorf("windows %v, %v", list, err)
	}
}
