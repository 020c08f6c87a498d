package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/embedded"
	"github.com/consilium-health/consilium/web/i18n"
)

// coordinated is the pages with a session that a coordinator may enter: the
// appointment stands in the database, all services are real.
func coordinated(t *testing.T) (server *httptest.Server, cookie string, door sessions.Door) {
	t.Helper()
	ctx := context.Background()
	pg := pgtest.New(t)
	db := audit.New(audit.Config{Pool: pg.Pool})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var handler http.Handler
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	ids, err := identity.New(identity.Config{DB: db, RPID: "localhost", RPName: "Consilium", Origins: []string{server.URL}, Demo: true})
	must(err)
	creds, err := credentialing.New(credentialing.Config{DB: db, Identity: ids, Zones: scheduling.LoadZone})
	must(err)
	dir := t.TempDir()
	blobs, err := workspace.OpenBlobs(dir+"/files", dir+"/keys")
	must(err)
	t.Cleanup(func() { _ = blobs.Close() })
	cases, err := workspace.New(workspace.Config{DB: db, Identity: ids, Credentialing: creds, Blobs: blobs, RPID: "localhost", Origins: []string{server.URL}, Demo: true})
	must(err)
	visits, err := scheduling.New(scheduling.Config{DB: db, Identity: ids, Credentialing: creds, Cases: cases})
	must(err)
	engine, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: "key", Secret: "a-secret-of-at-least-32-characters"})
	must(err)
	t.Cleanup(engine.Close)
	media := embedded.New(embedded.Config{Server: engine, URL: func(sessions.SessionID) string { return "ws://localhost" }})
	rooms, err := sessions.New(sessions.Config{DB: db, Identity: ids, Credentialing: creds, Scheduling: visits, Workspace: cases, Media: media})
	must(err)
	t.Cleanup(rooms.Close)

	seed := identity.System("seed", "")
	org, err := ids.AddOrganization(ctx, seed, identity.Organization{Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"})
	must(err)
	mwangi, err := ids.AddPerson(ctx, seed, identity.Person{Name: "Peter Mwangi", Language: "en", Languages: []string{"en"}, Zone: "Africa/Nairobi"},
		identity.Grant{Organization: org, Role: identity.RoleCoordinator})
	must(err)
	token, err := ids.SignInDemo(ctx, mwangi)
	must(err)
	actor, _, err := ids.Authenticate(ctx, token)
	must(err)
	const visit = "01990000-0000-7000-8000-00000000000b"
	must(db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		_, err := tx.Exec(ctx, `
			insert into appointment (id, organization_id, kind, start_local, anchor_zone, anchor_person_id, start_at, duration, tzdata_version,
				ical_uid, ical_sequence, state, reason, tasks, note, version, created_at, changed_at)
			values ($1::text::uuid, $2, 'advise_physician', now(), 'UTC', $3, now(), interval '30 min', '2026a', $1::text, 0, 'booked', '', '[]', '', 1, now(), now())`,
			visit, string(org), string(mwangi))
		return err
	}))
	door, err = rooms.OpenDoor(ctx, actor, visit)
	must(err)
	handler = New(Deps{Identity: ids, Credentialing: creds, Scheduling: visits, Workspace: cases, Sessions: rooms, PublicURL: server.URL, Demo: true})
	return server, "login=" + token, door
}

func dialFeed(t *testing.T, server *httptest.Server, session, origin, cookie string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h := http.Header{}
	for k, v := range map[string]string{"Origin": origin, "Cookie": cookie} {
		if v != "" {
			h.Set(k, v)
		}
	}
	c, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http")+"/sessions/"+session+"/feed", &websocket.DialOptions{HTTPHeader: h})
	if err == nil {
		c.SetReadLimit(1 << 20)
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, resp, err
}

func TestFeedOpensForTheOwnOriginAlone(t *testing.T) {
	server, cookie, door := coordinated(t)
	for _, origin := range []string{"", "https://elsewhere.example", server.URL + ".elsewhere.example", strings.Replace(server.URL, "http:", "https:", 1)} {
		if _, resp, err := dialFeed(t, server, string(door.Session), origin, cookie); err == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: %v, %v", origin, resp, err)
		}
	}
	if _, resp, err := dialFeed(t, server, string(door.Session), server.URL, ""); err == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		t.Errorf("without login: %v, %v", resp, err)
	}
}

func TestFeedCarriesFramesAndSaysWhyItEnds(t *testing.T) {
	server, cookie, door := coordinated(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	hello := `{"type":"hello","ticket":"` + door.Ticket + `","version":1}`
	c, _, err := dialFeed(t, server, string(door.Session), server.URL, cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		t.Fatal(err)
	}
	kind, frame, err := c.Read(ctx)
	if err != nil || kind != websocket.MessageText || !strings.Contains(string(frame), `"type":"welcome"`) {
		t.Fatalf("first frame %s, %v", frame, err)
	}
	// The same person's second page ends the first with our own code.
	second, _, err := dialFeed(t, server, string(door.Session), server.URL, cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		t.Fatal(err)
	}
	if got := closed(ctx, c); got != 4001 {
		t.Errorf("replaced: closed with %d, want 4001", got)
	}
	for _, row := range []struct {
		name, session, frame string
		kind                 websocket.MessageType
		want                 websocket.StatusCode
	}{
		{"a session that is not", "01990000-0000-7000-8000-0000000000ff", hello, websocket.MessageText, 4004},
		{"another's ticket", string(door.Session), `{"type":"hello","ticket":"nonsense","version":1}`, websocket.MessageText, 4003},
		{"no hello", string(door.Session), `{"type":"ping"}`, websocket.MessageText, websocket.StatusPolicyViolation},
		{"binary", string(door.Session), hello, websocket.MessageBinary, websocket.StatusUnsupportedData},
		{"too long", string(door.Session), `{"type":"` + strings.Repeat("a", sessions.MaxFrame) + `"}`, websocket.MessageText, websocket.StatusMessageTooBig},
	} {
		c, _, err := dialFeed(t, server, row.session, server.URL, cookie)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		_ = c.Write(ctx, row.kind, []byte(row.frame))
		if got := closed(ctx, c); got != row.want {
			t.Errorf("%s: closed with %d, want %d", row.name, got, row.want)
		}
	}
}

// closed reads until the server closes and returns its code.
func closed(ctx context.Context, c *websocket.Conn) websocket.StatusCode {
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestEveryCodeOfTheFeedHasItsText(t *testing.T) {
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range sessions.MessageIDs() {
		if !b.Has(i18n.ID(id)) {
			t.Errorf("no text for %s", id)
		}
	}
}
