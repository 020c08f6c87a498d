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
