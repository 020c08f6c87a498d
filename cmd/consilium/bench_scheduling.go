package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// The sizes of the figures that issue and design promise.
const (
	benchPractitioners = 10_000
	benchAppointments  = 200_000
	benchClients       = 16 // that book at once
)

// schedulingSizes are what a run stores and asks.
type schedulingSizes struct{ practitioners, appointments, requests, bookings int }

// benchScheduling measures the search, the answer of free starts over HTTP and
// bookings, with the practitioners and appointments given stored in PostgreSQL.
func benchScheduling(ctx context.Context, e environment, n schedulingSizes) error {
	a, clean, err := benchApp(ctx, e, true)
	if err != nil {
		return err
	}
	defer clean()
	b := bench{a: a}
	if err := b.populate(ctx, benchCases); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	// The pairs work without a break, as nobody does: it is the engine that is measured.
	if _, err := b.a.scheduling.SetRest(ctx, b.officer, scheduling.RestRules{}); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := b.crowd(ctx, n); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	fmt.Fprintf(e.out, "%s, %d processors, PostgreSQL with fsync, %d practitioners and %d appointments stored\n\n",
		runtime.Version(), runtime.GOMAXPROCS(0), n.practitioners, n.appointments)
	var list []figure
	for _, measure := range []func(context.Context) ([]figure, error){
		benchFind,
		func(ctx context.Context) ([]figure, error) { return b.searches(ctx, n.requests) },
		func(ctx context.Context) ([]figure, error) { return b.slots(ctx, n.requests) },
		func(ctx context.Context) ([]figure, error) { return b.book(ctx, n.bookings) },
	} {
		got, err := measure(ctx)
		if err != nil {
			return err
		}
		list = append(list, got...)
	}
	return printFigures(e.out, list)
}

// crowd stores the other people and visits of the clinic: what a search must not
// read.
func (b *bench) crowd(ctx context.Context, n schedulingSizes) error {
	if err := b.a.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return crowdPeople(ctx, tx, n.practitioners) }); err != nil {
		return fmt.Errorf("people: %w", err)
	}
	// Two practitioners to a visit; each has his own half hours, the past year and the
	// next.
	const atOnce = 20_000
	for done := 0; done < n.appointments; done += atOnce {
		err := b.a.db.Write(ctx, audit.Scope{Organization: string(b.clinic)}, func(tx *audit.Tx) error {
			return crowdVisits(ctx, tx, string(b.determination), n.practitioners, done, min(done+atOnce, n.appointments))
		})
		if err != nil {
			return fmt.Errorf("visits: %w", err)
		}
	}
	return settle(ctx, b.a.cluster.OwnerURL())
}

// benchFind measures the search as a function of values.
func benchFind(context.Context) ([]figure, error) {
	q, parties := sampleSearch()
	var finder scheduling.Finder
	found, err := finder.Find(q, parties, nil)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the sample search finds nothing")
	}
	return []figure{best("search of 5 parties over 60 days on a 15-minute grid", 20*time.Microsecond, 2000, func() error {
		_, err := finder.Find(q, parties, nil)
		return err
	})}, nil
}

// sampleSearch asks for an hour of five people in four zones, with ten rules and 600
// busy ranges between them.
func sampleSearch() (scheduling.Query, []scheduling.Party) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var parties []scheduling.Party
	for i, zone := range []string{"Africa/Nairobi", "America/Toronto", "Asia/Beirut", "Europe/Berlin", "Africa/Nairobi"} {
		p := scheduling.Party{ID: strconv.Itoa(i), Version: 1, Hours: scheduling.Hours{Zone: zone, Rules: []scheduling.Rule{
			{Freq: scheduling.Weekly, Days: []scheduling.Weekday{scheduling.Monday, scheduling.Wednesday, scheduling.Friday}, Start: 6 * 60, End: 20 * 60},
			{Freq: scheduling.Weekly, Days: []scheduling.Weekday{scheduling.Tuesday}, Start: 10 * 60, End: 22 * 60},
		}}}
		for k := range 120 {
			at := from.Add(time.Duration(k*11+i) * time.Hour)
			p.Busy = append(p.Busy, scheduling.Range{Start: at, End: at.Add(time.Hour)})
		}
		parties = append(parties, p)
	}
	return scheduling.Query{From: from, To: from.AddDate(0, 0, 60), Duration: time.Hour, Grid: 15 * time.Minute, Now: from}, parties
}

// best is the best of five runs: others use the machine too.
func best(what string, target time.Duration, n int, do func() error) figure {
	out := figure{what: what, target: target}
	for range 5 {
		began, used := time.Now(), spent()
		for range n {
			if err := do(); err != nil {
				out.err = err
				return out
			}
		}
		if took := time.Since(began) / time.Duration(n); out.got == 0 || took < out.got {
			out.got = took
		}
		if own := (spent() - used) / time.Duration(n); out.own == 0 || own < out.own {
			out.own = own
		}
	}
	return out
}

// searchRequest is the search of one of the clinic's cases.
func (b *bench) searchRequest(i int) (identity.Actor, scheduling.SearchRequest) {
	c := b.cases[i%len(b.cases)]
	return c.physician, scheduling.SearchRequest{Case: c.ref, Kind: scheduling.JointVideoVisit, Specialist: c.specialist, Limit: 200}
}

// searches measures the search with all that it reads, without HTTP.
func (b *bench) searches(ctx context.Context, n int) ([]figure, error) {
	return timed("search with what it reads", 0, 0, n, func(i int) error {
		who, req := b.searchRequest(i)
		answer, err := b.a.scheduling.Search(ctx, who, req)
		if err == nil && len(answer.Slots) == 0 {
			err = errors.New("a search of the benchmark finds nothing")
		}
		return err
	})
}

// slots measures the answer of free starts over HTTP, on one connection kept open.
func (b *bench) slots(ctx context.Context, n int) ([]figure, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: b.a.handler(nil), ReadHeaderTimeout: headerLimit}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { _ = server.Close(); <-served }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer client.CloseIdleConnections()
	tokens := map[identity.PersonID]string{}
	for _, c := range b.cases {
		if tokens[c.physician.Person] != "" {
			continue
		}
		if tokens[c.physician.Person], err = b.a.identity.SignInDemo(ctx, c.physician.Person); err != nil {
			return nil, err
		}
	}
	return timed("free starts over HTTP", time.Millisecond, 5*time.Millisecond, n, func(i int) error {
		who, req := b.searchRequest(i)
		q := url.Values{"kind": {string(req.Kind)}, "specialist": {string(req.Specialist)}, "limit": {strconv.Itoa(req.Limit)}}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/cases/"+string(req.Case)+"/slots?"+q.Encode(), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", "application/json")
		r.AddCookie(&http.Cookie{Name: "login", Value: tokens[who.Person]})
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("free starts: %s", answer.Status)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	})
}

// timed measures n calls one after the other, after a tenth of them as warm-up.
func timed(what string, p50, p99 time.Duration, n int, do func(i int) error) ([]figure, error) {
	for i := range n / 10 {
		if err := do(i); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	took := make([]time.Duration, n)
	used := spent()
	for i := range n {
		began := time.Now()
		if err := do(i); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		took[i] = time.Since(began)
	}
	own := (spent() - used) / time.Duration(n)
	slices.Sort(took)
	return []figure{{what: what + ", p50", got: took[n/2], own: own, target: p50}, {what: what + ", p99", got: took[n*99/100], own: own, target: p99}}, nil
}

// book measures bookings by many at once, no two of them for the same time of the
// same people.
func (b *bench) book(ctx context.Context, n int) ([]figure, error) {
	first := b.a.db.Now().Truncate(time.Hour).Add(10 * 24 * time.Hour)
	var next atomic.Int64
	fail := make(chan error, benchClients)
	began, used := time.Now(), spent()
	var wg sync.WaitGroup
	for range benchClients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				c := b.cases[i%benchPairs] // the pairs in turn
				req := scheduling.BookRequest{Key: uuid.NewString(), Case: c.ref, Kind: scheduling.JointVideoVisit, Specialist: c.specialist,
					Start: first.Add(time.Duration(i/benchPairs) * 30 * time.Minute)}
				if _, err := b.a.scheduling.Book(ctx, c.physician, req); err != nil {
					fail <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	took, own := time.Since(began), spent()-used
	select {
	case err := <-fail:
		return nil, fmt.Errorf("book: %w", err)
	default:
	}
	per := took / time.Duration(n)
	return []figure{{what: fmt.Sprintf("a booking, %d at once (%.0f a second)", benchClients, float64(time.Second)/float64(per)), got: per,
		own: own / time.Duration(n), target: time.Millisecond}}, nil
}
