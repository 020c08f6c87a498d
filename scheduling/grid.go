package scheduling

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"time"
)

// grid numbers the starts that a query may find: for each stretch in which the grid
// zone's offset is constant, the instants at which its clock reads a multiple of
// the grid. Numbering starts instead of cells keeps masks exact off the grid, for
// any grid and any offset.
type grid struct {
	zone     string
	from, to int64 // of the query, Unix seconds
	step     int64 // seconds
	runs     []run
	n        int
	per      uint64   // 2^64 / step, rounded up: dividing by multiplying
	full     mask     // of every start; never written to
	slab     []uint64 // masks not yet given out
	room     []uint64 // the slab with those given out
}

// run is count starts from first on, numbered from base.
type run struct {
	first, count int64
	base         int
}

func newGrid(q Query) (*grid, error) {
	dur, step := int64(q.Duration/time.Second), int64(q.Grid/time.Second)
	g := &grid{from: ceilUnix(q.From), to: q.To.Unix(), step: step}
	switch {
	case dur < 1 || q.Duration%time.Second != 0:
		return nil, fmt.Errorf("%w: duration %v", ErrInvalidSearch, q.Duration)
	case step < 1 || q.Grid%time.Second != 0:
		return nil, fmt.Errorf("%w: grid %v", ErrInvalidSearch, q.Grid)
	case g.to-g.from > maxSearchSpan:
		return nil, fmt.Errorf("%w: more than %d days", ErrInvalidSearch, maxSearchSpan/daySeconds)
	case g.to-g.from > 0 && (g.to-g.from)/step > maxGridPoints:
		return nil, fmt.Errorf("%w: grid %v is too fine for the range", ErrInvalidSearch, q.Grid)
	}
	zone := q.GridZone
	if zone == "" {
		zone = "UTC"
	}
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSearch, err)
	}
	g.zone, g.per = zone, ^uint64(0)/uint64(step)+1
	last := g.to - dur // the latest start
	if last < g.from {
		return g, nil
	}
	for _, r := range newClock(loc, g.from, last+1) {
		first := r.start + floorMod(-(r.start+r.off), step)
		if end := min(r.end-1, last); first <= end {
			n := (end-first)/step + 1
			g.runs = append(g.runs, run{first: first, count: n, base: g.n})
			g.n += int(n)
		}
	}
	return g, nil
}

// at is the instant of start i.
func (g *grid) at(i int) int64 {
	if len(g.runs) == 1 {
		return g.runs[0].first + int64(i)*g.step
	}
	k, ok := slices.BinarySearchFunc(g.runs, i, func(r run, i int) int { return r.base - i })
	if !ok {
		k--
	}
	return g.runs[k].first + int64(i-g.runs[k].base)*g.step
}

// mask has a bit for each start of a grid.
type mask []uint64

func (g *grid) none() mask {
	n := (g.n + 63) / 64
	if len(g.slab) < n {
		return make(mask, n)
	}
	m := g.slab[:n:n]
	g.slab = g.slab[n:]
	return m
}

// reserve makes room for n masks at once, in slab if that is long enough.
func (g *grid) reserve(n int, slab []uint64) {
	n *= (g.n + 63) / 64
	if n > len(slab) {
		slab = make([]uint64, n)
	} else {
		clear(slab[:n])
	}
	g.slab, g.room = slab[:n], slab
}

// every is the mask of all starts. It is shared: it is not to be written to.
func (g *grid) every() mask {
	if g.full == nil {
		g.full = g.all()
	}
	return g.full
}

// whole tells whether a mask is that of every start.
func (g *grid) whole(m mask) bool { return len(m) > 0 && len(g.full) > 0 && &m[0] == &g.full[0] }

func (g *grid) all() mask {
	m := g.none()
	if g.full != nil {
		copy(m, g.full)
		return m
	}
	m.fill(0, g.n)
	return m
}

// set allows the starts in [lo, hi], both inclusive.
func (g *grid) set(m mask, lo, hi int64) {
	for k := range g.runs {
		if i, j, more := g.within(&g.runs[k], lo, hi); i < j {
			m.fill(i, j)
		} else if !more {
			return
		}
	}
}

// clear forbids the starts in [lo, hi], both inclusive.
func (g *grid) clear(m mask, lo, hi int64) {
	for k := range g.runs {
		if i, j, more := g.within(&g.runs[k], lo, hi); i < j {
			m.erase(i, j)
		} else if !more {
			return
		}
	}
}

// seat forbids the starts in [start-before, end+after] of each range, both inclusive.
func (g *grid) seat(m mask, busy []Range, before, after int64) {
	if len(g.runs) != 1 {
		for i := range busy {
			if b := busy[i].span(); b.start < b.end {
				g.clear(m, b.start-before, b.end+after)
			}
		}
		return
	}
	// The same for one run, without its calls: most of the time of a search is spent here.
	first, last := g.runs[0].first, (g.runs[0].count-1)*g.step
	for i := range busy {
		b := busy[i].span()
		lo, hi := b.start-before-first, min(b.end+after-first, last)
		if b.start >= b.end || hi < 0 || lo > last {
			continue
		}
		from := 0
		if lo > 0 {
			from = int(g.steps(lo + g.step - 1))
		}
		to := int(g.steps(hi)) // inclusive
		if a, z := uint(from)/64, uint(to)/64; a == z {
			if from <= to {
				m[a] &^= ^uint64(0) << (uint(from) % 64) & (^uint64(0) >> (63 - uint(to)%64))
			}
		} else {
			m.erase(from, to+1)
		}
	}
}

// within are the numbers [i, j) of the starts of a run in [lo, hi]; more is false if
// no later run has any.
func (g *grid) within(r *run, lo, hi int64) (i, j int, more bool) {
	if hi < r.first {
		return 0, 0, false
	}
	a, b := int64(0), r.count-1
	if lo > r.first {
		if lo > r.first+b*g.step {
			return 0, 0, true
		}
		a = g.steps(lo - r.first + g.step - 1)
	}
	if hi < r.first+b*g.step {
		b = g.steps(hi - r.first)
	}
	return r.base + int(a), r.base + int(b) + 1, true
}

// steps is d / step. No search is as long as 2^32 seconds, for which multiplying by the
// reciprocal is exact.
func (g *grid) steps(d int64) int64 {
	if g.step == 1 {
		return d
	}
	hi, _ := bits.Mul64(uint64(d), g.per)
	return int64(hi)
}

// inside is the mask of starts whose whole duration lies in one of the spans.
func (g *grid) inside(spans []span, dur int64) mask {
	m := g.none()
	g.paint(m, spans, dur)
	return m
}

// paint allows the starts whose whole duration lies in one of the spans.
func (g *grid) paint(m mask, spans []span, dur int64) {
	for _, s := range spans {
		g.set(m, s.start, s.end-dur)
	}
}

// fill sets the bits [i, j).
func (m mask) fill(i, j int) {
	for i < j {
		n := min(64-i%64, j-i)
		m[i/64] |= ^uint64(0) >> (64 - n) << (i % 64)
		i += n
	}
}

// erase clears the bits [i, j).
func (m mask) erase(i, j int) {
	if k := i / 64; k == (j-1)/64 && i < j { // most are short
		m[k] &^= ^uint64(0) >> (64 - (j - i)) << (i % 64)
		return
	}
	for i < j {
		n := min(64-i%64, j-i)
		m[i/64] &^= ^uint64(0) >> (64 - n) << (i % 64)
		i += n
	}
}

func (m mask) and(o mask) {
	for i := range m {
		m[i] &= o[i]
	}
}

func (m mask) or(o mask) {
	for i := range m {
		m[i] |= o[i]
	}
}

// orBoth adds the bits that a and b have both.
func (m mask) orBoth(a, b mask) {
	for i := range m {
		m[i] |= a[i] & b[i]
	}
}

func (m mask) has(i int) bool { return m[i/64]>>(i%64)&1 == 1 }

func (m mask) count() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// first is the lowest bit set, -1 if none is.
func (m mask) first() int {
	for i := range m.bits() {
		return i
	}
	return -1
}

// bits yields the bits set, ascending.
func (m mask) bits() iter.Seq[int] {
	return func(yield func(int) bool) {
		for k, w := range m {
			for ; w != 0; w &= w - 1 {
				if !yield(k*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
