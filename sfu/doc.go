// Package sfu is the media engine: a selective forwarding unit on Pion that speaks
// the LiveKit client protocol.
//
// It carries rooms of participants, their tracks and data on one UDP port, and knows
// no case, no person and no license. A room made by a token follows the ordinary
// policy of the protocol: everybody receives everybody. A room made by Open is
// managed: joining needs an admission (Room.Admit), and nobody receives anything
// before a Routing names them (Server.Route). Server-made participants
// "channel:<tag>" carry interpretation: their tracks keep their SSRC and numbering
// while the routes change which microphone, of whichever room, feeds them.
//
// The wiring, with one HTTP port for signaling and one UDP port for media:
//
//	server, err := sfu.New(sfu.Config{UDP: "127.0.0.1:7882", Key: key, Secret: secret})
//	mux.Handle("/rtc", signal.Handler(signal.Config{Server: server}))
//	mux.Handle("/rtc/", signal.Handler(signal.Config{Server: server}))
//	mux.Handle("/twirp/", roomservice.Handler(server))
//	media := embedded.New(embedded.Config{Server: server, URL: func() string { return "wss://host" }})
//	go server.Run(ctx)
//
// Packets take this way: Track.read parses and caches one, Track.forward hands it to
// each subTrack, which renumbers it (seqmap) and seals it into the subscriber's
// connection, all in the reading goroutine. Everything else that changes a room
// happens under the room's lock; each peer's loop owns its negotiation.
package sfu
