package sfu_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
)

func tokenFor(t *testing.T, room, id, key, secret string, life time.Duration) string {
	t.Helper()
	raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).SetValidFor(life).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func dialSignal(ctx context.Context, url, token string) (*websocket.Conn, error) {
	conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/rtc?access_token="+token, nil)
	if res != nil && err != nil {
		return nil, fmt.Errorf("%d: %w", res.StatusCode, err)
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	return conn, nil
}

// asking measures the round trips of one socket that asks ten times a second.
type asking struct {
	mu    sync.Mutex
	trips []time.Duration
	ended error
}

func ask(t *testing.T, url string) *asking {
	t.Helper()
	a := &asking{}
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := dialSignal(ctx, url, tokenFor(t, "bystanders", "asks", key, secret, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			_, raw, err := conn.Read(ctx)
			if err != nil {
				a.mu.Lock()
				a.ended = err
				a.mu.Unlock()
				return
			}
			var m livekit.SignalResponse
			if proto.Unmarshal(raw, &m) != nil || m.GetPongResp() == nil {
				continue
			}
			a.mu.Lock()
			a.trips = append(a.trips, time.Since(time.Unix(0, m.GetPongResp().GetLastPingTimestamp())))
			a.mu.Unlock()
		}
	})
	wg.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			raw, err := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: time.Now().UnixNano()}}})
			if err == nil {
				_ = conn.Write(ctx, websocket.MessageBinary, raw)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = conn.CloseNow()
		wg.Wait()
	})
	return a
}

// p99 is the 99th percentile since the last call, and how many there were.
func (a *asking) p99(t *testing.T) (time.Duration, int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended != nil {
		t.Errorf("a socket beside was ended: %v", a.ended)
	}
	n := len(a.trips)
	if n == 0 {
		return 0, 0
	}
	slices.Sort(a.trips)
	p := a.trips[min(n-1, n*99/100)]
	a.trips = nil
	return p, n
}

// TestPromise14 floods the engine with frames of every kind of badness.
func TestPromise14MalformedSignalingIsNotNoticedBeside(t *testing.T) {
	server, url := start(t, none, none)
	_, twinURL := another(t, sfu.Config{}, none, none)
	beside := newBystanders(t, server)
	here, there := ask(t, url), ask(t, twinURL)
	beside.ears[0].until("both are answered", patience, func() bool {
		here.mu.Lock()
		there.mu.Lock()
		defer here.mu.Unlock()
		defer there.mu.Unlock()
		return len(here.trips) > 0 && len(there.trips) > 0
	})
	here.p99(t)
	there.p99(t)
	limit, cancel := context.WithTimeout(t.Context(), patience*volume)
	defer cancel()
	var mu sync.Mutex
	ends := map[websocket.StatusCode]int{}
	var wg sync.WaitGroup
	for who := range 8 {
		token := tokenFor(t, "room", fmt.Sprint("m", who), key, secret, time.Hour)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(who), 3))
			var conn *websocket.Conn
			for sent := 0; sent < 250*volume && limit.Err() == nil; {
				if conn == nil {
					var err error
					if conn, err = dialSignal(limit, url, token); err != nil {
						t.Errorf("a good token: %v", err)
						return
					}
				}
				kind, frame := badFrame(r)
				err := conn.Write(limit, kind, frame)
				sent++
				if err == nil && sent%5 != 0 {
					continue
				}
				// Read what there is; the socket has ended, or goes on.
				soon, stop := context.WithTimeout(limit, 20*time.Millisecond)
				for err == nil {
					_, _, err = conn.Read(soon)
				}
				stop()
				if code := websocket.CloseStatus(err); code >= 0 {
					mu.Lock()
					ends[code]++
					mu.Unlock()
				}
				_ = conn.CloseNow() // a read that was given up has ended it as well
				conn = nil
			}
			if conn != nil {
				_ = conn.CloseNow()
			}
		})
	}
	wg.Wait()
	if limit.Err() != nil {
		t.Errorf("not sent in time: %v", limit.Err())
	}
	beside.unharmed()
	p, n := here.p99(t)
	q, m := there.p99(t)
	t.Logf("sockets ended with %v; round trips beside: p99 %v of %d, on the server left alone %v of %d", ends, p, n, q, m)
	if p > 250*time.Millisecond+q {
		t.Errorf("signaling beside: p99 %v, on a server left alone %v", p, q)
	}
	if ends[websocket.StatusUnsupportedData] == 0 || ends[websocket.StatusMessageTooBig] == 0 {
		t.Errorf("sockets ended with %v: none for what is malformed, or for what is too long", ends)
	}
}

// badFrame is too long, no message at all, half of one, or one of nonsense.
func badFrame(r *rand.Rand) (websocket.MessageType, []byte) {
	noise := make([]byte, r.IntN(2000))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := strings.Repeat("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:x\r\n", 1+r.IntN(200))
	good := func(m *livekit.SignalRequest) []byte {
		raw, _ := proto.Marshal(m)
		return raw
	}
	switch r.IntN(7) {
	case 0:
		return websocket.MessageBinary, make([]byte, 64<<10+1)
	case 1:
		return websocket.MessageBinary, noise
	case 2:
		return websocket.MessageText, []byte(`{"addTrack":{"cid":` + strings.Repeat("[", r.IntN(5000)))
	case 3:
		return websocket.MessageBinary, good(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: text}}})
	case 4:
		return websocket.MessageBinary, good(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: text, Id: r.Uint32N(4)}}})
	case 5:
		return websocket.MessageBinary, good(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: string(rune('a' + r.IntN(26))), Type: 99, Source: 99}}})
	default:
		raw := good(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{TrackSidsDisabled: []string{"TR_x", text}}}})
		return websocket.MessageBinary, raw[:r.IntN(len(raw))]
	}
}

// Tokens that are expired, foreign or tampered with end that request alone, with the
// status that clients know.
func TestBadTokensEndThatRequestAlone(t *testing.T) {
	server, url := start(t, none, none)
	beside := newBystanders(t, server)
	good := tokenFor(t, "room", "a", key, secret, time.Minute)
	claims, err := server.Verify(good)
	if err != nil {
		t.Fatal(err)
	}
	expired, _, err := server.Sign(claims, -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	other := strings.Split(tokenFor(t, "room", "b", key, secret, time.Minute), ".")
	bad := map[string]string{
		"expired":                  expired,
		"of another key":           tokenFor(t, "room", "a", "stranger", secret, time.Minute),
		"of another secret":        tokenFor(t, "room", "a", key, "another-secret-of-32-characters-or-more", time.Minute),
		"with another's contents":  part[0] + "." + other[1] + "." + part[2],
		"with another's signature": part[0] + "." + part[1] + "." + other[2],
		"cut":                      good[:len(good)-3],
		"not signed":               "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + part[1] + ".",
		"of a megabyte":            strings.Repeat("a", 1<<20),
		"none":                     "",
	}
	for range 5 * volume {
		for why, token := range bad {
			if _, err := dialSignal(t.Context(), url, token); err == nil {
				t.Fatalf("a token %s was let in", why)
			} else if !strings.HasPrefix(err.Error(), fmt.Sprint(http.StatusUnauthorized)) && !strings.HasPrefix(err.Error(), fmt.Sprint(http.StatusRequestHeaderFieldsTooLarge)) {
				t.Fatalf("a token %s: %v", why, err)
			}
		}
	}
	conn, err := dialSignal(t.Context(), url, good)
	if err != nil {
		t.Fatalf("the good one: %v", err)
	}
	_ = conn.CloseNow()
	beside.unharmed()
	if server.Room("room") == nil {
		t.Error("no room")
	}
}
