package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Identity is what the workspace asks of the room identity. Methods with a tx read
// inside it; the others open their own and are called outside of any.
type Identity interface {
	PeopleTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error)
	PeopleWithTx(ctx context.Context, tx *audit.Tx, role identity.Role, specialty string) ([]identity.Person, error)
	OrganizationTx(ctx context.Context, tx *audit.Tx, id identity.OrganizationID) (identity.Organization, error)
	AddPerson(ctx context.Context, actor identity.Actor, p identity.Person, grants ...identity.Grant) (identity.PersonID, error)
	RolesOfTx(ctx context.Context, tx *audit.Tx, id identity.PersonID) ([]identity.Grant, error)
	AssertionOptions(ctx context.Context, actor identity.Actor, challenge []byte) (json.RawMessage, error)
	VerifyAssertion(ctx context.Context, tx *audit.Tx, actor identity.Actor, challenge, response []byte) (identity.Assertion, error)
}

// Credentialing is what the workspace asks of the room credentialing.
type Credentialing interface {
	Determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, ask credentialing.Ask) (credentialing.Determination, error)
	Judge(ctx context.Context, tx *audit.Tx, ask credentialing.Ask) (credentialing.Determination, error)
	// Agreed tells whether an agreement between two organizations covers a class of
	// data, going from the first to the second, at an instant.
	Agreed(ctx context.Context, tx *audit.Tx, from, to identity.OrganizationID, class string, at time.Time) (bool, error)
}

// Config wires a Service.
type Config struct {
	DB            *audit.DB
	Identity      Identity
	Credentialing Credentialing
	Blobs         *Blobs
	// Signer signs the checkpoint that a bundle is proved against.
	Signer audit.Signer
	// RPID and Origins are those of the passkeys, repeated in bundles.
	RPID    string
	Origins []string
	// Scan looks for malware in files; nil: there is no scanner.
	Scan Scanner
	// Demo releases files without a scanner, marked so.
	Demo bool
}

// Service is the workspace.
type Service struct {
	db     *audit.DB
	who    Identity
	scopes Credentialing
	blobs  *Blobs
	signer audit.Signer
	rpID   string
	origin []string
	scan   Scanner
	demo   bool
}

// New returns the workspace's service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Identity == nil || c.Credentialing == nil || c.Blobs == nil {
		return nil, errors.New("workspace: DB, Identity, Credentialing and Blobs are needed")
	}
	return &Service{db: c.DB, who: c.Identity, scopes: c.Credentialing, blobs: c.Blobs, signer: c.Signer,
		rpID: c.RPID, origin: c.Origins, scan: c.Scan, demo: c.Demo}, nil
}

// signWithin is how long a prepared document may wait for its signature.
const signWithin = 5 * time.Minute

func newID[T ~string]() T { return T(uuid.Must(uuid.NewV7()).String()) }

// access is a running command on one case: the case, locked when the command
// writes, and the actor's part in it.
type access struct {
	Facts
	c       caseRow
	refusal *Refusal // see refuse
}

// refuse ends a command with a refusal that is itself an event. Nothing else may
// have been written; determinations that say why are kept.
func (a *access) refuse(tx *audit.Tx, actor identity.Actor, act string, r *Refusal, d *credentialing.Determination) error {
	e := actor.Event(act)
	e.Objects = map[string]string{"case": string(a.c.ID)}
	e.Jurisdiction = a.c.Place
	e.Reason = r.Code
	if r.Rule != "" {
		e.Reason = r.Rule
	}
	if d != nil {
		e.Determination = string(d.ID)
	}
	tx.Append(e)
	a.refusal = r
	return nil
}

// enter finds the case and goes into the clinic that owns it, by membership or by a
// role in that clinic.
func (s *Service) enter(ctx context.Context, tx *audit.Tx, actor identity.Actor, id CaseID, lock bool) (*access, error) {
	if !plainID.MatchString(string(id)) {
		return nil, ErrNotFound
	}
	parts, org, err := membershipOf(ctx, tx, id, actor.Person)
	if err != nil {
		return nil, err
	}
	if len(parts) > 0 {
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(actor.Person)}); err != nil {
			return nil, err
		}
	}
	row, err := selectCase(ctx, tx, id, lock)
	if err != nil {
		return nil, err
	}
	acc := &access{c: row, Facts: Facts{State: row.State, Roles: parts, Own: row.Organization == actor.Organization}}
	if !mayKnow(actor, acc.Facts) {
		return nil, ErrNotFound
	}
	return acc, nil
}

// write runs a command on a case in one transaction. A case the actor may not know
// of is ErrNotFound, and the attempt is an event.
func (s *Service) write(ctx context.Context, actor identity.Actor, id CaseID, fn func(tx *audit.Tx, acc *access) error) error {
	var acc *access
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		var err error
		if acc, err = s.enter(ctx, tx, actor, id, true); err != nil {
			return err
		}
		return fn(tx, acc)
	})
	if err = s.finish(ctx, actor, id, err); err != nil {
		return err
	}
	if acc.refusal != nil {
		return acc.refusal
	}
	return nil
}

// read runs a query on a case.
func (s *Service) read(ctx context.Context, actor identity.Actor, id CaseID, fn func(tx *audit.Tx, acc *access) error) error {
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		acc, err := s.enter(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		return fn(tx, acc)
	})
	return s.finish(ctx, actor, id, err)
}

// finish maps a database error and records attempts on what is not found.
func (s *Service) finish(ctx context.Context, actor identity.Actor, id CaseID, err error) error {
	if errors.Is(err, ErrNotFound) && plainID.MatchString(string(id)) {
		attempt := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
			e := actor.Event("case.access_refused")
			e.Objects = map[string]string{"case": string(id)}
			e.Reason = "not-found"
			tx.Append(e)
			return nil
		})
		return errors.Join(err, attempt)
	}
	return mapError(err)
}

// mapError turns the constraints of the schema into the room's errors.
func mapError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.ConstraintName {
	case "decision_signer_responsible", "opinion_author_specialist":
		return fmt.Errorf("%w: %w", ErrConflict, refuse(RefusedRole))
	case "decision_determination_permits", "opinion_determination_permits":
		return fmt.Errorf("%w: %w", ErrConflict, refuse(RefusedScope))
	case "decision_one_per_case", "sign_request_used_once", "read_back_confirmation_pk":
		return refuse(RefusedState)
	}
	return err
}

// move changes the state, version and time of a case and ends the command.
func (s *Service) move(ctx context.Context, tx *audit.Tx, acc *access, ev Event) error {
	next, ok := acc.c.State.Next(ev)
	if !ok {
		return refuse(RefusedState)
	}
	acc.c.State = next
	acc.State = next
	return s.touch(ctx, tx, acc)
}

// touch writes the case row with its next version.
func (s *Service) touch(ctx context.Context, tx *audit.Tx, acc *access) error {
	acc.c.Version++
	acc.c.ChangedAt = tx.Now()
	if err := updateCase(ctx, tx, acc.c); err != nil {
		return err
	}
	return changed(ctx, tx, acc.c, "case")
}

// event begins the event of a command on a case.
func (acc *access) event(actor identity.Actor, act string) audit.Event {
	e := actor.Event(act)
	e.Organization = string(acc.c.Organization)
	e.Jurisdiction = acc.c.Place
	e.Objects = map[string]string{"case": string(acc.c.ID)}
	return e
}

// people lists those of the ids that are set, once each.
func people(ids ...identity.PersonID) []string {
	var out []string
	seen := map[identity.PersonID]bool{"": true}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, string(id))
		}
	}
	return out
}
