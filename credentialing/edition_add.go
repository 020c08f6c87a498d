package credentialing

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Standing of an edition that the operator brings.
const (
	AddedInForce = "in-force" // it decides now, or from the date given on
	AddedKnown   = "known"    // the same file was brought before: nothing was changed
	AddedDraft   = "draft"    // it waits for an officer to publish it
)

// Added is what became of a pack file that the operator brought.
type Added struct {
	Edition  Edition
	Standing string  // see the Added constants
	Draft    DraftID // where officers read it; "" if it came with the binary
	// Replaces is the edition that decided until now; zero if the place had none.
	Replaces Edition
	// Relied is what rests on the pack's rules: bookings to come and open cases.
	Relied Relied
}

// Relied counts what rests on rules.
type Relied struct{ Bookings, Cases int }

// Any tells whether something does.
func (r Relied) Any() bool { return r.Bookings+r.Cases > 0 }

func (r *Relied) add(o Relied) {
	r.Bookings += o.Bookings
	r.Cases += o.Cases
}

// AddEdition takes a pack file from the operator, who stands outside the roles, for
// questions about [from, until); zero is open. It is checked like a file that an
// officer brings; name is what the findings call it. An edition that nobody has
// confirmed is in force at once where no confirmed one stands: it counts as far as
// unconfirmed rules count here, and officers find it in their queue. One that says it
// is confirmed, or would stand in the place of a confirmed one, waits as a draft for an
// officer. The same file again changes nothing. A version that is known with other
// content is [ErrEditionImmutable].
func (s *Service) AddEdition(ctx context.Context, actor identity.Actor, name string, file []byte, from, until time.Time) (a Added, found []PackError, err error) {
	switch {
	case !system(actor):
		return a, nil, ErrForbidden
	case !from.IsZero() && !sane(from):
		return a, nil, &Invalid{Field: "from"}
	case !until.IsZero() && (!sane(until) || !until.After(from)):
		return a, nil, &Invalid{Field: "until"}
	case len(file) == 0 || len(file) > MaxPack:
		return a, nil, ErrEvidenceType
	case !utf8.Valid(file):
		return a, nil, ErrEncoding
	}
	if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error { return s.freshRules(ctx, tx) }); err != nil {
		return a, nil, err
	}
	if found = Lint(s.current.Load().files(s.base), map[string][]byte{name: file}, s.zones); len(found) > 0 {
		return a, found, nil
	}
	p, err := ParsePack(name, file)
	if err != nil {
		return a, packErrors(name, err), nil
	}
	a.Edition = p.Edition()
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		known, err := findAdded(ctx, tx, &a, from, until)
		if err != nil {
			return err
		}
		if a.Relied, err = s.reliedOn(ctx, tx, p.Code); err != nil || known {
			return err
		}
		confirmed, err := selectConfirmations(ctx, tx, p.Code)
		if err != nil {
			return err
		}
		if found = lacking(p, confirmed); len(found) > 0 {
			return nil
		}
		candidate := publishedEdition{edition: a.Edition, content: file, from: from, until: until, published: tx.Now()}
		if _, err := s.current.Load().with(s.base, candidate, s.zones); err != nil {
			found = packErrors(name, err)
			return nil
		}
		at := tx.Now()
		if from.After(at) {
			at = from
		}
		a.Standing = AddedInForce
		if old, ok := s.rulesAt(at).Pack(p.Code); ok {
			a.Replaces = old.Edition()
			if old.Status == stateVerified || old.Status == statePlatform {
				a.Standing = AddedDraft
			}
		}
		if p.Status != stateStarter && p.Status != stateReview {
			a.Standing = AddedDraft
		}
		if a.Draft, err = insertAdded(ctx, tx, candidate, p.Status, a.Standing); err != nil {
			return err
		}
		ev := actor.Event("packs.drafted")
		if a.Standing == AddedInForce {
			ev = actor.Event("packs.added")
		}
		ev.Objects = map[string]string{"draft": string(a.Draft)}
		ev.Jurisdiction = p.Code
		ev.Reason = p.Version
		ev.Hashes = map[string]string{"edition": a.Edition.SHA256}
		ev.Detail = map[string]any{"bookings": a.Relied.Bookings, "cases": a.Relied.Cases}
		tx.Append(ev)
		if a.Standing == AddedDraft {
			return nil
		}
		return s.change(ctx, tx, "", p.changes(), causeEdition, from)
	})
	if err != nil {
		return Added{}, nil, fmt.Errorf("add edition %s %s: %w", p.Code, p.Version, err)
	}
	for i := range found {
		found[i].File = name
	}
	return a, found, s.reload(ctx)
}

// findAdded tells whether an edition with this content is known, and how it stands.
func findAdded(ctx context.Context, tx *audit.Tx, a *Added, from, until time.Time) (known bool, err error) {
	var have, draft *string
	var same bool
	// The last draft, whichever dates it is for, unless there is one for the same.
	err = tx.QueryRow(ctx, `
		select (select encode(e.sha256, 'hex') from pack_edition e where e.code = @code and e.version = @version),
			(select d.id::text
			from pack_draft d
			where d.code = @code and d.version = @version and d.sha256 = decode(@sha256, 'hex')
			order by d.effective = tstzrange(@from, @until) desc, d.drafted_at desc, d.id desc
			limit 1),
			exists (
			select from pack_draft d
			where d.code = @code and d.version = @version and d.sha256 = decode(@sha256, 'hex') and d.effective = tstzrange(@from, @until))`,
		pgx.StrictNamedArgs{"from": nullTime(from), "until": nullTime(until), "code": a.Edition.Code, "version": a.Edition.Version, "sha256": a.Edition.SHA256}).Scan(&have, &draft, &same)
	if err != nil {
		return false, mapped("find edition", err)
	}
	a.Draft = DraftID(text(draft))
	switch {
	case have != nil && *have != a.Edition.SHA256:
		return false, ErrEditionImmutable
	case have != nil:
		a.Standing = AddedKnown
	case same:
		a.Standing = AddedDraft
	default:
		a.Draft = "" // the same file for other dates is another draft
	}
	return a.Standing != "", nil
}

// insertAdded keeps an edition as a draft that nobody brought and, in force, as the
// operator's.
func insertAdded(ctx context.Context, tx *audit.Tx, e publishedEdition, status, standing string) (DraftID, error) {
	id := DraftID(newID())
	args := pgx.StrictNamedArgs{"id": string(id), "code": e.edition.Code, "version": e.edition.Version, "sha256": e.edition.SHA256,
		"content": string(e.content), "from": nullTime(e.from), "until": nullTime(e.until), "now": tx.Now()}
	_, err := tx.Exec(ctx, `
		insert into pack_draft (id, code, version, sha256, content, effective, drafted_at)
		values (@id, @code, @version, decode(@sha256, 'hex'), @content, tstzrange(@from, @until), @now)`, args)
	if err != nil || standing != AddedInForce {
		return id, mapped("draft edition", err)
	}
	delete(args, "id")
	args["state"] = status
	_, err = tx.Exec(ctx, `
		insert into pack_edition (code, version, sha256, content, effective, state, published_at, by_operator)
		values (@code, @version, decode(@sha256, 'hex'), @content, tstzrange(@from, @until), @state, @now, true)`, args)
	return id, mapped("add edition", err)
}

// reliedOn counts what rests on the rules of a pack, its own place's and those of the
// places that extend it.
func (s *Service) reliedOn(ctx context.Context, tx *audit.Tx, code string) (Relied, error) {
	all, err := s.reliedOnAll(ctx, tx)
	return all[code], err
}

// reliedOnAll counts by pack what rests on its rules.
func (s *Service) reliedOnAll(ctx context.Context, tx *audit.Tx) (map[string]Relied, error) {
	rows, err := tx.Query(ctx, `select place, bookings, cases from places_relied_on($1)`, tx.Now())
	if err != nil {
		return nil, mapped("count what rests on rules", err)
	}
	rules, out := s.rulesAt(tx.Now()), map[string]Relied{}
	var place string
	var n Relied
	_, err = pgx.ForEachRow(rows, []any{&place, &n.Bookings, &n.Cases}, func() error {
		codes := []string{place}
		if pl, ok := rules.places[place]; ok {
			codes = codes[:0]
			for _, p := range pl.packs {
				codes = append(codes, p.Code)
			}
		}
		for _, c := range codes {
			sum := out[c]
			sum.add(n)
			out[c] = sum
		}
		return nil
	})
	return out, mapped("count what rests on rules", err)
}
