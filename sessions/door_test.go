package sessions_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/sessions"
)

func TestDoorOpensFifteenMinutesBefore(t *testing.T) {
	w := newWorld(t)
	w.setClock(w.visit.StartAt.Add(-16 * time.Minute))
	d := got(w.rooms.OpenDoor(w.ctx, w.actors["tremblay"], w.visit.ID))(w)
	if d.State != sessions.DoorEarly || d.Session != "" || d.Ticket != "" {
		t.Errorf("too early: %+v", d)
	}
	w.setClock(w.visit.StartAt.Add(-14 * time.Minute))
	d = got(w.rooms.OpenDoor(w.ctx, w.actors["tremblay"], w.visit.ID))(w)
	if d.State != sessions.DoorLobby || d.Session == "" || d.Ticket == "" || d.Name != "Prof. Claire Tremblay" {
		t.Errorf("in time: %+v", d)
	}
	w.setClock(w.visit.End().Add(61 * time.Minute))
	if d = got(w.rooms.OpenDoor(w.ctx, w.actors["tremblay"], w.visit.ID))(w); d.State != sessions.DoorEnded {
		t.Errorf("an hour after: %+v", d)
	}
}

func TestDoorIsNotFoundByStrangers(t *testing.T) {
	w := newWorld(t)
	b := w.arrive("otieno")
	if _, err := w.rooms.OpenDoor(w.ctx, w.actors["stranger"], w.visit.ID); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("door: %v, want ErrNotFound", err)
	}
	if _, err := w.rooms.Connect(w.ctx, w.actors["stranger"], b.door.Session, func([]byte) error { return nil }); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("feed: %v, want ErrNotFound", err)
	}
	guest := w.actors["idris"]
	guest.Seat = string(w.seat("aziz").ID)
	if _, err := w.rooms.OpenDoor(w.ctx, guest, w.visit.ID); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("a guest at another's seat: %v, want ErrNotFound", err)
	}
}

func TestFeedNeedsTheTicketOfTheOwnPage(t *testing.T) {
	w := newWorld(t)
	b := w.arrive("tremblay")
	c := got(w.rooms.Connect(w.ctx, w.actors["otieno"], b.door.Session, func([]byte) error { return nil }))(w)
	defer c.Close()
	if err := c.Command(w.ctx, []byte(`{"type":"hello","ticket":"`+b.door.Ticket+`","version":1}`)); !errors.Is(err, sessions.ErrTicket) {
		t.Errorf("with another's ticket: %v, want ErrTicket", err)
	}
}

func TestNothingOfTheRoomBeforeAdmission(t *testing.T) {
	w := newWorld(t)
	otieno := w.arrive("otieno").ready()
	otieno.until(0, "admitted", nil)
	tremblay := w.arrive("tremblay").ready()
	otieno.until(0, "lobby", func(m message) bool { return len(m["waiting"].([]any)) == 1 })
	for _, kind := range []string{"roster", "channels", "admitted", "lobby", "scope", "consent", "chat", "booth"} {
		if tremblay.heardOf(kind) {
			t.Errorf("%s reached the lobby", kind)
		}
	}
	for _, kind := range []string{"admit", "listen.set", "chat.say", "go_live", "end", "ticket.renew", "hand"} {
		if code := tremblay.do(kind, "participant", tremblay.id(), "text", "hello", "tag", "ar"); code != "forbidden" {
			t.Errorf("%s from the lobby: %q, want forbidden", kind, code)
		}
	}
}

func TestMainAppointmentGathers(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	roster := g.tremblay.until(0, "roster", func(m message) bool { return len(m["people"].([]any)) == 4 })
	for _, p := range roster["people"].([]any) {
		one := message(p.(map[string]any))
		if one.text("role") == "local_physician" && (one["host"] != true || one.text("organization") != "Jacaranda Hill Hospital") {
			t.Errorf("host %v", one)
		}
	}
	a := g.aziz.until(0, "admitted", nil)
	if a.text("media", "main", "token") == "" || a.text("media", "booth", "token") == "" {
		t.Errorf("interpreter's tickets: %v", a)
	}
	if p := g.idris.until(0, "admitted", nil); p.text("media", "main", "token") == "" || p.text("media", "booth", "token") != "" {
		t.Errorf("patient's tickets: %v", p)
	}
	scope := g.tremblay.until(0, "scope", nil)
	acts := scope["acts"].(map[string]any)
	if acts["joint_video_visit"] != true || acts["advise_physician"] != true || acts["prescribe_or_order"] != false {
		t.Errorf("acts %v", acts)
	}
	if len(scope["sentences"].([]any)) == 0 {
		t.Error("the scope says nothing")
	}
	if n := w.count(`select count(*) from appointment where id = $1 and state = 'in_progress'`, string(w.visit.ID)); n != 1 {
		t.Error("the appointment is not in progress")
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'session.admitted'`); n != 4 {
		t.Errorf("%d admissions in the log, want 4", n)
	}
	// R2: the tickets of both clinicians rest on determinations of this hour.
	if n := w.count(`select count(*) from session_participant p join determination d on d.id = p.determination_id and d.person_id = p.person_id
		where p.state = 'admitted' and d.mode = 'act' and d.decision <> 'deny'`); n != 2 {
		t.Errorf("%d admissions rest on a determination, want 2", n)
	}
}

func TestKampalaStopsTheJointVisit(t *testing.T) {
	w := newWorld(t)
	otieno := w.arrive("otieno").ready()
	otieno.until(0, "admitted", nil)
	idris := w.arrive("idris").ready()
	idris.must("place.confirm", "place", "UG")
	tremblay := w.arrive("tremblay").ready()
	from := otieno.mark()
	otieno.must("admit", "participant", tremblay.id())
	r := otieno.until(from, "refused", func(m message) bool { return m.text("participant") == tremblay.id() })
	if r.text("code") != "no-pack:UG" || r.text("message_id") != "scope.no_pack" {
		t.Errorf("the local physician sees %v", r)
	}
	tremblay.until(0, "refused", nil)
	if tremblay.heardOf("admitted") || tremblay.heardOf("roster") {
		t.Error("the specialist came in")
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'session.refused' and convert_from(data, 'utf8') like '%no-pack:UG%'`); n != 1 {
		t.Errorf("%d refusals in the log, want 1", n)
	}
}

func TestPlaceSaidLaterEndsTheSpecialistsScope(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	from, seen := g.otieno.mark(), g.tremblay.mark()
	g.idris.must("place.confirm", "place", "UG")
	g.otieno.until(from, "refused", func(m message) bool {
		return m.text("code") == "no-pack:UG" && m.text("participant") == g.tremblay.id()
	})
	acts := g.tremblay.until(seen, "scope", nil)["acts"].(map[string]any)
	for act, allowed := range acts {
		if allowed == true {
			t.Errorf("%s is still allowed", act)
		}
	}
}

func TestInterpreterChecksInFirst(t *testing.T) {
	w := newWorld(t)
	otieno := w.arrive("otieno").ready()
	aziz := w.arrive("aziz")
	from := otieno.mark()
	otieno.must("admit", "participant", aziz.id())
	if r := otieno.until(from, "refused", nil); r.text("code") != "not_checked_in" {
		t.Errorf("refused with %v", r)
	}
	aziz.ready()
	otieno.must("admit", "participant", aziz.id())
	aziz.until(0, "admitted", nil)
}

func TestPatientIsRefusedNeutrally(t *testing.T) {
	w := newWorld(t)
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors["otieno"], w.caseID, w.consulting, "spoken_witnessed"))
	otieno := w.arrive("otieno").ready()
	idris := w.arrive("idris").ready()
	idris.must("place.confirm", "place", "KE")
	from := otieno.mark()
	otieno.must("admit", "participant", idris.id())
	if r := otieno.until(from, "refused", nil); r.text("code") != "consent_missing" {
		t.Errorf("host sees %v", r)
	}
	if r := idris.until(0, "refused", nil); r.text("code") != "not_now" {
		t.Errorf("patient sees %v", r)
	}
}

func TestCoordinatorHostsTheLobbyAndHearsNothing(t *testing.T) {
	w := newWorld(t)
	mwangi := w.arrive("mwangi").ready()
	mwangi.until(0, "admitted", nil)
	idris := w.arrive("idris").ready()
	idris.must("place.confirm", "place", "KE")
	mwangi.until(0, "lobby", func(m message) bool { return strings.Contains(string(mustJSON(t, m)), idris.id()) })
	mwangi.must("admit", "participant", idris.id())
	idris.until(0, "admitted", nil)
	if code := mwangi.do("chat.say", "text", "hello"); code != "forbidden" {
		t.Errorf("the coordinator spoke in the chat: %q", code)
	}
}

func TestRemovedStaysOutUntilLetBack(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	g.otieno.must("remove", "participant", g.tremblay.id())
	g.tremblay.until(0, "removed", nil)
	again := w.arrive("tremblay")
	again.until(0, "removed", nil)
	if again.heardOf("admitted") || again.heardOf("roster") {
		t.Error("came back in")
	}
	g.otieno.must("back_to_lobby", "participant", g.tremblay.id())
	from := again.mark()
	g.otieno.must("admit", "participant", g.tremblay.id())
	again.until(from, "admitted", nil)
}

func TestEndByHostFulfillsTheAppointment(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	if code := g.tremblay.do("end"); code != "forbidden" {
		t.Errorf("the specialist ended it: %q", code)
	}
	if err := g.otieno.conn.Command(w.ctx, []byte(`{"type":"end"}`)); err != nil && !errors.Is(err, sessions.ErrStopped) {
		t.Fatal(err)
	}
	for _, b := range []*browser{g.otieno, g.idris, g.tremblay, g.aziz} {
		b.until(0, "ended", nil)
		<-b.conn.Done()
		if !errors.Is(b.conn.Err(), sessions.ErrEnded) {
			t.Errorf("%s ended with %v", b.key, b.conn.Err())
		}
	}
	if n := w.count(`select count(*) from appointment where id = $1 and state = 'fulfilled'`, string(w.visit.ID)); n != 1 {
		t.Error("the appointment is not fulfilled")
	}
	if d := got(w.rooms.OpenDoor(w.ctx, w.actors["idris"], w.visit.ID))(w); d.State != sessions.DoorEnded {
		t.Errorf("the door afterwards: %+v", d)
	}
}

func TestChatIsAMessageOfTheCase(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	g.tremblay.must("chat.say", "room", "main", "text", "Bonjour à tous", "language", "fr")
	for _, b := range []*browser{g.otieno, g.idris, g.aziz} {
		if m := b.until(0, "chat", nil); m.text("text") != "Bonjour à tous" || m.text("from") != g.tremblay.id() || m.text("language") != "fr" {
			t.Errorf("%s reads %v", b.key, m)
		}
	}
	g.otieno.must("chat.say", "room", "aside", "text", "between us")
	g.tremblay.until(0, "chat", func(m message) bool { return m.text("room") == "aside" })
	if code := g.idris.do("chat.say", "room", "aside", "text", "me too"); code != "forbidden" {
		t.Errorf("the patient spoke aside: %q", code)
	}
	g.idris.mu.Lock()
	for _, m := range g.idris.heard {
		if m.text("room") == "aside" {
			t.Errorf("the patient read %v", m)
		}
	}
	g.idris.mu.Unlock()
	if n := w.count(`select count(*) from case_message where case_id = $1 and session_id is not null`, string(w.caseID)); n != 2 {
		t.Errorf("%d messages kept, want 2", n)
	}
}
