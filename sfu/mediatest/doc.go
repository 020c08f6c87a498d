// Package mediatest states what a media engine promises to sessions, as tests with
// real clients of the LiveKit protocol. A new promise goes here first.
//
// An engine's own test calls Run:
//
//	func TestContract(t *testing.T) {
//		mediatest.Run(t, mediatest.Engine{Media: media})
//	}
//
// Every packet that a client sends carries text that names the sender, so a test can
// tell who was heard, not only that something was.
package mediatest
