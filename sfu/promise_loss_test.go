//go:build promise

package sfu_test

import (
	"testing"
	"time"

	"github.com/consilium-health/consilium/sfu/internal/weaklink"
)

// TestPromise01 to 04 are links that lose, delay and reorder, on both ways of speaker and
// listener, for a minute each, and the first for ten. What is sent is sound with one repetition a frame and a
// picture of 300 kbit/s, with neither concealment nor a jitter buffer: shares are of
// frames that came at all, as packets or as repetitions, and pictures those that came whole.
func TestPromise01To04LinksThatLoseAndDelay(t *testing.T) {
	const minute = 60 * 50 // packets of sound
	for _, c := range []struct {
		name    string
		link    weaklink.Link
		join    time.Duration // from asking to the first sound
		share   float64
		silence time.Duration
		picture bool // must go on
		minutes int
	}{
		{"01 loss of 1 in 100", weaklink.Link{Loss: 0.01}, time.Second, 0.995, 200 * time.Millisecond, true, 10},
		{"02 loss of 5", weaklink.Link{Loss: 0.05}, time.Second, 0.98, 300 * time.Millisecond, true, 1},
		{"03 loss of 20", weaklink.Link{Loss: 0.20}, 5 * time.Second, 0.85, time.Second, false, 1},
		{"04 delay of 300 ms, jitter of 100 more or less", weaklink.Link{Delay: 200 * time.Millisecond, Jitter: 200 * time.Millisecond}, 15 * time.Second, 0.99, 400 * time.Millisecond, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, _ := start(t, none, none)
			beside := newBystanders(t, server)
			mouth, ear := weaklink.New(t, server.Addr(), 1), weaklink.New(t, server.Addr(), 2)
			for _, r := range []*weaklink.Relay{mouth, ear} {
				r.Up(c.link)
				r.Down(c.link)
			}
			a := newBrowser(t, server, "a", mouth)
			a.speak()
			a.film(300_000)
			began := time.Now()
			b := newBrowser(t, server, "b", ear)
			b.until("the first sound", patience, func() bool { return b.redSeen.Load() > 0 })
			joined := time.Since(began)
			sidA, sidB := sidOf(t, a, "a"), sidOf(t, b, "b")
			b.hears(100) // the beginning
			heard := listen(t, b)
			b.sound()
			frames, filmed, from, since := b.frames.Load(), a.filmed.Load(), b.redSeen.Load(), time.Now()
			ends := time.Duration(c.minutes) * time.Minute
			b.until("sound for minutes", 2*ends, func() bool { return time.Since(since) >= ends })
			if n := b.redSeen.Load() - from; float64(n) < float64(c.minutes*minute)*c.share*0.5 {
				t.Errorf("only %d packets of sound came", n)
			}
			share, late := b.sound()
			silence := heard.longest()[0]
			twin := beside.longest()[1]
			whole := float64(b.frames.Load()-frames) / float64(a.filmed.Load()-filmed)
			listener, _ := participantOf(server, "b")
			t.Logf("joined in %v; %.2f%% of the sound came, 95%% within %v, longest silence %v (the twin's %v); %.0f%% of the pictures came whole, the estimate is %.0f bit/s (0: no limit)", joined, share*100, late, silence, twin, whole*100, listener.Link)
			if joined > c.join+twin {
				t.Errorf("joined in %v", joined)
			}
			if share < c.share {
				t.Errorf("%.2f%% of the sound came", share*100)
			}
			if silence > c.silence+twin {
				t.Errorf("%v without sound", silence)
			}
			if c.picture && whole < 15.0/20 { // frames a second
				t.Errorf("only %.0f%% of the pictures came whole", whole*100)
			}
			if c.picture && listener.Link != 0 && listener.Link < 450_000 { // what is sent, and a little
				t.Errorf("the estimate fell to %.0f bit/s", listener.Link)
			}
			a.stayed("a", sidA)
			b.stayed("b", sidB)
			beside.unharmed()
		})
	}
}
