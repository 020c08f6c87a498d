package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	pion "github.com/pion/turn/v5"

	keep "github.com/consilium-health/consilium/sfu/internal/fresh"
)

var (
	errQuota = errors.New("turn: quota reached")
	errTCP   = errors.New("turn: only UDP is relayed")
)

// generator makes the sockets of allocations (pion.RelayAddressGenerator).
type generator struct {
	server *Server
	stream bool // the clients come over TCP or TLS
}

var _ pion.RelayAddressGenerator = generator{}

// Validate implements pion.RelayAddressGenerator.
func (generator) Validate() error { return nil }

// AllocatePacketConn implements pion.RelayAddressGenerator. A client gets no port of
// its choice.
func (g generator) AllocatePacketConn(conf pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	s, h := g.server, holderOf(conf.UserID)
	if !s.take(h) {
		return nil, nil, errQuota
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: s.cfg.RelayIP.AsSlice()})
	if err != nil {
		s.give(h)
		return nil, nil, err
	}
	c := &relayConn{UDPConn: conn, server: s, holder: h}
	c.out.rate, c.in.rate = float64(s.cfg.PerSecond)/8, float64(s.cfg.PerSecond)/8
	if g.stream {
		c.fresh = &fresh{waiting: make(chan arrival, keep.Most)}
	}
	return c, conn.LocalAddr(), nil
}

// AllocateListener implements pion.RelayAddressGenerator.
func (generator) AllocateListener(pion.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

// AllocateConn implements pion.RelayAddressGenerator.
func (generator) AllocateConn(pion.AllocateConnConfig) (net.Conn, error) { return nil, errTCP }

// relayConn is the socket of one allocation. It sends to the media engine only, hears
// only it, and keeps the rate.
type relayConn struct {
	*net.UDPConn
	server  *Server
	holder  holder
	out, in bucket
	once    sync.Once
	// known is what the client last called a media address: the answers come from that
	// name, or the client would have no permission for them.
	known atomic.Pointer[naming]
	fresh *fresh // of a client behind a stream
}

type naming struct{ name, media netip.AddrPort }

// WriteTo implements net.PacketConn. What may not be sent is dropped silently.
func (c *relayConn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("turn: no UDP address")
	}
	name := u.AddrPort()
	m, ok := c.server.reaches(name)
	switch {
	case !ok:
		c.server.count.refused[refusedPort].Add(1)
		return len(b), nil
	case !c.out.take(len(b)):
		c.server.count.refused[refusedRate].Add(1)
		return len(b), nil
	}
	if old := c.known.Load(); old == nil || old.name != name {
		c.known.Store(&naming{name, m})
	}
	c.server.count.out.Add(uint64(len(b)))
	return c.UDPConn.WriteToUDPAddrPort(b, m)
}

// ReadFrom implements net.PacketConn.
func (c *relayConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.fresh != nil {
		return c.fresh.next(c, b)
	}
	n, from, err := c.receive(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// receive is the next packet of the engine within the rate.
func (c *relayConn) receive(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, from, err
		}
		m, ok := c.server.reaches(from)
		switch {
		case !ok:
			c.server.count.refused[refusedStranger].Add(1)
			continue
		case !c.in.take(n):
			c.server.count.refused[refusedRate].Add(1)
			continue
		}
		c.server.count.in.Add(uint64(n))
		if known := c.known.Load(); known != nil && known.media == m {
			m = known.name
		}
		return n, m, nil
	}
}

// Close implements net.PacketConn.
func (c *relayConn) Close() error {
	c.once.Do(func() { c.server.give(c.holder) })
	return c.UDPConn.Close()
}

// bucket keeps a rate of bytes, with half a second at once.
type bucket struct {
	mu   sync.Mutex
	rate float64
	left float64
	at   time.Time
}

func (b *bucket) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.at.IsZero() {
		b.left = b.rate / 2
	} else {
		b.left = min(b.rate/2, b.left+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}

// listener bounds TCP connections and gives each its deadlines.
type listener struct {
	net.Listener
	perSource int

	mu      sync.Mutex
	sources map[string]int
	all     int
}

func newListener(l net.Listener, perSource int) *listener {
	return &listener{Listener: l, perSource: perSource, sources: map[string]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err != nil {
			source = conn.RemoteAddr().String()
		}
		l.mu.Lock()
		full := l.all >= allTCP || l.sources[source] >= l.perSource
		if !full {
			l.all++
			l.sources[source]++
		}
		l.mu.Unlock()
		if full {
			_ = conn.Close()
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			keep.HoldLittle(tcp)
		}
		return &streamConn{Conn: conn, listener: l, source: source, wait: firstTimeout}, nil
	}
}

type streamConn struct {
	net.Conn
	listener *listener
	source   string
	wait     time.Duration // for the next bytes; owned by the reader
	once     sync.Once
}

// Read implements net.Conn.
func (c *streamConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.wait)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.wait = idleTimeout
	}
	return n, err
}

// Write implements net.Conn.
func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *streamConn) Close() error {
	c.once.Do(func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.listener.all--
		if c.listener.sources[c.source]--; c.listener.sources[c.source] == 0 {
			delete(c.listener.sources, c.source)
		}
	})
	return c.Conn.Close()
}
