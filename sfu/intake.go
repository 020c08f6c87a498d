package sfu

import (
	"sync"
	"sync/atomic"
	"time"
)

// What one participant may send, by the tracks it was granted. A track's own rate is
// a fraction of it: what is above is no codec any more.
const (
	audioPackets = 200      // a second: 10 ms frames, twice
	audioBytes   = 1e6 / 8  // stereo with redundancy
	videoPackets = 2500     // three layers of a camera, or a screen, and repair
	videoBytes   = 12e6 / 8 // the same
	basePackets  = 100      // before anything was granted
	baseBytes    = 100e3    // the same
	rtcpPackets  = 400      // a second, of all kinds
	intakeBurst  = 2.0      // seconds that may come at once: a key frame, a stalled link
	maxStreams   = 64       // SSRCs: eight tracks of three layers with repair, and some gone
	overSeconds  = 10       // seconds in a row far above the limit end the participant
	overShare    = 0.5      // of what was sent in a second, dropped: far above
	repairBurst  = 256      // packets sent again at once, beyond one for each sent
)

// intake counts and limits what one participant sends. It stands before everything
// else that reads a packet.
type intake struct {
	now func() time.Time

	mu   sync.Mutex
	rate [2]float64 // packets and bytes a second
	left [2]float64
	rtcp float64
	at   time.Time

	taken   atomic.Uint64 // packets
	over    atomic.Uint64 // dropped: above the rate
	strange atomic.Uint64 // dropped: of no track, or of no known payload type
}

// grant sets the limits for so many tracks.
func (in *intake) grant(audio, video int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.rate[0] = basePackets + float64(audio)*audioPackets + float64(video)*videoPackets
	in.rate[1] = baseBytes + float64(audio)*audioBytes + float64(video)*videoBytes
}

// allow takes one packet off the budget.
func (in *intake) allow(size int, control bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := in.now()
	if in.at.IsZero() {
		in.left, in.rtcp = in.rate, rtcpPackets
	} else if passed := now.Sub(in.at).Seconds(); passed > 0 {
		for i := range in.left {
			in.left[i] = min(in.left[i]+in.rate[i]*passed, in.rate[i]*intakeBurst)
		}
		in.rtcp = min(in.rtcp+rtcpPackets*passed, rtcpPackets*intakeBurst)
	}
	in.at = now
	ok := in.left[0] >= 1 && in.left[1] >= float64(size)
	if control {
		ok = in.rtcp >= 1
	}
	switch {
	case !ok:
		in.over.Add(1)
		return false
	case control:
		in.rtcp--
	default:
		in.left[0]--
		in.left[1] -= float64(size)
	}
	in.taken.Add(1)
	return true
}

// grantLocked fits the limits to the tracks that were granted.
func (p *Peer) grantLocked() {
	audio, video := 0, 0
	for _, list := range [][]*Track{p.tracks, p.pending} {
		for _, t := range list {
			if t.video() {
				video++
			} else {
				audio++
			}
		}
	}
	p.intake.grant(audio, video)
}

// overload counts the seconds in a row that a participant sends far too much.
type overload struct {
	taken, over uint64
	seconds     int
}

// next looks at a second; true ends the participant.
func (o *overload) next(in *intake) bool {
	taken, over := in.taken.Load(), in.over.Load()
	dropped, passed := over-o.over, taken-o.taken
	o.taken, o.over = taken, over
	if float64(dropped) > overShare*float64(dropped+passed) {
		o.seconds++
	} else {
		o.seconds = 0
	}
	return o.seconds >= overSeconds
}
