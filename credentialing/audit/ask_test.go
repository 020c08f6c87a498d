package audit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// A question asked in one round trip sees what a transaction of its scope sees, at its
// instant, writes nothing, and leaves neither scope nor transaction to who comes next.
func TestAskReadsInItsScopeAndLeavesNothing(t *testing.T) {
	f := newLog(t)
	f.add(t, 2, clinicA)
	details := func(s audit.Scope) (n int, at time.Time) {
		t.Helper()
		if err := f.Ask(t.Context(), s, func(b *pgx.Batch, now time.Time) {
			b.Queue(`select count(*) from audit_detail`).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
			b.Queue(`select service_now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&at) })
			at = now
		}); err != nil {
			t.Fatal(err)
		}
		return n, at
	}
	for _, c := range []struct {
		scope audit.Scope
		want  int
	}{{audit.Scope{Organization: clinicA, Person: person}, 2}, {audit.Scope{}, 0}, {audit.Scope{Organization: clinicB}, 0}} {
		before := f.Now()
		if n, at := details(c.scope); n != c.want || !at.After(before) || !at.Before(f.Now()) {
			t.Errorf("%+v: %d details at %v, want %d", c.scope, n, at, c.want)
		}
	}
	nobody := errors.New("nobody")
	for range 3 {
		if err := f.Ask(t.Context(), audit.Scope{Organization: clinicA}, func(b *pgx.Batch, _ time.Time) {
			b.Queue(`select 1`).QueryRow(func(pgx.Row) error { return nobody })
		}); !errors.Is(err, nobody) {
			t.Errorf("an answer that is refused: %v", err)
		}
		if err := f.Ask(t.Context(), audit.Scope{Organization: clinicA}, func(b *pgx.Batch, _ time.Time) {
			b.Queue(`update audit_head set size = size + 1`)
		}); err == nil {
			t.Error("a question wrote")
		}
		if n, _ := details(audit.Scope{}); n != 0 {
			t.Errorf("%d details without scope", n)
		}
	}
	f.add(t, 1, clinicA)
	if v, err := f.VerifyAll(t.Context()); err != nil || v.Size != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}
