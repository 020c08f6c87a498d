package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
)

// What the way to a client is judged by. The state of ICE needs six seconds to notice
// that nothing arrives; sound must be back in less.
const (
	everyWay     = 5  // ticks, 250 ms
	everyConsent = 40 // 2 s, as often as ICE checks
	// unanswered is how long a client that reports arrivals may say nothing of what it
	// is sent. They report every 100 ms.
	unanswered = 1500 * time.Millisecond
	// unchecked is how long checks may stay without answer: three of them.
	unchecked = 7 * time.Second
	// consentLife is how long an answer to a check permits to send (RFC 7675 §5.1).
	consentLife = 30 * time.Second
	// keptWay is how long a way whose checks were answered is used while another is
	// looked for: who is only slow hears on. It ends well before that consent does.
	keptWay = 5 * time.Second
	// arriving is how lately something of a client must have come to say that its way
	// to us is well, whether or not it answers checks.
	arriving = 2 * time.Second
	// Repairs that did not help are repeated more and more rarely.
	repairFirst, repairLast = 5 * time.Second, time.Minute
)

// repairs spaces what is done about a way that is lost.
type repairs struct {
	next time.Time
	gap  time.Duration
}

// due tells whether something may be done now, and notes that it is.
func (r *repairs) due(now time.Time) bool {
	if now.Before(r.next) {
		return false
	}
	r.gap = min(max(2*r.gap, repairFirst), repairLast)
	r.next = now.Add(r.gap)
	return true
}

func (r *repairs) well() { *r = repairs{} }

// answers watches that a subscriber reports of what it is sent. The room's lock guards
// it.
type answers struct {
	feedback time.Time // of the last report that was seen
	sent     uint64    // packets, when it was seen
	since    time.Time // since when there are later ones
	repairs  repairs
}

// next looks at the state now; true means that the way to the client needs another try.
func (a *answers) next(feedback time.Time, sent uint64, now time.Time) bool {
	if !feedback.Equal(a.feedback) {
		a.feedback, a.sent, a.since = feedback, sent, time.Time{}
		a.repairs.well()
		return false
	}
	if feedback.IsZero() || sent <= a.sent {
		a.sent = sent // less: a track ended
		return false
	}
	if a.since.IsZero() {
		a.since = now
	}
	return now.Sub(a.since) >= unanswered && a.repairs.due(now)
}

// consent watches that the checks of one connection are answered. The peer's loop owns
// it.
type consent struct {
	pair    string
	answers uint64
	at      time.Time
	repairs repairs
}

// age tells how long ago the last answer came, 0 without a way.
func (c *consent) age(l *link, now time.Time) time.Duration {
	pair, answers, ok := l.checked()
	switch {
	case !ok:
		c.pair, c.at = "", now
	case pair != c.pair || answers != c.answers:
		c.pair, c.answers, c.at = pair, answers, now
		c.repairs.well()
	}
	return now.Sub(c.at)
}

// checked names the way a link has, with how many checks of it were answered.
func (l *link) checked() (pair string, answers uint64, ok bool) {
	if l == nil {
		return "", 0, false
	}
	switch ice.ConnectionState(l.state.Load()) {
	case ice.ConnectionStateConnected, ice.ConnectionStateCompleted, ice.ConnectionStateDisconnected:
	default: // no way, and Pion may be changing what is read below
		return "", 0, false
	}
	s, ok := l.agent.GetSelectedCandidatePairStats()
	return s.LocalCandidateID + " " + s.RemoteCandidateID, s.ResponsesReceived, ok
}

// watchWayLocked looks whether what the client is sent arrives at all.
func (p *Peer) watchWayLocked(now time.Time) {
	var sent uint64
	for _, d := range p.subs {
		d.mu.Lock()
		if d.twccID != 0 {
			sent += uint64(d.packets)
		}
		d.mu.Unlock()
	}
	p.est.mu.Lock()
	feedback := p.est.feedback
	p.est.mu.Unlock()
	if p.way.next(feedback, sent, now) && p.attached() {
		p.srv.count.repairs[repairSilence].Add(1)
		p.later(func() { p.sub.renew(true) })
	}
}

// arrivesLocked tells whether something that the client publishes came just now.
func (p *Peer) arrivesLocked(now time.Time) bool {
	for _, t := range p.tracks {
		if now.UnixNano()-t.last.Load() < int64(arriving) {
			return true
		}
	}
	return false
}

// watchConsent runs in the peer's loop; arrives says that the client's media came just now.
func (p *Peer) watchConsent(now time.Time, arrives bool) {
	if kept := p.sub.kept; !kept.IsZero() && !now.Before(kept) {
		p.sub.kept = time.Time{}
		p.sub.link.forget()
	}
	in, out := &p.consents[livekit.SignalTarget_PUBLISHER], &p.consents[livekit.SignalTarget_SUBSCRIBER]
	var from *link
	if p.pub != nil {
		from = p.pub.link
	}
	sending, receiving := out.age(p.sub.link, now), in.age(from, now)
	count := &p.srv.count.repairs
	switch {
	case receiving >= consentLife, sending >= consentLife && p.sub.inflight != nil:
		// The client has not answered an offer either, or it is its turn to offer.
		count[repairRejoin].Add(1)
		p.srv.log.Info("client does not answer", "participant", p.sid)
		p.restart(livekit.DisconnectReason_CONNECTION_TIMEOUT)
		return
	case p.single: // both are one
	case sending >= consentLife, sending >= unchecked && p.attached() && out.repairs.due(now):
		// A restart forgets the way at once: nothing is sent until another is checked.
		count[repairChecks].Add(1)
		p.sub.renew(false)
	}
	if receiving >= unchecked && !arrives && p.attached() && in.repairs.due(now) {
		// Only the client can restart what it offers, and does so when it resumes.
		count[repairResume].Add(1)
		p.send(leaveMessage(livekit.LeaveRequest_RESUME, livekit.DisconnectReason_CONNECTION_TIMEOUT))
	}
}

// attached tells whether the client has a socket: without one it resumes, and that
// repairs what is needed.
func (p *Peer) attached() bool {
	p.sinkMu.Lock()
	defer p.sinkMu.Unlock()
	return p.sink != nil
}

// later asks the peer's loop for something that may as well be asked again.
func (p *Peer) later(f func()) {
	select {
	case p.ops <- f:
	default:
	}
}

// renew restarts ICE towards the client, after an offer that is under way and does not do
// so itself, and keeps the way there is meanwhile or not. A connection that the client
// offers it restarts when it resumes.
func (s *subscriber) renew(keep bool) {
	if s.pub != nil {
		s.peer.send(leaveMessage(livekit.LeaveRequest_RESUME, livekit.DisconnectReason_CONNECTION_TIMEOUT))
		return
	}
	if s.inflight != nil && s.anew {
		return // it is slow to answer
	}
	s.restart, s.keeps = true, keep && (!s.restart || s.keeps)
	if s.inflight == nil {
		s.negotiate()
	}
}
