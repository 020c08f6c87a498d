package ical

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"

	ics "github.com/arran4/golang-ical"
)

// ErrInvalid means that an invitation cannot be written: a part is missing or would
// not survive the format. The wrapped text names the part.
var ErrInvalid = errors.New("ical: invalid invitation")

// Method is the iTIP method: what the receiving calendar shall do (RFC 5546 §1.4).
type Method string

// The methods that an organizer sends.
const (
	Request Method = "REQUEST"
	Cancel  Method = "CANCEL"
)

// Response is an attendee's participation status (RFC 5545 §3.2.12).
type Response string

// The answers of an attendee to an invitation.
const (
	NeedsAction Response = "NEEDS-ACTION"
	Accepted    Response = "ACCEPTED"
	Declined    Response = "DECLINED"
	Tentative   Response = "TENTATIVE"
)

// Attendee is somebody invited.
type Attendee struct {
	Name     string // as shown; may be empty
	Email    string
	Optional bool
	Response Response // "" is NeedsAction
}

// Invitation is one appointment as one person's calendar is told of it.
type Invitation struct {
	Method      Method
	UID         string // stable for the appointment's life; see UID
	Sequence    int    // grows with each change of time or place
	Stamp       time.Time
	Start       time.Time // written in UTC, so that no reader's zone table moves it
	Duration    time.Duration
	Summary     string // neutral: no patient, no diagnosis, no title of a case
	Description string // may have several lines
	URL         string // where to join; asks for sign-in; may be empty
	Language    string // BCP 47 tag of Summary and Description; may be empty
	Organizer   Attendee
	Attendees   []Attendee
}

// UID is the globally unique name of an appointment (RFC 7986 §5.3): its id at the
// host that made it.
func UID(appointment, host string) string { return appointment + "@" + host }

// ContentType is the media type of a written invitation. Its method equals the
// METHOD in the text (RFC 6047 §2.4).
func (i Invitation) ContentType() string {
	return "text/calendar; charset=utf-8; method=" + string(i.Method) + "; component=VEVENT"
}

const (
	maxText      = 8 << 10 // octets of one text
	maxAttendees = 200
	product      = "-//Consilium//Scheduling//EN"
)

// Write returns the iCalendar text of an invitation.
func Write(i Invitation) ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, err
	}
	cal := ics.NewCalendar()
	cal.SetProductId(product)
	cal.SetMethod(ics.Method(i.Method))
	cal.SetCalscale("GREGORIAN")

	e := cal.AddEvent(i.UID)
	e.SetDtStampTime(i.Stamp)
	e.SetSequence(i.Sequence)
	e.SetStartAt(i.Start)
	e.SetProperty(ics.ComponentPropertyDtEnd, i.Start.Add(i.Duration).UTC().Format("20060102T150405Z"))
	var lang []ics.PropertyParameter
	if i.Language != "" {
		lang = append(lang, &ics.KeyValues{Key: string(ics.ParameterLanguage), Value: []string{i.Language}})
	}
	e.SetSummary(text(i.Summary), lang...)
	if d := text(i.Description); d != "" {
		e.SetDescription(d, lang...)
	}
	if i.URL != "" {
		e.SetURL(i.URL)
	}
	status := ics.ObjectStatusConfirmed
	if i.Method == Cancel {
		status = ics.ObjectStatusCancelled
	}
	e.SetStatus(status)
	e.SetTimeTransparency(ics.TransparencyOpaque)
	e.SetClass(ics.ClassificationPrivate)
	e.SetOrganizer("mailto:"+i.Organizer.Email, name(i.Organizer)...)
	for _, a := range i.Attendees {
		e.AddAttendee("mailto:"+a.Email, i.attendee(a)...)
	}

	var b bytes.Buffer
	if err := cal.SerializeTo(&b, ics.WithNewLineWindows); err != nil { // RFC 5545 §3.1: CRLF
		return nil, fmt.Errorf("write invitation %s: %w", i.UID, err)
	}
	return b.Bytes(), nil
}

func (i Invitation) attendee(a Attendee) []ics.PropertyParameter {
	role := ics.ParticipationRoleReqParticipant
	if a.Optional {
		role = ics.ParticipationRoleOptParticipant
	}
	response := a.Response
	if response == "" {
		response = NeedsAction
	}
	params := append(name(a), role, ics.ParticipationStatus(response))
	if i.Method == Request {
		rsvp := "FALSE"
		if response == NeedsAction {
			rsvp = "TRUE"
		}
		params = append(params, &ics.KeyValues{Key: string(ics.ParameterRsvp), Value: []string{rsvp}})
	}
	return params
}

func name(a Attendee) []ics.PropertyParameter {
	n := parameter(a.Name)
	if n == "" {
		return nil
	}
	return []ics.PropertyParameter{ics.WithCN(n)}
}

func (i Invitation) check() error {
	if i.Method != Request && i.Method != Cancel {
		return fmt.Errorf("%w: method %q", ErrInvalid, i.Method)
	}
	if i.UID == "" || strings.ContainsFunc(i.UID, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;,:\"`, r) }) {
		return fmt.Errorf("%w: uid", ErrInvalid)
	}
	switch {
	case i.Sequence < 0:
		return fmt.Errorf("%w: sequence", ErrInvalid)
	case i.Stamp.IsZero() || i.Start.IsZero() || i.Start.Year() < 1 || i.Start.Year() > 9998:
		return fmt.Errorf("%w: time", ErrInvalid)
	case i.Duration <= 0 || i.Duration%time.Second != 0:
		return fmt.Errorf("%w: duration", ErrInvalid)
	case text(i.Summary) == "" || len(i.Summary) > maxText || len(i.Description) > maxText:
		return fmt.Errorf("%w: summary or description", ErrInvalid)
	case len(i.Attendees) == 0 || len(i.Attendees) > maxAttendees:
		return fmt.Errorf("%w: attendees", ErrInvalid)
	}
	for _, r := range i.Language {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-') {
			return fmt.Errorf("%w: language", ErrInvalid)
		}
	}
	if i.URL != "" {
		u, err := url.Parse(i.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.String() != i.URL {
			return fmt.Errorf("%w: url", ErrInvalid)
		}
	}
	for _, a := range append([]Attendee{i.Organizer}, i.Attendees...) {
		// A bare address of the common form; anything else could end the line early.
		m, err := mail.ParseAddress(a.Email)
		if err != nil || m.Name != "" || m.Address != a.Email || strings.ContainsFunc(a.Email, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`",;<>\`, r) }) {
			return fmt.Errorf("%w: address", ErrInvalid)
		}
		switch a.Response {
		case "", NeedsAction, Accepted, Declined, Tentative:
		default:
			return fmt.Errorf("%w: response %q", ErrInvalid, a.Response)
		}
	}
	return nil
}

// text keeps what a TEXT value may hold: lines end in LF, no other control
// characters, valid UTF-8 (RFC 5545 §3.3.11).
func text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r != '\n' && unicode.IsControl(r):
			return -1
		}
		return r
	}, s))
}

// parameter replaces what a bare parameter value may not hold (RFC 5545 §3.2). The
// library would put a backslash before each, which readers take as part of the name.
func parameter(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\'':
			return '\u2019'
		case strings.ContainsRune(",;:\\", r) || unicode.IsControl(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}
