//go:build promise

package sfu_test

import "time"

// volume multiplies what is thrown at the engine: 10^6 packets and 10^5 frames, as
// promises 13 and 14 say.
const volume = 50

// blackout is how long a network is gone: promise 7.
const blackout = 8 * time.Second
