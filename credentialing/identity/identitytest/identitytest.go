// Package identitytest gives tests of all rooms people who are really there: a
// service on the test's database, a standing set of organizations and people with
// their logins, and keys with which they sign documents.
package identitytest

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/demokey"
)

// Where the test's pages live.
const (
	RPID   = "localhost"
	Origin = "http://localhost:8080"
)

// Service is a Service in demo on the database.
func Service(t testing.TB, db *audit.DB) *identity.Service { return service(t, db, true) }

// Serve is a Service as in production, where no demonstration is taken.
func Serve(t testing.TB, db *audit.DB) *identity.Service { return service(t, db, false) }

func service(t testing.TB, db *audit.DB, demo bool) *identity.Service {
	t.Helper()
	s, err := identity.New(identity.Config{DB: db, RPID: RPID, RPName: "Consilium test", Origins: []string{Origin}, Demo: demo})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Someone is a person who is signed in.
type Someone struct {
	identity.Person
	Token string
	Actor identity.Actor
	svc   *identity.Service

	mu  sync.Mutex
	key *demokey.Key // guarded by mu; made on first use
}

// Cast is a hospital in Nairobi that asks, a specialist center in Toronto that
// advises, an interpreter agency in Beirut, and their people.
type Cast struct {
	Hospital, Center, Agency identity.Organization

	Local       *Someone // local physician, Nairobi
	OtherLocal  *Someone // a second one of the same hospital
	Specialist  *Someone // cardiologist, Toronto
	Interpreter *Someone // ar-en, Beirut
	Patient     *Someone // speaks Arabic, Nairobi
	Coordinator *Someone // of the hospital
	Officer     *Someone // credentialing officers of the hospital
	Second      *Someone
	Admin       *Someone // administrator of the hospital
}

// Seed adds the cast through the ordinary commands and signs everybody in. The
// service must be in demo. It may be called again on another database.
func Seed(t testing.TB, svc *identity.Service) *Cast {
	t.Helper()
	c := &Cast{
		Hospital: AddOrganization(t, svc, identity.Organization{Name: "Test Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"}),
		Center:   AddOrganization(t, svc, identity.Organization{Name: "Test Heart Center", Kind: "specialist-center", Zone: "America/Toronto", Place: "CA-ON"}),
		Agency:   AddOrganization(t, svc, identity.Organization{Name: "Test Interpreters", Kind: "interpreter-agency", Zone: "Asia/Beirut", Place: "LB"}),
	}
	nairobi := identity.Person{Language: "en", Languages: []string{"en", "sw"}, Zone: "Africa/Nairobi", Home: "KE"}
	add := func(base identity.Person, name, specialty string, o identity.Organization, r identity.Role) *Someone {
		base.Name, base.Specialty = name, specialty
		return Add(t, svc, base, identity.Grant{Organization: o.ID, Role: r})
	}
	c.Local = add(nairobi, "Dr Local", "", c.Hospital, identity.RoleLocalPhysician)
	c.OtherLocal = add(nairobi, "Dr Otherlocal", "", c.Hospital, identity.RoleLocalPhysician)
	c.Coordinator = add(nairobi, "Coordinator", "", c.Hospital, identity.RoleCoordinator)
	c.Officer = add(nairobi, "Officer One", "", c.Hospital, identity.RoleOfficer)
	c.Second = add(nairobi, "Officer Two", "", c.Hospital, identity.RoleOfficer)
	c.Admin = add(nairobi, "Admin", "", c.Hospital, identity.RoleAdministrator)
	c.Specialist = add(identity.Person{Language: "fr", Languages: []string{"fr", "en"}, Zone: "America/Toronto", Home: "CA-ON"},
		"Prof. Specialist", "cardiology", c.Center, identity.RoleSpecialist)
	c.Interpreter = add(identity.Person{Language: "ar", Languages: []string{"ar", "en"}, Zone: "Asia/Beirut", Home: "LB"},
		"Interpreter", "", c.Agency, identity.RoleInterpreter)
	c.Patient = add(identity.Person{Language: "ar", Languages: []string{"ar"}, Zone: "Africa/Nairobi"},
		"Mrs Patient", "", c.Hospital, identity.RolePatient)
	return c
}

// AddOrganization adds an organization and returns it with its id.
func AddOrganization(t testing.TB, svc *identity.Service, o identity.Organization) identity.Organization {
	t.Helper()
	id, err := svc.AddOrganization(t.Context(), identity.System("seed", ""), o)
	if err != nil {
		t.Fatal(err)
	}
	o.ID = id
	return o
}

// Add adds a person with the grants and signs the person in.
func Add(t testing.TB, svc *identity.Service, p identity.Person, grants ...identity.Grant) *Someone {
	t.Helper()
	id, err := svc.AddPerson(t.Context(), identity.System("seed", ""), p, grants...)
	if err != nil {
		t.Fatal(err)
	}
	return SignIn(t, svc, id)
}

// SignIn signs a person in by one click and returns the person with the login.
func SignIn(t testing.TB, svc *identity.Service, id identity.PersonID) *Someone {
	t.Helper()
	token, err := svc.SignInDemo(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	s := &Someone{Token: token, svc: svc}
	if s.Actor, _, err = svc.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if s.Person, err = svc.Person(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return s
}

// Key is the person's demonstration key, enrolled on first use.
func (s *Someone) Key(t testing.TB) *demokey.Key {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		s.key = NewKey(t)
		Enroll(t, s.svc, s.Actor, s.key)
	}
	return s.key
}

// Sign answers a document's challenge as the person's browser would: give the answer
// to VerifyAssertion, or to the command that calls it.
func (s *Someone) Sign(t testing.TB, challenge []byte) []byte {
	t.Helper()
	key := s.Key(t)
	options, err := s.svc.AssertionOptions(t.Context(), s.Actor, challenge)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := key.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// NewKey is a demonstration key that nobody has enrolled.
func NewKey(t testing.TB) *demokey.Key {
	t.Helper()
	k, err := demokey.New(RPID, Origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// NewPasskey is a key that looks like a device's own authenticator, which is taken
// outside demo too.
func NewPasskey(t testing.TB) *demokey.Key {
	t.Helper()
	k := NewKey(t)
	k.AAGUID = uuid.Nil
	return k
}

// Enroll enrolls the key for the actor.
func Enroll(t testing.TB, svc *identity.Service, actor identity.Actor, key *demokey.Key) identity.Passkey {
	t.Helper()
	ceremony, options, err := svc.BeginEnrollment(t.Context(), actor)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := key.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	made, err := svc.FinishEnrollment(t.Context(), actor, ceremony, answer, "test key")
	if err != nil {
		t.Fatal(err)
	}
	return made
}
