package scheduling

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// expected judges a visit anew, seat by seat and without anything that looking again
// uses: whether it should need attention.
func (w *world) expected(a Appointment) bool {
	w.t.Helper()
	against := false
	err := w.audit.Read(ctx, audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) error {
		for _, seat := range a.Seats {
			switch {
			case seat.Released:
			case seat.Role == RoleInterpreter:
				ok, _, until, err := w.cred.Qualified(ctx, tx, seat.Person, seat.Pair, interpretMode, a.StartAt)
				if err != nil {
					return err
				}
				against = against || !ok || !until.IsZero() && until.Before(a.End())
			case seat.Role.Clinician():
				f, err := w.cases.Facts(ctx, tx, a.Case, a.specialist())
				if err != nil {
					return err
				}
				act := credentialing.Activity(a.Kind)
				if seat.Role == RoleLocalPhysician {
					act = credentialing.SignDecision
				}
				c := f.Context
				c.Interpreter, c.Modality = credentialing.Yes(), "live-video"
				d, err := w.cred.Judge(ctx, tx, credentialing.Ask{Person: seat.Person, Activity: act, At: a.StartAt, Through: a.End(), Mode: credentialing.Plan, Case: c})
				if err != nil {
					return err
				}
				against = against || !d.Allowed()
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return against
}

// TestLookingAgainAgreesWithJudgingEveryVisitAnew walks through random histories of
// credentials, exclusions, agreements, consents, places and time. After every step
// each visit needs attention exactly if one of its people may not do their part then;
// nothing is canceled, no seat is given away, and a sweep finds nothing new.
func TestLookingAgainAgreesWithJudgingEveryVisitAnew(t *testing.T) {
	const seeds, steps = 3, 25
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := credentialed(t, credentialing.Date(2027, 5, 31))
			visits := w.bookDays(5)
			w.again()
			for i, a := range visits { // some wait for the interpreter, some do not
				if i%2 == 0 {
					if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
						t.Fatal(err)
					}
				}
			}
			agreement := credentialing.AgreementID("")
			told := map[string]int{}
			for step := range steps {
				what := w.history(r, &agreement)
				w.again()
				for i, a := range visits {
					got := w.read(a.ID)
					if !w.clock().Before(got.End()) {
						continue
					}
					want := StatePending
					if i%2 == 0 {
						want = StateBooked
					}
					if w.expected(got) {
						want = StateNeedsAttention
					}
					if got.State != want {
						t.Fatalf("seed %d, step %d (%s): visit %d is %s, want %s", seed, step, what, i, got.State, want)
					}
					if want == StateNeedsAttention != (got.Reason == ReasonLost) || !got.StartAt.Equal(a.StartAt) || got.Sequence != a.Sequence {
						t.Fatalf("step %d (%s): visit %d has reason %q, start %v, sequence %d", step, what, i, got.Reason, got.StartAt, got.Sequence)
					}
					if slices.ContainsFunc(got.Seats, func(s Seat) bool { return s.Released }) {
						t.Fatalf("step %d (%s): visit %d gave a seat away", step, what, i)
					}
				}
				told[what]++
			}
			before := w.count(`select count(*) from audit_leaf where act in ($1, $2)`, actSetAside, actRestored)
			if done, err := w.s.ReevaluateAll(ctx); err != nil || done.SetAside+done.Restored+done.Skipped != 0 {
				t.Errorf("the sweep found %+v, %v after %v", done, err, told)
			}
			if before == 0 {
				t.Errorf("no visit was ever set aside by %v", told)
			}
			// Every refusal that a seat rests on is stored and is one.
			if n := w.count(`select count(*) from appointment_review r, jsonb_array_elements(r.held) o join determination d on d.id = (o->>'determination')::uuid
				where d.decision <> 'deny'`); n != 0 {
				t.Errorf("%d obstacles rest on a permission", n)
			}
		})
	}
}

// history does one thing that may move scopes, and says what.
func (w *world) history(r *rand.Rand, agreement *credentialing.AgreementID) string {
	w.t.Helper()
	ok := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	report := func(number string) string {
		id := w.onFile[number]
		st := credentialing.StatusSuspended
		if r.IntN(2) == 0 {
			st = credentialing.StatusActive
		}
		from := w.clock().Add(time.Duration(r.IntN(96)-24) * time.Hour)
		pending, err := w.cred.ReportStatus(ctx, w.officer, credentialing.StatusReport{Credential: id, Status: st, From: from, Source: "register"})
		ok(err)
		if pending && r.IntN(4) > 0 { // sometimes the second officer is missing
			_, err := w.cred.ReportStatus(ctx, w.approver, credentialing.StatusReport{Credential: id, Status: st, From: from, Source: "register"})
			ok(err)
		} else if pending {
			_, err := w.cred.ReportStatus(ctx, w.officer, credentialing.StatusReport{Credential: id, Status: credentialing.StatusSuspended, From: from, Source: "register"})
			ok(err)
		}
		return string(st) + " " + number
	}
	know := func(change func(c *credentialing.CaseContext)) {
		f := w.cases.facts[w.ref]
		change(&f.Context)
		w.cases.facts[w.ref] = f
		ok(w.audit.Write(ctx, audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) error {
			return credentialing.RecordChange(ctx, tx, credentialing.Change{Case: string(w.ref), Cause: "case"})
		}))
	}
	switch n := r.IntN(10); n {
	case 0, 1:
		return report("DEMO-ON-0001")
	case 2:
		return report("DEMO-KE-0001")
	case 3:
		return report("DEMO-I-1")
	case 4:
		place := []string{"KE", "KE", "XX", "UG"}[r.IntN(4)]
		know(func(c *credentialing.CaseContext) { c.Places = []string{place} })
		return "place " + place
	case 5:
		asked := r.IntN(3) > 0
		know(func(c *credentialing.CaseContext) { c.Local.Requested = &asked })
		return fmt.Sprint("requested ", asked)
	case 6:
		physician := []identity.PersonID{w.amina, w.amina, w.peter}[r.IntN(3)]
		f := w.cases.facts[w.ref]
		f.LocalPhysician = physician
		w.cases.facts[w.ref] = f
		know(func(c *credentialing.CaseContext) { c.Local.ID = physician })
		return "responsible physician"
	case 7:
		if *agreement == "" {
			var err error
			*agreement, err = w.cred.AddAgreement(ctx, w.officer, credentialing.Agreement{From: w.clinic, To: w.other, Ground: "another-contract", DataClasses: []string{"video"}})
			ok(err)
			return "agreement"
		}
		ok(w.cred.EndAgreement(ctx, w.officer, *agreement))
		*agreement = ""
		return "end of agreement"
	case 8:
		ok(w.cred.CheckExclusions(ctx, w.officer, credentialing.ExclusionCheck{Person: w.claire, Lists: []string{"all"}}))
		return "lists"
	default:
		w.setClock(w.clock().Add(time.Duration(1+r.IntN(20)) * time.Hour))
		return "time"
	}
}

// counter counts the statements that a pool sends.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted is the same service on a pool that counts.
func (w *world) counted() (*Service, *counter) {
	w.t.Helper()
	c := &counter{}
	config, err := pgxpool.ParseConfig(w.db.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	config.ConnConfig.Tracer = c
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	db := audit.New(audit.Config{Pool: pool, Clock: w.clock})
	s := *w.s
	s.db = db
	return &s, c
}

// copies puts visits like one that was booked into the database, each at an hour of
// its own, far ahead.
func (w *world) copies(like Appointment, n int) {
	w.t.Helper()
	w.admin(`
		with latest as (select max(start_at) as at from appointment), made as (
			insert into appointment (id, organization_id, kind, case_id, start_local, anchor_zone, anchor_person_id, start_at, duration, tzdata_version,
				ical_uid, ical_sequence, interpreted, state, reason, tasks, note, version, created_by, created_at, changed_at)
			select gen_random_uuid(), organization_id, kind, case_id, start_local, anchor_zone, anchor_person_id, latest.at + i * interval '1 hour', duration,
				tzdata_version, gen_random_uuid()::text, 0, interpreted, state, reason, tasks, note, 1, created_by, created_at, changed_at
			from appointment, latest, generate_series(1, $2) as i
			where id = $1
			returning id, organization_id, start_at)
		insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, determination_id, pair, leg)
		select gen_random_uuid(), m.organization_id, m.id, s.person_id, s.role, s.required, tstzrange(m.start_at, m.start_at + interval '30 min'),
			s.kind, s.response, s.determination_id, s.pair, s.leg
		from made m, seat s
		where s.appointment_id = $1 and s.released_at is null`, string(like.ID), n)
}

// TestLookingAgainTakesTheSameQueriesForTenAndForHundreds: the number of statements
// does not grow with the number of bookings.
func TestLookingAgainTakesTheSameQueriesForTenAndForHundreds(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	a := w.book()
	w.copies(a, 10)
	s, c := w.counted()
	look := func() (Reviewed, int64) {
		t.Helper()
		if err := w.audit.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
			return credentialing.RecordChange(ctx, tx, credentialing.Change{Person: w.claire, Cause: "test"})
		}); err != nil {
			t.Fatal(err)
		}
		before := c.n.Load()
		done, err := s.Reevaluate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return done, c.n.Load() - before
	}
	look() // prepares statements
	few, first := look()
	w.copies(a, 490)
	look()
	lots, second := look()
	if few.Appointments != 11 || lots.Appointments != 501 {
		t.Fatalf("looked at %d and %d visits, want 11 and 501", few.Appointments, lots.Appointments)
	}
	if second != first {
		t.Errorf("%d statements for 11 visits, %d for 501", first, second)
	}
	if first > 40 {
		t.Errorf("%d statements in all", first)
	}
	// All set aside at once: still not one more a visit.
	w.status(credentialing.StatusSuspended, w.clock())
	before := c.n.Load()
	done, err := s.Reevaluate(ctx)
	if err != nil || done.SetAside != 501 {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := c.n.Load() - before; n > first+12 {
		t.Errorf("%d statements set 501 visits aside, %d looked at them", n, first)
	}
}
