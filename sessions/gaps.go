package sessions

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// Gap is a time in which an interpreter who works from another one could not.
type Gap struct {
	Person  identity.PersonID // who lacked the relay
	Channel string            // BCP 47 tag of the channel that was missing
	Began   time.Time
	Ended   time.Time // zero while it lasts
	// Restored tells that the relay came back; else it was no longer needed.
	Restored bool
}

// Gaps are the interruptions of relays in the session of a visit, the first one first:
// to the clinic of the visit. Others see none.
func (s *Service) Gaps(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID) ([]Gap, error) {
	if !plainID.MatchString(string(id)) {
		return nil, ErrNotFound
	}
	var out []Gap
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		out, err = gapsOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gaps of appointment %s: %w", id, err)
	}
	return out, nil
}

// keepGap writes the beginning or the end of a gap, as a change of the machine says.
func (l *live) keepGap(ctx context.Context, tx *audit.Tx, c change) error {
	if c.gap == nil {
		return nil
	}
	if c.gap.until.IsZero() {
		return beginGap(ctx, tx, l.id, c.who, *c.gap)
	}
	ending := "closed"
	if c.act == "relay.restored" {
		ending = "restored"
	}
	return endGap(ctx, tx, c.who, *c.gap, ending)
}

func (g Gap) scan(row pgx.CollectableRow) (Gap, error) {
	var ended *time.Time
	var ending *string
	if err := row.Scan(&g.Person, &g.Channel, &g.Began, &ended, &ending); err != nil {
		return g, err
	}
	if ended != nil {
		g.Ended = *ended
	}
	g.Restored = ending != nil && *ending == "restored"
	return g, nil
}
