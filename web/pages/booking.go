package pages

import (
	"time"

	"github.com/consilium-health/consilium/web/i18n"
)

// TimesPage finds a time for a visit of a case and books it.
type TimesPage struct {
	Layout
	Case      string
	Choice    Form // kind, specialist, length, first day
	Kinds     []Option
	Who       []Option
	Durations []Option
	Refused   []Refused // specialists who are not offered
	// Searched tells that a specialist was chosen; without, nothing below is there.
	Searched    bool
	Interpreted [2]string // languages; empty if nobody interprets
	Soonest     *SlotRow
	Fairest     *SlotRow  // nil when it is the soonest, or nobody carried anything
	Fair        []FairRow // who sat at hard hours of late
	Days        []SlotDay
	More        string // address of later times
	Why         []WhyRow
	Cuts        []WhyRow
	Advice      string    // address of times for advice instead; "" if that would not help
	AdviceBy    string    // who would advise
	Unqualified []Refused // interpreters
	Book        Form      // the form that was sent, with its errors
	Refusal     *WhyRow   // of the booking that was tried
	Taken       bool      // somebody else was faster
	Full        string    // or the window takes no more: why; else ""
	Nearest     []SlotRow
	Override    string     // start that can be booked in spite of the refusal, with a reason; "" if not
	Needs       *NeedsCard // what the patient asked for
	Panel       *PanelAsk  // nil if the clinic has no panel
	Notice      i18n.ID    // what could not be done; "" for none
	Held        []HeldRow  // times of the same people that are held
	Zones       []Option   // whose clock a typed time is on
	Fold        []Option   // which of two equal clock times
	ZoneVersion string
}

// Fields of the form that books.
func (p TimesPage) hidden() [][2]string {
	return [][2]string{{"kind", p.Choice.Value("kind")}, {"specialist", p.Choice.Value("specialist")}, {"duration", p.Choice.Value("duration")}, {"from", p.Choice.Value("from")}}
}

// Refused is somebody who is not offered, and why.
type Refused struct {
	Name     string
	Place    string // ISO 3166; "" for none
	Why      []string
	Rule     string
	RuleText string
	Until    time.Time
}

// WhyRow is one cause why times are missing.
type WhyRow struct {
	ID       i18n.ID
	Vars     i18n.V
	Why      []string // sentences about a license
	Rule     string
	RuleText string
	Name     string
	Until    time.Time // permission ends then
	Gained   int
	First    time.Time
}

// SlotDay is a day of the reader with times.
type SlotDay struct {
	Day   time.Time
	Slots []SlotRow
	Night []SlotRow // when it is night for somebody
}

// Count is how many times the day has.
func (d SlotDay) Count() int { return len(d.Slots) + len(d.Night) }

// SlotRow is one time with the clocks of the others.
type SlotRow struct {
	Start  time.Time
	End    time.Time
	Others []ClockRow
	Pivot  string    // language through which a relay goes; "" for none
	Unmet  []i18n.ID // what the patient wished otherwise
}

// Crew are the interpreters found: those of a relay in the order of its legs.
func (r SlotRow) Crew() []ClockRow {
	var out []ClockRow
	for _, o := range r.Others {
		if o.Pair[0] != "" {
			out = append(out, o)
		}
	}
	return out
}

// Turns tells whether two take turns on a leg: one alone tires.
func (r SlotRow) Turns() bool {
	seen := map[[2]string]bool{}
	for _, o := range r.Crew() {
		if seen[o.Pair] {
			return true
		}
		seen[o.Pair] = true
	}
	return false
}

// Value is the start as the form sends it.
func (r SlotRow) Value() string { return r.Start.UTC().Format(time.RFC3339) }

// ClockRow is somebody with a clock of their own.
type ClockRow struct {
	Name string
	Role string
	Zone string
	Pair [2]string // languages an interpreter carries; zero for others
}

// AppointmentsPage lists the reader's appointments.
type AppointmentsPage struct {
	Layout
	Next []AppointmentRow
	Past []AppointmentRow
}

// AppointmentRow is one appointment of a list.
type AppointmentRow struct {
	ID    string
	Kind  string
	Start time.Time
	End   time.Time
	With  []string
	State string
	Level Level
	Join  string // address; "" if one cannot enter now
}

// AppointmentPage is one appointment.
type AppointmentPage struct {
	Layout
	Gaps      []GapRow // times in which a relay was lost
	Needs     string   // address of what the patient asked for; "" if the reader may not read it
	ID        string
	Start     time.Time
	End       time.Time
	State     string
	Level     Level
	Reason    string  // why it was canceled
	Attention i18n.ID // what to do about a visit that needs attention; "" for none
	People    []PersonRow
	Tasks     []TaskRow
	Note      string
	Who       bool   // the reader may read who the specialist is
	Case      string // id, for those who may open it
	Version   int
	Zones     string // edition of the zone rules
	Join      string // address; "" if one cannot enter now
	JoinNote  i18n.ID
	Opens     time.Time
	Form      Form
	Cancel    []Option // reasons; nil if the reader may not
	Accept    string   // seat that the reader is asked to accept
	Attested  time.Time
	Resend    string // seat whose link can be sent again
	File      bool   // the reader may take a calendar file
	Again     bool   // another time can be found
	Held      *HeldCard
	Hold      *HoldCard
	SetAside  *SetAsideCard
	Missed    *MissedCard
	Ask       *AskCard    // how the reader is asked to interpret; nil if they are not
	Ladder    *LadderCard // who was asked to interpret; nil if the reader does not arrange
	Move      bool        // the reader may give it another time
}

// PersonRow is one person of an appointment.
type PersonRow struct {
	Name     string
	You      bool
	Role     string
	Zone     string
	Pair     [2]string
	Answer   string
	Level    Level
	Released bool
	Check    *CheckRow // of devices and network, at the door; nil: none
}

// CheckRow is what a check of devices found.
type CheckRow struct {
	At           time.Time
	Audio, Video bool
	Network      i18n.ID
	Level        Level
}

// TaskRow is something to be done before the start.
type TaskRow struct {
	Text string
	For  string
}

// InvitePage is the page behind a patient's link.
type InvitePage struct {
	Layout
	Start   time.Time
	End     time.Time
	Early   bool
	Opens   time.Time
	Pending bool
	Signed  string // name of who is signed in in this browser
}
