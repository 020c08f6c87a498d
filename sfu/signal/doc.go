// Package signal speaks the LiveKit client protocol over a WebSocket for the media
// engine: tokens at the door, the first message, requests and responses, resume.
//
//	h := signal.Handler(signal.Config{Server: server})
//	mux.Handle("/rtc", h)
//	mux.Handle("/rtc/", h)
//
// /rtc/v1, or /rtc with a join_request, is the form with one peer connection: the client
// offers, with its request already, and receives on the same connection.
// To later forms the answer is 404 with CORS headers, which makes clients fall back to an
// older one.
package signal
