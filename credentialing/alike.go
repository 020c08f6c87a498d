package credentialing

import (
	"fmt"
	"slices"
	"time"
)

// alike answers many questions that are about one person and differ in nothing but
// their instant: between two instants at which the clock alone changes something, the
// answer is the same, so each stretch of time is evaluated once. It is for one goroutine.
type alike struct {
	held    *Credentials
	cuts    []time.Time // the begins of all stretches but the first
	answers map[[2]int]Determination
}

// newAlike is for questions like q about [from, to].
func newAlike(q Question, held *Credentials, from, to time.Time) *alike {
	cuts := changes(&q, held, from, to.Add(time.Nanosecond))
	return &alike{held: held, cuts: cuts[1:], answers: map[[2]int]Determination{}}
}

// decide is [Decide], but that At, Through and Until are those of a question like q.
func (a *alike) decide(q Question) Determination {
	stretch := func(at time.Time) int {
		n, found := slices.BinarySearchFunc(a.cuts, at, time.Time.Compare)
		if found {
			n++
		}
		return n
	}
	first := stretch(q.At)
	key := [2]int{first, first}
	if q.Through.After(q.At) {
		key[1] = stretch(q.Through.Add(-1))
	}
	d, known := a.answers[key]
	if !known {
		d = Decide(q, *a.held)
		a.answers[key] = d
	}
	return d
}

// likeness is the same for two questions about a person if they differ in nothing but
// the instants from now on that they ask about. What is and was is told apart.
func (q *Question) likeness(now time.Time) string {
	b := make([]byte, 0, 256)
	b = fmt.Appendf(b, "%p %s %s %q %t %q %s", q.Rules, q.Mode, q.Activity, q.Places, q.AcceptUnverified, q.From, q.ChecksAt)
	c := &q.Case
	b = fmt.Appendf(b, " %q", c.Facility)
	for _, v := range []*bool{c.LocationConfirmed, c.IdentityConfirmed, c.Interpreter, c.FirstContact, c.ControlledSubstance, c.PriorInPerson,
		c.FacilityLicensed, c.InstitutionAgreement, c.LongTerm} {
		b = append(b, truth(v))
	}
	if c.Languages != nil {
		b = fmt.Appendf(b, " %q", c.Languages)
	}
	if c.Modality != nil {
		b = fmt.Appendf(b, " m%q", *c.Modality)
	}
	if c.DaysSinceInPerson != nil {
		b = fmt.Appendf(b, " d%d", *c.DaysSinceInPerson)
	}
	if l := q.Local; l != nil {
		b = fmt.Appendf(b, " %q %t", l.ID, l.Licenses != nil) // what they hold is the same for all
		for _, v := range []*bool{l.Requested, l.Present, l.FinalAuthority, l.Signed} {
			b = append(b, truth(v))
		}
	}
	if t := q.Transfer; t != nil {
		b = fmt.Appendf(b, " %q %q %q", t.From, t.To, t.Basis)
	}
	if q.Consents != nil {
		b = append(b, " c"...)
	}
	for _, c := range q.Consents {
		switch {
		case !c.Recorded.After(now) && c.Withdrawn.IsZero():
			b = fmt.Appendf(b, " %q", c.Type)
		case c.Withdrawn.After(now) || c.Recorded.After(now):
			b = fmt.Appendf(b, " %q %d %d", c.Type, c.Recorded.UnixNano(), c.Withdrawn.UnixNano())
		}
	}
	return string(b)
}

func truth(v *bool) byte {
	switch {
	case v == nil:
		return '?'
	case *v:
		return '+'
	}
	return '-'
}
