package zoneinfo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOlderDataIsRefusedAndNewerReplacesTheShipped(t *testing.T) {
	old, err := ReadFile(filepath.Join("testdata", "2025b", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Use(old); !errors.Is(err, ErrOlder) || Version() != shipped().Version() {
		t.Errorf("older data: %v, in use %s", err, Version())
	}
	// The same rules under a newer name: only which edition it is matters here.
	newer, err := Open(old.Archive(), "2099za")
	if err != nil {
		t.Fatal(err)
	}
	if err := Use(newer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Use(nil) })
	loc, err := Load("America/Vancouver")
	if err != nil || Version() != "2099za" {
		t.Fatal(err, Version())
	}
	if _, off := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC).In(loc).Zone(); off != -8*3600 {
		t.Errorf("offset %d of the replacing data", off)
	}
	if err := Use(nil); err != nil || Version() != shipped().Version() {
		t.Error(err, Version())
	}
}

func TestEditionsOfAYearAreInOrder(t *testing.T) {
	order := []string{"2025b", "2025z", "2025za", "2026a", "2026f"}
	for i := range order[1:] {
		a, b := &Data{version: order[i]}, &Data{version: order[i+1]}
		if !a.older(b) || b.older(a) || a.older(a) {
			t.Errorf("%s and %s", a.version, b.version)
		}
	}
}

func TestWhatIsNoZoneDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "zoneinfo.zip")
	if _, err := ReadFile(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("zoneinfo.zip", "PK not really")
	if _, err := ReadFile(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no version: %v", err)
	}
	for _, v := range []string{"2027a", "newest", ""} {
		write("VERSION", v)
		if _, err := ReadFile(file); !errors.Is(err, ErrInvalid) {
			t.Errorf("version %q: %v", v, err)
		}
	}
	write("VERSION", "2027a\n")
	write("zoneinfo.zip", string(archive[:len(archive)/2]))
	if _, err := ReadFile(file); !errors.Is(err, ErrInvalid) {
		t.Errorf("half an archive: %v", err)
	}
}
