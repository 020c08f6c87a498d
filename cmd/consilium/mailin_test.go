package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// answerOf writes what somebody's calendar program sends back for an invitation.
func answerOf(invitation, email, says string) string {
	field := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `[^:\n]*:(.*?)\r?$`).FindStringSubmatch(strings.ReplaceAll(invitation, "\r\n ", ""))
		if m == nil {
			return ""
		}
		return m[1]
	}
	return strings.Join([]string{"Authentication-Results: mx.clinic.example; dmarc=pass header.from=" + email[strings.Index(email, "@")+1:],
		"From: <" + email + ">", "To: no-reply@localhost.invalid", "Subject: " + says, "MIME-Version: 1.0", `Content-Type: text/calendar; charset="utf-8"; method=REPLY`, "",
		"BEGIN:VCALENDAR", "PRODID:-//Somebody//Calendar//EN", "VERSION:2.0", "METHOD:REPLY", "BEGIN:VEVENT", "UID:" + field("UID"), "SEQUENCE:" + field("SEQUENCE"),
		"DTSTAMP:" + time.Now().Add(time.Minute).UTC().Format("20060102T150405Z"), "ORGANIZER:" + field("ORGANIZER"), "ATTENDEE;PARTSTAT=" + says + ":mailto:" + email,
		"END:VEVENT", "END:VCALENDAR", ""}, "\r\n")
}

// TestACalendarsNoReachesTheVisitByMail books the demonstration's main visit, answers the
// invitation that the specialist got as her calendar would, and hands the mail to the
// command that a mail server runs beside the service.
func TestACalendarsNoReachesTheVisitByMail(t *testing.T) {
	a, people := demonstration(t, dataDir(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := seeder{a: a, file: people.file, cast: people, actors: map[string]identity.Actor{}}
	otieno, err := s.as(ctx, "otieno")
	must(err)
	visit := s.book(ctx, t, otieno, scheduling.JointVideoVisit, 24*time.Hour)
	ticker := time.NewTicker(50 * time.Millisecond) // the outbox tells nobody when a mail comes
	defer ticker.Stop()
	var invitation, email string
	for invitation == "" {
		select {
		case <-ctx.Done():
			t.Fatal("no invitation came")
		case <-ticker.C:
		}
		mails, err := a.outbox.List(ctx, "", 50)
		must(err)
		for _, m := range mails {
			if m.To == "Prof. Claire Tremblay" && len(m.Attachments) > 0 {
				file, err := a.outbox.Attachment(ctx, m.ID, 0)
				must(err)
				invitation, email = string(file.Data), m.Email
			}
		}
	}
	getenv := env("CONSILIUM_DATA", a.cfg.Data, "CONSILIUM_MAIL_AUTHSERV", "mx.clinic.example")
	in := func(getenv func(string) string, message string) (string, int) {
		t.Helper()
		var out, errs strings.Builder
		err := run(ctx, environment{getenv: getenv, in: strings.NewReader(message), out: &out, err: &errs}, []string{"mail-in"})
		var e *exit
		switch {
		case err == nil:
			return out.String(), 0
		case errors.As(err, &e):
			return err.Error(), e.status
		}
		t.Fatal(err)
		return "", 1
	}
	no := answerOf(invitation, email, "DECLINED")
	for _, c := range []struct {
		why, message string
		getenv       func(string) string
		status       int
		says         string
	}{
		{"the name of the mail server is not set", no, env("CONSILIUM_DATA", a.cfg.Data), exitLater, "CONSILIUM_MAIL_AUTHSERV is not set"},
		{"the service does not run", no, env("CONSILIUM_DATA", t.TempDir(), "CONSILIUM_MAIL_AUTHSERV", "mx"), exitLater, "does not run"},
		{"a letter", "From: a@b.example\r\n\r\nI will be there.\r\n", getenv, exitBadMail, "answers of calendars"},
		{"of another service", strings.Replace(no, "UID:", "UID:x", 1), getenv, exitBadMail, "no invitation from here"},
		{"neither yes nor no", answerOf(invitation, email, "NEEDS-ACTION"), getenv, exitBadMail, "neither yes nor no"},
		{"too long", no + strings.Repeat("x", 2<<20), getenv, exitBadMail, "longer than"},
		{"the no", no, getenv, 0, "kept as"},
		{"the no once more", no, getenv, 0, "kept as"},
	} {
		if says, status := in(c.getenv, c.message); status != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s: status %d, %q", c.why, status, says)
		}
	}
	// The service looks each minute; here at once.
	_, err = a.scheduling.ApplyReplies(ctx)
	must(err)
	got, err := a.scheduling.Appointment(ctx, otieno, visit.ID)
	must(err)
	if got.State != scheduling.StateNeedsAttention || got.Reason != scheduling.ReasonDeclined || !got.StartAt.Equal(visit.StartAt) {
		t.Errorf("the visit is %s for %q", got.State, got.Reason)
	}
	if seat, _ := got.Seat(people.People["tremblay"]); seat.Response != scheduling.Declined {
		t.Errorf("the specialist's answer is %s", seat.Response)
	}
	if out := fmt.Sprint(in(getenv, strings.Replace(no, "mx.clinic.example", "mx.elsewhere.example", 1))); !strings.Contains(out, "kept as") {
		t.Errorf("unvouched: %s", out)
	}
	_, err = a.scheduling.ApplyReplies(ctx)
	must(err)
	mwangi, err := s.as(ctx, "mwangi")
	must(err)
	left, err := a.scheduling.MailReplies(ctx, mwangi)
	must(err)
	if len(left) != 1 || left[0].Reason != scheduling.ReplyUnvouched || left[0].Address != strings.ToLower(email) {
		t.Errorf("left to a person: %+v", left)
	}
}
