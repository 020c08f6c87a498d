package ical

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"
)

func invitation() Invitation {
	return Invitation{
		Method: Request, UID: UID("0193a1b2-0000-7000-8000-000000000001", "consilium.example"), Sequence: 0,
		Stamp: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Start: time.Date(2026, 11, 26, 12, 30, 0, 0, time.UTC), Duration: 30 * time.Minute,
		Summary: "موعد استشارة عن بُعد", Description: "١٥:٣٠ نيروبي\nRejoindre; avec, des virgules : https://consilium.example/a/1\n" + strings.Repeat("طويل ", 60),
		URL: "https://consilium.example/a/1", Language: "ar",
		Organizer: Attendee{Name: "Consilium", Email: "no-reply@consilium.example"},
		Attendees: []Attendee{
			{Name: `Dr Amina "A" O'tieno; Nairobi`, Email: "otieno@jacaranda.example", Response: Accepted},
			{Name: "ليلى عزيز", Email: "aziz@cedar.example"},
			{Email: "observer@cedar.example", Optional: true},
		},
	}
}

// read reads the text back with another library than the one that wrote it.
func read(t *testing.T, b []byte) (*goical.Calendar, *goical.Component) {
	t.Helper()
	cal, err := goical.NewDecoder(bytes.NewReader(b)).Decode()
	if err != nil {
		t.Fatalf("read back: %v\n%s", err, b)
	}
	if len(cal.Children) != 1 || cal.Children[0].Name != goical.CompEvent {
		t.Fatalf("components %v, want one VEVENT", cal.Children)
	}
	return cal, cal.Children[0]
}

func property(t *testing.T, c *goical.Component, name string) string {
	t.Helper()
	v, err := c.Props.Text(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func TestInvitationIsReadBackAsWritten(t *testing.T) {
	in := invitation()
	b, err := Write(in)
	if err != nil {
		t.Fatal(err)
	}
	cal, e := read(t, b)
	for name, want := range map[string]string{
		goical.PropUID: "0193a1b2-0000-7000-8000-000000000001@consilium.example", goical.PropSummary: in.Summary,
		goical.PropDescription: strings.TrimSpace(in.Description), goical.PropStatus: "CONFIRMED", goical.PropClass: "PRIVATE",
	} {
		if got := property(t, e, name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	if got := property(t, cal.Component, goical.PropMethod); got != "REQUEST" {
		t.Errorf("method %s", got)
	}
	if got := e.Props.Get(goical.PropDateTimeStart).Value; got != "20261126T123000Z" {
		t.Errorf("start %s, want UTC", got)
	}
	if got := e.Props.Get(goical.PropDateTimeEnd).Value; got != "20261126T130000Z" {
		t.Errorf("end %s", got)
	}
	if got := e.Props.Get(goical.PropDateTimeStamp).Value; got != "20261124T120000Z" {
		t.Errorf("stamp %s", got)
	}
	if got := e.Props.Get(goical.PropSequence).Value; got != "0" {
		t.Errorf("sequence %s", got)
	}
	if got := e.Props.Get(goical.PropSummary).Params.Get(goical.ParamLanguage); got != "ar" {
		t.Errorf("language %s", got)
	}
	at := e.Props.Values(goical.PropAttendee)
	if len(at) != 3 {
		t.Fatalf("%d attendees", len(at))
	}
	if got := at[0].Params.Get(goical.ParamCommonName); got != "Dr Amina ’A’ O’tieno Nairobi" {
		t.Errorf("name %q", got)
	}
	if at[0].Params.Get(goical.ParamParticipationStatus) != "ACCEPTED" || at[0].Params.Get(goical.ParamRSVP) != "FALSE" {
		t.Errorf("accepted attendee has %v", at[0].Params)
	}
	if at[1].Value != "mailto:aziz@cedar.example" || at[1].Params.Get(goical.ParamParticipationStatus) != "NEEDS-ACTION" || at[1].Params.Get(goical.ParamRSVP) != "TRUE" || at[1].Params.Get(goical.ParamCommonName) != "ليلى عزيز" {
		t.Errorf("attendee %v %v", at[1].Value, at[1].Params)
	}
	if at[2].Params.Get(goical.ParamRole) != "OPT-PARTICIPANT" {
		t.Errorf("optional attendee has %v", at[2].Params)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
		if len(line) > 75 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
	if in.ContentType() != "text/calendar; charset=utf-8; method=REQUEST; component=VEVENT" {
		t.Errorf("content type %s", in.ContentType())
	}
}

func TestCancelNamesTheSameAppointment(t *testing.T) {
	in := invitation()
	in.Method, in.Sequence = Cancel, 1
	b, err := Write(in)
	if err != nil {
		t.Fatal(err)
	}
	cal, e := read(t, b)
	if property(t, cal.Component, goical.PropMethod) != "CANCEL" || property(t, e, goical.PropStatus) != "CANCELLED" {
		t.Errorf("not a cancellation:\n%s", b)
	}
	if property(t, e, goical.PropUID) != in.UID || e.Props.Get(goical.PropSequence).Value != "1" || len(e.Props.Values(goical.PropAttendee)) != 3 {
		t.Errorf("cancellation does not match its request:\n%s", b)
	}
}

func TestInvitationThatCannotBeWrittenIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Invitation){
		"no method":            func(i *Invitation) { i.Method = "" },
		"uid with a line end":  func(i *Invitation) { i.UID = "a\r\nX:1" },
		"no time":              func(i *Invitation) { i.Start = time.Time{} },
		"no duration":          func(i *Invitation) { i.Duration = 0 },
		"no summary":           func(i *Invitation) { i.Summary = " \n" },
		"nobody":               func(i *Invitation) { i.Attendees = nil },
		"address with a line":  func(i *Invitation) { i.Attendees[0].Email = "a@b.example\r\nX:1" },
		"name in the address":  func(i *Invitation) { i.Attendees[0].Email = "A <a@b.example>" },
		"script as an address": func(i *Invitation) { i.URL = "javascript:alert(1)" },
		"unknown response":     func(i *Invitation) { i.Attendees[0].Response = "MAYBE" },
		"language with a line": func(i *Invitation) { i.Language = "en\r\nX" },
	} {
		i := invitation()
		change(&i)
		if _, err := Write(i); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No text that a person chose can add a line, a property or a component.
func FuzzInvitationTexts(f *testing.F) {
	f.Add("Consultation", "line\r\nEND:VEVENT\r\nBEGIN:VALARM", `a";CN=b`, "a@b.example")
	f.Add("a\\nb;,", "\x00\u2028", "\xff", "x")
	f.Fuzz(func(t *testing.T, summary, description, name, email string) {
		i := invitation()
		i.Summary, i.Description = summary, description
		i.Attendees[0].Name, i.Attendees[0].Email = name, email
		b, err := Write(i)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		_, e := read(t, b)
		if len(e.Children) != 0 || len(e.Props.Values(goical.PropAttendee)) != 3 {
			t.Fatalf("a text broke out:\n%s", b)
		}
		if got, want := property(t, e, goical.PropSummary), text(summary); got != want {
			t.Fatalf("summary %q, want %q", got, want)
		}
	})
}
