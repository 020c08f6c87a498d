// Package livekit is sessions.Media on a LiveKit cluster.
//
//	media := livekit.New(livekit.Config{URL: "wss://media.example.org", Key: key, Secret: secret})
//	defer media.Stop()
//
// Each room of a session is one room of the cluster, "<session>/<room>", made through
// RoomService. A hidden participant of ours ("consilium:watch") is in each of them: it
// sees who comes, publishes and mutes, and receives the microphones, so that a silent
// one is noticed. Each language channel is another, "channel:<tag>" in main, with the
// tracks out.0 and out.1; the packets of a booth leg are passed on into them, renumbered,
// never decoded.
//
// Default deny. A ticket never lets its holder receive: that right is granted by
// RoomService once the holder was seen with a live admission and is named in the
// routes. Floor tracks withheld from a participant are unsubscribed by RoomService
// before the right is granted, and again each second; channel tracks are withheld by
// the channel's own subscription permissions. Whoever is in a room without a live
// admission is removed.
//
// What the protocol's server cannot do, and the embedded engine does: a revoked ticket
// opens the room for the moment until its holder is seen and removed (they receive no
// media in that time); data packets reach everybody in the room whom the sender's right
// lets them reach, whatever the routes; a participant who is withheld some floor tracks
// and subscribes to one by hand receives it until the next repetition, within a second.
//
// A server of the cluster that is lost is missed after 3 to 5 s, as the cluster has it; then
// everybody joins another one by themselves, with the rights they had, and hears again
// after 3.4 to 7.3 s in all (TestPromise11, tag promise). Whose floor is withheld may
// receive it for less than a second more, until it is denied there.
//
// Admissions live in this process: after a restart those who are still in a room are
// removed, and come back with a new ticket.
//
// The cluster should run with room.auto_create false: then a ticket of a session that
// was closed opens nothing.
package livekit
