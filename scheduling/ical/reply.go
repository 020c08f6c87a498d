package ical

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"strconv"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"
)

// ErrReply means that a text is not an answer to an invitation of ours: broken, too
// large, of another method, about several events or people. The wrapped text names
// the part.
var ErrReply = errors.New("ical: not a reply")

// The methods of an attendee's answer (RFC 5546 §3.2.3, §3.2.7).
const (
	Answer  Method = "REPLY"
	Counter Method = "COUNTER" // a proposal of another time
)

// Reply is the answer of one attendee. Whether the attendee wrote it, it cannot tell.
type Reply struct {
	Method     Method
	UID        string
	Recurrence time.Time // of one occurrence of a series; zero if there is none
	Sequence   int       // that was answered
	Stamp      time.Time
	Attendee   string // mail address, lower case
	Response   Response
	// Of a Counter: the time proposed; zero if none.
	Start, End time.Time
}

const (
	maxReply      = 256 << 10 // octets
	maxComponents = 500
	replyForm     = "20060102T150405Z"
)

// ParseReply reads an answer that came by mail. Times other than in UTC are refused:
// invitations are written in UTC, so an answer that names another clock answers
// something else.
func ParseReply(data []byte) (r Reply, err error) {
	switch {
	case len(data) > maxReply:
		return Reply{}, fmt.Errorf("%w: %d octets", ErrReply, len(data))
	case bytes.Count(bytes.ToUpper(data), []byte("BEGIN:")) > maxComponents:
		return Reply{}, fmt.Errorf("%w: too many components", ErrReply)
	}
	cal, err := ics.ParseCalendar(bytes.NewReader(data))
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrReply, err)
	}
	for _, p := range cal.CalendarProperties {
		if strings.EqualFold(p.IANAToken, string(ics.PropertyMethod)) {
			if r.Method != "" {
				return Reply{}, fmt.Errorf("%w: two methods", ErrReply)
			}
			r.Method = Method(strings.ToUpper(p.Value))
		}
	}
	if r.Method != Answer && r.Method != Counter {
		return Reply{}, fmt.Errorf("%w: method", ErrReply)
	}
	events := cal.Events()
	if len(events) != 1 {
		return Reply{}, fmt.Errorf("%w: %d events", ErrReply, len(events))
	}
	return r, r.read(events[0])
}

// read takes what counts of the event. Everything else in it, such as a changed title
// or place, is not looked at.
func (r *Reply) read(e *ics.VEvent) error {
	one := map[string]*ics.IANAProperty{}
	for i := range e.Properties {
		p := &e.Properties[i]
		name := strings.ToUpper(p.IANAToken)
		switch name {
		case "UID", "SEQUENCE", "DTSTAMP", "RECURRENCE-ID", "ATTENDEE", "DTSTART", "DTEND":
			if one[name] != nil {
				return fmt.Errorf("%w: two of %s", ErrReply, name)
			}
			one[name] = p
		}
	}
	if one["UID"] == nil || one["ATTENDEE"] == nil || one["DTSTAMP"] == nil {
		return fmt.Errorf("%w: uid, attendee or stamp is missing", ErrReply)
	}
	if r.UID = one["UID"].Value; r.UID == "" || len(r.UID) > 255 {
		return fmt.Errorf("%w: uid", ErrReply)
	}
	if p := one["SEQUENCE"]; p != nil {
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 0 || n > 1<<30 {
			return fmt.Errorf("%w: sequence", ErrReply)
		}
		r.Sequence = n
	}
	for name, to := range map[string]*time.Time{"DTSTAMP": &r.Stamp, "RECURRENCE-ID": &r.Recurrence, "DTSTART": &r.Start, "DTEND": &r.End} {
		p := one[name]
		if p == nil || r.Method != Counter && (name == "DTSTART" || name == "DTEND") {
			continue // an answer repeats the time at most; the sequence says which it is
		}
		at, err := time.Parse(replyForm, p.Value)
		if err != nil {
			return fmt.Errorf("%w: %s is not in UTC", ErrReply, name)
		}
		*to = at
	}
	if !r.Start.IsZero() && !r.End.IsZero() && !r.End.After(r.Start) {
		return fmt.Errorf("%w: it ends before it begins", ErrReply)
	}
	return r.attendee(one["ATTENDEE"])
}

func (r *Reply) attendee(p *ics.IANAProperty) error {
	const scheme = "mailto:"
	if len(p.Value) < len(scheme) || !strings.EqualFold(p.Value[:len(scheme)], scheme) {
		return fmt.Errorf("%w: attendee", ErrReply)
	}
	address := strings.ToLower(p.Value[len(scheme):])
	m, err := mail.ParseAddress(address)
	if err != nil || m.Name != "" || m.Address != address {
		return fmt.Errorf("%w: attendee", ErrReply)
	}
	r.Attendee = address
	var status []string
	for name, values := range p.ICalParameters {
		if strings.EqualFold(name, "PARTSTAT") {
			status = append(status, values...)
		}
	}
	if len(status) == 0 && r.Method == Counter {
		r.Response = Tentative // it proposes another time
		return nil
	}
	if len(status) != 1 {
		return fmt.Errorf("%w: participation status", ErrReply)
	}
	switch s := Response(strings.ToUpper(status[0])); s {
	case Accepted, Declined, Tentative, NeedsAction:
		r.Response = s
		return nil
	}
	return fmt.Errorf("%w: participation status %.20q", ErrReply, status[0])
}
