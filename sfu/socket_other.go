//go:build !linux

package sfu

import (
	"net"
	"net/netip"
)

// inbox reads datagrams one by one.
type inbox struct {
	udp  *net.UDPConn
	idle func()
	buf  [readSlot]byte
	n    int
	from netip.AddrPort
}

func (in *inbox) init(udp *net.UDPConn) error {
	in.udp = udp
	return nil
}

func (in *inbox) empty() bool { return in.n == 0 }

func (in *inbox) fill() error {
	in.idle()
	n, from, err := in.udp.ReadFromUDPAddrPort(in.buf[:])
	in.n, in.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return err
}

func (in *inbox) next() ([]byte, netip.AddrPort) {
	p := in.buf[:in.n]
	in.n = 0
	return p, in.from
}

type destination struct{}

// sendBatch sends one by one.
type sendBatch struct{ udp *net.UDPConn }

func (b *sendBatch) init(udp *net.UDPConn, _ int) error {
	b.udp = udp
	return nil
}

func (b *sendBatch) send(links []*link) {
	for _, l := range links {
		if to := l.to.Load(); to != nil {
			b.add(to, l.first)
		}
	}
}

func (b *sendBatch) add(to *target, s *slot) {
	for ; s != nil; s = s.next {
		_, _ = b.udp.WriteToUDPAddrPort(s.buf[:s.n], to.addr)
	}
}

func (b *sendBatch) leave() {}

func (b *sendBatch) target(netip.AddrPort) destination { return destination{} }
