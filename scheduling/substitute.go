package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Substitution says how an appointment that needs attention could take place.
type Substitution string

// The substitutions, in the order in which they are proposed.
const (
	// SamePeople: the same specialist at the same time, with another interpreter or the
	// physician who is responsible now.
	SamePeople Substitution = "people"
	// OtherSpecialist: another specialist of the specialty at the same time.
	OtherSpecialist Substitution = "specialist"
	// OtherTime: the same people at the nearest time that is permitted.
	OtherTime Substitution = "time"
	// Narrower: the same specialist at the same time advises the local physician only.
	Narrower Substitution = "narrower"
	// Alone: the local physician sees the patient without a specialist.
	Alone Substitution = "alone"
)

// Proposal is one way in which an appointment could take place, permitted when it was
// asked. It is no promise: carrying it out judges anew.
type Proposal struct {
	Change       Substitution
	Kind         Kind
	Start        time.Time
	Specialist   identity.PersonID   // "" for Alone
	Name         string              // of the specialist
	Physician    identity.PersonID   // local physician
	Interpreters []identity.PersonID // none if nobody interprets
	Interprets   string              // their names
	// Silent: of the Interpreters one was asked before and let the time to answer pass.
	// Such proposals come last.
	Silent bool
}

const (
	mostSubstitutes = 3                   // other specialists proposed
	mostTried       = 30                  // other specialists judged
	nearestAhead    = 21 * 24 * time.Hour // how far after its time another is looked for
)

// Substitutes lists how an appointment that needs attention could take place, the
// least change first; for those who arrange for its clinic. None for any other state.
func (s *Service) Substitutes(ctx context.Context, actor identity.Actor, id AppointmentID) ([]Proposal, error) {
	interpreters, specialists, err := s.whoElse(ctx)
	if err != nil {
		return nil, err
	}
	var out []Proposal
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			return ErrForbidden
		}
		if a.State != StateNeedsAttention || a.Case == "" || !tx.Now().Before(a.StartAt) {
			return nil
		}
		out, err = s.proposals(ctx, tx, actor, a, interpreters, specialists)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("substitutes for appointment %s: %w", id, err)
	}
	return out, nil
}

func (s *Service) whoElse(ctx context.Context) (interpreters, specialists []identity.Person, err error) {
	if interpreters, err = s.candidates(ctx); err != nil {
		return nil, nil, err
	}
	if specialists, err = s.people.PeopleWith(ctx, identity.RoleSpecialist, ""); err != nil {
		return nil, nil, fmt.Errorf("specialists on file: %w", err)
	}
	slices.SortFunc(specialists, func(a, b identity.Person) int { return strings.Compare(a.Name, b.Name) })
	return interpreters, specialists, nil
}

func (s *Service) proposals(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, interpreters, specialists []identity.Person) ([]Proposal, error) {
	var out []Proposal
	had, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	same := func(change Substitution, kind Kind, specialist identity.PersonID) error {
		p, crew, err := s.fits(ctx, tx, actor, a, kind, specialist, a.StartAt, interpreters, had)
		if err != nil || p == nil {
			return err
		}
		out = append(out, p.proposal(change, a.StartAt, crew))
		return nil
	}
	who := a.specialist()
	facts, err := s.cases.Facts(ctx, tx, a.Case, who)
	if err != nil {
		return nil, err
	}
	if who != "" {
		if err := same(SamePeople, a.Kind, who); err != nil {
			return nil, err
		}
	}
	tried := 0
	for _, one := range specialists {
		if one.Disabled || one.ID == who || facts.Specialty != "" && one.Specialty != facts.Specialty || one.ID == facts.Patient ||
			one.ID == facts.LocalPhysician || tried == mostTried || len(out) >= mostSubstitutes {
			continue
		}
		tried++
		if err := same(OtherSpecialist, a.Kind, one.ID); err != nil {
			return nil, err
		}
	}
	if who != "" {
		near, err := s.nearest(ctx, tx, actor, a, who, interpreters, had)
		if err != nil {
			return nil, err
		}
		out = append(out, near...)
		if a.Kind == JointVideoVisit {
			if err := same(Narrower, Advice, who); err != nil {
				return nil, err
			}
		}
		ok, err := s.mayStayAlone(ctx, tx, a, facts)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, Proposal{Change: Alone, Kind: a.Kind, Start: a.StartAt, Physician: facts.LocalPhysician})
		}
	}
	slices.SortStableFunc(out, func(x, y Proposal) int { return cmp.Compare(first(!x.Silent), first(!y.Silent)) })
	return out, nil
}

// asks are what became of asking people to interpret a visit: at a start who refused
// that start, and who let the time to answer pass, whatever start it was about.
func asks(had []Assignment, start time.Time) map[identity.PersonID]AskState {
	out := map[identity.PersonID]AskState{}
	for _, x := range had { // in the order of asking
		switch {
		case x.State == AskRefused && !x.Start.Equal(start) || x.State == AskWithdrawn:
		case x.State.live():
			delete(out, x.Person)
		case x.State == AskRefused || out[x.Person] != AskRefused:
			out[x.Person] = x.State
		}
	}
	return out
}

// fits plans the appointment with a specialist at a start. No plan: it is not
// possible. The interpreter who has the seat is kept where that is possible.
func (s *Service) fits(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, kind Kind, specialist identity.PersonID,
	start time.Time, interpreters []identity.Person, had []Assignment) (*plan, []chair, error) {
	tries := [][]identity.PersonID{a.interpreters()}
	if tries[0] != nil {
		tries = append(tries, nil)
	}
	for _, pinned := range tries {
		w := planned{ref: a.Case, kind: kind, specialist: specialist, duration: a.Duration, interpreters: pinned, from: start, to: start.Add(a.Duration),
			asked: asks(had, start)}
		p, err := s.plan(ctx, tx, actor, w, interpreters)
		if impossible(err) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		p.forget(a, start.Equal(a.StartAt))
		crew, err := p.check(start)
		switch {
		case err == nil:
			return p, crew, nil
		case !impossible(err):
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// impossible tells whether an error says that a visit cannot be, rather than that
// finding out failed.
func impossible(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) || errors.Is(err, ErrSlotTaken) || errors.Is(err, ErrInvalidRequest) || errors.Is(err, ErrNotFound) ||
		errors.Is(err, ErrState)
}

// always is open at every minute.
var always = Hours{Zone: "UTC", Rules: []Rule{{Freq: Weekly, Days: []Weekday{Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday}, Start: 0, End: 24 * 60}}}

// forget takes the appointment's own seats out of what keeps its people busy. At the
// same time, who sits there already has agreed to the hour: their hours and notice
// count no more.
func (p *plan) forget(a Appointment, sameTime bool) {
	p.own = &Range{a.StartAt, a.End()}
	for _, list := range [][]Party{p.parties, p.helpers} {
		for i := range list {
			seat, seated := a.Seat(identity.PersonID(list[i].ID))
			if !seated {
				continue
			}
			own := Range{time.Unix(seat.During.Start.Unix(), 0).UTC(), time.Unix(ceilUnix(seat.During.End), 0).UTC()}
			if list[i].Rest != nil {
				rest := *list[i].Rest
				rest.Sits = p.withoutOwn(rest.Sits)
				list[i].Rest = &rest
			}
			list[i].Busy = slices.DeleteFunc(slices.Clone(list[i].Busy), func(r Range) bool {
				return r.Start.Equal(own.Start) && r.End.Equal(own.End)
			})
			if seat.Role == RoleSpecialist {
				// Its own place in a window that is full is one that is free for it.
				list[i].Full = slices.DeleteFunc(slices.Clone(list[i].Full), func(r Range) bool { return !a.StartAt.Before(r.Start) && a.StartAt.Before(r.End) })
			}
			if sameTime {
				list[i].Hours, list[i].Version, list[i].MinNotice, list[i].MaxAhead, list[i].Rest = always, 0, 0, nil, nil
			}
		}
	}
}

func (p *plan) proposal(change Substitution, start time.Time, crew []chair) Proposal {
	out := Proposal{Change: change, Kind: p.kind, Start: start, Specialist: p.specialist, Name: p.people[p.specialist].Name,
		Physician: p.facts.LocalPhysician}
	var names []string
	for _, c := range crew {
		out.Interpreters = append(out.Interpreters, c.person)
		names = append(names, p.people[c.person].Name)
		out.Silent = out.Silent || p.asked[c.person] == AskLapsed
	}
	out.Interprets = strings.Join(names, ", ")
	return out
}

// nearest is the start nearest to the appointment's at which its people can meet.
func (s *Service) nearest(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, specialist identity.PersonID,
	interpreters []identity.Person, had []Assignment) ([]Proposal, error) {
	w := planned{ref: a.Case, kind: a.Kind, specialist: specialist, duration: a.Duration, from: tx.Now(), to: a.End().Add(nearestAhead),
		asked: asks(had, time.Time{})}
	if w.to.Sub(w.from) > longestAhead {
		w.from = w.to.Add(-longestAhead)
	}
	p, err := s.plan(ctx, tx, actor, w, interpreters)
	if impossible(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.forget(a, false)
	search, err := p.look(p.query(p.from, p.to, defaultGrid))
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(search.found(-1), func(f Found) bool { return f.Start.Equal(a.StartAt) })
	if len(found) == 0 {
		return nil, nil
	}
	best := slices.MinFunc(found, func(x, y Found) int {
		return cmp.Or(cmp.Compare(x.Start.Sub(a.StartAt).Abs(), y.Start.Sub(a.StartAt).Abs()), x.Start.Compare(y.Start))
	})
	return []Proposal{p.proposal(OtherTime, best.Start, p.crewOf(best))}, nil
}

// mayStayAlone tells whether the local physician may see the patient without the
// specialist: they are responsible still and licensed then, and whoever interprets
// may.
func (s *Service) mayStayAlone(ctx context.Context, tx *audit.Tx, a Appointment, facts Facts) (bool, error) {
	seat, seated := a.Seat(facts.LocalPhysician)
	if a.Kind != JointVideoVisit || !seated || seat.Role != RoleLocalPhysician {
		return false, nil
	}
	had, err := obstaclesOf(ctx, tx, a.ID)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(had, func(o Obstacle) bool { return o.Role == RoleInterpreter }) || a.Interpreted != [2]string{} && !a.hasInterpreter() {
		return false, nil
	}
	spans, err := s.scope.SpansFor(ctx, tx, s.alone(a, facts).ask(facts.LocalPhysician, a.StartAt, a.End()), a.StartAt, a.End())
	if err != nil {
		return false, fmt.Errorf("permissions of %s: %w", facts.LocalPhysician, err)
	}
	return !slices.ContainsFunc(spans, func(x credentialing.Span) bool { return x.Decision == credentialing.Deny }), nil
}

func (a Appointment) hasInterpreter() bool {
	return slices.ContainsFunc(a.Seats, func(s Seat) bool { return s.Role == RoleInterpreter && !s.Released })
}

func (s *Service) alone(a Appointment, facts Facts) *plan {
	return &plan{planned: planned{ref: a.Case, kind: a.Kind}, facts: facts, interpreted: a.Interpreted != [2]string{},
		roles: map[identity.PersonID]Role{facts.LocalPhysician: RoleLocalPhysician}}
}

// SubstituteRequest carries out a proposal.
type SubstituteRequest struct {
	Appointment AppointmentID
	Version     int // that was read
	Change      Substitution
	Specialist  identity.PersonID
	Start       time.Time
}

// Substitute rebooks an appointment that needs attention as proposed, in one
// transaction: whoever is replaced is freed, whoever comes in gets a seat, the others
// keep theirs. Everything is judged as in Book; what refuses leaves all as it was.
func (s *Service) Substitute(ctx context.Context, actor identity.Actor, req SubstituteRequest) (Appointment, error) {
	interpreters, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var out Appointment
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, req.Appointment, true)
		if err != nil {
			return err
		}
		switch {
		case !arranges(actor, a.Organization):
			return ErrForbidden
		case a.Version != req.Version:
			return ErrVersion
		case a.State != StateNeedsAttention:
			return ErrState
		}
		if req.Change == Alone {
			out, err = s.goAlone(ctx, tx, actor, a)
			return err
		}
		kind := a.Kind
		if req.Change == Narrower {
			kind = Advice
		}
		start := a.StartAt
		if req.Change == OtherTime {
			start = req.Start.UTC()
		}
		specialist := a.specialist()
		if req.Change == OtherSpecialist {
			specialist = req.Specialist
		}
		if !slices.Contains([]Substitution{SamePeople, OtherSpecialist, OtherTime, Narrower}, req.Change) || !known(specialist) || !start.After(tx.Now()) {
			return fmt.Errorf("%w: substitution %q", ErrInvalidRequest, req.Change)
		}
		had, err := assignmentsOf(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		p, crew, err := s.fits(ctx, tx, actor, a, kind, specialist, start, interpreters, had)
		if err != nil {
			return err
		}
		if p == nil {
			return ErrSlotTaken // it was possible when it was proposed
		}
		var exempt []Overridden
		if start.Equal(a.StartAt) {
			exempt = a.Overridden
		}
		if err := s.keepRest(ctx, tx, p, start, crew, exempt); err != nil {
			return err
		}
		drawn, err := s.draft(ctx, tx, actor, p, a.ID, start, crew)
		if err != nil {
			return err
		}
		out, err = s.rebook(ctx, tx, actor, a, drawn, req.Change)
		return err
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("substitute in appointment %s: %w", req.Appointment, err)
	}
	return out, nil
}

// rebook makes an appointment what was drawn.
func (s *Service) rebook(ctx context.Context, tx *audit.Tx, actor identity.Actor, a, drawn Appointment, change Substitution) (Appointment, error) {
	moved := !drawn.StartAt.Equal(a.StartAt)
	next := a
	next.Kind, next.StartLocal, next.StartAt, next.ZoneVersion = drawn.Kind, drawn.StartLocal, drawn.StartAt, drawn.ZoneVersion
	next.AnchorZone, next.AnchorPerson, next.Interpreted, next.Tasks = drawn.AnchorZone, drawn.AnchorPerson, drawn.Interpreted, drawn.Tasks
	next.Seats = nil
	var fresh []Seat
	var rests []seatDetermination
	var gone []Seat
	for _, seat := range a.Seats {
		if seat.Released {
			next.Seats = append(next.Seats, seat)
			continue
		}
		i := slices.IndexFunc(drawn.Seats, func(d Seat) bool {
			return d.Person == seat.Person && d.Role == seat.Role && d.Pair == seat.Pair && d.Leg == seat.Leg
		})
		if i < 0 || moved {
			seat.Released = true
			gone = append(gone, seat)
			next.Seats = append(next.Seats, seat)
			continue
		}
		if d := drawn.Seats[i].Determination; d != "" {
			seat.Determination = d
			rests = append(rests, seatDetermination{seat: seat.ID, determination: d})
		}
		next.Seats = append(next.Seats, seat)
		drawn.Seats = slices.Delete(drawn.Seats, i, i+1)
	}
	fresh = drawn.Seats
	if err := release(ctx, tx, a, gone); err != nil {
		return a, err
	}
	took, err := insertSeats(ctx, tx, Appointment{ID: a.ID, Organization: a.Organization, Seats: fresh})
	if err != nil {
		return a, err
	}
	if took < int64(len(fresh)) {
		return a, ErrSlotTaken
	}
	next.Seats = append(next.Seats, fresh...)
	return s.rebooked(ctx, tx, actor, a, next, change, gone, rests)
}

// goAlone frees the specialist; the others meet as planned.
func (s *Service) goAlone(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment) (Appointment, error) {
	facts, err := s.cases.Facts(ctx, tx, a.Case, "")
	if err != nil {
		return a, err
	}
	ok, err := s.mayStayAlone(ctx, tx, a, facts)
	if err != nil {
		return a, err
	}
	if !ok || a.specialist() == "" {
		return a, &Refusal{Limit: LimitLicense, Person: facts.LocalPhysician}
	}
	d, err := s.scope.Determine(ctx, tx, actor, s.alone(a, facts).ask(facts.LocalPhysician, a.StartAt, a.End()))
	if err != nil {
		return a, fmt.Errorf("determination of %s: %w", facts.LocalPhysician, err)
	}
	if why := d.Refusal(); why != nil {
		return a, &Refusal{Limit: LimitLicense, Person: facts.LocalPhysician, Reasons: why.Reasons, Lead: d.Lead(), Rule: why.Rule,
			Jurisdiction: why.Jurisdiction, Until: why.Until}
	}
	next := a
	next.Seats, next.Tasks = slices.Clone(a.Seats), append([]Task{}, tasksOf(d, facts.LocalPhysician)...)
	var gone []Seat
	var rests []seatDetermination
	for i := range next.Seats {
		seat := &next.Seats[i]
		switch {
		case seat.Released:
		case seat.Role == RoleSpecialist:
			seat.Released = true
			gone = append(gone, *seat)
		case seat.Person == facts.LocalPhysician:
			seat.Determination = string(d.ID)
			rests = append(rests, seatDetermination{seat: seat.ID, determination: string(d.ID)})
		}
	}
	if err := release(ctx, tx, a, gone); err != nil {
		return a, err
	}
	return s.rebooked(ctx, tx, actor, a, next, Alone, gone, rests)
}

// rebooked saves the appointment with its new version, makes it due to be looked at
// and tells everybody who is or was seated.
func (s *Service) rebooked(ctx context.Context, tx *audit.Tx, actor identity.Actor, a, next Appointment, change Substitution, gone []Seat, rests []seatDetermination) (Appointment, error) {
	ev := EventRepair
	if next.waits() {
		ev = EventWait
	}
	to, ok := a.State.Next(ev)
	if !ok {
		return a, ErrState
	}
	next.State, next.Reason, next.Sequence = to, "", a.Sequence+1
	if err := saveRebooked(ctx, tx, next, rests); err != nil {
		return a, err
	}
	next.Version++
	if err := reviewNow(ctx, tx, a.ID); err != nil {
		return a, err
	}
	if err := s.planReminders(ctx, tx, next); err != nil {
		return a, err
	}
	e := actor.Event("appointment.rebooked")
	e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
	e.Reason = string(change)
	e.Detail = map[string]any{"from": a.StartAt.Format(time.RFC3339), "to": next.StartAt.Format(time.RFC3339), "kind": string(next.Kind),
		"specialist": string(next.specialist())}
	for _, seat := range next.Seats {
		if !seat.Released && seat.Role == RoleSpecialist {
			e.Determination = seat.Determination
		}
	}
	return next, s.asked(ctx, tx, next, e, gone...)
}
