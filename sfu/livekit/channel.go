package livekit

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sfu/seqmap"
)

const (
	channelSlots = 2
	audioClock   = 48000
	audioFrame   = 960 // 20 ms
	// idleAfter is how long a channel track may be without packets: a frame of silence
	// then keeps it known to the cluster.
	idleAfter = 400 * time.Millisecond
)

// silence is one Opus frame of digital silence (RFC 6716, as Chromium sends it).
var silence = []byte{0xf8, 0xff, 0xfe}

// channel is the participant of ours that carries one language.
type channel struct {
	tag   string
	conn  *lksdk.Room
	slots [channelSlots]*slot
	shown atomic.Bool // the cluster shows both tracks

	listeners []string // as last sent; guarded by the session's apply
}

// slot is one track of a channel. Its numbers go on whatever feeds it.
type slot struct {
	out *webrtc.TrackLocalStaticRTP

	mu     sync.Mutex
	source *track // the leg on air, nil for none
	seq    *seqmap.Stream
	sent   time.Time
}

// makeChannels joins the channels that the routes name and that are not there, or no
// more; apply is held.
func (s *session) makeChannels(ctx context.Context) error {
	s.mu.Lock()
	if s.stopped || s.rooms[sessions.RoomMain] == nil {
		s.mu.Unlock()
		return nil
	}
	tags := map[string]bool{}
	for _, c := range s.routes.Channels {
		tags[c.Tag] = true
	}
	for tag, c := range s.channels {
		if c.conn.ConnectionState() == lksdk.ConnectionStateDisconnected {
			tags[tag] = true
			delete(s.channels, tag)
		} else {
			delete(tags, tag)
		}
	}
	s.mu.Unlock()
	for tag := range tags {
		c, err := s.makeChannel(ctx, tag)
		if err != nil {
			return err
		}
		s.mu.Lock()
		stopped := s.stopped
		if !stopped {
			s.channels[tag] = c
		}
		s.mu.Unlock()
		if stopped {
			c.conn.Disconnect()
			return ErrNotOpen
		}
	}
	return nil
}

func (s *session) makeChannel(ctx context.Context, tag string) (*channel, error) {
	grant := &auth.VideoGrant{}
	grant.SetCanPublish(true)
	grant.SetCanPublishData(false)
	grant.SetCanSubscribe(false)
	cb := lksdk.NewRoomCallback()
	cb.OnDisconnected = s.nudge
	conn, err := s.media.connect(ctx, wire(s.id, sessions.RoomMain), channelPrefix+tag, livekit.ParticipantInfo_AGENT,
		map[string]string{"kind": "channel", "tag": tag}, grant, cb)
	if err != nil {
		return nil, err
	}
	c := &channel{tag: tag, conn: conn}
	// Nobody before the routes say so.
	conn.LocalParticipant.SetSubscriptionPermission(&livekit.SubscriptionPermission{})
	for i := range c.slots {
		name := "out." + strconv.Itoa(i)
		out, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: 2,
		}, tag+"-"+name, "channel")
		if err == nil {
			_, err = conn.LocalParticipant.PublishTrack(out, &lksdk.TrackPublicationOptions{
				Name: name, Source: livekit.TrackSource_MICROPHONE, Stream: "channel",
			})
		}
		if err != nil {
			conn.Disconnect()
			return nil, err
		}
		c.slots[i] = &slot{out: out, seq: seqmap.New(256, uint16(rand.Uint32()>>1), rand.Uint32())}
	}
	return c, nil
}

// allowance is a change of who may hear a channel.
type allowance struct {
	c         *channel
	old, next []string
}

// listenersLocked says who may hear each channel from now on, where that changed.
func (s *session) listenersLocked() []allowance {
	var all []allowance
	for tag, c := range s.channels {
		next := []string{}
		for who, in := range s.routes.Receive {
			if slices.Contains(in.Channels, tag) {
				next = append(next, string(who))
			}
		}
		slices.Sort(next)
		if c.listeners == nil || !slices.Equal(next, c.listeners) {
			all = append(all, allowance{c: c, old: c.listeners, next: next})
		}
	}
	return all
}

// narrow lets those hear the channel who may before and after.
func (a allowance) narrow() {
	a.c.allow(slices.DeleteFunc(slices.Clone(a.next), func(who string) bool { return !slices.Contains(a.old, who) }))
}

func (a allowance) widen() {
	a.c.allow(a.next)
	a.c.listeners = a.next
}

func (c *channel) allow(list []string) {
	p := &livekit.SubscriptionPermission{}
	for _, who := range list {
		p.TrackPermissions = append(p.TrackPermissions, &livekit.TrackPermission{ParticipantIdentity: who, AllTracks: true})
	}
	c.conn.LocalParticipant.SetSubscriptionPermission(p)
}

// route replaces the routes and makes the cluster follow.
func (s *session) route(ctx context.Context, routes sessions.Routes) error {
	s.mu.Lock()
	if s.rooms[sessions.RoomMain] == nil || s.stopped {
		s.mu.Unlock()
		return ErrNotOpen
	}
	if routes.Epoch < s.routes.Epoch {
		s.mu.Unlock()
		return nil
	}
	s.routes = routes
	s.mu.Unlock()
	return s.settle(ctx, false)
}

// tapLocked connects every channel track with the leg that its route names.
func (s *session) tapLocked() {
	now := time.Now()
	wanted := map[*slot]*track{}
	for _, route := range s.routes.Channels {
		c := s.channels[route.Tag]
		if c == nil || route.Slot < 0 || route.Slot >= channelSlots || route.Room == "" || route.Leg == "" {
			continue
		}
		if r := s.rooms[route.Room]; r != nil {
			wanted[c.slots[route.Slot]] = r.microphone(route.Leg)
		}
	}
	fed := map[*track][]*slot{}
	for _, c := range s.channels {
		for _, out := range c.slots {
			leg := wanted[out]
			out.feed(leg, now)
			if leg != nil {
				fed[leg] = append(fed[leg], out)
			}
		}
	}
	for _, r := range s.rooms {
		for _, p := range r.people {
			for _, t := range p.tracks {
				if list := fed[t]; list != nil {
					t.taps.Store(&list)
				} else {
					t.taps.Store(nil)
				}
			}
		}
	}
}

func (r *room) microphone(who sessions.Identity) *track {
	p := r.people[who]
	if p == nil || !r.admits(who, p) {
		return nil
	}
	for _, t := range p.tracks {
		if t.source == livekit.TrackSource_MICROPHONE {
			return t
		}
	}
	return nil
}

// receive passes the packets of one microphone on until it ends.
func (s *session) receive(r *room, who sessions.Identity, sid string, in *webrtc.TrackRemote) {
	s.mu.Lock()
	var t *track
	if p := r.people[who]; p != nil {
		t = p.tracks[sid]
	}
	if t == nil || in.Codec().MimeType != webrtc.MimeTypeOpus {
		s.mu.Unlock()
		return
	}
	t.inward++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.inward--
	}()
	for {
		p, _, err := in.ReadRTP()
		if err != nil {
			return
		}
		now := time.Now()
		t.last.Store(now.UnixNano())
		if t.flow.Load() != sessions.FlowFlowing {
			s.flowing(r, who, t)
		}
		if list := t.taps.Load(); list != nil {
			for _, out := range *list {
				out.write(t, p, now)
			}
		}
	}
}

func (s *session) flowing(r *room, who sessions.Identity, t *track) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := r.people[who]; p == nil || p.tracks[t.sid] != t {
		return
	}
	if t.flow.Swap(sessions.FlowFlowing) != sessions.FlowFlowing {
		s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaFlow, Source: sources[t.source], Flow: sessions.FlowFlowing})
	}
}

// The silences after which a flow is suspect and lost (design: interpretation,
// section 6.2).
const (
	suspectAfter = 400 * time.Millisecond
	lostAfter    = time.Second
)

// pulse notices flows that stopped, and keeps idle channel tracks known.
func (s *session) pulse() {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s.mu.Lock()
		for _, r := range s.rooms {
			for who, p := range r.people {
				for _, t := range p.tracks {
					s.watchFlow(r, who, t, now)
				}
			}
		}
		for _, c := range s.channels {
			for _, out := range c.slots {
				out.idle(now, !c.shown.Load())
			}
		}
		s.mu.Unlock()
	}
}

func (s *session) watchFlow(r *room, who sessions.Identity, t *track, now time.Time) {
	old := t.flow.Load().(sessions.Flow)
	silent := now.Sub(time.Unix(0, t.last.Load()))
	var next sessions.Flow
	switch {
	case old == "" || silent < suspectAfter || old == sessions.FlowLost:
		return
	case silent >= lostAfter:
		next = sessions.FlowLost
	case old == sessions.FlowSuspect:
		return
	default:
		next = sessions.FlowSuspect
	}
	if t.flow.CompareAndSwap(old, next) {
		s.tell(r, who, sessions.MediaEvent{Kind: sessions.MediaFlow, Source: sources[t.source], Flow: next})
	}
}

// silence ends what the listeners of a muted leg hear with a frame of silence.
func (t *track) silence(now time.Time) {
	if list := t.taps.Load(); list != nil {
		for _, out := range *list {
			out.mu.Lock()
			if out.source == t {
				out.insertLocked(now)
			}
			out.mu.Unlock()
		}
	}
}

// feed puts another leg on air, or none.
func (o *slot) feed(leg *track, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.source == leg {
		return
	}
	if leg == nil {
		o.insertLocked(now)
	}
	o.source = leg
	o.seq.Stop()
}

// idle sends a frame of silence where nothing was sent for a while, or at once while
// the cluster does not show the track yet.
func (o *slot) idle(now time.Time, hidden bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if hidden && o.source == nil || now.Sub(o.sent) > idleAfter {
		o.insertLocked(now)
	}
}

func (o *slot) insertLocked(now time.Time) {
	seq, ts := o.seq.Insert(now, audioClock, audioFrame)
	o.sendLocked(seq, ts, false, silence, now)
}

// write takes one packet of a leg. A leg that is not on air is heard by nobody.
func (o *slot) write(leg *track, p *rtp.Packet, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.source != leg {
		return
	}
	if len(p.Payload) == 0 { // padding
		if o.seq.Ready() {
			o.seq.Drop(p.SequenceNumber)
		}
		return
	}
	marker := p.Marker
	if !o.seq.Ready() {
		o.seq.Switch(0, p.SequenceNumber, p.Timestamp, o.seq.Project(now, audioClock, audioFrame))
		marker = true
	}
	seq, ts, ok := o.seq.Map(p.SequenceNumber, p.Timestamp, now)
	if !ok {
		return
	}
	o.sendLocked(seq, ts, marker, p.Payload, now)
}

func (o *slot) sendLocked(seq uint16, ts uint32, marker bool, payload []byte, now time.Time) {
	o.sent = now
	// An error means that the connection is not up, or no more: the packet is lost, as
	// on any network.
	_ = o.out.WriteRTP(&rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: marker, SequenceNumber: seq, Timestamp: ts},
		Payload: payload,
	})
}
