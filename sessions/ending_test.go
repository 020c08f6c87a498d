package sessions_test

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
)

// closes is long enough before the end of what is watched that nothing of the test's own
// making runs into it, and far shorter than the minute in which the fence would look again
// anyway. What waits for the end waits no longer than patience after it.
const closes = 4 * time.Second

// shows publishes a screen; the error says that it may not.
func (e *ear) shows() error {
	e.b.w.t.Helper()
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000})
	if err != nil {
		e.b.w.t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	_, err = e.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "screen", Source: livekit.TrackSource_SCREEN_SHARE})
	return err
}

// mayShow tells whether the engine has told the person that they may show a screen.
func (e *ear) mayShow() bool {
	p := e.room.LocalParticipant.Permissions()
	if p == nil || !p.CanPublish {
		return false
	}
	for _, s := range p.CanPublishSources {
		if s == livekit.TrackSource_SCREEN_SHARE {
			return true
		}
	}
	return len(p.CanPublishSources) == 0
}

// untilMayNotShow waits until the engine has told the person that they may show no screen.
func (e *ear) untilMayNotShow() {
	e.b.w.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond) // the client tells of no such event: somebody must look
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for range ticker.C {
		if !e.mayShow() {
			return
		}
		if time.Now().After(deadline) {
			e.b.w.t.Fatalf("the engine still lets %s show a screen", e.b.key)
		}
	}
}

// scopeWithout waits until a specialist's page shows that they may do nothing any more.
func (b *browser) scopeWithout(from int) {
	b.w.t.Helper()
	b.until(from, "scope", func(m message) bool {
		for _, yes := range m["acts"].(map[string]any) {
			if yes == true {
				return false
			}
		}
		return true
	})
}

// sees waits until a page shows, after a mark, that somebody is not inside any more.
func (b *browser) sees(from int, gone string) {
	b.w.t.Helper()
	b.until(from, "roster", func(m message) bool {
		for _, p := range m["people"].([]any) {
			if message(p.(map[string]any)).text("participant") == gone {
				return false
			}
		}
		return true
	})
}

// TestPermissionThatEndsMidSessionClosesTheActsThenTheMedia: the registration of the
// patient's place ends by its own date, in the middle of the visit. Nothing is recorded at
// that instant.
func TestPermissionThatEndsMidSessionClosesTheActsThenTheMedia(t *testing.T) {
	w := newWorld(t)
	ends := w.clock().Add(10 * time.Minute).Truncate(time.Second)
	w.hold("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2020, 1, 1),
		ValidTo: credentialing.Instant(ends), Facility: string(w.nairobi), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	g := w.gather()
	tremblay, otieno := g.tremblay.join("main"), g.otieno.join("main")
	tremblay.speaks()
	otieno.hears(g.tremblay.id(), "tremblay")
	person := w.actors["tremblay"].Person
	for _, act := range []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit} {
		if !w.rooms.Allowed(w.ctx, g.otieno.door.Session, person, act) {
			t.Fatalf("%s is not allowed at first", act)
		}
	}
	if code := g.tremblay.do("chat.say", "room", "main", "text", "Close it."); code != "" {
		t.Fatalf("advice in writing at first: %q", code)
	}
	if !tremblay.mayShow() {
		t.Fatal("a specialist may not show a screen at first")
	}
	from, door := g.tremblay.mark(), g.otieno.mark()
	w.setClock(ends.Add(-closes))
	g.tremblay.scopeWithout(from)
	if w.clock().Before(ends) {
		t.Errorf("closed %v before the end", ends.Sub(w.clock()))
	}
	g.tremblay.until(from, "notice", func(m message) bool { return m.text("code") == "scope_lost" })
	g.otieno.until(door, "refused", func(m message) bool { return m.text("participant") == g.tremblay.id() })
	for _, act := range []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit} {
		if w.rooms.Allowed(w.ctx, g.otieno.door.Session, person, act) {
			t.Errorf("%s is still allowed", act)
		}
	}
	if code := g.tremblay.do("chat.say", "room", "aside", "text", "One more thing."); code != "scope_lost" {
		t.Errorf("advice in writing afterwards: %q", code)
	}
	tremblay.untilMayNotShow()
	if n := w.count(`select count(*) from audit_leaf where act = 'session.scope_changed'`); n != 1 {
		t.Errorf("%d changes of scope in the log, want 1", n)
	}
	// The conversation may be brought to a close for two minutes; then the media ends.
	otieno.hears(g.tremblay.id(), "tremblay")
	w.setClock(w.clock().Add(2 * time.Minute))
	tremblay.until("being taken out", func() bool { return tremblay.gone })
	g.tremblay.until(from, "notice", func(m message) bool { return m.text("code") == "scope_ended" })
}

// TestPermissionRenewedInTimeToCloseOpensTheActsAgain: good news counts when two people
// have seen it, and then the tools come back.
func TestPermissionRenewedInTimeToCloseOpensTheActsAgain(t *testing.T) {
	w := newWorld(t)
	ends := w.clock().Add(10 * time.Minute).Truncate(time.Second)
	short := credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Instant(ends), Facility: string(w.nairobi),
		Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}}
	w.hold("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", short)
	g := w.gather()
	tremblay := g.tremblay.join("main")
	from := g.tremblay.mark()
	w.setClock(ends.Add(-closes))
	g.tremblay.scopeWithout(from)
	from = g.tremblay.mark()
	long := short
	long.ValidTo = credentialing.Date(2029, 1, 1)
	w.hold("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", long)
	g.tremblay.until(from, "scope", func(m message) bool { return m["acts"].(map[string]any)["joint_video_visit"] == true })
	g.tremblay.must("chat.say", "room", "aside", "text", "Renewed.")
	if err := tremblay.shows(); err != nil {
		t.Errorf("a screen afterwards: %v", err)
	}
}

// grant gives a role until an instant, in the place of the open one.
func (w *world) grant(key string, org identity.OrganizationID, role identity.Role, until time.Time) {
	w.t.Helper()
	system := identity.System("seed", "")
	var open []string
	w.ok(w.db.Read(w.ctx, audit.Scope{}, func(tx *audit.Tx) error {
		grants, err := w.who.RolesOfTx(w.ctx, tx, w.actors[key].Person)
		for _, g := range grants {
			if g.Role == role && g.Organization == org {
				open = append(open, g.ID)
			}
		}
		return err
	}))
	for _, id := range open {
		w.ok(w.who.EndGrant(w.ctx, system, id))
	}
	if !until.IsZero() {
		got(w.who.AddGrant(w.ctx, system, w.actors[key].Person, identity.Grant{Organization: org, Role: role, From: w.clock(), Until: until}))(w)
	}
}

// TestRoleThatEndsByTheClockEndsThePartInTheConsultation in each role: the specialist
// closes, the interpreter and the coordinator are out.
func TestRoleThatEndsByTheClockEndsThePartInTheConsultation(t *testing.T) {
	w := newWorld(t)
	ends := w.clock().Add(10 * time.Minute)
	w.grant("tremblay", w.toronto, identity.RoleSpecialist, ends)
	w.grant("aziz", w.agency, identity.RoleInterpreter, ends)
	w.grant("mwangi", w.nairobi, identity.RoleCoordinator, ends)
	token := got(w.who.SignInDemo(w.ctx, w.actors["mwangi"].Person))(w)
	var err error
	w.actors["mwangi"], _, err = w.who.Authenticate(w.ctx, token)
	w.ok(err)
	g := w.gather()
	mwangi := w.arrive("mwangi").ready()
	mwangi.until(0, "admitted", nil)
	tremblay, idris := g.tremblay.join("main"), g.idris.join("main")
	booth := g.aziz.join("booth")
	booth.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	idris.hears("channel:ar", "aziz")
	special, voice, desk, led, heard := g.tremblay.mark(), g.aziz.mark(), mwangi.mark(), g.otieno.mark(), g.idris.mark()
	w.setClock(ends.Add(-closes))
	g.tremblay.scopeWithout(special)
	g.tremblay.until(special, "scope", func(m message) bool {
		s, _ := m["sentences"].([]any)
		return len(s) > 0 && message(s[0].(map[string]any)).text("message_id") == "room.code.role_ended"
	})
	for b, from := range map[*browser]int{g.aziz: voice, mwangi: desk} {
		b.until(from, "notice", func(m message) bool { return m.text("code") == "role_ended" })
		b.until(from, "welcome", func(m message) bool { return m.text("self", "state") == "lobby" })
	}
	booth.until("being taken out", func() bool { return booth.gone })
	g.idris.channel(heard, "ar", "down")
	for _, b := range []*browser{g.tremblay, g.aziz, mwangi} {
		g.otieno.until(led, "refused", func(m message) bool { return m.text("participant") == b.id() && m.text("code") == "role_ended" })
	}
	if code := g.tremblay.do("chat.say", "room", "aside", "text", "Still here."); code != "role_ended" {
		t.Errorf("advice in writing afterwards: %q", code)
	}
	if w.rooms.Allowed(w.ctx, g.otieno.door.Session, w.actors["tremblay"].Person, credentialing.AdvisePhysician) {
		t.Error("advice is still allowed")
	}
	if code := mwangi.do("admit", "participant", g.aziz.id()); code != "forbidden" {
		t.Errorf("a coordinator without the role lets somebody in: %q", code)
	}
	led = g.otieno.mark()
	g.otieno.must("admit", "participant", g.aziz.id())
	g.otieno.until(led, "refused", func(m message) bool { return m.text("code") == "role_ended" })
	w.setClock(w.clock().Add(2 * time.Minute))
	tremblay.until("being taken out", func() bool { return tremblay.gone })
}

// TestRoleOfTheLocalPhysicianEndsWithTheirLead: whose role was ended by hand leads nothing
// any more, may close the conversation, and is out.
func TestRoleOfTheLocalPhysicianEndsWithTheirLead(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	otieno := g.otieno.join("main")
	from := g.otieno.mark()
	seen := g.idris.mark()
	w.grant("otieno", w.nairobi, identity.RoleLocalPhysician, time.Time{})
	g.otieno.until(from, "notice", func(m message) bool { return m.text("code") == "scope_lost" })
	for _, cmd := range []string{"remove", "back_to_lobby", "decline"} {
		if code := g.otieno.do(cmd, "participant", g.tremblay.id()); code != "role_ended" {
			t.Errorf("%s afterwards: %q", cmd, code)
		}
	}
	if code := g.otieno.do("end"); code != "role_ended" {
		t.Errorf("end afterwards: %q", code)
	}
	w.setClock(w.clock().Add(2 * time.Minute))
	otieno.until("being taken out", func() bool { return otieno.gone })
	g.idris.sees(seen, g.otieno.id())
}

// TestSuspensionEnteredNowReachesEachPartOfTheSession: the specialist's license and the
// interpreter's certificate, reported by one officer, act at once.
func TestSuspensionEnteredNowReachesEachPartOfTheSession(t *testing.T) {
	w := newWorld(t)
	certificate := w.hold("aziz", credentialing.KindInterpreter, "", "DEMO-I-1", credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1),
		Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}})
	g := w.gather()
	tremblay := g.tremblay.join("main")
	booth := g.aziz.join("booth")
	special, voice, led := g.tremblay.mark(), g.aziz.mark(), g.otieno.mark()
	report := func(c credentialing.CredentialID) {
		t.Helper()
		if pending, err := w.creds.ReportStatus(w.ctx, w.actors["wanjiru"], credentialing.StatusReport{Credential: c, Status: credentialing.StatusSuspended, Source: "board alert"}); err != nil || pending {
			t.Fatal(pending, err)
		}
	}
	report(certificate)
	booth.until("being taken out", func() bool { return booth.gone })
	g.aziz.until(voice, "notice", func(m message) bool { return m.text("code") == "certificate_lost" })
	g.otieno.until(led, "refused", func(m message) bool {
		return m.text("participant") == g.aziz.id() && m.text("code") == "certificate_lost"
	})
	report(w.registration)
	tremblay.until("being taken out", func() bool { return tremblay.gone })
	g.tremblay.until(special, "notice", func(m message) bool { return m.text("code") == "scope_ended" })
	if code := g.tremblay.do("chat.say", "room", "aside", "text", "Once more."); code != "forbidden" {
		t.Errorf("advice in writing from the waiting room: %q", code)
	}
}

// TestCertificateThatOnlyEndsStopsTheNextSession: an interpreter in the middle of a
// sentence is not cut off by a date.
func TestCertificateThatOnlyEndsStopsTheNextSession(t *testing.T) {
	w := newWorld(t)
	ends := w.clock().Add(10 * time.Minute).Truncate(time.Second)
	w.hold("aziz", credentialing.KindInterpreter, "", "DEMO-I-1", credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Instant(ends),
		Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}})
	w.hold("tremblay", credentialing.KindRegistration, "KE", "DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2020, 1, 1),
		ValidTo: credentialing.Instant(ends), Facility: string(w.nairobi), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	g := w.gather()
	from := g.tremblay.mark()
	w.setClock(ends.Add(-closes))
	g.tremblay.scopeWithout(from) // by then the fence has looked at everybody
	g.aziz.must("hand", "raised", true)
	if n := w.count(`select count(*) from session_participant where role = $1 and state = $2`, string(scheduling.RoleInterpreter), string(sessions.Admitted)); n != 1 {
		t.Error("the interpreter is out")
	}
}
