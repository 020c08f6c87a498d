package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// remindExpiringArgs is the job that tells the holders of what ends soon.
type remindExpiringArgs struct{}

// Kind is the name of the job.
func (remindExpiringArgs) Kind() string { return "remind_expiring" }

type remindExpiring struct {
	river.WorkerDefaults[remindExpiringArgs]
	a *app
}

// Timeout is enough for a hundred thousand credentials.
func (w *remindExpiring) Timeout(*river.Job[remindExpiringArgs]) time.Duration {
	return 5 * time.Minute
}

// Work tells the holders once at each mark before the end.
func (w *remindExpiring) Work(ctx context.Context, _ *river.Job[remindExpiringArgs]) error {
	_, err := w.a.credentialing.RemindExpiring(ctx)
	return err
}

// expiringJob comes each night.
func (a *app) expiringJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &remindExpiring{a: a})
	return river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return remindExpiringArgs{}, nil }, nil)
}
