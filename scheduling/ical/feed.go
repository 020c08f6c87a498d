package ical

import (
	"bytes"
	"fmt"
	"net/url"
	"time"

	ics "github.com/arran4/golang-ical"
)

// Publication is a person's calendar as other programs read it from time to time. It
// has no attendees: nobody is invited by it (RFC 5546 §3.2.1).
type Publication struct {
	Name    string        // shown as the calendar's name
	Refresh time.Duration // how often to read it again, whole minutes
	Stamp   time.Time
	Events  []Published
}

// Published is one event: an instance, never a rule.
type Published struct {
	UID         string
	Sequence    int
	Start       time.Time
	Duration    time.Duration
	Summary     string // neutral, as in Invitation
	Description string
	Language    string
	URL         string
	Tentative   bool // not confirmed yet
}

// PublicationType is the media type of a written publication.
const PublicationType = "text/calendar; charset=utf-8"

const maxEvents = 2000

// WritePublication returns the iCalendar text.
func WritePublication(p Publication) ([]byte, error) {
	if p.Stamp.IsZero() || p.Refresh < time.Minute || p.Refresh%time.Minute != 0 || len(p.Events) > maxEvents {
		return nil, fmt.Errorf("%w: stamp, refresh or number of events", ErrInvalid)
	}
	cal := ics.NewCalendar()
	cal.SetProductId(product)
	cal.SetMethod(ics.MethodPublish)
	cal.SetCalscale("GREGORIAN")
	cal.SetName(text(p.Name))
	every := fmt.Sprintf("PT%dM", p.Refresh/time.Minute)
	cal.SetRefreshInterval(every, &ics.KeyValues{Key: "VALUE", Value: []string{"DURATION"}}) // RFC 7986 §5.7
	cal.SetXPublishedTTL(every)
	for _, e := range p.Events {
		if err := e.check(p.Stamp); err != nil {
			return nil, err
		}
		v := cal.AddEvent(e.UID)
		v.SetDtStampTime(p.Stamp)
		v.SetSequence(e.Sequence)
		v.SetStartAt(e.Start)
		v.SetProperty(ics.ComponentPropertyDtEnd, e.Start.Add(e.Duration).UTC().Format("20060102T150405Z"))
		var lang []ics.PropertyParameter
		if e.Language != "" {
			lang = append(lang, &ics.KeyValues{Key: string(ics.ParameterLanguage), Value: []string{e.Language}})
		}
		v.SetSummary(text(e.Summary), lang...)
		if d := text(e.Description); d != "" {
			v.SetDescription(d, lang...)
		}
		if e.URL != "" {
			v.SetURL(e.URL)
		}
		v.SetStatus(ics.ObjectStatusConfirmed)
		if e.Tentative {
			v.SetStatus(ics.ObjectStatusTentative)
		}
		v.SetTimeTransparency(ics.TransparencyOpaque)
		v.SetClass(ics.ClassificationPrivate)
	}
	var b bytes.Buffer
	if err := cal.SerializeTo(&b, ics.WithNewLineWindows); err != nil {
		return nil, fmt.Errorf("write publication: %w", err)
	}
	return b.Bytes(), nil
}

// check is that of an invitation, of which an event is a part.
func (e Published) check(stamp time.Time) error {
	if e.URL != "" {
		if u, err := url.Parse(e.URL); err != nil || u.Host == "" {
			return fmt.Errorf("%w: url", ErrInvalid)
		}
	}
	nobody := Attendee{Email: "nobody@consilium.invalid"}
	return Invitation{Method: Request, UID: e.UID, Sequence: e.Sequence, Stamp: stamp, Start: e.Start, Duration: e.Duration, Summary: e.Summary,
		Description: e.Description, URL: e.URL, Language: e.Language, Organizer: nobody, Attendees: []Attendee{nobody}}.check()
}
