package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

// joinStatus is what a client that asks to join a room is answered.
func joinStatus(t *testing.T, url, room string) int {
	t.Helper()
	raw, err := auth.NewAccessToken("key", mediaSecret).SetIdentity("asks").SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http" + strings.TrimPrefix(url, "ws") + "/rtc/validate?access_token=" + raw)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestRunningConsultsGoOnWhileTheServiceStops(t *testing.T) {
	out, stop, ended := runsMedia(t, "CONSILIUM_DRAIN", "10m")
	url := out.await(t, `media engine: (ws://\S+),`)
	a, b := talk(t, url, "runs", "a"), talk(t, url, "runs", "b")
	a.hears(t, 10)
	b.hears(t, 10)
	if got := joinStatus(t, url, "new"); got != http.StatusOK {
		t.Errorf("a new room before: %d", got)
	}
	stop()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for joinStatus(t, url, "new") != http.StatusServiceUnavailable {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("new rooms are still opened")
		}
	}
	// Those who talk go on, and somebody who lost the page comes back to them.
	a.hears(t, 25)
	c := talk(t, url, "runs", "c", lksdk.WithSinglePeerConnection())
	c.hears(t, 25)
	select {
	case <-ended:
		t.Fatal("the engine has ended while people talk")
	default:
	}
	for _, p := range []*talker{a, b, c} {
		p.room.Disconnect()
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the engine goes on although everybody has left")
	}
}

func TestTheTimeForRunningConsultsIsBounded(t *testing.T) {
	out, stop, ended := runsMedia(t, "CONSILIUM_DRAIN", "300ms")
	url := out.await(t, `media engine: (ws://\S+),`)
	a, b := talk(t, url, "runs", "a"), talk(t, url, "runs", "b")
	a.hears(t, 10)
	b.hears(t, 10)
	stop()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it waits longer than it may")
	}
}
