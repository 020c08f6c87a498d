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
// The head row is locked only now, always last, so it neither starves nor
// deadlocks; indexes come from the head, so a rollback leaves no gap.
// It returns the size of the log with them.
func (db *DB) flush(ctx context.Context, tx *Tx) (size int64, err error) {
	if len(tx.events) == 0 {
		return 0, nil
	}
	if err := tx.QueryRow(ctx, `select size from audit_head for update`).Scan(&size); err != nil {
		return 0, fmt.Errorf("audit: lock head: %w", err)
	}
	reader := hashReader(ctx, tx)
	for _, e := range tx.events {
		if e.Organization == "" {
			e.Organization = tx.Scope.Organization
		}
		if err := db.appendLeaf(ctx, tx, size, e, reader); err != nil {
			return 0, err
		}
		size++
	}
	tx.events = nil
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return 0, fmt.Errorf("audit: root: %w", err)
	}
	if _, err := tx.Exec(ctx, `update audit_head set size = $1, root = $2`, size, root[:]); err != nil {
		return 0, fmt.Errorf("audit: head: %w", err)
	}
	// Followers wait on this channel; the payload is the new size.
	if _, err := tx.Exec(ctx, `select pg_notify('audit', $1)`, fmt.Sprint(size)); err != nil {
		return 0, fmt.Errorf("audit: notify: %w", err)
	}
	return size, nil
}

func (db *DB) appendLeaf(ctx context.Context, tx *Tx, index int64, e Event, r tlog.HashReader) error {
	body := leafBody{
		Version: 1, Act: e.Act, Actor: e.Actor, Login: e.Login, System: e.System,
		Organization: e.Organization, Jurisdiction: e.Jurisdiction, Objects: e.Objects,
		Hashes: e.Hashes, Determination: e.Determination, Reason: e.Reason, Epoch: e.Epoch,
		At: tx.now.Format(time.RFC3339Nano),
	}
	var detail, salt []byte
	if len(e.Detail) > 0 {
		var err error
		if detail, err = Canonical(e.Detail); err != nil {
			return fmt.Errorf("audit: detail of %s: %w", e.Act, err)
		}
		salt = make([]byte, 32)
		if _, err := rand.Read(salt); err != nil {
			return err
		}
		sum := sha256.Sum256(append(append([]byte(nil), salt...), detail...))
		body.DetailCommitment = hex.EncodeToString(sum[:])
	}
	data, err := Canonical(body)
	if err != nil {
		return fmt.Errorf("audit: leaf of %s: %w", e.Act, err)
	}
	hashes, err := tlog.StoredHashesForRecordHash(index, tlog.RecordHash(data), r)
	if err != nil {
		return fmt.Errorf("audit: hashes of leaf %d: %w", index, err)
	}
	org, err := nullableUUID(e.Organization)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		insert into audit_leaf (index, data, at, act, organization_id)
		values ($1, $2, $3, $4, $5)`, index, data, tx.now, e.Act, org); err != nil {
		return fmt.Errorf("audit: insert leaf %d: %w", index, err)
	}
	if detail != nil && org != nil {
		if _, err := tx.Exec(ctx, `
			insert into audit_detail (leaf_index, organization_id, salt, detail)
			values ($1, $2, $3, $4)`, index, org, salt, detail); err != nil {
			return fmt.Errorf("audit: insert detail %d: %w", index, err)
		}
	}
	first := tlog.StoredHashIndex(0, index)
	for i, h := range hashes {
		if _, err := tx.Exec(ctx, `insert into audit_hash (stored_index, hash) values ($1, $2)`,
			first+int64(i), h[:]); err != nil {
			return fmt.Errorf("audit: insert hash: %w", err)
		}
	}
	if len(e.Tell) > 0 && db.tell != nil {
		return db.tell(ctx, tx.Tx, index, e)
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

func nullableUUID(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	return s, nil
}
