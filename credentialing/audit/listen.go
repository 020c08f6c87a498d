package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Listen calls f with each notification that commits on a channel from now on, and
// with "" at least once every pause, and first of all: what was missed while nobody
// listened is looked for then. It ends with f's error, or ctx, or the connection,
// which it keeps for itself outside the pool.
func (db *DB) Listen(ctx context.Context, channel string, pause time.Duration, f func(payload string) error) error {
	pooled, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("audit: listen to %s: %w", channel, err)
	}
	conn := pooled.Hijack() // its listening must not go back to the pool
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen `+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("audit: listen to %s: %w", channel, err)
	}
	if err := f(""); err != nil {
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, pause)
		n, err := conn.WaitForNotification(wait)
		late := wait.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if err := f(n.Payload); err != nil {
				return err
			}
		case late && errors.Is(err, context.DeadlineExceeded):
			if err := f(""); err != nil {
				return err
			}
		default:
			return fmt.Errorf("audit: listen to %s: %w", channel, err)
		}
	}
}
