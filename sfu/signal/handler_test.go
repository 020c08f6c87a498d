package signal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/signal"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T, cfg sfu.Config) (*sfu.Server, string) {
	t.Helper()
	leakcheck.Check(t)
	cfg.UDP, cfg.Key, cfg.Secret = "127.0.0.1:0", key, secret
	server, err := sfu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	mux := http.NewServeMux()
	h := signal.Handler(signal.Config{Server: server})
	mux.Handle("/rtc", h)
	mux.Handle("/rtc/", h)
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return server, web.URL
}

func token(t *testing.T, key, secret string, life time.Duration, v *auth.VideoGrant) string {
	t.Helper()
	raw, err := auth.NewAccessToken(key, secret).SetIdentity("a").SetVideoGrant(v).SetValidFor(life).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestValidateAnswersWithTheStatusesClientsKnow(t *testing.T) {
	now := &clock{now: time.Now()}
	server, url := start(t, sfu.Config{Now: now.Now})
	if _, err := server.Create("room", ""); err != nil {
		t.Fatal(err)
	}
	join := &auth.VideoGrant{RoomJoin: true, Room: "room"}
	good := token(t, key, secret, time.Minute, join)
	cut := strings.Split(good, ".")
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + cut[1] + "."
	for _, c := range []struct {
		why   string
		token string
		want  int
	}{
		{"a good token", good, http.StatusOK},
		{"no token", "", http.StatusUnauthorized},
		{"signed by another secret", token(t, key, secret+"x", time.Minute, join), http.StatusUnauthorized},
		{"of another key", token(t, "other", secret, time.Minute, join), http.StatusUnauthorized},
		{"without signature", none, http.StatusUnauthorized},
		{"contents exchanged", cut[0] + "." + strings.Split(token(t, key, secret, time.Hour, join), ".")[1] + "." + cut[2], http.StatusUnauthorized},
		{"may not join", token(t, key, secret, time.Minute, &auth.VideoGrant{RoomAdmin: true, Room: "room"}), http.StatusForbidden},
		{"names no room", token(t, key, secret, time.Minute, &auth.VideoGrant{RoomJoin: true}), http.StatusForbidden},
		{"room is not open", token(t, key, secret, time.Minute, &auth.VideoGrant{RoomJoin: true, Room: "other"}), http.StatusNotFound},
	} {
		t.Run(c.why, func(t *testing.T) {
			for _, path := range []string{"/rtc/validate", "/rtc", "/rtc/v1/validate", "/rtc/v1"} {
				res, err := http.Get(url + path + "?access_token=" + c.token + map[bool]string{true: "&join_request=" + packed(t, &livekit.JoinRequest{}, true)}[strings.HasPrefix(path, "/rtc/v1")])
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Error("a page of another origin cannot read the answer")
				}
				if !strings.HasSuffix(path, "validate") && c.want == http.StatusOK {
					continue // that is no upgrade
				}
				if res.StatusCode != c.want {
					t.Errorf("%s: got %d, want %d", path, res.StatusCode, c.want)
				}
			}
		})
	}
	now.add(time.Minute)
	res, err := http.Get(url + "/rtc/validate?access_token=" + good)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after its minute: got %d", res.StatusCode)
	}
}

func TestWhatIsNewerIsNotFound(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	for _, path := range []string{"/rtc/v2", "/rtc/v2/validate", "/rtc/v1/more", "/rtc/"} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: got %d %v", path, res.StatusCode, res.Header)
		}
	}
}

// dial opens a socket and reads the first message.
func dial(t *testing.T, url, query string) (*websocket.Conn, *livekit.SignalResponse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	raw := token(t, key, secret, time.Minute, &auth.VideoGrant{RoomJoin: true, Room: "room"})
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/rtc?access_token="+raw+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, next(t, conn)
}

func next(t *testing.T, conn *websocket.Conn) *livekit.SignalResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	kind, raw, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := &livekit.SignalResponse{}
	if kind == websocket.MessageText {
		err = protojson.Unmarshal(raw, m)
	} else {
		err = proto.Unmarshal(raw, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// await reads until a message is of the wanted kind.
func await[T any](t *testing.T, conn *websocket.Conn) T {
	t.Helper()
	for {
		if m, ok := next(t, conn).Message.(T); ok {
			return m
		}
	}
}

func send(t *testing.T, conn *websocket.Conn, req *livekit.SignalRequest) {
	t.Helper()
	raw, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(t.Context(), websocket.MessageBinary, raw); err != nil {
		t.Fatal(err)
	}
}

func TestJoinIsFirstAndCarriesWhatClientsNeed(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	conn, first := dial(t, url, "")
	join := first.GetJoin()
	if join == nil {
		t.Fatalf("first message is %T", first.Message)
	}
	switch {
	case join.GetServerInfo().GetVersion() == "", join.GetServerVersion() == "":
		t.Error("no version")
	case join.GetParticipant().GetPermission() == nil:
		t.Error("no permission")
	case join.GetPingInterval() == 0 || join.GetPingTimeout() == 0:
		t.Error("no ping times")
	case !join.GetSubscriberPrimary() || join.GetRoom().GetTurnPassword() != "":
		t.Error("wrong join", join)
	}
	offer := await[*livekit.SignalResponse_Offer](t, conn).Offer
	if offer.GetId() != 1 || !strings.Contains(offer.GetSdp(), "m=application") {
		t.Errorf("first offer is %v", offer)
	}
	if !strings.Contains(offer.GetSdp(), "a=setup:actpass") {
		t.Error("the client could not be the DTLS client")
	}
	send(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: 42}}})
	if pong := await[*livekit.SignalResponse_PongResp](t, conn); pong.PongResp.GetLastPingTimestamp() != 42 {
		t.Errorf("got %v", pong)
	}
}

func TestRefreshedTokenOpensLater(t *testing.T) {
	now := &clock{now: time.Now()}
	server, url := start(t, sfu.Config{AutoCreate: true, Now: now.Now})
	conn, first := dial(t, url, "")
	fresh := await[*livekit.SignalResponse_RefreshToken](t, conn).RefreshToken
	now.add(5 * time.Minute)
	if _, err := server.Verify(fresh); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseNow()
	again, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/rtc?reconnect=1&sid="+first.GetJoin().GetParticipant().GetSid()+"&access_token="+fresh, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.CloseNow() }()
	if m := next(t, again); m.GetReconnect() == nil {
		t.Fatalf("first message of a resume is %T", m.Message)
	}
	// The offer that had no answer is said once more, with its id.
	if o := await[*livekit.SignalResponse_Offer](t, again); o.Offer.GetId() != 1 {
		t.Errorf("offer %d", o.Offer.GetId())
	}
}

func TestResumeOfAnUnknownParticipantJoinsAgain(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	_, first := dial(t, url, "&reconnect=1&sid=PA_unknown")
	leave := first.GetLeave()
	if leave.GetAction() != livekit.LeaveRequest_RECONNECT || leave.GetReason() != livekit.DisconnectReason_STATE_MISMATCH {
		t.Fatalf("got %v", first)
	}
}

func TestLimitsEndTheSocket(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	for _, c := range []struct {
		why  string
		do   func(conn *websocket.Conn) error
		want websocket.StatusCode
	}{
		{"frame above 64 kB", func(conn *websocket.Conn) error {
			return conn.Write(t.Context(), websocket.MessageBinary, make([]byte, 64<<10+1))
		}, websocket.StatusMessageTooBig},
		{"no protobuf", func(conn *websocket.Conn) error {
			return conn.Write(t.Context(), websocket.MessageBinary, []byte{0xff, 0xff})
		}, websocket.StatusUnsupportedData},
		{"more messages than a client has reason for", func(conn *websocket.Conn) error {
			for range 300 {
				raw, _ := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}})
				if err := conn.Write(t.Context(), websocket.MessageBinary, raw); err != nil {
					return nil // closed while we wrote
				}
			}
			return nil
		}, websocket.StatusPolicyViolation},
	} {
		t.Run(c.why, func(t *testing.T) {
			conn, _ := dial(t, url, "")
			if err := c.do(conn); err != nil {
				t.Fatal(err)
			}
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, _, err := conn.Read(ctx)
				cancel()
				if err == nil {
					continue
				}
				if got := websocket.CloseStatus(err); got != c.want {
					t.Errorf("got %v (%v), want %v", got, err, c.want)
				}
				break
			}
		})
	}
}

func TestHostileOfferEndsThePeerAndNotTheServer(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	sdps := []string{"", "nonsense", strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 100), "a=" + strings.Repeat("x", 5000)}
	for i, sdp := range sdps {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			conn, _ := dial(t, url, "")
			send(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: 1}}})
			if leave := await[*livekit.SignalResponse_Leave](t, conn); leave.Leave.GetAction() != livekit.LeaveRequest_RECONNECT {
				t.Errorf("got %v", leave)
			}
		})
	}
	if _, first := dial(t, url, ""); first.GetJoin() == nil {
		t.Error("nobody can join any more")
	}
}

func TestAddTrackIsRefusedWithoutTheRight(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	v := &auth.VideoGrant{RoomJoin: true, Room: "room"}
	v.SetCanPublishSources([]livekit.TrackSource{livekit.TrackSource_MICROPHONE})
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/rtc?access_token="+token(t, key, secret, time.Minute, v), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	add := func(cid string, source livekit.TrackSource) {
		send(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: cid, Source: source}}})
	}
	add("screen", livekit.TrackSource_SCREEN_SHARE)
	if r := await[*livekit.SignalResponse_RequestResponse](t, conn); r.RequestResponse.GetReason() != livekit.RequestResponse_NOT_ALLOWED {
		t.Errorf("got %v", r)
	}
	add("mic", livekit.TrackSource_MICROPHONE)
	if p := await[*livekit.SignalResponse_TrackPublished](t, conn); p.TrackPublished.GetCid() != "mic" || !strings.HasPrefix(p.TrackPublished.GetTrack().GetSid(), "TR_") {
		t.Errorf("got %v", p)
	}
}

func TestJSONIsAnsweredWithJSON(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	conn, _ := dial(t, url, "")
	raw, err := protojson.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 7}})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, raw); err != nil {
		t.Fatal(err)
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		kind, raw, err := conn.Read(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.MessageText && strings.Contains(string(raw), "pong") {
			return
		}
	}
}

func TestAClientThatNeverReadsEndsAlone(t *testing.T) {
	server, url := start(t, sfu.Config{AutoCreate: true, Grace: 100 * time.Millisecond})
	good, _ := dial(t, url, "")
	raw, err := auth.NewAccessToken(key, secret).SetIdentity("deaf").SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	deaf, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/rtc?access_token="+raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.CloseNow() })
	here := func() bool {
		_, err := server.Room("room").Participant("deaf")
		return err == nil
	}
	for !here() {
		next(t, good)
	}
	// Each is awaited by the one that reads: what fills is the other's queue alone.
	for n := 0; here(); n++ {
		if n > 10_000 {
			t.Fatal("a client that reads nothing stays for ever")
		}
		want := fmt.Sprintf("%d %s", n, strings.Repeat("x", 30_000))
		server.Room("room").SetMetadata(want)
		for {
			u, ok := next(t, good).Message.(*livekit.SignalResponse_RoomUpdate)
			if ok && u.RoomUpdate.Room.Metadata == want {
				break
			}
		}
	}
	if _, err := server.Room("room").Participant("a"); err != nil {
		t.Error("the one that reads is gone too")
	}
}
