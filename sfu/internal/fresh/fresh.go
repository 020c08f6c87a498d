// Package fresh keeps what waits for a TCP connection new. TCP sends again and never
// drops, so behind a narrow link sound would come many seconds late, and later all the
// time. Datagrams that go over TCP may be dropped: what waited too long is.
package fresh

import (
	"net"
	"sync"
	"time"
)

const (
	// For is how long a datagram may wait.
	For = 250 * time.Millisecond
	// Most is how many datagrams may wait: more than For holds at 3 Mbit/s.
	Most = 128
	// unsent is how many bytes the kernel may hold beside what is under way.
	unsent = 8192
	// writeTimeout ends a connection that takes nothing any more.
	writeTimeout = 10 * time.Second
)

// Listen makes the connections of a listener fresh: each Write is one datagram that may
// be dropped, and returns at once.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		HoldLittle(tcp)
	}
	return &conn{Conn: c, waiting: make(chan datagram, Most), done: make(chan struct{})}, nil
}

type datagram struct {
	at time.Time
	b  []byte
}

type conn struct {
	net.Conn
	waiting chan datagram
	begin   sync.Once
	end     sync.Once
	done    chan struct{}
}

// Write implements net.Conn. The oldest of too many makes room.
func (c *conn) Write(b []byte) (int, error) {
	c.begin.Do(func() { go c.send() })
	d := datagram{time.Now(), append([]byte(nil), b...)}
	for {
		select {
		case <-c.done:
			return 0, net.ErrClosed
		case c.waiting <- d:
			return len(b), nil
		default:
		}
		select {
		case <-c.waiting:
		default:
		}
	}
}

func (c *conn) send() {
	for {
		select {
		case <-c.done:
			return
		case d := <-c.waiting:
			if time.Since(d.at) > For {
				continue
			}
			err := c.SetWriteDeadline(time.Now().Add(writeTimeout))
			if err == nil {
				_, err = c.Conn.Write(d.b)
			}
			if err != nil {
				_ = c.Close() // half a datagram may have gone: the rest could not be read
				return
			}
		}
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.end.Do(func() { close(c.done) })
	return c.Conn.Close()
}
