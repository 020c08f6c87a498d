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

// maxAcknowledgement is the longest reason, in characters: a page of text.
const maxAcknowledgement = 2000

// ReplayDifference is a past answer that does not come out as it was recorded.
type ReplayDifference struct {
	ID    DeterminationID
	Fault string // differs, edition-missing
	// Recorded and Now are the decisions; Now is "" if nothing could be evaluated: the
	// record does not fit its own hash, or its edition is gone.
	Recorded, Now         Decision
	RecordedHash, NowHash [sha256.Size]byte
	FoundAt               time.Time // zero if it was found just now
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
// ErrExists.
func (s *Service) AcknowledgeReplay(ctx context.Context, actor identity.Actor, id DeterminationID, reason string) error {
	if !officer(actor) && actor.Job == "" {
		return ErrForbidden
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxAcknowledgement {
		return &Invalid{"reason"}
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

func selectUnexplained(ctx context.Context, tx *audit.Tx, most int) ([]ReplayDifference, error) {
	rows, err := tx.Query(ctx, `
		select x.determination_id::text, x.fault, x.found_at, d.decision, d.hash
		from replay_difference x
		join determination d on d.id = x.determination_id
		where not exists (select from replay_acknowledgement k where k.determination_id = x.determination_id)
		order by x.found_at, x.determination_id
		limit @most`, pgx.StrictNamedArgs{"most": most})
	if err != nil {
		return nil, mapped("list differences", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ReplayDifference, error) {
		var d ReplayDifference
		var hash []byte
		err := row.Scan(&d.ID, &d.Fault, &d.FoundAt, &d.Recorded, &hash)
		d.FoundAt = d.FoundAt.UTC()
		copy(d.RecordedHash[:], hash)
		return d, err
	})
	return out, mapped("list differences", err)
}

// findDifference tells whether a difference was found, and whether it is acknowledged.
func findDifference(ctx context.Context, tx *audit.Tx, id DeterminationID) (known, done bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (select from replay_difference where determination_id::text = $1),
			exists (select from replay_acknowledgement where determination_id::text = $1)`, string(id)).Scan(&known, &done)
	return known, done, mapped("find difference", err)
}

func insertDifference(ctx context.Context, tx *audit.Tx, d ReplayDifference) error {
	_, err := tx.Exec(ctx, `
		insert into replay_difference (determination_id, fault, found_at)
		values (@id, @fault, @now)
		on conflict on constraint replay_difference_pkey do nothing`,
		pgx.StrictNamedArgs{"id": string(d.ID), "fault": d.Fault, "now": tx.Now()})
	return mapped("note a difference", err)
}

func insertAcknowledgement(ctx context.Context, tx *audit.Tx, id DeterminationID, by identity.PersonID, reason string) error {
	var person *string
	if by != "" {
		p := string(by)
		person = &p
	}
	_, err := tx.Exec(ctx, `
		insert into replay_acknowledgement (determination_id, person_id, reason, acknowledged_at)
		values (@id, @person, @reason, @now)`,
		pgx.StrictNamedArgs{"id": string(id), "person": person, "reason": reason, "now": tx.Now()})
	return mapped("acknowledge a difference", err)
}
