package main

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/consilium-health/consilium/credentialing"
)

// lookAgainArgs is the job that looks again at booked visits and open cases: what the
// clock changed, each minute, and all of them each night.
type lookAgainArgs struct {
	All bool `json:"all" river:"unique"`
}

// Kind is the name of the job.
func (lookAgainArgs) Kind() string { return "look_again" }

// InsertOpts lets one wait at a time: a second finds what the first left.
func (lookAgainArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type lookAgain struct {
	river.WorkerDefaults[lookAgainArgs]
	a *app
}

// Timeout is enough for a hundred thousand visits.
func (w *lookAgain) Timeout(*river.Job[lookAgainArgs]) time.Duration { return 10 * time.Minute }

// Work looks again at what is due, or at all. What the nightly look finds was missed
// by the others.
func (w *lookAgain) Work(ctx context.Context, job *river.Job[lookAgainArgs]) error {
	if !job.Args.All {
		return w.a.lookAgain(ctx)
	}
	visits, err := w.a.scheduling.ReevaluateAll(ctx)
	if err != nil {
		return err
	}
	cases, err := w.a.workspace.Reevaluate(ctx)
	if visits.SetAside+visits.Restored+cases.SetAside+cases.Restored > 0 {
		w.a.log.WarnContext(ctx, "the nightly look found what was missed", "visits_set_aside", visits.SetAside, "visits_restored", visits.Restored,
			"cases_set_aside", cases.SetAside, "cases_restored", cases.Restored)
	}
	return err
}

// lookAgain looks at the visits and open cases that are due: scheduling first, which
// follows the recorded changes.
func (a *app) lookAgain(ctx context.Context) error {
	visits, err := a.scheduling.Reevaluate(ctx)
	if err != nil {
		return fmt.Errorf("look again: %w", err)
	}
	cases, err := a.workspace.Reevaluate(ctx)
	if err != nil {
		return fmt.Errorf("look again: %w", err)
	}
	if skipped := visits.Skipped + cases.Skipped; skipped > 0 {
		a.log.WarnContext(ctx, "visits or cases could not be judged", "count", skipped)
	}
	return nil
}

// nightly is 02:00 UTC of the service's clock: nobody's busiest hour.
type nightly struct {
	ahead time.Duration // of the service's clock
}

// Next is the next night after t on this machine's clock.
func (n nightly) Next(t time.Time) time.Time {
	t = t.UTC().Add(n.ahead)
	next := time.Date(t.Year(), t.Month(), t.Day(), 2, 0, 0, 0, time.UTC)
	if !next.After(t) {
		next = next.AddDate(0, 0, 1)
	}
	return next.Add(-n.ahead)
}

// periodic are the jobs that come by the clock.
func (a *app) periodic(workers *river.Workers) []*river.PeriodicJob {
	river.AddWorker(workers, &lookAgain{a: a})
	river.AddWorker(workers, &queueReminders{a: a})
	river.AddWorker(workers, &remind{a: a})
	river.AddWorker(workers, &updateZones{a: a})
	return []*river.PeriodicJob{
		a.expiringJob(workers),
		a.replayJob(workers),
		a.moveEvidenceJob(workers),
		a.checkEvidenceJob(workers),
		minutely[offerWaitingArgs](workers, a.scheduling.OfferWaiting),
		minutely[askInterpretersArgs](workers, a.scheduling.AskInterpreters),
		minutely[applyRepliesArgs](workers, a.scheduling.ApplyReplies),
		minutely[settleZonesArgs](workers, a.scheduling.SettleZones),
		minutely[tellHourMovesArgs](workers, a.scheduling.TellHourMoves),
		minutely[lookAtWindowsArgs](workers, a.scheduling.LookAtWindows),
		minutely[topUpPresencesArgs](workers, a.scheduling.TopUpPresences),
		river.NewPeriodicJob(river.PeriodicInterval(5*time.Minute), func() (river.JobArgs, *river.InsertOpts) { return queueRemindersArgs{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true}),
		river.NewPeriodicJob(river.PeriodicInterval(time.Minute), func() (river.JobArgs, *river.InsertOpts) { return lookAgainArgs{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true}),
		river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return lookAgainArgs{All: true}, nil }, nil),
		river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return updateZonesArgs{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true}),
	}
}

// followChanges looks again at visits and cases as soon as a change commits that they
// rest on, until the app stops.
func (a *app) followChanges(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := a.credentialing.FollowChanges(ctx, func(credentialing.Change) error { return a.lookAgain(ctx) })
			if ctx.Err() != nil {
				return
			}
			a.log.WarnContext(ctx, "following changes", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // the database is away; try again
			}
		}
	}()
	a.later(func() {
		cancel()
		<-done
	})
}
