package credentialing

import (
	"maps"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// evaluators are the versions of Evaluate that recorded answers may name. Version 2
// lets a credential that is tied to a facility count there only, and heeds restrictions.
// The answers of version 1 replay as they were given.
var evaluators = []string{"1", evaluatorVersion}

// narrows tells whether facilities and restrictions narrow what a credential covers.
func (q *Question) narrows() bool { return q.evaluator != "1" }

// standing is how a credential stands at the instant and in the facility of the
// question. A facility that is not known is another one.
func (q *Question) standing(c *Held) Standing {
	st := q.Rules.StandingOf(*c, q.At)
	if q.narrows() && c.Facility != "" && c.Facility != q.Case.Facility {
		st.against("other-facility")
		st.Usable = false
	}
	return st
}

// span is when a restriction holds: it is bad news, so it begins at the earliest and
// ends at the latest reading of its days. Zero is open.
func (r Restriction) span(zones []*time.Location) (from, until time.Time) {
	if !r.From.IsZero() {
		from = r.From.begins(zones, false)
	}
	if !r.To.IsZero() {
		until = r.To.ends(zones, true)
	}
	return from, until
}

// concerns tells whether a restriction holds at an instant for an act and a place.
func (r Restriction) concerns(zones []*time.Location, a Activity, place string, at time.Time) bool {
	from, until := r.span(zones)
	return !at.Before(from) && (until.IsZero() || at.Before(until)) && (len(r.Acts) == 0 || slices.Contains(r.Acts, a)) &&
		(len(r.Places) == 0 || slices.ContainsFunc(r.Places, func(p string) bool { return p == place || p == country(place) }))
}

// only tells whether a restriction takes nothing away and is only told.
func (r Restriction) only() bool { return len(r.Acts)+len(r.Places) == 0 }

// restricts tells whether a restriction takes an act in a place from a credential.
func (rs *RuleSet) restricts(c *Held, a Activity, place string, at time.Time) bool {
	if len(c.Restrictions) == 0 {
		return false
	}
	zones := rs.issuerZones(*c)
	return slices.ContainsFunc(c.Restrictions, func(r Restriction) bool { return !r.only() && r.concerns(zones, a, place, at) })
}

// restrictionTold tells whether a restriction is a reason in an answer: it takes
// something away, or it is one that is only told.
func (rs *RuleSet) restrictionTold(c *Held, a Activity, place string, at time.Time) bool {
	zones := rs.issuerZones(*c)
	return slices.ContainsFunc(c.Restrictions, func(r Restriction) bool { return r.concerns(zones, a, place, at) })
}

// seenFrom is the specialist as conditions see them in a place: a credential whose
// restriction concerns the act there is not usable there.
func (j *judged) seenFrom(code string) ref.Val {
	var list []ref.Val
	for _, i := range j.restricted {
		if !j.credentials[i].Usable || !j.q.Rules.restricts(&j.held.List[i], j.q.Activity, code, j.q.At) {
			continue
		}
		if list == nil {
			list = make([]ref.Val, len(j.list))
			for k := range j.list {
				list[k] = mapOf(j.list[k])
			}
		}
		less := maps.Clone(j.list[i])
		less["usable"] = types.False
		list[i] = mapOf(less)
	}
	if list == nil {
		return j.specialist
	}
	facts := maps.Clone(j.facts)
	facts["credentials"] = types.NewRefValList(types.DefaultTypeAdapter, list)
	return mapOf(facts)
}
