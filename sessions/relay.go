package sessions

import (
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/scheduling"
)

// InputKind is what an interpreter works from (design interpretation, section 6.5).
type InputKind string

// The kinds of input.
const (
	// InputFloor: the original speakers.
	InputFloor InputKind = "floor"
	// InputRelay: the channel of another booth, in a language of one's own pair.
	InputRelay InputKind = "relay"
	// InputNone: what is spoken is in no language of the pair, and nobody carries it
	// into one. The floor is all there is to hear.
	InputNone InputKind = "no_source"
)

// inputAuto and inputFloor are what an interpreter may choose beside a channel's tag.
const (
	inputAuto  = "auto"
	inputFloor = "floor"
)

// speechHold is how long another set of spoken languages must last before inputs
// follow it.
const speechHold = 300 * time.Millisecond

// The codes that a choice of input is refused with.
const (
	refuseCycle   refusal = "relay_cycle"   // what one would hear is made of one's own words
	refuseDepth   refusal = "relay_depth"   // two relays in a row
	refuseMissing refusal = "relay_missing" // nobody is on the air in that language
)

// input is what one interpreter works from now.
type input struct {
	kind   InputKind
	tag    string // of the relay's channel, also of one that is missing; "" of the floor
	chosen bool   // by the interpreter, not by the rule
}

// gap is a time in which an interpreter lacked a relay that was there before.
type gap struct {
	tag   string // "" if there is none
	since time.Time
	until time.Time // zero while it lasts
}

// sameLanguage tells whether two tags are one language to those who hear it: es-MX
// and es are, nothing is not.
func sameLanguage(a, b string) bool {
	a, _, _ = strings.Cut(a, "-")
	b, _, _ = strings.Cut(b, "-")
	return a != "" && strings.EqualFold(a, b)
}

// source is the language that a booth interprets from.
func (b *booth) source() string {
	if b.pair[0] == b.out {
		return b.pair[1]
	}
	return b.pair[0]
}

// onFloor tells whether what a person says is to be interpreted.
func (p *member) onFloor() bool { return p.booth == "" && p.role != scheduling.RoleCoordinator }

// tongue is the language a person speaks on the floor; who declared none speaks the
// host's.
func (m *machine) tongue(p *member) string {
	if p.spoken != "" {
		return p.spoken
	}
	if host := m.people[m.host]; host != nil {
		return host.spoken
	}
	return ""
}

// tongues are the languages of those on the floor whom want accepts, sorted, once each.
func (m *machine) tongues(want func(p *member) bool) []string {
	var out []string
	for _, p := range m.people {
		if tag := m.tongue(p); tag != "" && p.onFloor() && want(p) {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// original are the languages to be interpreted now: those being spoken, or, until
// anybody was heard, those of everybody on the floor.
func (m *machine) original() []string {
	if len(m.spoken) > 0 {
		return m.spoken
	}
	return m.tongues(func(*member) bool { return true })
}

// speech is what a person's own machine hears of their microphone. It is a hint: it
// chooses what interpreters are offered to hear and grants nothing.
func (m *machine) speech(id Identity, on bool, now time.Time) error {
	p := m.people[id]
	if p == nil || !p.onFloor() {
		return refuseForbidden
	}
	p.talking = on
	m.heed(now)
	return nil
}

// heed compares who talks with what inputs follow. A silence changes nothing.
func (m *machine) heed(now time.Time) {
	set := m.tongues(func(p *member) bool { return p.talking })
	switch {
	case len(set) == 0, slices.Equal(set, m.spoken):
		m.upcoming, m.upcomingAt = nil, time.Time{}
	case !slices.Equal(set, m.upcoming):
		m.upcoming, m.upcomingAt = set, now.Add(speechHold)
	}
}

// turn follows what has been spoken long enough.
func (m *machine) turn(now time.Time) {
	if !m.upcomingAt.IsZero() && !now.Before(m.upcomingAt) {
		m.spoken, m.upcoming, m.upcomingAt = m.upcoming, nil, time.Time{}
	}
}

// wanted is the channel that the rule has an interpreter of b listen to; "" is the
// floor. Who speaks the booth's outgoing language needs no interpretation into it; of
// the others, one who speaks the pair's other language can be heard directly.
func (m *machine) wanted(b *booth) string {
	foreign := false
	for _, tag := range m.original() {
		switch {
		case sameLanguage(tag, b.out):
		case sameLanguage(tag, b.source()):
			return ""
		default:
			foreign = true
		}
	}
	if foreign {
		return b.source()
	}
	return ""
}

// holds tells whether an interpreter's own choice still stands: until the rule would
// choose something else than it did then.
func (m *machine) holds(p *member, b *booth) bool {
	return p.choice != "" && p.choice != b.out && p.ruled == m.wanted(b)
}

// wish is the channel that an interpreter listens to if it is there; "" is the floor.
// It depends on nobody else's wish, so that inputs are always decided in one look.
func (m *machine) wish(p *member, b *booth) (tag string, chosen bool) {
	switch {
	case m.mode != Simultaneous:
		return "", false
	case !m.holds(p, b):
		return m.wanted(b), false
	case p.choice == inputFloor:
		return "", true
	}
	return p.choice, true
}

// feeds is the booth, other than b, that is on the air in a language; nil if none is.
func (m *machine) feeds(tag string, b *booth) *booth {
	for _, room := range m.boothRooms() {
		if other := m.booths[room]; other != b && other.state.Forwards() && other.out == tag {
			return other
		}
	}
	return nil
}

// firsthand tells whether another booth carries the floor itself into a language, so
// that interpreters of b may work from it: it is heard, and not on relay either. That
// leaves no cycle and no depth beyond one (I4).
func (m *machine) firsthand(tag string, b *booth) bool {
	other := m.feeds(tag, b)
	if other == nil || m.mode != Simultaneous || m.barred {
		return false
	}
	for _, leg := range other.forwarded() {
		p := m.people[leg]
		if p == nil {
			return false
		}
		if wish, _ := m.wish(p, other); wish != "" {
			return false
		}
	}
	holder := m.people[other.on]
	return holder != nil && !(holder.paused && other.state != BoothOverlap)
}

// input is what an interpreter works from now.
func (m *machine) input(p *member) input {
	b := m.booths[p.booth]
	if b == nil {
		return input{kind: InputFloor}
	}
	tag, chosen := m.wish(p, b)
	switch {
	case tag == "":
		return input{kind: InputFloor, chosen: chosen}
	case m.firsthand(tag, b):
		return input{kind: InputRelay, tag: tag, chosen: chosen}
	}
	return input{kind: InputNone, tag: tag, chosen: chosen}
}

// relayed are the channels that reach an interpreter: the one worked from, or the one
// kept ready, forwarded and silent in the client, so that a change is a change of
// loudness only.
func (m *machine) relayed(p *member) []string {
	b := m.booths[p.booth]
	if in := m.input(p); in.kind == InputRelay {
		return []string{in.tag}
	}
	if b != nil && m.firsthand(b.source(), b) {
		return []string{b.source()}
	}
	return nil
}

// choose sets what an interpreter works from: "floor", a channel's tag, or "auto" for
// the rule. A choice lasts until the rule would choose anew.
func (m *machine) choose(id Identity, want string) (effects, error) {
	var e effects
	p, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if m.mode != Simultaneous {
		return e, refuseMode
	}
	if want != inputAuto && want != inputFloor {
		if err := m.relayable(b, want); err != nil {
			return e, err
		}
	}
	choice := want
	if want == inputAuto {
		choice = ""
	}
	if p.choice == choice {
		return e, nil
	}
	p.choice, p.ruled = choice, m.wanted(b)
	m.bump()
	e.did("interpreter.input_chosen", id, b, want)
	return e, nil
}

// relayable tells why interpreters of b may not work from a channel, or nil.
func (m *machine) relayable(b *booth, tag string) error {
	if !m.hasTag(tag) {
		return refuseChannel
	}
	depth := m.leadsTo(tag, b, map[RoomName]bool{})
	switch {
	case tag == b.out || depth < 0:
		return refuseCycle
	case !b.carries(tag):
		return refusePair
	case m.feeds(tag, b) == nil:
		return refuseMissing
	case depth > 0 || m.depended(b):
		return refuseDepth
	}
	return nil
}

// leadsTo counts the relays that a channel passes through on its way from the floor;
// -1 if one of them is b. A booth off the air counts with what its team would do.
func (m *machine) leadsTo(tag string, b *booth, seen map[RoomName]bool) int {
	depth := 0
	for _, room := range m.boothRooms() {
		other := m.booths[room]
		if other.out != tag || seen[room] {
			continue
		}
		if other == b {
			return -1
		}
		seen[room] = true
		for _, id := range m.team(room) {
			p := m.people[id]
			wish, _ := m.wish(p, other)
			if wish == "" || other.state.Forwards() && p.stand != OnAir {
				continue
			}
			further := m.leadsTo(wish, b, seen)
			if further < 0 {
				return further
			}
			depth = max(depth, 1+further)
		}
	}
	return depth
}

// depended tells whether somebody works from what b says on the air.
func (m *machine) depended(b *booth) bool {
	if !b.state.Forwards() {
		return false
	}
	for _, p := range m.people {
		if p.booth == "" || p.booth == b.room() || !p.stand.Receives() {
			continue
		}
		if in := m.input(p); in.kind == InputRelay && in.tag == b.out {
			return true
		}
	}
	return false
}

// settle notes what has become of every interpreter's input since the last look, and
// tells those who lost a relay or have it back. The session calls it after everything
// that happens; what people hear does not wait for it.
func (m *machine) settle(now time.Time) effects {
	var e effects
	m.spoken = slices.DeleteFunc(slices.Clone(m.spoken), func(tag string) bool {
		return !slices.Contains(m.tongues(func(*member) bool { return true }), tag)
	})
	if len(m.spoken) == 0 {
		m.spoken = nil
	}
	m.heed(now)
	for _, id := range m.ids() {
		p := m.people[id]
		b := m.booths[p.booth]
		if b == nil {
			continue
		}
		if !m.holds(p, b) {
			p.choice, p.ruled = "", ""
		}
		if !p.stand.Receives() {
			m.close(&e, p, b, "released", now)
			p.input = input{}
			continue
		}
		was, is := p.input, m.input(p)
		if was == is {
			continue
		}
		p.input = is
		if was.kind == is.kind && was.tag == is.tag {
			continue // the same, by choice or by the rule
		}
		if (was.kind == InputNone) != (is.kind == InputNone) && m.onAir(p) {
			m.bump() // the channel has changed for its listeners
		}
		if was.kind == "" && is.kind == InputFloor {
			continue // where everybody begins
		}
		switch {
		case is.kind == InputNone && was.kind == InputRelay && was.tag == is.tag:
			p.gap = gap{tag: is.tag, since: now}
			e.did("relay.lost", id, b, is.tag)
			begun := p.gap
			e.changes[len(e.changes)-1].gap = &begun
			e.cue("alert", "relay.lost", map[string]any{"Tag": is.tag}, id)
		case p.gap.tag != "" && is.kind == InputRelay && is.tag == p.gap.tag:
			m.end(&e, p, b, "relay.restored", is.tag, now)
			e.cue("info", "relay.restored", map[string]any{"Tag": is.tag}, id)
		default:
			m.close(&e, p, b, string(is.kind), now)
			e.did("interpreter.input", id, b, strings.TrimSpace(string(is.kind)+" "+is.tag))
		}
	}
	return e
}

// close ends a gap that was not filled: the relay is no longer needed, or whoever
// needed it has left.
func (m *machine) close(e *effects, p *member, b *booth, cause string, now time.Time) {
	if p.gap.tag != "" {
		m.end(e, p, b, "relay.closed", cause, now)
	}
}

// end writes down a gap, from its beginning to now.
func (m *machine) end(e *effects, p *member, b *booth, act, cause string, now time.Time) {
	g := p.gap
	p.gap = gap{}
	g.until = now
	e.did(act, p.id, b, cause)
	e.changes[len(e.changes)-1].gap = &g
	e.changes[len(e.changes)-1].detail = map[string]any{"channel": g.tag, "since": stamp(g.since), "until": stamp(now), "ms": now.Sub(g.since).Milliseconds()}
}

// over ends what is open when the session does.
func (m *machine) over(now time.Time) effects {
	var e effects
	for _, id := range m.ids() {
		if p := m.people[id]; p.booth != "" {
			m.close(&e, p, m.booths[p.booth], "session ended", now)
		}
	}
	return e
}
