package scheduling

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// pair lets both interpreters of the world carry its languages.
func (w *world) pair() {
	w.rules.qualified[w.yusuf] = worldStart.AddDate(1, 0, 0)
}

// askedNow is who is asked and has not answered.
func (w *world) askedNow(a Appointment) identity.PersonID {
	w.t.Helper()
	list, err := w.s.Askings(ctx, w.coordinator(), a.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var out identity.PersonID
	for _, x := range list {
		if x.State == Asked {
			if out != "" {
				w.t.Fatal("two are asked for one chair")
			}
			out = x.Person
		}
	}
	return out
}

func (w *world) interpreter(id identity.PersonID) identity.Actor {
	return w.actor(id, "", identity.RoleInterpreter)
}

// answer is what an interpreter says of their seat.
func (w *world) answer(a Appointment, id identity.PersonID, r Answer) (Appointment, error) {
	w.t.Helper()
	return w.s.Answer(ctx, w.interpreter(id), w.seatOf(w.read(a.ID), id), r)
}

func TestTheNextIsAskedWhenAnInterpreterRefuses(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	if a.State != StatePending || first == "" {
		t.Fatalf("%s, %q is asked", a.State, first)
	}
	if w.wasTold("appointment.booked", w.salma) || !w.wasTold("appointment.booked", first) || !w.wasTold("appointment.booked", w.claire) {
		t.Error("the patient is invited before the interpreter has said yes, or another is not")
	}
	a, err := w.answer(a, first, Answer{Response: Declined, Reason: RefuseTime, Via: ViaPage})
	if err != nil {
		t.Fatal(err)
	}
	second := w.askedNow(a)
	if a.State != StatePending || second == "" || second == first || !w.wasTold("interpreter.asked", second) {
		t.Fatalf("%s, %q is asked after %q", a.State, second, first)
	}
	if a, err = w.answer(a, second, Answer{Response: Accepted, Promised: true, Via: ViaPage}); err != nil || a.State != StateBooked {
		t.Fatalf("%s, %v", a.State, err)
	}
	if !w.wasTold("seat.accepted", w.salma) {
		t.Error("the patient is not invited to what is booked")
	}
	if n := w.count(`select count(*) from audit_leaf where act in ('seat.declined', 'interpreter.asked', 'seat.accepted')`); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	if n := w.count(`select count(*) from seat where role = 'interpreter' and released_at is null`); n != 1 {
		t.Errorf("%d interpreters keep a seat", n)
	}
}

func TestADeadlineThatPassesAsksTheNextAndThenAlerts(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	asking, err := w.s.Asking(ctx, w.interpreter(first), w.seatOf(a, first))
	if err != nil {
		t.Fatal(err)
	}
	w.setClock(asking.Deadline)
	if _, err := w.answer(a, first, Answer{Response: Accepted, Promised: true}); !errors.Is(err, ErrAskOver) {
		t.Errorf("a yes after the deadline: %v", err)
	}
	// Two nodes do it at the same time.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, err := w.s.AskInterpreters(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	second := w.askedNow(a)
	if second == "" || second == first || !w.wasTold("interpreter.lapsed", first) {
		t.Fatalf("%q is asked after %q", second, first)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'interpreter.asked'`); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if a, err = w.answer(a, second, Answer{Response: Declined, Reason: RefuseOther}); err != nil {
		t.Fatal(err)
	}
	if a.State != StateNeedsAttention || a.Reason != ReasonInterpreter || w.wasTold("interpreter.exhausted", w.salma) {
		t.Errorf("%s for %q", a.State, a.Reason)
	}
	if !w.wasTold("interpreter.exhausted", w.amina) {
		t.Error("who arranges is not alerted")
	}
	if n, err := w.s.AskInterpreters(ctx); n != 0 || err != nil {
		t.Errorf("looked at %d, %v: nothing is left to do", n, err)
	}
	// A person picks who is asked again; only who has not refused.
	choices, err := w.s.Choices(ctx, w.coordinator(), a.ID)
	if err != nil || len(choices) != 1 || choices[0].Person != first {
		t.Fatalf("choices %+v, %v", choices, err)
	}
	if _, err := w.s.Pick(ctx, w.coordinator(), a.ID, a.Version, second); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("who refused was picked: %v", err)
	}
	if _, err := w.s.Pick(ctx, w.interpreter(first), a.ID, a.Version, first); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrForbidden) {
		t.Errorf("an interpreter picks themselves: %v", err)
	}
	picked, err := w.s.Pick(ctx, w.coordinator(), a.ID, a.Version, first)
	if err != nil || picked.State != StatePending || w.askedNow(picked) != first {
		t.Fatalf("%s, %v", picked.State, err)
	}
	if done, err := w.answer(picked, first, Answer{Response: Accepted, Promised: true}); err != nil || done.State != StateBooked {
		t.Errorf("%s, %v", done.State, err)
	}
}

func TestThoseWhoArrangeAreAlertedOnceWhenTimeIsShort(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	w.setClock(a.StartAt.Add(-shortTime))
	for range 3 {
		if _, err := w.s.AskInterpreters(ctx); err != nil {
			t.Fatal(err)
		}
	}
	short := w.count(`select count(*) from audit_leaf where act = 'interpreter.short'`)
	out := w.count(`select count(*) from audit_leaf where act = 'interpreter.exhausted'`)
	if short+out != 1 {
		t.Errorf("%d alerts of short time and %d of nobody left, want one in all", short, out)
	}
}

// A deadline lies between now and half of what is left, whatever the clocks.
func TestAnswerByKeepsHalfTheTimeForOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"}).Draw(t, "zone")
		loc, err := LoadZone(zone)
		if err != nil {
			t.Fatal(err)
		}
		now := worldStart.Add(time.Duration(rapid.IntRange(0, 400*24*3600).Draw(t, "now")) * time.Second)
		start := now.Add(time.Duration(rapid.IntRange(60, 90*24*3600).Draw(t, "left")) * time.Second)
		by := answerBy(now, start, loc)
		if by.Before(now.Add(-time.Second)) || by.After(now.Add(start.Sub(now)/2)) {
			t.Fatalf("now %v, start %v: by %v", now, start, by)
		}
	})
}

func TestACanceledVisitAsksNobody(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	if w.wasTold("appointment.canceled", w.salma) || !w.wasTold("appointment.canceled", w.layla) {
		t.Error("who was never invited hears of the end, or who was asked does not")
	}
	if list, err := w.s.Askings(ctx, w.coordinator(), a.ID); err != nil || slices.ContainsFunc(list, func(x Assignment) bool { return x.State.live() }) {
		t.Errorf("still asked: %+v, %v", list, err)
	}
}
