package credentialing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ExportVersion is what is exported of a person as it stood, and was known, at an
// instant. Between two of them nothing that is exported changes.
type ExportVersion struct {
	At        time.Time
	File      PersonFile // without evidence, statuses and exclusions, which are not exported
	Languages []string
	Roles     []PastRole // with those that have ended
}

// Export is all that is exported of a person for a program that takes it elsewhere, from
// when they came on record to now: that it did is an event. Officers export everybody's,
// others their own.
func (s *Service) Export(ctx context.Context, actor identity.Actor, person identity.PersonID) (out []ExportVersion, err error) {
	if !officer(actor) && (actor.Person != person || actor.Guest()) {
		return nil, ErrNotFound
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		out = nil
		moments, err := s.exportMoments(ctx, tx, person)
		if err != nil {
			return err
		}
		for _, at := range moments {
			v, err := s.exportAt(ctx, tx, person, at)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		ev := actor.Event("credential.exported")
		ev.Objects = map[string]string{"person": string(person)}
		tx.Append(ev)
		return nil
	})
	return out, err
}

// exportMoments are the instants until now at which something that is exported was
// recorded, or changed by the clock, the first first; the person's coming is the first.
func (s *Service) exportMoments(ctx context.Context, tx *audit.Tx, person identity.PersonID) ([]time.Time, error) {
	var since time.Time
	if err := tx.QueryRow(ctx, `select created_at from person where id = $1`, string(person)).Scan(&since); err != nil {
		return nil, mapped("find person", err)
	}
	rows, err := tx.Query(ctx, `
		select distinct x.at
		from (
			select lower(known) as at from person_known where person_id = @person
			union all select lower(k.known) from role_known k join role_grant g on g.id = k.grant_id where g.person_id = @person
			union all select u.at from role_known k join role_grant g on g.id = k.grant_id, lateral (values (g.valid_from), (k.valid_until)) as u (at)
				where g.person_id = @person
			union all select u.at from credential_claim cl join credential c on c.id = cl.credential_id, lateral (values (lower(cl.known)), (upper(cl.known))) as u (at)
				where c.person_id = @person
			union all select u.at from verification v, lateral (values (lower(v.known)), (upper(v.known))) as u (at) where v.subject_id = @person
			union all select recorded_at from credential_status where subject_id = @person
			union all select r.recorded_at from proxy_review r join credential c on c.id = r.credential_id where c.person_id = @person) x
		where x.at <= @now and x.at > @since
		order by x.at`, pgx.StrictNamedArgs{"person": string(person), "now": tx.Now(), "since": since})
	if err != nil {
		return nil, mapped("read moments of a file", err)
	}
	recorded, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, mapped("read moments of a file", err)
	}
	out := append([]time.Time{since.UTC()}, recorded...)
	// What begins and ends is read from what was known, until something else was.
	q := Question{Rules: s.Rules()}
	for i, known := range slices.Clone(out) {
		until := tx.Now().Add(time.Nanosecond)
		if i < len(recorded) {
			until = recorded[i]
		}
		held, err := s.CredentialsOf(ctx, tx, person, known)
		if err != nil {
			return nil, err
		}
		out = append(out, changes(&q, &held, known, until)...)
	}
	for i := range out {
		out[i] = out[i].UTC()
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal), nil
}

// exportAt is a person's file as it was known and stood at an instant.
func (s *Service) exportAt(ctx context.Context, tx *audit.Tx, person identity.PersonID, at time.Time) (ExportVersion, error) {
	held, err := s.CredentialsOf(ctx, tx, person, at)
	if err != nil {
		return ExportVersion{}, err
	}
	v := ExportVersion{At: at, File: PersonFile{Person: person, At: at, Home: held.Home}}
	if v.Roles, err = selectRolesKnown(ctx, tx, person, at, at); err != nil {
		return v, err
	}
	err = tx.QueryRow(ctx, `
		select coalesce((select k.languages from person_known k where k.person_id = p.id and k.known @> $2::timestamptz), p.languages)
		from person p
		where p.id = $1`, string(person), at).Scan(&v.Languages)
	if err != nil {
		return v, mapped("read languages", err)
	}
	rows, err := tx.Query(ctx, viewsSQL(`cl.known @> $2::timestamptz`, `v.known @> $2::timestamptz`)+`
		where c.person_id = $1 and c.recorded_at <= $2
		order by c.kind, c.jurisdiction, c.id`, string(person), at)
	if err != nil {
		return v, mapped("read credentials", err)
	}
	if v.File.Credentials, err = pgx.CollectRows(rows, scanView); err != nil {
		return v, mapped("read credentials", err)
	}
	byID := s.standings(v.File.Credentials, held, at)
	if err := selectReviews(ctx, tx, slices.Sorted(maps.Keys(byID)), byID); err != nil {
		return v, err
	}
	for _, c := range byID {
		c.Reviews = slices.DeleteFunc(c.Reviews, func(r ProxyReview) bool { return r.RecordedAt.After(at) })
		c.NextReview = c.reviewDue()
	}
	return v, nil
}

// ExportOf names whose file a resource with an id is part of: a role's, a claim's.
func (s *Service) ExportOf(ctx context.Context, actor identity.Actor, id string) (person identity.PersonID, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		return mapped("find the file", tx.QueryRow(ctx, `
			select coalesce((select g.person_id::text from role_grant g where g.id = $1::uuid),
				(select c.person_id::text from credential_claim cl join credential c on c.id = cl.credential_id where cl.id = $1::uuid), '')`,
			id).Scan(&person))
	})
	if err == nil && (person == "" || !officer(actor) && (actor.Person != person || actor.Guest())) {
		return "", fmt.Errorf("find the file: %w", ErrNotFound)
	}
	return person, err
}

// numberFound is how many people a search for a number names at most: a number is of one
// issuer, and issuers that number alike are few.
const numberFound = 50

// ExportsByNumber names the people for whom a license or registration of that number is
// on file, of any issuer. Officers search everybody's, others their own.
func (s *Service) ExportsByNumber(ctx context.Context, actor identity.Actor, number string) (out []identity.PersonID, err error) {
	if actor.Guest() || strings.TrimSpace(number) == "" {
		return nil, nil
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `
			select distinct person_id::text
			from credential
			where kind in ('licence', 'registration') and number = $1 and ($2 or person_id::text = $3)
			order by 1
			limit $4`, number, officer(actor), string(actor.Person), numberFound)
		if err != nil {
			return mapped("find people by number", err)
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[identity.PersonID])
		return mapped("find people by number", err)
	})
	return out, err
}
