package mail

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

func TestPresenceIsToldToTheClinicWithTheHourThatMoves(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	ctx := context.Background()
	// The Wednesdays from this week to the next change of Toronto's clocks and a month on.
	toronto, err := scheduling.LoadZone("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	_, change := now.In(toronto).ZoneBounds()
	if change.Sub(now) < 14*24*time.Hour {
		_, change = change.ZoneBounds()
	}
	from, until := scheduling.WallAt(toronto, now).Date+1, scheduling.WallAt(toronto, change).Date+28
	claire := identity.Actor{Person: c.claire, Organization: c.org, Roles: []identity.Role{identity.RoleSpecialist}}
	p, err := c.schedule.Offer(ctx, claire, scheduling.OfferRequest{Clinic: c.org, Zone: "America/Toronto",
		Rule: scheduling.Rule{Freq: scheduling.Weekly, Days: []scheduling.Weekday{scheduling.Wednesday}, Start: 9 * 60, End: 11 * 60, From: &from, Until: &until}})
	if err != nil {
		t.Fatal(err)
	}
	c.wait(1)
	m := c.mails()["Dr Otieno"]
	if m.Subject != "A specialist offers a presence" || strings.Count(m.Body, "instead of") != 1 || !strings.Contains(m.Body, "EAT") || !strings.Contains(m.Body, "\n"+origin+"/presence/"+string(p.ID)+"\n") {
		t.Errorf("%q\n%s", m.Subject, m.Body)
	}
	file, err := c.outbox.Attachment(ctx, m.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	cal, err := goical.NewDecoder(bytes.NewReader(file.Data)).Decode()
	if err != nil || len(cal.Children) != 2 || cal.Children[0].Name != goical.CompTimezone {
		t.Errorf("calendar file: %v\n%s", err, file.Data)
	}
	moves, err := p.HourMoves("Africa/Nairobi")
	if err != nil || len(moves) != 1 {
		t.Fatal(moves, err)
	}
	if err := c.db.Write(ctx, audit.Scope{Organization: string(c.org)}, func(tx *audit.Tx) error {
		tx.Append(audit.Event{Act: "presence.hour_moves", System: "presence", Tell: []string{string(c.amina)},
			Objects: map[string]string{"presence": string(p.ID), "occurrence": moves[0].At.Local.String()}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.wait(1)
	if m := c.mails()["Dr Otieno"]; m.Subject != "The hour of a presence moves" || strings.Count(m.Body, "instead of") != 1 || len(m.Attachments) != 0 {
		t.Errorf("%q\n%s", m.Subject, m.Body)
	}
	moved, err := c.schedule.MoveWindow(ctx, claire, scheduling.WindowRequest{Presence: p.ID, Version: p.Version, Occurrence: p.Windows[1].Occurrence},
		scheduling.Wall{Date: p.Windows[1].Occurrence.Date + 1, Minute: 10 * 60}, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.wait(2)
	for name, subject := range map[string]string{"Dr Otieno": "A presence has a new time", "Prof. Tremblay": "Une permanence change d’heure"} {
		m := c.mails()[name]
		file, err := c.outbox.Attachment(ctx, m.ID, 0)
		if err != nil || m.Subject != subject || !bytes.Contains(file.Data, []byte("RECURRENCE-ID")) || !bytes.Contains(file.Data, []byte("SEQUENCE:1")) {
			t.Errorf("%s: %q, %v\n%s", name, m.Subject, err, file.Data)
		}
	}
	if _, err := c.schedule.CancelWindow(ctx, claire, scheduling.WindowRequest{Presence: p.ID, Version: moved.Version, Occurrence: p.Windows[2].Occurrence}); err != nil {
		t.Fatal(err)
	}
	c.wait(2)
	if m := c.mails()["Dr Otieno"]; m.Subject != "A presence is canceled once" {
		t.Errorf("%q\n%s", m.Subject, m.Body)
	}
}
