//go:build !linux && !darwin

package turn

import "net"

// holdLittle bounds what the kernel holds for a client, on its way or not.
func holdLittle(conn *net.TCPConn) { _ = conn.SetWriteBuffer(64 << 10) }
