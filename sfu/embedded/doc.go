// Package embedded is sessions.Media on the media engine in this process.
//
//	media := embedded.New(embedded.Config{
//		Server: server,
//		URL:    func(sessions.SessionID) string { return "wss://clinic.example" },
//	})
//
// Each room of a session is one room of the engine, "<session>/<room>", managed by
// admissions. Tickets live 60 seconds and are revoked by Remove and Close.
package embedded
