package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// leafBody is the JSON of a leaf, canonicalized by RFC 8785 before it is hashed.
type leafBody struct {
	Version       int               `json:"version"`
	Act           string            `json:"act"`
	Actor         string            `json:"actor,omitempty"`
	Login         string            `json:"login,omitempty"`
	System        string            `json:"system,omitempty"`
	Organization  string            `json:"organization,omitempty"`
	Jurisdiction  string            `json:"jurisdiction,omitempty"`
	Objects       map[string]string `json:"objects,omitempty"`
	Hashes        map[string]string `json:"hashes,omitempty"`
	Determination string            `json:"determination,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Epoch         uint64            `json:"epoch,omitempty"`
	At            string            `json:"at"`
	// DetailCommitment = hex SHA-256(32 random bytes || canonical detail).
	DetailCommitment string `json:"detail_commitment,omitempty"`
}

// flush turns the collected events into leaves: the last statements before commit.
// The head row is locked only then, always last, so it neither starves nor
// deadlocks; indexes come from the head, so a rollback leaves no gap. All commands
// of the service queue at this lock, hence leaves are made before it, the database
// makes the tree, and what follows goes in the same round trip: the jobs of who is told
// and, where it is asked for, the commit. It returns the index of the first leaf.
func (db *DB) flush(ctx context.Context, tx *Tx, commit bool) (first int64, err error) {
	var batch pgx.Batch
	if err := db.queueLeaves(&batch, tx, &first); err != nil {
		return 0, err
	}
	if commit {
		batch.Queue("commit")
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("audit: append: %w", err)
	}
	tx.events, tx.committed = nil, commit
	return first, nil
}

// queueLeaves queues what is written of the collected events.
func (db *DB) queueLeaves(batch *pgx.Batch, tx *Tx, first *int64) error {
	for i := range tx.events {
		if tx.events[i].Organization == "" {
			tx.events[i].Organization = tx.Scope.Organization
		}
	}
	l, err := newLeaves(tx.now, tx.events)
	if err != nil {
		return err
	}
	batch.Queue(`select audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tx.now, l.data, l.act, l.org, l.salt, l.detail,
		l.objectLeaf, l.objectKind, l.objectID).QueryRow(func(row pgx.Row) error { return row.Scan(first) })
	if db.tell == nil {
		return nil
	}
	for i := range tx.events {
		if len(tx.events[i].Tell) > 0 {
			return db.tell(batch, tx.events)
		}
	}
	return nil
}

// leaves are the rows of several leaves, as columns. Their indexes are not known yet.
type leaves struct {
	data   [][]byte
	act    []string
	org    []*string
	detail [][]byte // nil where there is none to keep
	salt   [][]byte
	// The objects of all leaves, with the place of their leaf in the list, from 1.
	objectLeaf           []int32
	objectKind, objectID []string
}

func newLeaves(now time.Time, events []Event) (*leaves, error) {
	out := &leaves{data: make([][]byte, len(events)), act: make([]string, len(events)), org: make([]*string, len(events)),
		detail: make([][]byte, len(events)), salt: make([][]byte, len(events))}
	for i := range events {
		if err := out.set(i, now, &events[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *leaves) set(i int, now time.Time, e *Event) error {
	body := leafBody{
		Version: 1, Act: e.Act, Actor: e.Actor, Login: e.Login, System: e.System,
		Organization: e.Organization, Jurisdiction: e.Jurisdiction, Objects: e.Objects,
		Hashes: e.Hashes, Determination: e.Determination, Reason: e.Reason, Epoch: e.Epoch,
		At: now.Format(time.RFC3339Nano),
	}
	l.act[i] = e.Act
	if e.Organization != "" {
		l.org[i] = &e.Organization
	}
	if len(e.Detail) > 0 {
		detail, err := Canonical(e.Detail)
		if err != nil {
			return fmt.Errorf("audit: detail of %s: %w", e.Act, err)
		}
		salt := make([]byte, 32)
		_, _ = rand.Read(salt) // never fails
		sum := sha256.Sum256(append(append([]byte(nil), salt...), detail...))
		body.DetailCommitment = hex.EncodeToString(sum[:])
		if e.Organization != "" {
			l.detail[i], l.salt[i] = detail, salt
		}
	}
	var err error
	if l.data[i], err = Canonical(body); err != nil {
		return fmt.Errorf("audit: leaf of %s: %w", e.Act, err)
	}
	for kind, id := range e.Objects {
		l.objectLeaf, l.objectKind, l.objectID = append(l.objectLeaf, int32(i+1)), append(l.objectKind, kind), append(l.objectID, id)
	}
	return nil
}

// hashReader reads stored hashes of the tree in the transaction.
func hashReader(ctx context.Context, tx pgx.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		rows, err := tx.Query(ctx, `select stored_index, hash from audit_hash where stored_index = any($1)`, indexes)
		if err != nil {
			return nil, err
		}
		found := make(map[int64]tlog.Hash, len(indexes))
		var at int64
		var raw []byte
		if _, err := pgx.ForEachRow(rows, []any{&at, &raw}, func() error {
			if len(raw) != tlog.HashSize {
				return errors.New("audit: stored hash of wrong length")
			}
			found[at] = tlog.Hash(raw)
			return nil
		}); err != nil {
			return nil, err
		}
		out := make([]tlog.Hash, len(indexes))
		for i, ix := range indexes {
			h, ok := found[ix]
			if !ok {
				return nil, fmt.Errorf("audit: stored hash %d is missing", ix)
			}
			out[i] = h
		}
		return out, nil
	})
}
