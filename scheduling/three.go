package scheduling

import (
	"context"
	"slices"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// mostTongues bounds how many languages of each of three people are tried.
const mostTongues = 3

// threeApart are the languages of three people, the patient first and the specialist
// last, as primary subtags; nil if there are others than three, or the languages of one
// are not known. That no two share a language is known already: else one pair would do.
func threeApart(spoken [][]string) [][]string {
	if len(spoken) != 3 {
		return nil
	}
	out := make([][]string, 3)
	for i, list := range spoken {
		for _, l := range list {
			if l = primary(l); !slices.Contains(out[i], l) && len(out[i]) < mostTongues {
				out[i] = append(out[i], l)
			}
		}
		if len(out[i]) == 0 {
			return nil
		}
	}
	return out
}

// threeWays are how three people who share no language could be interpreted. Two
// interpreters do if both work with the language of the same person: the specialist
// first, whom then both others hear with one interpreter between, then the physician,
// then the patient. Else three do, all from a language that none of them speaks.
func threeWays(apart [][]string, through []string) []Way {
	var out []Way
	for _, hub := range []int{2, 1, 0} {
		one, other := (hub+1)%3, (hub+2)%3
		if one > other {
			one, other = other, one // the patient's leg first
		}
		for _, pivot := range apart[hub] {
			for _, a := range apart[one] {
				for _, b := range apart[other] {
					out = append(out, Way{pivot, [][2]string{{a, pivot}, {pivot, b}}})
				}
			}
		}
	}
	for _, pivot := range through {
		if slices.ContainsFunc(apart, func(list []string) bool { return slices.Contains(list, pivot) }) {
			continue
		}
		for _, a := range apart[0] {
			for _, b := range apart[1] {
				for _, c := range apart[2] {
					out = append(out, Way{pivot, [][2]string{{a, pivot}, {pivot, b}, {pivot, c}}})
				}
			}
		}
	}
	return out
}

// readThree finds who may carry the legs of the ways between three people who share no
// language, and which ways have enough people on file.
func (s *Service) readThree(ctx context.Context, tx *audit.Tx, p *plan, free []identity.Person, may map[identity.PersonID][]pairHeld) error {
	candidates := through(free)
	known := map[[2]string][]credentialing.Qualification{}
	for _, w := range threeWays(p.apart, candidates[:min(len(candidates), mostPivots)]) {
		enough := true
		together := map[identity.PersonID]bool{}
		for _, leg := range w.Legs {
			quals, asked := known[leg]
			if !asked {
				var err error
				if quals, err = s.qualifiedFor(ctx, tx, free, leg, p.from); err != nil {
					return err
				}
				known[leg] = quals
				for i, q := range quals {
					if q.OK {
						may[free[i].ID] = append(may[free[i].ID], pairHeld{leg, q.Until})
					}
				}
			}
			n := 0
			for i, q := range quals {
				if q.OK {
					n++
					together[free[i].ID] = true
				}
			}
			enough = enough && n >= p.team()
		}
		if enough && len(together) >= len(w.Legs)*p.team() {
			p.ways = append(p.ways, w)
		}
	}
	return nil
}

// Carried are the languages that the interpreters of a visit carry: those of its two
// sides first, then those between or beside them.
func (a Appointment) Carried() []string {
	var out []string
	add := func(tags [2]string) {
		for _, tag := range tags {
			if tag != "" && !slices.Contains(out, tag) {
				out = append(out, tag)
			}
		}
	}
	add(a.Interpreted)
	for _, seat := range a.Seats {
		if seat.Role == RoleInterpreter && !seat.Released {
			add(seat.Pair)
		}
	}
	return out
}
