package credentialing

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// Zones gives the time zone data of the product. scheduling.LoadZone is one.
type Zones func(name string) (*time.Location, error)

// Moment is when something begins or ends as a source gives it: a bare date, which
// is a whole day in the issuer's zone, or an instant. The zero Moment is open.
type Moment struct {
	date bool
	y    int
	m    time.Month
	d    int
	at   time.Time
}

// Date is a bare date.
func Date(y int, m time.Month, d int) Moment { return Moment{date: true, y: y, m: m, d: d} }

// Instant is an instant.
func Instant(t time.Time) Moment { return Moment{at: t.UTC()} }

// ParseMoment reads "2028-12-31", an RFC 3339 instant, or "" for an open Moment.
func ParseMoment(s string) (Moment, error) {
	if s == "" {
		return Moment{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return Date(t.Year(), t.Month(), t.Day()), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return Moment{}, fmt.Errorf("%q is neither a date nor an instant", s)
	}
	return Instant(t), nil
}

// Years outside of these are slips of the pen, in any record this room keeps.
const (
	firstYear = 1900
	lastYear  = 2200
)

// sane tells whether an instant lies in a year that a record can mean.
func sane(t time.Time) bool { return t.Year() >= firstYear && t.Year() <= lastYear }

// sane tells whether a Moment is open or lies in a year that a record can mean.
func (m Moment) sane() bool { return m.IsZero() || sane(m.begins(nil, false)) }

// before tells whether something that begins at m and ends at end lasts at all in some
// zone. Of two dates it is told by the calendar; what is open on a side always lasts.
func (m Moment) before(end Moment) bool {
	switch {
	case m.IsZero() || end.IsZero():
		return true
	case m.date && end.date:
		return m.begins([]*time.Location{time.UTC}, false).Before(end.ends([]*time.Location{time.UTC}, false))
	}
	return m.begins(nil, false).Before(end.ends(nil, true))
}

// IsZero tells whether the Moment is open.
func (m Moment) IsZero() bool { return !m.date && m.at.IsZero() }

// IsDate tells whether the Moment is a bare date.
func (m Moment) IsDate() bool { return m.date }

// String is what ParseMoment reads.
func (m Moment) String() string {
	switch {
	case m.date:
		return fmt.Sprintf("%04d-%02d-%02d", m.y, m.m, m.d)
	case m.at.IsZero():
		return ""
	default:
		return m.at.Format(time.RFC3339Nano)
	}
}

// MarshalJSON writes null for an open Moment.
func (m Moment) MarshalJSON() ([]byte, error) {
	if m.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(m.String())
}

// UnmarshalJSON reads a string or null.
func (m *Moment) UnmarshalJSON(data []byte) error {
	var s *string
	if err := json.Unmarshal(data, &s); err != nil {
		return errors.New("a date or an instant is a string")
	}
	*m = Moment{}
	if s == nil {
		return nil
	}
	got, err := ParseMoment(*s)
	if err != nil {
		return err
	}
	*m = got
	return nil
}

// UnmarshalYAML reads a scalar as ParseMoment does, and says in which line it cannot.
func (m *Moment) UnmarshalYAML(n *yaml.Node) error {
	if n.Tag == "!!null" {
		*m = Moment{}
		return nil
	}
	got, err := ParseMoment(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return &PackError{Line: n.Line, Err: fmt.Errorf("%q is neither a date nor an instant", n.Value)}
	}
	*m = got
	return nil
}

// Zones farther than these are in use nowhere: a date without a zone begins when
// it has begun in the last of them and ends when it has ended in the first.
var (
	lastZone  = time.FixedZone("UTC-12", -12*3600)
	firstZone = time.FixedZone("UTC+14", 14*3600)
)

// begins is when the Moment begins at the latest, or at the earliest, of zones.
func (m Moment) begins(zones []*time.Location, latest bool) time.Time {
	if !m.date {
		return m.at
	}
	if len(zones) == 0 {
		if latest {
			zones = []*time.Location{lastZone}
		} else {
			zones = []*time.Location{firstZone}
		}
	}
	return startOfDay(m.y, m.m, m.d, zones, latest)
}

// ends is when the Moment has ended: of a date the end of its day, at the latest
// or at the earliest of zones. An instant is its own end.
func (m Moment) ends(zones []*time.Location, latest bool) time.Time {
	if !m.date {
		return m.at
	}
	if len(zones) == 0 {
		if latest {
			zones = []*time.Location{lastZone}
		} else {
			zones = []*time.Location{firstZone}
		}
	}
	return startOfDay(m.y, m.m, m.d+1, zones, latest)
}

func startOfDay(y int, m time.Month, d int, zones []*time.Location, latest bool) time.Time {
	var found time.Time
	for i, z := range zones {
		t := dayStart(y, m, d, z)
		if i == 0 || latest == t.After(found) && !t.Equal(found) {
			found = t
		}
	}
	return found.UTC()
}

// dayStart is the first instant whose clock in z shows the day. Where the clocks
// go forward at midnight the day begins after the gap; where midnight occurs twice
// it begins at the first.
func dayStart(y int, m time.Month, d int, z *time.Location) time.Time {
	want := time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // normalizes the date
	y, m, d = want.Date()
	t := time.Date(y, m, d, 0, 0, 0, 0, z)
	if same(t, y, m, d) {
		if h, min, sec := t.Clock(); h|min|sec != 0 {
			if start, _ := t.ZoneBounds(); !start.IsZero() {
				return start.In(z) // read past the gap: the day began where the gap ended
			}
		}
		if start, _ := t.ZoneBounds(); !start.IsZero() {
			before := start.Add(-time.Nanosecond)
			if same(before, y, m, d) { // the same midnight, an hour before
				_, after := t.Zone()
				_, off := before.Zone()
				if first := t.Add(time.Duration(after-off) * time.Second); first.Before(start) && same(first, y, m, d) {
					return first
				}
			}
		}
		return t
	}
	if _, end := t.ZoneBounds(); !end.IsZero() && t.Before(want.Add(48*time.Hour)) && same(end.In(z), y, m, d) {
		return end.In(z)
	}
	return t
}

func same(t time.Time, y int, m time.Month, d int) bool {
	ty, tm, td := t.Date()
	return ty == y && tm == m && td == d
}
