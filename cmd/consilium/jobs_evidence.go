package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// oneAtATime lets a second job of a kind wait for nothing: the first does its work.
var oneAtATime = river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}}}

// moveEvidenceArgs is the job that brings evidence from the database into the file store.
type moveEvidenceArgs struct{}

// Kind is the name of the job.
func (moveEvidenceArgs) Kind() string { return "move_evidence" }

// InsertOpts lets one wait at a time.
func (moveEvidenceArgs) InsertOpts() river.InsertOpts { return oneAtATime }

type moveEvidence struct {
	river.WorkerDefaults[moveEvidenceArgs]
	a *app
}

// Timeout lets a large database go on at the next start; what was moved stays moved.
func (w *moveEvidence) Timeout(*river.Job[moveEvidenceArgs]) time.Duration { return time.Hour }

// Work moves what is still in the database.
func (w *moveEvidence) Work(ctx context.Context, _ *river.Job[moveEvidenceArgs]) error {
	moved, err := w.a.credentialing.MoveEvidence(ctx)
	if moved > 0 {
		w.a.log.InfoContext(ctx, "evidence moved into the file store", "files", moved)
	}
	return err
}

// moveEvidenceJob comes at each start and each night; mostly there is nothing to move.
func (a *app) moveEvidenceJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &moveEvidence{a: a})
	return river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return moveEvidenceArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}

// checkEvidenceArgs is the job that reads all evidence through.
type checkEvidenceArgs struct{}

// Kind is the name of the job.
func (checkEvidenceArgs) Kind() string { return "check_evidence" }

// InsertOpts lets one wait at a time.
func (checkEvidenceArgs) InsertOpts() river.InsertOpts { return oneAtATime }

type checkEvidence struct {
	river.WorkerDefaults[checkEvidenceArgs]
	a *app
}

// Timeout is enough for some hundred gigabytes.
func (w *checkEvidence) Timeout(*river.Job[checkEvidenceArgs]) time.Duration { return 4 * time.Hour }

// Work notes what is missing or was altered; officers find it in their queue.
func (w *checkEvidence) Work(ctx context.Context, _ *river.Job[checkEvidenceArgs]) error {
	found, err := w.a.credentialing.CheckEvidence(ctx)
	if n := len(found.Damaged); n > 0 {
		w.a.log.ErrorContext(ctx, "evidence is missing or was altered", "files", n)
	}
	return err
}

// checkEvidenceJob comes each night.
func (a *app) checkEvidenceJob(workers *river.Workers) *river.PeriodicJob {
	river.AddWorker(workers, &checkEvidence{a: a})
	return river.NewPeriodicJob(nightly{a.cfg.ahead}, func() (river.JobArgs, *river.InsertOpts) { return checkEvidenceArgs{}, nil }, nil)
}
