package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"golang.org/x/text/language"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Config wires a Service.
type Config struct {
	DB *audit.DB
	// RPID is the site's host name, to which passkeys are bound: "localhost", never
	// an IP address.
	RPID   string
	RPName string // shown by the authenticator
	// Origins are where pages come from, exactly: "https://consilium.example".
	Origins []string
	// Demo opens SignInDemo and takes the demonstration key.
	Demo bool
}

// Service is identity's commands and reads.
type Service struct {
	db      *audit.DB
	rpID    string
	origins []string
	demo    bool
	web     *webauthn.WebAuthn
}

// New returns a Service.
func New(c Config) (*Service, error) {
	if c.DB == nil {
		return nil, errors.New("identity: no database")
	}
	resident := true
	web, err := webauthn.New(&webauthn.Config{
		RPID: c.RPID, RPDisplayName: c.RPName, RPOrigins: slices.Clone(c.Origins),
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &resident,
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if c.RPID == "" {
		return nil, errors.New("identity: no host name for passkeys")
	}
	return &Service{db: c.DB, rpID: c.RPID, origins: slices.Clone(c.Origins), demo: c.Demo, web: web}, nil
}

// RPID is the host name passkeys are bound to; it stands in the trust file.
func (s *Service) RPID() string { return s.rpID }

// Origins are where pages come from; they stand in the trust file.
func (s *Service) Origins() []string { return slices.Clone(s.origins) }

// Grant is a role of a person for an organization, from and until an instant.
type Grant struct {
	ID           string
	Organization OrganizationID // "" for a patient or an interpreter on their own
	Role         Role
	From         time.Time // zero when given: from now on
	Until        time.Time // zero: until ended
}

// Person returns a person, or ErrNotFound.
func (s *Service) Person(ctx context.Context, id PersonID) (Person, error) {
	found, err := s.People(ctx, id)
	return onePerson(found, id, err)
}

// PersonTx is Person inside a running transaction.
func (s *Service) PersonTx(ctx context.Context, tx *audit.Tx, id PersonID) (Person, error) {
	found, err := s.PeopleTx(ctx, tx, id)
	return onePerson(found, id, err)
}

func onePerson(found map[PersonID]Person, id PersonID, err error) (Person, error) {
	if err != nil {
		return Person{}, err
	}
	p, ok := found[id]
	if !ok {
		return Person{}, ErrNotFound
	}
	return p, nil
}

// People returns those of the people that exist.
func (s *Service) People(ctx context.Context, ids ...PersonID) (found map[PersonID]Person, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		found, err = people(ctx, tx, ids)
		return err
	})
	return found, err
}

// PeopleTx is People inside a running transaction.
func (s *Service) PeopleTx(ctx context.Context, tx *audit.Tx, ids ...PersonID) (map[PersonID]Person, error) {
	return people(ctx, tx, ids)
}

// QueuePeople queues the question of PeopleTx in a batch of reads; what it returns is
// filled in when the batch is read.
func (s *Service) QueuePeople(b *pgx.Batch, ids ...PersonID) map[PersonID]Person {
	return queuePeople(b, ids)
}

// QueueRoles queues the question of RolesOfTx in a batch of reads; what it returns is
// filled in when the batch is read.
func (s *Service) QueueRoles(b *pgx.Batch, tx *audit.Tx, id PersonID) *[]Grant {
	return queueGrants(b, id, tx.Now())
}

// PeopleWith is the directory of the platform: those who hold the role anywhere now,
// of the specialty where one is given, by name.
func (s *Service) PeopleWith(ctx context.Context, r Role, specialty string) (found []Person, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		found, err = peopleWith(ctx, tx, r, specialty)
		return err
	})
	return found, err
}

// PeopleWithTx is PeopleWith inside a running transaction.
func (s *Service) PeopleWithTx(ctx context.Context, tx *audit.Tx, r Role, specialty string) ([]Person, error) {
	return peopleWith(ctx, tx, r, specialty)
}

// PeopleOf is those who hold the role in the organization now, by name.
func (s *Service) PeopleOf(ctx context.Context, org OrganizationID, r Role) (found []Person, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		found, err = peopleOf(ctx, tx, org, r)
		return err
	})
	return found, err
}

// PeopleOfTx is PeopleOf inside a running transaction.
func (s *Service) PeopleOfTx(ctx context.Context, tx *audit.Tx, org OrganizationID, r Role) ([]Person, error) {
	return peopleOf(ctx, tx, org, r)
}

// Organization returns an organization, or ErrNotFound.
func (s *Service) Organization(ctx context.Context, id OrganizationID) (o Organization, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		o, err = s.OrganizationTx(ctx, tx, id)
		return err
	})
	return o, err
}

// OrganizationTx is Organization inside a running transaction.
func (s *Service) OrganizationTx(ctx context.Context, tx *audit.Tx, id OrganizationID) (Organization, error) {
	found, err := organizations(ctx, tx, []OrganizationID{id})
	if err != nil {
		return Organization{}, err
	}
	if len(found) == 0 {
		return Organization{}, ErrNotFound
	}
	return found[0], nil
}

// Organizations is all of them, by name.
func (s *Service) Organizations(ctx context.Context) (found []Organization, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		found, err = organizations(ctx, tx, nil)
		return err
	})
	return found, err
}

// RolesOf is a person's grants in force now.
func (s *Service) RolesOf(ctx context.Context, id PersonID) (g []Grant, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		g, err = s.RolesOfTx(ctx, tx, id)
		return err
	})
	return g, err
}

// RolesOfTx is RolesOf inside a running transaction, at its instant.
func (s *Service) RolesOfTx(ctx context.Context, tx *audit.Tx, id PersonID) ([]Grant, error) {
	return grantsInForce(ctx, tx, id)
}

// AddOrganization adds a tenant. Only the operator's commands do.
func (s *Service) AddOrganization(ctx context.Context, actor Actor, o Organization) (OrganizationID, error) {
	if !mayAddOrganization(actor) {
		return "", ErrForbidden
	}
	if !zoneKnown(o.Zone) {
		return "", &Invalid{"zone"}
	}
	if o.ID == "" {
		o.ID = OrganizationID(newID())
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := insertOrganization(ctx, tx, o); err != nil {
			return fmt.Errorf("add organization %s: %w", o.ID, err)
		}
		e := actor.Event("organization.added")
		e.Organization = string(o.ID)
		e.Objects = map[string]string{"organization": string(o.ID)}
		tx.Append(e)
		return nil
	})
	return o.ID, err
}

// AddPerson adds a person with the roles granted. An administrator adds people to
// the own organization only.
func (s *Service) AddPerson(ctx context.Context, actor Actor, p Person, grants ...Grant) (PersonID, error) {
	if !mayGrant(actor, grants...) {
		return "", ErrForbidden
	}
	if err := validPerson(&p); err != nil {
		return "", err
	}
	if p.ID == "" {
		p.ID = PersonID(newID())
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := insertPerson(ctx, tx, p); err != nil {
			return fmt.Errorf("add person %s: %w", p.ID, err)
		}
		e := actor.Event("person.added")
		e.Objects = map[string]string{"person": string(p.ID)}
		for _, g := range grants {
			g, err := insertGrant(ctx, tx, actor, p.ID, g)
			if err != nil {
				return fmt.Errorf("grant %s to %s: %w", g.Role, p.ID, err)
			}
			e.Objects["grant:"+string(g.Role)] = g.ID
			if e.Organization == "" {
				e.Organization = string(g.Organization)
			}
		}
		tx.Append(e)
		return nil
	})
	return p.ID, err
}

// AddGrant grants a role to a person who is known already.
func (s *Service) AddGrant(ctx context.Context, actor Actor, id PersonID, g Grant) (Grant, error) {
	if !mayGrant(actor, g) {
		return Grant{}, ErrForbidden
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if err := s.steppedUp(ctx, tx, actor); err != nil {
			return err
		}
		if g, err = insertGrant(ctx, tx, actor, id, g); err != nil {
			return fmt.Errorf("grant %s to %s: %w", g.Role, id, err)
		}
		tx.Append(grantEvent(actor, "role.granted", id, g))
		return nil
	})
	return g, err
}

// EndGrant ends a role now. The person keeps it in the past.
func (s *Service) EndGrant(ctx context.Context, actor Actor, grant string) error {
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		id, g, err := lockGrant(ctx, tx, grant)
		if err != nil {
			return err
		}
		if !mayGrant(actor, g) {
			return ErrForbidden
		}
		if err := s.steppedUp(ctx, tx, actor); err != nil {
			return err
		}
		if err := endGrant(ctx, tx, grant); err != nil {
			return fmt.Errorf("end grant %s: %w", grant, err)
		}
		tx.Append(grantEvent(actor, "role.ended", id, g))
		return nil
	})
}

func grantEvent(actor Actor, act string, id PersonID, g Grant) audit.Event {
	e := actor.Event(act)
	e.Organization = string(g.Organization)
	e.Objects = map[string]string{"person": string(id), "grant": g.ID}
	e.Reason = string(g.Role)
	return e
}

// SetGender states or takes back the actor's own gender, which patients may ask for. What
// was stated is not written into the audit trail.
func (s *Service) SetGender(ctx context.Context, actor Actor, g Gender) error {
	if actor.Person == "" || actor.Guest() {
		return ErrForbidden
	}
	if !g.Valid() {
		return &Invalid{"gender"}
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := updateGender(ctx, tx, actor.Person, g); err != nil {
			return fmt.Errorf("gender of %s: %w", actor.Person, err)
		}
		e := actor.Event("person.gender_stated")
		e.Objects = map[string]string{"person": string(actor.Person)}
		tx.Append(e)
		return nil
	})
}

// SetPreferences changes the actor's own language of pages and time zone.
func (s *Service) SetPreferences(ctx context.Context, actor Actor, tag, zone string) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	if !zoneKnown(zone) {
		return &Invalid{"zone"}
	}
	tag, ok := languageTag(tag)
	if !ok {
		return &Invalid{"language"}
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := updatePreferences(ctx, tx, actor.Person, tag, zone); err != nil {
			return fmt.Errorf("preferences of %s: %w", actor.Person, err)
		}
		e := actor.Event("person.preferences_set")
		e.Objects = map[string]string{"person": string(actor.Person)}
		tx.Append(e)
		return nil
	})
}

// Disable keeps a person out: all logins end in the same transaction.
func (s *Service) Disable(ctx context.Context, actor Actor, id PersonID) error {
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		grants, err := grantsInForce(ctx, tx, id)
		if err != nil {
			return err
		}
		if !mayDisable(actor, id, grants) {
			return ErrForbidden
		}
		if err := s.steppedUp(ctx, tx, actor); err != nil {
			return err
		}
		if err := disablePerson(ctx, tx, id); err != nil {
			return err
		}
		if _, err := revokeLogins(ctx, tx, id, "disabled"); err != nil {
			return err
		}
		e := actor.Event("person.disabled")
		e.Objects = map[string]string{"person": string(id)}
		tx.Append(e)
		return nil
	})
}

// mayAddOrganization: tenants are made by the operator's commands, not by a tenant.
func mayAddOrganization(a Actor) bool { return a.Job != "" }

// mayGrant: the operator's commands anywhere, an administrator in the own
// organization only. People without any grant are the operator's affair.
func mayGrant(a Actor, grants ...Grant) bool {
	if a.Job != "" {
		return true
	}
	if !a.Has(RoleAdministrator) || a.Organization == "" || len(grants) == 0 {
		return false
	}
	for _, g := range grants {
		if g.Organization != a.Organization {
			return false
		}
	}
	return true
}

// mayDisable: the operator's commands, or an administrator for a person who works
// for the own organization and no other, never for the own person.
func mayDisable(a Actor, id PersonID, grants []Grant) bool {
	return a.Person != id && mayGrant(a, grants...)
}

func validPerson(p *Person) error {
	if p.Name == "" {
		return &Invalid{"name"}
	}
	if !zoneKnown(p.Zone) {
		return &Invalid{"zone"}
	}
	var ok bool
	if p.Language, ok = languageTag(p.Language); !ok {
		return &Invalid{"language"}
	}
	if !p.Gender.Valid() {
		return &Invalid{"gender"}
	}
	p.Languages = slices.Clone(p.Languages)
	if len(p.Languages) == 0 {
		p.Languages = []string{p.Language}
	}
	for i, tag := range p.Languages {
		if p.Languages[i], ok = languageTag(tag); !ok {
			return &Invalid{"languages"}
		}
	}
	return nil
}

// languageTag gives the canonical spelling of a BCP 47 tag: "zh-hans" is "zh-Hans".
func languageTag(s string) (string, bool) {
	t, err := language.Parse(s)
	if err != nil || t == language.Und {
		return "", false
	}
	return t.String(), true
}

func zoneKnown(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
