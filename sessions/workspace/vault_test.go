package workspace_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

func (w *world) vault() *workspace.Vault {
	w.t.Helper()
	v, err := w.blobs.Vault()
	w.ok(err)
	return v
}

// stored is the file of the bucket that holds a file of evidence.
func (w *world) stored(sum [32]byte) string {
	return filepath.Join(w.dir, "data", "files", "evidence", fmt.Sprintf("%x", sum))
}

func TestVaultGivesBackWhatWasKeptAndSeesWhatWasChanged(t *testing.T) {
	w := newWorld(t)
	v := w.vault()
	for _, size := range []int{1, 1000, 1 << 20, 3<<20 + 7} {
		data := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
		sum := sha256.Sum256(data)
		for range 2 { // the same bytes again
			w.ok(v.Put(w.ctx, sum, bytes.NewReader(data)))
		}
		r, err := w.vault().Open(w.ctx, sum)
		w.ok(err)
		got, err := io.ReadAll(r)
		w.ok(err)
		w.ok(r.Close())
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back as %d others", size, len(got))
		}
		raw, err := os.ReadFile(w.stored(sum))
		w.ok(err)
		if size > 100 && bytes.Contains(raw, data[:64]) {
			t.Error("the bucket holds the plain file")
		}
		for name, change := range map[string]func() []byte{
			"a bit at the end":   func() []byte { c := bytes.Clone(raw); c[len(c)-1] ^= 1; return c },
			"a bit in the head":  func() []byte { c := bytes.Clone(raw); c[3] ^= 1; return c },
			"cut in the middle":  func() []byte { return raw[:len(raw)/2] },
			"nothing left":       func() []byte { return nil },
			"another file there": func() []byte { return []byte(strings.Repeat("x", len(raw))) },
		} {
			w.ok(os.WriteFile(w.stored(sum), change(), 0o600))
			r, err := v.Open(w.ctx, sum)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if !errors.Is(err, credentialing.ErrEvidenceAltered) {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
		w.ok(v.Remove(w.ctx, sum))
		w.ok(v.Remove(w.ctx, sum))
		if _, err := v.Open(w.ctx, sum); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed: %v", err)
		}
	}
	sum := sha256.Sum256([]byte("cut off"))
	ctx, cancel := context.WithCancel(w.ctx)
	if err := v.Put(ctx, sum, io.MultiReader(strings.NewReader("cut"), failing{cancel})); err == nil {
		t.Error("a file that was cut off was kept")
	}
	if _, err := v.Open(w.ctx, sum); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was cut off is there: %v", err)
	}
}

type failing struct{ also func() }

func (f failing) Read([]byte) (int, error) { f.also(); return 0, io.ErrUnexpectedEOF }

// evidence keeps a claim of Otieno's with a file in the vault.
func (w *world) evidence(creds *credentialing.Service, content string) (credentialing.CredentialID, [32]byte) {
	w.t.Helper()
	e, err := creds.EnterClaim(w.ctx, w.actors[w.wanjiru], credentialing.ClaimRequest{Person: w.otieno, Kind: credentialing.KindBoard, Issuer: "Board", Number: content})
	w.ok(err)
	sum, err := creds.AttachEvidence(w.ctx, w.actors[w.wanjiru], e.Credential, credentialing.EvidenceFile{Content: strings.NewReader(content), Source: "post"})
	w.ok(err)
	return e.Credential, sum
}

func (w *world) open(creds *credentialing.Service, id credentialing.CredentialID, sum [32]byte) (string, error) {
	w.t.Helper()
	f, err := creds.OpenEvidence(w.ctx, w.actors[w.wanjiru], id, fmt.Sprintf("%x", sum))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	w.ok(err)
	return string(data), nil
}

func TestEvidenceMovesIntoTheVaultAndDamageIsTold(t *testing.T) {
	w := newWorld(t)
	id, before := w.evidence(w.creds, "kept in the database") // before there was a vault
	creds, err := credentialing.New(credentialing.Config{DB: w.audit, Identity: w.who, Zones: scheduling.LoadZone, Vault: w.vault()})
	w.ok(err)
	if got, err := w.open(creds, id, before); err != nil || got != "kept in the database" {
		t.Fatal(got, err)
	}
	var held int
	count := func() int {
		w.ok(w.db.Pool.QueryRow(w.ctx, `select count(*) from evidence_bytes`).Scan(&held))
		return held
	}
	was := count()
	stopped, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := creds.MoveEvidence(stopped); err == nil {
		t.Error("moved after it was stopped")
	}
	if moved, err := creds.MoveEvidence(w.ctx); err != nil || moved != was || was == 0 {
		t.Fatalf("%d of %d moved: %v", moved, was, err)
	}
	if moved, err := creds.MoveEvidence(w.ctx); err != nil || moved != 0 || count() != 0 {
		t.Errorf("again: %d moved, %d left, %v", moved, held, err)
	}
	if got, err := w.open(creds, id, before); err != nil || got != "kept in the database" {
		t.Error("after it was moved:", got, err)
	}
	other, sum := w.evidence(creds, "kept in the vault")
	if count() != 0 {
		t.Error("a new file went into the database")
	}
	if found, err := creds.CheckEvidence(w.ctx); err != nil || len(found.Damaged) != 0 || found.Files != was+1 {
		t.Fatalf("%+v %v", found, err)
	}
	// One is gone, one was altered.
	w.ok(os.Remove(w.stored(before)))
	raw, err := os.ReadFile(w.stored(sum))
	w.ok(err)
	raw[len(raw)-1] ^= 1
	w.ok(os.WriteFile(w.stored(sum), raw, 0o600))
	if _, err := w.open(creds, id, before); !errors.Is(err, credentialing.ErrEvidenceLost) {
		t.Errorf("missing: %v", err)
	}
	found, err := creds.CheckEvidence(w.ctx)
	w.ok(err)
	faults := map[string]string{}
	for _, d := range found.Damaged {
		faults[d.SHA256] = d.Fault
	}
	if len(faults) != 2 || faults[fmt.Sprintf("%x", before)] != "missing" || faults[fmt.Sprintf("%x", sum)] != "altered" {
		t.Errorf("found %v", faults)
	}
	queue, err := creds.Queue(w.ctx, w.actors[w.wanjiru])
	w.ok(err)
	n := 0
	for _, q := range queue {
		if q.Task == credentialing.TaskEvidence {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d tasks about damaged files, want 2", n)
	}
	// What rests on an altered file cannot be approved; the original sent again mends it.
	verification, err := creds.Verify(w.ctx, w.actors[w.wanjiru], credentialing.VerifyRequest{Credential: other, Method: "primary-source", Source: "board",
		Result: credentialing.ResultFound, Evidence: sum})
	w.ok(err)
	if err := creds.Approve(w.ctx, w.actors[w.kiptoo], verification); !errors.Is(err, credentialing.ErrEvidenceAltered) {
		t.Errorf("approved on an altered file: %v", err)
	}
	_, err = creds.AttachEvidence(w.ctx, w.actors[w.wanjiru], other, credentialing.EvidenceFile{Content: strings.NewReader("kept in the vault"), Source: "post"})
	w.ok(err)
	w.ok(creds.Approve(w.ctx, w.actors[w.kiptoo], verification))
	if got, err := w.open(creds, other, sum); err != nil || got != "kept in the vault" {
		t.Error("mended:", got, err)
	}
	// The time of the file is over: the bytes go, the hash stays.
	w.ok(creds.EraseEvidence(w.ctx, identity.System("operator", ""), sum, "ten years"))
	if _, err := w.open(creds, other, sum); !errors.Is(err, credentialing.ErrEvidenceErased) {
		t.Errorf("erased: %v", err)
	}
	if _, err := os.Stat(w.stored(sum)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	view, err := creds.View(w.ctx, w.actors[w.wanjiru], other)
	w.ok(err)
	if len(view.Evidence) == 0 || !view.Evidence[0].Erased || view.State != credentialing.StateApproved {
		t.Errorf("after erasing: %+v", view)
	}
	if _, err := creds.AttachEvidence(w.ctx, w.actors[w.wanjiru], other, credentialing.EvidenceFile{Bytes: []byte("kept in the vault"), Source: "post"}); !errors.Is(err, credentialing.ErrEvidenceErased) {
		t.Errorf("an erased file comes back: %v", err)
	}
	if err := creds.EraseEvidence(w.ctx, w.actors[w.wanjiru], before, "because"); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("an officer erases: %v", err)
	}
}
