package credentialing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// MaxReplay is how many answers an officer's run looks at: some ten seconds of work.
const MaxReplay = 5000

// ReplayReport is what looking at past answers again found.
type ReplayReport struct {
	Replayed int
	// LeftOut are how many answers were chosen and not looked at, since one run takes
	// at most MaxReplay; the newest were.
	LeftOut int
	Differs []DeterminationID // by id
	// Differences are the same, with what was recorded and what comes out now.
	Differences []ReplayDifference
}

// ReplayAll evaluates past answers again: all that were given since an instant, and
// as many older ones as sample says, drawn by chance. Each that does not come out as it
// was recorded stops publishing until it is acknowledged; see AcknowledgeReplay. Of one
// found for the first time the officers in office are told. It changes no answer and may
// be repeated.
func (s *Service) ReplayAll(ctx context.Context, since time.Time, sample int) (ReplayReport, error) {
	return s.replayChosen(ctx, identity.System("replay", ""), since, sample, 0)
}

// ReplayNow is ReplayAll by an officer, for at most MaxReplay answers, the newest first;
// sample is 0 to MaxReplay, since not later than now.
func (s *Service) ReplayNow(ctx context.Context, actor identity.Actor, since time.Time, sample int) (ReplayReport, error) {
	switch {
	case !officer(actor):
		return ReplayReport{}, ErrForbidden
	case since.After(s.db.Now()):
		return ReplayReport{}, &Invalid{Field: "since"}
	case sample < 0 || sample > MaxReplay:
		return ReplayReport{}, &Invalid{Field: "sample"}
	}
	return s.replayChosen(ctx, actor, since, sample, MaxReplay)
}

// replayChosen looks at what is chosen, at most so many; most 0 is all.
func (s *Service) replayChosen(ctx context.Context, actor identity.Actor, since time.Time, sample, most int) (ReplayReport, error) {
	var r ReplayReport
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
		if most > 0 && len(ids) > most { // ids grow with time
			r.LeftOut, ids = len(ids)-most, ids[len(ids)-most:]
		}
		again := replayer{s: s, sets: map[string]*RuleSet{}}
		for _, id := range ids {
			now, err := again.replay(ctx, tx, id)
			switch {
			case errors.Is(err, ErrReplayDiffers) || errors.Is(err, ErrNotFound): // an edition that is gone differs too
				r.Differs = append(r.Differs, id)
				wrong[id] = err
				d, err := differenceOf(ctx, tx, id, now, err)
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
	if err != nil {
		return r, err
	}
	return r, s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		var officers []string
		if len(r.Differences) > 0 {
			if officers, err = selectOfficers(ctx, tx); err != nil {
				return err
			}
		}
		for _, d := range r.Differences {
			fresh, err := insertDifference(ctx, tx, d)
			if err != nil {
				return err
			}
			if !fresh {
				continue // told of already
			}
			ev := actor.Event("scope.replay_differs")
			ev.Determination = string(d.ID)
			ev.Reason = "differs"
			if errors.Is(wrong[d.ID], ErrNotFound) {
				ev.Reason = "edition-missing"
			}
			ev.Tell = officers
			tx.Append(ev)
		}
		run := ReplayRun{By: actor.Person, At: tx.Now(), Since: since, Sample: sample, Replayed: r.Replayed, Differing: len(r.Differs), LeftOut: r.LeftOut}
		if err := insertReplayRun(ctx, tx, run); err != nil {
			return err
		}
		ev := actor.Event("scope.replayed")
		ev.Detail = map[string]any{"replayed": run.Replayed, "differing": run.Differing, "left_out": run.LeftOut}
		tx.Append(ev)
		return nil
	})
}

// replayer evaluates past answers again and compiles the editions that several of them
// rest on once.
type replayer struct {
	s    *Service
	sets map[string]*RuleSet // by the editions' codes and hashes
}

func (r replayer) replay(ctx context.Context, tx *audit.Tx, id DeterminationID) (Determination, error) {
	d, err := selectDetermination(ctx, tx, id)
	if err != nil {
		return d, err
	}
	again, err := Replay(r.s.Rules(), d.Facts, d.Answer, d.Hash)
	if errors.Is(err, ErrEditions) {
		var rules *RuleSet
		if rules, err = r.rulesOf(ctx, tx, d.Answer); err != nil {
			return d, err
		}
		again, err = Replay(rules, d.Facts, d.Answer, d.Hash)
	}
	again.ID = id
	return again, err
}

// rulesOf are the editions that a recorded answer names, compiled.
func (r replayer) rulesOf(ctx context.Context, tx *audit.Tx, answerJSON []byte) (*RuleSet, error) {
	d := Determination{Answer: answerJSON, Facts: []byte("{}")}
	if err := d.open(); err != nil {
		return nil, err
	}
	editions := append(slices.Clone(d.Packs), d.ConditionsList)
	key := fmt.Sprint(editions)
	if rules := r.sets[key]; rules != nil {
		return rules, nil
	}
	files, err := loadEditions(ctx, tx, editions)
	if err != nil {
		return nil, err
	}
	rules, err := NewRuleSet(files, r.s.zones)
	if err == nil {
		r.sets[key] = rules
	}
	return rules, err
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
