package credentialing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// statementDays are how long before the end of a statement about an own place its person
// is told: a month to ask the regulator, a week to do it, and the day on which it has
// ended.
var statementDays = []int{30, 7, 0}

// statementLapses is how long after its end a statement is still told of: who has left it
// alone for a month works from elsewhere.
const statementLapses = 30 * day

// statementMark is the mark that a statement which ends at an instant has reached; false
// if it has reached none, or ended long ago.
func statementMark(ends, now time.Time) (days int, ok bool) {
	left := ends.Sub(now)
	if left < -statementLapses {
		return 0, false
	}
	for _, d := range statementDays {
		if left <= time.Duration(d)*day {
			days, ok = d, true
		}
	}
	return days, ok
}

// RemindOwnPlaces tells specialists of a statement about where they sit that ends soon,
// once at each of 30 and 7 days before and when it has ended, and returns how many were
// told. Called again it tells nobody twice. Who made another statement of the place
// meanwhile is not told of the former, nor who is disabled or works by no license.
func (s *Service) RemindOwnPlaces(ctx context.Context) (told int, err error) {
	actor := identity.System("own-place", "")
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		told = 0
		list, err := s.statements(ctx, tx)
		if err != nil {
			return err
		}
		for _, o := range list {
			days, due := statementMark(o.Until, tx.Now())
			if !due {
				continue
			}
			tag, err := tx.Exec(ctx, `
				insert into own_place_reminder (person_id, place, ends_at, days, told_at)
				values (@person, @place, @ends, @days, @now)
				on conflict on constraint own_place_reminder_once do nothing`,
				pgx.StrictNamedArgs{"person": string(o.Person), "place": o.Place, "ends": o.Until, "days": days, "now": tx.Now()})
			if err != nil {
				return mapped("remember a reminder", err)
			}
			if tag.RowsAffected() == 0 {
				continue
			}
			told++
			ev := actor.Event("statement.ending")
			if days == 0 {
				ev.Act = "statement.ended"
			}
			ev.Jurisdiction = o.Place
			ev.Objects = map[string]string{"person": string(o.Person)}
			ev.Reason = "within-" + strconv.Itoa(days)
			ev.Tell = []string{string(o.Person)}
			tx.Append(ev)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("remind of statements that end: %w", err)
	}
	return told, nil
}

// statements are the last statements about own places of everybody who works by a
// license, sorted by person and place.
func (s *Service) statements(ctx context.Context, tx *audit.Tx) ([]OwnPlaceState, error) {
	people, err := selectPeopleOnFile(ctx, tx)
	if err != nil {
		return nil, err
	}
	signed, err := selectOwnPlaces(ctx, tx, people)
	if err != nil {
		return nil, err
	}
	people = slices.DeleteFunc(people, func(id identity.PersonID) bool { return len(signed[id]) == 0 })
	held, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
	if err != nil {
		return nil, err
	}
	gone, err := selectDisabled(ctx, tx, people)
	if err != nil {
		return nil, err
	}
	var out []OwnPlaceState
	for _, id := range people {
		c := held[id]
		if c == nil || gone[id] || !relied(c.List) {
			continue
		}
		for _, o := range ownPlacesOf(s.Rules(), *c, signed[id], tx.Now()) {
			if !o.SignedAt.IsZero() {
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b OwnPlaceState) int { return compare(string(a.Person)+a.Place, string(b.Person)+b.Place) })
	return out, nil
}

// selectDisabled are those of some people who take part no more.
func selectDisabled(ctx context.Context, tx *audit.Tx, people []identity.PersonID) (map[identity.PersonID]bool, error) {
	rows, err := tx.Query(ctx, `select id::text from person where id = any($1::uuid[]) and disabled_at is not null`, idStrings(people))
	if err != nil {
		return nil, mapped("who is disabled", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	out := map[identity.PersonID]bool{}
	for _, id := range ids {
		out[identity.PersonID(id)] = true
	}
	return out, mapped("who is disabled", err)
}
