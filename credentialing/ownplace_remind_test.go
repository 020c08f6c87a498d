package credentialing_test

import (
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// TestSpecialistsAreToldOnceAtEachMarkBeforeTheirStatementEnds, of each place, until they
// make another.
func TestSpecialistsAreToldOnceAtEachMarkBeforeTheirStatementEnds(t *testing.T) {
	w := newWorld(t)
	w.onFile(license(w.weber, "DE", "DE-1", credentialing.Moment{}))
	w.onFile(license(w.tremblay, "CA-ON", "ON-1", credentialing.Moment{}))
	w.onFile(license(w.kamau, "KE", "KE-2", credentialing.Moment{}))
	state := func(actor identity.Actor, place string) {
		t.Helper()
		w.must(w.s.SignAttestation(t.Context(), actor, credentialing.Attestation{Kind: "own-place", TextVersion: "own-place/1", Text: "allowed", Language: "de", Place: place}))
	}
	state(w.weber, "DE")
	state(w.weber, "PT")
	state(w.tremblay, "CA-ON")
	state(w.layla, "LB") // an interpreter, who works by no license
	w.must(w.s.SignAttestation(t.Context(), w.kamau, credentialing.Attestation{Kind: "confidentiality", TextVersion: "1", Text: "x", Language: "en"}))
	if _, err := w.pg.Pool.Exec(t.Context(), `update person set disabled_at = $2 where id = $1`, string(w.tremblay.Person), start); err != nil {
		t.Fatal(err)
	}
	ends := start.AddDate(1, 0, 0)
	at := start
	remind := func(now time.Time, want int, why string) {
		t.Helper()
		w.clock.move(now.Sub(at))
		at = now
		for range 2 {
			told, err := w.s.RemindOwnPlaces(t.Context())
			w.must(err)
			if told != want {
				t.Errorf("%s: %d told, want %d", why, told, want)
			}
			want = 0 // never twice
		}
	}
	remind(start.AddDate(0, 6, 0), 0, "in the middle of the year")
	remind(ends.AddDate(0, 0, -31), 0, "31 days before")
	remind(ends.AddDate(0, 0, -30), 2, "30 days before")
	remind(ends.AddDate(0, 0, -8), 0, "8 days before")
	remind(ends.AddDate(0, 0, -6), 2, "6 days before")
	state(w.weber, "PT") // stated again: the former is not told of any more
	remind(ends.Add(time.Hour), 1, "when it has ended")
	remind(ends.AddDate(0, 0, 20), 0, "20 days later")
	var persons, places int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(distinct person_id), count(distinct place) from own_place_reminder`).Scan(&persons, &places))
	if persons != 1 || places != 2 {
		t.Errorf("%d people and %d places were told of, want Dr Weber's two", persons, places)
	}
	state(w.weber, "DE")
	remind(ends.AddDate(1, 0, -10), 2, "a year later")
	// One that nobody renewed for long is left alone: a service that was away for a year
	// does not begin with old news.
	remind(ends.AddDate(3, 0, 0), 0, "long after")
}
