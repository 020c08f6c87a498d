package signal

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
)

const fuzzKey, fuzzSecret = "fuzzkey", "a-secret-of-at-least-32-characters"

// seeds are one request of each kind that clients send.
func seeds() []*livekit.SignalRequest {
	sdp := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n" +
		"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":") +
		"\r\na=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=msid:s cid\r\n"
	return []*livekit.SignalRequest{
		{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: 1}}},
		{Message: &livekit.SignalRequest_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: sdp, Id: 1}}},
		{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: `{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host"}`}}},
		{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: "cid", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Layers: []*livekit.VideoLayer{{Width: 1}}, SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "vp8"}}}}},
		{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: "TR_victim", Muted: true}}},
		{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{TrackSids: []string{"TR_x"}, ParticipantTracks: []*livekit.ParticipantTracks{{ParticipantSid: "PA_x", TrackSids: []string{"TR_y"}}}}}},
		{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{"TR_x"}, Disabled: true, Width: 320, Height: 180}}},
		{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: &livekit.SubscriptionPermission{AllParticipants: true}}},
		{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{TrackSidsDisabled: []string{"TR_x"}, Subscription: &livekit.UpdateSubscription{}}}},
		{Message: &livekit.SignalRequest_Simulate{Simulate: &livekit.SimulateScenario{Scenario: &livekit.SimulateScenario_SpeakerUpdate{SpeakerUpdate: 3}}}},
		{Message: &livekit.SignalRequest_Ping{Ping: 7}},
		{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: 7, Rtt: 3}}},
		{Message: &livekit.SignalRequest_UpdateMetadata{UpdateMetadata: &livekit.UpdateParticipantMetadata{Name: "n", Metadata: "m", Attributes: map[string]string{"k": "v"}, RequestId: 1}}},
		{Message: &livekit.SignalRequest_UpdateLayers{UpdateLayers: &livekit.UpdateVideoLayers{TrackSid: "TR_x"}}},
		{Message: &livekit.SignalRequest_UpdateAudioTrack{UpdateAudioTrack: &livekit.UpdateLocalAudioTrack{TrackSid: "TR_x", Features: []livekit.AudioTrackFeature{livekit.AudioTrackFeature_TF_STEREO}}}},
		{Message: &livekit.SignalRequest_UpdateVideoTrack{UpdateVideoTrack: &livekit.UpdateLocalVideoTrack{TrackSid: "TR_x", Width: 1}}},
		{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{Action: livekit.LeaveRequest_DISCONNECT}}},
		{},
	}
}

func addFrames(f *testing.F) {
	for _, s := range seeds() {
		raw, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(false, raw)
		if raw, err = protojson.Marshal(s); err != nil {
			f.Fatal(err)
		}
		f.Add(true, raw)
	}
	f.Add(true, []byte(`{"unknown":{"a":[1,2]},"ping":"9223372036854775807"}`))
	f.Add(true, []byte(`{"ping":1,"pingReq":{}}`))
	f.Add(false, []byte{0xff, 0xff})
	f.Add(false, bytes.Repeat([]byte{0x0a, 0x80, 0x01}, 40))
}

// FuzzFrame reads frames of both forms: what is read and written again is read the same.
func FuzzFrame(f *testing.F) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, text bool, raw []byte) {
		req, err := decode(text, raw)
		if err != nil {
			return
		}
		var again []byte
		if text {
			again, err = protojson.Marshal(req)
		} else {
			again, err = proto.Marshal(req)
		}
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second, err := decode(text, again)
		if err != nil || !proto.Equal(req, second) {
			t.Fatalf("%v became %v, %v", req, second, err)
		}
	})
}

// panics fails the test when the engine says that somebody's work panicked: it goes on
// then, and a test must not.
type panics struct {
	mu   sync.Mutex
	text string
}

func (p *panics) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes.Contains(b, []byte("panic")) {
		p.text += string(b)
	}
	return len(b), nil
}

func (p *panics) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// pipe is a client that keeps what it is told.
type pipe struct {
	in     chan *livekit.SignalResponse
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe {
	return &pipe{in: make(chan *livekit.SignalResponse, 512), closed: make(chan struct{})}
}

func (p *pipe) Send(m *livekit.SignalResponse) {
	select {
	case p.in <- m:
	default:
	}
}

func (p *pipe) Close() { p.once.Do(func() { close(p.closed) }) }

func fuzzServer(f *testing.F) (*sfu.Server, *panics) {
	f.Helper()
	found := &panics{}
	server, err := sfu.New(sfu.Config{
		UDP: "127.0.0.1:0", Key: fuzzKey, Secret: fuzzSecret, AutoCreate: true, Log: slog.New(slog.NewTextHandler(found, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		<-ended
	})
	return server, found
}

func fuzzToken(t testing.TB, who string, v *auth.VideoGrant) string {
	t.Helper()
	raw, err := auth.NewAccessToken(fuzzKey, fuzzSecret).SetIdentity(who).SetVideoGrant(v).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func enter(t testing.TB, server *sfu.Server, who string, single bool) (*sfu.Peer, *pipe) {
	t.Helper()
	claims, err := server.Verify(fuzzToken(t, who, &auth.VideoGrant{RoomJoin: true, Room: "room"}))
	if err != nil {
		t.Fatal(err)
	}
	sink := newPipe()
	peer, err := server.Join(t.Context(), sfu.JoinRequest{Claims: claims, Sink: sink, AutoSubscribe: true, Single: single})
	if err != nil {
		t.Fatal(err)
	}
	return peer, sink
}

// FuzzRequest lets a live participant say the frame. Whatever it is, nothing panics and
// nobody else is changed: not their name, state, tracks or rights.
func FuzzRequest(f *testing.F) {
	addFrames(f)
	server, found := fuzzServer(f)
	victim, told := enter(f, server, "victim", false)
	victim.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: "cid", Source: livekit.TrackSource_MICROPHONE}}})
	for {
		if m := <-told.in; m.GetTrackPublished() != nil {
			break
		}
	}
	describe := func(t *testing.T) *livekit.ParticipantInfo {
		info, err := server.Room("room").Participant("victim")
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	f.Fuzz(func(t *testing.T, text bool, raw []byte) {
		req, err := decode(text, raw)
		if err != nil {
			return
		}
		before := describe(t)
		peer, sink := enter(t, server, "m", len(raw)%2 == 1) // with one connection, or with two
		peer.Handle(req)
		peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: 4242}}})
		limit := time.After(20 * time.Second)
		for waiting := true; waiting; {
			select {
			case m := <-sink.in:
				waiting = m.GetPongResp().GetLastPingTimestamp() != 4242
			case <-sink.closed:
				waiting = false
			case <-limit:
				t.Fatal("the request was never worked off")
			}
		}
		server.Room("room").Remove("m")
		if text := found.said(); text != "" {
			t.Fatalf("panic: %s", text)
		}
		if after := describe(t); !proto.Equal(before, after) {
			t.Fatalf("the other was %v and is %v", before, after)
		}
	})
}

// FuzzJoin asks with any query and any header: without a good token nobody joins, and the
// status is one that clients know.
func FuzzJoin(f *testing.F) {
	server, found := fuzzServer(f)
	h := Handler(Config{Server: server})
	good := fuzzToken(f, "a", &auth.VideoGrant{RoomJoin: true, Room: "room"})
	parts := strings.Split(good, ".")
	attributes := base64.StdEncoding.EncodeToString([]byte(`{"role":"x"}`))
	for _, query := range []string{
		"access_token=" + good + "&auto_subscribe=1&protocol=17&sdk=js&version=2.23.0&adaptive_stream=1",
		"access_token=" + good + "&reconnect=1&sid=PA_x&reconnect_reason=1&attributes=" + attributes,
		"access_token=" + parts[0] + "." + parts[1] + ".", "access_token=" + parts[0] + "." + parts[1] + "." + parts[2][1:],
		"access_token=eyJhbGciOiJub25lIn0." + parts[1] + ".", "access_token=a.b.c", "access_token=%zz", "access_token=", "join_request=abc", "attributes=" + strings.Repeat("A", 5000), ";=&&",
	} {
		f.Add("/rtc", query, "")
		f.Add("/rtc/validate", query, "")
	}
	f.Add("/rtc/validate", "", "Bearer "+good)
	f.Add("/rtc/v1", "join_request="+attributes, "Bearer x")
	f.Add("/rtc/v1", "join_request="+attributes, "Bearer "+good)
	f.Add("/rtc/v1/validate", "join_request=CAESAA==", "Bearer "+good)
	f.Fuzz(func(t *testing.T, path, query, authorization string) {
		attributesOf(query)
		_, _ = unpackRequest(query)
		r := httptest.NewRequest(http.MethodGet, "/rtc", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		_, err := server.Verify(tokenOf(r))
		switch {
		case w.Code == http.StatusOK && err != nil:
			t.Fatalf("%s?%s was let in", path, query)
		case w.Code == http.StatusUnauthorized && err == nil:
			t.Fatal("a good token was refused")
		case w.Code != http.StatusOK && w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden && w.Code != http.StatusNotFound &&
			w.Code != http.StatusUpgradeRequired && w.Code != http.StatusBadRequest:
			t.Fatalf("status %d", w.Code)
		case strings.Contains(w.Body.String(), parts[2]):
			t.Fatal("the answer repeats the token")
		}
		if text := found.said(); text != "" {
			t.Fatalf("panic: %s", text)
		}
	})
}
