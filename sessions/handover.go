package sessions

import "time"

// offer asks a partner to take over; the partner must accept.
func (m *machine) offer(id, to Identity, within time.Duration, now time.Time) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if !b.state.Forwards() || b.on != id {
		return e, refuseOnAir
	}
	if b.state.handover() {
		return e, refuseHandover
	}
	if to == "" {
		to = m.partner(b, id)
	}
	p := m.people[to]
	if p == nil || to == id || p.booth != b.room() || !p.stand.Receives() {
		return e, refuseNoPartner
	}
	b.state, _ = b.state.Next(BoothOffer)
	b.next, b.until = to, now.Add(offerWithin(within))
	m.bump()
	e.did("handover.offered", to, b, "offer")
	e.cue("info", "handover.offered", nil, to)
	return e, nil
}

// request asks the holder to hand over; the holder must accept.
func (m *machine) request(id Identity, within time.Duration, now time.Time) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if !b.state.Forwards() || b.on == id {
		return e, refuseNoPartner
	}
	if b.state.handover() {
		return e, refuseHandover
	}
	b.state, _ = b.state.Next(BoothRequest)
	b.next, b.until = id, now.Add(offerWithin(within))
	m.bump()
	e.did("handover.requested", id, b, "request")
	e.cue("info", "handover.requested", nil, b.on)
	return e, nil
}

// offerWithin is the time to answer: a minute, or less if asked for.
func offerWithin(asked time.Duration) time.Duration {
	if asked > 0 && asked < offerTime {
		return asked
	}
	return offerTime
}

// partner is a colleague who could take over, flowing ones first.
func (m *machine) partner(b *booth, not Identity) Identity {
	var found Identity
	for _, id := range m.team(b.room()) {
		p := m.people[id]
		if id == not || !p.stand.Receives() {
			continue
		}
		if p.healthy() {
			return id
		}
		if found == "" {
			found = id
		}
	}
	return found
}

// accept arms a handover: by the partner after an offer, by the holder after a
// request.
func (m *machine) accept(id Identity, now time.Time) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	switch b.state {
	case BoothOffered:
		if id == b.on {
			return e, refuseSelf
		}
		if id != b.next {
			return e, refuseNoHandover
		}
	case BoothRequested:
		if id == b.next {
			return e, refuseSelf
		}
		if id != b.on {
			return e, refuseNoHandover
		}
	default:
		return e, refuseNoHandover
	}
	if p := m.people[b.next]; p == nil || !p.healthy() {
		return e, refuseNotReady
	}
	b.state, _ = b.state.Next(BoothAccept)
	b.until = now.Add(armedTime)
	m.bump()
	e.did("handover.armed", b.next, b, "accept")
	e.cue("info", "handover.armed", nil, b.on, b.next)
	return e, nil
}

// cancel ends a handover before it began: declined, withdrawn or out of time.
func (m *machine) cancel(id Identity) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if id != b.on && id != b.next || b.state == BoothOverlap {
		return e, refuseNoHandover
	}
	to, ok := b.state.Next(BoothCancel)
	if !ok {
		return e, refuseNoHandover
	}
	m.endHandover(&e, b, to, "handover.canceled", "cancel")
	return e, nil
}

func (m *machine) endHandover(e *effects, b *booth, to BoothState, act, cause string) {
	partner := b.next
	m.comeOff(partner)
	b.state, b.next, b.until = to, "", time.Time{}
	m.bump()
	e.did(act, partner, b, cause)
	e.cue("info", "handover.ended", nil, b.on, partner)
}

// swap begins the overlap of an armed handover: both are forwarded.
func (m *machine) swap(id Identity, now time.Time) (effects, error) {
	var e effects
	_, b, err := m.own(id)
	if err != nil {
		return e, err
	}
	if b.state != BoothArmed || id != b.on && id != b.next {
		return e, refuseNoHandover
	}
	if p := m.people[b.next]; p == nil || !p.healthy() {
		return e, refuseNotReady
	}
	m.overlap(&e, b, "switch", now)
	return e, nil
}

func (m *machine) overlap(e *effects, b *booth, cause string, now time.Time) {
	b.state, _ = b.state.Next(BoothSwitch)
	b.until = now.Add(overlapTime)
	if p := m.people[b.next]; p != nil {
		if to, ok := p.stand.Next(GoOnAir); ok {
			p.stand = to
		}
	}
	m.bump()
	e.did("handover.overlap", b.next, b, cause)
}

// complete gates the former holder; the partner keeps the channel.
func (m *machine) complete(e *effects, b *booth, cause string) {
	former, slot := b.on, 1-b.slot
	to, ok := b.state.Next(BoothComplete)
	if !ok {
		return
	}
	next := b.next
	b.next = "" // so that it is not taken off the air
	m.put(b, next, slot)
	b.state = to
	m.bump()
	e.did("handover.completed", next, b, cause)
	e.cue("info", "handover.ended", nil, former, next)
}
