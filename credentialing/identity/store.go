package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

const personColumns = `p.id::text, p.name, p.title, p.language, p.languages, p.zone, p.home, p.specialty, p.email, p.gender, p.disabled_at is not null`

func scanPerson(row pgx.CollectableRow) (p Person, err error) {
	err = row.Scan(&p.ID, &p.Name, &p.Title, &p.Language, &p.Languages, &p.Zone, &p.Home, &p.Specialty, &p.Email, &p.Gender, &p.Disabled)
	return p, err
}

const peopleSQL = `
	select ` + personColumns + `
	from person p
	where p.id = any ($1)`

// queuePeople queues the question of people; what it returns is filled in when the batch
// is read.
func queuePeople(b *pgx.Batch, ids []PersonID) map[PersonID]Person {
	found := make(map[PersonID]Person, len(ids))
	if known := uuids(ids); len(known) > 0 {
		b.Queue(peopleSQL, known).Query(func(rows pgx.Rows) error {
			list, err := pgx.CollectRows(rows, scanPerson)
			for _, p := range list {
				found[p.ID] = p
			}
			return err
		})
	}
	return found
}

func people(ctx context.Context, tx pgx.Tx, ids []PersonID) (map[PersonID]Person, error) {
	found := make(map[PersonID]Person, len(ids))
	known := uuids(ids)
	if len(known) == 0 {
		return found, nil
	}
	rows, _ := tx.Query(ctx, peopleSQL, known)
	list, err := pgx.CollectRows(rows, scanPerson)
	for _, p := range list {
		found[p.ID] = p
	}
	return found, err
}

func peopleWith(ctx context.Context, tx *audit.Tx, r Role, specialty string) ([]Person, error) {
	rows, _ := tx.Query(ctx, `
		select `+personColumns+`
		from person p
		where p.disabled_at is null
		  and (@specialty = '' or p.specialty = @specialty)
		  and exists (
		    select from role_grant g -- role_grant_role
		    where g.role = @role and g.person_id = p.id
		      and g.valid_from <= @now and (g.valid_until is null or g.valid_until > @now))
		order by p.name, p.id`,
		pgx.StrictNamedArgs{"role": string(r), "specialty": specialty, "now": tx.Now()})
	return pgx.CollectRows(rows, scanPerson)
}

func peopleOf(ctx context.Context, tx *audit.Tx, org OrganizationID, r Role) ([]Person, error) {
	rows, _ := tx.Query(ctx, `
		select `+personColumns+`
		from person p
		where p.disabled_at is null
		  and exists (
		    select from role_grant g -- role_grant_role
		    where g.role = @role and g.organization_id = @organization and g.person_id = p.id
		      and g.valid_from <= @now and (g.valid_until is null or g.valid_until > @now))
		order by p.name, p.id`,
		pgx.StrictNamedArgs{"role": string(r), "organization": string(org), "now": tx.Now()})
	return pgx.CollectRows(rows, scanPerson)
}

func insertPerson(ctx context.Context, tx *audit.Tx, p Person) error {
	_, err := tx.Exec(ctx, `
		insert into person (id, name, title, language, languages, zone, home, specialty, email, gender, created_at)
		values (@id, @name, @title, @language, @languages, @zone, @home, @specialty, @email, @gender, @now)`,
		pgx.StrictNamedArgs{"id": string(p.ID), "name": p.Name, "title": p.Title, "language": p.Language, "languages": p.Languages,
			"zone": p.Zone, "home": p.Home, "specialty": p.Specialty, "email": p.Email, "gender": string(p.Gender), "now": tx.Now()})
	return mapped(err)
}

func updatePreferences(ctx context.Context, tx *audit.Tx, id PersonID, tag, zone string) error {
	done, err := tx.Exec(ctx, `update person set language = $2, zone = $3 where id = $1`, string(id), tag, zone)
	return changed(done.RowsAffected(), err)
}

func updateGender(ctx context.Context, tx *audit.Tx, id PersonID, g Gender) error {
	done, err := tx.Exec(ctx, `update person set gender = $2 where id = $1`, string(id), string(g))
	return changed(done.RowsAffected(), err)
}

func disablePerson(ctx context.Context, tx *audit.Tx, id PersonID) error {
	done, err := tx.Exec(ctx, `update person set disabled_at = $2 where id = $1 and disabled_at is null`, string(id), tx.Now())
	return changed(done.RowsAffected(), err)
}

// organizations returns those with the ids that exist, or all; by name.
func organizations(ctx context.Context, tx pgx.Tx, ids []OrganizationID) ([]Organization, error) {
	rows, _ := tx.Query(ctx, `
		select id::text, name, kind, zone, place
		from organization
		where $1::uuid[] is null or id = any ($1)
		order by name, id`, uuids(ids))
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Organization, err error) {
		err = row.Scan(&o.ID, &o.Name, &o.Kind, &o.Zone, &o.Place)
		return o, err
	})
}

func insertOrganization(ctx context.Context, tx *audit.Tx, o Organization) error {
	_, err := tx.Exec(ctx, `
		insert into organization (id, name, kind, zone, place, created_at)
		values ($1, $2, $3, $4, $5, $6)`, string(o.ID), o.Name, o.Kind, o.Zone, o.Place, tx.Now())
	return mapped(err)
}

const grantColumns = `g.id::text, coalesce(g.organization_id::text, ''), g.role, g.valid_from, g.valid_until`

func scanGrant(row pgx.CollectableRow) (g Grant, err error) {
	var until *time.Time
	err = row.Scan(&g.ID, &g.Organization, &g.Role, &g.From, &until)
	g.From, g.Until = g.From.UTC(), deref(until)
	return g, err
}

// grantsInForce are a person's at the transaction's instant, oldest first.
const grantsSQL = `
	select ` + grantColumns + `
	from role_grant g -- role_grant_person
	where g.person_id = $1 and g.valid_from <= $2 and (g.valid_until is null or g.valid_until > $2)
	order by g.valid_from, g.id`

// queueGrants is grantsInForce as a question of a batch.
func queueGrants(b *pgx.Batch, id PersonID, now time.Time) *[]Grant {
	out := new([]Grant)
	if isID(string(id)) {
		b.Queue(grantsSQL, string(id), now).Query(func(rows pgx.Rows) (err error) {
			*out, err = pgx.CollectRows(rows, scanGrant)
			return err
		})
	}
	return out
}

func grantsInForce(ctx context.Context, tx *audit.Tx, id PersonID) ([]Grant, error) {
	if !isID(string(id)) {
		return nil, nil
	}
	rows, _ := tx.Query(ctx, grantsSQL, string(id), tx.Now())
	return pgx.CollectRows(rows, scanGrant)
}

func rolesFor(ctx context.Context, tx *audit.Tx, id PersonID, org OrganizationID) ([]Role, error) {
	grants, err := grantsInForce(ctx, tx, id)
	return rolesIn(grants, org), err
}

func insertGrant(ctx context.Context, tx *audit.Tx, actor Actor, id PersonID, g Grant) (Grant, error) {
	if g.From.IsZero() {
		g.From = tx.Now()
	}
	g.ID = newID()
	_, err := tx.Exec(ctx, `
		insert into role_grant (id, person_id, organization_id, role, valid_from, valid_until, granted_by, granted_at)
		values (@id, @person, @organization, @role, @from, @until, @by, @now)`,
		pgx.StrictNamedArgs{"id": g.ID, "person": string(id), "organization": orNull(string(g.Organization)), "role": string(g.Role),
			"from": g.From, "until": timeOrNull(g.Until), "by": orNull(string(actor.Person)), "now": tx.Now()})
	return g, mapped(err)
}

func lockGrant(ctx context.Context, tx *audit.Tx, id string) (PersonID, Grant, error) {
	if !isID(id) {
		return "", Grant{}, ErrNotFound
	}
	var person PersonID
	var g Grant
	var until *time.Time
	err := tx.QueryRow(ctx, `
		select g.person_id::text, `+grantColumns+`
		from role_grant g
		where g.id = $1 and g.valid_from < $2 and (g.valid_until is null or g.valid_until > $2)
		for update`, id, tx.Now()).Scan(&person, &g.ID, &g.Organization, &g.Role, &g.From, &until)
	g.Until = deref(until)
	return person, g, found(err)
}

func endGrant(ctx context.Context, tx *audit.Tx, id string) error {
	_, err := tx.Exec(ctx, `update role_grant set valid_until = $2 where id = $1`, id, tx.Now())
	return mapped(err)
}

const loginColumns = `l.id::text, l.person_id::text, coalesce(l.organization_id::text, ''), l.factor, l.seat,
	l.created_at, l.last_seen_at, l.idle_until, l.absolute_until, l.step_up_at`

func loginFields(l *Login, stepUp **time.Time) []any {
	return []any{&l.ID, &l.Person, &l.Organization, &l.Factor, &l.Seat, &l.Created, &l.LastSeen, &l.IdleUntil, &l.AbsoluteUntil, stepUp}
}

func scanLogin(row pgx.CollectableRow) (l Login, err error) {
	var stepUp *time.Time
	err = row.Scan(loginFields(&l, &stepUp)...)
	return l.utc(stepUp), err
}

func (l Login) utc(stepUp *time.Time) Login {
	l.StepUpAt = deref(stepUp)
	for _, t := range []*time.Time{&l.Created, &l.LastSeen, &l.IdleUntil, &l.AbsoluteUntil} {
		*t = t.UTC()
	}
	return l
}

// signedIn is the login a token opens now with its person and the grants that person has
// in force.
type signedIn struct {
	login  Login
	person Person
	grants []Grant
}

// queueLogin queues the question who a token is: pgx.ErrNoRows if nobody.
func queueLogin(b *pgx.Batch, now time.Time, hash []byte, into *signedIn) {
	l, p := &into.login, &into.person
	b.Queue(`
		select `+loginColumns+`, `+personColumns+`
		from login l -- login_token
		join person p on p.id = l.person_id
		where l.token_hash = $1 and l.revoked_at is null and l.idle_until > $2 and l.absolute_until > $2
		  and p.disabled_at is null`, hash, now).QueryRow(func(row pgx.Row) error {
		var stepUp *time.Time
		err := row.Scan(append(loginFields(l, &stepUp),
			&p.ID, &p.Name, &p.Title, &p.Language, &p.Languages, &p.Zone, &p.Home, &p.Specialty, &p.Email, &p.Gender, &p.Disabled)...)
		*l = l.utc(stepUp)
		return err
	})
	b.Queue(`
		select `+grantColumns+`
		from role_grant g -- role_grant_person
		where g.person_id = (select l.person_id from login l where l.token_hash = $1)
		  and g.valid_from <= $2 and (g.valid_until is null or g.valid_until > $2)
		order by g.valid_from, g.id`, hash, now).Query(func(rows pgx.Rows) (err error) {
		into.grants, err = pgx.CollectRows(rows, scanGrant)
		return err
	})
}

func loginLive(ctx context.Context, tx *audit.Tx, id LoginID) (live bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (
		  select from login l
		  join person p on p.id = l.person_id
		  where l.id = $1 and l.revoked_at is null and l.absolute_until > $2 and p.disabled_at is null)`, string(id), tx.Now()).Scan(&live)
	return live, err
}

func lockLogin(ctx context.Context, tx *audit.Tx, id LoginID) (l Login, err error) {
	if id == "" {
		return l, ErrNoLogin
	}
	var stepUp *time.Time
	err = tx.QueryRow(ctx, `
		select `+loginColumns+`
		from login l
		where l.id = $1 and l.revoked_at is null and l.absolute_until > $2
		for update`, string(id), tx.Now()).Scan(loginFields(&l, &stepUp)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoLogin
	}
	return l.utc(stepUp), err
}

func insertLogin(ctx context.Context, tx *audit.Tx, l Login, hash, credential []byte) error {
	_, err := tx.Exec(ctx, `
		insert into login (id, person_id, organization_id, token_hash, factor, seat, created_at, last_seen_at, idle_until,
		                   absolute_until, step_up_at, step_up_credential)
		values (@id, @person, @organization, @hash, @factor, @seat, @now, @now, @idle, @absolute, @step_up, @credential)`,
		pgx.StrictNamedArgs{"id": string(l.ID), "person": string(l.Person), "organization": orNull(string(l.Organization)), "hash": hash,
			"factor": l.Factor, "seat": l.Seat, "now": l.Created, "idle": l.IdleUntil, "absolute": l.AbsoluteUntil,
			"step_up": timeOrNull(l.StepUpAt), "credential": credential})
	return mapped(err)
}

func touchLogin(ctx context.Context, tx pgx.Tx, l Login) error {
	_, err := tx.Exec(ctx, `
		update login
		set last_seen_at = $2, idle_until = $3
		where id = $1 and revoked_at is null and last_seen_at < $2`, string(l.ID), l.LastSeen, l.IdleUntil)
	return err
}

// renewLogin gives a login a new token; with a credential it was stepped up.
func renewLogin(ctx context.Context, tx *audit.Tx, id LoginID, hash []byte, org OrganizationID, credential []byte) error {
	_, err := tx.Exec(ctx, `
		update login
		set token_hash = @hash,
		    organization_id = @organization,
		    step_up_at = case when @credential::bytea is null then step_up_at else @now end,
		    step_up_credential = coalesce(@credential, step_up_credential)
		where id = @id`,
		pgx.StrictNamedArgs{"id": string(id), "hash": hash, "organization": orNull(string(org)), "credential": credential, "now": tx.Now()})
	return mapped(err)
}

func openLogins(ctx context.Context, tx *audit.Tx, id PersonID) ([]Login, error) {
	rows, _ := tx.Query(ctx, `
		select `+loginColumns+`
		from login l -- login_person
		where l.person_id = $1 and l.revoked_at is null and l.idle_until > $2 and l.absolute_until > $2
		order by l.created_at desc, l.id desc`, string(id), tx.Now())
	return pgx.CollectRows(rows, scanLogin)
}

func revokeLogin(ctx context.Context, tx *audit.Tx, person PersonID, id LoginID, reason string) (Login, error) {
	if !isID(string(id)) {
		return Login{}, ErrNotFound
	}
	ended, err := revoke(ctx, tx, `l.person_id = $3 and l.id = $4`, reason, string(person), string(id))
	if err == nil && len(ended) == 0 {
		return Login{}, ErrNotFound
	}
	if err != nil {
		return Login{}, err
	}
	return ended[0], nil
}

func revokeLogins(ctx context.Context, tx *audit.Tx, person PersonID, reason string) ([]Login, error) {
	return revoke(ctx, tx, `l.person_id = $3`, reason, string(person))
}

func revokeOthers(ctx context.Context, tx *audit.Tx, person PersonID, but LoginID, reason string) ([]Login, error) {
	return revoke(ctx, tx, `l.person_id = $3 and l.id <> $4`, reason, string(person), string(but))
}

func revokeSeat(ctx context.Context, tx *audit.Tx, seat, reason string) ([]Login, error) {
	return revoke(ctx, tx, `l.seat = $3 and l.seat <> ''`, reason, seat)
}

// revoke ends the open logins that meet the condition, whose arguments begin at $3.
func revoke(ctx context.Context, tx *audit.Tx, condition, reason string, args ...any) ([]Login, error) {
	rows, _ := tx.Query(ctx, `
		update login l
		set revoked_at = $1, revoked_reason = $2
		where l.revoked_at is null and `+condition+`
		returning `+loginColumns, append([]any{tx.Now(), reason}, args...)...)
	return pgx.CollectRows(rows, scanLogin)
}

// uuids drops what is no UUID: that is nobody, not an error. Nil stays nil.
func uuids[T ~string](ids []T) []string {
	if ids == nil {
		return nil
	}
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if isID(string(id)) {
			out = append(out, string(id))
		}
	}
	return out
}

func isID(s string) bool { return uuid.Validate(s) == nil && len(s) == 36 }

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func deref(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// found makes "no row" ErrNotFound.
func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func changed(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return mapped(err)
}
