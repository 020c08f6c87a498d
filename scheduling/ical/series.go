package ical

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
)

// Series is a repeating time as one person's calendar is told of it: one UID, on the
// clock of one zone, which travels with the file.
type Series struct {
	Invitation                // of the series; Start is its first occurrence
	Zone       *time.Location // whose clock it is on
	Rule       string         // RRULE (RFC 5545 §3.3.10)
	Exdates    []time.Time    // occurrences that are off
	Moved      []MovedOccurrence
	Last       time.Time // start of the last occurrence
}

// MovedOccurrence is one occurrence at another time than the rule's.
type MovedOccurrence struct {
	Of       time.Time // when it would have been: names it for ever
	Sequence int
	Start    time.Time
	Duration time.Duration
}

const (
	localForm     = "20060102T150405"
	utcForm       = "20060102T150405Z"
	maxOccurrence = 1000
)

// WriteSeries returns the iCalendar text of a series: its zone with all changes of the
// clock from a year before the first occurrence to five after the last, the rule, and
// one component for each moved occurrence.
func WriteSeries(s Series) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	switch {
	case s.Zone == nil || s.Zone.String() == "" || s.Zone == time.Local || strings.ContainsAny(s.Zone.String(), ";:,\"\r\n"):
		return nil, fmt.Errorf("%w: zone", ErrInvalid)
	case s.Rule == "" || strings.ContainsAny(s.Rule, ":\r\n"):
		return nil, fmt.Errorf("%w: rule", ErrInvalid)
	case s.Last.Before(s.Start) || len(s.Exdates) > maxOccurrence || len(s.Moved) > maxOccurrence:
		return nil, fmt.Errorf("%w: occurrences", ErrInvalid)
	}
	cal := ics.NewCalendar()
	cal.SetProductId(product)
	cal.SetMethod(ics.Method(s.Method))
	cal.SetCalscale("GREGORIAN")
	cal.Components = append(cal.Components, timezone(s.Zone, s.Start.AddDate(-1, 0, 0), s.Last.AddDate(5, 0, 0)))

	master := s.event(cal, s.Sequence, s.Start, s.Duration)
	master.AddProperty(ics.ComponentPropertyRrule, s.Rule)
	off := slices.Clone(s.Exdates)
	slices.SortFunc(off, time.Time.Compare)
	for _, t := range off {
		master.AddProperty(ics.ComponentPropertyExdate, s.local(t), ics.WithTZID(s.Zone.String()))
	}
	for _, m := range s.Moved {
		if m.Duration <= 0 || m.Sequence < 0 {
			return nil, fmt.Errorf("%w: moved occurrence", ErrInvalid)
		}
		e := s.event(cal, m.Sequence, m.Start, m.Duration)
		e.SetProperty(ics.ComponentPropertyRecurrenceId, s.local(m.Of), ics.WithTZID(s.Zone.String()))
	}
	var b bytes.Buffer
	if err := cal.SerializeTo(&b, ics.WithNewLineWindows); err != nil { // RFC 5545 §3.1: CRLF
		return nil, fmt.Errorf("write series %s: %w", s.UID, err)
	}
	return b.Bytes(), nil
}

func (s Series) local(t time.Time) string { return t.In(s.Zone).Format(localForm) }

func (s Series) event(cal *ics.Calendar, sequence int, start time.Time, duration time.Duration) *ics.VEvent {
	e := cal.AddEvent(s.UID)
	e.SetDtStampTime(s.Stamp)
	e.SetSequence(sequence)
	e.SetProperty(ics.ComponentPropertyDtStart, s.local(start), ics.WithTZID(s.Zone.String()))
	e.SetProperty(ics.ComponentPropertyDtEnd, s.local(start.Add(duration)), ics.WithTZID(s.Zone.String()))
	var lang []ics.PropertyParameter
	if s.Language != "" {
		lang = append(lang, &ics.KeyValues{Key: string(ics.ParameterLanguage), Value: []string{s.Language}})
	}
	e.SetSummary(text(s.Summary), lang...)
	if d := text(s.Description); d != "" {
		e.SetDescription(d, lang...)
	}
	if s.URL != "" {
		e.SetURL(s.URL)
	}
	status := ics.ObjectStatusConfirmed
	if s.Method == Cancel {
		status = ics.ObjectStatusCancelled
	}
	e.SetStatus(status)
	e.SetTimeTransparency(ics.TransparencyOpaque)
	e.SetClass(ics.ClassificationPrivate)
	e.SetOrganizer("mailto:"+s.Organizer.Email, name(s.Organizer)...)
	for _, a := range s.Attendees {
		e.AddAttendee("mailto:"+a.Email, s.attendee(a)...)
	}
	return e
}

// timezone writes the clock of a zone over [from, to) as one observance a change,
// each with its own start (RFC 5545 §3.6.5): no rule of the zone is guessed.
func timezone(loc *time.Location, from, to time.Time) *ics.VTimezone {
	z := ics.NewTimezone(loc.String())
	at := from.UTC().Truncate(time.Hour)
	_, before := at.In(loc).Zone()
	for at.Before(to) {
		t := at.In(loc)
		name, off := t.Zone()
		var part *ics.ComponentBase
		if t.IsDST() {
			d := &ics.Daylight{}
			z.Components, part = append(z.Components, d), &d.ComponentBase
		} else {
			d := ics.NewStandard()
			z.Components, part = append(z.Components, d), &d.ComponentBase
		}
		// The start is on the clock that runs out.
		part.SetProperty(ics.ComponentPropertyDtStart, at.In(time.FixedZone("", before)).Format(localForm))
		part.SetProperty(ics.ComponentProperty("TZOFFSETFROM"), offset(before))
		part.SetProperty(ics.ComponentProperty("TZOFFSETTO"), offset(off))
		part.SetProperty(ics.ComponentProperty("TZNAME"), parameter(name))
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		at, before = end.UTC(), off
	}
	return z
}

// offset writes a UTC offset (RFC 5545 §3.3.14).
func offset(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	out := fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
	if s := seconds % 60; s != 0 {
		out += fmt.Sprintf("%02d", s)
	}
	return out
}
