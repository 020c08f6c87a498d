package sessions_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
)

// pivot seats an interpreter of another pair than the visit's.
func (w *world) pivot(name, key string, pair [2]string) {
	w.t.Helper()
	w.second(name, key)
	w.hold(key, credentialing.KindInterpreter, "", "DEMO-P-"+key, credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1),
		Pair: pair[:], Modes: []string{"simultaneous", "consecutive"}})
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	_, err = conn.Exec(w.ctx, `
		update seat
		set pair = $1
		where appointment_id = $2
			and person_id = $3`, pair[:], string(w.visit.ID), string(w.actors[key].Person))
	w.ok(err)
}

// input waits until the feed shows an interpreter what they hear.
func (b *browser) input(from int, kind, tag string) message {
	b.w.t.Helper()
	return b.until(from, "booth", func(m message) bool { return m.text("input", "kind") == kind && m.text("input", "tag") == tag })
}

// TestRelayTakerHearsThePivotAndTheListenerTheTaker: Arabic on the floor, German in
// Toronto, English between two interpreters.
func TestRelayTakerHearsThePivotAndTheListenerTheTaker(t *testing.T) {
	w := newWorld(t)
	w.pivot("Matthias Krueger", "krueger", [2]string{"de", "en"})
	g := w.gather()
	krueger := w.arrive("krueger").ready()
	g.otieno.must("admit", "participant", krueger.id())
	krueger.until(0, "admitted", nil)
	g.otieno.must("spoken.set", "tag", "ar")
	g.tremblay.must("spoken.set", "tag", "de")
	g.tremblay.must("listen.set", "tag", "de")

	tremblay, idris := g.tremblay.join("main"), g.idris.join("main")
	idris.speaks()
	layla, laylaEar := g.aziz.join("booth"), g.aziz.join("main")
	matthias, matthiasEar := krueger.join("booth"), krueger.join("main")
	layla.speaks()
	matthias.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })
	krueger.until(0, "booth", func(m message) bool { return m.text("self") == "standby" })

	// Krueger alone carries nothing: nobody brings him the Arabic.
	krueger.must("go_live")
	krueger.input(0, "no_source", "en")
	g.tremblay.channel(0, "de", "no_source")

	g.aziz.must("direction.set", "out", "en")
	g.aziz.must("go_live")
	krueger.input(0, "relay", "en")
	matthiasEar.hears("channel:en", "aziz")
	matthiasEar.hears(g.idris.id(), "idris") // faint in the client, and there
	tremblay.hears("channel:de", "krueger")
	tremblay.hears(g.idris.id(), "idris")
	laylaEar.hears(g.idris.id(), "idris")
	if n := tremblay.total("aziz"); n != 0 {
		t.Errorf("%d packets of the English reached who listens to German", n)
	}
	for who, e := range map[string]*ear{"aziz": laylaEar, "krueger": matthiasEar} {
		if n := e.total(who); n != 0 {
			t.Errorf("%s received %d packets of their own", who, n)
		}
	}
	if n := laylaEar.total("krueger"); n != 0 {
		t.Errorf("the pivot received %d packets of who relays from her", n)
	}

	// A circle is refused and changes nothing.
	if code := g.aziz.do("input.set", "tag", "de"); code != "relay_cycle" {
		t.Errorf("Layla from Krueger: %q", code)
	}
	if code := g.otieno.do("input.set", "tag", "de"); code != "forbidden" {
		t.Errorf("a physician chose an interpreter's input: %q", code)
	}
	laylaEar.hears(g.idris.id(), "idris")
	if n := laylaEar.total("krueger"); n != 0 {
		t.Errorf("the refusal let %d packets through", n)
	}
	// He may choose the floor, and the rule again.
	from := krueger.mark()
	krueger.must("input.set", "tag", "floor")
	if m := krueger.input(from, "floor", ""); m["input"].(map[string]any)["chosen"] != true {
		t.Errorf("the choice is shown as %v", m["input"])
	}
	from = krueger.mark()
	krueger.must("input.set", "tag", "auto")
	krueger.input(from, "relay", "en")

	// Layla's link is cut.
	cut := time.Now()
	from = g.tremblay.mark()
	lost := krueger.mark()
	layla.room.Disconnect()
	laylaEar.room.Disconnect()
	krueger.until(lost, "notice", func(m message) bool { return m.text("code") == "relay.lost" })
	krueger.input(lost, "no_source", "en")
	t.Logf("relay lost seen after %v", time.Since(cut))
	g.tremblay.channel(from, "de", "no_source")
	matthiasEar.hears(g.idris.id(), "idris")
	if n := w.count(`select count(*) from audit_leaf where act = 'relay.lost'`); n != 1 {
		t.Errorf("%d relays lost in the log", n)
	}

	// She comes back and takes the channel.
	back := krueger.mark()
	again := g.aziz.join("booth")
	again.speaks()
	g.aziz.until(0, "booth", func(m message) bool { return m.text("self") == "standby" && m.text("state") == "down" })
	g.aziz.must("take")
	krueger.input(back, "relay", "en")
	matthiasEar.hears("channel:en", "aziz")
	g.tremblay.channel(from, "de", "live")
	if n := w.count(`select count(*) from audit_leaf where act = 'relay.restored'`); n != 1 {
		t.Errorf("%d relays restored in the log", n)
	}
	gaps := got(w.rooms.Gaps(w.ctx, w.actors["otieno"], w.visit.ID))(w)
	if len(gaps) != 1 || gaps[0].Person != w.actors["krueger"].Person || gaps[0].Channel != "en" || !gaps[0].Restored || !gaps[0].Ended.After(gaps[0].Began) {
		t.Errorf("the clinic reads the gaps %+v", gaps)
	}
	if others := got(w.rooms.Gaps(w.ctx, w.actors["tremblay"], w.visit.ID))(w); len(others) != 0 {
		t.Errorf("another organization reads %+v", others)
	}
}
