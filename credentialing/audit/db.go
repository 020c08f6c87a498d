package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Scope says for whom a transaction acts. The row policies of the schema read it:
// a row of a tenant's table is visible when its organization_id equals
// Organization; rows that belong to a person (seats, memberships) also when their
// person_id equals Person.
type Scope struct {
	Organization string // UUID of the tenant whose data is touched; "" for none
	Person       string // UUID of the person acting; "" for the system
}

// nobody stands in for an empty id in a Scope: the nil UUID owns no rows, so a
// transaction without organization sees no tenant data (default deny).
const nobody = "00000000-0000-0000-0000-000000000000"

// DB opens transactions. Rooms get a DB and through it a [Tx], never the pool.
type DB struct {
	pool  *pgxpool.Pool    // immutable; connects as consilium_app
	clock func() time.Time // immutable
	tell  Tell             // immutable; may be nil
}

// Tell is called inside the transaction of events of which some name people to be told,
// and queues what shall be written then. It is written after the leaves: the index of the
// first is in the setting consilium.leaf, the others follow it in the order of the events.
// cmd gives one that inserts River jobs; nil tells nobody.
type Tell func(b *pgx.Batch, events []Event) error

// Config wires a DB.
type Config struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time // nil: time.Now
	Tell  Tell
}

// New returns a DB on the application role's pool.
func New(c Config) *DB {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &DB{pool: c.Pool, clock: c.Clock, tell: c.Tell}
}

// Now is the service's clock, in UTC and truncated to microseconds, which is what
// PostgreSQL keeps.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// Tx is a transaction in a scope. It collects the events of the command.
type Tx struct {
	pgx.Tx
	// Scope is what the transaction was opened with.
	Scope  Scope
	db     *DB
	now    time.Time
	events []Event
	// committed tells that the commit went with the leaves.
	committed bool
}

// Now is the instant of the command: one for the whole transaction.
func (tx *Tx) Now() time.Time { return tx.now }

// Append adds an event to the log when the transaction commits. Instant is set by
// the transaction. See [Event].
func (tx *Tx) Append(e Event) { tx.events = append(tx.events, e) }

// AppendNow adds an event and everything collected before it to the log at once
// and returns the leaf's index, for a command whose rows name it (a key its
// enrollment leaf, a signature its leaf). The head of the log stays locked from
// here until commit: call it last, when only rows naming the leaf are missing.
func (tx *Tx) AppendNow(ctx context.Context, e Event) (int64, error) {
	tx.events = append(tx.events, e)
	n := int64(len(tx.events))
	first, err := tx.db.flush(ctx, tx, false)
	return first + n - 1, err
}

// Write runs fn in one read-committed transaction in the given scope and appends
// the events fn collected as its last statements. fn's error rolls everything back
// and is returned as it is. fn is run once: callers that retry on serialization or
// deadlock call Write again.
func (db *DB) Write(ctx context.Context, s Scope, fn func(tx *Tx) error) error {
	return db.begin(ctx, s, pgx.TxOptions{}, func(tx *Tx) error {
		if err := fn(tx); err != nil || len(tx.events) == 0 {
			return err
		}
		_, err := db.flush(ctx, tx, true)
		return err
	})
}

// Read runs fn in one read-only transaction in the given scope.
func (db *DB) Read(ctx context.Context, s Scope, fn func(tx *Tx) error) error {
	return db.begin(ctx, s, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx *Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if len(tx.events) > 0 {
			return errors.New("audit: event appended in a read transaction")
		}
		return nil
	})
}

// Ask reads what queue queues in one read-only transaction in the given scope, as Read
// does, in one round trip. now is the instant of the transaction.
func (db *DB) Ask(ctx context.Context, s Scope, queue func(b *pgx.Batch, now time.Time)) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which closes one that is left in a transaction
	now := db.Now()
	org, person := s.ids()
	var b pgx.Batch
	b.Queue("begin read only")
	b.Queue(enterSQL, org, person, now.Format(time.RFC3339Nano))
	queue(&b, now)
	b.Queue("commit")
	return conn.SendBatch(ctx, &b).Close()
}

// begin runs fn in a transaction on a connection of its own and commits it, unless it
// was committed already, or rolls it back when fn fails.
func (db *DB) begin(ctx context.Context, s Scope, o pgx.TxOptions, fn func(tx *Tx) error) error {
	now := db.Now()
	o.BeginQuery = s.beginQuery(o, now)
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	ptx, err := conn.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	tx := &Tx{Tx: ptx, Scope: s, db: db, now: now}
	defer func() {
		if !tx.committed {
			_ = ptx.Rollback(ctx) // nothing to do after a commit
		}
	}()
	if o.BeginQuery == "" {
		if err := enter(ctx, ptx, s, now); err != nil {
			return err
		}
	}
	if err := fn(tx); err != nil || tx.committed {
		return err
	}
	return ptx.Commit(ctx)
}

// beginQuery begins a transaction and enters its scope in one round trip. It is "" for
// ids that are none: these go as parameters.
func (s Scope) beginQuery(o pgx.TxOptions, now time.Time) string {
	org, person := s.ids()
	if !plainID(org) || !plainID(person) {
		return ""
	}
	begin := "begin"
	if o.AccessMode == pgx.ReadOnly {
		begin += " read only"
	}
	return fmt.Sprintf("%s; select set_config('consilium.organization', '%s', true), set_config('consilium.person', '%s', true), set_config('consilium.now', '%s', true)",
		begin, org, person, now.UTC().Format(time.RFC3339Nano))
}

// plainID tells whether an id is a UUID in its plain form: nothing that could be read
// as SQL.
func plainID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range id {
		c := id[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

// ids are what the row policies compare.
func (s Scope) ids() (org, person string) {
	org, person = s.Organization, s.Person
	if org == "" {
		org = nobody
	}
	if person == "" {
		person = nobody
	}
	return org, person
}

// enter sets the scope and the instant of a transaction that begins. Triggers read the
// instant by service_now().
func enter(ctx context.Context, tx pgx.Tx, s Scope, now time.Time) error {
	org, person := s.ids()
	if _, err := tx.Exec(ctx, enterSQL, org, person, now.Format(time.RFC3339Nano)); err != nil {
		return fmt.Errorf("enter scope: %w", err)
	}
	return nil
}

const enterSQL = `
	select set_config('consilium.organization', $1, true),
	       set_config('consilium.person', $2, true),
	       set_config('consilium.now', $3, true)`

// Enter sets the scope of a running transaction until its end. A command that
// finds out whose data it touches (a specialist opening a case of another clinic)
// enters that clinic with it after the membership was checked; events appended
// later belong to the new scope. The settings are local to the transaction: they
// never reach the next borrower of the connection.
func Enter(ctx context.Context, tx pgx.Tx, s Scope) error {
	if t, ok := tx.(*Tx); ok && t.Scope == s {
		return nil
	}
	org, person := s.ids()
	_, err := tx.Exec(ctx, `
		select set_config('consilium.organization', $1, true),
		       set_config('consilium.person', $2, true)`, org, person)
	if err != nil {
		return fmt.Errorf("enter scope: %w", err)
	}
	if t, ok := tx.(*Tx); ok {
		t.Scope = s
	}
	return nil
}
