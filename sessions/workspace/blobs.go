package workspace

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

// Limits of one file (design security, section 9).
const (
	// MaxFile is the largest file taken.
	MaxFile = 50 << 20
	// maxPixels bounds the memory of one decoded image to 160 MB.
	maxPixels = 40_000_000
)

var (
	// ErrTooLarge means that a file is larger than MaxFile or its picture larger
	// than 40 megapixels.
	ErrTooLarge = errors.New("workspace: file too large")
	// ErrFileType means that the content is of no type on the list, or that the
	// name's extension says another one.
	ErrFileType = errors.New("workspace: file type not accepted")
	// ErrDamaged means that a file cannot be read as what it says it is.
	ErrDamaged = errors.New("workspace: file damaged")
)

// accepted are the types taken and the extensions that may go with each. Archives
// and SVG are not among them.
var accepted = map[string][]string{
	"application/pdf": {".pdf"},
	"image/png":       {".png"},
	"image/jpeg":      {".jpg", ".jpeg"},
	"text/plain":      {".txt"},
	"text/csv":        {".csv"},
}

// Blobs keeps files: received into quarantine, checked, then sealed with the key of
// their case into a bucket. It also holds the keys for the sealed fields.
type Blobs struct {
	keys       *Keys        // immutable
	bucket     *blob.Bucket // immutable
	quarantine *os.Root     // immutable
}

// NewBlobs keeps files in bucket and receives them in the directory quarantine.
func NewBlobs(bucket *blob.Bucket, keys *Keys, quarantine string) (*Blobs, error) {
	if err := os.MkdirAll(quarantine, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(quarantine)
	if err != nil {
		return nil, err
	}
	return &Blobs{keys: keys, bucket: bucket, quarantine: root}, nil
}

// OpenBlobs keeps everything in two directories: files and quarantine under dir,
// keys under keyDir.
func OpenBlobs(dir, keyDir string) (*Blobs, error) {
	keys, err := OpenKeys(keyDir)
	if err != nil {
		return nil, err
	}
	bucket, err := fileblob.OpenBucket(filepath.Join(dir, "files"), &fileblob.Options{
		CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, err
	}
	return NewBlobs(bucket, keys, filepath.Join(dir, "quarantine"))
}

// Close releases the directories.
func (b *Blobs) Close() error {
	return errors.Join(b.bucket.Close(), b.quarantine.Close(), b.keys.Close())
}

// received is a file in quarantine that was found acceptable.
type received struct {
	name      string // in quarantine, server-made
	mediaType string
	size      int64
	sha256    []byte
}

// receive streams r into quarantine, counting, and decides by content whether it is
// taken. Images are decoded and encoded again, which drops their metadata and
// whatever was appended. The caller discards what it does not store.
func (b *Blobs) receive(r io.Reader, fileName string) (received, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return received{}, err
	}
	got := received{name: hex.EncodeToString(random)}
	size, sum, err := b.write(got.name, io.LimitReader(r, MaxFile+1))
	if err != nil {
		b.discard(got)
		return received{}, fmt.Errorf("receive file: %w", err)
	}
	got.size, got.sha256 = size, sum
	if err := b.check(&got, fileName); err != nil {
		b.discard(got)
		return received{}, err
	}
	return got, nil
}

func (b *Blobs) check(got *received, fileName string) error {
	if got.size > MaxFile {
		return ErrTooLarge
	}
	f, err := b.quarantine.Open(got.name)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := mimetype.DetectReader(f)
	if err != nil {
		return err
	}
	mediaType, _, _ := strings.Cut(found.String(), ";")
	extension := strings.ToLower(filepath.Ext(fileName))
	agrees := false
	for _, e := range accepted[mediaType] {
		agrees = agrees || e == extension
	}
	if !agrees {
		return ErrFileType
	}
	got.mediaType = mediaType
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch mediaType {
	case "image/png", "image/jpeg":
		return b.reencode(got, f)
	case "text/plain", "text/csv":
		text, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return ErrDamaged
		}
	}
	return nil
}

// reencode replaces an image in quarantine by its own pixels.
func (b *Blobs) reencode(got *received, f *os.File) error {
	config, _, err := image.DecodeConfig(f)
	if err != nil {
		return ErrDamaged
	}
	if config.Width <= 0 || config.Height <= 0 || int64(config.Width)*int64(config.Height) > maxPixels {
		return ErrTooLarge
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var out bytes.Buffer
	if got.mediaType == "image/png" {
		m, err := png.Decode(f)
		if err != nil {
			return ErrDamaged
		}
		if err := png.Encode(&out, m); err != nil {
			return err
		}
	} else {
		raw, err := io.ReadAll(f) // at most MaxFile
		if err != nil {
			return err
		}
		m, err := jpeg.Decode(bytes.NewReader(raw))
		if err != nil {
			return ErrDamaged
		}
		if how := orientation(raw); how != 1 {
			m = oriented{m, how}
		}
		// 95: differences to the original stay below what a screen shows.
		if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 95}); err != nil {
			return err
		}
	}
	if err := b.quarantine.Remove(got.name); err != nil {
		return err
	}
	got.size, got.sha256, err = b.write(got.name, &out)
	return err
}

func (b *Blobs) write(name string, r io.Reader) (int64, []byte, error) {
	f, err := b.quarantine.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, nil, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return n, h.Sum(nil), err
}

func (b *Blobs) discard(got received) { _ = b.quarantine.Remove(got.name) }

// store seals a received file into the bucket and clears the quarantine.
func (b *Blobs) store(ctx context.Context, id CaseID, file FileID, got received) error {
	defer b.discard(got)
	keys, err := b.keys.of(id)
	if err != nil {
		return err
	}
	f, err := b.quarantine.Open(got.name)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // an unfinished writer leaves nothing
	w, err := b.bucket.NewWriter(ctx, blobKey(id, file), &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	sealed, err := keys.files.NewEncryptingWriter(w, place("case_file", "content", string(file), id, keys.jurisdiction))
	if err == nil {
		if _, err = io.Copy(sealed, f); err == nil {
			err = sealed.Close()
		}
	}
	if err != nil {
		cancel()
		_ = w.Close()
		return fmt.Errorf("store file %s: %w", file, err)
	}
	return w.Close()
}

// remove deletes a file whose row was not written.
func (b *Blobs) remove(ctx context.Context, id CaseID, file FileID) {
	_ = b.bucket.Delete(ctx, blobKey(id, file))
}

// open reads a file. What was changed on disk gives an error while reading.
func (b *Blobs) open(ctx context.Context, id CaseID, file FileID) (io.ReadCloser, error) {
	keys, err := b.keys.of(id)
	if err != nil {
		return nil, err
	}
	r, err := b.bucket.NewReader(ctx, blobKey(id, file), nil)
	if err != nil {
		return nil, fmt.Errorf("open file %s: %w", file, err)
	}
	plain, err := keys.files.NewDecryptingReader(r, place("case_file", "content", string(file), id, keys.jurisdiction))
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open file %s: %w", file, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, r}, nil
}

func blobKey(id CaseID, file FileID) string { return string(id) + "/" + string(file) }
