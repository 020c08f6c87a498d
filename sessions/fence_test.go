package sessions_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// quietFor tells whether nothing of a speaker came for a while up to now; locked.
func (e *ear) quietFor(speaker string, d time.Duration) bool {
	for key, at := range e.last {
		if len(key) > len(speaker) && key[len(key)-len(speaker)-1:] == " "+speaker && time.Since(at) < d {
			return false
		}
	}
	return true
}

// falls silent waits until a speaker is not heard any more and returns when the last
// packet came.
func (e *ear) fallsSilent(speaker string) time.Time {
	e.b.w.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond) // silence is no event: somebody must look
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for range ticker.C {
		e.mu.Lock()
		quiet := e.quietFor(speaker, 500*time.Millisecond)
		var last time.Time
		for key, at := range e.last {
			if key[len(key)-len(speaker):] == speaker && at.After(last) {
				last = at
			}
		}
		e.mu.Unlock()
		if quiet {
			return last
		}
		if time.Now().After(deadline) {
			e.b.w.t.Fatalf("%s still hears %s", e.b.key, speaker)
		}
	}
	panic("unreachable")
}

func TestWithdrawnConsentActsWithinTwoSeconds(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	idris, tremblay, otieno := g.idris.join("main"), g.tremblay.join("main"), g.otieno.join("main")
	floor := g.aziz.join("main")
	idris.speaks()
	otieno.speaks()
	for _, e := range []*ear{tremblay, otieno, floor} {
		e.hears(g.idris.id(), "idris")
	}
	withdrawn := time.Now()
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors["otieno"], w.caseID, w.consulting, "spoken_witnessed"))
	if took := tremblay.fallsSilent("idris").Sub(withdrawn); took > 2*time.Second {
		t.Errorf("the specialist heard the patient for %v more", took)
	}
	tremblay.hears(g.otieno.id(), "otieno") // the physicians still talk
	otieno.hears(g.idris.id(), "idris")     // and the patient is with her own
	g.tremblay.until(0, "channels", func(m message) bool {
		p, _ := m["paused"].([]any)
		return len(p) == 1 && p[0] == "consent_withdrawn"
	})
	withdrawn = time.Now()
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors["otieno"], w.caseID, w.interpreting, "spoken_witnessed"))
	if took := floor.fallsSilent("idris").Sub(withdrawn); took > 2*time.Second {
		t.Errorf("the interpreter heard the patient for %v more", took)
	}
	if code := g.aziz.do("go_live"); code != "consent_missing" {
		t.Errorf("went on air without consent: %q", code)
	}
}

func TestOnlyThePatientWhoAgreesIsRecordedAndOnlyUntilThen(t *testing.T) {
	w := newWorld(t)
	w.rooms.Close()
	m := &witness{Media: w.media}
	w.media = m
	w.start()
	g := w.gather()
	recorded := func() []sessions.Identity {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Clone(m.routes.Record)
	}
	told := func(from int, given bool) {
		t.Helper()
		g.otieno.until(from, "consent", func(c message) bool {
			items, _ := c["items"].([]any)
			return slices.ContainsFunc(items, func(v any) bool {
				i, _ := v.(map[string]any)
				return i["purpose"] == string(workspace.Recording) && i["given"] == given
			})
		})
	}
	if got := recorded(); len(got) != 0 {
		t.Errorf("recorded without consent: %v", got)
	}
	consent := got(w.cases.RecordConsent(w.ctx, w.actors["otieno"], w.caseID, workspace.ConsentRequest{
		Purpose: workspace.Recording, Giver: workspace.Giver{Kind: "patient"}, How: workspace.SpokenWitnessed, Language: "ar",
	}))(w)[0]
	told(0, true)
	if got := recorded(); !slices.Equal(got, []sessions.Identity{sessions.Identity(g.idris.id())}) {
		t.Errorf("recorded with the patient's consent: %v, want %s alone", got, g.idris.id())
	}
	from := g.otieno.mark()
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors["otieno"], w.caseID, consent, "spoken_witnessed"))
	told(from, false)
	if got := recorded(); len(got) != 0 {
		t.Errorf("recorded after the withdrawal: %v", got)
	}
}

func TestSuspensionEndsTheSpecialistsMedia(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	tremblay, otieno := g.tremblay.join("main"), g.otieno.join("main")
	otieno.speaks()
	tremblay.hears(g.otieno.id(), "otieno")
	if !w.rooms.Allowed(w.ctx, g.otieno.door.Session, w.actors["tremblay"].Person, credentialing.AdvisePhysician) {
		t.Fatal("advice is not allowed at first")
	}
	from := g.otieno.mark()
	pending, err := w.creds.ReportStatus(w.ctx, w.actors["wanjiru"], credentialing.StatusReport{Credential: w.registration,
		Status: credentialing.StatusSuspended, Source: "board alert"})
	if err != nil || pending {
		t.Fatal(pending, err)
	}
	tremblay.until("being taken out", func() bool { return tremblay.gone })
	g.otieno.until(from, "refused", func(m message) bool { return m.text("participant") == g.tremblay.id() })
	g.tremblay.until(0, "notice", func(m message) bool { return m.text("code") == "scope_ended" })
	if w.rooms.Allowed(w.ctx, g.otieno.door.Session, w.actors["tremblay"].Person, credentialing.AdvisePhysician) {
		t.Error("advice is still allowed")
	}
	if code := g.otieno.do("admit", "participant", g.tremblay.id()); code != "" {
		t.Errorf("admit again: %q", code)
	}
	g.otieno.until(from, "refused", nil)
	if n := w.count(`select count(*) from session_participant where role = 'specialist' and state = 'admitted'`); n != 0 {
		t.Error("the specialist is back in")
	}
}

func TestLossBringsTheChannelDownAndGoLiveTakesItAgain(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	idris := g.idris.join("main")
	g.idris.must("listen.set", "tag", "ar")
	booth := g.aziz.join("booth")
	stop := booth.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	idris.hears("channel:ar", "aziz")
	from, silent := g.idris.mark(), time.Now()
	stop()
	g.idris.channel(from, "ar", "down")
	if took := time.Since(silent); took > 2*time.Second {
		t.Errorf("down after %v", took)
	}
	g.idris.until(from, "notice", func(m message) bool { return m.text("code") == "channel.down" })
	if code := g.aziz.do("go_live"); code != "no_source" {
		t.Errorf("a lost leg went live: %q", code)
	}
	booth.room.Disconnect()
	from = g.aziz.mark()
	again := g.aziz.join("booth")
	again.speaks()
	g.aziz.until(from, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	g.idris.channel(from, "ar", "live")
	idris.hears("channel:ar", "aziz")
}

func TestStaleCommandsAreRefused(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	booth := g.aziz.join("booth")
	booth.speaks()
	m := g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	epoch := m["epoch"].(float64)
	if code := g.aziz.do("go_live", "expect_epoch", epoch+1); code != "stale_epoch" {
		t.Errorf("another epoch: %q", code)
	}
	g.aziz.must("go_live", "expect_epoch", epoch)
	if code := g.aziz.do("stop", "expect_epoch", epoch); code != "stale_epoch" {
		t.Errorf("the epoch before: %q", code)
	}
	if code := g.tremblay.do("go_live"); code != "forbidden" {
		t.Errorf("a specialist went live: %q", code)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'booth.live'`); n != 1 {
		t.Errorf("%d changes in the log, want 1", n)
	}
}

func TestRestartRebuildsTheSession(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	g.aziz.join("booth").speaks()
	m := g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	w.rooms.Close()
	for _, b := range []*browser{g.otieno, g.aziz} {
		<-b.conn.Done()
	}
	w.start()
	for _, b := range []*browser{g.otieno, g.idris, g.tremblay, g.aziz} {
		b.conn.Close()
		b.forget()
		b.dial() // with the ticket of the page from before
		b.until(0, "admitted", nil)
	}
	g.idris.channel(0, "ar", "down")
	again := g.aziz.until(0, "booth", nil)
	if again["epoch"].(float64) <= m["epoch"].(float64) {
		t.Errorf("epoch %v after %v", again["epoch"], m["epoch"])
	}
	from := g.aziz.mark()
	g.aziz.join("booth").speaks()
	g.aziz.until(from, "booth", func(m message) bool { return m.text("self") == "standby" })
	g.aziz.must("go_live")
	g.idris.channel(0, "ar", "live")
}

// gone tells whether a roster shows somebody without a connection.
func gone(roster message, name string) bool {
	return slices.ContainsFunc(roster["people"].([]any), func(p any) bool {
		who := p.(map[string]any)
		return who["name"] == name && who["connected"] == false
	})
}

func TestADropOutOfSecondsCostsNoScope(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	from := g.tremblay.mark()
	g.otieno.conn.Close()
	g.tremblay.until(from, "roster", func(m message) bool { return gone(m, "Dr Amina Otieno") })
	g.idris.must("place.confirm", "place", "KE") // everybody's scope is asked again
	g.tremblay.must("hand", "raised", true)
	g.tremblay.mu.Lock()
	defer g.tremblay.mu.Unlock()
	for _, m := range g.tremblay.heard[from:] {
		if m.text("code") == "scope_lost" {
			t.Errorf("told at once: %v", m)
		}
	}
}

func TestJointPartPausesWithoutTheLocalPhysician(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	from := g.tremblay.mark()
	g.otieno.conn.Close()
	g.tremblay.until(from, "roster", func(m message) bool { return gone(m, "Dr Amina Otieno") })
	w.setClock(w.clock().Add(61 * time.Second))
	g.tremblay.until(from, "notice", func(m message) bool { return m.text("code") == "local_absent" })
	g.tremblay.until(from, "scope", func(m message) bool { return m["acts"].(map[string]any)["joint_video_visit"] == false })
	from = g.tremblay.mark()
	g.otieno.dial()
	g.tremblay.until(from, "channels", func(m message) bool { return m["paused"] == nil })
}

func TestSecondPageReplacesTheFirst(t *testing.T) {
	w := newWorld(t)
	first := w.arrive("otieno")
	second := w.arrive("otieno")
	<-first.conn.Done()
	if first.conn.Err() != sessions.ErrReplaced {
		t.Errorf("the first ended with %v", first.conn.Err())
	}
	second.ready()
	second.until(0, "admitted", nil)
}

func TestSignedOutBrowserIsCutOff(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	tremblay := g.tremblay.join("main")
	w.ok(w.who.SignOut(w.ctx, w.actors["tremblay"]))
	<-g.tremblay.conn.Done()
	tremblay.until("being taken out", func() bool { return tremblay.gone })
}

func TestUnknownFramesEndTheFeed(t *testing.T) {
	w := newWorld(t)
	for _, frame := range []string{`{"type":"fly"}`, `{"type":"hand","raised":true,"raised":false}`, `{"type":"hand","extra":1}`, `[]`, `{`,
		`{"type":"lobby.check","network":"magic"}`} {
		b := w.arrive("otieno")
		b.until(0, "admitted", nil)
		_ = b.conn.Command(w.ctx, []byte(frame))
		<-b.conn.Done()
	}
}

func TestAnotherNodeDoesNotRunTheSameSession(t *testing.T) {
	w := newWorld(t)
	first := w.arrive("otieno")
	first.until(0, "admitted", nil)
	other, err := sessions.New(sessions.Config{DB: w.db, Identity: w.who, Credentialing: w.creds, Scheduling: w.visits, Workspace: w.cases, Media: w.media,
		Node: "other", Address: "http://other.internal"})
	w.ok(err)
	defer other.Close()
	_, err = other.Connect(w.ctx, w.actors["otieno"], first.door.Session, func([]byte) error { return nil })
	var elsewhere *sessions.Elsewhere
	if !errors.As(err, &elsewhere) {
		t.Fatalf("the other node got %v", err)
	}
	w.rooms.Close() // gives the lease up
	c, err := other.Connect(w.ctx, w.actors["otieno"], first.door.Session, func([]byte) error { return nil })
	w.ok(err)
	c.Close()
}

func TestNodeThatLostTheLeaseStops(t *testing.T) {
	w := newWorld(t)
	b := w.arrive("otieno")
	b.until(0, "admitted", nil)
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	_, err = conn.Exec(w.ctx, `update session_lease set node = 'other', epoch = epoch + 1, until = until + interval '1 hour'`)
	w.ok(err)
	_ = b.conn.Command(w.ctx, []byte(`{"type":"lobby.check","audio":true,"video":false,"network":"poor"}`))
	<-b.conn.Done()
	if n := w.count(`select count(*) from session_participant where checked_at is not null`); n != 0 {
		t.Error("a node without the lease wrote")
	}
}

// TestScopeThatEndsByTheClockActsAtItsEnd: nothing is recorded at the instant itself; the
// room wakes by its own clock.
func TestScopeThatEndsByTheClockActsAtItsEnd(t *testing.T) {
	w := newWorld(t)
	g := w.gather()
	tremblay, otieno := g.tremblay.join("main"), g.otieno.join("main")
	otieno.speaks()
	tremblay.hears(g.otieno.id(), "otieno")
	ends := w.clock().Add(3 * time.Second)
	pending, err := w.creds.ReportStatus(w.ctx, w.actors["wanjiru"], credentialing.StatusReport{Credential: w.registration,
		Status: credentialing.StatusSuspended, From: ends, Source: "board alert, ahead of its day"})
	if err != nil || pending {
		t.Fatal(pending, err)
	}
	if !w.rooms.Allowed(w.ctx, g.otieno.door.Session, w.actors["tremblay"].Person, credentialing.AdvisePhysician) && w.clock().Before(ends) {
		t.Error("advice is refused before the end")
	}
	tremblay.until("being taken out", func() bool { return tremblay.gone })
	if late := w.clock().Sub(ends); late < 0 || late > 30*time.Second {
		t.Errorf("taken out %v after the end", late)
	}
	if w.rooms.Allowed(w.ctx, g.otieno.door.Session, w.actors["tremblay"].Person, credentialing.AdvisePhysician) {
		t.Error("advice is still allowed")
	}
}
