package credentialing

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ProxyReview is one yearly review of what a facility shared with the distant site of a
// privilege by proxy. It is kept as it was recorded.
type ProxyReview struct {
	HeldAt     time.Time // not ahead of now
	SentAt     time.Time // when it went to the distant site; not ahead of now
	Events     int       // adverse events of the year, from 0 to 10,000
	Complaints int       // the same of complaints
	Note       string    // at most 2,000 characters
	By         identity.PersonID
	RecordedAt time.Time
}

// reviewSoon is how long before it is due a review stands in the queue: a month to ask
// the wards.
const reviewSoon = 30 * day

// maxReviewed is more than a year of anybody's work brings.
const maxReviewed = 10_000

// longestNote is what a note to a review takes.
const longestNote = 2000

func (r ProxyReview) check(now time.Time) error {
	switch {
	case r.HeldAt.IsZero():
		return &Invalid{"held_on", RowRequired}
	case r.HeldAt.After(now):
		return &Invalid{"held_on", ReasonAhead}
	case r.SentAt.IsZero():
		return &Invalid{"sent_on", RowRequired}
	case r.SentAt.After(now):
		return &Invalid{"sent_on", ReasonAhead}
	case r.Events < 0 || r.Events > maxReviewed:
		return &Invalid{Field: "events"}
	case r.Complaints < 0 || r.Complaints > maxReviewed:
		return &Invalid{Field: "complaints"}
	case utf8.RuneCountInString(r.Note) > longestNote:
		return &Invalid{"note", RowTooLong}
	case unreadable(r.Note):
		return &Invalid{"note", RowControl}
	}
	return nil
}

// RecordReview keeps that what is shared of a privilege by proxy was reviewed and sent to
// the distant site, and starts the clock of the next year. An officer does it, never for
// themselves; a review of the same instant is on file once (ErrExists).
func (s *Service) RecordReview(ctx context.Context, actor identity.Actor, id CredentialID, r ProxyReview) error {
	if !officer(actor) {
		return ErrForbidden
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := r.check(tx.Now()); err != nil {
			return err
		}
		c, err := lockCredential(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.content.Proxy == nil {
			return &Invalid{"held_on", ReasonNoTerms}
		}
		if c.person == actor.Person {
			return ErrSamePerson
		}
		if err := insertReview(ctx, tx, id, c.person, actor.Person, r); err != nil {
			return err
		}
		ev := actor.Event("credential.proxy_reviewed")
		ev.Objects = map[string]string{"credential": string(id), "person": string(c.person)}
		ev.Detail = map[string]any{"events": r.Events, "complaints": r.Complaints}
		tx.Append(ev)
		return nil
	})
}

func insertReview(ctx context.Context, tx *audit.Tx, id CredentialID, subject, by identity.PersonID, r ProxyReview) error {
	_, err := tx.Exec(ctx, `
		insert into proxy_review (id, credential_id, subject_id, held_at, events, complaints, sent_at, note, reviewed_by, recorded_at)
		values (@id, @credential, @subject, @held, @events, @complaints, @sent, @note, @by, @now)`,
		pgx.StrictNamedArgs{"id": newID(), "credential": string(id), "subject": string(subject), "held": r.HeldAt, "events": r.Events,
			"complaints": r.Complaints, "sent": r.SentAt, "note": r.Note, "by": string(by), "now": tx.Now()})
	return mapped("record a review", err)
}

// selectReviews adds the reviews of some credentials, the last first.
func selectReviews(ctx context.Context, tx *audit.Tx, ids []string, byID map[string]*CredentialView) error {
	rows, err := tx.Query(ctx, `
		select credential_id::text, held_at, sent_at, events, complaints, note, reviewed_by, recorded_at
		from proxy_review
		where credential_id = any($1::uuid[]) -- proxy_review_last
		order by held_at desc, id desc`, ids)
	if err != nil {
		return mapped("read reviews", err)
	}
	var id string
	var r ProxyReview
	_, err = pgx.ForEachRow(rows, []any{&id, &r.HeldAt, &r.SentAt, &r.Events, &r.Complaints, &r.Note, &r.By, &r.RecordedAt}, func() error {
		r.HeldAt, r.SentAt, r.RecordedAt = r.HeldAt.UTC(), r.SentAt.UTC(), r.RecordedAt.UTC()
		if v := byID[id]; v != nil {
			v.Reviews = append(v.Reviews, r)
		}
		return nil
	})
	return mapped("read reviews", err)
}

// reviewDue is when the next review of a credential is due; zero for most.
func (v *CredentialView) reviewDue() time.Time {
	last := time.Time{}
	if len(v.Reviews) > 0 {
		last = v.Reviews[0].HeldAt
	}
	return ReviewDue(v.Claim, v.Kind, last)
}
