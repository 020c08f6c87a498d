package credentialing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Vault keeps the bytes of evidence outside the database, sealed; *workspace.Vault is
// one. All methods may be repeated and block for the store.
type Vault interface {
	// Put keeps what r gives under its SHA-256. The same bytes again change nothing, but
	// mend a file that was damaged.
	Put(ctx context.Context, sha256 [32]byte, r io.Reader) error
	// Open reads a file; fs.ErrNotExist if it is not there. Open or reading gives
	// ErrEvidenceAltered where the stored bytes are not those that were kept.
	Open(ctx context.Context, sha256 [32]byte) (io.ReadCloser, error)
	// Remove erases a file; one that is not there is erased already.
	Remove(ctx context.Context, sha256 [32]byte) error
}

// Scanner looks for malware. It blocks for its service and may be asked again.
type Scanner interface {
	// Scan returns nil for a file in which nothing was found.
	Scan(ctx context.Context, r io.Reader) error
}

// Where the bytes of evidence are.
const (
	inDatabase = "database"
	inVault    = "blob"
)

// sourceLink stands as the source of files that came by an upload link.
const sourceLink = "upload-link"

var (
	// ErrEvidenceEmpty is an ErrEvidenceType: there is nothing in the file.
	ErrEvidenceEmpty = fmt.Errorf("%w: empty", ErrEvidenceType)
	// ErrEvidenceLarge is an ErrEvidenceType: the file is larger than MaxEvidence.
	ErrEvidenceLarge = fmt.Errorf("%w: too large", ErrEvidenceType)
	// ErrEvidenceLost means that the bytes of evidence are not where they were kept.
	ErrEvidenceLost = errors.New("credentialing: the file of evidence is missing")
	// ErrEvidenceAltered means that the bytes of evidence are not those that were kept.
	ErrEvidenceAltered = errors.New("credentialing: the file of evidence was altered")
	// ErrEvidenceErased means that the time for keeping the bytes is over.
	ErrEvidenceErased = errors.New("credentialing: the file of evidence was erased")
)

// FileError says which of several files is refused.
type FileError struct {
	File int // 0 is the first
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("file %d: %v", e.File+1, e.Err) }

// Unwrap is why the file is refused.
func (e *FileError) Unwrap() error { return e.Err }

// keptFile is a file whose bytes are in the vault, or on their way into the database.
type keptFile struct {
	sum   [32]byte
	media string
	size  int64
	bytes []byte // nil: in the vault
}

func (k keptFile) ref() string {
	if k.bytes == nil {
		return inVault
	}
	return inDatabase
}

// reader is the file from its beginning.
func (f EvidenceFile) reader() io.ReadSeeker {
	if f.Content != nil {
		return f.Content
	}
	return bytes.NewReader(f.Bytes)
}

// keep inspects a file of evidence and brings its bytes into the vault. A file whose
// row is not written afterwards stays there, unnamed by anything.
func (s *Service) keep(ctx context.Context, f EvidenceFile) (keptFile, error) {
	if f.Source == "" {
		return keptFile{}, &Invalid{Field: "source"}
	}
	r := f.reader()
	k, err := weigh(r, MaxEvidence)
	if err != nil {
		return k, err
	}
	if err := rewind(r); err != nil {
		return k, err
	}
	found, err := mimetype.DetectReader(r)
	if err != nil {
		return k, fmt.Errorf("read evidence: %w", err)
	}
	k.media, _, _ = strings.Cut(found.String(), ";")
	if !slices.Contains(evidenceTypes, k.media) {
		return k, ErrEvidenceType
	}
	if s.scan != nil {
		if err := rewind(r); err != nil {
			return k, err
		}
		if err := s.scan.Scan(ctx, r); err != nil {
			return k, fmt.Errorf("scan evidence: %w", err)
		}
	}
	return s.store(ctx, k, r)
}

// weigh counts and hashes a file in one pass, without holding it.
func weigh(r io.ReadSeeker, limit int64) (keptFile, error) {
	if err := rewind(r); err != nil {
		return keptFile{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, limit+1))
	if err != nil {
		return keptFile{}, fmt.Errorf("read evidence: %w", err)
	}
	k := keptFile{size: n}
	h.Sum(k.sum[:0])
	switch {
	case n == 0:
		return k, ErrEvidenceEmpty
	case n > limit:
		return k, ErrEvidenceLarge
	}
	return k, nil
}

// store brings the bytes of r into the vault; without one they go into the database
// with the row.
func (s *Service) store(ctx context.Context, k keptFile, r io.ReadSeeker) (keptFile, error) {
	if err := s.notErased(ctx, k.sum); err != nil {
		return k, err
	}
	if err := rewind(r); err != nil {
		return k, err
	}
	if s.vault == nil {
		var err error
		if k.bytes, err = io.ReadAll(io.LimitReader(r, k.size)); err != nil {
			return k, fmt.Errorf("read evidence: %w", err)
		}
		return k, nil
	}
	if err := s.vault.Put(ctx, k.sum, io.LimitReader(r, k.size)); err != nil {
		return k, fmt.Errorf("keep evidence: %w", err)
	}
	return k, nil
}

// notErased refuses bytes that were erased because the time for keeping them is over.
func (s *Service) notErased(ctx context.Context, sum [32]byte) error {
	return s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		f, err := selectEvidence(ctx, tx, sum)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err == nil && f.erased:
			return ErrEvidenceErased
		}
		return err
	})
}

func rewind(r io.Seeker) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	return nil
}

// page keeps what the service itself writes as evidence: small, and of a known kind.
func (s *Service) page(ctx context.Context, media string, data []byte) (keptFile, error) {
	k := keptFile{sum: sha256.Sum256(data), media: media, size: int64(len(data))}
	return s.store(ctx, k, bytes.NewReader(data))
}

// OpenedEvidence is a file of evidence that was found to be what was kept. It is read
// once and closed.
type OpenedEvidence struct {
	Media string
	Size  int64
	io.ReadCloser
}

// OpenEvidence opens a file of evidence after its bytes were read through and found to
// have the hash that was kept. That somebody read it is an event; that it is missing or
// was altered too, and stands on the credential's page from then on. The errors are
// ErrEvidenceLost, ErrEvidenceAltered and ErrEvidenceErased.
func (s *Service) OpenEvidence(ctx context.Context, actor identity.Actor, id CredentialID, sha256Hex string) (*OpenedEvidence, error) {
	var f evidenceRow
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if err := s.mayKnow(ctx, tx, actor, id); err != nil {
			return err
		}
		f, err = selectEvidenceOf(ctx, tx, id, sha256Hex)
		return err
	})
	if err != nil {
		return nil, err
	}
	damage := s.look(ctx, f)
	if damage != nil && !damaged(damage) {
		return nil, fmt.Errorf("open evidence: %w", damage)
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		ev := actor.Event("credential.evidence_opened")
		ev.Objects = map[string]string{"credential": string(id), "person": string(f.person)}
		ev.Hashes = map[string]string{"evidence": sha256Hex}
		if damage != nil {
			ev.Act, ev.Reason = "credential.evidence_damaged", faultName(damage)
		}
		tx.Append(ev)
		return noteFault(ctx, tx, f.sum, faultName(damage))
	})
	if err != nil {
		return nil, err
	}
	if damage != nil {
		return nil, fmt.Errorf("open evidence: %w", damage)
	}
	r, err := s.open(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	return &OpenedEvidence{Media: f.media, Size: f.size, ReadCloser: r}, nil
}

// open reads the bytes of evidence as they are stored.
func (s *Service) open(ctx context.Context, f evidenceRow) (r io.ReadCloser, err error) {
	if f.erased || f.ref == inVault {
		return s.openIn(ctx, nil, f)
	}
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		r, err = s.openIn(ctx, tx, f)
		return err
	})
	return r, err
}

// openIn is open within a transaction; what is in the vault needs none.
func (s *Service) openIn(ctx context.Context, tx *audit.Tx, f evidenceRow) (io.ReadCloser, error) {
	if f.erased {
		return nil, ErrEvidenceErased
	}
	if f.ref == inVault {
		if s.vault == nil {
			return nil, errors.New("the file is in a store that is not configured")
		}
		r, err := s.vault.Open(ctx, f.sum)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrEvidenceLost
		}
		return r, err
	}
	data, err := selectBytes(ctx, tx, f.sum)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrEvidenceLost
	}
	return io.NopCloser(bytes.NewReader(data)), err
}

// look reads a file through and says whether it is what was kept.
func (s *Service) look(ctx context.Context, f evidenceRow) error {
	r, err := s.open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return err
	}
	if n != f.size || !bytes.Equal(h.Sum(nil), f.sum[:]) {
		return ErrEvidenceAltered
	}
	return nil
}

func damaged(err error) bool {
	return errors.Is(err, ErrEvidenceLost) || errors.Is(err, ErrEvidenceAltered)
}

// faultName is how a fault stands in the database; "" is none.
func faultName(err error) string {
	switch {
	case errors.Is(err, ErrEvidenceLost):
		return "missing"
	case errors.Is(err, ErrEvidenceAltered):
		return "altered"
	}
	return ""
}

// EvidenceCheck is what reading all evidence through found.
type EvidenceCheck struct {
	Files   int
	Bytes   int64
	Damaged []DamagedFile // at most 1000
}

// DamagedFile is evidence that is missing or was altered.
type DamagedFile struct {
	SHA256 string // hex
	Fault  string // missing, altered
	// Credential is one that rests on it; "" of a registry file or of a rule's
	// confirmation.
	Credential CredentialID
}

// CheckEvidence reads all evidence through and notes what is missing or was altered,
// and what is in order again. It holds no file in memory.
func (s *Service) CheckEvidence(ctx context.Context) (out EvidenceCheck, err error) {
	actor := identity.System("evidence-check", "")
	var after [32]byte
	for {
		var list []evidenceRow
		err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			list, err = selectEvidenceAfter(ctx, tx, after, 200)
			return err
		})
		if err != nil || len(list) == 0 {
			return out, err
		}
		for _, f := range list {
			after = f.sum
			if f.erased {
				continue
			}
			found := s.look(ctx, f)
			if found != nil && !damaged(found) {
				return out, fmt.Errorf("check evidence %x: %w", f.sum, found)
			}
			out.Files++
			out.Bytes += f.size
			if found != nil && len(out.Damaged) < 1000 {
				out.Damaged = append(out.Damaged, DamagedFile{SHA256: fmt.Sprintf("%x", f.sum), Fault: faultName(found), Credential: f.credential})
			}
			if faultName(found) == f.fault {
				continue
			}
			err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
				ev := actor.Event("evidence.damaged")
				ev.Reason = faultName(found)
				if found == nil {
					ev.Act = "evidence.mended"
				}
				ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", f.sum)}
				tx.Append(ev)
				return noteFault(ctx, tx, f.sum, faultName(found))
			})
			if err != nil {
				return out, err
			}
		}
	}
}

// MoveEvidence brings what the database holds of evidence into the vault, one file a
// transaction, and returns how many it moved. It may be stopped at any time and goes on
// where it was; two at once do each file once.
func (s *Service) MoveEvidence(ctx context.Context) (moved int, err error) {
	if s.vault == nil {
		return 0, errors.New("credentialing: no store to move evidence to")
	}
	actor := identity.System("evidence-move", "")
	for {
		done := false
		err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
			done = false
			sum, data, err := lockInDatabase(ctx, tx)
			if errors.Is(err, ErrNotFound) {
				done = true
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.vault.Put(ctx, sum, bytes.NewReader(data)); err != nil {
				return err
			}
			// Only what can be read back is taken out of the database.
			if err := s.look(ctx, evidenceRow{sum: sum, size: int64(len(data)), ref: inVault}); err != nil {
				return fmt.Errorf("read back: %w", err)
			}
			if err := nowInVault(ctx, tx, sum); err != nil {
				return err
			}
			ev := actor.Event("evidence.moved")
			ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", sum)}
			tx.Append(ev)
			return nil
		})
		if err != nil {
			return moved, fmt.Errorf("move evidence: %w", err)
		}
		if done {
			return moved, nil
		}
		moved++
	}
}

// EraseEvidence erases the bytes of a file whose time for being kept is over. Hash,
// verification and who saw it stay. It is a command of the operator.
func (s *Service) EraseEvidence(ctx context.Context, actor identity.Actor, sum [32]byte, reason string) error {
	if !system(actor) {
		return ErrForbidden
	}
	if reason == "" {
		return &Invalid{Field: "reason"}
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := eraseBytes(ctx, tx, sum, reason); err != nil {
			return err
		}
		ev := actor.Event("evidence.erased")
		ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", sum)}
		tx.Append(ev)
		return nil
	})
	if err != nil {
		return err
	}
	if s.vault == nil {
		return nil
	}
	// After the row: a file that is left behind by a crash is erased by asking again.
	return s.vault.Remove(ctx, sum)
}

// evidenceRow is a file of evidence with where its bytes are.
type evidenceRow struct {
	sum        [32]byte
	media      string
	size       int64
	ref        string
	erased     bool
	fault      string // open one
	person     identity.PersonID
	credential CredentialID
}

const evidenceSQL = `
	e.sha256, e.media_type, e.size, e.bytes_ref,
	exists (select 1 from evidence_erasure x where x.sha256 = e.sha256),
	coalesce((select f.fault from evidence_fault f where f.sha256 = e.sha256 and f.mended_at is null), '')`

func (f *evidenceRow) scan(row pgx.Row, more ...any) error {
	var sum []byte
	err := row.Scan(append([]any{&sum, &f.media, &f.size, &f.ref, &f.erased, &f.fault}, more...)...)
	copy(f.sum[:], sum)
	return err
}

func selectEvidenceOf(ctx context.Context, tx *audit.Tx, id CredentialID, sha256Hex string) (f evidenceRow, err error) {
	err = f.scan(tx.QueryRow(ctx, `
		select `+evidenceSQL+`, c.person_id, c.id
		from credential_evidence ce
		join credential c on c.id = ce.credential_id
		join evidence e on e.sha256 = ce.sha256
		where ce.credential_id = $1 and encode(ce.sha256, 'hex') = $2
		limit 1`, string(id), sha256Hex), &f.person, &f.credential)
	return f, mapped("find evidence", err)
}

func selectEvidence(ctx context.Context, tx *audit.Tx, sum [32]byte) (f evidenceRow, err error) {
	err = f.scan(tx.QueryRow(ctx, `select `+evidenceSQL+` from evidence e where e.sha256 = $1`, sum[:]))
	return f, mapped("find evidence", err)
}

func selectEvidenceAfter(ctx context.Context, tx *audit.Tx, after [32]byte, limit int) ([]evidenceRow, error) {
	rows, err := tx.Query(ctx, `
		select `+evidenceSQL+`, coalesce((select min(ce.credential_id::text) from credential_evidence ce where ce.sha256 = e.sha256), '')
		from evidence e
		where e.sha256 > $1
		order by e.sha256 -- evidence_pkey
		limit $2`, after[:], limit)
	if err != nil {
		return nil, mapped("list evidence", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f evidenceRow, err error) {
		return f, f.scan(row, &f.credential)
	})
	return out, mapped("list evidence", err)
}

func selectBytes(ctx context.Context, tx *audit.Tx, sum [32]byte) (data []byte, err error) {
	err = tx.QueryRow(ctx, `select bytes from evidence_bytes where sha256 = $1`, sum[:]).Scan(&data)
	return data, mapped("read evidence", err)
}

// noteFault keeps that a file is damaged, or, for "", that it is in order.
func noteFault(ctx context.Context, tx *audit.Tx, sum [32]byte, fault string) error {
	_, err := tx.Exec(ctx, `
		update evidence_fault
		set mended_at = greatest(@now, found_at)
		where sha256 = @sha256 and mended_at is null and fault <> @fault`,
		pgx.StrictNamedArgs{"sha256": sum[:], "fault": fault, "now": tx.Now()})
	if err != nil || fault == "" {
		return mapped("note evidence in order", err)
	}
	_, err = tx.Exec(ctx, `
		insert into evidence_fault (sha256, found_at, fault)
		values (@sha256, @now, @fault)
		on conflict do nothing`, pgx.StrictNamedArgs{"sha256": sum[:], "fault": fault, "now": tx.Now()})
	return mapped("note damaged evidence", err)
}

// insertKept writes the row of a file, and its bytes where there is no vault. The same
// bytes sent again mend a file that was found damaged.
func insertKept(ctx context.Context, tx *audit.Tx, k keptFile) error {
	_, err := tx.Exec(ctx, `
		insert into evidence (sha256, media_type, bytes_ref, size)
		values (@sha256, @media, @ref, @size)
		on conflict (sha256) do nothing`,
		pgx.StrictNamedArgs{"sha256": k.sum[:], "media": k.media, "ref": k.ref(), "size": k.size})
	if err != nil {
		return mapped("keep evidence", err)
	}
	if k.bytes != nil {
		_, err = tx.Exec(ctx, `
			insert into evidence_bytes (sha256, bytes)
			values (@sha256, @bytes)
			on conflict (sha256) do nothing`, pgx.StrictNamedArgs{"sha256": k.sum[:], "bytes": k.bytes})
		if err != nil {
			return mapped("keep evidence", err)
		}
	}
	return noteFault(ctx, tx, k.sum, "")
}

// attach keeps a file beside a credential. by is "" and link named where it came by an
// upload link.
func attach(ctx context.Context, tx *audit.Tx, credential CredentialID, by identity.PersonID, k keptFile, source string, at time.Time, link UploadLinkID) error {
	if err := insertKept(ctx, tx, k); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		insert into credential_evidence (id, credential_id, sha256, source, captured_at, captured_by, recorded_at, link_id)
		values (@id, @credential, @sha256, @source, @at, @by, @now, @link)`,
		pgx.StrictNamedArgs{"id": newID(), "credential": string(credential), "sha256": k.sum[:], "source": source, "at": at, "by": null(by),
			"now": tx.Now(), "link": null(link)})
	return mapped("attach evidence", err)
}

// lockInDatabase takes one file that is still in the database.
func lockInDatabase(ctx context.Context, tx *audit.Tx) (sum [32]byte, data []byte, err error) {
	var raw []byte
	err = tx.QueryRow(ctx, `
		select e.sha256, b.bytes
		from evidence e
		join evidence_bytes b on b.sha256 = e.sha256
		where e.bytes_ref = 'database' -- evidence_in_database
		order by e.sha256
		limit 1
		for update of e skip locked`).Scan(&raw, &data)
	copy(sum[:], raw)
	return sum, data, mapped("find evidence in the database", err)
}

func nowInVault(ctx context.Context, tx *audit.Tx, sum [32]byte) error {
	if _, err := tx.Exec(ctx, `update evidence set bytes_ref = 'blob' where sha256 = $1`, sum[:]); err != nil {
		return mapped("move evidence", err)
	}
	_, err := tx.Exec(ctx, `delete from evidence_bytes where sha256 = $1`, sum[:])
	return mapped("move evidence", err)
}

func eraseBytes(ctx context.Context, tx *audit.Tx, sum [32]byte, reason string) error {
	if _, err := selectEvidence(ctx, tx, sum); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		insert into evidence_erasure (sha256, erased_at, reason)
		values (@sha256, @now, @reason)
		on conflict on constraint evidence_erasure_once do nothing`,
		pgx.StrictNamedArgs{"sha256": sum[:], "now": tx.Now(), "reason": reason})
	if err != nil {
		return mapped("erase evidence", err)
	}
	if _, err := tx.Exec(ctx, `delete from evidence_bytes where sha256 = $1`, sum[:]); err != nil {
		return mapped("erase evidence", err)
	}
	return noteFault(ctx, tx, sum, "")
}
