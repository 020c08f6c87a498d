package credentialing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Waiting is what waits for the tasks of a queue.
type Waiting struct {
	// Of is, for each task, how many of the subjects' bookings or cases are refused now and
	// would be nearer to being allowed once it is done.
	Of []int
	// Held are the bookings that are set aside, each with the answer about the person of
	// the question that is refused.
	Held []Difference
}

// WaitingFor works out what waits for each task: it asks the question of each subject
// again as if the task were done. Held bookings come by their time; of several refused
// questions of one the first stands. After of a Difference is the answer now.
func (s *Service) WaitingFor(ctx context.Context, actor identity.Actor, queue []QueueItem, subjects []Subject) (Waiting, error) {
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
		now := tx.Now()
		d, err := s.load(ctx, tx, now, asks...)
		if err != nil {
			return err
		}
		answers, helped := make([]Determination, len(subjects)), make([][]int, len(subjects))
		inParallel(len(subjects), func(n int) {
			x := subjects[n]
			person := d.people[x.Ask.Person]
			if person == nil {
				return
			}
			q := s.compose(x.Ask, d, now)
			answers[n] = Decide(q, *person)
			if answers[n].Allowed() {
				return
			}
			for i, task := range queue {
				if task.Pack == "" && task.Person != x.Ask.Person || task.Pack != "" && !q.Rules.applies(task.Pack, q.Places) {
					continue
				}
				better, able := assumeDone(q, *person, task, now)
				if !able {
					continue
				}
				if after := Decide(better.q, better.held); after.Allowed() || fewer(stops(after), stops(answers[n])) {
					helped[n] = append(helped[n], i)
				}
			}
		})
		held := map[string]int{} // place in out.Held
		for n, x := range subjects {
			if d.people[x.Ask.Person] == nil {
				continue
			}
			for _, i := range helped[n] {
				out.Of[i]++
			}
			if !x.Held {
				continue
			}
			at, known := held[x.ID]
			switch {
			case !known:
				held[x.ID] = len(out.Held)
				out.Held = append(out.Held, Difference{Subject: x, After: answers[n]})
			case out.Held[at].After.Allowed() && !answers[n].Allowed():
				out.Held[at] = Difference{Subject: x, After: answers[n]}
			}
		}
		return nil
	})
	slices.SortStableFunc(out.Held, func(a, b Difference) int { return a.Ask.At.Compare(b.Ask.At) })
	return out, err
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
	case TaskPack, TaskConfirm:
		a.q.AcceptUnverified = true
		return a, !q.AcceptUnverified
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
