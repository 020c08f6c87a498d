package credentialing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ReplayReport is what looking at past answers again found.
type ReplayReport struct {
	Replayed int
	Differs  []DeterminationID // by id
	// Differences are the same, with what was recorded and what comes out now.
	Differences []ReplayDifference
}

// ReplayAll evaluates past answers again: all that were given since an instant, and
// as many older ones as sample says, drawn by chance. Each that does not come out as it
// was recorded is an event of which the officers in office are told, and
// stops publishing until it is acknowledged; see AcknowledgeReplay. It changes no answer
// and may be repeated.
func (s *Service) ReplayAll(ctx context.Context, since time.Time, sample int) (ReplayReport, error) {
	var r ReplayReport
	actor := identity.System("replay", "")
	wrong := map[DeterminationID]error{}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		r, wrong = ReplayReport{}, map[DeterminationID]error{}
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		ids, err := selectReplays(ctx, tx, since, sample)
		if err != nil {
			return err
		}
		for _, id := range ids {
			again, err := s.Replay(ctx, tx, id)
			switch {
			case errors.Is(err, ErrReplayDiffers) || errors.Is(err, ErrNotFound): // an edition that is gone differs too
				r.Differs = append(r.Differs, id)
				wrong[id] = err
				d, err := differenceOf(ctx, tx, id, again, err)
				if err != nil {
					return err
				}
				r.Differences = append(r.Differences, d)
			case err != nil:
				return fmt.Errorf("replay %s: %w", id, err)
			}
			r.Replayed++
		}
		return nil
	})
	if err != nil || len(r.Differs) == 0 {
		return r, err
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		officers, err := selectOfficers(ctx, tx)
		if err != nil {
			return err
		}
		for _, d := range r.Differences {
			if err := insertDifference(ctx, tx, d); err != nil {
				return err
			}
		}
		for _, id := range r.Differs {
			ev := actor.Event("scope.replay_differs")
			ev.Determination = string(id)
			ev.Reason = "differs"
			if errors.Is(wrong[id], ErrNotFound) {
				ev.Reason = "edition-missing"
			}
			ev.Tell = officers
			tx.Append(ev)
		}
		return nil
	})
	return r, err
}

// selectReplays are the answers since an instant and some older ones, by id.
func selectReplays(ctx context.Context, tx *audit.Tx, since time.Time, sample int) ([]DeterminationID, error) {
	rows, err := tx.Query(ctx, `
		select id::text
		from determination
		where decided_at >= @since
			or id in (select id from determination where decided_at < @since order by random() limit @sample)
		order by id`, pgx.StrictNamedArgs{"since": since, "sample": sample})
	if err != nil {
		return nil, mapped("choose answers", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	out := make([]DeterminationID, len(ids))
	for i, id := range ids {
		out[i] = DeterminationID(id)
	}
	return out, mapped("choose answers", err)
}

func selectOfficers(ctx context.Context, tx *audit.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `
		select distinct person_id::text
		from role_grant
		where role = @role and valid_from <= @now and (valid_until is null or valid_until > @now)
		order by 1`, pgx.StrictNamedArgs{"role": string(identity.RoleOfficer), "now": tx.Now()})
	if err != nil {
		return nil, mapped("find officers", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, mapped("find officers", err)
}
