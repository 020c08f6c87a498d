package credentialing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func TestSpecialistStatesOnceAYearWhereTheySit(t *testing.T) {
	w := newWorld(t)
	home := w.onFile(license(w.weber, "DE", "DE-1", credentialing.Moment{}))
	state := func(actor identity.Actor, place string) error {
		return w.s.SignAttestation(t.Context(), actor, credentialing.Attestation{Kind: "own-place", TextVersion: "own-place/1", Text: "allowed", Language: "en", Place: place})
	}
	of := func(actor identity.Actor, place string) credentialing.OwnPlaceState {
		t.Helper()
		list, err := w.s.OwnPlaces(t.Context(), actor)
		w.must(err)
		for _, o := range list {
			if o.Person == w.weber.Person && o.Place == place {
				return o
			}
		}
		return credentialing.OwnPlaceState{}
	}
	if o := of(w.grace, "DE"); !o.Home || !o.SignedAt.IsZero() || o.InOrder(w.clock.now()) || o.License != home.Credential || o.Fault != "" || o.Covered != "not-covered" {
		t.Errorf("before: %+v", o)
	}
	for _, bad := range []string{"", "XQ", "Berlin", "X-IMLC"} {
		if err := state(w.weber, bad); !errors.Is(err, credentialing.ErrInvalid) {
			t.Errorf("place %q: %v", bad, err)
		}
	}
	if err := w.s.SignAttestation(t.Context(), w.weber, credentialing.Attestation{Kind: "confidentiality", TextVersion: "1", Text: "x", Place: "DE"}); !errors.Is(err, credentialing.ErrInvalid) {
		t.Errorf("a place of another statement: %v", err)
	}
	w.must(state(w.weber, "DE"))
	w.must(state(w.weber, "PT")) // travels
	if o := of(w.weber, "DE"); !o.InOrder(w.clock.now()) || !o.Until.Equal(start.AddDate(1, 0, 0)) {
		t.Errorf("stated: %+v", o)
	}
	if o := of(w.weber, "PT"); o.Home || o.Fault != "none" || !o.InOrder(w.clock.now()) {
		t.Errorf("abroad: %+v", o)
	}
	if o := of(w.otieno, "DE"); o.Person != "" {
		t.Error("a colleague sees it")
	}
	if _, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: home.Credential, Status: credentialing.StatusSuspended, Source: "council"}); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Minute)
	if o := of(w.grace, "DE"); o.InOrder(w.clock.now()) || o.Fault != "suspended" {
		t.Errorf("home license suspended: %+v", o)
	}
	w.clock.move(366 * 24 * time.Hour)
	if o := of(w.grace, "PT"); o.InOrder(w.clock.now()) || o.Stated(w.clock.now()) {
		t.Errorf("after a year: %+v", o)
	}
	w.must(state(w.weber, "PT"))
	if o := of(w.grace, "PT"); !o.Stated(w.clock.now()) {
		t.Errorf("stated again: %+v", o)
	}
}
