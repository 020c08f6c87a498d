package main

import (
	"context"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// TestReminderOutlivesTheServiceAndIsMailedOnce books a visit whose reminders are due,
// stops the service and starts it twice more: each person has one mail.
func TestReminderOutlivesTheServiceAndIsMailedOnce(t *testing.T) {
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, people := demonstration(t, dir)
	s := seeder{a: a, file: people.file, cast: people, actors: map[string]identity.Actor{}}
	otieno, err := s.as(ctx, "otieno")
	must(err)
	visit := s.book(ctx, t, otieno, scheduling.Advice, 3*24*time.Hour)
	if visit.State != scheduling.StateBooked {
		t.Fatalf("the visit is %s", visit.State)
	}
	must(a.db.Write(ctx, audit.Scope{Organization: string(visit.Organization)}, func(tx *audit.Tx) error {
		_, err := tx.Exec(ctx, `update reminder set due_at = $2 where appointment_id = $1 and kind = 'day'`, string(visit.ID), tx.Now())
		return err
	}))
	for range 2 {
		a.close()
		a, _ = demonstration(t, dir)
		ticker := time.NewTicker(50 * time.Millisecond) // the outbox tells nobody when a mail comes
		for n := 0; n < len(visit.Seats); {
			select {
			case <-ctx.Done():
				t.Fatalf("%d reminded, want %d", n, len(visit.Seats))
			case <-ticker.C:
			}
			mails, err := a.outbox.List(ctx, "", 50)
			must(err)
			n = 0
			for _, m := range mails {
				if m.Subject == "Reminder: your video consultation" || m.Subject == "Rappel : votre consultation vidéo" {
					n++
				}
			}
			if n > len(visit.Seats) {
				t.Fatalf("%d mails to %d people", n, len(visit.Seats))
			}
		}
		ticker.Stop()
	}
}
