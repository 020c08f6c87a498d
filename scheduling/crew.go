package scheduling

import (
	"slices"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Interpretation asks for interpreters of a pair, or for those who relay through a
// pivot language, in the order of preference given.
type Interpretation struct {
	Between [2]string
	Pivots  []string
	// Ways, unless nil, are all there are, instead of the pair and its pivots: of people
	// who have three languages between them.
	Ways []Way
	// Team is how many take turns on each leg; 0 is one.
	Team int
}

// Way is how languages are carried: one pair, or several that have a language in common,
// the pivot. One or two relays are never more than one on the way from any language to
// any other.
type Way struct {
	Pivot string // "" is direct
	Legs  [][2]string
}

func (in Interpretation) team() int { return max(in.Team, 1) }

// all are the ways in the order of preference.
func (in Interpretation) all() []Way {
	if in.Ways != nil {
		return in.Ways
	}
	out := []Way{{Legs: [][2]string{in.Between}}}
	for _, pivot := range in.Pivots {
		out = append(out, Way{pivot, [][2]string{{in.Between[0], pivot}, {pivot, in.Between[1]}}})
	}
	return out
}

// carrier is somebody who interprets a pair, with the starts at which they can.
type carrier struct {
	id   string
	free mask
}

// carriers are those who interpret between two languages, in the order of the search.
func (s *search) carriers(a, b string) []carrier {
	var out []carrier
	for _, p := range s.interpreters {
		if !p.party.interprets(a, b) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].id == p.party.ID { // stands twice, with other hours
			out[n-1].free = slices.Clone(out[n-1].free)
			out[n-1].free.or(p.free)
			continue
		}
		out = append(out, carrier{p.party.ID, p.free})
	}
	return out
}

// tally counts people: its masks are the starts at which at least one, two, … can.
type tally []mask

func (g *grid) tally(n int) tally {
	t := make(tally, n)
	for i := range t {
		t[i] = g.none()
	}
	return t
}

func (t tally) add(list []carrier) tally {
	for _, c := range list {
		for i := len(t) - 1; i > 0; i-- {
			t[i].orBoth(t[i-1], c.free)
		}
		t[0].or(c.free)
	}
	return t
}

// all are the starts at which as many can as the tally counts.
func (t tally) all() mask { return t[len(t)-1] }

// interpreted is the mask of starts with interpreters for the pair or for both legs of
// a relay, all if none is asked for.
func (s *search) interpreted() mask {
	in := s.q.Interpret
	if in == nil {
		return s.grid.all()
	}
	n := in.team()
	m := s.grid.none()
	for _, w := range s.ways() {
		// Nobody sits on two legs: enough for each, and enough together of any of them
		// (Hall).
		var whole mask
		for some := 1; some < 1<<len(w.legs); some++ {
			var union []carrier
			for j, leg := range w.legs {
				if some>>j&1 == 1 {
					union = together(union, leg)
				}
			}
			enough := s.grid.tally(n * popcount(some)).add(union).all()
			if whole == nil {
				whole = enough
			} else {
				whole.and(enough)
			}
		}
		m.or(whole)
	}
	return m
}

// together are those of two legs, each once, with the starts at which they can on either.
func together(a, b []carrier) []carrier {
	if len(a) == 0 {
		return b
	}
	out := slices.Clone(a)
	for _, c := range b {
		i := slices.IndexFunc(out, func(o carrier) bool { return o.id == c.id })
		if i < 0 {
			out = append(out, c)
			continue
		}
		out[i].free = slices.Clone(out[i].free)
		out[i].free.or(c.free)
	}
	return out
}

// way is a Way with those who carry each leg.
type way struct {
	Way
	legs [][]carrier
}

// ways are the ways of interpretation in the order of preference.
func (s *search) ways() []way {
	if s.q.Interpret == nil {
		return nil
	}
	var out []way
	for _, w := range s.q.Interpret.all() {
		one := way{Way: w}
		for _, leg := range w.Legs {
			one.legs = append(one.legs, s.carriers(leg[0], leg[1]))
		}
		out = append(out, one)
	}
	return out
}

// crewAt picks who interprets at start i, and by which way: the first in the order of
// preference, of its people the first in the order of the search.
func (s *search) crewAt(i int, ways []way) (people []string, by Way) {
	n := s.q.Interpret.team()
	can := func(list []carrier) []string {
		var out []string
		for _, c := range list {
			if c.free.has(i) {
				out = append(out, c.id)
			}
		}
		return out
	}
	for _, w := range ways {
		var legs [][]string
		for _, leg := range w.legs {
			legs = append(legs, can(leg))
		}
		if people := pickCrew(legs, n, nil); people != nil {
			return people, w.Way
		}
	}
	return nil, Way{}
}

// pickCrew takes n different people of each leg, none of them twice, the first that go
// together; nil if none do.
func pickCrew(legs [][]string, n int, had []string) []string {
	if len(legs) == 0 {
		return had
	}
	var take func(from int, crew []string) []string
	take = func(from int, crew []string) []string {
		if len(crew) == len(had)+n {
			return pickCrew(legs[1:], n, crew)
		}
		for i := from; i < len(legs[0]); i++ {
			if slices.Contains(crew, legs[0][i]) {
				continue
			}
			if out := take(i+1, append(slices.Clip(crew), legs[0][i])); out != nil {
				return out
			}
		}
		return nil
	}
	return take(0, had)
}

// chair is a place for an interpreter: who takes it, the pair carried there and, of a
// relay, the leg.
type chair struct {
	person identity.PersonID
	pair   [2]string
	leg    int // 0 direct; from 1 the legs of a relay, the patient's first
}

// crewOf are the chairs of what a search found.
func (p *plan) crewOf(f Found) []chair {
	if !p.interpreted {
		return nil
	}
	var out []chair
	for i, id := range f.Interpreters {
		j := i * len(f.Legs) / len(f.Interpreters) // as many on each
		c := chair{person: identity.PersonID(id), pair: f.Legs[j]}
		if len(f.Legs) > 1 {
			c.leg = j + 1
		}
		out = append(out, c)
	}
	return out
}

// team is how many take turns on each leg: one alone tires (design scheduling,
// section 8).
func (p *plan) team() int {
	if p.duration > aloneLimit {
		return 2
	}
	return 1
}

// interpretedIfIdle tells whether somebody could interpret at any start of the search
// if no interpreter had another seat.
func (s *search) interpretedIfIdle() bool {
	idle := *s
	idle.interpreters = nil
	for _, o := range s.interpreters {
		free := *o
		free.free = o.without(limitBusy)
		idle.interpreters = append(idle.interpreters, &free)
	}
	return idle.interpreted().count() > 0
}

// lack says why interpretation is impossible whenever: a code, "" if those on file
// could, at other times.
func (p *plan) lack() string {
	if p.apart != nil {
		if len(p.ways) > 0 {
			return ""
		}
		return "interpreter:three-languages"
	}
	direct := 0
	for _, one := range p.helpers {
		if one.Barred == 0 && one.interprets(p.pair[0], p.pair[1]) {
			direct++
		}
	}
	switch {
	case p.pair == ([2]string{}):
		return "interpreter:no-common-pair"
	case direct >= p.team() || len(p.pivots) > 0:
		return ""
	case direct > 0 || slices.ContainsFunc(p.relays, func(r RelayNote) bool { return r.Legs[0] > 0 && r.Legs[1] > 0 }):
		return "interpreter:team"
	case len(p.relays) > 0:
		return "interpreter:relay-leg"
	}
	return ""
}

// interpreters are those who have a seat in an appointment; nil if nobody has.
func (a Appointment) interpreters() []identity.PersonID {
	var out []identity.PersonID
	for _, seat := range a.Seats {
		if seat.Role == RoleInterpreter && !seat.Released {
			out = append(out, seat.Person)
		}
	}
	return out
}
