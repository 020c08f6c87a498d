package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// MinMajor is the oldest PostgreSQL that the schema works on.
const MinMajor = 15

// ErrNoBinaries means that no PostgreSQL server is installed; the text names the
// command that installs one.
var ErrNoBinaries = errors.New("PostgreSQL 15 or newer is not installed: " + installHint())

func installHint() string {
	if runtime.GOOS == "darwin" {
		return "run: brew install postgresql@17"
	}
	return "run: sudo apt install postgresql"
}

// binaries is one installed PostgreSQL server.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// candidates lists the directories that may hold server binaries, named first.
func candidates(named string) []string {
	if named != "" {
		return []string{named}
	}
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/usr/pgsql-*/bin", // Red Hat packages
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}

// find returns the server of the wanted major version, or the newest one when
// major is 0.
func find(named string, major int) (binaries, error) {
	var all []binaries
	for _, dir := range candidates(named) {
		if b, ok := inspect(dir); ok {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b binaries) int { return b.major - a.major })
	for _, b := range all {
		if major == 0 && b.major >= MinMajor || major != 0 && b.major == major {
			return b, nil
		}
	}
	if major != 0 && len(all) > 0 {
		return binaries{}, fmt.Errorf("the data directory was made by PostgreSQL %d, which is not installed (found %d): install postgresql-%d", major, all[0].major, major)
	}
	if named != "" {
		return binaries{}, fmt.Errorf("no PostgreSQL %d or newer server in %s", MinMajor, named)
	}
	return binaries{}, ErrNoBinaries
}

// inspect tells whether dir holds a complete server and of which major version.
func inspect(dir string) (binaries, bool) {
	for _, name := range []string{"initdb", "postgres", "pg_basebackup"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return binaries{}, false
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, false
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.18 (Debian …)
	if len(fields) < 3 {
		return binaries{}, false
	}
	major, err := strconv.Atoi(strings.SplitN(fields[2], ".", 2)[0])
	return binaries{dir, major}, err == nil
}
