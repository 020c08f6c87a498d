package credentialing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// PublicProfile is what a patient may read about the specialist of their visit: what
// regulators confirmed and holds now, and what the specialist may do in this visit.
// It holds no birth date, address, evidence, closed matter or check of lists.
type PublicProfile struct {
	Person    identity.PersonID
	AsOf      time.Time // what is not true any more at this instant is not in it
	Home      string    // where the specialist works from
	Places    []string  // where the patient is
	Confirmed []PublicFact
	// Covered tells whether liability cover holds in each of Places for the whole visit.
	Covered bool
	May     []PublicAct
	// Stopped tells that nothing may be done in this visit as things stand.
	Stopped bool
}

// PublicFact is a license, registration or certificate that a regulator confirmed.
type PublicFact struct {
	Kind         Kind
	Issuer       string
	Number       string
	Jurisdiction string
	CheckedAt    time.Time // when the regulator was asked
	Ends         time.Time // zero: open
}

// PublicAct is one activity of the visit and whether it is allowed.
type PublicAct struct {
	Activity Activity
	Allowed  bool
}

// publicKinds are what is told to patients of what is on file.
var publicKinds = []Kind{KindLicense, KindRegistration, KindBoard, KindControlledDrug, KindInterpreter}

// publicActivities are what a specialist might do in a visit. Signing is the local
// physician's.
var publicActivities = []Activity{AdvisePhysician, JointVideoVisit, DirectConsult, PrescribeOrOrder}

// Public answers what a patient may read about who is asked about. The caller has
// seen to it that the reader belongs to the visit. ask's activity does not matter; a
// visit that has begun is judged now.
func (s *Service) Public(ctx context.Context, actor identity.Actor, ask Ask) (PublicProfile, error) {
	var p PublicProfile
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		now := tx.Now()
		ask.Mode = Plan
		if ask.At.Before(now) {
			ask.At = now
		}
		if ask.Through.Before(ask.At) {
			ask.Through = time.Time{}
		}
		ask.Activity = AdvisePhysician
		q, held, err := s.question(ctx, tx, ask, now)
		if err != nil {
			return err
		}
		p = publicOf(q, held, now)
		return nil
	})
	if err != nil {
		return PublicProfile{}, fmt.Errorf("what a patient may read: %w", err)
	}
	return p, nil
}

// publicOf is a function of values.
func publicOf(q Question, held Credentials, now time.Time) PublicProfile {
	p := PublicProfile{Person: held.Person, AsOf: now.UTC(), Home: held.Home, Places: q.Places, Confirmed: []PublicFact{}}
	for _, h := range held.List {
		here := q
		here.At = now
		st := here.standing(&h)
		if !slices.Contains(publicKinds, h.Kind) || !st.Usable || st.Reason != "" {
			continue
		}
		p.Confirmed = append(p.Confirmed, PublicFact{Kind: h.Kind, Issuer: h.Issuer, Number: h.Number, Jurisdiction: h.Jurisdiction,
			CheckedAt: h.Verified.At, Ends: st.Ends})
	}
	slices.SortStableFunc(p.Confirmed, func(a, b PublicFact) int {
		return slices.Index(publicKinds, a.Kind) - slices.Index(publicKinds, b.Kind)
	})
	var stopped []string
	for _, a := range publicActivities {
		q.Activity = a
		d := Decide(q, held)
		may := d.Decision != Deny
		for _, l := range d.Limits {
			if act, enforced := Enforced(l); enforced {
				stopped = append(stopped, string(act))
			}
		}
		p.May = append(p.May, PublicAct{a, may})
	}
	p.Stopped = true
	for i := range p.May {
		if slices.Contains(stopped, string(p.May[i].Activity)) {
			p.May[i].Allowed = false
		}
		p.Stopped = p.Stopped && !p.May[i].Allowed
	}
	p.Covered = len(q.Places) > 0
	for _, place := range q.Places {
		p.Covered = p.Covered && covered(q, held, place)
	}
	return p
}

// covered tells whether cover for a place holds from the begin of a visit to its end.
func covered(q Question, held Credentials, place string) bool {
	return slices.ContainsFunc(held.List, func(h Held) bool {
		if h.Kind != KindMalpractice || len(h.Activities) > 0 && !slices.Contains(h.Activities, q.Activity) || !slices.ContainsFunc(h.Territories, func(t string) bool { return t == "*" || t == place || t == country(place) }) {
			return false
		}
		first := q.standing(&h)
		return first.Usable && !q.Rules.restricts(&h, q.Activity, place, q.At) && (q.Through.IsZero() || first.Ends.IsZero() || !first.Ends.Before(q.Through))
	})
}
