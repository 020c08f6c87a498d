package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"
	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/mail"
)

// autumn is the pages in November 2026, with a hospital in Nairobi and a specialist in
// Toronto.
func autumn(t *testing.T) clinic {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := func() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) }
	db := audit.New(audit.Config{Pool: pgtest.New(t).Pool, Clock: now})
	ids, err := identity.New(identity.Config{DB: db, RPID: "localhost", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	must(err)
	cred, err := credentialing.New(credentialing.Config{DB: db, Identity: ids, Zones: scheduling.LoadZone})
	must(err)
	blobs, err := workspace.OpenBlobs(t.TempDir(), t.TempDir())
	must(err)
	secret, _, err := audit.GenerateKey("consilium.test/log")
	must(err)
	signer, err := audit.NewSigner(secret)
	must(err)
	cases, err := workspace.New(workspace.Config{DB: db, Identity: ids, Credentialing: cred, Blobs: blobs, Signer: signer, RPID: "localhost", Origins: []string{origin}, Demo: true})
	must(err)
	times, err := scheduling.New(scheduling.Config{DB: db, Identity: ids, Credentialing: cred, Cases: cases, Origin: origin})
	must(err)
	c := clinic{t: t, scheduling: times, cred: cred, organs: map[string]identity.OrganizationID{},
		house: house{identity: ids, outbox: mail.NewOutbox(db), people: map[string]identity.PersonID{}, token: map[string]string{}}}
	seed := identity.System("seed", "")
	for key, o := range map[string]identity.Organization{
		"jacaranda": {Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"},
		"palm":      {Name: "Palm Grove Hospital", Kind: "hospital", Zone: "Asia/Riyadh", Place: "SA"},
		"maple":     {Name: "Maple Heart Institute", Kind: "specialist-center", Zone: "America/Toronto", Place: "CA-ON"},
	} {
		c.organs[key], err = ids.AddOrganization(ctx, seed, o)
		must(err)
	}
	for _, p := range bookingCast {
		if c.organs[p.org] == "" || p.role == identity.RolePatient {
			continue
		}
		language := "en" // what the pages say is read here
		c.people[p.key], err = ids.AddPerson(ctx, seed, identity.Person{Name: p.name, Language: language, Languages: p.languages, Zone: p.zone, Home: p.home, Email: p.key + "@example.org"},
			identity.Grant{Organization: c.organs[p.org], Role: p.role})
		must(err)
		c.token[p.key], err = ids.SignInDemo(ctx, c.people[p.key])
		must(err)
	}
	c.Handler = New(Deps{Identity: ids, Credentialing: cred, Scheduling: times, Workspace: cases, Outbox: c.outbox, PublicURL: origin, Demo: true, Clock: now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return c
}

func (c clinic) wednesdays(anchor, start, end string) url.Values {
	return url.Values{"clinic": {string(c.organs["jacaranda"])}, "freq": {"weekly"}, "day": {"WE"}, "interval": {"1"}, "nth": {"1"}, "start": {start}, "end": {end},
		"anchor": {anchor}, "from": {"2027-03-01"}, "until": {"2027-06-30"}}
}

// row is the line of a table that speaks of a day.
func row(body, day string) string {
	for _, r := range strings.Split(body, "<tr>") {
		if strings.Contains(r, day) {
			return r
		}
	}
	return ""
}

func TestPresenceIsPreviewedOnBothClocksAndOffered(t *testing.T) {
	c := autumn(t)
	for who, want := range map[string]int{"tremblay": 200, "otieno": 403, "wanjiru": 403} {
		if w := c.get(who, "/presence/new"); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
	for _, o := range []struct {
		name, anchor, start, end string
		before, after            [2]string // Toronto, Nairobi
		moves                    string
	}{
		{"anchored in Nairobi", "clinic", "17:00", "19:00", [2]string{"09:00", "17:00 EAT"}, [2]string{"10:00", "17:00 EAT"}, "From here on 10:00 EDT instead of 09:00 EST"},
		{"anchored in Toronto", "mine", "09:00", "11:00", [2]string{"09:00", "17:00 EAT"}, [2]string{"09:00", "16:00 EAT"}, "From here on 16:00 EAT instead of 17:00 EAT"},
	} {
		form := c.wednesdays(o.anchor, o.start, o.end)
		w := c.get("tremblay", "/presence/new?"+form.Encode())
		body := w.Body.String()
		if w.Code != 200 || !strings.Contains(body, "18 windows") {
			t.Fatalf("%s: status %d\n%.3000s", o.name, w.Code, body)
		}
		for day, want := range map[string][2]string{"10 Mar 2027": o.before, "17 Mar 2027": o.after} {
			if r := row(body, day); !strings.Contains(r, want[0]+"–") || !strings.Contains(r, want[1]) {
				t.Errorf("%s: %s does not show %v: %s", o.name, day, want, r)
			}
		}
		if !strings.Contains(row(body, "17 Mar 2027"), o.moves) || strings.Count(body, "From here on") != 1 {
			t.Errorf("%s: the preview does not say %q once", o.name, o.moves)
		}
	}
	gap := c.wednesdays("mine", "02:30", "04:00")
	gap.Set("day", "SU")
	for _, w := range []interface {
		Result() *http.Response
	}{c.get("tremblay", "/presence/new?"+gap.Encode()), c.post("tremblay", "/presence", gap)} {
		res := w.Result()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 422 || !bytes.Contains(body, []byte("does not exist")) || !bytes.Contains(body, []byte("2027-03-14 03:00")) || !bytes.Contains(body, []byte(`value="03:00"`)) {
			t.Errorf("a time that does not exist: status %d\n%.2000s", res.StatusCode, body)
		}
	}
	endless := c.wednesdays("mine", "09:00", "11:00")
	endless.Set("until", "2029-06-30")
	if w := c.post("tremblay", "/presence", endless); w.Code != 422 || !strings.Contains(w.Body.String(), "at most a year ahead") {
		t.Errorf("beyond the horizon: status %d", w.Code)
	}
	if w := c.post("otieno", "/presence", c.wednesdays("mine", "09:00", "11:00")); w.Code != 403 {
		t.Errorf("a physician offers: status %d, want 403", w.Code)
	}

	w := c.post("tremblay", "/presence", c.wednesdays("mine", "09:00", "11:00"))
	at := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(at, "/presence/") {
		t.Fatalf("status %d to %s\n%.2000s", w.Code, at, w.Body)
	}
	again := c.post("tremblay", "/presence", c.wednesdays("clinic", "17:00", "18:00"))
	if again.Code != 409 || strings.Count(again.Body.String(), `name="skip"`) != 18 {
		t.Errorf("the same time again: status %d", again.Code)
	}
	// Dr Otieno reads her own clock first, and is shown where it moves.
	body := c.get("otieno", at).Body.String()
	if r := row(body, "10 Mar 2027"); !strings.Contains(r, "17:00–19:00 EAT") || !strings.Contains(r, "09:00 EST") {
		t.Errorf("10 March: %s", r)
	}
	if r := row(body, "17 Mar 2027"); !strings.Contains(r, "16:00–18:00 EAT") || !strings.Contains(r, "09:00 EDT") || !strings.Contains(r, "From here on 16:00 EAT instead of 17:00 EAT") {
		t.Errorf("17 March: %s", r)
	}
	if w := c.get("otieno", "/presence"); w.Code != 200 || !strings.Contains(w.Body.String(), at) {
		t.Error("the list of the clinic does not lead there")
	}
	if w := c.get("alharbi", at); w.Code != 404 {
		t.Errorf("another clinic: status %d, want 404", w.Code)
	}
	if w := c.get("alharbi", "/presence"); w.Code != 200 || strings.Contains(w.Body.String(), at) {
		t.Error("another clinic lists the presence")
	}
}

func TestWindowIsMovedAndTheCalendarFileSaysSo(t *testing.T) {
	c := autumn(t)
	at := c.post("tremblay", "/presence", c.wednesdays("mine", "09:00", "11:00")).Header().Get("Location")
	file := func() (*goical.Calendar, []goical.Event) {
		t.Helper()
		w := c.get("otieno", at+"/calendar.ics")
		cal, err := goical.NewDecoder(w.Body).Decode()
		if err != nil || w.Code != 200 || cal.Children[0].Name != goical.CompTimezone {
			t.Fatalf("status %d, %v", w.Code, err)
		}
		return cal, cal.Events()
	}
	_, before := file()
	if len(before) != 1 || before[0].Props.Get(goical.PropSequence).Value != "0" {
		t.Fatalf("%d events before the move", len(before))
	}
	version := versionValue.FindStringSubmatch(c.get("tremblay", at).Body.String())[1]
	form := url.Values{"version": {version}, "window": {"2027-03-24T09:00"}, "local": {"2027-03-14T02:30"}, "do": {"move"}}
	if w := c.post("tremblay", at+"/window", form); w.Code != 422 || !strings.Contains(w.Body.String(), "2027-03-14 03:00") {
		t.Errorf("to a time that does not exist: status %d", w.Code)
	}
	form.Set("local", "2027-03-31T10:00")
	if w := c.post("tremblay", at+"/window", form); w.Code != 409 {
		t.Errorf("onto its neighbor: status %d, want 409", w.Code)
	}
	form.Set("local", "2027-03-25T10:00")
	if w := c.post("alharbi", at+"/window", form); w.Code != 404 {
		t.Errorf("another clinic moves: status %d, want 404", w.Code)
	}
	if w := c.post("tremblay", at+"/window", form); w.Code != 303 {
		t.Fatalf("status %d\n%.2000s", w.Code, w.Body)
	}
	if w := c.post("tremblay", at+"/window", form); w.Code != 409 {
		t.Errorf("the version that was read before: status %d, want 409", w.Code)
	}
	_, after := file()
	if len(after) != 2 {
		t.Fatalf("%d events after the move, want the series and its exception", len(after))
	}
	for _, e := range after {
		uid, _ := e.Props.Text(goical.PropUID)
		if want, _ := before[0].Props.Text(goical.PropUID); uid != want {
			t.Errorf("uid %s, want %s", uid, want)
		}
	}
	id := after[1].Props.Get(goical.PropRecurrenceID)
	if id == nil || id.Value != "20270324T090000" || after[1].Props.Get(goical.PropSequence).Value != "1" || after[1].Props.Get(goical.PropDateTimeStart).Value != "20270325T100000" {
		t.Errorf("exception %+v", after[1].Props)
	}
	body := c.get("otieno", at).Body.String()
	if r := row(body, "25 Mar 2027"); !strings.Contains(r, "17:00–19:00 EAT") || !strings.Contains(r, "planned for") {
		t.Errorf("moved window: %s", r)
	}
	version = versionValue.FindStringSubmatch(body)[1]
	if w := c.post("mwangi", at+"/window", url.Values{"version": {version}, "window": {"2027-04-14T09:00"}, "do": {"cancel"}}); w.Code != 303 {
		t.Errorf("the coordinator cancels one: status %d", w.Code)
	}
	o := office{house: c.house, cred: c.cred}
	o.everyTongue(t, "tremblay", "/presence", "/presence/new", "/presence/new?"+c.wednesdays("mine", "09:00", "11:00").Encode(), at)
	o.everyTongue(t, "otieno", "/presence", at)
}

func TestOfFiftyWhoBookOneSlotOfAWindowOneWinsAndTheOthersGetTheNextTimes(t *testing.T) {
	c := openClinic(t)
	ctx := context.Background()
	had, err := c.scheduling.AvailabilityOf(ctx, c.actor("tremblay"), c.people["tremblay"])
	if err != nil {
		t.Fatal(err)
	}
	had.Rules = nil // she is there in her windows alone
	if _, err := c.scheduling.SetAvailability(ctx, c.actor("tremblay"), c.people["tremblay"], had); err != nil {
		t.Fatal(err)
	}
	if w := c.get("otieno", c.times()+"?specialist="+string(c.people["tremblay"])); startValue.MatchString(w.Body.String()) {
		t.Fatal("times are offered without hours")
	}
	nairobi, err := scheduling.LoadZone("Africa/Nairobi")
	if err != nil {
		t.Fatal(err)
	}
	day := scheduling.WallAt(nairobi, time.Now()).Date + 2
	offer := url.Values{"clinic": {string(c.organs["jacaranda"])}, "freq": {"weekly"}, "day": {day.Weekday().String()}, "interval": {"1"}, "start": {"14:00"}, "end": {"17:00"},
		"anchor": {"clinic"}, "from": {day.String()}, "until": {(day + 7).String()}}
	if w := c.post("tremblay", "/presence", offer); w.Code != 303 {
		t.Fatalf("offer: status %d\n%.2000s", w.Code, w.Body)
	}
	form := c.form()
	if start := scheduling.ResolveWall(nairobi, scheduling.Wall{Date: day, Minute: 14 * 60}).Format(time.RFC3339); form.Get("start") != start {
		t.Fatalf("first time %s, want the begin of the window %s", form.Get("start"), start)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, lost := 0, 0
	for i := range 50 {
		mine := url.Values{}
		for k, v := range form {
			mine[k] = v
		}
		mine.Set("key", uuid.NewString())
		who := []string{"otieno", "mwangi"}[i%2]
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := c.post(who, c.times(), mine)
			next := strings.Count(w.Body.String(), `type="hidden" name="start"`)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case w.Code == 303:
				won++
			case w.Code == 409 && next == 3:
				lost++
			default:
				t.Errorf("status %d with %d next times", w.Code, next)
			}
		}()
	}
	wg.Wait()
	if won != 1 || lost != 49 {
		t.Errorf("%d booked and %d got the next free times, want 1 and 49", won, lost)
	}
}
