// Package signal speaks the LiveKit client protocol over a WebSocket for the media
// engine: tokens at the door, the first message, requests and responses, resume.
//
//	h := signal.Handler(signal.Config{Server: server})
//	mux.Handle("/rtc", h)
//	mux.Handle("/rtc/", h)
//
// /rtc/v1, the form with one peer connection, answers 404 with CORS headers, which
// makes clients fall back to /rtc.
package signal
