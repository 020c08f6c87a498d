package scheduling

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// asks is the link that is written to whoever is asked.
func (w *world) asks(a Appointment, id identity.PersonID) string {
	w.t.Helper()
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, id)
	if err != nil {
		w.t.Fatal(err)
	}
	_, token, ok := strings.Cut(inv.Link, "/answer/")
	if !ok || !inv.Answer {
		w.t.Fatalf("link %q", inv.Link)
	}
	if data, _, err := inv.Calendar("s", "d", "en", w.clock()); err != nil || strings.Contains(strings.ReplaceAll(string(data), "\r\n ", ""), token) {
		w.t.Errorf("the calendar file holds the link, or %v", err)
	}
	return token
}

func TestAnInterpreterAnswersByALinkThatOpeningDoesNotSpend(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	link, again := w.asks(a, first), w.asks(a, first)
	before := w.count(`select count(*) from audit_leaf`)
	for range 20 { // programs that look for malware
		land, err := w.s.AnswerLanding(ctx, link)
		if err != nil || !land.Open || land.State != Asked || land.Person != first || !land.Start.Equal(a.StartAt) {
			t.Fatalf("%+v, %v", land, err)
		}
	}
	if n := w.count(`select count(*) from audit_leaf`); n != before || w.read(a.ID).State != StatePending {
		t.Error("opening the link did something")
	}
	// Pressed twice, and in two mails.
	var both sync.WaitGroup
	for _, token := range []string{link, link, again} {
		both.Go(func() {
			if land, err := w.s.AnswerByLink(ctx, token, Answer{Response: Accepted, Promised: true}); err != nil || land.State != AskAccepted || land.Open {
				t.Errorf("%+v, %v", land, err)
			}
		})
	}
	both.Wait()
	got := w.read(a.ID)
	if seat, _ := got.Seat(first); got.State != StateBooked || seat.Response != Accepted || seat.AttestedAt.IsZero() {
		t.Errorf("%s, %+v", got.State, seat)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'seat.accepted'`); n != 1 {
		t.Errorf("%d yes, want one", n)
	}
	if n := w.count(`select count(*) from interpreter_assignment where via = 'link' and state = 'accepted'`); n != 1 {
		t.Errorf("%d answers came by link", n)
	}
	if _, err := w.s.AnswerByLink(ctx, link, Answer{Response: Declined}); !errors.Is(err, ErrAskOver) {
		t.Errorf("a no after the yes: %v", err)
	}
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, first)
	if err != nil || inv.Answer || strings.Contains(inv.Link, "/answer/") {
		t.Errorf("who has answered is asked by %q, %v", inv.Link, err)
	}
}

func TestANoByLinkAsksTheNextAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	link := w.asks(a, first)
	if _, err := w.s.AnswerByLink(ctx, link, Answer{Response: Declined, Reason: "because"}); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a reason nobody knows: %v", err)
	}
	for range 2 {
		if land, err := w.s.AnswerByLink(ctx, link, Answer{Response: Declined, Reason: RefuseTerms}); err != nil || land.State != AskRefused {
			t.Fatalf("%+v, %v", land, err)
		}
	}
	second := w.askedNow(a)
	if second == "" || second == first {
		t.Fatalf("%q is asked after %q", second, first)
	}
	list, err := w.s.Askings(ctx, w.coordinator(), a.ID)
	if err != nil || list[0].Reason != RefuseTerms || list[0].Via != ViaLink {
		t.Errorf("%+v, %v", list, err)
	}
	// The first one's link answers for nobody else.
	if _, err := w.s.AnswerByLink(ctx, link, Answer{Response: Accepted, Promised: true}); !errors.Is(err, ErrAskOver) {
		t.Errorf("a yes after the no: %v", err)
	}
	if w.askedNow(a) != second {
		t.Error("the second is not asked any more")
	}
}

func TestAnswerLinkIsGoodForNothingWhenItIsTooLateOrOff(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	link := w.asks(a, first)
	for name, token := range map[string]string{"nothing": "", "not a token": "x", "random": strings.Repeat("A", len(link)), "cut": link[:len(link)-1],
		"another clinic's": strings.Repeat("B", 22) + link[22:]} {
		if _, err := w.s.AnswerLanding(ctx, token); !errors.Is(err, ErrInvite) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.s.AnswerByLink(ctx, token, Answer{Response: Accepted, Promised: true}); !errors.Is(err, ErrInvite) {
			t.Errorf("%s is answered: %v", name, err)
		}
	}
	if n := w.count(`select count(*) from interpreter_link where token_sha256::text like $1`, "%"+link[30:40]+"%"); n != 0 {
		t.Error("the token is kept")
	}
	asking, err := w.s.Asking(ctx, w.interpreter(first), w.seatOf(a, first))
	if err != nil {
		t.Fatal(err)
	}
	w.setClock(asking.Deadline)
	if land, err := w.s.AnswerLanding(ctx, link); err != nil || land.Open {
		t.Errorf("open after the deadline: %+v, %v", land, err)
	}
	if _, err := w.s.AnswerByLink(ctx, link, Answer{Response: Accepted, Promised: true}); !errors.Is(err, ErrAskOver) {
		t.Errorf("a yes after the deadline: %v", err)
	}
	got := w.read(a.ID)
	if _, err := w.s.Cancel(ctx, w.otieno(), got.ID, got.Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.AnswerLanding(ctx, link); !errors.Is(err, ErrInvite) {
		t.Errorf("of a canceled visit: %v", err)
	}
}

// A visit that moved asks anew; the link about the old time does not answer for the new.
func TestAnswerLinkIsAboutTheTimeItWasWrittenFor(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	link := w.asks(a, first)
	times, err := w.s.MoveTimes(ctx, w.otieno(), a.ID, a.StartAt, a.StartAt.AddDate(0, 0, 5), 50)
	if err != nil || len(times.Slots) == 0 {
		t.Fatal(times, err)
	}
	moved, err := w.s.Reschedule(ctx, w.otieno(), MoveRequest{Appointment: a.ID, Version: a.Version, Start: times.Slots[len(times.Slots)-1].Start})
	if err != nil {
		t.Fatal(err)
	}
	if land, err := w.s.AnswerLanding(ctx, link); err != nil || land.Open || land.State != AskWithdrawn {
		t.Errorf("%+v, %v", land, err)
	}
	if _, err := w.s.AnswerByLink(ctx, link, Answer{Response: Accepted, Promised: true}); !errors.Is(err, ErrAskOver) {
		t.Errorf("a yes to the old time: %v", err)
	}
	who := w.askedNow(moved)
	if land, err := w.s.AnswerByLink(ctx, w.asks(moved, who), Answer{Response: Accepted, Promised: true}); err != nil || !land.Start.Equal(moved.StartAt) {
		t.Errorf("%+v, %v", land, err)
	}
	if w.read(a.ID).State != StateBooked {
		t.Error("the new time is not booked")
	}
}
