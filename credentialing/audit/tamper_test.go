package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Each tampering is done twice: clumsily, on the rows alone, and thoroughly, with
// hashes, head and stored checkpoints recomputed by somebody who owns the database.
// The thorough one is found by whoever kept yesterday's checkpoint.
func TestEveryTamperingIsFound(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   []string
	}{
		{"edit", []string{`update audit_leaf set data = convert_to(replace(convert_from(data, 'UTF8'), '"case":"3"', '"case":"8"'), 'UTF8') where index = 3`}},
		{"drop", []string{`delete from audit_leaf where index = 2`, `update audit_leaf set index = index - 1 where index > 2`}},
		{"insert", []string{`update audit_leaf set index = index + 1000 where index > 2`, `update audit_leaf set index = index - 999 where index > 1000`,
			`insert into audit_leaf select 3, data, at, act, organization_id from audit_leaf where index = 0`}},
		{"swap", []string{`update audit_leaf set index = 99 where index = 2`, `update audit_leaf set index = 2 where index = 3`, `update audit_leaf set index = 3 where index = 99`}},
		{"truncate", []string{`delete from audit_leaf where index > 5`}},
		{"fork", []string{`update audit_leaf set data = convert_to(replace(convert_from(data, 'UTF8'), 'case.opened', 'case.closed'), 'UTF8'), act = 'case.closed' where index >= 5`}},
		{"backdate", []string{`update audit_leaf set data = convert_to(replace(convert_from(data, 'UTF8'), '2026-03-02T', '2026-02-02T'), 'UTF8'), at = at - interval '28 days' where index = 4`}},
	} {
		for _, thorough := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/thorough=%v", tc.name, thorough), func(t *testing.T) {
				t.Parallel()
				f := newLog(t)
				f.add(t, 8, clinicA)
				yesterday := f.checkpoint(t)
				if _, err := f.VerifyAll(t.Context(), audit.Known{Note: yesterday, Verifier: f.signer.Verifier()}); err != nil {
					t.Fatal(err)
				}
				f.admin(t, append([]string{`delete from audit_detail`}, tc.do...)...)
				if thorough {
					rebuild(t, f)
					if _, err := f.VerifyAll(t.Context()); err != nil {
						t.Fatalf("the forger worked badly: %v", err)
					}
				}
				_, err := f.VerifyAll(t.Context(), audit.Known{Note: yesterday, Verifier: f.signer.Verifier()})
				if !errors.Is(err, audit.ErrHistory) {
					t.Errorf("verified after tampering: %v, want ErrHistory", err)
				}
				if thorough {
					witnessFinds(t, f, yesterday)
				}
			})
		}
	}
}

// witnessFinds lets the forged log grow and sign again, and asks for the proof that
// a witness asks for.
func witnessFinds(t *testing.T, f fixture, yesterday []byte) {
	t.Helper()
	f.add(t, 4, clinicA)
	today := f.checkpoint(t)
	v := f.signer.Verifier()
	now, err := v.Open(today)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.ProveConsistency(t.Context(), 8, now.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.VerifyConsistency(p, yesterday, today, v); err == nil {
		t.Error("the forged log is consistent with yesterday's checkpoint")
	}
}

func TestCheckpointRefusesToSignOverAChangedHistory(t *testing.T) {
	f := newLog(t)
	f.add(t, 8, clinicA)
	f.checkpoint(t)
	f.add(t, 1, clinicA)
	f.admin(t, `update audit_hash set hash = sha256(hash) where stored_index = 14`) // the eight leaves together
	if _, err := f.Checkpoint(t.Context(), f.signer); !errors.Is(err, audit.ErrHistory) {
		t.Errorf("hash changed: %v, want ErrHistory", err)
	}
	f.admin(t, `update audit_head set root = sha256('x')`)
	if _, err := f.Checkpoint(t.Context(), f.signer); !errors.Is(err, audit.ErrHistory) {
		t.Errorf("head changed: %v, want ErrHistory", err)
	}
}

// rebuild recomputes what hangs on the leaves, as somebody owning the machine would.
func rebuild(t *testing.T, f fixture) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, f.pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select data from audit_leaf order by index`)
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	statements := []string{`delete from audit_hash`, `delete from audit_checkpoint`}
	for i, data := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), data, reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			statements = append(statements, fmt.Sprintf(`insert into audit_hash values (%d, '\x%x')`, len(stored), h[:]))
			stored = append(stored, h)
		}
	}
	root, err := tlog.TreeHash(int64(len(leaves)), reader)
	if err != nil {
		t.Fatal(err)
	}
	statements = append(statements, fmt.Sprintf(`update audit_head set size = %d, root = '\x%x'`, len(leaves), root[:]))
	f.admin(t, strings.Join(statements, ";"))
}
