package credentialing

import (
	"context"
	"encoding/json"
	"maps"
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
	var b pgx.Batch
	held := s.queueCredentials(&b, knownAt, knownAt.Before(tx.Now()), people...)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, mapped("read credentials", err)
	}
	return held(s.Rules()), nil
}

// presentPeopleSQL and pastPeopleSQL are where people are established and what they
// speak, now and as it was known.
const (
	presentPeopleSQL = `
		select p.id, p.home, p.languages, (
			select max(x.checked_at) from exclusion_check x where x.person_id = p.id and x.recorded_at <= @known)
		from person p
		where p.id = any(@people::uuid[])`
	pastPeopleSQL = `
		select p.id, coalesce(k.home, ''), coalesce(k.languages, '{}'), (
			select max(x.checked_at) from exclusion_check x where x.person_id = p.id and x.recorded_at <= @known)
		from person p
		left join person_known k on k.person_id = p.id and k.known @> @known::timestamptz
		where p.id = any(@people::uuid[])`
)

// queueCredentials queues the questions of credentialsOf, one a table; what it returns
// gives the answer, under rules, once the batch has been read. past tells that knownAt is
// not now.
func (s *Service) queueCredentials(b *pgx.Batch, knownAt time.Time, past bool, people ...identity.PersonID) func(*RuleSet) map[identity.PersonID]*Credentials {
	ids := make([]string, 0, len(people))
	for _, p := range people {
		if p != "" {
			ids = append(ids, string(p))
		}
	}
	args := pgx.StrictNamedArgs{"people": ids, "known": knownAt}
	out := map[identity.PersonID]*Credentials{}
	peopleSQL := presentPeopleSQL
	if past {
		peopleSQL = pastPeopleSQL
	}
	b.Queue(peopleSQL, args).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
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
		return err
	})
	var list []claimed
	queueHeld(b, args, &list)
	statuses := map[string][]StatusFrom{}
	queueStatuses(b, args, statuses)
	s.queueExclusions(b, args, out)
	return func(rules *RuleSet) map[identity.PersonID]*Credentials {
		for _, h := range counting(list) {
			c, ok := out[h.person]
			if !ok {
				continue
			}
			h.Held.Territories = rules.territories(h.Held.Territories)
			h.Held.Status = statuses[h.Held.ID]
			if h.Held.Status == nil {
				h.Held.Status = []StatusFrom{}
			}
			c.List = append(c.List, h.Held)
		}
		return out
	}
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
func queueHeld(b *pgx.Batch, args pgx.StrictNamedArgs, into *[]claimed) {
	b.Queue(`
		select c.id, c.person_id, c.kind, c.issuer, c.number, coalesce(c.jurisdiction, ''), c.via, c.compact_principal,
			cl.id, cl.content, cl.known @> @known::timestamptz, v.method, v.asked_at, v.verifier_id, v.next_due, lower(v.known),
			coalesce(encode(v.evidence_sha256, 'hex'), '')
		from credential c
		join credential_claim cl on cl.credential_id = c.id and lower(cl.known) <= @known
		left join lateral (
			select method, asked_at, verifier_id, next_due, known, evidence_sha256
			from verification v
			where v.credential_id = c.id and v.claim_id = cl.id and v.state = 'approved' and v.known @> @known::timestamptz
			order by v.asked_at desc, v.id desc
			limit 1) v on true
		where c.person_id = any(@people::uuid[]) and c.recorded_at <= @known and (v.method is not null or cl.known @> @known::timestamptz)
		order by c.id, cl.id`, args).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scanClaimed)
		return err
	})
}

func scanClaimed(row pgx.CollectableRow) (claimed, error) {
	var h claimed
	var content []byte
	var evidence string
	var method, verifier *string
	var asked, due, approved *time.Time
	err := row.Scan(&h.ID, &h.person, &h.Kind, &h.Issuer, &h.Number, &h.Jurisdiction, &h.Via, &h.CompactPrincipal,
		&h.Version, &content, &h.current, &method, &asked, &verifier, &due, &approved, &evidence)
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
	h.RestsOn = slices.Concat(c.Proxy.rests(), c.Terms.rests())
	for _, r := range c.Restrictions {
		r.Text = ""
		h.Restrictions = append(h.Restrictions, r)
	}
	if h.Activities == nil {
		h.Activities = []Activity{}
	}
	if method != nil {
		h.Verified = &Verified{Method: *method, At: asked.UTC(), By: *verifier, NextDue: orZero(due), Evidence: evidence}
	}
	h.approved, h.begins = orZero(approved), c.ValidFrom.begins(nil, false)
	return h, nil
}

// counting leaves out the claims that another version of them stands for.
func counting(all []claimed) []claimed {
	return slices.DeleteFunc(slices.Clone(all), func(h claimed) bool {
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
	})
}

func queueStatuses(b *pgx.Batch, args pgx.StrictNamedArgs, into map[string][]StatusFrom) {
	b.Queue(`
		select s.credential_id, s.status, s.from_at
		from credential_status s
		where s.subject_id = any(@people::uuid[]) and s.recorded_at <= @known
			and (s.status <> 'active' or s.confirmed_by is not null)
			and not exists (select 1 from credential_status n where n.supersedes = s.id and n.recorded_at <= @known)
		order by s.from_at, s.recorded_at, s.id`, args).Query(func(rows pgx.Rows) error {
		var id string
		var st StatusFrom
		_, err := pgx.ForEachRow(rows, []any{&id, &st.Status, &st.From}, func() error {
			into[id] = append(into[id], StatusFrom{Status: st.Status, From: st.From.UTC()})
			return nil
		})
		return err
	})
}

// selectExclusions adds the matches that count: not cleared by two people; by name
// only from the time by which somebody had to decide.
func (s *Service) queueExclusions(b *pgx.Batch, args pgx.StrictNamedArgs, out map[identity.PersonID]*Credentials) {
	b.Queue(`
		select e.person_id, e.list, e.entry, e.from_at, e.to_at, e.strength, e.recorded_at, coalesce((
			select d.decision
			from exclusion_decision d
			where d.exclusion_id = e.id and d.recorded_at <= @known and (d.decision = 'confirmed' or d.confirmed_by is not null)
			order by d.id desc
			limit 1), '')
		from exclusion e
		where e.person_id = any(@people::uuid[]) and e.recorded_at <= @known
		order by e.id`, args).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
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
		return err
	})
}

// tenure is that a person works for an organization, from and until.
type tenure struct {
	organization identity.OrganizationID
	from, until  time.Time
}

// dossier is all that the record knows about the people and organizations of some
// questions, read with one query a table.
type dossier struct {
	people     map[identity.PersonID]*Credentials
	places     map[identity.OrganizationID]string
	licenses   map[identity.OrganizationID][]FacilityLicense
	agreements map[identity.OrganizationID][]Agreement // by the organization whose records go
	employs    map[identity.PersonID][]tenure
	written    map[identity.PersonID][]byte // credentials in canonical JSON, where they are kept
}

func newDossier() *dossier {
	return &dossier{people: map[identity.PersonID]*Credentials{}, places: map[identity.OrganizationID]string{}, licenses: map[identity.OrganizationID][]FacilityLicense{},
		agreements: map[identity.OrganizationID][]Agreement{}, employs: map[identity.PersonID][]tenure{}, written: map[identity.PersonID][]byte{}}
}

// load reads what is on file about everybody the questions are about, as known at an
// instant.
func (s *Service) load(ctx context.Context, tx *audit.Tx, knownAt time.Time, asks ...Ask) (*dossier, error) {
	var b pgx.Batch
	load := s.queueLoad(&b, tx, knownAt, asks...)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, mapped("read what is on file", err)
	}
	return load(ctx)
}

// queueLoad queues the questions of load; what it returns gives the answer once the batch
// has been read. What is kept of a few people and organizations is not read again while it
// holds.
func (s *Service) queueLoad(b *pgx.Batch, tx *audit.Tx, knownAt time.Time, asks ...Ask) func(ctx context.Context) (*dossier, error) {
	people, organizations := map[identity.PersonID]bool{}, map[identity.OrganizationID]bool{}
	for _, a := range asks {
		people[a.Person], people[a.Case.Local.ID] = true, true
		organizations[a.Case.Organization], organizations[a.Case.facility()] = true, true
	}
	delete(people, "")
	delete(organizations, "")
	who := subjects{slices.Sorted(maps.Keys(people)), slices.Sorted(maps.Keys(organizations))}
	if who.few() && !knownAt.Before(tx.Now()) {
		if load, ok := s.queueKept(b, tx, knownAt, who); ok {
			return load
		}
	}
	return s.queueRead(b, tx, knownAt, who)
}

// idStrings are ids as the database takes them.
func idStrings[T ~string](ids []T) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func (d *dossier) queuePlaces(b *pgx.Batch, orgs []string) {
	b.Queue(`select id, place from organization where id = any($1::uuid[])`, orgs).Query(func(rows pgx.Rows) error {
		var id identity.OrganizationID
		var place string
		_, err := pgx.ForEachRow(rows, []any{&id, &place}, func() error {
			d.places[id] = place
			return nil
		})
		return err
	})
}

func (d *dossier) queueLicenses(b *pgx.Batch, args pgx.StrictNamedArgs) {
	b.Queue(`
		select id, organization_id, jurisdiction, issuer, number, valid_from, valid_to
		from facility_license
		where organization_id = any(@organizations::uuid[]) and known @> @known::timestamptz
		order by id`, args).Query(func(rows pgx.Rows) error {
		var l FacilityLicense
		var to *time.Time
		_, err := pgx.ForEachRow(rows, []any{&l.ID, &l.Organization, &l.Jurisdiction, &l.Issuer, &l.Number, &l.ValidFrom, &to}, func() error {
			l.ValidFrom, l.ValidTo = l.ValidFrom.UTC(), orZero(to)
			d.licenses[l.Organization] = append(d.licenses[l.Organization], l)
			return nil
		})
		return err
	})
}

func (d *dossier) queueAgreements(b *pgx.Batch, args pgx.StrictNamedArgs) {
	b.Queue(`
		select id, from_organization_id, to_organization_id, ground, valid_from, valid_to
		from agreement
		where from_organization_id = any(@organizations::uuid[]) and known @> @known::timestamptz
		order by ground, id`, args).Query(func(rows pgx.Rows) error {
		var a Agreement
		var to *time.Time
		_, err := pgx.ForEachRow(rows, []any{&a.ID, &a.From, &a.To, &a.Ground, &a.ValidFrom, &to}, func() error {
			a.ValidFrom, a.ValidTo = a.ValidFrom.UTC(), orZero(to)
			d.agreements[a.From] = append(d.agreements[a.From], a)
			return nil
		})
		return err
	})
}

// presentTenuresSQL and pastTenuresSQL are for whom people work, now and as it was known.
const (
	presentTenuresSQL = `
		select g.person_id, g.organization_id, g.valid_from, g.valid_until
		from role_grant g
		where g.person_id = any(@people::uuid[]) and g.organization_id is not null and @known::timestamptz is not null
		order by g.id`
	pastTenuresSQL = `
		select g.person_id, g.organization_id, g.valid_from, k.valid_until
		from role_grant g
		join role_known k on k.grant_id = g.id and k.known @> @known::timestamptz
		where g.person_id = any(@people::uuid[]) and g.organization_id is not null
		order by g.id`
)

func (d *dossier) queueTenures(b *pgx.Batch, people []string, knownAt time.Time, past bool) {
	sql := presentTenuresSQL
	if past {
		sql = pastTenuresSQL
	}
	b.Queue(sql, pgx.StrictNamedArgs{"people": people, "known": knownAt}).Query(func(rows pgx.Rows) error {
		var person identity.PersonID
		var t tenure
		var until *time.Time
		_, err := pgx.ForEachRow(rows, []any{&person, &t.organization, &t.from, &until}, func() error {
			t.from, t.until = t.from.UTC(), orZero(until)
			d.employs[person] = append(d.employs[person], t)
			return nil
		})
		return err
	})
}
