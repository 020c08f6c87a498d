package mail

import (
	"context"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/consilium-health/consilium/scheduling"
)

func TestMovingWritesTheNewTimeUnderTheSameUID(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	a := c.sure()
	moved, err := c.schedule.Reschedule(context.Background(), c.physician, scheduling.MoveRequest{Appointment: a.ID, Version: a.Version, Start: a.StartAt.Add(2 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	c.wait(4)
	got := c.mails()
	for name, subject := range map[string]string{"Dr Otieno": "A video consultation has a new time", "Prof. Tremblay": "Une consultation vidéo change d’heure",
		"Mrs Idris": "استشارة بالفيديو لها وقت جديد", "Layla Aziz": "هل يمكنك الترجمة في استشارة بالفيديو؟"} {
		m := got[name]
		if m.Subject != subject {
			t.Errorf("%s: %q, want %q", name, m.Subject, subject)
		}
		e, method := c.file(m)
		start, err := e.DateTimeStart(time.UTC)
		uid, _ := e.Props.Text(goical.PropUID)
		if err != nil || !start.Equal(moved.StartAt) || method != "REQUEST" || uid != a.UID || e.Props.Get(goical.PropSequence).Value != "1" {
			t.Errorf("%s: %s %s at %v with sequence %s, %v", name, method, uid, start, e.Props.Get(goical.PropSequence).Value, err)
		}
	}
	if !strings.Contains(got["Mrs Idris"].Body, origin+"/invite/") {
		t.Error("the patient has no link to the new time")
	}
}
