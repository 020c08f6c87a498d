package pages

import (
	"time"

	"github.com/consilium-health/consilium/web/i18n"
)

// RestPage is what a clinic asks of the rest of those who work in its visits.
type RestPage struct {
	Layout
	Form    Form
	Version string
	Edit    bool
	Rows    []RestRow
}

// RestRow is one limit in words.
type RestRow struct {
	Label i18n.ID
	Value string
}

// HoldCard is a time that is kept for minutes.
type HoldCard struct {
	ID      string
	Version int
	Until   time.Time
	Over    bool
	By      string // who holds it
	Decide  bool   // the reader may book it or give it back
}

// HeldRow is a time of the same people that somebody holds.
type HeldRow struct {
	ID         string
	Start, End time.Time
	Until      time.Time
	By         string
	Own        bool
}

// SetAsideCard is what was set aside for a visit.
type SetAsideCard struct {
	Reason string
	Limits []SetAsideRow
}

// SetAsideRow is one limit that was set aside.
type SetAsideRow struct {
	ID   i18n.ID
	Vars i18n.V
}

// MissedCard lets the reader say that somebody did not come.
type MissedCard struct {
	ID      string
	Version int
	Seats   []Option
}

// WaitingPage is the waiting list of a clinic.
type WaitingPage struct {
	Layout
	Form                Form
	Offers, Open, Ended []WaitingRow
}

// WaitingRow is one case that waits.
type WaitingRow struct {
	ID         string
	Case       string
	Version    int
	Kind, Name string
	Earliest   time.Time
	Latest     time.Time
	Since      time.Time
	Place      int
	State      string
	Level      Level
	Start, End time.Time // offered or booked
	Until      time.Time
	Visit      string // address of what was booked
}

// PanelAsk lets a request of a case be given to a panel.
type PanelAsk struct {
	Case   string
	Key    string
	Hidden [][2]string
	Panels []Option
	Form   Form      // with the only panel chosen
	Turn   *TurnNote // nil if the specialist chosen was not given by turn
}

// TurnNote says why a member has the request.
type TurnNote struct {
	Name       string
	At         time.Time
	Considered []TurnRow
}

// TurnRow is one member who was considered.
type TurnRow struct {
	Name   string
	Given  int
	Last   time.Time // zero for never
	Answer i18n.ID
	Taken  bool
}
