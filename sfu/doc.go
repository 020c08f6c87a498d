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
// A subscriber that reports arrivals has its link measured (estimate.go) and divided
// (allocate.go): voice first, then the screen, then pictures by their size. What does
// not fit is paused and said to be, and comes back after a probe found room.
//
// Packets take this way: Track.read parses and caches one, Track.forward hands it to
// each subTrack, which renumbers it (seqmap) and seals it into the subscriber's
// connection, all in the reading goroutine. Everything else that changes a room
// happens under the room's lock; each peer's loop owns its negotiation.
//
// A client whose packets come from another address, or not at all, is looked after from
// here (consent.go): a way on which nothing is reported of what is sent gets other ICE
// credentials within two seconds, and one whose checks have no answer is sent nothing
// after thirty (RFC 7675).
//
// # Faults
//
// Each ends that request or that peer only; beside it stand a room of the same server and
// its twin on a server left alone, and the first may not hear 300 ms less than the second.
//
//	links that lose, delay, reorder       TestPromise01To04 (build tag promise)
//	a link too narrow for the picture     TestAWeakLinkKeepsTheVoiceAndGivesUpThePicture
//	NAT rebinding                         TestPromise06
//	UDP gone for 8 s                      TestPromise07
//	another network, ICE restart          TestPromise08, TestResumeRestartsICEWhereNothingArrives
//	UDP blocked                           TestPromise09, sfu/turn TestACallGoesThroughTheRelay
//	engine killed, engine stopped         cmd/consilium TestPromise10 (tag), TestRunningConsultsGoOnWhileTheServiceStops
//	packets of strangers, damaged ones    TestPacketsFromStrangers..., TestDamagedPackets...
//	nonsense inside RTP, RTCP, SCTP       TestMalformedContentsEndAtTheEngine
//	nonsense in signaling, bad tokens     TestPromise14, TestBadTokens..., sfu/signal TestLimitsEndTheSocket and its fuzz targets
//	200 sections, ten times the rate      hostile_test.go
//	a reader that reads nothing           TestASubscriberThatReadsNothing..., sfu/signal TestAClientThatNeverReads...
//	claims on what is another's           promise_claim_test.go
//	no consent                            TestNothingIsSentWithoutConsent
//	an hour of joins and leaves           cmd/consilium TestSoak (tag; CONSILIUM_SOAK sets its length)
//
// `make test-long` plays those with the tag, and the others with fifty times the volume:
// 10^6 packets, 10^5 frames. The protocol as the real clients see it is conformance_test.go
// for server-sdk-go and web/ts/story/protocol.ts for livekit-client in Chromium.
//
// # Cost
//
// Measured beside livekit-server v1.13.5 with its defaults, alternating, medians of 5
// runs of 8 s, on 2 processors shared with the generator and with other work (load 4 to
// 7, so that times vary by a third). A packet is one that a participant received; the
// processor time is the server's, from /proc. Joining is counted from the connect call
// to the first packet, in a room where somebody is sending.
//
//	                                       µs a packet  MiB each  delay p50     p99  join p50     p99
//	consult, 4 rooms of 3       this engine       27.1      3.12    0.24 ms  3.4 ms     44 ms   61 ms
//	                            livekit-server    28.6      4.66    0.26 ms  2.2 ms    263 ms  330 ms
//	                            ratio             0.95      0.67       0.92    1.56
//	teaching, 3 to 20           this engine       10.6      1.21    0.61 ms  3.5 ms     15 ms   41 ms
//	                            livekit-server    12.5      2.60    0.86 ms  6.0 ms    169 ms  182 ms
//	                            ratio             0.85      0.46       0.70    0.59
//	interpretation, 7 to 8      this engine       15.0      1.68    0.30 ms  1.9 ms     20 ms   33 ms
//	                            livekit-server    18.1      3.11    0.31 ms  1.3 ms    173 ms  180 ms
//	                            ratio             0.83      0.54       0.95    1.38
//
// The aim is half of livekit-server's processor time in all three; it is not reached
// while every subscriber's packets leave through a connection of Pion's. To repeat:
//
//	go install github.com/livekit/livekit-server/cmd/server@v1.13.5
//	consilium bench media --against-binary "$(go env GOPATH)/bin/server" --window 8s
//
// or, against a server that is running, --against ws://127.0.0.1:7880 --key K --secret S;
// --full plays 10 rooms of 3, 3 to 60 and 7 to 20 on a machine with more processors.
package sfu
