package sessions

import (
	"maps"
	"slices"
	"time"

	"github.com/consilium-health/consilium/scheduling"
)

// machine is who hears what in one session: booths, channels, what each person
// listens to, and the routes that follow from it. It is a value without clock,
// database or engine; the session's event queue owns it and applies one event at a
// time. A refused event changes nothing.
type machine struct {
	epoch  uint64 // grows with each change of interpretation
	mode   Mode
	host   Identity // whom cues for the host reach; "" if nobody is there
	people map[Identity]*member
	booths map[RoomName]*booth
	// pauses are the reasons why specialist and patient do not hear each other now:
	// a consent withdrawn, the local physician gone, a scope lost.
	pauses map[string]bool
	// barred tells that no consent lets interpreters hear the floor.
	barred bool
	// proposed is who proposed another mode; "" if nobody did.
	proposed Identity
	// spoken are the languages being spoken on the floor, sorted; nil until anybody
	// was heard. upcoming takes their place at upcomingAt if it lasts.
	spoken     []string
	upcoming   []string
	upcomingAt time.Time
}

// member is one admitted person as the machine sees them.
type member struct {
	id        Identity
	role      scheduling.Role
	spoken    string // tag spoken on the floor
	listening string // tag listened to; "" is the floor
	talking   bool   // on the floor, by the person's own machine

	// Of interpreters:
	booth  RoomName
	stand  Assignment
	flow   Flow // of the leg; "" before it was ever seen
	muted  bool
	mute   time.Time // since
	lost   time.Time // since
	cough  time.Time // holds the cough key since; zero if not
	paused bool      // muted on the air for pauseTime
	choice string    // of input: "floor", a tag, or "" for the rule
	ruled  string    // what the rule wanted when that was chosen
	input  input     // as last noted
	gap    gap       // open while a relay is lost
}

// healthy tells whether the leg can carry a channel.
func (p *member) healthy() bool { return p.flow == FlowFlowing && !p.muted }

// refusal is why a command changes nothing: a code of design interpretation,
// section 12.
type refusal string

func (r refusal) Error() string { return "sessions: refused: " + string(r) }

// The codes that commands are refused with.
const (
	refuseForbidden   refusal = "forbidden"
	refuseStale       refusal = "stale_epoch"
	refuseChannel     refusal = "channel_unknown"
	refuseBusy        refusal = "channel_busy"
	refuseLimit       refusal = "limit_reached"
	refusePair        refusal = "pair_not_assigned"
	refuseAck         refusal = "not_acknowledged"
	refuseCheckIn     refusal = "not_checked_in"
	refuseOnAir       refusal = "not_on_air"
	refuseNotReady    refusal = "partner_not_ready"
	refuseHandover    refusal = "handover_in_progress"
	refuseNoHandover  refusal = "no_handover"
	refuseSelf        refusal = "self_accept"
	refuseNoPartner   refusal = "no_partner"
	refuseNoSource    refusal = "no_source" // the own leg does not flow
	refuseMode        refusal = "mode_conflict"
	refuseTag         refusal = "bad_tag"
	refuseConsent     refusal = "consent_missing"
	refuseRate        refusal = "rate_limited"
	refuseEnded       refusal = "session_ended"
	refuseUnavailable refusal = "unavailable" // the database did not answer
	refusePresent     refusal = "not_present"
	refuseState       refusal = "not_in_this_state"
	refuseScope       refusal = "scope_lost" // the rules do not allow the act any more
)

// change is one change of state, for the log.
type change struct {
	act   string
	who   Identity // whom it concerns
	booth RoomName
	cause string
	// detail goes into the log beside it.
	detail map[string]any
	gap    *gap // that began or ended with it
}

// cue is something one or several people are told.
type cue struct {
	to    []Identity
	code  string
	level string
	data  map[string]any
}

// effects are what an event brings about beside the new state.
type effects struct {
	changes []change
	cues    []cue
}

func (e *effects) did(act string, who Identity, b *booth, cause string) {
	c := change{act: act, who: who, cause: cause}
	if b != nil {
		c.booth = b.room()
	}
	e.changes = append(e.changes, c)
}

func (e *effects) cue(level, code string, data map[string]any, to ...Identity) {
	to = slices.DeleteFunc(slices.Clone(to), func(i Identity) bool { return i == "" })
	if len(to) > 0 {
		e.cues = append(e.cues, cue{to: to, code: code, level: level, data: data})
	}
}

func newMachine(mode Mode) *machine {
	return &machine{mode: mode, people: map[Identity]*member{}, booths: map[RoomName]*booth{}, pauses: map[string]bool{}}
}

// clone is a copy that shares nothing.
func (m *machine) clone() *machine {
	c := *m
	c.people = make(map[Identity]*member, len(m.people))
	for id, p := range m.people {
		q := *p
		c.people[id] = &q
	}
	c.booths = make(map[RoomName]*booth, len(m.booths))
	for room, b := range m.booths {
		d := *b
		c.booths[room] = &d
	}
	c.pauses = maps.Clone(m.pauses)
	c.spoken, c.upcoming = slices.Clone(m.spoken), slices.Clone(m.upcoming)
	return &c
}

// addBooth adds the booth of a pair, working into out first.
func (m *machine) addBooth(pair [2]string, out string) *booth {
	room := boothOf(pair)
	if b, ok := m.booths[room]; ok {
		return b
	}
	p := pair
	slices.Sort(p[:])
	b := &booth{pair: p, out: out, state: BoothEmpty}
	if !b.carries(out) {
		b.out = p[0]
	}
	m.booths[room] = b
	return b
}

// rooms are the media rooms of the session.
func (m *machine) rooms() []RoomName {
	return append([]RoomName{RoomMain}, m.boothRooms()...)
}

func (m *machine) boothRooms() []RoomName { return slices.Sorted(maps.Keys(m.booths)) }

func (m *machine) ids() []Identity { return slices.Sorted(maps.Keys(m.people)) }

// tags are the languages of all channels.
func (m *machine) tags() []string {
	set := map[string]bool{}
	for _, b := range m.booths {
		set[b.pair[0]], set[b.pair[1]] = true, true
	}
	return slices.Sorted(maps.Keys(set))
}

func (m *machine) hasTag(tag string) bool { return slices.Contains(m.tags(), tag) }

// team are the interpreters of a booth.
func (m *machine) team(room RoomName) []Identity {
	var out []Identity
	for _, id := range m.ids() {
		if m.people[id].booth == room {
			out = append(out, id)
		}
	}
	return out
}

// staffed tells whether somebody of the team is there.
func (m *machine) staffed(room RoomName) bool {
	return slices.ContainsFunc(m.team(room), func(id Identity) bool { return m.people[id].stand.Receives() })
}

// bump makes a new epoch: commands that expect the former are stale.
func (m *machine) bump() { m.epoch++ }

// stale tells whether a command expected another epoch.
func (m *machine) stale(expected *uint64) bool { return expected != nil && *expected != m.epoch }

// admit lets a person in. Interpreters come with the state of their assignment.
func (m *machine) admit(p member) (effects, error) {
	var e effects
	if p.booth != "" {
		if !p.stand.Receives() {
			if p.stand == Cleared {
				return e, refuseCheckIn
			}
			return e, refuseAck
		}
		b, ok := m.booths[p.booth]
		if !ok {
			return e, refusePair
		}
		if _, again := m.people[p.id]; !again && len(m.team(p.booth)) >= boothMembers {
			return e, refuseLimit
		}
		if old, again := m.people[p.id]; again {
			if old.stand == Released {
				if old.stand = Ready; old.flow == FlowFlowing {
					old.stand = Standby
				}
				if to, ok := b.state.Next(BoothStaffed); ok {
					b.state = to
					e.did("booth.staffed", p.id, b, "admitted")
				}
				m.bump()
			}
			return e, nil // keeps what it has: on the air stays on the air
		}
		m.people[p.id] = &p
		if to, ok := b.state.Next(BoothStaffed); ok {
			b.state = to
			e.did("booth.staffed", p.id, b, "admitted")
		}
		m.bump()
		return e, nil
	}
	if old, again := m.people[p.id]; again {
		old.spoken = p.spoken
		return e, nil
	}
	m.people[p.id] = &p
	return e, nil
}

// release takes a person out: routes are cut at once, a leg on the air is lost.
func (m *machine) release(id Identity, cause string, now time.Time) effects {
	var e effects
	p, ok := m.people[id]
	if !ok {
		return e
	}
	if b := m.booths[p.booth]; b != nil {
		m.lose(&e, b, id, cause, now)
		m.close(&e, p, b, cause, now)
		delete(m.people, id)
		if !m.staffed(p.booth) {
			if to, ok := b.state.Next(BoothUnstaffed); ok {
				b.state = to
				e.did("booth.unstaffed", id, b, cause)
			}
		}
		m.bump()
		return e
	}
	delete(m.people, id)
	return e
}

// listen sets what a person hears: a channel's tag, or "" for the floor.
func (m *machine) listen(id Identity, tag string) error {
	p, ok := m.people[id]
	if !ok {
		return refuseForbidden
	}
	if tag != "" && !m.hasTag(tag) {
		return refuseChannel
	}
	if tag != "" && p.booth != "" {
		return refuseForbidden // an interpreter's input is set by choose
	}
	p.listening = tag
	return nil
}

// speak sets the tag a person speaks on the floor.
func (m *machine) speak(id Identity, tag string) error {
	p, ok := m.people[id]
	if !ok {
		return refuseForbidden
	}
	p.spoken = tag
	return nil
}

// pause and resume keep specialist and patient apart for a reason.
func (m *machine) pause(reason string, on bool) bool {
	if m.pauses[reason] == on {
		return false
	}
	if on {
		m.pauses[reason] = true
	} else {
		delete(m.pauses, reason)
	}
	return true
}

// bar keeps the floor from all interpreters (no consent to interpretation), or lets
// it through again. What is on the air goes off.
func (m *machine) bar(on bool) (effects, bool) {
	var e effects
	if m.barred == on {
		return e, false
	}
	m.barred = on
	for _, room := range m.boothRooms() {
		b := m.booths[room]
		if on && b.state.Forwards() {
			m.offAir(b)
			b.state, b.on, b.next, b.until = BoothIdle, "", "", time.Time{}
			e.did("booth.barred", "", b, "consent_missing")
		}
	}
	m.bump()
	return e, true
}

// channel is the state of the channel of a tag.
func (m *machine) channel(tag string) ChannelState {
	best := ChannelOff
	for _, room := range m.boothRooms() {
		b := m.booths[room]
		if !b.carries(tag) {
			continue
		}
		f := channelFacts{booth: b.state, out: b.out == tag}
		if p := m.people[b.on]; p != nil {
			f.paused = p.paused && b.state != BoothOverlap
			f.deaf = m.input(p).kind == InputNone
		}
		if s := channelState(f); channelRank[s] > channelRank[best] {
			best = s
		}
	}
	return best
}

// receives tells what a person may receive in main, and whether anything at all.
func (m *machine) receives(p *member) (Reception, bool) {
	r := Reception{}
	switch p.role {
	case scheduling.RoleInterpreter:
		if !p.stand.Receives() || m.barred {
			return r, false
		}
		r.Floor, r.Channels = true, m.relayed(p)
		if len(m.pauses) > 0 {
			r.Silenced = m.withRole(scheduling.RoleSpecialist) // would reach the patient through the booth
		}
		return r, true
	case scheduling.RoleCoordinator:
		// Channel states and one channel to listen in, nothing of the case.
	case scheduling.RoleSpecialist, scheduling.RoleObserver:
		r.Floor = true
		if len(m.pauses) > 0 {
			// A channel would carry the patient's words.
			r.Silenced = append(m.withRole(scheduling.RolePatient), m.withRole(scheduling.RoleInterpreter)...)
			return r, true
		}
	case scheduling.RolePatient:
		r.Floor = true
		if len(m.pauses) > 0 {
			r.Silenced = append(m.withRole(scheduling.RoleSpecialist), m.withRole(scheduling.RoleObserver)...)
		}
	case scheduling.RoleLocalPhysician:
		r.Floor = true
	default:
		return r, false
	}
	if p.listening != "" && m.mode == Simultaneous {
		r.Channels = []string{p.listening}
	}
	return r, true
}

func (m *machine) withRole(role scheduling.Role) []Identity {
	var out []Identity
	for _, id := range m.ids() {
		if m.people[id].role == role {
			out = append(out, id)
		}
	}
	return out
}

// routes is the whole routing as the engine gets it. What is not in it does not
// flow. Every channel is named from the start, so that its tracks exist before
// anything feeds them.
func (m *machine) routes() Routes {
	r := Routes{Receive: map[Identity]Reception{}}
	fed := map[string]map[int]ChannelRoute{}
	for _, room := range m.boothRooms() {
		b := m.booths[room]
		if m.mode != Simultaneous || m.barred {
			continue
		}
		for slot, leg := range b.forwarded() {
			if leg == "" {
				continue
			}
			if fed[b.out] == nil {
				fed[b.out] = map[int]ChannelRoute{}
			}
			fed[b.out][slot] = ChannelRoute{Tag: b.out, Slot: slot, Room: room, Leg: leg}
		}
	}
	for _, tag := range m.tags() {
		for slot := range 2 {
			c, ok := fed[tag][slot]
			if !ok {
				c = ChannelRoute{Tag: tag, Slot: slot}
			}
			r.Channels = append(r.Channels, c)
		}
	}
	for _, id := range m.ids() {
		if got, ok := m.receives(m.people[id]); ok {
			r.Receive[id] = got
		}
	}
	return r
}
