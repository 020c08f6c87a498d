package mail

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

func TestReminderIsInEachLanguageWithAFreshLinkForThePatient(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	ctx := context.Background()
	// Afternoon in Nairobi, morning in Toronto: the reminder of the day before is not in
	// anybody's night and falls due within a day when its time comes.
	now := c.db.Now()
	start := time.Date(now.Year(), now.Month(), now.Day(), 13, 0, 0, 0, time.UTC).AddDate(0, 0, 1)
	switch ahead := start.Sub(now); {
	case ahead < 24*time.Hour:
		start = start.AddDate(0, 0, 1)
	case ahead < 25*time.Hour: // a day later it would be due in more than a day
		start = start.Add(time.Hour)
	}
	a, err := c.schedule.Book(ctx, c.physician, scheduling.BookRequest{Key: uuid.NewString(), Case: c.ref, Kind: scheduling.JointVideoVisit,
		Specialist: c.claire, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	seat, _ := a.Seat(c.layla)
	if _, err := c.schedule.Accept(ctx, identity.Actor{Person: c.layla}, seat.ID); err != nil {
		t.Fatal(err)
	}
	c.wait(7)
	_, first, _ := strings.Cut(c.mails()["Mrs Idris"].Body, "/invite/")
	var jobs []scheduling.ReminderJob
	if _, err := c.schedule.QueueReminders(ctx, func(_ context.Context, _ pgx.Tx, list []scheduling.ReminderJob) error {
		jobs = append(jobs, list...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 4 {
		t.Fatalf("%d jobs, want that of the day before for each", len(jobs))
	}
	for range 2 {
		for _, j := range jobs {
			if err := c.schedule.Remind(ctx, j.Organization, j.Reminder); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.wait(4)
	for _, want := range []struct{ name, subject, text, zone string }{
		{"Dr Otieno", "Reminder: your video consultation", "within the next 24 hours", "EAT"},
		{"Prof. Tremblay", "Rappel : votre consultation vidéo", "24 heures", "E"},
		{"Layla Aziz", "تذكير: استشارتك بالفيديو", "العشرين", "EE"},
		{"Mrs Idris", "تذكير: استشارتك بالفيديو", "العشرين", "EAT"},
	} {
		m := c.mails()[want.name]
		if m.Subject != want.subject || !strings.Contains(m.Body, want.text) || !strings.Contains(m.Body, want.zone) || len(m.Attachments) != 0 {
			t.Errorf("%s: %q\n%s", want.name, m.Subject, m.Body)
		}
		for _, other := range []string{"Otieno", "Tremblay", "Aziz", "Idris"} {
			if !strings.Contains(want.name, other) && strings.Contains(m.Body, other) {
				t.Errorf("mail to %s names %s", want.name, other)
			}
		}
	}
	_, body, _ := strings.Cut(c.mails()["Mrs Idris"].Body, "/invite/")
	token, _, _ := strings.Cut(body, "\n")
	if l, err := c.schedule.InviteLanding(ctx, token); err != nil || l.Appointment != a.ID || strings.HasPrefix(first, token) {
		t.Errorf("the patient's link: %+v, %v", l, err)
	}
	// Canceled after the event: the mail that is written late reminds of nothing.
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	a, err = c.schedule.Appointment(ctx, c.physician, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.schedule.Cancel(ctx, c.physician, a.ID, a.Version, scheduling.ReasonOther); err != nil {
		t.Fatal(err)
	}
	if m, err := w.write(ctx, TellArgs{Leaf: 1, Act: "appointment.reminded", Organization: string(c.org), Reason: "hour",
		Objects: map[string]string{"appointment": string(a.ID)}, Person: string(c.claire)}); err == nil {
		t.Errorf("reminded of a canceled visit: %q", m.Subject)
	}
}
