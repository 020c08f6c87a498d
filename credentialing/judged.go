package credentialing

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Standing is how one credential stands at an instant.
type Standing struct {
	StatusAt Status    // "" if no status is known yet
	Begins   time.Time // zero: open
	Ends     time.Time // zero: open
	Usable   bool
	Overdue  bool   // past its re-verification date
	Reason   string // the last part of its first reason code; "" if nothing stands against it
	also     []string
}

// against adds something that stands against the credential; the first counts most.
func (s *Standing) against(reason string) {
	if s.Reason == "" {
		s.Reason = reason
	} else if s.Reason != reason {
		s.also = append(s.also, reason)
	}
}

// StandingOf judges a credential against the clock.
func (rs *RuleSet) StandingOf(c Held, at time.Time) Standing {
	var s Standing
	var since time.Time
	for _, st := range c.Status {
		if !st.From.After(at) && (s.StatusAt == "" || !st.From.Before(since)) {
			s.StatusAt, since = st.Status, st.From
		}
	}
	zones := rs.issuerZones(c)
	if !c.ValidFrom.IsZero() {
		s.Begins = c.ValidFrom.begins(zones, true)
	}
	if !c.ValidTo.IsZero() {
		s.Ends = c.ValidTo.ends(zones, false)
	}
	for _, p := range c.RestsOn {
		if !p.From.IsZero() {
			if from := p.From.begins(zones, true); from.After(s.Begins) {
				s.Begins = from
			}
		}
		if !p.To.IsZero() {
			if to := p.To.ends(zones, false); s.Ends.IsZero() || to.Before(s.Ends) {
				s.Ends = to
			}
		}
	}
	verified := c.Verified != nil && enough(c.Kind, c.Verified.Method)
	s.Overdue = verified && !c.Verified.NextDue.IsZero() && !at.Before(c.Verified.NextDue)
	switch s.StatusAt {
	case StatusSuspended, StatusRevoked, StatusSurrendered:
		s.against(string(s.StatusAt))
	case StatusLapsed:
		s.against("expired")
	case "":
		if len(c.Status) > 0 {
			s.against("not-yet-valid")
		} else {
			s.against("unverified")
		}
	}
	if at.Before(s.Begins) {
		s.against("not-yet-valid")
	}
	if !s.Ends.IsZero() && !at.Before(s.Ends) {
		s.against("expired")
	}
	if !verified {
		s.against("unverified")
	}
	s.Usable = s.Reason == ""
	if s.Overdue {
		s.against("verification-overdue")
	}
	return s
}

// territories are those of a cover with the members of each group of places named among
// them beside it: what covers the European Union covers Spain.
func (rs *RuleSet) territories(list []string) []string {
	out := list
	for _, t := range list {
		if p := rs.packs[t]; p != nil && p.group() {
			for _, m := range p.Members {
				if !slices.Contains(out, m) {
					out = append(slices.Clip(out), m)
				}
			}
		}
	}
	return out
}

// enough tells whether a verification by this method makes a credential usable: one
// from the primary source, an equivalent of it, or what the source itself signed;
// for liability cover the insurer's certificate.
func enough(k Kind, method string) bool {
	switch method {
	case methodPrimary, methodEquivalent, methodSigned:
		return true
	case methodCertificate:
		return k == KindMalpractice
	}
	return false
}

// issuerZones are the zones in which a bare date of the credential is read.
func (rs *RuleSet) issuerZones(c Held) []*time.Location {
	if c.Timezone != "" {
		z, err := rs.zones(c.Timezone)
		if err != nil {
			return nil // a zone nobody knows: the strictest reading
		}
		return []*time.Location{z}
	}
	return rs.zonesOf[c.Jurisdiction]
}

// judged are the facts of a question at one instant, ready for conditions.
type judged struct {
	rs          *RuleSet
	q           *Question
	held        *Credentials
	specialist  ref.Val
	consents    ref.Val // nil: not known
	transfer    ref.Val
	activity    ref.Val
	localHeld   []Standing
	credentials []Standing
	facts       map[string]any   // of specialist
	list        []map[string]any // of the credentials, in the order of held
	restricted  []int            // credentials with restrictions
}

func str(s string) ref.Val { return types.String(s) }

func listOf[T ~string](v []T) ref.Val {
	out := make([]ref.Val, len(v))
	for i, e := range v {
		out[i] = types.String(e)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, out)
}

func mapOf(m map[string]any) ref.Val {
	return types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
}

// judge works out what conditions see, except what depends on the place.
func judge(q *Question, held *Credentials) *judged {
	j := &judged{rs: q.Rules, q: q, held: held, activity: types.String(q.Activity)}
	at := q.At
	list := make([]ref.Val, len(held.List))
	j.list = make([]map[string]any, len(held.List))
	j.credentials = make([]Standing, len(held.List))
	for i := range held.List {
		c := &held.List[i]
		st := q.standing(c)
		j.credentials[i] = st
		if q.narrows() && len(c.Restrictions) > 0 {
			j.restricted = append(j.restricted, i)
		}
		// Every optional field is set: absent must not be unknown.
		j.list[i] = map[string]any{
			"kind": str(string(c.Kind)), "type": str(c.Type), "jurisdiction": str(c.Jurisdiction), "via": str(c.Via),
			"compact_principal": types.Bool(c.CompactPrincipal), "activities": listOf(c.Activities),
			"territories": listOf(c.Territories), "currency": str(c.Currency), "per_claim": types.Int(c.PerClaim),
			"aggregate": types.Int(c.Aggregate), "status_at": str(string(st.StatusAt)), "usable": types.Bool(st.Usable),
			"verification_overdue": types.Bool(st.Overdue),
		}
		list[i] = mapOf(j.list[i])
	}
	exclusions := make([]ref.Val, len(held.Exclusions))
	for i, e := range held.Exclusions {
		exclusions[i] = mapOf(map[string]any{"active": types.Bool(e.active(at))})
	}
	s := map[string]any{
		"credentials": types.NewRefValList(types.DefaultTypeAdapter, list),
		"exclusions":  types.NewRefValList(types.DefaultTypeAdapter, exclusions),
	}
	if held.Person != "" {
		s["id"] = str(string(held.Person))
	}
	if held.Home != "" {
		s["home"] = str(held.Home)
	}
	if held.Languages != nil {
		s["languages"] = listOf(held.Languages)
	}
	if c := held.ExclusionCheckedAt; c != nil {
		counted := at
		if j.q.ChecksAt.Before(at) && !j.q.ChecksAt.IsZero() {
			counted = j.q.ChecksAt
		}
		// A check after the instant asked about is no older than it.
		s["exclusion_check_age_days"] = types.Int(max(0, ageDays(counted.Sub(*c))))
	}
	j.facts, j.specialist = s, mapOf(s)
	if q.Consents != nil {
		var in []string
		for _, c := range q.Consents {
			if c.inForce(at) {
				in = append(in, c.Type)
			}
		}
		j.consents = types.NewStringList(types.DefaultTypeAdapter, in)
	}
	if t := q.Transfer; t != nil {
		m := map[string]any{"basis": str(t.Basis)}
		if t.From != "" {
			m["from"] = str(t.From)
		}
		if t.To != "" {
			m["to"] = str(t.To)
		}
		j.transfer = mapOf(m)
	} else {
		j.transfer = mapOf(nil)
	}
	if q.Local != nil {
		j.localHeld = make([]Standing, len(q.Local.Licenses))
		for i, c := range q.Local.Licenses {
			j.localHeld[i] = q.standing(&c)
		}
	}
	return j
}

// reliedAt is the instant for which packs must be confirmed: for a plan it is now,
// since they may be looked at again before the visit; one that is not is found when its
// time is over.
func (j *judged) reliedAt() time.Time {
	if at := j.q.ChecksAt; !at.IsZero() && at.Before(j.q.At) {
		return at
	}
	return j.q.At
}

const day = 24 * time.Hour

// ageDays is an age in whole days, a begun day counting as one: a check that is 31
// days and a moment old is older than 31 days.
func ageDays(d time.Duration) int64 { return int64((d + day - 1) / day) }

// local are the facts about the local physician in a place.
func (j *judged) local(code string) ref.Val {
	m := map[string]any{}
	l := j.q.Local
	if l == nil {
		return mapOf(m)
	}
	if l.ID != "" {
		m["id"] = str(string(l.ID))
	}
	if l.Licenses != nil {
		licensed := false
		for i, c := range l.Licenses {
			licensed = licensed || c.Kind == KindLicense && c.Jurisdiction == code && j.localHeld[i].Usable &&
				!(j.q.narrows() && j.q.Rules.restricts(&c, SignDecision, code, j.q.At))
		}
		m["licensed"] = types.Bool(licensed)
	}
	setBool(m, "requested", l.Requested)
	setBool(m, "present", l.Present)
	setBool(m, "final_authority", l.FinalAuthority)
	setBool(m, "signed", l.Signed)
	return mapOf(m)
}

// caseIn are the facts of the case with the place being decided.
func (j *judged) caseIn(code string) ref.Val {
	c := &j.q.Case
	m := map[string]any{"jurisdiction": str(code)}
	setBool(m, "location_confirmed", c.LocationConfirmed)
	setBool(m, "identity_confirmed", c.IdentityConfirmed)
	if c.Languages != nil {
		m["languages"] = listOf(c.Languages)
	}
	setBool(m, "interpreter", c.Interpreter)
	if c.Modality != nil {
		m["modality"] = str(*c.Modality)
	}
	setBool(m, "first_contact", c.FirstContact)
	setBool(m, "controlled_substance", c.ControlledSubstance)
	setBool(m, "prior_in_person", c.PriorInPerson)
	setBool(m, "facility_licensed", c.FacilityLicensed)
	setBool(m, "institution_agreement", c.InstitutionAgreement)
	setBool(m, "long_term", c.LongTerm)
	if c.DaysSinceInPerson != nil {
		m["days_since_in_person"] = types.Int(*c.DaysSinceInPerson)
	}
	return mapOf(m)
}

func setBool(m map[string]any, name string, v *bool) {
	if v != nil {
		m[name] = types.Bool(*v)
	}
}

// bears tells whether what stands against a credential says something about an
// answer for a place: it would count there, or it is bad news that counts anywhere.
func bears(c *Held, st Standing, home, code string) bool {
	switch c.Kind {
	case KindLicense:
		return c.Jurisdiction == code || c.Jurisdiction == home || country(c.Jurisdiction) == country(code) ||
			st.StatusAt == StatusSuspended || st.StatusAt == StatusRevoked || st.StatusAt == StatusSurrendered
	case KindRegistration:
		return c.Jurisdiction == code || c.Jurisdiction == country(code)
	case KindMalpractice:
		for _, t := range c.Territories {
			if t == "*" || t == code || strings.HasPrefix(code, t+"-") {
				return true
			}
		}
	}
	return false
}

// appendCodes adds the reason codes of everything that stands against the credential.
func (s *Standing) appendCodes(out []string, id string) []string {
	out = append(out, "credential:"+id+":"+s.Reason)
	for _, r := range s.also {
		out = append(out, "credential:"+id+":"+r)
	}
	return out
}

// notes are the reason codes of credentials that something stands against: the
// person's, and the local physician's licenses of the place.
func (j *judged) notes(code string) []string {
	var out []string
	for i, st := range j.credentials {
		if st.Reason != "" && bears(&j.held.List[i], st, j.held.Home, code) {
			out = st.appendCodes(out, j.held.List[i].ID)
		}
	}
	for _, i := range j.restricted {
		if c := &j.held.List[i]; bears(c, j.credentials[i], j.held.Home, code) && j.q.Rules.restrictionTold(c, j.q.Activity, code, j.q.At) {
			out = append(out, "credential:"+c.ID+":restricted")
		}
	}
	if j.q.Local != nil {
		for i, st := range j.localHeld {
			if c := j.q.Local.Licenses[i]; st.Reason != "" && c.Jurisdiction == code {
				out = st.appendCodes(out, c.ID)
			}
		}
	}
	return out
}

// ResolveName gives what an expression may name. Unknown names are errors, which
// are unknown facts.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "s":
		return a.s, true
	case "lp":
		return a.lp, true
	case "c0":
		return a.c0, true
	case "consents":
		if a.j.consents == nil {
			return types.NewErr("consents are not known"), true
		}
		return a.j.consents, true
	case "transfer":
		return a.j.transfer, true
	case "groups":
		return a.j.rs.groups, true
	case "activity":
		return a.j.activity, true
	case "p":
		return a.p, true
	}
	return nil, false
}

// country is the ISO 3166-1 part of a place.
func country(code string) string {
	c, _, _ := strings.Cut(code, "-")
	return c
}

// sortedSet sorts and drops what stands twice.
func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
