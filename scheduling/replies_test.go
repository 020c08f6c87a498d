package scheduling

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

func (w *world) address(id identity.PersonID) string {
	return strings.ToLower(string(id[:8]+id[24:]) + "@people.example")
}

// calendarSays is an answer of somebody's calendar to an appointment as it is.
func (w *world) calendarSays(a Appointment, id identity.PersonID, r ical.Response) Received {
	a = w.read(a.ID)
	reply := ical.Reply{Method: ical.Answer, UID: a.UID, Sequence: a.Sequence, Stamp: w.clock(), Attendee: w.address(id), Response: r}
	return Received{Message: fmt.Appendf(nil, "%+v", reply), Reply: reply, Vouched: true}
}

// byMail hands messages over and takes what is in them.
func (w *world) byMail(list ...Received) {
	w.t.Helper()
	for _, in := range list {
		if _, err := ReceiveReply(ctx, w.audit, in); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.s.ApplyReplies(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) later(d time.Duration) { w.setClock(w.clock().Add(d)) }

// responses are the answers of the live seats by person.
func responses(a Appointment) map[identity.PersonID]Response {
	out := map[identity.PersonID]Response{}
	for _, seat := range a.Seats {
		if !seat.Released {
			out[seat.Person] = seat.Response
		}
	}
	return out
}

// confirmed is a visit to which its interpreter has said yes.
func (w *world) confirmed() Appointment {
	w.t.Helper()
	w.pair()
	a := w.book()
	a, err := w.answer(a, w.askedNow(a), Answer{Response: Accepted, Promised: true, Via: ViaPage})
	if err != nil || a.State != StateBooked {
		w.t.Fatal(a.State, err)
	}
	w.later(time.Minute)
	return a
}

func TestAYesByMailSetsTheResponseAndNothingElse(t *testing.T) {
	w := newWorld(t)
	a := w.read(w.confirmed().ID)
	yes := w.calendarSays(a, w.claire, ical.Accepted)
	yes.Reply.Attendee = strings.ToUpper(yes.Reply.Attendee[:4]) + yes.Reply.Attendee[4:]
	w.byMail(yes, yes) // a mail server hands over twice
	got := w.read(a.ID)
	if responses(got)[w.claire] != Accepted {
		t.Errorf("the response is %q", responses(got)[w.claire])
	}
	for i := range got.Seats {
		if got.Seats[i].Person == w.claire {
			got.Seats[i].Response = a.Seats[i].Response
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(a) {
		t.Errorf("more has changed:\n%v\n%v", got, a)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'reply.accepted'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if list, err := w.s.MailReplies(ctx, w.coordinator()); err != nil || len(list) != 0 {
		t.Errorf("left to a person: %+v, %v", list, err)
	}
}

func TestANoOfSomebodyRequiredNeedsAttentionUntilTakenBack(t *testing.T) {
	w := newWorld(t)
	a := w.confirmed()
	no := w.calendarSays(a, w.claire, ical.Declined)
	w.byMail(no)
	got := w.read(a.ID)
	if got.State != StateNeedsAttention || got.Reason != ReasonDeclined || !got.StartAt.Equal(a.StartAt) || responses(got)[w.claire] != Declined {
		t.Fatalf("%s for %q, %v", got.State, got.Reason, responses(got))
	}
	if !w.wasTold("reply.declined", w.amina) || w.wasTold("reply.declined", w.salma) {
		t.Error("who arranges is not told, or the patient is")
	}
	w.later(time.Minute)
	w.byMail(w.calendarSays(a, w.claire, ical.Accepted))
	if got = w.read(a.ID); got.State != StateBooked || got.Reason != "" || responses(got)[w.claire] != Accepted {
		t.Fatalf("%s for %q, %v", got.State, got.Reason, responses(got))
	}
	// The no comes once more in another message, late: a person decides.
	late := no
	late.Message = append([]byte("Received: again\n"), no.Message...)
	w.byMail(late)
	if got = w.read(a.ID); got.State != StateBooked || responses(got)[w.claire] != Accepted {
		t.Errorf("an overtaken no is taken: %s", got.State)
	}
	list, err := w.s.MailReplies(ctx, w.coordinator())
	if err != nil || len(list) != 1 || list[0].Reason != ReplyOld {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := w.s.ReplyDone(ctx, w.interpreter(w.layla), list[0].ID); !errors.Is(err, ErrForbidden) {
		t.Errorf("an interpreter closes it: %v", err)
	}
	if err := w.s.ReplyDone(ctx, w.actor(w.peter, w.other, identity.RoleCoordinator), list[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another clinic closes it: %v", err)
	}
	if err := w.s.ReplyDone(ctx, w.coordinator(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := w.s.ReplyDone(ctx, w.coordinator(), list[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("closed twice: %v", err)
	}
}

func TestAnInterpretersNoByMailAsksTheNext(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.book()
	first := w.askedNow(a)
	w.later(time.Minute)
	w.byMail(w.calendarSays(a, first, ical.Declined))
	second := w.askedNow(a)
	if second == "" || second == first {
		t.Fatalf("%q is asked after %q", second, first)
	}
	w.byMail(w.calendarSays(a, second, ical.Accepted))
	if got := w.read(a.ID); got.State != StateBooked {
		t.Errorf("%s after the yes", got.State)
	}
	if n := w.count(`select count(*) from interpreter_assignment where via = 'mail'`); n != 2 {
		t.Errorf("%d answers by mail, want 2", n)
	}
}

func TestAnswersThatDoNotFitAreLeftToAPerson(t *testing.T) {
	w := newWorld(t)
	a := w.confirmed()
	change := func(f func(*Received)) Received {
		in := w.calendarSays(a, w.claire, ical.Declined)
		f(&in)
		in.Message = fmt.Appendf(nil, "%+v", in)
		return in
	}
	cases := map[string]Received{
		ReplyUnvouched:  change(func(in *Received) { in.Vouched = false }),
		ReplyStranger:   change(func(in *Received) { in.Reply.Attendee = "somebody@people.example" }),
		ReplyAhead:      change(func(in *Received) { in.Reply.Sequence++ }),
		ReplyOccurrence: change(func(in *Received) { in.Reply.Recurrence = a.StartAt.AddDate(0, 0, 7) }),
		ReplyProposal: change(func(in *Received) {
			in.Reply.Method, in.Reply.Response, in.Reply.Start, in.Reply.End = ical.Counter, ical.Tentative, a.StartAt.Add(time.Hour), a.End().Add(time.Hour)
		}),
		ReplyOld: change(func(in *Received) { in.Reply.Stamp = w.clock().AddDate(0, 0, -9) }),
	}
	w.byMail(w.calendarSays(a, w.claire, ical.Tentative))
	before := fmt.Sprint(w.read(a.ID))
	for _, in := range cases {
		w.byMail(in)
	}
	if got := fmt.Sprint(w.read(a.ID)); got != before {
		t.Errorf("the visit has changed:\n%s\n%s", got, before)
	}
	list, err := w.s.MailReplies(ctx, w.coordinator())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]MailReply{}
	for _, r := range list {
		got[r.Reason] = r
	}
	for reason := range cases {
		if got[reason].ID == "" {
			t.Errorf("nothing is left for %q", reason)
		}
	}
	if len(list) != len(cases) {
		t.Errorf("%d are left, want %d", len(list), len(cases))
	}
	if p := got[ReplyProposal]; !p.ProposedStart.Equal(a.StartAt.Add(time.Hour)) || !w.wasTold("reply.left", w.amina) {
		t.Errorf("proposal %+v", p)
	}
	if other, err := w.s.MailReplies(ctx, w.actor(w.peter, w.other, identity.RoleCoordinator)); err != nil || len(other) != 0 {
		t.Errorf("another clinic sees %+v, %v", other, err)
	}

	foreign := w.calendarSays(a, w.claire, ical.Accepted)
	foreign.Reply.UID = "other@elsewhere.example"
	if _, err := ReceiveReply(ctx, w.audit, foreign); !errors.Is(err, ErrForeignReply) {
		t.Errorf("of another service: %v", err)
	}
	if _, err := ReceiveReply(ctx, w.audit, w.calendarSays(a, w.claire, ical.NeedsAction)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("neither yes nor no: %v", err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, w.read(a.ID).Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	off := w.calendarSays(a, w.claire, ical.Accepted)
	w.byMail(off)
	if n := w.count(`select count(*) from mail_reply where state = 'open' and reason = 'over'`); n != 1 {
		t.Errorf("%d answers to what is off are left, want 1", n)
	}
}

func TestAFloodOfAnswersIsStopped(t *testing.T) {
	w := newWorld(t)
	a := w.confirmed()
	in := w.calendarSays(a, w.claire, ical.Accepted)
	in.Vouched = false
	for i := range mostReplies {
		in.Message = fmt.Appendf(nil, "message %d", i)
		if _, err := ReceiveReply(ctx, w.audit, in); err != nil {
			t.Fatal(i, err)
		}
	}
	in.Message = []byte("one more")
	if _, err := ReceiveReply(ctx, w.audit, in); !errors.Is(err, ErrManyReplies) {
		t.Errorf("one more: %v", err)
	}
}
