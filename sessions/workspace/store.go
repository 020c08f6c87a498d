package workspace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// caseRow is a case with its sealed content.
type caseRow struct {
	Case
	sealed    []byte
	createdBy identity.PersonID
}

func nullable[T ~string](v T) *string {
	if v == "" {
		return nil
	}
	s := string(v)
	return &s
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// membershipOf reads the actor's parts in a case; the row policy lets a person see
// the own rows whatever the clinic.
func membershipOf(ctx context.Context, tx *audit.Tx, id CaseID, person identity.PersonID) ([]Role, identity.OrganizationID, error) {
	if person == "" {
		return nil, "", nil
	}
	rows, err := tx.Query(ctx, `
		select role, organization_id::text
		from case_member
		where person_id = $1 and case_id = $2 and until_at is null
		order by role`, string(person), string(id)) // case_member_person
	if err != nil {
		return nil, "", err
	}
	var roles []Role
	var role, org string
	_, err = pgx.ForEachRow(rows, []any{&role, &org}, func() error {
		roles = append(roles, Role(role))
		return nil
	})
	return roles, identity.OrganizationID(org), err
}

const caseColumns = `c.id::text, c.organization_id::text, c.number, c.state, c.version, c.specialty, c.urgency,
	c.place, c.place_at, coalesce(c.place_by::text, ''), c.place_how, c.zone, c.languages, c.sealed_content, c.created_by::text,
	c.created_at, c.changed_at, c.due_at, c.reason, c.handed_to, c.handed_back_at,
	coalesce((select m.person_id::text from case_member m where m.case_id = c.id and m.role = 'responsible' and m.until_at is null), ''),
	coalesce((select m.person_id::text from case_member m where m.case_id = c.id and m.role = 'specialist' and m.until_at is null
	          order by m.from_at desc limit 1), ''),
	coalesce(p.initials, ''), coalesce(p.sex, ''), coalesce(p.birth_year, 0), coalesce(p.person_id::text, '')`

func scanCase(row pgx.CollectableRow) (caseRow, error) {
	var c caseRow
	var placeAt, due, handed *time.Time
	err := row.Scan(&c.ID, &c.Organization, &c.Number, &c.State, &c.Version, &c.Specialty, &c.Urgency,
		&c.Place, &placeAt, &c.PlaceBy, &c.PlaceHow, &c.Zone, &c.Languages, &c.sealed, &c.createdBy,
		&c.CreatedAt, &c.ChangedAt, &due, &c.Reason, &c.HandedTo, &handed, &c.Responsible, &c.Specialist,
		&c.Patient.Initials, &c.Patient.Sex, &c.Patient.BirthYear, &c.Patient.Person)
	c.PlaceAt, c.DueAt, c.HandBackAt = value(placeAt), value(due), value(handed)
	c.CreatedAt, c.ChangedAt = c.CreatedAt.UTC(), c.ChangedAt.UTC()
	return c, err
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

const caseSQL = `
	select ` + caseColumns + `
	from clinical_case c left join case_patient p on p.case_id = c.id
	where c.id = $1`

func selectCase(ctx context.Context, tx *audit.Tx, id CaseID, lock bool) (caseRow, error) {
	if lock {
		// The row first: two commands on one case wait for each other here.
		var one int
		err := tx.QueryRow(ctx, `select 1 from clinical_case where id = $1 for update`, string(id)).Scan(&one)
		if errors.Is(err, pgx.ErrNoRows) {
			return caseRow{}, ErrNotFound
		}
		if err != nil {
			return caseRow{}, fmt.Errorf("lock case %s: %w", id, err)
		}
	}
	rows, err := tx.Query(ctx, caseSQL, string(id))
	if err != nil {
		return caseRow{}, err
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanCase)
	if errors.Is(err, pgx.ErrNoRows) {
		return caseRow{}, ErrNotFound
	}
	return c, err
}

// selectMemberCases lists the clinics and cases of a person, for lists that cross
// clinics.
func selectMemberCases(ctx context.Context, tx *audit.Tx, person identity.PersonID) (map[identity.OrganizationID][]string, error) {
	rows, err := tx.Query(ctx, `
		select distinct organization_id::text, case_id::text
		from case_member
		where person_id = $1 and until_at is null and role in ('responsible','specialist')`, string(person)) // case_member_person
	if err != nil {
		return nil, err
	}
	out := map[identity.OrganizationID][]string{}
	var org, id string
	_, err = pgx.ForEachRow(rows, []any{&org, &id}, func() error {
		out[identity.OrganizationID(org)] = append(out[identity.OrganizationID(org)], id)
		return nil
	})
	return out, err
}

// selectCases lists cases of the scope's clinic: the given ones, or all if ids is nil.
func selectCases(ctx context.Context, tx *audit.Tx, ids []string, limit int) ([]caseRow, error) {
	rows, err := tx.Query(ctx, `
		select `+caseColumns+`
		from clinical_case c left join case_patient p on p.case_id = c.id
		where $1::uuid[] is null or c.id = any($1::uuid[])
		order by c.changed_at desc, c.id desc
		limit $2`, ids, limit) // clinical_case_changed
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanCase)
}

// nextNumber counts a clinic's cases; the counter row is locked to the end.
func nextNumber(ctx context.Context, tx *audit.Tx, org identity.OrganizationID) (string, error) {
	var n int64
	// The first number of a clinic is 2001: nobody is the first patient.
	err := tx.QueryRow(ctx, `
		insert into case_counter (organization_id, last) values ($1, 2001)
		on conflict (organization_id) do update set last = case_counter.last + 1
		returning last`, string(org)).Scan(&n)
	return Number(n), err
}

func insertCase(ctx context.Context, tx *audit.Tx, c caseRow) error {
	_, err := tx.Exec(ctx, `
		insert into clinical_case (id, organization_id, number, state, version, specialty, urgency, place, zone, languages,
		  sealed_content, created_by, created_at, changed_at)
		values (@id, @org, @number, @state, @version, @specialty, @urgency, @place, @zone, @languages, @sealed, @by, @at, @at)`,
		pgx.StrictNamedArgs{"id": string(c.ID), "org": string(c.Organization), "number": c.Number, "state": string(c.State),
			"version": c.Version, "specialty": c.Specialty, "urgency": string(c.Urgency), "place": c.Place, "zone": c.Zone,
			"languages": c.Languages, "sealed": c.sealed, "by": string(c.createdBy), "at": c.CreatedAt})
	return err
}

func updateCase(ctx context.Context, tx *audit.Tx, c caseRow) error {
	_, err := tx.Exec(ctx, `
		update clinical_case
		set state = @state, version = @version, specialty = @specialty, urgency = @urgency, place = @place, place_at = @place_at,
		  place_by = @place_by, place_how = @place_how, zone = @zone, languages = @languages, sealed_content = @sealed,
		  changed_at = @at, due_at = @due, reason = @reason, handed_to = @handed_to, handed_back_at = @handed
		where id = @id`,
		pgx.StrictNamedArgs{"id": string(c.ID), "state": string(c.State), "version": c.Version, "specialty": c.Specialty,
			"urgency": string(c.Urgency), "place": c.Place, "place_at": nullTime(c.PlaceAt), "place_by": nullable(c.PlaceBy),
			"place_how": c.PlaceHow, "zone": c.Zone, "languages": c.Languages, "sealed": c.sealed, "at": c.ChangedAt,
			"due": nullTime(c.DueAt), "reason": c.Reason, "handed_to": c.HandedTo, "handed": nullTime(c.HandBackAt)})
	return err
}

func upsertPatient(ctx context.Context, tx *audit.Tx, c caseRow, sealed []byte, confirmed bool) error {
	var at *time.Time
	if confirmed {
		now := tx.Now()
		at = &now
	}
	_, err := tx.Exec(ctx, `
		insert into case_patient (case_id, organization_id, person_id, initials, sex, birth_year, sealed_identity, confirmed_at)
		values (@id, @org, @person, @initials, @sex, @year, @sealed, @confirmed)
		on conflict (case_id) do update
		set person_id = excluded.person_id, initials = excluded.initials, sex = excluded.sex, birth_year = excluded.birth_year,
		  sealed_identity = excluded.sealed_identity, confirmed_at = excluded.confirmed_at`,
		pgx.StrictNamedArgs{"id": string(c.ID), "org": string(c.Organization), "person": nullable(c.Patient.Person),
			"initials": c.Patient.Initials, "sex": c.Patient.Sex, "year": c.Patient.BirthYear, "sealed": sealed, "confirmed": at})
	return err
}

func selectPatient(ctx context.Context, tx *audit.Tx, id CaseID) (sealed []byte, confirmed time.Time, err error) {
	var at *time.Time
	err = tx.QueryRow(ctx, `select sealed_identity, confirmed_at from case_patient where case_id = $1`, string(id)).Scan(&sealed, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, time.Time{}, nil
	}
	return sealed, value(at), err
}

func insertMember(ctx context.Context, tx *audit.Tx, c caseRow, person identity.PersonID, role Role, by identity.PersonID) error {
	_, err := tx.Exec(ctx, `
		insert into case_member (id, organization_id, case_id, person_id, role, from_at, added_by)
		values (@id, @org, @case, @person, @role, @at, @by)
		on conflict do nothing`,
		pgx.StrictNamedArgs{"id": newID[string](), "org": string(c.Organization), "case": string(c.ID), "person": string(person),
			"role": string(role), "at": tx.Now(), "by": string(by)})
	return err
}

// endMembers ends all memberships of a role but that of one person.
func endMembers(ctx context.Context, tx *audit.Tx, id CaseID, role Role, but identity.PersonID) error {
	_, err := tx.Exec(ctx, `
		update case_member set until_at = $4
		where case_id = $1 and role = $2 and until_at is null and person_id::text <> $3`, string(id), string(role), string(but), tx.Now())
	return err
}

func selectMembers(ctx context.Context, tx *audit.Tx, id CaseID) ([]Member, error) {
	rows, err := tx.Query(ctx, `
		select person_id::text, role, from_at, until_at
		from case_member where case_id = $1 order by from_at, role`, string(id))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Member, error) {
		var m Member
		var until *time.Time
		err := row.Scan(&m.Person, &m.Role, &m.From, &until)
		m.From, m.Until = m.From.UTC(), value(until)
		return m, err
	})
}

func insertPlace(ctx context.Context, tx *audit.Tx, c caseRow) error {
	_, err := tx.Exec(ctx, `
		insert into case_place (id, organization_id, case_id, place, how, asked_by, asked_at)
		values (@id, @org, @case, @place, @how, @by, @at)`,
		pgx.StrictNamedArgs{"id": newID[string](), "org": string(c.Organization), "case": string(c.ID), "place": c.Place,
			"how": c.PlaceHow, "by": string(c.PlaceBy), "at": c.PlaceAt})
	return err
}

func insertMessage(ctx context.Context, tx *audit.Tx, c caseRow, m Message, sealed []byte) error {
	_, err := tx.Exec(ctx, `
		insert into case_message (id, organization_id, case_id, author_id, audience, session_id, language, sealed_text, said_at)
		values (@id, @org, @case, @author, @audience, @session, @language, @sealed, @at)`,
		pgx.StrictNamedArgs{"id": string(m.ID), "org": string(c.Organization), "case": string(c.ID), "author": nullable(m.Author),
			"audience": m.Audience, "session": nullable(m.Session), "language": m.Language, "sealed": sealed, "at": m.At})
	return err
}

type messageRow struct {
	Message
	sealed []byte
}

func selectMessages(ctx context.Context, tx *audit.Tx, id CaseID) ([]messageRow, error) {
	rows, err := tx.Query(ctx, `
		select id::text, coalesce(author_id::text, ''), audience, coalesce(session_id::text, ''), language, sealed_text, said_at
		from case_message where case_id = $1 order by id limit 1000`, string(id)) // case_message_by_case
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (messageRow, error) {
		var m messageRow
		err := row.Scan(&m.ID, &m.Author, &m.Audience, &m.Session, &m.Language, &m.sealed, &m.At)
		m.At = m.At.UTC()
		return m, err
	})
}
