package turn

import (
	"net"
	"net/netip"
	"sync"
	"time"

	keep "github.com/consilium-health/consilium/sfu/internal/fresh"
)

type arrival struct {
	at   time.Time
	from netip.AddrPort
	buf  *[]byte
	n    int
}

var arrivals = sync.Pool{New: func() any {
	b := make([]byte, 1600)
	return &b
}}

// fresh is what arrived at the socket of an allocation and waits for its stream. What
// waited too long, and the oldest of too many, is dropped: the engine sees the loss and
// sends less, sound first.
type fresh struct {
	waiting chan arrival
	once    sync.Once
	err     error // why it ended; set before waiting is closed
}

// read takes packets from the socket as they come, until that is closed.
func (f *fresh) read(c *relayConn) {
	defer close(f.waiting)
	for {
		buf := arrivals.Get().(*[]byte)
		n, from, err := c.receive(*buf)
		if err != nil {
			f.err = err
			arrivals.Put(buf)
			return
		}
		a := arrival{time.Now(), from, buf, n}
		for sent := false; !sent; {
			select {
			case f.waiting <- a:
				sent = true
			default:
				select {
				case old := <-f.waiting:
					c.server.count.refused[refusedStale].Add(1)
					arrivals.Put(old.buf)
				default:
				}
			}
		}
	}
}

// next is the oldest packet that is still worth sending.
func (f *fresh) next(c *relayConn, b []byte) (int, net.Addr, error) {
	f.once.Do(func() { go f.read(c) })
	for a := range f.waiting {
		stale := time.Since(a.at) > keep.For
		n := copy(b, (*a.buf)[:a.n])
		arrivals.Put(a.buf)
		if !stale {
			return n, net.UDPAddrFromAddrPort(a.from), nil
		}
		c.server.count.refused[refusedStale].Add(1)
	}
	return 0, nil, f.err
}
