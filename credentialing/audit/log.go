package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
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
// of the service queue at this lock, hence leaves are made before it and two round
// trips under it: head, then everything that is written. A third reads the tree's right
// edge where another process wrote last.
// It returns the size of the log with them.
func (db *DB) flush(ctx context.Context, tx *Tx) (size int64, err error) {
	if len(tx.events) == 0 {
		return 0, nil
	}
	for i := range tx.events {
		if tx.events[i].Organization == "" {
			tx.events[i].Organization = tx.Scope.Organization
		}
	}
	leaves, err := newLeaves(tx.now, tx.events)
	if err != nil {
		return 0, err
	}
	var root []byte
	if err := tx.QueryRow(ctx, `select size, root from audit_head for update`).Scan(&size, &root); err != nil {
		return 0, fmt.Errorf("audit: lock head: %w", err)
	}
	edge, ok := db.edge.of(size, root)
	if !ok {
		if edge, err = readEdge(ctx, tx, size); err != nil {
			return 0, err
		}
	}
	first := size
	var batch pgx.Batch
	if size, err = leaves.queue(&batch, edge, first, tx.now); err != nil {
		return 0, err
	}
	top, err := tlog.TreeHash(size, edge)
	if err != nil {
		return 0, fmt.Errorf("audit: root: %w", err)
	}
	// Followers wait on this channel; the payload is the new size.
	batch.Queue(`
		with head as (
			update audit_head set size = $1, root = $2 returning size)
		select pg_notify('audit', size::text) from head`, size, top[:])
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, fmt.Errorf("audit: append: %w", err)
	}
	db.edge.keep(size, top, edge)
	events := tx.events
	tx.events = nil
	if db.tell == nil {
		return size, nil
	}
	for i, e := range events {
		if len(e.Tell) == 0 {
			continue
		}
		if err := db.tell(ctx, tx.Tx, first+int64(i), e); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// leaves are the rows of several leaves, as columns. Their indexes are not known yet.
type leaves struct {
	data   [][]byte
	act    []string
	org    []*string
	detail [][]byte // nil where there is none to keep
	salt   [][]byte
	object []objectRow
}

// objectRow is an object of the leaf at a place in the list.
type objectRow struct {
	leaf     int
	kind, id string
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
		l.object = append(l.object, objectRow{i, kind, id})
	}
	return nil
}

// queue queues the rows of leaves from index first on, adds the hashes they complete to
// the edge and returns the size of the log with them.
func (l *leaves) queue(batch *pgx.Batch, edge edgeReader, first int64, now time.Time) (int64, error) {
	size := first
	index := make([]int64, len(l.data))
	var stored, detailed []int64
	var hashes, details, salts [][]byte
	var owners []*string
	for i, data := range l.data {
		list, err := tlog.StoredHashesForRecordHash(size, tlog.RecordHash(data), edge)
		if err != nil {
			return 0, fmt.Errorf("audit: hashes of leaf %d: %w", size, err)
		}
		at := tlog.StoredHashIndex(0, size)
		for k, h := range list {
			edge[at+int64(k)] = h
			stored, hashes = append(stored, at+int64(k)), append(hashes, h[:])
		}
		if l.detail[i] != nil {
			detailed, details, salts, owners = append(detailed, size), append(details, l.detail[i]), append(salts, l.salt[i]), append(owners, l.org[i])
		}
		index[i] = size
		size++
	}
	batch.Queue(`
		insert into audit_leaf (index, data, at, act, organization_id)
		select l.index, l.data, $2, l.act, l.organization_id
		from unnest($1::bigint[], $3::bytea[], $4::text[], $5::uuid[]) as l(index, data, act, organization_id)`, index, now, l.data, l.act, l.org)
	if len(detailed) > 0 {
		batch.Queue(`
			insert into audit_detail (leaf_index, organization_id, salt, detail)
			select * from unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[])`, detailed, owners, salts, details)
	}
	if n := len(l.object); n > 0 {
		kind, id, of := make([]string, n), make([]string, n), make([]int64, n)
		for i, o := range l.object {
			kind[i], id[i], of[i] = o.kind, o.id, index[o.leaf]
		}
		batch.Queue(`
			insert into audit_object (kind, id, leaf_index)
			select * from unnest($1::text[], $2::text[], $3::bigint[])`, kind, id, of)
	}
	batch.Queue(`
		insert into audit_hash (stored_index, hash)
		select * from unnest($1::bigint[], $2::bytea[])`, stored, hashes)
	return size, nil
}

// keptEdge is the right edge of the tree as this process left it. The root is made of
// the edge: who finds the same size and root in the head finds the same edge.
type keptEdge struct {
	mu   sync.Mutex
	size int64       // guarded by mu
	root tlog.Hash   // guarded by mu
	list []tlog.Hash // guarded by mu; in the order of edgeIndexes
}

// of is the edge of a tree of that size and root, if it is the one that was kept.
func (k *keptEdge) of(size int64, root []byte) (edgeReader, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list == nil || k.size != size || !bytes.Equal(k.root[:], root) {
		return nil, false
	}
	edge := make(edgeReader, len(k.list)+8)
	for i, ix := range edgeIndexes(size) {
		edge[ix] = k.list[i]
	}
	return edge, true
}

func (k *keptEdge) keep(size int64, root tlog.Hash, edge edgeReader) {
	indexes := edgeIndexes(size)
	list := make([]tlog.Hash, len(indexes))
	for i, ix := range indexes {
		list[i] = edge[ix]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.size, k.root, k.list = size, root, list
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

// edgeIndexes are where the roots of the complete subtrees of a tree of that size stand.
func edgeIndexes(size int64) (out []int64) {
	for level := range 63 {
		if n := size >> level; n&1 == 1 {
			out = append(out, tlog.StoredHashIndex(level, n-1))
		}
	}
	return out
}

// readEdge reads the roots of the complete subtrees of a tree of that size: one for
// each bit that is set, at most 63.
func readEdge(ctx context.Context, tx pgx.Tx, size int64) (edgeReader, error) {
	indexes := edgeIndexes(size)
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
