package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

const (
	// hourNotice is how long before a window whose hour moves people are told first.
	hourNotice = 14 * 24 * time.Hour
	// changeNotice is how long before the clocks change they are told once more: within
	// it, they plan the week.
	changeNotice = 72 * time.Hour
	// tellApart is the least time between the two.
	tellApart = 24 * time.Hour
)

// TellHourMoves tells people beforehand of the presences that will begin at another
// hour of their clock than before, because the clocks of one side change: two weeks
// before the first window at the new hour, and once more 72 hours before the clocks
// change. It returns of how many windows it told somebody. It is a job and may be
// repeated: it tells each thing once.
func (s *Service) TellHourMoves(ctx context.Context) (moved int, err error) {
	var due map[identity.OrganizationID][]string
	if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = presencesUntold(ctx, tx, tx.Now().Add(hourNotice))
		return err
	}); err != nil {
		return 0, err
	}
	for org, ids := range due {
		for _, id := range ids {
			var n int
			if err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
				n, err = s.tellHourMoves(ctx, tx, PresenceID(id))
				return err
			}); err != nil {
				return moved, fmt.Errorf("tell when the hour moves of presence %s: %w", id, err)
			}
			moved += n
		}
	}
	return moved, nil
}

func (s *Service) tellHourMoves(ctx context.Context, tx *audit.Tx, id PresenceID) (moved int, err error) {
	actor := identity.System("presence", identity.OrganizationID(tx.Scope.Organization))
	p, err := openPresence(ctx, tx, actor, id, true)
	if err != nil {
		return 0, err
	}
	first, err := markTold(ctx, tx, p, tx.Now().Add(hourNotice))
	if err != nil {
		return 0, err
	}
	again, err := markReminded(ctx, tx, p)
	if err != nil || len(first)+len(again) == 0 {
		return 0, err
	}
	people, err := s.hostPeople(ctx, tx, p.Organization)
	if err != nil {
		return 0, err
	}
	own, err := s.people.PeopleTx(ctx, tx, p.Person)
	if err != nil {
		return 0, err
	}
	if one, ok := own[p.Person]; ok && !one.Disabled {
		people = append(people, one)
	}
	tell, change := map[Wall][]string{}, map[Wall]time.Time{}
	for _, person := range people {
		zone := s.zoneOf(person)
		moves, err := p.HourMoves(zone)
		if err != nil {
			return 0, err
		}
		for _, m := range moves {
			if !first[m.At.Local] && !again[m.At.Local] {
				continue
			}
			tell[m.At.Local] = append(tell[m.At.Local], string(person.ID))
			at, err := m.change(p.AnchorZone, zone)
			if err != nil {
				return 0, err
			}
			if had, ok := change[m.At.Local]; !ok || at.Before(had) {
				change[m.At.Local] = at
			}
		}
	}
	for _, w := range p.Windows {
		who := tell[w.Occurrence]
		if len(who) == 0 {
			continue
		}
		if first[w.Occurrence] {
			if due := tellAgain(w.Start, change[w.Occurrence]); due.After(tx.Now().Add(tellApart)) {
				if err := planReminded(ctx, tx, p, w.Occurrence, due); err != nil {
					return 0, err
				}
			}
		}
		e := actor.Event("presence.hour_moves")
		e.Objects = map[string]string{"presence": string(p.ID), "occurrence": w.Occurrence.String()}
		e.Detail = map[string]any{"start": w.Start.Format(time.RFC3339), "again": again[w.Occurrence], "tzdata": ZoneVersion()}
		e.Tell = who
		tx.Append(e)
		moved++
	}
	return moved, nil
}

// tellAgain is when people are told once more of a window whose hour moves: 72 hours
// before the clocks change, of a rare window that is only much later before itself.
func tellAgain(start, change time.Time) time.Time {
	if change.Before(start.Add(-hourNotice)) {
		return start.Add(-changeNotice)
	}
	return change.Add(-changeNotice)
}

// change is the instant at which the first of some clocks changes between the two
// occurrences, the later one itself if none does.
func (m HourMove) change(zones ...string) (time.Time, error) {
	out := m.At.Start
	for _, zone := range zones {
		loc, err := LoadZone(zone)
		if err != nil {
			return time.Time{}, err
		}
		_, before := m.Before.Start.In(loc).Zone()
		for at := m.Before.Start; ; {
			_, end := at.In(loc).ZoneBounds()
			if end.IsZero() || !end.Before(out) {
				break
			}
			if _, offset := end.In(loc).Zone(); offset != before {
				out = end.UTC()
				break
			}
			at = end
		}
	}
	return out, nil
}

func presencesUntold(ctx context.Context, tx *audit.Tx, until time.Time) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `
		select organization_id::text, presence_id::text
		from presences_untold($1, $2)`, tx.Now(), until)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("presences to look at: %w", err)
	}
	return out, nil
}

// markTold notes that the windows of a presence until then were looked at, and
// returns their occurrences.
func markTold(ctx context.Context, tx *audit.Tx, p Presence, until time.Time) (map[Wall]bool, error) {
	rows, err := tx.Query(ctx, `
		update presence_window
		set told_at = $3
		where organization_id = $1 and presence_id = $2 and told_at is null and state <> 'canceled' and lower(during) > $3 and lower(during) <= $4
		returning occurrence_local`, string(p.Organization), string(p.ID), tx.Now(), until)
	if err != nil {
		return nil, fmt.Errorf("note windows: %w", err)
	}
	return occurrencesOf(rows)
}

// planReminded notes when people are told once more that the hour of a window moves.
func planReminded(ctx context.Context, tx *audit.Tx, p Presence, occurrence Wall, at time.Time) error {
	if _, err := tx.Exec(ctx, `
		update presence_window
		set remind_at = $4
		where organization_id = $1 and presence_id = $2 and occurrence_local = $3`,
		string(p.Organization), string(p.ID), occurrence.asUTC(), at); err != nil {
		return fmt.Errorf("plan to tell again: %w", err)
	}
	return nil
}

// markReminded notes that people are told once more of the windows of a presence of
// which that is due, and returns their occurrences.
func markReminded(ctx context.Context, tx *audit.Tx, p Presence) (map[Wall]bool, error) {
	rows, err := tx.Query(ctx, `
		update presence_window
		set remind_at = null
		where organization_id = $1 and presence_id = $2 and remind_at <= $3 and state <> 'canceled' and lower(during) > $3
		returning occurrence_local`, string(p.Organization), string(p.ID), tx.Now())
	if err != nil {
		return nil, fmt.Errorf("note windows: %w", err)
	}
	return occurrencesOf(rows)
}

func occurrencesOf(rows pgx.Rows) (map[Wall]bool, error) {
	out := map[Wall]bool{}
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&at}, func() error {
		out[WallAt(time.UTC, at)] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("note windows: %w", err)
	}
	return out, nil
}

// PresenceLetter is what mail needs to write to one person about a presence.
type PresenceLetter struct {
	Presence Presence
	Person   identity.Person
	Zone     string // the clock to write times in
	Link     string
	// Window is the one the letter is about; of the presence as a whole the first that
	// is still to come. Zero if there is none.
	Window Window
	// Moves are the occurrences to come at which the hour moves on the person's clock.
	Moves []HourMove
	host  string
}

// Letter gathers what one person is written about a presence: its specialist, or one
// of its clinic. actor is the job that writes, or the person themselves. occurrence
// names a window, "" the presence as a whole.
func (s *Service) Letter(ctx context.Context, actor identity.Actor, id PresenceID, occurrence string, person identity.PersonID) (PresenceLetter, error) {
	if actor.Job == "" && actor.Person != person {
		return PresenceLetter{}, ErrForbidden
	}
	var out PresenceLetter
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		p, err := openPresence(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		people, err := s.people.PeopleTx(ctx, tx, person)
		if err != nil {
			return err
		}
		one, ok := people[person]
		if !ok {
			return ErrNotFound
		}
		out = PresenceLetter{Presence: p, Person: one, Zone: s.zoneOf(one), Link: s.origin + "/presence/" + string(p.ID), host: s.host}
		now := tx.Now()
		for _, w := range p.Windows {
			if w.Occurrence.String() == occurrence || occurrence == "" && w.State.On() && w.End.After(now) && out.Window.Start.IsZero() {
				out.Window = w
			}
		}
		moves, err := p.HourMoves(out.Zone)
		out.Moves = slices.DeleteFunc(moves, func(m HourMove) bool { return !m.At.Start.After(now) })
		return err
	})
	if err != nil {
		return PresenceLetter{}, fmt.Errorf("letter on presence %s: %w", id, err)
	}
	return out, nil
}

// Calendar writes the presence as a calendar file for the person: one UID for all its
// windows, on the anchor clock, which the file carries along. The specialist's, and that
// of who stands in, has the windows in which they are there themselves.
func (l PresenceLetter) Calendar(summary, description, language string, stamp time.Time) (data []byte, contentType string, err error) {
	p := l.Presence
	loc, err := LoadZone(p.AnchorZone)
	if err != nil {
		return nil, "", err
	}
	dates := p.Rule
	if last := p.Windows[len(p.Windows)-1].Occurrence.Date; dates.Until == nil {
		dates.Until = &last // more will follow
	}
	rule, err := Occurrences(dates, p.AnchorZone)
	if err != nil {
		return nil, "", err
	}
	in := ical.Series{Zone: loc, Rule: p.Rule.rrule(loc), Last: rule[len(rule)-1].Start,
		Invitation: ical.Invitation{Method: ical.Request, UID: p.UID, Sequence: p.Sequence, Stamp: stamp, Start: rule[0].Start, Duration: p.Duration,
			Summary: summary, Description: description, URL: l.Link, Language: language,
			Organizer: ical.Attendee{Name: "Consilium", Email: "no-reply@" + mailHost(l.host)},
			Attendees: []ical.Attendee{{Name: l.Person.Name, Email: l.Person.Email, Response: ical.Accepted}}}}
	sits := l.Person.ID == p.Person || slices.ContainsFunc(p.Windows, func(w Window) bool { return w.Person == l.Person.ID })
	theirs := func(w Window) bool { return !sits || w.Person == l.Person.ID }
	if !slices.ContainsFunc(p.Windows, func(w Window) bool { return w.State != WindowCanceled && theirs(w) }) {
		in.Method, rule = ical.Cancel, rule[:1]
	}
	for _, o := range rule {
		switch w, ok := p.Window(o.Local); {
		case in.Method == ical.Cancel:
		case !ok || !w.State.On() || !theirs(w):
			in.Exdates = append(in.Exdates, o.Start)
		case w.State == WindowMoved:
			in.Moved = append(in.Moved, ical.MovedOccurrence{Of: o.Start, Sequence: w.Sequence, Start: w.Start, Duration: w.End.Sub(w.Start)})
		}
	}
	if data, err = ical.WriteSeries(in); err != nil {
		return nil, "", fmt.Errorf("calendar file of presence %s: %w", p.ID, err)
	}
	return data, in.ContentType(), nil
}
