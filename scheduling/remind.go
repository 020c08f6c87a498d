package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ReminderKind is which of the reminders of a visit it is.
type ReminderKind string

// The reminders of a visit, in the order in which they are sent.
const (
	RemindWeek ReminderKind = "week"
	RemindDay  ReminderKind = "day"
	RemindHour ReminderKind = "hour"
	RemindSoon ReminderKind = "soon" // time to check camera and microphone
)

// reminders are the defaults: how long before the start, and whether one that falls
// into the night waits for the morning.
var reminders = []struct {
	kind   ReminderKind
	before time.Duration
	waits  bool
}{
	{RemindWeek, 7 * 24 * time.Hour, true},
	{RemindDay, 24 * time.Hour, true},
	{RemindHour, time.Hour, false},
	{RemindSoon, 10 * time.Minute, false},
}

const (
	// remindersAhead is how long before it is due a reminder becomes a job.
	remindersAhead = 24 * time.Hour
	reminderBatch  = 1000
)

// reminder is one planned mail to one seat. It holds for one sequence of the visit:
// after a move it is stale.
type reminder struct {
	id          string
	appointment AppointmentID
	seat        SeatID
	kind        ReminderKind
	dueAt       time.Time
	sequence    int
}

// Awake is at, or the end of the quiet hours when the clock of loc shows one then.
func Awake(loc *time.Location, at time.Time, q identity.Quiet) time.Time {
	w := WallAt(loc, at)
	if !q.Holds(int(w.Minute)) {
		return at
	}
	end := Wall{w.Date, Minute(q.Until)}
	if q.From > q.Until && int(w.Minute) >= q.From {
		end.Date++
	}
	return later(at, ResolveWall(loc, end))
}

// awake is Awake with the quiet hours of whoever said nothing.
func awake(loc *time.Location, at time.Time) time.Time { return Awake(loc, at, identity.DefaultQuiet) }

// quietTx is a Directory that knows the quiet hours of people.
type quietTx interface {
	QuietTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Quiet, error)
}

// quiet are the quiet hours of people who stated some.
func (s *Service) quiet(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Quiet, error) {
	d, ok := s.people.(quietTx)
	if !ok {
		return nil, nil
	}
	out, err := d.QuietTx(ctx, tx, ids...)
	if err != nil {
		return nil, fmt.Errorf("quiet hours: %w", err)
	}
	return out, nil
}

// due is when a reminder of a visit goes out to somebody.
func (k ReminderKind) due(start time.Time, loc *time.Location, q identity.Quiet) time.Time {
	for _, r := range reminders {
		switch {
		case r.kind != k:
		case r.waits:
			return Awake(loc, start.Add(-r.before), q)
		default:
			return start.Add(-r.before)
		}
	}
	return start
}

// remindersOf are the reminders of a person on a clock that are still to come.
func remindersOf(a Appointment, loc *time.Location, q identity.Quiet, now time.Time) []reminder {
	var out []reminder
	for _, k := range reminders {
		due := k.kind.due(a.StartAt, loc, q)
		if due.After(now) && due.Before(a.StartAt) {
			out = append(out, reminder{appointment: a.ID, kind: k.kind, dueAt: due, sequence: a.Sequence})
		}
	}
	return out
}

// overtaken tells that a reminder comes so late that the next one is due as well.
func (k ReminderKind) overtaken(start, now time.Time) bool {
	for i, r := range reminders {
		if r.kind == k {
			return !now.Before(start) || i+1 < len(reminders) && !now.Before(start.Add(-reminders[i+1].before))
		}
	}
	return true
}

// planReminders plans the reminders of everybody seated, for the visit's present
// time; those of another time are void. What was planned stays.
func (s *Service) planReminders(ctx context.Context, tx *audit.Tx, a Appointment) error {
	if a.Sequence > 0 { // before the first move there is no other time
		if err := voidReminders(ctx, tx, a, a.Sequence); err != nil {
			return err
		}
	}
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if !seat.Released {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, ids...)
	if err != nil {
		return fmt.Errorf("clocks of reminders: %w", err)
	}
	list, err := s.reminders(ctx, tx, a, people)
	if err != nil {
		return err
	}
	return insertReminders(ctx, tx, list)
}

// reminders are those of everybody seated, who are among people.
func (s *Service) reminders(ctx context.Context, tx *audit.Tx, a Appointment, people map[identity.PersonID]identity.Person) ([]reminder, error) {
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if !seat.Released {
			ids = append(ids, seat.Person)
		}
	}
	quiet, err := s.quiet(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	var list []reminder
	for _, seat := range a.Seats {
		if seat.Released {
			continue
		}
		hours, ok := quiet[seat.Person]
		if !ok {
			hours = identity.DefaultQuiet
		}
		loc, err := LoadZone(s.zoneIn(a, people[seat.Person]))
		if err != nil {
			return nil, err
		}
		for _, r := range remindersOf(a, loc, hours, tx.Now()) {
			r.seat = seat.ID
			if r.id, err = newID(); err != nil {
				return nil, err
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// zoneIn is the clock of a person for a visit: that of the place where the visit is
// anchored, else their own.
func (s *Service) zoneIn(a Appointment, p identity.Person) string {
	if a.AnchorPerson == p.ID {
		return a.AnchorZone
	}
	return s.zoneOf(p)
}

// ReminderJob is a reminder that a background job shall send when it is due.
type ReminderJob struct {
	Reminder     string
	Organization identity.OrganizationID
	DueAt        time.Time

	kind       ReminderKind
	start      time.Time
	person     identity.PersonID
	anchor     identity.PersonID
	anchorZone string
}

// wakeLater lets reminders respect the quiet hours that people have stated since they
// were planned.
func (s *Service) wakeLater(ctx context.Context, tx *audit.Tx, jobs []ReminderJob) error {
	var ids []identity.PersonID
	for _, j := range jobs {
		ids = append(ids, j.person)
	}
	quiet, err := s.quiet(ctx, tx, ids...)
	if err != nil || len(quiet) == 0 {
		return err
	}
	people, err := s.people.PeopleTx(ctx, tx, ids...)
	if err != nil {
		return fmt.Errorf("clocks of reminders: %w", err)
	}
	for i := range jobs {
		j := &jobs[i]
		q, stated := quiet[j.person]
		if !stated {
			continue
		}
		loc, err := LoadZone(s.zoneIn(Appointment{AnchorPerson: j.anchor, AnchorZone: j.anchorZone}, people[j.person]))
		if err != nil {
			return err
		}
		j.DueAt = j.kind.due(j.start, loc, q).UTC()
	}
	return nil
}

// QueueReminders hands the reminders that fall due within a day to enqueue, which
// makes jobs of them in the transaction it is given: each reminder becomes one job or
// stays planned. Before that it plans those of visits that moved or got somebody new.
func (s *Service) QueueReminders(ctx context.Context, enqueue func(ctx context.Context, tx pgx.Tx, jobs []ReminderJob) error) (int, error) {
	if err := s.planMissing(ctx); err != nil {
		return 0, fmt.Errorf("plan reminders: %w", err)
	}
	total := 0
	for {
		n := 0
		err := s.write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
			n = 0
			due, err := remindersDue(ctx, tx, tx.Now().Add(remindersAhead), reminderBatch)
			if err != nil {
				return err
			}
			for org, ids := range due {
				if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org)}); err != nil {
					return err
				}
				jobs, err := queueReminders(ctx, tx, org, ids)
				if err != nil {
					return err
				}
				if len(jobs) == 0 {
					continue
				}
				if err := s.wakeLater(ctx, tx, jobs); err != nil {
					return err
				}
				if err := enqueue(ctx, tx.Tx, jobs); err != nil {
					return fmt.Errorf("enqueue: %w", err)
				}
				n += len(jobs)
			}
			return nil
		})
		if err != nil {
			return total, fmt.Errorf("queue reminders: %w", err)
		}
		total += n
		if n < reminderBatch {
			return total, nil
		}
	}
}

func (s *Service) planMissing(ctx context.Context) error {
	for {
		var missing map[identity.OrganizationID][]string
		err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			missing, err = remindersMissing(ctx, tx, reminderBatch)
			return err
		})
		if err != nil {
			return err
		}
		n := 0
		for org, ids := range missing {
			for _, id := range ids {
				n++
				err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) error {
					a, err := appointment(ctx, tx, AppointmentID(id), true)
					if err != nil || !a.State.Occupies() {
						return err
					}
					return s.planReminders(ctx, tx, a)
				})
				if err != nil {
					return fmt.Errorf("appointment %s: %w", id, err)
				}
			}
		}
		if n < reminderBatch {
			return nil
		}
	}
}

// Remind sends a reminder that was queued: the event of it and the job that writes
// the mail commit together, so it goes out once however often this is called. One
// that is stale is dropped: the visit was moved, is off or not sure, the person has no
// seat any more, or it is so late that the next reminder is due.
func (s *Service) Remind(ctx context.Context, org identity.OrganizationID, id string) error {
	if !known(org) || !known(id) {
		return ErrNotFound
	}
	err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) error {
		r, state, err := reminderOf(ctx, tx, id)
		if err != nil || state != "queued" {
			return err
		}
		a, err := appointment(ctx, tx, r.appointment, true)
		if err != nil {
			return err
		}
		var seat Seat
		for _, o := range a.Seats {
			if o.ID == r.seat && !o.Released {
				seat = o
			}
		}
		next := "sent"
		if seat.ID == "" || a.Sequence != r.sequence || a.State != StateBooked || r.kind.overtaken(a.StartAt, tx.Now()) {
			next = "dropped"
		}
		mine, err := endReminder(ctx, tx, id, next)
		if err != nil || !mine || next == "dropped" {
			return err
		}
		e := identity.System("reminders", org).Event("appointment.reminded")
		e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(seat.ID), "reminder": id}
		e.Reason = string(r.kind)
		e.Tell = []string{string(seat.Person)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reminder %s: %w", id, err)
	}
	return nil
}
