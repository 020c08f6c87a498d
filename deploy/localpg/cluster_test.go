package localpg_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/deploy/localpg"
)

// baseDir is a directory that the server's account may reach: not under t.TempDir,
// whose parents are closed to others when the tests run as root.
func baseDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "consilium-localpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "base")
}

func start(t *testing.T, base string) *localpg.Cluster {
	t.Helper()
	if err := os.Chmod(filepath.Dir(base), 0o711); err != nil {
		t.Fatal(err)
	}
	c, err := localpg.Start(context.Background(), localpg.Config{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestSecondStartKeepsTheData(t *testing.T) {
	base := baseDir(t)
	c := start(t, base)
	exec1(t, c.OwnerURL(), "create table kept (n int)")
	u, err := url.Parse(c.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	sockets := u.Query().Get("host")
	if _, err := os.Stat(sockets); err != nil {
		t.Fatal(err)
	}
	c.Stop()
	if _, err := os.Stat(sockets); !os.IsNotExist(err) {
		t.Errorf("the directory of the sockets stays behind: %v", err)
	}
	c = start(t, base)
	exec1(t, c.OwnerURL(), "select n from kept")
}

func TestApplicationRoleHasNoPowers(t *testing.T) {
	c := start(t, baseDir(t))
	conn, err := pgx.Connect(context.Background(), c.AppURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var super, bypass, createdb, createrole bool
	if err := conn.QueryRow(context.Background(), `
		select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole
		from pg_roles where rolname = current_user`).Scan(&super, &bypass, &createdb, &createrole); err != nil {
		t.Fatal(err)
	}
	if super || bypass || createdb || createrole {
		t.Errorf("the application's role has powers: super %v, bypassrls %v, createdb %v, createrole %v", super, bypass, createdb, createrole)
	}
}

func TestTwoStartsOnOneDirectoryAreRefused(t *testing.T) {
	base := baseDir(t)
	start(t, base)
	_, err := localpg.Start(context.Background(), localpg.Config{Base: base})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, want an error naming process %d", err, os.Getpid())
	}
}

func TestAttachReachesARunningClusterOnly(t *testing.T) {
	base := baseDir(t)
	if _, err := localpg.Attach(base); !errors.Is(err, localpg.ErrNotRunning) {
		t.Errorf("nothing there: got %v", err)
	}
	c := start(t, base)
	other, err := localpg.Attach(base)
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, other.AppURL(), "select 1")
	other.Stop()
	exec1(t, other.AppURL(), "select 1") // it goes on: it is not ours
	c.Stop()
	if _, err := localpg.Attach(base); !errors.Is(err, localpg.ErrNotRunning) {
		t.Errorf("stopped: got %v", err)
	}
}

func TestForeignDirectoryIsNotTouched(t *testing.T) {
	base := baseDir(t)
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "holiday.jpg")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.Start(context.Background(), localpg.Config{Base: base}); err == nil {
		t.Error("a directory with other people's files was taken")
	}
	entries, err := os.ReadDir(base)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory was changed: %v, %v", entries, err)
	}
}

func TestUnknownDataVersionIsRefused(t *testing.T) {
	base := baseDir(t)
	start(t, base).Stop()
	if err := os.WriteFile(filepath.Join(base, "data", "PG_VERSION"), []byte("9999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := localpg.Start(context.Background(), localpg.Config{Base: base})
	if err == nil || !strings.Contains(err.Error(), "postgresql-9999") {
		t.Errorf("got %v, want the package to install", err)
	}
}

func TestKilledServerComesBack(t *testing.T) {
	base := baseDir(t)
	c := start(t, base)
	raw, err := os.ReadFile(filepath.Join(base, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for { // connections are refused until it is back; the limit is ctx
		conn, err := pgx.Connect(ctx, c.AppURL())
		if err == nil {
			conn.Close(ctx)
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("not back: %v", err)
		}
	}
}

// A parent that is killed takes its server along, or the next start ends it.
func TestKilledParentLeavesNoServer(t *testing.T) {
	base := baseDir(t)
	if dir := os.Getenv("LOCALPG_TEST_CHILD"); dir != "" {
		if _, err := localpg.Start(context.Background(), localpg.Config{Base: dir}); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		select {}
	}
	if err := os.Chmod(filepath.Dir(base), 0o711); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestKilledParentLeavesNoServer$")
	child.Env = append(os.Environ(), "LOCALPG_TEST_CHILD="+base)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("child: %q %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	c := start(t, base)
	exec1(t, c.OwnerURL(), "select 1")
}
