// Package zoneinfo carries the IANA time zone data that the product uses, so that
// the same civil time means the same instant on every machine, whatever the system
// or the Go release brings along. deploy/zoneinfo.sh makes the archive.
package zoneinfo

import (
	"archive/zip"
	"bytes"
	_ "embed" // the archive and its version
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"
)

//go:embed zoneinfo.zip
var archive []byte

//go:embed VERSION
var version string

// ErrUnknown means that the data has no zone of that name.
var ErrUnknown = errors.New("zoneinfo: unknown time zone")

// zones is the archive's directory and what was loaded of it so far.
var zones = sync.OnceValue(func() *table {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		panic(fmt.Sprintf("zoneinfo: embedded archive: %v", err)) // a broken build
	}
	t := &table{files: make(map[string]*zip.File, len(r.File)), loaded: map[string]*time.Location{}}
	for _, f := range r.File {
		t.files[f.Name] = f
	}
	return t
})

type table struct {
	files map[string]*zip.File // immutable

	mu     sync.Mutex
	loaded map[string]*time.Location // guarded by mu
}

// Version is the IANA release of the data, such as "2026f".
func Version() string { return strings.TrimSpace(version) }

// Load returns the zone of an IANA name. "", "Local" and names that the data does
// not have are ErrUnknown: what a machine calls local is nobody's zone.
func Load(name string) (*time.Location, error) {
	t := zones()
	f, ok := t.files[name]
	if !ok || name == "Factory" {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if loc, ok := t.loaded[name]; ok {
		return loc, nil
	}
	data, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read zone %s: %w", name, err)
	}
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("read zone %s: %w", name, err)
	}
	t.loaded[name] = loc
	return loc, nil
}

func read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Names are all names of the data, sorted.
func Names() []string {
	t := zones()
	names := make([]string, 0, len(t.files))
	for name := range t.files {
		if name != "Factory" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
