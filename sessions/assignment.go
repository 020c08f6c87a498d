package sessions

// Assignment is where one interpreter stands in one session (design
// interpretation, section 6.1). The seat holds the first steps; the session begins
// with what the seat says and goes on from there.
type Assignment string

// The states of an assignment.
const (
	Invited  Assignment = "invited"
	Agreed   Assignment = "accepted"
	Cleared  Assignment = "cleared" // confidentiality was acknowledged
	Ready    Assignment = "ready"   // checked in
	Standby  Assignment = "standby" // the leg flows, gated
	OnAir    Assignment = "on_air"
	Lost     Assignment = "lost" // link lost; a minute to come back
	Released Assignment = "closed"
)

// AssignmentEvent is what moves an assignment.
type AssignmentEvent string

// The events of an assignment.
const (
	Agree       AssignmentEvent = "accept"
	Acknowledge AssignmentEvent = "acknowledge"
	CheckIn     AssignmentEvent = "check_in"
	MediaFlows  AssignmentEvent = "media_flows"
	GoOnAir     AssignmentEvent = "go_on_air"
	ComeOffAir  AssignmentEvent = "come_off_air"
	LoseLink    AssignmentEvent = "lose_link"
	Release     AssignmentEvent = "release"
)

// Next is the state after ev, and whether ev has a place in s. Who comes back after
// a loss is in standby, never on the air.
func (s Assignment) Next(ev AssignmentEvent) (Assignment, bool) {
	if ev == Release {
		return Released, s != Released
	}
	switch s {
	case Invited:
		if ev == Agree {
			return Agreed, true
		}
	case Agreed:
		if ev == Acknowledge {
			return Cleared, true
		}
	case Cleared:
		if ev == CheckIn {
			return Ready, true
		}
	case Ready:
		switch ev {
		case MediaFlows:
			return Standby, true
		case LoseLink:
			return Lost, true
		}
	case Standby:
		switch ev {
		case GoOnAir:
			return OnAir, true
		case LoseLink:
			return Lost, true
		}
	case OnAir:
		switch ev {
		case ComeOffAir:
			return Standby, true
		case LoseLink:
			return Lost, true
		}
	case Lost:
		switch ev {
		case MediaFlows:
			return Standby, true
		case CheckIn:
			return Ready, true
		}
	case Released:
		if ev == CheckIn { // admitted again, after the grace or after leaving
			return Ready, true
		}
	}
	return s, false
}

// Receives tells whether floor media may reach the interpreter: only after
// acknowledgement and check-in (I5).
func (s Assignment) Receives() bool {
	switch s {
	case Ready, Standby, OnAir, Lost:
		return true
	}
	return false
}
