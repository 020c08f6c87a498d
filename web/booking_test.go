package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/mail"
)

// clinic is the pages on all rooms below them, with one case of Mrs Idris in Nairobi,
// and everybody on call all day.
type clinic struct {
	house
	t          *testing.T
	pg         *pgtest.DB
	db         *audit.DB
	scheduling *scheduling.Service
	cred       *credentialing.Service
	cases      *workspace.Service
	licenses   map[string]credentialing.CredentialID // by number
	organs     map[string]identity.OrganizationID
	ref        string
}

var bookingCast = []struct {
	key, org, name, language, zone, home string
	languages                            []string
	role                                 identity.Role
}{
	{"otieno", "jacaranda", "Dr Amina Otieno", "en", "Africa/Nairobi", "KE", []string{"en", "sw"}, identity.RoleLocalPhysician},
	{"mwangi", "jacaranda", "Peter Mwangi", "en", "Africa/Nairobi", "", []string{"en"}, identity.RoleCoordinator},
	{"wanjiru", "jacaranda", "Grace Wanjiru", "en", "Africa/Nairobi", "", []string{"en"}, identity.RoleOfficer},
	{"kiptoo", "jacaranda", "Samuel Kiptoo", "en", "Africa/Nairobi", "", []string{"en"}, identity.RoleOfficer},
	{"idris", "jacaranda", "Salma Idris", "ar", "Africa/Nairobi", "", []string{"ar"}, identity.RolePatient},
	{"tremblay", "maple", "Prof. Claire Tremblay", "fr", "America/Toronto", "CA-ON", []string{"fr", "en"}, identity.RoleSpecialist},
	{"weber", "maple", "Dr Jonas Weber", "de", "Europe/Berlin", "DE", []string{"de", "en"}, identity.RoleSpecialist},
	{"aziz", "cedar", "Layla Aziz", "ar", "Asia/Beirut", "", []string{"ar", "en"}, identity.RoleInterpreter},
	{"farah", "cedar", "Yusuf Farah", "en", "Africa/Nairobi", "", []string{"ar", "en"}, identity.RoleInterpreter},
	{"alharbi", "palm", "Dr Noura Al-Harbi", "ar", "Asia/Riyadh", "SA", []string{"ar", "en"}, identity.RoleLocalPhysician},
}

func openClinic(t *testing.T) clinic {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pg := pgtest.New(t)
	db := audit.New(audit.Config{Pool: pg.Pool})
	ids, err := identity.New(identity.Config{DB: db, RPID: "localhost", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	must(err)
	now := time.Now()
	cred, err := credentialing.New(credentialing.Config{DB: db, Identity: ids, Zones: scheduling.LoadZone,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: now.AddDate(1, 0, 0)}})
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
	c := clinic{t: t, pg: pg, db: db, scheduling: times, cred: cred, cases: cases, licenses: map[string]credentialing.CredentialID{}, organs: map[string]identity.OrganizationID{},
		house: house{identity: ids, outbox: mail.NewOutbox(db), people: map[string]identity.PersonID{}, token: map[string]string{}}}
	seed := identity.System("seed", "")
	for key, o := range map[string]identity.Organization{
		"jacaranda": {Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"},
		"palm":      {Name: "Palm Grove Hospital", Kind: "hospital", Zone: "Asia/Riyadh", Place: "SA"},
		"maple":     {Name: "Maple Heart Institute", Kind: "specialist-center", Zone: "America/Toronto", Place: "CA-ON"},
		"cedar":     {Name: "Cedar Bridge Interpreters", Kind: "interpreter-agency", Zone: "Asia/Beirut", Place: "LB"},
	} {
		c.organs[key], err = ids.AddOrganization(ctx, seed, o)
		must(err)
	}
	for _, p := range bookingCast {
		one := identity.Person{Name: p.name, Language: p.language, Languages: p.languages, Zone: p.zone, Home: p.home, Email: p.key + "@example.org"}
		if p.role == identity.RoleSpecialist {
			one.Specialty = "cardiology"
		}
		c.people[p.key], err = ids.AddPerson(ctx, seed, one, identity.Grant{Organization: c.organs[p.org], Role: p.role})
		must(err)
		_, err = times.SetAvailability(ctx, identity.System("seed", ""), c.people[p.key], scheduling.OnCall(p.zone))
		must(err)
		if p.role != identity.RolePatient {
			c.token[p.key], err = ids.SignInDemo(ctx, c.people[p.key])
			must(err)
		}
	}
	onFile := func(person string, kind credentialing.Kind, place, number string, claim credentialing.Claim) {
		t.Helper()
		e, err := cred.EnterClaim(ctx, c.actor("wanjiru"), credentialing.ClaimRequest{Person: c.people[person], Kind: kind, Issuer: "issuer " + place, Number: number, Jurisdiction: place, Claim: claim})
		must(err)
		sum, err := cred.AttachEvidence(ctx, c.actor("wanjiru"), e.Credential, credentialing.EvidenceFile{Bytes: []byte("page of " + number), Source: "register"})
		must(err)
		method := "primary-source"
		if kind == credentialing.KindMalpractice {
			method = "certificate"
		}
		v, err := cred.Verify(ctx, c.actor("wanjiru"), credentialing.VerifyRequest{Credential: e.Credential, Method: method, Source: "register", Result: credentialing.ResultFound, Evidence: sum})
		must(err)
		must(cred.Approve(ctx, c.actor("kiptoo"), v))
		c.licenses[number] = e.Credential
	}
	day := func(n int) credentialing.Moment {
		y, m, d := now.AddDate(0, 0, n).Date()
		return credentialing.Date(y, m, d)
	}
	span := credentialing.Claim{ValidFrom: day(-400), ValidTo: day(400)}
	onFile("otieno", credentialing.KindLicense, "KE", "DEMO-KE-0001", span)
	onFile("tremblay", credentialing.KindLicense, "CA-ON", "DEMO-ON-0001", span)
	onFile("weber", credentialing.KindLicense, "DE", "DEMO-DE-0001", span)
	onFile("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: day(-100), ValidTo: day(200),
		Facility: string(c.organs["jacaranda"]), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	onFile("tremblay", credentialing.KindMalpractice, "", "DEMO-C-1", credentialing.Claim{ValidFrom: span.ValidFrom, ValidTo: span.ValidTo, Territories: []string{"CA", "KE"},
		Currency: "CAD", PerClaim: 5_000_000, Aggregate: 10_000_000})
	pair := credentialing.Claim{ValidFrom: day(-400), ValidTo: day(300), Pair: []string{"ar", "en"}, Modes: []string{"simultaneous"}}
	onFile("aziz", credentialing.KindInterpreter, "", "DEMO-I-1", pair)
	pair.ValidTo = day(-3)
	onFile("farah", credentialing.KindInterpreter, "", "DEMO-I-2", pair)
	for _, who := range []string{"otieno", "tremblay", "weber"} {
		must(cred.CheckExclusions(ctx, c.actor("wanjiru"), credentialing.ExclusionCheck{Person: c.people[who], Lists: []string{"all"}}))
	}
	_, err = cred.AddFacilityLicense(ctx, c.actor("wanjiru"), credentialing.FacilityLicense{Organization: c.organs["jacaranda"], Jurisdiction: "KE", Issuer: "regulator", Number: "DEMO-F-1",
		ValidFrom: now.AddDate(0, -6, 0), ValidTo: now.AddDate(1, 0, 0)})
	must(err)
	_, err = cred.AddAgreement(ctx, c.actor("wanjiru"), credentialing.Agreement{From: c.organs["jacaranda"], To: c.organs["maple"], Ground: "standard-contract",
		DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: now.AddDate(0, -6, 0)})
	must(err)
	id, err := cases.Create(ctx, c.actor("otieno"), workspace.NewCase{Specialty: "cardiology", Urgency: workspace.Soon, Place: "KE", Zone: "Africa/Nairobi", Languages: []string{"ar"},
		Patient: workspace.Pseudonym{Initials: "S.I.", Sex: "female", BirthYear: 1992, Person: c.people["idris"]}, IdentityConfirmed: true,
		Clinical: workspace.Clinical{Language: "en", Title: "Murmur since childhood", Question: workspace.Question{Asked: "Should it be closed?"}}})
	must(err)
	c.ref = string(id)
	c.Handler = New(Deps{Identity: ids, Credentialing: cred, Scheduling: times, Workspace: cases, Outbox: c.outbox, PublicURL: origin, Demo: true, Texts: true,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return c
}

func (c clinic) actor(key string) identity.Actor {
	c.t.Helper()
	a, _, err := c.identity.Authenticate(context.Background(), c.token[key])
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c clinic) times() string { return "/cases/" + c.ref + "/times" }

func (c clinic) get(who, path string) *httptest.ResponseRecorder { return get(c, path, c.as(who)) }

func (c clinic) post(who, path string, f url.Values) *httptest.ResponseRecorder {
	return ask(c, http.MethodPost, path, f.Encode(), c.as(who), header("Sec-Fetch-Site", "same-origin"))
}

var startValue = regexp.MustCompile(`name="start" value="([^"]+)"`)

// form is what the page of times sends for its first time.
func (c clinic) form() url.Values {
	c.t.Helper()
	w := c.get("otieno", c.times()+"?kind=joint_video_visit&duration=30&specialist="+string(c.people["tremblay"]))
	m := startValue.FindStringSubmatch(w.Body.String())
	if w.Code != 200 || m == nil {
		c.t.Fatalf("status %d, no time:\n%.3000s", w.Code, w.Body)
	}
	return url.Values{"key": {uuid.NewString()}, "kind": {"joint_video_visit"}, "duration": {"30"}, "specialist": {string(c.people["tremblay"])}, "start": {m[1]}}
}

// book books the first time and returns the address of the appointment.
func (c clinic) book() string {
	c.t.Helper()
	w := c.post("otieno", c.times(), c.form())
	if w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/appointments/") {
		c.t.Fatalf("status %d to %s", w.Code, w.Header().Get("Location"))
	}
	return w.Header().Get("Location")
}

func TestTimesPageOffersTimesAndSaysWhyOthersAreNotOffered(t *testing.T) {
	c := openClinic(t)
	c.form()
	body := c.get("otieno", c.times()+"?specialist="+string(c.people["tremblay"])).Body.String()
	for _, want := range []string{"KE-002", "Dr Jonas Weber", "Yusuf Farah", "Interpreted between", "EST", "EAT"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	if len(body) > 120<<10 {
		t.Errorf("the page has %d bytes", len(body))
	}
	for who, want := range map[string]int{"mwangi": 200, "alharbi": 404, "tremblay": 404, "wanjiru": 403} {
		if w := c.get(who, c.times()); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
	weber := c.get("otieno", c.times()+"?specialist="+string(c.people["weber"])).Body.String()
	if startValue.MatchString(weber) || !strings.Contains(weber, "No time suits everybody") {
		t.Error("times are offered with somebody who may not")
	}
}

func TestBookingByForm(t *testing.T) {
	c := openClinic(t)
	form := c.form()
	first := c.post("otieno", c.times(), form)
	again := c.post("otieno", c.times(), form) // a second click
	if first.Code != 303 || first.Header().Get("Location") != again.Header().Get("Location") {
		t.Fatalf("%d %s, then %d %s", first.Code, first.Header().Get("Location"), again.Code, again.Header().Get("Location"))
	}
	form.Set("key", uuid.NewString())
	taken := c.post("mwangi", c.times(), form)
	if n := strings.Count(taken.Body.String(), `type="hidden" name="start"`); taken.Code != 409 || n != 3 {
		t.Errorf("the same time again: status %d with %d other times, want 409 with 3", taken.Code, n)
	}
	form.Set("specialist", string(c.people["weber"]))
	refused := c.post("otieno", c.times(), form)
	if refused.Code != 422 || !strings.Contains(refused.Body.String(), "KE-002") {
		t.Errorf("who may not: status %d", refused.Code)
	}
	form.Set("specialist", string(c.people["tremblay"]))
	form.Del("start")
	form.Set("local", "2027-03-14T02:30")
	form.Set("zone", "America/Toronto")
	gap := c.post("otieno", c.times(), form)
	if gap.Code != 422 || !strings.Contains(gap.Body.String(), "2027-03-14 03:00") {
		t.Errorf("a time that does not exist: status %d", gap.Code)
	}
	form.Set("local", "2026-11-01T01:30")
	fold := c.post("otieno", c.times(), form)
	if fold.Code != 422 || strings.Count(fold.Body.String(), `name="occurrence"`) != 2 {
		t.Errorf("a time that comes twice: status %d", fold.Code)
	}
	if w := c.post("alharbi", c.times(), c.form()); w.Code != 404 {
		t.Errorf("another clinic books: status %d, want 404", w.Code)
	}
}

func TestInterpreterAcceptsWithThePromise(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	if body := c.get("aziz", "/").Body.String(); !strings.Contains(body, at) {
		t.Error("the start page does not say that somebody asks")
	}
	body := c.get("aziz", at).Body.String()
	if strings.Contains(body, "Salma") {
		t.Error("the interpreter is told the patient's name")
	}
	seat := regexp.MustCompile(`name="seat" value="([^"]+)"`).FindStringSubmatch(body)
	if seat == nil {
		t.Fatal("nothing to accept")
	}
	form := url.Values{"seat": {seat[1]}, "answer": {"accept"}}
	if w := c.post("aziz", at+"/answer", form); w.Code != 422 {
		t.Errorf("without the promise: status %d, want 422", w.Code)
	}
	form.Set("promise", "yes")
	if w := c.post("tremblay", at+"/answer", form); w.Code != 404 {
		t.Errorf("somebody else answers: status %d, want 404", w.Code)
	}
	if w := c.post("aziz", at+"/answer", form); w.Code != 303 {
		t.Errorf("with the promise: status %d, want 303", w.Code)
	}
	if body := c.get("otieno", at).Body.String(); !strings.Contains(body, "booked") || !strings.Contains(body, "/sessions/") {
		t.Error("the appointment is not booked, or cannot be entered minutes before")
	}
}

func TestPatientsLinkShowsAndThenLetsInOnce(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	inv, err := c.scheduling.Invitation(context.Background(), identity.System("mail", c.organs["jacaranda"]), scheduling.AppointmentID(at[len("/appointments/"):]), c.people["idris"])
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimPrefix(inv.Link, origin)
	for range 3 { // programs look at links
		w := get(c, link)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `lang="ar" dir="rtl"`) || len(w.Result().Cookies()) != 0 {
			t.Fatalf("status %d:\n%.500s", w.Code, w.Body)
		}
	}
	w := ask(c, http.MethodPost, link, "")
	cookies := w.Result().Cookies()
	i := slices.IndexFunc(cookies, func(k *http.Cookie) bool { return k.Name == "login" })
	if w.Code != 303 || w.Header().Get("Location") != "/sessions/"+at[len("/appointments/"):] || i < 0 {
		t.Fatalf("status %d to %s", w.Code, w.Header().Get("Location"))
	}
	if w := ask(c, http.MethodPost, link, ""); w.Code != 404 {
		t.Errorf("used twice: status %d, want 404", w.Code)
	}
	guest := header("Cookie", "login="+cookies[i].Value)
	if w := get(c, at, guest); w.Code != 200 || strings.Contains(w.Body.String(), "/cancel") {
		t.Errorf("the guest's own appointment: status %d", w.Code)
	}
	for _, path := range []string{c.times(), "/availability", "/profile"} {
		if w := get(c, path, guest); w.Code != 403 {
			t.Errorf("guest on %s: status %d, want 403", path, w.Code)
		}
	}
	if w := get(c, "/invite/"+strings.Repeat("A", 64)); w.Code != 404 {
		t.Errorf("a guessed link: status %d, want 404", w.Code)
	}
}

func TestSuspensionIsSaidOnThePageOfTheVisit(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	if _, err := c.cred.ReportStatus(context.Background(), c.actor("wanjiru"), credentialing.StatusReport{Credential: c.licenses["DEMO-ON-0001"],
		Status: credentialing.StatusSuspended, Source: "register"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.scheduling.Reevaluate(context.Background()); err != nil {
		t.Fatal(err)
	}
	body := c.get("otieno", at).Body.String()
	for _, want := range []string{"needs attention", "ZZ-012", "Prof. Claire Tremblay", c.times(), at + "/cancel"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of the clinic does not say %s", want)
		}
	}
	if body := c.get("aziz", at).Body.String(); strings.Contains(body, "ZZ-012") || !strings.Contains(body, "العيادة") {
		t.Error("the interpreter is told the reason, or nothing")
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, problem := range whole(t, c.get("otieno", at).Body.String(), l) {
			t.Errorf("%s: %s", l.Tag, problem)
		}
	}
}

func TestCancelByForm(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	form := url.Values{"version": {"1"}, "reason": {""}}
	if w := c.get("tremblay", at+"/calendar.ics"); w.Code != 200 || !strings.Contains(w.Body.String(), "METHOD:REQUEST") || strings.Contains(w.Body.String(), "Idris") {
		t.Errorf("calendar file: status %d\n%s", w.Code, w.Body)
	}
	if w := c.get("mwangi", at+"/calendar.ics"); w.Code != 404 {
		t.Errorf("calendar file of somebody without a seat: status %d, want 404", w.Code)
	}
	if w := c.post("otieno", at+"/cancel", form); w.Code != 422 {
		t.Errorf("without a reason: status %d, want 422", w.Code)
	}
	form.Set("reason", scheduling.ReasonResolved)
	if w := c.post("alharbi", at+"/cancel", form); w.Code != 404 {
		t.Errorf("another clinic: status %d, want 404", w.Code)
	}
	form.Set("version", "9")
	if w := c.post("otieno", at+"/cancel", form); w.Code != 409 {
		t.Errorf("another version: status %d, want 409", w.Code)
	}
	form.Set("version", "1")
	if w := c.post("otieno", at+"/cancel", form); w.Code != 303 {
		t.Errorf("status %d, want 303", w.Code)
	}
	if body := c.get("otieno", at).Body.String(); !strings.Contains(body, "No longer needed") || strings.Contains(body, at+"/cancel") {
		t.Error("the page does not say why it was canceled, or cancels again")
	}
}

func TestHoursAreSavedAndWhatTheFormDoesNotShowStays(t *testing.T) {
	c := openClinic(t)
	actor := c.actor("aziz")
	a, err := c.scheduling.AvailabilityOf(context.Background(), actor, actor.Person)
	if err != nil {
		t.Fatal(err)
	}
	a.Rules = append(a.Rules, scheduling.Rule{Freq: scheduling.Monthly, Nth: 2, Days: []scheduling.Weekday{scheduling.Wednesday}, Start: 600, End: 660})
	if a, err = c.scheduling.SetAvailability(context.Background(), actor, actor.Person, a); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"version": {"2"}, "zone": {"Asia/Beirut"}, "notice": {"4"}, "buffer": {"10"}, "from-MO": {"10:00"}, "to-MO": {"18:00"}, "from-TU": {"25:00"}, "to-TU": {"18:00"}}
	if w := c.post("aziz", "/availability", form); w.Code != 422 || !strings.Contains(w.Body.String(), "25:00") {
		t.Errorf("a time without meaning: status %d, want 422 with what was typed", w.Code)
	}
	form.Del("from-TU")
	form.Del("to-TU")
	if w := c.post("aziz", "/availability", form); w.Code != 303 {
		t.Fatalf("status %d, want 303:\n%.2000s", w.Code, w.Body)
	}
	if w := c.post("aziz", "/availability", form); w.Code != 409 && w.Code != 422 {
		t.Errorf("an old version: status %d", w.Code)
	}
	a, err = c.scheduling.AvailabilityOf(context.Background(), actor, actor.Person)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Rules) != 2 || a.Rules[0].Freq != scheduling.Monthly || a.Rules[1].Start.String() != "10:00" || a.MinNotice != 4*time.Hour || a.BufferAfter != 10*time.Minute {
		t.Errorf("hours %+v", a)
	}
}

func TestBookingPagesAreWholeInEveryLanguage(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	for _, l := range i18n.Languages {
		for _, who := range []string{"otieno", "mwangi", "tremblay", "aziz"} {
			actor := c.actor(who)
			if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{c.times(), c.times() + "?specialist=" + string(c.people["tremblay"]), c.times() + "?specialist=" + string(c.people["weber"]),
				c.times() + "?duration=60&specialist=" + string(c.people["tremblay"]), "/appointments", at, "/availability", "/"} {
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
