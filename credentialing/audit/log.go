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
// deadlocks; indexes come from the head, so a rollback leaves no gap. All commands
// of the service queue at this lock, hence three round trips and no more: head, the
// hashes on the tree's right edge, then everything that is written.
// It returns the size of the log with them.
func (db *DB) flush(ctx context.Context, tx *Tx) (size int64, err error) {
	if len(tx.events) == 0 {
		return 0, nil
	}
	if err := tx.QueryRow(ctx, `select size from audit_head for update`).Scan(&size); err != nil {
		return 0, fmt.Errorf("audit: lock head: %w", err)
	}
	edge, err := readEdge(ctx, tx, size)
	if err != nil {
		return 0, err
	}
	first := size
	var batch pgx.Batch
	for _, e := range tx.events {
		if e.Organization == "" {
			e.Organization = tx.Scope.Organization
		}
		if err := addLeaf(&batch, edge, size, tx.now, e); err != nil {
			return 0, err
		}
		size++
	}
	root, err := tlog.TreeHash(size, edge)
	if err != nil {
		return 0, fmt.Errorf("audit: root: %w", err)
	}
	batch.Queue(`update audit_head set size = $1, root = $2`, size, root[:])
	// Followers wait on this channel; the payload is the new size.
	batch.Queue(`select pg_notify('audit', $1)`, fmt.Sprint(size))
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("audit: append: %w", err)
	}
	events := tx.events
	tx.events = nil
	if db.tell == nil {
		return size, nil
	}
	for i, e := range events {
		if len(e.Tell) == 0 {
			continue
		}
		if e.Organization == "" {
			e.Organization = tx.Scope.Organization
		}
		if err := db.tell(ctx, tx.Tx, first+int64(i), e); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// addLeaf queues the rows of one leaf and adds the hashes it completes to the edge.
func addLeaf(batch *pgx.Batch, edge edgeReader, index int64, now time.Time, e Event) error {
	body := leafBody{
		Version: 1, Act: e.Act, Actor: e.Actor, Login: e.Login, System: e.System,
		Organization: e.Organization, Jurisdiction: e.Jurisdiction, Objects: e.Objects,
		Hashes: e.Hashes, Determination: e.Determination, Reason: e.Reason, Epoch: e.Epoch,
		At: now.Format(time.RFC3339Nano),
	}
	var detail, salt []byte
	if len(e.Detail) > 0 {
		var err error
		if detail, err = Canonical(e.Detail); err != nil {
			return fmt.Errorf("audit: detail of %s: %w", e.Act, err)
		}
		salt = make([]byte, 32)
		_, _ = rand.Read(salt) // never fails
		sum := sha256.Sum256(append(append([]byte(nil), salt...), detail...))
		body.DetailCommitment = hex.EncodeToString(sum[:])
	}
	data, err := Canonical(body)
	if err != nil {
		return fmt.Errorf("audit: leaf of %s: %w", e.Act, err)
	}
	hashes, err := tlog.StoredHashesForRecordHash(index, tlog.RecordHash(data), edge)
	if err != nil {
		return fmt.Errorf("audit: hashes of leaf %d: %w", index, err)
	}
	var org any
	if e.Organization != "" {
		org = e.Organization
	}
	batch.Queue(`
		insert into audit_leaf (index, data, at, act, organization_id)
		values ($1, $2, $3, $4, $5)`, index, data, now, e.Act, org)
	if detail != nil && org != nil {
		batch.Queue(`
			insert into audit_detail (leaf_index, organization_id, salt, detail)
			values ($1, $2, $3, $4)`, index, org, salt, detail)
	}
	for kind, id := range e.Objects {
		batch.Queue(`insert into audit_object (kind, id, leaf_index) values ($1, $2, $3)`, kind, id, index)
	}
	first := tlog.StoredHashIndex(0, index)
	indexes, raw := make([]int64, len(hashes)), make([][]byte, len(hashes))
	for i, h := range hashes {
		indexes[i], raw[i] = first+int64(i), h[:]
		edge[indexes[i]] = h
	}
	batch.Queue(`
		insert into audit_hash (stored_index, hash)
		select * from unnest($1::bigint[], $2::bytea[])`, indexes, raw)
	return nil
}

// edgeReader holds the hashes that appending needs: the roots of the complete
// subtrees that make up the tree, and those of the leaves appended since.
type edgeReader map[int64]tlog.Hash

// ReadHashes implements tlog.HashReader.
func (e edgeReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, ix := range indexes {
		h, ok := e[ix]
		if !ok {
			return nil, fmt.Errorf("audit: stored hash %d is missing", ix)
		}
		out[i] = h
	}
	return out, nil
}

// readEdge reads the roots of the complete subtrees of a tree of that size: one for
// each bit that is set, at most 63.
func readEdge(ctx context.Context, tx pgx.Tx, size int64) (edgeReader, error) {
	var indexes []int64
	for level := range 63 {
		if n := size >> level; n&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, n-1))
		}
	}
	edge := make(edgeReader, len(indexes)+8)
	if len(indexes) == 0 {
		return edge, nil
	}
	hashes, err := hashReader(ctx, tx).ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for i, ix := range indexes {
		edge[ix] = hashes[i]
	}
	return edge, nil
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
