package sfu

import (
	"net"
	"net/netip"
)

// NewLossy is New with packets lost: in and out say which of them.
func NewLossy(cfg Config, in, out func([]byte) bool) (*Server, error) {
	cfg.wrap = func(c net.PacketConn) net.PacketConn { return &lossy{c.(*mediaConn), in, out} }
	return New(cfg)
}

type lossy struct {
	*mediaConn
	in, out func([]byte) bool
}

func (c *lossy) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.mediaConn.ReadFromAddrPort(b)
		if err != nil || !c.in(b[:n]) {
			return n, from, err
		}
	}
}

func (c *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

func (c *lossy) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.out(b) {
		return len(b), nil
	}
	return c.mediaConn.WriteToAddrPort(b, to)
}

func (c *lossy) WriteTo(b []byte, to net.Addr) (int, error) {
	return c.WriteToAddrPort(b, to.(*net.UDPAddr).AddrPort())
}

// Tick does the periodic work of one second's end at once.
func (s *Server) Tick() { s.tick(0) }
