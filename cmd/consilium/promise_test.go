//go:build promise

package main

import (
	"syscall"
	"testing"
	"time"
)

// TestPromise10 kills the engine without a word and starts it a second later: who was in
// a room is back by themselves, within five seconds of its listening.
func TestPromise10AKilledEngineIsFoundAgain(t *testing.T) {
	m := newMediaProcess(t)
	a, b := talk(t, m.url(), "room", "a"), talk(t, m.url(), "room", "b")
	a.hears(t, 10)
	b.hears(t, 10)
	m.kill(syscall.SIGKILL)
	before := [2]int64{a.heard.Load(), b.heard.Load()}
	gone := time.NewTimer(time.Second)
	defer gone.Stop()
	<-gone.C
	m.start()
	listening := time.Now()
	a.until(t, "sound again", func() bool { return a.heard.Load() >= before[0]+20 })
	b.until(t, "sound again", func() bool { return b.heard.Load() >= before[1]+20 })
	took := time.Since(listening)
	t.Logf("both hear each other %v after the engine listens again; reconnected %d and %d times", took, a.again.Load(), b.again.Load())
	if a.gone.Load() || b.gone.Load() {
		t.Error("somebody was told that the call has ended")
	}
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
