package workspace

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/tink-crypto/tink-go/v2/tink"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/consilium-health/consilium/credentialing"
)

// Vault keeps the bytes of evidence about people's credentials in the bucket of the
// cases' files, under their SHA-256 and sealed with a key of their own. The same bytes
// are kept once, whoever brings them.
type Vault struct {
	bucket *blob.Bucket       // immutable
	key    tink.StreamingAEAD // immutable
}

var _ credentialing.Vault = (*Vault)(nil)

// vaultKeyID is what the key of evidence is kept by: evidence is the platform's, under
// the key encryption key of ZZ, as the packs call what holds everywhere.
const (
	vaultKeyID   = "00000000-0000-0000-0000-000000000000"
	evidenceHome = "ZZ"
)

// Vault returns where evidence is kept, making its key on first use. It is closed with
// the Blobs.
func (b *Blobs) Vault() (*Vault, error) {
	if err := b.keys.create(vaultKeyID, evidenceHome); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("key of evidence: %w", err)
	}
	keys, err := b.keys.of(vaultKeyID)
	if err != nil {
		return nil, fmt.Errorf("key of evidence: %w", err)
	}
	return &Vault{bucket: b.bucket, key: keys.files}, nil
}

// Put seals what r gives under its SHA-256. An unfinished file leaves nothing.
func (v *Vault) Put(ctx context.Context, sum [32]byte, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := v.bucket.NewWriter(ctx, vaultKey(sum), &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	sealed, err := v.key.NewEncryptingWriter(w, vaultPlace(sum))
	if err == nil {
		if _, err = io.Copy(sealed, r); err == nil {
			err = sealed.Close()
		}
	}
	if err != nil {
		cancel()
		_ = w.Close()
		return fmt.Errorf("keep evidence: %w", err)
	}
	return w.Close()
}

// Open reads a file of evidence; what was changed in the bucket gives
// credentialing.ErrEvidenceAltered, at the latest when it is read.
func (v *Vault) Open(ctx context.Context, sum [32]byte) (io.ReadCloser, error) {
	r, err := v.bucket.NewReader(ctx, vaultKey(sum), nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("open evidence: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	below := &belowReader{r: r}
	plain, err := v.key.NewDecryptingReader(below, vaultPlace(sum))
	if err != nil {
		r.Close()
		return nil, below.judge(err)
	}
	return &vaultFile{plain: plain, below: below}, nil
}

// Remove erases a file of evidence.
func (v *Vault) Remove(ctx context.Context, sum [32]byte) error {
	if err := v.bucket.Delete(ctx, vaultKey(sum)); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("erase evidence: %w", err)
	}
	return nil
}

func vaultKey(sum [32]byte) string { return "evidence/" + hex.EncodeToString(sum[:]) }

func vaultPlace(sum [32]byte) []byte {
	return place("evidence", "content", hex.EncodeToString(sum[:]), vaultKeyID, evidenceHome)
}

// belowReader remembers whether the bucket failed, which is no alteration.
type belowReader struct {
	r   *blob.Reader
	err error
}

func (b *belowReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// judge says what an error of opening the seal is.
func (b *belowReader) judge(err error) error {
	if b.err != nil {
		return fmt.Errorf("read evidence: %w", b.err)
	}
	return fmt.Errorf("%w: %w", credentialing.ErrEvidenceAltered, err)
}

type vaultFile struct {
	plain io.Reader
	below *belowReader
}

func (f *vaultFile) Read(p []byte) (int, error) {
	n, err := f.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.below.judge(err)
	}
	return n, err
}

func (f *vaultFile) Close() error { return f.below.r.Close() }
