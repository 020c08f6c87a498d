package pages

import "time"

// HoursPage is the editor of one's own hours.
type HoursPage struct {
	Layout
	Form    Form // the one that was sent, or empty
	Version string
	Zone    string
	Days    []HoursDay
	Zones   []Option
	Clocks  []HoursClock
	Grid    string // JSON for the script
	Texts   string // JSON: messages of the script
	Rules   []HoursItem
	Dates   []HoursItem
	Trips   []HoursItem
	Notes   []HoursNote
	Week    HoursWeek
	Nths    []Option
	Weekday []Option
	Fold    []Option // which of two equal times the extra hours begin at
	Nothing bool     // no hours at all
}

// HoursDay is one day of the week in the form: its windows, and a row left empty.
type HoursDay struct {
	Code    string // MO to SU
	Label   string
	Windows [][2]string // from and to
}

// HoursClock is another party's clock beside one's own.
type HoursClock struct {
	Zone string
	Name string
}

// HoursItem is something on file that can be removed.
type HoursItem struct {
	Text  string
	Notes []string // on which dates, on which clock
	Do    string   // what removes it
	What  string   // which one
}

// HoursNote is a clock change that touches one's hours.
type HoursNote struct {
	Text string
}

// HoursWeek shows what can be booked in one week, on all clocks.
type HoursWeek struct {
	Monday     time.Time
	Prev, Next string // queries
	Days       []HoursWeekDay
}

// HoursWeekDay is one day of it.
type HoursWeekDay struct {
	Day     string
	Windows []HoursWindow
}

// HoursWindow is one window: on one's own clock, and on each other's.
type HoursWindow struct {
	Own    string
	Others []string
}
