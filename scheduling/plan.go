package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

const (
	defaultAhead = 14 * 24 * time.Hour // of a search that names no end
	longestAhead = 92 * 24 * time.Hour // of any search: a quarter
	defaultGrid  = 15 * time.Minute
	defaultLimit = 200
	// interpretMode is how the visits are interpreted: everybody speaks on, the
	// interpreter along with them.
	interpretMode = "simultaneous"
	// aloneLimit is how long one interpreter carries that alone (design section 8).
	aloneLimit = 30 * time.Minute
)

// planned says what a plan is for.
type planned struct {
	ref        CaseRef
	kind       Kind
	specialist identity.PersonID
	duration   time.Duration // 0 is what the kind asks for
	// interpreters, if any, are the only ones considered.
	interpreters []identity.PersonID
	from, to     time.Time // whole range that will be looked at
	// asked is what became of asking interpreters before, see asks: who refused is not
	// considered, who let the time pass is taken last.
	asked map[identity.PersonID]AskState
	// anyWay: relays are looked for even where somebody may carry the languages directly.
	anyWay bool
	// also, if set, queues questions of its own, answered after those about people: those
	// of the visit, without interpreters.
	also func(b *pgx.Batch, tx *audit.Tx, people []identity.PersonID)
}

// plan is what is known of the people of a meeting over a range: all that the search
// and the check of a booking need. Both use it, so what is offered can be booked.
type plan struct {
	planned
	visit       visit
	facts       Facts
	now         time.Time
	people      map[identity.PersonID]identity.Person
	roles       map[identity.PersonID]Role
	zones       map[identity.PersonID]string
	hours       map[identity.PersonID]Availability
	parties     []Party
	interpreted bool
	pair        [2]string  // zero though interpreted: no one pair would do
	apart       [][]string // the languages of patient, physician and specialist, of whom no two share one; else nil
	ways        []Way      // of those: how they could be interpreted
	helpers     []Party    // who may interpret
	pivots      []string
	relays      []RelayNote
	unqualified []Unqualified
	spans       map[identity.PersonID][]credentialing.Span // clinicians
	rest        RestRules
	by          identity.Actor // who plans
	full        []fullWindow   // windows of the specialist's presence into which no more is placed
	own         *Range         // when the visit that is planned anew is, without buffers
	finder      *Finder
	files       *credentialing.Files // what is on file of the clinicians; nil if each is asked for
	later       *pgx.Batch           // if set, determinations are kept when it is sent
	needs       Needs                // of the patient
	avoid       []Range              // the patient's musts and
	rather      []Range              // wishes to be kept free
}

// look is the search of a query among the people of the plan.
func (p *plan) look(q Query) (*search, error) {
	if p.finder == nil {
		return newSearch(q, p.parties, p.helpers)
	}
	return p.finder.newSearch(q, p.parties, p.helpers)
}

// candidates are the people who might interpret, asked outside of the transaction by a
// connection of its own; none where the directory answers within it, see interpretersTx.
func (s *Service) candidates(ctx context.Context) ([]identity.Person, error) {
	if _, ok := s.people.(directoryTx); ok {
		return nil, nil
	}
	list, err := s.people.PeopleWith(ctx, identity.RoleInterpreter, "")
	if err != nil {
		return nil, fmt.Errorf("interpreters on file: %w", err)
	}
	return list, nil
}

// directoryTx is a Directory that lists people within a transaction: only visits that
// need an interpreter ask.
type directoryTx interface {
	PeopleWithTx(ctx context.Context, tx *audit.Tx, role identity.Role, specialty string) ([]identity.Person, error)
}

func (s *Service) interpretersTx(ctx context.Context, tx *audit.Tx, asked []identity.Person) ([]identity.Person, error) {
	d, ok := s.people.(directoryTx)
	if !ok || asked != nil {
		return asked, nil
	}
	list, err := d.PeopleWithTx(ctx, tx, identity.RoleInterpreter, "")
	if err != nil {
		return nil, fmt.Errorf("interpreters on file: %w", err)
	}
	return list, nil
}

// plan reads what is needed and enters the clinic whose case it is. The actor must
// be one who arranges for that clinic.
func (s *Service) plan(ctx context.Context, tx *audit.Tx, actor identity.Actor, w planned, candidates []identity.Person) (*plan, error) {
	v, ok := visits[w.kind]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: kind %q", ErrInvalidRequest, w.kind)
	case !known(w.ref) || !known(w.specialist):
		return nil, ErrNotFound
	}
	if w.duration == 0 {
		w.duration = v.duration
	}
	if w.duration < 5*time.Minute || w.duration > 8*time.Hour || w.duration%time.Minute != 0 {
		return nil, fmt.Errorf("%w: duration %v", ErrInvalidRequest, w.duration)
	}
	facts, err := s.cases.Facts(ctx, tx, w.ref, w.specialist)
	if err != nil {
		return nil, err
	}
	if !arranges(actor, facts.Organization) {
		return nil, ErrForbidden
	}
	if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
		return nil, err
	}
	if facts.Over {
		return nil, fmt.Errorf("case %s is over: %w", w.ref, ErrState)
	}
	if facts.LocalPhysician == "" {
		return nil, fmt.Errorf("%w: the case has no local physician", ErrInvalidRequest)
	}
	p := &plan{planned: w, by: actor, visit: v, facts: facts, now: tx.Now(), roles: map[identity.PersonID]Role{}, zones: map[identity.PersonID]string{},
		spans: map[identity.PersonID][]credentialing.Span{}, finder: s.finder}
	if err := s.gather(ctx, tx, p, candidates); err != nil {
		return nil, err
	}
	return p, nil
}

// gather fills in people, hours, busy ranges, languages and permissions.
func (s *Service) gather(ctx context.Context, tx *audit.Tx, p *plan, candidates []identity.Person) error {
	p.roles[p.facts.LocalPhysician] = RoleLocalPhysician
	if p.roles[p.specialist] != "" {
		return fmt.Errorf("%w: the local physician cannot be the specialist", ErrInvalidRequest)
	}
	p.roles[p.specialist] = RoleSpecialist
	if p.visit.patient && p.facts.Patient != "" {
		if p.roles[p.facts.Patient] != "" {
			return fmt.Errorf("%w: a clinician cannot be the patient", ErrInvalidRequest)
		}
		p.roles[p.facts.Patient] = RolePatient
	}
	seated := make([]identity.PersonID, 0, len(p.roles)+len(candidates))
	for id := range p.roles {
		seated = append(seated, id)
	}
	slices.Sort(seated)
	known, err := s.readPeople(ctx, tx, p, seated)
	if err != nil {
		return err
	}
	for _, id := range seated {
		if one, ok := p.people[id]; !ok || one.Disabled {
			return fmt.Errorf("%w: person %s", ErrNotFound, id)
		}
	}
	if err := p.needed(p.patientZone()); err != nil {
		return err
	}
	p.languages()
	if seated, err = s.readInterpreters(ctx, tx, p, candidates, seated); err != nil {
		return err
	}
	if p.interpreted {
		// At one glance: a visit that a rival takes between two would seem to leave its
		// people free and only its interpreter taken.
		if known, err = readTimes(ctx, tx, seated, p.specialist, p.from, p.to, p.duration); err != nil {
			return err
		}
	}
	taken := known.busy
	p.hours, p.rest = known.hours, known.rest
	for _, id := range seated {
		p.zones[id] = s.zoneOf(p.people[id])
		if p.roles[id] == RolePatient {
			if _, err := LoadZone(p.facts.PatientZone); err == nil {
				p.zones[id] = p.facts.PatientZone
			}
		}
		if _, ok := p.hours[id]; !ok {
			p.hours[id] = Availability{Hours: Hours{Zone: p.zones[id]}}
			if p.roles[id] == RolePatient {
				p.hours[id] = PatientHours(p.zones[id])
			}
		}
	}
	if err := s.readPermissions(ctx, tx, p); err != nil {
		return err
	}
	for _, id := range seated[:len(p.roles)] {
		one := Party{ID: string(id)}
		if p.roles[id] == RoleSpecialist && !p.wanted() {
			one.Barred = BarGender
		}
		if p.roles[id].Clinician() {
			one.Permitted = permitted(p.spans[id])
		}
		if p.roles[id] == RoleSpecialist {
			one.Presence, p.full = p.places(known.here)
			one.Full = ranges(p.full)
			taken[id] = slices.Concat(taken[id], known.elsewhere)
		}
		one.Rest = p.rested(id, p.roles[id], known.sits[id])
		p.parties = append(p.parties, p.fill(one, taken[id]))
	}
	for i := range p.helpers {
		id := identity.PersonID(p.helpers[i].ID)
		p.helpers[i].Rest = p.rested(id, RoleInterpreter, known.sits[id])
		p.helpers[i] = p.fill(p.helpers[i], taken[id])
	}
	return nil
}

// peopleInBatch is a Directory that answers PeopleTx in a batch of questions.
type peopleInBatch interface {
	QueuePeople(b *pgx.Batch, ids ...identity.PersonID) map[identity.PersonID]identity.Person
}

// readPeople reads in one round trip, where the other rooms answer so, who the people
// seated are, their times, and what is on file of the clinicians.
func (s *Service) readPeople(ctx context.Context, tx *audit.Tx, p *plan, seated []identity.PersonID) (times, error) {
	var b pgx.Batch
	known := newTimes(len(seated))
	if d, ok := s.people.(peopleInBatch); ok {
		p.people = d.QueuePeople(&b, seated...)
	} else {
		var err error
		if p.people, err = s.people.PeopleTx(ctx, tx, seated...); err != nil {
			return known, fmt.Errorf("people of the visit: %w", err)
		}
	}
	files, err := s.queueFiles(&b, tx, p)
	if err != nil {
		return known, err
	}
	queueTimes(&b, tx, seated, p.from, p.to, &known)
	queueClinic(&b, tx, p.specialist, p.from, p.to, p.duration, &known)
	queueNeeds(&b, tx, p.ref, p.facts.Patient, &p.needs)
	if p.also != nil {
		p.also(&b, tx, seated)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return known, fmt.Errorf("read the people of a visit: %w", err)
	}
	return known, files(ctx)
}

// fill adds hours and what is taken to a party.
func (p *plan) fill(one Party, taken []Range) Party {
	a := p.hours[identity.PersonID(one.ID)]
	one.Version, one.Hours, one.BufferBefore, one.BufferAfter, one.MinNotice, one.Busy = a.Version, a.Hours, a.BufferBefore, a.BufferAfter, a.MinNotice, taken
	if a.MaxAhead > 0 {
		ahead := a.MaxAhead
		one.MaxAhead = &ahead
	}
	return one
}

// languages finds out whether somebody must interpret between the people of the
// visit, the patient first: usually the patient is the one apart.
func (p *plan) languages() {
	var spoken [][]string
	if p.visit.patient {
		patient := p.facts.PatientLanguages
		if len(patient) == 0 {
			patient = p.people[p.facts.Patient].Languages
		}
		if len(patient) > 0 {
			spoken = append(spoken, patient)
		}
	}
	for _, id := range []identity.PersonID{p.facts.LocalPhysician, p.specialist} {
		spoken = append(spoken, p.people[id].Languages)
	}
	pair, needed, ok := needsInterpreter(spoken)
	p.interpreted = needed
	switch {
	case ok:
		p.pair = pair
	case needed:
		p.apart = threeApart(spoken)
	}
	if p.apart != nil { // the sides of the visit; what the physician speaks is carried too
		p.pair, p.ways = [2]string{p.apart[0][0], p.apart[2][0]}, []Way{}
	}
}

// ask is the question whether a clinician may do their part.
func (p *plan) ask(id identity.PersonID, at, through time.Time) credentialing.Ask {
	activity := credentialing.Activity(p.kind)
	if p.roles[id] == RoleLocalPhysician {
		// Who cannot decide afterwards must not be in charge: R1.
		activity = credentialing.SignDecision
	}
	c := p.facts.Context
	if p.interpreted && c.Interpreter == nil {
		c.Interpreter = credentialing.Yes() // a seat for one is part of the booking
	}
	if c.Local.ID == "" {
		c.Local.ID = p.facts.LocalPhysician
	}
	if c.Modality == "" {
		c.Modality = "live-video"
	}
	return credentialing.Ask{Person: id, Activity: activity, At: at, Through: through, Mode: credentialing.Plan, Case: c}
}

func permitted(spans []credentialing.Span) []Range {
	out := []Range{} // never nil: nil would be no limit
	for _, s := range spans {
		if s.Decision != credentialing.Deny {
			out = append(out, Range{s.From, s.To})
		}
	}
	return out
}

// query looks for starts in [from, to), counted on the anchor's clock.
func (p *plan) query(from, to time.Time, grid time.Duration) Query {
	q := Query{From: from, To: to, Duration: p.duration, Grid: grid, GridZone: p.zones[p.anchor()], Now: p.now, Avoid: p.avoid}
	if p.interpreted {
		q.Interpret = &Interpretation{Between: p.pair, Pivots: p.pivots, Ways: p.ways, Team: p.team()}
	}
	return q
}

// patientZone is the clock where the patient will be.
func (p *plan) patientZone() string {
	for _, z := range []string{p.facts.PatientZone, p.people[p.facts.Patient].Zone} {
		if _, err := LoadZone(z); err == nil {
			return z
		}
	}
	return "UTC"
}

// anchor is whose clock keeps its wall time: the patient at the site, else the local
// physician.
func (p *plan) anchor() identity.PersonID {
	if p.roles[p.facts.Patient] == RolePatient {
		return p.facts.Patient
	}
	return p.facts.LocalPhysician
}

// check tells whether everybody can at one start, and who interprets. What refuses
// is a *Refusal, or ErrSlotTaken when nothing but other seats is in the way.
func (p *plan) check(start time.Time) (crew []chair, err error) {
	s, err := p.look(p.query(start, start.Add(p.duration), time.Second))
	if err != nil {
		return nil, err
	}
	if found := s.found(-1); len(found) == 1 {
		return p.crewOf(found[0]), nil
	}
	return nil, p.refusal(s)
}

// refusal names the weightiest limit of a search for one start that found none.
func (p *plan) refusal(s *search) error {
	if s.kept != nil && s.kept.count() == 0 {
		return p.refuse(LimitNeeds, "", s.q.From)
	}
	for _, limit := range []int{limitLicense, limitNeeds, limitNotice, limitHorizon, limitHours, limitRest} {
		for _, o := range s.required {
			if o.limits[limit].count() == 0 {
				return p.refuse(personLimits[limit], identity.PersonID(o.party.ID), s.q.From)
			}
		}
	}
	for _, limit := range []int{limitCapacity, limitBusy} {
		for _, o := range s.required {
			if o.limits[limit].count() > 0 {
				continue
			}
			if limit == limitCapacity {
				return &fullSlot{p.fullLead(s.q.From), identity.PersonID(o.party.ID)}
			}
			return ErrSlotTaken
		}
	}
	if s.interpretedIfIdle() {
		return ErrSlotTaken
	}
	for _, b := range []Bar{BarGender, BarPerson, BarGender | BarPerson} {
		if s.unbarred(b).interpreted().count() > 0 {
			r := p.refuse(LimitNeeds, "", s.q.From)
			r.Need = Limit{Kind: LimitNeeds, Bar: b}.need()
			return r
		}
	}
	return p.refuse(LimitInterpreter, "", s.q.From)
}

// refuse is a Refusal with what is known of the limit. from is the start asked for,
// or the begin of a search.
func (p *plan) refuse(limit LimitKind, person identity.PersonID, from time.Time) *Refusal {
	r := &Refusal{Limit: limit, Person: person}
	switch limit {
	case LimitLicense:
		p.explain(r, from)
	case LimitRest:
		r.Rest = p.restFault(person, from)
		if r.Rest != nil {
			r.Lead = "rest:" + string(r.Rest.Rule)
		}
	case LimitCapacity:
		r.Lead = p.fullLead(from)
	case LimitNotice:
		r.Until = p.now.Add(p.hours[person].MinNotice)
	case LimitNeeds:
		r.Need = NeedTimes
		if person != "" {
			r.Need = NeedClinician
		} else if t, ok := p.touched(p.patientZone(), from); ok {
			r.Wish = &t
		}
	case LimitInterpreter:
		for _, u := range p.unqualified {
			if !slices.Contains(r.Reasons, u.Reason) {
				r.Reasons = append(r.Reasons, u.Reason)
			}
		}
		slices.Sort(r.Reasons)
		r.Lead = p.lack()
	}
	return r
}

// explain adds the first refusal of a clinician's permissions at or after from. Of
// interpreters, whose permission is their certificate, only its end is known.
func (p *plan) explain(r *Refusal, from time.Time) {
	for _, s := range p.spans[r.Person] {
		if s.Decision != credentialing.Deny {
			if s.To.Before(p.to) {
				r.Until = s.To
			}
			continue
		}
		if !s.To.After(from) {
			continue
		}
		r.Lead = s.Determination.Lead()
		if why := s.Determination.Refusal(); why != nil {
			r.Reasons, r.Rule, r.Jurisdiction = why.Reasons, why.Rule, why.Jurisdiction
		}
		return
	}
}
