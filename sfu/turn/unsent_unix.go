//go:build linux || darwin

package turn

import (
	"net"

	"golang.org/x/sys/unix"
)

// holdLittle lets the kernel hold no more than freshUnsent bytes that it could not put
// on the way yet.
func holdLittle(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, freshUnsent)
	})
}
