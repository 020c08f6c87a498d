package credentialing

import (
	"errors"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// DraftID is a UUIDv7.
type DraftID string

// Draft is an edition of a pack that an officer brought and another may publish.
type Draft struct {
	ID          DraftID
	Edition     Edition
	Name        string
	Status      string    // as the pack says of itself
	From, Until time.Time // zero: open
	Rules       []Rule
	Citations   map[string]Citation
	DraftedBy   identity.PersonID // "" if the operator added it
	DraftedAt   time.Time
	PublishedBy identity.PersonID // "" if it is not published, or if the operator added it
	PublishedAt time.Time
}

// Published tells whether somebody published it.
func (d Draft) Published() bool { return !d.PublishedAt.IsZero() }

// Subject is a question that a booking or an open case rests on.
type Subject struct {
	Kind         string // appointment, case
	ID           string
	Organization identity.OrganizationID
	Held         bool // set aside: something it rests on fell away
	Ask          Ask
}

// Difference is a subject that another edition answers otherwise.
type Difference struct {
	Subject
	Before, After Determination
}

// Report is what publishing an edition changes: among all future bookings and open
// cases exactly those that are answered otherwise.
type Report struct {
	Evaluated   int
	Differences []Difference
}

// publishedEdition is an edition that an operator published.
type publishedEdition struct {
	edition     Edition
	content     []byte
	from, until time.Time // zero: open
	published   time.Time
	drafter     identity.PersonID // "" for the operator's
}

func (e publishedEdition) contains(at time.Time) bool {
	return !at.Before(e.from) && (e.until.IsZero() || at.Before(e.until))
}

// editionTable is which rules are in force when. It is immutable.
type editionTable struct {
	published []publishedEdition // by when they were published
	cuts      []time.Time        // the begins of sets[1:]
	sets      []*RuleSet         // one more than cuts
}

// at are the rules for a question at an instant.
func (t *editionTable) at(at time.Time) *RuleSet {
	n, found := slices.BinarySearchFunc(t.cuts, at, time.Time.Compare)
	if found {
		n++
	}
	return t.sets[n]
}

// newEditionTable compiles the sets of all times: of each code the edition published
// last whose effective range contains the instant, or else the binary's. base are
// the binary's files, published is in the order of publication.
func newEditionTable(base map[string][]byte, published []publishedEdition, zones Zones) (*editionTable, error) {
	fileOf := map[string]string{}
	for name, data := range base {
		if name == conditionsFile {
			continue
		}
		p, err := ParsePack(name, data)
		if err != nil {
			return nil, err
		}
		fileOf[p.Code] = name
	}
	t := &editionTable{published: published}
	for _, e := range published {
		for _, cut := range []time.Time{e.from, e.until} {
			if !cut.IsZero() {
				t.cuts = append(t.cuts, cut)
			}
		}
	}
	slices.SortFunc(t.cuts, time.Time.Compare)
	t.cuts = slices.CompactFunc(t.cuts, time.Time.Equal)
	for n := range len(t.cuts) + 1 {
		at := time.Time{}
		switch {
		case n > 0:
			at = t.cuts[n-1]
		case len(t.cuts) > 0:
			at = t.cuts[0].Add(-1)
		}
		files := map[string][]byte{}
		for name, data := range base {
			files[name] = data
		}
		for _, e := range published {
			if !e.contains(at) {
				continue
			}
			name, known := fileOf[e.edition.Code]
			if !known {
				name = e.edition.Code + ".yaml"
			}
			files[name] = e.content
		}
		set, err := NewRuleSet(files, zones)
		if err != nil {
			return nil, err
		}
		t.sets = append(t.sets, set)
	}
	return t, nil
}

// files are the binary's packs with the editions published last in their places.
func (t *editionTable) files(base map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	of := map[string]string{}
	for name, data := range base {
		out[name] = data
		if p, err := ParsePack(name, data); err == nil {
			of[p.Code] = name
		}
	}
	for _, e := range t.published {
		name, known := of[e.edition.Code]
		if !known {
			name = e.edition.Code + ".yaml"
		}
		out[name] = e.content
	}
	return out
}

// with is the table as it is once one more edition is published.
func (t *editionTable) with(base map[string][]byte, e publishedEdition, zones Zones) (*editionTable, error) {
	return newEditionTable(base, append(slices.Clone(t.published), e), zones)
}

// Lint checks packs in the company of others and lists all that is wrong, each with
// file, rule and line. A candidate stands in the place of another pack of its code.
func Lint(others, candidates map[string][]byte, zones Zones) []PackError {
	files := map[string][]byte{}
	codes := map[string]bool{}
	var found []PackError
	for name, data := range candidates {
		p, err := ParsePack(name, data)
		if err != nil {
			found = append(found, packErrors(name, err)...)
			continue
		}
		codes[p.Code] = true
		files[name] = data
		found = append(found, p.lintNew(name)...)
	}
	for name, data := range others {
		if _, taken := files[name]; taken {
			name = "other/" + name
		}
		if name != conditionsFile {
			if p, err := ParsePack(name, data); err != nil || codes[p.Code] {
				continue
			}
		}
		files[name] = data
	}
	if len(found) == 0 || len(codes) > 0 {
		if _, err := NewRuleSet(files, zones); err != nil {
			found = append(found, packErrors("", err)...)
		}
	}
	slices.SortStableFunc(found, func(a, b PackError) int {
		if c := compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return found
}

// packErrors takes joined errors apart.
func packErrors(file string, err error) []PackError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []PackError
		for _, one := range many.Unwrap() {
			out = append(out, packErrors(file, one)...)
		}
		return out
	}
	var pe *PackError
	if errors.As(err, &pe) {
		one := *pe
		if inner := (*PackError)(nil); one.Line == 0 && errors.As(one.Err, &inner) { // of a field, which knows its line
			one.Line, one.Err = inner.Line, inner.Err
		}
		return []PackError{one}
	}
	return []PackError{{File: file, Err: err}}
}
