package credentialing

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// StoreVectors evaluates and stores the vectors of a file as determinations of a
// person, and returns their hashes.
func StoreVectors(t *testing.T, s *Service, db *audit.DB, r io.Reader, person identity.PersonID) map[DeterminationID][32]byte {
	t.Helper()
	vectors, err := readVectors(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[DeterminationID][32]byte{}
	err = db.Write(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
		for _, v := range vectors {
			q := v.question(s.Rules())
			d := Evaluate(q, v.Specialist)
			if err := Record(q, v.Specialist, &d); err != nil {
				return err
			}
			d.ID, d.DecidedAt = DeterminationID(newID()), tx.Now()
			d.Person = person
			if err := insertDetermination(t.Context(), tx, d, ""); err != nil {
				return err
			}
			out[d.ID] = d.Hash
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ParseRegistry reads a file that fits into memory.
func ParseRegistry(data []byte) (format string, rows []RegistryRow, bad []RowError, err error) {
	f, err := ReadRegistry(bytes.NewReader(data), EncodingDetect, func(r RegistryRow) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return f.Format, nil, nil, err
	}
	return f.Format, rows, f.Errors, nil
}

// JudgeUnder answers an ask from what is on file now under other rules.
func (s *Service) JudgeUnder(ctx context.Context, tx *audit.Tx, ask Ask, rules *RuleSet) (Determination, error) {
	q, held, err := s.question(ctx, tx, ask, tx.Now())
	if err != nil {
		return Determination{}, err
	}
	q.Rules = rules
	return Decide(q, held), nil
}

// CredentialTasks are the tasks of the queue about credentials, from the plain reading of
// everything on file.
func (s *Service) CredentialTasks(ctx context.Context, actor identity.Actor) (out []QueueItem, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `select id::text from credential`)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		people, err := selectPeopleOnFile(ctx, tx)
		if err != nil {
			return err
		}
		out, err = s.credentialTasks(ctx, tx, actor, ids, people)
		return err
	})
	return out, err
}

// Helped counts what a task about a person helps by asking each question alone.
func (s *Service) Helped(ctx context.Context, actor identity.Actor, queue []QueueItem, subjects []Subject) ([]int, error) {
	of := make([]int, len(queue))
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		for i, task := range queue {
			seen := map[string]bool{}
			for _, x := range subjects {
				if x.Ask.Person != task.Person {
					continue
				}
				q, held, err := s.question(ctx, tx, x.Ask, tx.Now())
				if err != nil {
					return err
				}
				was := Decide(q, held)
				better, able := assumeDone(q, held, task, tx.Now())
				if was.Allowed() || !able {
					continue
				}
				if is := Decide(better.q, better.held); is.Allowed() || fewer(stops(is), stops(was)) {
					seen[x.Kind+x.ID] = true
				}
			}
			of[i] = len(seen)
		}
		return nil
	})
	return of, err
}
