package sfu

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
)

const (
	// readSlot holds any datagram a client sends: more than the MTU of the Internet.
	readSlot = 2048
	// sendSlot holds a forwarded packet with its header and tag.
	sendSlot = 1600
	// sendSlots are filled before a batch leaves in any case.
	sendSlots = 1024
	// mostRounds is how often is read before a batch leaves in any case. The packets that
	// come while others are sealed leave in the same messages; a flood makes nobody wait.
	mostRounds = 4
	// reportSlots are filled before reports leave in any case.
	reportSlots = 64
)

// mediaConn is the media socket. Its one reader is the loop of Pion's ICE mux, which
// gets what is left when the packets of established links have been worked on right
// here: read in batches, opened in place, forwarded, and sent off together when no
// more have come. It also answers plain STUN Binding requests (RFC 8489 §6.3.1): on a
// machine with nothing but loopback it is how clients on Pion come to a candidate at
// all.
type mediaConn struct {
	*net.UDPConn
	in      inbox
	rounds  int // how often was read since the last batch left
	out     batch
	reports reports

	lose     func([]byte) bool // drops what comes, in tests
	loseSent func([]byte) bool

	mu    sync.Mutex // of those who replace links
	links atomic.Pointer[map[netip.AddrPort]*link]
}

var _ ice.AddrPortReaderWriter = (*mediaConn)(nil)

func newMediaConn(udp *net.UDPConn) (*mediaConn, error) {
	c := &mediaConn{UDPConn: udp}
	c.links.Store(&map[netip.AddrPort]*link{})
	if err := c.in.init(udp); err != nil {
		return nil, err
	}
	c.in.idle = c.leave
	return c, errors.Join(c.out.init(c), c.reports.init(c))
}

// leave sends off what the packets read so far have become.
func (c *mediaConn) leave() {
	c.rounds = 0
	c.out.flush()
}

// attach makes packets from an address those of a link, instead of those from before;
// an invalid address is none.
func (c *mediaConn) attach(l *link, before, now netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.links.Load()
	next := make(map[netip.AddrPort]*link, len(old)+1)
	for a, o := range old {
		if o != l || a != before {
			next[a] = o
		}
	}
	if now.IsValid() {
		next[now] = l
	}
	c.links.Store(&next)
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter. It has one caller at a time.
func (c *mediaConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		if c.in.empty() {
			if c.rounds++; c.rounds > mostRounds {
				c.leave()
			}
			if err := c.in.fill(); err != nil {
				return 0, netip.AddrPort{}, err
			}
		}
		p, from := c.in.next()
		if len(p) == 0 || c.lose != nil && c.lose(p) {
			continue
		}
		if classify(p) == mediaPacket {
			if l := (*c.links.Load())[from]; l != nil {
				l.receive(p, &c.out)
				continue
			}
		} else if plainBinding(p) {
			var answer [44]byte
			_, _ = c.WriteToAddrPort(bindingAnswer(answer[:0], p, from), from)
			continue
		}
		return copy(b, p), from, nil
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *mediaConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.loseSent != nil && c.loseSent(b) {
		return len(b), nil
	}
	return c.WriteToUDPAddrPort(b, to)
}

// ReadFrom implements net.PacketConn.
func (c *mediaConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteTo implements net.PacketConn.
func (c *mediaConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("no UDP address")
	}
	return c.WriteToAddrPort(b, a.AddrPort())
}

// packetClass is what the first byte of a datagram tells (RFC 7983).
type packetClass int

const (
	otherPacket packetClass = iota
	stunPacket
	dtlsPacket
	mediaPacket // RTP or RTCP
)

func classify(b []byte) packetClass {
	switch {
	case len(b) == 0:
		return otherPacket
	case b[0] < 4:
		return stunPacket
	case b[0] >= 20 && b[0] < 64:
		return dtlsPacket
	case b[0] >= 128 && b[0] < 192 && len(b) >= 8:
		return mediaPacket
	}
	return otherPacket
}

// isControl tells RTCP from RTP on one port (RFC 5761 §4).
func isControl(b []byte) bool { return b[1] >= 192 && b[1] < 224 }

// slot is a packet that is ready to leave, to one link.
type slot struct {
	n    int
	next *slot // to the same link, later
	buf  [sendSlot]byte
}

// batch collects what leaves after a batch of received packets. It belongs to the
// goroutine that reads the socket.
type batch struct {
	conn  *mediaConn
	slots []slot
	used  int
	dirty []*link // with slots, in the order of their first
	sendBatch
}

func (b *batch) init(c *mediaConn) error {
	b.conn, b.slots = c, make([]slot, sendSlots)
	return b.sendBatch.init(c.UDPConn, sendSlots)
}

// take gives the next slot.
func (b *batch) take() *slot {
	if b.used == len(b.slots) {
		b.flush()
	}
	s := &b.slots[b.used]
	s.next, s.n = nil, 0
	b.used++
	return s
}

// put appends the slot taken last to what leaves for the link.
func (b *batch) put(l *link, s *slot) {
	if b.conn.loseSent != nil && b.conn.loseSent(s.buf[:s.n]) {
		return
	}
	if l.first == nil {
		l.first, l.last = s, s
		b.dirty = append(b.dirty, l)
		return
	}
	l.last.next, l.last = s, s
}

// flush sends everything.
func (b *batch) flush() {
	if len(b.dirty) > 0 {
		b.send(b.dirty)
		for _, l := range b.dirty {
			l.first, l.last = nil, nil
		}
		clear(b.dirty)
		b.dirty = b.dirty[:0]
	}
	b.used = 0
}

// reports are packets of RTCP that leave together: those of one tick, in one system call
// and at the cost of waking each receiver's machine once. They belong to the goroutine
// that ticks.
type reports struct {
	conn  *mediaConn
	slots []slot
	used  int
	sendBatch
}

func (r *reports) init(c *mediaConn) error {
	r.conn, r.slots = c, make([]slot, reportSlots)
	return r.sendBatch.init(c.UDPConn, reportSlots)
}

// put takes a copy of a sealed packet.
func (r *reports) put(to *target, sealed []byte) {
	if r.conn.loseSent != nil && r.conn.loseSent(sealed) || len(sealed) > sendSlot {
		return
	}
	if r.used == len(r.slots) {
		r.flush()
	}
	s := &r.slots[r.used]
	s.n, s.next = copy(s.buf[:], sealed), nil
	r.used++
	r.add(to, s)
}

// flush sends everything.
func (r *reports) flush() {
	if r.used > 0 {
		r.leave()
		r.used = 0
	}
}
