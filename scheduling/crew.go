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
	// Team is how many take turns on each leg; 0 is one.
	Team int
}

func (in Interpretation) team() int { return max(in.Team, 1) }

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
	m := s.grid.tally(n).add(s.carriers(in.Between[0], in.Between[1])).all()
	for _, pivot := range in.Pivots {
		first, second := s.carriers(in.Between[0], pivot), s.carriers(pivot, in.Between[1])
		// Nobody sits on both legs: enough for each, and enough of them together (Hall).
		both := slices.Clone(first)
		for _, c := range second {
			i := slices.IndexFunc(both, func(o carrier) bool { return o.id == c.id })
			if i < 0 {
				both = append(both, c)
				continue
			}
			both[i].free = slices.Clone(both[i].free)
			both[i].free.or(c.free)
		}
		relay := s.grid.tally(2 * n).add(both).all()
		relay.and(s.grid.tally(n).add(first).all())
		relay.and(s.grid.tally(n).add(second).all())
		m.or(relay)
	}
	return m
}

// way is a pair, or a relay, with those who carry it.
type way struct {
	pivot         string // "" is direct
	first, second []carrier
}

// ways are the ways of interpretation, the direct one first, the pivots in order.
func (s *search) ways() []way {
	in := s.q.Interpret
	if in == nil {
		return nil
	}
	out := []way{{first: s.carriers(in.Between[0], in.Between[1])}}
	for _, pivot := range in.Pivots {
		out = append(out, way{pivot: pivot, first: s.carriers(in.Between[0], pivot), second: s.carriers(pivot, in.Between[1])})
	}
	return out
}

// crewAt picks who interprets at start i: a direct team before a relay, the pivots in
// order, the first in the order of the search.
func (s *search) crewAt(i int, ways []way) (people []string, pivot string) {
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
		legs := [][]string{can(w.first)}
		if w.pivot != "" {
			legs = append(legs, can(w.second))
		}
		if people := pickCrew(legs, n, nil); people != nil {
			return people, w.pivot
		}
	}
	return nil, ""
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
	leg    int // 0 direct; 1 and 2 the legs of a relay, 1 the patient's
}

// crewOf are the chairs of what a search found.
func (p *plan) crewOf(f Found) []chair {
	if !p.interpreted {
		return nil
	}
	var out []chair
	for i, id := range f.Interpreters {
		c := chair{person: identity.PersonID(id), pair: p.pair}
		if f.Pivot != "" {
			c.leg, c.pair = 1, [2]string{p.pair[0], f.Pivot}
			if i >= len(f.Interpreters)/2 {
				c.leg, c.pair = 2, [2]string{f.Pivot, p.pair[1]}
			}
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
	direct := 0
	for _, one := range p.helpers {
		if one.interprets(p.pair[0], p.pair[1]) {
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
