package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

var (
	// ErrNoCheckpoint means that none was signed yet, or none that long.
	ErrNoCheckpoint = errors.New("audit: no checkpoint")
	// ErrNoLeaf means that the log has no leaf of that index.
	ErrNoLeaf = errors.New("audit: no such leaf")
	// ErrHistory means that the log is not a continuation of what was signed before.
	ErrHistory = errors.New("audit: history was changed")
)

// Checkpoint signs the log as it is now, keeps the signed note and returns it. It
// refuses with ErrHistory when the stored tree does not continue the newest
// checkpoint signed before: a changed history is never signed over.
func (db *DB) Checkpoint(ctx context.Context, s Signer) ([]byte, error) {
	var signed []byte
	err := db.Write(ctx, Scope{}, func(tx *Tx) error {
		// The newest checkpoint is read before the head, so that it is never ahead of it.
		latest, err := latestCheckpoint(ctx, tx)
		first := errors.Is(err, ErrNoCheckpoint)
		if err != nil && !first {
			return err
		}
		now, err := db.head(ctx, tx)
		if err != nil {
			return err
		}
		now.Origin = s.Origin()
		if !first {
			// Earlier notes may be by an earlier key of the log; size and root are columns.
			p, err := prove(ctx, tx, latest.size, now.Size)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrHistory, err)
			}
			if err := p.Verify(Checkpoint{Size: latest.size, Root: latest.root}, now); err != nil {
				return fmt.Errorf("%w: %w", ErrHistory, err)
			}
			if latest.size == now.Size && latest.key == s.signer.KeyHash() {
				signed = latest.note
				return nil
			}
		}
		if signed, err = s.Sign(now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into audit_checkpoint (size, key_hash, root, at, note)
			values ($1, $2, $3, $4, $5)
			on conflict do nothing`,
			now.Size, int64(s.signer.KeyHash()), now.Root[:], tx.Now(), signed)
		return err
	})
	return signed, err
}

// head is the present size with the root computed from the stored hashes, which
// must be the root the head row remembers.
func (db *DB) head(ctx context.Context, tx pgx.Tx) (Checkpoint, error) {
	var c Checkpoint
	var raw []byte
	if err := tx.QueryRow(ctx, `select size, root from audit_head`).Scan(&c.Size, &raw); err != nil {
		return c, fmt.Errorf("audit: head: %w", err)
	}
	root, err := tlog.TreeHash(c.Size, hashReader(ctx, tx))
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrHistory, err)
	}
	if string(root[:]) != string(raw) {
		return c, fmt.Errorf("%w: the head's root is not that of the stored hashes", ErrHistory)
	}
	c.Root = root
	return c, nil
}

type storedCheckpoint struct {
	size int64
	key  uint32
	root tlog.Hash
	note []byte
}

func scanCheckpoint(row pgx.Row) (storedCheckpoint, error) {
	var c storedCheckpoint
	var key int64
	var root []byte
	err := row.Scan(&c.size, &key, &root, &c.note)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, ErrNoCheckpoint
	}
	if err != nil {
		return c, err
	}
	c.key, c.root = uint32(key), tlog.Hash(root)
	return c, nil
}

func latestCheckpoint(ctx context.Context, tx pgx.Tx) (storedCheckpoint, error) {
	return scanCheckpoint(tx.QueryRow(ctx, `
		select size, key_hash, root, note
		from audit_checkpoint
		order by size desc, at desc
		limit 1`))
}

// LatestCheckpoint is the newest signed checkpoint, or ErrNoCheckpoint.
func (db *DB) LatestCheckpoint(ctx context.Context) ([]byte, error) {
	var c storedCheckpoint
	err := db.Read(ctx, Scope{}, func(tx *Tx) (err error) {
		c, err = latestCheckpoint(ctx, tx)
		return err
	})
	return c.note, err
}

// LatestCheckpointTx is LatestCheckpoint inside a running transaction: the
// document being prepared names it as "after".
func (db *DB) LatestCheckpointTx(ctx context.Context, tx *Tx) ([]byte, error) {
	c, err := latestCheckpoint(ctx, tx)
	return c.note, err
}

// CheckpointOf is the first signed checkpoint that includes the leaf, or
// ErrNoCheckpoint: together with the one before, it dates the leaf.
func (db *DB) CheckpointOf(ctx context.Context, leaf int64) ([]byte, error) {
	var c storedCheckpoint
	err := db.Read(ctx, Scope{}, func(tx *Tx) (err error) {
		c, err = scanCheckpoint(tx.QueryRow(ctx, `
			select size, key_hash, root, note
			from audit_checkpoint
			where size > $1
			order by size, at
			limit 1`, leaf))
		return err
	})
	return c.note, err
}

// Prove returns the leaf with the proof that the log of that size includes it. A
// nil tx reads in a transaction of its own.
func (db *DB) Prove(ctx context.Context, tx *Tx, leaf, size int64) (Proof, error) {
	if tx == nil {
		var p Proof
		err := db.Read(ctx, Scope{}, func(tx *Tx) (err error) {
			p, err = db.Prove(ctx, tx, leaf, size)
			return err
		})
		return p, err
	}
	p := Proof{Index: leaf, Size: size}
	var head int64
	if err := tx.QueryRow(ctx, `select size from audit_head`).Scan(&head); err != nil {
		return p, fmt.Errorf("audit: head: %w", err)
	}
	if leaf < 0 || leaf >= size || size > head {
		return p, ErrNoLeaf
	}
	err := tx.QueryRow(ctx, `select data from audit_leaf where index = $1`, leaf).Scan(&p.Leaf)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrNoLeaf
	}
	if err != nil {
		return p, fmt.Errorf("audit: leaf %d: %w", leaf, err)
	}
	path, err := tlog.ProveRecord(size, leaf, hashReader(ctx, tx))
	if err != nil {
		return p, fmt.Errorf("audit: prove leaf %d: %w", leaf, err)
	}
	p.Path = path
	return p, nil
}

// ProveConsistency proves that the log of size older is the beginning of the log
// of size newer.
func (db *DB) ProveConsistency(ctx context.Context, older, newer int64) (Consistency, error) {
	var p Consistency
	err := db.Read(ctx, Scope{}, func(tx *Tx) (err error) {
		p, err = prove(ctx, tx, older, newer)
		return err
	})
	return p, err
}

func prove(ctx context.Context, tx pgx.Tx, older, newer int64) (Consistency, error) {
	p := Consistency{Old: older, New: newer}
	var head int64
	if err := tx.QueryRow(ctx, `select size from audit_head`).Scan(&head); err != nil {
		return p, fmt.Errorf("audit: head: %w", err)
	}
	if older < 0 || older > newer || newer > head {
		return p, fmt.Errorf("audit: no consistency from %d to %d in a log of %d", older, newer, head)
	}
	if older == 0 || older == newer {
		return p, nil
	}
	path, err := tlog.ProveTree(newer, older, hashReader(ctx, tx))
	if err != nil {
		return p, fmt.Errorf("audit: prove consistency: %w", err)
	}
	p.Path = path
	return p, nil
}

// Leaf reads a leaf.
func (db *DB) Leaf(ctx context.Context, tx *Tx, index int64) (Leaf, error) {
	var data []byte
	err := tx.QueryRow(ctx, `select data from audit_leaf where index = $1`, index).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return Leaf{}, ErrNoLeaf
	}
	if err != nil {
		return Leaf{}, fmt.Errorf("audit: leaf %d: %w", index, err)
	}
	return parseLeaf(index, data)
}

// Detail reads what stands beside a leaf, as the row policies allow; nil when there
// is none or it was erased. A detail that the leaf does not vouch for is an error.
func (db *DB) Detail(ctx context.Context, tx *Tx, index int64) (map[string]any, error) {
	var data, salt, detail []byte
	err := tx.QueryRow(ctx, `
		select l.data, d.salt, d.detail
		from audit_detail d
		join audit_leaf l on l.index = d.leaf_index
		where d.leaf_index = $1`, index).Scan(&data, &salt, &detail)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: detail of leaf %d: %w", index, err)
	}
	return openDetail(Leaf{Index: index, Data: data}, salt, detail)
}

// Entry is a leaf with the detail that the reader may see.
type Entry struct {
	Leaf
	Detail map[string]any // nil when there is none, or it was erased
}

// History is what happened to an object, newest first, below a leaf index (0: from
// the newest), as far as it belongs to the organization of the transaction's scope.
// The kind is a key of [Event.Objects].
func (db *DB) History(ctx context.Context, tx *Tx, kind, id string, below int64, limit int) ([]Entry, error) {
	if tx.Scope.Organization == "" {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		select l.index, l.data, d.salt, d.detail
		from audit_object o -- audit_object_pkey
		join audit_leaf l on l.index = o.leaf_index
		left join audit_detail d on d.leaf_index = l.index
		where o.kind = @kind and o.id = @id and (@below = 0 or o.leaf_index < @below)
		  and l.organization_id = @organization
		order by o.leaf_index desc
		limit @limit`,
		pgx.StrictNamedArgs{"kind": kind, "id": id, "below": below, "organization": tx.Scope.Organization, "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("audit: history of %s %s: %w", kind, id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
		var index int64
		var data, salt, detail []byte
		if err := row.Scan(&index, &data, &salt, &detail); err != nil {
			return Entry{}, err
		}
		leaf, err := parseLeaf(index, data)
		if err != nil {
			return Entry{}, err
		}
		e := Entry{Leaf: leaf}
		if detail != nil {
			e.Detail, err = openDetail(leaf, salt, detail)
		}
		return e, err
	})
}

// openDetail reads a detail that its leaf vouches for.
func openDetail(leaf Leaf, salt, detail []byte) (map[string]any, error) {
	body, err := parseBody(leaf.Data)
	if err != nil {
		return nil, fmt.Errorf("audit: leaf %d: %w", leaf.Index, err)
	}
	sum := sha256.Sum256(slices.Concat(salt, detail))
	if hex.EncodeToString(sum[:]) != body.DetailCommitment {
		return nil, fmt.Errorf("%w: detail of leaf %d", ErrHistory, leaf.Index)
	}
	var out map[string]any
	return out, json.Unmarshal(detail, &out)
}

// followPause bounds how long a lost notification can delay a follower.
const followPause = 5 * time.Second

// followPage is how many leaves a follower reads at once.
const followPage = 500

// Follow calls f for each leaf from index from on, in order, then for each new one
// soon after its commit, until f returns an error or ctx ends, and returns that. It
// keeps a connection of its own outside the pool.
func (db *DB) Follow(ctx context.Context, from int64, f func(Leaf) error) error {
	pooled, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("audit: follow: %w", err)
	}
	conn := pooled.Hijack() // its listening must not go back to the pool
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen audit`); err != nil {
		return fmt.Errorf("audit: follow: %w", err)
	}
	for {
		leaves, err := page(ctx, conn, from, followPage)
		if err != nil {
			return err
		}
		for _, l := range leaves {
			if l.Index != from {
				return fmt.Errorf("%w: leaf %d is missing", ErrHistory, from)
			}
			if err := f(l); err != nil {
				return err
			}
			from++
		}
		if len(leaves) == followPage {
			continue
		}
		wait, cancel := context.WithTimeout(ctx, followPause)
		_, err = conn.WaitForNotification(wait)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("audit: follow: %w", err)
		}
	}
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func page(ctx context.Context, q querier, from int64, limit int) ([]Leaf, error) {
	rows, err := q.Query(ctx, `
		select index, data
		from audit_leaf
		where index >= $1
		order by index
		limit $2`, from, limit)
	if err != nil {
		return nil, fmt.Errorf("audit: leaves from %d: %w", from, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Leaf, error) {
		var index int64
		var data []byte
		if err := row.Scan(&index, &data); err != nil {
			return Leaf{}, err
		}
		return parseLeaf(index, data)
	})
}
