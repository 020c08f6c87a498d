package scheduling

import (
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Bar is which wishes of the patient keep somebody from taking part.
type Bar uint8

// The wishes that bar a person.
const (
	BarGender Bar = 1 << iota // another gender was asked for, as a must
	BarPerson                 // this very person is not to interpret
)

// Need is a wish of the patient, as a reason names it.
type Need string

// The wishes of patients.
const (
	NeedTimes       Need = "times"       // kept free
	NeedInterpreter Need = "interpreter" // their gender
	NeedPerson      Need = "person"      // not to interpret
	NeedClinician   Need = "clinician"   // the specialist's gender
)

// meets tells for how long [start, end) lies in ranges, which are merged.
func meets(ranges []Range, start, end time.Time) (sum time.Duration) {
	for _, r := range ranges {
		from, to := r.Start, r.End
		if from.Before(start) {
			from = start
		}
		if to.After(end) {
			to = end
		}
		if d := to.Sub(from); d > 0 {
			sum += d
		}
	}
	return sum
}

// kept are the times to be kept free that meet [from, to), musts or wishes, merged.
func (n Needs) kept(zone string, must bool, from, to time.Time) ([]Range, error) {
	h := Hours{Zone: zone}
	for _, t := range n.Times {
		if t.Must == must {
			h.Rules = append(h.Rules, t.rule())
		}
	}
	if len(h.Rules) == 0 {
		return nil, nil
	}
	spans, err := h.windows(from.Unix(), ceilUnix(to))
	if err != nil {
		return nil, err
	}
	out := make([]Range, len(spans))
	for i, s := range spans {
		out[i] = Range{time.Unix(s.start, 0).UTC(), time.Unix(s.end, 0).UTC()}
	}
	return out, nil
}

// bars says which wishes keep an interpreter away. Who is not to interpret never does;
// the gender counts where the patient is there.
func (n Needs) bars(one identity.Person, present bool) (b Bar) {
	if slices.Contains(n.Not, one.ID) {
		b |= BarPerson
	}
	if w := n.Interpreter; present && w.Must && one.Gender != w.Gender {
		b |= BarGender
	}
	return b
}

// likes sorts interpreters of the gender wished for before others.
func (n Needs) likes(one identity.Person, present bool) bool {
	return !present || n.Interpreter.Gender == "" || one.Gender == n.Interpreter.Gender
}

// against tells whether a visit is against a must.
func (n Needs) against(a Appointment, people map[identity.PersonID]identity.Person, zone string) (bool, error) {
	present := visits[a.Kind].patient
	for _, seat := range a.Seats {
		switch {
		case seat.Released:
		case seat.Role == RoleInterpreter && n.bars(people[seat.Person], present) != 0,
			seat.Role == RoleSpecialist && present && n.Clinician.Must && people[seat.Person].Gender != n.Clinician.Gender:
			return true, nil
		}
	}
	if !present {
		return false, nil
	}
	list, err := n.kept(zone, true, a.StartAt, a.End())
	return meets(list, a.StartAt, a.End()) > 0, err
}

// wanted tells whether the specialist is of the gender that the patient said they must be.
func (p *plan) wanted() bool {
	w := p.needs.Clinician
	return !p.visit.patient || !w.Must || p.people[p.specialist].Gender == w.Gender
}

// needed works out the times of what the patient asked for, on the clock where they are.
func (p *plan) needed(zone string) (err error) {
	if !p.visit.patient || len(p.needs.Times) == 0 {
		return nil
	}
	if p.avoid, err = p.needs.kept(zone, true, p.from, p.to); err != nil {
		return err
	}
	p.rather, err = p.needs.kept(zone, false, p.from, p.to)
	return err
}

// unmet are the wishes that a start does not meet; the musts it does.
func (p *plan) unmet(f Found) []Need {
	if !p.visit.patient {
		return nil
	}
	var out []Need
	if meets(p.rather, f.Start, f.Start.Add(p.duration)) > 0 {
		out = append(out, NeedTimes)
	}
	for _, id := range f.Interpreters {
		if !p.needs.likes(p.people[identity.PersonID(id)], true) {
			out = append(out, NeedInterpreter)
			break
		}
	}
	if g := p.needs.Clinician.Gender; g != "" && p.people[p.specialist].Gender != g {
		out = append(out, NeedClinician)
	}
	return out
}

// need names the wish behind a limit.
func (l Limit) need() Need {
	switch {
	case l.Kind != LimitNeeds:
		return ""
	case l.Party != "":
		return NeedClinician
	case l.Bar&BarPerson != 0:
		return NeedPerson
	case l.Bar != 0:
		return NeedInterpreter
	}
	return NeedTimes
}

// touched is the first time to be kept free, as stated, that a visit would meet.
func (p *plan) touched(zone string, start time.Time) (TimeWish, bool) {
	for _, t := range p.needs.Times {
		if !t.Must {
			continue
		}
		one := Needs{Times: []TimeWish{t}}
		if list, err := one.kept(zone, true, start, start.Add(p.duration)); err == nil && meets(list, start, start.Add(p.duration)) > 0 {
			return t, true
		}
	}
	return TimeWish{}, false
}

// Relaxing is who can give way on a limit.
type Relaxing string

// The classes of relaxation (design scheduling, section 8).
const (
	RelaxOwn        Relaxing = "own"        // only the person whose wish it is
	RelaxStaff      Relaxing = "staff"      // those who arrange, with a written reason
	RelaxCredential Relaxing = "credential" // the credentialing officer, by what is on file
	RelaxNone       Relaxing = "none"
)

// Relaxing says who can give way on a limit.
func (l LimitKind) Relaxing() Relaxing {
	switch l {
	case LimitNeeds:
		return RelaxOwn
	case LimitHours, LimitNotice, LimitHorizon, LimitRest:
		return RelaxStaff
	case LimitLicense, LimitInterpreter:
		return RelaxCredential
	}
	return RelaxNone
}
