package pages

import (
	"time"

	"github.com/consilium-health/consilium/web/i18n"
)

// ProgramCard are the rules of a presence, and the forms that change it.
type ProgramCard struct {
	Form        Form // of the rules
	Intakes     []Option
	Unfilled    []Option
	Substitutes []Option
	Series      *SeriesForm // nil: nothing is to come
	Instead     []Option    // windows that can be given up
}

// SeriesForm changes several windows of a presence.
type SeriesForm struct {
	Form    Form
	Froms   []Option
	Days    []Option
	Open    bool // there is no last date
	Edit    bool // the reader may give them other times
	Orphans bool // what was changed by hand has no place
}

// InsteadPage is what could be instead of a window.
type InsteadPage struct {
	Layout
	ID, Version string
	Window      string // occurrence
	Start, End  time.Time
	Rows        []InsteadRow
}

// InsteadRow is one proposal.
type InsteadRow struct {
	Substitute string // person; "" for another time
	Name       string
	Local      string // new wall time, for the form
	Start, End time.Time
}

// ReportPage is what became of the windows of a month.
type ReportPage struct {
	Layout
	Form Form
	Rows []ReportRow
}

// ReportRow is one presence.
type ReportRow struct {
	ID, Title                                        string
	Held, Moved, Unused, Canceled, Released, Planned int
	Visits, Cases                                    int
	Hours, Ledger                                    string
}

func reportColumns() []i18n.ID {
	return []i18n.ID{i18n.ProgramReportHeld, i18n.ProgramReportMoved, i18n.ProgramReportUnused, i18n.ProgramReportCanceled, i18n.ProgramReportReleased,
		i18n.ProgramReportPlanned, i18n.ProgramReportVisits, i18n.ProgramReportCases, i18n.ProgramReportHours, i18n.ProgramReportLedger}
}
