package scheduling

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// pivots are the languages through which two interpreters relay, the best first; after
// them come those in which the interpreters on file work.
var pivots = []string{"en", "fr", "es"}

// mostPivots bounds the questions of one search.
const mostPivots = 8

// RelayNote says of a pivot language how many interpreters on file may carry each leg:
// from the patient's language to it, and on from there.
type RelayNote struct {
	Pivot string
	Legs  [2]int
}

// Wish is what was stated about an interpreter for a case.
type Wish string

// The wishes about an interpreter.
const (
	WishNone   Wish = ""
	WishPrefer Wish = "prefer" // is asked first
	WishAvoid  Wish = "avoid"  // is not asked: a wish of the patient, or a conflict they declared
)

// pairHeld is a pair that somebody may carry, and until when; zero is no end.
type pairHeld struct {
	pair  [2]string
	until time.Time
}

// readInterpreters adds to a plan who may carry its languages, directly or, when
// nobody may, in relay, and returns everybody whose hours are to be read.
func (s *Service) readInterpreters(ctx context.Context, tx *audit.Tx, p *plan, candidates []identity.Person, seated []identity.PersonID) ([]identity.PersonID, error) {
	if !p.interpreted {
		return seated, nil
	}
	candidates, err := s.interpretersTx(ctx, tx, candidates)
	if err != nil {
		return nil, err
	}
	var free []identity.Person
	for _, c := range candidates {
		if p.roles[c.ID] == "" && !c.Disabled && (p.interpreters == nil || slices.Contains(p.interpreters, c.ID)) && p.asked[c.ID] != AskRefused {
			free = append(free, c)
		}
	}
	if p.pair == ([2]string{}) {
		for _, c := range free {
			p.unqualified = append(p.unqualified, Unqualified{Person: c.ID, Name: c.Name, Reason: "interpreter:no-common-pair"})
		}
		return seated, nil
	}
	may := map[identity.PersonID][]pairHeld{}
	var direct []credentialing.Qualification
	if p.apart == nil {
		if direct, err = s.qualifiedFor(ctx, tx, free, p.pair, p.from); err != nil {
			return nil, err
		}
	}
	for i, q := range direct {
		if q.OK {
			may[free[i].ID] = []pairHeld{{p.pair, q.Until}}
			continue
		}
		p.unqualified = append(p.unqualified, Unqualified{Person: free[i].ID, Name: free[i].Name, Reason: q.Reason, Until: q.Until})
	}
	welcome := slices.DeleteFunc(slices.Clone(free), func(c identity.Person) bool { return p.needs.bars(c, p.visit.patient) != 0 })
	switch {
	case p.apart != nil:
		err = s.readThree(ctx, tx, p, free, may)
	case p.anyWay || !slices.ContainsFunc(welcome, func(c identity.Person) bool { return len(may[c.ID]) > 0 }):
		err = s.readRelays(ctx, tx, p, welcome, may)
	}
	if err != nil {
		return nil, err
	}
	free = slices.DeleteFunc(free, func(c identity.Person) bool { return len(may[c.ID]) == 0 })
	ranked, avoided, err := s.ranked(ctx, tx, p.ref, p.needs, p.visit.patient, free)
	if err != nil {
		return nil, err
	}
	for _, c := range avoided {
		p.unqualified = append(p.unqualified, Unqualified{Person: c.ID, Name: c.Name, Reason: "interpreter:avoid"})
	}
	slices.SortStableFunc(ranked, func(a, b identity.Person) int {
		return cmp.Compare(first(p.asked[a.ID] != AskLapsed), first(p.asked[b.ID] != AskLapsed))
	})
	for i, c := range ranked {
		p.people[c.ID] = c
		one := helper(c.ID, i, may[c.ID], p.now)
		if one.Barred = p.needs.bars(c, p.visit.patient); one.Barred != 0 {
			p.unqualified = append(p.unqualified, Unqualified{Person: c.ID, Name: c.Name, Reason: "interpreter:needs"})
		}
		p.helpers = append(p.helpers, one)
		seated = append(seated, c.ID)
	}
	return seated, nil
}

// helper is an interpreter as the search sees them, before hours and seats are known.
func helper(id identity.PersonID, rank int, may []pairHeld, now time.Time) Party {
	one := Party{ID: string(id), Rank: rank}
	var until time.Time // the first of the certificates to end
	for _, m := range may {
		one.Pairs = append(one.Pairs, m.pair)
		if !m.until.IsZero() && (until.IsZero() || m.until.Before(until)) {
			until = m.until
		}
	}
	if !until.IsZero() {
		one.Permitted = []Range{{now.Add(-time.Hour), until}}
	}
	return one
}

// readRelays finds who may carry a leg of a relay when nobody may carry the pair.
func (s *Service) readRelays(ctx context.Context, tx *audit.Tx, p *plan, free []identity.Person, may map[identity.PersonID][]pairHeld) error {
	through := through(free)
	through = slices.DeleteFunc(through, func(l string) bool { return sameTag(l, p.pair[0]) || sameTag(l, p.pair[1]) })
	for _, pivot := range through[:min(len(through), mostPivots)] {
		note := RelayNote{Pivot: pivot}
		together := map[identity.PersonID]bool{}
		for leg, pair := range [][2]string{{p.pair[0], pivot}, {pivot, p.pair[1]}} {
			quals, err := s.qualifiedFor(ctx, tx, free, pair, p.from)
			if err != nil {
				return err
			}
			for i, q := range quals {
				if q.OK {
					note.Legs[leg]++
					together[free[i].ID] = true
					may[free[i].ID] = append(may[free[i].ID], pairHeld{pair, q.Until})
				}
			}
		}
		if note.Legs[0]+note.Legs[1] > 0 {
			p.relays = append(p.relays, note)
		}
		if n := p.team(); note.Legs[0] >= n && note.Legs[1] >= n && len(together) >= 2*n {
			p.pivots = append(p.pivots, pivot)
		}
	}
	if len(p.pivots) > 0 {
		p.unqualified = slices.DeleteFunc(p.unqualified, func(u Unqualified) bool { return len(may[u.Person]) > 0 })
	}
	return nil
}

// through are the languages that may be pivots, in the order in which they are tried.
func through(free []identity.Person) []string {
	out := slices.Clone(pivots)
	for _, c := range free {
		for _, l := range c.Languages {
			if l = primary(l); !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	slices.Sort(out[len(pivots):])
	return out
}

// qualifiedFor asks of each person whether they may carry a pair at an instant.
func (s *Service) qualifiedFor(ctx context.Context, tx *audit.Tx, people []identity.Person, pair [2]string, at time.Time) ([]credentialing.Qualification, error) {
	if len(people) == 0 {
		return nil, nil
	}
	if all, ok := s.scope.(Reviews); ok {
		asks := make([]credentialing.Qualify, len(people))
		for i, c := range people {
			asks[i] = credentialing.Qualify{Person: c.ID, Pair: pair, Mode: interpretMode, At: at, Through: at}
		}
		out, err := all.QualifiedAll(ctx, tx, asks)
		if err != nil {
			return nil, fmt.Errorf("qualifications of interpreters: %w", err)
		}
		return out, nil
	}
	out := make([]credentialing.Qualification, len(people))
	for i, c := range people {
		ok, reason, until, err := s.scope.Qualified(ctx, tx, c.ID, pair, interpretMode, at)
		if err != nil {
			return nil, fmt.Errorf("qualification of interpreter %s: %w", c.ID, err)
		}
		out[i] = credentialing.Qualification{OK: ok, Reason: reason, Until: until}
	}
	return out, nil
}

// first sorts what is true before what is not.
func first(b bool) int {
	if b {
		return 0
	}
	return 1
}

// ranked puts interpreters in the order in which they are asked: whom the patient wishes
// for, if they are there, who is preferred for the case, who has worked in it, then who carried the hardest hours and the most work
// of late comes last. Who is not to be asked for the case is left out.
func (s *Service) ranked(ctx context.Context, tx *audit.Tx, ref CaseRef, needs Needs, present bool, people []identity.Person) (in, avoided []identity.Person, err error) {
	if len(people) == 0 {
		return nil, nil, nil
	}
	ids := make([]identity.PersonID, len(people))
	for i, c := range people {
		ids[i] = c.ID
	}
	wishes, err := wishesOf(ctx, tx, ref)
	if err != nil {
		return nil, nil, err
	}
	worked, err := workedInCase(ctx, tx, ref)
	if err != nil {
		return nil, nil, err
	}
	load, err := interpreterLoad(ctx, tx, ids, tx.Now().Add(-fairDays))
	if err != nil {
		return nil, nil, err
	}
	for _, c := range people {
		if wishes[c.ID].Wish == WishAvoid {
			avoided = append(avoided, c)
		} else {
			in = append(in, c)
		}
	}
	slices.SortFunc(in, func(a, b identity.Person) int {
		return cmp.Or(
			cmp.Compare(first(needs.likes(a, present)), first(needs.likes(b, present))),
			cmp.Compare(first(wishes[a.ID].Wish == WishPrefer), first(wishes[b.ID].Wish == WishPrefer)),
			cmp.Compare(first(worked[a.ID]), first(worked[b.ID])),
			cmp.Compare(load[a.ID].balance, load[b.ID].balance),
			cmp.Compare(load[a.ID].minutes, load[b.ID].minutes),
			cmp.Compare(a.ID, b.ID))
	})
	return in, avoided, nil
}
