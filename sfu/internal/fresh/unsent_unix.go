//go:build linux || darwin

package fresh

import (
	"net"

	"golang.org/x/sys/unix"
)

// HoldLittle lets the kernel hold no more than unsent bytes that it could not put
// on the way yet.
func HoldLittle(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}
