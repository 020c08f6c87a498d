package sfu

import (
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
)

const (
	everyShare = 2 // 100 ms: a feedback or two
	// probeLength of padding fills the window of delivery; the reports of its end need
	// a round trip more.
	probeLength = 600 * time.Millisecond
	probeReport = 300 * time.Millisecond
	probeStep   = 1.35 // times what the link is known to carry: what it queues meanwhile is bearable
	probeStride = 1.8  // after one that went well
	probeFirst  = 2 * time.Second
	probeMost   = 6 * time.Second // between probes that fail: video is back 10 s after relief
	probeCalm   = time.Second
	probeQueue  = 50 * time.Millisecond // ends a probe: sound waits in that queue
	paddingSize = 255                   // the most that a padding-only packet holds (RFC 3550 §5.1)
	// unlimited is the cap of a subscription that gets what it wants.
	unlimited = 2
	// raiseSlack keeps a layer whose rate swings a little.
	raiseSlack = 1.15
)

// prober sends padding before more video is sent, to see whether the link carries it.
type prober struct {
	rate  float64 // aimed at now; 0 between probes
	began time.Time
	known float64 // carried before
	loss  float64 // before
	next  time.Time
	wait  time.Duration
	best  float64 // carried while it ran
	well  bool    // the last one raised the estimate
}

// meter finds the rate of a counter of bytes.
type meter struct {
	bytes uint64
	at    time.Time
	rate  float64 // bits a second
}

func (m *meter) update(bytes uint64, now time.Time) {
	if span := now.Sub(m.at); !m.at.IsZero() && span > 0 {
		rate := float64(bytes-m.bytes) * 8 / span.Seconds()
		m.rate += (rate - m.rate) * min(1, span.Seconds()/0.6)
	}
	m.bytes, m.at = bytes, now
}

// share is one video subscription in the division of a link.
type share struct {
	d     *subTrack
	want  int
	rates [3]float64 // 0: the layer does not flow
	cap   int
}

// divide gives a budget to video in the order of the list: everybody's lowest layer
// first, then better ones. next is what the cheapest step left out would cost.
func divide(shares []share, budget float64) (used, next float64) {
	cheaper := func(cost float64) {
		if next == 0 || cost < next {
			next = cost
		}
	}
	for i := range shares {
		s := &shares[i]
		s.cap = -1
		for layer, rate := range s.rates {
			if rate == 0 {
				continue
			}
			if rate <= budget-used {
				s.cap = layer
				used += rate
			} else {
				cheaper(rate)
			}
			break
		}
	}
	for i := range shares {
		s := &shares[i]
		if s.cap < 0 {
			continue
		}
		for layer := s.cap + 1; layer <= s.want; layer++ {
			if s.rates[layer] == 0 {
				continue
			}
			step := s.rates[layer] - s.rates[s.cap]
			if step > budget-used {
				cheaper(step)
				break
			}
			used += step
			s.cap = layer
		}
	}
	return used, next
}

// shareLocked divides the subscriber's link: sound first, then the screen, then the
// pictures by the size they are shown in. It runs every 100 ms.
func (p *Peer) shareLocked(now time.Time) {
	m := p.est.measure(now)
	if !m.live {
		if p.shared {
			p.shared = false
			p.pace.setRate(0)
			for _, d := range p.subs {
				if d.cap != unlimited {
					d.cap = unlimited
					d.choose(now)
					p.room.regateLocked(d, now)
				}
			}
		}
		return
	}
	p.shared = true
	sound, present := 0.0, 0.0
	var shares []share
	for _, d := range p.subs {
		d.mu.Lock()
		sentBytes := d.bytes + uint64(d.packets)*overhead
		d.mu.Unlock()
		d.meter.update(sentBytes, now)
		if !d.track.video() {
			sound += d.meter.rate
			continue
		}
		if d.verdict != Flow || !p.perm.GetCanSubscribe() || d.track.muted.Load() || d.settings.GetDisabled() {
			continue
		}
		s := share{d: d, want: d.wantedLayer()}
		best := -1
		for i := range d.track.layers {
			l := d.track.layers[i].Load()
			if l == nil || now.UnixNano()-l.last.Load() > int64(layerAlive) {
				continue
			}
			// A layer that began just now has no rate yet; it is let through.
			s.rates[i] = max(1, l.meter.rate)
			if i <= s.want || best < 0 {
				best = i
			}
		}
		s.want = max(0, best)
		if d.cap >= 0 {
			present += s.rates[min(d.cap, s.want)]
		}
		shares = append(shares, s)
	}
	slices.SortFunc(shares, func(a, b share) int {
		if x, y := a.d.track.source == livekit.TrackSource_SCREEN_SHARE, b.d.track.source == livekit.TrackSource_SCREEN_SHARE; x != y {
			if x {
				return -1
			}
			return 1
		}
		if x, y := a.d.settings.GetWidth(), b.d.settings.GetWidth(); x != y {
			return int(y) - int(x)
		}
		return strings.Compare(a.d.track.sid, b.d.track.sid)
	})
	if m.rate == 0 {
		p.pace.setRate(0)
		for i := range shares {
			shares[i].cap = unlimited
		}
		p.capLocked(shares, now)
		return
	}
	p.pace.setRate(m.rate)
	used, next := divide(shares, m.rate-sound)
	for i := range shares {
		s := &shares[i]
		if next == 0 && s.cap >= s.want {
			s.cap = unlimited
		}
		switch {
		case s.cap < s.d.cap && m.calm > 0 && present+sound <= m.rate*raiseSlack:
			s.cap = s.d.cap // it fits, more or less
		case s.cap > s.d.cap && m.calm < probeReport:
			s.cap = s.d.cap
		}
	}
	p.capLocked(shares, now)
	p.probeLocked(shares, m, sound+used+next, next > 0, now)
}

func (p *Peer) capLocked(shares []share, now time.Time) {
	for _, s := range shares {
		if s.d.cap != s.cap {
			s.d.cap = s.cap
			s.d.choose(now)
			p.room.regateLocked(s.d, now)
		}
	}
}

// probeLocked looks whether the link carries more, when more is wanted.
func (p *Peer) probeLocked(shares []share, m measure, need float64, held bool, now time.Time) {
	b := &p.probe
	if b.wait == 0 {
		b.wait = probeFirst
	}
	if b.rate == 0 {
		if !held || m.calm < probeCalm || now.Before(b.next) || len(shares) == 0 {
			return
		}
		step := probeStep
		if b.well {
			step = probeStride
		}
		b.rate = max(min(need*1.1, m.rate*step), m.rate*1.1)
		b.began, b.known, b.loss = now, m.rate, m.loss
	}
	age := now.Sub(b.began)
	failed := m.recent > probeQueue || m.loss > b.loss+0.1 && m.loss > lossCalm
	switch {
	case failed || !held:
		b.rate, b.best, b.well = 0, 0, false
		if failed {
			b.wait = min(2*b.wait, probeMost)
		}
		b.next = now.Add(b.wait)
		return
	case age >= probeLength+probeReport:
		b.rate = 0
		if b.well = b.best > b.known*1.1 && m.recent < queueCalm/2; b.well {
			p.est.carried(b.best)
			b.wait, b.next = probeFirst, now
		} else {
			b.wait = min(2*b.wait, probeMost)
			b.next = now.Add(b.wait)
		}
		b.best = 0
		return
	case age < probeLength:
		missing := (b.rate - m.delivered) / 8 * (everyShare * tick).Seconds()
		if age < rateWindow {
			// What arrives is known half a second late.
			missing = (b.rate - p.sending()) / 8 * (everyShare * tick).Seconds()
		}
		n := int(missing/(paddingSize+overhead)) + 1
		for _, s := range shares {
			if s.cap < s.want {
				if s.d.pad(n, now) {
					break
				}
			}
		}
	}
	b.best = max(b.best, m.delivered)
}

// sending is the rate of everything that is sent to the peer but padding.
func (p *Peer) sending() float64 {
	sum := 0.0
	for _, d := range p.subs {
		if d.open.Load() {
			sum += d.meter.rate
		}
	}
	return sum
}
