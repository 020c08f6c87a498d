package scheduling

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// JoinOpens is how long before its start an appointment may be entered.
const JoinOpens = 15 * time.Minute

// Directory is what scheduling asks of identity.Service. The methods without tx use
// a connection of their own and are called outside of transactions only; those with
// tx read or write within it. All block for the database alone and may be repeated,
// except GuestLogin, which makes a new login each time.
type Directory interface {
	People(ctx context.Context, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error)
	PeopleTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error)
	PeopleWith(ctx context.Context, role identity.Role, specialty string) ([]identity.Person, error)
	GuestLogin(ctx context.Context, tx *audit.Tx, g identity.GuestRequest) (token string, err error)
}

// Scope is what scheduling asks of credentialing.Service: what somebody may do when.
// All methods work within tx; Determine stores its answer, the others write nothing.
type Scope interface {
	Determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, ask credentialing.Ask) (credentialing.Determination, error)
	SpansFor(ctx context.Context, tx *audit.Tx, ask credentialing.Ask, from, to time.Time) ([]credentialing.Span, error)
	Qualified(ctx context.Context, tx *audit.Tx, person identity.PersonID, pair [2]string, mode string, at time.Time) (ok bool, reason string, until time.Time, err error)
}

// Config wires a Service.
type Config struct {
	DB            *audit.DB
	Identity      Directory
	Credentialing Scope
	Cases         CaseFacts
	// ZoneDefault is the clock of people whose zone is not known; "" is UTC.
	ZoneDefault string
	// Origin is the address people open, such as "https://consult.example.org". Links
	// and calendar ids are made with it; "" is http://localhost.
	Origin string
}

// Service keeps hours and appointments. It is safe for concurrent use; all but the
// finder is immutable.
type Service struct {
	finder *Finder
	db     *audit.DB
	people Directory
	scope  Scope
	cases  CaseFacts
	zone   string
	origin string
	host   string
}

// New returns a Service, or an error when something it needs is missing.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Identity == nil || c.Credentialing == nil || c.Cases == nil {
		return nil, errors.New("scheduling: database, identity, credentialing and cases are needed")
	}
	if c.ZoneDefault == "" {
		c.ZoneDefault = "UTC"
	}
	if _, err := LoadZone(c.ZoneDefault); err != nil {
		return nil, fmt.Errorf("scheduling: default zone: %w", err)
	}
	if c.Origin == "" {
		c.Origin = "http://localhost"
	}
	u, err := url.Parse(c.Origin)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("scheduling: origin %q is not an address", c.Origin)
	}
	return &Service{finder: new(Finder), db: c.DB, people: c.Identity, scope: c.Credentialing, cases: c.Cases, zone: c.ZoneDefault,
		origin: u.Scheme + "://" + u.Host, host: u.Hostname()}, nil
}

// write runs fn in a transaction and once more when the database asks for it: three
// times at most, a little apart. fn starts from nothing each time.
func (s *Service) write(ctx context.Context, scope audit.Scope, fn func(tx *audit.Tx) error) error {
	for try := 1; ; try++ {
		err := s.db.Write(ctx, scope, fn)
		if err == nil || try > 3 || !again(err) {
			return err
		}
		pause := time.Duration(try)*5*time.Millisecond + rand.N(10*time.Millisecond)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// again tells whether the database refused for the moment only: 40001 is a
// serialization failure, 40P01 a deadlock.
func again(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new id: %w", err)
	}
	return id.String(), nil
}

// known tells whether ids that came from outside are ids at all; what is not is not
// found, before the database is asked.
func known[T ~string](ids ...T) bool {
	for _, id := range ids {
		if len(id) != 36 || uuid.Validate(string(id)) != nil {
			return false
		}
	}
	return true
}

// arranges tells whether the actor may search and book for a clinic's cases: its
// local physicians and coordinators, and jobs.
func arranges(a identity.Actor, clinic identity.OrganizationID) bool {
	if a.Job != "" {
		return true
	}
	return !a.Guest() && a.Organization == clinic && clinic != "" &&
		(a.Has(identity.RoleLocalPhysician) || a.Has(identity.RoleCoordinator))
}
