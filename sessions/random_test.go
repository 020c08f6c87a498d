package sessions_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/sessions"
)

// witness is the real engine with a record of what it was told.
type witness struct {
	sessions.Media

	mu       sync.Mutex
	routes   sessions.Routes // guarded by mu; the newest
	tickets  []sessions.Identity
	lastSeen uint64
	stale    int // routes that came with an old epoch
}

func (m *witness) Route(ctx context.Context, id sessions.SessionID, r sessions.Routes) error {
	m.mu.Lock()
	if r.Epoch <= m.lastSeen {
		m.stale++
	}
	m.lastSeen, m.routes = r.Epoch, r
	m.mu.Unlock()
	return m.Media.Route(ctx, id, r)
}

func (m *witness) Admit(ctx context.Context, a sessions.Admission) (sessions.Ticket, error) {
	m.mu.Lock()
	m.tickets = append(m.tickets, a.Identity)
	m.mu.Unlock()
	return m.Media.Admit(ctx, a)
}

// TestRandomCommandsNeverLeak sends random commands from everybody and asks after
// each whether anybody who is not admitted is named in a route, has a ticket, or was
// told anything of the room.
func TestRandomCommandsNeverLeak(t *testing.T) {
	w := newWorld(t)
	w.rooms.Close()
	m := &witness{Media: w.media}
	w.media = m
	w.start()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	people := []*browser{w.arrive("otieno"), w.arrive("idris"), w.arrive("tremblay"), w.arrive("aziz"), w.arrive("mwangi")}
	kinds := []string{"lobby.check", "place.confirm", "admit", "admit", "admit", "decline", "remove", "back_to_lobby", "ticket.renew", "listen.set", "spoken.set",
		"go_live", "stop", "direction.set", "mute", "mode.propose", "mode.confirm", "chat.say", "hand", "leave", "hello again", "hello again", "back_to_lobby"}
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	states := func() map[sessions.Identity]string {
		rows, err := conn.Query(w.ctx, `select id::text, state from session_participant`)
		w.ok(err)
		out := map[sessions.Identity]string{}
		var id, state string
		_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error { out[sessions.Identity(id)] = state; return nil })
		w.ok(err)
		return out
	}
	outside := []string{"welcome", "refused", "error", "done", "removed", "notice"}
	admissions := 0
	for n := 0; n < 200 || admissions < 10; n++ {
		if n == 5000 {
			t.Fatalf("only %d admissions: the commands tried nothing", admissions)
		}
		b := people[r.IntN(len(people))]
		other := people[r.IntN(len(people))]
		kind := kinds[r.IntN(len(kinds))]
		tag := []string{"ar", "en", "floor", "fr"}[r.IntN(4)]
		if slices.Contains([]string{"admit", "back_to_lobby"}, kind) && r.IntN(4) > 0 {
			b = people[0] // mostly from the host, or nobody would get far
		}
		before := states()[b.door.Participant]
		m.mu.Lock()
		tickets := len(m.tickets)
		m.mu.Unlock()
		from := b.mark()
		if kind == "hello again" {
			b.conn.Close()
			b.dial()
		} else {
			b.do(kind, "participant", other.id(), "audio", true, "video", true, "network", "good", "place", []string{"KE", "UG"}[r.IntN(20)/19],
				"tag", tag, "out", tag, "muted", r.IntN(2) == 0, "mode", []string{"simultaneous", "consecutive"}[r.IntN(2)], "room", "main", "text", "hello", "raised", true)
		}
		now := states()
		m.mu.Lock()
		for id := range m.routes.Receive {
			if now[id] != "admitted" {
				t.Fatalf("%s by %s: %s receives and is %q", kind, b.key, id, now[id])
			}
		}
		for _, c := range m.routes.Channels {
			if c.Leg != "" && now[c.Leg] != "admitted" {
				t.Fatalf("%s by %s: %s feeds %s and is %q", kind, b.key, c.Leg, c.Tag, now[c.Leg])
			}
		}
		for _, id := range m.tickets[tickets:] {
			admissions++
			if now[id] != "admitted" {
				t.Fatalf("%s by %s: a ticket for %s, who is %q", kind, b.key, id, now[id])
			}
		}
		if m.stale != 0 {
			t.Fatalf("%s by %s: routes with an old epoch", kind, b.key)
		}
		m.mu.Unlock()
		if before != "admitted" && now[b.door.Participant] != "admitted" {
			b.mu.Lock()
			for _, said := range b.heard[from:] {
				if !slices.Contains(outside, said.text("type")) {
					t.Fatalf("%s by %s, %s: was told %v", kind, b.key, before, said)
				}
			}
			b.mu.Unlock()
		}
	}
}
