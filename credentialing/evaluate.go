package credentialing

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Truth is true, false or unknown.
type Truth int8

// The three values. The zero value is unknown.
const (
	Unknown Truth = iota
	False
	True
)

// String is how pages and traces write it.
func (t Truth) String() string {
	switch t {
	case True:
		return "true"
	case False:
		return "false"
	}
	return "unknown"
}

func (t Truth) negate() Truth {
	switch t {
	case True:
		return False
	case False:
		return True
	}
	return Unknown
}

// PlaceAnswer is the answer for one place.
type PlaceAnswer struct {
	Place      string   `json:"place"`
	Decision   Decision `json:"decision"`
	Reasons    []string `json:"reasons"`
	Conditions []string `json:"conditions"`
}

// RuleAnswer is how one rule came out in one place.
type RuleAnswer struct {
	Place  string
	Rule   string
	Effect Effect
	Holds  Truth // whether all its conditions hold
	When   []TermAnswer
	Duties []TermAnswer
}

// TermAnswer is how one condition came out.
type TermAnswer struct {
	Condition string
	By        string // of a duty
	Holds     Truth
}

// Evaluate decides whether the person may do what q asks at q.At. It reads nothing
// and writes nothing; the caller records the Determination.
func Evaluate(q Question, held Credentials) Determination {
	d := evaluate(q, held, nil)
	d.seal(q, &held)
	return d
}

// Trace evaluates q and tells of every rule how it came out, for an officer who
// tries a question.
func Trace(q Question, held Credentials) (Determination, []RuleAnswer) {
	answers := []RuleAnswer{}
	d := evaluate(q, held, func(a RuleAnswer) { answers = append(answers, a) })
	d.seal(q, &held)
	return d, answers
}

func evaluate(q Question, held Credentials, trace func(RuleAnswer)) Determination {
	d := Determination{Person: held.Person, Decision: Permit}
	places := sortedSet(slices.Clone(q.Places))
	if len(places) == 0 {
		d.Decision = Deny
		d.Reasons = []string{"no-place"}
		return d
	}
	j := judge(&q, &held)
	for _, code := range places {
		a, helps := j.place(code, trace)
		d.ByPlace = append(d.ByPlace, a)
		d.Decision = stricter(d.Decision, a.Decision)
		d.Reasons = append(d.Reasons, a.Reasons...)
		d.Conditions = append(d.Conditions, a.Conditions...)
		d.Helps = append(d.Helps, helps...)
	}
	d.Reasons = sortedSet(d.Reasons)
	d.Helps = sortedSet(d.Helps)
	if d.Decision == Deny {
		d.Conditions = nil
	}
	d.Conditions = sortedSet(d.Conditions)
	return d
}

// activation is what expressions see in one place. One check runs at a time; p is
// its argument.
type activation struct {
	j      *judged
	s      ref.Val // the specialist, as seen from the place
	lp, c0 ref.Val
	p      ref.Val
	memo   []int8 // by check: 0 not yet evaluated, else 1 + Truth
}

// Parent is none.
func (a *activation) Parent() cel.Activation { return nil }

// holds evaluates a check once per place.
func (a *activation) holds(t term) Truth {
	var v Truth
	if m := a.memo[t.check]; m > 0 {
		v = Truth(m - 1)
	} else {
		c := &a.j.rs.checks[t.check]
		a.p = c.arg
		out, _, err := c.cond.prg.Eval(a)
		if err == nil {
			if b, ok := out.(types.Bool); ok {
				v = False
				if b {
					v = True
				}
			}
		}
		a.memo[t.check] = 1 + int8(v)
	}
	if t.not {
		return v.negate()
	}
	return v
}

// all tells whether all terms hold: one false is enough for false.
func (a *activation) all(terms []term) Truth {
	v := True
	for _, t := range terms {
		switch a.holds(t) {
		case False:
			return False
		case Unknown:
			v = Unknown
		}
	}
	return v
}

// outcome is what a rule's duties and limits add to an answer.
type outcome struct {
	unmet []string // reasons: they stop
	open  []string // conditions left
}

// duties judges what a permission or a requirement brings along.
func (a *activation) duties(r *rule) outcome {
	var o outcome
	for _, d := range r.duties {
		if a.holds(d.term) == True {
			continue
		}
		switch {
		case d.by == ByAfter:
			o.open = append(o.open, "after:"+d.code)
		case d.by == ByBefore && a.j.q.Mode == Plan:
			o.open = append(o.open, "before:"+d.code)
		default:
			o.unmet = append(o.unmet, "unmet:"+r.ID+":"+d.code)
		}
	}
	for _, l := range r.Limits {
		o.open = append(o.open, "limit:"+l)
	}
	o.open = sortedSet(o.open)
	return o
}

// place decides for one place. It evaluates every rule in force and does not stop
// at the first, because people want every reason.
func (j *judged) place(code string, trace func(RuleAnswer)) (PlaceAnswer, []string) {
	ans := PlaceAnswer{Place: code, Decision: Deny, Conditions: []string{}}
	pl, ok := j.rs.places[code]
	if !ok {
		ans.Reasons = []string{"no-pack:" + code}
		return ans, nil
	}
	a := &activation{j: j, s: j.seenFrom(code), lp: j.local(code), c0: j.caseIn(code), memo: make([]int8, len(j.rs.checks))}
	reasons := j.notes(code)
	stopped := false
	if !j.q.AcceptUnverified {
		for _, p := range pl.packs {
			if !p.relied(j.reliedAt()) {
				reasons = append(reasons, "pack-not-verified:"+p.Code)
				stopped = true
			}
		}
	}
	var best *outcome
	var conditions, missing, helps []string
	for _, r := range pl.rules {
		if !r.covers(j.q.Activity) || !r.inForce(j.q.At) {
			continue
		}
		holds := a.all(r.when)
		if trace != nil {
			trace(a.answer(code, r, holds))
		}
		switch r.Effect {
		case EffectForbid:
			switch holds {
			case True:
				reasons = append(reasons, "forbid:"+r.ID)
				stopped = true
			case Unknown:
				reasons = append(reasons, "unknown:"+r.ID)
				stopped = true
			}
		case EffectPermit:
			if holds != True {
				lacks := a.missing(r)
				missing = append(missing, lacks...)
				if len(lacks) == 1 {
					helps = append(helps, lacks[0])
				}
				continue
			}
			reasons = append(reasons, "permit:"+r.ID)
			o := a.duties(r)
			if best == nil || better(o, *best) { // rules come by id
				best = &o
			}
		case EffectRequire:
			if holds == False {
				continue
			}
			o := a.duties(r)
			reasons = append(reasons, o.unmet...)
			conditions = append(conditions, o.open...)
			stopped = stopped || len(o.unmet) > 0
		}
	}
	if best == nil {
		reasons = append(append(reasons, "no-permit"), missing...)
		ans.Reasons = sortedSet(reasons)
		return ans, helps
	}
	reasons = append(reasons, best.unmet...)
	ans.Reasons = sortedSet(reasons)
	if stopped || len(best.unmet) > 0 {
		return ans, nil
	}
	ans.Conditions = sortedSet(append(conditions, best.open...))
	ans.Decision = Permit
	if len(ans.Conditions) > 0 {
		ans.Decision = PermitWithConditions
	}
	return ans, nil
}

// better tells whether a permission asks for less than another.
func better(a, b outcome) bool {
	if len(a.unmet) != len(b.unmet) {
		return len(a.unmet) < len(b.unmet)
	}
	return len(a.open) < len(b.open)
}

// missing are the conditions for want of which a permission does not apply.
func (a *activation) missing(r *rule) []string {
	var out []string
	for _, t := range r.when {
		if a.holds(t) != True {
			out = append(out, "missing:"+r.ID+":"+t.code)
		}
	}
	return out
}

func (a *activation) answer(code string, r *rule, holds Truth) RuleAnswer {
	ra := RuleAnswer{Place: code, Rule: r.ID, Effect: r.Effect, Holds: holds}
	for _, t := range r.when {
		ra.When = append(ra.When, TermAnswer{Condition: t.code, Holds: a.holds(t)})
	}
	for _, d := range r.duties {
		ra.Duties = append(ra.Duties, TermAnswer{Condition: d.code, By: d.by, Holds: a.holds(d.term)})
	}
	return ra
}

// Span is a time during which the answer does not change.
type Span struct {
	From, To      time.Time // [From, To)
	Decision      Decision
	Determination Determination
}

// Spans answers q for every instant of [from, to): one Evaluate between the
// instants at which anything can change. Neighbors with the same answer are one.
func Spans(q Question, held Credentials, from, to time.Time) []Span {
	var out []Span
	cuts := changes(&q, &held, from, to)
	for i, at := range cuts {
		end := to
		if i+1 < len(cuts) {
			end = cuts[i+1]
		}
		q.At = at
		d := evaluate(q, held, nil)
		if n := len(out); n > 0 && out[n-1].Determination.sameAnswer(d) {
			out[n-1].To = end
			continue
		}
		d.seal(q, &held)
		out = append(out, Span{From: at, To: end, Decision: d.Decision, Determination: d})
	}
	return out
}

// changes are from and all instants of [from, to) at which a fact or a rule
// changes by the clock alone, sorted.
func changes(q *Question, held *Credentials, from, to time.Time) []time.Time {
	if !from.Before(to) {
		return nil
	}
	cuts := []time.Time{from.UTC()}
	add := func(t time.Time) {
		if t.After(from) && t.Before(to) {
			cuts = append(cuts, t.UTC())
		}
	}
	credential := func(c *Held) {
		for _, s := range c.Status {
			add(s.From)
		}
		zones := q.Rules.issuerZones(*c)
		if !c.ValidFrom.IsZero() {
			add(c.ValidFrom.begins(zones, true))
		}
		if !c.ValidTo.IsZero() {
			add(c.ValidTo.ends(zones, false))
		}
		for _, p := range c.RestsOn {
			if !p.From.IsZero() {
				add(p.From.begins(zones, true))
			}
			if !p.To.IsZero() {
				add(p.To.ends(zones, false))
			}
		}
		if c.Verified != nil && !c.Verified.NextDue.IsZero() {
			add(c.Verified.NextDue)
		}
		for _, r := range c.Restrictions {
			from, until := r.span(zones)
			if !from.IsZero() {
				add(from)
			}
			if !until.IsZero() {
				add(until)
			}
		}
	}
	for i := range held.List {
		credential(&held.List[i])
	}
	if q.Local != nil {
		for i := range q.Local.Licenses {
			credential(&q.Local.Licenses[i])
		}
	}
	for _, e := range held.Exclusions {
		add(e.From)
		if !e.To.IsZero() {
			add(e.To)
		}
	}
	if c := held.ExclusionCheckedAt; c != nil {
		for _, days := range q.Rules.checkDays {
			add(c.Add(time.Duration(days)*day + time.Nanosecond)) // see ageDays
		}
	}
	for _, c := range q.Consents {
		add(c.Recorded)
		if !c.Withdrawn.IsZero() {
			add(c.Withdrawn)
		}
	}
	for _, code := range q.Places {
		if pl, ok := q.Rules.places[code]; ok {
			for _, p := range pl.packs {
				if end := p.reliedUntil(); !end.IsZero() && !q.AcceptUnverified {
					add(end)
				}
			}
			for _, r := range pl.rules {
				if !r.from.IsZero() {
					add(r.from)
				}
				if !r.to.IsZero() {
					add(r.to)
				}
			}
		}
	}
	slices.SortFunc(cuts, time.Time.Compare)
	return slices.CompactFunc(cuts, time.Time.Equal)
}

// EvaluateOver answers q for the whole of [q.At, through): the strictest answer of
// every part stands, and all reasons and conditions are named. Until is when it
// first becomes stricter, if it does.
func EvaluateOver(q Question, held Credentials, through time.Time) Determination {
	q.Through = through
	start := q.At
	spans := Spans(q, held, q.At, through)
	if len(spans) == 0 {
		return Evaluate(q, held)
	}
	d := spans[0].Determination
	byPlace := map[string]*PlaceAnswer{}
	for i := range d.ByPlace {
		p := d.ByPlace[i]
		byPlace[p.Place] = &p
	}
	for _, s := range spans[1:] {
		if s.Decision.rank() < d.Decision.rank() && d.Until.IsZero() {
			d.Until = s.From
		}
		d.Decision = stricter(d.Decision, s.Decision)
		d.Reasons = sortedSet(append(slices.Clone(d.Reasons), s.Determination.Reasons...))
		d.Conditions = sortedSet(append(slices.Clone(d.Conditions), s.Determination.Conditions...))
		d.Helps = sortedSet(append(slices.Clone(d.Helps), s.Determination.Helps...))
		for _, p := range s.Determination.ByPlace {
			have := byPlace[p.Place]
			have.Decision = stricter(have.Decision, p.Decision)
			have.Reasons = sortedSet(append(slices.Clone(have.Reasons), p.Reasons...))
			have.Conditions = sortedSet(append(slices.Clone(have.Conditions), p.Conditions...))
		}
	}
	d.ByPlace = d.ByPlace[:0:0]
	for _, code := range sortedSet(slices.Clone(q.Places)) {
		p := byPlace[code]
		if p.Decision == Deny {
			p.Conditions = []string{}
		}
		d.ByPlace = append(d.ByPlace, *p)
	}
	if d.Decision == Deny {
		d.Conditions = []string{}
	}
	q.At = start
	d.seal(q, &held)
	return d
}

// limits are the limit codes among conditions.
func limits(conditions []string) []string {
	out := []string{}
	for _, c := range conditions {
		if l, ok := strings.CutPrefix(c, "limit:"); ok {
			out = append(out, l)
		}
	}
	return out
}
