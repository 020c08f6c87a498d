package audit_test

import (
	"fmt"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

// BenchmarkWrite is one command with one event, with detail, by many at once: what
// the lock on the log's head leaves the whole service.
func BenchmarkWrite(b *testing.B) {
	db := audit.New(audit.Config{Pool: pgtest.New(b).Pool})
	scope := audit.Scope{Organization: clinicA, Person: person}
	b.SetParallelism(8)
	b.ResetTimer() // starting the database is not writing
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := db.Write(b.Context(), scope, func(tx *audit.Tx) error {
				tx.Append(audit.Event{Act: "case.opened", Actor: person, Objects: map[string]string{"case": clinicB}, Detail: map[string]any{"n": 1}})
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerifyAll recomputes a log of 50 000 leaves.
func BenchmarkVerifyAll(b *testing.B) {
	db := audit.New(audit.Config{Pool: pgtest.New(b).Pool})
	const leaves, each = 50_000, 1_000
	for range leaves / each {
		err := db.Write(b.Context(), audit.Scope{Organization: clinicA}, func(tx *audit.Tx) error {
			for i := range each {
				tx.Append(audit.Event{Act: "case.opened", Actor: person, Objects: map[string]string{"case": fmt.Sprint(i)}})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if v, err := db.VerifyAll(b.Context()); err != nil || v.Size != leaves {
			b.Fatal(v.Size, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/leaves, "µs/leaf")
}
