package scheduling

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// pairRules permit people as rules do, and interpreters for the pairs on file alone.
type pairRules struct {
	*rules
	pairs map[identity.PersonID][]string // "ar en"
}

func (r *pairRules) Qualified(_ context.Context, _ *audit.Tx, id identity.PersonID, pair [2]string, _ string, _ time.Time) (bool, string, time.Time, error) {
	a, b := pair[0]+" "+pair[1], pair[1]+" "+pair[0]
	if slices.ContainsFunc(r.pairs[id], func(p string) bool { return p == a || p == b }) {
		return true, "", worldStart.AddDate(1, 0, 0), nil
	}
	return false, "no-certificate", time.Time{}, nil
}

// relayWorld is the clinic with a patient who speaks Arabic and a specialist who speaks
// German alone, as the physician does with her; who may carry which pairs is given by
// name. Everybody is on call, and nobody has rules of rest.
func relayWorld(t *testing.T, pairs map[string][]string) (*world, map[string]identity.PersonID) {
	t.Helper()
	w := newWorld(t)
	w.admin(`update person set languages = '{ar}' where id = $1`, string(w.amina))
	w.admin(`update person set languages = '{de}' where id = $1`, string(w.claire))
	by := map[string]identity.PersonID{}
	r := &pairRules{rules: w.rules, pairs: map[identity.PersonID][]string{}}
	w.dir.interpreters = nil
	names := make([]string, 0, len(pairs))
	for name := range pairs {
		names = append(names, name)
	}
	slices.Sort(names) // ids ascend with the names: of equals the first is asked first
	for _, name := range names {
		id := w.person(name, "en", []string{"en", "fr"}, "Europe/Vienna")
		by[name], r.pairs[id] = id, pairs[name]
		w.dir.interpreters = append(w.dir.interpreters, id)
		w.hours(id, OnCall("Europe/Vienna"))
	}
	for _, id := range []identity.PersonID{w.amina, w.claire, w.salma} {
		w.hours(id, OnCall("Africa/Nairobi"))
	}
	w.s.scope = r
	if _, err := w.s.SetRest(ctx, w.actor(w.peter, w.clinic, identity.RoleOfficer), RestRules{}); err != nil {
		t.Fatal(err)
	}
	return w, by
}

// bookLater books the visit three days ahead, so that there is time to ask.
func (w *world) bookLater() Appointment {
	w.t.Helper()
	a, err := w.s.Book(ctx, w.otieno(), w.request(worldStart.AddDate(0, 0, 3)))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// askings are the current askings of a visit as "name pair leg state", in their order.
func (w *world) askings(a Appointment, by map[string]identity.PersonID) []string {
	w.t.Helper()
	list, err := w.s.Askings(ctx, w.coordinator(), a.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, x := range list {
		for name, id := range by {
			if id == x.Person {
				out = append(out, strings.Join([]string{name, x.Pair[0] + "-" + x.Pair[1], string(x.State)}, " "))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) expectAskings(a Appointment, by map[string]identity.PersonID, want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.askings(a, by); !slices.Equal(got, want) {
		w.t.Errorf("asked %q, want %q", got, want)
	}
}

func (w *world) says(a Appointment, id identity.PersonID, r Response) Appointment {
	w.t.Helper()
	out, err := w.answer(a, id, Answer{Response: r, Promised: r == Accepted, Via: ViaPage})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestALegThatRefusesIsAskedAnewAndTheOtherYesIsKept(t *testing.T) {
	for _, order := range []struct{ name, yes, no, next, wantYes, wantNo, wantNext string }{
		{"the patient's leg", "dora", "aziz", "bilal", "dora en-de accepted", "aziz ar-en refused", "bilal ar-en"},
		{"the specialist's leg", "aziz", "dora", "ernst", "aziz ar-en accepted", "dora en-de refused", "ernst en-de"},
	} {
		t.Run(order.name, func(t *testing.T) {
			w, by := relayWorld(t, map[string][]string{"aziz": {"ar en"}, "bilal": {"ar en"}, "dora": {"en de"}, "ernst": {"en de"}})
			a := w.bookLater()
			w.expectAskings(a, by, "aziz ar-en asked", "dora en-de asked")
			if a = w.says(a, by[order.yes], Accepted); a.State != StatePending {
				t.Fatalf("one leg has agreed: %s", a.State)
			}
			if a = w.says(a, by[order.no], Declined); a.State != StatePending {
				t.Fatalf("%s", a.State)
			}
			w.expectAskings(a, by, order.wantYes, order.wantNo, order.wantNext+" asked")
			if w.wasTold("interpreter.rerouted", by[order.yes]) || w.wasTold("seat.accepted", w.salma) {
				t.Error("who agreed is asked again, or the patient is invited")
			}
			if a = w.says(a, by[order.next], Accepted); a.State != StateBooked {
				t.Fatalf("both legs have agreed: %s", a.State)
			}
			w.expectAskings(a, by, order.wantYes, order.wantNo, order.wantNext+" accepted")
			if !w.wasTold("seat.accepted", w.salma) {
				t.Error("the patient is not invited")
			}
		})
	}
}

func TestALegThatLetsTheTimePassIsAskedAnewAndTheOtherYesIsKept(t *testing.T) {
	w, by := relayWorld(t, map[string][]string{"aziz": {"ar en"}, "bilal": {"ar en"}, "dora": {"en de"}})
	a := w.bookLater()
	a = w.says(a, by["dora"], Accepted)
	asking, err := w.s.Asking(ctx, w.interpreter(by["aziz"]), w.seatOf(a, by["aziz"]))
	if err != nil {
		t.Fatal(err)
	}
	w.setClock(asking.Deadline)
	if _, err := w.s.AskInterpreters(ctx); err != nil {
		t.Fatal(err)
	}
	w.expectAskings(a, by, "aziz ar-en lapsed", "bilal ar-en asked", "dora en-de accepted")
	if a = w.says(a, by["bilal"], Accepted); a.State != StateBooked {
		t.Errorf("%s", a.State)
	}
	// A leg that falls out later is asked anew too, and the visit waits meanwhile.
	if a = w.says(a, by["dora"], Declined); a.State != StateNeedsAttention || a.Reason != ReasonInterpreter {
		t.Errorf("%s for %q", a.State, a.Reason)
	}
	w.expectAskings(a, by, "aziz ar-en lapsed", "bilal ar-en accepted", "dora en-de refused")
}

func TestAnotherPivotIsTriedWhenALegHasNobodyLeft(t *testing.T) {
	w, by := relayWorld(t, map[string][]string{"aziz": {"ar en"}, "dora": {"en de", "fr de"}, "farid": {"ar fr"}, "georg": {"fr de"}})
	a := w.bookLater()
	w.expectAskings(a, by, "aziz ar-en asked", "dora en-de asked")
	a = w.says(a, by["dora"], Accepted)
	a = w.says(a, by["aziz"], Declined)
	if a.State != StatePending {
		t.Fatalf("%s for %q", a.State, a.Reason)
	}
	w.expectAskings(a, by, "aziz ar-en refused", "dora en-de withdrawn", "farid ar-fr asked", "dora fr-de asked")
	for name, id := range by {
		if told := w.wasTold("interpreter.rerouted", id); told != (name == "dora" || name == "farid") {
			t.Errorf("%s told of the other way: %v", name, told)
		}
	}
	// A yes to English is none to French, and who refuses that is followed by the next.
	a = w.says(a, by["farid"], Accepted)
	if a = w.says(a, by["dora"], Declined); a.State != StatePending {
		t.Fatalf("%s", a.State)
	}
	w.expectAskings(a, by, "aziz ar-en refused", "dora en-de withdrawn", "dora fr-de refused", "farid ar-fr accepted", "georg fr-de asked")
	if n, err := w.s.AskInterpreters(ctx); n != 0 || err != nil {
		t.Errorf("looked at %d, %v: the chairs through English are given up", n, err)
	}
	if a = w.says(a, by["georg"], Accepted); a.State != StateBooked {
		t.Fatalf("%s: the chairs through English are waited for", a.State)
	}
	if n := w.count(`select count(*) from seat where role = 'interpreter' and released_at is null`); n != 2 {
		t.Errorf("%d interpreters keep a seat", n)
	}
}

func TestWhoeverArrangesIsToldWhichLegIsMissing(t *testing.T) {
	w, by := relayWorld(t, map[string][]string{"aziz": {"ar en"}, "dora": {"en de"}, "hugo": {"en de"}})
	a := w.bookLater()
	a = w.says(a, by["aziz"], Accepted)
	if legs, err := w.s.MissingLegs(ctx, w.coordinator(), a.ID); err != nil || !slices.Equal(legs, []MissingLeg{{[2]string{"en", "de"}, true}}) {
		t.Errorf("missing while dora is asked: %v, %v", legs, err)
	}
	a = w.says(a, by["dora"], Declined)
	if a = w.says(a, by["hugo"], Declined); a.State != StateNeedsAttention || a.Reason != ReasonInterpreter {
		t.Fatalf("%s for %q", a.State, a.Reason)
	}
	if !w.wasTold("interpreter.exhausted", w.amina) || w.wasTold("interpreter.exhausted", w.salma) {
		t.Error("who arranges is not told, or the patient is")
	}
	if legs, err := w.s.MissingLegs(ctx, w.coordinator(), a.ID); err != nil || !slices.Equal(legs, []MissingLeg{{[2]string{"en", "de"}, false}}) {
		t.Errorf("missing %v, %v", legs, err)
	}
	if _, err := w.s.MissingLegs(ctx, w.interpreter(by["aziz"]), a.ID); !errors.Is(err, ErrForbidden) {
		t.Errorf("an interpreter asks: %v", err)
	}
	w.expectAskings(a, by, "aziz ar-en accepted", "dora en-de refused", "hugo en-de refused")
	// Somebody new is found: only that leg is asked, and the first yes still counts.
	id := w.person("ida", "en", []string{"en"}, "Europe/Vienna")
	by["ida"] = id
	w.hours(id, OnCall("Europe/Vienna"))
	w.dir.interpreters = append(w.dir.interpreters, id)
	w.s.scope.(*pairRules).pairs[id] = []string{"de en"}
	a = w.read(a.ID)
	choices, err := w.s.Choices(ctx, w.coordinator(), a.ID)
	if err != nil || len(choices) != 1 || choices[0].Person != id {
		t.Fatalf("choices %+v, %v", choices, err)
	}
	if a, err = w.s.Pick(ctx, w.coordinator(), a.ID, a.Version, id); err != nil {
		t.Fatal(err)
	}
	if a = w.says(a, id, Accepted); a.State != StateBooked {
		t.Errorf("%s", a.State)
	}
}

// Whatever they answer, in whatever order: a visit is booked exactly when every leg of
// one way has a yes, and nobody sits twice.
func TestAVisitInRelayIsBookedWithEveryLegOrNot(t *testing.T) {
	names := []string{"aziz", "bilal", "dora", "ernst", "farid", "georg"}
	for n := range 1 << len(names) {
		if n%7 != 3 { // a tenth of them, spread
			continue
		}
		w, by := relayWorld(t, map[string][]string{"aziz": {"ar en"}, "bilal": {"ar en", "ar fr"}, "dora": {"en de"}, "ernst": {"en de", "fr de"}, "farid": {"ar fr"}, "georg": {"fr de"}})
		a := w.bookLater()
		for range 20 {
			list, err := w.s.Askings(ctx, w.coordinator(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(list, func(x Assignment) bool { return x.State == Asked })
			if i < 0 {
				break
			}
			say := Declined
			for k, name := range names {
				if by[name] == list[i].Person && n>>k&1 == 1 {
					say = Accepted
				}
			}
			a = w.says(a, list[i].Person, say)
		}
		legs := map[int]string{}
		for _, seat := range a.Seats {
			if seat.Role == RoleInterpreter && !seat.Released && seat.Response == Accepted {
				legs[seat.Leg] = seat.Pair[0] + seat.Pair[1]
			}
		}
		whole := legs[1] == "aren" && legs[2] == "ende" || legs[1] == "arfr" && legs[2] == "frde"
		if (a.State == StateBooked) != whole || a.State != StateBooked && a.State != StateNeedsAttention {
			t.Errorf("answers %06b: %s with %v; %q", n, a.State, legs, w.askings(a, by))
		}
	}
}
