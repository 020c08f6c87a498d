package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEvidenceCommandNamesWhatIsDamaged runs the command beside a demonstration whose
// store was tampered with.
func TestEvidenceCommandNamesWhatIsDamaged(t *testing.T) {
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, _ := demonstration(t, dir)
	defer a.close()
	say := beside(ctx, a, runEvidence)
	out, err := say("check")
	if err != nil || !strings.Contains(out, "bytes read") || strings.HasPrefix(out, "0 files") {
		t.Fatalf("%s%v", out, err)
	}
	if out, err = say("move"); err != nil || !strings.HasPrefix(out, "0 files moved") {
		t.Errorf("what the seed kept was not in the store: %s%v", out, err)
	}
	list, err := filepath.Glob(filepath.Join(dir, "files", "files", "evidence", "*"))
	if err != nil || len(list) < 2 {
		t.Fatal(list, err)
	}
	if err := os.Remove(list[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list[1], []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = say("check")
	if !errors.Is(err, errFailed) || !strings.Contains(out, filepath.Base(list[0])+"  missing  credential") || !strings.Contains(out, filepath.Base(list[1])+"  altered  credential") {
		t.Errorf("%s%v", out, err)
	}
	if _, err := say("erase", "abc"); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("no hash: %v", err)
	}
	if _, err := say("erase", filepath.Base(list[0])); err == nil || !strings.Contains(err.Error(), "--reason") {
		t.Errorf("no reason: %v", err)
	}
	if out, err := say("erase", filepath.Base(list[0]), "--reason", "its time is over"); err != nil || !strings.Contains(out, "is erased") {
		t.Errorf("%s%v", out, err)
	}
	if out, err = say("check"); !errors.Is(err, errFailed) || strings.Contains(out, "missing") {
		t.Errorf("an erased file is not missing: %s%v", out, err)
	}
	if _, err := say("burn"); !errors.Is(err, errUsage) {
		t.Errorf("an unknown word: %v", err)
	}
}
