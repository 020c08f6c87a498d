package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// TestDemonstrationPlaysAtAnotherTime starts years away from this machine's clock, on
// both sides: all that was recorded is of that time.
func TestDemonstrationPlaysAtAnotherTime(t *testing.T) {
	for name, at := range map[string]time.Time{"ahead": time.Now().AddDate(3, 0, 0), "behind": time.Now().AddDate(-3, 0, 0)} {
		t.Run(name, func(t *testing.T) {
			dir, instant := dataDir(t), at.UTC().Format(time.RFC3339)
			a, _ := demonstrationAt(t, dir, "", instant)
			var count int
			if err := a.db.Read(context.Background(), audit.Scope{}, func(tx *audit.Tx) error {
				return tx.QueryRow(context.Background(), `
					select count(*)
					from (select at from audit_leaf union all select recorded_at from credential_change) as t (at)
					where at not between $1 and $2`, at.Add(-time.Second), at.Add(time.Hour)).Scan(&count)
			}); err != nil {
				t.Fatal(err)
			}
			if count > 0 {
				t.Errorf("%d records are of another time than %s", count, instant)
			}
			// What a command writes beside it, such as an answer by mail, is of that time too.
			beside, err := load(false, env("CONSILIUM_ADDR", "localhost:0", "CONSILIUM_ORIGIN", "http://localhost:8080", "CONSILIUM_DATA", dir))
			if err != nil {
				t.Fatal(err)
			}
			db, done, err := openRunning(context.Background(), beside)
			if err != nil {
				t.Fatal(err)
			}
			if got := db.Now(); got.Before(at.Add(-time.Second)) || got.After(at.Add(time.Hour)) {
				t.Errorf("a command beside it reads %s, the service %s", got, a.db.Now())
			}
			done()
			a.close()

			// The same data an hour earlier would make a log that runs backward.
			c, err := load(true, env("CONSILIUM_ADDR", "localhost:0", "CONSILIUM_ORIGIN", "http://localhost:8080", "CONSILIUM_DATA", dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.setClock(at.Add(-time.Hour).Format(time.RFC3339)); err != nil {
				t.Fatal(err)
			}
			again, err := start(context.Background(), c, slog.New(slog.DiscardHandler))
			if err == nil {
				again.close()
				t.Fatal("the clock went back")
			}
			if !strings.Contains(err.Error(), "give a later --clock") {
				t.Error(err)
			}
		})
	}
}

func TestJobsComeWhenTheServicesClockSays(t *testing.T) {
	now := time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)
	c := config{ahead: 41 * 24 * time.Hour}
	if got, want := c.real(now.Add(c.ahead)), now; !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for ahead, want := range map[time.Duration]time.Time{
		0:               time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC),
		-3 * time.Hour:  time.Date(2026, 11, 25, 5, 0, 0, 0, time.UTC), // shows 01:00
		-2 * time.Hour:  time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC), // shows 02:00: the next night
		10 * time.Hour:  time.Date(2026, 11, 25, 16, 0, 0, 0, time.UTC),
		-50 * time.Hour: time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC),
	} {
		if got := (nightly{ahead}).Next(now); !got.Equal(want) {
			t.Errorf("%v ahead: got %v, want %v", ahead, got, want)
		}
	}
}

func TestOnlyTheDemonstrationHasAClock(t *testing.T) {
	if _, errs, err := command0(t, env(), "serve", "--clock", "2027-01-05T08:00:00Z"); err == nil || !strings.Contains(errs, "-clock") {
		t.Errorf("got %v, %s", err, errs)
	}
	if _, _, err := command0(t, env("CONSILIUM_DATA", dataDir(t)), "demo", "--clock", "tomorrow"); err == nil || !strings.Contains(err.Error(), "is not an instant") {
		t.Errorf("got %v", err)
	}
}
