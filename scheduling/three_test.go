package scheduling

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// threeWorld is relayWorld with a physician who speaks Swahili alone: no two of the three
// share a language.
func threeWorld(t *testing.T, pairs map[string][]string) (*world, map[string]identity.PersonID) {
	w, by := relayWorld(t, pairs)
	w.admin(`update person set languages = '{sw}' where id = $1`, string(w.amina))
	return w, by
}

// crewed is who has a chair of a visit, as "leg name pair".
func crewed(a Appointment, by map[string]identity.PersonID) []string {
	var out []string
	for _, seat := range a.Seats {
		for name, id := range by {
			if seat.Person == id && seat.Role == RoleInterpreter && !seat.Released {
				out = append(out, fmt.Sprintf("%d %s %s-%s", seat.Leg, name, seat.Pair[0], seat.Pair[1]))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestThreePeopleWithoutACommonLanguageAreInterpretedFromTheLanguageOfOneOrOfNone(t *testing.T) {
	for name, c := range map[string]struct {
		pairs map[string][]string
		crew  []string
		pivot string
	}{
		"both work with the specialist's": {map[string][]string{"aziz": {"ar de"}, "baraka": {"de sw"}}, []string{"1 aziz ar-de", "2 baraka de-sw"}, "de"},
		"both work with the physician's":  {map[string][]string{"aziz": {"sw ar"}, "baraka": {"de sw"}}, []string{"1 aziz ar-sw", "2 baraka sw-de"}, "sw"},
		"both work with the patient's":    {map[string][]string{"aziz": {"sw ar"}, "baraka": {"ar de"}}, []string{"1 aziz sw-ar", "2 baraka ar-de"}, "ar"},
		"three work with English":         {map[string][]string{"aziz": {"ar en"}, "baraka": {"en sw"}, "dora": {"en de"}}, []string{"1 aziz ar-en", "2 baraka en-sw", "3 dora en-de"}, "en"},
		"the specialist's comes first": {map[string][]string{"aziz": {"ar de", "sw ar"}, "baraka": {"de sw"}, "dora": {"en de"}, "esi": {"en sw", "ar en"}},
			[]string{"1 aziz ar-de", "2 baraka de-sw"}, "de"},
	} {
		t.Run(name, func(t *testing.T) {
			w, by := threeWorld(t, c.pairs)
			start := worldStart.AddDate(0, 0, 3)
			q := w.search()
			q.From, q.To = start, start.Add(2*time.Hour)
			found, err := w.s.Search(ctx, w.otieno(), q)
			if err != nil || len(found.Slots) == 0 || found.Slots[0].Pivot != c.pivot {
				t.Fatalf("%+v, why not %+v, %v", found.Slots, found.WhyNot, err)
			}
			a := w.bookLater()
			if got := crewed(a, by); !slices.Equal(got, c.crew) {
				t.Errorf("seated %q, want %q", got, c.crew)
			}
			if a.Interpreted != [2]string{"ar", "de"} {
				t.Errorf("the sides are %v", a.Interpreted)
			}
			for _, tag := range []string{"ar", "sw", "de"} {
				if !slices.Contains(a.Carried(), tag) {
					t.Errorf("carried %v", a.Carried())
				}
			}
			for i, line := range c.crew {
				var leg int
				var who string
				if _, err := fmt.Sscanf(line, "%d %s", &leg, &who); err != nil {
					t.Fatal(err)
				}
				a = w.says(a, by[who], Accepted)
				if want := i == len(c.crew)-1; (a.State == StateBooked) != want {
					t.Errorf("after %d of %d: %s", i+1, len(c.crew), a.State)
				}
			}
		})
	}
}

func TestThreeLanguagesWithALegMissingAreRefusedWithThatReason(t *testing.T) {
	for name, pairs := range map[string]map[string][]string{
		"the physician is left out":     {"aziz": {"ar de"}, "dora": {"en de"}},
		"one person for both legs":      {"aziz": {"ar de", "de sw"}},
		"two through English, no third": {"aziz": {"ar en"}, "baraka": {"en sw"}},
		"nobody":                        {},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := threeWorld(t, pairs)
			found, err := w.s.Search(ctx, w.otieno(), w.search())
			if err != nil || len(found.Slots) > 0 || len(found.WhyNot) != 1 || found.WhyNot[0].Limit != LimitInterpreter {
				t.Fatalf("%d starts, why not %+v, %v", len(found.Slots), found.WhyNot, err)
			}
			if r := found.WhyNot[0].Refusal; r == nil || r.Lead != "interpreter:three-languages" {
				t.Errorf("%+v", r)
			}
			_, err = w.s.Book(ctx, w.otieno(), w.request(worldStart.AddDate(0, 0, 3)))
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Limit != LimitInterpreter || refusal.Lead != "interpreter:three-languages" {
				t.Errorf("booked: %v", err)
			}
			if n := w.count(`select count(*) from appointment`); n != 0 {
				t.Errorf("%d appointments", n)
			}
		})
	}
}

func TestAVisitOfThreeLanguagesGoesAnotherWayWhenALegRefuses(t *testing.T) {
	w, by := threeWorld(t, map[string][]string{"aziz": {"ar de"}, "baraka": {"de sw", "sw ar"}, "cara": {"sw ar"}, "dora": {"de sw"}})
	a := w.bookLater()
	w.expectAskings(a, by, "aziz ar-de asked", "baraka de-sw asked")
	a = w.says(a, by["baraka"], Accepted)
	if a = w.says(a, by["aziz"], Declined); a.State != StatePending {
		t.Fatalf("%s for %q", a.State, a.Reason)
	}
	w.expectAskings(a, by, "aziz ar-de refused", "baraka de-sw withdrawn", "baraka ar-sw asked", "dora sw-de asked")
	a = w.says(a, by["baraka"], Accepted)
	if a = w.says(a, by["dora"], Accepted); a.State != StateBooked {
		t.Errorf("%s", a.State)
	}
}
