package scheduling

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// seriesHorizon is how far ahead a series may go; it has an end.
	seriesHorizon = 366 * 24 * time.Hour
	// mostOccurrences of one series: five days a week for a year are not a presence.
	mostOccurrences = 120
	shortestWindow  = 15 * time.Minute
	longestWindow   = 8 * time.Hour
)

// Occurrence is one time of a series: what the anchor clock shows, and the instants.
type Occurrence struct {
	Local      Wall // names the occurrence for ever, also after it moved
	Start, End time.Time
}

// seriesDuration is how long each window of a rule lasts on the wall clock.
func (r Rule) seriesDuration() time.Duration {
	return time.Duration(floorMod(int64(r.End-r.Start), 24*60)) * time.Minute
}

// Occurrences are the times of a repeating rule on the clock of a zone. The rule has
// a first and a last date. A time that does not exist on one of its dates refuses the
// whole with a *WallRefusal that names the next that does; one that comes twice means
// the first.
func Occurrences(r Rule, zone string) ([]Occurrence, error) {
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	d := r.seriesDuration()
	switch {
	case r.Freq == OnDates || r.Zone != "" || r.Start >= 24*60:
		return nil, fmt.Errorf("%w: rule", ErrInvalidRequest)
	case d < shortestWindow || d > longestWindow:
		return nil, fmt.Errorf("%w: %v", ErrWindowLength, d)
	case r.From == nil || r.Until == nil || *r.Until < *r.From || *r.Until-*r.From > Date(seriesHorizon/(24*time.Hour)):
		return nil, ErrSeriesEnd
	}
	var out []Occurrence
	for day := range r.dates(*r.From, *r.Until) {
		w := Wall{Date: day, Minute: r.Start}
		c := CheckWall(loc, w)
		if c.Kind == WallGap {
			return nil, &WallRefusal{Zone: zone, Wall: w, Check: c}
		}
		out = append(out, Occurrence{Local: w, Start: c.NextAt, End: c.NextAt.Add(d)})
		if len(out) > mostOccurrences {
			return nil, ErrSeriesEnd
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the rule names no date", ErrInvalidRequest)
	}
	return out, nil
}

// HourMove is an occurrence that begins at another hour of a clock than the one before
// it, though neither was moved: the clocks of one side changed between them.
type HourMove struct {
	At     Occurrence
	Before Occurrence
}

// HourMoves finds where the hour of a series moves on the clock of a zone. None in the
// zone that it is anchored in.
func HourMoves(list []Occurrence, zone string) ([]HourMove, error) {
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, err
	}
	var out []HourMove
	for i := 1; i < len(list); i++ {
		if WallAt(loc, list[i].Start).Minute != WallAt(loc, list[i-1].Start).Minute {
			out = append(out, HourMove{At: list[i], Before: list[i-1]})
		}
	}
	return out, nil
}

// rrule writes a rule as RFC 5545 has it. Its dates end with the last of the rule on
// the clock of loc.
func (r Rule) rrule(loc *time.Location) string {
	days := make([]string, 0, len(r.Days))
	for _, d := range r.Days {
		if name := d.String(); r.Freq == Monthly {
			days = append(days, strconv.Itoa(r.Nth)+name)
		} else {
			days = append(days, name)
		}
	}
	slices.Sort(days)
	parts := []string{"FREQ=WEEKLY"}
	if r.Freq == Monthly {
		parts[0] = "FREQ=MONTHLY"
	}
	if r.Interval > 1 {
		parts = append(parts, "INTERVAL="+strconv.Itoa(r.Interval))
	}
	parts = append(parts, "BYDAY="+strings.Join(slices.Compact(days), ","), "WKST=MO")
	if r.Until == nil {
		return strings.Join(parts, ";")
	}
	last := ResolveWall(loc, Wall{Date: *r.Until + 1}).Add(-time.Second)
	return strings.Join(append(parts, "UNTIL="+last.UTC().Format("20060102T150405Z")), ";")
}

// withPresence adds what is published beside the hours.
func withPresence(windows []span, more []Range) []span {
	if len(more) == 0 {
		return windows
	}
	for _, r := range more {
		windows = append(windows, r.inner())
	}
	return mergeSpans(windows)
}
