package credentialing_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

// world is a database with two hospitals, two officers and the people of the
// standing cast that matter here.
type world struct {
	t     testing.TB
	pg    *pgtest.DB
	db    *audit.DB
	s     *credentialing.Service
	clock *clock

	nairobi, toronto, berlin              identity.OrganizationID
	otieno, kamau, tremblay, weber, layla identity.Actor
	grace, samuel, third                  identity.Actor
}

type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	w := &world{t: t, pg: pgtest.New(t), clock: &clock{at: start}}
	w.db = audit.New(audit.Config{Pool: w.pg.Pool, Clock: w.clock.now})
	var err error
	w.s, err = credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	w.nairobi = w.organization("Jacaranda Hill Hospital", "hospital", "KE")
	w.toronto = w.organization("Maple Heart Institute", "specialist-center", "CA-ON")
	w.berlin = w.organization("Havel Heart Clinic", "specialist-center", "DE")
	w.otieno = w.person("Dr Amina Otieno", "KE", w.nairobi, identity.RoleLocalPhysician, "en", "sw")
	w.kamau = w.person("Dr Joseph Kamau", "KE", w.nairobi, identity.RoleLocalPhysician, "en", "sw")
	w.tremblay = w.person("Prof. Claire Tremblay", "CA-ON", w.toronto, identity.RoleSpecialist, "fr", "en")
	w.weber = w.person("Dr Jonas Weber", "DE", w.berlin, identity.RoleSpecialist, "de", "en")
	w.layla = w.person("Layla Aziz", "LB", w.nairobi, identity.RoleInterpreter, "ar", "en")
	w.grace = w.person("Grace Wanjiru", "KE", w.nairobi, identity.RoleOfficer, "en")
	w.samuel = w.person("Samuel Kiptoo", "KE", w.nairobi, identity.RoleOfficer, "en")
	w.third = w.person("Third Officer", "KE", w.nairobi, identity.RoleOfficer, "en")
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) organization(name, kind, place string) identity.OrganizationID {
	id := uuid.Must(uuid.NewV7()).String()
	_, err := w.pg.Pool.Exec(w.t.Context(), `insert into organization (id, name, kind, zone, place, created_at) values ($1, $2, $3, 'UTC', $4, $5)`,
		id, name, kind, place, start)
	w.must(err)
	return identity.OrganizationID(id)
}

func (w *world) person(name, home string, org identity.OrganizationID, role identity.Role, languages ...string) identity.Actor {
	id := uuid.Must(uuid.NewV7()).String()
	_, err := w.pg.Pool.Exec(w.t.Context(), `insert into person (id, name, language, languages, zone, home, created_at)
		values ($1, $2, 'en', $3, 'UTC', $4, $5)`, id, name, languages, home, start)
	w.must(err)
	_, err = w.pg.Pool.Exec(w.t.Context(), `insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at)
		values ($1, $2, $3, $4, $5, $5)`, uuid.Must(uuid.NewV7()).String(), id, string(org), string(role), start.AddDate(-1, 0, 0))
	w.must(err)
	return identity.Actor{Person: identity.PersonID(id), Organization: org, Roles: []identity.Role{role}}
}

// enter records a claim with evidence and returns both.
func (w *world) enter(r credentialing.ClaimRequest) (credentialing.Entered, [32]byte) {
	w.t.Helper()
	e, err := w.s.EnterClaim(w.t.Context(), w.grace, r)
	w.must(err)
	sum, err := w.s.AttachEvidence(w.t.Context(), w.grace, e.Credential, credentialing.EvidenceFile{Bytes: []byte("register page of " + r.Number), Source: "register"})
	w.must(err)
	return e, sum
}

func (w *world) verify(e credentialing.Entered, sum [32]byte, method string) credentialing.VerificationID {
	w.t.Helper()
	v, err := w.s.Verify(w.t.Context(), w.grace, credentialing.VerifyRequest{Credential: e.Credential, Method: method, Source: "register",
		Result: credentialing.ResultFound, Evidence: sum})
	w.must(err)
	return v
}

// onFile records a claim, verifies and approves it by two officers.
func (w *world) onFile(r credentialing.ClaimRequest) credentialing.Entered {
	w.t.Helper()
	e, sum := w.enter(r)
	method := "primary-source"
	if r.Kind == credentialing.KindMalpractice {
		method = "certificate"
	}
	w.must(w.s.Approve(w.t.Context(), w.samuel, w.verify(e, sum, method)))
	return e
}

func license(p identity.Actor, place, number string, ends credentialing.Moment) credentialing.ClaimRequest {
	return credentialing.ClaimRequest{Person: p.Person, Kind: credentialing.KindLicense, Issuer: "regulator of " + place, Number: number,
		Jurisdiction: place, Claim: credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: ends}}
}

func (w *world) checkExclusions(people ...identity.Actor) {
	w.t.Helper()
	for _, p := range people {
		w.must(w.s.CheckExclusions(w.t.Context(), w.grace, credentialing.ExclusionCheck{Person: p.Person, Lists: []string{"all"}}))
	}
}

// cast puts on file what lets Tremblay advise and join in Kenya and Otieno sign.
func (w *world) cast() (registration credentialing.Entered) {
	w.t.Helper()
	w.onFile(license(w.otieno, "KE", "DEMO-KE-0001", credentialing.Date(2028, 11, 23)))
	w.onFile(license(w.tremblay, "CA-ON", "DEMO-ON-0001", credentialing.Date(2028, 11, 23)))
	registration = w.onFile(credentialing.ClaimRequest{Person: w.tremblay.Person, Kind: credentialing.KindRegistration, Issuer: "regulator of KE",
		Number: "DEMO-KE-T001", Jurisdiction: "KE", Claim: credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2026, 6, 1),
			ValidTo: credentialing.Date(2027, 5, 31), Facility: string(w.nairobi),
			Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}}})
	w.onFile(credentialing.ClaimRequest{Person: w.tremblay.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "DEMO-C-1",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2028, 6, 30), Timezone: "America/Toronto",
			Territories: []string{"CA", "KE", "SA"}, Currency: "CAD", PerClaim: 5_000_000, Aggregate: 10_000_000}})
	w.checkExclusions(w.otieno, w.tremblay, w.weber, w.kamau)
	_, err := w.s.AddFacilityLicense(w.t.Context(), w.grace, credentialing.FacilityLicense{Organization: w.nairobi, Jurisdiction: "KE",
		Issuer: "regulator of KE", Number: "DEMO-KE-F1", ValidFrom: start.AddDate(0, -6, 0), ValidTo: start.AddDate(1, 0, 0)})
	w.must(err)
	for _, to := range []identity.OrganizationID{w.toronto, w.berlin} {
		_, err = w.s.AddAgreement(w.t.Context(), w.grace, credentialing.Agreement{From: w.nairobi, To: to, Ground: "standard-contract",
			DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: start.AddDate(0, -6, 0)})
		w.must(err)
	}
	return registration
}

func (w *world) ask(p identity.Actor, a credentialing.Activity) credentialing.Ask {
	return credentialing.Ask{Person: p.Person, Activity: a, At: w.clock.now().Add(48 * time.Hour), Mode: credentialing.Plan,
		Case: credentialing.CaseContext{Organization: w.nairobi, Places: []string{"KE"}, LocationConfirmed: credentialing.Yes(),
			IdentityConfirmed: credentialing.Yes(), Modality: "live-video", PatientLanguages: []string{"ar"}, Interpreter: credentialing.Yes(),
			Local: credentialing.LocalPhysician{ID: w.otieno.Person, Requested: credentialing.Yes(), Present: credentialing.Yes(),
				FinalAuthority: credentialing.Yes(), Signed: credentialing.No()},
			Consents: []credentialing.Consent{{Type: "telehealth", Recorded: start}, {Type: "share-with-specialist", Recorded: start}}}}
}

func (w *world) determine(ask credentialing.Ask) credentialing.Determination {
	w.t.Helper()
	var d credentialing.Determination
	w.must(w.db.Write(w.t.Context(), w.grace.Scope(), func(tx *audit.Tx) (err error) {
		d, err = w.s.Determine(w.t.Context(), tx, w.grace, ask)
		return err
	}))
	return d
}

func TestCastAnswersAreThoseOfTheDesign(t *testing.T) {
	w := newWorld(t)
	w.cast()
	w.onFile(license(w.weber, "DE", "DEMO-DE-0001", credentialing.Date(2028, 1, 1)))
	w.onFile(license(w.kamau, "KE", "DEMO-KE-0002", credentialing.Date(2026, 11, 13)))
	sign := func(p identity.Actor) credentialing.Ask {
		a := w.ask(p, credentialing.SignDecision)
		a.Case.Local.ID = p.Person
		return a
	}
	asAdministrator := w.ask(w.samuel, credentialing.SignDecision)
	w.checkExclusions(w.samuel)
	cases := []struct {
		why      string
		ask      credentialing.Ask
		decision credentialing.Decision
		has      []string
	}{
		{"Tremblay joins a visit in Kenya", w.ask(w.tremblay, credentialing.JointVideoVisit), credentialing.PermitWithConditions,
			[]string{"permit:KE-001", "limit:facility-named-on-the-licence", "after:local_physician_signed"}},
		{"Tremblay advises in Kenya", w.ask(w.tremblay, credentialing.AdvisePhysician), credentialing.PermitWithConditions, []string{"permit:KE-001"}},
		{"Tremblay may not order", w.ask(w.tremblay, credentialing.PrescribeOrOrder), credentialing.Deny, []string{"forbid:KE-002"}},
		{"Tremblay may not sign", w.ask(w.tremblay, credentialing.SignDecision), credentialing.Deny, []string{"forbid:ZZ-001"}},
		{"Otieno signs", sign(w.otieno), credentialing.Permit, []string{"permit:ZZ-002"}},
		{"Kamau's license has ended", sign(w.kamau), credentialing.Deny, []string{"missing:ZZ-002:licence_patient_jurisdiction"}},
		{"an administrator does not sign", asAdministrator, credentialing.Deny, []string{"forbid:ZZ-001"}},
		{"Weber has neither registration nor cover", w.ask(w.weber, credentialing.JointVideoVisit), credentialing.Deny,
			[]string{"forbid:KE-002", "missing:KE-001:registration=temporary-licence", "unmet:ZZ-020:malpractice_cover"}},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			d := w.determine(c.ask)
			if d.Decision != c.decision {
				t.Errorf("%s: %v", d.Decision, d.Reasons)
			}
			for _, code := range c.has {
				if !slices.Contains(d.Reasons, code) && !slices.Contains(d.Conditions, code) {
					t.Errorf("%s is not among %v %v", code, d.Reasons, d.Conditions)
				}
			}
			if r := d.Refusal(); (r != nil) != (c.decision == credentialing.Deny) || r != nil && r.Rule == "" {
				t.Errorf("refusal %+v", r)
			}
		})
	}
	elsewhere := w.ask(w.tremblay, credentialing.JointVideoVisit)
	elsewhere.Case.Places = []string{"UG"}
	if d := w.determine(elsewhere); d.Decision != credentialing.Deny || !slices.Contains(d.Reasons, "no-pack:UG") {
		t.Errorf("Kampala: %s %v", d.Decision, d.Reasons)
	}
}

func TestClaimCountsOnlyAfterTwoOfficers(t *testing.T) {
	w := newWorld(t)
	w.cast()
	cover := credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "W-1",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2028, 1, 1), Territories: []string{"DE", "KE"}}}
	registration := credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindRegistration, Issuer: "regulator of KE", Number: "W-2",
		Jurisdiction: "KE", Claim: credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2026, 6, 1), ValidTo: credentialing.Date(2027, 6, 1)}}
	decision := func() credentialing.Decision {
		return w.determine(w.ask(w.weber, credentialing.AdvisePhysician)).Decision
	}
	c, csum := w.enter(cover)
	r, rsum := w.enter(registration)
	if decision() != credentialing.Deny {
		t.Fatal("a claim alone counts")
	}
	cv, rv := w.verify(c, csum, "certificate"), w.verify(r, rsum, "primary-source")
	if decision() != credentialing.Deny {
		t.Fatal("an unapproved verification counts")
	}
	w.must(w.s.Approve(t.Context(), w.samuel, cv))
	if decision() != credentialing.Deny {
		t.Fatal("cover alone is enough")
	}
	w.must(w.s.Approve(t.Context(), w.samuel, rv))
	if got := decision(); got != credentialing.PermitWithConditions {
		t.Fatalf("after both are approved: %s", got)
	}
}

func TestPictureOfACertificateIsNoPrimarySource(t *testing.T) {
	w := newWorld(t)
	w.cast()
	e, sum := w.enter(credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindRegistration, Issuer: "regulator of KE", Number: "W-2",
		Jurisdiction: "KE", Claim: credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2026, 6, 1)}})
	w.must(w.s.Approve(t.Context(), w.samuel, w.verify(e, sum, "certificate")))
	d := w.determine(w.ask(w.weber, credentialing.AdvisePhysician))
	if !slices.Contains(d.Reasons, "credential:"+string(e.Credential)+":unverified") {
		t.Errorf("got %v", d.Reasons)
	}
}

func TestSuspensionBlocksAtOnceAndLiftingItTakesTwo(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	ask := func() credentialing.Determination {
		return w.determine(w.ask(w.tremblay, credentialing.JointVideoVisit))
	}
	if !ask().Allowed() {
		t.Fatal("not allowed at first")
	}
	w.clock.move(time.Hour)
	if pending, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: reg.Credential,
		Status: credentialing.StatusSuspended, Source: "board alert"}); err != nil || pending {
		t.Fatal(pending, err)
	}
	d := ask()
	if d.Allowed() || !slices.Contains(d.Reasons, "credential:"+string(reg.Credential)+":suspended") {
		t.Fatalf("still %s: %v", d.Decision, d.Reasons)
	}
	w.clock.move(time.Hour)
	again := credentialing.StatusReport{Credential: reg.Credential, Status: credentialing.StatusActive, Source: "board letter"}
	if pending, err := w.s.ReportStatus(t.Context(), w.grace, again); err != nil || !pending {
		t.Fatal(pending, err)
	}
	if ask().Allowed() {
		t.Fatal("one officer lifted a suspension")
	}
	if _, err := w.s.ReportStatus(t.Context(), w.grace, again); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Fatalf("the same officer twice: %v", err)
	}
	if pending, err := w.s.ReportStatus(t.Context(), w.samuel, again); err != nil || pending {
		t.Fatal(pending, err)
	}
	if !ask().Allowed() {
		t.Fatal("two officers did not lift it")
	}
}

func TestLicenseSuspendedAnywhereStopsEverywhere(t *testing.T) {
	w := newWorld(t)
	w.cast()
	e := w.onFile(license(w.tremblay, "GB", "GB-1", credentialing.Date(2028, 1, 1)))
	_, err := w.s.ReportStatus(t.Context(), w.samuel, credentialing.StatusReport{Credential: e.Credential, Status: credentialing.StatusSuspended, Source: "alert"})
	w.must(err)
	if d := w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician)); !slices.Contains(d.Reasons, "forbid:ZZ-012") {
		t.Errorf("got %v", d.Reasons)
	}
}

func TestNobodyChecksWhatIsTheirOwn(t *testing.T) {
	w := newWorld(t)
	own := license(w.grace, "KE", "OWN-1", credentialing.Date(2028, 1, 1))
	e, err := w.s.EnterClaim(t.Context(), w.grace, own)
	w.must(err)
	sum, err := w.s.AttachEvidence(t.Context(), w.grace, e.Credential, credentialing.EvidenceFile{Bytes: []byte("a page"), Source: "register"})
	w.must(err)
	req := credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "register", Result: credentialing.ResultFound, Evidence: sum}
	if _, err := w.s.Verify(t.Context(), w.grace, req); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("subject verifies: %v", err)
	}
	v, err := w.s.Verify(t.Context(), w.samuel, req)
	w.must(err)
	if err := w.s.Approve(t.Context(), w.samuel, v); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("verifier approves: %v", err)
	}
	if err := w.s.Approve(t.Context(), w.grace, v); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("subject approves: %v", err)
	}
	if err := w.s.Approve(t.Context(), w.otieno, v); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician approves: %v", err)
	}
	w.must(w.s.Approve(t.Context(), w.third, v))
	if err := w.s.Approve(t.Context(), w.third, v); !errors.Is(err, credentialing.ErrNotThisState) {
		t.Errorf("approved twice: %v", err)
	}
}

func TestApprovalNeedsEvidenceAndAFreshAnswer(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	v := w.verify(e, [32]byte{}, "primary-source")
	if err := w.s.Approve(t.Context(), w.samuel, v); !errors.Is(err, credentialing.ErrEvidenceMissing) {
		t.Errorf("without evidence: %v", err)
	}
	other := sha256.Sum256([]byte("never attached"))
	if _, err := w.s.Verify(t.Context(), w.grace, credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "x",
		Result: credentialing.ResultFound, Evidence: other}); !errors.Is(err, credentialing.ErrEvidenceMissing) {
		t.Errorf("with evidence that is not on file: %v", err)
	}
	v = w.verify(e, sum, "primary-source")
	w.clock.move(121 * 24 * time.Hour)
	if err := w.s.Approve(t.Context(), w.samuel, v); !errors.Is(err, credentialing.ErrAnswerOld) {
		t.Errorf("after 121 days: %v", err)
	}
}

func TestDoubtfulAnswerIsNotApproved(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	v, err := w.s.Verify(t.Context(), w.grace, credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "register",
		Result: credentialing.ResultNotFound, Evidence: sum})
	w.must(err)
	if err := w.s.Approve(t.Context(), w.samuel, v); !errors.Is(err, credentialing.ErrNotThisState) {
		t.Errorf("approved what was not found: %v", err)
	}
	w.must(w.s.Reject(t.Context(), w.samuel, v, "not in the register"))
}

func TestOneLicenseOnePerson(t *testing.T) {
	w := newWorld(t)
	w.enter(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	if _, err := w.s.EnterClaim(t.Context(), w.grace, license(w.tremblay, "DE", "DE-1", credentialing.Date(2028, 1, 1))); !errors.Is(err, credentialing.ErrHeldByAnother) {
		t.Errorf("got %v", err)
	}
}

func TestRenewalStandsBesideAndCorrectionReplaces(t *testing.T) {
	w := newWorld(t)
	first := license(w.otieno, "KE", "KE-1", credentialing.Date(2026, 12, 31))
	w.onFile(first)
	held := func() []credentialing.Held {
		var c credentialing.Credentials
		w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) (err error) {
			c, err = w.s.CredentialsOf(t.Context(), tx, w.otieno.Person, tx.Now())
			return err
		}))
		return c.List
	}
	w.clock.move(time.Hour)
	renewed := first
	renewed.Claim.ValidFrom, renewed.Claim.ValidTo = credentialing.Date(2027, 1, 1), credentialing.Date(2027, 12, 31)
	e, sum := w.enter(renewed)
	if l := held(); len(l) != 1 || l[0].ValidTo != credentialing.Date(2026, 12, 31) || l[0].Verified == nil {
		t.Fatalf("an unapproved renewal changes what counts: %+v", l)
	}
	w.must(w.s.Approve(t.Context(), w.samuel, w.verify(e, sum, "primary-source")))
	if l := held(); len(l) != 2 {
		t.Fatalf("%d periods after a renewal, want 2", len(l))
	}
	w.clock.move(time.Hour)
	corrected := first
	corrected.Claim.ValidTo = credentialing.Date(2026, 11, 30)
	w.onFile(corrected)
	l := held()
	if len(l) != 1 || l[0].ValidTo != credentialing.Date(2026, 11, 30) {
		t.Fatalf("after a correction of the whole: %+v", l)
	}
}

func TestAsKnownAtAnEarlierMoment(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	before := w.clock.now()
	w.clock.move(24 * time.Hour)
	_, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: reg.Credential, Status: credentialing.StatusRevoked,
		From: before.AddDate(0, 0, -10), Source: "board alert"})
	w.must(err)
	statuses := func(knownAt time.Time) (out []credentialing.Status) {
		w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
			c, err := w.s.CredentialsOf(t.Context(), tx, w.tremblay.Person, knownAt)
			for _, h := range c.List {
				if h.ID == string(reg.Credential) {
					for _, s := range h.Status {
						out = append(out, s.Status)
					}
				}
			}
			return err
		}))
		return out
	}
	if got := statuses(before); !slices.Equal(got, []credentialing.Status{credentialing.StatusActive}) {
		t.Errorf("as known before: %v", got)
	}
	if got := statuses(w.clock.now()); !slices.Equal(got, []credentialing.Status{credentialing.StatusActive, credentialing.StatusRevoked}) {
		t.Errorf("as known now: %v", got)
	}
	if got := statuses(start.Add(-time.Second)); got != nil {
		t.Errorf("before anything was recorded: %v", got)
	}
}

func TestStrongMatchBlocksAtOnceAWeakOneAfterTwoWorkingDays(t *testing.T) {
	for _, c := range []struct {
		strong bool
		days   int
		want   bool
	}{{true, 0, false}, {false, 0, true}, {false, 1, true}, {false, 2, false}} {
		w := newWorld(t)
		w.cast()
		w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.tremblay.Person, Lists: []string{"LEIE"},
			Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: "E-1", Strong: c.strong}}}))
		ask := w.ask(w.tremblay, credentialing.AdvisePhysician)
		ask.At = start.AddDate(0, 0, c.days).Add(time.Minute) // a Monday and the days after
		if got := w.determine(ask).Allowed(); got != c.want {
			t.Errorf("strong %t, %d days later: allowed %t", c.strong, c.days, got)
		}
	}
}

func TestMatchIsClearedByTwo(t *testing.T) {
	w := newWorld(t)
	w.cast()
	w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.tremblay.Person, Lists: []string{"LEIE"},
		Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: "E-1", Strong: true}}}))
	var id credentialing.ExclusionID
	w.must(w.pg.Pool.QueryRow(t.Context(), `select id from exclusion`).Scan(&id))
	allowed := func() bool { return w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician)).Allowed() }
	if allowed() {
		t.Fatal("a strong match does not block")
	}
	if pending, err := w.s.DecideExclusion(t.Context(), w.grace, id, true, "another person"); err != nil || !pending || allowed() {
		t.Fatal("one officer cleared it", pending, err)
	}
	if _, err := w.s.DecideExclusion(t.Context(), w.grace, id, true, "another person"); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Fatalf("the same officer twice: %v", err)
	}
	if pending, err := w.s.DecideExclusion(t.Context(), w.samuel, id, true, "another person"); err != nil || pending || !allowed() {
		t.Fatal("two officers did not clear it", pending, err)
	}
}

func TestWhoMayEnterAndSee(t *testing.T) {
	w := newWorld(t)
	own := license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1))
	e, err := w.s.EnterClaim(t.Context(), w.weber, own)
	w.must(err)
	if _, err := w.s.EnterClaim(t.Context(), w.tremblay, own); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("for somebody else: %v", err)
	}
	file := credentialing.EvidenceFile{Bytes: []byte("a page"), Source: "me"}
	if _, err := w.s.AttachEvidence(t.Context(), w.tremblay, e.Credential, file); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("to somebody else's: %v", err)
	}
	_, err = w.s.AttachEvidence(t.Context(), w.weber, e.Credential, file)
	w.must(err)
	if _, err := w.s.AttachEvidence(t.Context(), w.weber, e.Credential, credentialing.EvidenceFile{Bytes: []byte("<html><script>x</script>"), Source: "me"}); !errors.Is(err, credentialing.ErrEvidenceType) {
		t.Errorf("a file with active content: %v", err)
	}
	guest := w.weber
	guest.Seat = "seat"
	if _, err := w.s.EnterClaim(t.Context(), guest, own); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("by a guest: %v", err)
	}
	if err := w.s.CheckExclusions(t.Context(), w.weber, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"x"}}); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a check of oneself: %v", err)
	}
}

func TestRowsAreNeverChanged(t *testing.T) {
	w := newWorld(t)
	w.cast()
	w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician))
	w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"L"},
		Hits: []credentialing.ExclusionHit{{List: "L", Entry: "1"}}}))
	w.must(w.s.SignAttestation(t.Context(), w.layla, credentialing.Attestation{Kind: "confidentiality", TextVersion: "1", Text: "I keep silent.", Language: "en"}))
	w.confirmAll(w.grace, "KE")
	statements := []string{
		`update credential set number = 'x'`, `delete from credential`,
		`update credential_claim set content = '{}'`, `delete from credential_claim`,
		`update credential_claim set known = tstzrange('2000-01-01', null) where upper_inf(known)`,
		`update credential_status set status = 'active'`, `delete from credential_status`,
		`update evidence set media_type = 'x'`, `delete from evidence`, `update evidence_bytes set bytes = ''`,
		`update verification set result = 'failed'`, `delete from verification`,
		`update verification set known = tstzrange(lower(known), null) where not upper_inf(known) and not isempty(known)`,
		`update exclusion set list = 'x'`, `delete from exclusion`, `update exclusion_check set hits = 0`, `delete from exclusion_check`,
		`update attestation set kind = 'application'`, `delete from attestation`, `update credential_change set cause = 'x'`,
		`update pack_edition set content = ''`, `delete from pack_edition`,
		`update pack_confirmation set name = 'x'`, `delete from pack_confirmation`,
		`update determination set decision = 'permit'`, `delete from determination`,
		`update agreement set ground = 'x'`, `delete from agreement`, `update facility_license set number = 'x'`, `delete from facility_license`,
	}
	for _, sql := range statements {
		tag, err := w.pg.Pool.Exec(t.Context(), sql)
		if err == nil && strings.Contains(sql, "not isempty") && tag.RowsAffected() == 0 {
			continue // everything happened in one instant of the test's clock
		}
		if err == nil {
			t.Errorf("allowed: %s (%d rows)", sql, tag.RowsAffected())
		}
	}
}

func TestTwoApproversOneApproval(t *testing.T) {
	w := newWorld(t)
	e, sum := w.enter(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	v := w.verify(e, sum, "primary-source")
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, by := range []identity.Actor{w.samuel, w.third} {
		wg.Go(func() { errs[i] = w.s.Approve(context.Background(), by, v) })
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else if !errors.Is(err, credentialing.ErrNotThisState) && !errors.Is(err, credentialing.ErrStale) && !errors.Is(err, credentialing.ErrNotFound) {
			t.Errorf("unexpected: %v", err)
		}
	}
	if good != 1 {
		t.Errorf("%d approvals, want 1", good)
	}
}
