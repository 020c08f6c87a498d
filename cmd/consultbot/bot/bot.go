package bot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Config says who joins and for how long. Counts are for each room.
type Config struct {
	URL         string // ws:// or wss:// address of the server, without path
	Key, Secret string
	Prefix      string // of the names of rooms; "" is "bot-"
	Rooms       int
	AV          int  // publishers of sound and picture
	Audio       int  // publishers of sound alone
	Subscribers int  // who only receive
	Mutual      bool // publishers receive each other too
	JoinGap     time.Duration
	Warm        time.Duration // after the last join, before the window
	Window      time.Duration // in which packets are counted
	Begin, End  func()        // called around the window
}

// Result is what the participants saw in the window.
type Result struct {
	Participants int
	JoinErrors   int
	Tracks       int // tracks that carried packets, of Wanted
	Wanted       int
	Sent         int64
	Received     int64
	Lost         int64
	Gaps         int // silences of more than 300 ms on a track of sound
	LongestGap   time.Duration
	Seconds      float64
	// Delay from the sending call to the return of the receiver's read.
	DelayP50, DelayP99 time.Duration
	// Join is from the connect call to the first packet, of those who joined rooms in
	// which somebody was sending.
	JoinP50, JoinP99 time.Duration
	Errors           []error // of joining
}

var mark = [4]byte{0xab, 0x5f, 0x0b, 0xe4}

const (
	audioEvery = 20 * time.Millisecond
	frameRate  = 30
	perFrame   = 5
	videoSize  = 1200 - 12
	gapAfter   = 300 * time.Millisecond
)

type run struct {
	cfg     Config
	ctx     context.Context
	counted atomic.Bool
	sent    atomic.Int64
	delays  delays
	senders sync.WaitGroup
	mu      sync.Mutex
	bots    []*participant // guarded by mu
}

type participant struct {
	run       *run
	room, id  string
	av, audio bool
	receives  bool
	late      bool // somebody was sending when it joined
	wanted    int
	start     time.Time
	first     atomic.Int64 // nanoseconds after start
	conn      *lksdk.Room

	mu      sync.Mutex
	streams []*stream // guarded by mu
}

// stream is a received track; its reader owns it until the window is over.
type stream struct {
	video    bool
	received atomic.Int64
	min, max atomic.Int64
	gaps     atomic.Int64
	longest  atomic.Int64
}

// quiet keeps the SDK's own log off the terminal.
var quiet = sync.OnceFunc(func() { lksdk.SetLogger(logger.GetDiscardLogger()) })

// Run joins everybody, counts for the window and leaves. It ends with ctx.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "bot-"
	}
	quiet()
	ctx, cancel := context.WithCancel(ctx)
	r := &run{cfg: cfg, ctx: ctx}
	defer func() {
		cancel()
		r.senders.Wait()
		r.leave()
	}()
	if err := r.rooms(); err != nil {
		return Result{}, err
	}
	all := r.cast()
	errs := make([]error, len(all))
	var joining sync.WaitGroup
	for i, p := range all {
		joining.Go(func() { errs[i] = p.join() })
		if !pause(ctx, cfg.JoinGap) {
			break
		}
		if (p.av || p.audio) && (i+1 == len(all) || !all[i+1].av && !all[i+1].audio) {
			// The receivers of a room come when its publishers are there.
			joining.Wait()
		}
	}
	joining.Wait()
	if !pause(ctx, cfg.Warm) {
		return Result{}, ctx.Err()
	}
	if cfg.Begin != nil {
		cfg.Begin()
	}
	before, began := r.sent.Load(), time.Now()
	r.counted.Store(true)
	pause(ctx, cfg.Window)
	r.counted.Store(false)
	took, sent := time.Since(began), r.sent.Load()-before
	if cfg.End != nil {
		cfg.End()
	}
	out := r.result(all)
	out.Seconds, out.Sent = took.Seconds(), sent
	for i, err := range errs {
		if err != nil {
			out.JoinErrors++
			out.Errors = append(out.Errors, fmt.Errorf("%s in %s: %w", all[i].id, all[i].room, err))
		}
	}
	return out, ctx.Err()
}

// rooms makes the rooms, for servers that make none by themselves.
func (r *run) rooms() error {
	client := lksdk.NewRoomServiceClient(r.cfg.URL, r.cfg.Key, r.cfg.Secret)
	for i := range r.cfg.Rooms {
		if _, err := client.CreateRoom(r.ctx, &livekit.CreateRoomRequest{Name: r.room(i), EmptyTimeout: 60, DepartureTimeout: 5}); err != nil {
			return fmt.Errorf("create room: %w", err)
		}
	}
	return nil
}

func (r *run) room(i int) string { return fmt.Sprintf("%s%d", r.cfg.Prefix, i) }

// cast lists everybody, of each room the publishers first.
func (r *run) cast() []*participant {
	var all []*participant
	tracks := 2*r.cfg.AV + r.cfg.Audio
	for i := range r.cfg.Rooms {
		for n := range r.cfg.AV + r.cfg.Audio {
			p := &participant{run: r, room: r.room(i), id: fmt.Sprintf("p%d", n), av: n < r.cfg.AV, audio: true, receives: r.cfg.Mutual, late: n > 0}
			if p.receives {
				p.wanted = tracks - 1
				if p.av {
					p.wanted--
				}
			}
			all = append(all, p)
		}
	}
	for i := range r.cfg.Rooms {
		for n := range r.cfg.Subscribers {
			all = append(all, &participant{run: r, room: r.room(i), id: fmt.Sprintf("s%d", n), receives: true, late: true, wanted: tracks})
		}
	}
	return all
}

func (r *run) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var leaving sync.WaitGroup
	for _, p := range r.bots {
		leaving.Go(p.conn.Disconnect)
	}
	leaving.Wait()
}

func (r *run) result(all []*participant) Result {
	out := Result{Participants: len(all)}
	var joins []time.Duration
	for _, p := range all {
		out.Wanted += p.wanted
		p.mu.Lock()
		for _, s := range p.streams {
			n := s.received.Load()
			out.Received += n
			if n == 0 {
				continue
			}
			out.Tracks++
			out.Lost += max(0, s.max.Load()-s.min.Load()+1-n)
			out.Gaps += int(s.gaps.Load())
			out.LongestGap = max(out.LongestGap, time.Duration(s.longest.Load()))
		}
		p.mu.Unlock()
		if f := p.first.Load(); f > 0 && p.late && p.receives {
			joins = append(joins, time.Duration(f))
		}
	}
	slices.Sort(joins)
	out.JoinP50, out.JoinP99 = quantile(joins, .5), quantile(joins, .99)
	out.DelayP50, out.DelayP99 = r.delays.quantile(.5), r.delays.quantile(.99)
	return out
}

func quantile(v []time.Duration, p float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	return v[min(len(v)-1, int(p*float64(len(v))))]
}

// join connects one participant and starts what it sends.
func (p *participant) join() error {
	grant := &auth.VideoGrant{RoomJoin: true, Room: p.room}
	grant.SetCanPublish(p.av || p.audio)
	grant.SetCanSubscribe(p.receives)
	token, err := auth.NewAccessToken(p.run.cfg.Key, p.run.cfg.Secret).SetIdentity(p.id).SetName(p.id).SetVideoGrant(grant).SetValidFor(time.Hour).ToJWT()
	if err != nil {
		return err
	}
	cb := lksdk.NewRoomCallback()
	cb.OnTrackSubscribed = func(in *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		go p.receive(in)
	}
	p.conn = lksdk.NewRoom(cb)
	p.conn.SetLogger(logger.GetDiscardLogger())
	p.start = time.Now()
	if err := p.conn.JoinWithContextAndToken(p.run.ctx, p.run.cfg.URL, token, lksdk.WithAutoSubscribe(p.receives),
		lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger())); err != nil {
		return err
	}
	p.run.mu.Lock()
	p.run.bots = append(p.run.bots, p)
	p.run.mu.Unlock()
	offset := rand.N(33 * time.Millisecond)
	if p.audio {
		track, err := p.publish(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, livekit.TrackSource_MICROPHONE, nil)
		if err != nil {
			return err
		}
		p.run.senders.Go(func() { p.sendAudio(track, offset) })
	}
	if p.av {
		var wanted atomic.Bool
		track, err := p.publish(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, livekit.TrackSource_CAMERA, &wanted)
		if err != nil {
			return err
		}
		p.run.senders.Go(func() { p.sendVideo(track, offset, &wanted) })
	}
	return nil
}

func (p *participant) publish(codec webrtc.RTPCodecCapability, source livekit.TrackSource, keyframe *atomic.Bool) (*lksdk.LocalTrack, error) {
	track, err := lksdk.NewLocalTrack(codec, lksdk.WithRTCPHandler(func(in rtcp.Packet) {
		switch in.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			if keyframe != nil {
				keyframe.Store(true)
			}
		}
	}))
	if err != nil {
		return nil, err
	}
	track.SetLogger(logger.GetDiscardLogger())
	bound := make(chan struct{})
	var once sync.Once
	track.OnBind(func() { once.Do(func() { close(bound) }) })
	options := &lksdk.TrackPublicationOptions{Name: source.String(), Source: source}
	if keyframe != nil {
		options.VideoWidth, options.VideoHeight = 1280, 720
	}
	if _, err := p.conn.LocalParticipant.PublishTrack(track, options); err != nil {
		return nil, err
	}
	select {
	case <-bound:
		return track, nil
	case <-time.After(10 * time.Second):
		return nil, errors.New("a track was not negotiated within 10 s")
	case <-p.run.ctx.Done():
		return nil, p.run.ctx.Err()
	}
}

func stamp(b []byte, number uint32) {
	n := len(b)
	copy(b[n-16:], mark[:])
	binary.BigEndian.PutUint32(b[n-12:], number)
	binary.BigEndian.PutUint64(b[n-8:], uint64(time.Now().UnixNano()))
}

func (p *participant) write(track *lksdk.LocalTrack, header rtp.Header, payload []byte) {
	// An error means that the connection is gone; the receivers count what is missing.
	if track.WriteRTP(&rtp.Packet{Header: header, Payload: payload}, nil) == nil {
		p.run.sent.Add(1)
	}
}

func (p *participant) sendAudio(track *lksdk.LocalTrack, offset time.Duration) {
	buf := make([]byte, 100)
	next := time.Now().Add(offset)
	for n := uint32(0); pause(p.run.ctx, time.Until(next)); n++ {
		next = next.Add(audioEvery)
		b := buf[:80+n%21]
		b[0] = 0x78 // one frame of 20 ms, CELT, mono
		stamp(b, n)
		p.write(track, rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: n * 960, Marker: n == 0}, b)
	}
}

func (p *participant) sendVideo(track *lksdk.LocalTrack, offset time.Duration, keyframe *atomic.Bool) {
	b := make([]byte, videoSize)
	start := time.Now().Add(offset)
	var number uint32
	var key time.Time
	for f := int64(0); pause(p.run.ctx, time.Until(start.Add(time.Duration(f)*time.Second/frameRate))); f++ {
		isKey := f == 0 || keyframe.Load() && time.Since(key) > 500*time.Millisecond
		if isKey {
			keyframe.Store(false)
			key = time.Now()
		}
		for i := range perFrame {
			// RFC 7741 section 4.2: picture id of 15 bits, TL0PICIDX, TID.
			b[0], b[1] = 0x80, 0xf0
			if i == 0 {
				b[0] |= 0x10
			}
			b[2], b[3], b[4], b[5] = 0x80|byte(f>>8)&0x7f, byte(f), byte(f), 0
			if i == 0 {
				if isKey { // RFC 6386 section 9.1: start code, 1280x720
					copy(b[6:], []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02})
				} else {
					copy(b[6:], []byte{0x11, 0x02, 0x00})
				}
			}
			stamp(b, number)
			p.write(track, rtp.Header{Version: 2, SequenceNumber: uint16(number), Timestamp: uint32(f * 3000), Marker: i == perFrame-1}, b)
			number++
		}
	}
}

// receive reads one track until it ends.
func (p *participant) receive(in *webrtc.TrackRemote) {
	s := &stream{video: in.Kind() == webrtc.RTPCodecTypeVideo}
	s.min.Store(-1)
	p.mu.Lock()
	p.streams = append(p.streams, s)
	p.mu.Unlock()
	b := make([]byte, 1600)
	var last time.Time
	for {
		n, _, err := in.Read(b)
		if err != nil {
			return
		}
		if n < 28 || [4]byte(b[n-16:n-12]) != mark {
			continue // padding, or silence of the server's
		}
		now := time.Now()
		if p.first.Load() == 0 {
			p.first.CompareAndSwap(0, int64(now.Sub(p.start)))
		}
		if !p.run.counted.Load() {
			last = time.Time{}
			continue
		}
		if !s.video && !last.IsZero() {
			if gap := now.Sub(last); gap > gapAfter {
				s.gaps.Add(1)
			}
			s.longest.Store(max(s.longest.Load(), int64(now.Sub(last))))
		}
		last = now
		number := int64(binary.BigEndian.Uint32(b[n-12 : n-8]))
		p.run.delays.add(now.UnixNano() - int64(binary.BigEndian.Uint64(b[n-8:n])))
		s.received.Add(1)
		if s.min.Load() < 0 {
			s.min.Store(number)
		}
		s.max.Store(max(s.max.Load(), number))
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
