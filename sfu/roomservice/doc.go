// Package roomservice is the RoomService API of the LiveKit protocol (Twirp) on the
// media engine, and its signed webhooks.
//
//	mux.Handle("/twirp/", roomservice.Handler(server))
//	hooks := roomservice.NewWebhooks(roomservice.WebhookConfig{Server: server, URLs: urls})
//	go hooks.Run(ctx)
package roomservice
