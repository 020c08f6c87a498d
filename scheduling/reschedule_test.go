package scheduling

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// liveSeats lists who is kept by an appointment from when.
func (w *world) liveSeats(id AppointmentID, at time.Time) int {
	w.t.Helper()
	return w.count(`select count(*) from seat where appointment_id = $1 and released_at is null and during = tstzrange($2::timestamptz, $2::timestamptz + interval '30 min')`, string(id), at)
}

func TestRescheduleTakesTheNewTimeAndFreesTheOld(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	old := a.StartAt
	if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
		t.Fatal(err)
	}
	a, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil || a.State != StateBooked {
		t.Fatal(a.State, err)
	}
	times, err := w.s.MoveTimes(ctx, w.otieno(), a.ID, worldStart, worldStart.AddDate(0, 0, 14), 200)
	if err != nil || len(times.Slots) == 0 {
		t.Fatal(times, err)
	}
	// A quarter of an hour later overlaps its own old time, which is in nobody's way.
	if got := times.Slots[0].Start; !got.Equal(old.Add(15 * time.Minute)) {
		t.Errorf("first other time %v, want a quarter of an hour after %v", got, old)
	}
	moved, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: times.Slots[0].Start})
	if err != nil {
		t.Fatal(err)
	}
	if moved.State != StatePending || moved.Sequence != 1 || moved.Version != a.Version+1 || moved.UID != a.UID || moved.StartLocal.String() != "2026-11-25T16:15" {
		t.Errorf("moved: %s, sequence %d, version %d, %s", moved.State, moved.Sequence, moved.Version, moved.StartLocal)
	}
	read, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil || !read.StartAt.Equal(moved.StartAt) || read.Version != moved.Version {
		t.Errorf("read %v version %d, %v", read.StartAt, read.Version, err)
	}
	if n := w.liveSeats(a.ID, moved.StartAt); n != 4 {
		t.Errorf("%d seats at the new time, want 4", n)
	}
	if n := w.liveSeats(a.ID, old); n != 0 {
		t.Errorf("%d seats at the old time, want none", n)
	}
	// Everybody is judged anew, and the interpreter asked again.
	for _, seat := range a.Seats {
		now, ok := read.Seat(seat.Person)
		if !ok || seat.Role.Clinician() && (now.Determination == "" || now.Determination == seat.Determination) {
			t.Errorf("%s: seat %+v", seat.Role, now)
		}
	}
	if seat, _ := read.Seat(w.layla); seat.Response != NeedsAction || !seat.AttestedAt.IsZero() {
		t.Errorf("the interpreter's yes was for the old time: %+v", seat)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'appointment.moved'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestRescheduleThatFailsLeavesTheOldTime(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	next := CaseRef(w.newCase())
	facts := w.cases.facts[w.ref]
	facts.Context.Case = string(next)
	w.cases.facts[next] = facts
	req := w.request(a.StartAt.Add(30 * time.Minute))
	req.Case = next
	rival, err := w.s.Book(ctx, w.otieno(), req)
	if err != nil {
		t.Fatal(err)
	}
	var taken *SlotTaken
	if _, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: rival.StartAt}); !errors.As(err, &taken) || len(taken.Nearest) != 3 {
		t.Errorf("another visit is there: %v", err)
	}
	wall, _ := ParseWall("2027-03-14T02:30")
	var gap *WallRefusal
	if _, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, StartLocal: &wall, Zone: "America/Toronto"}); !errors.As(err, &gap) || gap.Check.Next.String() != "2027-03-14T03:00" {
		t.Errorf("a time that does not exist: %v", err)
	}
	day := a.StartAt.AddDate(0, 0, 1)
	w.rules.deny[w.claire] = []Range{{day.Add(-time.Hour), day.Add(time.Hour)}}
	var refusal *Refusal
	if _, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: day}); !errors.As(err, &refusal) || refusal.Limit != LimitLicense || refusal.Person != w.claire {
		t.Errorf("without license: %v", err)
	}
	for name, c := range map[string]struct {
		actor identity.Actor
		req   MoveRequest
		want  error
	}{
		"an old version":      {w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version + 1, Start: day.AddDate(0, 0, 1)}, ErrVersion},
		"the same time":       {w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: a.StartAt}, ErrInvalidRequest},
		"the specialist":      {w.actor(w.claire, w.other, identity.RoleSpecialist), MoveRequest{Appointment: a.ID, Version: a.Version, Start: day}, ErrForbidden},
		"somebody else":       {w.actor(w.yusuf, w.other, identity.RoleCoordinator), MoveRequest{Appointment: a.ID, Version: a.Version, Start: day}, ErrNotFound},
		"no such appointment": {w.otieno(), MoveRequest{Appointment: "x", Version: 1, Start: day}, ErrNotFound},
	} {
		if _, err := w.s.Reschedule(ctx, c.actor, c.req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	read, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil || read.Version != a.Version || read.Sequence != 0 || !read.StartAt.Equal(a.StartAt) || w.liveSeats(a.ID, a.StartAt) != 4 {
		t.Errorf("the old time was touched: %+v, %v", read, err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version + 1, Start: day.AddDate(0, 0, 1)}); !errors.Is(err, ErrState) {
		t.Errorf("canceled: %v, want ErrState", err)
	}
}

func TestOfManyWhoRescheduleAtOnceOneWins(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	times, err := w.s.MoveTimes(ctx, w.otieno(), a.ID, worldStart, worldStart.AddDate(0, 0, 14), 200)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: times.Slots[i%4].Start})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrVersion) {
				t.Errorf("reschedule: %v", err)
			}
		}()
	}
	wg.Wait()
	if n := w.count(`select count(*) from seat where released_at is null`); won != 1 || n != 4 {
		t.Errorf("%d won, %d seats are kept", won, n)
	}
}
