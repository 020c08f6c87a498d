package credentialing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ErrNotYetKnown means that a question about the past is asked of a time before which
// nothing was on record: of the person, or of any rules.
var ErrNotYetKnown = errors.New("credentialing: nothing was on record at that time")

// KnownAnswer is the answer to a question on both axes of time, with all that it rests
// on: what is true at At, as it was on record at Known.
type KnownAnswer struct {
	Person    identity.PersonID
	At, Known time.Time

	// Determination has facts, answer and hash as they would have been recorded then; it
	// is zero for an interpreter's qualification. It was not stored.
	Determination Determination
	Rules         []RuleAnswer
	// Qualification is of who interprets; zero for a determination.
	Qualification Qualification

	Home        string
	Credentials []PastCredential // all of the person that were on record
	Local       []PastCredential // the local physician's licenses of the place
	Exclusions  []Exclusion      // that were on record, also those that do not count at At
	CheckedAt   time.Time        // the last look into exclusion lists; zero: none
	Roles       []PastRole
	OwnPlaces   []OwnPlaceState // as at At
	Facility    []FacilityLicense
	Agreements  []Agreement
	Editions    []PastEdition // that the answer rests on; the list of conditions last
}

// PastRole is a role as it was known.
type PastRole struct {
	ID           string
	Role         identity.Role
	Organization identity.OrganizationID // "" for freelance interpreters and patients
	From, Until  time.Time               // Until zero: open
	Held         bool                    // at the instant asked about
}

// PastEdition is an edition of a pack with when it came to decide here.
type PastEdition struct {
	Edition
	Status string // as the pack says of itself: "unverified-starter", "verified"; "conditions"
	// Since is when it was published here, or when the first binary that brings it was
	// started.
	Since time.Time
}

// AskKnown answers "was this allowed then, as known then?" as [Service.Judge] would
// have answered at known. Officers ask it of everybody, others of themselves. What will
// be known later nobody can say: that is an *Invalid, and so is a year that nobody
// means. A time before the person was on record is ErrNotYetKnown.
func (s *Service) AskKnown(ctx context.Context, actor identity.Actor, ask Ask, known time.Time) (out KnownAnswer, err error) {
	if err := ask.check(); err != nil {
		return out, err
	}
	err = s.readKnown(ctx, actor, ask.Person, ask.At, known, func(tx *audit.Tx) error {
		d, err := s.load(ctx, tx, known, ask)
		if err != nil {
			return err
		}
		rules, editions, err := s.rulesAsKnown(ctx, tx, ask.At, known)
		if err != nil {
			return err
		}
		if out, err = s.surroundings(ctx, tx, rules, d.people[ask.Person], ask.At, known); err != nil {
			return err
		}
		q := s.compose(ask, d, known.UTC())
		q.Rules = rules
		held := *d.people[ask.Person]
		out.Determination = Decide(q, held)
		_, out.Rules = Trace(q, held)
		if q.Local != nil {
			for _, h := range q.Local.Licenses {
				out.Local = append(out.Local, PastCredential{Held: h, Standing: rules.StandingOf(h, ask.At)})
			}
		}
		out.Facility, out.Agreements = d.licenses[ask.Case.facility()], d.agreements[ask.Case.Organization]
		for _, e := range append(slices.Clone(out.Determination.Packs), out.Determination.ConditionsList) {
			out.Editions = append(out.Editions, editions[e])
		}
		return Record(q, held, &out.Determination)
	})
	return out, err
}

// QualifiedKnown is AskKnown of an interpreter for a pair of languages in a mode.
func (s *Service) QualifiedKnown(ctx context.Context, actor identity.Actor, q Qualify, known time.Time) (out KnownAnswer, err error) {
	switch {
	case q.Person == "":
		return out, &Invalid{Field: "person"}
	case q.At.IsZero():
		return out, &Invalid{Field: "at"}
	case q.Pair[0] == "" || q.Pair[1] == "" || q.Pair[0] == q.Pair[1]:
		return out, &Invalid{Field: "pair"}
	case !slices.Contains(InterpretModes, q.Mode):
		return out, &Invalid{Field: "mode"}
	}
	err = s.readKnown(ctx, actor, q.Person, q.At, known, func(tx *audit.Tx) error {
		held, err := s.CredentialsOf(ctx, tx, q.Person, known)
		if err != nil {
			return err
		}
		rules, _, err := s.rulesAsKnown(ctx, tx, q.At, known)
		if err != nil {
			return err
		}
		out, err = s.surroundings(ctx, tx, rules, &held, q.At, known)
		out.Qualification = rules.qualification(held, q)
		return err
	})
	return out, err
}

// readKnown reads for a question about what was known.
func (s *Service) readKnown(ctx context.Context, actor identity.Actor, person identity.PersonID, at, known time.Time, read func(tx *audit.Tx) error) error {
	if !officer(actor) && (actor.Person != person || actor.Guest()) {
		return ErrNotFound
	}
	if !sane(at) {
		return &Invalid{Field: "at"}
	}
	return s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if known.After(tx.Now()) || !sane(known) {
			return &Invalid{Field: "known"}
		}
		var since time.Time
		if err := tx.QueryRow(ctx, `select created_at from person where id = $1`, string(person)).Scan(&since); err != nil {
			return mapped("find person", err)
		}
		if known.Before(since) {
			return ErrNotYetKnown
		}
		return read(tx)
	})
}

// surroundings is what stands beside an answer.
func (s *Service) surroundings(ctx context.Context, tx *audit.Tx, rules *RuleSet, held *Credentials, at, known time.Time) (KnownAnswer, error) {
	out := KnownAnswer{Person: held.Person, At: at.UTC(), Known: known.UTC(), Home: held.Home, CheckedAt: orZero(held.ExclusionCheckedAt), Exclusions: held.Exclusions}
	for _, h := range held.List {
		out.Credentials = append(out.Credentials, PastCredential{Held: h, Standing: rules.StandingOf(h, at)})
	}
	var err error
	if out.Roles, err = selectRolesKnown(ctx, tx, held.Person, at, known); err != nil {
		return out, err
	}
	out.OwnPlaces, err = ownPlacesKnown(ctx, tx, rules, *held, at, known)
	return out, err
}

// selectRolesKnown are a person's roles as they were known, the first first.
func selectRolesKnown(ctx context.Context, tx *audit.Tx, person identity.PersonID, at, known time.Time) ([]PastRole, error) {
	rows, err := tx.Query(ctx, `
		select g.id::text, g.role, coalesce(g.organization_id::text, ''), g.valid_from, k.valid_until
		from role_grant g
		join role_known k on k.grant_id = g.id and k.known @> @known::timestamptz
		where g.person_id = @person
		order by g.valid_from, g.id`, pgx.StrictNamedArgs{"person": string(person), "known": known})
	if err != nil {
		return nil, mapped("read roles", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PastRole, error) {
		var r PastRole
		var until *time.Time
		err := row.Scan(&r.ID, &r.Role, &r.Organization, &r.From, &until)
		r.From, r.Until = r.From.UTC(), orZero(until)
		r.Held = !at.Before(r.From) && (r.Until.IsZero() || at.Before(r.Until))
		return r, err
	})
	return out, mapped("read roles", err)
}

// ownPlacesKnown are the places from which a person works, as they stood at an instant
// and were known at another: of each the last statement made until then counts, if it
// was made by the instant asked about.
func ownPlacesKnown(ctx context.Context, tx *audit.Tx, rules *RuleSet, held Credentials, at, known time.Time) ([]OwnPlaceState, error) {
	rows, err := tx.Query(ctx, `
		select place, max(signed_at)
		from attestation
		where person_id = @person and kind = 'own-place' and place is not null and signed_at <= @known and signed_at <= @at -- attestation_person
		group by place`, pgx.StrictNamedArgs{"person": string(held.Person), "known": known, "at": at})
	if err != nil {
		return nil, mapped("read statements", err)
	}
	signed := map[string]time.Time{}
	var place string
	var when time.Time
	if _, err := pgx.ForEachRow(rows, []any{&place, &when}, func() error {
		signed[place] = when.UTC()
		return nil
	}); err != nil {
		return nil, mapped("read statements", err)
	}
	out := ownPlacesOf(rules, held, signed, at)
	slices.SortFunc(out, func(a, b OwnPlaceState) int { return compare(a.Place, b.Place) })
	return out, nil
}

// pastRules keeps rule sets of the past that were compiled.
type pastRules struct {
	mu   sync.Mutex
	sets map[string]*RuleSet // by their editions; guarded by mu
}

// pastSets is how many are kept: an audit asks about few days, and a set takes some
// hundred kilobytes.
const pastSets = 8

// rulesAsKnown are the editions that decided a question about an instant when known was
// now, and when each of them came. An edition that was published later does not count,
// nor one that a later binary brought.
func (s *Service) rulesAsKnown(ctx context.Context, tx *audit.Tx, at, known time.Time) (*RuleSet, map[Edition]PastEdition, error) {
	if err := s.freshRules(ctx, tx); err != nil {
		return nil, nil, err
	}
	rows, err := tx.Query(ctx, `
		select code, version, encode(sha256, 'hex'), state, published_at, lower(effective), upper(effective), published_by is not null or by_operator
		from pack_edition
		where published_at is not null
		order by published_at, code, version`)
	if err != nil {
		return nil, nil, mapped("read editions", err)
	}
	all := map[Edition]PastEdition{}
	base, own := map[string]Edition{}, map[string]Edition{}
	later := false
	var e PastEdition
	var published publishedEdition
	var from, until *time.Time
	var here bool
	if _, err := pgx.ForEachRow(rows, []any{&e.Code, &e.Version, &e.SHA256, &e.Status, &e.Since, &from, &until, &here}, func() error {
		e.Since = e.Since.UTC()
		all[e.Edition] = e
		published.from, published.until = orZero(from), orZero(until)
		switch {
		case e.Since.After(known):
			later = true
		case !here:
			base[e.Code] = e.Edition
		case published.contains(at):
			own[e.Code] = e.Edition
		}
		return nil
	}); err != nil {
		return nil, nil, mapped("read editions", err)
	}
	if !later {
		return s.rulesAt(at), all, nil
	}
	if len(base) == 0 {
		return nil, nil, fmt.Errorf("rules: %w", ErrNotYetKnown)
	}
	for code, e := range own {
		base[code] = e
	}
	editions := make([]Edition, 0, len(base))
	for _, e := range base {
		editions = append(editions, e)
	}
	slices.SortFunc(editions, func(a, b Edition) int { return compare(a.Code, b.Code) })
	key := fmt.Sprint(editions)
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	if rules := s.past.sets[key]; rules != nil {
		return rules, all, nil
	}
	files, err := loadEditions(ctx, tx, editions)
	if err != nil {
		return nil, nil, err
	}
	rules, err := NewRuleSet(files, s.zones)
	if err != nil {
		return nil, nil, fmt.Errorf("editions as they were known: %w", err)
	}
	if s.past.sets == nil || len(s.past.sets) >= pastSets {
		s.past.sets = map[string]*RuleSet{}
	}
	s.past.sets[key] = rules
	return rules, all, nil
}
