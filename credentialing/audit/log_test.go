package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

const (
	clinicA = "0193a000-0000-7000-8000-00000000000a"
	clinicB = "0193a000-0000-7000-8000-00000000000b"
	person  = "0193a000-0000-7000-8000-0000000000aa"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 123456000, time.UTC)

type fixture struct {
	*audit.DB
	pg     *pgtest.DB
	signer audit.Signer
}

func newLog(t *testing.T) fixture {
	t.Helper()
	pg := pgtest.New(t)
	secret, _, err := audit.GenerateKey("consilium.test/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := start
	var mu sync.Mutex
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
	return fixture{audit.New(audit.Config{Pool: pg.Pool, Clock: clock}), pg, signer}
}

// add appends n events of an organization, each in its own transaction.
func (f fixture) add(t *testing.T, n int, organization string) {
	t.Helper()
	for i := range n {
		err := f.Write(t.Context(), audit.Scope{Organization: organization, Person: person}, func(tx *audit.Tx) error {
			tx.Append(audit.Event{Act: "case.opened", Actor: person, Objects: map[string]string{"case": fmt.Sprint(i)}, Detail: map[string]any{"n": i}})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f fixture) checkpoint(t *testing.T) []byte {
	t.Helper()
	c, err := f.Checkpoint(t.Context(), f.signer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f fixture) admin(t *testing.T, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, f.pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range append([]string{"set session_replication_role = replica"}, statements...) {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestLeafIsTheEventAndActAndLeafCommitTogether(t *testing.T) {
	f := newLog(t)
	ctx := t.Context()
	e := audit.Event{
		Act: "decision.signed", Actor: person, Login: clinicB, Jurisdiction: "KE", Objects: map[string]string{"case": "1", "decision": "2"},
		Hashes: map[string]string{"document": "ab"}, Determination: "d", Reason: "KE-002", Epoch: 7,
	}
	var index int64
	if err := f.Write(ctx, audit.Scope{Organization: clinicA}, func(tx *audit.Tx) (err error) {
		tx.Append(audit.Event{Act: "before"})
		index, err = tx.AppendNow(ctx, e)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if index != 1 {
		t.Errorf("index = %d, want 1", index)
	}
	var got audit.Leaf
	if err := f.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		got, err = f.Leaf(ctx, tx, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	e.Organization = clinicA
	if diff := cmp.Diff(got.Event, e); diff != "" {
		t.Error(diff)
	}
	if !got.At.Equal(start.Add(time.Second)) {
		t.Errorf("at %v, want the transaction's instant", got.At)
	}

	refused := errors.New("refused")
	if err := f.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		if _, err := tx.AppendNow(ctx, e); err != nil {
			return err
		}
		return refused
	}); err != refused {
		t.Fatal(err)
	}
	if v, err := f.VerifyAll(ctx); err != nil || v.Size != 2 {
		t.Errorf("size %d after a rollback, %v; want 2", v.Size, err)
	}
}

func TestConcurrentCommandsLeaveOneUnbrokenLog(t *testing.T) {
	f := newLog(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				err := f.Write(t.Context(), audit.Scope{Organization: clinicA}, func(tx *audit.Tx) error {
					tx.Append(audit.Event{Act: "a"})
					if i%5 == 0 {
						tx.Append(audit.Event{Act: "b"})
					}
					if i%7 == 0 {
						_, err := tx.AppendNow(t.Context(), audit.Event{Act: "c"})
						return errors.Join(err, errors.New("undone"))
					}
					return nil
				})
				if err != nil && i%7 != 0 {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// Of 20 commands 3 are undone, one of which had two events.
	v, err := f.VerifyAll(t.Context())
	if err != nil || v.Size != 8*(17+3) {
		t.Errorf("size %d, %v; want %d", v.Size, err, 8*(17+3))
	}
}

func TestDetailIsReadByItsOrganizationOnlyAndVouchedFor(t *testing.T) {
	f := newLog(t)
	f.add(t, 1, clinicA)
	read := func(organization string) (d map[string]any, err error) {
		e := f.Read(t.Context(), audit.Scope{Organization: organization}, func(tx *audit.Tx) error {
			d, err = f.Detail(t.Context(), tx, 0)
			return nil
		})
		return d, errors.Join(e, err)
	}
	if d, err := read(clinicA); err != nil || d["n"] != 0.0 {
		t.Errorf("own detail = %v, %v", d, err)
	}
	for _, other := range []string{clinicB, ""} {
		if d, err := read(other); err != nil || d != nil {
			t.Errorf("detail read by %q = %v, %v; want none", other, d, err)
		}
	}
	f.admin(t, `update audit_detail set detail = '{"n":5}'`)
	if _, err := read(clinicA); !errors.Is(err, audit.ErrHistory) {
		t.Errorf("changed detail: %v, want ErrHistory", err)
	}
	f.admin(t, `delete from audit_detail`)
	if d, err := read(clinicA); err != nil || d != nil {
		t.Errorf("erased detail = %v, %v", d, err)
	}
	if _, err := f.VerifyAll(t.Context()); err != nil {
		t.Errorf("the log after erasing a detail: %v", err)
	}
}

func TestHistoryOfAnObjectIsItsOrganizationsOwn(t *testing.T) {
	f := newLog(t)
	f.add(t, 5, clinicA) // cases 0 to 4
	f.add(t, 2, clinicB) // cases 0 and 1 of the other
	f.add(t, 3, clinicA)
	history := func(organization string, below int64, limit int) (list []int64) {
		err := f.Read(t.Context(), audit.Scope{Organization: organization}, func(tx *audit.Tx) error {
			entries, err := f.History(t.Context(), tx, "case", "1", below, limit)
			for _, e := range entries {
				if e.Event.Act != "case.opened" || e.Detail["n"] != 1.0 {
					t.Errorf("entry %+v", e)
				}
				list = append(list, e.Index)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, tc := range []struct {
		organization string
		below        int64
		limit        int
		want         []int64
	}{
		{clinicA, 0, 10, []int64{8, 1}},
		{clinicA, 0, 1, []int64{8}},
		{clinicA, 8, 10, []int64{1}},
		{clinicA, 1, 10, nil},
		{clinicB, 0, 10, []int64{6}},
		{"", 0, 10, nil},
	} {
		if got := history(tc.organization, tc.below, tc.limit); !cmp.Equal(got, tc.want) {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestRowsOfTheLogAreNeverChangedByAnyRole(t *testing.T) {
	f := newLog(t)
	f.add(t, 2, clinicA)
	f.checkpoint(t)
	ctx := t.Context()
	owner, err := pgx.Connect(ctx, f.pg.OwnerURL)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(context.Background())
	for _, s := range []string{
		`update audit_leaf set act = 'x'`, `delete from audit_leaf where index = 1`, `truncate audit_leaf cascade`,
		`update audit_hash set hash = hash`, `delete from audit_hash`, `truncate audit_hash`,
		`update audit_checkpoint set size = 9`, `delete from audit_checkpoint`, `truncate audit_checkpoint`,
		`update audit_object set id = 'x'`, `delete from audit_object`, `truncate audit_object`,
		`update audit_head set size = 1`, `update audit_head set size = size`, `delete from audit_head`, `truncate audit_head`,
	} {
		if _, err := f.pg.Pool.Exec(ctx, s); err == nil {
			t.Errorf("application: %s: done, want refused", s)
		}
		if _, err := owner.Exec(ctx, s); err == nil {
			t.Errorf("owner: %s: done, want refused", s)
		}
	}
	if _, err := f.VerifyAll(ctx); err != nil {
		t.Error(err)
	}
}

func TestFollowGivesEveryLeafOnceInOrder(t *testing.T) {
	f := newLog(t)
	f.add(t, 3, clinicA)
	var got []int64
	seen := make(chan int64, 100)
	done := errors.New("enough")
	result := make(chan error, 1)
	go func() {
		result <- f.Follow(t.Context(), 1, func(l audit.Leaf) error {
			got = append(got, l.Index)
			seen <- l.Index
			if l.Index == 9 {
				return done
			}
			return nil
		})
	}()
	<-seen
	<-seen // what was there is read; the rest arrives by notification
	began := time.Now()
	f.add(t, 7, clinicB)
	if err := <-result; err != done {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited > 3*time.Second {
		t.Errorf("waited %v: woken by polling, want by notification", waited)
	}
	if diff := cmp.Diff(got, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}); diff != "" {
		t.Error(diff)
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		result <- f.Follow(ctx, 9, func(audit.Leaf) error { cancel(); return nil })
	}()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

func TestCheckpointsAndProofsVerifyOffline(t *testing.T) {
	f := newLog(t)
	ctx := t.Context()
	if _, err := f.LatestCheckpoint(ctx); !errors.Is(err, audit.ErrNoCheckpoint) {
		t.Fatalf("latest of none: %v", err)
	}
	v := f.signer.Verifier()
	notes := [][]byte{f.checkpoint(t)}
	for i := range 12 {
		f.add(t, 1+i%3, clinicA)
		notes = append(notes, f.checkpoint(t))
	}
	latest, err := f.LatestCheckpoint(ctx)
	if err != nil || !bytes.Equal(latest, notes[12]) || !bytes.Equal(f.checkpoint(t), latest) {
		t.Errorf("latest is not the newest, or the same log was signed twice: %v", err)
	}
	for _, a := range notes {
		ca, err := v.Open(a)
		if err != nil {
			t.Fatal(err)
		}
		for leaf := range ca.Size {
			p, err := f.Prove(ctx, nil, leaf, ca.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := audit.VerifyProof(p, a, v); err != nil {
				t.Error(err)
			}
		}
		for _, b := range notes {
			cb, _ := v.Open(b)
			p, err := f.ProveConsistency(ctx, ca.Size, cb.Size)
			if (err == nil) != (ca.Size <= cb.Size) {
				t.Errorf("%d to %d: %v", ca.Size, cb.Size, err)
			}
			if err == nil {
				if err := audit.VerifyConsistency(p, a, b, v); err != nil {
					t.Error(err)
				}
			}
		}
	}
	of, err := f.CheckpointOf(ctx, 1)
	if err != nil || !bytes.Equal(of, notes[2]) {
		t.Errorf("first checkpoint with leaf 1: %v", err)
	}
	if _, err := f.Prove(ctx, nil, 3, 3); !errors.Is(err, audit.ErrNoLeaf) {
		t.Errorf("proof outside: %v", err)
	}
	other, public, _ := audit.GenerateKey("consilium.test/log")
	if _, err := audit.NewSigner(other); err != nil {
		t.Fatal(err)
	}
	stranger, err := audit.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Open(latest); !errors.Is(err, audit.ErrCheckpoint) {
		t.Errorf("opened with another key: %v", err)
	}
	if ours, err := audit.NewVerifier(f.signer.Public()); err != nil || ours.Origin() != "consilium.test/log" {
		t.Errorf("public line: %v", err)
	}
}

func TestEverySingleBitChangeFailsVerification(t *testing.T) {
	f := newLog(t)
	f.add(t, 11, clinicA)
	older := f.checkpoint(t)
	f.add(t, 6, clinicA)
	signed := f.checkpoint(t)
	v := f.signer.Verifier()
	p, err := f.Prove(t.Context(), nil, 6, 17)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.VerifyProof(p, signed, v); err != nil {
		t.Fatal(err)
	}
	// each flips all bits of b one after the other and puts them back.
	each := func(name string, b []byte, verify func() error) {
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if verify() == nil {
				t.Errorf("%s with bit %d changed still verifies", name, i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	proof := func() error { return audit.VerifyProof(p, signed, v) }
	each("leaf", p.Leaf, proof)
	each("checkpoint", signed, proof)
	for i := range p.Path {
		each("path", p.Path[i][:], proof)
	}
	for i := range 63 {
		p.Index ^= 1 << i
		if proof() == nil {
			t.Errorf("index with bit %d changed still verifies", i)
		}
		p.Index ^= 1 << i
		p.Size ^= 1 << i
		if proof() == nil {
			t.Errorf("size with bit %d changed still verifies", i)
		}
		p.Size ^= 1 << i
	}
	c, err := f.ProveConsistency(t.Context(), 11, 17)
	if err != nil {
		t.Fatal(err)
	}
	consistency := func() error { return audit.VerifyConsistency(c, older, signed, v) }
	if err := consistency(); err != nil {
		t.Fatal(err)
	}
	each("older", older, consistency)
	each("newer", signed, consistency)
	for i := range c.Path {
		each("consistency path", c.Path[i][:], consistency)
	}
}
