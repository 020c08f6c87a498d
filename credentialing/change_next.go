package credentialing

import (
	"time"
)

// NextChange is the first instant after an instant, and not after until, at which a
// fact of the question or a rule in force changes by the clock alone: something
// begins, ends, falls due or grows too old. Between, an answer for an instant stays
// what it is as long as nothing is recorded. Zero: none.
func NextChange(q Question, held Credentials, after, until time.Time) time.Time {
	cuts := changes(&q, &held, after, until.Add(time.Nanosecond))
	if len(cuts) < 2 {
		return time.Time{}
	}
	return cuts[1] // cuts[0] is after
}

// nextChange adds what organizations hold and the acceptance of unconfirmed packs.
func (s *Service) nextChange(q Question, held Credentials, d *dossier, ask Ask, after, until time.Time) time.Time {
	next := NextChange(q, held, after, until)
	add := func(t time.Time) {
		if t.After(after) && !t.After(until) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, t := range d.changes(ask, after, until.Add(time.Nanosecond)) {
		add(t)
	}
	if s.accept != nil {
		add(s.accept.Until)
	}
	return next
}
