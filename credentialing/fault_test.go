package credentialing_test

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-health/consilium/credentialing"
)

// TestReasonsNameTheirCredential asks for a time after a registration has ended: the
// answer's reasons lead to which one it is, and until when it holds.
func TestReasonsNameTheirCredential(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	ask := w.ask(w.tremblay, credentialing.JointVideoVisit)
	ask.At = time.Date(2027, 6, 2, 9, 0, 0, 0, time.UTC) // it ends on 31 May
	w.clock.move(ask.At.AddDate(0, 0, -20).Sub(w.clock.now()))
	w.checkExclusions(w.otieno, w.tremblay)
	d := w.determine(ask)
	code := "credential:" + string(reg.Credential) + ":expired"
	if d.Allowed() || !slices.Contains(d.Reasons, code) {
		t.Fatalf("%s: %v", d.Decision, d.Reasons)
	}
	codes := append([]string{"credential:019b0000-0000-7000-8000-000000000000:expired", "credential:", "forbid:KE-002"}, d.Reasons...)
	faults, err := w.s.Faults(t.Context(), codes)
	w.must(err)
	i := slices.IndexFunc(faults, func(f credentialing.Fault) bool { return f.Code == code })
	if i < 0 {
		t.Fatalf("not among %+v", faults)
	}
	got := faults[i]
	got.NextDue, got.Since = time.Time{}, time.Time{}
	want := credentialing.Fault{Code: code, What: "expired", Credential: reg.Credential, Person: w.tremblay.Person, Kind: credentialing.KindRegistration,
		Issuer: "regulator of KE", Number: "DEMO-KE-T001", Jurisdiction: "KE",
		ValidFrom: credentialing.Date(2026, 6, 1), ValidTo: credentialing.Date(2027, 5, 31)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b credentialing.Moment) bool { return a.String() == b.String() })); diff != "" {
		t.Error(diff)
	}
	for _, f := range faults {
		if !slices.Contains(d.Reasons, f.Code) {
			t.Errorf("%s is nobody's", f.Code)
		}
	}
}

// TestDeterminationNamesTheEvidenceItRestsOn: the stored facts hold the hash of the
// file that was verified, and a replay agrees with it.
func TestDeterminationNamesTheEvidenceItRestsOn(t *testing.T) {
	w := newWorld(t)
	w.cast()
	e, sum := w.enter(license(w.kamau, "KE", "DEMO-KE-0002", credentialing.Date(2028, 1, 1)))
	w.must(w.s.Approve(t.Context(), w.samuel, w.verify(e, sum, "primary-source")))
	d := w.determine(w.ask(w.kamau, credentialing.AdvisePhysician))
	stored, differs, err := w.s.Check(t.Context(), w.grace, d.ID)
	w.must(err)
	if differs != nil {
		t.Error(differs)
	}
	grounds, err := stored.Grounds()
	w.must(err)
	i := slices.IndexFunc(grounds, func(h credentialing.Held) bool { return h.ID == string(e.Credential) })
	if i < 0 {
		t.Fatalf("not among %+v", grounds)
	}
	if got := grounds[i].Verified; got == nil || got.Evidence != hex.EncodeToString(sum[:]) {
		t.Errorf("got %+v, want evidence %x", got, sum)
	}
}
