package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func selectDraft(ctx context.Context, tx *audit.Tx, id CaseID, author identity.PersonID) (sealed []byte, version int, at time.Time, err error) {
	err = tx.QueryRow(ctx, `
		select sealed_content, version, saved_at from opinion_draft where case_id = $1 and author_id = $2`,
		string(id), string(author)).Scan(&sealed, &version, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, time.Time{}, nil
	}
	return sealed, version, at.UTC(), err
}

// upsertDraft writes a draft that follows version; it tells whether it did.
func upsertDraft(ctx context.Context, tx *audit.Tx, c caseRow, author identity.PersonID, version int, sealed []byte) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into opinion_draft (case_id, organization_id, author_id, version, sealed_content, saved_at)
		values (@case, @org, @author, 1, @sealed, @at)
		on conflict (case_id, author_id) do update
		set version = opinion_draft.version + 1, sealed_content = excluded.sealed_content, saved_at = excluded.saved_at
		where opinion_draft.version = @version`,
		pgx.StrictNamedArgs{"case": string(c.ID), "org": string(c.Organization), "author": string(author), "version": version,
			"sealed": sealed, "at": tx.Now()})
	return tag.RowsAffected() == 1, err
}

func deleteDraft(ctx context.Context, tx *audit.Tx, id CaseID, author identity.PersonID) error {
	_, err := tx.Exec(ctx, `delete from opinion_draft where case_id = $1 and author_id = $2`, string(id), string(author))
	return err
}

// signRequest is a document as it was shown, waiting for its signature.
type signRequest struct {
	ID          RequestID
	Kind        Kind
	Document    DocumentID
	Person      identity.PersonID
	Login       identity.LoginID
	CaseVersion int
	Challenge   []byte
	PreparedAt  time.Time
	ExpiresAt   time.Time
	UsedAt      time.Time
	sealed      []byte
}

func insertSignRequest(ctx context.Context, tx *audit.Tx, c caseRow, r signRequest) error {
	_, err := tx.Exec(ctx, `
		insert into sign_request (id, organization_id, case_id, kind, document_id, person_id, login_id, case_version, challenge,
		  sealed_document, prepared_at, expires_at)
		values (@id, @org, @case, @kind, @document, @person, @login, @version, @challenge, @sealed, @prepared, @expires)`,
		pgx.StrictNamedArgs{"id": string(r.ID), "org": string(c.Organization), "case": string(c.ID), "kind": string(r.Kind),
			"document": string(r.Document), "person": string(r.Person), "login": string(r.Login), "version": r.CaseVersion,
			"challenge": r.Challenge, "sealed": r.sealed, "prepared": r.PreparedAt, "expires": r.ExpiresAt})
	return err
}

// lockSignRequest reads and locks a request of a case.
func lockSignRequest(ctx context.Context, tx *audit.Tx, id CaseID, request RequestID) (signRequest, error) {
	if !plainID.MatchString(string(request)) {
		return signRequest{}, ErrNotFound
	}
	rows, err := tx.Query(ctx, `
		select id::text, kind, document_id::text, person_id::text, login_id, case_version, challenge, sealed_document, prepared_at,
		  expires_at, used_at
		from sign_request where case_id = $1 and id = $2
		for update`, string(id), string(request))
	if err != nil {
		return signRequest{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (signRequest, error) {
		var r signRequest
		var used *time.Time
		err := row.Scan(&r.ID, &r.Kind, &r.Document, &r.Person, &r.Login, &r.CaseVersion, &r.Challenge, &r.sealed, &r.PreparedAt,
			&r.ExpiresAt, &used)
		r.UsedAt = value(used)
		return r, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return signRequest{}, ErrNotFound
	}
	return r, err
}

func useSignRequest(ctx context.Context, tx *audit.Tx, request RequestID) error {
	_, err := tx.Exec(ctx, `update sign_request set used_at = $2 where id = $1`, string(request), tx.Now())
	return err
}

// documentRow is an opinion or a decision.
type documentRow struct {
	ID            DocumentID
	Kind          Kind
	Author        identity.PersonID
	SHA256        []byte
	Determination credentialing.DeterminationID
	SignedAt      time.Time
	sealed        []byte
	// of its signature
	record       []byte
	recordSHA256 []byte
	evidence     []byte // sealed
	Leaf         int64
}

func insertDocument(ctx context.Context, tx *audit.Tx, c caseRow, d documentRow) error {
	args := pgx.StrictNamedArgs{"id": string(d.ID), "org": string(c.Organization), "case": string(c.ID), "author": string(d.Author),
		"sha256": d.SHA256, "sealed": d.sealed, "determination": string(d.Determination), "at": d.SignedAt}
	query := `
		insert into opinion (id, organization_id, case_id, author_id, sha256, sealed_document, determination_id, signed_at)
		values (@id, @org, @case, @author, @sha256, @sealed, @determination, @at)`
	if d.Kind == KindDecision {
		query = `
		insert into decision (id, organization_id, case_id, signer_id, sha256, sealed_document, determination_id, signed_at)
		values (@id, @org, @case, @author, @sha256, @sealed, @determination, @at)`
	}
	_, err := tx.Exec(ctx, query, args)
	return err
}

func insertSignature(ctx context.Context, tx *audit.Tx, c caseRow, d documentRow) error {
	_, err := tx.Exec(ctx, `
		insert into document_signature (document_id, organization_id, case_id, kind, person_id, record, record_sha256, sealed_evidence,
		  leaf_index, signed_at)
		values (@id, @org, @case, @kind, @person, @record, @sha256, @evidence, @leaf, @at)`,
		pgx.StrictNamedArgs{"id": string(d.ID), "org": string(c.Organization), "case": string(c.ID), "kind": string(d.Kind),
			"person": string(d.Author), "record": d.record, "sha256": d.recordSHA256, "evidence": d.evidence, "leaf": d.Leaf, "at": d.SignedAt})
	return err
}

// selectDocuments reads the opinions and the decision of a case, oldest first.
func selectDocuments(ctx context.Context, tx *audit.Tx, id CaseID) ([]documentRow, error) {
	rows, err := tx.Query(ctx, `
		select d.id::text, d.kind, d.author::text, d.sha256, d.sealed_document, d.determination_id::text, d.signed_at,
		  s.record, s.record_sha256, s.sealed_evidence, s.leaf_index
		from (
		  select id, 'opinion' as kind, author_id as author, sha256, sealed_document, determination_id, signed_at
		  from opinion where case_id = $1
		  union all
		  select id, 'decision', signer_id, sha256, sealed_document, determination_id, signed_at
		  from decision where case_id = $1
		) d join document_signature s on s.document_id = d.id
		order by s.leaf_index`, string(id))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (documentRow, error) {
		var d documentRow
		err := row.Scan(&d.ID, &d.Kind, &d.Author, &d.SHA256, &d.sealed, &d.Determination, &d.SignedAt,
			&d.record, &d.recordSHA256, &d.evidence, &d.Leaf)
		d.SignedAt = d.SignedAt.UTC()
		return d, err
	})
}

// ReadBack is a card of an opinion and, once read back, by whom.
type ReadBack struct {
	ID          ReadBackID
	Opinion     DocumentID
	Fields      ReadBackFields
	ConfirmedBy identity.PersonID
	ConfirmedAt time.Time // zero: waits
	Language    string
}

type readBackRow struct {
	ReadBack
	kind   string
	sealed []byte
}

func insertReadBack(ctx context.Context, tx *audit.Tx, c caseRow, r readBackRow) error {
	_, err := tx.Exec(ctx, `
		insert into read_back (id, organization_id, case_id, opinion_id, kind, sealed_fields)
		values (@id, @org, @case, @opinion, @kind, @sealed)`,
		pgx.StrictNamedArgs{"id": string(r.ID), "org": string(c.Organization), "case": string(c.ID), "opinion": string(r.Opinion),
			"kind": r.kind, "sealed": r.sealed})
	return err
}

func insertConfirmation(ctx context.Context, tx *audit.Tx, c caseRow, id ReadBackID, person identity.PersonID, language string) error {
	_, err := tx.Exec(ctx, `
		insert into read_back_confirmation (read_back_id, organization_id, case_id, person_id, language, confirmed_at)
		values (@id, @org, @case, @person, @language, @at)
		on conflict (read_back_id, person_id) do nothing`,
		pgx.StrictNamedArgs{"id": string(id), "org": string(c.Organization), "case": string(c.ID), "person": string(person),
			"language": language, "at": tx.Now()})
	return err
}

// selectReadBacks reads the cards with the confirmation of one person.
func selectReadBacks(ctx context.Context, tx *audit.Tx, id CaseID, person identity.PersonID) ([]readBackRow, error) {
	rows, err := tx.Query(ctx, `
		select r.id::text, r.opinion_id::text, r.kind, r.sealed_fields, coalesce(c.person_id::text, ''), c.confirmed_at, coalesce(c.language, '')
		from read_back r left join read_back_confirmation c on c.read_back_id = r.id and c.person_id::text = $2
		where r.case_id = $1 order by r.id`, string(id), string(person))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (readBackRow, error) {
		var r readBackRow
		var at *time.Time
		err := row.Scan(&r.ID, &r.Opinion, &r.kind, &r.sealed, &r.ConfirmedBy, &at, &r.Language)
		r.ConfirmedAt = value(at)
		return r, err
	})
}

func insertHandBack(ctx context.Context, tx *audit.Tx, c caseRow, by identity.PersonID, language string, sealed []byte) error {
	_, err := tx.Exec(ctx, `
		insert into case_hand_back (case_id, organization_id, handed_to, sealed_summary, language, by_id, at)
		values (@case, @org, @to, @sealed, @language, @by, @at)`,
		pgx.StrictNamedArgs{"case": string(c.ID), "org": string(c.Organization), "to": c.HandedTo, "sealed": sealed,
			"language": language, "by": string(by), "at": tx.Now()})
	return err
}

func selectHandBack(ctx context.Context, tx *audit.Tx, id CaseID) (sealed []byte, language string, err error) {
	err = tx.QueryRow(ctx, `select sealed_summary, language from case_hand_back where case_id = $1`, string(id)).Scan(&sealed, &language)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, "", nil
	}
	return sealed, language, err
}
