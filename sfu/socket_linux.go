package sfu

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readBatch is how many datagrams one system call takes.
	readBatch = 64
	// maxTrain is how many packets of one size the kernel cuts from one message; it
	// takes 64, of 64 kB together.
	maxTrain = 32
)

// mmsghdr is the struct of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// inbox reads datagrams with recvmmsg. Its calls and those that send never wait
// (MSG_DONTWAIT), so they are raw: an ordinary call wakes the monitor thread of Go's
// runtime, which then looks every 20 µs whether somebody else needs the processor. With
// a thousand batches a second that was a quarter of the engine's whole processor time.
type inbox struct {
	raw   syscall.RawConn
	msgs  [readBatch]mmsghdr
	iovs  [readBatch]unix.Iovec
	names [readBatch]unix.RawSockaddrInet6
	bufs  []byte
	read  func(fd uintptr) bool
	idle  func() // is called when nothing is there, before waiting
	at, n int
	errno syscall.Errno
}

func (in *inbox) init(udp *net.UDPConn) (err error) {
	if in.raw, err = udp.SyscallConn(); err != nil {
		return err
	}
	in.bufs = make([]byte, readBatch*readSlot)
	for i := range in.msgs {
		in.iovs[i].Base = &in.bufs[i*readSlot]
		in.iovs[i].SetLen(readSlot)
		h := &in.msgs[i].hdr
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&in.names[i])), &in.iovs[i]
		h.SetIovlen(1)
		h.Namelen = unix.SizeofSockaddrInet6
	}
	in.read = func(fd uintptr) bool {
		for {
			n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs[0])), readBatch, unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				in.idle()
				return false
			}
			in.n, in.errno = int(n), errno
			return true
		}
	}
	return nil
}

func (in *inbox) empty() bool { return in.at >= in.n }

// fill waits for datagrams.
func (in *inbox) fill() error {
	for i := range in.n {
		in.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	in.at, in.n, in.errno = 0, 0, 0
	if err := in.raw.Read(in.read); err != nil {
		return err
	}
	if in.errno != 0 {
		in.n = 0
		// What the network said of an earlier packet is no end of this socket.
		if errors.Is(in.errno, unix.EBADF) || errors.Is(in.errno, unix.ENOTSOCK) {
			return in.errno
		}
	}
	return nil
}

// next returns the next datagram, until the next fill; one that was cut is empty.
func (in *inbox) next() ([]byte, netip.AddrPort) {
	if in.at >= in.n {
		return nil, netip.AddrPort{}
	}
	i := in.at
	in.at++
	m := &in.msgs[i]
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return nil, netip.AddrPort{}
	}
	return in.bufs[i*readSlot : i*readSlot+int(m.n) : (i+1)*readSlot], addrPort(&in.names[i])
}

func addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swap(v4.Port))
	}
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && a.Is6() {
		a = a.WithZone(strconv.Itoa(int(sa.Scope_id)))
	}
	return netip.AddrPortFrom(a, swap(sa.Port))
}

// swap turns a port between our order of bytes and the network's.
func swap(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// destination is an address as the kernel takes it.
type destination struct {
	sa   unix.RawSockaddrInet6
	size uint32
}

// destinationOf makes the address of a socket of the family given.
func destinationOf(a netip.AddrPort, family uint16) (d destination) {
	if family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.sa))
		v4.Family, v4.Port, v4.Addr = unix.AF_INET, swap(a.Port()), a.Addr().Unmap().As4()
		d.size = unix.SizeofSockaddrInet4
		return d
	}
	d.sa.Family, d.sa.Port, d.sa.Addr = unix.AF_INET6, swap(a.Port()), a.Addr().As16()
	if zone := a.Addr().Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			d.sa.Scope_id = uint32(n)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			d.sa.Scope_id = uint32(i.Index)
		}
	}
	d.size = unix.SizeofSockaddrInet6
	return d
}

// segments is the control message of UDP_SEGMENT (udp(7)).
type segments struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [6]byte
}

// sendBatch sends with sendmmsg, packets of one size to one address as one message that
// the kernel or the network card cuts.
type sendBatch struct {
	raw    syscall.RawConn
	family uint16
	whole  bool // the kernel cuts nothing
	msgs   []mmsghdr
	iovs   []unix.Iovec
	names  []destination
	ctl    []segments
	n      int // messages
	iov    int // packets
	sent   int
	errno  syscall.Errno
	try    func(fd uintptr)
	wait   func(fd uintptr) bool
}

func (b *sendBatch) init(udp *net.UDPConn, size int) (err error) {
	b.msgs, b.iovs, b.names, b.ctl = make([]mmsghdr, size), make([]unix.Iovec, size), make([]destination, size), make([]segments, size)
	if b.raw, err = udp.SyscallConn(); err != nil {
		return err
	}
	if err := b.raw.Control(func(fd uintptr) {
		var domain int
		domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		b.family = uint16(domain)
		_, missing := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		b.whole = missing != nil
	}); err != nil {
		return err
	}
	for i := range b.ctl {
		c := &b.ctl[i]
		c.hdr.Level, c.hdr.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		c.hdr.SetLen(unix.CmsgLen(2))
	}
	b.try = func(fd uintptr) { b.call(fd) }
	b.wait = func(fd uintptr) bool { return b.call(fd) != unix.EAGAIN }
	return err
}

func (b *sendBatch) call(fd uintptr) syscall.Errno {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[b.sent])), uintptr(b.n-b.sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if b.errno = errno; errno == 0 {
			b.sent += int(n)
		}
		return errno
	}
}

// send sends what waits for these links.
func (b *sendBatch) send(links []*link) {
	for _, l := range links {
		if to := l.to.Load(); to != nil {
			b.add(to, l.first)
		}
	}
	b.leave()
}

// add makes messages of the packets of a list; there are no more than the batch is for.
func (b *sendBatch) add(to *target, s *slot) {
	for s != nil {
		m, first, size, all := &b.msgs[b.n], b.iov, s.n, 0
		for {
			b.iovs[b.iov].Base = &s.buf[0]
			b.iovs[b.iov].SetLen(s.n)
			b.iov++
			all += s.n
			short := s.n < size
			s = s.next
			// Only the last of a train may be shorter.
			if s == nil || b.whole || short || s.n > size || b.iov-first == maxTrain || all+s.n > 60000 {
				break
			}
		}
		b.names[b.n] = to.wire
		h := &m.hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[b.n].sa)), to.wire.size
		h.Iov = &b.iovs[first]
		h.SetIovlen(b.iov - first)
		h.Control = nil
		h.SetControllen(0)
		if b.iov-first > 1 {
			c := &b.ctl[b.n]
			c.size = uint16(size)
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
		}
		b.n++
	}
}

// leave sends the messages.
func (b *sendBatch) leave() {
	defer func() { b.n, b.iov, b.sent = 0, 0, 0 }()
	for b.sent < b.n {
		if b.raw.Control(b.try) != nil {
			return
		}
		if b.errno == unix.EAGAIN && b.raw.Write(b.wait) != nil {
			return
		}
		if b.errno == 0 {
			continue
		}
		m := &b.msgs[b.sent].hdr
		if m.Iovlen > 1 && (b.errno == unix.EINVAL || b.errno == unix.EIO || b.errno == unix.EMSGSIZE) {
			// EIO: this card does not cut. EINVAL: not to this address, whose path is
			// narrower than the packets.
			b.whole = b.whole || b.errno == unix.EIO
			b.single(m)
		}
		b.sent++
	}
}

// single sends the packets of a message one by one.
func (b *sendBatch) single(m *unix.Msghdr) {
	for _, v := range unsafe.Slice(m.Iov, int(m.Iovlen)) {
		one := *m
		one.Iov, one.Control = &v, nil
		one.SetIovlen(1)
		one.SetControllen(0)
		_ = b.raw.Write(func(fd uintptr) bool {
			_, _, errno := unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&one)), unix.MSG_DONTWAIT)
			return errno != unix.EAGAIN && errno != unix.EINTR
		})
	}
}

// target makes an address as this socket takes it.
func (b *sendBatch) target(a netip.AddrPort) destination { return destinationOf(a, b.family) }
