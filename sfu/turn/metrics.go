package turn

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Why something was refused. A wrong password is none of these: pion/turn finds it
// after the credentials were looked up, and tells nobody.
const (
	refusedCredentials = iota // ended, or not made here
	refusedQuota              // a participant, a room or the server holds enough
	refusedAddress            // a permission for what is no media engine
	refusedPort               // a packet to another port of its address
	refusedStranger           // a packet from what is no media engine
	refusedRate               // above the rate of one allocation
	refusedStale              // waited too long for a client's stream
	refusals
)

var refusalNames = [refusals]string{"credentials", "quota", "address", "port", "stranger", "rate", "stale"}

// counters are totals since the start.
type counters struct {
	refused [refusals]atomic.Uint64
	in, out atomic.Uint64 // bytes relayed to clients, and to the engine
}

var (
	descAllocations = prometheus.NewDesc("consilium_turn_allocations", "Relay sockets that are held.", nil, nil)
	descRefused     = prometheus.NewDesc("consilium_turn_refused_total", "Requests and packets refused, by why.", []string{"why"}, nil)
	descBytes       = prometheus.NewDesc("consilium_turn_bytes_total", "Bytes relayed, by where to.", []string{"to"}, nil)
)

type collector struct{ *Server }

// Collector exports the relay's figures for Prometheus: totals without anything of a
// person.
func (s *Server) Collector() prometheus.Collector { return collector{s} }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descAllocations, descRefused, descBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descAllocations, prometheus.GaugeValue, float64(c.Allocations()))
	for i := range c.count.refused {
		ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(c.count.refused[i].Load()), refusalNames[i])
	}
	ch <- prometheus.MustNewConstMetric(descBytes, prometheus.CounterValue, float64(c.count.out.Load()), "engine")
	ch <- prometheus.MustNewConstMetric(descBytes, prometheus.CounterValue, float64(c.count.in.Load()), "client")
}
