package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/consilium-health/consilium/sfu"
	"github.com/consilium-health/consilium/sfu/turn"
)

// metricsSettings say where the operator reads figures and rooms. Nobody signs in
// there, so it is a loopback address or a unix socket.
type metricsSettings struct {
	// Addr is host:port or unix:PATH; "" serves nothing.
	Addr string
	// Open names who lets another address than loopback be listened on.
	Open string
}

func (m metricsSettings) validate() []error {
	if m.Addr == "" || strings.HasPrefix(m.Addr, "unix:/") {
		return nil
	}
	host, _, err := net.SplitHostPort(m.Addr)
	switch {
	case err != nil:
		return []error{fmt.Errorf("CONSILIUM_METRICS_ADDR: %q is not host:port or unix:/PATH", m.Addr)}
	case !loopback(host) && m.Open == "":
		return []error{fmt.Errorf("CONSILIUM_METRICS_ADDR: everybody who reaches %s could read figures and rooms; name a loopback address, or who accepts that in CONSILIUM_METRICS_OPEN", m.Addr)}
	}
	return nil
}

// figures is the operator's listener. A nil one does nothing.
type figures struct {
	at       string
	registry *prometheus.Registry
	server   *http.Server
	served   chan struct{}
	seconds  *prometheus.HistogramVec
}

// openFigures serves /metrics and /rooms, or returns nil where that is not set. engine
// and relay may be nil.
func openFigures(m metricsSettings, engine *sfu.Server, relay *turn.Server, more ...prometheus.Collector) (*figures, error) {
	if m.Addr == "" {
		return nil, nil
	}
	f := &figures{
		registry: prometheus.NewRegistry(), served: make(chan struct{}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consilium_http_seconds", Help: "Time of requests, by method and status; sockets count when they end.",
			Buckets: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10},
		}, []string{"method", "code"}),
	}
	all := append(more, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(), f.seconds)
	mux := http.NewServeMux()
	if engine != nil {
		all = append(all, engine.Collector())
		mux.Handle("GET /rooms", sfu.DebugHandler(engine))
	}
	if relay != nil {
		all = append(all, relay.Collector())
	}
	for _, c := range all {
		if err := f.registry.Register(c); err != nil {
			return nil, fmt.Errorf("figures: %w", err)
		}
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(f.registry, promhttp.HandlerOpts{}))
	network, address := "tcp", m.Addr
	if path, ok := strings.CutPrefix(m.Addr, "unix:"); ok {
		network, address = "unix", path
		// What a process that was killed left behind; a socket in use is not taken.
		if c, err := net.Dial(network, address); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("figures: %s is in use", address)
		}
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			_ = os.Remove(path)
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("figures: %w", err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("figures: %w", err)
		}
	}
	f.at = l.Addr().String()
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go func() {
		defer close(f.served)
		_ = f.server.Serve(l) // ends with close alone
	}()
	return f, nil
}

func (f *figures) close() {
	if f == nil {
		return
	}
	_ = f.server.Close()
	<-f.served
}

func (f *figures) tell(out io.Writer) {
	if f != nil {
		fmt.Fprintf(out, "figures: /metrics and /rooms on %s\n", f.at)
	}
}

// count measures the requests of a handler.
func (f *figures) count(h http.Handler) http.Handler {
	if f == nil {
		return h
	}
	return promhttp.InstrumentHandlerDuration(f.seconds, h)
}

func (a *app) openFigures(context.Context) (err error) {
	if a.figures, err = openFigures(a.cfg.Metrics, a.engine, a.relay, poolFigures{a.pool}, jobFigures{a.pool}); err != nil {
		return err
	}
	a.later(a.figures.close)
	return nil
}

var (
	descConnections = prometheus.NewDesc("consilium_pool_connections", "Connections to the database, by what they do.", []string{"state"}, nil)
	descWaits       = prometheus.NewDesc("consilium_pool_waits_total", "Times that a connection had to be waited for.", nil, nil)
	descWait        = prometheus.NewDesc("consilium_pool_wait_seconds_total", "Time of these waits.", nil, nil)
	descJobs        = prometheus.NewDesc("consilium_jobs", "Jobs that are due, running or failed, by their state.", []string{"state"}, nil)
	descJobAge      = prometheus.NewDesc("consilium_job_age_seconds", "How long the oldest job that is due has waited.", nil, nil)
	descDatabase    = prometheus.NewDesc("consilium_database_up", "1 when the database answered this reading.", nil, nil)
)

// poolFigures are those of the connections to the database.
type poolFigures struct{ pool *pgxpool.Pool }

// Describe implements prometheus.Collector.
func (p poolFigures) Describe(ch chan<- *prometheus.Desc) {
	ch <- descConnections
	ch <- descWaits
	ch <- descWait
}

// Collect implements prometheus.Collector.
func (p poolFigures) Collect(ch chan<- prometheus.Metric) {
	s := p.pool.Stat()
	for state, n := range map[string]int32{"used": s.AcquiredConns(), "idle": s.IdleConns(), "limit": s.MaxConns()} {
		ch <- prometheus.MustNewConstMetric(descConnections, prometheus.GaugeValue, float64(n), state)
	}
	ch <- prometheus.MustNewConstMetric(descWaits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	ch <- prometheus.MustNewConstMetric(descWait, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds())
}

// jobFigures are those of the background jobs.
type jobFigures struct{ pool *pgxpool.Pool }

// Describe implements prometheus.Collector.
func (j jobFigures) Describe(ch chan<- *prometheus.Desc) {
	ch <- descJobs
	ch <- descJobAge
	ch <- descDatabase
}

// Collect implements prometheus.Collector. A database that does not answer within two
// seconds is said to be down; the reading goes on.
func (j jobFigures) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	states, age, err := jobsWaiting(ctx, j.pool)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			ch <- prometheus.MustNewConstMetric(descDatabase, prometheus.GaugeValue, 0)
		}
		return
	}
	ch <- prometheus.MustNewConstMetric(descDatabase, prometheus.GaugeValue, 1)
	for state, n := range states {
		ch <- prometheus.MustNewConstMetric(descJobs, prometheus.GaugeValue, float64(n), state)
	}
	ch <- prometheus.MustNewConstMetric(descJobAge, prometheus.GaugeValue, age.Seconds())
}
