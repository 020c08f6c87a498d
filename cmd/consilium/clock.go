package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// A demonstration may play at another time than today: everything of ours reads the
// service's clock, which is then ahead of this machine's or behind it by a constant.
// What others compare with their own clocks is given in this machine's time: the due
// instants of jobs, which the database compares, and the media engine's tickets.

// setClock makes the service's clock show the instant now.
func (c *config) setClock(instant string) error {
	at, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return fmt.Errorf("--clock: %q is not an instant such as 2027-01-05T08:00:00Z", instant)
	}
	c.ahead = time.Until(at)
	return nil
}

// now is the service's clock.
func (c *config) now() time.Time { return time.Now().Add(c.ahead) }

// real is when this machine's clock shows what the service's shows at t.
func (c *config) real(t time.Time) time.Time { return t.Add(-c.ahead) }

// clockFile says in the data folder how far the clock of the service is ahead.
func (c *config) clockFile() string { return filepath.Join(c.Data, "clock") }

// shareClock tells the commands that run beside the service what its clock shows.
func (c *config) shareClock() error {
	if c.ahead == 0 {
		if err := os.Remove(c.clockFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clock: %w", err)
		}
		return nil
	}
	if err := os.WriteFile(c.clockFile(), []byte(c.ahead.String()), 0o600); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}

// besideClock makes the clock of a command that of the service it runs beside.
func (c *config) besideClock() error {
	text, err := os.ReadFile(c.clockFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		c.ahead, err = time.ParseDuration(string(text))
	}
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}

// checkClock refuses to go back behind what the data has seen: a log whose instants
// run backward proves nothing.
func (a *app) checkClock(ctx context.Context) error {
	if !a.cfg.demo {
		return nil // a machine's clock may be set back by seconds
	}
	var last time.Time
	if err := a.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		return tx.QueryRow(ctx, `select coalesce(max(at), 'epoch') from audit_leaf`).Scan(&last) // audit_leaf_at
	}); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if now := a.db.Now(); now.Before(last) {
		return fmt.Errorf("the data in %s has seen %s and the clock shows %s: give a later --clock, or --reset",
			a.cfg.Data, last.UTC().Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}
