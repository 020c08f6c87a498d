package sessions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/embedded"
	"github.com/consilium-health/consilium/sfu/signal"
)

// patience bounds how long a test waits for what must come.
const patience = 15 * time.Second

// world is the main appointment on real services, a real database and the embedded
// engine: Otieno and Mrs Idris in Nairobi, Tremblay in Toronto, Aziz between them.
type world struct {
	t       *testing.T
	ctx     context.Context
	pg      *pgtest.DB
	db      *audit.DB
	who     *identity.Service
	creds   *credentialing.Service
	cases   *workspace.Service
	visits  *scheduling.Service
	rooms   *sessions.Service
	media   sessions.Media
	offset  atomic.Int64 // of the clock from the real one
	nairobi identity.OrganizationID
	toronto identity.OrganizationID
	agency  identity.OrganizationID

	actors       map[string]identity.Actor
	registration credentialing.CredentialID
	interpreting workspace.ConsentID // Mrs Idris's consent to the interpreter
	consulting   workspace.ConsentID // and to the live consult
	caseID       workspace.CaseID
	visit        scheduling.Appointment
}

// clock runs like the real one, from another hour.
func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) setClock(at time.Time) { w.offset.Store(int64(time.Until(at))) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func got[T any](v T, err error) func(*world) T {
	return func(w *world) T {
		w.t.Helper()
		w.ok(err)
		return v
	}
}

// newWorld books the main appointment and goes to shortly before its start.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), pg: pgtest.New(t), actors: map[string]identity.Actor{}}
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // a Wednesday
	w.setClock(begin)
	w.db = audit.New(audit.Config{Pool: w.pg.Pool, Clock: w.clock})
	const origin = "http://localhost:8080"
	var err error
	w.who, err = identity.New(identity.Config{DB: w.db, RPID: "localhost", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	w.ok(err)
	w.creds, err = credentialing.New(credentialing.Config{DB: w.db, Identity: w.who, Zones: scheduling.LoadZone,
		AcceptUnverified: &credentialing.Acceptance{By: "tests", Until: begin.AddDate(5, 0, 0)}})
	w.ok(err)
	dir := t.TempDir()
	blobs, err := workspace.OpenBlobs(dir+"/files", dir+"/keys")
	w.ok(err)
	t.Cleanup(func() { _ = blobs.Close() })
	w.cases, err = workspace.New(workspace.Config{DB: w.db, Identity: w.who, Credentialing: w.creds, Blobs: blobs, RPID: "localhost", Origins: []string{origin}, Demo: true})
	w.ok(err)
	w.visits, err = scheduling.New(scheduling.Config{DB: w.db, Identity: w.who, Credentialing: w.creds, Cases: w.cases, Origin: origin})
	w.ok(err)
	w.media = engine(t)
	w.populate(begin)
	w.book()
	w.start()
	return w
}

// engine is the embedded SFU on loopback.
func engine(t *testing.T) sessions.Media {
	t.Helper()
	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: "testkey", Secret: "a-secret-of-at-least-32-characters"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	mux := http.NewServeMux()
	h := signal.Handler(signal.Config{Server: server})
	mux.Handle("/rtc", h)
	mux.Handle("/rtc/", h)
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	url := "ws" + strings.TrimPrefix(web.URL, "http")
	return embedded.New(embedded.Config{Server: server, URL: func(sessions.SessionID) string { return url }})
}

// start runs the room's service; again after a stop it is another process.
func (w *world) start() {
	w.t.Helper()
	var err error
	w.rooms, err = sessions.New(sessions.Config{DB: w.db, Identity: w.who, Credentialing: w.creds, Scheduling: w.visits, Workspace: w.cases, Media: w.media})
	w.ok(err)
	rooms := w.rooms
	var once sync.Once
	w.t.Cleanup(func() { once.Do(rooms.Close) })
}

func (w *world) populate(begin time.Time) {
	w.t.Helper()
	system := identity.System("seed", "")
	org := func(name, kind, zone, place string) identity.OrganizationID {
		return got(w.who.AddOrganization(w.ctx, system, identity.Organization{Name: name, Kind: kind, Zone: zone, Place: place}))(w)
	}
	w.nairobi = org("Jacaranda Hill Hospital", "hospital", "Africa/Nairobi", "KE")
	w.toronto = org("Maple Heart Institute", "specialist-center", "America/Toronto", "CA-ON")
	w.agency = org("Cedar Bridge Interpreters", "interpreter-agency", "Asia/Beirut", "LB")
	person := func(key, name, zone, home string, org identity.OrganizationID, role identity.Role, languages ...string) {
		var grants []identity.Grant
		if role != "" {
			grants = append(grants, identity.Grant{Organization: org, Role: role})
		}
		id := got(w.who.AddPerson(w.ctx, system, identity.Person{Name: name, Language: languages[0], Languages: languages, Zone: zone, Home: home, Specialty: "cardiology"}, grants...))(w)
		token := got(w.who.SignInDemo(w.ctx, id))(w)
		actor, _, err := w.who.Authenticate(w.ctx, token)
		w.ok(err)
		w.actors[key] = actor
	}
	person("otieno", "Dr Amina Otieno", "Africa/Nairobi", "KE", w.nairobi, identity.RoleLocalPhysician, "en", "sw")
	person("mwangi", "Peter Mwangi", "Africa/Nairobi", "KE", w.nairobi, identity.RoleCoordinator, "en", "sw")
	person("tremblay", "Prof. Claire Tremblay", "America/Toronto", "CA-ON", w.toronto, identity.RoleSpecialist, "fr", "en")
	person("aziz", "Layla Aziz", "Asia/Beirut", "LB", w.agency, identity.RoleInterpreter, "ar", "en")
	person("wanjiru", "Grace Wanjiru", "Africa/Nairobi", "KE", w.nairobi, identity.RoleOfficer, "en")
	person("kiptoo", "Samuel Kiptoo", "Africa/Nairobi", "KE", w.nairobi, identity.RoleOfficer, "en")
	person("stranger", "Somebody Else", "Africa/Nairobi", "KE", w.nairobi, identity.RoleLocalPhysician, "en")
	person("idris", "Salma Idris", "Africa/Nairobi", "", "", "", "ar")

	years := credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1)}
	w.hold("otieno", credentialing.KindLicense, "KE", "DEMO-KE-0001", years)
	w.hold("tremblay", credentialing.KindLicense, "CA-ON", "DEMO-ON-0001", years)
	w.registration = w.hold("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: years.ValidFrom,
		ValidTo: years.ValidTo, Facility: string(w.nairobi), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	w.hold("tremblay", credentialing.KindMalpractice, "", "DEMO-C-1", credentialing.Claim{ValidFrom: years.ValidFrom, ValidTo: years.ValidTo,
		Territories: []string{"CA", "KE"}, Currency: "CAD", PerClaim: 5_000_000, Aggregate: 10_000_000})
	w.hold("aziz", credentialing.KindInterpreter, "", "DEMO-I-1", credentialing.Claim{ValidFrom: years.ValidFrom, ValidTo: years.ValidTo,
		Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}})
	for _, key := range []string{"otieno", "tremblay", "aziz"} {
		w.ok(w.creds.CheckExclusions(w.ctx, w.actors["wanjiru"], credentialing.ExclusionCheck{Person: w.actors[key].Person, Lists: []string{"all"}}))
	}
	got(w.creds.AddFacilityLicense(w.ctx, w.actors["wanjiru"], credentialing.FacilityLicense{Organization: w.nairobi, Jurisdiction: "KE",
		Issuer: "regulator of KE", Number: "DEMO-KE-F1", ValidFrom: begin.AddDate(-1, 0, 0), ValidTo: begin.AddDate(1, 0, 0)}))(w)
	got(w.creds.AddAgreement(w.ctx, w.actors["wanjiru"], credentialing.Agreement{From: w.nairobi, To: w.toronto, Ground: "standard-contract",
		DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: begin.AddDate(-1, 0, 0)}))(w)
	for key, zone := range map[string]string{"otieno": "Africa/Nairobi", "tremblay": "America/Toronto", "aziz": "Asia/Beirut", "idris": "Africa/Nairobi"} {
		a := got(w.visits.AvailabilityOf(w.ctx, w.actors[key], w.actors[key].Person))(w)
		a.Zone = zone
		a.Rules = []scheduling.Rule{{Freq: scheduling.Weekly, Days: []scheduling.Weekday{scheduling.Monday, scheduling.Tuesday, scheduling.Wednesday,
			scheduling.Thursday, scheduling.Friday, scheduling.Saturday, scheduling.Sunday}, Start: 0, End: 24 * 60}}
		got(w.visits.SetAvailability(w.ctx, w.actors[key], w.actors[key].Person, a))(w)
	}
}

// hold claims, verifies and approves a credential as the officers do.
func (w *world) hold(key string, kind credentialing.Kind, place, number string, c credentialing.Claim) credentialing.CredentialID {
	w.t.Helper()
	grace, samuel := w.actors["wanjiru"], w.actors["kiptoo"]
	entered := got(w.creds.EnterClaim(w.ctx, grace, credentialing.ClaimRequest{Person: w.actors[key].Person, Kind: kind, Issuer: "register " + place, Number: number, Jurisdiction: place, Claim: c}))(w)
	sum := got(w.creds.AttachEvidence(w.ctx, grace, entered.Credential, credentialing.EvidenceFile{Bytes: []byte("Register page of " + number), Source: "register"}))(w)
	method := "primary-source"
	if kind == credentialing.KindMalpractice {
		method = "certificate"
	}
	v := got(w.creds.Verify(w.ctx, grace, credentialing.VerifyRequest{Credential: entered.Credential, Method: method, Source: "register", Result: credentialing.ResultFound, Evidence: sum}))(w)
	w.ok(w.creds.Approve(w.ctx, samuel, v))
	return entered.Credential
}

// book makes the case, its consents and the visit, which Aziz accepts, and goes to
// five minutes before the start.
func (w *world) book() {
	w.t.Helper()
	otieno := w.actors["otieno"]
	w.caseID = got(w.cases.Create(w.ctx, otieno, workspace.NewCase{Specialty: "cardiology", Urgency: workspace.Soon, Place: "KE", Zone: "Africa/Nairobi", Languages: []string{"ar"},
		Patient:           workspace.Pseudonym{Initials: "S.I.", Sex: "female", BirthYear: 1992, Person: w.actors["idris"].Person},
		Identity:          workspace.PatientIdentity{Name: "Salma Idris", Record: "P-1"},
		IdentityConfirmed: true,
		Clinical: workspace.Clinical{Language: "en", Title: "Murmur", History: "Breathless on the stairs.", Findings: "Fixed split S2", Medication: "none",
			Question: workspace.Question{Asked: "Close it?", Tried: "Diuretics", Feared: "Pressure", ByWhen: "two weeks"}}}))(w)
	w.ok(w.cases.ConfirmPlace(w.ctx, otieno, w.caseID, "KE", "asked_by_phone"))
	give := func(purpose workspace.Purpose, classes ...workspace.Class) workspace.ConsentID {
		req := workspace.ConsentRequest{Purpose: purpose, Classes: classes, Giver: workspace.Giver{Kind: "patient"}, How: workspace.SpokenWitnessed, Language: "ar"}
		if purpose == workspace.Advice || purpose == workspace.RecordSharing {
			req.Receiver, req.Destination = w.actors["tremblay"].Person, "CA"
		}
		return got(w.cases.RecordConsent(w.ctx, otieno, w.caseID, req))(w)[0]
	}
	w.consulting = give(workspace.LiveConsult)
	w.interpreting = give(workspace.Interpreter)
	give(workspace.Advice)
	give(workspace.RecordSharing, workspace.ClassHistory, workspace.ClassVideo)
	w.ok(w.cases.Submit(w.ctx, otieno, w.caseID))
	w.ok(w.cases.Assign(w.ctx, otieno, w.caseID, w.actors["tremblay"].Person))
	answer := got(w.visits.Search(w.ctx, otieno, scheduling.SearchRequest{Case: scheduling.CaseRef(w.caseID), Kind: scheduling.JointVideoVisit, Specialist: w.actors["tremblay"].Person}))(w)
	if len(answer.Slots) == 0 {
		w.t.Fatalf("no slot: %+v", answer.WhyNot)
	}
	w.visit = got(w.visits.Book(w.ctx, otieno, scheduling.BookRequest{Key: uuid.NewString(), Case: scheduling.CaseRef(w.caseID), Kind: scheduling.JointVideoVisit,
		Specialist: w.actors["tremblay"].Person, Start: answer.Slots[0].Start}))(w)
	w.visit = got(w.visits.Accept(w.ctx, w.actors["aziz"], w.seat("aziz").ID))(w)
	w.setClock(w.visit.StartAt.Add(-5 * time.Minute))
	// Mrs Idris comes by the link of her invitation, as a guest.
	invitation := got(w.visits.Invitation(w.ctx, identity.System("mail", w.nairobi), w.visit.ID, w.actors["idris"].Person))(w)
	_, token, _ := strings.Cut(invitation.Link, "/invite/")
	login, _, err := w.visits.RedeemInvite(w.ctx, token)
	w.ok(err)
	if w.actors["idris"], _, err = w.who.Authenticate(w.ctx, login); err != nil || !w.actors["idris"].Guest() {
		w.t.Fatalf("the link gave %+v, %v", w.actors["idris"], err)
	}
}

// second seats one more interpreter in the visit, as the booking of a long one does.
func (w *world) second(name, key string) {
	w.t.Helper()
	id := got(w.who.AddPerson(w.ctx, identity.System("seed", ""), identity.Person{Name: name, Language: "ar", Languages: []string{"ar", "en"}, Zone: "Asia/Beirut", Home: "LB"},
		identity.Grant{Organization: w.agency, Role: identity.RoleInterpreter}))(w)
	token := got(w.who.SignInDemo(w.ctx, id))(w)
	actor, _, err := w.who.Authenticate(w.ctx, token)
	w.ok(err)
	w.actors[key] = actor
	w.hold(key, credentialing.KindInterpreter, "", "DEMO-I-"+key, credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1),
		Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}})
	w.ok(w.creds.CheckExclusions(w.ctx, w.actors["wanjiru"], credentialing.ExclusionCheck{Person: id, Lists: []string{"all"}}))
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	_, err = conn.Exec(w.ctx, `
		insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, responded_at, attested_at, pair, leg)
		select $1, organization_id, appointment_id, $2, role, required, during, kind, response, responded_at, attested_at, pair, leg
		from seat
		where id = $3`, uuid.Must(uuid.NewV7()).String(), string(id), string(w.seat("aziz").ID))
	w.ok(err)
}

func (w *world) seat(key string) scheduling.Seat {
	w.t.Helper()
	s, ok := w.visit.Seat(w.actors[key].Person)
	if !ok {
		w.t.Fatalf("%s has no seat", key)
	}
	return s
}

// count reads a number behind the row policies.
func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	w.ok(conn.QueryRow(w.ctx, sql, args...).Scan(&n))
	return n
}

// message is one frame of the feed.
type message map[string]any

func (m message) text(path ...string) string {
	var v any = map[string]any(m)
	for _, p := range path {
		o, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = o[p]
	}
	s, _ := v.(string)
	return s
}

// browser is one person's page: it keeps what the feed said.
type browser struct {
	w    *world
	key  string
	door sessions.Door
	conn *sessions.Conn

	mu      sync.Mutex
	heard   []message     // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced with each frame
	serial  int
}

// arrive opens the door and says hello.
func (w *world) arrive(key string) *browser {
	w.t.Helper()
	b := &browser{w: w, key: key, changed: make(chan struct{})}
	var err error
	if b.door, err = w.rooms.OpenDoor(w.ctx, w.actors[key], w.visit.ID); err != nil {
		w.t.Fatalf("door of %s: %v", key, err)
	}
	b.dial()
	return b
}

func (b *browser) dial() {
	b.w.t.Helper()
	var err error
	b.conn, err = b.w.rooms.Connect(b.w.ctx, b.w.actors[b.key], b.door.Session, func(frame []byte) error {
		var m message
		if err := json.Unmarshal(frame, &m); err != nil {
			return err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.heard = append(b.heard, m)
		close(b.changed)
		b.changed = make(chan struct{})
		return nil
	})
	if err != nil {
		b.w.t.Fatalf("%s connects: %v", b.key, err)
	}
	b.w.t.Cleanup(b.conn.Close)
	b.w.ok(b.conn.Command(b.w.ctx, fmt.Appendf(nil, `{"type":"hello","ticket":%q,"version":1}`, b.door.Ticket)))
}

func (b *browser) id() string { return string(b.door.Participant) }

// mark is a place in what was heard.
func (b *browser) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.heard)
}

// forget empties what was heard.
func (b *browser) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = nil
}

// until waits for a message of a type, at or after a mark, that satisfies ok.
func (b *browser) until(from int, kind string, ok func(message) bool) message {
	b.w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		for _, m := range b.heard[from:] {
			if m["type"] == kind && (ok == nil || ok(m)) {
				b.mu.Unlock()
				return m
			}
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			b.mu.Lock()
			defer b.mu.Unlock()
			var seen []string
			for _, m := range b.heard[from:] {
				raw, _ := json.Marshal(m)
				seen = append(seen, string(raw))
			}
			b.w.t.Fatalf("%s waited in vain for %q; heard\n%s", b.key, kind, strings.Join(seen, "\n"))
		}
	}
}

// says is true when a message of the type was heard.
func (b *browser) heardOf(kind string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.heard {
		if m["type"] == kind {
			return true
		}
	}
	return false
}

// do sends a command and returns the code of its refusal; "" when it took effect.
func (b *browser) do(kind string, fields ...any) string {
	b.w.t.Helper()
	b.serial++
	id := fmt.Sprintf("%s-%d", b.key, b.serial)
	cmd := map[string]any{"type": kind, "id": id}
	for i := 0; i+1 < len(fields); i += 2 {
		cmd[fields[i].(string)] = fields[i+1]
	}
	raw, err := json.Marshal(cmd)
	b.w.ok(err)
	from := b.mark()
	if err := b.conn.Command(b.w.ctx, raw); err != nil {
		return "closed: " + err.Error()
	}
	var code string
	b.untilAny(from, func(m message) bool {
		if m.text("id") != id {
			return false
		}
		if m["type"] == "error" {
			code = m.text("code")
		}
		return m["type"] == "error" || m["type"] == "done"
	})
	return code
}

func (b *browser) untilAny(from int, ok func(message) bool) {
	b.w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		for _, m := range b.heard[from:] {
			if ok(m) {
				b.mu.Unlock()
				return
			}
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			b.w.t.Fatalf("%s waited in vain for an answer", b.key)
		}
	}
}

// must sends a command that must take effect.
func (b *browser) must(kind string, fields ...any) {
	b.w.t.Helper()
	if code := b.do(kind, fields...); code != "" {
		b.w.t.Fatalf("%s: %s was refused: %s", b.key, kind, code)
	}
}

// ready checks the devices, as the page does at the door.
func (b *browser) ready() *browser {
	b.w.t.Helper()
	b.must("lobby.check", "audio", true, "video", true, "network", "good")
	return b
}

// gathered is the main appointment with everybody admitted.
type gathered struct{ otieno, idris, tremblay, aziz *browser }

func (w *world) gather() gathered {
	w.t.Helper()
	var g gathered
	g.otieno = w.arrive("otieno").ready()
	g.otieno.until(0, "admitted", nil)
	g.idris = w.arrive("idris").ready()
	g.idris.must("place.confirm", "place", "KE")
	g.tremblay = w.arrive("tremblay").ready()
	g.aziz = w.arrive("aziz").ready()
	for _, b := range []*browser{g.idris, g.tremblay, g.aziz} {
		g.otieno.must("admit", "participant", b.id())
		b.until(0, "admitted", nil)
	}
	return g
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
