package scheduling

import (
	"slices"
	"time"
)

// ClockNote is a published window that a clock change touches: its start or its end
// is a time that the clock jumps over, or shows twice, on that date.
type ClockNote struct {
	Date       Date
	Zone       string
	Start, End Minute // as published
	Kind       WallKind
	// What remains of it; both zero if nothing does.
	From, To time.Time
}

// noteDays is how far ahead clock changes are looked for, in days.
const noteDays = 400

// ClockNotes lists the windows of an availability that a clock change touches within
// some days from a date on, at most 400, by date. Overrides and single dates are
// left out: they were typed for their very date.
func (h Hours) ClockNotes(from Date, days int) ([]ClockNote, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	until := from + Date(min(days, noteDays))
	skip := map[Date]bool{}
	for _, o := range h.Overrides {
		skip[o.Date] = true
	}
	for _, d := range h.Exdates {
		skip[d] = true
	}
	changes := map[string][]Date{}
	var out []ClockNote
	note := func(zone string, d Date, start, end Minute, gap Gap) error {
		loc, err := LoadZone(zone)
		if err != nil {
			return err
		}
		if changes[zone] == nil {
			changes[zone] = changeDates(loc, from, until)
		}
		if !slices.Contains(changes[zone], d) && !slices.Contains(changes[zone], d+1) {
			return nil
		}
		last := d
		if end <= start {
			last++
		}
		n := ClockNote{Date: d, Zone: zone, Start: start, End: end}
		first, closing := CheckWall(loc, Wall{d, start}), CheckWall(loc, Wall{last, end})
		if closing.Kind == WallGap && shifted(loc, Wall{last, end}).Equal(closing.NextAt) {
			closing.Kind = WallOK // it ends where the jump begins
		}
		for _, c := range []WallCheck{first, closing} {
			if c.Kind != WallOK && n.Kind != WallGap {
				n.Kind = c.Kind
			}
		}
		if n.Kind == "" {
			return nil
		}
		n.From, n.To = first.NextAt, ResolveWall(loc, Wall{last, end})
		if !n.From.Before(n.To) || gap == Skip && first.Kind == WallGap {
			n.From, n.To = time.Time{}, time.Time{}
		}
		out = append(out, n)
		return nil
	}
	for _, r := range h.Rules {
		if r.Freq == OnDates {
			continue
		}
		for d := range r.dates(from, until) {
			zone, i := r.Zone, tripOn(h.Trips, d)
			switch {
			case skip[d] || zone == "" && i >= 0 && len(h.Trips[i].Windows) > 0:
				continue
			case zone == "" && i >= 0:
				zone = h.Trips[i].Zone
			case zone == "":
				zone = h.Zone
			}
			if err := note(zone, d, r.Start, r.End, r.Gap); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range h.Trips {
		for d := max(t.From, from); d <= min(t.Until, until); d++ {
			for _, w := range t.Windows {
				if !skip[d] {
					if err := note(t.Zone, d, w[0], w[1], Clip); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b ClockNote) int { return int(a.Date - b.Date) })
	return out, nil
}

// changeDates are the local dates on which the clock of loc changes, before and after
// the change; never nil.
func changeDates(loc *time.Location, from, until Date) []Date {
	out := []Date{}
	for at := from.utc().Add(-farthestOffset); ; {
		_, end := at.In(loc).ZoneBounds()
		if end.IsZero() || end.After(until.utc().Add(2*farthestOffset)) {
			return out
		}
		for _, t := range []time.Time{end.Add(-time.Second), end} {
			if d := WallAt(loc, t).Date; !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
		at = end
	}
}
