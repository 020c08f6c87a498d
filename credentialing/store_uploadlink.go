package credentialing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// linkRow is a link with what it is for.
type linkRow struct {
	UploadLink
	credential    CredentialID
	person        identity.PersonID
	disabled      bool // the person
	kind          Kind
	issuer        string
	claim         ClaimID // of the period that ends
	ending        Claim
	current       ClaimID // the claim on file now
	currentByLink bool
	content       Claim // of current
}

// linkNeeded is true while no other period than the link's was approved since.
const linkNeeded = `
	not exists (
		select 1 from verification v
		where v.credential_id = l.credential_id and v.claim_id <> l.claim_id and v.state = 'approved' and lower(v.known) > l.issued_at)`

// selectLink finds a link by the hash of its token.
func selectLink(ctx context.Context, tx *audit.Tx, hash []byte, lock bool) (linkRow, error) {
	query := `
		select l.id, l.issued_at, l.expires_at, l.files, l.finished_at, l.revoked_at, ` + linkNeeded + `,
			l.credential_id, l.person_id, p.disabled_at is not null, c.kind, c.issuer, l.claim_id, e.content, n.id, n.link_id is not null, n.content
		from credential_upload_link l
		join credential c on c.id = l.credential_id
		join person p on p.id = l.person_id
		join credential_claim e on e.id = l.claim_id
		join credential_claim n on n.credential_id = l.credential_id and upper_inf(n.known)
		where l.token_hash = $1`
	if lock {
		query += ` for update of l, c`
	}
	var l linkRow
	var finished, revoked *time.Time
	var ending, content []byte
	err := tx.QueryRow(ctx, query, hash).Scan(&l.ID, &l.IssuedAt, &l.ExpiresAt, &l.Files, &finished, &revoked, &l.Needed,
		&l.credential, &l.person, &l.disabled, &l.kind, &l.issuer, &l.claim, &ending, &l.current, &l.currentByLink, &content)
	if err != nil {
		return l, mapped("find upload link", err)
	}
	l.IssuedAt, l.ExpiresAt, l.FinishedAt, l.RevokedAt = l.IssuedAt.UTC(), l.ExpiresAt.UTC(), orZero(finished), orZero(revoked)
	if err := json.Unmarshal(ending, &l.ending); err != nil {
		return l, err
	}
	return l, json.Unmarshal(content, &l.content)
}

func selectLinks(ctx context.Context, tx *audit.Tx, id CredentialID) ([]UploadLink, error) {
	rows, err := tx.Query(ctx, `
		select l.id, l.issued_at, l.expires_at, l.files, l.finished_at, l.revoked_at, `+linkNeeded+`
		from credential_upload_link l
		where l.credential_id = $1
		order by l.issued_at desc, l.id desc -- credential_upload_link_credential
		limit 20`, string(id))
	if err != nil {
		return nil, mapped("list upload links", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (UploadLink, error) {
		var l UploadLink
		var finished, revoked *time.Time
		err := row.Scan(&l.ID, &l.IssuedAt, &l.ExpiresAt, &l.Files, &finished, &revoked, &l.Needed)
		l.IssuedAt, l.ExpiresAt, l.FinishedAt, l.RevokedAt = l.IssuedAt.UTC(), l.ExpiresAt.UTC(), orZero(finished), orZero(revoked)
		return l, err
	})
	return out, mapped("list upload links", err)
}

// countingClaim is the claim of the last approved period, or the current one where
// none is approved.
func countingClaim(ctx context.Context, tx *audit.Tx, id CredentialID) (claim ClaimID, err error) {
	err = tx.QueryRow(ctx, `
		select coalesce(
			(select v.claim_id from verification v
				where v.credential_id = $1 and v.state = 'approved' and upper_inf(v.known)
				order by v.asked_at desc, v.id desc
				limit 1), -- verification_credential
			(select cl.id from credential_claim cl where cl.credential_id = $1 and upper_inf(cl.known)))`, string(id)).Scan(&claim)
	return claim, mapped("find claim", err)
}

// replaceLinks ends the oldest open links, so that one more may be issued.
func replaceLinks(ctx context.Context, tx *audit.Tx, id CredentialID) error {
	_, err := tx.Exec(ctx, `
		update credential_upload_link
		set revoked_at = @now
		where id in (
			select id from credential_upload_link
			where credential_id = @credential and expires_at > @now and revoked_at is null and finished_at is null
			order by issued_at desc, id desc
			offset @keep)`,
		pgx.StrictNamedArgs{"credential": string(id), "now": tx.Now(), "keep": openLinks - 1})
	return mapped("replace upload links", err)
}

func insertLink(ctx context.Context, tx *audit.Tx, id UploadLinkID, hash []byte, credential CredentialID, person identity.PersonID, claim ClaimID) error {
	_, err := tx.Exec(ctx, `
		insert into credential_upload_link (id, token_hash, credential_id, person_id, claim_id, issued_at, expires_at)
		values (@id, @hash, @credential, @person, @claim, @now, @expires)`,
		pgx.StrictNamedArgs{"id": string(id), "hash": hash, "credential": string(credential), "person": string(person), "claim": string(claim),
			"now": tx.Now(), "expires": tx.Now().Add(uploadLinkLife)})
	return mapped("issue upload link", err)
}

func countFiles(ctx context.Context, tx *audit.Tx, id UploadLinkID, files int) error {
	_, err := tx.Exec(ctx, `update credential_upload_link set files = $2 where id = $1`, string(id), files)
	return mapped("count files of upload link", err)
}

func finishLink(ctx context.Context, tx *audit.Tx, id UploadLinkID) error {
	_, err := tx.Exec(ctx, `update credential_upload_link set finished_at = $2 where id = $1`, string(id), tx.Now())
	return mapped("finish upload link", err)
}

func revokeLink(ctx context.Context, tx *audit.Tx, credential CredentialID, id UploadLinkID, by identity.PersonID) error {
	tag, err := tx.Exec(ctx, `
		update credential_upload_link
		set revoked_at = @now, revoked_by = @by
		where id = @id and credential_id = @credential and revoked_at is null`,
		pgx.StrictNamedArgs{"id": string(id), "credential": string(credential), "by": null(by), "now": tx.Now()})
	if err != nil {
		return mapped("revoke upload link", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

func holderOf(ctx context.Context, tx *audit.Tx, id CredentialID) (person identity.PersonID, err error) {
	err = tx.QueryRow(ctx, `select person_id from credential where id = $1`, string(id)).Scan(&person)
	return person, mapped("find credential", err)
}
