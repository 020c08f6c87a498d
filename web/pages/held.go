package pages

import (
	"time"

	"github.com/consilium-health/consilium/web/i18n"
)

// HeldCard says why a visit needs attention and how it could take place.
type HeldCard struct {
	ID      string
	Version string
	Own     bool // the reader is the one because of whom; nothing to decide
	Why     []HeldWhy
	Ways    []HeldWay
}

// HeldWhy is one person who may no longer do their part.
type HeldWhy struct {
	Name     string
	Role     string
	Why      []string // sentences
	Rule     string
	RuleText string
	Until    time.Time
}

// HeldWay is one way in which the visit could take place.
type HeldWay struct {
	Text       i18n.ID
	Name       string
	Interprets string
	Start, End time.Time
	Change     string // values of the form
	Specialist string
	Silent     bool // who interprets was asked before and did not answer
}

// Value is the start as the form sends it.
func (w HeldWay) Value() string { return w.Start.UTC().Format(time.RFC3339) }
