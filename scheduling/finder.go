package scheduling

import (
	"sync"
)

// finderKeeps is how many people's windows a Finder keeps: some 40 MB at most.
const finderKeeps = 20_000

// finderStep is what the ranges of kept windows are rounded to, so that a search that
// begins now finds those of one that began a minute ago.
const finderStep = 7 * daySeconds

// Finder is [Find] that keeps what the hours of people come to, by the version of the
// hours and the edition of the zone data, for those parties that have a version. The
// zero value is ready. It is safe for concurrent use.
type Finder struct {
	mu   sync.Mutex
	kept map[windowsKey][]span // guarded by mu; the spans are never written to
}

type windowsKey struct {
	party    string
	version  int
	zone     string // of the hours: a person without hours on file moves
	edition  string
	from, to int64
}

// Find is the function Find.
func (f *Finder) Find(q Query, parties, interpreters []Party) ([]Found, error) {
	s, err := f.newSearch(q, parties, interpreters)
	if err != nil {
		return nil, err
	}
	return s.found(), nil
}

func (f *Finder) newSearch(q Query, parties, interpreters []Party) (*search, error) {
	return newSearchWith(q, parties, interpreters, f.windows)
}

// windows are those of a party that meet [from, to), and perhaps others.
func (f *Finder) windows(p Party, from, to int64) ([]span, error) {
	if p.Version == 0 {
		return p.Hours.windows(from, to)
	}
	k := windowsKey{p.ID, p.Version, p.Hours.Zone, ZoneVersion(), floorDiv(from, finderStep) * finderStep, -floorDiv(-to, finderStep) * finderStep}
	f.mu.Lock()
	w, ok := f.kept[k]
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
	if f.kept == nil || len(f.kept) >= finderKeeps {
		f.kept = make(map[windowsKey][]span) // forgetting all is cheap and rare
	}
	f.kept[k] = w
	return w, nil
}
