package scheduling

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

type lapsed struct{ organization, appointment string }

// lapseHolds ends the expired holds in which any of these people sit. A hold that
// somebody else has locked is left alone. Index seat_hold.
func lapseHolds(ctx context.Context, tx *audit.Tx, people []string) ([]lapsed, error) {
	rows, err := tx.Query(ctx, `
		select organization_id::text, appointment_id::text
		from lapse_holds($1::uuid[], $2)`, people, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("end expired holds: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lapsed, err error) {
		return l, row.Scan(&l.organization, &l.appointment)
	})
	if err != nil {
		return nil, fmt.Errorf("end expired holds: %w", err)
	}
	return out, nil
}

// keepSeats makes the held seats of an appointment booked ones.
func keepSeats(ctx context.Context, tx *audit.Tx, a Appointment) error {
	_, err := tx.Exec(ctx, `
		update seat
		set kind = 'booking', expires_at = null
		where organization_id = $1 and appointment_id = $2 and kind = 'hold' and released_at is null`, string(a.Organization), string(a.ID))
	if err != nil {
		return fmt.Errorf("keep seats: %w", err)
	}
	return nil
}
