package sfu

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/livekit/protocol/livekit"
)

const stunCookie = 0x2112a442

// plainBinding tells whether the packet is a Binding request that belongs to no
// connectivity check: those carry a USERNAME (RFC 8445 §7.2.2).
func plainBinding(b []byte) bool {
	if len(b) < 20 || binary.BigEndian.Uint16(b) != 0x0001 || binary.BigEndian.Uint32(b[4:]) != stunCookie ||
		int(binary.BigEndian.Uint16(b[2:])) != len(b)-20 {
		return false
	}
	for at := 20; at+4 <= len(b); {
		if binary.BigEndian.Uint16(b[at:]) == 0x0006 {
			return false
		}
		at += 4 + (int(binary.BigEndian.Uint16(b[at+2:]))+3)&^3
	}
	return true
}

// bindingAnswer appends the success response with XOR-MAPPED-ADDRESS. It is hardly
// longer than the request: nobody gains by a false sender address.
func bindingAnswer(out, request []byte, from netip.AddrPort) []byte {
	ip := from.Addr().Unmap()
	size, family := 4, byte(1)
	if ip.Is6() {
		size, family = 16, 2
	}
	out = binary.BigEndian.AppendUint16(out, 0x0101)
	out = binary.BigEndian.AppendUint16(out, uint16(8+size))
	out = append(out, request[4:20]...)
	out = binary.BigEndian.AppendUint16(out, 0x0020)
	out = binary.BigEndian.AppendUint16(out, uint16(4+size))
	out = append(out, 0, family)
	out = binary.BigEndian.AppendUint16(out, from.Port()^(stunCookie>>16))
	for i, v := range ip.AsSlice() {
		out = append(out, v^request[4+i]) // cookie, then transaction id
	}
	return out
}

// iceServers is what the client is told of TURN, with credentials of its own, and of a
// server to learn its address from. Only clients on Pion are told of that: a browser takes whatever comes from the address of a STUN server for an
// answer of it, so that server must not be the media port itself.
func (p *Peer) iceServers() []*livekit.ICEServer {
	var servers []*livekit.ICEServer
	if relay := p.srv.cfg.Relay; relay != nil {
		urls, username, password := relay.Credentials(p.sid, p.room.sid)
		servers = append(servers, &livekit.ICEServer{Urls: urls, Username: username, Credential: password})
	}
	if p.sdk != "go" {
		return servers
	}
	addr := p.srv.Addr()
	host := addr.Addr().Unmap().String()
	if len(p.srv.cfg.PublicIPs) > 0 {
		host = p.srv.cfg.PublicIPs[0]
	} else if addr.Addr().IsUnspecified() {
		return servers
	}
	return append(servers, &livekit.ICEServer{Urls: []string{"stun:" + net.JoinHostPort(host, itoa(int(addr.Port())))}})
}
