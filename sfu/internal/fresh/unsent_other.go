//go:build !linux && !darwin

package fresh

import "net"

// HoldLittle bounds what the kernel holds for a client, on its way or not.
func HoldLittle(conn *net.TCPConn) { _ = conn.SetWriteBuffer(64 << 10) }
