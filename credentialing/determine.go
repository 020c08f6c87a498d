package credentialing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// CaseContext is what a determination must know of a case. The workspace makes it;
// it travels through scheduling and sessions unopened. A nil pointer or list is a
// fact that is not known.
type CaseContext struct {
	Case         string
	Organization identity.OrganizationID // whose case it is
	Places       []string                // where the patients are at the visit
	// SiteFacility is the organization whose telehealth license counts; "" is
	// Organization.
	SiteFacility        string
	LocationConfirmed   *bool
	IdentityConfirmed   *bool
	Modality            string // "live-video"; "" is not known
	FirstContact        *bool
	ControlledSubstance *bool
	PriorInPerson       *bool
	LongTerm            *bool
	DaysSinceInPerson   *int
	PatientLanguages    []string
	Interpreter         *bool
	Local               LocalPhysician
	Consents            []Consent // in the packs' words, for this specialist
}

// facility is the organization whose license for telehealth counts.
func (c CaseContext) facility() identity.OrganizationID {
	if c.SiteFacility != "" {
		return identity.OrganizationID(c.SiteFacility)
	}
	return c.Organization
}

// LocalPhysician is what is known of the case's local physician.
type LocalPhysician struct {
	ID             identity.PersonID
	Requested      *bool
	Present        *bool
	FinalAuthority *bool
	Signed         *bool
}

// Ask asks a Service a question about a person.
type Ask struct {
	Person   identity.PersonID
	Activity Activity
	At       time.Time
	Through  time.Time // end of the act; zero if only At counts
	Mode     Mode
	From     string // where the person sits; "" is not known
	// Watch is until when a [Review] says what the clock alone changes; zero: until the
	// end of the act. The answer does not depend on it.
	Watch time.Time
	Case  CaseContext
}

func (a Ask) check() error {
	switch {
	case a.Person == "":
		return &Invalid{Field: "person"}
	case !a.Activity.Known():
		return &Invalid{Field: "activity"}
	case a.At.IsZero():
		return &Invalid{Field: "at"}
	case a.Mode != Plan && a.Mode != Act:
		return &Invalid{Field: "mode"}
	case !a.Through.IsZero() && a.Through.Before(a.At):
		return &Invalid{Field: "through"}
	}
	return nil
}

// Determine answers from what is on file now, keeps the answer with its facts and
// editions, and names it in an audit event. A deny is no error: see
// [Determination.Refusal]. It may be called within any command's transaction.
func (s *Service) Determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, ask Ask) (Determination, error) {
	q, held, err := s.question(ctx, tx, ask, tx.Now())
	if err != nil {
		return Determination{}, err
	}
	d := Decide(q, held)
	if err := Record(q, held, &d); err != nil {
		return Determination{}, err
	}
	d.ID = DeterminationID(newID())
	if err := insertDetermination(ctx, tx, d, ask.Case.Organization); err != nil {
		return Determination{}, err
	}
	tx.Append(determined(actor, ask, d))
	return d, nil
}

// Judge answers like Determine and keeps nothing: for lists and for trying a
// question. It may run in a read transaction.
func (s *Service) Judge(ctx context.Context, tx *audit.Tx, ask Ask) (Determination, error) {
	q, held, err := s.question(ctx, tx, ask, tx.Now())
	if err != nil {
		return Determination{}, err
	}
	return Decide(q, held), nil
}

// NextChange is the first instant after now, and not after until, at which the clock
// alone changes something that the answer to an ask rests on: a credential, a cover or an
// agreement begins or ends, a check grows too old, a rule comes into force. Zero: none.
// What is recorded meanwhile it cannot know. It may run in a read transaction.
func (s *Service) NextChange(ctx context.Context, tx *audit.Tx, ask Ask, until time.Time) (time.Time, error) {
	if err := ask.check(); err != nil {
		return time.Time{}, err
	}
	now := tx.Now()
	d, err := s.load(ctx, tx, now, ask)
	if err != nil {
		return time.Time{}, err
	}
	held, ok := d.people[ask.Person]
	if !ok {
		return time.Time{}, fmt.Errorf("person: %w", ErrNotFound)
	}
	return s.nextChange(s.compose(ask, d, now), *held, d, ask, now, until), nil
}

// JudgeAll answers many questions like Judge, with one query a table for all of
// them: for lists and for looking again at what is booked. A question about somebody
// who is not known is ErrNotFound.
func (s *Service) JudgeAll(ctx context.Context, tx *audit.Tx, asks []Ask) ([]Determination, error) {
	for _, a := range asks {
		if err := a.check(); err != nil {
			return nil, err
		}
	}
	d, err := s.load(ctx, tx, tx.Now(), asks...)
	if err != nil {
		return nil, err
	}
	out := make([]Determination, 0, len(asks))
	for _, a := range asks {
		held, ok := d.people[a.Person]
		if !ok {
			return nil, fmt.Errorf("person: %w", ErrNotFound)
		}
		out = append(out, Decide(s.compose(a, d, tx.Now()), *held))
	}
	return out, nil
}

// SpansFor answers for every instant of [from, to) from what is on file now. The
// ask's own At and Through do not matter.
func (s *Service) SpansFor(ctx context.Context, tx *audit.Tx, ask Ask, from, to time.Time) ([]Span, error) {
	if !from.Before(to) {
		return nil, nil
	}
	ask.At, ask.Through = from, time.Time{}
	f, err := s.ReadFiles(ctx, tx, ask)
	if err != nil {
		return nil, err
	}
	return f.Spans(ask, from, to)
}

// Replay evaluates a stored determination again under the editions that decided it.
// ErrReplayDiffers means that something is not what it was.
func (s *Service) Replay(ctx context.Context, tx *audit.Tx, id DeterminationID) (Determination, error) {
	return replayer{s: s, sets: map[string]*RuleSet{}}.replay(ctx, tx, id)
}

// Stored returns a determination as it was kept, with its parts read from its
// facts and answer.
func (s *Service) Stored(ctx context.Context, tx *audit.Tx, id DeterminationID) (Determination, error) {
	d, err := selectDetermination(ctx, tx, id)
	if err != nil {
		return d, err
	}
	return d, d.open()
}

// question composes what is asked from what was known at knownAt.
func (s *Service) question(ctx context.Context, tx *audit.Tx, ask Ask, knownAt time.Time) (Question, Credentials, error) {
	if err := ask.check(); err != nil {
		return Question{}, Credentials{}, err
	}
	d, err := s.load(ctx, tx, knownAt, ask)
	if err != nil {
		return Question{}, Credentials{}, err
	}
	held, ok := d.people[ask.Person]
	if !ok {
		return Question{}, Credentials{}, fmt.Errorf("person: %w", ErrNotFound)
	}
	return s.compose(ask, d, knownAt), *held, nil
}

// compose is a function of what was read.
func (s *Service) compose(ask Ask, d *dossier, knownAt time.Time) Question {
	c := ask.Case
	local := d.people[c.Local.ID]
	accepted := s.accept != nil && knownAt.Before(s.accept.Until)
	q := Question{At: ask.At.UTC(), Through: ask.Through.UTC(), DecidedAt: knownAt, Mode: ask.Mode, Activity: ask.Activity, From: ask.From,
		Places: sortedSet(slices.Clone(c.Places)), AcceptUnverified: accepted, Rules: s.rulesAt(ask.At)}
	if ask.Through.IsZero() {
		q.Through = time.Time{}
	}
	if ask.Mode == Plan {
		q.ChecksAt = knownAt
	}
	q.Case = CaseFacts{Facility: string(c.facility()), LocationConfirmed: c.LocationConfirmed, IdentityConfirmed: c.IdentityConfirmed, Interpreter: c.Interpreter,
		FirstContact: c.FirstContact, ControlledSubstance: c.ControlledSubstance, PriorInPerson: c.PriorInPerson, LongTerm: c.LongTerm}
	if c.PatientLanguages != nil {
		q.Case.Languages = baseLanguages(c.PatientLanguages)
	}
	if c.Modality != "" {
		q.Case.Modality = &c.Modality
	}
	if c.DaysSinceInPerson != nil {
		n := int64(*c.DaysSinceInPerson)
		q.Case.DaysSinceInPerson = &n
	}
	q.Consents = slices.Clone(c.Consents)
	slices.SortFunc(q.Consents, func(a, b Consent) int {
		if a.Type != b.Type {
			return compare(a.Type, b.Type)
		}
		return a.Recorded.Compare(b.Recorded)
	})
	if l := c.Local; l.ID != "" {
		q.Local = &LocalFacts{ID: l.ID, Requested: l.Requested, Present: l.Present, FinalAuthority: l.FinalAuthority, Signed: l.Signed}
		if local != nil {
			q.Local.Licenses = []Held{}
			for _, h := range local.List {
				if h.Kind == KindLicense && slices.Contains(q.Places, h.Jurisdiction) {
					q.Local.Licenses = append(q.Local.Licenses, h)
				}
			}
		}
	}
	if c.Organization != "" {
		d.fill(&q, ask)
	}
	return q
}

// fill adds what organizations hold and have agreed. It counts only if it holds for
// the whole of the act.
func (d *dossier) fill(q *Question, ask Ask) {
	at, through := ask.At, ask.Through
	if through.Before(at) {
		through = at
	}
	whole := func(from, to time.Time) bool {
		return !at.Before(from) && (to.IsZero() || at.Before(to) && !through.After(to))
	}
	licensed := len(q.Places) > 0
	for _, place := range q.Places {
		licensed = licensed && slices.ContainsFunc(d.licenses[ask.Case.facility()], func(l FacilityLicense) bool {
			return l.Jurisdiction == place && whole(l.ValidFrom, l.ValidTo)
		})
	}
	q.Case.FacilityLicensed = &licensed
	agreed := false
	basis := ""
	for _, a := range d.agreements[ask.Case.Organization] {
		employed := slices.ContainsFunc(d.employs[ask.Person], func(t tenure) bool { return t.organization == a.To && whole(t.from, t.until) })
		if employed && whole(a.ValidFrom, a.ValidTo) {
			agreed = true
			if basis == "" {
				basis = a.Ground
			}
		}
	}
	q.Case.InstitutionAgreement = &agreed
	q.Transfer = &Transfer{From: country(d.places[ask.Case.Organization]), To: country(d.people[ask.Person].Home), Basis: basis}
}

// changes are from and the instants of [from, to) at which what organizations hold
// changes.
func (d *dossier) changes(ask Ask, from, to time.Time) []time.Time {
	cuts := []time.Time{from.UTC()}
	add := func(t time.Time) {
		if t.After(from) && t.Before(to) {
			cuts = append(cuts, t.UTC())
		}
	}
	for _, l := range d.licenses[ask.Case.facility()] {
		add(l.ValidFrom)
		add(l.ValidTo)
	}
	for _, a := range d.agreements[ask.Case.Organization] {
		add(a.ValidFrom)
		add(a.ValidTo)
	}
	for _, t := range d.employs[ask.Person] {
		add(t.from)
		add(t.until)
	}
	slices.SortFunc(cuts, time.Time.Compare)
	return slices.CompactFunc(cuts, time.Time.Equal)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Qualified tells whether a person may interpret a pair of languages in a mode at
// an instant, by a certificate on file. If not, reason is a code that Explain
// knows; if so, until is when the certificate ends, zero if it does not.
func (s *Service) Qualified(ctx context.Context, tx *audit.Tx, person identity.PersonID, pair [2]string, mode string, at time.Time) (ok bool, reason string, until time.Time, err error) {
	held, err := s.CredentialsOf(ctx, tx, person, tx.Now())
	if err != nil {
		return false, "", time.Time{}, err
	}
	ok, reason, until = s.Rules().qualified(held, pair, mode, at)
	return ok, reason, until, nil
}

// qualified is a function of values. Of several certificates the one that holds
// longest counts, or else the one nearest to holding.
func (rs *RuleSet) qualified(held Credentials, pair [2]string, mode string, at time.Time) (ok bool, reason string, until time.Time) {
	for _, e := range held.Exclusions {
		if e.active(at) {
			return false, "interpreter:excluded", time.Time{}
		}
	}
	want := baseLanguages(pair[:])
	rank := -1
	reason = "interpreter:no-certificate"
	order := []string{"no-certificate", "mode", "revoked", "surrendered", "suspended", "unverified", "not-yet-valid", "expired", "verification-overdue"}
	for _, c := range held.List {
		if c.Kind != KindInterpreter || !slices.Equal(baseLanguages(c.Pair), want) {
			continue
		}
		st := rs.StandingOf(c, at)
		why := st.Reason
		if !slices.Contains(c.Modes, mode) {
			why = "mode"
		}
		if why == "" {
			if !ok || st.Ends.IsZero() || !until.IsZero() && st.Ends.After(until) {
				until = st.Ends
			}
			ok = true
			continue
		}
		if r := slices.Index(order, why); r > rank {
			rank, reason = r, "interpreter:"+why
		}
	}
	if ok {
		return true, "", until
	}
	return false, reason, time.Time{}
}
