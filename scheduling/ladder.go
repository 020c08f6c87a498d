package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ReasonSilent is why an appointment needs attention after everybody who could be asked
// to interpret it let the time to answer pass. Where somebody refused, it is
// ReasonInterpreter.
const ReasonSilent = "interpreter-silent"

// Seeks tells whether a visit looks for interpreters: it waits for one, or was set aside
// because nobody was left to ask. Who is asked may answer then; with one leg of a relay
// missing, the yes for the other is kept.
func (a Appointment) Seeks() bool {
	return a.State == StatePending || a.State == StateNeedsAttention && (a.Reason == ReasonInterpreter || a.Reason == ReasonSilent)
}

// mostDue is how many visits one round of AskInterpreters looks at.
const mostDue = 500

// mostSteps bounds what is done for one visit in a row: each of its chairs may lapse
// and be filled.
const mostSteps = 64

// AskInterpreters goes on where interpreters have not answered in time or have
// refused: the next of the ladder is asked; when nobody is left, or time is short,
// those who arrange are alerted. What it does is told by the data alone, so it goes on
// after a kill where it stopped, and of two at a time each step is done by one. It
// returns how many visits it looked at.
func (s *Service) AskInterpreters(ctx context.Context) (int, error) {
	var due map[identity.OrganizationID][]string
	if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = interpretersDue(ctx, tx, tx.Now().Add(shortTime), mostDue)
		return err
	}); err != nil {
		return 0, fmt.Errorf("ask interpreters: %w", err)
	}
	n := 0
	for org, ids := range due {
		for _, id := range ids {
			if _, err := s.advance(ctx, org, AppointmentID(id)); err != nil {
				return n, fmt.Errorf("ask interpreters for appointment %s: %w", id, err)
			}
			n++
		}
	}
	return n, nil
}

// advance does for one visit what is due, a transaction and an event each step.
func (s *Service) advance(ctx context.Context, org identity.OrganizationID, id AppointmentID) (Appointment, error) {
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var a Appointment
	for range mostSteps {
		more := false
		err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
			if a, err = appointment(ctx, tx, id, true); err != nil {
				return err
			}
			if a.State != StatePending || !tx.Now().Before(a.StartAt) {
				more = false
				return nil
			}
			more, err = s.step(ctx, tx, &a, candidates)
			return err
		})
		if errors.Is(err, errRaced) {
			continue
		}
		if err != nil || !more {
			return a, err
		}
	}
	return a, nil
}

// step does the first thing that is due: a deadline that has passed, an empty chair, an
// alert. It tells whether there was one.
func (s *Service) step(ctx context.Context, tx *audit.Tx, a *Appointment, candidates []identity.Person) (bool, error) {
	all, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return false, err
	}
	list := current(*a, all)
	for _, x := range list {
		if x.State == Asked && !tx.Now().Before(x.Deadline) {
			return true, s.lapseAsk(ctx, tx, a, x)
		}
	}
	if empty := vacant(list); len(empty) > 0 {
		x := empty[0]
		next, err := s.nextFor(ctx, tx, *a, x, list, candidates)
		if err != nil {
			return false, err
		}
		if next == "" {
			if found, err := s.anotherWay(ctx, tx, a, list, candidates); err != nil || found {
				return true, err
			}
			return true, s.exhausted(ctx, tx, a, list)
		}
		if took, err := s.seatNext(ctx, tx, a, x, next); err != nil || took {
			return true, err
		}
		// Taken this very moment by another visit: looked for anew.
		return true, nil
	}
	if a.StartAt.Sub(tx.Now()) <= shortTime && a.waits() {
		return s.alert(ctx, tx, *a, "short")
	}
	return false, nil
}

// ladder is the job that asks.
func ladder(a Appointment) identity.Actor { return identity.System("interpreters", a.Organization) }

func (s *Service) lapseAsk(ctx context.Context, tx *audit.Tx, a *Appointment, x Assignment) error {
	x.State = AskLapsed
	if err := endAssignment(ctx, tx, x); err != nil {
		return err
	}
	if err := releaseSeat(ctx, tx, *a, x.Seat); err != nil {
		return err
	}
	for i := range a.Seats {
		a.Seats[i].Released = a.Seats[i].Released || a.Seats[i].ID == x.Seat
	}
	e := ladder(*a).Event("interpreter.lapsed")
	e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(x.Seat), "assignment": string(x.ID)}
	e.Tell = []string{string(x.Person)}
	tx.Append(e)
	return nil
}

// nextFor is who is asked next for a chair: qualified for its pair, free, within their
// hours, not asked about this time before; "" if nobody is left.
func (s *Service) nextFor(ctx context.Context, tx *audit.Tx, a Appointment, chair Assignment, had []Assignment, candidates []identity.Person) (identity.PersonID, error) {
	candidates, err := s.interpretersTx(ctx, tx, candidates)
	if err != nil {
		return "", err
	}
	free := slices.DeleteFunc(slices.Clone(candidates), func(c identity.Person) bool {
		_, seated := a.Seat(c.ID)
		return seated || c.Disabled || slices.ContainsFunc(had, func(x Assignment) bool { return x.Person == c.ID && x.State != AskWithdrawn })
	})
	helpers, err := s.helpersFor(ctx, tx, a, chair.Pair, free)
	if err != nil || len(helpers) == 0 {
		return "", err
	}
	for _, h := range helpers {
		if able(a, chair, h, tx.Now()) {
			return identity.PersonID(h.ID), nil
		}
	}
	return "", nil
}

// able tells whether an interpreter is free for all of a visit, within their hours,
// their certificate and their notice.
func able(a Appointment, chair Assignment, h Party, now time.Time) bool {
	q := Query{From: a.StartAt, To: a.End(), Duration: a.Duration, Grid: time.Second, Now: now, Interpret: &Interpretation{Between: chair.Pair}}
	search, err := newSearch(q, nil, []Party{h})
	return err == nil && len(search.found(-1)) == 1
}

// helpersFor are those who may carry a pair for all of a visit, ranked, with their
// hours and what keeps them.
func (s *Service) helpersFor(ctx context.Context, tx *audit.Tx, a Appointment, pair [2]string, free []identity.Person) ([]Party, error) {
	quals, err := s.qualifiedFor(ctx, tx, free, pair, a.StartAt)
	if err != nil {
		return nil, err
	}
	until := map[identity.PersonID]time.Time{}
	var may []identity.Person
	for i, q := range quals {
		if q.OK {
			may, until[free[i].ID] = append(may, free[i]), q.Until
		}
	}
	needs, _, err := needsHistory(ctx, tx, a.Case, a.patient())
	if err != nil {
		return nil, err
	}
	present := visits[a.Kind].patient
	may = slices.DeleteFunc(may, func(c identity.Person) bool { return needs.bars(c, present) != 0 })
	ranked, _, err := s.ranked(ctx, tx, a.Case, needs, present, may)
	if err != nil || len(ranked) == 0 {
		return nil, err
	}
	ids := make([]identity.PersonID, len(ranked))
	for i, c := range ranked {
		ids[i] = c.ID
	}
	known, err := readTimes(ctx, tx, ids, ids[0], a.StartAt, a.End(), a.Duration)
	if err != nil {
		return nil, err
	}
	p := &plan{planned: planned{from: a.StartAt, to: a.End()}, now: tx.Now(), hours: known.hours, rest: known.rest, zones: map[identity.PersonID]string{}}
	var out []Party
	for i, c := range ranked {
		p.zones[c.ID] = s.zoneOf(c)
		if _, ok := p.hours[c.ID]; !ok {
			p.hours[c.ID] = Availability{Hours: Hours{Zone: p.zones[c.ID]}}
		}
		one := helper(c.ID, i, []pairHeld{{pair, until[c.ID]}}, tx.Now())
		one.Rest = p.rested(c.ID, RoleInterpreter, known.sits[c.ID])
		out = append(out, p.fill(one, known.busy[c.ID]))
	}
	return out, nil
}

// seatNext seats somebody on a chair and asks them; false if they were taken by another
// visit meanwhile.
func (s *Service) seatNext(ctx context.Context, tx *audit.Tx, a *Appointment, chair Assignment, person identity.PersonID) (bool, error) {
	x, took, err := s.seatOn(ctx, tx, a, chair, person)
	if err != nil || !took {
		return false, err
	}
	e := ladder(*a).Event("interpreter.asked")
	e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(x.Seat), "assignment": string(x.ID)}
	e.Detail = map[string]any{"deadline": x.Deadline.Format(time.RFC3339), "after": string(chair.State), "chair": int64(chair.Chair)}
	e.Tell = []string{string(person)}
	tx.Append(e)
	return true, nil
}

// seatOn takes a seat for somebody on a chair; false if another visit has taken them or
// their rest meanwhile.
func (s *Service) seatOn(ctx context.Context, tx *audit.Tx, a *Appointment, chair Assignment, person identity.PersonID) (Assignment, bool, error) {
	one := []identity.PersonID{person}
	if _, _, err := takenLocked(ctx, tx, one, a.StartAt, a.End()); err != nil { // nobody else seats them until the end
		return Assignment{}, false, err
	}
	known, err := readTimes(ctx, tx, one, person, a.StartAt, a.End(), a.Duration)
	if err != nil {
		return Assignment{}, false, err
	}
	people, err := s.people.PeopleTx(ctx, tx, person)
	if err != nil {
		return Assignment{}, false, fmt.Errorf("clock of an interpreter: %w", err)
	}
	rest := Rest{Rules: known.rest, Zone: s.zoneOf(people[person]), Sits: known.sits[person], Interprets: true}
	if faults, err := rest.faults(a.StartAt, a.End()); err != nil || len(faults) > 0 {
		return Assignment{}, false, err
	}
	id, err := newID()
	if err != nil {
		return Assignment{}, false, err
	}
	h := known.hours[person]
	seat := Seat{ID: SeatID(id), Person: person, Role: RoleInterpreter, Required: true, Response: NeedsAction, Pair: chair.Pair, Leg: chair.Leg,
		During: Range{a.StartAt.Add(-h.BufferBefore), a.End().Add(h.BufferAfter)}}
	n, err := insertSeats(ctx, tx, Appointment{ID: a.ID, Organization: a.Organization, State: a.State, Seats: []Seat{seat}})
	if err != nil || n == 0 {
		return Assignment{}, false, err
	}
	a.Seats = append(a.Seats, seat)
	x, err := s.newAssignment(ctx, tx, *a, seat, chair.Chair)
	if err != nil {
		return x, false, err
	}
	if err := reviewNow(ctx, tx, a.ID); err != nil {
		return x, false, err
	}
	return x, true, nil
}

// exhausted sets a visit aside for which nobody is left to ask. list is current: when
// nobody of it said no, the reason is that nobody answered.
func (s *Service) exhausted(ctx context.Context, tx *audit.Tx, a *Appointment, list []Assignment) error {
	a.State, _ = a.State.Next(EventImpair)
	a.Reason = ReasonSilent
	if slices.ContainsFunc(list, func(x Assignment) bool { return x.State == AskRefused }) {
		a.Reason = ReasonInterpreter
	}
	var err error
	if *a, err = saveState(ctx, tx, *a); err != nil {
		return err
	}
	_, err = s.alert(ctx, tx, *a, "exhausted")
	return err
}

// alert tells those who arrange, once for each time of a visit; false if they were told.
func (s *Service) alert(ctx context.Context, tx *audit.Tx, a Appointment, kind string) (bool, error) {
	fresh, err := insertAlert(ctx, tx, a, kind)
	if err != nil || !fresh && kind != "exhausted" {
		return false, err
	}
	tell, err := s.arrangers(ctx, tx, a)
	if err != nil {
		return false, err
	}
	e := ladder(a).Event("interpreter." + kind)
	e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
	e.Reason = string(a.State)
	e.Tell = tell
	tx.Append(e)
	return true, nil
}
