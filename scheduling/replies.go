package scheduling

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

// ReplyID is a UUIDv7.
type ReplyID string

// ReasonDeclined is why an appointment needs attention after somebody required said by
// mail that they cannot come.
const ReasonDeclined = "seat-declined"

// ErrForeignReply means that an answer is about no appointment of this service.
var ErrForeignReply = errors.New("scheduling: answers no appointment of ours")

// ErrNoAnswer means that a calendar file of an attendee says neither yes nor no.
var ErrNoAnswer = errors.New("scheduling: no answer in it")

// ErrManyReplies means that so many answers about an appointment wait for a person that
// no more are taken.
var ErrManyReplies = errors.New("scheduling: too many answers wait")

// mostReplies may wait for one appointment: who floods a list hides what is on it.
const mostReplies = 50

// Why an answer by mail is left to a person.
const (
	ReplyProposal   = "proposal"   // another time is proposed
	ReplyUnvouched  = "unvouched"  // nothing shows that the address wrote it
	ReplyStranger   = "stranger"   // the address is of nobody seated
	ReplyOld        = "old"        // of an earlier time of the visit, or overtaken by a later answer
	ReplyAhead      = "ahead"      // of a time that the visit never had
	ReplyOccurrence = "occurrence" // of another occurrence
	ReplyOver       = "over"       // the visit is off, or has begun
	ReplyRefused    = "refused"    // the answer cannot be taken as things stand
)

// ReplyReasons are the codes of why an answer is left to a person.
var ReplyReasons = []string{ReplyProposal, ReplyUnvouched, ReplyStranger, ReplyOld, ReplyAhead, ReplyOccurrence, ReplyOver, ReplyRefused}

// MailReply is an answer to an invitation that came by mail.
type MailReply struct {
	ID           ReplyID
	Organization identity.OrganizationID
	Appointment  AppointmentID
	Start        time.Time // of the appointment, as it is now
	Address      string    // of the attendee, lower case
	Vouched      bool      // the operator's mail server says that Address wrote it
	Method       ical.Method
	Response     Response
	Sequence     int
	Stamp        time.Time // by the calendar that wrote it
	Recurrence   time.Time // zero for none
	// Of a proposal; zero if none.
	ProposedStart, ProposedEnd time.Time
	Reason                     string // why it is left to a person
	ReceivedAt                 time.Time
}

// Received is a message with an answer, as it came.
type Received struct {
	Message []byte // whole, to know it again
	Reply   ical.Reply
	// Vouched tells that the operator's mail server found the message authentic and from
	// the attendee's address.
	Vouched bool
}

// ReceiveReply keeps an answer that came by mail until ApplyReplies takes it; it needs the
// database alone. The same
// message twice is kept once. What answers no appointment of ours is ErrForeignReply,
// what says neither yes nor no ErrNoAnswer, and what floods an appointment ErrManyReplies.
func ReceiveReply(ctx context.Context, db *audit.DB, in Received) (ReplyID, error) {
	answer := Response(strings.ToLower(string(in.Reply.Response)))
	if in.Reply.Method == ical.Answer && answer == NeedsAction {
		return "", ErrNoAnswer
	}
	if answer == NeedsAction {
		answer = Tentative // proposes another time
	}
	id, err := newID()
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(in.Message)
	r := in.Reply
	out := MailReply{ID: ReplyID(id), Address: r.Attendee, Vouched: in.Vouched, Method: r.Method, Response: answer, Sequence: r.Sequence, Stamp: r.Stamp,
		Recurrence: r.Recurrence, ProposedStart: r.Start, ProposedEnd: r.End}
	err = db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		org, of, err := replyClinic(ctx, tx, r.UID)
		if err == ErrNotFound {
			return ErrForeignReply
		}
		if err != nil {
			return err
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org)}); err != nil {
			return err
		}
		waiting, err := repliesWaiting(ctx, tx, of)
		if err != nil {
			return err
		}
		if waiting >= mostReplies {
			return ErrManyReplies
		}
		out.Organization, out.Appointment, out.ReceivedAt = org, of, tx.Now()
		fresh, had, err := insertReply(ctx, tx, out, hash[:])
		if err != nil || !fresh {
			out.ID = had
			return err
		}
		e := identity.System("mail-in", org).Event("reply.received")
		e.Objects = map[string]string{"reply": id, "appointment": string(of)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("receive reply: %w", err)
	}
	return out.ID, nil
}

const repliesBatch = 200

// ApplyReplies takes the answers that were received: each becomes the response of the
// seat it is about and nothing else, or is left to a person with the reason. It may run
// anywhere at any time.
func (s *Service) ApplyReplies(ctx context.Context) (int, error) {
	var due []replyRef
	err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = repliesDue(ctx, tx, repliesBatch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("replies due: %w", err)
	}
	n := 0
	var failed error
	for _, ref := range due {
		if err := s.applyReply(ctx, ref); err != nil {
			failed = errors.Join(failed, fmt.Errorf("apply reply %s: %w", ref.id, err))
			continue
		}
		n++
	}
	return n, failed
}

// applyReply takes one answer. A refusal of the seat's own rules undoes what was begun,
// and the answer is left to a person.
func (s *Service) applyReply(ctx context.Context, ref replyRef) error {
	scope := audit.Scope{Organization: string(ref.organization)}
	var declined AppointmentID // by an interpreter
	err := s.write(ctx, scope, func(tx *audit.Tx) error {
		declined = ""
		r, err := lockReply(ctx, tx, ref.id, "received")
		if err != nil {
			return err
		}
		a, err := appointment(ctx, tx, r.Appointment, true)
		if err != nil {
			return err
		}
		seat, reason, err := s.replySeat(ctx, tx, r, a)
		if err != nil {
			return err
		}
		if reason != "" {
			return s.leaveReply(ctx, tx, r, a, reason)
		}
		if err := takeReply(ctx, tx, r, seat.ID); err != nil {
			return err
		}
		actor := identity.Actor{Person: seat.Person, Organization: ref.organization}
		if err := audit.Enter(ctx, tx, actor.Scope()); err != nil {
			return err
		}
		if seat.Role == RoleInterpreter {
			_, err = s.answerTx(ctx, tx, actor, a, seat.ID, Answer{Response: r.Response, Reason: declineReason(r.Response), Via: ViaMail})
			if err == nil && r.Response == Declined {
				declined = a.ID
			}
			return err
		}
		return s.replied(ctx, tx, actor, a, seat, r)
	})
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrNotFound): // another took it meanwhile
		return nil
	case errors.As(err, &refusal), errors.Is(err, ErrState), errors.Is(err, ErrAskOver), errors.Is(err, ErrForbidden):
		return s.write(ctx, scope, func(tx *audit.Tx) error {
			r, err := lockReply(ctx, tx, ref.id, "received")
			if err != nil {
				return ignoreGone(err)
			}
			a, err := appointment(ctx, tx, r.Appointment, true)
			if err != nil {
				return err
			}
			return s.leaveReply(ctx, tx, r, a, ReplyRefused)
		})
	case err != nil:
		return err
	}
	if declined != "" {
		// The no stands, whatever becomes of this: AskInterpreters does it a minute later.
		_, _ = s.advance(ctx, ref.organization, declined)
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func declineReason(r Response) string {
	if r == Declined {
		return RefuseOther
	}
	return ""
}

// replySeat finds the seat that an answer is about, or why a person must look.
func (s *Service) replySeat(ctx context.Context, tx *audit.Tx, r MailReply, a Appointment) (Seat, string, error) {
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if !seat.Released {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, ids...)
	if err != nil {
		return Seat{}, "", fmt.Errorf("addresses of an appointment: %w", err)
	}
	var found []Seat
	for _, seat := range a.Seats {
		if p := people[seat.Person]; !seat.Released && !p.Disabled && strings.EqualFold(p.Email, r.Address) {
			found = append(found, seat)
		}
	}
	live := a.State == StatePending || a.State == StateBooked || a.State == StateNeedsAttention
	switch {
	case !r.Vouched:
		return Seat{}, ReplyUnvouched, nil
	case !live || !tx.Now().Before(a.StartAt):
		return Seat{}, ReplyOver, nil
	case len(found) != 1: // an address that several share says of nobody who wrote
		return Seat{}, ReplyStranger, nil
	case r.Sequence < a.Sequence:
		return Seat{}, ReplyOld, nil
	case r.Sequence > a.Sequence:
		return Seat{}, ReplyAhead, nil
	case !r.Recurrence.IsZero() && !r.Recurrence.Equal(a.StartAt):
		return Seat{}, ReplyOccurrence, nil
	}
	last, err := lastAnswer(ctx, tx, found[0].ID)
	switch {
	case err != nil:
		return Seat{}, "", err
	case r.Stamp.Before(last):
		return Seat{}, ReplyOld, nil
	case r.Method == ical.Counter:
		return Seat{}, ReplyProposal, nil
	}
	return found[0], "", nil
}

// leaveReply leaves an answer to those who arrange for the clinic, and tells them.
func (s *Service) leaveReply(ctx context.Context, tx *audit.Tx, r MailReply, a Appointment, reason string) error {
	if err := openReply(ctx, tx, r, reason); err != nil {
		return err
	}
	e := identity.System("mail-in", r.Organization).Event("reply.left")
	e.Objects = map[string]string{"reply": string(r.ID), "appointment": string(r.Appointment)}
	e.Reason = reason
	if reason == ReplyProposal || reason == ReplyRefused { // the others wait on the list: anybody can send them
		var err error
		if e.Tell, err = s.arrangers(ctx, tx, a); err != nil {
			return err
		}
	}
	tx.Append(e)
	return nil
}

// replied notes the answer of somebody who is not asked by the ladder.
func (s *Service) replied(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, seat Seat, r MailReply) error {
	if err := answerSeat(ctx, tx, a, seat.ID, r.Response, false); err != nil {
		return err
	}
	missing := false // somebody required has said no
	for i := range a.Seats {
		if a.Seats[i].ID == seat.ID {
			a.Seats[i].Response = r.Response
		}
		missing = missing || a.Seats[i].Required && !a.Seats[i].Released && a.Seats[i].Response == Declined
	}
	e := actor.Event("reply." + string(r.Response))
	e.Objects = map[string]string{"reply": string(r.ID), "appointment": string(a.ID), "seat": string(seat.ID)}
	e.Detail = map[string]any{"via": ViaMail, "from": string(a.State)}
	was, why := a.State, a.Reason
	switch {
	case r.Response == Declined && seat.Required:
		if to, ok := a.State.Next(EventImpair); ok {
			a.State = to
		}
		a.Reason = ReasonDeclined // it does not come back by itself any more
		tell, err := s.arrangers(ctx, tx, a)
		if err != nil {
			return err
		}
		e.Tell = tell
	case a.State == StateNeedsAttention && a.Reason == ReasonDeclined && !missing:
		if err := s.mend(ctx, tx, &a); err != nil {
			return err
		}
	}
	e.Reason = string(a.State)
	if a.State != was || a.Reason != why {
		var err error
		if a, err = saveState(ctx, tx, a); err != nil {
			return err
		}
	}
	tx.Append(e)
	return nil
}

// mend brings back what only a no had set aside, after that no was taken back.
func (s *Service) mend(ctx context.Context, tx *audit.Tx, a *Appointment) error {
	against, err := obstaclesOf(ctx, tx, a.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if len(against) > 0 {
		a.Reason = ReasonLost
		return nil
	}
	list, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	ev := EventRepair
	if a.waits() || len(vacant(current(*a, list))) > 0 {
		ev = EventWait
	}
	if to, ok := a.State.Next(ev); ok {
		a.State, a.Reason = to, ""
	}
	return reviewNow(ctx, tx, a.ID)
}

// MailReplies lists the answers by mail that a person must look at, the oldest first,
// for those who arrange for the clinic; at most 200.
func (s *Service) MailReplies(ctx context.Context, actor identity.Actor) ([]MailReply, error) {
	if !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var out []MailReply
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		out, err = openReplies(ctx, tx, repliesBatch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("replies by mail: %w", err)
	}
	return out, nil
}

// ReplyDone takes an answer off the list after somebody has seen to it.
func (s *Service) ReplyDone(ctx context.Context, actor identity.Actor, id ReplyID) error {
	if !known(id) {
		return ErrNotFound
	}
	if !arranges(actor, actor.Organization) {
		return ErrForbidden
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		r, err := lockReply(ctx, tx, id, "open")
		if err != nil {
			return err
		}
		if err := closeReply(ctx, tx, r, actor.Person); err != nil {
			return err
		}
		e := actor.Event("reply.done")
		e.Objects = map[string]string{"reply": string(id), "appointment": string(r.Appointment)}
		e.Reason = r.Reason
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("close reply %s: %w", id, err)
	}
	return nil
}
