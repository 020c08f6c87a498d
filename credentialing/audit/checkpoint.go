package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrCheckpoint means that bytes are not a checkpoint signed by the key asked for.
var ErrCheckpoint = errors.New("audit: not a checkpoint of this log's key")

// Checkpoint says how long the log was and what its root hash was then. Signed, it
// is a note (C2SP tlog-checkpoint) that anyone may keep and hold against the log.
type Checkpoint struct {
	Origin string // the log's name, which is also its key's name
	Size   int64
	Root   tlog.Hash
}

// text is what is signed: origin, size and root, a line each.
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// Signer signs checkpoints with the log's Ed25519 key. Its zero value signs nothing.
type Signer struct {
	signer   note.Signer
	verifier string
}

// GenerateKey makes a key for the log named origin ("consilium.example/log"): the
// secret line kept in a file of its own and the public line that is published.
func GenerateKey(origin string) (secret, public string, err error) {
	return note.GenerateKey(rand.Reader, origin)
}

// NewSigner reads the secret line that GenerateKey made.
func NewSigner(secret string) (Signer, error) {
	secret = strings.TrimSpace(secret)
	s, err := note.NewSigner(secret)
	if err != nil {
		return Signer{}, errors.New("audit: the log's key cannot be read") // never quote a secret
	}
	parts := strings.SplitN(secret, "+", 5) // PRIVATE+KEY+name+hash+base64, which may hold a plus
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return Signer{}, errors.New("audit: the log's key is not an Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	v, err := note.NewEd25519VerifierKey(s.Name(), public)
	if err != nil {
		return Signer{}, fmt.Errorf("audit: the log's key: %w", err)
	}
	return Signer{signer: s, verifier: v}, nil
}

// Origin is the name of the log.
func (s Signer) Origin() string { return s.signer.Name() }

// Public is the line by which others verify: NewVerifier reads it.
func (s Signer) Public() string { return s.verifier }

// Verifier verifies what s signs.
func (s Signer) Verifier() Verifier {
	v, err := NewVerifier(s.verifier)
	if err != nil {
		panic(err) // NewSigner made it
	}
	return v
}

// Sign returns the signed note of a checkpoint, with the signer's own origin.
func (s Signer) Sign(c Checkpoint) ([]byte, error) {
	if s.signer == nil {
		return nil, errors.New("audit: no key to sign checkpoints with")
	}
	c.Origin = s.Origin()
	return note.Sign(&note.Note{Text: c.text()}, s.signer)
}

// Verifier knows the public key of a log.
type Verifier struct{ v note.Verifier }

// NewVerifier reads the public line of a log's key.
func NewVerifier(public string) (Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return Verifier{}, fmt.Errorf("audit: public key of the log: %w", err)
	}
	return Verifier{v}, nil
}

// Origin is the name of the log whose key it is.
func (v Verifier) Origin() string { return v.v.Name() }

// Open verifies a signed checkpoint and returns what it says. Cosignatures of
// others may stand beside the log's own; they are not looked at.
func (v Verifier) Open(signed []byte) (Checkpoint, error) {
	if v.v == nil {
		return Checkpoint{}, fmt.Errorf("%w: no key given", ErrCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(v.v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	for _, s := range n.Sigs {
		// The note package takes spare bits at the end of base64; one form only here,
		// so that a changed byte is a changed checkpoint.
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("%w: signature: %w", ErrCheckpoint, err)
		}
	}
	lines := strings.SplitN(n.Text, "\n", 4)
	if len(lines) != 4 || lines[0] != v.Origin() {
		return Checkpoint{}, fmt.Errorf("%w: origin or form", ErrCheckpoint)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("%w: size", ErrCheckpoint)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("%w: root", ErrCheckpoint)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	// Lines after the third are extensions, which C2SP allows; what we read must
	// still be in its one form.
	if !strings.HasPrefix(n.Text, c.text()) {
		return Checkpoint{}, fmt.Errorf("%w: form", ErrCheckpoint)
	}
	return c, nil
}

// Proof shows that a leaf is in the log: by itself it proves nothing, against a
// checkpoint it proves that whoever signed that had this leaf at this index.
type Proof struct {
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Leaf  []byte      `json:"leaf"` // the exact bytes the tree hashes
	Path  []tlog.Hash `json:"path"`
}

// VerifyProof verifies a proof offline against a signed checkpoint of its size.
func VerifyProof(p Proof, signed []byte, v Verifier) error {
	c, err := v.Open(signed)
	if err != nil {
		return err
	}
	return p.Verify(c)
}

// Verify verifies the proof against an opened checkpoint of its size.
func (p Proof) Verify(c Checkpoint) error {
	if p.Size != c.Size {
		return fmt.Errorf("audit: proof is for size %d, the checkpoint has %d", p.Size, c.Size)
	}
	if p.Index < 0 || p.Index >= p.Size {
		return fmt.Errorf("audit: leaf %d is outside the checkpoint", p.Index)
	}
	if _, err := ParseCanonical(p.Leaf); err != nil {
		return fmt.Errorf("audit: leaf %d: %w", p.Index, err)
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
		return fmt.Errorf("audit: leaf %d is not in the log: %w", p.Index, err)
	}
	return nil
}

// Event is the event in the proof's leaf.
func (p Proof) Event() (Leaf, error) { return parseLeaf(p.Index, p.Leaf) }

// Consistency shows that the log of an older checkpoint is the beginning of the
// log of a newer one.
type Consistency struct {
	Old  int64       `json:"old"`
	New  int64       `json:"new"`
	Path []tlog.Hash `json:"path"`
}

// VerifyConsistency verifies offline that nothing before the older of two signed
// checkpoints was changed, dropped, inserted or swapped until the newer.
func VerifyConsistency(p Consistency, older, newer []byte, v Verifier) error {
	a, err := v.Open(older)
	if err != nil {
		return fmt.Errorf("older: %w", err)
	}
	b, err := v.Open(newer)
	if err != nil {
		return fmt.Errorf("newer: %w", err)
	}
	return p.Verify(a, b)
}

// Verify verifies the proof between two opened checkpoints.
func (p Consistency) Verify(older, newer Checkpoint) error {
	if p.Old != older.Size || p.New != newer.Size || older.Size > newer.Size {
		return errors.New("audit: the proof is not between these checkpoints")
	}
	if older.Size == 0 || older.Size == newer.Size {
		if len(p.Path) != 0 {
			return errors.New("audit: proof longer than needed")
		}
		if older.Size == newer.Size && !bytes.Equal(older.Root[:], newer.Root[:]) {
			return errors.New("audit: two logs of one size: history was forked")
		}
		return nil
	}
	if err := tlog.CheckTree(p.Path, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("audit: history before %d was changed: %w", older.Size, err)
	}
	return nil
}
