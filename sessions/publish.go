package sessions

import (
	"slices"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// publish shows everybody the state that is theirs to see, where it changed. Nobody
// who is not admitted gets anything of the room.
func (l *live) publish() {
	l.machine.host = l.leader()
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.conn == nil {
			continue
		}
		p.conn.state("welcome", l.welcome(p))
		if p.State != Admitted {
			for kind := range p.conn.last { // shown anew when let in again
				if kind != "welcome" {
					delete(p.conn.last, kind)
				}
			}
			continue
		}
		if hosts(p.Role) {
			p.conn.state("lobby", l.lobby())
		}
		p.conn.state("roster", l.roster())
		p.conn.state("channels", l.channels(p))
		if p.Role == scheduling.RoleInterpreter {
			if m, ok := l.boothOf(p); ok {
				p.conn.state("booth", m)
			}
		}
		if p.Role.Clinician() || p.Role == scheduling.RolePatient {
			p.conn.state("consent", l.consentsNow())
		}
		if p.Role == scheduling.RoleSpecialist && p.scope != nil {
			p.conn.state("scope", msgScope{Type: "scope", Sentences: p.scope.sentences, Acts: p.scope.acts})
		}
	}
}

// leader is who leads now; "" when nobody does.
func (l *live) leader() Identity {
	for _, id := range l.ids() {
		if p := l.seats[id]; l.host(p) && p.present() {
			return id
		}
	}
	return ""
}

// welcome tells a person who they are. The epoch is that of the moment it was first
// said; the newest stands in channels.
func (l *live) welcome(p *seated) msgWelcome {
	state := "lobby"
	switch p.State {
	case Admitted:
		state = "admitted"
	case Removed:
		state = "removed"
	}
	var epoch uint64
	if p.conn != nil {
		epoch = p.conn.epoch
	}
	return msgWelcome{Type: "welcome", Epoch: epoch, Heartbeat: int(heartbeat.Milliseconds()), Self: selfInfo{Participant: p.ID, Role: string(p.Role),
		Name: p.person.Name, Language: p.person.Language, Host: hosts(p.Role), State: state}}
}

func (l *live) lobby() msgLobby {
	m := msgLobby{Type: "lobby", Waiting: []waiting{}}
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.State != InLobby || p.conn == nil {
			continue
		}
		m.Waiting = append(m.Waiting, waiting{Participant: p.ID, Name: p.person.Name, Role: string(p.Role), Since: stamp(p.arrived), Check: p.check, Place: p.Place})
	}
	return m
}

func (l *live) roster() msgRoster {
	m := msgRoster{Type: "roster", People: []rosterPerson{}}
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.State != Admitted {
			continue
		}
		m.People = append(m.People, rosterPerson{Participant: p.ID, Name: p.person.Name, Role: string(p.Role), Organization: p.organization,
			Language: p.person.Language, Spoken: p.Spoken, Connected: p.present(), Hand: p.hand, Host: id == l.machine.host})
	}
	return m
}

func (l *live) channels(p *seated) msgChannels {
	m := msgChannels{Type: "channels", Epoch: l.machine.epoch, Mode: l.machine.mode, Channels: []channelInfo{}, Listening: p.Listening}
	if m.Listening == "" {
		m.Listening = "floor"
	}
	if l.machine.proposed != "" {
		m.Proposed = Consecutive
		if l.machine.mode == Consecutive {
			m.Proposed = Simultaneous
		}
	}
	for reason := range l.machine.pauses {
		m.Paused = append(m.Paused, reason)
	}
	slices.Sort(m.Paused)
	for _, tag := range l.machine.tags() {
		c := channelInfo{Tag: tag, State: l.machine.channel(tag), Interpreters: []channelInterpreter{}, Source: "direct"}
		for _, room := range l.machine.boothRooms() {
			b := l.machine.booths[room]
			if !b.carries(tag) {
				continue
			}
			for _, id := range l.machine.team(room) {
				on := false
				for _, leg := range b.forwarded() {
					on = on || leg == id && b.out == tag
				}
				c.Interpreters = append(c.Interpreters, channelInterpreter{Participant: id, Name: l.seats[id].person.Name, OnAir: on})
			}
			if on := l.machine.people[b.on]; on != nil && b.out == tag && b.state.Forwards() {
				if in := l.machine.input(on); in.kind != InputFloor {
					c.Source, c.Via = "relay", in.tag
				}
			}
		}
		m.Channels = append(m.Channels, c)
	}
	return m
}

func (l *live) boothOf(p *seated) (msgBooth, bool) {
	b := l.machine.booths[boothOf(p.Pair)]
	me := l.machine.people[p.ID]
	if b == nil || me == nil {
		return msgBooth{}, false
	}
	m := msgBooth{Type: "booth", Epoch: l.machine.epoch, Pair: b.pair, State: b.state, Out: b.out, OnAir: b.on, Next: b.next, Muted: me.muted, Partner: []Identity{}}
	switch me.stand {
	case OnAir:
		m.Self = "on_air"
	case Standby:
		m.Self = "standby"
	case Lost, Released:
		m.Self = "lost"
	default:
		m.Self = "ready"
	}
	for _, id := range l.machine.team(b.room()) {
		if id != p.ID {
			m.Partner = append(m.Partner, id)
		}
	}
	m.Input = l.inputOf(me, b)
	return m, true
}

// inputOf shows an interpreter what they hear, and every other channel that somebody
// interprets into: whether it may be worked from is decided when it is chosen.
func (l *live) inputOf(me *member, b *booth) boothInput {
	in := l.machine.input(me)
	m := boothInput{Kind: in.kind, Tag: in.tag, Chosen: in.chosen, Lost: me.gap.tag != "", Speaks: []string{}, Choices: []inputChoice{}}
	for _, tag := range l.machine.tags() {
		other := l.machine.feeds(tag, b)
		if other == nil || tag == b.out {
			continue
		}
		c := inputChoice{Tag: tag, Speaks: []string{}}
		legs := other.forwarded()
		for slot := range 2 {
			if p := l.seats[legs[slot]]; p != nil {
				c.Speaks = append(c.Speaks, p.person.Name)
			}
		}
		if in.kind == InputRelay && in.tag == tag {
			m.Speaks = c.Speaks
		}
		m.Choices = append(m.Choices, c)
	}
	return m
}

func (l *live) consentsNow() msgConsent {
	m := msgConsent{Type: "consent", Items: []consentItem{}} // recording is off: nothing records
	for _, purpose := range []workspace.Purpose{workspace.LiveConsult, workspace.Interpreter, workspace.Captions, workspace.Recording} {
		m.Items = append(m.Items, consentItem{Purpose: string(purpose), Given: l.consents[purpose]})
	}
	return m
}
