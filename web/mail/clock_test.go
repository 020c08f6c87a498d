package mail

import (
	"context"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

func TestChangedClockIsExplainedToEachInTheirLanguage(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	ctx := context.Background()
	a := c.book()
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	write := func(act string, who identity.PersonID) Message {
		t.Helper()
		m, err := w.write(ctx, TellArgs{Leaf: 1, Act: act, Organization: string(c.org), Person: string(who),
			Objects: map[string]string{"appointment": string(a.ID), "zone_update": "x"}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, want := range []struct {
		who       identity.PersonID
		act, text string
		files     int
	}{
		{c.amina, "appointment.clock_moved", "keeps its local time there", 1},
		{c.claire, "appointment.clock_moved", "Elle y garde son heure locale", 1},
		{c.layla, "appointment.clock_moved", "إن كان بإمكانك الترجمة", 1},
		{c.salma, "appointment.clock_moved", "غيّرت حكومة قواعد التوقيت", 1},
		{c.amina, "appointment.clock_kept", "at the same moment as before", 0},
	} {
		if m := write(want.act, want.who); !strings.Contains(m.Body, want.text) || len(m.Attachments) != want.files {
			t.Errorf("%s: %q with %d files\n%s", want.act, m.Subject, len(m.Attachments), m.Body)
		}
	}
	a, err = c.schedule.Cancel(ctx, c.physician, a.ID, a.Version, scheduling.ReasonOther)
	if err != nil {
		t.Fatal(err)
	}
	if m := write("appointment.clock_moved", c.amina); m.Attachments[0].Name != "cancellation.ics" {
		t.Errorf("of a canceled visit: %q", m.Subject)
	}
	m, err := w.write(ctx, TellArgs{Leaf: 1, Act: "zone_update.found", Person: string(c.amina), Objects: map[string]string{"zone_update": "x"}})
	if err != nil || !strings.Contains(m.Body, "\n"+origin+"/zone-changes\n") {
		t.Errorf("to a coordinator: %v\n%s", err, m.Body)
	}
	for act, want := range map[string]string{"zone_update.due": "nobody has decided", "zone_update.standing": "decided in advance is done now", "zone_update.conflict": "cannot be applied"} {
		m := write(act, c.amina)
		if !strings.Contains(m.Body, want) || !strings.Contains(m.Body, "\n"+origin+"/zone-changes\n") || len(m.Attachments) != 0 {
			t.Errorf("%s: %q\n%s", act, m.Subject, m.Body)
		}
	}
}
