// Package zoneinfo carries the IANA time zone data that the product uses, so that
// the same civil time means the same instant on every machine, whatever the system
// or the Go release brings along. deploy/zoneinfo.sh makes the archive. A newer one
// may replace it at start: see Use.
package zoneinfo

import (
	"archive/zip"
	"bytes"
	_ "embed" // the archive and its version
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed zoneinfo.zip
var archive []byte

//go:embed VERSION
var version string

var (
	// ErrUnknown means that the data has no zone of that name.
	ErrUnknown = errors.New("zoneinfo: unknown time zone")
	// ErrOlder means that data is older than what the binary carries.
	ErrOlder = errors.New("zoneinfo: older than the data of the binary")
	// ErrInvalid means that an archive is not zone data.
	ErrInvalid = errors.New("zoneinfo: not zone data")
)

// Data is one edition of the zone data. It is safe for concurrent use.
type Data struct {
	version string
	archive []byte
	files   map[string]*zip.File // immutable

	mu     sync.Mutex
	loaded map[string]*time.Location // guarded by mu
}

var (
	shipped = sync.OnceValue(func() *Data {
		d, err := Open(archive, strings.TrimSpace(version))
		if err != nil {
			panic(fmt.Sprintf("zoneinfo: embedded archive: %v", err)) // a broken build
		}
		return d
	})
	// used is what replaced the shipped data, nil if nothing did.
	used atomic.Pointer[Data]
)

var editions = regexp.MustCompile(`^20[0-9]{2}[a-z]{1,2}$`)

// Open reads an archive of TZif files named by their zones.
func Open(archive []byte, version string) (*Data, error) {
	if !editions.MatchString(version) {
		return nil, fmt.Errorf("%w: version %q", ErrInvalid, version)
	}
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d := &Data{version: version, archive: archive, files: make(map[string]*zip.File, len(r.File)), loaded: map[string]*time.Location{}}
	for _, f := range r.File {
		d.files[f.Name] = f
	}
	if _, err := d.Load("UTC"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return d, nil
}

// maxArchive is ten times what the data takes.
const maxArchive = 4 << 20

// ReadFile reads an archive that deploy/zoneinfo.sh made. Its version stands in the
// file VERSION beside it. Every zone is read once, so that a damaged file is found now.
func ReadFile(name string) (*Data, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxArchive {
		return nil, fmt.Errorf("%w: %d bytes", ErrInvalid, info.Size())
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	edition, err := os.ReadFile(filepath.Join(filepath.Dir(name), "VERSION"))
	if err != nil {
		return nil, err
	}
	d, err := Open(raw, strings.TrimSpace(string(edition)))
	if err != nil {
		return nil, err
	}
	for _, zone := range shipped().Names() {
		if _, err := d.Load(zone); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return d, nil
}

// Use makes d what Load answers from, for the whole process; nil is what the binary
// carries. It is for the start of the process. Data older than the binary's is
// ErrOlder: whoever put it there meant another.
func Use(d *Data) error {
	if d != nil && d.older(shipped()) {
		return fmt.Errorf("%w: %s before %s", ErrOlder, d.version, shipped().version)
	}
	used.Store(d)
	return nil
}

// older: editions of a year go a to z, then za.
func (d *Data) older(than *Data) bool {
	a, b := d.version, than.version
	if a[:4] == b[:4] && len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// Current is the data in use.
func Current() *Data {
	if d := used.Load(); d != nil {
		return d
	}
	return shipped()
}

// Version is the IANA release of the data in use, such as "2026f".
func Version() string { return Current().version }

// Load returns the zone of an IANA name from the data in use.
func Load(name string) (*time.Location, error) { return Current().Load(name) }

// Names are all names of the data in use, sorted.
func Names() []string { return Current().Names() }

// Version is the IANA release of the data.
func (d *Data) Version() string { return d.version }

// Archive is the data as Open reads it; it must not be changed.
func (d *Data) Archive() []byte { return d.archive }

// Load returns the zone of an IANA name. "", "Local" and names that the data does
// not have are ErrUnknown: what a machine calls local is nobody's zone.
func (d *Data) Load(name string) (*time.Location, error) {
	f, ok := d.files[name]
	if !ok || name == "Factory" {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if loc, ok := d.loaded[name]; ok {
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
	d.loaded[name] = loc
	return loc, nil
}

// maxZone is far more than any zone takes.
const maxZone = 1 << 20

func read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxZone))
}

// Names are all names of the data, sorted.
func (d *Data) Names() []string {
	names := make([]string, 0, len(d.files))
	for name := range d.files {
		if name != "Factory" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
