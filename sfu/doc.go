// Package sfu is the media engine: a selective forwarding unit on Pion's parts that speaks
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
// Each client has a link for each direction, or one for both where it asks for that
// and signaling serves it (single.go; `consilium media --single`), and then offers alone
// (link.go): ICE, DTLS and SCTP are Pion's,
// the descriptions (sdp.go), SRTP (srtp.go) and the socket (socket.go) are here. Packets
// take this way, all in the goroutine that reads the socket: a batch of datagrams is
// read, those of established links are opened in place, publisher.rtp finds the layer of
// each, Track.receive parses and caches it, Track.forward hands it to each subTrack,
// which renumbers it (seqmap), and link.write seals it in a slot of the outgoing batch,
// which leaves when no more have come. Packets of one size to one client leave as
// one message that the kernel cuts. What comes or goes over TCP takes the same way
// through the goroutine of DTLS. A sender refuses to seal a number twice: with GCM that
// would give the key stream away. Everything else that changes a room happens under the
// room's lock, which that goroutine never takes; each peer's loop owns its negotiation.
//
// A client whose packets come from another address, or not at all, is looked after from
// here (consent.go): a way on which nothing is reported of what is sent gets other ICE
// credentials within two seconds, and one whose checks have no answer is sent nothing
// after thirty (RFC 7675).
//
// A Tap (Room.Tap) takes the packets of a room for a recorder to come, each of them only
// while the room's policy says that its speaker may be recorded (Recorder); by default
// nobody may. Frames encrypted end to end pass untouched (encrypt.go) and are not tapped.
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
//	engine stopped for another            TestPromise12 (tag): 0.08 s without a packet; story protocol: see below
//	packets of strangers, damaged ones    TestPacketsFromStrangers..., TestDamagedPackets...
//	nonsense inside RTP, RTCP, SCTP       TestMalformedContentsEndAtTheEngine
//	nonsense in signaling, bad tokens     TestPromise14, TestBadTokens..., sfu/signal TestLimitsEndTheSocket and its fuzz targets
//	200 sections, ten times the rate      hostile_test.go
//	a reader that reads nothing           TestASubscriberThatReadsNothing..., sfu/signal TestAClientThatNeverReads...
//	claims on what is another's           promise_claim_test.go
//	no consent                            TestNothingIsSentWithoutConsent
//	an hour of joins and leaves           cmd/consilium TestSoak (tag; CONSILIUM_SOAK sets its length)
//
// When an engine stops, who is still there joins again at the same address, where another
// may answer. The Go client is heard again after 80 ms; livekit-client waits 2 s by itself
// before it plays what it is sent, so that a browser is silent for 2.2 to 2.5 s.
//
// `make test-long` plays those with the tag, and the others with fifty times the volume:
// 10^6 packets, 10^5 frames. The protocol as the real clients see it is conformance_test.go
// for server-sdk-go and web/ts/story/protocol.ts for livekit-client in Chromium.
//
// # Cost
//
// Measured beside livekit-server v1.13.5 with its defaults, alternating, medians of 5
// runs of 8 s, on 2 processors shared with the generator (load below 1). A packet is one
// that a participant received; the processor time is the server's, from /proc. Joining
// is counted from the connect call to the first packet, in a room where somebody is
// sending. The memory is what a process grows by from its start, so that 12 participants
// also bear what the first of them touches; of 30 in consults each has 1.29 MiB.
//
//	                                       µs a packet  MiB each  delay p50     p99  join p50     p99
//	consult, 4 rooms of 3       this engine       12.2      1.76    0.10 ms  0.3 ms     42 ms   57 ms
//	                            livekit-server    27.6      4.86    0.16 ms  0.5 ms    175 ms  193 ms
//	                            ratio             0.44      0.36       0.62    0.62
//	teaching, 3 to 20           this engine        5.9      1.08    0.36 ms  1.1 ms     12 ms   21 ms
//	                            livekit-server    11.9      2.75    0.51 ms  1.7 ms    165 ms  176 ms
//	                            ratio             0.50      0.39       0.70    0.61
//	interpretation, 7 to 8      this engine        7.2      1.22    0.16 ms  0.5 ms      9 ms   16 ms
//	                            livekit-server    15.1      3.24    0.24 ms  0.8 ms    165 ms  168 ms
//	                            ratio             0.48      0.38       0.64    0.60
//
// The table is of before 2026-11-25. Since then the calls that never wait no longer wake
// the runtime's monitor, the reports of a tick and what comes while packets are sealed
// leave together, a layer's cache holds one second, and the engine alone collects garbage
// at half the usual growth. Its three full loads (10 rooms of 3, 3 to 60, 7 to 20, 15 s)
// were played twice each that day by another generator, alternating with livekit-server,
// on 2 processors with little else on them (load 1 to 2.5); every track arrived. The mean
// of the two runs:
//
//	                                       µs a packet  MiB each  delay p50     p99
//	consult                     this engine        7.1      1.15    0.11 ms  0.4 ms
//	                            livekit-server    21.7      4.06    0.19 ms  0.7 ms
//	                            ratio             0.33      0.28
//	teaching                    this engine        3.9      0.65    1.63 ms  5.1 ms
//	                            livekit-server     8.5      2.56    1.51 ms  5.0 ms
//	                            ratio             0.46      0.25
//	interpretation              this engine        4.4      0.89    0.47 ms  1.3 ms
//	                            livekit-server    12.0      3.31    0.54 ms  1.7 ms
//	                            ratio             0.37      0.27
//
// The aim is half of livekit-server's processor time in all three, and 1.5 MiB each. Most
// of what is left is the kernel's share of sending. All media of a server pass through
// the one goroutine that reads its socket: one processor's worth. To repeat:
//
//	go install github.com/livekit/livekit-server/cmd/server@v1.13.5
//	consilium bench media --against-binary "$(go env GOPATH)/bin/server" --window 8s
//
// or, against a server that is running, --against ws://127.0.0.1:7880 --key K --secret S;
// --full plays 10 rooms of 3, 3 to 60 and 7 to 20 on a machine with more processors.
package sfu
