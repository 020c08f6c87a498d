package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// jobsWaiting counts the jobs that are due, running or failed, and tells how long the
// oldest that is due has waited.
func jobsWaiting(ctx context.Context, pool *pgxpool.Pool) (states map[string]int, age time.Duration, err error) {
	// Index: river_job_state_and_finalized_at_index.
	rows, err := pool.Query(ctx, `
		select state::text, count(*)::int,
			coalesce(extract(epoch from now() - min(scheduled_at) filter (where state = 'available')), 0)::float8
		from river_job
		where state in ('available', 'running', 'retryable', 'discarded')
		group by state`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	states = map[string]int{"available": 0, "running": 0, "retryable": 0, "discarded": 0}
	for rows.Next() {
		var state string
		var n int
		var waited float64
		if err := rows.Scan(&state, &n, &waited); err != nil {
			return nil, 0, err
		}
		states[state] = n
		age = max(age, time.Duration(waited*float64(time.Second)))
	}
	return states, age, rows.Err()
}
