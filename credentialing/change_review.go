package credentialing

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Review is the answer to a question about something that is booked.
type Review struct {
	Determination Determination // with its id if it was kept
	// NextChange is when the clock alone changes a fact it looks at, at the latest at
	// the end of the act or of the ask's Watch; zero if nothing does.
	NextChange time.Time
}

// ReviewAll answers like [Service.JudgeAll], on all processors, and keeps, like
// Determine, those answers that keep asks for: with one query a table for all of
// them. keep is called for one after the other.
func (s *Service) ReviewAll(ctx context.Context, tx *audit.Tx, actor identity.Actor, asks []Ask, keep func(i int, d Determination) bool) ([]Review, error) {
	for _, a := range asks {
		if err := a.check(); err != nil {
			return nil, err
		}
	}
	now := tx.Now()
	d, err := s.load(ctx, tx, now, asks...)
	if err != nil {
		return nil, err
	}
	for _, a := range asks {
		if d.people[a.Person] == nil {
			return nil, fmt.Errorf("person: %w", ErrNotFound)
		}
	}
	out := make([]Review, len(asks))
	questions := make([]Question, len(asks))
	inParallel(len(asks), func(i int) {
		a := asks[i]
		held := d.people[a.Person]
		q := s.compose(a, d, now)
		questions[i] = q
		end := a.At
		if a.Through.After(end) {
			end = a.Through
		}
		if a.Watch.After(end) {
			end = a.Watch
		}
		out[i] = Review{Determination: Decide(q, *held), NextChange: s.nextChange(q, *held, d, a, now, end)}
	})
	var kept []*Determination
	var of []Ask
	for i := range out {
		one := &out[i].Determination
		if !keep(i, *one) {
			continue
		}
		if err := Record(questions[i], *d.people[asks[i].Person], one); err != nil {
			return nil, err
		}
		one.ID = DeterminationID(newID())
		kept, of = append(kept, one), append(of, asks[i])
	}
	if err := insertDeterminations(ctx, tx, kept, of); err != nil {
		return nil, err
	}
	for i, one := range kept {
		ev := actor.Event("scope.determined")
		ev.Determination = string(one.ID)
		ev.Objects = map[string]string{"person": string(of[i].Person)}
		if of[i].Case.Case != "" {
			ev.Objects["case"] = of[i].Case.Case
		}
		ev.Hashes = map[string]string{"determination": fmt.Sprintf("%x", one.Hash)}
		ev.Reason = string(one.Decision)
		if len(of[i].Case.Places) > 0 {
			ev.Jurisdiction = of[i].Case.Places[0]
		}
		tx.Append(ev)
	}
	return out, nil
}

// inParallel calls f for 0 to n-1, in runs of neighbors, on all processors.
func inParallel(n int, f func(i int)) {
	const run = 32 // some milliseconds of evaluating: what a goroutine is worth
	workers := min(runtime.GOMAXPROCS(0), (n+run-1)/run)
	if workers < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var next, mu = 0, sync.Mutex{}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				mu.Lock()
				from := next
				next += run
				mu.Unlock()
				if from >= n {
					return
				}
				for i := from; i < min(from+run, n); i++ {
					f(i)
				}
			}
		})
	}
	all.Wait()
}

// Qualify asks whether a person may interpret a pair of languages for the whole of
// [At, Through).
type Qualify struct {
	Person      identity.PersonID
	Pair        [2]string
	Mode        string
	At, Through time.Time
}

// Qualification is the answer to a Qualify.
type Qualification struct {
	OK         bool
	Reason     string    // code that Explain knows; "" if OK
	Until      time.Time // when the certificate ends
	NextChange time.Time // as of a [Review]
}

// QualifiedAll answers like Qualified, with one query a table for all of them. Who is
// not known is not qualified.
func (s *Service) QualifiedAll(ctx context.Context, tx *audit.Tx, asks []Qualify) ([]Qualification, error) {
	people := make([]identity.PersonID, 0, len(asks))
	for _, a := range asks {
		people = append(people, a.Person)
	}
	held, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
	if err != nil {
		return nil, err
	}
	out := make([]Qualification, len(asks))
	rules := s.Rules()
	for i, a := range asks {
		c := held[a.Person]
		if c == nil {
			out[i].Reason = "interpreter:no-certificate"
			continue
		}
		out[i] = rules.qualification(*c, a)
		out[i].NextChange = NextChange(Question{Rules: rules}, *c, tx.Now(), a.Through)
	}
	return out, nil
}

// qualification is a function of values: whether somebody may interpret for the whole of
// [At, Through), without NextChange.
func (rs *RuleSet) qualification(c Credentials, a Qualify) Qualification {
	var q Qualification
	q.OK, q.Reason, q.Until = rs.qualified(c, a.Pair, a.Mode, a.At)
	if q.OK && !q.Until.IsZero() && q.Until.Before(a.Through) {
		q.OK, q.Reason = false, "interpreter:expired"
	}
	for _, e := range c.Exclusions {
		if q.OK && e.From.After(a.At) && e.From.Before(a.Through) {
			q.OK, q.Reason = false, "interpreter:excluded"
		}
	}
	return q
}

func insertDeterminations(ctx context.Context, tx *audit.Tx, list []*Determination, asks []Ask) error {
	if len(list) == 0 {
		return nil
	}
	var b pgx.Batch
	queueDeterminations(&b, list, asks)
	return mapped("record determinations", tx.SendBatch(ctx, &b).Close())
}

// queueDeterminations queues the insert of answers, in one statement.
func queueDeterminations(b *pgx.Batch, list []*Determination, asks []Ask) {
	n := len(list)
	if n == 0 {
		return
	}
	id, person, org := make([]string, n), make([]string, n), make([]*string, n)
	activity, mode, decision := make([]string, n), make([]string, n), make([]string, n)
	at, decided, through := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n)
	facts, answers, hash := make([]string, n), make([]string, n), make([][]byte, n)
	for i, d := range list {
		id[i], person[i], org[i] = string(d.ID), string(d.Person), null(asks[i].Case.Organization)
		activity[i], mode[i], decision[i] = string(d.Activity), string(d.Mode), string(d.Decision)
		at[i], decided[i], through[i] = d.At, d.DecidedAt, nullTime(d.Through)
		facts[i], answers[i], hash[i] = string(d.Facts), string(d.Answer), d.Hash[:]
	}
	b.Queue(`
		insert into determination (id, person_id, organization_id, activity, at, through, mode, decided_at, decision, facts, answer, hash)
		select *
		from unnest(@id::uuid[], @person::uuid[], @organization::uuid[], @activity::text[], @at::timestamptz[], @through::timestamptz[],
			@mode::text[], @decided::timestamptz[], @decision::text[], @facts::text[], @answers::text[], @hash::bytea[])`,
		pgx.StrictNamedArgs{"id": id, "person": person, "organization": org, "activity": activity, "at": at, "through": through, "mode": mode,
			"decided": decided, "decision": decision, "facts": facts, "answers": answers, "hash": hash})
}
