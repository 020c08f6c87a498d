package scheduling

import (
	"fmt"
	"strings"
	"time"
)

const (
	daySeconds    = 24 * 60 * 60
	minuteSeconds = 60
)

// Date is a civil date: days since 1970-01-01, without a zone. Its text form is
// YYYY-MM-DD.
type Date int32

// DateOf returns the civil date.
func DateOf(y int, m time.Month, d int) Date {
	return Date(floorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), daySeconds))
}

// ParseDate reads YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("scheduling: date %q is not YYYY-MM-DD", s)
	}
	return Date(floorDiv(t.Unix(), daySeconds)), nil
}

func (d Date) utc() time.Time { return time.Unix(int64(d)*daySeconds, 0).UTC() }

// Civil returns year, month and day.
func (d Date) Civil() (int, time.Month, int) { return d.utc().Date() }

// Weekday is the day of the week.
func (d Date) Weekday() Weekday { return Weekday(floorMod(int64(d)+3, 7)) } // 1970-01-01 was a Thursday

func (d Date) String() string { return d.utc().Format(time.DateOnly) }

// MarshalText writes YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads YYYY-MM-DD.
func (d *Date) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDate(string(b))
	return err
}

// Minute is a time of the wall clock in minutes after 00:00, at most 1440 (24:00,
// which is 00:00 of the next date). Its text form is HH:MM.
type Minute int

// ParseMinute reads HH:MM, 00:00 to 24:00.
func ParseMinute(s string) (Minute, error) {
	bad := fmt.Errorf("scheduling: time %q is not HH:MM", s)
	if len(s) != 5 || s[2] != ':' {
		return 0, bad
	}
	for _, i := range [...]int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, bad
		}
	}
	h := int(s[0]-'0')*10 + int(s[1]-'0')
	m := int(s[3]-'0')*10 + int(s[4]-'0')
	if m > 59 || h*60+m > 24*60 {
		return 0, bad
	}
	return Minute(h*60 + m), nil
}

func (m Minute) String() string {
	if m < 0 {
		return fmt.Sprintf("%02d:%02d", int(m)/60, int(m)%60)
	}
	h, r := byte(m/60), byte(m%60)
	return string([]byte{'0' + h/10, '0' + h%10, ':', '0' + r/10, '0' + r%10})
}

// MarshalText writes HH:MM.
func (m Minute) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads HH:MM.
func (m *Minute) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMinute(string(b))
	return err
}

// Weekday is a day of the week, Monday first as in ISO 8601. Its text form is that
// of RFC 5545: MO TU WE TH FR SA SU.
type Weekday int

// The days of the week.
const (
	Monday Weekday = iota
	Tuesday
	Wednesday
	Thursday
	Friday
	Saturday
	Sunday
)

var weekdayNames = [...]string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}

// EveryDay is Monday to Sunday.
func EveryDay() []Weekday {
	return []Weekday{Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday}
}

func (w Weekday) String() string {
	if w < Monday || w > Sunday {
		return fmt.Sprintf("Weekday(%d)", int(w))
	}
	return weekdayNames[w]
}

// MarshalText writes MO to SU.
func (w Weekday) MarshalText() ([]byte, error) {
	if w < Monday || w > Sunday {
		return nil, fmt.Errorf("scheduling: weekday %d", int(w))
	}
	return []byte(weekdayNames[w]), nil
}

// UnmarshalText reads MO to SU.
func (w *Weekday) UnmarshalText(b []byte) error {
	for i, name := range weekdayNames {
		if strings.EqualFold(name, string(b)) {
			*w = Weekday(i)
			return nil
		}
	}
	return fmt.Errorf("scheduling: weekday %q is not one of MO TU WE TH FR SA SU", b)
}

// Wall is what a clock on the wall shows: a date and a time, without a zone.
type Wall struct {
	Date   Date
	Minute Minute
}

// ParseWall reads YYYY-MM-DDTHH:MM, the form of an HTML datetime-local field.
func ParseWall(s string) (Wall, error) {
	day, clock, ok := strings.Cut(s, "T")
	if !ok {
		return Wall{}, fmt.Errorf("scheduling: local time %q is not YYYY-MM-DDTHH:MM", s)
	}
	d, err := ParseDate(day)
	if err != nil {
		return Wall{}, err
	}
	m, err := ParseMinute(clock)
	if err != nil {
		return Wall{}, err
	}
	return Wall{Date: d, Minute: m}, nil
}

// WallAt is what the clocks of loc show at an instant, to the minute.
func WallAt(loc *time.Location, at time.Time) Wall {
	l := at.In(loc)
	y, mo, d := l.Date()
	return Wall{Date: DateOf(y, mo, d), Minute: Minute(l.Hour()*60 + l.Minute())}
}

// String writes YYYY-MM-DDTHH:MM.
func (w Wall) String() string { return w.Date.String() + "T" + w.Minute.String() }

// MarshalText writes YYYY-MM-DDTHH:MM.
func (w Wall) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads YYYY-MM-DDTHH:MM.
func (w *Wall) UnmarshalText(b []byte) (err error) {
	*w, err = ParseWall(string(b))
	return err
}

// seconds counts the wall clock from 1970-01-01T00:00 as if no zone existed.
func (w Wall) seconds() int64 { return int64(w.Date)*daySeconds + int64(w.Minute)*minuteSeconds }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
