package credentialing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
)

func (w *world) proxied() credentialing.ClaimRequest {
	return credentialing.ClaimRequest{Person: w.tremblay.Person, Kind: credentialing.KindPrivilegeByProxy, Issuer: "Maple Heart Institute", Number: "A-2026-7",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2028, 12, 31), Facility: string(w.nairobi), Timezone: "UTC",
			Proxy: &credentialing.Proxy{Site: w.toronto, AgreementFrom: credentialing.Date(2025, 7, 1), AgreementTo: credentialing.Date(2027, 6, 30),
				Accreditor: "Accreditation Canada", AccreditedTo: credentialing.Date(2027, 3, 31), Decision: credentialing.ProxyRenewed,
				DecidedOn: credentialing.Date(2025, 12, 1), Shares: []credentialing.Share{credentialing.ShareEvents, credentialing.ShareReview}}}}
}

// sharing tells whether an officer's queue has the yearly review of a credential, and
// since when.
func (w *world) sharing(id credentialing.CredentialID) (bool, time.Time) {
	w.t.Helper()
	queue, err := w.s.Queue(w.t.Context(), w.grace)
	w.must(err)
	for _, q := range queue {
		if q.Task == credentialing.TaskSharing && q.Credential == id {
			return true, q.Since
		}
	}
	return false, time.Time{}
}

// TestPrivilegeByProxyTakesTwoOfficersAndAReviewEachYear: it counts when two people have
// verified it, ends with the accreditation, and its review stands in the queue when due.
func TestPrivilegeByProxyTakesTwoOfficersAndAReviewEachYear(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(w.proxied())
	v := w.verify(e, sum, "primary-source")
	if view, err := w.s.View(t.Context(), w.grace, e.Credential); err != nil || view.Standing.Usable {
		t.Fatalf("counts before a second person: %+v, %v", view.Standing, err)
	}
	if err := w.s.Approve(t.Context(), w.grace, v); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("approved by the verifier: %v", err)
	}
	w.must(w.s.Approve(t.Context(), w.samuel, v))
	view, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if !view.Standing.Usable || !view.Standing.Ends.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("standing %+v, want usable to the end of the accreditation", view.Standing)
	}
	if p := view.Claim.Proxy; p == nil || p.Decision != credentialing.ProxyRenewed || p.Site != w.toronto || len(p.Shares) != 2 {
		t.Errorf("what it rests on came back as %+v", p)
	}
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	if d := view.NextReview; d.Before(due.Add(-24*time.Hour)) || d.After(due.Add(24*time.Hour)) {
		t.Errorf("first review due %v, want a year after it began", d)
	}
	if seen, _ := w.sharing(e.Credential); seen {
		t.Error("in the queue more than a month before it is due")
	}
	w.clock.move(due.AddDate(0, 0, -20).Sub(w.clock.now()))
	if seen, since := w.sharing(e.Credential); !seen || !since.Equal(view.NextReview) {
		t.Errorf("20 days before: in the queue %t since %v", seen, since)
	}
	now := w.clock.now()
	review := credentialing.ProxyReview{HeldAt: now.Add(-time.Hour), SentAt: now, Events: 1, Complaints: 2, Note: "One fall, followed up."}
	for _, c := range []struct {
		why    string
		change func(r *credentialing.ProxyReview)
		field  string
	}{
		{"held tomorrow", func(r *credentialing.ProxyReview) { r.HeldAt = now.Add(24 * time.Hour) }, "held_on"},
		{"never held", func(r *credentialing.ProxyReview) { r.HeldAt = time.Time{} }, "held_on"},
		{"sent tomorrow", func(r *credentialing.ProxyReview) { r.SentAt = now.Add(24 * time.Hour) }, "sent_on"},
		{"never sent", func(r *credentialing.ProxyReview) { r.SentAt = time.Time{} }, "sent_on"},
		{"fewer than no events", func(r *credentialing.ProxyReview) { r.Events = -1 }, "events"},
		{"more complaints than anybody", func(r *credentialing.ProxyReview) { r.Complaints = 10_001 }, "complaints"},
		{"a note that cannot be read", func(r *credentialing.ProxyReview) { r.Note = "a\x00b" }, "note"},
	} {
		r := review
		c.change(&r)
		var invalid *credentialing.Invalid
		if err := w.s.RecordReview(t.Context(), w.grace, e.Credential, r); !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("%s: %v, want a fault of %s", c.why, err, c.field)
		}
	}
	if err := w.s.RecordReview(t.Context(), w.tremblay, e.Credential, review); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("by the specialist: %v", err)
	}
	w.must(w.s.RecordReview(t.Context(), w.grace, e.Credential, review))
	if err := w.s.RecordReview(t.Context(), w.grace, e.Credential, review); !errors.Is(err, credentialing.ErrExists) {
		t.Errorf("the same review again: %v", err)
	}
	if seen, _ := w.sharing(e.Credential); seen {
		t.Error("still in the queue afterwards")
	}
	view, err = w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if len(view.Reviews) != 1 || view.Reviews[0].Events != 1 || view.Reviews[0].Complaints != 2 || view.Reviews[0].By != w.grace.Person || !view.NextReview.Equal(review.HeldAt.AddDate(1, 0, 0)) {
		t.Errorf("reviews %+v, next %v", view.Reviews, view.NextReview)
	}
	license := w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Date(2030, 1, 1)))
	var invalid *credentialing.Invalid
	if err := w.s.RecordReview(t.Context(), w.grace, license.Credential, review); !errors.As(err, &invalid) || invalid.Reason != credentialing.ReasonNoTerms {
		t.Errorf("a review of a license: %v", err)
	}
	// The accreditation ends: so does the privilege, and the file says since when.
	w.clock.move(time.Date(2027, 4, 1, 0, 0, 1, 0, time.UTC).Sub(w.clock.now()))
	if view, err = w.s.View(t.Context(), w.grace, e.Credential); err != nil || view.Standing.Usable || view.Standing.Reason != "expired" {
		t.Errorf("after the accreditation: %+v, %v", view.Standing, err)
	}
}

// TestCoverKnowsItsTermsAndTerritories end to end: from the claim to the answer.
func TestCoverKnowsItsTermsAndTerritories(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindMalpractice, Issuer: "Insurer", Number: "P-1", Claim: credentialing.Claim{
		ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2027, 12, 31), Territories: []string{"EU", "US"}, Currency: "EUR", PerClaim: 5_000_000,
		Aggregate: 10_000_000, Timezone: "UTC",
		Terms: &credentialing.Terms{Basis: credentialing.ClaimsMade, Retroactive: credentialing.Date(2026, 12, 1), Tail: credentialing.Date(2030, 12, 31)}}})
	w.must(w.s.Approve(t.Context(), w.samuel, w.verify(e, sum, "certificate")))
	view, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if view.Standing.Usable || view.Standing.Reason != "not-yet-valid" {
		t.Errorf("before the retroactive day: %+v", view.Standing)
	}
	w.clock.move(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC).Sub(w.clock.now()))
	if view, err = w.s.View(t.Context(), w.grace, e.Credential); err != nil || !view.Standing.Usable || view.Claim.Terms.Tail != credentialing.Date(2030, 12, 31) {
		t.Errorf("on the retroactive day: %+v, %v", view.Standing, err)
	}
	covered := map[string]bool{}
	for _, p := range view.Counts.Territories {
		covered[p] = true
	}
	if !covered["DE"] || !covered["US"] || covered["KE"] {
		t.Errorf("covers %v", view.Counts.Territories)
	}
	w.clock.move(time.Date(2028, 1, 1, 12, 0, 0, 0, time.UTC).Sub(w.clock.now()))
	if view, err = w.s.View(t.Context(), w.grace, e.Credential); err != nil || view.Standing.Usable {
		t.Errorf("a tail covers no act after the end: %+v, %v", view.Standing, err)
	}
}
