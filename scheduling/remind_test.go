package scheduling

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// queued takes the jobs that QueueReminders makes.
func (w *world) queued() []ReminderJob {
	w.t.Helper()
	var out []ReminderJob
	n, err := w.s.QueueReminders(context.Background(), func(_ context.Context, _ pgx.Tx, jobs []ReminderJob) error {
		out = append(out, jobs...)
		return nil
	})
	if err != nil || n != len(out) {
		w.t.Fatal(n, err)
	}
	return out
}

func (w *world) accept(a Appointment) Appointment {
	w.t.Helper()
	seat, _ := a.Seat(w.layla)
	a, err := w.s.Accept(context.Background(), w.actor(w.layla, ""), seat.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) reminded() int {
	return w.count(`select count(*) from audit_leaf where act = 'appointment.reminded'`)
}

func TestBookingPlansTheRemindersOfEachAndCancelingEndsThem(t *testing.T) {
	w := newWorld(t)
	req := w.request(time.Date(2026, 12, 9, 13, 0, 0, 0, time.UTC)) // in two weeks, 16:00 in Nairobi
	a, err := w.s.Book(context.Background(), w.otieno(), req)
	if err != nil {
		t.Fatal(err)
	}
	start := a.StartAt
	if n := w.count(`select count(*) from reminder where appointment_id = $1 and state = 'planned'`, string(a.ID)); n != 4*len(a.Seats) {
		t.Errorf("%d planned, want four each of %d", n, len(a.Seats))
	}
	for kind, before := range map[string]time.Duration{"week": 168 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour, "soon": 10 * time.Minute} {
		if n := w.count(`select count(*) from reminder where kind = $1 and due_at = $2`, kind, start.Add(-before)); n != len(a.Seats) {
			t.Errorf("%d of kind %s at their hour, want %d", n, kind, len(a.Seats))
		}
	}
	// The same key again plans nothing twice; a refused booking leaves none.
	if _, err := w.s.Book(context.Background(), w.otieno(), req); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Book(context.Background(), w.otieno(), w.request(start)); !errors.Is(err, ErrSlotTaken) {
		t.Fatal(err)
	}
	if n := w.count(`select count(*) from reminder`); n != 4*len(a.Seats) {
		t.Errorf("%d reminders", n)
	}
	if _, err := w.s.Cancel(context.Background(), w.otieno(), a.ID, a.Version, ReasonPatient); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`select count(*) from reminder where state <> 'void'`); n != 0 {
		t.Errorf("%d are left of a canceled visit", n)
	}
}

func TestReminderIsSentOnceHoweverOftenItsJobRuns(t *testing.T) {
	w := newWorld(t)
	a, err := w.s.Book(context.Background(), w.otieno(), w.request(time.Date(2026, 12, 9, 13, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	a = w.accept(a)
	if jobs := w.queued(); len(jobs) != 0 {
		t.Fatalf("%d jobs two weeks before", len(jobs))
	}
	w.setClock(a.StartAt.Add(-7 * 24 * time.Hour))
	// A transaction that breaks leaves them planned.
	broken := errors.New("broken")
	if _, err := w.s.QueueReminders(context.Background(), func(context.Context, pgx.Tx, []ReminderJob) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	jobs := w.queued()
	if len(jobs) != len(a.Seats) {
		t.Fatalf("%d jobs, want one a seat", len(jobs))
	}
	if again := w.queued(); len(again) != 0 {
		t.Fatalf("%d jobs queued twice", len(again))
	}
	done := make(chan error, 3*len(jobs))
	for range 3 {
		for _, j := range jobs {
			go func() { done <- w.s.Remind(context.Background(), j.Organization, j.Reminder) }()
		}
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := w.reminded(); n != len(a.Seats) {
		t.Errorf("%d reminded, want %d", n, len(a.Seats))
	}
	if err := w.s.Remind(context.Background(), w.other, jobs[0].Reminder); !errors.Is(err, ErrNotFound) {
		t.Errorf("another clinic's: %v", err)
	}
}

func TestStaleReminderIsDropped(t *testing.T) {
	for name, change := range map[string]func(w *world, a Appointment){
		"moved":      func(w *world, a Appointment) { w.admin(`update appointment set ical_sequence = 1`) },
		"canceled":   func(w *world, a Appointment) { w.admin(`update appointment set state = 'canceled'`) },
		"not sure":   func(w *world, a Appointment) { w.admin(`update appointment set state = 'needs_attention'`) },
		"left":       func(w *world, a Appointment) { w.admin(`update seat set released_at = now()`) },
		"far behind": func(w *world, a Appointment) { w.setClock(a.StartAt.Add(-24 * time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, err := w.s.Book(context.Background(), w.otieno(), w.request(time.Date(2026, 12, 9, 13, 0, 0, 0, time.UTC)))
			if err != nil {
				t.Fatal(err)
			}
			a = w.accept(a)
			w.setClock(a.StartAt.Add(-7 * 24 * time.Hour))
			jobs := w.queued()
			change(w, a)
			for _, j := range jobs {
				if err := w.s.Remind(context.Background(), j.Organization, j.Reminder); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.reminded(); len(jobs) != len(a.Seats) || n != 0 {
				t.Errorf("%d jobs, %d reminded", len(jobs), n)
			}
		})
	}
}

func TestMovedVisitGetsNewReminders(t *testing.T) {
	w := newWorld(t)
	a, err := w.s.Book(context.Background(), w.otieno(), w.request(time.Date(2026, 12, 9, 13, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	w.admin(`update appointment set ical_sequence = 1, start_at = start_at + interval '30 min'`)
	w.queued()
	if n := w.count(`select count(*) from reminder where state = 'planned' and sequence = 1 and kind = 'hour' and due_at = $1`, a.StartAt.Add(-30*time.Minute)); n != len(a.Seats) {
		t.Errorf("%d of the new time", n)
	}
	if n := w.count(`select count(*) from reminder where state <> 'void' and sequence = 0`); n != 0 {
		t.Errorf("%d of the old time", n)
	}
	if err := w.audit.Read(context.Background(), audit.Scope{}, func(tx *audit.Tx) error {
		missing, err := remindersMissing(context.Background(), tx, 10)
		if len(missing) != 0 {
			t.Errorf("still missing: %v", missing)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyIsWokenForWhatCanWait(t *testing.T) {
	zones := []string{"Africa/Nairobi", "America/Toronto", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Pacific/Apia"}
	rapid.Check(t, func(rt *rapid.T) {
		loc, err := LoadZone(rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(1767225600/60, 1893456000/60).Draw(rt, "start")*60, 0).UTC()
		for _, r := range remindersOf(Appointment{StartAt: start}, loc, identity.DefaultQuiet, start.AddDate(0, 0, -30)) {
			m := WallAt(loc, r.dueAt).Minute
			if (r.kind == RemindWeek || r.kind == RemindDay) && identity.DefaultQuiet.Holds(int(m)) {
				rt.Fatalf("%s at %s in %s", r.kind, m, loc)
			}
			if !r.dueAt.Before(start) || r.kind == RemindDay && start.Sub(r.dueAt) > 24*time.Hour {
				rt.Fatalf("%s %v before", r.kind, start.Sub(r.dueAt))
			}
		}
	})
}

// Quiet hours that somebody states after a reminder was planned count for it.
func TestRemindersRespectTheQuietHoursOfEach(t *testing.T) {
	w := newWorld(t)
	for _, id := range []identity.PersonID{w.amina, w.claire, w.layla, w.salma} {
		w.hours(id, OnCall("Africa/Nairobi"))
	}
	start := time.Date(2026, 12, 10, 7, 0, 0, 0, time.UTC) // 10:00 in Nairobi
	a, err := w.s.Book(ctx, w.otieno(), w.request(start))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.answer(a, w.layla, Answer{Response: Accepted, Promised: true}); err != nil {
		t.Fatal(err)
	}
	w.dir.quiet = map[identity.PersonID]identity.Quiet{
		w.amina: {From: 13 * 60, Until: 11 * 60}, // only over noon
		w.peter: {},
	}
	w.setClock(start.Add(-47 * time.Hour))
	due := map[identity.PersonID]time.Time{}
	for _, j := range w.queued() {
		if j.kind == RemindDay {
			due[j.person] = j.DueAt
		}
	}
	want := map[identity.PersonID]time.Time{
		w.amina: start.Add(-24*time.Hour + time.Hour), // 11:00 in Nairobi
		w.salma: start.Add(-24 * time.Hour),
	}
	for id, at := range want {
		if !due[id].Equal(at) {
			t.Errorf("%s is reminded at %v, want %v", id, due[id], at)
		}
	}
}

func TestAwakeIsTheEndOfTheQuietHours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, err := LoadZone(rapid.SampledFrom(oddZones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		q := identity.Quiet{From: rapid.IntRange(0, 1439).Draw(t, "from"), Until: rapid.IntRange(0, 1439).Draw(t, "until")}
		at := worldStart.Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(t, "at")) * time.Minute)
		got := Awake(loc, at, q)
		if got.Before(at) || got.After(at.Add(26*time.Hour)) {
			t.Fatalf("%v becomes %v", at, got)
		}
		if !q.Holds(int(WallAt(loc, at).Minute)) && !got.Equal(at) {
			t.Fatalf("%v waits until %v", at, got)
		}
	})
}
