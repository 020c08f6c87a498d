// Package bot joins synthetic participants to rooms of any server of the LiveKit
// protocol, through server-sdk-go: load, soak and demonstrations.
//
//	result, err := bot.Run(ctx, bot.Config{
//		URL: "ws://127.0.0.1:7880", Key: key, Secret: secret,
//		Rooms: 10, AV: 3, Mutual: true, Window: 15 * time.Second,
//	})
//
// A publisher with picture sends 30 frames a second of 5 packets of 1200 bytes with the
// descriptor of VP8, and 50 packets of sound a second of 80 to 100 bytes: 200 packets a
// second, 1.44 Mbit/s. Sending is open loop: the schedule does not wait. The last 16
// bytes of each payload are a mark, the packet's number and the time of sending, so that
// a receiver in the same process knows loss, order and delay.
package bot
