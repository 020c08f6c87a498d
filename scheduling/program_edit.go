package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

// SeriesEdit changes the windows of a presence from one on.
type SeriesEdit struct {
	Presence PresenceID
	Version  int // that was read
	// From is the occurrence from which on; nil is all that are to come.
	From *Wall
	// Rule is the new one: its days, interval, time and last date, which stays when it is
	// nil. Its first date is that of From.
	Rule Rule
	// Open: the series has no last date; Rule.Until is nil.
	Open bool
	// Drop: windows that were moved or canceled by hand and have no place in the new rule
	// are given up; else they are listed by a *Orphans.
	Drop bool
}

// Orphans lists the windows that were moved or canceled by hand and have no place in the
// new rule; nothing was changed.
type Orphans struct{ Windows []Window }

func (e *Orphans) Error() string {
	return fmt.Sprintf("scheduling: %d windows have no place in the new rule", len(e.Windows))
}

// split parts the windows of a presence at an occurrence: those before it, or past, and
// those from it on.
func (p Presence) split(from *Wall, now time.Time) (before, after []Window, err error) {
	for _, w := range p.Windows {
		if !w.Start.After(now) || from != nil && w.Occurrence.seconds() < from.seconds() {
			before = append(before, w)
			continue
		}
		after = append(after, w)
	}
	switch {
	case from != nil && !slices.ContainsFunc(p.Windows, func(w Window) bool { return w.Occurrence == *from }):
		return nil, nil, ErrNotFound
	case len(after) == 0, from != nil && after[0].Occurrence != *from:
		return nil, nil, ErrPast
	}
	return before, after, nil
}

// next is the next sequence in the calendar file.
func (p Presence) next() int {
	n := p.Sequence
	for _, o := range p.Windows {
		n = max(n, o.Sequence)
	}
	return n + 1
}

// EditSeries changes this window and the following of a presence, or all that are to
// come: the old series ends and a new one with a UID of its own begins; where nothing of
// the old is past, it is changed in place. What was moved or canceled by hand keeps that.
// Visits that are booked must lie within a new window, else they are listed by a
// *SeriesConflict, as what else is in the way. It is for the specialist.
func (s *Service) EditSeries(ctx context.Context, actor identity.Actor, e SeriesEdit) (Presence, error) {
	var out Presence
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		p, err := openPresence(ctx, tx, actor, e.Presence, true)
		if err != nil {
			return err
		}
		switch {
		case actor.Person != p.Person:
			return ErrForbidden
		case p.Version != e.Version:
			return ErrVersion
		}
		out, err = s.editSeries(ctx, tx, actor, p, e)
		return err
	})
	if err != nil {
		return Presence{}, fmt.Errorf("edit presence %s: %w", e.Presence, err)
	}
	return out, nil
}

func (s *Service) editSeries(ctx context.Context, tx *audit.Tx, actor identity.Actor, p Presence, e SeriesEdit) (Presence, error) {
	now := tx.Now()
	before, after, err := p.split(e.From, now)
	if err != nil {
		return p, err
	}
	rule := e.Rule
	if rule.Until == nil && !e.Open {
		rule.Until, e.Open = p.Rule.Until, p.Rule.Until == nil
	}
	first := after[0].Occurrence.Date
	rule.From = &first
	list, err := materialize(rule, p.AnchorZone, e.Open, now)
	if err != nil {
		return p, err
	}
	next := p
	next.Rule, next.Duration = rule, rule.seriesDuration()
	next.Windows = nil
	if next.Windows, err = p.inherit(list, after, e.Drop); err != nil {
		return p, err
	}
	visits, err := visitsIn(ctx, tx, p, after)
	if err != nil {
		return p, err
	}
	if err := covered(next.Windows, after, visits); err != nil {
		return p, err
	}
	if err := deleteWindows(ctx, tx, p, after); err != nil {
		return p, err
	}
	ended := ""
	if len(before) > 0 {
		ended = string(p.ID)
		last := first - 1
		p.Rule.Until, p.Sequence, p.Windows = &last, p.next(), before
		if err := savePresence(ctx, tx, p); err != nil {
			return p, err
		}
		id, err := newID()
		if err != nil {
			return p, err
		}
		next.ID, next.UID, next.Sequence, next.Version, next.CreatedAt = PresenceID(id), ical.UID(id, s.host), 0, 1, now
		if err := insertPresence(ctx, tx, next); err != nil {
			return p, err
		}
		if err := saveProgram(ctx, tx, next); err != nil { // the same rules
			return p, err
		}
	} else {
		next.Sequence = p.next()
		for i := range next.Windows { // older components of the same file would be ignored
			if next.Windows[i].State == WindowMoved {
				next.Windows[i].Sequence = next.Sequence
			}
		}
		if err := savePresence(ctx, tx, next); err != nil {
			return p, err
		}
	}
	next.Version++
	if err := s.takeWindowsBut(ctx, tx, next, visits); err != nil {
		return p, err
	}
	ev := actor.Event("presence.changed")
	ev.Objects = map[string]string{"presence": string(next.ID)}
	if ended != "" {
		ev.Objects["ended"] = ended
	}
	ev.Detail = map[string]any{"windows": int64(len(next.Windows)), "from": after[0].Occurrence.String(), "tzdata": ZoneVersion()}
	if ev.Tell, err = s.hosts(ctx, tx, p.Organization); err != nil {
		return p, err
	}
	ev.Tell = append(ev.Tell, present(p, after)...)
	tx.Append(ev)
	return next, nil
}

// inherit are the windows of a new rule; on the date of one that was moved or canceled
// that stands.
func (p Presence) inherit(list []Occurrence, after []Window, drop bool) ([]Window, error) {
	byHand := map[Date]Window{}
	for _, w := range after {
		if w.State != WindowOpen || w.Person != p.Person {
			byHand[w.Occurrence.Date] = w
		}
	}
	var out []Window
	for _, o := range list {
		w := Window{Occurrence: o.Local, StartLocal: o.Local, Start: o.Start, End: o.End, State: WindowOpen, Person: p.Person}
		if had, ok := byHand[o.Local.Date]; ok {
			w.State, w.Person = had.State, had.Person
			if had.State == WindowMoved {
				w.StartLocal, w.Start, w.End = had.StartLocal, had.Start, had.End
			}
			delete(byHand, o.Local.Date)
		}
		out = append(out, w)
	}
	if len(byHand) > 0 && !drop {
		e := &Orphans{}
		for _, w := range byHand {
			e.Windows = append(e.Windows, w)
		}
		slices.SortFunc(e.Windows, func(x, y Window) int { return x.Start.Compare(y.Start) })
		return nil, e
	}
	return out, nil
}

// present are the specialist of a presence and those who stand in for them in windows.
func present(p Presence, windows []Window) []string {
	out := []string{string(p.Person)}
	for _, w := range windows {
		if w.State.On() && !slices.Contains(out, string(w.Person)) {
			out = append(out, string(w.Person))
		}
	}
	return out
}

// covered makes sure that each visit lies within a window.
func covered(windows, had []Window, visits []Range) error {
	var taken []Conflict
	for _, v := range visits {
		if slices.ContainsFunc(windows, func(w Window) bool { return w.State.On() && !v.Start.Before(w.Start) && !v.End.After(w.End) }) {
			continue
		}
		for _, w := range had {
			if !v.Start.Before(w.Start) && v.Start.Before(w.End) && !slices.ContainsFunc(taken, func(c Conflict) bool { return c.Local == w.Occurrence }) {
				taken = append(taken, Conflict{Occurrence{Local: w.Occurrence, Start: w.Start, End: w.End}, TakenBySeat})
			}
		}
	}
	if len(taken) > 0 {
		return &SeriesConflict{Taken: taken}
	}
	return nil
}

// takeWindowsBut inserts all windows, or says which cannot be; visits are in no way.
func (s *Service) takeWindowsBut(ctx context.Context, tx *audit.Tx, p Presence, visits []Range) error {
	from, to := p.Windows[0].Start, p.Windows[0].End
	people := []identity.PersonID{p.Person}
	for _, w := range p.Windows {
		from, to = earlier(from, w.Start), later(to, w.End)
		if !slices.Contains(people, w.Person) {
			people = append(people, w.Person)
		}
	}
	taken, err := busy(ctx, tx, people, from, to)
	if err != nil {
		return err
	}
	var conflicts []Conflict
	for _, w := range p.Windows {
		if w.State.On() && slices.ContainsFunc(taken[w.Person], func(r Range) bool {
			return r.Start.Before(w.End) && w.Start.Before(r.End) &&
				!slices.ContainsFunc(visits, func(v Range) bool { return v.Start.Before(r.End) && r.Start.Before(v.End) })
		}) {
			conflicts = append(conflicts, Conflict{Occurrence{w.Occurrence, w.Start, w.End}, TakenBySeat})
		}
	}
	took, err := insertWindows(ctx, tx, p)
	if err != nil {
		return err
	}
	for _, w := range p.Windows {
		if !took[w.Occurrence] && !slices.ContainsFunc(conflicts, func(c Conflict) bool { return c.Local == w.Occurrence }) {
			conflicts = append(conflicts, Conflict{Occurrence{w.Occurrence, w.Start, w.End}, TakenByPresence})
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	slices.SortFunc(conflicts, func(x, y Conflict) int { return x.Start.Compare(y.Start) })
	return &SeriesConflict{Taken: conflicts}
}

// EndSeries takes a window and all that follow out of a presence; where none is before,
// all are canceled. Visits booked in them come first: a *SeriesConflict lists them. It is
// for the specialist and for those who arrange for the clinic.
func (s *Service) EndSeries(ctx context.Context, actor identity.Actor, req WindowRequest) (Presence, error) {
	var p Presence
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if p, err = openPresence(ctx, tx, actor, req.Presence, true); err != nil {
			return err
		}
		if p.Version != req.Version {
			return ErrVersion
		}
		before, after, err := p.split(&req.Occurrence, tx.Now())
		if err != nil {
			return err
		}
		there := present(p, after)
		visits, err := visitsIn(ctx, tx, p, after)
		if err != nil {
			return err
		}
		if err := covered(nil, after, visits); err != nil {
			return err
		}
		p.Sequence = p.next()
		if len(before) > 0 {
			last := req.Occurrence.Date - 1
			p.Rule.Until, p.Windows = &last, before
			err = deleteWindows(ctx, tx, p, after)
		} else {
			for i := range p.Windows {
				p.Windows[i].State = WindowCanceled
			}
			last := after[len(after)-1].Occurrence.Date
			p.Rule.Until = &last
			err = cancelWindows(ctx, tx, p)
		}
		if err != nil {
			return err
		}
		if err := savePresence(ctx, tx, p); err != nil {
			return err
		}
		p.Version++
		e := actor.Event("presence.ended")
		e.Objects = map[string]string{"presence": string(p.ID)}
		e.Detail = map[string]any{"from": req.Occurrence.String(), "windows": int64(len(after))}
		if e.Tell, err = s.hosts(ctx, tx, p.Organization); err != nil {
			return err
		}
		e.Tell = append(e.Tell, there...)
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Presence{}, fmt.Errorf("end presence %s: %w", req.Presence, err)
	}
	return p, nil
}

const (
	// openWindows of a series without a last date are kept ahead, for at most seriesHorizon.
	openWindows = 26
)

// materialize are the occurrences of a rule that are to come: all, or, of a series without
// a last date, those of the horizon.
func materialize(r Rule, zone string, open bool, now time.Time) ([]Occurrence, error) {
	if open {
		if r.From == nil {
			return nil, ErrSeriesEnd
		}
		loc, err := LoadZone(zone)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
		}
		if today := WallAt(loc, now).Date; *r.From < today {
			back := today - *r.From
			if r.Freq == Weekly { // in whole steps of the interval, which counts from From
				step := Date(7 * max(r.Interval, 1))
				back -= floorModDate(back, step)
			}
			from := *r.From + back
			r.From = &from
		}
		ahead := Date(seriesHorizon/(24*time.Hour)) - 1
		if n := Date(len(r.Days)); r.Freq == Weekly && n > 2 {
			ahead = ahead * 2 / n // as many as a series may have
		}
		last := *r.From + ahead
		r.Until = &last
	}
	list, err := Occurrences(r, zone)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(o Occurrence) bool { return !o.Start.After(now) })
	if open && len(list) > openWindows {
		list = list[:openWindows]
	}
	if len(list) == 0 {
		return nil, ErrPast
	}
	if list[len(list)-1].Start.After(now.Add(seriesHorizon)) {
		return nil, ErrSeriesEnd
	}
	return list, nil
}

func floorModDate(a, b Date) Date { return Date(floorMod(int64(a), int64(b))) }
