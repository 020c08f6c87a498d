package credentialing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ConfirmRequest is an officer's word about one rule of a pack in force.
type ConfirmRequest struct {
	Code string
	Rule string // id of a ReviewItem
	// RuleSHA256 is the content that the officer read; another one in force is ErrStale.
	RuleSHA256 string
	Evidence   string // what was read, where
	Address    string
	File       []byte // what was read, kept with it; nil is none
	LookedOn   Moment // zero: today
	Again      Moment // zero: in a year
}

// Review is how far a pack in force is confirmed.
func (s *Service) Review(ctx context.Context, actor identity.Actor, code string) (r PackReview, err error) {
	if !officer(actor) {
		return r, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		r, err = s.review(ctx, tx, code)
		return err
	})
	return r, err
}

func (s *Service) review(ctx context.Context, tx *audit.Tx, code string) (PackReview, error) {
	p, ok := s.rulesAt(tx.Now()).Pack(code)
	if !ok || p.Status == statePlatform {
		return PackReview{}, fmt.Errorf("pack in force: %w", ErrNotFound)
	}
	r := PackReview{Pack: p, Items: p.reviewItems()}
	confirmed, err := selectConfirmations(ctx, tx, code)
	if err != nil {
		return r, err
	}
	for i := range r.Items {
		if c := confirmed[r.Items[i].ID+" "+r.Items[i].RuleSHA256]; c != nil {
			r.Items[i].Confirmed = c
			r.Confirmed++
		}
	}
	var drafter *string
	err = tx.QueryRow(ctx, `select drafted_by from pack_edition where code = $1 and version = $2`, code, p.Version).Scan(&drafter)
	r.Drafter = identity.PersonID(text(drafter))
	return r, mapped("find edition", err)
}

// ConfirmRule records that the actor looked a rule of a pack in force up at its source.
// Who brought the edition does not confirm it, unless it was made from confirmations.
func (s *Service) ConfirmRule(ctx context.Context, actor identity.Actor, r ConfirmRequest) error {
	if !officer(actor) {
		return ErrForbidden
	}
	if r.Evidence = strings.TrimSpace(r.Evidence); r.Evidence == "" {
		return &Invalid{Field: "evidence"}
	}
	var kept *keptFile
	if len(r.File) > 0 {
		k, err := s.keep(ctx, EvidenceFile{Bytes: r.File, Source: r.Evidence})
		if err != nil {
			return err
		}
		kept = &k
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		review, err := s.review(ctx, tx, r.Code)
		if err != nil {
			return err
		}
		if review.Drafter == actor.Person && review.Pack.Status != stateVerified {
			return ErrSamePerson
		}
		var item *ReviewItem
		for i := range review.Items {
			if review.Items[i].ID == r.Rule {
				item = &review.Items[i]
			}
		}
		switch {
		case item == nil:
			return fmt.Errorf("rule: %w", ErrNotFound)
		case r.RuleSHA256 != item.RuleSHA256:
			return ErrStale
		}
		today := Date(tx.Now().Date())
		if r.LookedOn.IsZero() {
			r.LookedOn = today
		}
		if r.Again.IsZero() {
			r.Again = Date(tx.Now().AddDate(1, 0, 0).Date())
		}
		switch {
		case !r.LookedOn.IsDate() || tx.Now().Before(r.LookedOn.begins(nil, false)):
			return &Invalid{Field: "looked_on"}
		case !r.Again.IsDate() || r.Again.String() <= today.String():
			return &Invalid{Field: "again"}
		}
		var sum []byte
		if kept != nil {
			if err := insertKept(ctx, tx, *kept); err != nil {
				return err
			}
			sum = kept.sum[:]
		}
		if err := insertConfirmation(ctx, tx, actor, r, sum); err != nil {
			return err
		}
		ev := actor.Event("packs.rule_confirmed")
		ev.Jurisdiction = r.Code
		ev.Objects = map[string]string{"rule": r.Rule}
		ev.Hashes = map[string]string{"rule": r.RuleSHA256}
		if sum != nil {
			ev.Hashes["evidence"] = hex.EncodeToString(sum)
		}
		ev.Reason = review.Pack.Version
		tx.Append(ev)
		return nil
	})
}

// DraftConfirmed makes the verified edition of a pack in force, all of whose rules are
// confirmed, as a draft that another officer publishes. ErrUnconfirmed means that rules
// are left; ErrExists that the edition in force is that already.
func (s *Service) DraftConfirmed(ctx context.Context, actor identity.Actor, code string) (DraftID, error) {
	if !officer(actor) {
		return "", ErrForbidden
	}
	var file []byte
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.freshRules(ctx, tx); err != nil {
			return err
		}
		review, err := s.review(ctx, tx, code)
		if err != nil {
			return err
		}
		if !review.Complete() {
			return ErrUnconfirmed
		}
		if review.Pack.Status == stateVerified && review.Pack.VerifiedBy.Again == earliestAgain(review.Items).String() {
			return ErrExists
		}
		// The edition is verified by who confirmed its last rule.
		last := *review.Items[0].Confirmed
		for _, i := range review.Items {
			if i.Confirmed.At.After(last.At) {
				last = *i.Confirmed
			}
		}
		last.Evidence = strings.TrimSpace(fmt.Sprintf("%d of %d confirmed singly", review.Confirmed, len(review.Items)))
		last.Address, last.File, last.Again = "", "", earliestAgain(review.Items)
		version := nextVersion(review.Pack.Version)
		for { // a version that was drafted with other content stays as it is
			if file, err = confirmedEdition(review.Pack, version, review.Items, last); err != nil {
				return err
			}
			sum := sha256.Sum256(file)
			var taken bool
			err := tx.QueryRow(ctx, `
				select exists (select 1 from pack_draft where code = $1 and version = $2 and sha256 <> $3)
					or exists (select 1 from pack_edition where code = $1 and version = $2)`, code, version, sum[:]).Scan(&taken)
			if err != nil {
				return mapped("find a version", err)
			}
			if !taken {
				return nil
			}
			version = nextVersion(version)
		}
	})
	if err != nil {
		return "", err
	}
	id, found, err := s.DraftEdition(ctx, actor, file, time.Time{}, time.Time{})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("confirmed edition of %s: %w", code, errors.Join(&found[0], ErrUnconfirmed))
	}
	return id, err
}

// unconfirmed are the findings about an edition that says it is verified.
func (s *Service) unconfirmed(ctx context.Context, actor identity.Actor, p *Pack) (out []PackError, err error) {
	if p.Status != stateVerified {
		return nil, nil
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		confirmed, err := selectConfirmations(ctx, tx, p.Code)
		out = lacking(p, confirmed)
		return err
	})
	return out, err
}

// stillConfirmed is ErrUnconfirmed if a file says that it is verified and is not.
func stillConfirmed(ctx context.Context, tx *audit.Tx, file []byte) error {
	p, err := ParsePack(draftFile, file)
	if err != nil || p.Status != stateVerified {
		return err
	}
	confirmed, err := selectConfirmations(ctx, tx, p.Code)
	if err == nil && len(lacking(p, confirmed)) > 0 {
		err = ErrUnconfirmed
	}
	return err
}

// PacksOf reads the editions that an answer rests on, as they were published.
func (s *Service) PacksOf(ctx context.Context, actor identity.Actor, editions []Edition) (out []*Pack, err error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		files, err := loadEditions(ctx, tx, editions)
		if err != nil {
			return err
		}
		for _, e := range editions {
			p, err := ParsePack(e.Code+".yaml", files[e.Code+".yaml"])
			if err != nil {
				return err
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// selectConfirmations are the last confirmations of a pack by rule and content.
func selectConfirmations(ctx context.Context, tx *audit.Tx, code string) (map[string]*RuleConfirmation, error) {
	rows, err := tx.Query(ctx, `
		select distinct on (rule, rule_sha256) rule, encode(rule_sha256, 'hex'), confirmed_by, name, role, organization, looked_on::text,
			evidence, address, coalesce(encode(evidence_sha256, 'hex'), ''), again_on::text, recorded_at
		from pack_confirmation
		where code = $1
		order by rule, rule_sha256, recorded_at desc, id desc -- pack_confirmation_rule`, code)
	if err != nil {
		return nil, mapped("read confirmations", err)
	}
	out := map[string]*RuleConfirmation{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		c := RuleConfirmation{Code: code}
		var looked, again string
		err := row.Scan(&c.Rule, &c.RuleSHA256, &c.By, &c.Name, &c.Role, &c.Organization, &looked, &c.Evidence, &c.Address, &c.File, &again, &c.At)
		if err != nil {
			return struct{}{}, err
		}
		c.At = c.At.UTC()
		if c.LookedOn, err = ParseMoment(looked); err != nil {
			return struct{}{}, err
		}
		c.Again, err = ParseMoment(again)
		out[c.Rule+" "+c.RuleSHA256] = &c
		return struct{}{}, err
	})
	return out, mapped("read confirmations", err)
}

func insertConfirmation(ctx context.Context, tx *audit.Tx, actor identity.Actor, r ConfirmRequest, file []byte) error {
	_, err := tx.Exec(ctx, `
		insert into pack_confirmation (id, code, rule, rule_sha256, confirmed_by, name, role, organization, looked_on, evidence, address,
			evidence_sha256, again_on, recorded_at)
		select @id, @code, @rule, decode(@sum, 'hex'), p.id, p.name, @role, coalesce((select o.name from organization o where o.id = @organization), ''),
			@looked::text::date, @evidence, @address, @file, @again::text::date, @now
		from person p
		where p.id = @by`,
		pgx.StrictNamedArgs{"id": newID(), "code": r.Code, "rule": r.Rule, "sum": r.RuleSHA256, "role": string(identity.RoleOfficer),
			"organization": null(actor.Organization), "looked": r.LookedOn.String(), "evidence": r.Evidence, "address": r.Address, "file": file,
			"again": r.Again.String(), "now": tx.Now(), "by": string(actor.Person)})
	return mapped("confirm a rule", err)
}

// packTasks are the confirmed packs in force that are to be looked at again, and the
// unconfirmed ones that something rests on or that were brought here.
func (s *Service) packTasks(ctx context.Context, tx *audit.Tx, actor identity.Actor) ([]QueueItem, error) {
	if err := s.freshRules(ctx, tx); err != nil {
		return nil, err
	}
	relied, err := s.reliedOnAll(ctx, tx)
	if err != nil {
		return nil, err
	}
	table, now := s.current.Load(), tx.Now()
	rules := table.at(now)
	brought := map[Edition]publishedEdition{}
	for _, e := range table.published {
		brought[e.edition] = e
	}
	var again, confirm []QueueItem
	for _, code := range rules.Codes() {
		p := rules.packs[code]
		q := QueueItem{Pack: code, Number: code + " " + p.Version, Relied: relied[code]}
		at := p.LookAgain()
		own, here := brought[p.Edition()]
		switch {
		case !at.IsZero() && !now.Before(at):
			q.Task, q.Since = TaskPack, at
			again = append(again, q)
		case (p.Status == stateStarter || p.Status == stateReview) && (here || q.Relied.Any()):
			q.Task, q.Since, q.Blocked = TaskConfirm, own.published, own.drafter != "" && own.drafter == actor.Person
			confirm = append(confirm, q)
		}
	}
	return append(again, confirm...), nil
}
