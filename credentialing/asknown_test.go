package credentialing_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
)

func TestAFileIsReadAsItWasKnownOnAnyDay(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(license(w.otieno, "KE", "KE-1", credentialing.Date(2027, 2, 3)))
	v := w.verify(e, sum, "primary-source")
	w.clock.move(time.Hour)
	beforeApproval := w.clock.now().Add(-time.Minute)
	w.must(w.s.Approve(t.Context(), w.samuel, v))
	w.clock.move(time.Hour)
	approved := w.clock.now()
	w.clock.move(24 * time.Hour)
	_, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: e.Credential, Status: credentialing.StatusSuspended,
		From: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), Source: "council"})
	w.must(err)
	feb := time.Date(2027, 2, 3, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name         string
		valid, known time.Time
		want         string
	}{
		{"a claim alone", feb, beforeApproval, "unverified"},
		{"before the suspension was known", feb, approved, ""},
		{"after it was known", feb, w.clock.now(), "suspended"},
		{"before the suspension begins", feb.AddDate(0, 0, -4), w.clock.now(), ""},
		{"after the end", feb.AddDate(0, 0, 1), approved, "expired"},
	} {
		f, err := w.s.AsKnown(t.Context(), w.third, w.otieno.Person, c.valid, c.known)
		w.must(err)
		if len(f.Credentials) != 1 || f.Credentials[0].Standing.Reason != c.want {
			t.Errorf("%s: %+v, want %q", c.name, f.Credentials, c.want)
		}
	}
	f, err := w.s.AsKnown(t.Context(), w.otieno, w.otieno.Person, feb, w.clock.now())
	w.must(err)
	var acts []credentialing.RecordAct
	for _, ev := range f.Timeline {
		acts = append(acts, ev.What)
	}
	if want := []credentialing.RecordAct{"status", "status", "approved", "answered", "evidence", "claimed"}; !slices.Equal(acts, want) {
		t.Errorf("timeline %v, want %v", acts, want)
	}
	if s := f.Timeline[0]; s.By != w.grace.Person || s.Detail != "suspended" || s.From.IsZero() {
		t.Errorf("the suspension stands as %+v", s)
	}
	if _, err := w.s.AsKnown(t.Context(), w.grace, w.otieno.Person, feb, w.clock.now().Add(time.Hour)); !errors.Is(err, credentialing.ErrInvalid) {
		t.Errorf("what will be known: %v", err)
	}
	if _, err := w.s.AsKnown(t.Context(), w.weber, w.otieno.Person, feb, w.clock.now()); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("another physician reads the file: %v", err)
	}
	if _, err := w.s.AsKnown(t.Context(), w.grace, w.otieno.Person, feb, start.AddDate(-1, 0, 0)); err != nil {
		t.Errorf("a year ago nothing was known: %v", err)
	}
}

func TestTheMatrixAnswersForEachPlaceAndActivity(t *testing.T) {
	w := newWorld(t)
	w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Moment{}))
	w.onFile(credentialing.ClaimRequest{Person: w.otieno.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "P-1",
		Claim: credentialing.Claim{Territories: []string{"KE", "DE"}}})
	w.checkExclusions(w.otieno)
	f, err := w.s.AsKnown(t.Context(), w.grace, w.otieno.Person, w.clock.now(), w.clock.now(), "UG")
	w.must(err)
	got := map[string][]credentialing.Decision{}
	for _, r := range f.Matrix {
		for _, d := range r.Answers {
			got[r.Place] = append(got[r.Place], d.Decision)
			if d.Decision == credentialing.Deny && len(d.Reasons) == 0 {
				t.Errorf("%s %s is refused without a reason", r.Place, d.Activity)
			}
		}
	}
	if ke := got["KE"]; len(ke) != 5 || slices.Contains(ke, credentialing.Deny) {
		t.Errorf("where the physician is licensed: %v", ke)
	}
	if ug := got["UG"]; len(ug) != 5 || slices.ContainsFunc(ug, func(d credentialing.Decision) bool { return d != credentialing.Deny }) {
		t.Errorf("where no pack is: %v", ug)
	}
	if de := got["DE"]; len(de) != 5 || de[4] != credentialing.Deny {
		t.Errorf("signing where not licensed: %v", de)
	}
}
