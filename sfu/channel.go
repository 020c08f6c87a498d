package sfu

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu/seqmap"
)

// channelSlots is how many tracks a language channel has: two, so that a handover
// can overlap.
const channelSlots = 2

// Feed says which microphone feeds one track of a language channel.
type Feed struct {
	Tag      string
	Slot     int    // 0 or 1
	Room     string // the room where the leg is published; "" feeds nothing
	Identity string // whose microphone it is; "" feeds nothing
}

// Routing is who receives what in a room, and what feeds its language channels.
type Routing struct {
	Epoch  uint64
	Policy Policy
	Feeds  []Feed
}

// channel is the server-made participant of a language channel.
type channel struct {
	participant *participant
	tracks      [channelSlots]*channelTrack
}

// channelTrack is one track of a channel. Its numbers go on whatever feeds it.
type channelTrack struct {
	track *Track

	mu     sync.Mutex
	source *Track // the leg on air, nil for none
	seq    *seqmap.Stream
	again  redMaker
}

// legKey names a microphone that may feed channel tracks, wherever and whenever it
// is published.
type legKey struct {
	room     string
	identity string
}

// feedTable knows every leg by name and every channel track by its leg.
type feedTable struct {
	mu   sync.Mutex
	legs map[legKey]*Track
	fed  map[legKey][]*channelTrack
	by   map[*channelTrack]legKey
}

func (f *feedTable) init() {
	f.legs = map[legKey]*Track{}
	f.fed = map[legKey][]*channelTrack{}
	f.by = map[*channelTrack]legKey{}
}

// Route replaces the routes of a room. Gates close and open before it returns; an
// older epoch than the last changes nothing. Channels named the first time appear.
func (s *Server) Route(_ context.Context, room string, next Routing) error {
	r := s.Room(room)
	if r == nil {
		return fmt.Errorf("route room %s: %w", room, ErrNoRoom)
	}
	r.route.Lock()
	defer r.route.Unlock()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return fmt.Errorf("route room %s: %w", room, ErrNoRoom)
	}
	if next.Epoch < r.epoch {
		r.mu.Unlock()
		return nil
	}
	r.epoch = next.Epoch
	r.policy = next.Policy
	r.regateTapsLocked()
	wanted := map[*channelTrack]legKey{}
	for _, f := range next.Feeds {
		if f.Slot < 0 || f.Slot >= channelSlots {
			continue
		}
		c := r.channels[f.Tag]
		if c == nil {
			c = r.addChannelLocked(f.Tag)
		}
		if f.Room != "" && f.Identity != "" {
			wanted[c.tracks[f.Slot]] = legKey{room: f.Room, identity: f.Identity}
		}
	}
	var all []*channelTrack
	for _, c := range r.channels {
		all = append(all, c.tracks[:]...)
	}
	// What closes closes first, then the legs change, then the rest opens: nobody
	// hears a leg of the old epoch through a gate of the new.
	now := s.now()
	for _, p := range r.people {
		if p.peer == nil {
			continue
		}
		for _, d := range p.peer.subs {
			if r.verdictLocked(p.peer, d.track) != Flow {
				r.regateLocked(d, now)
			}
		}
	}
	s.feeds.set(all, wanted, now)
	r.regateAllLocked()
	r.mu.Unlock()
	return nil
}

// set makes wanted the legs of these channel tracks.
func (f *feedTable) set(all []*channelTrack, wanted map[*channelTrack]legKey, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	touched := map[legKey]bool{}
	for _, c := range all {
		old, had := f.by[c]
		key, has := wanted[c]
		if had == has && old == key {
			continue
		}
		if had {
			f.fed[old] = without(f.fed[old], c)
			if len(f.fed[old]) == 0 {
				delete(f.fed, old)
			}
			delete(f.by, c)
			touched[old] = true
		}
		if has {
			f.fed[key] = append(f.fed[key], c)
			f.by[c] = key
			touched[key] = true
			c.feed(f.legs[key], now)
		} else {
			c.feed(nil, now)
		}
	}
	for key := range touched {
		f.tapLocked(key)
	}
}

// tapLocked gives the leg its present list of channel tracks.
func (f *feedTable) tapLocked(key legKey) {
	leg := f.legs[key]
	if leg == nil {
		return
	}
	if len(f.fed[key]) == 0 {
		leg.taps.Store(nil)
		return
	}
	list := append([]*channelTrack(nil), f.fed[key]...)
	leg.taps.Store(&list)
}

// published notes a microphone; if a route waits for it, it is on air at once.
func (f *feedTable) published(r *Room, t *Track) {
	if t.source != livekit.TrackSource_MICROPHONE || t.video() {
		return
	}
	key := legKey{room: r.name, identity: t.owner.identity}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.legs[key] = t
	for _, c := range f.fed[key] {
		c.feed(t, r.srv.now())
	}
	f.tapLocked(key)
}

func (f *feedTable) unpublished(r *Room, t *Track, now time.Time) {
	key := legKey{room: r.name, identity: t.owner.identity}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.legs[key] != t {
		return
	}
	delete(f.legs, key)
	t.taps.Store(nil)
	for _, c := range f.fed[key] {
		c.feed(nil, now)
	}
}

// silence ends what a muted leg's listeners hear with a frame of silence.
func (f *feedTable) silence(t *Track, now time.Time) {
	if taps := t.taps.Load(); taps != nil {
		for _, c := range *taps {
			c.mu.Lock()
			if c.source == t {
				c.endLocked(now)
			}
			c.mu.Unlock()
		}
	}
}

// dropRoom forgets the channels of a room that ends; its legs ended with their
// participants.
func (f *feedTable) dropRoom(r *Room) {
	r.mu.Lock()
	var all []*channelTrack
	for _, c := range r.channels {
		all = append(all, c.tracks[:]...)
	}
	r.mu.Unlock()
	f.set(all, nil, r.srv.now())
}

func without(list []*channelTrack, c *channelTrack) []*channelTrack {
	out := make([]*channelTrack, 0, len(list))
	for _, o := range list {
		if o != c {
			out = append(out, o)
		}
	}
	return out
}

// addChannelLocked makes the participant of a language channel with its tracks.
func (r *Room) addChannelLocked(tag string) *channel {
	p := &participant{
		sid: "PA_" + shortID(), identity: "channel:" + tag, joinedAt: r.srv.now(),
		kind: livekit.ParticipantInfo_AGENT, state: livekit.ParticipantInfo_ACTIVE,
		attributes: map[string]string{"kind": "channel", "tag": tag},
		perm:       &livekit.ParticipantPermission{CanPublish: true},
	}
	c := &channel{participant: p}
	r.people[p.identity] = p
	r.channels[tag] = c
	for slot := range c.tracks {
		t := &Track{
			sid: "TR_" + shortID(), room: r, owner: p, kind: webrtc.RTPCodecTypeAudio,
			source: livekit.TrackSource_MICROPHONE, channel: tag, codec: opus.RTPCodecCapability,
		}
		t.info = &livekit.TrackInfo{
			Sid: t.sid, Type: livekit.TrackType_AUDIO, Name: "out." + itoa(slot),
			Source: t.source, MimeType: "audio/opus", Stream: "channel",
		}
		c.tracks[slot] = &channelTrack{track: t, seq: seqmap.New(256, uint16(rand.Uint32()>>1), rand.Uint32())}
		t.announced = true
		p.tracks = append(p.tracks, t)
		r.tapLocked(t)
	}
	r.tellLocked(p)
	r.wakeLocked()
	return c
}

// feed puts another leg on air, or none.
func (c *channelTrack) feed(leg *Track, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == leg {
		return
	}
	if leg == nil {
		c.endLocked(now)
	}
	c.source = leg
	c.seq.Stop()
	c.again.forget()
}

func (c *channelTrack) endLocked(now time.Time) {
	if !c.seq.Ready() || !c.seq.Started() {
		return
	}
	seq, ts := c.seq.Insert(now, audioClock, audioFrame)
	c.again.forget()
	c.track.forward(0, &rtpPacket{seq: seq, ts: ts, payload: silence, level: 127}, now)
}

// write takes one packet of a leg. A leg that is not on air is heard by nobody.
func (c *channelTrack) write(leg *Track, p *rtpPacket, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source != leg || leg.sealed != nil { // no listener has the key of a leg
		return
	}
	// Redundancy of the leg ends here, and what it rebuilt goes on as any other frame: a
	// channel has its own, made of what the channel has sent, whatever the leg sends.
	out := *p
	out.primary, out.rebuilt = p.opusFrame(), false
	if !c.seq.Ready() {
		c.seq.Switch(0, p.seq, p.ts, c.seq.Project(now, audioClock, audioFrame))
		out.marker = true
	}
	seq, ts, ok := c.seq.Map(p.seq, p.ts, now)
	if !ok {
		return
	}
	out.seq, out.ts, out.speaker = seq, ts, leg.owner.identity
	out.payload = c.again.wrap(seq, ts, out.primary)
	c.track.note(&out, now)
	c.track.forward(0, &out, now)
}
