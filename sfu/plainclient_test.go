package sfu_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"
)

// plainAPI has Opus and VP8 and nothing besides: no RED, no RTX, no reports.
func plainAPI(t *testing.T) *webrtc.API {
	t.Helper()
	m := &webrtc.MediaEngine{}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return strings.HasPrefix(name, "lo") })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(se))
}

// A client that knows only the plainest of each kind receives every track, also those
// that are published after its first answer has settled what it knows.
func TestAPlainClientReceivesWhatComesLater(t *testing.T) {
	server, _ := start(t, none, none)
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait) // after the client is closed
	plain := newClient(t, server, "plain", nil, plainAPI(t))
	var mu sync.Mutex
	got := map[string]int{} // kinds of tracks with a packet
	plain.sub.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		readers.Go(func() {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[track.Kind().String()]++
		})
	})
	for n, id := range []string{"first", "second", "third"} {
		a := newBrowser(t, server, id, nil)
		a.speak()
		a.film(100_000)
		plain.until("the tracks of "+id, patience, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return got["audio"] == n+1 && got["video"] == n+1
		})
	}
}
