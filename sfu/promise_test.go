package sfu_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"github.com/consilium-health/consilium/sfu"
)

// The promises of the media engine under faults. Those that need minutes, and the long
// form of the others, have the build tag promise: see volume.

// silences tells the longest silence of each listener since it was last asked.
type silences struct {
	mu   sync.Mutex
	last []time.Time
	most []time.Duration
}

// listen watches the sound of these from now on.
func listen(t *testing.T, who ...*browser) *silences {
	t.Helper()
	s := &silences{last: make([]time.Time, len(who)), most: make([]time.Duration, len(who))}
	counts := make([]int64, len(who))
	for i := range who {
		s.last[i] = time.Now()
	}
	who[0].pace(5*time.Millisecond, func(int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := time.Now()
		for i, b := range who {
			if n := b.redSeen.Load(); n != counts[i] {
				s.most[i] = max(s.most[i], now.Sub(s.last[i]))
				counts[i], s.last[i] = n, now
			}
		}
	})
	return s
}

func (s *silences) longest() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	most := slices.Clone(s.most)
	for i := range most {
		most[i] = max(most[i], now.Sub(s.last[i]))
		s.most[i] = 0
	}
	return most
}

// bystanders are two calls that have nothing to do with a fault: one in another room of
// the server that suffers it, and its twin on a server of its own. What the machine is
// too busy for both of them notice; what the fault does only the first.
type bystanders struct {
	t    *testing.T
	ears [2]*browser
	*silences
}

// mayNotice is the longest silence that a fault elsewhere may cause.
const mayNotice = 300 * time.Millisecond

func newBystanders(t *testing.T, server *sfu.Server) *bystanders {
	t.Helper()
	return newBystandersOn(t, server, browserAPI(t))
}

// newBystandersOn reach the server by the network given; the twin is on loopback.
func newBystandersOn(t *testing.T, server *sfu.Server, network *webrtc.API) *bystanders {
	t.Helper()
	twin, _ := another(t, sfu.Config{}, none, none)
	b := &bystanders{t: t}
	for i, s := range []*sfu.Server{server, twin} {
		api := network
		if s == twin {
			api = browserAPI(t)
		}
		voice := newClientIn(t, s, "bystanders", "voice", nil, api)
		b.ears[i] = newClientIn(t, s, "bystanders", "ear", nil, api)
		voice.speak()
	}
	for _, ear := range b.ears {
		ear.until("the bystanders hear each other", patience, func() bool { return ear.redSeen.Load() > 10 })
	}
	b.silences = listen(t, b.ears[:]...)
	return b
}

// unharmed tells that the room beside the fault did not notice it.
func (b *bystanders) unharmed() {
	b.t.Helper()
	for i, ear := range b.ears {
		began := ear.redSeen.Load()
		ear.until("the sound of the bystanders goes on", patience, func() bool { return ear.redSeen.Load()-began > 10 })
		if l := ear.ended(); l != nil {
			b.t.Errorf("bystander %d was told to leave: %v", i, l)
		}
	}
	most := b.longest()
	b.t.Logf("longest silence of the room beside: %v, of its twin: %v", most[0], most[1])
	if most[0] > mayNotice+most[1] {
		b.t.Errorf("the room beside heard nothing for %v, its twin on a server left alone for %v", most[0], most[1])
	}
}

// connected waits until a client receives.
func (b *browser) connected() {
	b.t.Helper()
	b.until("connected", patience, func() bool { return b.sub.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

// hears waits for more sound.
func (b *browser) hears(packets int64) {
	b.t.Helper()
	began := b.redSeen.Load()
	b.until("more sound", patience, func() bool { return b.redSeen.Load()-began >= packets })
}

func (b *browser) request(req *livekit.SignalRequest) { b.peer.Handle(req) }
