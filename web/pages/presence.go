package pages

import "time"

// PresencesPage lists presences: windows in which specialists are there for clinics.
type PresencesPage struct {
	Layout
	MayOffer bool
	MayClose bool // the reader keeps the holidays of their house
	List     []PresenceItem
}

// PresenceItem is one presence of the list.
type PresenceItem struct {
	ID            string
	Title         string
	Left          int // windows to come
	Next, NextEnd time.Time
}

// OfferPage is the form that offers a presence, with its windows before they are
// offered.
type OfferPage struct {
	Layout
	Form      Form
	Clinics   []Option
	Freqs     []Option
	Days      []Option
	Intervals []Option
	Nths      []Option
	Anchors   []Option
	Hidden    [][2]string // what the form says, for the one that offers
	Anchor    string      // zone
	Preview   *WindowTable
	Moves     bool // the hour moves on one of the clocks
	Taken     []TakenRow
}

// TakenRow is a window that cannot be offered.
type TakenRow struct {
	Start, End time.Time
	Date       string
	Why        string
}

// WindowTable shows windows on the reader's clock and on that of the other side.
type WindowTable struct {
	Theirs string // name of the other side
	Zone   string
	Rows   []WindowRow
}

// WindowRow is one window.
type WindowRow struct {
	Start, End time.Time
	Moves      []string // sentences: the hour moves here
	State      string   // "" before it is offered
	Level      Level
	Was        time.Time // of a moved one: when it was planned
	Fill       string    // what is booked in it
	StandIn    string    // who is there instead
	Closed     []string  // holidays of either side
}

// PresencePage is one presence.
type PresencePage struct {
	Layout
	ID      string
	Version string
	Anchor  string // zone
	Table   WindowTable
	Moves   bool
	Change  []Option // windows that can be moved or canceled
	Form    Form
	Fold    []Option // which of two equal clock times
	Program ProgramCard
}
