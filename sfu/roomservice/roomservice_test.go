package roomservice_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/roomservice"
	"github.com/consilium-health/consilium/sfu/signal"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// patience bounds a failure.
const patience = 15 * time.Second

func start(t *testing.T) (*sfu.Server, string) {
	t.Helper()
	lksdk.SetLogger(logger.GetDiscardLogger())
	leakcheck.Check(t)
	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:0", Key: key, Secret: secret, AutoCreate: true})
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
	mux.Handle("/twirp/", roomservice.Handler(server))
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server, web.URL
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func code(err error) twirp.ErrorCode {
	var t twirp.Error
	if errors.As(err, &t) {
		return t.Code()
	}
	return twirp.NoError
}

func TestRoomServiceActsOnPeople(t *testing.T) {
	_, url := start(t)
	client := lksdk.NewRoomServiceClient(url, key, secret)
	ctx := t.Context()
	if _, err := client.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "room", Metadata: "first"}); err != nil {
		t.Fatal(err)
	}
	gone := make(chan lksdk.DisconnectionReason, 1)
	muted := make(chan string, 4)
	metadata := make(chan string, 4)
	attributes := make(chan map[string]string, 4)
	data := make(chan string, 4)
	join := func(id string) *lksdk.Room {
		t.Helper()
		cb := lksdk.NewRoomCallback()
		if id == "b" {
			cb.OnTrackMuted = func(pub lksdk.TrackPublication, p lksdk.Participant) { muted <- p.Identity() }
			cb.OnRoomMetadataChanged = func(m string) { metadata <- m }
			cb.OnAttributesChanged = func(_ map[string]string, p lksdk.Participant) { attributes <- p.Attributes() }
			cb.OnDataPacket = func(d lksdk.DataPacket, _ lksdk.DataReceiveParams) {
				if u, ok := d.(*lksdk.UserDataPacket); ok {
					data <- string(u.Payload)
				}
			}
		} else {
			cb.OnDisconnectedWithReason = func(r lksdk.DisconnectionReason) { gone <- r }
		}
		raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
		if err != nil {
			t.Fatal(err)
		}
		room, err := lksdk.ConnectToRoomWithToken(url, raw, cb, lksdk.WithDisableRegionDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(room.Disconnect)
		return room
	}
	a := join("a")
	join("b")
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := a.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "mic", Source: livekit.TrackSource_MICROPHONE})
	if err != nil {
		t.Fatal(err)
	}
	speaking, silent := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-speaking.Done():
				ticker.Stop()
				return
			case <-ticker.C:
				_ = track.WriteSample(media.Sample{Data: []byte("a"), Duration: 20 * time.Millisecond}, nil)
			}
		}
	}()
	t.Cleanup(func() {
		silent()
		<-stopped
	})
	var sid string
	for end := time.Now().Add(patience); sid == "" && time.Now().Before(end); {
		list, err := client.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: "room"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.GetParticipants() {
			for _, tr := range p.GetTracks() {
				sid = tr.GetSid()
			}
		}
	}
	if sid != pub.SID() {
		t.Fatalf("got track %q, want %q", sid, pub.SID())
	}
	if _, err := client.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: "room", Identity: "a", TrackSid: sid, Muted: true}); err != nil {
		t.Fatal(err)
	}
	if who := receive(t, "the mute", muted); who != "a" {
		t.Errorf("muted %s", who)
	}
	if _, err := client.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: "room", Identity: "a", TrackSid: sid}); code(err) != twirp.FailedPrecondition {
		t.Errorf("a microphone was opened from afar: %v", err)
	}
	if _, err := client.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: "room", Metadata: "second"}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "the metadata", metadata); m != "second" {
		t.Errorf("metadata %q", m)
	}
	if _, err := client.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: "room", Identity: "a", Attributes: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "the attributes", attributes); got["k"] != "v" {
		t.Errorf("attributes %v", got)
	}
	if _, err := client.SendData(ctx, &livekit.SendDataRequest{Room: "room", Data: []byte("hello"), Kind: livekit.DataPacket_RELIABLE, DestinationIdentities: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, "the data", data); d != "hello" {
		t.Errorf("data %q", d)
	}
	if _, err := client.UpdateSubscriptions(ctx, &livekit.UpdateSubscriptionsRequest{Room: "room", Identity: "b", TrackSids: []string{sid}}); err != nil {
		t.Fatal(err)
	}
	who := &livekit.RoomParticipantIdentity{Room: "room", Identity: "a"}
	if _, err := client.GetParticipant(ctx, who); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RemoveParticipant(ctx, who); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, "the end", gone); r != lksdk.ParticipantRemoved {
		t.Errorf("reason %q", r)
	}
	if _, err := client.GetParticipant(ctx, who); code(err) != twirp.NotFound {
		t.Errorf("somebody removed is still there: %v", err)
	}
	rooms, err := client.ListRooms(ctx, &livekit.ListRoomsRequest{})
	if err != nil || len(rooms.GetRooms()) != 1 || rooms.GetRooms()[0].GetNumParticipants() != 1 {
		t.Errorf("got %v, %v", rooms, err)
	}
	if _, err := client.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: "room"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: "room"}); code(err) != twirp.NotFound {
		t.Errorf("a room was deleted twice: %v", err)
	}
}

func TestRoomServiceAsksForTheGrant(t *testing.T) {
	server, url := start(t)
	if _, err := server.Create("room", ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why    string
		secret string
		grant  *auth.VideoGrant
		want   twirp.ErrorCode
	}{
		{"another secret", secret + "x", &auth.VideoGrant{RoomAdmin: true, Room: "room"}, twirp.Unauthenticated},
		{"may only join", secret, &auth.VideoGrant{RoomJoin: true, Room: "room"}, twirp.PermissionDenied},
		{"admin of another room", secret, &auth.VideoGrant{RoomAdmin: true, Room: "other"}, twirp.PermissionDenied},
		{"admin of no room", secret, &auth.VideoGrant{RoomAdmin: true}, twirp.PermissionDenied},
		{"admin of the room", secret, &auth.VideoGrant{RoomAdmin: true, Room: "room"}, twirp.NoError},
	} {
		t.Run(c.why, func(t *testing.T) {
			raw, err := auth.NewAccessToken(key, c.secret).SetVideoGrant(c.grant).ToJWT()
			if err != nil {
				t.Fatal(err)
			}
			ctx, err := twirp.WithHTTPRequestHeaders(t.Context(), http.Header{"Authorization": {"Bearer " + raw}})
			if err != nil {
				t.Fatal(err)
			}
			client := livekit.NewRoomServiceProtobufClient(url, http.DefaultClient)
			_, err = client.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: "room"})
			if got := code(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// readHook checks a webhook as receivers of the protocol do: the token's signature,
// then the hash of the body that it names.
func readHook(r *http.Request) (*livekit.WebhookEvent, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	v, err := auth.ParseAPIToken(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	_, claims, err := v.Verify(secret)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(body); v.APIKey() != key || claims.Sha256 != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, errors.New("signature of another body")
	}
	event := &livekit.WebhookEvent{}
	return event, protojson.Unmarshal(body, event)
}

func TestWebhooksAreSignedAndInOrder(t *testing.T) {
	server, url := start(t)
	got := make(chan string, 16)
	failed := false
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, err := readHook(r)
		if err != nil {
			t.Errorf("a receiver of the protocol refuses it: %v", err)
		}
		if !failed {
			failed = true // it is tried again
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got <- strings.TrimSpace(event.GetEvent() + " " + event.GetParticipant().GetIdentity())
	}))
	defer receiver.Close()
	hooks := roomservice.NewWebhooks(roomservice.WebhookConfig{Server: server, URLs: []string{receiver.URL}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hooks.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	raw, err := auth.NewAccessToken(key, secret).SetIdentity("a").SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	room, err := lksdk.ConnectToRoomWithToken(url, raw, lksdk.NewRoomCallback(), lksdk.WithDisableRegionDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	joined := []string{receive(t, "an event", got), receive(t, "an event", got)}
	room.Disconnect()
	joined = append(joined, receive(t, "an event", got))
	server.Delete("room")
	joined = append(joined, receive(t, "an event", got))
	want := []string{"room_started", "participant_joined a", "participant_left a", "room_finished"}
	if diff := cmp.Diff(joined, want); diff != "" {
		t.Error(diff)
	}
}
