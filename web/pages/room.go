package pages

import "time"

// RoomPage is the consultation: device check, lobby and live room in one page, so that
// going on from one to the next loads nothing.
type RoomPage struct {
	Layout
	Session   string // id of the session; "" when there is none to enter
	Feed      string // path of the feed
	Ticket    string // opens the feed for this seat
	Role      string // role of the seat: "specialist"
	Host      bool
	Start     time.Time
	End       time.Time
	Opens     time.Time // when the door opens
	Closed    RoomClosed
	Clocks    []RoomClock // start on the clocks of the other parties
	Place     *RoomPlace  // the question at the door; nil: not asked
	Languages []string    // BCP 47 tags the person works in, best first
	Messages  string      // JSON: the room's texts for the script
	Back      string      // address of the appointment
	BackTo    string      // its words
}

// RoomClosed says why nobody can enter; "" is open.
type RoomClosed string

// Why a room is closed.
const (
	RoomEarly     RoomClosed = "early"
	RoomEnded     RoomClosed = "ended"
	RoomCancelled RoomClosed = "cancelled"
	RoomRemoved   RoomClosed = "removed"
)

// RoomClock is the start on somebody's clock.
type RoomClock struct {
	Clock string // "15:05 GST"
	Place string // "Dubai"
}

// RoomPlace asks the patient where they are now.
type RoomPlace struct {
	Options []Option
	OnFile  Option // chosen to begin with; zero when no place is known
}

func (p RoomPage) yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
