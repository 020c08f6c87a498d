package audit_test

import (
	"bytes"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Whatever a stranger sends as a checkpoint is refused without the log's key, and a
// leaf that is taken is in its one form.
func FuzzCheckpointsAndLeaves(f *testing.F) {
	secret, _, err := audit.GenerateKey("consilium.test/log")
	if err != nil {
		f.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	good, err := signer.Sign(audit.Checkpoint{Size: 3, Root: [32]byte{1, 2, 3}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"act":"a","at":"2026-03-02T09:00:00Z","version":1}`))
	f.Add([]byte("consilium.test/log\n-1\nAAAA\n\n— x y\n"))
	v := signer.Verifier()
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := v.Open(data); err == nil {
			// Only what was signed opens; cosignatures may follow it.
			if c.Size != 3 || !bytes.HasPrefix(data, good[:bytes.Index(good, []byte("\n\n"))]) {
				t.Fatalf("opened %q", data)
			}
		}
		if leaf, err := audit.ParseLeaf(0, data); err == nil {
			if _, err := audit.ParseCanonical(data); err != nil || leaf.Event.Act == "" {
				t.Fatalf("took %q", data)
			}
		}
	})
}
