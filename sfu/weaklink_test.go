package sfu_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/internal/weaklink"
)

// browser is a client that has what browsers have: RED, transport-cc and NACK. It
// speaks to the engine without a socket between, over a relay if it has one.
type browser struct {
	t      *testing.T
	server *sfu.Server
	relay  *weaklink.Relay
	peer   *sfu.Peer
	in     chan *livekit.SignalResponse

	pub, sub *webrtc.PeerConnection // the same one when single
	single   bool
	claims   sfu.Claims
	done     chan struct{}
	loop     sync.WaitGroup

	mu        sync.Mutex
	published map[string]chan string // sid by cid
	answers   chan *livekit.SessionDescription
	states    map[string]livekit.StreamState
	order     []livekit.StreamState // of video, as told
	heard     map[uint16]bool       // sound frames by number
	asked     atomic.Bool           // for a key frame
	videos    atomic.Int64          // packets with content
	filmed    atomic.Int64          // pictures that it sent
	frames    atomic.Int64          // pictures that came whole
	pads      atomic.Int64
	redSeen   atomic.Int64
	last      atomic.Int64 // UnixNano of the last video packet
	waits     []time.Duration
	left      *livekit.LeaveRequest
	offers    atomic.Int64  // that came
	resumed   atomic.Int64  // times it was told to resume
	slow      chan struct{} // offers are answered after it is closed; nil: at once
	again     bool          // offer once more
	restart   bool          // and ICE anew
}

func (b *browser) Send(m *livekit.SignalResponse) {
	select {
	case b.in <- m:
	default:
		b.t.Error("a client's queue is full")
	}
}

func (b *browser) Close() {}

func browserAPI(t *testing.T) *webrtc.API {
	t.Helper()
	return browserAPIOver(t, webrtc.NetworkTypeUDP4)
}

// browserAPIOver is one whose network has these.
func browserAPIOver(t *testing.T, networks ...webrtc.NetworkType) *webrtc.API {
	t.Helper()
	return browserAPIOn(t, func(se *webrtc.SettingEngine) {
		se.SetIncludeLoopbackCandidate(true)
		se.SetInterfaceFilter(func(name string) bool { return strings.HasPrefix(name, "lo") })
		se.SetNetworkTypes(networks)
	})
}

// browserAPIOn is one on the network that is set.
func browserAPIOn(t *testing.T, network func(*webrtc.SettingEngine)) *webrtc.API {
	t.Helper()
	m := &webrtc.MediaEngine{}
	cc := webrtc.RTCPFeedback{Type: "transport-cc"}
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1", RTCPFeedback: []webrtc.RTCPFeedback{cc}}, PayloadType: 111},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111", RTCPFeedback: []webrtc.RTCPFeedback{cc}}, PayloadType: 63},
	} {
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	feedback := []webrtc.RTCPFeedback{cc, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, PayloadType: 96},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}, PayloadType: 97},
	} {
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		for _, uri := range []string{sdp.TransportCCURI, sdp.SDESMidURI} {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				t.Fatal(err)
			}
		}
	}
	registry := &interceptor.Registry{}
	reports, err := twcc.NewSenderInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	again, err := nack.NewGeneratorInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	if err := webrtc.ConfigureRTCPReports(registry); err != nil {
		t.Fatal(err)
	}
	registry.Add(reports)
	registry.Add(again)
	se := webrtc.SettingEngine{}
	network(&se)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(se))
}

func newBrowser(t *testing.T, server *sfu.Server, id string, relay *weaklink.Relay) *browser {
	t.Helper()
	return newClient(t, server, id, relay, browserAPI(t))
}

// newClient is a browser that has what the API given has.
func newClient(t *testing.T, server *sfu.Server, id string, relay *weaklink.Relay, api *webrtc.API) *browser {
	t.Helper()
	return newClientIn(t, server, "room", id, relay, api)
}

// newClientIn is one of a room.
func newClientIn(t *testing.T, server *sfu.Server, room, id string, relay *weaklink.Relay, api *webrtc.API) *browser {
	t.Helper()
	return enter(t, server, room, id, relay, api, false)
}

// enter joins with one connection or with two.
func enter(t *testing.T, server *sfu.Server, room, id string, relay *weaklink.Relay, api *webrtc.API, single bool) *browser {
	t.Helper()
	raw, err := auth.NewAccessToken(key, secret).SetIdentity(id).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	claims, err := server.Verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{
		t: t, server: server, relay: relay, in: make(chan *livekit.SignalResponse, 1024), done: make(chan struct{}),
		published: map[string]chan string{}, answers: make(chan *livekit.SessionDescription, 8),
		states: map[string]livekit.StreamState{}, heard: map[uint16]bool{}, single: single, claims: claims,
	}
	if b.pub, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	if b.sub = b.pub; !single {
		if b.sub, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
			t.Fatal(err)
		}
	}
	b.sub.OnTrack(b.onTrack)
	if b.peer, err = server.Join(context.Background(), sfu.JoinRequest{Claims: claims, Sink: b, AutoSubscribe: true, SDK: "test", Single: single}); err != nil {
		t.Fatal(err)
	}
	b.loop.Go(b.run)
	if single {
		b.ask(1, 1)
		b.negotiate(false)
	}
	t.Cleanup(func() {
		close(b.done) // what still comes meets a connection that is ending
		b.loop.Wait()
		b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
		_ = b.pub.Close()
		_ = b.sub.Close()
	})
	return b
}

// reroute makes the server's addresses those of the relay.
func (b *browser) reroute(text string) string {
	if b.relay == nil {
		return text
	}
	return strings.ReplaceAll(text, fmt.Sprintf(" %d typ ", b.server.Addr().Port()), fmt.Sprintf(" %d typ ", b.relay.Port()))
}

func (b *browser) run() {
	candidates := map[*webrtc.PeerConnection][]webrtc.ICECandidateInit{}
	flush := func(pc *webrtc.PeerConnection) {
		if pc.RemoteDescription() == nil {
			return
		}
		for _, c := range candidates[pc] {
			if err := pc.AddICECandidate(c); err != nil {
				b.t.Error(err)
			}
		}
		candidates[pc] = nil
	}
	for {
		select {
		case <-b.done:
			return
		case m := <-b.in:
			switch m := m.Message.(type) {
			case *livekit.SignalResponse_Offer:
				if b.sub.ConnectionState() == webrtc.PeerConnectionStateClosed {
					continue // its handshake was damaged
				}
				b.offers.Add(1)
				b.mu.Lock()
				slow := b.slow
				b.mu.Unlock()
				if slow != nil {
					select {
					case <-slow:
					case <-b.done:
						return
					}
				}
				err := b.sub.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: b.reroute(m.Offer.Sdp)})
				if err != nil {
					b.t.Error(err)
					return
				}
				answer, err := b.sub.CreateAnswer(nil)
				if err == nil {
					err = b.sub.SetLocalDescription(answer)
				}
				if err != nil {
					b.t.Error(err)
					return
				}
				flush(b.sub)
				b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{
					Answer: &livekit.SessionDescription{Type: "answer", Sdp: answer.SDP, Id: m.Offer.Id},
				}})
			case *livekit.SignalResponse_Answer:
				if err := b.pub.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: b.reroute(m.Answer.Sdp)}); err != nil {
					b.t.Error(err)
					return
				}
				flush(b.pub)
				if b.single {
					b.negotiated()
					continue
				}
				b.answers <- m.Answer
			case *livekit.SignalResponse_MediaSectionsRequirement:
				b.ask(m.MediaSectionsRequirement.GetNumAudios(), m.MediaSectionsRequirement.GetNumVideos())
				b.negotiate(false)
			case *livekit.SignalResponse_Trickle:
				pc := b.pub
				if m.Trickle.Target == livekit.SignalTarget_SUBSCRIBER {
					pc = b.sub
				}
				text := b.reroute(m.Trickle.CandidateInit)
				text = text[strings.Index(text, `"candidate":"`)+len(`"candidate":"`):]
				text = text[:strings.Index(text, `"`)]
				index := uint16(0)
				candidates[pc] = append(candidates[pc], webrtc.ICECandidateInit{Candidate: text, SDPMLineIndex: &index})
				flush(pc)
			case *livekit.SignalResponse_TrackPublished:
				b.mu.Lock()
				if c := b.published[m.TrackPublished.Cid]; c != nil {
					c <- m.TrackPublished.Track.Sid
				}
				b.mu.Unlock()
			case *livekit.SignalResponse_Leave:
				b.mu.Lock()
				if m.Leave.Action != livekit.LeaveRequest_RESUME {
					b.left = m.Leave
				}
				b.mu.Unlock()
				if m.Leave.Action == livekit.LeaveRequest_RESUME {
					b.resumed.Add(1)
				}
				if b.single && m.Leave.Action == livekit.LeaveRequest_RESUME {
					b.resumes()
				}
			case *livekit.SignalResponse_StreamStateUpdate:
				b.mu.Lock()
				for _, s := range m.StreamStateUpdate.StreamStates {
					b.states[s.TrackSid] = s.State
					b.order = append(b.order, s.State)
				}
				b.mu.Unlock()
			}
		}
	}
}

// publish sends one more track.
func (b *browser) publish(codec webrtc.RTPCodecCapability, source livekit.TrackSource) *webrtc.TrackLocalStaticRTP {
	b.t.Helper()
	cid := fmt.Sprintf("%s-%s", codec.MimeType[:5], source)
	track, err := webrtc.NewTrackLocalStaticRTP(codec, cid, "stream")
	if err != nil {
		b.t.Fatal(err)
	}
	kind := livekit.TrackType_AUDIO
	if strings.HasPrefix(codec.MimeType, "video") {
		kind = livekit.TrackType_VIDEO
	}
	sid := make(chan string, 1)
	b.mu.Lock()
	b.published[cid] = sid
	b.mu.Unlock()
	b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: cid, Type: kind, Source: source, Name: cid,
	}}})
	select {
	case <-sid:
	case <-time.After(patience):
		b.t.Fatal("track_published never came")
	}
	sender, err := b.pub.AddTrack(track)
	if err != nil {
		b.t.Fatal(err)
	}
	b.loop.Go(func() {
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			if slices.ContainsFunc(packets, func(p rtcp.Packet) bool { _, ok := p.(*rtcp.PictureLossIndication); return ok }) {
				b.asked.Store(true)
			}
		}
	})
	b.offer()
	b.t.Cleanup(func() { _ = sender.Stop() })
	return track
}

// ask makes sections that receive.
func (b *browser) ask(audio, video uint32) {
	for kind, n := range map[webrtc.RTPCodecType]uint32{webrtc.RTPCodecTypeAudio: audio, webrtc.RTPCodecTypeVideo: video} {
		for range n {
			if _, err := b.pub.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				b.t.Error(err)
			}
		}
	}
}

// negotiate offers on the one connection, or once more after the answer that is awaited.
func (b *browser) negotiate(restart bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pub.SignalingState() != webrtc.SignalingStateStable {
		b.again, b.restart = true, b.restart || restart
		return
	}
	offer, err := b.pub.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err == nil {
		err = b.pub.SetLocalDescription(offer)
	}
	if err != nil {
		b.t.Error(err)
		return
	}
	b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: offer.SDP}}})
}

func (b *browser) negotiated() {
	b.mu.Lock()
	again, restart := b.again, b.restart
	b.again, b.restart = false, false
	b.mu.Unlock()
	if again {
		b.negotiate(restart)
	}
}

// resumes is what a client with one connection does when it is told to: another socket,
// and ICE anew.
func (b *browser) resumes() {
	if _, err := b.server.Resume(context.Background(), b.claims, b.peer.SID(), b); err != nil {
		b.t.Error(err)
	}
	b.negotiate(true)
}

// offer tells the server of what is published.
func (b *browser) offer() {
	b.t.Helper()
	if b.single {
		b.negotiate(false)
		return
	}
	offer, err := b.pub.CreateOffer(nil)
	if err == nil {
		err = b.pub.SetLocalDescription(offer)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: offer.SDP, Id: 1}}})
	select {
	case <-b.answers:
	case <-time.After(patience):
		b.t.Fatal("answer never came")
	}
}

// pace calls f with growing numbers until the test ends.
func (b *browser) pace(every time.Duration, f func(n int)) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-ticker.C:
				f(n)
			}
		}
	}()
	b.t.Cleanup(func() {
		close(stop)
		<-ended
	})
}

// speak sends sound of 32 kbit/s as RED, each frame numbered.
func (b *browser) speak() {
	track := b.publish(webrtc.RTPCodecCapability{MimeType: "audio/red", ClockRate: 48000, Channels: 2}, livekit.TrackSource_MICROPHONE)
	frame := func(n int) []byte {
		f := make([]byte, 80)
		f[0] = 0x78
		binary.BigEndian.PutUint16(f[1:], uint16(n))
		binary.BigEndian.PutUint64(f[3:], uint64(time.Now().UnixNano()))
		return f
	}
	var before []byte
	b.pace(20*time.Millisecond, func(n int) {
		var payload []byte
		if before != nil {
			v := uint32(0x80|111)<<24 | 960<<10 | uint32(len(before))
			payload = binary.BigEndian.AppendUint32(payload, v)
		}
		payload = append(append(payload, 111), before...)
		before = frame(n)
		payload = append(payload, before...)
		_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}, Payload: payload})
	})
}

// film sends VP8 at 20 frames a second and the rate given; what is asked for is a key
// frame, four times as large.
func (b *browser) film(bits int) {
	track := b.publish(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, livekit.TrackSource_CAMERA)
	seq := uint16(0)
	b.pace(50*time.Millisecond, func(n int) {
		b.filmed.Add(1)
		key := n == 0 || b.asked.Swap(false)
		size := bits / 8 / 20
		if key {
			size *= 4
		}
		for at := 0; at < size; at += 1100 {
			payload := make([]byte, 6+min(1100, size-at))
			payload[0], payload[1], payload[2], payload[3] = 0x80, 0x80, 0x80|byte(n>>8)&0x7f, byte(n)
			if at == 0 {
				payload[0] |= 0x10
			}
			payload[4] = 1
			if key && at == 0 {
				payload[4] = 0
			}
			seq++
			_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{
				Version: 2, SequenceNumber: seq, Timestamp: uint32(n * 4500), Marker: at+1100 >= size,
			}, Payload: payload})
		}
	})
}

// frame gathers the packets of one picture, in whatever order they come.
type frame struct {
	packets     map[uint16]bool
	first, last uint16
	begun, done bool
}

func (f *frame) take(p *rtp.Packet) (whole bool) {
	f.packets[p.SequenceNumber] = true
	if p.Payload[0]&0x10 != 0 {
		f.first, f.begun = p.SequenceNumber, true
	}
	if p.Marker {
		f.last, f.done = p.SequenceNumber, true
	}
	return f.begun && f.done && len(f.packets) == int(f.last-f.first)+1
}

func (b *browser) onTrack(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	open := map[uint32]*frame{} // by time stamp
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			if len(p.Payload) == 0 {
				b.pads.Add(1)
				continue
			}
			b.videos.Add(1)
			b.last.Store(time.Now().UnixNano())
			f := open[p.Timestamp]
			if f == nil {
				f = &frame{packets: map[uint16]bool{}}
				open[p.Timestamp] = f
			}
			if whole := len(f.packets); f.take(p) && len(f.packets) > whole {
				b.frames.Add(1)
			}
			continue
		}
		if p.PayloadType != 63 {
			continue
		}
		b.redSeen.Add(1)
		b.mu.Lock()
		at := 0
		var sizes []int
		for at+4 < len(p.Payload) && p.Payload[at]&0x80 != 0 {
			sizes = append(sizes, int(binary.BigEndian.Uint32(p.Payload[at:])&0x3ff))
			at += 4
		}
		at++
		for _, n := range sizes {
			b.heard[binary.BigEndian.Uint16(p.Payload[at+1:])] = true
			at += n
		}
		b.heard[binary.BigEndian.Uint16(p.Payload[at+1:])] = true
		b.waits = append(b.waits, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(p.Payload[at+3:])))))
		b.mu.Unlock()
	}
}

// sound tells how many frames between the first and the last came, and the 95th
// percentile of their way; then it begins anew.
func (b *browser) sound() (share float64, late time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.heard) == 0 {
		return 0, 0
	}
	first, last := uint16(65535), uint16(0)
	for n := range b.heard {
		first, last = min(first, n), max(last, n)
	}
	share = float64(len(b.heard)) / float64(last-first+1)
	slices.Sort(b.waits)
	if n := len(b.waits); n > 0 {
		late = b.waits[n*95/100]
	}
	b.heard, b.waits = map[uint16]bool{}, nil
	return share, late
}

func (b *browser) state() (s livekit.StreamState, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.states {
		if s == livekit.StreamState_PAUSED {
			return s, true
		}
	}
	return livekit.StreamState_ACTIVE, len(b.states) > 0
}

func (b *browser) until(what string, limit time.Duration, ok func() bool) time.Duration {
	b.t.Helper()
	began := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		if ok() {
			break
		}
		if time.Since(began) > limit {
			b.t.Fatalf("not in %s: %s", limit, what)
		}
	}
	return time.Since(began)
}

func TestAWeakLinkKeepsTheVoiceAndGivesUpThePicture(t *testing.T) {
	server, _ := start(t, none, none)
	relay := weaklink.New(t, server.Addr(), 1)
	a := newBrowser(t, server, "a", nil)
	b := newBrowser(t, server, "b", relay)
	a.speak()
	a.film(600_000)
	b.until("picture and sound", patience, func() bool { return b.videos.Load() > 50 && b.redSeen.Load() > 50 })
	relay.Down(weaklink.Link{Rate: 150_000, Loss: 0.10, Delay: 20 * time.Millisecond})
	relay.Up(weaklink.Link{Delay: 20 * time.Millisecond})
	paused := b.until("the picture is said to be paused", 5*time.Second, func() bool {
		s, _ := b.state()
		return s == livekit.StreamState_PAUSED
	})
	// The first two seconds drain what the picture has filled, the next show what stays.
	for _, part := range []struct {
		why   string
		count int64
		share float64
		late  time.Duration
	}{
		{"while the link drains", 2 * 45, 0.85, 500 * time.Millisecond},
		{"over the weak link", 15 * 45, 0.97, 300 * time.Millisecond},
	} {
		b.sound()
		began := b.redSeen.Load()
		b.until("sound "+part.why, patience, func() bool { return b.redSeen.Load()-began > part.count })
		share, late := b.sound()
		t.Logf("%s: %.1f%% of the sound came, 95%% within %s; %d packets of padding", part.why, share*100, late, b.pads.Load())
		if share < part.share {
			t.Errorf("%s: only %.1f%% of the sound came", part.why, share*100)
		}
		if late > part.late {
			t.Errorf("%s: sound waits %s", part.why, late)
		}
	}
	t.Logf("paused after %s; %+v", paused, relay.Counts())
	relay.Down(weaklink.Link{Delay: 20 * time.Millisecond})
	back := b.until("the picture is back after relief", 12*time.Second, func() bool {
		s, _ := b.state()
		return s == livekit.StreamState_ACTIVE && time.Since(time.Unix(0, b.last.Load())) < 100*time.Millisecond
	})
	videos := b.videos.Load()
	b.until("the picture stays", patience, func() bool { return b.videos.Load()-videos > 100 })
	t.Logf("back after %s", back)
}
