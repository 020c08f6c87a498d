package scheduling

import (
	"slices"
	"time"
)

// LimitKind names what keeps a start from being offered.
type LimitKind string

// The limits that a search keeps apart.
const (
	LimitHours       LimitKind = "hours"
	LimitBusy        LimitKind = "busy" // with buffers
	LimitNotice      LimitKind = "notice"
	LimitHorizon     LimitKind = "horizon"
	LimitLicense     LimitKind = "license"
	LimitRest        LimitKind = "rest"
	LimitInterpreter LimitKind = "interpreter"
	LimitCapacity    LimitKind = "capacity" // windows of a program take no more
	LimitRange       LimitKind = "range"    // the range asked for is shorter than the visit
)

var personLimits = [limitCount]LimitKind{
	limitHours: LimitHours, limitBusy: LimitBusy, limitNotice: LimitNotice, limitHorizon: LimitHorizon, limitLicense: LimitLicense,
	limitRest: LimitRest, limitCapacity: LimitCapacity,
}

// Limit is one cause why starts are missing.
type Limit struct {
	Kind  LimitKind
	Party string // id of whose limit it is; "" for interpreter and range
	// Gained starts would be offered without this limit (for one of several in
	// WhyNot: without all of them).
	Gained int
	First  time.Time // the first of them; zero if none
	// Of rest: the start among them that breaks the rules least, and what it breaks.
	Least time.Time
	Rest  *RestFault
}

// lifted is one limit that can be dropped: of a person, or the interpreters (nil).
type lifted struct {
	person *person
	limit  int
}

// limits lists the limits each of which alone keeps starts away, the one that
// keeps most first. Parties in pools are left out.
func (s *search) limits() []Limit {
	have := s.common()
	var out []Limit
	for _, l := range s.liftable() {
		gain := s.with(l)
		gain.andNot(have)
		if n := gain.count(); n > 0 {
			out = append(out, s.limit(l, gain, n))
		}
	}
	slices.SortStableFunc(out, func(a, b Limit) int { return b.Gained - a.Gained })
	return out
}

// whyNot names the smallest set of limits, one or two, without which there would be
// a start: what to name when nothing is found. If that does not help, it lists the
// limits that leave nothing by themselves, or else a set none of which can be spared.
func (s *search) whyNot() []Limit {
	if s.grid.n == 0 {
		return []Limit{{Kind: LimitRange}}
	}
	if single := s.limits(); len(single) > 0 {
		// That a window is full says more than that there are no other hours.
		i := slices.IndexFunc(single, func(l Limit) bool { return l.Kind == LimitCapacity })
		return single[max(i, 0):][:1]
	}
	all := s.liftable()
	var best []Limit
	most := 0
	for i, a := range all {
		for _, b := range all[i+1:] {
			gain := s.with(a, b)
			if n := gain.count(); n > most {
				most = n
				best = []Limit{s.limit(a, gain, n), s.limit(b, gain, n)}
			}
		}
	}
	if best != nil {
		return best
	}
	var alone []Limit
	for _, l := range all {
		var m mask
		if l.person == nil {
			m = s.interpreted()
		} else {
			m = l.person.limits[l.limit]
		}
		if m.count() == 0 {
			alone = append(alone, s.limit(l, nil, 0))
		}
	}
	if alone != nil {
		return alone
	}
	return s.together(all)
}

// together shrinks the set of all limits to one of which every limit binds: put back
// any of them and no start is left.
func (s *search) together(all []lifted) []Limit {
	set := slices.Clone(all)
	for _, l := range all {
		fewer := slices.DeleteFunc(slices.Clone(set), func(o lifted) bool { return o == l })
		if s.with(fewer...).count() > 0 {
			set = fewer
		}
	}
	gain := s.with(set...)
	n := gain.count()
	if n == 0 {
		return nil // a pool keeps them away
	}
	out := make([]Limit, 0, len(set))
	for _, l := range set {
		out = append(out, s.limit(l, gain, n))
	}
	return out
}

func (s *search) limit(l lifted, gain mask, n int) Limit {
	out := Limit{Kind: LimitInterpreter, Gained: n}
	if l.person != nil {
		out.Kind, out.Party = personLimits[l.limit], l.person.party.ID
	}
	if n > 0 {
		out.First = time.Unix(s.grid.at(gain.first()), 0).UTC()
	}
	if l.person != nil && l.limit == limitRest && n > 0 {
		out.Least, out.Rest = s.leastTired(*l.person.party.Rest, gain)
	}
	return out
}

// liftable lists the limits that forbid anything at all.
func (s *search) liftable() []lifted {
	var out []lifted
	for _, p := range s.required {
		for i, m := range p.limits {
			if m.count() < s.grid.n {
				out = append(out, lifted{p, i})
			}
		}
	}
	if s.q.Interpret != nil {
		out = append(out, lifted{})
	}
	return out
}

// with is the mask of common starts if the limits given did not exist.
func (s *search) with(dropped ...lifted) mask {
	m := s.grid.all()
	interpreters := true
	for _, l := range dropped {
		if l.person == nil {
			interpreters = false
		}
	}
	if interpreters {
		m.and(s.interpreted())
	}
	for _, p := range s.required {
		for i, l := range p.limits {
			if !slices.Contains(dropped, lifted{p, i}) {
				m.and(l)
			}
		}
	}
	for _, p := range s.pools {
		any := s.grid.none()
		for _, c := range p.candidates {
			any.or(c.free)
		}
		m.and(any)
	}
	return m
}

// andNot clears the bits that o has.
func (m mask) andNot(o mask) {
	for i := range m {
		m[i] &^= o[i]
	}
}

// leastTired is the start of a mask that breaks somebody's rest least, of the first
// thousand, and by what.
func (s *search) leastTired(r Rest, gain mask) (at time.Time, least *RestFault) {
	n := 0
	for i := range gain.bits() {
		if n++; n > 1000 {
			break
		}
		start := time.Unix(s.grid.at(i), 0).UTC()
		faults, err := r.faults(start, start.Add(s.q.Duration))
		if err == nil && len(faults) > 0 && (least == nil || faults[0].short() < least.short()) {
			at, least = start, &faults[0]
		}
	}
	return at, least
}
