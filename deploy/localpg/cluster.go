package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Roles and database of the product (design: security, section 7).
const (
	OwnerRole = "consilium_owner" // owns the schema, migrates
	AppRole   = "consilium_app"   // no DDL, row policies apply
	Database  = "consilium"
	bootstrap = "bootstrap" // superuser, makes the roles and nothing else
)

const (
	startLimit = 15 * time.Second
	stopLimit  = 30 * time.Second
	readyEvery = 20 * time.Millisecond
	// socketLimit is what fits into sockaddr_un on every system we run on, less the
	// name of the socket.
	socketLimit = 103 - len("/.s.PGSQL.5432.lock")
)

// Config says where the cluster lives and how careful it is.
type Config struct {
	// Base is the directory of everything: data, secret, log and lock. It is made
	// when missing; a directory that is neither empty nor ours is refused.
	Base string
	// PGBin names the directory of the server binaries; "" searches.
	PGBin string
	// Durable keeps fsync on. Without it a crash of the machine may lose the data.
	Durable bool
	Log     *slog.Logger // nil discards
}

// Cluster is a running private PostgreSQL.
type Cluster struct {
	base, run string
	bin       binaries
	account   account
	durable   bool
	log       *slog.Logger
	lock      *os.File
	password  string

	stopOnce sync.Once
	stopping chan struct{} // closed by Stop
	done     chan struct{} // closed when the server is gone for good

	mu  sync.Mutex
	pid int   // guarded by mu; 0 while none runs
	err error // guarded by mu; why the server is gone, nil after Stop
}

// Start brings the cluster of c.Base up, initializing it on the first start, and
// returns when it takes connections (about 0.2 s, 1 s on the first start).
func Start(ctx context.Context, c Config) (*Cluster, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	base, err := filepath.Abs(c.Base)
	if err != nil {
		return nil, err
	}
	cl := &Cluster{base: base, account: acc, durable: c.Durable, log: c.Log,
		stopping: make(chan struct{}), done: make(chan struct{})}
	if err := cl.prepare(c.PGBin); err != nil {
		cl.release()
		return nil, err
	}
	if err := cl.initialize(ctx); err != nil {
		cl.release()
		return nil, err
	}
	if err := cl.endOrphan(ctx); err != nil {
		cl.release()
		return nil, err
	}
	started := make(chan error, 1)
	go cl.watch(started)
	if err := <-started; err != nil {
		cl.release()
		return nil, err
	}
	if err := cl.roles(ctx); err != nil {
		cl.Stop()
		return nil, err
	}
	return cl, nil
}

// ErrNotRunning means that no cluster runs in the directory.
var ErrNotRunning = errors.New("localpg: no database runs there")

// Attach connects to the cluster that another process of this program runs in base,
// for the commands beside a running service. Stop does nothing on it.
func Attach(base string) (*Cluster, error) {
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if base, err = filepath.Abs(base); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(base, "secret"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotRunning
	} else if err != nil {
		return nil, fmt.Errorf("database password: %w", err)
	}
	c := &Cluster{base: base, account: acc, password: strings.TrimSpace(string(raw))}
	c.stopOnce.Do(func() {}) // it is not ours to stop
	if err := c.runtimeDirectory(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(c.run, ".s.PGSQL.5432")); err != nil {
		return nil, ErrNotRunning
	}
	return c, nil
}

// AppURL connects as the application's role.
func (c *Cluster) AppURL() string { return c.URL(AppRole, Database) }

// OwnerURL connects as the owner of the schema.
func (c *Cluster) OwnerURL() string { return c.URL(OwnerRole, Database) }

// URL connects as a role to a database of the cluster.
func (c *Cluster) URL(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, c.password), Path: "/" + database}
	u.RawQuery = url.Values{"host": {c.run}}.Encode()
	return u.String()
}

// AdminURL connects as the superuser; the tests make databases with it.
func (c *Cluster) AdminURL(database string) string { return c.URL(bootstrap, database) }

// Base is the directory of the cluster.
func (c *Cluster) Base() string { return c.base }

// Done is closed when the server is gone and will not come back: after Stop, or
// when it died three times within a minute; Err then says why.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Err is why the server is gone; nil after Stop.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stop ends the server: a fast shutdown, after 30 s an immediate one. It returns
// when the process is gone. Close the pools before.
func (c *Cluster) Stop() {
	c.stopOnce.Do(func() {
		close(c.stopping)
		c.signal(syscall.SIGINT)
		select {
		case <-c.done:
		case <-time.After(stopLimit):
			c.signal(syscall.SIGQUIT)
			<-c.done
		}
		_ = os.Remove(c.run) // empty by now, unless PostgreSQL was killed
		c.release()
	})
}

func (c *Cluster) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid != 0 {
		_ = syscall.Kill(c.pid, s)
	}
}

func (c *Cluster) release() {
	if c.lock != nil {
		_ = c.lock.Close()
		c.lock = nil
	}
}

func (c *Cluster) data() string { return filepath.Join(c.base, "data") }

// prepare makes the directories, takes the lock and finds the binaries.
func (c *Cluster) prepare(named string) error {
	if err := os.MkdirAll(c.base, 0o700); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	entries, err := os.ReadDir(c.base)
	if err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if len(entries) > 0 {
		if _, err := os.Lstat(filepath.Join(c.base, "lock")); err != nil {
			return fmt.Errorf("%s is neither empty nor a directory of this program: choose another one", c.base)
		}
	}
	if err := c.account.own(c.base); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if err := c.reachable(); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(c.base, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("database lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name())
		_ = lock.Close()
		return fmt.Errorf("%s is in use by process %s", c.base, strings.TrimSpace(string(holder)))
	}
	c.lock = lock
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid()))); err != nil {
		return fmt.Errorf("database lock: %w", err)
	}
	major := 0
	if v, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION")); err == nil {
		if major, err = strconv.Atoi(strings.TrimSpace(string(v))); err != nil {
			return fmt.Errorf("PG_VERSION of %s: %w", c.data(), err)
		}
	}
	if c.bin, err = find(named, major); err != nil {
		return err
	}
	return c.runtimeDirectory()
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// reachable tells whether the server's account may enter every parent.
func (c *Cluster) reachable() error {
	if !c.account.switched {
		return nil
	}
	for dir := filepath.Dir(c.base); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		switch {
		case st.Uid == c.account.uid && mode&0o100 != 0, st.Gid == c.account.gid && mode&0o010 != 0, mode&0o001 != 0:
		default:
			return fmt.Errorf("the account that runs PostgreSQL may not enter %s: give another directory", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// runtimeDirectory makes the directory of the socket. Socket paths are short, so
// it never lies under the data path.
func (c *Cluster) runtimeDirectory() error {
	sum := sha256.Sum256([]byte(c.base))
	name := "consilium-" + hex.EncodeToString(sum[:6])
	parents := []string{"/tmp"}
	if !c.account.switched {
		parents = []string{os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), "/tmp"}
	}
	for _, parent := range parents {
		if parent == "" {
			continue
		}
		dir := filepath.Join(parent, name)
		if len(dir) > socketLimit {
			continue
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		if err := c.account.own(dir); err != nil {
			return err
		}
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); !info.IsDir() || st.Uid != c.account.uid {
			return fmt.Errorf("%s belongs to somebody else", dir)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
		c.run = dir
		return nil
	}
	return errors.New("no directory for the database socket: set XDG_RUNTIME_DIR")
}

// initialize makes the data directory on the first start. It works in data.new and
// renames when done, so an interrupted start leaves nothing half made.
func (c *Cluster) initialize(ctx context.Context) error {
	secret := filepath.Join(c.base, "secret")
	if _, err := os.Stat(c.data()); err == nil {
		raw, err := os.ReadFile(secret)
		if err != nil {
			return fmt.Errorf("database password: %w", err)
		}
		c.password = strings.TrimSpace(string(raw))
		return nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	c.password = hex.EncodeToString(random)
	if err := c.write(secret, c.password); err != nil {
		return err
	}
	fresh, pw := c.data()+".new", filepath.Join(c.base, "pw")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := c.write(pw, c.password); err != nil {
		return err
	}
	defer os.Remove(pw)
	args := []string{"-D", fresh, "-U", bootstrap, "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
		"--auth-local=scram-sha-256", "--auth-host=reject", "--pwfile=" + pw, "--no-instructions"}
	if runtime.GOOS == "darwin" {
		args[5] = "--locale=C"
	}
	if !c.durable {
		args = append(args, "--no-sync")
	}
	cmd := c.command(c.bin.path("initdb"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runContext(ctx, cmd); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(out.String()))
	}
	if err := os.Rename(fresh, c.data()); err != nil {
		return err
	}
	c.log.InfoContext(ctx, "database initialized", "major", c.bin.major)
	return nil
}

// runContext runs cmd and kills it when ctx ends.
func runContext(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			_ = cmd.Process.Kill()
		case <-ended:
		}
	}()
	return cmd.Wait()
}

func (c *Cluster) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return c.account.own(path)
}

// command runs a binary in the base directory with next to no environment.
func (c *Cluster) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = c.base
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + c.bin.dir + ":/usr/bin:/bin"}
	if runtime.GOOS == "darwin" {
		cmd.Env[0] = "LC_ALL=C"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account.credential()}
	return cmd
}

// endOrphan deals with a server left behind by a parent that was killed: it waits
// for one that is stopping, and stops one that runs on our own directory.
func (c *Cluster) endOrphan(ctx context.Context) error {
	file := filepath.Join(c.data(), "postmaster.pid")
	asked := false
	limit := time.Now().Add(startLimit)
	for {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil // none, or just gone
		}
		lines := strings.Split(string(raw), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
		if err != nil || syscall.Kill(pid, 0) == syscall.ESRCH {
			return nil // stale: PostgreSQL removes it
		}
		if len(lines) < 2 || lines[1] != c.data() {
			return fmt.Errorf("process %d holds %s", pid, file)
		}
		if !asked {
			c.log.WarnContext(ctx, "stopping a database left behind", "pid", pid)
			_ = syscall.Kill(pid, syscall.SIGINT)
			asked = true
		}
		if time.Now().After(limit) {
			return fmt.Errorf("the database left behind as process %d does not stop", pid)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readyEvery):
		}
	}
}

// watch runs the server and starts it again when it dies, with growing pauses;
// three deaths within a minute end it. The first result goes to started.
func (c *Cluster) watch(started chan<- error) {
	// The parent-death signal fires when the starting thread ends, so this goroutine
	// keeps its thread for as long as the server lives.
	runtime.LockOSThread()
	defer close(c.done)
	var deaths []time.Time
	pause := 100 * time.Millisecond
	first := true
	for {
		err := c.serve(func() {
			if first {
				started <- nil
				first = false
			}
		})
		if first {
			started <- err
			return
		}
		select {
		case <-c.stopping:
			return
		default:
		}
		now := time.Now()
		deaths = append(deaths, now)
		if n := len(deaths); n >= 3 && now.Sub(deaths[n-3]) < time.Minute {
			c.mu.Lock()
			c.err = fmt.Errorf("the database died three times within a minute: %w: %s", err, c.logTail())
			c.mu.Unlock()
			return
		}
		c.log.Error("database died; starting it again", "pause", pause)
		select {
		case <-c.stopping:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// serve runs the server once, calls ready when it takes connections, and returns
// when it ended.
func (c *Cluster) serve(ready func()) error {
	out, err := os.OpenFile(filepath.Join(c.base, "postgres.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := c.account.own(out.Name()); err != nil {
		return err
	}
	args := []string{"-D", c.data(), "-k", c.run,
		"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
		"-c", "wal_level=replica", "-c", "max_connections=120", "-c", "shared_buffers=128MB",
		"-c", "max_parallel_workers=0", "-c", "max_parallel_workers_per_gather=0", "-c", "log_statement=none"}
	if !c.durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := c.command(c.bin.path("postgres"), args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributes(c.account)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	c.mu.Lock()
	c.pid = cmd.Process.Pid
	c.mu.Unlock()
	select {
	case <-c.stopping: // Stop came between two starts
		c.signal(syscall.SIGINT)
	default:
	}
	ended := make(chan struct{})
	answered := make(chan error, 1)
	go func() {
		err := c.await(cmd.Process.Pid, ended)
		if err != nil {
			c.signal(syscall.SIGINT)
		} else {
			ready()
		}
		answered <- err
	}()
	err = cmd.Wait()
	close(ended)
	c.mu.Lock()
	c.pid = 0
	c.mu.Unlock()
	if aerr := <-answered; aerr != nil {
		return fmt.Errorf("%w: %s", aerr, c.logTail())
	}
	if err == nil {
		err = errors.New("the database ended")
	}
	return err
}

// await returns nil when our own child takes connections on our own directory.
func (c *Cluster) await(pid int, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		if c.answers(ctx, pid) {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the database did not start")
		case <-ctx.Done():
			return errors.New("the database does not answer")
		case <-time.After(readyEvery):
		}
	}
}

func (c *Cluster) answers(ctx context.Context, pid int) bool {
	raw, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil || !strings.HasPrefix(string(raw), strconv.Itoa(pid)+"\n") {
		return false
	}
	conn, err := pgx.Connect(ctx, c.AdminURL("postgres"))
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	var dir string
	return conn.QueryRow(ctx, "show data_directory").Scan(&dir) == nil && dir == c.data()
}

// logTail is the end of the server's own log, for an operator to read.
func (c *Cluster) logTail() string {
	raw, err := os.ReadFile(filepath.Join(c.base, "postgres.log"))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// roles makes the owner's and the application's role and the database when they
// are missing.
func (c *Cluster) roles(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.AdminURL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return CreateRoles(ctx, conn, c.password, Database)
}

// CreateRoles makes the owner's and the application's role with one password and
// the database, each when it is missing. The connection needs a superuser.
func CreateRoles(ctx context.Context, conn *pgx.Conn, password, database string) error {
	for _, role := range []string{OwnerRole, AppRole} {
		var there bool
		if err := conn.QueryRow(ctx, "select exists(select 1 from pg_roles where rolname = $1)", role).Scan(&there); err != nil {
			return err
		}
		if there {
			continue
		}
		verifier, err := scramVerifier(password)
		if err != nil {
			return err
		}
		// Neither an identifier nor a verifier can be a parameter of this statement;
		// the role is a constant and the verifier holds base64 and digits only.
		if _, err := conn.Exec(ctx, "create role "+role+" login nosuperuser nobypassrls nocreatedb nocreaterole password '"+verifier+"'"); err != nil {
			return fmt.Errorf("create role %s: %w", role, err)
		}
	}
	var there bool
	if err := conn.QueryRow(ctx, "select exists(select 1 from pg_database where datname = $1)", database).Scan(&there); err != nil {
		return err
	}
	if there {
		return nil
	}
	name := pgx.Identifier{database}.Sanitize()
	if _, err := conn.Exec(ctx, "create database "+name+" owner "+OwnerRole); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}
