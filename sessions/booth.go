package sessions

import (
	"slices"
	"strings"
	"time"
)

// BoothState is where a booth stands (design interpretation, section 6.2).
type BoothState string

// The states of a booth. In live to overlap somebody is on the air.
const (
	BoothEmpty     BoothState = "empty"
	BoothIdle      BoothState = "idle"
	BoothLive      BoothState = "live"
	BoothOffered   BoothState = "offered"
	BoothRequested BoothState = "requested"
	BoothArmed     BoothState = "armed"
	BoothOverlap   BoothState = "overlap"
	BoothDown      BoothState = "down"
)

// BoothEvent is what moves a booth. The guards stand with the commands.
type BoothEvent string

// The events of a booth.
const (
	BoothStaffed     BoothEvent = "staffed"      // the first interpreter is ready
	BoothUnstaffed   BoothEvent = "unstaffed"    // the last one is gone
	BoothGoLive      BoothEvent = "go_live"      //
	BoothStop        BoothEvent = "stop"         // the holder goes off the air
	BoothOffer       BoothEvent = "offer"        // holder to partner
	BoothRequest     BoothEvent = "request"      // partner to holder
	BoothAccept      BoothEvent = "accept"       //
	BoothCancel      BoothEvent = "cancel"       // declined, canceled or out of time
	BoothSwitch      BoothEvent = "switch"       // both are forwarded
	BoothComplete    BoothEvent = "complete"     // the former holder is gated
	BoothPartnerLost BoothEvent = "partner_lost" //
	BoothCovered     BoothEvent = "covered"      // the holder is lost, the partner goes on
	BoothLost        BoothEvent = "lost"         // the holder is lost and nobody goes on
	BoothTake        BoothEvent = "take"         //
	BoothAssign      BoothEvent = "assign"       // by the coordinator
)

// Next is the state after ev, and whether ev has a place in s.
func (s BoothState) Next(ev BoothEvent) (BoothState, bool) {
	if ev == BoothAssign && s != BoothEmpty {
		return BoothLive, true
	}
	switch s {
	case BoothEmpty:
		if ev == BoothStaffed {
			return BoothIdle, true
		}
	case BoothIdle:
		switch ev {
		case BoothGoLive:
			return BoothLive, true
		case BoothUnstaffed:
			return BoothEmpty, true
		}
	case BoothLive:
		switch ev {
		case BoothOffer:
			return BoothOffered, true
		case BoothRequest:
			return BoothRequested, true
		case BoothStop:
			return BoothIdle, true
		case BoothTake: // the holder is suspect
			return BoothLive, true
		case BoothLost:
			return BoothDown, true
		}
	case BoothOffered, BoothRequested:
		switch ev {
		case BoothAccept:
			return BoothArmed, true
		case BoothCancel, BoothPartnerLost, BoothCovered, BoothTake:
			return BoothLive, true
		case BoothStop:
			return BoothIdle, true
		case BoothLost:
			return BoothDown, true
		}
	case BoothArmed:
		switch ev {
		case BoothSwitch:
			return BoothOverlap, true
		case BoothCancel, BoothPartnerLost, BoothCovered, BoothTake:
			return BoothLive, true
		case BoothStop:
			return BoothIdle, true
		case BoothLost:
			return BoothDown, true
		}
	case BoothOverlap:
		switch ev {
		case BoothComplete, BoothPartnerLost, BoothCovered:
			return BoothLive, true
		case BoothLost:
			return BoothDown, true
		}
	case BoothDown:
		switch ev {
		case BoothTake, BoothGoLive:
			return BoothLive, true
		case BoothStop:
			return BoothIdle, true
		}
	}
	return s, false
}

// Forwards tells whether a leg of the booth reaches the channel.
func (s BoothState) Forwards() bool {
	switch s {
	case BoothLive, BoothOffered, BoothRequested, BoothArmed, BoothOverlap:
		return true
	}
	return false
}

// handover tells whether a change of the holder is under way.
func (s BoothState) handover() bool {
	switch s {
	case BoothOffered, BoothRequested, BoothArmed, BoothOverlap:
		return true
	}
	return false
}

// The times of a handover and of a loss (design interpretation, section 6.2).
const (
	offerTime    = 60 * time.Second // until an offer or a request lapses
	armedTime    = 30 * time.Second // until an accepted handover lapses
	overlapTime  = 3 * time.Second  // both forwarded at most
	ringTime     = 10 * time.Second // a channel is down before others are rung
	lostGrace    = 60 * time.Second // to come back after a lost link
	pauseTime    = 3 * time.Second  // muted on the air before the floor is restored
	coughTime    = 10 * time.Second // a longer cough is a mute
	boothMembers = 3                // interpreters a booth
)

// booth is the team of one language pair. The machine owns it.
type booth struct {
	pair  [2]string // sorted
	out   string    // the tag interpreted into, one of the pair
	state BoothState
	on    Identity // on the air; "" unless state.Forwards
	next  Identity // takes over; "" outside a handover
	slot  int      // of the channel's two tracks, the one that on feeds
	until time.Time
	down  time.Time // since when the channel is down
	rang  bool      // others were called again after ringTime
}

// boothOf is the room and the key of a pair: the same for either order of its tags.
func boothOf(pair [2]string) RoomName {
	p := pair[:]
	p = slices.Clone(p)
	slices.Sort(p)
	return RoomName("booth/" + strings.Join(p, "-"))
}

// room is the media room of the booth.
func (b *booth) room() RoomName { return boothOf(b.pair) }

func (b *booth) carries(tag string) bool { return b.pair[0] == tag || b.pair[1] == tag }

// forwarded are the legs that feed the outgoing channel, by slot.
func (b *booth) forwarded() map[int]Identity {
	if !b.state.Forwards() {
		return nil
	}
	legs := map[int]Identity{b.slot: b.on}
	if b.state == BoothOverlap {
		legs[1-b.slot] = b.next
	}
	return legs
}
