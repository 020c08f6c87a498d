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
	LimitNeeds       LimitKind = "needs"    // what the patient asked for
)

var personLimits = [limitCount]LimitKind{
	limitHours: LimitHours, limitBusy: LimitBusy, limitNotice: LimitNotice, limitHorizon: LimitHorizon, limitLicense: LimitLicense,
	limitRest: LimitRest, limitCapacity: LimitCapacity, limitNeeds: LimitNeeds,
}

// Limit is one cause why starts are missing.
type Limit struct {
	Kind  LimitKind
	Party string // id of whose limit it is; "" for interpreter, range and needs that are of no one party
	// Of needs: which of the patient's wishes bars the party, or the interpreters; 0 are
	// times to be kept free.
	Bar Bar
	// Gained starts would be offered without this limit (for one of several in
	// WhyNot: without all of them).
	Gained int
	First  time.Time // the first of them; zero if none
	// Of rest: the start among them that breaks the rules least, and what it breaks. Of
	// times to be kept free: the start that meets them least, and for how long.
	Least time.Time
	Rest  *RestFault
	Meets time.Duration
}

// lifted is one limit that can be dropped: of a person, or, if that is nil, of the group
// named by limit.
type lifted struct {
	person *person
	limit  int
	bar    Bar // of groupBarred
}

// The limits that are of no one person.
const (
	groupInterpreters = iota
	groupKept         // the times to be kept free
	groupBarred       // interpreters whom one wish of the patient bars
)

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
	// Who is there but barred is a nearer cause than interpreters as such.
	near := func(l Limit) bool { return l.Kind == LimitNeeds && l.Party == "" && l.Bar != 0 }
	if i := slices.IndexFunc(out, func(l Limit) bool { return l.Kind == LimitInterpreter }); i >= 0 && slices.ContainsFunc(out[i:], near) {
		far := out[i]
		out = slices.Delete(out, i, i+1)
		for i < len(out) && slices.ContainsFunc(out[i:], near) {
			i++
		}
		out = slices.Insert(out, i, far)
	}
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
	// Interpreters as such are named when lifting what bars them does not help.
	near := slices.DeleteFunc(slices.Clone(all), func(l lifted) bool { return l == lifted{} })
	if best := s.pair(near); best != nil && len(near) < len(all) && slices.ContainsFunc(near, func(l lifted) bool { return l.person == nil && l.limit == groupBarred }) {
		return best
	}
	if best := s.pair(all); best != nil {
		return best
	}
	var alone []Limit
	for _, l := range all {
		var m mask
		switch {
		case l.person != nil:
			m = l.person.limits[l.limit]
		case l.limit == groupKept:
			m = s.kept
		case l.limit == groupBarred:
			continue
		default:
			m = s.interpreted()
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

// pair is the two limits without which there are most starts; nil if no two suffice.
func (s *search) pair(all []lifted) (best []Limit) {
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
	return best
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
	switch {
	case l.person != nil:
		out.Kind, out.Party = personLimits[l.limit], l.person.party.ID
		if l.limit == limitNeeds {
			out.Bar = l.person.party.Barred
		}
	case l.limit != groupInterpreters:
		out.Kind, out.Bar = LimitNeeds, l.bar
	}
	if n > 0 {
		out.First = time.Unix(s.grid.at(gain.first()), 0).UTC()
	}
	if l.person != nil && l.limit == limitRest && n > 0 {
		out.Least, out.Rest = s.leastTired(*l.person.party.Rest, gain)
	}
	if l.person == nil && l.limit == groupKept && n > 0 {
		out.Least, out.Meets = s.leastMet(gain)
	}
	return out
}

// liftable lists the limits that forbid anything at all.
func (s *search) liftable() []lifted {
	var out []lifted
	for _, p := range s.required {
		for i, m := range p.limits {
			if m.count() < s.grid.n {
				out = append(out, lifted{person: p, limit: i})
			}
		}
	}
	if s.kept != nil && s.kept.count() < s.grid.n {
		out = append(out, lifted{limit: groupKept})
	}
	for _, b := range []Bar{BarGender, BarPerson} {
		if slices.ContainsFunc(s.interpreters, func(o *person) bool { return o.party.Barred&b != 0 }) {
			out = append(out, lifted{limit: groupBarred, bar: b})
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
	interpreters, kept, bars := true, s.kept != nil, Bar(0)
	for _, l := range dropped {
		switch {
		case l.person != nil:
		case l.limit == groupKept:
			kept = false
		case l.limit == groupBarred:
			bars |= l.bar
		default:
			interpreters = false
		}
	}
	if interpreters {
		m.and(s.unbarred(bars).interpreted())
	}
	if kept {
		m.and(s.kept)
	}
	for _, p := range s.required {
		for i, l := range p.limits {
			if !slices.Contains(dropped, lifted{person: p, limit: i}) {
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

// unbarred is the search with interpreters whom nothing but these wishes bars.
func (s *search) unbarred(bars Bar) *search {
	if bars == 0 {
		return s
	}
	free := *s
	free.interpreters = nil
	for _, o := range s.interpreters {
		if b := o.party.Barred; b != 0 && b&^bars == 0 {
			one := *o
			one.free = o.without(limitNeeds)
			o = &one
		}
		free.interpreters = append(free.interpreters, o)
	}
	return &free
}

// leastMet is the first of the starts of a mask that meet the times to be kept free
// least, and for how long; of the first thousand.
func (s *search) leastMet(gain mask) (at time.Time, least time.Duration) {
	n := 0
	for i := range gain.bits() {
		if n++; n > 1000 {
			break
		}
		start := time.Unix(s.grid.at(i), 0).UTC()
		if met := meets(s.q.Avoid, start, start.Add(s.q.Duration)); at.IsZero() || met < least {
			at, least = start, met
		}
	}
	return at, least
}
