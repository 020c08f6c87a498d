package mediatest

import (
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"github.com/consilium-health/consilium/sessions"
)

// NodeLost tests that a session whose server is lost goes on at another within the time
// given, for everybody who may hear, and for nobody else: grow adds the other server once
// the session is at the first, and lose ends that one without a word.
func NodeLost(t *testing.T, e Engine, within time.Duration, grow, lose func()) {
	lksdk.SetLogger(logger.GetDiscardLogger())
	s := newStage(t, e)
	a, b := s.join(sessions.RoomMain, "a"), s.join(sessions.RoomMain, "b")
	refused, far := s.join(sessions.RoomMain, "refused"), s.join(sessions.RoomMain, "channel only")
	i := s.join(booth, "i")
	for _, c := range []*client{a, b, i} {
		c.mic()
	}
	routes := legOn("i", receive{"a": {Floor: true}, "b": {Floor: true}, "channel only": {Channels: []string{"ar"}}})
	s.route(routes)
	a.hears("b/mic", "b", 25)
	b.hears("a/mic", "a", 25)
	far.hears("channel:ar/out.0", "i", 25)
	grow()
	floor := far.total("a") + far.total("b")
	lose()
	lost := time.Now()
	// What was on its way when the server ended does not count.
	after := lost.Add(500 * time.Millisecond)
	longest := time.Duration(0)
	for _, h := range []struct {
		c     *client
		k, of string
	}{{a, "b/mic", "b"}, {b, "a/mic", "a"}, {far, "channel:ar/out.0", "i"}} {
		var back time.Duration
		h.c.until("it hears "+h.of+" at the other server", func() bool {
			for _, p := range h.c.heard[h.k] {
				if p.at.After(after) && strings.HasPrefix(p.text, h.of+" ") {
					back = p.at.Sub(lost)
					return true
				}
			}
			return false
		})
		t.Logf("%s hears %s %v after the loss", h.c.id, h.of, back)
		longest = max(longest, back)
	}
	if longest > within {
		t.Errorf("the consult went on %v after its server was lost", longest)
	}
	// Who may hear what is as it was, though nobody said so again.
	a.hears("b/mic", "b", 100)
	if n := refused.total("a") + refused.total("b") + refused.total("i"); n != 0 {
		t.Errorf("who may hear nobody heard %d packets", n)
	}
	leaked := far.total("a") + far.total("b") - floor
	t.Logf("who listens to the channel alone heard %d packets of the floor", leaked)
	if leaked > 0 && !s.limits.LateDenial {
		t.Errorf("who listens to the channel alone heard %d packets of the floor", leaked)
	}
	for _, of := range []string{"a", "b"} {
		heard := far.total(of)
		far.hears("channel:ar/out.0", "i", 50)
		if n := far.total(of) - heard; n != 0 {
			t.Errorf("who listens to the channel alone heard %d packets of %s, and more of them", n, of)
		}
	}
	// And what is said from now on is followed: the other withdraws.
	s.route(legOn("i", receive{"b": {Floor: true}, "channel only": {Channels: []string{"ar"}}}))
	b.hears("a/mic", "a", 1)
	heard := a.total("b")
	b.hears("a/mic", "a", 25)
	if n := a.total("b") - heard; n != 0 {
		t.Errorf("who is no longer named heard %d packets more", n)
	}
}
