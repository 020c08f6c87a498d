package scheduling

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestHoldKeepsItsSeatsForMinutesAndThenStopsNobody(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	h, err := w.s.Hold(ctx, w.otieno(), w.request(start), 0)
	if err != nil {
		t.Fatal(err)
	}
	if h.State != StateHeld || !h.HeldUntil.Equal(worldStart.Add(DefaultHold)) {
		t.Fatalf("hold %s until %v", h.State, h.HeldUntil)
	}
	if again := w.first(); again.Equal(start) {
		t.Error("held seats are offered")
	}
	if _, err := w.s.Book(ctx, w.otieno(), w.request(start)); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("book what is held: %v, want ErrSlotTaken", err)
	}
	w.setClock(worldStart.Add(DefaultHold - time.Second))
	if again := w.first(); again.Equal(start) {
		t.Error("held seats are offered a second before they lapse")
	}
	w.setClock(worldStart.Add(DefaultHold))
	if again := w.first(); !again.Equal(start) {
		t.Errorf("first start %v after the hold ran out, want %v", again, start)
	}
	if _, err := w.s.Confirm(ctx, w.otieno(), h.ID, h.Version); !errors.Is(err, ErrHoldExpired) {
		t.Errorf("confirm an expired hold: %v, want ErrHoldExpired", err)
	}
	a, err := w.s.Book(ctx, w.otieno(), w.request(start))
	if err != nil {
		t.Fatalf("book what was held: %v", err)
	}
	read, err := w.s.Appointment(ctx, w.otieno(), h.ID)
	if err != nil || read.State != StateLapsed {
		t.Errorf("the hold is %s, %v, want lapsed", read.State, err)
	}
	if n := w.liveSeats(a.ID, start); n != 4 {
		t.Errorf("%d seats, want 4", n)
	}
	if _, err := w.s.Confirm(ctx, w.otieno(), h.ID, h.Version); !errors.Is(err, ErrHoldExpired) {
		t.Errorf("confirm a lapsed hold: %v, want ErrHoldExpired", err)
	}
	if n := w.count(`select count(*) from audit_leaf where act in ('appointment.held', 'hold.lapsed')`); n != 2 {
		t.Errorf("%d events of the hold, want 2", n)
	}
}

func TestHoldBecomesABookingOnTheSameSeats(t *testing.T) {
	w := newWorld(t)
	req := w.request(w.first())
	h, err := w.s.Hold(ctx, w.otieno(), req, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	same, err := w.s.Hold(ctx, w.otieno(), req, 5*time.Minute)
	if err != nil || same.ID != h.ID {
		t.Errorf("the same key holds twice: %s, %v", same.ID, err)
	}
	if _, err := w.s.Book(ctx, w.otieno(), req); !errors.Is(err, ErrKeyReused) {
		t.Errorf("the key of the hold books: %v, want ErrKeyReused", err)
	}
	if _, err := w.s.Confirm(ctx, w.aziz(), h.ID, h.Version); !errors.Is(err, ErrForbidden) {
		t.Errorf("the interpreter confirms: %v, want ErrForbidden", err)
	}
	w.rules.deny[w.claire] = []Range{{worldStart, worldStart.AddDate(0, 0, 10)}}
	var refusal *Refusal
	if _, err := w.s.Confirm(ctx, w.otieno(), h.ID, h.Version); !errors.As(err, &refusal) || refusal.Limit != LimitLicense {
		t.Errorf("the license fell away meanwhile: %v", err)
	}
	delete(w.rules.deny, w.claire)
	a, err := w.s.Confirm(ctx, w.otieno(), h.ID, h.Version)
	if err != nil {
		t.Fatal(err)
	}
	if a.State != StatePending || !a.HeldUntil.IsZero() {
		t.Errorf("confirmed: %s until %v", a.State, a.HeldUntil)
	}
	for _, seat := range h.Seats {
		if now, ok := a.Seat(seat.Person); !ok || now.ID != seat.ID {
			t.Errorf("%s has another seat", seat.Role)
		}
	}
	w.setClock(worldStart.Add(time.Hour)) // nothing lapses any more
	if _, err := w.s.Book(ctx, w.otieno(), w.request(a.StartAt)); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("book what was confirmed: %v, want ErrSlotTaken", err)
	}
	if _, err := w.s.Confirm(ctx, w.otieno(), h.ID, a.Version); !errors.Is(err, ErrState) {
		t.Errorf("confirm twice: %v, want ErrState", err)
	}
}

func TestHoldIsGivenBack(t *testing.T) {
	w := newWorld(t)
	start := w.first()
	h, err := w.s.Hold(ctx, w.otieno(), w.request(start), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.s.Release(ctx, w.otieno(), h.ID, h.Version); err != nil {
		t.Fatal(err)
	}
	if again := w.first(); !again.Equal(start) {
		t.Errorf("first start %v, want %v again", again, start)
	}
	for _, keep := range []time.Duration{time.Second, time.Hour, -time.Minute} {
		req := w.request(start)
		req.Key = uuid.NewString()
		if _, err := w.s.Hold(ctx, w.otieno(), req, keep); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("hold of %v: %v, want ErrInvalidRequest", keep, err)
		}
	}
}
