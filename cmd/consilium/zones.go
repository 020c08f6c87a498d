package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/consilium-health/consilium/scheduling"
)

// updateZonesArgs is the job that compares booked visits with the zone data in use:
// at each start, and each night in case that one did not end.
type updateZonesArgs struct{}

// Kind is the name of the job.
func (updateZonesArgs) Kind() string { return "update_zones" }

// InsertOpts lets one wait at a time: a second finds what the first left.
func (updateZonesArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type updateZones struct {
	river.WorkerDefaults[updateZonesArgs]
	a *app
}

// Timeout is enough for all visits of many clinics; what is left comes the next time.
func (w *updateZones) Timeout(*river.Job[updateZonesArgs]) time.Duration { return 30 * time.Minute }

// Work lists what the zone data in use moves.
func (w *updateZones) Work(ctx context.Context, _ *river.Job[updateZonesArgs]) error {
	done, err := w.a.scheduling.UpdateZones(ctx)
	if done != (scheduling.ZoneChange{}) {
		w.a.log.InfoContext(ctx, "compared visits with the zone data", "version", scheduling.ZoneVersion(), "unchanged", done.Unchanged,
			"listed", done.Listed, "conflicts", done.Conflicts, "void", done.Void)
	}
	return err
}
