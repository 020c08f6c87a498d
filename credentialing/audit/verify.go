package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// Known is a signed checkpoint that somebody kept outside the database.
type Known struct {
	Note     []byte
	Verifier Verifier
}

// Verified says what VerifyAll found whole.
type Verified struct {
	Size        int64
	Root        tlog.Hash
	Checkpoints int // stored and known ones that the log agrees with
}

// Tampered says where the log is not what it was. It wraps ErrHistory.
type Tampered struct {
	Index int64 // the first leaf concerned, or the size where the whole is concerned
	What  string
}

func (t *Tampered) Error() string { return fmt.Sprintf("audit: at leaf %d: %s", t.Index, t.What) }

// Unwrap makes a Tampered an ErrHistory.
func (t *Tampered) Unwrap() error { return ErrHistory }

// verifyPage is how many leaves VerifyAll reads at once.
const verifyPage = 5000

// VerifyAll computes the whole tree again from the leaves and compares stored
// hashes, head, columns and every stored checkpoint with it. Somebody who rewrites
// leaves, hashes, head and stored checkpoints together is found only by a
// checkpoint kept elsewhere: give those as known. The error is a *Tampered.
func (db *DB) VerifyAll(ctx context.Context, known ...Known) (Verified, error) {
	var out Verified
	err := pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := Enter(ctx, tx, Scope{}); err != nil {
			return err
		}
		var err error
		out, err = verifyAll(ctx, tx, known)
		return err
	})
	return out, err
}

func verifyAll(ctx context.Context, tx pgx.Tx, known []Known) (Verified, error) {
	var size int64
	var root []byte
	if err := tx.QueryRow(ctx, `select size, root from audit_head`).Scan(&size, &root); err != nil {
		return Verified{}, fmt.Errorf("audit: head: %w", err)
	}
	var stored []tlog.Hash // 64 MB for a million leaves
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, ix := range indexes {
			if ix >= int64(len(stored)) {
				return nil, fmt.Errorf("hash %d is beyond the tree", ix)
			}
			list[i] = stored[ix]
		}
		return list, nil
	})
	var count int64
	for {
		n, err := verifySome(ctx, tx, count, &stored, reader)
		if err != nil {
			return Verified{}, err
		}
		count += n
		if n < verifyPage {
			break
		}
	}
	if count != size {
		return Verified{}, &Tampered{count, fmt.Sprintf("the head says %d leaves", size)}
	}
	var more int64
	if err := tx.QueryRow(ctx, `select count(*) from audit_hash where stored_index >= $1`, int64(len(stored))).Scan(&more); err != nil {
		return Verified{}, err
	}
	if more != 0 {
		return Verified{}, &Tampered{count, "stored hashes beyond the tree"}
	}
	whole, err := tlog.TreeHash(size, reader)
	if err != nil {
		return Verified{}, err
	}
	if string(whole[:]) != string(root) {
		return Verified{}, &Tampered{size, "the head's root"}
	}
	out := Verified{Size: size, Root: whole}
	agrees := func(c Checkpoint) error {
		if c.Size > size {
			return &Tampered{size, fmt.Sprintf("a checkpoint has %d leaves: the log was cut", c.Size)}
		}
		then, err := tlog.TreeHash(c.Size, reader)
		if err != nil {
			return err
		}
		if then != c.Root {
			return &Tampered{c.Size, "a checkpoint of this size has another root"}
		}
		out.Checkpoints++
		return nil
	}
	rows, err := tx.Query(ctx, `select size, root from audit_checkpoint order by size`)
	if err != nil {
		return out, err
	}
	checkpoints, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Checkpoint, error) {
		var c Checkpoint
		var raw []byte
		if err := row.Scan(&c.Size, &raw); err != nil {
			return c, err
		}
		c.Root = tlog.Hash(raw)
		return c, nil
	})
	if err != nil {
		return out, err
	}
	for _, k := range known {
		c, err := k.Verifier.Open(k.Note)
		if err != nil {
			return out, err
		}
		checkpoints = append(checkpoints, c)
	}
	for _, c := range checkpoints {
		if err := agrees(c); err != nil {
			return out, err
		}
	}
	return out, nil
}

// verifySome verifies up to a page of leaves from index from on and the hashes
// they complete, and adds those to stored.
func verifySome(ctx context.Context, tx pgx.Tx, from int64, stored *[]tlog.Hash, reader tlog.HashReader) (int64, error) {
	rows, err := tx.Query(ctx, `
		select index, data, at, act, coalesce(organization_id::text, '')
		from audit_leaf
		where index >= $1
		order by index
		limit $2`, from, verifyPage)
	if err != nil {
		return 0, err
	}
	first, n := int64(len(*stored)), int64(0)
	var index int64
	var data []byte
	var at time.Time
	var act, organization string
	_, err = pgx.ForEachRow(rows, []any{&index, &data, &at, &act, &organization}, func() error {
		if index != from+n {
			return &Tampered{from + n, "the leaf is missing"}
		}
		leaf, err := parseLeaf(index, data)
		if err != nil {
			return &Tampered{index, "not canonical"}
		}
		if leaf.Event.Act != act || leaf.Event.Organization != organization || !leaf.At.Equal(at) {
			return &Tampered{index, "the columns beside the leaf"}
		}
		hashes, err := tlog.StoredHashesForRecordHash(index, tlog.RecordHash(data), reader)
		if err != nil {
			return err
		}
		*stored = append(*stored, hashes...)
		n++
		return nil
	})
	if err != nil {
		return 0, err
	}
	rows, err = tx.Query(ctx, `
		select stored_index, hash
		from audit_hash
		where stored_index >= $1 and stored_index < $2
		order by stored_index`, first, int64(len(*stored)))
	if err != nil {
		return 0, err
	}
	next := first
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&index, &hash}, func() error {
		if index != next || string(hash) != string((*stored)[index][:]) {
			return &Tampered{from, fmt.Sprintf("stored hash %d", next)}
		}
		next++
		return nil
	})
	if err != nil {
		return 0, err
	}
	if next != int64(len(*stored)) {
		return 0, &Tampered{from, fmt.Sprintf("stored hash %d is missing", next)}
	}
	return n, nil
}
