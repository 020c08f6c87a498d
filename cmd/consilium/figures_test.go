package main

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sessions"
)

func TestServiceTellsItsRelayToWhoJoinsAndItsFiguresToTheOperator(t *testing.T) {
	c, err := load(true, env("CONSILIUM_ADDR", "localhost:0", "CONSILIUM_ORIGIN", "http://localhost:8080", "CONSILIUM_DATA", dataDir(t),
		"CONSILIUM_TURN_UDP", "127.0.0.1:0", "CONSILIUM_TURN_HOST", "turn.example.org", "CONSILIUM_METRICS_ADDR", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	a, err := start(context.Background(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	web := httptest.NewServer(a.figures.count(a.handler(nil)))
	t.Cleanup(web.Close)

	session := sessions.SessionID(uuid.Must(uuid.NewV7()).String())
	if err := a.media.Open(t.Context(), session, sessions.RoomMain); err != nil {
		t.Fatal(err)
	}
	ticket, err := a.media.Admit(t.Context(), sessions.Admission{Session: session, Room: sessions.RoomMain, Identity: "a"})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := proto.Marshal(&livekit.JoinRequest{ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := proto.Marshal(&livekit.WrappedJoinRequest{JoinRequest: inner})
	if err != nil {
		t.Fatal(err)
	}
	one := base64.RawURLEncoding.EncodeToString(request) // one connection for both directions
	for _, path := range []string{"/rtc?", "/rtc/v1?join_request=" + one + "&"} {
		conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http")+path+"access_token="+ticket.Token, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, raw, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var first livekit.SignalResponse
		if err := proto.Unmarshal(raw, &first); err != nil {
			t.Fatal(err)
		}
		servers := first.GetJoin().GetIceServers()
		if len(servers) != 1 || len(servers[0].Urls) != 1 || !strings.HasPrefix(servers[0].Urls[0], "turn:turn.example.org:") || servers[0].Username == "" || servers[0].Credential == "" {
			t.Errorf("clients that come by %s are told %v", path, servers)
		}
		_ = conn.CloseNow()
	}
	res, err := http.Get(web.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res, err = http.Get("http://" + a.figures.at + "/metrics"); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"consilium_sfu_joins_total 2\n", "consilium_turn_allocations 0\n", "consilium_database_up 1\n", `consilium_jobs{state="available"} `,
		`consilium_pool_connections{state="limit"} `, `consilium_http_seconds_count{code="200",method="get"} 1` + "\n", "go_goroutines ",
	} {
		if !strings.Contains(string(all), want) {
			t.Errorf("the figures lack %s", want)
		}
	}
	for _, never := range []string{string(session), ticket.Token} {
		if strings.Contains(string(all), never) {
			t.Errorf("the figures say %s", never)
		}
	}
}
