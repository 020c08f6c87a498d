package sfu

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// path is a link in a test without a clock: packets are queued, delayed and lost, and
// the receiver reports of them every 100 ms as clients do.
type path struct {
	t        *testing.T
	e        *estimator
	now      time.Time
	rate     float64 // bits a second
	queue    time.Duration
	delay    time.Duration
	jitter   time.Duration
	loss     float64
	random   *rand.Rand
	free     time.Time
	arrivals []arrival
	falls    int
	recorder *twcc.Recorder
}

type arrival struct {
	at  time.Time
	seq uint16
}

func newPath(t *testing.T) *path {
	return &path{
		t: t, e: &estimator{}, now: time.Unix(1000, 0), rate: 1e9, queue: 300 * time.Millisecond,
		random: rand.New(rand.NewPCG(3, 4)), recorder: twcc.NewRecorder(1),
	}
}

func (p *path) send(size int) {
	seq := p.e.sent(size, p.now)
	if p.random.Float64() < p.loss {
		return
	}
	if p.free.Before(p.now) {
		p.free = p.now
	}
	if p.free.Sub(p.now) > p.queue {
		return
	}
	p.free = p.free.Add(time.Duration(float64(size*8) / p.rate * 1e9))
	at := p.free.Add(p.delay)
	if p.jitter > 0 {
		at = at.Add(time.Duration(p.random.Int64N(int64(p.jitter))))
	}
	p.arrivals = append(p.arrivals, arrival{at, seq})
}

// run sends sound, and video of the rate given, for a time.
func (p *path) run(length time.Duration, video float64) measure {
	const step = 10 * time.Millisecond
	for n := 0; n < int(length/step); n++ {
		p.now = p.now.Add(step)
		if n%2 == 0 {
			p.send(200)
		}
		if n%5 == 0 {
			for left := video / 8 / 20; left > 0; left -= 1100 {
				p.send(int(min(1100, left)) + overhead)
			}
		}
		if n%10 == 9 {
			p.report()
		}
	}
	return p.e.measure(p.now)
}

func (p *path) report() {
	var rest []arrival
	count := 0
	for _, a := range p.arrivals {
		if a.at.After(p.now) {
			rest = append(rest, a)
			continue
		}
		p.recorder.Record(7, a.seq, a.at.UnixMicro()-999_000_000)
		count++
	}
	p.arrivals = rest
	if count == 0 {
		return
	}
	for _, packet := range p.recorder.BuildFeedbackPacket() {
		raw, err := packet.Marshal()
		if err != nil {
			p.t.Fatal(err)
		}
		var fb rtcp.TransportLayerCC
		if err := fb.Unmarshal(raw); err != nil {
			p.t.Fatal(err)
		}
		if p.e.received(&fb, p.now) {
			p.falls++
		}
	}
}

func TestEstimateFindsTheRateOfAFullLink(t *testing.T) {
	for _, rate := range []float64{150e3, 400e3, 2e6} {
		p := newPath(t)
		p.delay = 30 * time.Millisecond
		if m := p.run(5*time.Second, 3e6); m.rate != 0 || !m.live || m.delivered < 2.9e6 {
			t.Fatalf("a free link is limited: %+v", m)
		}
		p.rate = rate
		m := p.run(time.Second, 3e6)
		if m.rate == 0 || m.rate > 1.1*rate || m.rate < 0.5*rate {
			t.Errorf("a link of %.0f bit/s is taken for one of %.0f", rate, m.rate)
		}
		// What is sent now fits; the estimate stays and the link becomes calm.
		p.run(4*time.Second, max(0, m.rate-130e3))
		if m = p.run(2*time.Second, max(0, m.rate-130e3)); m.calm == 0 || m.queue > queueCalm || m.rate > 1.4*rate {
			t.Errorf("at %.0f bit/s: %+v", rate, m)
		}
	}
}

func TestEstimateDoesNotFallByChance(t *testing.T) {
	for _, c := range []struct {
		why           string
		delay, jitter time.Duration
		loss          float64
	}{
		{"delay of 300 ms, jitter of 100 ms either way, packets overtake", 200 * time.Millisecond, 200 * time.Millisecond, 0},
		{"a tenth is lost", 20 * time.Millisecond, 0, 0.10},
		{"both", 200 * time.Millisecond, 200 * time.Millisecond, 0.05},
	} {
		p := newPath(t)
		p.delay, p.jitter, p.loss = c.delay, c.jitter, c.loss
		if m := p.run(120*time.Second, 600e3); p.falls > 0 || m.rate != 0 {
			t.Errorf("%s: fell %d times, %+v", c.why, p.falls, m)
		}
	}
	p := newPath(t)
	p.loss = 0.35
	if p.run(5*time.Second, 600e3); p.falls == 0 {
		t.Error("a third is lost and nothing gives way")
	}
}

func TestALimitOutlivesSilence(t *testing.T) {
	p := newPath(t)
	p.rate = 150e3
	p.run(2*time.Second, 1e6)
	p.now = p.now.Add(4 * time.Second) // all are muted, the picture is paused
	if m := p.e.measure(p.now); !m.live || m.rate == 0 || m.calm == 0 || m.queue != 0 || m.recent != 0 {
		t.Errorf("after 4 s of silence: %+v", m)
	}
	p.now = p.now.Add(20 * time.Second)
	if m := p.e.measure(p.now); m.live {
		t.Errorf("after 24 s of silence: %+v", m)
	}
}

func TestEstimateGrowsOnlyByWhatArrives(t *testing.T) {
	p := newPath(t)
	p.rate = 200e3
	p.run(3*time.Second, 1e6)
	p.rate = 5e6
	m := p.run(20*time.Second, 0)
	if m.rate == 0 || m.rate > 250e3 {
		t.Fatalf("without a probe the estimate is %+v", m)
	}
	for rate := 200e3; rate < 1e6; rate *= 1.5 {
		p.run(2*time.Second, rate)
	}
	if m = p.run(2*time.Second, 1e6); m.rate < 1e6 {
		t.Errorf("1 Mbit/s arrives and the estimate is %+v", m)
	}
}

func TestDivisionGivesEverybodyTheLowestLayerFirst(t *testing.T) {
	layers := [3]float64{100e3, 400e3, 1500e3}
	for _, c := range []struct {
		budget float64
		caps   []int
		next   float64
	}{
		{50e3, []int{-1, -1}, 100e3},
		{150e3, []int{0, -1}, 100e3},
		{250e3, []int{0, 0}, 300e3},
		{600e3, []int{1, 0}, 300e3},
		{850e3, []int{1, 1}, 1100e3},
		{1900e3, []int{2, 1}, 1100e3},
		{9e6, []int{2, 2}, 0},
	} {
		shares := []share{{want: 2, rates: layers}, {want: 2, rates: layers}}
		used, next := divide(shares, c.budget)
		if shares[0].cap != c.caps[0] || shares[1].cap != c.caps[1] || next != c.next || used > c.budget {
			t.Errorf("%.0f: caps %d %d, used %.0f, next %.0f; want %+v", c.budget, shares[0].cap, shares[1].cap, used, next, c)
		}
	}
	one := []share{{want: 0, rates: [3]float64{600e3}}}
	if _, next := divide(one, 500e3); one[0].cap != -1 || next != 600e3 {
		t.Errorf("cap %d, next %.0f", one[0].cap, next)
	}
}
