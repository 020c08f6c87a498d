package scheduling

import (
	"sync"
	"unsafe"
)

// finderBytes is how much a Finder keeps of people's windows, and again of masks of them:
// a mask of a quarter on a grid of 15 minutes takes some 1.5 KB with its key.
const finderBytes = 32 << 20

// finderEntry is what an entry takes beside its numbers: key, strings and their place in
// the map.
const finderEntry = 400

// finderStep is what the ranges of kept windows are rounded to, so that a search that
// begins now finds those of one that began a minute ago.
const finderStep = 7 * daySeconds

// finderLeast is the least number of starts of a mask that is kept: those of a check of
// one start are quicker painted than found.
const finderLeast = 64

// Finder is [Find] that keeps what the hours of people come to, by the version of the
// hours and the edition of the zone data, for those parties that have a version. The
// zero value is ready. It is safe for concurrent use.
type Finder struct {
	mu    sync.Mutex
	kept  keep[windowsKey, span] // guarded by mu; the spans are never written to
	masks keep[maskKey, uint64]  // guarded by mu; never written to
	slabs sync.Pool              // of *[]uint64, for searches that end with their call
}

// keep is a map of lists that is bounded in bytes. The zero value is ready.
type keep[K comparable, V any] struct {
	lists map[K][]V
	bytes int // what the lists take
}

// put adds a list for a key that has none. Forgetting all is cheap and rare.
func (k *keep[K, V]) put(key K, list []V, most int) {
	var one V
	n := len(list)*int(unsafe.Sizeof(one)) + finderEntry
	if k.lists == nil || k.bytes+n > most {
		k.lists, k.bytes = make(map[K][]V), 0
	}
	if _, had := k.lists[key]; !had { // two searches may have made it at once
		k.lists[key], k.bytes = list, k.bytes+n
	}
}

type windowsKey struct {
	party    string
	version  int
	zone     string // of the hours: a person without hours on file moves
	edition  string
	from, to int64
}

// maskKey names the starts of a grid, and whose hours they lie in: in an edition of the
// zone data, the first and the number of starts tell all others.
type maskKey struct {
	party     string
	version   int
	zone      string // of the hours
	edition   string
	gridZone  string
	step, dur int64
	first     int64
	n         int
}

// Find is the function Find.
func (f *Finder) Find(q Query, parties, interpreters []Party) ([]Found, error) {
	slab, _ := f.slabs.Get().(*[]uint64)
	if slab == nil {
		slab = new([]uint64)
	}
	defer f.slabs.Put(slab)
	s, err := newSearchWith(q, parties, interpreters, f.hours, *slab)
	if err != nil {
		return nil, err
	}
	*slab = s.grid.room
	return s.found(-1), nil
}

func (f *Finder) newSearch(q Query, parties, interpreters []Party) (*search, error) {
	return newSearchWith(q, parties, interpreters, f.hours, nil)
}

// hours are the starts within the hours of a party.
func (f *Finder) hours(g *grid, p *Party, dur int64) (mask, error) {
	if p.Version == 0 || len(p.Presence) > 0 || g.n < finderLeast {
		w, err := f.windows(p, g.from, g.to)
		if err != nil {
			return nil, err
		}
		return g.open(w, p, dur), nil
	}
	k := maskKey{p.ID, p.Version, p.Hours.Zone, ZoneVersion(), g.zone, g.step, dur, g.runs[0].first, g.n}
	f.mu.Lock()
	m, ok := f.masks.lists[k]
	f.mu.Unlock()
	if ok {
		return m, nil
	}
	w, err := f.windows(p, g.from, g.to)
	if err != nil {
		return nil, err
	}
	m = make(mask, (g.n+63)/64) // it outlives the search
	g.paint(m, w, dur)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.masks.put(k, m, finderBytes)
	return m, nil
}

// windows are those of a party that meet [from, to), and perhaps others.
func (f *Finder) windows(p *Party, from, to int64) ([]span, error) {
	if p.Version == 0 {
		return p.Hours.windows(from, to)
	}
	k := windowsKey{p.ID, p.Version, p.Hours.Zone, ZoneVersion(), floorDiv(from, finderStep) * finderStep, -floorDiv(-to, finderStep) * finderStep}
	f.mu.Lock()
	w, ok := f.kept.lists[k]
	f.mu.Unlock()
	if ok {
		return w, nil
	}
	w, err := p.Hours.windows(k.from, k.to)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept.put(k, w, finderBytes)
	return w, nil
}
