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

// askInterpretersArgs is the job that asks the next interpreter where one has refused
// or has not answered in time.
type askInterpretersArgs struct{}

// Kind is the name of the job.
func (askInterpretersArgs) Kind() string { return "ask_interpreters" }

// applyRepliesArgs is the job that takes the answers which came by mail.
type applyRepliesArgs struct{}

// Kind is the name of the job.
func (applyRepliesArgs) Kind() string { return "apply_replies" }

// settleZonesArgs is the job that alerts of visits whose changed clock nobody decided
// about in time, and applies what was decided in advance.
type settleZonesArgs struct{}

// Kind is the name of the job.
func (settleZonesArgs) Kind() string { return "settle_zones" }

// tellHourMovesArgs is the job that tells people beforehand that the hour of a presence
// moves on their clock.
type tellHourMovesArgs struct{}

// Kind is the name of the job.
func (tellHourMovesArgs) Kind() string { return "tell_hour_moves" }

// lookAtWindowsArgs is the job that releases or keeps windows in which nobody is booked.
type lookAtWindowsArgs struct{}

// Kind is the name of the job.
func (lookAtWindowsArgs) Kind() string { return "look_at_windows" }

// topUpPresencesArgs is the job that adds windows to presences without a last date.
type topUpPresencesArgs struct{}

// Kind is the name of the job.
func (topUpPresencesArgs) Kind() string { return "top_up_presences" }

// everyMinute is the worker of a job that looks for what is due, of many clinics.
type everyMinute[T river.JobArgs] struct {
	river.WorkerDefaults[T]
	do func(context.Context) (int, error)
}

// Timeout is enough for the work of many clinics.
func (*everyMinute[T]) Timeout(*river.Job[T]) time.Duration { return 5 * time.Minute }

// Work does what is due.
func (w *everyMinute[T]) Work(ctx context.Context, _ *river.Job[T]) error {
	_, err := w.do(ctx)
	return err
}

// minutely makes the job T that does do each minute, one at a time: what one leaves,
// and what a stop of the service interrupts, the next finds. do says how much it did.
func minutely[T river.JobArgs](workers *river.Workers, do func(context.Context) (int, error)) *river.PeriodicJob {
	river.AddWorker(workers, &everyMinute[T]{do: do})
	once := river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
	return river.NewPeriodicJob(river.PeriodicInterval(time.Minute), func() (river.JobArgs, *river.InsertOpts) {
		var args T
		return args, &river.InsertOpts{MaxAttempts: 1, UniqueOpts: once}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
