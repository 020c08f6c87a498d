package credentialing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// MaxPack is the largest pack file: fifty times the longest of the starter packs.
const MaxPack = 1 << 20

// draftFile is the name under which the findings about a draft are listed.
const draftFile = "pack.yaml"

// rulesAt are the editions that decide a question about an instant.
func (s *Service) rulesAt(at time.Time) *RuleSet { return s.current.Load().at(at) }

// reload reads the published editions anew.
func (s *Service) reload(ctx context.Context) error {
	return s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error { return s.loadTable(ctx, tx) })
}

func (s *Service) loadTable(ctx context.Context, tx *audit.Tx) error {
	published, err := selectPublished(ctx, tx)
	if err != nil {
		return err
	}
	table, err := newEditionTable(s.base, published, s.zones)
	if err != nil {
		return fmt.Errorf("published editions: %w", err)
	}
	s.current.Store(table)
	return nil
}

// freshRules sees to it that an edition that was published elsewhere decides too.
func (s *Service) freshRules(ctx context.Context, tx *audit.Tx) error {
	var b pgx.Batch
	have := queueRules(&b)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return mapped("look for editions", err)
	}
	return s.useRules(ctx, tx, *have)
}

// queueRules queues the question how many editions are published. None ever goes.
func queueRules(b *pgx.Batch) *int {
	have := new(int)
	b.Queue(`select count(*) from pack_edition where published_by is not null or by_operator`).QueryRow(func(row pgx.Row) error {
		return row.Scan(have)
	})
	return have
}

// useRules sees to it that all editions published are in use.
func (s *Service) useRules(ctx context.Context, tx *audit.Tx, have int) error {
	if have == len(s.current.Load().published) {
		return nil
	}
	return s.loadTable(ctx, tx)
}

func selectPublished(ctx context.Context, tx *audit.Tx) ([]publishedEdition, error) {
	rows, err := tx.Query(ctx, `
		select code, version, encode(sha256, 'hex'), content, lower(effective), upper(effective), published_at, coalesce(drafted_by::text, '')
		from pack_edition
		where published_by is not null or by_operator
		order by published_at, code, version`)
	if err != nil {
		return nil, mapped("read editions", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (publishedEdition, error) {
		var e publishedEdition
		var content string
		var from, until *time.Time
		err := row.Scan(&e.edition.Code, &e.edition.Version, &e.edition.SHA256, &content, &from, &until, &e.published, &e.drafter)
		e.content, e.from, e.until, e.published = []byte(content), orZero(from), orZero(until), e.published.UTC()
		return e, err
	})
	return out, mapped("read editions", err)
}

// DraftEdition keeps an edition of a pack that another officer may publish, for
// questions about [from, until); zero is open. What the linter finds comes back, and
// then nothing is kept. The same file again for the same dates is the same draft, for other
// dates another.
func (s *Service) DraftEdition(ctx context.Context, actor identity.Actor, file []byte, from, until time.Time) (DraftID, []PackError, error) {
	if !officer(actor) {
		return "", nil, ErrForbidden
	}
	if !until.IsZero() && !until.After(from) {
		return "", nil, &Invalid{Field: "until"}
	}
	if len(file) == 0 || len(file) > MaxPack {
		return "", nil, ErrEvidenceType
	}
	if !utf8.Valid(file) {
		return "", nil, ErrEncoding
	}
	if found := Lint(s.current.Load().files(s.base), map[string][]byte{draftFile: file}, s.zones); len(found) > 0 {
		return "", found, nil
	}
	p, err := ParsePack(draftFile, file)
	if err != nil {
		return "", packErrors(draftFile, err), nil
	}
	if found, err := s.unconfirmed(ctx, actor, p); err != nil || len(found) > 0 {
		return "", found, err
	}
	candidate := publishedEdition{edition: p.Edition(), content: file, from: from, until: until}
	if _, err := s.current.Load().with(s.base, candidate, s.zones); err != nil {
		return "", packErrors(draftFile, err), nil
	}
	id := DraftID(newID())
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := stillFree(ctx, tx, p.Edition()); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			insert into pack_draft (id, code, version, sha256, content, effective, drafted_by, drafted_at)
			values (@id, @code, @version, @sha256, @content, tstzrange(@from, @until), @by, @now)
			on conflict on constraint pack_draft_once do nothing`,
			pgx.StrictNamedArgs{"id": string(id), "code": p.Code, "version": p.Version, "sha256": p.SHA256[:], "content": string(file),
				"from": nullTime(from), "until": nullTime(until), "by": string(actor.Person), "now": tx.Now()})
		if err != nil {
			return mapped("draft edition", err)
		}
		if tag.RowsAffected() == 0 {
			return mapped("find draft", tx.QueryRow(ctx, `
				select id
				from pack_draft
				where code = $1 and version = $2 and sha256 = $3 and effective = tstzrange($4, $5)`,
				p.Code, p.Version, p.SHA256[:], nullTime(from), nullTime(until)).Scan(&id))
		}
		ev := actor.Event("packs.drafted")
		ev.Objects = map[string]string{"draft": string(id)}
		ev.Jurisdiction = p.Code
		ev.Reason = p.Version
		ev.Hashes = map[string]string{"edition": p.Edition().SHA256}
		tx.Append(ev)
		return nil
	})
	return id, nil, err
}

// stillFree is ErrEditionImmutable if the version stands with other content.
func stillFree(ctx context.Context, tx *audit.Tx, e Edition) error {
	var have string
	err := tx.QueryRow(ctx, `select encode(sha256, 'hex') from pack_edition where code = $1 and version = $2`, e.Code, e.Version).Scan(&have)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return mapped("find edition", err)
	case have != e.SHA256:
		return ErrEditionImmutable
	}
	return ErrExists
}

const draftSQL = `
	select d.id, d.code, d.version, encode(d.sha256, 'hex'), d.content, lower(d.effective), upper(d.effective), d.drafted_by, d.drafted_at,
		e.published_by, e.published_at
	from pack_draft d
	left join pack_edition e on e.code = d.code and e.version = d.version and e.sha256 = d.sha256 and e.effective = d.effective`

func scanDraft(row pgx.CollectableRow) (Draft, error) {
	var d Draft
	var content string
	var from, until, at *time.Time
	var drafter, by *string
	err := row.Scan(&d.ID, &d.Edition.Code, &d.Edition.Version, &d.Edition.SHA256, &content, &from, &until, &drafter, &d.DraftedAt, &by, &at)
	if err != nil {
		return d, err
	}
	d.DraftedBy = identity.PersonID(text(drafter))
	d.From, d.Until, d.DraftedAt, d.PublishedBy, d.PublishedAt = orZero(from), orZero(until), d.DraftedAt.UTC(), identity.PersonID(text(by)), orZero(at)
	p, err := ParsePack(draftFile, []byte(content))
	if err != nil {
		return d, err
	}
	d.Name, d.Status, d.Rules, d.Citations = p.Name, p.Status, p.Rules, p.Citations
	return d, nil
}

// Drafts are all editions that officers brought, the last first.
func (s *Service) Drafts(ctx context.Context, actor identity.Actor) (out []Draft, err error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, draftSQL+` order by d.drafted_at desc, d.id desc limit 200`)
		if err != nil {
			return mapped("list drafts", err)
		}
		out, err = pgx.CollectRows(rows, scanDraft)
		return mapped("list drafts", err)
	})
	return out, err
}

// Draft is one edition that an officer brought.
func (s *Service) Draft(ctx context.Context, actor identity.Actor, id DraftID) (d Draft, err error) {
	if !officer(actor) {
		return d, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		d, _, err = findDraft(ctx, tx, id)
		return err
	})
	return d, err
}

func findDraft(ctx context.Context, tx *audit.Tx, id DraftID) (Draft, publishedEdition, error) {
	rows, err := tx.Query(ctx, draftSQL+` where d.id = $1`, string(id))
	if err != nil {
		return Draft{}, publishedEdition{}, mapped("find draft", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDraft)
	if err != nil {
		return Draft{}, publishedEdition{}, mapped("find draft", err)
	}
	e := publishedEdition{edition: d.Edition, from: d.From, until: d.Until, published: tx.Now()}
	var content string
	if err := tx.QueryRow(ctx, `select content from pack_draft where id = $1`, string(id)).Scan(&content); err != nil {
		return Draft{}, publishedEdition{}, mapped("read draft", err)
	}
	e.content = []byte(content)
	return d, e, nil
}

// WhatIf evaluates subjects under the editions in force and as they would be with the
// draft, and lists exactly those whose answer changes.
func (s *Service) WhatIf(ctx context.Context, actor identity.Actor, id DraftID, subjects []Subject) (r Report, err error) {
	if !officer(actor) {
		return Report{}, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		_, e, err := findDraft(ctx, tx, id)
		if err != nil {
			return err
		}
		r, err = s.whatIf(ctx, tx, e, subjects)
		return err
	})
	return r, err
}

func (s *Service) whatIf(ctx context.Context, tx *audit.Tx, e publishedEdition, subjects []Subject) (Report, error) {
	asks := make([]Ask, len(subjects))
	for i, x := range subjects {
		if err := x.Ask.check(); err != nil {
			return Report{}, err
		}
		asks[i] = x.Ask
	}
	d, err := s.load(ctx, tx, tx.Now(), asks...)
	if err != nil {
		return Report{}, err
	}
	now := s.current.Load() // load has seen to it that editions published elsewhere are in it
	next, err := now.with(s.base, e, s.zones)
	if err != nil {
		return Report{}, err
	}
	r := Report{Evaluated: len(subjects)}
	for _, x := range subjects {
		held := d.people[x.Ask.Person]
		if held == nil {
			continue // nobody any more
		}
		q := s.compose(x.Ask, d, tx.Now())
		q.Rules = now.at(q.At)
		before := Decide(q, *held)
		q.Rules = next.at(q.At)
		after := Decide(q, *held)
		if before.Decision != after.Decision || !slices.Equal(before.Conditions, after.Conditions) {
			r.Differences = append(r.Differences, Difference{x, before, after})
		}
	}
	return r, nil
}

// Publish puts a draft in force. The publisher is not who drafted it, and says how
// many changes the report showed them: ErrStale if it shows another number now. While a
// past answer that does not come out as it was recorded is not acknowledged it is
// ErrReplayDiffers. All
// that rests on the pack is then looked at again.
func (s *Service) Publish(ctx context.Context, actor identity.Actor, id DraftID, subjects []Subject, seen int) error {
	if !officer(actor) {
		return ErrForbidden
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		if err := replaysExplained(ctx, tx); err != nil {
			return err
		}
		d, e, err := findDraft(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case d.Published():
			return ErrExists
		case d.DraftedBy == actor.Person:
			return ErrSamePerson
		}
		if err := stillFree(ctx, tx, d.Edition); err != nil {
			return err
		}
		if err := stillConfirmed(ctx, tx, e.content); err != nil {
			return err
		}
		r, err := s.whatIf(ctx, tx, e, subjects)
		if err != nil {
			return err
		}
		if len(r.Differences) != seen {
			return ErrStale
		}
		_, err = tx.Exec(ctx, `
			insert into pack_edition (code, version, sha256, content, effective, state, drafted_by, published_by, published_at)
			values (@code, @version, decode(@sha256, 'hex'), @content, tstzrange(@from, @until), @state, @drafter, @publisher, @now)`,
			pgx.StrictNamedArgs{"code": d.Edition.Code, "version": d.Edition.Version, "sha256": d.Edition.SHA256, "content": string(e.content),
				"from": nullTime(d.From), "until": nullTime(d.Until), "state": d.Status, "drafter": null(d.DraftedBy), "publisher": string(actor.Person), "now": tx.Now()})
		if err != nil {
			return mapped("publish edition", err)
		}
		ev := actor.Event("packs.published")
		ev.Objects = map[string]string{"draft": string(id)}
		ev.Jurisdiction = d.Edition.Code
		ev.Hashes = map[string]string{"edition": d.Edition.SHA256}
		ev.Detail = map[string]any{d.Edition.Code: d.Edition.Version, "evaluated": r.Evaluated, "changed": len(r.Differences)}
		tx.Append(ev)
		p, err := ParsePack(draftFile, e.content)
		if err != nil {
			return err
		}
		return s.change(ctx, tx, "", p.changes(), causeEdition, d.From)
	})
	if err != nil {
		return err
	}
	return s.reload(ctx)
}
