// Package turn is the way to the media engine for clients whose network lets no UDP
// through: a TURN server (RFC 8656) over UDP, TCP and TLS that relays to the media
// port and to nothing else.
//
// A general TURN server is a proxy into the network it stands in. This one has a list
// of exact addresses and ports, checks the address when a client asks for a
// permission and the port with every packet, and drops what comes from elsewhere. Its
// credentials are made by the engine when somebody joins, open an allocation for ten
// minutes at most, and carry no name. What one participant and one room may hold and
// send is bounded.
//
//	relay, err := turn.New(turn.Config{
//		UDP: "192.0.2.7:3478", TCP: "192.0.2.7:3478", RelayIP: netip.MustParseAddr("192.0.2.7"),
//		Media: []netip.AddrPort{server.Addr()}, Secrets: []string{secret}, Host: "turn.example.org",
//	})
//
// The engine takes it as sfu.Config.Relay and tells relay.URLs() to who joins, with
// credentials of their own; cmd/consilium/media.go is the wiring of both. What it
// refused, and why, is counted in Collector.
package turn
