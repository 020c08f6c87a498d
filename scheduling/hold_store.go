package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// queueLapseHolds queues the end of the expired holds in which any of these people sit,
// each of which each is told of. A hold that somebody else has locked is left alone. Index
// seat_hold.
func queueLapseHolds(b *pgx.Batch, now time.Time, people []string, each func(organization, appointment string)) {
	b.Queue(`
		select organization_id::text, appointment_id::text
		from lapse_holds($1::uuid[], $2)`, people, now).Query(func(rows pgx.Rows) error {
		var organization, appointment string
		_, err := pgx.ForEachRow(rows, []any{&organization, &appointment}, func() error {
			each(organization, appointment)
			return nil
		})
		return err
	})
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
