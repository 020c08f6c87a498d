package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ReasonLost is why an appointment needs attention after it was looked at
// again: somebody may no longer do their part at that time.
const ReasonLost = "permission-lost"

// Reviews is what looking again asks of credentialing. Both methods work within tx,
// answer in the order of the questions, and take one query a table for all of them;
// ReviewAll stores the answers that keep asks for.
type Reviews interface {
	ReviewAll(ctx context.Context, tx *audit.Tx, actor identity.Actor, asks []credentialing.Ask,
		keep func(i int, d credentialing.Determination) bool) ([]credentialing.Review, error)
	QualifiedAll(ctx context.Context, tx *audit.Tx, asks []credentialing.Qualify) ([]credentialing.Qualification, error)
}

// Staff is what looking again asks of identity: who is told.
type Staff interface {
	PeopleOfTx(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, r identity.Role) ([]identity.Person, error)
}

var (
	_ Reviews = (*credentialing.Service)(nil)
	_ Staff   = (*identity.Service)(nil)
)

// ErrNoReviews means that the Config's Credentialing, Cases and Identity cannot
// answer for many appointments at once, see [Reviews], [ManyCases] and [Staff].
var ErrNoReviews = errors.New("scheduling: cannot look at bookings again")

// Obstacle is why a seat stands against its appointment.
type Obstacle struct {
	Seat    SeatID            `json:"seat"`
	Person  identity.PersonID `json:"person"`
	Role    Role              `json:"role"`
	Lead    string            `json:"lead"`    // code to show first; credentialing explains it
	Reasons []string          `json:"reasons"` // all codes, sorted
	// Rule and Jurisdiction are the rule that refuses, if a single one does.
	Rule         string    `json:"rule,omitempty"`
	Jurisdiction string    `json:"jurisdiction,omitempty"`
	Until        time.Time `json:"until,omitzero"` // permission ends within the appointment
	// Determination is the stored answer; "" for interpreters.
	Determination string `json:"determination,omitempty"`
}

func sameObstacles(a, b []Obstacle) bool {
	return slices.EqualFunc(a, b, func(x, y Obstacle) bool {
		return x.Seat == y.Seat && x.Lead == y.Lead && slices.Equal(x.Reasons, y.Reasons)
	})
}

// Reviewed says what looking again did.
type Reviewed struct {
	Changes      int // recorded changes that were followed
	Appointments int // looked at
	SetAside     int // now need attention
	Restored     int // are booked, or wait for a yes, as before
	Retasked     int // have other open conditions
	Skipped      int // could not be judged; tried again a minute later
}

func (r *Reviewed) add(o Reviewed) {
	r.Changes += o.Changes
	r.Appointments += o.Appointments
	r.SetAside += o.SetAside
	r.Restored += o.Restored
	r.Retasked += o.Retasked
	r.Skipped += o.Skipped
}

const (
	batchLimit   = 1000        // appointments in one transaction
	changesBatch = 1000        // recorded changes followed at once
	reviewRetry  = time.Minute // after an appointment could not be judged
)

// Reevaluate looks again at every appointment that a recorded change concerns or for
// which the clock has changed something, until nothing is due. Whose people may no
// longer do their part then needs attention, keeps its time and its seats, and all
// concerned are told; what is permitted again is booked as before. Nothing is ever
// canceled by it. It may run anywhere at any time: of two, each takes what the other
// leaves.
func (s *Service) Reevaluate(ctx context.Context) (Reviewed, error) {
	var all Reviewed
	for {
		var due map[identity.OrganizationID][]string
		var followed Reviewed
		err := s.write(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			if followed.Changes, err = markReviews(ctx, tx, changesBatch); err != nil {
				return err
			}
			due, err = reviewsDue(ctx, tx, 8*batchLimit)
			return err
		})
		if err != nil {
			return all, fmt.Errorf("follow changes: %w", err)
		}
		all.add(followed)
		done, err := s.reviewDue(ctx, due)
		all.add(done)
		if err != nil {
			return all, err
		}
		taken := done.Appointments + done.Skipped
		if taken == 0 && followed.Changes < changesBatch {
			return all, nil
		}
	}
}

// reviewDue looks at what is due, clinic by clinic, two batches at a time: while one
// is judged, the other is read or written.
func (s *Service) reviewDue(ctx context.Context, due map[identity.OrganizationID][]string) (Reviewed, error) {
	var mu sync.Mutex
	var all Reviewed // guarded by mu
	var failed error // guarded by mu
	var running sync.WaitGroup
	slots := make(chan struct{}, 2)
	for org, ids := range due {
		for batch := range slices.Chunk(ids, batchLimit) {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				done, err := s.reviewBatch(ctx, org, batch)
				mu.Lock()
				defer mu.Unlock()
				all.add(done)
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("look again at appointments of %s: %w", org, err))
				}
			})
		}
	}
	running.Wait()
	return all, failed
}

// ReevaluateAll looks again at every appointment that is not over. When everything
// was followed in time it finds nothing new; what it finds is in the answer.
func (s *Service) ReevaluateAll(ctx context.Context) (Reviewed, error) {
	if err := s.write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return markAllReviews(ctx, tx) }); err != nil {
		return Reviewed{}, fmt.Errorf("sweep appointments: %w", err)
	}
	return s.Reevaluate(ctx)
}

// reviewBatch looks at a batch of one clinic. If it fails, halves of it are tried, so that
// one appointment that cannot be judged does not keep the others.
func (s *Service) reviewBatch(ctx context.Context, org identity.OrganizationID, ids []string) (Reviewed, error) {
	var done Reviewed
	err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
		done, err = s.reviewTx(ctx, tx, org, ids)
		return err
	})
	switch {
	case err == nil:
		return done, nil
	case ctx.Err() != nil || errors.Is(err, ErrNoReviews):
		return Reviewed{}, err
	case len(ids) == 1:
		later := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) error {
			return postponeReview(ctx, tx, AppointmentID(ids[0]), tx.Now().Add(reviewRetry))
		})
		if later != nil {
			return Reviewed{}, errors.Join(err, later)
		}
		return Reviewed{Skipped: 1}, nil
	}
	half := len(ids) / 2
	first, err := s.reviewBatch(ctx, org, ids[:half])
	if err != nil {
		return first, err
	}
	second, err := s.reviewBatch(ctx, org, ids[half:])
	first.add(second)
	return first, err
}

// reviewing is a batch while it is looked at.
type reviewing struct {
	list  []Appointment
	had   map[AppointmentID][]Obstacle
	facts []Facts
	asks  []credentialing.Ask
	of    []seatOf // of each ask
	quals []credentialing.Qualify
	who   []seatOf // of each qual
}

type seatOf struct{ appointment, seat int }

func (s *Service) reviewTx(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, ids []string) (Reviewed, error) {
	scope, ok := s.scope.(Reviews)
	cases, ok2 := s.cases.(ManyCases)
	staff, ok3 := s.people.(Staff)
	if !ok || !ok2 || !ok3 {
		return Reviewed{}, ErrNoReviews
	}
	r := &reviewing{}
	var err error
	if r.had, err = lockReviews(ctx, tx, ids); err != nil || len(r.had) == 0 {
		return Reviewed{}, err
	}
	if r.list, err = lockedAppointments(ctx, tx, r.had); err != nil {
		return Reviewed{}, err
	}
	asks := make([]CaseAsk, len(r.list))
	for i, a := range r.list {
		asks[i] = CaseAsk{Case: a.Case, Specialist: a.specialist()}
	}
	if r.facts, err = cases.FactsOf(ctx, tx, asks); err != nil {
		return Reviewed{}, err
	}
	r.questions(tx.Now())
	actor := identity.System("reevaluate", org)
	answers, err := scope.ReviewAll(ctx, tx, actor, r.asks, r.worthKeeping)
	if err != nil {
		return Reviewed{}, err
	}
	quals, err := scope.QualifiedAll(ctx, tx, r.quals)
	if err != nil {
		return Reviewed{}, err
	}
	found := r.findings(answers, quals)
	var done Reviewed
	type told struct{ event, visit int }
	var telling []told
	var tell []string
	var events []audit.Event
	var save reviewSave
	for i := range r.list {
		a, f := &r.list[i], found[i]
		done.Appointments++
		before := a.State
		if a.State == StateHeld {
			f.next = tx.Now().Add(reviewRetry) // what happens meanwhile counts once it is booked
		}
		outcome := a.settle(f, r.had[a.ID])
		if outcome != nothing {
			save.states = append(save.states, *a)
		}
		switch outcome {
		case setAside:
			done.SetAside++
		case restored:
			done.Restored++
		case retasked:
			done.Retasked++
		}
		if e, ok := a.reviewEvent(actor, outcome, before, f); ok {
			if outcome == setAside || outcome == restored {
				if tell == nil {
					if tell, err = coordinators(ctx, tx, staff, org); err != nil {
						return Reviewed{}, err
					}
				}
				telling = append(telling, told{event: len(events), visit: i})
			}
			events = append(events, e)
		}
		save.reviews = append(save.reviews, reviewRow{id: a.ID, next: f.next, held: f.obstacles})
		save.seats = append(save.seats, f.determined...)
	}
	if len(telling) > 0 {
		ids := make([]string, len(telling))
		for i, t := range telling {
			ids[i] = string(r.list[t.visit].ID)
		}
		never, err := neverConfirmed(ctx, tx, ids)
		if err != nil {
			return Reviewed{}, err
		}
		for _, t := range telling {
			a := r.list[t.visit]
			events[t.event].Tell = a.concerned(tell, a.State == StateBooked || !never[a.ID])
		}
	}
	for _, e := range events {
		tx.Append(e)
	}
	return done, saveReviews(ctx, tx, save)
}

// specialist is who has the specialist's seat; "" if nobody has.
func (a Appointment) specialist() identity.PersonID {
	for _, seat := range a.Seats {
		if seat.Role == RoleSpecialist && !seat.Released {
			return seat.Person
		}
	}
	return ""
}

// reviewable tells whether an appointment is worth looking at again: it is kept and
// has not begun.
func (a Appointment) reviewable(now time.Time) bool {
	switch a.State {
	case StatePending, StateBooked, StateNeedsAttention:
		return now.Before(a.End())
	}
	return false
}

// questions asks of each clinician what Book asked, and of each interpreter whether
// they are qualified for all of it.
func (r *reviewing) questions(now time.Time) {
	for i, a := range r.list {
		if !a.reviewable(now) || r.facts[i].Organization == "" {
			continue
		}
		p := plan{planned: planned{ref: a.Case, kind: a.Kind}, facts: r.facts[i], roles: map[identity.PersonID]Role{},
			interpreted: a.Interpreted != [2]string{}}
		for j, seat := range a.Seats {
			if seat.Released {
				continue
			}
			p.roles[seat.Person] = seat.Role
			switch {
			case seat.Role.Clinician():
				r.asks = append(r.asks, p.ask(seat.Person, a.StartAt, a.End()))
				r.of = append(r.of, seatOf{i, j})
			case seat.Role == RoleInterpreter:
				r.quals = append(r.quals, credentialing.Qualify{Person: seat.Person, Pair: seat.Pair, Mode: interpretMode, At: a.StartAt, Through: a.End()})
				r.who = append(r.who, seatOf{i, j})
			}
		}
	}
}

// worthKeeping tells whether an answer is stored: it is another than the one that
// the seat rests on.
func (r *reviewing) worthKeeping(i int, d credentialing.Determination) bool {
	a := r.list[r.of[i].appointment]
	seat := a.Seats[r.of[i].seat]
	had, against := obstacleOf(r.had[a.ID], seat.ID)
	if d.Allowed() {
		return against || !slices.Equal(tasksOf(d, seat.Person), a.tasksFor(seat.Person))
	}
	return !against || !slices.Equal(had.Reasons, d.Reasons)
}

func obstacleOf(list []Obstacle, seat SeatID) (Obstacle, bool) {
	for _, o := range list {
		if o.Seat == seat {
			return o, true
		}
	}
	return Obstacle{}, false
}

func (a Appointment) tasksFor(person identity.PersonID) []Task {
	var out []Task
	for _, t := range a.Tasks {
		if t.Person == person {
			out = append(out, t)
		}
	}
	return out
}

// finding is what came out for one appointment.
type finding struct {
	judged     bool // false: over, or without a case
	obstacles  []Obstacle
	tasks      []Task
	next       time.Time // when to look again; zero: no more
	determined []seatDetermination
}

func (r *reviewing) findings(answers []credentialing.Review, quals []credentialing.Qualification) []finding {
	out := make([]finding, len(r.list))
	at := func(f *finding, t time.Time) {
		if !t.IsZero() && (f.next.IsZero() || t.Before(f.next)) {
			f.next = t
		}
	}
	for i, answer := range answers {
		a := r.list[r.of[i].appointment]
		seat := a.Seats[r.of[i].seat]
		f, d := &out[r.of[i].appointment], answer.Determination
		f.judged = true
		at(f, answer.NextChange)
		if d.ID != "" {
			f.determined = append(f.determined, seatDetermination{seat: seat.ID, determination: string(d.ID)})
			seat.Determination = string(d.ID)
		}
		why := d.Refusal()
		if why == nil {
			f.tasks = append(f.tasks, tasksOf(d, seat.Person)...)
			continue
		}
		f.obstacles = append(f.obstacles, Obstacle{Seat: seat.ID, Person: seat.Person, Role: seat.Role, Lead: d.Lead(), Reasons: why.Reasons,
			Rule: why.Rule, Jurisdiction: why.Jurisdiction, Until: why.Until, Determination: seat.Determination})
	}
	for i, q := range quals {
		a := r.list[r.who[i].appointment]
		seat := a.Seats[r.who[i].seat]
		f := &out[r.who[i].appointment]
		f.judged = true
		at(f, q.NextChange)
		if !q.OK {
			f.obstacles = append(f.obstacles, Obstacle{Seat: seat.ID, Person: seat.Person, Role: seat.Role, Lead: q.Reason, Reasons: []string{q.Reason}})
		}
	}
	for i := range out {
		f := &out[i]
		if !f.judged {
			continue
		}
		if until := r.facts[i].Until; until.Before(r.list[i].End()) {
			at(f, until)
		}
		if f.tasks == nil {
			f.tasks = []Task{}
		}
	}
	return out
}

// outcome is what looking again means for an appointment.
type outcome int

const (
	nothing  outcome = iota
	setAside         // it needs attention from now on
	restored         // it is as before
	retasked         // other conditions are open
	retold           // it needs attention for other reasons
)

// settle moves an appointment by what was found. Only what was set aside for a
// permission comes back by itself: a declined interpreter does not.
func (a *Appointment) settle(f finding, had []Obstacle) outcome {
	if !f.judged {
		return nothing
	}
	if len(f.obstacles) > 0 {
		if a.State == StateNeedsAttention {
			if sameObstacles(f.obstacles, had) {
				return nothing
			}
			return retold
		}
		to, ok := a.State.Next(EventImpair)
		if !ok {
			return nothing
		}
		a.State, a.Reason = to, ReasonLost
		return setAside
	}
	other := !slices.Equal(a.Tasks, f.tasks)
	a.Tasks = f.tasks
	if a.State == StateNeedsAttention && a.Reason == ReasonLost {
		ev := EventRepair
		if a.waits() {
			ev = EventWait
		}
		to, ok := a.State.Next(ev)
		if !ok {
			return nothing
		}
		a.State, a.Reason = to, ""
		return restored
	}
	if other {
		return retasked
	}
	return nothing
}

// waits tells whether an interpreter has not said yes yet.
func (a Appointment) waits() bool {
	return slices.ContainsFunc(a.Seats, func(s Seat) bool {
		return s.Role == RoleInterpreter && s.Required && !s.Released && s.Response != Accepted
	})
}

// Acts of looking again.
const (
	actSetAside = "appointment.set_aside"
	actRestored = "appointment.restored"
)

func (a Appointment) reviewEvent(actor identity.Actor, o outcome, before State, f finding) (audit.Event, bool) {
	act := map[outcome]string{setAside: actSetAside, restored: actRestored, retasked: "appointment.retasked", retold: "appointment.set_aside_again"}[o]
	if act == "" {
		return audit.Event{}, false
	}
	e := actor.Event(act)
	e.Objects = map[string]string{"appointment": string(a.ID)}
	if a.Case != "" {
		e.Objects["case"] = string(a.Case)
	}
	e.Reason = string(a.State)
	e.Detail = map[string]any{"from": string(before), "to": string(a.State)}
	if len(f.obstacles) > 0 {
		first := f.obstacles[0]
		e.Reason, e.Determination, e.Jurisdiction = first.Lead, first.Determination, first.Jurisdiction
		var against []map[string]any
		for _, one := range f.obstacles {
			against = append(against, map[string]any{"person": string(one.Person), "role": string(one.Role), "lead": one.Lead})
		}
		e.Detail["against"] = against
	} else if len(f.determined) > 0 {
		e.Determination = f.determined[0].determination
	}
	return e, true
}

// concerned are the people seated and those who arrange for the clinic. The patient is
// only if the visit was promised to them: while it waits for its interpreters for the
// first time they have not heard of it, and do not hear that it is set aside.
func (a Appointment) concerned(coordinators []string, promised bool) []string {
	var out []string
	for _, s := range a.Seats {
		if !s.Released && (promised || s.Role != RolePatient) {
			out = append(out, string(s.Person))
		}
	}
	for _, id := range coordinators {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// coordinators are the clinic's coordinators who can be told, by id.
func coordinators(ctx context.Context, tx *audit.Tx, staff Staff, org identity.OrganizationID) ([]string, error) {
	return identity.StaffIDs(ctx, tx, staff, org, identity.RoleCoordinator)
}

// Obstacles tells why an appointment needs attention, as it was found last: all to
// those who arrange for its clinic, to others seated what is about themselves.
func (s *Service) Obstacles(ctx context.Context, actor identity.Actor, id AppointmentID) ([]Obstacle, error) {
	var out []Obstacle
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if out, err = obstaclesOf(ctx, tx, a.ID); err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			out = slices.DeleteFunc(out, func(o Obstacle) bool { return o.Person != actor.Person })
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("obstacles of appointment %s: %w", id, err)
	}
	return out, nil
}

func parseObstacles(raw []byte) ([]Obstacle, error) {
	var out []Obstacle
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("obstacles: %w", err)
	}
	return out, nil
}
