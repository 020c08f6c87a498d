package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// AssignmentID is a UUIDv7.
type AssignmentID string

// AskState is where the asking of one interpreter stands.
type AskState string

// The states of an asking.
const (
	Asked        AskState = "asked"
	AskAccepted  AskState = "accepted"
	AskRefused   AskState = "refused"
	AskLapsed    AskState = "lapsed"    // the deadline passed
	AskWithdrawn AskState = "withdrawn" // somebody else was asked, or the visit is off or at another time
)

// live tells whether the asking keeps a seat.
func (s AskState) live() bool { return s == Asked || s == AskAccepted }

// Codes of why an interpreter refuses. No free text: it would speak of patients.
const (
	RefuseTime     = "unavailable"
	RefuseConflict = "conflict" // knows somebody in it; is not asked for the case again
	RefuseField    = "outside-field"
	RefuseTerms    = "terms"
	RefuseOther    = "other"
)

// RefuseReasons are the codes an interpreter may choose from, in the order of the form.
var RefuseReasons = []string{RefuseTime, RefuseConflict, RefuseField, RefuseTerms, RefuseOther}

// Ways by which an answer came.
const (
	ViaPage = "page"
	ViaLink = "link" // of a mail, without signing in first
	ViaMail = "mail" // a calendar's reply
)

// ErrAskOver means that an interpreter is not, or no longer, asked: the time to answer
// has passed, or somebody else was asked.
var ErrAskOver = errors.New("scheduling: no longer asked")

// Assignment is one asking of one interpreter for one chair of a visit.
type Assignment struct {
	ID           AssignmentID
	Organization identity.OrganizationID
	Appointment  AppointmentID
	Seat         SeatID
	Person       identity.PersonID
	Chair        int // of the visit, from 0
	Pair         [2]string
	Leg          int       // 0 direct; 1 and 2 the legs of a relay
	Start        time.Time // that was asked about
	State        AskState
	Reason       string // code of a refusal
	Via          string // how the answer came; "" for none
	AskedAt      time.Time
	Deadline     time.Time
	AnsweredAt   time.Time // zero for none
	// GivenUp: of a chair that the visit does without, since it goes another way.
	GivenUp bool
}

const (
	answerTime = 4 * time.Hour
	urgentTime = 30 * time.Minute
	urgentFrom = 24 * time.Hour // a visit that begins within it is urgent
	wakeTime   = 2 * time.Hour  // to answer in the morning what was asked the night before
	// shortTime before the start those who arrange are alerted of a visit that still
	// waits for an interpreter.
	shortTime = 4 * time.Hour
)

// answerBy is until when somebody who is asked at now may answer: 4 hours, or 30
// minutes when the visit begins within a day. If it is not urgent, what falls into the
// night of their clock waits for the morning. Half of what is left before the start is
// always kept for others.
func answerBy(now, start time.Time, loc *time.Location) time.Time {
	left := start.Sub(now)
	by := now.Add(urgentTime)
	if left > urgentFrom {
		if by = now.Add(answerTime); awake(loc, by).After(by) {
			by = awake(loc, by).Add(wakeTime)
		}
	}
	if half := now.Add(left / 2); by.After(half) {
		by = half
	}
	return by.Truncate(time.Second)
}

// current are the askings about the present time of a visit.
func current(a Appointment, list []Assignment) []Assignment {
	return slices.DeleteFunc(slices.Clone(list), func(x Assignment) bool { return !x.Start.Equal(a.StartAt) })
}

// vacant are the chairs of a visit for which nobody is asked, with what the last one
// was asked for; those given up are none. list is current, in the order of asking.
func vacant(list []Assignment) []Assignment {
	last := map[int]Assignment{}
	taken := map[int]bool{}
	for _, x := range list {
		if x.GivenUp {
			continue
		}
		if x.State.live() {
			taken[x.Chair] = true
		}
		if x.State != AskWithdrawn || last[x.Chair].ID == "" {
			last[x.Chair] = x
		}
	}
	var out []Assignment
	for chair, x := range last {
		if !taken[chair] && (x.State == AskRefused || x.State == AskLapsed) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(x, y Assignment) int { return x.Chair - y.Chair })
	return out
}

// syncAssignments makes the askings of a visit agree with its seats, after a command
// changed them: who lost the seat is not asked any more, who got one is, and an empty
// chair that none of them fits is given up.
func (s *Service) syncAssignments(ctx context.Context, tx *audit.Tx, a Appointment) error {
	list, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	seats := map[SeatID]Seat{}
	for _, seat := range a.Seats {
		if seat.Role == RoleInterpreter && !seat.Released && a.State.Occupies() && a.State != StateHeld {
			seats[seat.ID] = seat
		}
	}
	for i := range list {
		x := &list[i]
		seat, seated := seats[x.Seat]
		delete(seats, x.Seat)
		switch {
		case x.State.live() && !seated:
			x.State = AskWithdrawn
			if err := endAssignment(ctx, tx, *x); err != nil {
				return err
			}
		case seated && x.State == Asked && !tx.Now().Before(x.Deadline):
			// The time to answer passed while the visit was set aside.
			if x.Deadline, err = s.answerBy(ctx, tx, a, seat.Person); err != nil {
				return err
			}
			if err := renewAssignment(ctx, tx, *x); err != nil {
				return err
			}
		}
	}
	list = current(a, list)
	for _, seat := range a.Seats { // in the order of their ids
		if _, fresh := seats[seat.ID]; !fresh {
			continue
		}
		x, err := s.newAssignment(ctx, tx, a, seat, chairFor(list, seat))
		if err != nil {
			return err
		}
		list = append(list, x)
	}
	return giveUp(ctx, tx, a, vacant(list))
}

// chairFor is the empty chair that a seat fits, or a new one.
func chairFor(list []Assignment, seat Seat) int {
	next := nextChair(list)
	for _, x := range vacant(list) {
		if x.Pair == seat.Pair && x.Leg == seat.Leg {
			return x.Chair
		}
	}
	return next
}

// nextChair is the number of a chair that is none yet.
func nextChair(list []Assignment) int {
	next := 0
	for _, x := range list {
		next = max(next, x.Chair+1)
	}
	return next
}

// answerBy is until when somebody who is asked now may answer.
func (s *Service) answerBy(ctx context.Context, tx *audit.Tx, a Appointment, person identity.PersonID) (time.Time, error) {
	people, err := s.people.PeopleTx(ctx, tx, person)
	if err != nil {
		return time.Time{}, fmt.Errorf("clock of an interpreter: %w", err)
	}
	loc, err := LoadZone(s.zoneOf(people[person]))
	if err != nil {
		return time.Time{}, err
	}
	return answerBy(tx.Now(), a.StartAt, loc), nil
}

// newAssignment notes that somebody with a seat is asked, or has agreed already.
func (s *Service) newAssignment(ctx context.Context, tx *audit.Tx, a Appointment, seat Seat, chair int) (Assignment, error) {
	by, err := s.answerBy(ctx, tx, a, seat.Person)
	if err != nil {
		return Assignment{}, err
	}
	id, err := newID()
	if err != nil {
		return Assignment{}, err
	}
	x := Assignment{ID: AssignmentID(id), Organization: a.Organization, Appointment: a.ID, Seat: seat.ID, Person: seat.Person, Chair: chair,
		Pair: seat.Pair, Leg: seat.Leg, Start: a.StartAt, State: Asked, AskedAt: tx.Now(), Deadline: by}
	if seat.Response == Accepted {
		x.State, x.AnsweredAt = AskAccepted, tx.Now()
	}
	return x, insertAssignment(ctx, tx, x)
}

// Answer is what an interpreter says to being asked.
type Answer struct {
	Response Response // Accepted, Declined or Tentative, which keeps the deadline
	Reason   string   // of Declined: one of RefuseReasons; "" is RefuseOther
	Promised bool     // the promise of confidentiality named by Attestation was made
	Via      string   // ViaPage, ViaLink or ViaMail
}

// check completes an answer: a refusal has a reason, and nothing else has.
func (r *Answer) check() error {
	switch {
	case r.Response != Accepted && r.Response != Declined && r.Response != Tentative:
		return fmt.Errorf("%w: answer %q", ErrInvalidRequest, r.Response)
	case r.Response == Declined && r.Reason == "":
		r.Reason = RefuseOther
	case r.Response != Declined:
		r.Reason = ""
	}
	if r.Reason != "" && !slices.Contains(RefuseReasons, r.Reason) {
		return fmt.Errorf("%w: reason %q", ErrInvalidRequest, r.Reason)
	}
	return nil
}

// Accept is the interpreter's yes to the seat and the promise of confidentiality
// named by Attestation. With the last yes that was waited for the appointment is
// booked. Accepting again changes nothing.
func (s *Service) Accept(ctx context.Context, actor identity.Actor, seat SeatID) (Appointment, error) {
	return s.Answer(ctx, actor, seat, Answer{Response: Accepted, Promised: true, Via: ViaPage})
}

// Decline is the interpreter's no, without a reason of its own.
func (s *Service) Decline(ctx context.Context, actor identity.Actor, seat SeatID) (Appointment, error) {
	return s.Answer(ctx, actor, seat, Answer{Response: Declined, Via: ViaPage})
}

// Answer notes the interpreter's answer to being asked for a seat. After a no the next
// of the ladder is asked.
func (s *Service) Answer(ctx context.Context, actor identity.Actor, id SeatID, r Answer) (Appointment, error) {
	if !known(id) {
		return Appointment{}, ErrNotFound
	}
	if err := r.check(); err != nil {
		return Appointment{}, err
	}
	var a Appointment
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		_, of, err := seatClinic(ctx, tx, id)
		if err != nil {
			return err
		}
		if a, err = open(ctx, tx, actor, of, true); err != nil {
			return err
		}
		a, err = s.answerTx(ctx, tx, actor, a, id, r)
		return err
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("answer seat %s: %w", id, err)
	}
	if r.Response == Declined {
		// The no stands, whatever becomes of this: AskInterpreters does it a minute later.
		if next, err := s.advance(ctx, a.Organization, a.ID); err == nil {
			return next, nil
		}
	}
	return a, nil
}

// answerTx notes an answer in the transaction that has locked the appointment.
func (s *Service) answerTx(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, id SeatID, r Answer) (Appointment, error) {
	i := slices.IndexFunc(a.Seats, func(o Seat) bool { return o.ID == id })
	if i < 0 || a.Seats[i].Person != actor.Person {
		return a, ErrNotFound // somebody else's
	}
	seat := a.Seats[i]
	if seat.Role != RoleInterpreter {
		return a, ErrForbidden
	}
	list, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return a, err
	}
	k := slices.IndexFunc(list, func(x Assignment) bool { return x.Seat == id })
	if k < 0 || seat.Released || !list[k].State.live() {
		if k >= 0 && r.Response == Declined && list[k].State == AskRefused {
			return a, nil // said already
		}
		return a, ErrAskOver
	}
	x := list[k]
	now := tx.Now()
	if seat.Response == r.Response && (r.Response != Accepted || !r.Promised || !seat.AttestedAt.IsZero()) {
		return a, nil
	}
	if x.State == Asked && !now.Before(x.Deadline) || !now.Before(a.StartAt) && r.Response != Accepted {
		return a, ErrAskOver
	}
	e := actor.Event("seat." + string(r.Response))
	e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(id), "assignment": string(x.ID)}
	e.Detail = map[string]any{"via": r.Via}
	switch r.Response {
	case Accepted:
		if seat.Response == Accepted { // the promise comes after the yes
			e.Act = "interpreter.promised"
			e.Detail["attestation"] = Attestation
			a.Seats[i].AttestedAt = now
			if err := answerSeat(ctx, tx, a, id, Accepted, true); err != nil {
				return a, err
			}
			tx.Append(e)
			return a, nil
		}
		x.State = AskAccepted
		err = s.accepted(ctx, tx, &a, i, r, &e)
	case Declined:
		x.State, x.Reason = AskRefused, r.Reason
		err = s.declined(ctx, tx, &a, i, r, &e)
	case Tentative:
		a.Seats[i].Response = Tentative
		err = answerSeat(ctx, tx, a, id, Tentative, false)
	}
	if err != nil {
		return a, err
	}
	if x.Via, x.AnsweredAt = r.Via, now; r.Response == Tentative {
		x.AnsweredAt = time.Time{}
	}
	if err := endAssignment(ctx, tx, x); err != nil {
		return a, err
	}
	tx.Append(e)
	return a, nil
}

// accepted notes the yes; when none is missing any more, everybody is told.
func (s *Service) accepted(ctx context.Context, tx *audit.Tx, a *Appointment, i int, r Answer, e *audit.Event) error {
	seat := &a.Seats[i]
	if !a.Seeks() {
		return ErrState
	}
	may, err := s.qualifiedThrough(ctx, tx, *seat, *a)
	if err != nil {
		return err
	}
	if !may.OK {
		return &Refusal{Limit: LimitInterpreter, Person: seat.Person, Reasons: []string{may.Reason}, Lead: may.Reason}
	}
	seat.Response = Accepted
	if r.Promised {
		e.Detail["attestation"] = Attestation
		seat.AttestedAt = tx.Now()
	}
	if err := answerSeat(ctx, tx, *a, seat.ID, Accepted, r.Promised); err != nil {
		return err
	}
	list, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if a.State != StatePending || a.waits() || len(vacant(current(*a, list))) > 0 {
		return nil
	}
	a.State, _ = a.State.Next(EventConfirm)
	e.Reason = string(a.State)
	for _, o := range a.Seats {
		if !o.Released {
			e.Tell = append(e.Tell, string(o.Person))
		}
	}
	*a, err = saveState(ctx, tx, *a)
	return err
}

// qualifiedThrough asks whether an interpreter may carry their pair for all of a visit.
func (s *Service) qualifiedThrough(ctx context.Context, tx *audit.Tx, seat Seat, a Appointment) (credentialing.Qualification, error) {
	list, err := s.qualifiedFor(ctx, tx, []identity.Person{{ID: seat.Person}}, seat.Pair, a.StartAt)
	if err != nil {
		return credentialing.Qualification{}, err
	}
	q := list[0]
	if q.OK && !q.Until.IsZero() && q.Until.Before(a.End()) {
		q.OK, q.Reason = false, "interpreter:expired"
	}
	return q, nil
}

// declined frees the seat. A visit that was booked waits again; who arranges is told.
func (s *Service) declined(ctx context.Context, tx *audit.Tx, a *Appointment, i int, r Answer, e *audit.Event) error {
	seat := &a.Seats[i]
	switch a.State {
	case StatePending:
	case StateBooked:
		a.State, _ = a.State.Next(EventWait)
	case StateNeedsAttention:
		a.Reason = ReasonInterpreter // it does not come back by itself any more
	default:
		return ErrState
	}
	if a.State != StatePending || seat.Response == Accepted {
		tell, err := s.arrangers(ctx, tx, *a)
		if err != nil {
			return err
		}
		e.Tell = tell
	}
	e.Reason = r.Reason
	seat.Response, seat.Released = Declined, true
	if err := answerSeat(ctx, tx, *a, seat.ID, Declined, false); err != nil {
		return err
	}
	if err := releaseSeat(ctx, tx, *a, seat.ID); err != nil {
		return err
	}
	if r.Reason == RefuseConflict && a.Case != "" {
		if err := saveWish(ctx, tx, a.Case, seat.Person, StatedWish{Wish: WishAvoid, Cause: "conflict"}, seat.Person); err != nil {
			return err
		}
	}
	var err error
	*a, err = saveState(ctx, tx, *a)
	return err
}

// asked appends the event of a command that changed who is seated: the interpreters
// seated are asked from now on, and whoever is invited is told.
func (s *Service) asked(ctx context.Context, tx *audit.Tx, a Appointment, e audit.Event, gone ...Seat) error {
	if err := s.syncAssignments(ctx, tx, a); err != nil {
		return err
	}
	var err error
	if e.Tell, err = s.invited(ctx, tx, a, gone...); err != nil {
		return err
	}
	tx.Append(e)
	return nil
}

// arrangers are who is told what goes wrong with a visit: the clinic's coordinators,
// its local physician and who booked.
func (s *Service) arrangers(ctx context.Context, tx *audit.Tx, a Appointment) ([]string, error) {
	var out []string
	if staff, ok := s.people.(Staff); ok {
		var err error
		if out, err = coordinators(ctx, tx, staff, a.Organization); err != nil {
			return nil, err
		}
	}
	add := func(id identity.PersonID) {
		if id != "" && !slices.Contains(out, string(id)) {
			out = append(out, string(id))
		}
	}
	for _, o := range a.Seats {
		if o.Role == RoleLocalPhysician && !o.Released {
			add(o.Person)
		}
	}
	add(a.CreatedBy)
	return out, nil
}

// invited are the people seated who are told of a visit as it stands, and gone besides.
// A patient is not before it was booked for the first time: while it waits for
// interpreters nothing is promised.
func (s *Service) invited(ctx context.Context, tx *audit.Tx, a Appointment, gone ...Seat) ([]string, error) {
	before, err := wasConfirmed(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	return a.told(before, gone...), nil
}

// told are those of invited, before tells whether the visit was booked before.
func (a Appointment) told(before bool, gone ...Seat) []string {
	var out []string
	for _, seat := range slices.Concat(a.Seats, gone) {
		if seat.Released && !slices.ContainsFunc(gone, func(g Seat) bool { return g.ID == seat.ID }) {
			continue
		}
		if (before || seat.Role != RolePatient) && !slices.Contains(out, string(seat.Person)) {
			out = append(out, string(seat.Person))
		}
	}
	return out
}
