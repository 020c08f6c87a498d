package signal_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
)

func squeeze(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wrap makes the parameter of a request that is packed already.
func wrap(t *testing.T, how livekit.WrappedJoinRequest_Compression, raw []byte) string {
	t.Helper()
	wrapped, err := proto.Marshal(&livekit.WrappedJoinRequest{Compression: how, JoinRequest: raw})
	if err != nil {
		t.Fatal(err)
	}
	return base64.URLEncoding.EncodeToString(wrapped)
}

// packed is a join request as clients send it, compressed or not.
func packed(t *testing.T, j *livekit.JoinRequest, small bool) string {
	t.Helper()
	raw, err := proto.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	if small {
		return wrap(t, livekit.WrappedJoinRequest_GZIP, squeeze(t, raw))
	}
	return wrap(t, livekit.WrappedJoinRequest_NONE, raw)
}

func TestMalformedJoinRequestsAreRefused(t *testing.T) {
	_, url := start(t, sfu.Config{AutoCreate: true})
	good := token(t, key, secret, time.Minute, &auth.VideoGrant{RoomJoin: true, Room: "room"})
	for _, c := range []struct {
		why, text string
	}{
		{"nothing", ""},
		{"not base64", "%25%25"},
		{"no wrapper", base64.URLEncoding.EncodeToString([]byte("\x0f\x0f\x0f"))},
		{"compression that is none", wrap(t, livekit.WrappedJoinRequest_GZIP, []byte("plain"))},
		{"cut short", wrap(t, livekit.WrappedJoinRequest_GZIP, squeeze(t, make([]byte, 1000))[:20])},
		{"a compression of the future", wrap(t, 7, nil)},
		{"contents that are none", wrap(t, livekit.WrappedJoinRequest_NONE, []byte("\x0f\x0f"))},
		{"a small request that becomes a large one", wrap(t, livekit.WrappedJoinRequest_GZIP, squeeze(t, make([]byte, 4<<20)))},
	} {
		t.Run(c.why, func(t *testing.T) {
			for _, path := range []string{"/rtc/v1", "/rtc/v1/validate", "/rtc", "/rtc/validate"} {
				res, err := http.Get(url + path + "?access_token=" + good + "&join_request=" + c.text)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("%s: got %d", path, res.StatusCode)
				}
				if res.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Error("a page of another origin cannot read the answer")
				}
			}
		})
	}
}

// What comes with the request is there in the first message, and nothing is offered: with
// one connection the client does that.
func TestAJoinRequestIsReadInEveryForm(t *testing.T) {
	server, url := start(t, sfu.Config{AutoCreate: true})
	for i, path := range []string{"/rtc/v1", "/rtc"} {
		for _, small := range []bool{true, false} {
			room := "room" + string(rune('a'+i)) + map[bool]string{true: "s", false: "p"}[small]
			raw := token(t, key, secret, time.Minute, &auth.VideoGrant{RoomJoin: true, Room: room})
			open := func(j *livekit.JoinRequest) (*websocket.Conn, *livekit.SignalResponse) {
				t.Helper()
				conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+path+"?access_token="+raw+"&join_request="+packed(t, j, small), nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.CloseNow() })
				return conn, next(t, conn)
			}
			conn, first := open(&livekit.JoinRequest{
				ClientInfo: &livekit.ClientInfo{Sdk: livekit.ClientInfo_GO}, ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true},
				ParticipantAttributes: map[string]string{"hand": "up"}, Metadata: "m",
				AddTrackRequests: []*livekit.AddTrackRequest{{Cid: "mic", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE}},
			})
			join := first.GetJoin()
			if join == nil {
				t.Fatalf("first message is %T", first.Message)
			}
			if p := join.GetParticipant(); p.GetAttributes()["hand"] != "up" || p.GetMetadata() != "m" || join.GetSubscriberPrimary() {
				t.Errorf("joined as %v", join)
			}
			if len(join.GetIceServers()) != 1 {
				t.Errorf("a client on Pion is told of %v", join.GetIceServers())
			}
			if m := await[*livekit.SignalResponse_TrackPublished](t, conn); m.TrackPublished.GetCid() != "mic" {
				t.Errorf("got %v", m)
			}
			if server.Room(room) == nil {
				t.Fatal("there is no room")
			}
			_ = conn.CloseNow()
			_, again := open(&livekit.JoinRequest{Reconnect: true, ParticipantSid: join.GetParticipant().GetSid()})
			if again.GetReconnect() == nil {
				t.Errorf("first message of a resume is %T", again.Message)
			}
			_, unknown := open(&livekit.JoinRequest{Reconnect: true, ParticipantSid: "PA_unknown"})
			if leave := unknown.GetLeave(); leave.GetAction() != livekit.LeaveRequest_RECONNECT {
				t.Errorf("an unknown one is told %v", unknown)
			}
		}
	}
}
