package scheduling

import (
	"slices"
	"time"
)

// RestRules are what a clinic asks of those who work in its visits: the limits of
// issue and design, editable. 0 turns a limit off.
type RestRules struct {
	// Between is the rest between the last visit of one day and the first of the next,
	// on the person's clock.
	Between time.Duration
	// InARow is the longest stretch of visits without a break; Break is what ends it.
	// One visit alone may be longer.
	InARow time.Duration
	Break  time.Duration
	// InterpretDay is the most that somebody interprets in a day.
	InterpretDay time.Duration
	Version      int // 0 are the defaults
}

// none tells whether nothing is asked.
func (r RestRules) none() bool { return r.Between <= 0 && r.InARow <= 0 && r.InterpretDay <= 0 }

// DefaultRest is what holds for clinics that said nothing: eleven hours between two
// days, a break of ten minutes after ninety, six hours of interpreting a day.
var DefaultRest = RestRules{Between: 11 * time.Hour, InARow: 90 * time.Minute, Break: 10 * time.Minute, InterpretDay: 6 * time.Hour}

// sameShift is the gap below which two visits are one stretch of work, though midnight
// lies between them.
const sameShift = 4 * time.Hour

// RestRule names one limit of RestRules.
type RestRule string

// The limits of RestRules.
const (
	RestBetween      RestRule = "between"
	RestInARow       RestRule = "in-a-row"
	RestInterpretDay RestRule = "interpret-day"
)

// RestFault is a limit that a visit would not keep, and what it would come to.
type RestFault struct {
	Rule  RestRule      `json:"rule"`
	Asked time.Duration `json:"asked"` // by the rule
	Would time.Duration `json:"would"` // be, with the visit
}

// short is by how much the rule would have to give way.
func (f RestFault) short() time.Duration { return (f.Asked - f.Would).Abs() }

// Sit is a visit in which somebody works, without buffers.
type Sit struct {
	Range
	Interprets bool
}

// Rest is what the search must know of a person's work.
type Rest struct {
	Rules      RestRules
	Zone       string // of the person's days
	Sits       []Sit  // of the person; no two overlap
	Interprets bool   // in the visit asked for
}

// faults are the limits that a visit [start, end) would not keep, worst first. It is
// the plain computation; see forbidden.
func (r Rest) faults(start, end time.Time) ([]RestFault, error) {
	loc, err := LoadZone(r.Zone)
	if err != nil {
		return nil, err
	}
	day := func(t time.Time) Date { return WallAt(loc, t).Date }
	var before, after *Sit
	for i, s := range r.Sits {
		if !s.End.After(start) && (before == nil || s.End.After(before.End)) {
			before = &r.Sits[i]
		}
		if !s.Start.Before(end) && (after == nil || s.Start.Before(after.Start)) {
			after = &r.Sits[i]
		}
	}
	var out []RestFault
	add := func(rule RestRule, asked, would time.Duration) { out = append(out, RestFault{rule, asked, would}) }
	if before != nil {
		if gap := start.Sub(before.End); gap >= sameShift && gap < r.Rules.Between && day(before.End) < day(start) {
			add(RestBetween, r.Rules.Between, gap)
		}
	}
	if after != nil {
		if gap := after.Start.Sub(end); gap >= sameShift && gap < r.Rules.Between && day(start) < day(after.Start) {
			add(RestBetween, r.Rules.Between, gap)
		}
	}
	if r.Rules.InARow > 0 {
		from, to, n := start, end, 0
		for grown := true; grown; {
			grown = false
			for _, s := range r.Sits {
				near := s.Start.Sub(to) < r.Rules.Break && from.Sub(s.End) < r.Rules.Break
				if inside := !s.Start.Before(from) && !s.End.After(to); near && !inside {
					from, to, n, grown = earlier(from, s.Start), later(to, s.End), n+1, true
				}
			}
		}
		if n > 0 && to.Sub(from) > r.Rules.InARow {
			add(RestInARow, r.Rules.InARow, to.Sub(from))
		}
	}
	if r.Interprets && r.Rules.InterpretDay > 0 {
		sum := end.Sub(start)
		for _, s := range r.Sits {
			if s.Interprets && day(s.Start) == day(start) {
				sum += s.End.Sub(s.Start)
			}
		}
		if sum > r.Rules.InterpretDay {
			add(RestInterpretDay, r.Rules.InterpretDay, sum)
		}
	}
	slices.SortStableFunc(out, func(a, b RestFault) int { return int((b.short() - a.short()) / time.Second) })
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// forbidden calls forbid with stretches [lo, hi], both inclusive, of starts in which a
// visit of dur seconds would not keep the limits, among the starts at which the person
// is not seated already.
func (r Rest) forbidden(dur int64, forbid func(lo, hi int64)) error {
	loc, err := LoadZone(r.Zone)
	if err != nil {
		return err
	}
	sits := make([]span, 0, len(r.Sits))
	for _, s := range r.Sits {
		sits = append(sits, s.span())
	}
	slices.SortFunc(sits, func(a, b span) int { return cmpInt(a.start, b.start) })
	day := func(t int64) Date { return WallAt(loc, time.Unix(t, 0)).Date }
	midnight := func(d Date) int64 { return ResolveWall(loc, Wall{Date: d}).Unix() }
	if between, shift := seconds(r.Rules.Between), int64(sameShift/time.Second); between > shift {
		for i, s := range sits {
			// After it, as long as it is the last before.
			hi := s.end + between - 1
			if i+1 < len(sits) {
				hi = min(hi, sits[i+1].end-1)
			}
			forbid(max(s.end+shift, midnight(day(s.end)+1)), hi)
			// Before it, as long as it is the next.
			lo := s.start - between - dur + 1
			if i > 0 {
				lo = max(lo, sits[i-1].start-dur+1)
			}
			forbid(lo, min(s.start-shift-dur, midnight(day(s.start))-1))
		}
	}
	if r.Rules.InARow > 0 {
		forbidInARow(sits, dur, seconds(r.Rules.InARow), seconds(r.Rules.Break), forbid)
	}
	if r.Interprets && r.Rules.InterpretDay > 0 {
		sums := map[Date]int64{}
		for _, s := range r.Sits {
			if s.Interprets {
				sums[day(s.Start.Unix())] += s.span().end - s.span().start
			}
		}
		for d, sum := range sums {
			if sum+dur > seconds(r.Rules.InterpretDay) {
				forbid(midnight(d), midnight(d+1)-1)
			}
		}
		if dur > seconds(r.Rules.InterpretDay) {
			forbid(-1<<60, 1<<60)
		}
	}
	return nil
}

// forbidInARow: the stretches of visits that are there already, and what a visit right
// after one, right before one, or between two would make of them.
func forbidInARow(sits []span, dur, most, rest int64, forbid func(lo, hi int64)) {
	var runs []span
	for _, s := range sits {
		if n := len(runs); n > 0 && s.start-runs[n-1].end < rest {
			runs[n-1].end = max(runs[n-1].end, s.end)
			continue
		}
		runs = append(runs, s)
	}
	for i, a := range runs {
		if a.end-a.start > most {
			forbid(a.start, a.end-dur) // into a gap too short to be a break
		}
		forbid(max(a.end, a.start+most-dur+1), a.end+rest-1)
		forbid(a.start-rest-dur+1, min(a.start-dur, a.end-most-1))
		if i+1 < len(runs) {
			if b := runs[i+1]; b.end-a.start > most {
				forbid(max(a.end, b.start-rest-dur+1), min(a.end+rest-1, b.start-dur))
			}
		}
	}
}
