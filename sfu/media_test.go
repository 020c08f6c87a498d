package sfu_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
	"github.com/consilium-health/consilium/sfu/signal"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

// patience bounds a failure.
const patience = 20 * time.Second

func none([]byte) bool { return false }

// start runs a server on which packets are lost.
func start(t *testing.T, in, out func([]byte) bool) (*sfu.Server, string) {
	t.Helper()
	quiet(t)
	leakcheck.Check(t)
	return another(t, sfu.Config{}, in, out)
}

// quiet lets the Go client log nothing. It must not even make the texts: those of its
// tracks are made of what it changes meanwhile.
func quiet(t *testing.T) {
	t.Helper()
	l, err := logger.NewZapLogger(&logger.Config{Level: "fatal"})
	if err != nil {
		t.Fatal(err)
	}
	lksdk.SetLogger(l)
}

// another is one more server of a test, whose leaks start looks for.
func another(t *testing.T, cfg sfu.Config, in, out func([]byte) bool) (*sfu.Server, string) {
	t.Helper()
	cfg.Key, cfg.Secret, cfg.AutoCreate = key, secret, true
	if cfg.UDP == "" {
		cfg.UDP = "127.0.0.1:0"
	}
	server, err := sfu.NewLossy(cfg, in, out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("/rtc", signal.Handler(signal.Config{Server: server}))
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

func join(t *testing.T, url, id string, cb *lksdk.RoomCallback, options ...lksdk.ConnectOption) *lksdk.Room {
	t.Helper()
	raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "room"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	room, err := lksdk.ConnectToRoomWithToken(url, raw, cb, append(options, lksdk.WithDisableRegionDiscovery())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Disconnect)
	return room
}

// every returns a loss of every nth video packet. Only the media stream suffers: what
// is sent again goes another way.
func every(n int64) func([]byte) bool {
	var count atomic.Int64
	return func(b []byte) bool {
		if len(b) < 12 || b[0]>>6 != 2 || b[1]&0x7f != 96 {
			return false
		}
		return count.Add(1)%n == 0
	}
}

// camera sends VP8 frames of two packets, at 20 frames a second, whose first bytes
// are the tag; the first of them and every one that is asked for is a key frame.
func camera(t *testing.T, track *lksdk.LocalTrack, tag byte, asked *atomic.Bool) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for n := uint32(0); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				frame := make([]byte, 2000)
				frame[0] = 1
				if n == 0 || asked.Swap(false) {
					frame[0] = 0
				}
				frame[1] = tag
				binary.BigEndian.PutUint32(frame[2:], n)
				_ = track.WriteSample(media.Sample{Data: frame, Duration: 50 * time.Millisecond}, nil)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// video collects what a subscriber receives.
type video struct {
	mu      sync.Mutex
	packets []rtp.Packet
	changed chan struct{}
	pub     *lksdk.RemoteTrackPublication
}

func (v *video) callback() *lksdk.RoomCallback {
	v.changed = make(chan struct{}, 1)
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		v.mu.Lock()
		v.pub = pub
		v.mu.Unlock()
		go func() {
			for {
				p, _, err := track.ReadRTP()
				if err != nil {
					return
				}
				v.mu.Lock()
				v.packets = append(v.packets, *p)
				v.mu.Unlock()
				select {
				case v.changed <- struct{}{}:
				default:
				}
			}
		}()
	}
	return cb
}

func (v *video) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		v.mu.Lock()
		done := ok()
		n := len(v.packets)
		v.mu.Unlock()
		if done {
			return
		}
		select {
		case <-v.changed:
		case <-deadline:
			t.Fatalf("waited in vain until %s; %d packets came", what, n)
		}
	}
}

// gaps are the numbers missing between the first and last packet but the newest 40,
// which may be on their way again.
func (v *video) gaps() int {
	seen := map[uint16]bool{}
	first, last := v.packets[0].SequenceNumber, v.packets[0].SequenceNumber
	for _, p := range v.packets {
		seen[p.SequenceNumber] = true
		if int16(p.SequenceNumber-last) > 0 {
			last = p.SequenceNumber
		}
		if int16(p.SequenceNumber-first) < 0 {
			first = p.SequenceNumber
		}
	}
	missing := 0
	for seq := first; seq != last-40; seq++ {
		if !seen[seq] {
			missing++
		}
	}
	return missing
}

func TestLostVideoPacketsAreSentAgain(t *testing.T) { bothForms(t, lostVideoPacketsAreSentAgain) }

func lostVideoPacketsAreSentAgain(t *testing.T, form ...lksdk.ConnectOption) {
	for _, c := range []struct {
		why     string
		in, out func([]byte) bool
	}{
		{"lost on the way to the subscriber", none, every(10)},
		{"lost on the way from the publisher", every(10), none},
	} {
		t.Run(c.why, func(t *testing.T) {
			server, url := start(t, c.in, c.out)
			var got video
			join(t, url, "b", got.callback(), form...)
			a := join(t, url, "a", lksdk.NewRoomCallback(), form...)
			var asked atomic.Bool
			track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
				lksdk.WithRTCPHandler(func(p rtcp.Packet) {
					if _, ok := p.(*rtcp.PictureLossIndication); ok {
						asked.Store(true)
					}
				}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "cam", Source: livekit.TrackSource_CAMERA}); err != nil {
				t.Fatal(err)
			}
			camera(t, track, 'a', &asked)
			got.until(t, "300 packets came", func() bool { return len(got.packets) >= 300 })
			w := httptest.NewRecorder()
			sfu.DebugHandler(server).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?room=room", nil))
			var state sfu.RoomState
			if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
				t.Fatal(err)
			}
			if n := len(state.Participants); n != 2 || !state.Participants[1].Receives[0].Open || state.Participants[0].Publishes[0].Arrived < 200 {
				t.Errorf("debug page shows %+v", state)
			}
			if st := server.Stats(); st.Rooms != 1 || st.Participants != 2 || st.Tracks != 1 || st.Subscriptions != 1 || st.Packets < 200 {
				t.Errorf("stats %+v", st)
			}
			got.mu.Lock()
			defer got.mu.Unlock()
			// A tenth was lost, 26 packets of 260. Nothing of it may be missing.
			if n := got.gaps(); n > 0 {
				t.Errorf("%d packets are missing", n)
			}
		})
	}
}

func TestLayersAreSwitchedAtKeyFramesWithoutASeam(t *testing.T) { bothForms(t, layersAreSwitched) }

func layersAreSwitched(t *testing.T, form ...lksdk.ConnectOption) {
	_, url := start(t, none, none)
	var got video
	join(t, url, "b", got.callback(), form...)
	a := join(t, url, "a", lksdk.NewRoomCallback(), form...)
	var tracks []*lksdk.LocalTrack
	for i, q := range []livekit.VideoQuality{livekit.VideoQuality_LOW, livekit.VideoQuality_MEDIUM, livekit.VideoQuality_HIGH} {
		track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
			lksdk.WithSimulcast("cam", &livekit.VideoLayer{Quality: q, Width: uint32(320 << i), Height: uint32(180 << i)}))
		if err != nil {
			t.Fatal(err)
		}
		tracks = append(tracks, track)
	}
	if _, err := a.LocalParticipant.PublishSimulcastTrack(tracks, &lksdk.TrackPublicationOptions{Name: "cam", Source: livekit.TrackSource_CAMERA}); err != nil {
		t.Fatal(err)
	}
	for i, track := range tracks {
		// A key frame each second stands for the answer to a request.
		asked := &atomic.Bool{}
		camera(t, track, byte('0'+i), asked)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			ticker := time.NewTicker(500 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					asked.Store(true)
				}
			}
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
	}
	// layer is the tag of the last frame that began.
	layer := func() byte {
		for i := len(got.packets) - 1; i >= 0; i-- {
			var vp8 codecs.VP8Packet
			if body, err := vp8.Unmarshal(got.packets[i].Payload); err == nil && vp8.S == 1 {
				return body[1]
			}
		}
		return 0
	}
	got.until(t, "the best layer came", func() bool { return layer() == '2' })
	for _, want := range []livekit.VideoQuality{livekit.VideoQuality_LOW, livekit.VideoQuality_HIGH, livekit.VideoQuality_MEDIUM} {
		got.mu.Lock()
		pub := got.pub
		got.mu.Unlock()
		if err := pub.SetVideoQuality(want); err != nil {
			t.Fatal(err)
		}
		got.until(t, "layer "+want.String()+" came", func() bool { return layer() == byte('0'+int(want)) })
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	tag, picture := byte(0), uint16(0)
	for i, p := range got.packets {
		if i > 0 && p.SequenceNumber != got.packets[i-1].SequenceNumber+1 {
			t.Fatalf("packet %d: number %d after %d", i, p.SequenceNumber, got.packets[i-1].SequenceNumber)
		}
		if i > 0 && p.SSRC != got.packets[0].SSRC {
			t.Fatal("the SSRC changed")
		}
		var vp8 codecs.VP8Packet
		body, err := vp8.Unmarshal(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if vp8.S != 1 {
			continue
		}
		if body[1] != tag && body[0]&1 != 0 {
			t.Fatalf("packet %d: changed from layer %c to %c without a key frame", i, tag, body[1])
		}
		if i > 0 && vp8.PictureID != (picture+1)&0x7fff {
			t.Fatalf("packet %d: picture %d after %d", i, vp8.PictureID, picture)
		}
		tag, picture = body[1], vp8.PictureID
	}
}

func TestEachTrackIsSubscribedInItsOwnCodec(t *testing.T) { bothForms(t, eachTrackInItsOwnCodec) }

func eachTrackInItsOwnCodec(t *testing.T, form ...lksdk.ConnectOption) {
	_, url := start(t, none, none)
	mimes := make(chan string, 16)
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		mimes <- track.Codec().MimeType
	}
	join(t, url, "b", cb, form...)
	a := join(t, url, "a", lksdk.NewRoomCallback(), form...)
	// VP8 first: what the first section negotiates must not shut the others out. Then
	// H264 beside it, and H264 in the section that VP8 left.
	var first *lksdk.LocalTrackPublication
	for i, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeH264} {
		if i == 2 {
			if err := a.LocalParticipant.UnpublishTrack(first.SID()); err != nil {
				t.Fatal(err)
			}
		}
		track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000})
		if err != nil {
			t.Fatal(err)
		}
		pub, err := a.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: mime, Source: livekit.TrackSource_CAMERA})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = pub
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			frame := make([]byte, 200) // of VP8, a key frame
			if mime == webrtc.MimeTypeH264 {
				frame = append([]byte{0, 0, 0, 1, 0x65}, make([]byte, 200)...) // an IDR slice
			}
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					_ = track.WriteSample(media.Sample{Data: frame, Duration: 50 * time.Millisecond}, nil)
				}
			}
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
		select {
		case got := <-mimes:
			if got != mime {
				t.Fatalf("track %d: got %s, want %s", i, got, mime)
			}
		case <-time.After(patience):
			t.Fatalf("track %d of %s never came", i, mime)
		}
	}
}

func TestASecondOfferBeforeTheConnectionIsUp(t *testing.T) {
	server, _ := start(t, none, none)
	b := newBrowser(t, server, "b", nil)
	for i := range 5 {
		a := newBrowser(t, server, string(rune('m'+i)), nil)
		a.publish(opusMic, livekit.TrackSource_MICROPHONE)
		a.publish(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, livekit.TrackSource_CAMERA)
		b.until("connected", patience, func() bool { return a.pub.ConnectionState() == webrtc.PeerConnectionStateConnected })
	}
}
