package main

import (
	"context"
	"errors"
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

// Work tells the holders once at each mark before the end, of credentials and of the
// yearly statements about their own place.
func (w *remindExpiring) Work(ctx context.Context, _ *river.Job[remindExpiringArgs]) error {
	_, credentials := w.a.credentialing.RemindExpiring(ctx)
	_, statements := w.a.credentialing.RemindOwnPlaces(ctx)
	return errors.Join(credentials, statements)
}

// expiringJob comes each night, and when the service starts: a night that it was away
// for is made up for, and nobody is told twice.
func (a *app) expiringJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &remindExpiring{a: a})
	return river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return remindExpiringArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}
