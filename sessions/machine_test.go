package sessions

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/scheduling"
)

// t0 is the hour of the tests' sessions.
var t0 = time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)

const (
	physician  Identity = "p"
	specialist Identity = "s"
	patient    Identity = "x"
	layla      Identity = "i1"
	second     Identity = "i2"
	weber      Identity = "i3" // of another pair that shares a tag
)

// consult is a machine with two pairs that share English, nobody admitted.
func consult() *machine {
	m := newMachine(Simultaneous)
	m.addBooth([2]string{"ar", "en"}, "ar")
	m.addBooth([2]string{"de", "en"}, "de")
	m.host = physician
	return m
}

func interpreter(id Identity, pair [2]string) member {
	return member{id: id, role: scheduling.RoleInterpreter, booth: boothOf(pair), stand: Ready}
}

// everybody admits the whole cast; legs do not flow yet.
func everybody(t interface{ Fatalf(string, ...any) }, m *machine) {
	for _, p := range []member{
		{id: physician, role: scheduling.RoleLocalPhysician, spoken: "en"},
		{id: specialist, role: scheduling.RoleSpecialist, spoken: "en"},
		{id: patient, role: scheduling.RolePatient, spoken: "ar"},
		interpreter(layla, [2]string{"ar", "en"}),
		interpreter(second, [2]string{"en", "ar"}),
		interpreter(weber, [2]string{"de", "en"}),
	} {
		if _, err := m.admit(p); err != nil {
			t.Fatalf("admit %s: %v", p.id, err)
		}
	}
}

func fed(r Routes, tag string) []Identity {
	var out []Identity
	for _, c := range r.Channels {
		if c.Tag == tag && c.Leg != "" {
			out = append(out, c.Leg)
		}
	}
	return out
}

func TestInterpreterReachesTheChannelOnlyOnAir(t *testing.T) {
	m := consult()
	everybody(t, m)
	must(t, m.listen(patient, "ar"))
	m.flows(layla, FlowFlowing, t0)
	if got := fed(m.routes(), "ar"); len(got) != 0 {
		t.Errorf("before go_live the channel is fed by %v", got)
	}
	if got := m.channel("ar"); got != ChannelWaiting {
		t.Errorf("channel before go_live: %s", got)
	}
	if _, err := m.goLive(layla); err != nil {
		t.Fatal(err)
	}
	r := m.routes()
	if got := fed(r, "ar"); !slices.Equal(got, []Identity{layla}) {
		t.Errorf("on air the channel is fed by %v", got)
	}
	if got := r.Receive[patient]; !got.Floor || !slices.Equal(got.Channels, []string{"ar"}) {
		t.Errorf("patient receives %+v", got)
	}
	if got := m.channel("en"); got != ChannelIdle {
		t.Errorf("the other channel: %s", got)
	}
	if _, err := m.direct(layla, "en"); err != nil {
		t.Fatal(err)
	}
	if got, other := fed(m.routes(), "en"), fed(m.routes(), "ar"); !slices.Equal(got, []Identity{layla}) || len(other) != 0 {
		t.Errorf("after the direction changed: en %v, ar %v", got, other)
	}
	if _, err := m.stop(layla); err != nil {
		t.Fatal(err)
	}
	if got := fed(m.routes(), "en"); len(got) != 0 {
		t.Errorf("off air the channel is fed by %v", got)
	}
}

func TestSecondBoothFindsTheChannelBusy(t *testing.T) {
	m := consult()
	everybody(t, m)
	for _, id := range []Identity{layla, weber} {
		m.flows(id, FlowFlowing, t0)
		if _, err := m.direct(id, "en"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.goLive(layla); err != nil {
		t.Fatal(err)
	}
	if _, err := m.goLive(weber); err != refuseBusy {
		t.Errorf("the second booth got %v, want %v", err, refuseBusy)
	}
}

func TestPassiveInterpreterWaitsForAHealthyColleague(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	m.flows(second, FlowFlowing, t0)
	if _, err := m.goLive(layla); err != nil {
		t.Fatal(err)
	}
	if _, err := m.goLive(second); err != refuseBusy {
		t.Errorf("beside a healthy colleague: %v, want %v", err, refuseBusy)
	}
	m.flows(layla, FlowSuspect, t0)
	if _, err := m.goLive(second); err != nil {
		t.Errorf("beside a suspect colleague: %v", err)
	}
	if got := fed(m.routes(), "ar"); !slices.Equal(got, []Identity{second}) {
		t.Errorf("fed by %v", got)
	}
}

func TestLostLegBringsTheChannelDownAndIsTakenAgain(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	if _, err := m.goLive(layla); err != nil {
		t.Fatal(err)
	}
	e := m.flows(layla, FlowLost, t0)
	if m.channel("ar") != ChannelDown || len(fed(m.routes(), "ar")) != 0 {
		t.Fatalf("channel %s, fed by %v", m.channel("ar"), fed(m.routes(), "ar"))
	}
	if !slices.ContainsFunc(e.cues, func(c cue) bool { return c.code == "channel.down" && slices.Contains(c.to, patient) }) {
		t.Errorf("the patient is not told: %+v", e.cues)
	}
	if _, err := m.goLive(layla); err != refuseNoSource {
		t.Errorf("a lost leg went on air: %v", err)
	}
	if got, want := m.deadline(), t0.Add(ringTime); !got.Equal(want) {
		t.Errorf("deadline %v, want %v", got, want)
	}
	if e := m.tick(t0.Add(ringTime)); !slices.ContainsFunc(e.cues, func(c cue) bool { return slices.Contains(c.to, physician) }) {
		t.Errorf("the host is not asked to choose: %+v", e.cues)
	}
	m.flows(layla, FlowFlowing, t0.Add(20*time.Second))
	if m.channel("ar") != ChannelDown {
		t.Errorf("the channel came back by itself: %s", m.channel("ar"))
	}
	if _, err := m.goLive(layla); err != nil {
		t.Fatal(err)
	}
	if m.channel("ar") != ChannelLive {
		t.Errorf("after take: %s", m.channel("ar"))
	}
}

func TestHandoverOverlapsWithoutAHole(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	m.flows(second, FlowFlowing, t0)
	steps := []struct {
		name string
		do   func() error
		fed  []Identity
	}{
		{"go live", func() error { _, err := m.goLive(layla); return err }, []Identity{layla}},
		{"offer", func() error { _, err := m.offer(layla, second, 0, t0); return err }, []Identity{layla}},
		{"accept", func() error { _, err := m.accept(second, t0); return err }, []Identity{layla}},
		{"switch", func() error { _, err := m.swap(layla, t0); return err }, []Identity{layla, second}},
		{"after three seconds", func() error { m.tick(t0.Add(overlapTime)); return nil }, []Identity{second}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := fed(m.routes(), "ar"); !slices.Equal(got, step.fed) {
			t.Errorf("%s: fed by %v, want %v", step.name, got, step.fed)
		}
	}
	if a, b := m.people[layla].stand, m.people[second].stand; a != Standby || b != OnAir {
		t.Errorf("after the handover: %s, %s", a, b)
	}
}

func TestHandoverNeedsAReadyPartner(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	must2(t)(m.goLive(layla))
	must2(t)(m.offer(layla, second, 0, t0))
	if _, err := m.accept(second, t0); err != refuseNotReady {
		t.Errorf("a partner without sound accepted: %v", err)
	}
	if _, err := m.accept(layla, t0); err != refuseSelf {
		t.Errorf("accepted the own offer: %v", err)
	}
	m.tick(t0.Add(offerTime))
	if b := m.booths[boothOf([2]string{"ar", "en"})]; b.state != BoothLive || b.on != layla {
		t.Errorf("after the deadline: %s %s", b.state, b.on)
	}
}

func TestPauseKeepsSpecialistAndPatientApart(t *testing.T) {
	m := consult()
	everybody(t, m)
	must(t, m.listen(patient, "ar"))
	must(t, m.listen(specialist, "en"))
	m.pause("consent", true)
	r := m.routes()
	if got := r.Receive[specialist]; !slices.Contains(got.Silenced, patient) || len(got.Channels) != 0 {
		t.Errorf("specialist receives %+v", got)
	}
	if got := r.Receive[patient]; !slices.Contains(got.Silenced, specialist) {
		t.Errorf("patient receives %+v", got)
	}
	if got := r.Receive[layla]; !slices.Contains(got.Silenced, specialist) {
		t.Errorf("interpreter receives %+v", got)
	}
	if got := r.Receive[physician]; len(got.Silenced) != 0 {
		t.Errorf("local physician receives %+v", got)
	}
	m.pause("consent", false)
	if got := m.routes().Receive[specialist]; len(got.Silenced) != 0 || len(got.Channels) != 1 {
		t.Errorf("afterwards the specialist receives %+v", got)
	}
}

func TestMuteRestoresTheFloorAfterAMoment(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	must2(t)(m.goLive(layla))
	must2(t)(m.mute(layla, true, t0))
	if m.channel("ar") != ChannelLive {
		t.Errorf("at once: %s", m.channel("ar"))
	}
	m.tick(t0.Add(pauseTime))
	if m.channel("ar") != ChannelPaused {
		t.Errorf("after three seconds: %s", m.channel("ar"))
	}
	must2(t)(m.mute(layla, false, t0.Add(5*time.Second)))
	if m.channel("ar") != ChannelLive {
		t.Errorf("unmuted: %s", m.channel("ar"))
	}
}

func TestModeChangesWhenTheOtherSideConfirms(t *testing.T) {
	m := consult()
	everybody(t, m)
	m.flows(layla, FlowFlowing, t0)
	must2(t)(m.goLive(layla))
	must2(t)(m.propose(physician, true, Consecutive))
	if _, err := m.confirm(physician, true, Consecutive); err != refuseSelf {
		t.Errorf("confirmed the own proposal: %v", err)
	}
	must2(t)(m.confirm(layla, false, Consecutive))
	if m.mode != Consecutive || len(fed(m.routes(), "ar")) != 0 {
		t.Errorf("mode %s, fed by %v", m.mode, fed(m.routes(), "ar"))
	}
	if _, err := m.goLive(layla); err != refuseMode {
		t.Errorf("went live in consecutive mode: %v", err)
	}
}

func TestUnclearedInterpreterStaysOutside(t *testing.T) {
	for stand, want := range map[Assignment]error{Invited: refuseAck, Agreed: refuseAck, Cleared: refuseCheckIn} {
		m := consult()
		p := interpreter(layla, [2]string{"ar", "en"})
		p.stand = stand
		if _, err := m.admit(p); err != want {
			t.Errorf("%s: %v, want %v", stand, err, want)
		}
		if len(m.routes().Receive) != 0 {
			t.Errorf("%s receives %v", stand, m.routes().Receive)
		}
	}
}

// TestInvariants lets random events loose on the machine and asks after each
// whether what never bends holds (design interpretation, section 1).
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := consult()
		now := t0
		admitted := map[Identity]bool{}
		cast := []Identity{physician, specialist, patient, layla, second, weber}
		legs := []Identity{layla, second, weber}
		roles := map[Identity]scheduling.Role{physician: scheduling.RoleLocalPhysician, specialist: scheduling.RoleSpecialist, patient: scheduling.RolePatient}
		anyone := rapid.SampledFrom(cast)
		leg := rapid.SampledFrom(legs)
		tags := rapid.SampledFrom([]string{"ar", "en", "de", "fr", ""})
		flow := rapid.SampledFrom([]Flow{FlowFlowing, FlowFlowing, FlowSuspect, FlowLost})
		stands := rapid.SampledFrom([]Assignment{Ready, Ready, Ready, Cleared, Agreed, Invited})
		modes := rapid.SampledFrom([]Mode{Simultaneous, Consecutive})
		if rapid.Bool().Draw(t, "begun") { // else most runs would never see a handover
			everybody(t, m)
			for _, id := range cast {
				admitted[id] = true
			}
			for _, id := range legs {
				m.flows(id, FlowFlowing, now)
			}
		}
		// attempt runs a command and checks that a refusal changes nothing and that
		// a change has its epoch and its record.
		attempt := func(t *rapid.T, do func(c *machine) (effects, error)) {
			before := m.clone()
			c := m.clone()
			e, err := do(c)
			if err != nil {
				if _, ok := err.(refusal); !ok {
					t.Fatalf("refused without a code: %v", err)
				}
				if len(e.changes) != 0 {
					t.Fatalf("refused with %v and changed %v", err, e.changes)
				}
				return
			}
			m = c
			e.changes = append(e.changes, m.settle(now).changes...)
			if !maps.Equal(interpretation(before), interpretation(m)) {
				if m.epoch <= before.epoch {
					t.Fatalf("I7: changed within epoch %d: %v to %v", m.epoch, interpretation(before), interpretation(m))
				}
				if len(e.changes) == 0 {
					t.Fatalf("I7: changed without a record: %v to %v", interpretation(before), interpretation(m))
				}
			}
			continuous(t, before, m)
		}
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				id := anyone.Draw(t, "who")
				p := member{id: id, role: roles[id], spoken: "en"}
				if roles[id] == "" {
					p = interpreter(id, map[Identity][2]string{layla: {"ar", "en"}, second: {"ar", "en"}, weber: {"de", "en"}}[id])
					p.stand = stands.Draw(t, "stand")
				}
				c := m.clone()
				if _, err := c.admit(p); err == nil {
					m = c
					m.settle(now)
					admitted[id] = true
				} else if !reflect.DeepEqual(m, c) {
					t.Fatalf("refused with %v and changed", err)
				}
			},
			"remove": func(t *rapid.T) {
				id := anyone.Draw(t, "who")
				m.release(id, "removed", now)
				m.settle(now)
				delete(admitted, id)
			},
			"listen": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) {
					return effects{}, c.listen(anyone.Draw(t, "who"), tags.Draw(t, "tag"))
				})
			},
			"flow": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.flows(leg.Draw(t, "who"), flow.Draw(t, "flow"), now), nil })
			},
			"gone": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.gone(leg.Draw(t, "who"), now), nil })
			},
			"go live": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.goLive(anyone.Draw(t, "who")) })
			},
			"stop": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.stop(anyone.Draw(t, "who")) })
			},
			"direction": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.direct(leg.Draw(t, "who"), tags.Draw(t, "tag")) })
			},
			"offer": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.offer(leg.Draw(t, "who"), leg.Draw(t, "to"), 0, now) })
			},
			"request": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.request(leg.Draw(t, "who"), 0, now) })
			},
			"accept": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.accept(leg.Draw(t, "who"), now) })
			},
			"cancel": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.cancel(leg.Draw(t, "who")) })
			},
			"switch": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.swap(leg.Draw(t, "who"), now) })
			},
			"assign": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.assign(physician, leg.Draw(t, "who")) })
			},
			"mute": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) { return c.mute(leg.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now) })
			},
			"cough": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) {
					return c.coughs(leg.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now)
				})
			},
			"further": func(t *rapid.T) { // whatever brings a handover on
				b := m.booths[boothOf([2]string{"ar", "en"})]
				attempt(t, func(c *machine) (effects, error) {
					switch b.state {
					case BoothIdle, BoothDown:
						return c.goLive(layla)
					case BoothLive:
						return c.offer(b.on, "", 0, now)
					case BoothOffered:
						return c.accept(b.next, now)
					case BoothRequested:
						return c.accept(b.on, now)
					case BoothArmed:
						return c.swap(b.on, now)
					}
					return effects{}, refuseNoHandover
				})
			},
			"speech": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) {
					return effects{}, c.speech(anyone.Draw(t, "who"), rapid.Bool().Draw(t, "on"), now)
				})
			},
			"speak": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) {
					return effects{}, c.speak(anyone.Draw(t, "who"), tags.Draw(t, "tag"))
				})
			},
			"choose": func(t *rapid.T) {
				want := rapid.SampledFrom([]string{"auto", "floor", "ar", "en", "de", "fr"})
				attempt(t, func(c *machine) (effects, error) { return c.choose(leg.Draw(t, "who"), want.Draw(t, "input")) })
			},
			"propose": func(t *rapid.T) {
				id := anyone.Draw(t, "who")
				attempt(t, func(c *machine) (effects, error) { return c.propose(id, id == physician, modes.Draw(t, "mode")) })
			},
			"confirm": func(t *rapid.T) {
				id := anyone.Draw(t, "who")
				attempt(t, func(c *machine) (effects, error) { return c.confirm(id, id == physician, modes.Draw(t, "mode")) })
			},
			"pause": func(t *rapid.T) { m.pause("consent", rapid.Bool().Draw(t, "on")) },
			"bar": func(t *rapid.T) {
				attempt(t, func(c *machine) (effects, error) {
					e, _ := c.bar(rapid.Bool().Draw(t, "on"))
					return e, nil
				})
			},
			"time": func(t *rapid.T) {
				d := m.deadline()
				if d.IsZero() {
					return
				}
				if d.After(now) {
					now = d
				}
				attempt(t, func(c *machine) (effects, error) { return c.tick(now), nil })
				if next := m.deadline(); !next.IsZero() && !next.After(now) {
					t.Fatalf("a deadline of %v is left after tick at %v", next, now)
				}
			},
			"": func(t *rapid.T) { invariants(t, m, admitted) },
		})
	})
}

// interpretation is what I7 calls state: booths, who is on the air, channels, mode.
func interpretation(m *machine) map[string]string {
	out := map[string]string{"mode": string(m.mode)}
	for room, b := range m.booths {
		out[string(room)] = fmt.Sprint(b.state, b.out, b.on, b.next)
	}
	for _, tag := range m.tags() {
		out["channel:"+tag] = string(m.channel(tag))
	}
	return out
}

// continuous is I3: in a handover the channel is fed while one of the two flows.
func continuous(t *rapid.T, before, after *machine) {
	for room, b := range before.booths {
		if !b.state.handover() || after.mode != Simultaneous {
			continue
		}
		a := after.booths[room]
		for _, id := range []Identity{b.on, b.next} {
			p := after.people[id]
			if p == nil || !p.healthy() || a.state == BoothIdle { // idle: the holder went off the air on purpose
				continue
			}
			if id == b.on || b.state == BoothArmed || b.state == BoothOverlap {
				if len(a.forwarded()) == 0 {
					t.Fatalf("I3: %s fed nobody while %s flowed (%s, then %s)", room, id, b.state, a.state)
				}
			}
		}
	}
}

func invariants(t *rapid.T, m *machine, admitted map[Identity]bool) {
	r := m.routes()
	for id, got := range r.Receive {
		p := m.people[id]
		if p == nil || !admitted[id] {
			t.Fatalf("I1: %s receives %+v without being admitted", id, got)
		}
		if p.booth != "" && (!p.stand.Receives() || m.barred) {
			t.Fatalf("I5: interpreter %s in state %s receives %+v", id, p.stand, got)
		}
		if len(got.Channels) > 1 {
			t.Fatalf("I1: %s receives %v", id, got.Channels)
		}
		if p.booth == "" && len(got.Channels) == 1 && (got.Channels[0] != p.listening || !got.Floor) {
			t.Fatalf("I6: %s listens to %q and receives %+v", id, p.listening, got)
		}
		if slices.Contains(got.Silenced, id) {
			t.Fatalf("%s is silenced for themselves", id)
		}
	}
	legs := map[Identity]bool{}
	count := map[string]int{}
	slots := map[string]bool{}
	for _, c := range r.Channels {
		key := fmt.Sprint(c.Tag, c.Slot)
		if slots[key] {
			t.Fatalf("I2: %s slot %d is named twice", c.Tag, c.Slot)
		}
		slots[key] = true
		if c.Leg == "" {
			continue
		}
		b := m.booths[c.Room]
		p := m.people[c.Leg]
		if legs[c.Leg] || p == nil || p.booth != c.Room || !b.state.Forwards() || b.out != c.Tag || m.barred || m.mode != Simultaneous {
			t.Fatalf("I2: leg %s of %s reaches %s (booth %s out %s)", c.Leg, c.Room, c.Tag, b.state, b.out)
		}
		if p.stand != OnAir {
			t.Fatalf("I2: leg %s is forwarded in state %s", c.Leg, p.stand)
		}
		if c.Leg != b.on && (b.state != BoothOverlap || c.Leg != b.next) {
			t.Fatalf("I2: leg %s is forwarded beside %s (%s)", c.Leg, b.on, b.state)
		}
		legs[c.Leg] = true
		if count[c.Tag]++; count[c.Tag] > 1 && b.state != BoothOverlap {
			t.Fatalf("I2: %d legs in %s (%s)", count[c.Tag], c.Tag, b.state)
		}
	}
	for id, p := range m.people {
		if (p.stand == OnAir) != legs[id] && m.mode == Simultaneous {
			t.Fatalf("%s is %s, forwarded %v", id, p.stand, legs[id])
		}
	}
	relays(t, m, r)
	if len(r.Channels) != 2*len(m.tags()) {
		t.Fatalf("%d channel tracks for %v", len(r.Channels), m.tags())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must2(t *testing.T) func(effects, error) {
	return func(_ effects, err error) {
		t.Helper()
		must(t, err)
	}
}
