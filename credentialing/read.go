package credentialing

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// CredentialView is one credential as its pages show it.
type CredentialView struct {
	ID           CredentialID
	Person       identity.PersonID
	Kind         Kind
	Issuer       string
	Number       string
	Jurisdiction string
	Via          string

	ClaimID   ClaimID
	Claim     Claim             // the current version
	EnteredBy identity.PersonID // "" by the system
	EnteredAt time.Time
	ByLink    bool // the claim came by an upload link

	// Counts is what Evaluate sees: the approved version, or the claim while none is
	// approved. Standing is how it stands at the instant asked about.
	Counts   Held
	Standing Standing

	State        State
	Verification *VerificationView // of the current claim; nil if nobody has asked the source
	Evidence     []EvidenceView
	Statuses     []StatusView

	// Reviews are the yearly ones of a privilege by proxy, the last first; NextReview is
	// when the next is due, zero for other kinds.
	Reviews    []ProxyReview
	NextReview time.Time
}

// VerificationView is what a source answered.
type VerificationView struct {
	ID            VerificationID
	Verifier      identity.PersonID
	Approver      identity.PersonID
	Method        string
	Source        string
	SourceAddress string
	AskedAt       time.Time
	Result        Result
	Reason        string // why it was returned
	SourceStatus  Status
	Evidence      string // hex
	State         State
	NextDue       time.Time
}

// EvidenceView is a file on record.
type EvidenceView struct {
	SHA256     string // hex
	MediaType  string
	Size       int64
	Source     string
	CapturedAt time.Time
	CapturedBy identity.PersonID
	ByLink     bool   // came by an upload link
	Fault      string // "", missing, altered
	Erased     bool
}

// StatusView is one reported status.
type StatusView struct {
	Status     Status
	From       time.Time
	Source     string
	Reported   identity.PersonID
	Confirmed  identity.PersonID
	RecordedAt time.Time
	Superseded bool
}

// Pending tells that good news waits for a second officer.
func (v StatusView) Pending() bool {
	return v.Status == StatusActive && v.Confirmed == "" && !v.Superseded
}

// ExclusionView is a match on a sanction list.
type ExclusionView struct {
	ID         ExclusionID
	List       string
	Entry      string
	From, To   time.Time
	Strong     bool
	Decision   string // "", "cleared", "confirmed"
	Proposer   identity.PersonID
	RecordedAt time.Time
}

// PersonFile is what is on file about a person.
type PersonFile struct {
	Person             identity.PersonID
	At                 time.Time
	Home               string
	Credentials        []CredentialView
	Exclusions         []ExclusionView
	ExclusionCheckedAt time.Time // zero: never
}

// File is what is on file about a person, with its standing at an instant. Officers
// read everybody's, others their own.
func (s *Service) File(ctx context.Context, actor identity.Actor, person identity.PersonID, at time.Time) (PersonFile, error) {
	if !officer(actor) && (actor.Person != person || actor.Guest()) {
		return PersonFile{}, ErrNotFound
	}
	f := PersonFile{Person: person, At: at}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		held, err := s.CredentialsOf(ctx, tx, person, tx.Now())
		if err != nil {
			return err
		}
		f.Home = held.Home
		if held.ExclusionCheckedAt != nil {
			f.ExclusionCheckedAt = *held.ExclusionCheckedAt
		}
		if f.Exclusions, err = selectExclusionViews(ctx, tx, person); err != nil {
			return err
		}
		f.Credentials, err = s.views(ctx, tx, at, held, `c.person_id = $1`, string(person))
		return err
	})
	return f, err
}

// View is one credential, for an officer or its holder.
func (s *Service) View(ctx context.Context, actor identity.Actor, id CredentialID) (CredentialView, error) {
	var v CredentialView
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		var person identity.PersonID
		if err := tx.QueryRow(ctx, `select person_id from credential where id = $1`, string(id)).Scan(&person); err != nil {
			return mapped("find credential", err)
		}
		if !officer(actor) && (actor.Person != person || actor.Guest()) {
			return ErrNotFound
		}
		held, err := s.CredentialsOf(ctx, tx, person, tx.Now())
		if err != nil {
			return err
		}
		all, err := s.views(ctx, tx, tx.Now(), held, `c.id = $1`, string(id))
		if err == nil && len(all) == 0 {
			err = ErrNotFound
		}
		if err == nil {
			v = all[0]
		}
		return err
	})
	return v, err
}

// DeterminationsOf are the last answers about a person, newest first.
func (s *Service) DeterminationsOf(ctx context.Context, actor identity.Actor, person identity.PersonID, limit int) ([]Determination, error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	var out []Determination
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `
			select id
			from determination
			where person_id = $1
			order by decided_at desc, id desc -- determination_person
			limit $2`, string(person), limit)
		if err != nil {
			return mapped("list determinations", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return mapped("list determinations", err)
		}
		for _, id := range ids {
			d, err := s.Stored(ctx, tx, DeterminationID(id))
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

// Check returns a stored determination and whether a replay of its facts agrees with
// it: differs is nil, or ErrReplayDiffers with what is wrong.
func (s *Service) Check(ctx context.Context, actor identity.Actor, id DeterminationID) (d Determination, differs error, err error) {
	if !officer(actor) {
		return d, nil, ErrNotFound
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if d, err = s.Stored(ctx, tx, id); err != nil {
			return err
		}
		_, differs = s.Replay(ctx, tx, id)
		if differs != nil && !errors.Is(differs, ErrReplayDiffers) {
			return differs
		}
		return nil
	})
	return d, differs, err
}

// viewsSQL selects credentials c with the versions of their claims and verifications that
// are meant by two conditions: those that stand now, or those known at an instant.
func viewsSQL(claim, verification string) string {
	return `
		select c.id, c.person_id, c.kind, c.issuer, c.number, coalesce(c.jurisdiction, ''), c.via,
			cl.id, cl.content, cl.entered_by, lower(cl.known), cl.link_id is not null, v.id, v.verifier_id, v.approver_id, v.method, v.source, v.source_address,
			v.asked_at, v.result, v.result_reason, v.source_status, coalesce(encode(v.evidence_sha256, 'hex'), ''), v.state, v.next_due
		from credential c
		join credential_claim cl on cl.credential_id = c.id and ` + claim + `
		left join lateral (
			select v.*
			from verification v
			where v.credential_id = c.id and v.claim_id = cl.id and ` + verification + `
			order by v.state = 'approved', v.asked_at desc, v.id desc
			limit 1) v on true`
}

// views reads credentials that where names, with what stands beside them.
func (s *Service) views(ctx context.Context, tx *audit.Tx, at time.Time, held Credentials, where string, args ...any) ([]CredentialView, error) {
	rows, err := tx.Query(ctx, viewsSQL(`upper_inf(cl.known)`, `upper_inf(v.known)`)+`
		where `+where+`
		order by c.kind, c.jurisdiction, c.id`, args...)
	if err != nil {
		return nil, mapped("read credentials", err)
	}
	out, err := pgx.CollectRows(rows, scanView)
	if err != nil {
		return nil, mapped("read credentials", err)
	}
	byID := s.standings(out, held, at)
	ids := make([]string, 0, len(out))
	for i := range out {
		ids = append(ids, string(out[i].ID))
	}
	if err := selectEvidenceViews(ctx, tx, ids, byID); err != nil {
		return nil, err
	}
	if err := selectReviews(ctx, tx, ids, byID); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].NextReview = out[i].reviewDue()
	}
	return out, selectStatusViews(ctx, tx, ids, byID)
}

// standings adds what counts of each credential and how it stands at an instant.
func (s *Service) standings(out []CredentialView, held Credentials, at time.Time) map[string]*CredentialView {
	byID := map[string]*CredentialView{}
	for i := range out {
		byID[string(out[i].ID)] = &out[i]
	}
	for _, h := range held.List {
		v, ok := byID[h.ID]
		if !ok {
			continue
		}
		// Of several periods the one that holds at the instant, or else the last.
		st := s.Rules().StandingOf(h, at)
		if v.Counts.ID == "" || !v.Standing.Usable {
			v.Counts, v.Standing = h, st
		}
	}
	return byID
}

func scanView(row pgx.CollectableRow) (CredentialView, error) {
	var v CredentialView
	var content []byte
	var entered, vid, verifier, approver, method, source, address, result, reason, status, state *string
	var evidence string
	var asked, due *time.Time
	err := row.Scan(&v.ID, &v.Person, &v.Kind, &v.Issuer, &v.Number, &v.Jurisdiction, &v.Via, &v.ClaimID, &content, &entered, &v.EnteredAt, &v.ByLink,
		&vid, &verifier, &approver, &method, &source, &address, &asked, &result, &reason, &status, &evidence, &state, &due)
	if err != nil {
		return v, err
	}
	v.EnteredBy, v.EnteredAt, v.State = identity.PersonID(text(entered)), v.EnteredAt.UTC(), StateClaimed
	if vid != nil {
		v.State = State(text(state))
		v.Verification = &VerificationView{ID: VerificationID(*vid), Verifier: identity.PersonID(text(verifier)), Approver: identity.PersonID(text(approver)),
			Method: text(method), Source: text(source), SourceAddress: text(address), AskedAt: orZero(asked), Result: Result(text(result)),
			Reason: text(reason), SourceStatus: Status(text(status)), Evidence: evidence, State: v.State, NextDue: orZero(due)}
	}
	return v, json.Unmarshal(content, &v.Claim)
}

func selectEvidenceViews(ctx context.Context, tx *audit.Tx, ids []string, byID map[string]*CredentialView) error {
	rows, err := tx.Query(ctx, `
		select ce.credential_id, encode(ce.sha256, 'hex'), e.media_type, e.size, ce.source, ce.captured_at, ce.captured_by, ce.link_id is not null,
			coalesce((select f.fault from evidence_fault f where f.sha256 = e.sha256 and f.mended_at is null), ''),
			exists (select 1 from evidence_erasure x where x.sha256 = e.sha256)
		from credential_evidence ce
		join evidence e on e.sha256 = ce.sha256
		where ce.credential_id = any($1::uuid[])
		order by ce.recorded_at, ce.id`, ids)
	if err != nil {
		return mapped("read evidence", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var id string
		var by *string
		var e EvidenceView
		err := row.Scan(&id, &e.SHA256, &e.MediaType, &e.Size, &e.Source, &e.CapturedAt, &by, &e.ByLink, &e.Fault, &e.Erased)
		e.CapturedAt, e.CapturedBy = e.CapturedAt.UTC(), identity.PersonID(text(by))
		if v := byID[id]; v != nil {
			v.Evidence = append(v.Evidence, e)
		}
		return struct{}{}, err
	})
	return mapped("read evidence", err)
}

func selectStatusViews(ctx context.Context, tx *audit.Tx, ids []string, byID map[string]*CredentialView) error {
	rows, err := tx.Query(ctx, `
		select s.credential_id, s.status, s.from_at, s.source, s.reported_by, s.confirmed_by, s.recorded_at,
			exists (select 1 from credential_status n where n.supersedes = s.id
				or n.credential_id = s.credential_id and n.status <> 'active' and s.confirmed_by is null and n.id > s.id)
		from credential_status s
		where s.credential_id = any($1::uuid[])
		order by s.from_at, s.recorded_at, s.id`, ids)
	if err != nil {
		return mapped("read statuses", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var id string
		var reported, confirmed *string
		var st StatusView
		err := row.Scan(&id, &st.Status, &st.From, &st.Source, &reported, &confirmed, &st.RecordedAt, &st.Superseded)
		st.From, st.RecordedAt = st.From.UTC(), st.RecordedAt.UTC()
		st.Reported, st.Confirmed = identity.PersonID(text(reported)), identity.PersonID(text(confirmed))
		if v := byID[id]; v != nil {
			v.Statuses = append(v.Statuses, st)
		}
		return struct{}{}, err
	})
	return mapped("read statuses", err)
}

const exclusionViewSQL = `
	select e.id, e.person_id, e.list, e.entry, e.from_at, e.to_at, e.strength = 'strong', e.recorded_at,
		coalesce((select d.decision from exclusion_decision d
			where d.exclusion_id = e.id and (d.decision = 'confirmed' or d.confirmed_by is not null) order by d.id desc limit 1), ''),
		(select case when d.decision = 'cleared' and d.confirmed_by is null then d.proposed_by end
			from exclusion_decision d where d.exclusion_id = e.id order by d.id desc limit 1)
	from exclusion e`

func scanExclusion(row pgx.CollectableRow) (struct {
	ExclusionView
	person identity.PersonID
}, error) {
	var e struct {
		ExclusionView
		person identity.PersonID
	}
	var to *time.Time
	var by *string
	err := row.Scan(&e.ID, &e.person, &e.List, &e.Entry, &e.From, &to, &e.Strong, &e.RecordedAt, &e.Decision, &by)
	e.From, e.To, e.RecordedAt, e.Proposer = e.From.UTC(), orZero(to), e.RecordedAt.UTC(), identity.PersonID(text(by))
	return e, err
}

func selectExclusionViews(ctx context.Context, tx *audit.Tx, person identity.PersonID) ([]ExclusionView, error) {
	rows, err := tx.Query(ctx, exclusionViewSQL+` where e.person_id = $1 order by e.id`, string(person))
	if err != nil {
		return nil, mapped("read exclusions", err)
	}
	all, err := pgx.CollectRows(rows, scanExclusion)
	out := make([]ExclusionView, 0, len(all))
	for _, e := range all {
		out = append(out, e.ExclusionView)
	}
	return out, mapped("read exclusions", err)
}

func selectUndecided(ctx context.Context, tx *audit.Tx, actor identity.Actor) ([]QueueItem, error) {
	rows, err := tx.Query(ctx, exclusionViewSQL+`
		where not exists (select 1 from exclusion_decision d
			where d.exclusion_id = e.id and (d.decision = 'confirmed' or d.confirmed_by is not null))
		order by e.id`)
	if err != nil {
		return nil, mapped("read exclusions", err)
	}
	all, err := pgx.CollectRows(rows, scanExclusion)
	var out []QueueItem
	for _, e := range all {
		out = append(out, QueueItem{Task: TaskMatch, Person: e.person, Exclusion: e.ID, Number: e.List + " " + e.Entry, Since: e.RecordedAt,
			Blocked: e.person == actor.Person || e.Proposer == actor.Person})
	}
	return out, mapped("read exclusions", err)
}

// selectPeopleOnFile are all people who hold something.
func selectPeopleOnFile(ctx context.Context, tx *audit.Tx) ([]identity.PersonID, error) {
	rows, err := tx.Query(ctx, `select distinct person_id::text from credential order by 1`)
	if err != nil {
		return nil, mapped("list people on file", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	out := make([]identity.PersonID, 0, len(ids))
	for _, id := range ids {
		out = append(out, identity.PersonID(id))
	}
	return out, mapped("list people on file", err)
}

// Named is somebody on file.
type Named struct {
	ID   identity.PersonID
	Name string
}

// OnFile are all people who hold something, for officers.
func (s *Service) OnFile(ctx context.Context, actor identity.Actor) (out []Named, err error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `
			select p.id::text, p.name
			from person p
			where exists (select 1 from credential c where c.person_id = p.id) -- credential_number_unique`)
		if err != nil {
			return mapped("list people on file", err)
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Named])
		return mapped("list people on file", err)
	})
	return out, err
}
