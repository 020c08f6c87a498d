package sfu

import (
	"math"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtcp"
)

// tick is the pace of the periodic work; every piece has its own multiple of it.
const tick = 50 * time.Millisecond

const (
	everyFlow     = 1  // 50 ms: a flow is suspect after 400 ms
	everyNack     = 2  // 100 ms, about a round trip
	everyLayer    = 4  // 200 ms
	everySpeakers = 8  // 400 ms: 20 packets of sound
	everyReport   = 20 // 1 s (RFC 3550 §6.2)
	everyQuality  = 100
)

// dynacastDelay keeps a layer nobody wants for a while: turning one on again costs a
// key frame.
const dynacastDelay = 5 * time.Second

func (s *Server) tick(n uint64) {
	now := s.now()
	for _, r := range s.Rooms() {
		r.tick(n, now)
	}
	s.media.reports.flush()
}

func (r *Room) tick(n uint64, now time.Time) {
	r.mu.Lock()
	if !r.managed && !r.closed && !r.emptySince.IsZero() && now.Sub(r.emptySince) > r.srv.cfg.EmptyTimeout {
		r.mu.Unlock()
		r.close(livekit.DisconnectReason_ROOM_CLOSED)
		return
	}
	defer r.mu.Unlock()
	for _, p := range r.people {
		if p.peer == nil {
			continue
		}
		if n%everyReport == 0 && p.peer.over.next(&p.peer.intake) {
			r.srv.log.Warn("participant sends far too much", "participant", p.sid)
			r.leaveLocked(p, livekit.DisconnectReason_PARTICIPANT_REMOVED)
			continue
		}
		for _, t := range p.tracks {
			if !t.video() && n%everyFlow == 0 {
				r.watchFlow(t, now)
			}
			if t.video() && n%everyNack == 0 {
				t.repair(now)
			}
			if t.video() && n%everyLayer == 0 {
				r.dynacastLocked(t, now)
				for i := range t.layers {
					if l := t.layers[i].Load(); l != nil {
						l.meter.update(l.bytes.Load(), now)
					}
				}
			}
		}
		if n%everyWay == 0 {
			p.peer.watchWayLocked(now)
		}
		if n%everyConsent == 0 {
			arrives := p.peer.arrivesLocked(now)
			p.peer.later(func() { p.peer.watchConsent(now, arrives) })
		}
		if n%everyShare == 0 {
			p.peer.shareLocked(now)
			if pub := p.peer.publishing.Load(); pub != nil {
				pub.feedback(&r.srv.media.reports)
			}
		}
		if n%everyLayer == 0 {
			for _, d := range p.peer.subs {
				d.choose(now)
			}
		}
		if n%everyReport == 0 {
			p.peer.reportLocked(now)
			p.peer.countLocked()
			p.peer.giveWayLocked(now)
			if now.Sub(p.peer.refreshed) >= refreshEvery {
				p.peer.sendRefreshLocked()
			}
		}
		if n%everyQuality == 0 {
			p.peer.qualityLocked()
		}
	}
	if n%everySpeakers == 0 {
		r.speakersLocked()
	}
}

// watchFlow tells of a track whose packets stopped. That they came back is told by
// the packet itself.
func (r *Room) watchFlow(t *Track, now time.Time) {
	old := FlowState(t.flow.Load())
	next := old.Next(now.Sub(time.Unix(0, t.last.Load())))
	// Only downwards: a new packet is noticed where it arrives.
	if next > old && t.flow.CompareAndSwap(uint32(old), uint32(next)) {
		if next == Lost && !t.muted.Load() {
			t.gaps.Add(1)
			r.srv.count.gaps.Add(1)
		}
		r.emitFlow(t, next)
	}
}

// repair asks again for what is still missing, and sends key frame requests that
// had to wait.
func (t *Track) repair(now time.Time) {
	for i := range t.layers {
		l := t.layers[i].Load()
		if l == nil {
			continue
		}
		t.nack(l)
		l.mu.Lock()
		due := l.pliWanted && now.Sub(l.pliAt) >= pliInterval
		l.mu.Unlock()
		if due {
			t.requestKeyframe(i, now)
		}
	}
}

// dynacastLocked tells the publisher which layers anybody wants: more at once, less
// after a while.
func (r *Room) dynacastLocked(t *Track, now time.Time) {
	if t.owner.peer == nil || !t.info.GetSimulcast() {
		return
	}
	want := livekit.VideoQuality_OFF
	for _, d := range t.subscribers() {
		if d.verdict != Flow || d.settings.GetDisabled() {
			continue
		}
		if q := livekit.VideoQuality(d.wantedLayer()); want == livekit.VideoQuality_OFF || q > want {
			want = q
		}
	}
	rank := func(q livekit.VideoQuality) int {
		if q == livekit.VideoQuality_OFF {
			return -1
		}
		return int(q)
	}
	switch {
	case rank(want) == rank(t.wanted):
		t.lower = time.Time{}
		return
	case rank(want) < rank(t.wanted) && t.lower.IsZero():
		t.lower = now
		return
	case rank(want) < rank(t.wanted) && now.Sub(t.lower) < dynacastDelay:
		return
	}
	t.wanted, t.lower = want, time.Time{}
	var qualities []*livekit.SubscribedQuality
	for _, q := range []livekit.VideoQuality{livekit.VideoQuality_LOW, livekit.VideoQuality_MEDIUM, livekit.VideoQuality_HIGH} {
		qualities = append(qualities, &livekit.SubscribedQuality{Quality: q, Enabled: int(q) <= rank(want)})
	}
	codec := "vp8"
	if t.h264 {
		codec = "h264"
	}
	t.owner.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscribedQualityUpdate{
		SubscribedQualityUpdate: &livekit.SubscribedQualityUpdate{
			TrackSid: t.sid, SubscribedQualities: qualities,
			SubscribedCodecs: []*livekit.SubscribedCodec{{Codec: codec, Qualities: qualities}},
		},
	}})
}

// reportLocked sends the receiver reports of what this peer publishes and the sender
// reports of what it receives.
func (p *Peer) reportLocked(now time.Time) {
	var reports []rtcp.ReceptionReport
	for _, t := range p.tracks {
		for i := range t.layers {
			if l := t.layers[i].Load(); l != nil {
				if rr, lost, ok := l.report(now); ok {
					p.srv.count.lostIn.Add(lost)
					reports = append(reports, rr)
				}
			}
		}
	}
	via := &p.srv.media.reports
	if pub := p.publishing.Load(); pub != nil && len(reports) > 0 {
		_ = pub.link.report(via, &rtcp.ReceiverReport{Reports: reports})
	}
	l := p.subLink.Load()
	if l == nil {
		return
	}
	var out []rtcp.Packet
	for _, d := range p.subs {
		if sr := d.senderReport(now, p.sid); sr != nil {
			out = append(out, sr)
		}
	}
	const perPacket = 32 // 28 bytes each, below any MTU
	for len(out) > 0 {
		n := min(len(out), perPacket)
		_ = l.report(via, out[:n]...)
		out = out[n:]
	}
}

// senderReport ties the outgoing timestamps to our clock: through the publisher's
// own report where there is one, so that its sound and picture stay together.
func (d *subTrack) senderReport(now time.Time, _ string) rtcp.Packet {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line == nil || !d.seq.Started() {
		return nil
	}
	clock := int64(d.track.clock())
	ts, at := d.seq.Last()
	rtpNow := ts + uint32(int64(now.Sub(at))*clock/int64(time.Second))
	if d.current >= 0 && d.seq.Ready() && d.track.channel == "" {
		if l := d.track.layers[d.current].Load(); l != nil {
			if offset := l.peer.ntp.Load(); offset != 0 {
				l.mu.Lock()
				if !l.srAt.IsZero() {
					taken := ntpTime(l.srNTP).Add(time.Duration(offset))
					rtpNow = l.srRTP + d.seq.Origin().TSOffset + uint32(int64(now.Sub(taken))*clock/int64(time.Second))
				}
				l.mu.Unlock()
			}
		}
	}
	return &rtcp.SenderReport{
		SSRC: d.out.ssrc, NTPTime: toNTP(now), RTPTime: rtpNow, PacketCount: d.packets, OctetCount: d.octets,
	}
}

// qualityLocked tells the client how its connection is when that changed.
func (p *Peer) qualityLocked() {
	worst := p.worst
	p.worst = 0
	quality, score := livekit.ConnectionQuality_EXCELLENT, float32(5)
	switch {
	case worst > 26: // a tenth
		quality, score = livekit.ConnectionQuality_POOR, 2
	case worst > 5: // a fiftieth
		quality, score = livekit.ConnectionQuality_GOOD, 4
	}
	if p.told && p.quality == quality && p.qualityTold {
		return
	}
	p.quality, p.qualityTold = quality, true
	m := &livekit.SignalResponse{Message: &livekit.SignalResponse_ConnectionQuality{ConnectionQuality: &livekit.ConnectionQualityUpdate{
		Updates: []*livekit.ConnectionQualityInfo{{ParticipantSid: p.sid, Quality: quality, Score: score}},
	}}}
	for _, o := range p.room.people {
		if o == p.participant || !p.perm.GetHidden() {
			o.send(m)
		}
	}
}

// speakersLocked finds who speaks and tells those who may hear it of what changed.
func (r *Room) speakersLocked() {
	type speaking struct {
		p      *participant
		tracks []*Track
	}
	var changed []speaking
	for _, p := range r.people {
		level := float32(0)
		s := speaking{p: p}
		for _, t := range p.tracks {
			if t.video() {
				continue
			}
			s.tracks = append(s.tracks, t)
			frames, active, loud := t.frames.Swap(0), t.active.Swap(0), t.loud.Swap(0)
			// Speech in a third of the time, so that a cough is no speaker.
			if frames > 0 && active*3 >= frames && !t.muted.Load() {
				level = max(level, float32(math.Pow(10, -float64(127-loud)/20)))
			}
		}
		// A tenth more or less is not worth a message.
		if (level == 0) != (p.level == 0) || math.Abs(float64(level-p.level)) > 0.1 {
			p.level = level
			changed = append(changed, s)
		}
	}
	if len(changed) == 0 {
		return
	}
	for _, o := range r.people {
		if o.peer == nil {
			continue
		}
		var speakers []*livekit.SpeakerInfo
		for _, s := range changed {
			if s.p.perm.GetHidden() && s.p != o {
				continue
			}
			heard := s.p == o || s.p.level == 0
			for _, t := range s.tracks {
				heard = heard || r.verdictLocked(o.peer, t) == Flow
			}
			if heard {
				speakers = append(speakers, &livekit.SpeakerInfo{Sid: s.p.sid, Level: s.p.level, Active: s.p.level > 0})
			}
		}
		if len(speakers) > 0 {
			o.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{
				SpeakersChanged: &livekit.SpeakersChanged{Speakers: speakers},
			}})
		}
	}
}
