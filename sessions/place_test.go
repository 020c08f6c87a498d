package sessions_test

import (
	"testing"

	"github.com/consilium-health/consilium/credentialing"
)

// TestPatientElsewhereOpensDirectCareToWhoIsLicensedThere: the joint visit was booked
// for Kenya; in California, where Prof. Tremblay holds a license here, she may treat the
// patient alone, and what rested on Kenya falls away.
func TestPatientElsewhereOpensDirectCareToWhoIsLicensedThere(t *testing.T) {
	w := newWorld(t)
	years := credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1)}
	w.hold("tremblay", credentialing.KindLicense, "US-CA", "DEMO-CA-0001", years)
	years.Territories, years.Currency, years.PerClaim, years.Aggregate = []string{"US"}, "USD", 1_000_000, 3_000_000
	w.hold("tremblay", credentialing.KindMalpractice, "", "DEMO-C-2", years)
	g := w.gather()
	acts := func(from int, ok func(acts map[string]any) bool) map[string]any {
		t.Helper()
		return g.tremblay.until(from, "scope", func(m message) bool {
			acts, is := m["acts"].(map[string]any)
			return is && ok(acts)
		})["acts"].(map[string]any)
	}
	kenya := acts(0, func(acts map[string]any) bool { return acts["joint_video_visit"] == true })
	if kenya["direct_consult"] != false || kenya["prescribe_or_order"] != false {
		t.Errorf("in Kenya %v", kenya)
	}
	from := g.tremblay.mark()
	g.idris.must("place.confirm", "place", "US-CA")
	california := acts(from, func(acts map[string]any) bool { return acts["direct_consult"] == true })
	for act, want := range map[string]bool{"advise_physician": false, "joint_video_visit": false, "prescribe_or_order": true, "prescribe_controlled": false} {
		if california[act] != want {
			t.Errorf("in California %s is %v, want %v", act, california[act], want)
		}
	}
	tremblay := w.actors["tremblay"].Person
	if !w.rooms.Allowed(w.ctx, g.otieno.door.Session, tremblay, credentialing.DirectConsult) {
		t.Error("the fence does not allow what the room shows")
	}
	// Dr Otieno is licensed in Kenya: what she signs would be for California.
	if n := w.count(`select count(*) from determination where person_id = $1 and activity = 'sign_decision' and decision = 'deny' and answer like '%US-CA%'`,
		string(w.actors["otieno"].Person)); n != 1 {
		t.Errorf("%d refusals of a signature for California, want 1", n)
	}
	from = g.tremblay.mark()
	g.idris.must("place.confirm", "place", "KE")
	acts(from, func(acts map[string]any) bool {
		return acts["joint_video_visit"] == true && acts["direct_consult"] == false
	})
}

// TestDeviceCheckStaysWithTheBooking: the clinic reads what was found at the door, the
// specialist of another clinic only about herself.
func TestDeviceCheckStaysWithTheBooking(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	g.idris.must("lobby.check", "audio", true, "video", false, "network", "poor")
	checks := got(w.rooms.Checks(w.ctx, w.actors["otieno"], w.visit.ID))(w)
	idris := checks[w.actors["idris"].Person]
	if !idris.Audio || idris.Video || idris.Network != "poor" || idris.At.IsZero() {
		t.Errorf("found %+v", idris)
	}
	if len(checks) != 4 {
		t.Errorf("%d checks, want those of four people", len(checks))
	}
	checks = got(w.rooms.Checks(w.ctx, w.actors["tremblay"], w.visit.ID))(w)
	if _, own := checks[w.actors["tremblay"].Person]; len(checks) > 1 || len(checks) == 1 && !own {
		t.Errorf("another clinic's specialist reads %v", checks)
	}
	if checks = got(w.rooms.Checks(w.ctx, w.actors["aziz"], w.visit.ID))(w); len(checks) > 1 {
		t.Errorf("the interpreter reads %v", checks)
	}
}
