package credentialing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Waiting is what waits for the tasks of a queue.
type Waiting struct {
	// Of is, for each task, how many bookings and cases are refused now and would be
	// nearer to being allowed once it is done.
	Of []int
	// Held are the bookings that were asked about and are set aside, each with the answer
	// about the person of the question that is refused.
	Held []Difference
}

// WaitingFor works out what waits for each task. For a task about a person it asks the
// question of each subject about them again as if the task were done; subjects need not
// hold those about others. For a task about a pack it counts what is refused where the
// pack applies, of all clinics. held are bookings among the subjects whose answers are
// wanted: they come by their time; of several refused questions of one the first
// stands. After of a Difference is the answer now.
func (s *Service) WaitingFor(ctx context.Context, actor identity.Actor, queue []QueueItem, subjects []Subject, held []string) (Waiting, error) {
	if !officer(actor) {
		return Waiting{}, ErrForbidden
	}
	out := Waiting{Of: make([]int, len(queue))}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		asks := make([]Ask, len(subjects))
		for i, x := range subjects {
			if err := x.Ask.check(); err != nil {
				return err
			}
			asks[i] = x.Ask
		}
		d, err := s.load(ctx, tx, tx.Now(), asks...)
		if err != nil {
			return err
		}
		out.Of = s.helped(d, queue, subjects, tx.Now())
		out.Held = s.heldAnswers(d, subjects, held, tx.Now())
		return s.countPackTasks(ctx, tx, queue, out.Of)
	})
	return out, err
}

// heldAnswers are the answers about bookings that are set aside.
func (s *Service) heldAnswers(d *dossier, subjects []Subject, held []string, now time.Time) []Difference {
	var out []Difference
	place := map[string]int{} // in out
	for _, x := range subjects {
		person := d.people[x.Ask.Person]
		if !x.Held || person == nil || !slices.Contains(held, x.ID) {
			continue
		}
		at, known := place[x.ID]
		if known && !out[at].After.Allowed() {
			continue
		}
		one := Difference{Subject: x, After: Decide(s.compose(x.Ask, d, now), *person)}
		switch {
		case !known:
			place[x.ID] = len(out)
			out = append(out, one)
		case !one.After.Allowed():
			out[at] = one
		}
	}
	slices.SortStableFunc(out, func(a, b Difference) int { return a.Ask.At.Compare(b.Ask.At) })
	return out
}

// helped counts for each task about a person the bookings and cases that it helps.
func (s *Service) helped(d *dossier, queue []QueueItem, subjects []Subject, now time.Time) []int {
	of := make([]int, len(queue))
	tasks := map[identity.PersonID][]int{}
	for i, task := range queue {
		if task.Pack == "" {
			tasks[task.Person] = append(tasks[task.Person], i)
		}
	}
	// The subjects of each person who has tasks, by likeness of their questions.
	groups := make([][]Question, 0, len(tasks))
	ids := make([][]string, 0, len(tasks))
	place := map[string]int{}
	questions := make([]Question, len(subjects))
	keys := make([]string, len(subjects))
	inParallel(len(subjects), func(n int) {
		if x := subjects[n]; len(tasks[x.Ask.Person]) > 0 && d.people[x.Ask.Person] != nil {
			questions[n] = s.compose(x.Ask, d, now)
			keys[n] = string(x.Ask.Person) + questions[n].likeness(now)
		}
	})
	var people []identity.PersonID
	for n, x := range subjects {
		if keys[n] == "" {
			continue
		}
		g, known := place[keys[n]]
		if !known {
			g = len(groups)
			place[keys[n]] = g
			groups, ids, people = append(groups, nil), append(ids, nil), append(people, x.Ask.Person)
		}
		groups[g], ids[g] = append(groups[g], questions[n]), append(ids[g], x.Kind+x.ID)
	}
	counted := make([]map[string]bool, len(queue))
	for g, group := range groups {
		for i, helps := range helpedAlike(group, d.people[people[g]], queue, tasks[people[g]], now) {
			for n, yes := range helps {
				if !yes {
					continue
				}
				task := tasks[people[g]][i]
				if counted[task] == nil {
					counted[task] = map[string]bool{}
				}
				counted[task][ids[g][n]] = true
			}
		}
	}
	for i, c := range counted {
		of[i] = len(c)
	}
	return of
}

// helpedAlike tells for each of some tasks which of questions that are alike are
// refused now and nearer to being allowed once it is done.
func helpedAlike(group []Question, held *Credentials, queue []QueueItem, tasks []int, now time.Time) [][]bool {
	from, to := group[0].At, group[0].At
	for _, q := range group {
		for _, at := range []time.Time{q.At, q.Through} {
			switch {
			case at.IsZero():
			case at.Before(from):
				from = at
			case at.After(to):
				to = at
			}
		}
	}
	before := newAlike(group[0], held, from, to)
	out := make([][]bool, len(tasks))
	for i, task := range tasks {
		better, able := assumeDone(group[0], *held, queue[task], now)
		if !able {
			continue
		}
		out[i] = make([]bool, len(group))
		after := newAlike(better.q, &better.held, from, to)
		for n, q := range group {
			was := before.decide(q)
			if was.Allowed() {
				continue
			}
			is := after.decide(q)
			out[i][n] = is.Allowed() || fewer(stops(is), stops(was))
		}
	}
	return out
}

// countPackTasks counts for each task about a pack the bookings and cases that are
// refused because it, or another pack that applies with it, is not relied on: they are
// allowed or refused by less once unconfirmed rules count.
func (s *Service) countPackTasks(ctx context.Context, tx *audit.Tx, queue []QueueItem, of []int) error {
	now := tx.Now()
	if s.accepted(now) || !slices.ContainsFunc(queue, func(q QueueItem) bool { return q.Pack != "" }) {
		return nil
	}
	rows, err := tx.Query(ctx, `select place, at, n from places_refused($1)`, now)
	if err != nil {
		return mapped("count what is refused", err)
	}
	var place string
	var at time.Time
	var n int
	_, err = pgx.ForEachRow(rows, []any{&place, &at, &n}, func() error {
		pl, ok := s.rulesAt(at).places[place]
		if !ok || !slices.ContainsFunc(pl.packs, func(p *Pack) bool { return !p.relied(now) }) {
			return nil
		}
		for i, q := range queue {
			if q.Pack != "" && slices.ContainsFunc(pl.packs, func(p *Pack) bool { return p.Code == q.Pack }) {
				of[i] += n
			}
		}
		return nil
	})
	return mapped("count what is refused", err)
}

type assumed struct {
	q    Question
	held Credentials
}

// assumeDone is the question as it is once a task is done well; false if the task
// changes nothing of it.
func assumeDone(q Question, held Credentials, task QueueItem, now time.Time) (assumed, bool) {
	a := assumed{q, held}
	switch task.Task {
	case TaskSharing: // the review itself opens nothing
		return a, false
	case TaskCheckList:
		a.held.ExclusionCheckedAt = &now
		return a, true
	case TaskMatch:
		a.held.Exclusions = slices.DeleteFunc(slices.Clone(held.Exclusions), func(e Exclusion) bool { return e.List+" "+e.Entry == task.Number })
		return a, len(a.held.Exclusions) < len(held.Exclusions)
	}
	a.held.List = slices.Clone(held.List)
	found := false
	for i := range a.held.List {
		h := &a.held.List[i]
		if CredentialID(h.ID) != task.Credential {
			continue
		}
		found = true
		method := methodPrimary
		if h.Kind == KindMalpractice {
			method = methodCertificate
		}
		switch task.Task {
		case TaskExpiring:
			h.ValidTo, h.RestsOn = Moment{}, nil
		default: // verified, approved, reinstated
			h.Verified = &Verified{Method: method, At: now}
			if n := len(h.Status); n == 0 || task.Task == TaskReinstate || task.Task == TaskApprove || task.Task == TaskVerify {
				from := now
				if n == 0 && !h.ValidFrom.IsZero() {
					from = h.ValidFrom.begins(nil, false)
				}
				h.Status = append(slices.Clone(h.Status), StatusFrom{StatusActive, from})
			}
			if task.Task == TaskVerify || task.Task == TaskApprove {
				h.ValidTo = later(h.ValidTo, task.claimed)
			}
		}
	}
	return a, found
}

// later is the Moment that ends later; an open one never ends.
func later(a, b Moment) Moment {
	switch {
	case a.IsZero() || b.IsZero():
		return a
	case b.ends(nil, false).After(a.ends(nil, false)):
		return b
	}
	return a
}

// stops are the reasons of a refusal that stand against it, but for notes.
func stops(d Determination) []string {
	var out []string
	for _, r := range d.Reasons {
		kind, _, _ := strings.Cut(r, ":")
		if slices.Contains([]string{"forbid", "unmet", "unknown", "no-permit", "no-pack", "pack-not-verified"}, kind) {
			out = append(out, r)
		}
	}
	return out
}

// fewer tells whether a lacks something of b and adds nothing.
func fewer(a, b []string) bool {
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return len(a) < len(b)
}
