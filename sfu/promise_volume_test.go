//go:build !promise

package sfu_test

import "time"

// volume multiplies what is thrown at the engine, in every test.
const volume = 1

// blackout is how long a network is gone.
const blackout = 1500 * time.Millisecond
