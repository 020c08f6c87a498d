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
// (single.go), and then offers alone (link.go): ICE, DTLS and SCTP are Pion's, the
// descriptions (sdp.go), SRTP (srtp.go) and the socket (socket.go) are here. Packets take
// this way, all in the goroutine that reads the socket: a batch of datagrams is
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
// credentials within two seconds, while what is sent goes on the old way for five more, and
// one whose checks have no answer is sent nothing after thirty (RFC 7675). On a machine
// that is much too busy a client looks like a narrow link: pictures are paused, said to be,
// and come back by themselves; the voice goes on.
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
//	a link too narrow for the picture     TestPromise05 (tag; the kernel's queue), TestAWeakLinkKeepsTheVoiceAndGivesUpThePicture
//	NAT rebinding                         TestPromise06
//	UDP gone for 8 s                      TestPromise07
//	a client that is only slow            TestASlowClientHearsOn, TestASlowSpeakerIsLetSpeak
//	another network, ICE restart          TestPromise08, TestResumeRestartsICEWhereNothingArrives
//	UDP blocked                           TestPromise09, sfu/turn TestACallGoesThroughTheRelay
//	engine killed, engine stopped         cmd/consilium TestPromise10 (tag), TestRunningConsultsGoOnWhileTheServiceStops
//	LiveKit server lost                   sfu/livekit TestPromise11 (tag): another within 8 s
//	engine stopped for another            TestPromise12 (tag): 0.08 s without a packet; story protocol: see below
//	packets of strangers, damaged ones    TestPromise13PacketsFromStrangers..., TestPromise13DamagedPackets...
//	nonsense inside RTP, RTCP, SCTP       TestPromise13MalformedContentsEndAtTheEngine
//	nonsense in signaling, bad tokens     TestPromise14, TestBadTokens..., sfu/signal TestLimitsEndTheSocket and its fuzz targets
//	200 sections, ten times the rate      hostile_test.go
//	a reader that reads nothing           TestASubscriberThatReadsNothing..., sfu/signal TestAClientThatNeverReads...
//	claims on what is another's           promise_claim_test.go
//	no consent                            TestNothingIsSentWithoutConsent
//	an hour of joins and leaves           cmd/consilium TestSoak (tag; CONSILIUM_SOAK sets its length)
//
// When an engine stops, who is still there joins again at the same address, where another
// may answer. The Go client is heard again after 80 ms. A browser is silent for 2.1 to
// 2.5 s: livekit-client plays nothing new before it counts itself as connected, which it
// does 2 s after it has joined at the earliest. With one connection who publishes counts
// sooner, and hears the others after 0.7 to 1.3 s; but until the 2 s are over the client
// (2.23.0) keeps back what it would tell the page, and then forgets to (emitWhenConnected
// while pendingReconnect), so that a page that waits for the event never plays them.
// A hand-over as a resume keeps the old tracks playing. It is not built: the other engine
// would have to take over sids, sections, SSRCs and the numbers of data channels of all in
// the room, believed only where the first one signed them, and wait for those who resume
// later; and clients on Pion do not begin DTLS anew for another certificate.
//
// `make test-long` plays those with the tag, and the others with fifty times the volume:
// 10^6 packets, 10^5 frames. The protocol as the real clients see it is conformance_test.go
// for server-sdk-go and web/ts/story/protocol.ts for livekit-client in Chromium.
//
// # Cost
//
// Measured beside livekit-server v1.13.5 with its defaults, alternating, on 2 processors
// shared with the generator (load below 1.3), 2026-11-25. A packet is one that a
// participant received; the processor time is the server's, from /proc. Joining is
// counted from the connect call to the first packet, in a room where somebody is sending.
// The memory is what a process grows by from its start, so that 12 participants also
// bear what the first of them touches. No packet was missing, and every track arrived.
//
// Medians of 5 runs of 8 s:
//
//	                                       µs a packet  MiB each  delay p50     p99  join p50     p99
//	consult, 4 rooms of 3       this engine        9.1      1.62    0.11 ms  0.5 ms     31 ms   53 ms
//	                            livekit-server    30.2      4.98    0.18 ms  0.5 ms    173 ms  190 ms
//	                            ratio             0.30      0.33       0.58    0.91
//	teaching, 3 to 20           this engine        5.3      0.90    0.48 ms  1.3 ms     12 ms   21 ms
//	                            livekit-server    12.8      2.61    0.58 ms  1.7 ms    165 ms  175 ms
//	                            ratio             0.41      0.34       0.83    0.79
//	interpretation, 7 to 8      this engine        5.9      1.17    0.22 ms  0.8 ms     13 ms   22 ms
//	                            livekit-server    16.8      3.02    0.29 ms  1.1 ms    166 ms  170 ms
//	                            ratio             0.35      0.39       0.78    0.71
//
// The whole loads (--full), medians of 3 runs of 5 s:
//
//	consult, 10 rooms of 3      this engine        7.3      1.18    0.11 ms  0.7 ms     28 ms   56 ms
//	                            livekit-server    21.2      4.37    0.18 ms  0.8 ms    175 ms  208 ms
//	                            ratio             0.35      0.27       0.61    0.84
//	teaching, 3 to 60           this engine        4.2      0.66    1.12 ms  5.2 ms     12 ms   36 ms
//	                            livekit-server     9.9      2.25    1.31 ms  4.2 ms    166 ms  192 ms
//	                            ratio             0.42      0.29       0.85    1.24
//	interpretation, 7 to 20     this engine        4.7      0.91    0.49 ms  1.6 ms     10 ms   22 ms
//	                            livekit-server    11.2      3.02    0.47 ms  1.7 ms    168 ms  183 ms
//	                            ratio             0.42      0.30       1.03    0.94
//
// Another generator, at the same whole loads, gave 0.33 to 0.36, 0.46 to 0.52 and 0.37 to
// 0.38 of livekit-server's processor time in four runs of other days.
//
// The aim is half of livekit-server's processor time in all three, and 1.5 MiB each. Most
// of what is left is the kernel's share of sending. All media of a server pass through
// the one goroutine that reads its socket: one processor's worth. To repeat:
//
//	go install github.com/livekit/livekit-server/cmd/server@v1.13.5
//	consilium bench media --against-binary "$(go env GOPATH)/bin/server" --window 8s
//
// or, against a server that is running, --against ws://127.0.0.1:7880 --key K --secret S;
// --full plays the whole loads.
package sfu
