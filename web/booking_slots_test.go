package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestFreeStartsForProgramsCanBeBooked(t *testing.T) {
	c := openClinic(t)
	at := "/cases/" + c.ref + "/slots?limit=5&specialist=" + string(c.people["tremblay"])
	w := c.get("otieno", at)
	var got slotsAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Slots) != 5 || !got.More || got.ZoneVersion == "" {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	slot := got.Slots[4]
	for _, p := range slot.Parties {
		if p.Person == string(c.people["tremblay"]) && (p.Role != "specialist" || p.Zone != "America/Toronto" || len(p.Local) != len("2026-11-25T08:00")) {
			t.Errorf("the specialist: %+v", p)
		}
	}
	form := c.form()
	form.Set("start", slot.Start)
	if w := c.post("otieno", c.times(), form); w.Code != 303 {
		t.Errorf("what is free cannot be booked: status %d", w.Code)
	}
	start, err := time.Parse(time.RFC3339, slot.Start)
	if err != nil {
		t.Fatal(err)
	}
	within := at + "&from=" + start.Format(time.RFC3339) + "&to=" + start.Add(time.Hour).Format(time.RFC3339)
	if body := c.get("otieno", within).Body.String(); strings.Contains(body, `"start":"`+slot.Start) {
		t.Errorf("what was booked is free: %s", body)
	}
	none := c.get("otieno", "/cases/"+c.ref+"/slots?specialist="+string(c.people["weber"])).Body.String()
	if !strings.Contains(none, `"slots":[]`) || !strings.Contains(none, `"rule":"KE-002"`) {
		t.Errorf("who may not: %s", none)
	}
	for path, want := range map[string]int{at + "&from=tomorrow": 400, strings.Replace(at, "limit=5", "limit=0", 1): 400, at + "&to=2031-01-01T00:00:00Z": 422, "/cases/" + c.ref + "/slots": 404} {
		if w := c.get("otieno", path); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
	for who, want := range map[string]int{"alharbi": 404, "tremblay": 404, "wanjiru": 403} {
		if w := c.get(who, at); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
}
