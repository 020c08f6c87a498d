package scheduling

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// programWorld has a presence each Wednesday 14:00 to 16:00 in Nairobi, which is when the
// specialist is to be had at all; everybody else is on call.
func programWorld(t *testing.T) (*world, Presence) {
	t.Helper()
	w := presenceWorld(t)
	for _, id := range []identity.PersonID{w.amina, w.layla, w.salma} {
		w.hours(id, OnCall("Africa/Nairobi"))
	}
	w.hours(w.claire, Availability{Hours: Hours{Zone: "America/Toronto"}})
	if _, err := w.s.SetRest(ctx, w.actor(w.peter, w.clinic, identity.RoleOfficer), RestRules{}); err != nil {
		t.Fatal(err)
	}
	p, err := w.s.Offer(ctx, w.tremblay(), OfferRequest{Clinic: w.clinic, Zone: "Africa/Nairobi", Rule: Rule{Freq: Weekly, Days: []Weekday{Wednesday}, Start: 14 * 60, End: 16 * 60,
		From: dateOf(2026, time.November, 26), Until: dateOf(2027, time.March, 31)}})
	if err != nil {
		t.Fatal(err)
	}
	return w, p
}

func (w *world) program(p Presence, r Program) Presence {
	w.t.Helper()
	if r.Intake == "" {
		r.Intake = IntakeAny
	}
	if r.Unfilled == "" {
		r.Unfilled = UnfilledKeep
	}
	out, err := w.s.SetProgram(ctx, w.tremblay(), p.ID, p.Version, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// placed books a visit of another case at a start.
func (w *world) placed(actor identity.Actor, start time.Time) (Appointment, error) {
	return w.s.Book(ctx, actor, BookRequest{Key: uuid.NewString(), Case: w.another(), Kind: JointVideoVisit, Specialist: w.claire, Start: start, Duration: 30 * time.Minute})
}

// offers tells how many starts are offered within a window.
func (w *world) offers(actor identity.Actor, x Window) int {
	w.t.Helper()
	answer, err := w.s.Search(ctx, actor, SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, From: x.Start, To: x.End, Duration: 30 * time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(answer.Slots)
}

func TestWindowTakesAsManyVisitsAsFit(t *testing.T) {
	for name, c := range map[string]struct {
		rules Program
		fit   int
	}{"two cases": {Program{Cases: 2}, 2}, "an hour": {Program{Minutes: 60}, 2}, "three cases and an hour and a half": {Program{Cases: 3, Minutes: 90}, 3}, "no limit": {Program{}, 4}} {
		t.Run(name, func(t *testing.T) {
			w, p := programWorld(t)
			p = w.program(p, c.rules)
			x := p.Windows[1]
			var last Appointment
			for i := range 4 {
				if n := w.offers(w.otieno(), x); (n > 0) != (i < c.fit) {
					t.Errorf("%d starts are offered after %d visits", n, i)
				}
				a, err := w.placed(w.otieno(), x.Start.Add(time.Duration(i)*30*time.Minute))
				if i < c.fit && err != nil || i >= c.fit && !errors.Is(err, ErrSlotTaken) {
					t.Fatalf("visit %d: %v", i, err)
				}
				if err == nil {
					last = a
				}
			}
			if fills, err := w.s.Fills(ctx, w.otieno(), p.ID); err != nil || fills[x.Occurrence] != (Fill{c.fit, 30 * c.fit}) {
				t.Errorf("%+v, %v", fills, err)
			}
			// Within the window a visit keeps its place; the next window is another.
			if c.fit < 4 {
				moved, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: last.ID, Version: last.Version, Start: x.End.Add(-30 * time.Minute)})
				if err != nil {
					t.Fatalf("to the end of its window: %v", err)
				}
				if _, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: moved.ID, Version: moved.Version, Start: p.Windows[2].Start}); err != nil {
					t.Fatalf("to the next window: %v", err)
				}
				if _, err := w.placed(w.otieno(), x.End.Add(-30*time.Minute)); err != nil {
					t.Errorf("into the place that became free: %v", err)
				}
			}
		})
	}
}

func TestOfManyWhoPlaceACaseAtOnceOnlyThoseThatFitWin(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{Cases: 2})
	for round := range 4 {
		x := p.Windows[round]
		var won atomic.Int32
		var all sync.WaitGroup
		refs := make([]CaseRef, 8)
		for i := range refs {
			refs[i] = w.another()
		}
		for i := range 8 {
			all.Go(func() {
				_, err := w.s.Book(ctx, w.otieno(), BookRequest{Key: uuid.NewString(), Case: refs[i], Kind: Advice, Specialist: w.claire,
					Start: x.Start.Add(time.Duration(i%4) * 30 * time.Minute), Duration: 30 * time.Minute})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrSlotTaken):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 2 {
			t.Errorf("round %d: %d won, want 2", round, won.Load())
		}
	}
}

func TestCasesArePlacedByThoseAndUntilWhenTheRuleSays(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{IntakeHours: 72, Intake: IntakeCoordinator})
	x := p.Windows[1]
	if n := w.offers(w.otieno(), x); n != 0 {
		t.Errorf("%d starts are offered to a physician", n)
	}
	if _, err := w.placed(w.otieno(), x.Start); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("a physician places a case: %v", err)
	}
	w.setClock(x.Start.Add(-72 * time.Hour))
	if _, err := w.placed(w.coordinator(), x.Start); err != nil {
		t.Fatal(err)
	}
	w.setClock(x.Start.Add(-72*time.Hour + time.Second))
	if n := w.offers(w.coordinator(), x); n != 0 {
		t.Errorf("%d starts are offered after the intake", n)
	}
	if _, err := w.placed(w.coordinator(), x.Start.Add(time.Hour)); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("after the intake: %v", err)
	}
	if n := w.offers(w.coordinator(), p.Windows[2]); n == 0 {
		t.Error("nothing is offered a week later")
	}
}

func TestRulesOfAProgramAreCheckedAndOfTheVersionRead(t *testing.T) {
	w, p := programWorld(t)
	good := Program{Cases: 3, Minutes: 90, IntakeHours: 48, Intake: IntakePhysician, Unfilled: UnfilledRelease, Substitutes: []identity.PersonID{w.peter}}
	for name, spoil := range map[string]func(*Program){
		"fewer than none":     func(r *Program) { r.Cases = -1 },
		"more than a day":     func(r *Program) { r.Minutes = 481 },
		"a month before":      func(r *Program) { r.IntakeHours = 720 },
		"nobody":              func(r *Program) { r.Intake = "nobody" },
		"thrown away":         func(r *Program) { r.Unfilled = "burn" },
		"the same twice":      func(r *Program) { r.Substitutes = append(r.Substitutes, w.peter) },
		"for herself":         func(r *Program) { r.Substitutes = []identity.PersonID{w.claire} },
		"somebody unheard of": func(r *Program) { r.Substitutes = []identity.PersonID{identity.PersonID(uuid.NewString())} },
	} {
		bad := good
		bad.Substitutes = append([]identity.PersonID(nil), good.Substitutes...)
		spoil(&bad)
		if _, err := w.s.SetProgram(ctx, w.tremblay(), p.ID, p.Version, bad); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, actor := range map[string]identity.Actor{"another clinic": w.actor(w.peter, w.other, identity.RoleCoordinator), "an interpreter": w.interpreter(w.layla)} {
		if _, err := w.s.SetProgram(ctx, actor, p.ID, p.Version, good); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	set, err := w.s.SetProgram(ctx, w.coordinator(), p.ID, p.Version, good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.SetProgram(ctx, w.tremblay(), p.ID, p.Version, good); !errors.Is(err, ErrVersion) {
		t.Errorf("a stale version: %v", err)
	}
	read, err := w.s.Presence(ctx, w.otieno(), p.ID)
	if err != nil || read.Version != set.Version || read.Program.Cases != 3 || read.Program.Intake != IntakePhysician || len(read.Program.Substitutes) != 1 {
		t.Errorf("%+v, %v", read.Program, err)
	}
}
