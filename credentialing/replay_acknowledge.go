package credentialing

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// MaxAcknowledgement is the longest reason, in characters: a page of text.
const MaxAcknowledgement = 2000

// ReplayDifference is a past answer that does not come out as it was recorded.
type ReplayDifference struct {
	ID    DeterminationID
	Fault string // differs, edition-missing
	// Recorded and Now are the decisions; Now is "" if nothing could be evaluated: the
	// record does not fit its own hash, or its edition is gone.
	Recorded, Now         Decision
	RecordedHash, NowHash [sha256.Size]byte // equal: it comes out as recorded again
	FoundAt               time.Time         // zero if it was found just now
	// Of whom and what the answer was, and for when; of a difference that is listed.
	Person   identity.PersonID
	Activity Activity
	At       time.Time
	Given    time.Time // when the answer was given
	// What was written down about it; zero while nobody has.
	Acknowledged   time.Time
	AcknowledgedBy identity.PersonID // "": the operator, by a command
	Reason         string
}

// ReplayRun is one time past answers were looked at again.
type ReplayRun struct {
	By                           identity.PersonID // "": the job of the night, or the operator by a command
	At, Since                    time.Time
	Sample                       int // older answers that were to be drawn by chance
	Replayed, Differing, LeftOut int
}

// ReplayRecord is how far past answers have been looked at again.
type ReplayRecord struct {
	Runs []ReplayRun // the last 20, newest first
	// Open are the differences that nobody has acknowledged, by when they were found, at
	// most 100, each evaluated again just now. Closed are the last 100 acknowledged.
	Open, Closed []ReplayDifference
}

// Replays tells officers which past answers were looked at again, what differs and what
// was written down about it.
func (s *Service) Replays(ctx context.Context, actor identity.Actor) (r ReplayRecord, err error) {
	if !officer(actor) {
		return r, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if r.Runs, err = selectReplayRuns(ctx, tx, 20); err != nil {
			return err
		}
		if r.Closed, err = selectAcknowledged(ctx, tx, 100); err != nil {
			return err
		}
		if r.Open, err = selectUnexplained(ctx, tx, 100); err != nil {
			return err
		}
		again := replayer{s: s, sets: map[string]*RuleSet{}}
		for i := range r.Open {
			d := &r.Open[i]
			now, differs := again.replay(ctx, tx, d.ID)
			if differs != nil && !errors.Is(differs, ErrReplayDiffers) && !errors.Is(differs, ErrNotFound) {
				return differs
			}
			fresh, err := differenceOf(ctx, tx, d.ID, now, differs)
			if err != nil {
				return err
			}
			d.Recorded, d.Now, d.RecordedHash, d.NowHash = fresh.Recorded, fresh.Now, fresh.RecordedHash, fresh.NowHash
			if differs == nil {
				d.Now, d.NowHash = now.Decision, now.Hash
			}
		}
		return nil
	})
	return r, err
}

// differenceOf compares what is recorded with what came out.
func differenceOf(ctx context.Context, tx *audit.Tx, id DeterminationID, now Determination, cause error) (ReplayDifference, error) {
	was, err := selectDetermination(ctx, tx, id)
	if err != nil {
		return ReplayDifference{}, err
	}
	out := ReplayDifference{ID: id, Fault: "differs", Recorded: was.Decision, Now: now.Decision, RecordedHash: was.Hash, NowHash: now.Hash}
	var a answer
	if err := json.Unmarshal(was.Answer, &a); err == nil && a.Decision != "" {
		out.Recorded = a.Decision // what the hash covers, rather than the column beside it
	}
	if errors.Is(cause, ErrNotFound) {
		out.Fault = "edition-missing"
	}
	if now.Hash == was.Hash || now.Hash == [sha256.Size]byte{} { // nothing was evaluated
		out.Now, out.NowHash = "", [sha256.Size]byte{}
	}
	return out, nil
}

// UnexplainedReplays are the past answers that do not come out as they were recorded
// and that nobody has acknowledged, by when they were found, at most 100. While there is
// one, Publish refuses.
func (s *Service) UnexplainedReplays(ctx context.Context, actor identity.Actor) (out []ReplayDifference, err error) {
	if !officer(actor) && actor.Job == "" {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		out, err = selectUnexplained(ctx, tx, 100)
		return err
	})
	return out, err
}

// AcknowledgeReplay notes in writing why a past answer does not come out as it was
// recorded, once; reason has 1 to 2000 characters. The difference stays, and publishing
// goes on. A determination that does not differ is ErrNotFound, one acknowledged already
// ErrExists. An answer that is altered again is another difference, to be acknowledged
// again.
func (s *Service) AcknowledgeReplay(ctx context.Context, actor identity.Actor, id DeterminationID, reason string) error {
	if !officer(actor) && actor.Job == "" {
		return ErrForbidden
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > MaxAcknowledgement {
		return &Invalid{Field: "reason"}
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		known, done, err := findDifference(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case !known:
			return fmt.Errorf("difference of %s: %w", id, ErrNotFound)
		case done:
			return ErrExists
		}
		if err := insertAcknowledgement(ctx, tx, id, actor.Person, reason); err != nil {
			return err
		}
		ev := actor.Event("scope.replay_acknowledged")
		ev.Determination = string(id)
		ev.Reason = reason
		tx.Append(ev)
		return nil
	})
}

// replaysExplained is ErrReplayDiffers while a difference is not acknowledged.
func replaysExplained(ctx context.Context, tx *audit.Tx) error {
	open, err := selectUnexplained(ctx, tx, 1)
	if err != nil || len(open) == 0 {
		return err
	}
	return fmt.Errorf("determination %s: %w", open[0].ID, ErrReplayDiffers)
}

const differenceSQL = `
	select x.determination_id::text, x.fault, x.found_at, d.decision, d.hash, d.person_id, d.activity, d.at, d.decided_at,
		k.explained_at, k.person_id, coalesce(k.reason, '')
	from replay_finding x
	join determination d on d.id = x.determination_id
	left join replay_explanation k on k.finding_id = x.id`

// unexplained are the last findings of answers of which nobody has explained it: one
// that was altered again stands here again.
const unexplained = `
	k.finding_id is null and not exists (
		select 1
		from replay_finding n
		where n.determination_id = x.determination_id and (n.found_at, n.id) > (x.found_at, x.id))`

func scanDifference(row pgx.CollectableRow) (ReplayDifference, error) {
	var d ReplayDifference
	var hash []byte
	var done *time.Time
	var by *string
	err := row.Scan(&d.ID, &d.Fault, &d.FoundAt, &d.Recorded, &hash, &d.Person, &d.Activity, &d.At, &d.Given, &done, &by, &d.Reason)
	d.FoundAt, d.At, d.Given, d.Acknowledged, d.AcknowledgedBy = d.FoundAt.UTC(), d.At.UTC(), d.Given.UTC(), orZero(done), identity.PersonID(text(by))
	copy(d.RecordedHash[:], hash)
	return d, err
}

func selectUnexplained(ctx context.Context, tx *audit.Tx, most int) ([]ReplayDifference, error) {
	rows, err := tx.Query(ctx, differenceSQL+`
		where `+unexplained+`
		order by x.found_at, x.determination_id
		limit @most`, pgx.StrictNamedArgs{"most": most})
	if err != nil {
		return nil, mapped("list differences", err)
	}
	out, err := pgx.CollectRows(rows, scanDifference)
	return out, mapped("list differences", err)
}

// selectAcknowledged lists the differences of which somebody wrote, the last first.
func selectAcknowledged(ctx context.Context, tx *audit.Tx, most int) ([]ReplayDifference, error) {
	rows, err := tx.Query(ctx, differenceSQL+`
		where k.finding_id is not null
		order by k.explained_at desc, x.id desc
		limit @most`, pgx.StrictNamedArgs{"most": most})
	if err != nil {
		return nil, mapped("list acknowledged differences", err)
	}
	out, err := pgx.CollectRows(rows, scanDifference)
	return out, mapped("list acknowledged differences", err)
}

func selectReplayRuns(ctx context.Context, tx *audit.Tx, most int) ([]ReplayRun, error) {
	rows, err := tx.Query(ctx, `
		select person_id, ran_at, since, sample, replayed, differing, left_out
		from replay_run
		order by ran_at desc, id desc -- replay_run_last
		limit @most`, pgx.StrictNamedArgs{"most": most})
	if err != nil {
		return nil, mapped("list runs", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ReplayRun, error) {
		var r ReplayRun
		var by *string
		err := row.Scan(&by, &r.At, &r.Since, &r.Sample, &r.Replayed, &r.Differing, &r.LeftOut)
		r.By, r.At, r.Since = identity.PersonID(text(by)), r.At.UTC(), r.Since.UTC()
		return r, err
	})
	return out, mapped("list runs", err)
}

func insertReplayRun(ctx context.Context, tx *audit.Tx, r ReplayRun) error {
	_, err := tx.Exec(ctx, `
		insert into replay_run (id, person_id, ran_at, since, sample, replayed, differing, left_out)
		values (@id, @by, @at, @since, @sample, @replayed, @differing, @left)`,
		pgx.StrictNamedArgs{"id": newID(), "by": null(r.By), "at": r.At, "since": r.Since, "sample": r.Sample, "replayed": r.Replayed,
			"differing": r.Differing, "left": r.LeftOut})
	return mapped("note a run", err)
}

// findDifference tells whether a difference was found, and whether it is acknowledged.
func findDifference(ctx context.Context, tx *audit.Tx, id DeterminationID) (known, done bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (select from replay_finding where determination_id::text = $1),
			not exists (
				select from replay_finding x
				left join replay_explanation k on k.finding_id = x.id
				where x.determination_id::text = $1 and k.finding_id is null)`, string(id)).Scan(&known, &done)
	return known, done, mapped("find difference", err)
}

// insertDifference tells whether the difference was not known before: of this answer, as
// it is recorded now.
func insertDifference(ctx context.Context, tx *audit.Tx, d ReplayDifference) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into replay_finding (id, determination_id, print, fault, found_at)
		select @finding, d.id, determination_print(d), @fault, @now
		from determination d
		where d.id = @id
		on conflict on constraint replay_finding_once do nothing`,
		pgx.StrictNamedArgs{"finding": newID(), "id": string(d.ID), "fault": d.Fault, "now": tx.Now()})
	return tag.RowsAffected() > 0, mapped("note a difference", err)
}

// insertAcknowledgement explains all that was found of an answer and is not explained yet.
func insertAcknowledgement(ctx context.Context, tx *audit.Tx, id DeterminationID, by identity.PersonID, reason string) error {
	_, err := tx.Exec(ctx, `
		insert into replay_explanation (finding_id, person_id, reason, explained_at)
		select x.id, @person, @reason, @now
		from replay_finding x
		where x.determination_id = @id and not exists (select 1 from replay_explanation k where k.finding_id = x.id)`,
		pgx.StrictNamedArgs{"id": string(id), "person": null(by), "reason": reason, "now": tx.Now()})
	return mapped("acknowledge a difference", err)
}
