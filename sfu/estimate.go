package sfu

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// What the estimate of a subscriber's link goes by. A queue shows in the smallest
// delay of half a second, which jitter alone does not raise.
const (
	sentKept       = 2048                   // packets in flight: 4 s at 500 a second
	rateWindow     = 500 * time.Millisecond // of delivery and delay
	baseWindow     = 15 * time.Second       // the smallest delay of so long is the empty link's
	queueFull      = 80 * time.Millisecond  // four frames of sound wait
	queueCalm      = 40 * time.Millisecond
	lossFull       = 0.25 // of two seconds' packets: more than chance, or than repair bears
	lossCalm       = 0.17
	backOff        = 0.85 // of what arrived goes on, so that the queue drains
	holdAfter      = time.Second
	growth         = 1.25 // over what arrives while the link is calm
	feedbackAlive  = 3 * time.Second
	recentWindow   = 160 * time.Millisecond
	lossWindow     = 2 * time.Second
	reordered      = 250 * time.Millisecond // what is not there so long after its sending is lost
	flowWindow     = 250 * time.Millisecond
	fullFor        = 100 * time.Millisecond // one report alone may be of what overtook the rest
	silentCalm     = time.Second
	silentKept     = 15 * time.Second // a limit is kept so long without reports; probes bring some
	minimumPackets = 15               // in a window, to judge by
)

// sample is one packet that was sent and reported of.
type sample struct {
	at      time.Duration // when it was sent, UnixNano
	delay   time.Duration // arrival by the receiver's clock minus departure by ours
	size    uint16
	seq     uint16
	arrived bool
}

type sentPacket struct {
	at   int64 // UnixNano; 0 is none
	seq  uint16
	size uint16
	lost bool // was reported so
}

// estimator finds how much a subscriber's link carries from the transport-wide
// feedback on all its packets. It is limited only after the link was too full once.
type estimator struct {
	mu       sync.Mutex
	seq      uint16
	ring     [sentKept]sentPacket
	samples  []sample // of the last two seconds, as they were reported
	newest   time.Duration
	seen     measure // what the samples say, while fresh
	fresh    bool    // no report came since
	bases    []base  // smallest delays, one a second
	feedback time.Time
	rate     float64 // bits a second the link carries; 0 is not limited
	fell     time.Time
	full     time.Time // since when every packet waits
	calm     time.Time // since when the link is neither full nor lossy

	clockSet bool
	remote   time.Duration // receiver's clock, unwrapped
	lastRef  uint32
}

type base struct {
	at    time.Duration
	delay time.Duration
}

// measure is what an estimator knows at one moment.
type measure struct {
	live      bool // there is feedback
	rate      float64
	delivered float64 // bits a second
	loss      float64
	queue     time.Duration // that no packet of the window escaped
	recent    time.Duration // the same of the newest packets, which jitter blurs
	flow      float64       // bits a second that the newest arrivals came at
	arrived   int
	calm      time.Duration // how long the link has been calm
}

// sent numbers a packet that leaves now.
func (e *estimator) sent(size int, now time.Time) uint16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq++
	e.ring[e.seq%sentKept] = sentPacket{seq: e.seq, at: now.UnixNano(), size: uint16(size)}
	return e.seq
}

// received takes a report and tells whether the link is now known to be too full.
func (e *estimator) received(fb *rtcp.TransportLayerCC, now time.Time) (fell bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.feedback = now
	// The reference time counts 64 ms in 24 bits (draft-holmer-rmcat-transport-wide-cc
	// §3.1).
	if !e.clockSet {
		e.clockSet, e.lastRef = true, fb.ReferenceTime
	}
	step := int32((fb.ReferenceTime-e.lastRef)<<8) >> 8
	e.remote += time.Duration(step) * 64 * time.Millisecond
	e.lastRef = fb.ReferenceTime
	clock := e.remote
	seq, delta, count := fb.BaseSequenceNumber, 0, int(fb.PacketStatusCount)
	status := func(s uint16) {
		if count == 0 {
			return
		}
		count--
		arrived := s == rtcp.TypeTCCPacketReceivedSmallDelta || s == rtcp.TypeTCCPacketReceivedLargeDelta
		if arrived {
			if delta >= len(fb.RecvDeltas) {
				count = 0
				return
			}
			clock += time.Duration(fb.RecvDeltas[delta].Delta) * time.Microsecond
			delta++
		}
		p := &e.ring[seq%sentKept]
		if p.at != 0 && p.seq == seq {
			s := sample{seq: seq, at: time.Duration(p.at), size: p.size, arrived: arrived}
			switch {
			case arrived:
				if p.lost { // it was only late
					e.samples = slices.DeleteFunc(e.samples, func(o sample) bool { return o.seq == seq && !o.arrived })
				}
				s.delay = clock - time.Duration(p.at)
				e.noteLocked(s)
				p.at = 0
			case !p.lost:
				p.lost = true
				e.noteLocked(s)
			}
		}
		seq++
	}
	for _, chunk := range fb.PacketChunks {
		switch c := chunk.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				status(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				status(s)
			}
		}
	}
	return e.judgeLocked(now)
}

func (e *estimator) noteLocked(s sample) {
	e.fresh = false
	e.newest = max(e.newest, s.at)
	e.samples = append(e.samples, s)
	if !s.arrived {
		return
	}
	if n := len(e.bases); n > 0 && s.at-e.bases[n-1].at < time.Second {
		e.bases[n-1].delay = min(e.bases[n-1].delay, s.delay)
	} else {
		e.bases = append(e.bases, base{at: s.at, delay: s.delay})
	}
}

// measureLocked looks at the last two seconds of what was reported.
func (e *estimator) measureLocked(now time.Time) measure {
	if e.feedback.IsZero() {
		return measure{rate: e.rate}
	}
	silent := now.Sub(e.feedback)
	if silent > silentCalm && len(e.samples) > 0 {
		// Nothing is sent: everybody is muted, and the pictures are paused. What was
		// known of the queue is over.
		e.samples, e.newest, e.fresh = e.samples[:0], 0, false
	}
	if !e.fresh {
		e.seen, e.fresh = e.lookLocked(), true
	}
	m := e.seen
	m.rate = e.rate
	m.live = silent < feedbackAlive || e.rate != 0 && silent < silentKept
	if !e.calm.IsZero() {
		m.calm = now.Sub(e.calm)
	}
	if silent > silentCalm {
		m.calm = max(m.calm, silent)
	}
	return m
}

// lookLocked finds what the samples say, and forgets the old ones.
func (e *estimator) lookLocked() (m measure) {
	if len(e.samples) == 0 {
		return m
	}
	newest := e.newest
	for len(e.bases) > 1 && newest-e.bases[0].at > baseWindow {
		e.bases = append(e.bases[:0], e.bases[1:]...)
	}
	const never = time.Duration(math.MaxInt64)
	least, recent, first, last := never, never, never, -never
	all, lost, bits := 0, 0, 0
	kept := e.samples[:0]
	for _, s := range e.samples {
		age := newest - s.at
		if age >= lossWindow {
			continue
		}
		kept = append(kept, s)
		if age >= reordered {
			all++
			if !s.arrived {
				lost++
			}
		}
		if !s.arrived || age >= rateWindow {
			continue
		}
		arrival := s.delay + s.at
		first, last = min(first, arrival), max(last, arrival)
		least = min(least, s.delay)
		if age < recentWindow {
			recent = min(recent, s.delay)
		}
		bits += int(s.size) * 8
		m.arrived++
	}
	e.samples = kept
	if all >= minimumPackets {
		m.loss = float64(lost) / float64(all)
	}
	if m.arrived == 0 {
		return m
	}
	if span := last - first; span > 200*time.Millisecond {
		m.delivered = float64(bits) / span.Seconds()
	}
	empty := e.bases[0].delay
	for _, b := range e.bases {
		empty = min(empty, b.delay)
	}
	m.queue = least - empty
	if m.recent = m.queue; recent != never {
		m.recent = recent - empty
	}
	bits = 0
	for _, s := range e.samples {
		if s.arrived && last-s.delay-s.at < flowWindow {
			bits += int(s.size) * 8
		}
	}
	m.flow = float64(bits) / flowWindow.Seconds()
	return m
}

func (e *estimator) judgeLocked(now time.Time) (fell bool) {
	m := e.measureLocked(now)
	if m.arrived < minimumPackets || m.delivered == 0 {
		return false
	}
	if m.queue <= queueFull {
		e.full = time.Time{}
	} else if e.full.IsZero() {
		e.full = now
	}
	full := !e.full.IsZero() && now.Sub(e.full) >= fullFor
	if m.queue > queueCalm || m.loss > lossCalm {
		e.calm = time.Time{}
	} else if e.calm.IsZero() {
		e.calm = now
	}
	switch {
	case full || m.loss > lossFull:
		if now.Sub(e.fell) < holdAfter {
			return false
		}
		e.fell = now
		carried := min(m.delivered, m.flow) // the window may begin before the trouble
		if next := carried * backOff; e.rate == 0 || next < e.rate {
			e.rate = next
		}
		return true
	case !e.calm.IsZero() && e.rate != 0:
		e.rate = max(e.rate, m.delivered*growth)
	}
	return false
}

// measure tells what is known now.
func (e *estimator) measure(now time.Time) measure {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.measureLocked(now)
}

// carried notes that the link carried this much in a probe.
func (e *estimator) carried(rate float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rate != 0 {
		e.rate = max(e.rate, rate)
	}
}
