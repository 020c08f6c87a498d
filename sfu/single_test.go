package sfu_test

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu"
)

// sections counts those of a client's one connection that carry what it receives.
func (c *sdkClient) sections() (all, used int) {
	pc := c.room.LocalParticipant.GetPublisherPeerConnection()
	for _, t := range pc.GetTransceivers() {
		all++
		if r := t.Receiver(); r != nil && r.Track() != nil && r.Track().SSRC() != 0 {
			used++
		}
	}
	return all, used
}

func (c *sdkClient) ufrag() string {
	return line(c.room.LocalParticipant.GetPublisherPeerConnection().RemoteDescription().SDP, "a=ice-ufrag:")
}

// A client with one connection begins with three sections of a kind. It is asked for
// more when more speak, and no more when those who speak change.
func TestSectionsAreAskedForAndUsedAgain(t *testing.T) {
	_, url := start(t, none, none)
	bob := newSDKClient(t, url, "bob", single)
	speakers := map[string]*sdkClient{}
	enter := func(names ...string) {
		t.Helper()
		var want []string
		for _, name := range names {
			speakers[name] = newSDKClient(t, url, name)
			speakers[name].speak()
			want = append(want, "subscribed "+name)
		}
		bob.sees(want...)
		bob.hears()
	}
	enter("a", "b", "c", "d", "e")
	if all, _ := bob.sections(); all != 8 { // five of sound, three of pictures
		t.Errorf("%d sections for five who speak, want 8", all)
	}
	for _, name := range []string{"b", "d"} {
		speakers[name].room.Disconnect()
		bob.sees("left " + name)
	}
	bob.until("two sections are free", func() bool {
		bob.wake()
		_, used := bob.sections()
		return used == 3
	})
	enter("f", "g")
	if all, used := bob.sections(); all != 8 || used != 5 {
		t.Errorf("%d sections, %d used, want 8 and 5", all, used)
	}
}

// A track that the client does not want ends, and comes back in a section that is free.
func TestAnUnsubscribedTrackComesBackOnTheOneConnection(t *testing.T) {
	_, url := start(t, none, none)
	alice := newSDKClient(t, url, "alice", single)
	alice.speak()
	bob := newSDKClient(t, url, "bob", single)
	wish := func(on bool) {
		t.Helper()
		for _, pub := range bob.room.GetParticipantByIdentity("alice").TrackPublications() {
			if err := pub.(*lksdk.RemoteTrackPublication).SetSubscribed(on); err != nil {
				t.Fatal(err)
			}
		}
	}
	bob.sees("subscribed alice")
	for range 3 {
		bob.hears()
		wish(false)
		bob.until("the end of the track", func() bool {
			bob.wake()
			_, used := bob.sections()
			return used == 0
		})
		wish(true)
		bob.sees("subscribed alice")
	}
	bob.hears()
	if all, _ := bob.sections(); all != 6 {
		t.Errorf("%d sections, want the 6 there were", all)
	}
}

// The Go client sends in a section that it receives in: both go on.
func TestASectionCarriesBothDirections(t *testing.T) {
	_, url := start(t, none, none)
	alice := newSDKClient(t, url, "alice", single)
	bob := newSDKClient(t, url, "bob", single)
	alice.speak()
	bob.sees("subscribed alice")
	bob.hears()
	bob.speak()
	alice.sees("subscribed bob")
	alice.hears()
	bob.hears()
	both := 0
	for _, tr := range bob.room.LocalParticipant.GetPublisherPeerConnection().GetTransceivers() {
		if tr.Direction() == webrtc.RTPTransceiverDirectionSendrecv && tr.Receiver().Track() != nil {
			both++
		}
	}
	if both != 1 {
		t.Errorf("%d sections carry both directions, want 1: this tests nothing", both)
	}
}

// What a client publishes with its request to join is there when it has joined.
func TestTracksThatComeWithTheRequest(t *testing.T) {
	_, url := start(t, none, none)
	bob := newSDKClient(t, url, "bob", single)
	track, err := lksdk.NewLocalTrack(opusMic)
	if err != nil {
		t.Fatal(err)
	}
	track.SetLogger(logger.GetDiscardLogger())
	alice := newSDKClient(t, url, "alice", single, lksdk.WithTrack(track, &lksdk.TrackPublicationOptions{Name: "mic", Source: livekit.TrackSource_MICROPHONE}))
	if n := len(alice.room.LocalParticipant.TrackPublications()); n != 1 {
		t.Fatalf("%d tracks are published after joining", n)
	}
	alice.sends(track)
	bob.sees("subscribed alice")
	bob.hears()
}

// When nothing arrives on the one connection the engine has the client resume, which
// restarts ICE; nobody else notices.
func TestTheOneConnectionIsRestartedWhenNothingArrives(t *testing.T) {
	var dark atomic.Bool
	_, url := start(t, none, func([]byte) bool { return dark.Load() })
	alice := newSDKClient(t, url, "alice", single)
	bob := newSDKClient(t, url, "bob", single)
	alice.speak()
	bob.sees("subscribed alice")
	bob.hears()
	before := bob.ufrag()
	dark.Store(true)
	bob.sees("reconnecting")
	dark.Store(false)
	bob.sees("reconnected")
	bob.hears()
	bob.until("other credentials", func() bool {
		bob.wake()
		return bob.ufrag() != before
	})
	for _, c := range []*sdkClient{alice, bob} {
		c.mu.Lock()
		if i := slices.IndexFunc(c.seen, func(s string) bool { return strings.HasPrefix(s, "left") || strings.HasPrefix(s, "unpublished") }); i >= 0 {
			t.Errorf("%s saw %q", c.id, c.seen[i])
		}
		c.mu.Unlock()
	}
}

// answered is a client by hand: what it is sent arrives here.
type answered struct {
	t    *testing.T
	in   chan *livekit.SignalResponse
	peer *sfu.Peer
	id   uint32
}

func (a *answered) Send(m *livekit.SignalResponse) {
	select {
	case a.in <- m:
	default: // nobody waits for what comes after the end
	}
}

func (a *answered) Close() {}

// next waits for the first message that is wanted.
func (a *answered) next(what string, ok func(*livekit.SignalResponse) bool) *livekit.SignalResponse {
	a.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m := <-a.in:
			if ok(m) {
				return m
			}
		case <-limit:
			a.t.Fatalf("%s never came", what)
		}
	}
}

// offer offers sections, each "mid direction", and returns the answer, or why there was
// none.
func (a *answered) offer(sections ...string) (*livekit.SessionDescription, *livekit.LeaveRequest) {
	a.t.Helper()
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE x\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=fingerprint:sha-256 " + strings.Repeat("AA:", 31) + "AA\r\n")
	for _, s := range sections {
		mid, direction, _ := strings.Cut(s, " ")
		b.WriteString("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=" + direction + "\r\n")
		if mid != "" {
			b.WriteString("a=mid:" + mid + "\r\n")
		}
	}
	a.id++
	a.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: b.String(), Id: a.id}}})
	m := a.next("the answer", func(m *livekit.SignalResponse) bool {
		return m.GetAnswer().GetId() == a.id || m.GetLeave() != nil
	})
	return m.GetAnswer(), m.GetLeave()
}

// lands offers, again when it is asked to, until the track comes in a section, and tells
// in which.
func (a *answered) lands(sections ...string) string {
	a.t.Helper()
	for range 5 {
		answer, leave := a.offer(sections...)
		if leave != nil {
			a.t.Fatalf("sent away: %v", leave)
		}
		for mid := range answer.GetMidToTrackId() {
			return mid
		}
		a.next("another wish for an offer", func(m *livekit.SignalResponse) bool { return m.GetMediaSectionsRequirement() != nil })
	}
	a.t.Fatal("the track comes in no section")
	return ""
}

// What no client does with its sections ends with the track in one that receives, or with
// the client sent away, and with nothing kept.
func TestOddOffersOnTheOneConnection(t *testing.T) {
	server, url := start(t, none, none)
	alice := newSDKClient(t, url, "alice")
	alice.speak()
	bob := newSDKClient(t, url, "bob")
	bob.sees("subscribed alice")
	enter := func(id string) *answered {
		t.Helper()
		raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
		if err != nil {
			t.Fatal(err)
		}
		claims, err := server.Verify(raw)
		if err != nil {
			t.Fatal(err)
		}
		a := &answered{t: t, in: make(chan *livekit.SignalResponse, 4096)}
		if a.peer, err = server.Join(t.Context(), sfu.JoinRequest{Claims: claims, Sink: a, AutoSubscribe: true, Single: true}); err != nil {
			t.Fatal(err)
		}
		return a
	}
	m := enter("m")
	for i, c := range []struct {
		sections []string
		want     string
	}{
		{[]string{"a recvonly"}, "a"},
		{[]string{"a recvonly", "b recvonly"}, "a"}, // it stays where it is
		{[]string{"a sendonly", "b recvonly"}, "b"}, // a section taken back
		{[]string{"a sendonly", "b inactive", "c sendrecv"}, "c"},
		{[]string{"d recvonly"}, "d"},               // sections that are gone
		{[]string{"e recvonly", "e recvonly"}, "e"}, // two of one name
		{[]string{" recvonly", "f recvonly"}, "f"},  // one without a name
	} {
		if got := m.lands(c.sections...); got != c.want {
			t.Errorf("offer %d: the track comes in %q, want %q", i, got, c.want)
		}
	}
	for i := range 200 { // names without end
		if got, want := m.lands("n"+strconv.Itoa(i)+" recvonly"), "n"+strconv.Itoa(i); got != want {
			t.Fatalf("the track comes in %q, want %q", got, want)
		}
	}
	bob.hears()
	many := make([]string, 300)
	for i := range many {
		many[i] = "s" + strconv.Itoa(i) + " recvonly"
	}
	if _, leave := enter("n").offer(many...); leave.GetAction() != livekit.LeaveRequest_RECONNECT {
		t.Errorf("300 sections nobody asked for: told %v", leave)
	}
	bob.hears()
}
