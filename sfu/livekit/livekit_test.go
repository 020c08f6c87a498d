//go:build promise

package livekit_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	protocol "github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/mediatest"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// resume is tested apart: a client that resumes gets addresses of ICE servers from a
// cluster, and Pion's ICE agent (v4.4.2) takes those without a lock, which the race
// detector reports.
const resume = "ResumeIsUnseenByTheOthers"

var limits = mediatest.Limits{RevokedConnects: true, DataToAll: true, LateDenial: true}

func TestContract(t *testing.T) {
	media := livekit.New(livekit.Config{URL: mediatest.StartLiveKit(t, key, secret), Key: key, Secret: secret})
	defer media.Stop()
	mediatest.Run(t, mediatest.Engine{Media: media, Limits: limits, Except: []string{resume}})
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
	gone := make(chan struct{})
	cb := lksdk.NewRoomCallback()
	cb.OnDisconnected = func() { close(gone) }
	room := lksdk.NewRoom(cb)
	room.SetLogger(logger.GetDiscardLogger())
	// They may be removed before they are connected: then joining itself ends with an error.
	if err := room.JoinWithToken(url, token, lksdk.WithLogger(logger.GetDiscardLogger())); err == nil {
		defer room.Disconnect()
		select {
		case <-gone:
		case <-time.After(15 * time.Second):
			t.Fatal("a stranger stays in the room")
		}
	}
	client := lksdk.NewRoomServiceClient(url, key, secret)
	limit, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for there := true; there; {
		list, err := client.ListParticipants(limit, &protocol.ListParticipantsRequest{Room: string(session) + "/main"})
		if err != nil {
			t.Fatalf("a stranger stays in the room: %v", err)
		}
		there = slices.ContainsFunc(list.Participants, func(p *protocol.ParticipantInfo) bool { return p.Identity == "stranger" })
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
