package sessions

import (
	"time"
)

// own finds the interpreter and the booth of a command.
func (m *machine) own(id Identity) (*member, *booth, error) {
	p, ok := m.people[id]
	if !ok || p.booth == "" {
		return nil, nil, refuseForbidden
	}
	if !p.stand.Receives() {
		return nil, nil, refuseCheckIn
	}
	return p, m.booths[p.booth], nil
}

// put makes id the holder of the booth's channel in a slot; whoever else was
// forwarded is gated.
func (m *machine) put(b *booth, id Identity, slot int) {
	for _, other := range []Identity{b.on, b.next} {
		if other != id {
			m.comeOff(other)
		}
	}
	b.on, b.slot, b.next, b.until = id, slot, "", time.Time{}
	p := m.people[id]
	p.paused = false
	if to, ok := p.stand.Next(GoOnAir); ok {
		p.stand = to
	}
}

// offAir gates all legs of a booth; the caller moves the booth.
func (m *machine) offAir(b *booth) {
	m.comeOff(b.on)
	m.comeOff(b.next)
}

func (m *machine) comeOff(id Identity) {
	if p := m.people[id]; p != nil {
		p.paused = false
		if to, ok := p.stand.Next(ComeOffAir); ok {
			p.stand = to
		}
	}
}

// held tells whether another booth interprets into the tag.
func (m *machine) held(tag string, by *booth) bool {
	for _, b := range m.booths {
		if b != by && b.state.Forwards() && b.out == tag {
			return true
		}
	}
	return false
}

// goLive puts an interpreter on the air, also to take a channel that is down or
// whose holder is suspect.
func (m *machine) goLive(id Identity) (effects, error) {
	var e effects
	p, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if m.mode != Simultaneous {
		return e, refuseMode
	}
	if m.barred {
		return e, refuseConsent
	}
	if b.state.Forwards() && b.on == id {
		return e, nil // is on the air
	}
	if p.flow != FlowFlowing {
		return e, refuseNoSource
	}
	ev, act := BoothGoLive, "booth.live"
	if b.state.Forwards() {
		// A passive interpreter cannot put themselves on air while a healthy colleague
		// is on air.
		holder := m.people[b.on]
		if holder == nil || holder.flow == FlowFlowing || b.state == BoothOverlap {
			return e, refuseBusy
		}
		ev, act = BoothTake, "booth.taken"
	} else if b.state == BoothDown {
		ev, act = BoothTake, "booth.taken"
	}
	if m.held(b.out, b) {
		return e, refuseBusy
	}
	to, ok := b.state.Next(ev)
	if !ok {
		return e, refuseBusy
	}
	m.put(b, id, b.slot)
	b.state = to
	m.bump()
	e.did(act, id, b, "go_live")
	return e, nil
}

// stop takes the holder off the air. In an overlap it completes the handover.
func (m *machine) stop(id Identity) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if !b.state.Forwards() || b.on != id {
		return e, refuseOnAir
	}
	if b.state == BoothOverlap {
		m.complete(&e, b, "stop")
		return e, nil
	}
	to, ok := b.state.Next(BoothStop)
	if !ok {
		return e, refuseOnAir
	}
	partner := b.next
	m.offAir(b)
	b.state, b.on, b.next, b.until = to, "", "", time.Time{}
	m.bump()
	e.did("booth.stopped", id, b, "stop")
	e.cue("info", "handover.ended", nil, partner)
	return e, nil
}

// direct sets the tag that a booth interprets into; a leg on the air moves with the
// next packet.
func (m *machine) direct(id Identity, out string) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if !b.carries(out) {
		return e, refusePair
	}
	if b.state.Forwards() && b.on != id {
		return e, refuseOnAir
	}
	if b.state == BoothArmed || b.state == BoothOverlap {
		return e, refuseHandover
	}
	if b.out == out {
		return e, nil
	}
	if b.state.Forwards() && m.held(out, b) {
		return e, refuseBusy
	}
	b.out = out
	m.bump()
	e.did("booth.direction", id, b, out)
	return e, nil
}

// assign is the coordinator's or host's choice of who is on the air.
func (m *machine) assign(by, id Identity) (effects, error) {
	var e effects
	p, b, err := m.own(id)
	if err != nil {
		return e, refuseNoPartner
	}
	if m.mode != Simultaneous {
		return e, refuseMode
	}
	if m.barred {
		return e, refuseConsent
	}
	if !p.healthy() {
		return e, refuseNotReady
	}
	if m.held(b.out, b) {
		return e, refuseBusy
	}
	to, ok := b.state.Next(BoothAssign)
	if !ok {
		return e, refuseNotReady
	}
	if b.state.Forwards() && b.on == id && !b.state.handover() {
		return e, nil
	}
	slot := b.slot
	if b.state == BoothOverlap && b.next == id {
		slot = 1 - b.slot
	}
	if b.next == id {
		b.next = ""
	}
	m.put(b, id, slot)
	b.state = to
	m.bump()
	e.did("booth.assigned", id, b, "assigned")
	return e, nil
}

// mute is the state of an interpreter's microphone. Packets keep flowing: a mute is
// never a loss.
func (m *machine) mute(id Identity, muted bool, now time.Time) (effects, error) {
	var e effects
	p, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if p.muted == muted {
		return e, nil
	}
	p.muted, p.mute, p.cough = muted, now, time.Time{}
	if !muted && p.paused {
		p.paused = false
		m.bump()
		e.did("channel.resumed", id, b, "unmuted")
	}
	if !muted || b.on != id {
		return e, nil
	}
	switch b.state {
	case BoothArmed:
		if next := m.people[b.next]; next != nil && next.healthy() {
			m.overlap(&e, b, "holder muted", now)
			m.complete(&e, b, "holder muted")
		}
	case BoothOverlap:
		m.complete(&e, b, "holder muted")
	}
	return e, nil
}

// coughs holds or lets go of the cough key: silence for a moment, in which the
// channel stays live.
func (m *machine) coughs(id Identity, on bool, now time.Time) (effects, error) {
	p, _, err := m.own(id)
	if err != nil {
		return effects{}, err
	}
	p.cough = time.Time{}
	if on {
		p.cough = now
	}
	return effects{}, nil
}

// flows is what the engine sees of an interpreter's leg.
func (m *machine) flows(id Identity, flow Flow, now time.Time) effects {
	var e effects
	p := m.people[id]
	if p == nil || p.booth == "" || p.flow == flow {
		return e
	}
	b := m.booths[p.booth]
	switch flow {
	case FlowFlowing:
		p.flow = flow
		if to, ok := p.stand.Next(MediaFlows); ok {
			p.stand = to
			m.bump()
			e.did("interpreter.standby", id, b, "flowing")
			if st, ok := b.state.Next(BoothStaffed); ok {
				b.state = st
			}
		}
	case FlowSuspect:
		p.flow = flow
		if b.state.Forwards() && b.on == id {
			e.cue("warn", "leg.suspect", nil, m.team(p.booth)...)
		}
	case FlowLost:
		m.lose(&e, b, id, "no packets", now)
	}
	return e
}

// gone is an interpreter who left the booth's room.
func (m *machine) gone(id Identity, now time.Time) effects {
	var e effects
	p := m.people[id]
	if p == nil || p.booth == "" {
		return e
	}
	m.lose(&e, m.booths[p.booth], id, "left", now)
	return e
}

// lose handles the loss of a leg, on the air or not.
func (m *machine) lose(e *effects, b *booth, id Identity, cause string, now time.Time) {
	p := m.people[id]
	if p == nil {
		return
	}
	if p.flow == FlowLost && p.stand == Lost {
		return
	}
	p.flow, p.lost = FlowLost, now
	to, wasThere := p.stand.Next(LoseLink)
	if wasThere {
		p.stand = to
	}
	p.paused, p.cough = false, time.Time{}
	switch {
	case b.state.Forwards() && b.on == id:
		next := m.people[b.next]
		if b.state.handover() && next != nil && next.healthy() {
			st, _ := b.state.Next(BoothCovered)
			slot := b.slot
			if b.state == BoothOverlap {
				slot = 1 - b.slot
			}
			taker := b.next
			b.next = ""
			m.put(b, taker, slot)
			b.state = st
			m.bump()
			e.did("handover.covered", taker, b, cause)
			e.cue("warn", "handover.covered", nil, taker)
			return
		}
		m.offAir(b)
		b.state, _ = b.state.Next(BoothLost)
		b.on, b.next, b.until, b.down, b.rang = "", "", time.Time{}, now, false
		m.bump()
		e.did("channel.down", id, b, cause)
		e.cue("alert", "channel.down", map[string]any{"Tag": b.out}, m.ids()...)
		m.ring(e, b, id)
	case b.state.handover() && b.next == id:
		st, ok := b.state.Next(BoothPartnerLost)
		if !ok {
			return
		}
		m.endHandover(e, b, st, "handover.partner_lost", cause)
		e.cue("alert", "handover.partner_lost", nil, b.on)
	case wasThere:
		m.bump()
		e.did("interpreter.lost", id, b, cause)
	}
}

// ring calls those of a team who could take the channel.
func (m *machine) ring(e *effects, b *booth, not Identity) {
	for _, id := range m.team(b.room()) {
		if p := m.people[id]; id != not && p.stand.Receives() {
			e.cue("alert", "booth.ring", map[string]any{"Tag": b.out}, id)
		}
	}
}

// deadline is the next instant at which tick does something; zero if there is none.
func (m *machine) deadline() time.Time {
	var next time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	at(m.upcomingAt)
	for _, b := range m.booths {
		at(b.until)
		if b.state == BoothDown && !b.rang {
			at(b.down.Add(ringTime))
		}
	}
	for _, p := range m.people {
		if p.booth == "" {
			continue
		}
		if !p.cough.IsZero() {
			at(p.cough.Add(coughTime))
		}
		if p.muted && !p.paused && m.onAir(p) {
			at(p.mute.Add(pauseTime))
		}
		if p.stand == Lost {
			at(p.lost.Add(lostGrace))
		}
	}
	return next
}

func (m *machine) onAir(p *member) bool {
	b := m.booths[p.booth]
	return b != nil && b.state.Forwards() && b.on == p.id
}

// tick does what is due at now.
func (m *machine) tick(now time.Time) effects {
	var e effects
	m.turn(now)
	for _, room := range m.boothRooms() {
		b := m.booths[room]
		if !b.until.IsZero() && !now.Before(b.until) {
			if b.state == BoothOverlap {
				m.complete(&e, b, "overlap over")
			} else if to, ok := b.state.Next(BoothCancel); ok {
				m.endHandover(&e, b, to, "handover.lapsed", "deadline")
			}
		}
		if b.state == BoothDown && !b.rang && !now.Before(b.down.Add(ringTime)) {
			b.rang = true
			m.ring(&e, b, "")
			e.cue("alert", "interpretation.choose", map[string]any{"Tag": b.out}, m.host)
		}
	}
	for _, id := range m.ids() {
		p := m.people[id]
		if p.booth == "" {
			continue
		}
		b := m.booths[p.booth]
		if !p.cough.IsZero() && !now.Before(p.cough.Add(coughTime)) {
			p.cough, p.muted, p.mute = time.Time{}, true, now
		}
		if p.muted && !p.paused && m.onAir(p) && !now.Before(p.mute.Add(pauseTime)) {
			p.paused = true
			m.bump()
			e.did("channel.paused", id, b, "muted")
		}
		if p.stand == Lost && !now.Before(p.lost.Add(lostGrace)) {
			p.stand = Released
			m.bump()
			e.did("interpreter.released", id, b, "grace over")
			if !m.staffed(p.booth) {
				if to, ok := b.state.Next(BoothUnstaffed); ok {
					b.state = to
				}
			}
		}
	}
	return e
}

// propose and confirm change the mode: the host or an interpreter proposes, the
// other side confirms.
func (m *machine) propose(id Identity, host bool, mode Mode) (effects, error) {
	var e effects
	p := m.people[id]
	if p == nil || !host && p.booth == "" || mode != Simultaneous && mode != Consecutive {
		return e, refuseForbidden
	}
	if mode == m.mode {
		return e, refuseMode
	}
	m.proposed = id
	m.bump()
	e.did("mode.proposed", id, nil, string(mode))
	var others []Identity
	for _, other := range m.ids() {
		if other != id && (other == m.host || m.people[other].booth != "") {
			others = append(others, other)
		}
	}
	e.cue("info", "mode.proposed", map[string]any{"Mode": string(mode)}, others...)
	return e, nil
}

func (m *machine) confirm(id Identity, host bool, mode Mode) (effects, error) {
	var e effects
	p := m.people[id]
	if p == nil || !host && p.booth == "" {
		return e, refuseForbidden
	}
	if m.proposed == "" || mode == m.mode {
		return e, refuseMode
	}
	if m.proposed == id {
		return e, refuseSelf
	}
	if by := m.people[m.proposed]; by != nil && (by.booth != "") == (p.booth != "") {
		return e, refuseForbidden // one of each side
	}
	m.proposed = ""
	m.mode = mode
	for _, room := range m.boothRooms() {
		b := m.booths[room]
		if b.state.Forwards() || b.state == BoothDown {
			m.offAir(b)
			b.state, b.on, b.next, b.until = BoothIdle, "", "", time.Time{}
		}
	}
	m.bump()
	e.did("mode.changed", id, nil, string(mode))
	return e, nil
}

// restart is the machine after the server was gone: whoever was on the air is not,
// and takes the channel again.
func (m *machine) restart(now time.Time) {
	for _, b := range m.booths {
		if b.state != BoothEmpty {
			b.state, b.on, b.next, b.until, b.down, b.rang = BoothDown, "", "", time.Time{}, now, false
		}
	}
	m.bump()
}
