package i18n

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// dates is how a language writes dates. Digits are Latin everywhere: clinical
// values are compared across languages. Hours run to 24.
type dates struct {
	weekdays [7]string // short enough for a table, from Sunday
	months   [12]string
	date     string // %w weekday, %d day, %m month, %y year
	join     string // between date and time
}

var dateTable = map[string]dates{
	"en": {
		weekdays: [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		months:   [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		date:     "%w %d %m %y", join: ", ",
	},
	"fr": {
		weekdays: [7]string{"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
		months:   [12]string{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
		date:     "%w %d %m %y", join: ", ",
	},
	"ar": {
		weekdays: [7]string{"الأحد", "الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت"},
		months:   [12]string{"يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"},
		date:     "%w، %d %m %y", join: "، ",
	},
	"es": {
		weekdays: [7]string{"dom", "lun", "mar", "mié", "jue", "vie", "sáb"},
		months:   [12]string{"ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"},
		date:     "%w %d %m %y", join: ", ",
	},
	"pt": {
		weekdays: [7]string{"dom.", "seg.", "ter.", "qua.", "qui.", "sex.", "sáb."},
		months:   [12]string{"jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."},
		date:     "%w %d %m %y", join: ", ",
	},
	"ru": {
		weekdays: [7]string{"вс", "пн", "вт", "ср", "чт", "пт", "сб"},
		months:   [12]string{"янв.", "февр.", "мар.", "апр.", "мая", "июн.", "июл.", "авг.", "сент.", "окт.", "нояб.", "дек."},
		date:     "%w, %d %m %y", join: ", ",
	},
	"zh-Hans": {
		weekdays: [7]string{"周日", "周一", "周二", "周三", "周四", "周五", "周六"},
		months:   [12]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"},
		date:     "%y年%m月%d日%w", join: " ",
	},
}

func location(zone string) *time.Location {
	if zone == "" || zone == "Local" {
		return time.UTC
	}
	loc, err := zoneinfo.Load(zone) // the zone data of the binary: a machine's own may be years old
	if err != nil {
		return time.UTC
	}
	return loc
}

func (l *Localizer) dates() dates { return dateTable[l.language.Tag] }

// Date is a day in the reader's zone: "Thu 26 Nov 2026".
func (l *Localizer) Date(t time.Time) string { return l.date(t.In(l.zone)) }

func (l *Localizer) date(t time.Time) string {
	d := l.dates()
	return strings.NewReplacer(
		"%w", d.weekdays[t.Weekday()], "%d", strconv.Itoa(t.Day()),
		"%m", d.months[t.Month()-1], "%y", strconv.Itoa(t.Year()),
	).Replace(d.date)
}

// Clock is a time of day in the reader's zone, with the zone: "14:00 EAT".
func (l *Localizer) Clock(t time.Time) string { return clock(t.In(l.zone)) }

// ClockSeconds is a time of day in the reader's zone, to the second and without the
// zone's name: "14:00:05".
func (l *Localizer) ClockSeconds(t time.Time) string { return t.In(l.zone).Format(time.TimeOnly) }

// DateTime is an instant in the reader's zone: "Thu 26 Nov 2026, 14:00 EAT".
func (l *Localizer) DateTime(t time.Time) string { return l.dateTime(t.In(l.zone)) }

// DateTimeIn is an instant on somebody else's clock.
func (l *Localizer) DateTimeIn(t time.Time, zone string) string {
	return l.dateTime(t.In(location(zone)))
}

// ClockIn is a time of day on somebody else's clock, with the weekday when it is
// another day there than for the reader.
func (l *Localizer) ClockIn(t time.Time, zone string) string {
	there := t.In(location(zone))
	if there.Format(time.DateOnly) != t.In(l.zone).Format(time.DateOnly) {
		return l.dates().weekdays[there.Weekday()] + " " + clock(there)
	}
	return clock(there)
}

// Span is the time between two instants: "Thu 26 Nov 2026, 14:00–14:30 EAT".
func (l *Localizer) Span(from, to time.Time) string {
	a, b := from.In(l.zone), to.In(l.zone)
	if a.Format(time.DateOnly) != b.Format(time.DateOnly) || ZoneName(a) != ZoneName(b) {
		return l.dateTime(a) + " – " + l.dateTime(b)
	}
	return l.date(a) + l.dates().join + a.Format("15:04") + "–" + clock(b)
}

func (l *Localizer) dateTime(t time.Time) string { return l.date(t) + l.dates().join + clock(t) }

func clock(t time.Time) string { return t.Format("15:04") + " " + ZoneName(t) }

// ZoneName is the zone as it is printed beside a time: its abbreviation where there
// is one ("EAT"), else the distance from UTC ("UTC+3").
func ZoneName(t time.Time) string {
	name, offset := t.Zone()
	if name != "" && name[0] != '+' && name[0] != '-' {
		return name
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '−', -offset
	}
	if m := offset / 60 % 60; m != 0 {
		return fmt.Sprintf("UTC%c%d:%02d", sign, offset/3600, m)
	}
	return fmt.Sprintf("UTC%c%d", sign, offset/3600)
}
