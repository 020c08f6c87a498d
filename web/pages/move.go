package pages

import (
	"net/url"
	"time"
)

// MovePage gives an appointment another time.
type MovePage struct {
	Layout
	ID          string
	Version     string
	Start, End  time.Time // as it stands
	Days        []SlotDay
	More        string // day from which on there are later times
	Why         []WhyRow
	Form        Form
	Refusal     *WhyRow // of the move that was tried
	Taken       bool    // somebody else was faster
	Full        string  // or the window takes no more: why; else ""
	Nearest     []SlotRow
	Zones       []Option // whose clock a typed time is on
	Fold        []Option // which of two equal clock times
	ZoneVersion string
}

func (p MovePage) action() string { return "/appointments/" + p.ID + "/move" }

func (p MovePage) later() string { return p.action() + "?" + url.Values{"from": {p.More}}.Encode() }
