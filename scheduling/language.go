package scheduling

import (
	"slices"
	"strings"
)

// needsInterpreter decides who of a meeting needs an interpreter. Each entry lists
// the languages of one person, best first. If one language is common to all, none
// is needed. Otherwise one interpreter carries between two groups that each have a
// common language; ok is false when two groups do not suffice.
func needsInterpreter(people [][]string) (pair [2]string, needed, ok bool) {
	if _, shared := commonLanguage(people); shared {
		return pair, false, true
	}
	// Groups in the order of their size, the first person's group first: one person
	// apart (the patient) is the usual case.
	n := len(people)
	masks := make([]int, 0, 1<<n)
	for m := 1; m < 1<<n-1; m++ {
		if m&1 == 1 { // the first person's group; the other is the rest
			masks = append(masks, m)
		}
	}
	slices.SortStableFunc(masks, func(a, b int) int { return popcount(a) - popcount(b) })
	for _, m := range masks {
		var in, out [][]string
		for i, p := range people {
			if m>>i&1 == 1 {
				in = append(in, p)
			} else {
				out = append(out, p)
			}
		}
		a, okA := commonLanguage(in)
		b, okB := commonLanguage(out)
		if okA && okB {
			return [2]string{a, b}, true, true
		}
	}
	return pair, true, false
}

// commonLanguage is the first language of the first person that all others have.
func commonLanguage(people [][]string) (string, bool) {
	if len(people) == 0 {
		return "", false
	}
	for _, l := range people[0] {
		shared := true
		for _, p := range people[1:] {
			if !slices.ContainsFunc(p, func(o string) bool { return primary(o) == primary(l) }) {
				shared = false
				break
			}
		}
		if shared {
			return primary(l), true
		}
	}
	return "", false
}

// primary is the primary language subtag (RFC 5646 §2.2.1), in lower case.
func primary(tag string) string {
	p, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(p)
}

func popcount(m int) int {
	n := 0
	for ; m > 0; m &= m - 1 {
		n++
	}
	return n
}
