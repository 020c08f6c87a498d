package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// replayArgs is the job that looks at past answers again.
type replayArgs struct{}

// Kind is the name of the job.
func (replayArgs) Kind() string { return "replay_answers" }

// replaySample is how many older answers are drawn each night.
const replaySample = 1000

type replayAnswers struct {
	river.WorkerDefaults[replayArgs]
	a *app
}

// Timeout is enough for a hundred thousand answers.
func (w *replayAnswers) Timeout(*river.Job[replayArgs]) time.Duration { return 30 * time.Minute }

// Work replays the answers of the last day and some older ones. One that does not come
// out as it was recorded is told to the officers, and stands in the log as an error.
func (w *replayAnswers) Work(ctx context.Context, _ *river.Job[replayArgs]) error {
	r, err := w.a.credentialing.ReplayAll(ctx, w.a.db.Now().Add(-25*time.Hour), replaySample)
	if len(r.Differs) > 0 {
		w.a.log.ErrorContext(ctx, "past answers do not come out as they were recorded", "replayed", r.Replayed, "differ", len(r.Differs), "first", string(r.Differs[0]))
	}
	return err
}

// replayJob comes each night.
func (a *app) replayJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &replayAnswers{a: a})
	return river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return replayArgs{}, nil }, nil)
}
