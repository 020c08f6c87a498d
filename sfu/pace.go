package sfu

import (
	"sync"
	"time"
)

const (
	// weakLink is the rate below which video is paced: there a key frame is a burst
	// that sound would wait behind.
	weakLink = 1e6
	paceTick = 5 * time.Millisecond
	// paceRatio lets the queue drain faster than it fills.
	paceRatio = 1.3
	// paceMost is how long video may wait; what is longer is dropped to the next key frame.
	paceMost = 800 * time.Millisecond
	// overhead of a packet on the wire: IPv4, UDP, RTP with its extension, GCM tag.
	overhead = 20 + 8 + 20 + 16
)

// paced is a packet that waits.
type paced struct {
	d       *subTrack
	line    line
	sender  *sender
	out     outgoing
	payload []byte
}

// pacer spreads the video of one subscriber with a weak link. Sound never waits in it.
type pacer struct {
	est *estimator
	now func() time.Time

	mu      sync.Mutex
	rate    float64 // bits a second; 0 paces nothing
	queue   []paced
	bytes   int
	free    [][]byte // payload buffers
	running bool
}

func (q *pacer) setRate(rate float64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if rate >= weakLink {
		rate = 0
	}
	q.rate = rate
}

// push takes a packet when it must wait. full means that the queue is too long, and
// what waits of the subscription was dropped.
func (q *pacer) push(d *subTrack, s *sender, o *outgoing, payload []byte) (taken, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.rate == 0 && len(q.queue) == 0 {
		return false, false
	}
	if q.rate != 0 && float64(q.bytes*8) > q.rate*paceMost.Seconds() {
		q.dropLocked(d)
		return true, true
	}
	var buf []byte
	if n := len(q.free); n > 0 {
		buf, q.free = q.free[n-1], q.free[:n-1]
	}
	q.queue = append(q.queue, paced{d: d, line: d.line, sender: s, out: *o, payload: append(buf[:0], payload...)})
	q.bytes += len(payload) + overhead
	if !q.running {
		q.running = true
		go q.run()
	}
	return true, false
}

// waiting tells whether anything waits.
func (q *pacer) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) > 0
}

// drop forgets what waits of a subscription. When it returns, none of it leaves.
func (q *pacer) drop(d *subTrack) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked(d)
}

func (q *pacer) dropLocked(d *subTrack) {
	kept := q.queue[:0]
	for _, e := range q.queue {
		if d == nil || e.d == d {
			q.bytes -= len(e.payload) + overhead
			continue
		}
		kept = append(kept, e)
	}
	clear(q.queue[len(kept):])
	q.queue = kept
}

// run sends what waits, and ends when nothing does.
func (q *pacer) run() {
	ticker := time.NewTicker(paceTick)
	defer ticker.Stop()
	last := time.Now()
	credit := 0.0
	for range ticker.C {
		now := time.Now()
		if !q.step(&credit, now.Sub(last)) {
			return
		}
		last = now
	}
}

// step sends the share of one interval; false when the queue is empty.
func (q *pacer) step(credit *float64, passed time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	rate := q.rate * paceRatio
	if rate == 0 {
		rate = 10 * weakLink // the link is not weak any more: be done soon
	}
	*credit = min(*credit+rate/8*passed.Seconds(), rate/8*0.02)
	sent := 0
	for sent < len(q.queue) && *credit > 0 {
		e := &q.queue[sent]
		*credit -= float64(len(e.payload) + overhead)
		q.bytes -= len(e.payload) + overhead
		e.out.twcc = q.est.sent(len(e.payload)+overhead, q.now())
		e.line.write(e.sender, &e.out, e.payload, nil)
		if len(q.free) < 64 {
			q.free = append(q.free, e.payload)
		}
		sent++
	}
	rest := copy(q.queue, q.queue[sent:])
	clear(q.queue[rest:])
	q.queue = q.queue[:rest]
	if rest == 0 {
		q.running = false
	}
	return rest > 0
}
