package workspace

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

type consentRow struct {
	Consent
	sealedGiver, sealedText []byte
}

func insertConsent(ctx context.Context, tx *audit.Tx, c caseRow, r consentRow) error {
	sum, err := hex.DecodeString(r.TextSHA256)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into case_consent (id, organization_id, case_id, purpose, class, destination, receiver_id, receiver_organization_id,
		  sealed_giver, giver_kind, how, witness_id, text_version, text_sha256, sealed_text, language, recorded_by, recorded_at, until_at)
		values (@id, @org, @case, @purpose, @class, @destination, @receiver, @receiver_org, @giver, @giver_kind, @how, @witness,
		  @version, @sha256, @text, @language, @by, @at, @until)`,
		pgx.StrictNamedArgs{"id": string(r.ID), "org": string(c.Organization), "case": string(c.ID), "purpose": string(r.Purpose),
			"class": string(r.Class), "destination": r.Destination, "receiver": nullable(r.Receiver),
			"receiver_org": nullable(r.ReceiverOrganization), "giver": r.sealedGiver, "giver_kind": r.Giver.Kind, "how": string(r.How),
			"witness": nullable(r.Witness), "version": r.TextVersion, "sha256": sum, "text": r.sealedText, "language": r.Language,
			"by": string(r.RecordedBy), "at": r.RecordedAt, "until": nullTime(r.Until)})
	return err
}

func insertWithdrawal(ctx context.Context, tx *audit.Tx, c caseRow, id ConsentID, how string, by string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into case_consent_withdrawal (consent_id, organization_id, case_id, how, recorded_by, withdrawn_at)
		values (@id, @org, @case, @how, @by, @at)
		on conflict (consent_id) do nothing`,
		pgx.StrictNamedArgs{"id": string(id), "org": string(c.Organization), "case": string(c.ID), "how": how, "by": by, "at": tx.Now()})
	return tag.RowsAffected() == 1, err
}

// selectConsents reads all consents of a case, withdrawn ones too. A withdrawal locks
// the case, so a command that holds that lock sees the last word.
func selectConsents(ctx context.Context, tx *audit.Tx, id CaseID) ([]consentRow, error) {
	query := `
		select c.id::text, c.purpose, c.class, c.destination, coalesce(c.receiver_id::text, ''),
		  coalesce(c.receiver_organization_id::text, ''), c.sealed_giver, c.giver_kind, c.how, coalesce(c.witness_id::text, ''),
		  c.text_version, encode(c.text_sha256, 'hex'), c.sealed_text, c.language, c.recorded_by::text, c.recorded_at, c.until_at,
		  (select w.withdrawn_at from case_consent_withdrawal w where w.consent_id = c.id)
		from case_consent c
		where c.case_id = $1
		order by c.id` // case_consent_by_case
	rows, err := tx.Query(ctx, query, string(id))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (consentRow, error) {
		var r consentRow
		var until, withdrawn *time.Time
		err := row.Scan(&r.ID, &r.Purpose, &r.Class, &r.Destination, &r.Receiver, &r.ReceiverOrganization, &r.sealedGiver,
			&r.Giver.Kind, &r.How, &r.Witness, &r.TextVersion, &r.TextSHA256, &r.sealedText, &r.Language, &r.RecordedBy,
			&r.RecordedAt, &until, &withdrawn)
		r.RecordedAt, r.Until, r.WithdrawnAt = r.RecordedAt.UTC(), value(until), value(withdrawn)
		return r, err
	})
}

// File is an item of a case's files.
type File struct {
	ID         FileID
	Class      Class
	Name       string
	MediaType  string
	Size       int64
	SHA256     string // hex
	Language   string
	Scan       string // clean, not_scanned_demonstration
	UploadedBy string
	UploadedAt time.Time
}

type fileRow struct {
	File
	sealedName []byte
}

func insertFile(ctx context.Context, tx *audit.Tx, c caseRow, f fileRow, sum []byte) error {
	_, err := tx.Exec(ctx, `
		insert into case_file (id, organization_id, case_id, class, media_type, size, sha256, sealed_name, language, scan, uploaded_by, uploaded_at)
		values (@id, @org, @case, @class, @type, @size, @sha256, @name, @language, @scan, @by, @at)`,
		pgx.StrictNamedArgs{"id": string(f.ID), "org": string(c.Organization), "case": string(c.ID), "class": string(f.Class),
			"type": f.MediaType, "size": f.Size, "sha256": sum, "name": f.sealedName, "language": f.Language, "scan": f.Scan,
			"by": f.UploadedBy, "at": f.UploadedAt})
	return err
}

const fileColumns = `id::text, class, media_type, size, encode(sha256, 'hex'), sealed_name, language, scan, uploaded_by::text, uploaded_at`

func scanFile(row pgx.CollectableRow) (fileRow, error) {
	var f fileRow
	err := row.Scan(&f.ID, &f.Class, &f.MediaType, &f.Size, &f.SHA256, &f.sealedName, &f.Language, &f.Scan, &f.UploadedBy, &f.UploadedAt)
	f.UploadedAt = f.UploadedAt.UTC()
	return f, err
}

func selectFiles(ctx context.Context, tx *audit.Tx, id CaseID) ([]fileRow, error) {
	rows, err := tx.Query(ctx, `select `+fileColumns+` from case_file where case_id = $1 order by id`, string(id)) // case_file_by_case
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanFile)
}

func selectFile(ctx context.Context, tx *audit.Tx, id CaseID, file FileID) (fileRow, error) {
	if !plainID.MatchString(string(file)) {
		return fileRow{}, ErrNotFound
	}
	rows, err := tx.Query(ctx, `select `+fileColumns+` from case_file where case_id = $1 and id = $2`, string(id), string(file))
	if err != nil {
		return fileRow{}, err
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFile)
	if errors.Is(err, pgx.ErrNoRows) {
		return fileRow{}, ErrNotFound
	}
	return f, err
}

// sizeOfFiles is what a case holds already.
func sizeOfFiles(ctx context.Context, tx *audit.Tx, id CaseID) (int64, error) {
	var n int64
	err := tx.QueryRow(ctx, `select coalesce(sum(size), 0)::bigint from case_file where case_id = $1`, string(id)).Scan(&n)
	return n, err
}

// filesSince counts what a person added to the clinic since an instant.
func filesSince(ctx context.Context, tx *audit.Tx, person identity.PersonID, since time.Time) (int, error) {
	var n int
	err := tx.QueryRow(ctx, `select count(*) from case_file where uploaded_by = $1 and uploaded_at > $2`, string(person), since).Scan(&n)
	return n, err
}
