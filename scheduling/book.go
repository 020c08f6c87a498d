package scheduling

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

// BookRequest asks for the seats of a visit.
type BookRequest struct {
	// Key is made by the form: the same key of the same person books once.
	Key        string
	Case       CaseRef
	Kind       Kind
	Specialist identity.PersonID
	// Start is the instant; or StartLocal is what the clock of Zone shall show then.
	Start      time.Time
	StartLocal *Wall
	Zone       string
	// Occurrence says which one is meant when the clock shows StartLocal twice: 1 or 2.
	Occurrence int
	Duration   time.Duration // 0 is what the kind of visit asks for
	// Interpreter, if named, is the only one considered; "" takes the search's choice.
	Interpreter identity.PersonID
	// Note is shown to the people seated. It must not speak of the patient.
	Note string
	// Override is a written reason for which staff sets hours, notice, horizon and rest
	// aside. It must not speak of the patient.
	Override string
	hold     time.Duration // 0 books; see Hold
}

const maxNote = 500

// start is the instant that the request means.
func (r BookRequest) start() (time.Time, error) {
	if r.StartLocal == nil {
		if r.Start.IsZero() || r.Start.Nanosecond() != 0 {
			return time.Time{}, fmt.Errorf("%w: start", ErrInvalidRequest)
		}
		return r.Start.UTC(), nil
	}
	loc, err := LoadZone(r.Zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	c := CheckWall(loc, *r.StartLocal)
	switch {
	case c.Kind == WallOK:
		return c.NextAt, nil
	case c.Kind == WallFold && (r.Occurrence == 1 || r.Occurrence == 2):
		return c.Instants[r.Occurrence-1], nil
	}
	return time.Time{}, &WallRefusal{Zone: r.Zone, Wall: *r.StartLocal, Check: c}
}

// hash is what the idempotency key stands for.
func (r BookRequest) hash(start time.Time) ([]byte, error) {
	all := map[string]any{
		"case": string(r.Case), "kind": string(r.Kind), "specialist": string(r.Specialist), "start": start.Unix(),
		"duration": int64(r.Duration / time.Second), "interpreter": string(r.Interpreter), "note": r.Note,
	}
	if r.Override != "" {
		all["override"] = r.Override
	}
	if r.hold > 0 {
		all["hold"] = int64(r.hold / time.Second)
	}
	b, err := audit.Canonical(all)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// Book takes all seats of a visit or none, and returns the appointment. What refuses
// is a *Refusal, a *WallRefusal, or a *SlotTaken with the nearest free starts; then
// nothing is left behind. The same Key books once and returns the same appointment.
func (s *Service) Book(ctx context.Context, actor identity.Actor, req BookRequest) (Appointment, error) {
	req.Key = strings.TrimSpace(req.Key)
	if req.Key == "" || len(req.Key) > 100 || len(req.Note) > maxNote {
		return Appointment{}, fmt.Errorf("%w: key or note", ErrInvalidRequest)
	}
	start, err := req.start()
	if err != nil {
		return Appointment{}, err
	}
	if req.Override, err = req.override(); err != nil {
		return Appointment{}, err
	}
	hash, err := req.hash(start)
	if err != nil {
		return Appointment{}, err
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Appointment{}, err
	}
	var booked Appointment
	write := func() error {
		return s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
			booked, err = s.book(ctx, tx, actor, req, start, hash, candidates)
			return err
		})
	}
	if err = write(); errors.Is(err, errClaimed) {
		err = write() // it finds what the key was used for
	}
	if errors.Is(err, ErrSlotTaken) {
		return Appointment{}, s.taken(ctx, actor, req, start, err)
	}
	if err != nil {
		return Appointment{}, fmt.Errorf("book for case %s: %w", req.Case, err)
	}
	return booked, nil
}

func (s *Service) book(ctx context.Context, tx *audit.Tx, actor identity.Actor, req BookRequest, start time.Time, hash []byte, candidates []identity.Person) (Appointment, error) {
	duration := req.Duration
	if duration == 0 {
		duration = visits[req.Kind].duration
	}
	w := planned{ref: req.Case, kind: req.Kind, specialist: req.Specialist, duration: duration,
		from: start, to: start.Add(duration)}
	if req.Interpreter != "" {
		w.interpreters = []identity.PersonID{req.Interpreter}
	}
	var used usedKey
	w.also = func(b *pgx.Batch, tx *audit.Tx, _ []identity.PersonID) {
		queueKey(b, tx, actorKey(actor), req.Key, &used)
	}
	p, err := s.plan(ctx, tx, actor, w, candidates)
	if err != nil {
		return Appointment{}, err
	}
	if used.appointment != "" {
		return used.again(ctx, tx, hash)
	}
	crew, aside, err := s.judge(ctx, tx, p, req, start)
	if err != nil {
		// A rival with the same key may have taken the seats since the key was looked for.
		if used, e := keyUsed(ctx, tx, actorKey(actor), req.Key); e != nil || used.appointment != "" {
			if e != nil {
				return Appointment{}, e
			}
			return used.again(ctx, tx, hash)
		}
		return Appointment{}, err
	}
	id, err := newID()
	if err != nil {
		return Appointment{}, err
	}
	// All that is written goes in one round trip: first the key, then what the rows that
	// follow rest on.
	var b pgx.Batch
	queueClaim(&b, tx, actorKey(actor), req.Key, hash, AppointmentID(id))
	p.later = &b
	a, err := s.draft(ctx, tx, actor, p, AppointmentID(id), start, crew)
	if err != nil {
		return Appointment{}, err
	}
	a.Note = strings.TrimSpace(req.Note)
	if len(aside) > 0 {
		a.Override, a.Overridden = req.Override, aside
	}
	if req.hold > 0 {
		a.State, a.HeldUntil = StateHeld, tx.Now().Add(req.hold)
	}
	list, err := s.reminders(ctx, tx, a, p.people)
	if err != nil {
		return Appointment{}, err
	}
	if err := queueAppointment(&b, a); err != nil {
		return Appointment{}, err
	}
	queueAllSeats(&b, tx, a)
	queueReminderRows(&b, tx, list)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return Appointment{}, fmt.Errorf("keep a booking: %w", err)
	}
	switch {
	case a.State == StateHeld:
		tx.Append(a.heldEvent(actor, p.facts.Context.Places))
	case len(crew) > 0:
		return a, s.asked(ctx, tx, a, a.bookedEvent(actor, p.facts.Context.Places))
	default: // nobody is to be asked, and the visit stands
		e := a.bookedEvent(actor, p.facts.Context.Places)
		e.Tell = a.told(true)
		tx.Append(e)
	}
	return a, nil
}

// judge says who interprets and which limits are set aside, or why it cannot be.
func (s *Service) judge(ctx context.Context, tx *audit.Tx, p *plan, req BookRequest, start time.Time) (crew []chair, aside []Overridden, err error) {
	if req.Override != "" {
		if aside, err = p.setAside(start); err != nil {
			return nil, nil, err
		}
	}
	if crew, err = p.check(start); err != nil {
		return nil, nil, err
	}
	return crew, aside, s.keepRest(ctx, tx, p, start, crew, aside)
}

// again is the appointment that a key was used for, if the request is the same.
func (u usedKey) again(ctx context.Context, tx *audit.Tx, hash []byte) (Appointment, error) {
	if !bytes.Equal(u.hash, hash) {
		return Appointment{}, ErrKeyReused
	}
	return appointment(ctx, tx, u.appointment, false)
}

// actorKey is whose idempotency keys they are: a person's, or those of all jobs.
func actorKey(a identity.Actor) string {
	if a.Person == "" {
		return "00000000-0000-0000-0000-000000000000"
	}
	return string(a.Person)
}

// draft is the appointment with its seats, each clinician's resting on a stored
// determination over the whole of it.
func (s *Service) draft(ctx context.Context, tx *audit.Tx, actor identity.Actor, p *plan, id AppointmentID, start time.Time, crew []chair) (Appointment, error) {
	anchor := p.anchor()
	loc, err := LoadZone(p.zones[anchor])
	if err != nil {
		return Appointment{}, err
	}
	state := StateBooked
	if len(crew) > 0 {
		state = StatePending // until the interpreter says yes
	}
	a := Appointment{ID: id, Organization: p.facts.Organization, Kind: p.kind, Case: p.ref, StartLocal: WallAt(loc, start),
		AnchorZone: p.zones[anchor], AnchorPerson: anchor, StartAt: start, Duration: p.duration, ZoneVersion: ZoneVersion(),
		UID: ical.UID(string(id), s.host), State: state, Tasks: []Task{}, Version: 1, CreatedBy: actor.Person, CreatedAt: tx.Now()}
	if p.interpreted {
		a.Interpreted = p.pair
	}
	determined, err := s.determine(ctx, tx, actor, p, start, a.End())
	if err != nil {
		return a, err
	}
	for _, person := range p.order() {
		seat, err := p.seat(person, p.roles[person], start, actor)
		if err != nil {
			return a, err
		}
		if seat.Role.Clinician() {
			d := determined[person]
			if why := d.Refusal(); why != nil {
				return a, &Refusal{Limit: LimitLicense, Person: person, Reasons: why.Reasons, Lead: d.Lead(), Rule: why.Rule,
					Jurisdiction: why.Jurisdiction, Until: why.Until}
			}
			seat.Determination = string(d.ID)
			a.Tasks = append(a.Tasks, tasksOf(d, person)...)
		}
		a.Seats = append(a.Seats, seat)
	}
	for _, c := range crew {
		seat, err := p.seat(c.person, RoleInterpreter, start, actor)
		if err != nil {
			return a, err
		}
		seat.Pair, seat.Leg = c.pair, c.leg
		a.Seats = append(a.Seats, seat)
	}
	slices.SortFunc(a.Seats, func(x, y Seat) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return a, nil
}

func (p *plan) seat(person identity.PersonID, role Role, start time.Time, actor identity.Actor) (Seat, error) {
	id, err := newID()
	if err != nil {
		return Seat{}, err
	}
	h := p.hours[person]
	seat := Seat{ID: SeatID(id), Person: person, Role: role, Required: true, Response: NeedsAction,
		During: Range{start.Add(-h.BufferBefore), start.Add(p.duration + h.BufferAfter)}}
	if person == actor.Person {
		seat.Response = Accepted
	}
	return seat, nil
}

// tasksOf are the conditions that must be met before the visit starts.
func tasksOf(d credentialing.Determination, person identity.PersonID) []Task {
	var out []Task
	for _, c := range d.Conditions {
		if name, ok := strings.CutPrefix(c, "before:"); ok {
			out = append(out, Task{Condition: name, Person: person, Activity: string(d.Activity)})
		}
	}
	return out
}

// taken is what is free instead of a start that was taken.
func (s *Service) taken(ctx context.Context, actor identity.Actor, req BookRequest, start time.Time, cause error) error {
	answer, err := s.Search(ctx, actor, SearchRequest{Case: req.Case, Kind: req.Kind, Specialist: req.Specialist, Duration: req.Duration,
		From: start.Add(-3 * 24 * time.Hour), To: start.Add(10 * 24 * time.Hour), Limit: 13 * 24 * 4})
	if err != nil {
		return fmt.Errorf("nearest free starts: %w", err)
	}
	away := func(x Slot) time.Duration { return x.Start.Sub(start).Abs() }
	near := answer.Slots
	slices.SortStableFunc(near, func(x, y Slot) int {
		return cmp.Or(len(x.Unmet)-len(y.Unmet), cmp.Compare(away(x), away(y)))
	})
	return slotTaken(near[:min(3, len(near))], cause)
}

// slotTaken is what refused a start as taken, with what is free instead.
func slotTaken(near []Slot, cause error) *SlotTaken {
	out := &SlotTaken{Nearest: near}
	if full := (*fullSlot)(nil); errors.As(cause, &full) {
		out.Full, out.Whose = full.lead, full.whose
	}
	return out
}
