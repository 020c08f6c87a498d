package scheduling

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrInvalidSearch means that a query asks for something without meaning: no
// duration, a candidate nobody knows, a range too long.
var ErrInvalidSearch = errors.New("scheduling: invalid search")

const (
	maxSearchSpan = 10 * 366 * daySeconds // of one query
	maxGridPoints = 1 << 22               // starts that one query may try
)

// Party is one person as the search sees them.
type Party struct {
	ID string
	// Version names what Hours say, so that a [Finder] need not work it out again; 0 is
	// not kept.
	Version      int
	Hours        Hours
	Presence     []Range // published beside the hours
	Busy         []Range // taken, with the buffers of what takes it inside
	Full         []Range // of Presence: nothing more is placed there
	BufferBefore time.Duration
	BufferAfter  time.Duration
	MinNotice    time.Duration
	MaxAhead     *time.Duration // nil is no limit
	// Permitted are the stretches in which the person may do their part; a slot lies
	// inside one of them. nil is no limit, empty is never.
	Permitted []Range
	Licence   *LicenseSpan
	Rest      *Rest       // nil is no limit
	Pairs     [][2]string // interpreters: language pairs, in either direction
	Rank      int         // interpreters: the lower are taken first; of equals, the lower id
	Barred    Bar         // not to take part, because the patient asked for it; 0 is nothing
}

// LicenseSpan is [00:00 of From, 00:00 of the day after Through) in Zone, the zone
// of the licensing body. Nil is open.
type LicenseSpan struct {
	Zone    string `json:"zone"`
	From    *Date  `json:"from,omitempty"`
	Through *Date  `json:"through,omitempty"`
}

// Pool asks for at least one of several people. A slot lists all that are free.
type Pool struct {
	Role       string
	Candidates []string
}

// Query is what Find looks for. A slot starts at From or later, ends at To or
// earlier, and its start reads a multiple of Grid on GridZone's clock.
type Query struct {
	From, To  time.Time
	Duration  time.Duration
	Grid      time.Duration
	GridZone  string // "" is UTC
	Now       time.Time
	AnyOf     []Pool
	Interpret *Interpretation
	// Avoid are the times that the patient asked to be kept free: no slot meets one.
	Avoid []Range
}

// Found is a start at which everybody can meet.
type Found struct {
	Start        time.Time
	Candidates   map[string][]string // free people of each pool by role, sorted by id
	Interpreters []string            // the team, or the teams of a relay in the order of the legs
	Pivot        string              // the relay's language between them; "" is direct
	Legs         [][2]string         // the pairs that they carry, as many of them each
}

// Find lists the starts at which all parties, one of each pool and the interpreters
// asked for are free, ascending. It reads no clock and no database.
func Find(q Query, parties, interpreters []Party) ([]Found, error) {
	s, err := newSearch(q, parties, interpreters)
	if err != nil {
		return nil, err
	}
	return s.found(-1), nil
}

// search holds a query as masks of allowed starts.
type search struct {
	q            Query
	grid         *grid
	parties      []*person // in the order given
	required     []*person // those of no pool
	pools        []pool
	interpreters []*person // sorted by rank and id
	kept         mask      // starts that meet no time to be kept free; nil is all
}

type pool struct {
	role       string
	candidates []*person // sorted by id
}

// person is a Party with a mask of allowed starts for each limit, so that causes
// can be counted; free is their conjunction.
type person struct {
	party  *Party
	limits [limitCount]mask
	free   mask
}

// The limits of one person that the search keeps apart.
const (
	limitHours = iota
	limitBusy
	limitNotice
	limitHorizon
	limitLicense
	limitRest
	limitCapacity
	limitNeeds // the person is barred
	limitCount
)

func newSearch(q Query, parties, interpreters []Party) (*search, error) {
	return newSearchWith(q, parties, interpreters, openHours, nil)
}

// openHours is the mask of the starts whose whole duration lies within the hours a
// party publishes; it is not to be written to.
func openHours(g *grid, p *Party, dur int64) (mask, error) {
	w, err := p.Hours.windows(g.from, g.to)
	if err != nil {
		return nil, err
	}
	return g.open(w, p, dur), nil
}

// open is openHours of hours that are worked out already: spans that are not written to.
func (g *grid) open(w []span, p *Party, dur int64) mask {
	if len(p.Presence) > 0 {
		w = withPresence(slices.Clone(w), p.Presence)
	}
	return g.inside(w, dur)
}

// newSearchWith gets what hours come to from hours. Its masks lie in slab as far as that
// is long enough, which then must not be used for anything else while the search lives.
func newSearchWith(q Query, parties, interpreters []Party, hours func(g *grid, p *Party, dur int64) (mask, error), slab []uint64) (*search, error) {
	g, err := newGrid(q)
	if err != nil {
		return nil, err
	}
	n := len(parties)
	if q.Interpret != nil {
		n += len(interpreters)
	}
	g.reserve(4*n+2, slab) // hours, busy and free of each, and most of notice, horizon and license

	s := &search{q: q, grid: g, parties: make([]*person, 0, len(parties)), required: make([]*person, 0, len(parties))}
	people := make([]person, n)
	add := func(p *Party) (*person, error) {
		one := &people[0]
		people = people[1:]
		return one, g.person(one, q, p, hours)
	}
	byID := make(map[string]*person, len(parties))
	for i := range parties {
		p := &parties[i]
		if byID[p.ID] != nil {
			return nil, fmt.Errorf("%w: party %q stands twice", ErrInvalidSearch, p.ID)
		}
		one, err := add(p)
		if err != nil {
			return nil, err
		}
		byID[p.ID] = one
		s.parties = append(s.parties, one)
	}
	pooled := map[string]bool{}
	for _, a := range q.AnyOf {
		ids := slices.Clone(a.Candidates)
		slices.Sort(ids)
		p := pool{role: a.Role}
		for _, id := range slices.Compact(ids) {
			one := byID[id]
			if one == nil {
				return nil, fmt.Errorf("%w: candidate %q of %q is no party", ErrInvalidSearch, id, a.Role)
			}
			pooled[id] = true
			p.candidates = append(p.candidates, one)
		}
		s.pools = append(s.pools, p)
	}
	for _, p := range s.parties {
		if !pooled[p.party.ID] {
			s.required = append(s.required, p)
		}
	}
	if q.Interpret != nil {
		for i := range interpreters {
			one, err := add(&interpreters[i])
			if err != nil {
				return nil, err
			}
			s.interpreters = append(s.interpreters, one)
		}
		slices.SortStableFunc(s.interpreters, func(a, b *person) int {
			return cmp.Or(cmp.Compare(a.party.Rank, b.party.Rank), strings.Compare(a.party.ID, b.party.ID))
		})
	}
	if len(q.Avoid) > 0 {
		s.kept = g.all()
		g.seat(s.kept, q.Avoid, int64(q.Duration/time.Second)-1, -1) // both ends stay allowed
	}
	return s, nil
}

// person paints the limits of one party.
func (g *grid) person(o *person, q Query, p *Party, hours func(g *grid, p *Party, dur int64) (mask, error)) error {
	o.party = p
	dur := int64(q.Duration / time.Second)
	var err error
	if o.limits[limitHours], err = hours(g, p, dur); err != nil {
		return fmt.Errorf("hours of %s: %w", p.ID, err)
	}

	if len(p.Busy) > 0 {
		o.limits[limitBusy] = g.all()
		g.seat(o.limits[limitBusy], p.Busy, dur+seconds(p.BufferAfter)-1, seconds(p.BufferBefore)-1) // both ends stay allowed
	} else {
		o.limits[limitBusy] = g.every()
	}

	o.limits[limitCapacity] = g.every()
	if len(p.Full) > 0 {
		o.limits[limitCapacity] = g.all()
		g.seat(o.limits[limitCapacity], p.Full, dur-1, -1)
	}

	if soonest := ceilUnix(q.Now.Add(p.MinNotice)); soonest <= g.from {
		o.limits[limitNotice] = g.every()
	} else {
		o.limits[limitNotice] = g.none()
		g.set(o.limits[limitNotice], soonest, g.to)
	}
	if p.MaxAhead == nil {
		o.limits[limitHorizon] = g.every()
	} else {
		o.limits[limitHorizon] = g.none()
		g.set(o.limits[limitHorizon], g.from, q.Now.Add(*p.MaxAhead).Unix())
	}

	license := g.every()
	if p.Permitted != nil {
		license = g.inside(permittedSpans(p.Permitted), dur)
	}
	if p.Licence != nil {
		l, err := p.Licence.span()
		if err != nil {
			return fmt.Errorf("license of %s: %w", p.ID, err)
		}
		within := g.inside([]span{l}, dur)
		within.and(license)
		license = within
	}
	o.limits[limitLicense] = license

	o.limits[limitRest] = g.every()
	if p.Rest != nil && len(p.Rest.Sits) > 0 || p.Rest != nil && p.Rest.Interprets {
		rested := g.all()
		if err := p.Rest.forbidden(dur, func(lo, hi int64) { g.clear(rested, lo, hi) }); err != nil {
			return fmt.Errorf("rest of %s: %w", p.ID, err)
		}
		o.limits[limitRest] = rested
	}
	o.limits[limitNeeds] = g.every()
	if p.Barred != 0 {
		o.limits[limitNeeds] = g.none()
	}
	o.free = g.none()
	copy(o.free, o.limits[0])
	for _, l := range o.limits[1:] {
		if !g.whole(l) {
			o.free.and(l)
		}
	}
	return nil
}

// without is the person's mask with one limit lifted; -1 lifts none.
func (o *person) without(limit int) mask {
	var m mask
	for i, l := range o.limits {
		switch {
		case i == limit:
		case m == nil:
			m = slices.Clone(l)
		default:
			m.and(l)
		}
	}
	return m
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func permittedSpans(ranges []Range) []span {
	out := make([]span, 0, len(ranges))
	for _, r := range ranges {
		if s := r.inner(); s.start < s.end {
			out = append(out, s)
		}
	}
	return mergeSpans(out)
}

// span is the license in Unix seconds.
func (l LicenseSpan) span() (span, error) {
	s := span{start: -1 << 60, end: 1 << 60}
	loc, err := LoadZone(l.Zone)
	if err != nil {
		return s, err
	}
	if l.From != nil {
		s.start = ResolveWall(loc, Wall{*l.From, 0}).Unix()
	}
	if l.Through != nil {
		s.end = ResolveWall(loc, Wall{*l.Through + 1, 0}).Unix()
	}
	return s, nil
}

// common is the mask of starts at which everybody can.
func (s *search) common() mask {
	m := s.people()
	if s.q.Interpret != nil {
		m.and(s.interpreted())
	}
	return m
}

// people is the mask of the required, the pools and the times kept free, without
// interpreters.
func (s *search) people() mask {
	m := s.grid.all()
	for _, p := range s.required {
		m.and(p.free)
	}
	for _, p := range s.pools {
		any := s.grid.none()
		for _, c := range p.candidates {
			any.or(c.free)
		}
		m.and(any)
	}
	if s.kept != nil {
		m.and(s.kept)
	}
	return m
}

// interprets tells whether the pair is one of the party's, in either direction.
func (p Party) interprets(a, b string) bool {
	for _, pair := range p.Pairs {
		if sameTag(pair[0], a) && sameTag(pair[1], b) || sameTag(pair[0], b) && sameTag(pair[1], a) {
			return true
		}
	}
	return false
}

// sameTag compares BCP 47 tags, which have no case (RFC 5646 §2.1.1).
func sameTag(a, b string) bool { return strings.EqualFold(a, b) }

// found fills in the people of the first common starts, at most as many as asked for;
// of all if that is negative.
func (s *search) found(most int) []Found {
	m := s.common()
	n := m.count()
	if most >= 0 {
		n = min(n, most)
	}
	out := make([]Found, n)
	ways := s.ways()
	k, run := 0, 0
	for i := range m.bits() {
		if k == n {
			break
		}
		f := &out[k]
		k++
		for run+1 < len(s.grid.runs) && i >= s.grid.runs[run+1].base {
			run++
		}
		r := &s.grid.runs[run]
		f.Start = time.Unix(r.first+int64(i-r.base)*s.grid.step, 0).UTC()
		if s.pools == nil && s.q.Interpret == nil {
			continue
		}
		for _, p := range s.pools {
			if f.Candidates == nil {
				f.Candidates = make(map[string][]string, len(s.pools))
			}
			for _, c := range p.candidates {
				if c.free.has(i) {
					f.Candidates[p.role] = append(f.Candidates[p.role], c.party.ID)
				}
			}
		}
		if s.q.Interpret != nil {
			crew, by := s.crewAt(i, ways)
			f.Interpreters, f.Pivot, f.Legs = crew, by.Pivot, by.Legs
		}
	}
	return out
}
