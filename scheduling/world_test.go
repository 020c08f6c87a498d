package scheduling

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

// world is a small clinic on a real database: a Nairobi hospital, a specialist in
// Toronto, interpreters, a patient, one case. The tests of this package rule
// themselves what people may do; that the real rules fit is tested in
// credentialed_test.go.
type world struct {
	t     testing.TB
	db    *pgtest.DB
	audit *audit.DB
	s     *Service

	clinic, other identity.OrganizationID
	amina         identity.PersonID // local physician
	peter         identity.PersonID // coordinator
	claire        identity.PersonID // specialist
	layla, yusuf  identity.PersonID // interpreters; Yusuf's certificate has ended
	salma         identity.PersonID // patient
	ref           CaseRef

	dir   *directory
	rules *rules
	cases *caseBook

	// Of the real services, see credentialed.
	cred              *credentialing.Service
	officer, approver identity.Actor
	onFile            map[string]credentialing.CredentialID // by number

	mu   sync.Mutex
	now  time.Time           // guarded by mu
	told map[string][]string // people by act, guarded by mu
}

// The world begins on a Wednesday.
var worldStart = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), now: worldStart, told: map[string][]string{}}
	w.audit = audit.New(audit.Config{Pool: w.db.Pool, Clock: w.clock, Tell: w.tell})
	w.clinic, w.other = identity.OrganizationID(w.organization("Jacaranda Hill Hospital", "KE")), identity.OrganizationID(w.organization("Maple Heart Institute", "CA-ON"))
	w.amina = w.person("Dr Amina Otieno", "en", []string{"en", "sw"}, "Africa/Nairobi")
	w.peter = w.person("Peter Mwangi", "en", []string{"en", "sw"}, "Africa/Nairobi")
	w.claire = w.person("Prof. Claire Tremblay", "fr", []string{"fr", "en"}, "America/Toronto")
	w.layla = w.person("Layla Aziz", "ar", []string{"ar", "en"}, "Asia/Beirut")
	w.yusuf = w.person("Yusuf Farah", "en", []string{"ar", "en", "so"}, "Africa/Nairobi")
	w.salma = w.person("Mrs Salma Idris", "ar", []string{"ar"}, "Africa/Nairobi")
	w.ref = CaseRef(w.newCase())

	w.dir = &directory{db: w.audit, interpreters: []identity.PersonID{w.layla, w.yusuf}}
	w.rules = &rules{
		deny:      map[identity.PersonID][]Range{},
		qualified: map[identity.PersonID]time.Time{w.layla: worldStart.AddDate(1, 0, 0), w.yusuf: worldStart.AddDate(0, 0, -3)},
	}
	w.cases = &caseBook{facts: map[CaseRef]Facts{w.ref: {Organization: w.clinic, Patient: w.salma, PatientLanguages: []string{"ar"},
		PatientZone: "Africa/Nairobi", LocalPhysician: w.amina, Specialty: "cardiology",
		Context: credentialing.CaseContext{Case: string(w.ref), Organization: w.clinic, Places: []string{"KE"}}}}}
	var err error
	w.s, err = New(Config{DB: w.audit, Identity: w.dir, Credentialing: w.rules, Cases: w.cases, Origin: "https://consilium.example:8443"})
	if err != nil {
		t.Fatal(err)
	}
	for id, a := range map[identity.PersonID]Availability{
		w.amina:  week("Africa/Nairobi", "08:00", "17:00"),
		w.claire: week("America/Toronto", "08:00", "12:00"),
		w.layla:  week("Asia/Beirut", "10:00", "18:00"),
		w.yusuf:  week("Africa/Nairobi", "08:00", "17:00"),
	} {
		w.hours(id, a)
	}
	return w
}

// tell notes who would be told.
func (w *world) tell(_ *pgx.Batch, events []audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.told[e.Act] = append(w.told[e.Act], e.Tell...)
	}
	return nil
}

// wasTold tells whether somebody was told of an act.
func (w *world) wasTold(act string, id identity.PersonID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.told[act], string(id))
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) setClock(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = at
}

func week(zone, start, end string) Availability {
	a, _ := ParseMinute(start)
	b, _ := ParseMinute(end)
	return Availability{Hours: Hours{Zone: zone, Rules: []Rule{{Freq: Weekly, Days: []Weekday{Monday, Tuesday, Wednesday, Thursday, Friday}, Start: a, End: b}}}}
}

func (w *world) hours(id identity.PersonID, a Availability) {
	w.t.Helper()
	had, err := w.s.AvailabilityOf(context.Background(), identity.System("seed", w.clinic), id)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Version = had.Version
	if _, err := w.s.SetAvailability(context.Background(), identity.Actor{Person: id}, id, a); err != nil {
		w.t.Fatal(err)
	}
}

// admin runs a statement behind the row policies.
func (w *world) admin(sql string, args ...any) {
	w.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.db.AdminURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// count reads a number behind the row policies.
func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.db.AdminURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) organization(name, place string) string {
	id := uuid.Must(uuid.NewV7()).String()
	w.admin(`insert into organization (id, name, kind, zone, place, created_at) values ($1, $2, 'hospital', 'UTC', $3, now())`, id, name, place)
	return id
}

func (w *world) person(name, language string, languages []string, zone string) identity.PersonID {
	id := uuid.Must(uuid.NewV7()).String()
	w.admin(`insert into person (id, name, language, languages, zone, email, created_at) values ($1, $2, $3, $4, $5, $6, now())`,
		id, name, language, languages, zone, id[:8]+id[24:]+"@people.example")
	return identity.PersonID(id)
}

func (w *world) newCase() string {
	id := uuid.Must(uuid.NewV7()).String()
	w.admin(`insert into clinical_case (id, organization_id, number, state, specialty, urgency, place, zone, languages, sealed_content, created_by, created_at, changed_at)
		values ($1, $2, $3, 'assigned', 'cardiology', 'routine', 'KE', 'Africa/Nairobi', '{ar}', '\x00', $4, now(), now())`, id, string(w.clinic), id, string(w.amina))
	return id
}

func (w *world) actor(id identity.PersonID, org identity.OrganizationID, roles ...identity.Role) identity.Actor {
	return identity.Actor{Person: id, Organization: org, Roles: roles}
}

func (w *world) otieno() identity.Actor {
	return w.actor(w.amina, w.clinic, identity.RoleLocalPhysician)
}

func (w *world) search() SearchRequest {
	return SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire}
}

// request books the visit at a start.
func (w *world) request(start time.Time) BookRequest {
	return BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, Start: start}
}

// first is the first start on offer.
func (w *world) first() time.Time {
	w.t.Helper()
	answer, err := w.s.Search(context.Background(), w.otieno(), w.search())
	if err != nil {
		w.t.Fatal(err)
	}
	if len(answer.Slots) == 0 {
		w.t.Fatalf("no slot: %+v", answer.WhyNot)
	}
	return answer.Slots[0].Start
}

func (w *world) book() Appointment {
	w.t.Helper()
	a, err := w.s.Book(context.Background(), w.otieno(), w.request(w.first()))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// directory reads people of the database.
type directory struct {
	interpreters []identity.PersonID
	mu           sync.Mutex
	guests       []identity.GuestRequest // guarded by mu
	db           *audit.DB
	quiet        map[identity.PersonID]identity.Quiet
}

// QuietTx answers for those whom a test gave quiet hours.
func (d *directory) QuietTx(context.Context, *audit.Tx, ...identity.PersonID) (map[identity.PersonID]identity.Quiet, error) {
	return d.quiet, nil
}

var _ Directory = (*directory)(nil)

func (d *directory) People(ctx context.Context, ids ...identity.PersonID) (out map[identity.PersonID]identity.Person, err error) {
	err = d.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		out, err = d.PeopleTx(ctx, tx, ids...)
		return err
	})
	return out, err
}

func (d *directory) PeopleTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error) {
	rows, err := tx.Query(ctx, `select id::text, name, language, languages, zone, email, gender from person where id = any($1)`, strs(ids))
	if err != nil {
		return nil, err
	}
	out := map[identity.PersonID]identity.Person{}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p identity.Person, err error) {
		return p, r.Scan(&p.ID, &p.Name, &p.Language, &p.Languages, &p.Zone, &p.Email, &p.Gender)
	})
	for _, p := range list {
		out[p.ID] = p
	}
	return out, err
}

func (d *directory) PeopleWith(ctx context.Context, _ identity.Role, _ string) ([]identity.Person, error) {
	people, err := d.People(ctx, d.interpreters...)
	return slices.Collect(maps.Values(people)), err
}

func (d *directory) GuestLogin(_ context.Context, _ *audit.Tx, g identity.GuestRequest) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.guests = append(d.guests, g)
	return fmt.Sprintf("guest-%d", len(d.guests)), nil
}

// rules permit everybody but within the ranges given.
type rules struct {
	deny      map[identity.PersonID][]Range
	open      []string // conditions of every answer
	qualified map[identity.PersonID]time.Time
}

var _ Scope = (*rules)(nil)

func (r *rules) at(ask credentialing.Ask, from, to time.Time) credentialing.Determination {
	d := credentialing.Determination{Person: ask.Person, Activity: ask.Activity, At: from, Through: to, Mode: ask.Mode,
		Decision: credentialing.PermitWithConditions, Conditions: r.open}
	for _, n := range r.deny[ask.Person] {
		if n.Start.Before(to) && from.Before(n.End) {
			d.Decision, d.Reasons, d.Conditions, d.Until = credentialing.Deny, []string{"forbid:KE-002"}, nil, n.Start
		}
	}
	return d
}

func (r *rules) Determine(ctx context.Context, tx *audit.Tx, _ identity.Actor, ask credentialing.Ask) (credentialing.Determination, error) {
	d := r.at(ask, ask.At, ask.Through)
	id := uuid.Must(uuid.NewV7()).String()
	hash := sha256.Sum256([]byte("{}\n{}"))
	_, err := tx.Exec(ctx, `insert into determination (id, person_id, organization_id, activity, at, through, mode, decided_at, decision, facts, answer, hash)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}', '{}', $10)`, id, string(ask.Person), tx.Scope.Organization, string(ask.Activity), ask.At, ask.Through,
		string(ask.Mode), tx.Now(), string(d.Decision), hash[:])
	d.ID = credentialing.DeterminationID(id)
	return d, err
}

func (r *rules) SpansFor(_ context.Context, _ *audit.Tx, ask credentialing.Ask, from, to time.Time) ([]credentialing.Span, error) {
	cuts := []time.Time{from, to}
	for _, n := range r.deny[ask.Person] {
		for _, at := range []time.Time{n.Start, n.End} {
			if at.After(from) && at.Before(to) {
				cuts = append(cuts, at)
			}
		}
	}
	slices.SortFunc(cuts, time.Time.Compare)
	var out []credentialing.Span
	for i := range len(cuts) - 1 {
		d := r.at(ask, cuts[i], cuts[i+1])
		out = append(out, credentialing.Span{From: cuts[i], To: cuts[i+1], Decision: d.Decision, Determination: d})
	}
	return out, nil
}

func (r *rules) Qualified(_ context.Context, _ *audit.Tx, id identity.PersonID, _ [2]string, _ string, at time.Time) (bool, string, time.Time, error) {
	until, ok := r.qualified[id]
	switch {
	case !ok:
		return false, "no-certificate", time.Time{}, nil
	case !at.Before(until):
		return false, "certificate-ended", until, nil
	}
	return true, "", until, nil
}

// caseBook knows what the tests tell it of cases.
type caseBook struct{ facts map[CaseRef]Facts }

var _ CaseFacts = (*caseBook)(nil)

func (b *caseBook) Facts(_ context.Context, tx *audit.Tx, ref CaseRef, _ identity.PersonID) (Facts, error) {
	f, ok := b.facts[ref]
	if !ok || tx.Scope.Organization != string(f.Organization) {
		return Facts{}, ErrNotFound
	}
	return f, nil
}

// constraintOf is the constraint that a database error names.
func constraintOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName
	}
	return ""
}
