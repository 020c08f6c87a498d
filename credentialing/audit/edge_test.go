package audit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Each process keeps the right edge of the tree as it left it. What another one appended
// meanwhile, and what was rolled back, must not find its way into the tree.
func TestProcessesAppendInTurnToOneTree(t *testing.T) {
	f := newLog(t)
	services := []*audit.DB{f.DB, audit.New(audit.Config{Pool: f.pg.Pool, Clock: f.Now}), audit.New(audit.Config{Pool: f.pg.Pool, Clock: f.Now})}
	event := func(i int) audit.Event {
		e := audit.Event{Act: "case.opened", Actor: person, Objects: map[string]string{"case": fmt.Sprint(i), "person": person}}
		if i%3 == 0 {
			e.Detail = map[string]any{"n": i}
		}
		return e
	}
	undone := errors.New("undone")
	want := int64(0)
	for i := range 60 {
		db := services[[]int{0, 0, 1, 2, 1, 0, 2}[i%7]]
		err := db.Write(t.Context(), audit.Scope{Organization: clinicA, Person: person}, func(tx *audit.Tx) error {
			for k := range i%4 + 1 {
				tx.Append(event(i*10 + k))
			}
			index, err := tx.AppendNow(t.Context(), event(i*10+9))
			if err != nil {
				return err
			}
			if at := want + int64(i%4) + 1; index != at {
				return fmt.Errorf("the leaf is %d of the log, not %d", index, at)
			}
			if i%5 == 4 {
				return undone
			}
			tx.Append(event(i*10 + 8))
			return nil
		})
		switch {
		case i%5 == 4 && !errors.Is(err, undone), i%5 != 4 && err != nil:
			t.Fatal(err)
		case i%5 != 4:
			want += int64(i%4) + 3
		}
	}
	if v, err := services[2].VerifyAll(t.Context()); err != nil || v.Size != want {
		t.Fatalf("the log has %d leaves, %d were appended: %v", v.Size, want, err)
	}
}

// A process of an older edition appends without leaving the edge in the head, and so does
// who repairs the log by hand: the next one reads it from the stored hashes.
func TestEdgeLeftBehindIsReadFromTheHashes(t *testing.T) {
	f := newLog(t)
	for n := int64(1); n <= 40; n++ {
		f.add(t, 1, clinicA)
		if n%3 == 0 {
			f.admin(t, []string{`update audit_head set edge = null, edge_root = null`, `update audit_head set edge_root = sha256('another')`,
				`update audit_head set edge = '{}', edge_root = null`}[n/3%3])
		}
		if v, err := f.VerifyAll(t.Context()); err != nil || v.Size != n {
			t.Fatalf("after %d leaves: %+v, %v", n, v, err)
		}
	}
	f.admin(t, `delete from audit_hash where stored_index = 62`, // the first 32 leaves together
		`update audit_head set edge_root = null`)
	err := f.Write(t.Context(), audit.Scope{Organization: clinicA}, func(tx *audit.Tx) error {
		tx.Append(audit.Event{Act: "case.opened", Actor: person})
		return nil
	})
	if err == nil {
		t.Error("appended to a log that lacks hashes")
	}
}
