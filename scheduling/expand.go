package scheduling

import (
	"fmt"
	"slices"
	"time"
)

// span is [start, end) in Unix seconds.
type span struct{ start, end int64 }

// Range is a stretch of time, [Start, End).
type Range struct{ Start, End time.Time }

// span rounds outward to whole seconds, so that a busy range never shrinks.
func (r Range) span() span { return span{r.Start.Unix(), ceilUnix(r.End)} }

// inner rounds inward to whole seconds, so that a permission never grows.
func (r Range) inner() span { return span{ceilUnix(r.Start), r.End.Unix()} }

func ceilUnix(t time.Time) int64 {
	u := t.Unix()
	if t.Nanosecond() > 0 {
		u++
	}
	return u
}

// expansionDays is how far outside of a range, in local dates, a window that
// reaches into the range can start: it may last into the date after its own, and
// local dates differ from UTC's by up to one and may be skipped.
const expansionDays = 3

// windows are the merged stretches [start, end) published in h that meet [from, to).
// Windows that touch or overlap are one. Parts outside of the range may be missing.
func (h Hours) windows(from, to int64) ([]span, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	e := expansion{from: from, to: to, clocks: map[string]clock{}}
	overridden := make(map[Date]bool, len(h.Overrides))
	for _, o := range h.Overrides {
		overridden[o.Date] = true
	}
	dropped := make(map[Date]bool, len(h.Exdates))
	for _, d := range h.Exdates {
		dropped[d] = true
	}
	home, err := e.clock(h.Zone)
	if err != nil {
		return nil, err
	}
	away, err := e.away(h.Trips)
	if err != nil {
		return nil, err
	}
	for _, r := range h.Rules {
		c := home
		if r.Zone != "" {
			if c, err = e.clock(r.Zone); err != nil {
				return nil, err
			}
		}
		for d := range r.dates(e.firstDate(c), e.lastDate(c)) {
			if overridden[d] || dropped[d] {
				continue
			}
			at := c
			if i := tripOn(h.Trips, d); i >= 0 && r.Zone == "" {
				if len(h.Trips[i].Windows) > 0 {
					continue
				}
				at = away[i]
			}
			e.add(at, d, r.Start, r.End, r.Gap, r.Later && r.Freq == OnDates)
		}
	}
	for i, t := range h.Trips {
		for d := max(t.From, e.firstDate(away[i])); d <= min(t.Until, e.lastDate(away[i])) && len(t.Windows) > 0; d++ {
			for _, w := range t.Windows {
				if !overridden[d] && !dropped[d] {
					e.add(away[i], d, w[0], w[1], Clip, false)
				}
			}
		}
	}
	for _, o := range h.Overrides {
		c := home
		if i := tripOn(h.Trips, o.Date); i >= 0 {
			c = away[i]
		}
		if o.Date < e.firstDate(c) || o.Date > e.lastDate(c) {
			continue
		}
		for _, w := range o.Windows {
			e.add(c, o.Date, w[0], w[1], Clip, o.Later)
		}
	}
	return mergeSpans(e.spans), nil
}

// expansion collects the windows of one person over a range of instants.
type expansion struct {
	from, to int64
	clocks   map[string]clock // one per zone used
	spans    []span
}

func (e *expansion) clock(zone string) (clock, error) {
	if c, ok := e.clocks[zone]; ok {
		return c, nil
	}
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, err
	}
	const margin = (expansionDays + 3) * daySeconds
	c := newClock(loc, e.from-margin, e.to+margin)
	e.clocks[zone] = c
	return c, nil
}

// away are the clocks of trips, one each.
func (e *expansion) away(trips []Trip) ([]clock, error) {
	out := make([]clock, len(trips))
	for i, t := range trips {
		c, err := e.clock(t.Zone)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// tripOn is the index of the trip on a date, -1 if there is none.
func tripOn(trips []Trip, d Date) int {
	return slices.IndexFunc(trips, func(t Trip) bool { return t.covers(d) })
}

func (e *expansion) firstDate(c clock) Date {
	return Date(floorDiv(e.from+c[0].off, daySeconds)) - expansionDays
}

func (e *expansion) lastDate(c clock) Date {
	return Date(floorDiv(e.to+c[len(c)-1].off, daySeconds)) + expansionDays
}

func (e *expansion) add(c clock, d Date, start, end Minute, gap Gap, later bool) {
	last := d
	if end <= start {
		last++
	}
	wall := Wall{d, start}.seconds()
	resolve := c.resolve
	if later {
		resolve = c.resolveLater
	}
	s := span{resolve(wall), resolve(Wall{last, end}.seconds())}
	if gap == Skip && !c.occurs(wall, s.start) {
		return
	}
	if s.start < s.end && s.end > e.from && s.start < e.to {
		e.spans = append(e.spans, s)
	}
}

// dates yields the dates of the rule from first to last, in order for repeating
// rules, in the order written for a list of dates.
func (r Rule) dates(first, last Date) func(yield func(Date) bool) {
	if r.From != nil {
		first = max(first, *r.From)
	}
	if r.Until != nil {
		last = min(last, *r.Until)
	}
	if r.Freq == OnDates {
		return func(yield func(Date) bool) {
			for _, d := range r.Dates {
				if d >= first && d <= last && !yield(d) {
					return
				}
			}
		}
	}
	var on [7]bool
	for _, w := range r.Days {
		on[w] = true
	}
	return func(yield func(Date) bool) {
		for d := first; d <= last; d++ {
			if on[d.Weekday()] && r.falls(d) && !yield(d) {
				return
			}
		}
	}
}

// falls tells whether the rule's interval or nth weekday names the date.
func (r Rule) falls(d Date) bool {
	switch {
	case r.Freq == Weekly && r.Interval > 1:
		return floorMod(int64(mondayWeek(d)-mondayWeek(*r.From)), int64(r.Interval)) == 0
	case r.Freq == Monthly:
		y, m, day := d.Civil()
		if r.Nth > 0 {
			return (day-1)/7+1 == r.Nth
		}
		days := time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
		return day+7 > days
	}
	return true
}

// mondayWeek numbers the weeks that begin on Monday.
func mondayWeek(d Date) int64 { return floorDiv(int64(d)+3, 7) }

// mergeSpans sorts and joins what touches or overlaps. It reuses s.
func mergeSpans(s []span) []span {
	slices.SortFunc(s, func(a, b span) int {
		if a.start != b.start {
			return cmpInt(a.start, b.start)
		}
		return cmpInt(a.end, b.end)
	})
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && x.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, x.end)
			continue
		}
		out = append(out, x)
	}
	return out
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Expand lists the merged windows that h publishes within [from, to), cut to it.
func (h Hours) Expand(from, to time.Time) ([]Range, error) {
	a, b := from.Unix(), ceilUnix(to)
	if b-a > maxSearchSpan {
		return nil, fmt.Errorf("%w: more than %d days", ErrInvalidSearch, maxSearchSpan/daySeconds)
	}
	spans, err := h.windows(a, b)
	if err != nil {
		return nil, err
	}
	out := make([]Range, 0, len(spans))
	for _, s := range spans {
		s.start, s.end = max(s.start, a), min(s.end, b)
		if s.start < s.end {
			out = append(out, Range{time.Unix(s.start, 0).UTC(), time.Unix(s.end, 0).UTC()})
		}
	}
	return out, nil
}
