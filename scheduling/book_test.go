package scheduling

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

var ctx = context.Background()

func TestSearchOffersOnlyTimesThatSuitEverybodyOnTheirOwnClock(t *testing.T) {
	w := newWorld(t)
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	if answer.Interpreted != [2]string{"ar", "en"} {
		t.Errorf("interpreted %v, want ar-en", answer.Interpreted)
	}
	// Toronto opens at 08:00 EST = 13:00Z; Nairobi closes at 17:00 EAT = 14:00Z.
	if len(answer.Slots) == 0 || !answer.Slots[0].Start.Equal(time.Date(2026, 11, 25, 13, 0, 0, 0, time.UTC)) {
		t.Fatalf("slots %+v, want the first at 13:00Z", answer.Slots)
	}
	want := map[Role]string{RolePatient: "16:00", RoleLocalPhysician: "16:00", RoleSpecialist: "08:00", RoleInterpreter: "15:00"}
	for _, p := range answer.Slots[0].Parties {
		if got := p.Clock.Wall.Minute.String(); got != want[p.Role] {
			t.Errorf("%s reads %s, want %s", p.Role, got, want[p.Role])
		}
	}
	if len(answer.Slots[0].Parties) != 4 {
		t.Errorf("%d parties, want 4", len(answer.Slots[0].Parties))
	}
	if len(answer.Unqualified) != 1 || answer.Unqualified[0].Person != w.yusuf || answer.Unqualified[0].Reason != "certificate-ended" {
		t.Errorf("unqualified %+v, want Yusuf Farah, whose certificate has ended", answer.Unqualified)
	}
}

func TestSearchSaysWhichLicenseLeavesNoTime(t *testing.T) {
	w := newWorld(t)
	w.rules.deny[w.claire] = []Range{{worldStart.AddDate(-1, 0, 0), worldStart.AddDate(1, 0, 0)}}
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Slots) != 0 || len(answer.WhyNot) != 1 || answer.WhyNot[0].Limit != LimitLicense || answer.WhyNot[0].Person != w.claire {
		t.Fatalf("answer %+v, want the specialist's license", answer)
	}
	if r := answer.WhyNot[0].Refusal; r == nil || r.Lead != "forbid:KE-002" || r.Rule != "KE-002" {
		t.Errorf("refusal %+v, want KE-002", r)
	}
}

func TestSearchNamesTheLicenseThatEndsWithinTheRange(t *testing.T) {
	w := newWorld(t)
	ends := worldStart.AddDate(0, 0, 5)
	w.rules.deny[w.claire] = []Range{{ends, worldStart.AddDate(1, 0, 0)}}
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Slots {
		if s.End().After(ends) {
			t.Errorf("slot at %v is offered beyond the license", s.Start)
		}
	}
	i := slices.IndexFunc(answer.Cuts, func(r Reason) bool { return r.Limit == LimitLicense })
	if len(answer.Slots) == 0 || i < 0 || answer.Cuts[i].Person != w.claire || answer.Cuts[i].Gained == 0 || !answer.Cuts[i].Refusal.Until.Equal(ends) {
		t.Fatalf("cuts %+v, want the license that ends %v", answer.Cuts, ends)
	}
}

func TestBookTakesAllSeatsAndKeepsLocalTimeAndDeterminations(t *testing.T) {
	w := newWorld(t)
	w.rules.open = []string{"after:local_physician_signed", "before:consent=telehealth", "limit:facility-named-on-the-licence"}
	a := w.book()
	read, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if read.State != StatePending || read.StartLocal.String() != "2026-11-25T16:00" || read.AnchorZone != "Africa/Nairobi" || read.AnchorPerson != w.salma || read.ZoneVersion != ZoneVersion() {
		t.Errorf("appointment %+v", read)
	}
	if len(read.Seats) != 4 {
		t.Fatalf("%d seats, want 4", len(read.Seats))
	}
	for _, s := range read.Seats {
		if s.Role.Clinician() != (s.Determination != "") {
			t.Errorf("%s has determination %q", s.Role, s.Determination)
		}
		if (s.Role == RoleInterpreter) != (s.Pair == [2]string{"ar", "en"}) {
			t.Errorf("%s has pair %v", s.Role, s.Pair)
		}
		want := NeedsAction
		if s.Person == w.amina {
			want = Accepted // she asked
		}
		if s.Response != want {
			t.Errorf("%s answered %s, want %s", s.Role, s.Response, want)
		}
	}
	if len(read.Tasks) != 2 || read.Tasks[0].Condition != "consent=telehealth" {
		t.Errorf("tasks %+v, want telehealth consent of both clinicians", read.Tasks)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'appointment.booked'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestBookIsDoneOnceForAKey(t *testing.T) {
	w := newWorld(t)
	req := w.request(w.first())
	var wg sync.WaitGroup
	ids := make([]AppointmentID, 8)
	for i := range ids {
		wg.Add(1)
		go func() {
			defer wg.Done()
			a, err := w.s.Book(ctx, w.otieno(), req)
			if err != nil {
				t.Error(err)
			}
			ids[i] = a.ID
		}()
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("two appointments, %s and %s", ids[0], id)
		}
	}
	if n := w.count(`select count(*) from appointment`); n != 1 {
		t.Errorf("%d appointments, want 1", n)
	}
	req.Start = req.Start.Add(15 * time.Minute)
	if _, err := w.s.Book(ctx, w.otieno(), req); !errors.Is(err, ErrKeyReused) {
		t.Errorf("same key for another time: %v, want ErrKeyReused", err)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'appointment.booked'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestBookingTakenTimeOffersTheNearest(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	if _, err := w.s.Book(ctx, w.otieno(), w.request(start)); err != nil {
		t.Fatal(err)
	}
	_, err := w.s.Book(ctx, w.otieno(), w.request(start.Add(15*time.Minute))) // overlaps by half
	var taken *SlotTaken
	if !errors.As(err, &taken) || !errors.Is(err, ErrSlotTaken) {
		t.Fatalf("got %v, want *SlotTaken", err)
	}
	if len(taken.Nearest) != 3 || !taken.Nearest[0].Start.Equal(start.Add(30*time.Minute)) {
		t.Fatalf("nearest %+v, want %v first", taken.Nearest, start.Add(30*time.Minute))
	}
	if _, err := w.s.Book(ctx, w.otieno(), w.request(taken.Nearest[0].Start)); err != nil {
		t.Errorf("what was offered instead cannot be booked: %v", err)
	}
}

// fifty clients, one slot: one wins, nobody deadlocks, nothing of the others stays.
func TestContentionHasOneWinner(t *testing.T) {
	w := newWorld(t)
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.salma} {
		w.hours(id, OnCall("UTC")) // room for all rounds
	}
	rounds := contentionRounds
	worst := time.Duration(0)
	for round := range rounds {
		start := w.first()
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 50 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				began := time.Now()
				_, err := w.s.Book(ctx, w.otieno(), w.request(start))
				mu.Lock()
				defer mu.Unlock()
				worst = max(worst, time.Since(began))
				switch {
				case err == nil:
					won++
				case !errors.Is(err, ErrSlotTaken):
					t.Errorf("round %d: %v", round, err)
				}
			}()
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, won)
		}
	}
	t.Logf("%d rounds of 50, worst %v", rounds, worst)
	if n := w.count(`select count(*) from appointment`); n != rounds {
		t.Errorf("%d appointments, want %d", n, rounds)
	}
	if n := w.count(`select count(*) from seat`); n != 4*rounds {
		t.Errorf("%d seats, want %d", n, 4*rounds)
	}
	if n := w.count(`select count(*) from determination`); n != 2*rounds {
		t.Errorf("%d determinations, want %d", n, 2*rounds)
	}
	if n := w.count(`select count(*) from booking_request`); n != rounds {
		t.Errorf("%d booking keys, want %d", n, rounds)
	}
	if n := w.count(`select count(*) from pg_stat_database where datname = current_database() and deadlocks > 0`); n != 0 {
		t.Error("there were deadlocks")
	}
}

// The constraint itself keeps S1, whatever the code does and wherever it is killed.
func TestConstraintRefusesOverlapBehindTheCode(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	b := a
	b.ID = AppointmentID(uuid.Must(uuid.NewV7()).String())
	b.UID = "another@consilium.example"
	err := w.audit.Write(ctx, audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) error {
		var batch pgx.Batch
		if err := queueAppointment(&batch, b); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		b.Seats = nil
		for _, s := range a.Seats[:2] {
			s.ID = SeatID(uuid.Must(uuid.NewV7()).String())
			b.Seats = append(b.Seats, s)
		}
		took, err := insertSeats(ctx, tx, b)
		if err != nil {
			return err
		}
		if took != 0 {
			t.Errorf("%d people sit in two places at once", took)
		}
		_, err = tx.Exec(ctx, `insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, leg)
			select gen_random_uuid(), organization_id, $1, person_id, 'observer', true, during, 'booking', 'accepted', 0 from seat limit 1`, string(b.ID))
		return err
	})
	if got := constraintOf(err); got != "seat_no_overlap" {
		t.Errorf("plain insert: %v, want seat_no_overlap", err)
	}
}

func TestBookRefusesLicenseThatEndsDuringTheVisit(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	w.rules.deny[w.claire] = []Range{{start.Add(20 * time.Minute), start.AddDate(0, 1, 0)}}
	_, err := w.s.Book(ctx, w.otieno(), w.request(start))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Limit != LimitLicense || refusal.Person != w.claire || refusal.Lead != "forbid:KE-002" {
		t.Fatalf("got %v, want a refusal of the specialist's license", err)
	}
	w.empty()
}

func TestBookRefusesWithoutQualifiedInterpreter(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	delete(w.rules.qualified, w.layla)
	_, err := w.s.Book(ctx, w.otieno(), w.request(start))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Limit != LimitInterpreter || !slices.Equal(refusal.Reasons, []string{"certificate-ended", "no-certificate"}) {
		t.Fatalf("got %v %+v, want a refusal for want of an interpreter", err, refusal)
	}
	w.empty()
}

// empty fails when a refused booking left something behind.
func (w *world) empty() {
	w.t.Helper()
	for _, table := range []string{"appointment", "seat", "booking_request", "determination"} {
		if n := w.count(`select count(*) from ` + table); n != 0 {
			w.t.Errorf("%d rows of %s are left", n, table)
		}
	}
	if n := w.count(`select count(*) from audit_leaf where act like 'appointment.%'`); n != 0 {
		w.t.Errorf("%d events are left", n)
	}
}

func TestTypedTimeThatDoesNotExistIsRefusedWithTheNextOne(t *testing.T) {
	w := newWorld(t)
	wall, _ := ParseWall("2027-03-14T02:30") // Toronto goes forward at 02:00
	req := w.request(time.Time{})
	req.StartLocal, req.Zone = &wall, "America/Toronto"
	_, err := w.s.Book(ctx, w.otieno(), req)
	var no *WallRefusal
	if !errors.As(err, &no) || no.Check.Kind != WallGap || no.Check.Next.String() != "2027-03-14T03:00" {
		t.Fatalf("got %v, want the gap with 03:00 next", err)
	}
	w.empty()
}

func TestTypedTimeThatOccursTwiceAsksWhich(t *testing.T) {
	w := newWorld(t)
	w.setClock(time.Date(2026, 10, 30, 12, 0, 0, 0, time.UTC))
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.salma} {
		w.hours(id, OnCall("America/Toronto"))
	}
	wall, _ := ParseWall("2026-11-01T01:30")
	req := w.request(time.Time{})
	req.StartLocal, req.Zone = &wall, "America/Toronto"
	_, err := w.s.Book(ctx, w.otieno(), req)
	var ask *WallRefusal
	if !errors.As(err, &ask) || ask.Check.Kind != WallFold || len(ask.Check.Instants) != 2 {
		t.Fatalf("got %v, want the choice of two", err)
	}
	req.Occurrence = 2
	a, err := w.s.Book(ctx, w.otieno(), req)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC); !a.StartAt.Equal(want) {
		t.Errorf("booked at %v, want the second, %v", a.StartAt, want)
	}
}

func TestBookIsForThoseWhoArrangeForTheClinic(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	for name, c := range map[string]struct {
		actor identity.Actor
		want  error
	}{
		"coordinator of the clinic":        {w.actor(w.peter, w.clinic, identity.RoleCoordinator), nil},
		"physician of another clinic":      {w.actor(w.claire, w.other, identity.RoleLocalPhysician), ErrNotFound},
		"officer of the clinic":            {w.actor(w.peter, w.clinic, identity.RoleOfficer), ErrForbidden},
		"guest with a seat, no role":       {identity.Actor{Person: w.salma, Seat: "x"}, ErrNotFound},
		"interpreter within the clinic":    {w.actor(w.layla, w.clinic, identity.RoleInterpreter), ErrForbidden},
		"specialist acting for the clinic": {w.actor(w.claire, w.clinic, identity.RoleSpecialist), ErrForbidden},
	} {
		_, err := w.s.Search(ctx, c.actor, w.search())
		if !errors.Is(err, c.want) {
			t.Errorf("%s searches: %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			continue
		}
		if _, err := w.s.Book(ctx, c.actor, w.request(start)); !errors.Is(err, c.want) {
			t.Errorf("%s books: %v, want %v", name, err, c.want)
		}
	}
	w.empty()
}

// Whatever books and cancels at once, nobody sits in two places, an appointment that
// stands has all its seats, and one that is off keeps nobody.
func TestBookingAndCancelingAtOnceKeepsSeatsWhole(t *testing.T) {
	w := newWorld(t)
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.salma} {
		w.hours(id, OnCall("UTC"))
	}
	from := w.first()
	var wg sync.WaitGroup
	for worker := range 12 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range contentionRounds {
				// All work on the same two hours, half an hour apart or overlapping.
				start := from.Add(time.Duration((worker*7+i*3)%9) * 15 * time.Minute)
				a, err := w.s.Book(ctx, w.otieno(), w.request(start))
				var refusal *Refusal
				switch {
				case errors.Is(err, ErrSlotTaken), errors.As(err, &refusal) && refusal.Limit == LimitRest:
				case err != nil:
					t.Errorf("book: %v", err)
				case (worker+i)%3 != 0:
					if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); err != nil {
						t.Errorf("cancel: %v", err)
					}
				}
			}
		}()
	}
	wg.Wait()
	if n := w.count(`select count(*) from seat a join seat b on a.person_id = b.person_id and a.id < b.id and a.during && b.during
		where a.released_at is null and b.released_at is null`); n != 0 {
		t.Errorf("%d pairs of seats overlap", n)
	}
	if n := w.count(`select count(*) from appointment a where (select count(*) from seat s where s.appointment_id = a.id and s.released_at is null)
		<> case a.state when 'canceled' then 0 else 4 end`); n != 0 {
		t.Errorf("%d appointments have a part of their seats", n)
	}
	if n := w.count(`select count(*) from booking_request r where not exists (select from appointment a where a.id = r.appointment_id)`); n != 0 {
		t.Errorf("%d keys without an appointment", n)
	}
	booked := w.count(`select count(*) from appointment`)
	if n := w.count(`select count(*) from audit_leaf where act = 'appointment.booked'`); n != booked || booked == 0 {
		t.Errorf("%d events for %d appointments", n, booked)
	}
}

func TestNothingIsBookedForACaseThatIsOver(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	f := w.cases.facts[w.ref]
	f.Over = true
	w.cases.facts[w.ref] = f
	if _, err := w.s.Book(ctx, w.otieno(), w.request(start)); !errors.Is(err, ErrState) {
		t.Errorf("got %v, want ErrState", err)
	}
	w.empty()
}

// The search for busy ranges stays on the index however often it ran: a generic plan
// must not read the table.
func TestBusyUsesTheIndexInAGenericPlan(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	w.admin(`insert into person (id, name, language, languages, zone, created_at)
		select gen_random_uuid(), 'Somebody', 'en', '{en}', 'UTC', now() from generate_series(1, 400)`)
	w.admin(`insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, leg)
		select gen_random_uuid(), $1, $2, p.id, 'observer', false, tstzrange(t, t + interval '30 min'), 'booking', 'accepted', 0
		from person p, generate_series(now(), now() + interval '40 hours', interval '1 hour') t
		where p.name = 'Somebody' and not exists (select from seat s where s.person_id = p.id)
		on conflict do nothing`, string(a.Organization), string(a.ID))
	w.admin(`analyze seat`)
	conn, err := pgx.Connect(ctx, w.db.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `set plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, `explain select s.during
		from unnest(array[$1]::uuid[]) as p(id)
		join lateral (select seat.during from seat where seat.person_id = p.id and seat.during && tstzrange($2, $3) and seat.released_at is null) s on true`,
		string(w.claire), a.StartAt, a.End())
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(lines, "\n"); !strings.Contains(plan, "seat_no_overlap") || strings.Contains(plan, "Seq Scan") {
		t.Errorf("plan:\n%s", plan)
	}
}

func BenchmarkSearch(b *testing.B) {
	w := credentialed(b, credentialing.Date(2027, 5, 31))
	b.ResetTimer()
	for range b.N {
		if _, err := w.s.Search(ctx, w.otieno(), w.search()); err != nil {
			b.Fatal(err)
		}
	}
}

// What is offered can be booked (S3), whatever hours, buffers, notice, licenses and
// seats there are.
func TestFoundSlotCanBeBooked(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.salma} {
			a := Availability{Hours: drawHours(r, DateOf(2026, 11, 25)), BufferBefore: time.Duration(rapid.IntRange(0, 3).Draw(r, "before")) * 5 * time.Minute,
				BufferAfter: time.Duration(rapid.IntRange(0, 3).Draw(r, "after")) * 5 * time.Minute, MinNotice: time.Duration(rapid.IntRange(0, 30).Draw(r, "notice")) * time.Hour}
			w.hours(id, a)
		}
		w.rules.deny = map[identity.PersonID][]Range{}
		if rapid.Bool().Draw(r, "ends") {
			w.rules.deny[w.claire] = []Range{{worldStart.Add(time.Duration(rapid.IntRange(1, 300).Draw(r, "end")) * time.Hour), worldStart.AddDate(1, 0, 0)}}
		}
		req := w.search()
		req.Duration = rapid.SampledFrom([]time.Duration{15 * time.Minute, 25 * time.Minute, 30 * time.Minute}).Draw(r, "duration")
		req.Grid = rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, 20 * time.Minute}).Draw(r, "grid")
		req.Limit = 5000
		answer, err := w.s.Search(ctx, w.otieno(), req)
		if err != nil {
			r.Fatal(err)
		}
		if len(answer.Slots) == 0 {
			if len(answer.WhyNot) == 0 {
				r.Fatal("no slot and no reason")
			}
			return
		}
		slot := rapid.SampledFrom(answer.Slots).Draw(r, "slot")
		book := w.request(slot.Start)
		book.Duration = req.Duration
		a, err := w.s.Book(ctx, w.otieno(), book)
		if err != nil {
			r.Fatalf("offered %v cannot be booked: %v", slot.Start, err)
		}
		again, err := w.s.Search(ctx, w.otieno(), req)
		if err != nil {
			r.Fatal(err)
		}
		for _, s := range again.Slots {
			if s.Start.Before(a.End()) && a.StartAt.Before(s.End()) {
				r.Fatalf("%v is still offered although %v is booked", s.Start, a.StartAt)
			}
		}
	})
}
