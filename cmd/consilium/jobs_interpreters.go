package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// askInterpretersArgs is the job that asks the next interpreter where one has refused
// or has not answered in time.
type askInterpretersArgs struct{}

// Kind is the name of the job.
func (askInterpretersArgs) Kind() string { return "ask_interpreters" }

// InsertOpts lets one wait at a time: a second finds what the first left.
func (askInterpretersArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type askInterpreters struct {
	river.WorkerDefaults[askInterpretersArgs]
	a *app
}

// Timeout is enough for the visits of many clinics.
func (w *askInterpreters) Timeout(*river.Job[askInterpretersArgs]) time.Duration {
	return 5 * time.Minute
}

// Work goes on with every visit that waits for an interpreter.
func (w *askInterpreters) Work(ctx context.Context, _ *river.Job[askInterpretersArgs]) error {
	_, err := w.a.scheduling.AskInterpreters(ctx)
	return err
}

// interpretersJob comes each minute.
func (a *app) interpretersJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &askInterpreters{a: a})
	return river.NewPeriodicJob(river.PeriodicInterval(time.Minute), func() (river.JobArgs, *river.InsertOpts) { return askInterpretersArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}
