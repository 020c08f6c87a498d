package sfu

import "time"

// A client that does not report arrivals (transport-cc) has no estimate of its link;
// see allocate.go for those that do. What there is then is the loss that it reports,
// and by that video gives way to voice: a layer less while a seventh and more is lost,
// a layer more after a quiet time.
const (
	givingLoss = 38 // of 256: above what is repaired with ease
	calmLoss   = 8  // of 256
	// givingPause is the wait before more is tried; each try that fails soon doubles it.
	givingPause    = 10 * time.Second
	givingPauseMax = 80 * time.Second
)

// giving is how much video a subscriber gets: 0 all of it, 1 and 2 one and two layers
// less, 3 none.
type giving struct {
	level  int
	bad    int       // reports in a row with too much loss
	calm   time.Time // since when little is lost
	pause  time.Duration
	raised time.Time // when more was tried last, until it failed
}

const givingAll = 3

// next returns the state after the worst loss among video and sound of one second.
func (g giving) next(lost uint8, now time.Time) giving {
	switch {
	case lost >= givingLoss:
		g.calm = time.Time{}
		if g.bad++; g.bad >= 2 && g.level < givingAll {
			switch {
			case g.raised.IsZero(): // the same trouble goes on
			case now.Sub(g.raised) < 2*givingPause:
				g.pause = min(2*max(g.pause, givingPause), givingPauseMax)
			default:
				g.pause = givingPause
			}
			g.level++
			g.bad, g.raised = 0, time.Time{}
		}
	case lost <= calmLoss:
		g.bad = 0
		if g.level == 0 {
			break
		}
		if g.calm.IsZero() {
			g.calm = now
		}
		if now.Sub(g.calm) >= max(g.pause, givingPause) {
			g.level--
			g.calm, g.raised = time.Time{}, now
		}
	default:
		g.bad = 0
		g.calm = time.Time{}
	}
	return g
}

// giveWayLocked looks at the subscriber's losses of the last second.
func (p *Peer) giveWayLocked(now time.Time) {
	worst := uint8(0)
	for _, d := range p.subs {
		d.mu.Lock()
		worst = max(worst, d.lost)
		d.lost = 0
		d.mu.Unlock()
	}
	p.worst = max(p.worst, worst)
	before := p.give.level
	if p.shared {
		p.give = giving{}
	} else {
		p.give = p.give.next(worst, now)
	}
	if p.give.level == before {
		return
	}
	for _, d := range p.subs {
		if d.track.video() {
			d.choose(now)
			p.room.regateLocked(d, now)
		}
	}
}
