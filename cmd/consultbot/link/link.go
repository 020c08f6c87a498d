// Package link is a poor link in front of a TCP address, for demonstrations and tests
// of what people on such a link see: so many bits a second each way for all connections
// together, delay, stalls as lost segments cause them, and a cut of everything as when a
// phone changes networks.
//
// TCP loses nothing, so a lost segment shows as a stall until it came again. What waits
// in front of the link is kept small, as it is in a network; what a sender holds back
// behind it is the sender's own.
package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Shape is how the link treats each direction. The zero value is a perfect link.
type Shape struct {
	Kbits float64       // kbit/s; 0 has no limit
	Delay time.Duration // one way
	Loss  float64       // share of segments that come only when sent again, 0 to 1
}

// Parse reads "kbits=150 delay=60ms loss=0.1"; what is not named is perfect.
func Parse(s string) (Shape, error) {
	var out Shape
	for _, field := range strings.Fields(s) {
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "kbits":
			out.Kbits, err = strconv.ParseFloat(value, 64)
		case "delay":
			out.Delay, err = time.ParseDuration(value)
		case "loss":
			out.Loss, err = strconv.ParseFloat(value, 64)
		default:
			return Shape{}, fmt.Errorf("link: %q is not kbits, delay or loss", name)
		}
		if err != nil {
			return Shape{}, fmt.Errorf("link: %s: %w", name, err)
		}
	}
	if !(out.Kbits >= 0) || out.Delay < 0 || !(out.Loss >= 0 && out.Loss <= 1) {
		return Shape{}, errors.New("link: kbits and delay are 0 or more, loss is between 0 and 1")
	}
	return out, nil
}

const (
	segment    = 1200  // bytes that travel together
	window     = 16384 // of the kernel, for what waits in front of the link
	perSegment = 40    // bytes of headers
)

// Link passes connections on.
type Link struct {
	listener net.Listener
	to       string
	shape    atomic.Pointer[Shape]
	made     atomic.Int64
	up, down line

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
	loops sync.WaitGroup
}

// line is one direction, shared by all connections.
type line struct {
	mu   sync.Mutex
	free time.Time // when it has sent what it took
}

// Listen opens the link at an address, such as 127.0.0.1:0, to another.
func Listen(at, to string) (*Link, error) {
	config := net.ListenConfig{Control: small}
	l, err := config.Listen(context.Background(), "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	out := &Link{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	out.shape.Store(&Shape{})
	out.loops.Go(out.accept)
	return out, nil
}

// Addr is where it listens.
func (l *Link) Addr() net.Addr { return l.listener.Addr() }

// Become changes what the link is like, for connections that are open too.
func (l *Link) Become(s Shape) { l.shape.Store(&s) }

// Made is how many connections were made so far.
func (l *Link) Made() int { return int(l.made.Load()) }

// Cut ends all connections without a word; new ones are welcome. It returns how many there were.
func (l *Link) Cut() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.conns) / 2
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(l.conns)
	return n
}

// Close ends the link and everything on it.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.Cut()
	l.loops.Wait()
	return err
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.loops.Go(func() { l.join(near) })
	}
}

func (l *Link) join(near net.Conn) {
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: small}
	far, err := dialer.Dial("tcp", l.to)
	if err != nil {
		_ = near.Close()
		return
	}
	l.made.Add(1)
	l.mu.Lock()
	l.conns[near], l.conns[far] = struct{}{}, struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.carry(&l.up, near, far) })
	both.Go(func() { l.carry(&l.down, far, near) })
	both.Wait()
	l.mu.Lock()
	delete(l.conns, near)
	delete(l.conns, far)
	l.mu.Unlock()
}

// small bounds what the kernel takes in before the link does, from the first packet on.
func small(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, window)
	})
	return errors.Join(err, failed)
}

type piece struct {
	due  time.Time
	data []byte
}

// carry is one direction of one connection.
func (l *Link) carry(on *line, from, to net.Conn) {
	flying := make(chan piece, 4096)
	var hand sync.WaitGroup
	hand.Go(func() {
		for p := range flying {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	})
	var last time.Time // TCP hands over in order: nothing before what was lost before it
	for {
		buf := make([]byte, segment)
		n, err := from.Read(buf)
		if n > 0 {
			shape := *l.shape.Load()
			sent := on.take(n, shape.Kbits)
			time.Sleep(time.Until(sent))
			due := sent.Add(shape.Delay)
			if shape.Loss > 0 && rand.Float64() < shape.Loss {
				due = due.Add(2*shape.Delay + 50*time.Millisecond)
			}
			if due.Before(last) {
				due = last
			}
			last = due
			flying <- piece{due, buf[:n]}
		}
		if err != nil {
			break
		}
	}
	close(flying)
	hand.Wait()
}

// take is when the line has sent n bytes more.
func (on *line) take(n int, kbits float64) time.Time {
	on.mu.Lock()
	defer on.mu.Unlock()
	if now := time.Now(); on.free.Before(now) {
		on.free = now
	}
	if kbits > 0 {
		on.free = on.free.Add(time.Duration(float64(n+perSegment) * 8 / kbits * float64(time.Millisecond)))
	}
	return on.free
}
