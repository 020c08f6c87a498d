// Package weaklink is a network of the tests: a UDP relay in front of the media port
// that loses, delays and queues packets by a seeded plan, one for each direction.
package weaklink

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// Link is how one direction treats packets. The zero value is a perfect link.
type Link struct {
	Rate   int           // bits a second, headers of IP and UDP included; 0 has no limit
	Queue  time.Duration // longest wait for the rate; what comes later is dropped. 300 ms if 0
	Loss   float64       // share of packets lost by chance
	Delay  time.Duration
	Jitter time.Duration // added by chance, up to this; packets overtake each other
	// Damage is the share of packets of which a damaged copy goes along.
	Damage float64
	// Drop names packets that are lost, beside those lost by chance; nil for none.
	Drop func([]byte) bool
}

// Count is what one direction has done.
type Count struct {
	Packets, Bytes, Lost, Dropped, Damaged int
}

type packet struct {
	at   time.Time
	data []byte
	send func([]byte)
}

type schedule []packet

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(p any)        { *s = append(*s, p.(packet)) }
func (s *schedule) Pop() any {
	old := *s
	p := old[len(old)-1]
	old[len(old)-1] = packet{}
	*s = old[:len(old)-1]
	return p
}

type direction struct {
	mu     sync.Mutex
	link   Link
	random *rand.Rand
	free   time.Time // when the link has sent all it took
	queue  schedule
	count  Count
	wake   chan struct{}
}

func newDirection(seed uint64) *direction {
	return &direction{random: rand.New(rand.NewPCG(seed, 7)), wake: make(chan struct{}, 1)}
}

func (d *direction) take(b []byte, send func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.link.Loss > 0 && d.random.Float64() < d.link.Loss || d.link.Drop != nil && d.link.Drop(b) {
		d.count.Lost++
		return
	}
	at := now
	if d.link.Rate > 0 {
		most := d.link.Queue
		if most == 0 {
			most = 300 * time.Millisecond
		}
		if d.free.Before(now) {
			d.free = now
		}
		if d.free.Sub(now) > most {
			d.count.Dropped++
			return
		}
		d.free = d.free.Add(time.Duration((len(b) + 28) * 8 * int(time.Second) / d.link.Rate))
		at = d.free
	}
	at = at.Add(d.link.Delay)
	if d.link.Jitter > 0 {
		at = at.Add(time.Duration(d.random.Int64N(int64(d.link.Jitter))))
	}
	d.count.Packets++
	d.count.Bytes += len(b)
	if d.link.Damage > 0 && d.random.Float64() < d.link.Damage {
		d.count.Damaged++
		heap.Push(&d.queue, packet{at: at, data: d.damaged(b), send: send})
	}
	heap.Push(&d.queue, packet{at: at, data: append([]byte(nil), b...), send: send})
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// damaged is a copy with some bytes changed, cut off or added.
func (d *direction) damaged(b []byte) []byte {
	out := append([]byte(nil), b...)
	for range 1 + d.random.IntN(4) {
		if len(out) > 0 {
			out[d.random.IntN(len(out))] ^= byte(1 + d.random.IntN(255))
		}
	}
	switch d.random.IntN(4) {
	case 0:
		out = out[:d.random.IntN(len(out)+1)]
	case 1:
		for range d.random.IntN(64) {
			out = append(out, byte(d.random.IntN(256)))
		}
	}
	return out
}

func (d *direction) run(done <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.mu.Lock()
		wait := time.Hour
		var due []packet
		for len(d.queue) > 0 {
			if wait = time.Until(d.queue[0].at); wait > 0 {
				break
			}
			due = append(due, heap.Pop(&d.queue).(packet))
			wait = time.Hour
		}
		d.mu.Unlock()
		for _, p := range due {
			p.send(p.data)
		}
		timer.Reset(wait)
		select {
		case <-done:
			return
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// Relay stands between one or more clients and the media port.
type Relay struct {
	front  *net.UDPConn
	target *net.UDPAddr
	up     *direction
	down   *direction
	done   chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	backs map[netip.AddrPort]*net.UDPConn
}

// New starts a relay to the target for the time of the test.
func New(t testing.TB, target netip.AddrPort, seed uint64) *Relay {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{
		front: front, target: net.UDPAddrFromAddrPort(target), up: newDirection(seed), down: newDirection(seed + 1),
		done: make(chan struct{}), backs: map[netip.AddrPort]*net.UDPConn{},
	}
	r.wg.Go(func() { r.up.run(r.done) })
	r.wg.Go(func() { r.down.run(r.done) })
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Port is where clients send instead of the media port.
func (r *Relay) Port() int { return r.front.LocalAddr().(*net.UDPAddr).Port }

// Down sets the way to the clients.
func (r *Relay) Down(l Link) { r.down.set(l) }

// Up sets the way to the server.
func (r *Relay) Up(l Link) { r.up.set(l) }

func (d *direction) set(l Link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link = l
}

// Rebind gives every client another address towards the server, as a NAT does that
// forgot its table: what the server sends to the old one is lost.
func (r *Relay) Rebind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.backs {
		_ = c.Close()
	}
	clear(r.backs)
}

// Inject sends a packet to the server in the name of every client.
func (r *Relay) Inject(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.backs {
		_, _ = c.Write(b)
	}
}

// Counts returns what the way to the clients has done, Sent what the way to the server.
func (r *Relay) Counts() Count { return r.down.counts() }

// Sent returns what the way to the server has done.
func (r *Relay) Sent() Count { return r.up.counts() }

func (d *direction) counts() Count {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

func (r *Relay) accept() {
	buf := make([]byte, 2048)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		back := r.back(from)
		if back == nil {
			return
		}
		r.up.take(buf[:n], func(b []byte) { _, _ = back.Write(b) })
	}
}

func (r *Relay) back(client netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.backs[client]; c != nil {
		return c
	}
	select {
	case <-r.done:
		return nil
	default:
	}
	c, err := net.DialUDP("udp", nil, r.target)
	if err != nil {
		return nil
	}
	r.backs[client] = c
	r.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, err := c.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // the port was closed for a moment
			}
			r.down.take(buf[:n], func(b []byte) { _, _ = r.front.WriteToUDPAddrPort(b, client) })
		}
	})
	return c
}

func (r *Relay) close() {
	r.mu.Lock()
	close(r.done)
	_ = r.front.Close()
	for _, c := range r.backs {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
