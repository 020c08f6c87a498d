package scheduling

import (
	"fmt"
	"slices"
	"time"
)

// findByMerging is the search a second time, by intersecting intervals and asking
// each minute whether it is on the grid. It is slow and shares only the expansion
// of hours with Find. Tests compare the two, and RunVectors runs both.
func findByMerging(q Query, parties, interpreters []Party) ([]Found, error) {
	if _, err := newGrid(q); err != nil {
		return nil, err // the same refusals
	}
	interpreters = slices.DeleteFunc(slices.Clone(interpreters), func(p Party) bool { return p.Barred != 0 })
	zone := q.GridZone
	if zone == "" {
		zone = "UTC"
	}
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, err
	}
	free := map[string][]span{} // stretches in which a start is possible: [start, end] of starts
	for _, p := range slices.Concat(parties, interpreters) {
		if free[p.ID], err = freeSpans(q, p); err != nil {
			return nil, err
		}
	}
	can := func(id string, start int64) bool {
		for _, f := range free[id] {
			if f.start <= start && start <= f.end {
				return true
			}
		}
		return false
	}
	pooled := map[string]bool{}
	for _, a := range q.AnyOf {
		for _, id := range a.Candidates {
			pooled[id] = true
			if !slices.ContainsFunc(parties, func(p Party) bool { return p.ID == id }) {
				return nil, fmt.Errorf("%w: candidate %q is no party", ErrInvalidSearch, id)
			}
		}
	}
	slices.SortFunc(interpreters, func(a, b Party) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	out := []Found{}
	end := q.To.Add(-q.Duration)
starts:
	for t := q.From.Truncate(time.Minute); !t.After(end); t = t.Add(time.Minute) {
		_, off := t.In(loc).Zone()
		if t.Before(q.From) || floorMod(t.Unix()+int64(off), int64(q.Grid/time.Second)) != 0 {
			continue
		}
		for _, a := range q.Avoid {
			if a.Start.Before(a.End) && t.Before(a.End) && a.Start.Before(t.Add(q.Duration)) {
				continue starts
			}
		}
		f := Found{Start: t.UTC()}
		for _, p := range parties {
			if !pooled[p.ID] && !can(p.ID, t.Unix()) {
				continue starts
			}
		}
		for _, a := range q.AnyOf {
			var have []string
			for _, id := range a.Candidates {
				if can(id, t.Unix()) && !slices.Contains(have, id) {
					have = append(have, id)
				}
			}
			if len(have) == 0 {
				continue starts
			}
			slices.Sort(have)
			if f.Candidates == nil {
				f.Candidates = map[string][]string{}
			}
			f.Candidates[a.Role] = append(f.Candidates[a.Role], have...)
		}
		if q.Interpret != nil {
			f.Interpreters, f.Pivot = chooseInterpreters(*q.Interpret, interpreters, func(id string) bool { return can(id, t.Unix()) })
			if f.Interpreters == nil {
				continue
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// chooseInterpreters tries all teams of the pair, then all teams of the legs of each
// pivot, people in their order.
func chooseInterpreters(in Interpretation, people []Party, can func(string) bool) ([]string, string) {
	teams := func(a, b string, without []string) [][]string {
		out := [][]string{nil}
		for range in.team() {
			var longer [][]string
			for _, t := range out {
				after := len(t) == 0
				for _, p := range people {
					if !after {
						after = p.ID == t[len(t)-1]
						continue
					}
					if can(p.ID) && p.interprets(a, b) && !slices.Contains(t, p.ID) && !slices.Contains(without, p.ID) {
						longer = append(longer, append(slices.Clone(t), p.ID))
					}
				}
			}
			out = longer
		}
		return out
	}
	var crew func(legs [][2]string, had []string) []string
	crew = func(legs [][2]string, had []string) []string {
		if len(legs) == 0 {
			return had
		}
		for _, team := range teams(legs[0][0], legs[0][1], had) {
			if whole := crew(legs[1:], append(slices.Clip(had), team...)); whole != nil {
				return whole
			}
		}
		return nil
	}
	for _, w := range in.all() {
		if whole := crew(w.Legs, nil); whole != nil {
			return whole, w.Pivot
		}
	}
	return nil, ""
}

// freeSpans are the stretches of possible starts of one party, both ends inclusive.
func freeSpans(q Query, p Party) ([]span, error) {
	free, err := p.Hours.windows(q.From.Unix(), ceilUnix(q.To))
	if err != nil || p.Barred != 0 {
		return nil, err
	}
	free = withPresence(free, p.Presence)
	if p.Permitted != nil {
		free = intersect(free, permittedSpans(p.Permitted))
	}
	if p.Licence != nil {
		l, err := p.Licence.span()
		if err != nil {
			return nil, err
		}
		free = intersect(free, []span{l})
	}
	for _, r := range p.Busy {
		if b := r.span(); b.start < b.end {
			free = subtract(free, span{b.start - seconds(p.BufferAfter), b.end + seconds(p.BufferBefore)})
		}
	}
	var out []span
	for _, f := range free {
		f.end -= int64(q.Duration / time.Second)
		f.start = max(f.start, ceilUnix(q.Now.Add(p.MinNotice)))
		if p.MaxAhead != nil {
			f.end = min(f.end, q.Now.Add(*p.MaxAhead).Unix())
		}
		if f.start <= f.end {
			out = append(out, f)
		}
	}
	return out, nil
}

// intersect returns what lies in a and in b; both sorted and merged.
func intersect(a, b []span) []span {
	var out []span
	for i, j := 0, 0; i < len(a) && j < len(b); {
		s := span{max(a[i].start, b[j].start), min(a[i].end, b[j].end)}
		if s.start < s.end {
			out = append(out, s)
		}
		if a[i].end < b[j].end {
			i++
		} else {
			j++
		}
	}
	return out
}

// subtract returns what of a lies outside of x.
func subtract(a []span, x span) []span {
	var out []span
	for _, s := range a {
		if left := (span{s.start, min(s.end, x.start)}); left.start < left.end {
			out = append(out, left)
		}
		if right := (span{max(s.start, x.end), s.end}); right.start < right.end {
			out = append(out, right)
		}
	}
	return out
}
