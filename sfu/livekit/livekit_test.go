package livekit_test

import (
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/mediatest"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

func TestContract(t *testing.T) {
	media := livekit.New(livekit.Config{URL: mediatest.StartLiveKit(t, key, secret), Key: key, Secret: secret})
	defer media.Stop()
	limits := mediatest.Limits{RevokedConnects: true, DataToAll: true, LateDenial: true}
	mediatest.Run(t, mediatest.Engine{Media: media, Limits: limits})
}

// Somebody with the cluster's key, another program of the operator's perhaps, is not let
// in: only admissions are.
func TestWhoComesWithoutAnAdmissionIsRemoved(t *testing.T) {
	url := mediatest.StartLiveKit(t, key, secret)
	media := livekit.New(livekit.Config{URL: url, Key: key, Secret: secret})
	defer media.Stop()
	joined := make(chan sessions.MediaEvent, 8)
	defer media.Watch(func(e sessions.MediaEvent) { joined <- e })()
	const session = sessions.SessionID("0190a5a0-0000-7000-8000-000000000001")
	if err := media.Open(t.Context(), session, sessions.RoomMain); err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewAccessToken(key, secret).SetIdentity("stranger").SetValidFor(time.Minute).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: string(session) + "/main"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan lksdk.DisconnectionReason, 1)
	cb := lksdk.NewRoomCallback()
	cb.OnDisconnectedWithReason = func(r lksdk.DisconnectionReason) { gone <- r }
	room := lksdk.NewRoom(cb)
	room.SetLogger(logger.GetDiscardLogger())
	if err := room.JoinWithToken(url, token, lksdk.WithLogger(logger.GetDiscardLogger())); err != nil {
		t.Fatal(err)
	}
	defer room.Disconnect()
	select {
	case r := <-gone:
		if r != lksdk.ParticipantRemoved {
			t.Errorf("reason %q", r)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("a stranger stays in the room")
	}
	if err := media.Close(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-joined:
		t.Errorf("event %+v of a stranger", e)
	default:
	}
}
