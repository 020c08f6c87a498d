package credentialing

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// CredentialsOf is what was known at knownAt of what a person holds at any time.
// [Evaluate] picks by the instant it is asked about.
func (s *Service) CredentialsOf(ctx context.Context, tx *audit.Tx, person identity.PersonID, knownAt time.Time) (Credentials, error) {
	all, err := s.credentialsOf(ctx, tx, knownAt, person)
	if err != nil {
		return Credentials{}, err
	}
	c, ok := all[person]
	if !ok {
		return Credentials{}, ErrNotFound
	}
	return *c, nil
}

// claimed is a credential with one version of its claim, as rows come.
type claimed struct {
	Held
	person   identity.PersonID
	begins   time.Time
	approved time.Time
	current  bool
}

// credentialsOf reads several people with one query a table.
func (s *Service) credentialsOf(ctx context.Context, tx *audit.Tx, knownAt time.Time, people ...identity.PersonID) (map[identity.PersonID]*Credentials, error) {
	ids := make([]string, 0, len(people))
	for _, p := range people {
		if p != "" {
			ids = append(ids, string(p))
		}
	}
	args := pgx.StrictNamedArgs{"people": ids, "known": knownAt}
	out := map[identity.PersonID]*Credentials{}
	rows, err := tx.Query(ctx, `
		select p.id, p.home, p.languages, (
			select max(x.checked_at) from exclusion_check x where x.person_id = p.id and x.recorded_at <= @known)
		from person p
		where p.id = any(@people::uuid[])`, args)
	if err != nil {
		return nil, mapped("read people", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		c := &Credentials{List: []Held{}, Exclusions: []Exclusion{}}
		var languages []string
		if err := row.Scan(&c.Person, &c.Home, &languages, &c.ExclusionCheckedAt); err != nil {
			return struct{}{}, err
		}
		if c.ExclusionCheckedAt != nil {
			at := c.ExclusionCheckedAt.UTC()
			c.ExclusionCheckedAt = &at
		}
		c.Languages = baseLanguages(languages)
		out[c.Person] = c
		return struct{}{}, nil
	})
	if err != nil {
		return nil, mapped("read people", err)
	}
	list, err := selectHeld(ctx, tx, args)
	if err != nil {
		return nil, err
	}
	statuses, err := selectStatuses(ctx, tx, args)
	if err != nil {
		return nil, err
	}
	for _, h := range list {
		c, ok := out[h.person]
		if !ok {
			continue
		}
		h.Held.Status = statuses[h.Held.ID]
		if h.Held.Status == nil {
			h.Held.Status = []StatusFrom{}
		}
		c.List = append(c.List, h.Held)
	}
	if err := s.selectExclusions(ctx, tx, args, out); err != nil {
		return nil, err
	}
	return out, nil
}

// baseLanguages are the languages without region or script: what two people share.
func baseLanguages(tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, t := range tags {
		base, _, _ := strings.Cut(strings.ToLower(t), "-")
		out = append(out, base)
	}
	return sortedSet(out)
}

// selectHeld reads the credentials with the claims that count: each approved
// version, or the current claim where none is approved. A later approved version
// that begins after an earlier one is a renewal and stands beside it; one that does
// not begin later corrects it and stands in its place.
func selectHeld(ctx context.Context, tx *audit.Tx, args pgx.StrictNamedArgs) ([]claimed, error) {
	rows, err := tx.Query(ctx, `
		select c.id, c.person_id, c.kind, c.issuer, c.number, coalesce(c.jurisdiction, ''), c.via, c.compact_principal,
			cl.id, cl.content, cl.known @> @known::timestamptz, v.method, v.asked_at, v.verifier_id, v.next_due, lower(v.known)
		from credential c
		join credential_claim cl on cl.credential_id = c.id and lower(cl.known) <= @known
		left join lateral (
			select method, asked_at, verifier_id, next_due, known
			from verification v
			where v.credential_id = c.id and v.claim_id = cl.id and v.state = 'approved' and v.known @> @known::timestamptz
			order by v.asked_at desc, v.id desc
			limit 1) v on true
		where c.person_id = any(@people::uuid[]) and c.recorded_at <= @known and (v.method is not null or cl.known @> @known::timestamptz)
		order by c.id, cl.id`, args)
	if err != nil {
		return nil, mapped("read credentials", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (claimed, error) {
		var h claimed
		var content []byte
		var method, verifier *string
		var asked, due, approved *time.Time
		err := row.Scan(&h.ID, &h.person, &h.Kind, &h.Issuer, &h.Number, &h.Jurisdiction, &h.Via, &h.CompactPrincipal,
			&h.Version, &content, &h.current, &method, &asked, &verifier, &due, &approved)
		if err != nil {
			return h, err
		}
		var c Claim
		if err := json.Unmarshal(content, &c); err != nil {
			return h, err
		}
		h.Type, h.ValidFrom, h.ValidTo, h.Timezone, h.Facility = c.Type, c.ValidFrom, c.ValidTo, c.Timezone, c.Facility
		h.Activities, h.Territories, h.Pair, h.Modes = c.Activities, c.Territories, c.Pair, c.Modes
		h.Currency, h.PerClaim, h.Aggregate = c.Currency, c.PerClaim, c.Aggregate
		if h.Activities == nil {
			h.Activities = []Activity{}
		}
		if method != nil {
			h.Verified = &Verified{Method: *method, At: asked.UTC(), By: *verifier, NextDue: orZero(due)}
		}
		h.approved, h.begins = orZero(approved), c.ValidFrom.begins(nil, false)
		return h, nil
	})
	if err != nil {
		return nil, mapped("read credentials", err)
	}
	return slices.DeleteFunc(all, func(h claimed) bool {
		for _, other := range all {
			if other.ID != h.ID || other.Version == h.Version {
				continue
			}
			if h.Verified == nil && other.Verified != nil {
				return true // a new claim counts only when approved; until then the old one does
			}
			if h.Verified != nil && other.Verified != nil && other.Version > h.Version && !other.begins.After(h.begins) {
				return true // corrected
			}
		}
		return false
	}), nil
}

func selectStatuses(ctx context.Context, tx *audit.Tx, args pgx.StrictNamedArgs) (map[string][]StatusFrom, error) {
	rows, err := tx.Query(ctx, `
		select s.credential_id, s.status, s.from_at
		from credential_status s
		where s.subject_id = any(@people::uuid[]) and s.recorded_at <= @known
			and (s.status <> 'active' or s.confirmed_by is not null)
			and not exists (select 1 from credential_status n where n.supersedes = s.id and n.recorded_at <= @known)
		order by s.from_at, s.recorded_at, s.id`, args)
	if err != nil {
		return nil, mapped("read statuses", err)
	}
	out := map[string][]StatusFrom{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var id string
		var st StatusFrom
		if err := row.Scan(&id, &st.Status, &st.From); err != nil {
			return struct{}{}, err
		}
		st.From = st.From.UTC()
		out[id] = append(out[id], st)
		return struct{}{}, nil
	})
	return out, mapped("read statuses", err)
}

// selectExclusions adds the matches that count: not cleared by two people; by name
// only from the time by which somebody had to decide.
func (s *Service) selectExclusions(ctx context.Context, tx *audit.Tx, args pgx.StrictNamedArgs, out map[identity.PersonID]*Credentials) error {
	rows, err := tx.Query(ctx, `
		select e.person_id, e.list, e.entry, e.from_at, e.to_at, e.strength, e.recorded_at, coalesce((
			select d.decision
			from exclusion_decision d
			where d.exclusion_id = e.id and d.recorded_at <= @known and (d.decision = 'confirmed' or d.confirmed_by is not null)
			order by d.id desc
			limit 1), '')
		from exclusion e
		where e.person_id = any(@people::uuid[]) and e.recorded_at <= @known
		order by e.id`, args)
	if err != nil {
		return mapped("read exclusions", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var person identity.PersonID
		var e Exclusion
		var to *time.Time
		var strength, decision string
		var recorded time.Time
		if err := row.Scan(&person, &e.List, &e.Entry, &e.From, &to, &strength, &recorded, &decision); err != nil {
			return struct{}{}, err
		}
		e.From, e.To = e.From.UTC(), orZero(to)
		if strength == "weak" && decision == "" {
			if after := workingDaysAfter(recorded.UTC(), s.clocks.WeakMatchDays); after.After(e.From) {
				e.From = after
			}
		}
		if c, ok := out[person]; ok && decision != "cleared" {
			c.Exclusions = append(c.Exclusions, e)
		}
		return struct{}{}, nil
	})
	return mapped("read exclusions", err)
}

// organizationFacts is what a determination must know about organizations.
type organizationFacts struct {
	place      string // of the case's organization
	licenses   []FacilityLicense
	agreements []Agreement // from it to an organization of the person
	employs    []tenure    // the person's organizations
}

// tenure is that a person works for an organization, from and until.
type tenure struct {
	organization identity.OrganizationID
	from, until  time.Time
}

func selectOrganization(ctx context.Context, tx *audit.Tx, org, facility identity.OrganizationID, person identity.PersonID, knownAt time.Time) (organizationFacts, error) {
	var f organizationFacts
	if org == "" {
		return f, nil
	}
	if err := tx.QueryRow(ctx, `select place from organization where id = $1`, string(org)).Scan(&f.place); err != nil {
		return f, mapped("read organization", err)
	}
	if facility == "" {
		facility = org
	}
	args := pgx.StrictNamedArgs{"facility": string(facility), "known": knownAt}
	rows, err := tx.Query(ctx, `
		select id, jurisdiction, issuer, number, valid_from, valid_to
		from facility_license
		where organization_id = @facility and known @> @known::timestamptz
		order by id`, args)
	if err != nil {
		return f, mapped("read facility licenses", err)
	}
	f.licenses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (FacilityLicense, error) {
		l := FacilityLicense{Organization: facility}
		var to *time.Time
		err := row.Scan(&l.ID, &l.Jurisdiction, &l.Issuer, &l.Number, &l.ValidFrom, &to)
		l.ValidFrom, l.ValidTo = l.ValidFrom.UTC(), orZero(to)
		return l, err
	})
	if err != nil {
		return f, mapped("read facility licenses", err)
	}
	args = pgx.StrictNamedArgs{"org": string(org), "person": string(person), "known": knownAt}
	rows, err = tx.Query(ctx, `
		select a.id, a.from_organization_id, a.to_organization_id, a.ground, a.data_classes, a.valid_from, a.valid_to
		from agreement a
		where a.from_organization_id = @org and a.known @> @known::timestamptz
			and a.to_organization_id in (select g.organization_id from role_grant g where g.person_id = @person)
		order by a.ground, a.id`, args)
	if err != nil {
		return f, mapped("read agreements", err)
	}
	f.agreements, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Agreement, error) {
		var a Agreement
		var to *time.Time
		err := row.Scan(&a.ID, &a.From, &a.To, &a.Ground, &a.DataClasses, &a.ValidFrom, &to)
		a.ValidFrom, a.ValidTo = a.ValidFrom.UTC(), orZero(to)
		return a, err
	})
	if err != nil {
		return f, mapped("read agreements", err)
	}
	rows, err = tx.Query(ctx, `
		select organization_id, valid_from, valid_until
		from role_grant
		where person_id = $1 and organization_id is not null`, string(person))
	if err != nil {
		return f, mapped("read roles", err)
	}
	f.employs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (tenure, error) {
		var t tenure
		var until *time.Time
		err := row.Scan(&t.organization, &t.from, &until)
		t.until = orZero(until)
		return t, err
	})
	return f, mapped("read roles", err)
}
