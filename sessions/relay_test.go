package sessions

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

const (
	haddad  Identity = "p"
	nasser  Identity = "x"
	berlin  Identity = "s"
	krueger Identity = "i3"
)

// amman is a consult of two languages without a common interpreter: Arabic on the
// floor and German, Layla between Arabic and English, Krueger between English and
// German, both flowing.
func amman(t interface{ Fatalf(string, ...any) }) *machine {
	m := newMachine(Simultaneous)
	m.addBooth([2]string{"ar", "en"}, "en")
	m.addBooth([2]string{"de", "en"}, "de")
	m.host = haddad
	for _, p := range []member{
		{id: haddad, role: scheduling.RoleLocalPhysician, spoken: "ar", listening: "ar"},
		{id: nasser, role: scheduling.RolePatient, spoken: "ar", listening: "ar"},
		{id: berlin, role: scheduling.RoleSpecialist, spoken: "de", listening: "de"},
		interpreter(layla, [2]string{"ar", "en"}),
		interpreter(krueger, [2]string{"de", "en"}),
	} {
		if _, err := m.admit(p); err != nil {
			t.Fatalf("admit %s: %v", p.id, err)
		}
	}
	m.flows(layla, FlowFlowing, t0)
	m.flows(krueger, FlowFlowing, t0)
	m.settle(t0)
	return m
}

func (m *machine) inputOf(id Identity) string {
	in := m.input(m.people[id])
	return fmt.Sprint(in.kind, " ", in.tag)
}

func acts(e effects) []string {
	var out []string
	for _, c := range e.changes {
		out = append(out, c.act+" "+string(c.who))
	}
	return out
}

func TestRelayIsChosenFromWhoSpeaksWhat(t *testing.T) {
	m := amman(t)
	if got := m.inputOf(krueger); got != "no_source en" {
		t.Errorf("before anybody carries Arabic into English: %s", got)
	}
	must2(t)(m.goLive(krueger))
	m.settle(t0)
	if got := m.channel("de"); got != ChannelNoSource {
		t.Errorf("German without a source is %s", got)
	}
	must2(t)(m.goLive(layla))
	m.settle(t0)
	if got := m.inputOf(krueger); got != "relay en" {
		t.Errorf("Krueger works from %s", got)
	}
	if got := m.inputOf(layla); got != "floor " {
		t.Errorf("Layla works from %s", got)
	}
	if got := m.channel("de"); got != ChannelLive {
		t.Errorf("German by way of English is %s", got)
	}
	r := m.routes()
	if got := r.Receive[krueger]; !got.Floor || !slices.Equal(got.Channels, []string{"en"}) {
		t.Errorf("Krueger receives %+v", got)
	}
	if got := r.Receive[layla]; len(got.Channels) != 0 {
		t.Errorf("Layla receives %+v", got)
	}
	if got := fed(r, "de"); !slices.Equal(got, []Identity{krueger}) {
		t.Errorf("German is fed by %v", got)
	}
	// The other way round: German is spoken, Krueger turns to English, Layla to Arabic.
	must2(t)(m.direct(layla, "ar"))
	must2(t)(m.direct(krueger, "en"))
	m.settle(t0)
	if a, b := m.inputOf(layla), m.inputOf(krueger); a != "relay en" || b != "floor " {
		t.Errorf("the other way Layla works from %s, Krueger from %s", a, b)
	}
}

func TestRelayFollowsTheLanguageThatIsSpoken(t *testing.T) {
	m := amman(t)
	must2(t)(m.goLive(layla))
	must2(t)(m.goLive(krueger))
	now := t0
	say := func(id Identity, on bool, want string) {
		t.Helper()
		must(t, m.speech(id, on, now))
		m.settle(now)
		if d := m.deadline(); !d.IsZero() && d.Sub(now) <= speechHold {
			now = d
			m.tick(now)
			m.settle(now)
		}
		if got := m.inputOf(krueger); got != want {
			t.Errorf("%s speaks %v: Krueger works from %s, want %s", id, on, got, want)
		}
	}
	say(nasser, true, "relay en")
	say(nasser, false, "relay en") // a pause is no change
	say(berlin, true, "floor ")    // his own language: he hears Weber himself
	say(haddad, true, "relay en")  // both at once: the Arabic needs him
	say(berlin, false, "relay en")
	say(haddad, false, "relay en")

	// Less than the hold is no change.
	must(t, m.speech(berlin, true, now))
	m.settle(now)
	must(t, m.speech(berlin, false, now.Add(speechHold/2)))
	m.settle(now.Add(speechHold / 2))
	m.tick(now.Add(2 * speechHold))
	if got := m.inputOf(krueger); got != "relay en" {
		t.Errorf("a word of German moved Krueger to %s", got)
	}
	if err := m.speech(krueger, true, now); err != refuseForbidden {
		t.Errorf("an interpreter counts as a speaker: %v", err)
	}
	// Whoever spoke the language alone leaves, and it counts no more.
	say(berlin, true, "floor ")
	m.release(berlin, "left", now)
	m.settle(now)
	if got := m.inputOf(krueger); got != "relay en" {
		t.Errorf("after the only German left: %s", got)
	}
}

func TestRelayIsNeverTakenInACircle(t *testing.T) {
	m := amman(t)
	must2(t)(m.goLive(layla))
	must2(t)(m.goLive(krueger))
	m.settle(t0)
	before := m.inputOf(layla)
	for tag, want := range map[string]refusal{"de": refuseCycle, "en": refuseCycle, "ar": refuseMissing, "fr": refuseChannel} {
		if _, err := m.choose(layla, tag); err != want {
			t.Errorf("Layla takes %s: %v, want %s", tag, err, want)
		}
	}
	if got := m.inputOf(layla); got != before {
		t.Errorf("a refusal changed the input to %s", got)
	}
	must2(t)(m.choose(krueger, "floor"))
	if got := m.inputOf(krueger); got != "floor " {
		t.Errorf("Krueger chose the floor and works from %s", got)
	}
	if _, err := m.choose(layla, "de"); err != refusePair {
		t.Errorf("Layla takes German, which is not hers: %v", err)
	}
	must2(t)(m.choose(krueger, "en"))
	if got := m.input(m.people[krueger]); got != (input{InputRelay, "en", true}) {
		t.Errorf("Krueger chose English and works from %+v", got)
	}
	must2(t)(m.choose(krueger, "auto"))
	if got := m.input(m.people[krueger]); got != (input{InputRelay, "en", false}) {
		t.Errorf("back to the rule: %+v", got)
	}
}

// Four booths in a row: French by way of German by way of English would be two relays.
func TestRelayOfARelayIsRefused(t *testing.T) {
	m := amman(t)
	m.addBooth([2]string{"de", "fr"}, "fr")
	marie := Identity("i5")
	if _, err := m.admit(interpreter(marie, [2]string{"de", "fr"})); err != nil {
		t.Fatal(err)
	}
	m.flows(marie, FlowFlowing, t0)
	for _, id := range []Identity{layla, krueger, marie} {
		must2(t)(m.goLive(id))
	}
	m.release(berlin, "left", t0) // nobody speaks German now
	m.settle(t0)
	if got := m.inputOf(marie); got != "no_source de" {
		t.Errorf("Marie works from %s", got)
	}
	if _, err := m.choose(marie, "de"); err != refuseDepth {
		t.Errorf("a relay of a relay: %v", err)
	}
	// Whom somebody relays from takes no relay either.
	m.addBooth([2]string{"ar", "fr"}, "ar")
	omar := Identity("i6")
	if _, err := m.admit(interpreter(omar, [2]string{"ar", "fr"})); err != nil {
		t.Fatal(err)
	}
	m.flows(omar, FlowFlowing, t0)
	must2(t)(m.goLive(omar))
	m.speak(haddad, "fr")
	m.speak(nasser, "fr")
	m.settle(t0)
	if got := m.inputOf(krueger); got != "no_source en" { // Layla hears French too and needs Omar's Arabic
		t.Errorf("Krueger works from %s", got)
	}
	must2(t)(m.choose(layla, "floor"))
	m.settle(t0)
	if got := m.inputOf(krueger); got != "relay en" {
		t.Fatalf("Krueger works from %s", got)
	}
	if _, err := m.choose(layla, "ar"); err != refuseDepth {
		t.Errorf("a pivot takes a relay: %v", err)
	}
}

func TestChoiceOfInputLapsesWithTheSpeakersLanguage(t *testing.T) {
	m := amman(t)
	must2(t)(m.goLive(layla))
	must2(t)(m.goLive(krueger))
	m.settle(t0)
	must2(t)(m.choose(krueger, "floor"))
	m.settle(t0)
	heard := func(id, quiet Identity, at time.Time) {
		must(t, m.speech(quiet, false, at))
		must(t, m.speech(id, true, at))
		m.tick(at.Add(speechHold))
		m.settle(at.Add(speechHold))
	}
	heard(nasser, berlin, t0)
	if got := m.inputOf(krueger); got != "floor " {
		t.Errorf("the rule is the same, the choice holds: %s", got)
	}
	heard(berlin, nasser, t0.Add(time.Second))
	heard(nasser, berlin, t0.Add(2*time.Second))
	if got := m.inputOf(krueger); got != "relay en" {
		t.Errorf("after German and Arabic again: %s", got)
	}
}

// The pivot is lost in every way there is; the relay taker is told, the listeners'
// channel says so, and the log has the gap from its beginning to its end.
func TestLostPivotIsAGapUntilItIsBack(t *testing.T) {
	at := t0.Add(time.Minute)
	cut := func(m *machine) time.Time { m.flows(layla, FlowLost, at); return at }
	back := func(m *machine, now time.Time) error {
		m.flows(layla, FlowFlowing, now)
		_, err := m.goLive(layla)
		return err
	}
	unmute := func(m *machine, now time.Time) error { _, err := m.mute(layla, false, now); return err }
	for name, c := range map[string]struct {
		lose func(m *machine) time.Time
		back func(m *machine, now time.Time) error
	}{
		"link cut":       {cut, back},
		"left the booth": {func(m *machine) time.Time { m.gone(layla, at); return at }, back},
		"checked out": {func(m *machine) time.Time { m.release(layla, "left", at); return at }, func(m *machine, now time.Time) error {
			if _, err := m.admit(interpreter(layla, [2]string{"ar", "en"})); err != nil {
				return err
			}
			return back(m, now)
		}},
		"off the air": {func(m *machine) time.Time { must2(t)(m.stop(layla)); return at }, back},
		"turned": {func(m *machine) time.Time { must2(t)(m.direct(layla, "ar")); return at }, func(m *machine, _ time.Time) error {
			_, err := m.direct(layla, "en")
			return err
		}},
		"muted": {func(m *machine) time.Time {
			must2(t)(m.mute(layla, true, at))
			m.settle(at)
			if got := m.inputOf(krueger); got != "relay en" {
				t.Errorf("muted for a moment: %s", got)
			}
			m.tick(at.Add(pauseTime))
			return at.Add(pauseTime)
		}, unmute},
		"a long cough": {func(m *machine) time.Time {
			must2(t)(m.coughs(layla, true, at))
			m.settle(at)
			m.tick(at.Add(coughTime))
			m.tick(at.Add(coughTime + pauseTime))
			return at.Add(coughTime + pauseTime)
		}, unmute},
	} {
		t.Run(name, func(t *testing.T) {
			m := amman(t)
			must2(t)(m.goLive(layla))
			must2(t)(m.goLive(krueger))
			m.settle(t0)
			epoch := m.epoch
			lost := c.lose(m)
			if r := m.routes(); len(r.Receive[krueger].Channels) != 0 || !r.Receive[krueger].Floor {
				t.Errorf("the next packet is not the floor's: %+v", r.Receive[krueger])
			}
			if got := m.channel("de"); got != ChannelNoSource {
				t.Errorf("German is %s", got)
			}
			e := m.settle(lost)
			if !slices.Contains(acts(e), "relay.lost i3") {
				t.Errorf("the log has %v", acts(e))
			}
			if !slices.ContainsFunc(e.cues, func(c cue) bool { return c.code == "relay.lost" && slices.Equal(c.to, []Identity{krueger}) }) {
				t.Errorf("Krueger is told %+v", e.cues)
			}
			if m.epoch <= epoch || m.inputOf(krueger) != "no_source en" {
				t.Errorf("epoch %d after %d, input %s", m.epoch, epoch, m.inputOf(krueger))
			}
			if again := m.settle(lost.Add(time.Second)); len(again.changes) != 0 {
				t.Errorf("told again: %v", acts(again))
			}
			now := lost.Add(7 * time.Second)
			must(t, c.back(m, now))
			e = m.settle(now)
			i := slices.IndexFunc(e.changes, func(c change) bool { return c.act == "relay.restored" })
			if i < 0 {
				t.Fatalf("not restored: %v", acts(e))
			}
			d := e.changes[i].detail
			if d["channel"] != "en" || d["since"] != stamp(lost) || d["until"] != stamp(now) || d["ms"] != int64(7000) {
				t.Errorf("the gap is %v", d)
			}
			if m.inputOf(krueger) != "relay en" || m.channel("de") != ChannelLive {
				t.Errorf("afterwards %s, German %s", m.inputOf(krueger), m.channel("de"))
			}
		})
	}
}

func TestGapEndsWithTheNeedForIt(t *testing.T) {
	for name, end := range map[string]func(m *machine, now time.Time) effects{
		"nobody speaks Arabic": func(m *machine, _ time.Time) effects {
			must(t, m.speak(haddad, "de"))
			must(t, m.speak(nasser, "de"))
			return effects{}
		},
		"Krueger turns":  func(m *machine, _ time.Time) effects { must2(t)(m.direct(krueger, "en")); return effects{} },
		"Krueger leaves": func(m *machine, now time.Time) effects { return m.release(krueger, "left", now) },
		"he takes the floor": func(m *machine, _ time.Time) effects {
			e, err := m.choose(krueger, "floor")
			must(t, err)
			return e
		},
		"the session ends": func(m *machine, now time.Time) effects { return m.over(now) },
	} {
		m := amman(t)
		must2(t)(m.goLive(layla))
		must2(t)(m.goLive(krueger))
		m.settle(t0)
		m.flows(layla, FlowLost, t0)
		m.settle(t0)
		e := end(m, t0.Add(time.Second))
		e.changes = append(e.changes, m.settle(t0.Add(time.Second)).changes...)
		if !slices.Contains(acts(e), "relay.closed i3") {
			t.Errorf("%s: the log has %v", name, acts(e))
		}
	}
}

// relays is I4 for the whole session: nobody receives their own output, nor what was
// made of it, and no relay leads to another one.
func relays(t *rapid.T, m *machine, r Routes) {
	fedBy := map[string][]Identity{}
	for _, c := range r.Channels {
		if c.Leg != "" {
			fedBy[c.Tag] = append(fedBy[c.Tag], c.Leg)
		}
	}
	for id, got := range r.Receive {
		p := m.people[id]
		if p.booth == "" {
			continue
		}
		b := m.booths[p.booth]
		in := m.input(p)
		if len(got.Channels) > 0 && m.mode != Simultaneous {
			t.Fatalf("I4: %s receives %v in %s mode", id, got.Channels, m.mode)
		}
		if in.kind == InputRelay && !slices.Equal(got.Channels, []string{in.tag}) {
			t.Fatalf("I4: %s works from %s and receives %v", id, in.tag, got.Channels)
		}
		for _, tag := range got.Channels {
			if tag == b.out || !b.carries(tag) || len(fedBy[tag]) == 0 {
				t.Fatalf("I4: %s of %v into %s receives %s, fed by %v", id, b.pair, b.out, tag, fedBy[tag])
			}
			for _, leg := range fedBy[tag] {
				q := m.people[leg]
				if q.booth == p.booth {
					t.Fatalf("I4: %s receives their own booth", id)
				}
				if source := m.input(q); source.kind != InputFloor {
					t.Fatalf("I4: %s receives %s, whose %s works from %+v: depth 2 or a cycle", id, tag, leg, source)
				}
			}
		}
	}
}

// TestRelayInvariants lets random events loose on booths that could relay from each
// other in a ring, and asks after each whether anybody hears themselves.
func TestRelayInvariants(t *testing.T) {
	pairs := map[Identity][2]string{"i1": {"ar", "en"}, "i2": {"ar", "en"}, "i3": {"de", "en"}, "i4": {"ar", "de"}, "i5": {"de", "fr"}}
	legs := []Identity{"i1", "i2", "i3", "i4", "i5"}
	floor := map[Identity]scheduling.Role{"p": scheduling.RoleLocalPhysician, "s": scheduling.RoleSpecialist, "x": scheduling.RolePatient}
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(Simultaneous)
		m.host = "p"
		for _, id := range legs {
			m.addBooth(pairs[id], pairs[id][1])
		}
		now := t0
		admitted := map[Identity]bool{}
		for _, id := range []Identity{"p", "s", "x"} {
			if _, err := m.admit(member{id: id, role: floor[id], spoken: map[Identity]string{"p": "ar", "s": "de", "x": "ar"}[id]}); err != nil {
				t.Fatal(err)
			}
			admitted[id] = true
		}
		for _, id := range legs {
			if _, err := m.admit(interpreter(id, pairs[id])); err != nil {
				t.Fatal(err)
			}
			admitted[id] = true
			m.flows(id, FlowFlowing, now)
		}
		m.settle(now)
		leg := rapid.SampledFrom(legs)
		speaker := rapid.SampledFrom([]Identity{"p", "s", "x"})
		tags := rapid.SampledFrom([]string{"ar", "en", "de", "fr", "ar-JO", ""})
		wants := rapid.SampledFrom([]string{"auto", "floor", "ar", "en", "de", "fr"})
		open := map[Identity]bool{} // gaps that the log has begun
		do := func(t *rapid.T, f func(c *machine) (effects, error)) {
			c := m.clone()
			e, err := f(c)
			if err != nil {
				if got, want := fmt.Sprintf("%+v", c.routes()), fmt.Sprintf("%+v", m.routes()); got != want {
					t.Fatalf("refused with %v and routes changed: %s, before %s", err, got, want)
				}
				return
			}
			before, shown := m.epoch, interpretation(m)
			m = c
			e.changes = append(e.changes, m.settle(now).changes...)
			for tag, state := range interpretation(m) {
				if shown[tag] != state && (m.epoch <= before || len(e.changes) == 0) {
					t.Fatalf("I7: %s became %s within epoch %d, %v", tag, state, m.epoch, acts(e))
				}
			}
			for _, change := range e.changes {
				switch change.act {
				case "relay.lost":
					if open[change.who] {
						t.Fatalf("%s lost a relay twice", change.who)
					}
					open[change.who] = true
				case "relay.restored", "relay.closed":
					if !open[change.who] || change.detail["since"] == nil {
						t.Fatalf("%s of %s without a beginning: %v", change.act, change.who, change.detail)
					}
					delete(open, change.who)
				}
			}
			if again := m.settle(now); len(again.changes)+len(again.cues) != 0 {
				t.Fatalf("settled twice: %v", acts(again))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"go live": func(t *rapid.T) { do(t, func(c *machine) (effects, error) { return c.goLive(leg.Draw(t, "who")) }) },
			"stop":    func(t *rapid.T) { do(t, func(c *machine) (effects, error) { return c.stop(leg.Draw(t, "who")) }) },
			"direction": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) { return c.direct(leg.Draw(t, "who"), tags.Draw(t, "out")) })
			},
			"choose": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) { return c.choose(leg.Draw(t, "who"), wants.Draw(t, "input")) })
			},
			"choose again": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) { return c.choose(leg.Draw(t, "who"), wants.Draw(t, "input")) })
			},
			"speech": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) {
					return effects{}, c.speech(speaker.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now)
				})
			},
			"speak": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) {
					return effects{}, c.speak(speaker.Draw(t, "who"), tags.Draw(t, "tag"))
				})
			},
			"mute": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) { return c.mute(leg.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now) })
			},
			"cough": func(t *rapid.T) {
				do(t, func(c *machine) (effects, error) {
					return c.coughs(leg.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now)
				})
			},
			"flow": func(t *rapid.T) {
				flow := rapid.SampledFrom([]Flow{FlowFlowing, FlowFlowing, FlowFlowing, FlowLost})
				do(t, func(c *machine) (effects, error) { return c.flows(leg.Draw(t, "who"), flow.Draw(t, "flow"), now), nil })
			},
			"leave": func(t *rapid.T) {
				id := leg.Draw(t, "who")
				delete(admitted, id)
				do(t, func(c *machine) (effects, error) { return c.release(id, "left", now), nil })
			},
			"come": func(t *rapid.T) {
				id := leg.Draw(t, "who")
				admitted[id] = true
				do(t, func(c *machine) (effects, error) { return c.admit(interpreter(id, pairs[id])) })
			},
			"handover": func(t *rapid.T) {
				b := m.booths[boothOf(pairs["i1"])]
				do(t, func(c *machine) (effects, error) {
					switch b.state {
					case BoothLive:
						return c.offer(b.on, "", 0, now)
					case BoothOffered:
						return c.accept(b.next, now)
					case BoothArmed:
						return c.swap(b.on, now)
					}
					return effects{}, refuseNoHandover
				})
			},
			"mode": func(t *rapid.T) {
				mode := rapid.SampledFrom([]Mode{Simultaneous, Consecutive}).Draw(t, "mode")
				do(t, func(c *machine) (effects, error) { return c.propose("p", true, mode) })
				do(t, func(c *machine) (effects, error) { return c.confirm(leg.Draw(t, "who"), false, mode) })
			},
			"time": func(t *rapid.T) {
				d := m.deadline()
				if d.IsZero() {
					return
				}
				if d.After(now) {
					now = d
				}
				do(t, func(c *machine) (effects, error) { return c.tick(now), nil })
				if next := m.deadline(); !next.IsZero() && !next.After(now) {
					t.Fatalf("a deadline of %v is left after tick at %v", next, now)
				}
			},
			"": func(t *rapid.T) {
				invariants(t, m, admitted)
				for _, p := range m.people {
					if (p.gap.tag != "") != open[p.id] {
						t.Fatalf("the gap of %s is %+v, the log has it open: %v", p.id, p.gap, open[p.id])
					}
				}
			},
		})
	})
}

// Everybody of a visit of three languages begins with hearing their own, also who speaks
// neither of its two sides.
func TestEverybodyOfThreeLanguagesBeginsWithTheirOwn(t *testing.T) {
	a := scheduling.Appointment{Interpreted: [2]string{"ar", "de"}, Seats: []scheduling.Seat{
		{Role: scheduling.RoleInterpreter, Pair: [2]string{"ar", "sw"}, Leg: 1}, {Role: scheduling.RoleInterpreter, Pair: [2]string{"sw", "de"}, Leg: 2}}}
	for want, languages := range map[string][]string{"ar": {"ar"}, "sw": {"fr", "sw-TZ"}, "de": {"sw", "de"}, "": {"fr"}} {
		p := expected(Session{}, a, scheduling.Seat{ID: "s", Role: scheduling.RoleLocalPhysician}, identity.Person{Languages: languages})
		if p.Listening != want || want != "" && p.Spoken != want {
			t.Errorf("%v: speaks %q and hears %q, want %q", languages, p.Spoken, p.Listening, want)
		}
	}
}

// Three people without a common language: Arabic, Swahili and German, both interpreters
// working with German, which the specialist speaks.
func TestThreeLanguagesReachEachOtherThroughOneThatASpeakerHas(t *testing.T) {
	m := newMachine(Simultaneous)
	m.addBooth([2]string{"ar", "de"}, "de")
	m.addBooth([2]string{"de", "sw"}, "de")
	m.host = haddad
	for _, p := range []member{
		{id: haddad, role: scheduling.RoleLocalPhysician, spoken: "sw", listening: "sw"},
		{id: nasser, role: scheduling.RolePatient, spoken: "ar", listening: "ar"},
		{id: berlin, role: scheduling.RoleSpecialist, spoken: "de", listening: "de"},
		interpreter(layla, [2]string{"ar", "de"}),
		interpreter(krueger, [2]string{"de", "sw"}),
	} {
		if _, err := m.admit(p); err != nil {
			t.Fatalf("admit %s: %v", p.id, err)
		}
	}
	m.flows(layla, FlowFlowing, t0)
	m.flows(krueger, FlowFlowing, t0)
	m.settle(t0)
	for _, c := range []struct {
		speaker            Identity
		layla, krueger     string // what each interprets into
		laylaIn, kruegerIn string // what each works from
	}{
		{nasser, "de", "sw", "floor ", "relay de"},
		{haddad, "ar", "de", "relay de", "floor "},
		{berlin, "ar", "sw", "floor ", "floor "},
	} {
		for id, out := range map[Identity]string{layla: c.layla, krueger: c.krueger} {
			p := m.people[id]
			if b := m.booths[p.booth]; b.state.Forwards() {
				if _, err := m.stop(id); err != nil {
					t.Fatal(err)
				}
			}
			if b := m.booths[p.booth]; b.out != out {
				if _, err := m.direct(id, out); err != nil {
					t.Fatalf("%s into %s: %v", id, out, err)
				}
			}
		}
		for _, id := range []Identity{layla, krueger} {
			if _, err := m.goLive(id); err != nil {
				t.Fatalf("%s on air while %s speaks: %v", id, c.speaker, err)
			}
		}
		for _, id := range []Identity{nasser, haddad, berlin} {
			if err := m.speech(id, id == c.speaker, t0); err != nil {
				t.Fatal(err)
			}
		}
		m.settle(t0)
		m.turn(t0.Add(speechHold))
		if got := m.inputOf(layla); got != c.laylaIn {
			t.Errorf("%s speaks: layla works from %q, want %q", c.speaker, got, c.laylaIn)
		}
		if got := m.inputOf(krueger); got != c.kruegerIn {
			t.Errorf("%s speaks: krueger works from %q, want %q", c.speaker, got, c.kruegerIn)
		}
	}
}
