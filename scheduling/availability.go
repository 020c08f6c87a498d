package scheduling

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrInvalidAvailability means that a rule or override says something that has no
// meaning, such as a fifth of no weekday. The wrapped text names the part.
var ErrInvalidAvailability = errors.New("scheduling: invalid availability")

// Freq says how a rule repeats.
type Freq string

// The closed set of recurrences.
const (
	Weekly  Freq = "weekly"
	Monthly Freq = "monthly"
	OnDates Freq = "dates"
)

// Gap says what becomes of a window whose start the clocks skip.
type Gap string

// A window is clipped to what exists of it, or dropped (RFC 5545 §3.3.10).
const (
	Clip Gap = "clip"
	Skip Gap = "skip"
)

// Rule opens windows of the wall clock on the dates it names. An end not after the
// start is on the next date; the window belongs to the date of its start.
type Rule struct {
	Freq     Freq      `json:"freq"`
	Days     []Weekday `json:"days,omitempty"`     // weekly, monthly
	Interval int       `json:"interval,omitempty"` // weekly: every n Monday weeks from the one with From; 0 is 1
	Nth      int       `json:"nth,omitempty"`      // monthly: 1 to 5, or -1 for the last
	Dates    []Date    `json:"dates,omitempty"`    // dates
	Start    Minute    `json:"start"`
	End      Minute    `json:"end"`
	From     *Date     `json:"from,omitempty"`  // first date, inclusive
	Until    *Date     `json:"until,omitempty"` // last date, inclusive
	Zone     string    `json:"zone,omitempty"`  // travel: another zone than the owner's
	Gap      Gap       `json:"gap,omitempty"`   // "" is Clip
	// Later: of a time that the clock shows twice on one of Dates the second is meant.
	Later bool `json:"later,omitempty"`
}

// Override replaces every rule window that starts on its date. Without windows the
// day is closed.
type Override struct {
	Date    Date        `json:"date"`
	Windows [][2]Minute `json:"windows"`
	// Later: of a time that the clock shows twice on this date the second is meant;
	// otherwise the first.
	Later bool `json:"later,omitempty"`
}

// Trip is a stay on another clock, from the first to the last date, both inclusive.
// On these dates the rules without a zone of their own, and the overrides, are read on
// the clock there.
type Trip struct {
	From  Date   `json:"from"`
	Until Date   `json:"until"`
	Zone  string `json:"zone"`
	// Windows, if there are any, are the hours of each day there, instead of those of
	// the rules.
	Windows [][2]Minute `json:"windows,omitempty"`
}

func (t Trip) covers(d Date) bool { return d >= t.From && d <= t.Until }

// Hours are the civil part of an availability: when somebody publishes to be there.
type Hours struct {
	Zone      string     `json:"zone"` // of rules, exdates and overrides
	Rules     []Rule     `json:"rules,omitempty"`
	Exdates   []Date     `json:"exdates,omitempty"` // rule windows that start then are dropped
	Overrides []Override `json:"overrides,omitempty"`
	Trips     []Trip     `json:"trips,omitempty"` // no two on one date
}

// Availability is when a person may be booked. A person without rules is closed.
type Availability struct {
	Hours
	BufferBefore time.Duration // kept free of other seats before a seat
	BufferAfter  time.Duration // and after it
	MinNotice    time.Duration // elapsed time between booking and start
	MaxAhead     time.Duration // farthest start from now; 0 is no limit
	Version      int           // 0 before it was first saved; see SetAvailability
}

// LogValue keeps a person's habits out of logs.
func (a Availability) LogValue() slog.Value { return slog.IntValue(a.Version) }

// OnCall is "all day, every day, no notice" in a zone.
func OnCall(zone string) Availability {
	return Availability{Hours: Hours{Zone: zone, Rules: []Rule{{Freq: Weekly, Days: EveryDay(), Start: 0, End: 24 * 60}}}}
}

// PatientHours are what a patient gets without asking: 08:00 to 20:00 of every day.
func PatientHours(zone string) Availability {
	return Availability{Hours: Hours{Zone: zone, Rules: []Rule{{Freq: Weekly, Days: EveryDay(), Start: 8 * 60, End: 20 * 60}}}}
}

const (
	maxRules     = 200  // rules a person may publish
	maxDates     = 1000 // dates, exdates or overrides
	maxTrips     = 100
	maxBuffer    = 4 * time.Hour
	maxDayWindow = 24 // windows of one override
)

// Validate tells what is wrong with an availability, or nil.
func (a Availability) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		max   time.Duration
	}{
		{"buffer before", a.BufferBefore, maxBuffer},
		{"buffer after", a.BufferAfter, maxBuffer},
		{"notice", a.MinNotice, 365 * daySeconds * time.Second},
		{"horizon", a.MaxAhead, 5 * 365 * daySeconds * time.Second},
	} {
		if d.value < 0 || d.value > d.max {
			return fmt.Errorf("%w: %s %v", ErrInvalidAvailability, d.name, d.value)
		}
	}
	for i, r := range a.Rules {
		if r.From != nil && r.Until != nil && *r.Until < *r.From {
			return fmt.Errorf("%w: rule %d: until %s is before from %s", ErrInvalidAvailability, i+1, *r.Until, *r.From)
		}
	}
	return a.Hours.validate()
}

func (h Hours) validate() error {
	if _, err := LoadZone(h.Zone); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidAvailability, err)
	}
	if len(h.Rules) > maxRules || len(h.Exdates) > maxDates || len(h.Overrides) > maxDates {
		return fmt.Errorf("%w: too many rules or dates", ErrInvalidAvailability)
	}
	for i, r := range h.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("%w: rule %d: %w", ErrInvalidAvailability, i+1, err)
		}
	}
	for _, o := range h.Overrides {
		if len(o.Windows) > maxDayWindow {
			return fmt.Errorf("%w: override %s: too many windows", ErrInvalidAvailability, o.Date)
		}
		for _, w := range o.Windows {
			if !w[0].valid() || !w[1].valid() {
				return fmt.Errorf("%w: override %s: time outside 00:00 to 24:00", ErrInvalidAvailability, o.Date)
			}
		}
	}
	return h.validateTrips()
}

func (h Hours) validateTrips() error {
	if len(h.Trips) > maxTrips {
		return fmt.Errorf("%w: too many trips", ErrInvalidAvailability)
	}
	for i, t := range h.Trips {
		if _, err := LoadZone(t.Zone); err != nil {
			return fmt.Errorf("%w: trip %d: %w", ErrInvalidAvailability, i+1, err)
		}
		if t.Until < t.From || t.Until-t.From > maxDates || len(t.Windows) > maxDayWindow {
			return fmt.Errorf("%w: trip from %s until %s", ErrInvalidAvailability, t.From, t.Until)
		}
		for _, w := range t.Windows {
			if !w[0].valid() || !w[1].valid() {
				return fmt.Errorf("%w: trip from %s: time outside 00:00 to 24:00", ErrInvalidAvailability, t.From)
			}
		}
		for _, o := range h.Trips[:i] {
			if t.From <= o.Until && o.From <= t.Until {
				return fmt.Errorf("%w: two trips on one date, from %s and from %s", ErrInvalidAvailability, o.From, t.From)
			}
		}
	}
	return nil
}

func (m Minute) valid() bool { return m >= 0 && m <= 24*60 }

func (r Rule) validate() error {
	if !r.Start.valid() || !r.End.valid() {
		return errors.New("time outside 00:00 to 24:00")
	}
	if r.Gap != "" && r.Gap != Clip && r.Gap != Skip {
		return fmt.Errorf("gap %q is not clip or skip", r.Gap)
	}
	if r.Zone != "" {
		if _, err := LoadZone(r.Zone); err != nil {
			return err
		}
	}
	for _, d := range r.Days {
		if d < Monday || d > Sunday {
			return fmt.Errorf("weekday %d", d)
		}
	}
	switch r.Freq {
	case Weekly:
		switch {
		case len(r.Days) == 0:
			return errors.New("no weekday")
		case r.Interval < 0 || r.Interval > 520:
			return fmt.Errorf("interval %d", r.Interval)
		case r.Interval > 1 && r.From == nil:
			return errors.New("every n weeks counts from a date, which is missing")
		}
	case Monthly:
		if len(r.Days) == 0 {
			return errors.New("no weekday")
		}
		if r.Nth != -1 && (r.Nth < 1 || r.Nth > 5) {
			return fmt.Errorf("nth %d is not 1 to 5 or -1", r.Nth)
		}
	case OnDates:
		if len(r.Dates) == 0 || len(r.Dates) > maxDates {
			return errors.New("no dates, or too many")
		}
	default:
		return fmt.Errorf("freq %q is not weekly, monthly or dates", r.Freq)
	}
	return nil
}
