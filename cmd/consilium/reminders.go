package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// queueRemindersArgs is the job that makes jobs of the reminders of the next day.
type queueRemindersArgs struct{}

// Kind is the name of the job.
func (queueRemindersArgs) Kind() string { return "queue_reminders" }

// InsertOpts lets one wait at a time: a second finds what the first left.
func (queueRemindersArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type queueReminders struct {
	river.WorkerDefaults[queueRemindersArgs]
	a *app
}

// Timeout is enough for what a day of many clinics brings.
func (w *queueReminders) Timeout(*river.Job[queueRemindersArgs]) time.Duration {
	return 5 * time.Minute
}

// Work hands the reminders over; each becomes a job in the transaction that notes it.
func (w *queueReminders) Work(ctx context.Context, _ *river.Job[queueRemindersArgs]) error {
	client := river.ClientFromContext[pgx.Tx](ctx)
	_, err := w.a.scheduling.QueueReminders(ctx, func(ctx context.Context, tx pgx.Tx, jobs []scheduling.ReminderJob) error {
		list := make([]river.InsertManyParams, len(jobs))
		for i, j := range jobs {
			list[i] = river.InsertManyParams{Args: remindArgs{Organization: string(j.Organization), Reminder: j.Reminder},
				InsertOpts: &river.InsertOpts{ScheduledAt: w.a.cfg.real(j.DueAt)}}
		}
		_, err := client.InsertManyTx(ctx, tx, list)
		return err
	})
	return err
}

// remindArgs is the job of one reminder. It holds ids.
type remindArgs struct {
	Organization string `json:"organization"`
	Reminder     string `json:"reminder"`
}

// Kind is the name of the job.
func (remindArgs) Kind() string { return "remind" }

type remind struct {
	river.WorkerDefaults[remindArgs]
	a *app
}

// Work sends the reminder or drops it when it is stale. A repeated job sends nothing
// twice.
func (w *remind) Work(ctx context.Context, job *river.Job[remindArgs]) error {
	err := w.a.scheduling.Remind(ctx, identity.OrganizationID(job.Args.Organization), job.Args.Reminder)
	if errors.Is(err, scheduling.ErrNotFound) {
		return river.JobCancel(fmt.Errorf("reminder %s: %w", job.Args.Reminder, err))
	}
	return err
}
