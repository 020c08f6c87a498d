package scheduling

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

const (
	// fairDays is how far back the ledger of fair hours counts.
	fairDays = 90 * 24 * time.Hour
	// fairest is how many of the fairest starts a search names.
	fairest = 3
)

// FairNote is what one person of a search carried of late.
type FairNote struct {
	Person  identity.PersonID
	Name    string
	Balance int // weighed minutes over 90 days
	// Hard of the last Visits visits were early, late, at night or on a day off.
	Hard, Visits int
}

// workDates are the local dates on which somebody publishes to be there, between two
// instants; nil if nothing is published, so that no day is known to be off.
func workDates(h Hours, from, to time.Time) (map[Date]bool, error) {
	if len(h.Rules) == 0 {
		return nil, nil
	}
	loc, err := LoadZone(h.Zone)
	if err != nil {
		return nil, err
	}
	windows, err := h.Expand(from.Add(-48*time.Hour), to.Add(48*time.Hour))
	if err != nil {
		return nil, err
	}
	out := map[Date]bool{}
	for _, w := range windows {
		last := WallAt(loc, w.End.Add(-time.Second)).Date
		for d := WallAt(loc, w.Start).Date; d <= last; d++ {
			out[d] = true
		}
	}
	return out, nil
}

// hardness weighs a visit that begins at a wall time: each minute by the clock, and
// one more on a day off (design scheduling, section 8).
func hardness(w Wall, duration time.Duration, work map[Date]bool) int {
	const day = 24 * 60
	sum, end := 0, int(w.Minute)+int(duration/time.Minute)
	for at := int(w.Minute); at < end; { // stretch by stretch of equal weight
		next := at - at%day + day
		for _, hour := range weightChanges {
			if at%day < hour*60 {
				next = at - at%day + hour*60
				break
			}
		}
		n := min(next, end) - at
		sum += n * weight(at%day)
		if work != nil && !work[w.Date+Date(at/day)] {
			sum += n
		}
		at += n
	}
	return sum
}

// weigh enters a visit that took place into the ledger, once for each person who
// sat in it.
func (s *Service) weigh(ctx context.Context, tx *audit.Tx, id AppointmentID) error {
	a, err := appointment(ctx, tx, id, false)
	if err != nil {
		return err
	}
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if !seat.Released {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, ids...)
	if err != nil {
		return fmt.Errorf("clocks of the ledger: %w", err)
	}
	hours, err := availabilities(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, person := range ids {
		zone := s.zoneIn(a, people[person])
		loc, err := LoadZone(zone)
		if err != nil {
			return err
		}
		work, err := workDates(hours[person].Hours, a.StartAt, a.End())
		if err != nil {
			return err
		}
		if err := insertFairHours(ctx, tx, a, person, zone, hardness(WallAt(loc, a.StartAt), a.Duration, work)); err != nil {
			return err
		}
	}
	return nil
}

// fair adds to an answer what each person carried of late, and the starts that are
// fairest: what the patient wished first, then smallest highest balance, then earliest. It
// takes no start away. known is what some of them carried.
func (p *plan) fair(ctx context.Context, tx *audit.Tx, out *SearchAnswer, known map[identity.PersonID]FairNote) error {
	if len(out.Slots) == 0 {
		return nil
	}
	var ids []identity.PersonID
	work := map[identity.PersonID]map[Date]bool{}
	for _, slot := range out.Slots {
		for _, o := range slot.Parties {
			if _, ok := work[o.Person]; ok {
				continue
			}
			var err error
			if work[o.Person], err = workDates(p.hours[o.Person].Hours, p.from, p.to); err != nil {
				return err
			}
			ids = append(ids, o.Person)
		}
	}
	slices.Sort(ids)
	notes := known
	if slices.ContainsFunc(ids, func(id identity.PersonID) bool { _, ok := known[id]; return !ok }) {
		var err error
		if notes, err = fairHours(ctx, tx, ids); err != nil {
			return err
		}
	}
	highest := make([]int, len(out.Slots))
	order := make([]int, len(out.Slots))
	for i, slot := range out.Slots {
		order[i] = i
		for _, o := range slot.Parties {
			highest[i] = max(highest[i], notes[o.Person].Balance+hardness(o.Clock.Wall, slot.Duration, work[o.Person]))
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(len(out.Slots[a].Unmet)-len(out.Slots[b].Unmet), highest[a]-highest[b])
	})
	for _, i := range order[:min(fairest, len(order))] {
		out.Fairest = append(out.Fairest, out.Slots[i])
	}
	for _, id := range ids {
		if n := notes[id]; n.Visits > 0 {
			n.Name = p.people[id].Name
			out.Fair = append(out.Fair, n)
		}
	}
	slices.SortStableFunc(out.Fair, func(a, b FairNote) int { return b.Balance - a.Balance })
	return nil
}

func insertFairHours(ctx context.Context, tx *audit.Tx, a Appointment, person identity.PersonID, zone string, weight int) error {
	_, err := tx.Exec(ctx, `
		insert into fair_hours_entry (appointment_id, person_id, organization_id, start_at, zone, weight)
		values (@appointment, @person, @organization, @start, @zone, @weight)
		on conflict (appointment_id, person_id) do nothing`,
		pgx.StrictNamedArgs{"appointment": string(a.ID), "person": string(person), "organization": string(a.Organization), "start": a.StartAt,
			"zone": zone, "weight": weight})
	if err != nil {
		return fmt.Errorf("insert fair hours: %w", err)
	}
	return nil
}

// fairHours reads balances over all clinics. Index fair_hours_entry_person.
func fairHours(ctx context.Context, tx *audit.Tx, people []identity.PersonID) (map[identity.PersonID]FairNote, error) {
	var b pgx.Batch
	out := queueFair(&b, tx, people)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("read fair hours: %w", err)
	}
	return out, nil
}

// queueFair queues what fairHours reads; what it returns is filled when the batch is read.
func queueFair(b *pgx.Batch, tx *audit.Tx, people []identity.PersonID) map[identity.PersonID]FairNote {
	out := make(map[identity.PersonID]FairNote, len(people))
	b.Queue(`
		select person_id::text, balance, hard, visits
		from fair_hours($1::uuid[], $2)`, strs(people), tx.Now().Add(-fairDays)).Query(func(rows pgx.Rows) error {
		var n FairNote
		_, err := pgx.ForEachRow(rows, []any{&n.Person, &n.Balance, &n.Hard, &n.Visits}, func() error {
			out[n.Person] = n
			return nil
		})
		return err
	})
	return out
}
