package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// offerWaitingArgs is the job that offers what became free to those who wait.
type offerWaitingArgs struct{}

// Kind is the name of the job.
func (offerWaitingArgs) Kind() string { return "offer_waiting" }

// InsertOpts lets one wait at a time: a second finds what the first left.
func (offerWaitingArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type offerWaiting struct {
	river.WorkerDefaults[offerWaitingArgs]
	a *app
}

// Timeout is enough for the lists of many clinics.
func (w *offerWaiting) Timeout(*river.Job[offerWaitingArgs]) time.Duration { return 5 * time.Minute }

// Work holds what is free for those who wait longest.
func (w *offerWaiting) Work(ctx context.Context, _ *river.Job[offerWaitingArgs]) error {
	_, err := w.a.scheduling.OfferWaiting(ctx)
	return err
}

// waitingJob comes each minute.
func (a *app) waitingJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &offerWaiting{a: a})
	return river.NewPeriodicJob(river.PeriodicInterval(time.Minute), func() (river.JobArgs, *river.InsertOpts) { return offerWaitingArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}
