package identity_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/identitytest"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

type house struct {
	*identity.Service
	db   *audit.DB
	pg   *pgtest.DB
	cast *identitytest.Cast

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{pg: pgtest.New(t), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	h.db = audit.New(audit.Config{Pool: h.pg.Pool, Clock: func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.now
	}})
	h.Service = identitytest.Service(t, h.db)
	h.cast = identitytest.Seed(t, h.Service)
	return h
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// acts are those of the log from an index on.
func (h *house) acts(t *testing.T, from int64) (acts []string) {
	t.Helper()
	v, err := h.db.VerifyAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = h.db.Read(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
		for i := from; i < v.Size; i++ {
			l, err := h.db.Leaf(t.Context(), tx, i)
			if err != nil {
				return err
			}
			acts = append(acts, l.Event.Act)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return acts
}

func (h *house) size(t *testing.T) int64 {
	t.Helper()
	v, err := h.db.VerifyAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v.Size
}

func TestActorCarriesPersonRolesAndOrganization(t *testing.T) {
	h := newHouse(t)
	c := h.cast
	for _, tc := range []struct {
		who *identitytest.Someone
		org identity.OrganizationID
		has identity.Role
	}{
		{c.Local, c.Hospital.ID, identity.RoleLocalPhysician},
		{c.Specialist, c.Center.ID, identity.RoleSpecialist},
		{c.Interpreter, c.Agency.ID, identity.RoleInterpreter},
		{c.Officer, c.Hospital.ID, identity.RoleOfficer},
		{c.Patient, "", identity.RolePatient}, // a patient acts for no organization
	} {
		a := tc.who.Actor
		if a.Organization != tc.org || !cmp.Equal(a.Roles, []identity.Role{tc.has}) || a.Guest() || a.Language != tc.who.Language || a.Zone != tc.who.Zone {
			t.Errorf("%s: actor %+v", tc.who.Name, a)
		}
	}
}

func TestDirectoryFindsPeopleByRoleSpecialtyAndInstant(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	names := func(list []identity.Person, err error) (out []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			out = append(out, p.Name)
		}
		return out
	}
	if _, err := h.AddGrant(ctx, identity.System("seed", ""), h.cast.Coordinator.ID, identity.Grant{
		Organization: h.cast.Center.ID, Role: identity.RoleSpecialist, From: h.db.Now().Add(time.Hour), Until: h.db.Now().Add(2 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	if got := names(h.PeopleWith(ctx, identity.RoleSpecialist, "")); !cmp.Equal(got, []string{"Prof. Specialist"}) {
		t.Errorf("before the grant: %v", got)
	}
	h.pass(time.Hour)
	if got := names(h.PeopleWith(ctx, identity.RoleSpecialist, "")); !cmp.Equal(got, []string{"Coordinator", "Prof. Specialist"}) {
		t.Errorf("within the grant: %v", got)
	}
	if got := names(h.PeopleWith(ctx, identity.RoleSpecialist, "cardiology")); !cmp.Equal(got, []string{"Prof. Specialist"}) {
		t.Errorf("by specialty: %v", got)
	}
	if got := names(h.PeopleOf(ctx, h.cast.Hospital.ID, identity.RoleOfficer)); !cmp.Equal(got, []string{"Officer One", "Officer Two"}) {
		t.Errorf("officers of the hospital: %v", got)
	}
	h.pass(time.Hour)
	if got := names(h.PeopleWith(ctx, identity.RoleSpecialist, "")); !cmp.Equal(got, []string{"Prof. Specialist"}) {
		t.Errorf("after the grant: %v", got)
	}

	found, err := h.People(ctx, h.cast.Local.ID, "no id", "", identity.PersonID(h.cast.Hospital.ID))
	if err != nil || len(found) != 1 || !cmp.Equal(found[h.cast.Local.ID], h.cast.Local.Person) {
		t.Errorf("people = %v, %v", found, err)
	}
	if _, err := h.Person(ctx, "0193a000-0000-7000-8000-00000000000a"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if o, err := h.Organization(ctx, h.cast.Center.ID); err != nil || o != h.cast.Center {
		t.Errorf("organization = %v, %v", o, err)
	}
	if all, err := h.Organizations(ctx); err != nil || len(all) != 3 {
		t.Errorf("organizations = %v, %v", all, err)
	}
	grants, err := h.RolesOf(ctx, h.cast.Specialist.ID)
	want := []identity.Grant{{Organization: h.cast.Center.ID, Role: identity.RoleSpecialist, From: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}}
	if diff := cmp.Diff(grants, want, cmpopts.IgnoreFields(identity.Grant{}, "ID")); diff != "" || err != nil {
		t.Errorf("roles: %v %s", err, diff)
	}
}

func TestAdministratorGrantsInOwnOrganizationOnly(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	p := identity.Person{Name: "New", Language: "en", Zone: "Africa/Nairobi"}
	here := identity.Grant{Organization: h.cast.Hospital.ID, Role: identity.RoleCoordinator}
	there := identity.Grant{Organization: h.cast.Center.ID, Role: identity.RoleCoordinator}
	for _, tc := range []struct {
		name   string
		actor  identity.Actor
		grants []identity.Grant
		want   error
	}{
		{"administrator, own organization", h.cast.Admin.Actor, []identity.Grant{here}, nil},
		{"administrator, another", h.cast.Admin.Actor, []identity.Grant{there}, identity.ErrForbidden},
		{"administrator, both", h.cast.Admin.Actor, []identity.Grant{here, there}, identity.ErrForbidden},
		{"administrator, none", h.cast.Admin.Actor, nil, identity.ErrForbidden},
		{"physician", h.cast.Local.Actor, []identity.Grant{here}, identity.ErrForbidden},
		{"patient", h.cast.Patient.Actor, []identity.Grant{{Role: identity.RolePatient}}, identity.ErrForbidden},
		{"nobody", identity.Actor{}, []identity.Grant{here}, identity.ErrForbidden},
	} {
		before := h.size(t)
		_, err := h.AddPerson(ctx, tc.actor, p, tc.grants...)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if grew := h.size(t) - before; grew != 0 && err != nil || grew != 1 && err == nil {
			t.Errorf("%s: the log grew by %d", tc.name, grew)
		}
	}
	if _, err := h.AddOrganization(ctx, h.cast.Admin.Actor, h.cast.Center); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("administrator adds an organization: %v", err)
	}
	if _, err := h.AddOrganization(ctx, identity.System("seed", ""), h.cast.Center); !errors.Is(err, identity.ErrExists) {
		t.Errorf("organization twice: %v", err)
	}
	if _, err := h.AddGrant(ctx, h.cast.Admin.Actor, h.cast.Local.ID, identity.Grant{Organization: h.cast.Hospital.ID, Role: identity.RoleLocalPhysician}); !errors.Is(err, identity.ErrGrantOverlaps) {
		t.Errorf("role twice: %v", err)
	}
	if _, err := h.AddGrant(ctx, identity.System("seed", ""), h.cast.Local.ID, identity.Grant{Role: identity.RoleSpecialist}); err == nil {
		t.Error("specialist of no organization: done, want refused")
	}
}

func TestEndedGrantIsGoneAtTheNextRequest(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	grants, err := h.RolesOf(ctx, h.cast.Local.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	if err := h.EndGrant(ctx, h.cast.Local.Actor, grants[0].ID); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("ended by a physician: %v", err)
	}
	if err := h.EndGrant(ctx, h.cast.Admin.Actor, grants[0].ID); err != nil {
		t.Fatal(err)
	}
	a, _, err := h.Authenticate(ctx, h.cast.Local.Token)
	if err != nil || len(a.Roles) != 0 {
		t.Errorf("roles after the end: %v, %v", a.Roles, err)
	}
	if err := h.EndGrant(ctx, h.cast.Admin.Actor, grants[0].ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestInvalidPeopleAreRefusedByField(t *testing.T) {
	h := newHouse(t)
	good := identity.Person{Name: "N", Language: "ar", Languages: []string{"ar", "zh-hans"}, Zone: "Asia/Beirut", Home: "LB"}
	for field, spoil := range map[string]func(*identity.Person){
		"":          func(*identity.Person) {},
		"name":      func(p *identity.Person) { p.Name = "" },
		"zone":      func(p *identity.Person) { p.Zone = "Mars/Base" },
		"language":  func(p *identity.Person) { p.Language = "not a language" },
		"languages": func(p *identity.Person) { p.Languages = []string{"en", "??"} },
		"home":      func(p *identity.Person) { p.Home = "Lebanon" },
	} {
		p := good
		spoil(&p)
		id, err := h.AddPerson(t.Context(), identity.System("seed", ""), p)
		got := ""
		if invalid, ok := errors.AsType[*identity.Invalid](err); ok {
			got = invalid.Field
		}
		if got != field || (err == nil) != (field == "") {
			t.Errorf("%s: %v", field, err)
		}
		if field == "" {
			if p, err := h.Person(t.Context(), id); err != nil || p.Languages[1] != "zh-Hans" {
				t.Errorf("languages = %v, %v; want canonical tags", p.Languages, err)
			}
		}
	}
}

func TestPreferencesAreTheActorsOwn(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	before := h.size(t)
	if err := h.SetPreferences(ctx, h.cast.Local.Actor, "fr", "Europe/Paris"); err != nil {
		t.Fatal(err)
	}
	if got := h.acts(t, before); !cmp.Equal(got, []string{"person.preferences_set"}) {
		t.Errorf("acts = %v", got)
	}
	a, _, err := h.Authenticate(ctx, h.cast.Local.Token)
	if err != nil || a.Language != "fr" || a.Zone != "Europe/Paris" {
		t.Errorf("actor %v %v, %v", a.Language, a.Zone, err)
	}
	if err := h.SetPreferences(ctx, h.cast.Local.Actor, "fr", "Nowhere"); err == nil {
		t.Error("unknown zone: done, want refused")
	}
	if err := h.SetPreferences(ctx, identity.System("job", ""), "fr", "Europe/Paris"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a job's preferences: %v", err)
	}
}

// dead fails unless the token opens nothing.
func (h *house) dead(t *testing.T, token, why string) {
	t.Helper()
	if a, _, err := h.Authenticate(context.Background(), token); !errors.Is(err, identity.ErrNoLogin) || a.Person != "" {
		t.Errorf("%s: %v, want ErrNoLogin", why, err)
	}
}
