package sfu

import (
	"sync/atomic"

	"github.com/livekit/protocol/livekit"
	"github.com/prometheus/client_golang/prometheus"
)

// counters are the totals of a server since its start. Those of the packet path are
// brought up to date once a second from what each stream counts.
type counters struct {
	joins, refusals      atomic.Uint64
	resumes, unknown     atomic.Uint64
	leaves               [32]atomic.Uint64 // by livekit.DisconnectReason
	packetsOut, bytesOut atomic.Uint64
	packetsIn, lostIn    atomic.Uint64
	again, padding       atomic.Uint64
	overRate, strange    atomic.Uint64
	keyRequests          atomic.Uint64
	pauses, gaps         atomic.Uint64
	repairs              [repairKinds]atomic.Uint64
}

// The kinds of repair of a way to a client.
const (
	repairSilence = iota // ICE restarted: nothing was reported of what it is sent
	repairChecks         // ICE restarted: checks had no answer
	repairResume         // told to resume: checks of what it publishes had no answer
	repairRejoin         // told to join again
	repairKinds
)

var repairNames = [repairKinds]string{"silence", "checks", "resume", "rejoin"}

func (c *counters) left(reason livekit.DisconnectReason) {
	if i := int(reason); i >= 0 && i < len(c.leaves) {
		c.leaves[i].Add(1)
	}
}

// tally is what was counted of a stream or a participant when it was last looked at.
type tally struct {
	packets, bytes, again, padding uint64
}

// countLocked adds what this peer's streams counted since the last time.
func (p *Peer) countLocked() {
	c := &p.srv.count
	for _, d := range p.subs {
		d.mu.Lock()
		next := tally{packets: uint64(d.packets), bytes: d.bytes, again: d.resent, padding: d.padded}
		d.mu.Unlock()
		c.packetsOut.Add(next.packets - d.counted.packets)
		c.bytesOut.Add(next.bytes - d.counted.bytes)
		c.again.Add(next.again - d.counted.again)
		c.padding.Add(next.padding - d.counted.padding)
		d.counted = next
	}
	in := tally{packets: p.intake.taken.Load(), bytes: p.intake.over.Load(), again: p.intake.strange.Load()}
	c.packetsIn.Add(in.packets - p.counted.packets)
	c.overRate.Add(in.bytes - p.counted.bytes)
	c.strange.Add(in.again - p.counted.again)
	p.counted = in
}

type collector struct {
	srv   *Server
	descs map[string]*prometheus.Desc
}

const namespace = "consilium_sfu_"

// metric names one figure; labels are never of a person, a room or an address.
type metric struct {
	name, help string
	labels     []string
}

var metrics = []metric{
	{"rooms", "Rooms that are open.", nil},
	{"participants", "Participants, by what they are.", []string{"kind"}},
	{"resumable", "Participants without a socket, within their grace time.", nil},
	{"tracks", "Published tracks.", []string{"kind"}},
	{"subscriptions", "Subscriptions, by whether packets may flow.", []string{"kind", "state"}},
	{"weak_links", "Subscribers whose link was found to carry less than is wanted.", nil},
	{"joins_total", "Clients that joined.", nil},
	{"join_refusals_total", "Joins and resumes refused.", nil},
	{"resumes_total", "Resumes, by whether the participant was still known.", []string{"known"}},
	{"leaves_total", "Participants that left, by the reason of the protocol.", []string{"reason"}},
	{"packets_sent_total", "Media packets forwarded.", nil},
	{"bytes_sent_total", "Payload bytes of these.", nil},
	{"packets_resent_total", "Packets sent again on request.", nil},
	{"packets_padding_total", "Packets that only probed a link.", nil},
	{"packets_received_total", "Packets taken from publishers, reports included.", nil},
	{"packets_lost_total", "Packets of publishers that never came.", nil},
	{"packets_over_rate_total", "Packets dropped: above what the sender's tracks allow.", nil},
	{"packets_strange_total", "Packets dropped: of no track.", nil},
	{"keyframe_requests_total", "Key frames asked of publishers.", nil},
	{"repairs_total", "Repairs of the way to a client, by what was done.", []string{"kind"}},
	{"pauses_total", "Pictures paused for want of bandwidth.", nil},
	{"gaps_total", "Times that the sound of somebody who is not muted stopped for a second or more.", nil},
}

// Collector exports the server's figures for Prometheus: totals without anything of a
// person.
func (s *Server) Collector() prometheus.Collector {
	c := &collector{srv: s, descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		c.descs[m.name] = prometheus.NewDesc(namespace+m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name string, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, float64(v), labels...)
	}
	total := func(name string, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(v), labels...)
	}
	kind := func(video bool) string {
		if video {
			return "video"
		}
		return "audio"
	}
	rooms := c.srv.Rooms()
	gauge("rooms", len(rooms))
	participants := map[string]int{"client": 0, "channel": 0}
	tracks := map[bool]int{false: 0, true: 0}
	subs := map[[2]bool]int{{false, false}: 0, {false, true}: 0, {true, false}: 0, {true, true}: 0}
	resumable, weak := 0, 0
	now := c.srv.now()
	for _, r := range rooms {
		r.mu.Lock()
		for _, p := range r.people {
			for _, t := range p.tracks {
				tracks[t.video()]++
			}
			if p.peer == nil {
				participants["channel"]++
				continue
			}
			participants["client"]++
			p.peer.sinkMu.Lock()
			if p.peer.sink == nil {
				resumable++
			}
			p.peer.sinkMu.Unlock()
			held := false
			for _, d := range p.peer.subs {
				subs[[2]bool{d.track.video(), d.open.Load()}]++
				held = held || d.cap != unlimited
			}
			if held && p.peer.est.measure(now).rate != 0 || p.peer.give.level > 0 {
				weak++
			}
		}
		r.mu.Unlock()
	}
	for k, n := range participants {
		gauge("participants", n, k)
	}
	gauge("resumable", resumable)
	gauge("weak_links", weak)
	for video, n := range tracks {
		gauge("tracks", n, kind(video))
	}
	for k, n := range subs {
		state := "paused"
		if k[1] {
			state = "open"
		}
		gauge("subscriptions", n, kind(k[0]), state)
	}
	n := &c.srv.count
	total("joins_total", n.joins.Load())
	total("join_refusals_total", n.refusals.Load())
	total("resumes_total", n.resumes.Load(), "yes")
	total("resumes_total", n.unknown.Load(), "no")
	for i := range n.leaves {
		if v := n.leaves[i].Load(); v > 0 {
			total("leaves_total", v, livekit.DisconnectReason(i).String())
		}
	}
	total("packets_sent_total", n.packetsOut.Load())
	total("bytes_sent_total", n.bytesOut.Load())
	total("packets_resent_total", n.again.Load())
	total("packets_padding_total", n.padding.Load())
	total("packets_received_total", n.packetsIn.Load())
	total("packets_lost_total", n.lostIn.Load())
	total("packets_over_rate_total", n.overRate.Load())
	total("packets_strange_total", n.strange.Load())
	total("keyframe_requests_total", n.keyRequests.Load())
	for i := range n.repairs {
		total("repairs_total", n.repairs[i].Load(), repairNames[i])
	}
	total("pauses_total", n.pauses.Load())
	total("gaps_total", n.gaps.Load())
}
