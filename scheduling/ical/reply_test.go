package ical

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func reply(lines ...string) []byte {
	return []byte(strings.Join(append(append([]string{"BEGIN:VCALENDAR", "PRODID:-//Somebody//Calendar//EN", "VERSION:2.0"}, lines...), "END:VCALENDAR", ""), "\r\n"))
}

// As the calendars that people use write them: folded lines, names, zones that nobody
// asked for.
var replies = map[string]struct {
	data []byte
	want Reply
}{
	"accepted": {
		reply("METHOD:REPLY", "BEGIN:VEVENT", "UID:0193a1b2@consilium.example", "SEQUENCE:2", "DTSTAMP:20261124T120000Z",
			"DTSTART:20261126T123000Z", "DTEND:20261126T130000Z", "ORGANIZER:mailto:no-reply@consilium.example",
			`ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN="Prof. Claire`, ` Tremblay":mailto:Claire@Example.org`,
			"SUMMARY:Accepted: Video consultation", "END:VEVENT"),
		Reply{Method: Answer, UID: "0193a1b2@consilium.example", Sequence: 2, Stamp: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Attendee: "claire@example.org", Response: Accepted},
	},
	"declined, with a zone and an alarm": {
		reply("METHOD:REPLY", "BEGIN:VTIMEZONE", "TZID:Eastern Standard Time", "BEGIN:STANDARD", "DTSTART:16010101T020000", "TZOFFSETFROM:-0400",
			"TZOFFSETTO:-0500", "END:STANDARD", "END:VTIMEZONE", "BEGIN:VEVENT", "ATTENDEE;PARTSTAT=DECLINED:MAILTO:claire@example.org",
			"UID:0193a1b2@consilium.example", "DTSTART;TZID=Eastern Standard Time:20261126T073000", "DTSTAMP:20261124T120000Z", "SEQUENCE:0",
			"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "END:VALARM", "END:VEVENT"),
		Reply{Method: Answer, UID: "0193a1b2@consilium.example", Stamp: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Attendee: "claire@example.org", Response: Declined},
	},
	"another time proposed, for one occurrence": {
		reply("METHOD:COUNTER", "BEGIN:VEVENT", "ATTENDEE;PARTSTAT=TENTATIVE:mailto:claire@example.org", "UID:0193a1b2@consilium.example",
			"RECURRENCE-ID:20261126T123000Z", "DTSTART:20261127T123000Z", "DTEND:20261127T130000Z", "DTSTAMP:20261124T120000Z", "SEQUENCE:1", "END:VEVENT"),
		Reply{Method: Counter, UID: "0193a1b2@consilium.example", Sequence: 1, Stamp: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Recurrence: time.Date(2026, 11, 26, 12, 30, 0, 0, time.UTC), Attendee: "claire@example.org", Response: Tentative,
			Start: time.Date(2026, 11, 27, 12, 30, 0, 0, time.UTC), End: time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC)},
	},
}

func TestRepliesOfCalendarsAreRead(t *testing.T) {
	for name, c := range replies {
		got, err := ParseReply(c.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(got, c.want); d != "" {
			t.Errorf("%s: got - want +\n%s", name, d)
		}
	}
}

func TestWhatIsNoReplyIsRefused(t *testing.T) {
	good := string(replies["accepted"].data)
	attendee := "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.example"
	event := []string{"METHOD:REPLY", "BEGIN:VEVENT", "UID:1", "DTSTAMP:20261124T120000Z", attendee, "END:VEVENT"}
	change := func(from, to string) []byte {
		if !strings.Contains(good, from) {
			t.Fatalf("%q is not in the reply", from)
		}
		return []byte(strings.Replace(good, from, to, 1))
	}
	for name, data := range map[string][]byte{
		"nothing":             nil,
		"no calendar":         []byte("Thanks, I will be there"),
		"an invitation":       change("METHOD:REPLY", "METHOD:REQUEST"),
		"no method":           change("METHOD:REPLY\r\n", ""),
		"two methods":         change("METHOD:REPLY", "METHOD:REPLY\r\nMETHOD:REPLY"),
		"two events":          reply(append(event, event[1:]...)...),
		"no event":            reply("METHOD:REPLY"),
		"two attendees":       change("SUMMARY:", attendee+"\r\nSUMMARY:"),
		"two ids":             change("SEQUENCE:2", "SEQUENCE:2\r\nUID:other"),
		"no id":               change("UID:0193a1b2@consilium.example\r\n", ""),
		"sequence":            change("SEQUENCE:2", "SEQUENCE:-1"),
		"sequence in words":   change("SEQUENCE:2", "SEQUENCE:two"),
		"unknown answer":      change("PARTSTAT=ACCEPTED", "PARTSTAT=DELEGATED"),
		"two answers":         change("PARTSTAT=ACCEPTED", "PARTSTAT=ACCEPTED,DECLINED"),
		"no answer":           change("PARTSTAT=ACCEPTED;", ""),
		"address of no mail":  change("mailto:Claire@Example.org", "https://example.org"),
		"name in the address": change("mailto:Claire@Example.org", "mailto:C <claire@example.org>"),
		"stamp without zone":  change("DTSTAMP:20261124T120000Z", "DTSTAMP:20261124T120000"),
		"proposal backwards": reply("METHOD:COUNTER", "BEGIN:VEVENT", "UID:1", "DTSTAMP:20261124T120000Z", attendee, "DTSTART:20261127T123000Z",
			"DTEND:20261127T120000Z", "END:VEVENT"),
		"too large":           []byte(good + strings.Repeat("X-A:1\r\n", maxReply/6)),
		"too many components": reply(append(event, strings.Split(strings.Repeat("BEGIN:VTODO\r\nEND:VTODO\r\n", maxComponents), "\r\n")...)...),
	} {
		if r, err := ParseReply(data); !errors.Is(err, ErrReply) || r != (Reply{}) && err == nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Whatever comes by mail, it is an answer within its bounds or refused.
func FuzzReplies(f *testing.F) {
	for _, c := range replies {
		f.Add(c.data)
	}
	f.Add(reply("METHOD:REPLY", "BEGIN:VEVENT", "UID:", "ATTENDEE;PARTSTAT=:mailto:", "END:VEVENT"))
	f.Add([]byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\n BEGIN:\x00\n;=\":,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReply(data)
		if err != nil {
			if !errors.Is(err, ErrReply) {
				t.Fatal(err)
			}
			return
		}
		if r.Method != Answer && r.Method != Counter || r.UID == "" || r.Sequence < 0 || r.Stamp.IsZero() || !strings.Contains(r.Attendee, "@") ||
			r.Attendee != strings.ToLower(r.Attendee) || r.Response == "" || r.Method == Answer && !r.Start.IsZero() {
			t.Fatalf("%+v", r)
		}
	})
}
