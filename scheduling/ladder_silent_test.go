package scheduling

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// silent lets the deadline of whoever is asked pass, until nobody is left.
func (w *world) silent(a Appointment) Appointment {
	w.t.Helper()
	for range 8 {
		who := w.askedNow(a)
		if who == "" {
			break
		}
		asking, err := w.s.Asking(ctx, w.interpreter(who), w.seatOf(w.read(a.ID), who))
		if err != nil {
			w.t.Fatal(err)
		}
		w.setClock(asking.Deadline)
		if _, err := w.s.AskInterpreters(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
	return w.read(a.ID)
}

func TestThatNobodyAnsweredInTimeIsNotSaidToBeARefusal(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.silent(w.book())
	if a.State != StateNeedsAttention || a.Reason != ReasonSilent {
		t.Fatalf("%s for %q, want that nobody answered", a.State, a.Reason)
	}
	for _, seat := range a.Seats {
		if seat.Response == Declined {
			t.Errorf("%s is said to have declined", seat.Person)
		}
	}
	// Who said nothing may be asked again by hand; the list says so.
	choices, err := w.s.Choices(ctx, w.coordinator(), a.ID)
	if err != nil || len(choices) != 2 || !choices[0].Silent || !choices[1].Silent {
		t.Fatalf("choices %+v, %v", choices, err)
	}
	picked, err := w.s.Pick(ctx, w.coordinator(), a.ID, a.Version, choices[0].Person)
	if err != nil || picked.State != StatePending || picked.Reason != "" {
		t.Fatalf("%s for %q, %v", picked.State, picked.Reason, err)
	}
	// One no among the silences is a refusal.
	b, err := w.answer(picked, choices[0].Person, Answer{Response: Declined, Reason: RefuseTime})
	if err != nil || b.State != StateNeedsAttention || b.Reason != ReasonInterpreter {
		t.Errorf("%s for %q, %v", b.State, b.Reason, err)
	}
}

func TestWhoLetTheTimePassIsNotProposedAgainFirst(t *testing.T) {
	w := newWorld(t)
	a := w.silent(w.book()) // Layla alone may carry the pair
	list, err := w.s.Substitutes(ctx, w.otieno(), a.ID)
	if err != nil || len(list) < 2 {
		t.Fatalf("proposals %+v, %v", list, err)
	}
	for i, p := range list {
		if p.Silent != slices.Contains(p.Interpreters, w.layla) {
			t.Errorf("%+v", p)
		}
		if i > 0 && list[i-1].Silent && !p.Silent {
			t.Errorf("a proposal with who did not answer stands before %+v", p)
		}
	}
	if list[0].Silent {
		t.Errorf("the first proposal is who did not answer: %+v", list[0])
	}
	// With somebody else who may, they are proposed, at the same time.
	w.pair()
	if list, err = w.s.Substitutes(ctx, w.otieno(), a.ID); err != nil {
		t.Fatal(err)
	}
	if list[0].Change != SamePeople || !slices.Equal(list[0].Interpreters, []identity.PersonID{w.yusuf}) || list[0].Silent {
		t.Errorf("first proposed: %+v", list[0])
	}
	b, err := w.s.Substitute(ctx, w.otieno(), SubstituteRequest{Appointment: a.ID, Version: a.Version, Change: SamePeople})
	if err != nil || w.askedNow(b) != w.yusuf {
		t.Fatalf("%q is asked, %v", w.askedNow(b), err)
	}
	// Who said no to this hour is not proposed for it at all.
	if b, err = w.answer(b, w.yusuf, Answer{Response: Declined, Reason: RefuseTime}); err != nil || b.State != StateNeedsAttention {
		t.Fatal(b.State, err)
	}
	if list, err = w.s.Substitutes(ctx, w.otieno(), b.ID); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Start.Equal(b.StartAt) && slices.Contains(p.Interpreters, w.yusuf) {
			t.Errorf("who refused is proposed: %+v", p)
		}
	}
}

func TestAnInterpreterShortOfRestIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.pair()
	third := w.person("Hoda Karam", "ar", []string{"ar", "en"}, "Africa/Nairobi")
	w.dir.interpreters = append(w.dir.interpreters, third)
	w.rules.qualified[third] = worldStart.AddDate(1, 0, 0)
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.yusuf, w.salma, third} {
		w.hours(id, OnCall("Africa/Nairobi"))
	}
	a, err := w.s.Book(ctx, w.otieno(), w.request(time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC))) // 08:00 in Nairobi
	if err != nil {
		t.Fatal(err)
	}
	first := w.askedNow(a)
	others := slices.DeleteFunc([]identity.PersonID{w.layla, w.yusuf, third}, func(id identity.PersonID) bool { return id == first })
	// One of the others interprets until 23:00 the evening before: nine hours of rest.
	tired := others[0]
	w.rules.qualified = map[identity.PersonID]time.Time{tired: worldStart.AddDate(1, 0, 0)}
	late := w.request(time.Date(2026, 11, 26, 19, 30, 0, 0, time.UTC))
	late.Override = "agreed by telephone" // by those seated in both; not by whoever is asked later
	if _, err := w.s.Book(ctx, w.otieno(), late); err != nil {
		t.Fatal(err)
	}
	for _, id := range []identity.PersonID{first, others[0], others[1]} {
		w.rules.qualified[id] = worldStart.AddDate(1, 0, 0)
	}
	if _, err := w.answer(a, first, Answer{Response: Declined, Reason: RefuseTime}); err != nil {
		t.Fatal(err)
	}
	if got := w.askedNow(a); got != others[1] {
		t.Errorf("asked is %q, want %q: %q has not rested", got, others[1], tired)
	}
	// By hand neither.
	choices, err := w.s.Choices(ctx, w.coordinator(), a.ID)
	if err != nil || slices.ContainsFunc(choices, func(c Choice) bool { return c.Person == tired }) {
		t.Errorf("choices %+v, %v", choices, err)
	}
	// And when nobody else is left, nobody is asked rather than who has not rested.
	b, err := w.answer(a, others[1], Answer{Response: Declined, Reason: RefuseTime})
	if err != nil || b.State != StateNeedsAttention || b.Reason != ReasonInterpreter {
		t.Errorf("%s for %q, %v", b.State, b.Reason, err)
	}
}

// The service dies while deadlines are pending and while it asks. Started again it goes
// on: each visit has asked each interpreter once, in turn, with an event each.
func TestAServiceThatIsKilledAsksTheNextAfterItsRestart(t *testing.T) {
	w := newWorld(t)
	w.pair()
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.yusuf, w.salma} {
		w.hours(id, OnCall("UTC"))
	}
	const visits = 12
	var list []Appointment
	for i := range visits {
		a, err := w.s.Book(ctx, w.otieno(), BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire,
			Start: worldStart.AddDate(0, 0, 3+i)})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	last := time.Time{}
	for _, a := range list {
		who := w.askedNow(a)
		asking, err := w.s.Asking(ctx, w.interpreter(who), w.seatOf(a, who))
		if err != nil {
			t.Fatal(err)
		}
		last = later(last, asking.Deadline)
	}
	w.setClock(last)
	// Connections die under three nodes that ask; what they had committed stands.
	var nodes sync.WaitGroup
	for range 3 {
		nodes.Go(func() {
			for range 4 {
				_, _ = w.s.AskInterpreters(ctx)
				w.admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usename = 'consilium_app'`)
			}
		})
	}
	nodes.Wait()
	again, err := New(Config{DB: w.audit, Identity: w.dir, Credentialing: w.rules, Cases: w.cases, Origin: "https://consilium.example:8443"})
	if err != nil {
		t.Fatal(err)
	}
	w.s = again
	for range 40 { // connections that were killed while idle fail once
		if n, err := w.s.AskInterpreters(ctx); err == nil && n == 0 {
			break
		}
	}
	for i, a := range list {
		asked, err := w.s.Askings(ctx, w.coordinator(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(asked) != 2 || asked[0].State != AskLapsed || asked[1].State != Asked || asked[0].Person == asked[1].Person {
			t.Errorf("visit %d: %+v", i, asked)
		}
		if got := w.read(a.ID); got.State != StatePending {
			t.Errorf("visit %d is %s", i, got.State)
		}
	}
	for what, sql := range map[string]string{
		"lapses":                `select count(*) from audit_leaf where act = 'interpreter.lapsed'`,
		"askings":               `select count(*) from audit_leaf where act = 'interpreter.asked'`,
		"seats of interpreters": `select count(*) from seat where role = 'interpreter' and released_at is null`,
	} {
		if n := w.count(sql); n != visits {
			t.Errorf("%d %s, want %d", n, what, visits)
		}
	}
}
