package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
)

// clinic is a hospital with a specialist, an interpreter and a patient on a real
// database, whose jobs run. Only the rules of credentialing are the test's own:
// everybody may.
type clinic struct {
	t         *testing.T
	db        *audit.DB
	org       identity.OrganizationID
	amina     identity.PersonID
	claire    identity.PersonID
	layla     identity.PersonID
	salma     identity.PersonID
	schedule  *scheduling.Service
	outbox    *Outbox
	ref       scheduling.CaseRef
	done      <-chan *river.Event
	identity  *identity.Service
	facts     scheduling.Facts
	physician identity.Actor
}

const origin = "https://consult.example.org"

func newClinic(t *testing.T, sender func(*Outbox) Sender, texts ...SMS) *clinic {
	t.Helper()
	ctx := context.Background()
	pg := pgtest.New(t)
	// Wednesday in Nairobi; the jobs themselves run on the machine's clock.
	c := &clinic{t: t, db: audit.New(audit.Config{Pool: pg.Pool, Tell: Tell})}
	var err error
	c.identity, err = identity.New(identity.Config{DB: c.db, RPID: "consult.example.org", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	seed := identity.System("seed", "")
	if c.org, err = c.identity.AddOrganization(ctx, seed, identity.Organization{Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"}); err != nil {
		t.Fatal(err)
	}
	add := func(name, language, zone string, languages []string, g ...identity.Grant) identity.PersonID {
		id, err := c.identity.AddPerson(ctx, seed, identity.Person{Name: name, Language: language, Languages: languages, Zone: zone,
			Email: strings.ToLower(strings.Fields(name)[1]) + "@example.org"}, g...)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	c.amina = add("Dr Otieno", "en", "Africa/Nairobi", []string{"en"}, identity.Grant{Organization: c.org, Role: identity.RoleLocalPhysician})
	c.claire = add("Prof. Tremblay", "fr", "America/Toronto", []string{"fr", "en"}, identity.Grant{Organization: c.org, Role: identity.RoleSpecialist})
	c.layla = add("Layla Aziz", "ar", "Asia/Beirut", []string{"ar", "en"}, identity.Grant{Role: identity.RoleInterpreter})
	c.salma = add("Mrs Idris", "ar", "Africa/Nairobi", []string{"ar"}, identity.Grant{Role: identity.RolePatient})
	c.physician = identity.Actor{Person: c.amina, Organization: c.org, Roles: []identity.Role{identity.RoleLocalPhysician}}

	c.ref = scheduling.CaseRef(uuid.Must(uuid.NewV7()).String())
	conn, err := pgx.Connect(ctx, pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `insert into clinical_case (id, organization_id, number, state, specialty, urgency, place, zone, languages, sealed_content, created_by, created_at, changed_at)
		values ($1, $2, 'JH-1', 'assigned', 'cardiology', 'routine', 'KE', 'Africa/Nairobi', '{ar}', '\x00', $3, now(), now())`, string(c.ref), string(c.org), string(c.amina)); err != nil {
		t.Fatal(err)
	}
	c.facts = scheduling.Facts{Organization: c.org, Patient: c.salma, PatientLanguages: []string{"ar"}, PatientZone: "Africa/Nairobi",
		LocalPhysician: c.amina, Specialty: "cardiology", Context: credentialing.CaseContext{Case: string(c.ref), Organization: c.org, Places: []string{"KE"}}}
	c.schedule, err = scheduling.New(scheduling.Config{DB: c.db, Identity: c.identity, Credentialing: permissive{}, Cases: c, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []identity.PersonID{c.amina, c.claire, c.layla, c.salma} {
		all := scheduling.Availability{Hours: scheduling.Hours{Zone: "UTC", Rules: []scheduling.Rule{{Freq: scheduling.Weekly,
			Days: []scheduling.Weekday{scheduling.Monday, scheduling.Tuesday, scheduling.Wednesday, scheduling.Thursday, scheduling.Friday, scheduling.Saturday, scheduling.Sunday}, Start: 0, End: 23 * 60}}}}
		if _, err := c.schedule.SetAvailability(ctx, identity.Actor{Person: who}, who, all); err != nil {
			t.Fatal(err)
		}
	}

	c.outbox = NewOutbox(c.db)
	config := Config{People: c.identity, Invitations: c.schedule, Sender: sender(c.outbox), Origin: origin + "/"}
	if len(texts) > 0 {
		config.Contacts, config.SMS = c.identity, texts[0]
	}
	worker, err := NewWorker(config)
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	river.AddWorker(workers, worker.Texts())
	jobs, err := river.NewClient(riverpgxv5.New(pg.Pool), &river.Config{Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		Logger: slog.New(slog.DiscardHandler), RetryPolicy: atOnce{}})
	if err != nil {
		t.Fatal(err)
	}
	done, cancel := jobs.Subscribe(river.EventKindJobCompleted, river.EventKindJobCancelled)
	c.done = done
	if err := jobs.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := jobs.StopAndCancel(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

type atOnce struct{}

func (atOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }

func (c *clinic) Facts(_ context.Context, tx *audit.Tx, ref scheduling.CaseRef, _ identity.PersonID) (scheduling.Facts, error) {
	if ref != c.ref || tx.Scope.Organization != string(c.org) {
		return scheduling.Facts{}, scheduling.ErrNotFound
	}
	return c.facts, nil
}

type permissive struct{}

func (permissive) Determine(ctx context.Context, tx *audit.Tx, _ identity.Actor, ask credentialing.Ask) (credentialing.Determination, error) {
	id := uuid.Must(uuid.NewV7()).String()
	hash := sha256.Sum256([]byte("{}\n{}"))
	_, err := tx.Exec(ctx, `insert into determination (id, person_id, organization_id, activity, at, through, mode, decided_at, decision, facts, answer, hash)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}', '{}', $10)`, id, string(ask.Person), tx.Scope.Organization, string(ask.Activity), ask.At, ask.Through,
		string(ask.Mode), tx.Now(), string(credentialing.PermitWithConditions), hash[:])
	return credentialing.Determination{ID: credentialing.DeterminationID(id), Person: ask.Person, Decision: credentialing.PermitWithConditions}, err
}

func (permissive) SpansFor(_ context.Context, _ *audit.Tx, ask credentialing.Ask, from, to time.Time) ([]credentialing.Span, error) {
	return []credentialing.Span{{From: from, To: to, Decision: credentialing.PermitWithConditions}}, nil
}

func (permissive) Qualified(context.Context, *audit.Tx, identity.PersonID, [2]string, string, time.Time) (bool, string, time.Time, error) {
	return true, "", time.Now().AddDate(1, 0, 0), nil
}

// wait waits until n jobs are done and returns their events.
func (c *clinic) wait(n int) []*river.Event {
	c.t.Helper()
	var out []*river.Event
	limit := time.After(20 * time.Second)
	for len(out) < n {
		select {
		case e := <-c.done:
			out = append(out, e)
		case <-limit:
			c.t.Fatalf("%d jobs done, want %d", len(out), n)
		}
	}
	return out
}

func (c *clinic) book() scheduling.Appointment {
	c.t.Helper()
	ctx := context.Background()
	found, err := c.schedule.Search(ctx, c.physician, scheduling.SearchRequest{Case: c.ref, Kind: scheduling.JointVideoVisit, Specialist: c.claire})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(found.Slots) == 0 {
		c.t.Fatalf("no slot: %+v", found.WhyNot)
	}
	a, err := c.schedule.Book(ctx, c.physician, scheduling.BookRequest{Key: uuid.NewString(), Case: c.ref, Kind: scheduling.JointVideoVisit,
		Specialist: c.claire, Start: found.Slots[0].Start})
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// sure is book, with the interpreter's yes: everybody has been written to.
func (c *clinic) sure() scheduling.Appointment {
	c.t.Helper()
	a := c.book()
	c.wait(3)
	seat, _ := a.Seat(c.layla)
	a, err := c.schedule.Accept(context.Background(), identity.Actor{Person: c.layla}, seat.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	c.wait(4)
	return a
}

func (c *clinic) mails() map[string]Captured {
	c.t.Helper()
	list, err := c.outbox.List(context.Background(), "", 50)
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[string]Captured{}
	for i := len(list) - 1; i >= 0; i-- { // the newest to a person wins
		out[list[i].To] = list[i]
	}
	return out
}

func (c *clinic) file(m Captured) (*goical.Event, string) {
	c.t.Helper()
	a, err := c.outbox.Attachment(context.Background(), m.ID, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	cal, err := goical.NewDecoder(bytes.NewReader(a.Data)).Decode()
	if err != nil {
		c.t.Fatal(err)
	}
	method, err := cal.Props.Text(goical.PropMethod)
	if err != nil || len(cal.Events()) != 1 {
		c.t.Fatal(method, err, len(cal.Events()))
	}
	return &cal.Events()[0], method
}

func TestBookingWritesToEachInTheirLanguageAndZone(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	a := c.book()
	c.wait(3)
	got := c.mails()
	if _, early := got["Mrs Idris"]; early || len(got) != 3 {
		t.Fatalf("%d people were written to, want all but the patient: %v", len(got), got)
	}
	seat, _ := a.Seat(c.layla)
	if _, err := c.schedule.Accept(context.Background(), identity.Actor{Person: c.layla}, seat.ID); err != nil {
		t.Fatal(err)
	}
	c.wait(4)
	got["Mrs Idris"] = c.mails()["Mrs Idris"]
	for _, want := range []struct{ name, language, subject, zone, link string }{
		{"Dr Otieno", "en", "Invitation to a video consultation", "EAT", origin + "/appointments/" + string(a.ID) + "\n"},
		{"Prof. Tremblay", "fr", "Invitation à une consultation vidéo", "E", origin + "/appointments/" + string(a.ID) + "\n"},
		{"Layla Aziz", "ar", "هل يمكنك الترجمة في استشارة بالفيديو؟", "EE", origin + "/answer/"},
		{"Mrs Idris", "ar", "دعوة إلى استشارة بالفيديو", "EAT", origin + "/invite/"},
	} {
		m := got[want.name]
		if m.Language != want.language || m.Subject != want.subject || !strings.Contains(m.Body, want.zone) || !strings.Contains(m.Body, "\n"+want.link) {
			t.Errorf("%s: got %s %q\n%s", want.name, m.Language, m.Subject, m.Body)
		}
		for _, other := range []string{"Otieno", "Tremblay", "Aziz", "Idris"} {
			if !strings.Contains(want.name, other) && strings.Contains(m.Body, other) {
				t.Errorf("mail to %s names %s", want.name, other)
			}
		}
		e, method := c.file(m)
		start, err := e.DateTimeStart(time.UTC)
		if err != nil || !start.Equal(a.StartAt) || method != "REQUEST" {
			t.Errorf("%s: calendar file %s at %v, %v", want.name, method, start, err)
		}
	}
	_, body, _ := strings.Cut(got["Mrs Idris"].Body, "/invite/")
	token, _, _ := strings.Cut(body, "\n")
	if l, err := c.schedule.InviteLanding(context.Background(), token); err != nil || l.Appointment != a.ID || l.Role != scheduling.RolePatient {
		t.Errorf("the patient's link: %+v, %v", l, err)
	}
}

func TestCancelingWritesToEachAndTakesItFromTheCalendar(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	a := c.sure()
	if _, err := c.schedule.Cancel(context.Background(), c.physician, a.ID, a.Version, scheduling.ReasonPatient); err != nil {
		t.Fatal(err)
	}
	c.wait(4)
	for name, m := range c.mails() {
		e, method := c.file(m)
		uid, _ := e.Props.Text(goical.PropUID)
		if method != "CANCEL" || uid != a.UID || strings.Contains(m.Body, "/invite/") {
			t.Errorf("%s: %s of %s\n%s", name, method, uid, m.Body)
		}
	}
}

func TestEventOfACaseIsToldOnceAPersonAndRollsBackWithTheCommand(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	ctx := context.Background()
	scope := audit.Scope{Organization: string(c.org)}
	broken := errors.New("broken")
	event := audit.Event{Act: "case.assigned", Objects: map[string]string{"case": string(c.ref)}, Tell: []string{string(c.claire), string(c.claire)}}
	err := c.db.Write(ctx, scope, func(tx *audit.Tx) error {
		tx.Append(event)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	// Who does not exist is given up, not tried for ever.
	event.Tell = append(event.Tell, uuid.NewString())
	if err := c.db.Write(ctx, scope, func(tx *audit.Tx) error { tx.Append(event); return nil }); err != nil {
		t.Fatal(err)
	}
	kinds := map[river.EventKind]int{}
	for _, e := range c.wait(2) {
		kinds[e.Kind]++
	}
	if kinds[river.EventKindJobCompleted] != 1 || kinds[river.EventKindJobCancelled] != 1 {
		t.Errorf("jobs: %v", kinds)
	}
	list, err := c.outbox.List(ctx, "", 50)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	if m := list[0]; m.Subject != "Votre avis est demandé" || !strings.Contains(m.Body, "\n"+origin+"/cases/"+string(c.ref)+"\n") || len(m.Attachments) != 0 {
		t.Errorf("got %q\n%s", m.Subject, m.Body)
	}
}

// flaky loses its answer once: the message went out, and the job comes again.
type flaky struct {
	Sender
	failed bool
}

func (f *flaky) Send(ctx context.Context, m Message) error {
	err := f.Sender.Send(ctx, m)
	if err == nil && !f.failed {
		f.failed = true
		return errors.New("answer lost")
	}
	return err
}

func TestRepeatedJobIsOneMessage(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return &flaky{Sender: o} })
	err := c.db.Write(context.Background(), audit.Scope{Organization: string(c.org)}, func(tx *audit.Tx) error {
		tx.Append(audit.Event{Act: "decision.signed", Objects: map[string]string{"case": string(c.ref)}, Tell: []string{string(c.claire)}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.wait(1)[0]; e.Job.Attempt < 2 {
		t.Errorf("attempt %d, want a second one", e.Job.Attempt)
	}
	if got := c.mails(); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

func TestEveryEventIsWrittenInEveryLanguageWithoutTheName(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	news, err := w.write(context.Background(), TellArgs{Leaf: 1, Act: "something.else", Person: string(c.claire)})
	if err != nil || news.Subject != "Il y a du nouveau pour vous" || !strings.Contains(news.Body, "\n"+origin+"/\n") {
		t.Errorf("an event without a text of its own: %q, %v", news.Subject, err)
	}
	for act := range texts {
		for _, who := range []identity.PersonID{c.amina, c.claire, c.layla} {
			about, link := map[string]string{"case": string(c.ref)}, origin+"/cases/"+string(c.ref)
			switch {
			case act == "interpreter.lapsed":
				link = origin + "/appointments"
			case strings.HasPrefix(act, "zone_update."):
				link = origin + "/zone-changes"
			case act == "reply.left":
				link = origin + "/replies"
			case strings.HasPrefix(act, "interpreter."):
				about["appointment"], link = "an-appointment", origin+"/appointments/an-appointment"
			}
			m, err := w.write(context.Background(), TellArgs{Leaf: 1, Act: act, Person: string(who), Objects: about})
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject == "" || m.Subject == news.Subject || strings.ContainsAny(m.Subject, "\r\n[{") || !strings.Contains(m.Body, "\n"+link+"\n") {
				t.Errorf("%s in %s: %q\n%s", act, m.Language, m.Subject, m.Body)
			}
		}
	}
}
