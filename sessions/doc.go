// Package sessions holds the meeting: the Session of an appointment, its lobby, its
// language channels, and the Media interface through which it reaches a media engine.
//
// Each running session has one goroutine (live.go) that owns its state and does one
// thing after the other: commands of the browsers' feeds (act.go), events of the
// engine, and what the log tells of consents and credentials (fence.go). Who may come
// in is determined anew at each ticket (admission.go); a booking is never a license.
//
// What people hear is decided by a machine without clock, database or engine
// (machine.go, interpret.go; booth.go, channel.go and assignment.go hold its states).
// A command is done on a copy, written to the log, and only then counts; a loss or a
// revocation counts at once and is written after. From the machine follow the routes,
// whole and by default deny, that Media.Route gives to the engine.
//
// A session runs on one node, which holds its lease in the database; every write names
// the lease's epoch. After a restart it is rebuilt: who was admitted comes again
// through the door, and channels are down until somebody takes them.
//
// The feed's messages stand in wire.go, with golden examples in testdata that the
// browser's tests read too.
package sessions
