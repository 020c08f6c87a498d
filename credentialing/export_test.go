package credentialing

import (
	"bytes"
	"context"
	"io"
	"testing"

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
