package workspace_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/demokey"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

const (
	rpID   = "localhost"
	origin = "http://localhost:8080"
)

// start is a Tuesday on which everybody in the world below is licensed.
var start = time.Date(2027, 2, 9, 11, 30, 0, 0, time.UTC)

// world is two clinics with their people on a real database.
type world struct {
	t     testing.TB
	ctx   context.Context
	db    *pgtest.DB
	audit *audit.DB
	who   *identity.Service
	creds *credentialing.Service
	cases *workspace.Service
	blobs *workspace.Blobs
	sign  audit.Signer
	dir   string

	mu  sync.Mutex
	now time.Time // guarded by mu

	hospital, institute                                            identity.OrganizationID
	otieno, kamau, tremblay, weber, wanjiru, kiptoo, mwangi, idris identity.PersonID
	keys                                                           map[identity.PersonID]*authenticator
	actors                                                         map[identity.PersonID]identity.Actor
	license                                                        credentialing.CredentialID // Otieno's
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

func (w *world) pass(d time.Duration) { w.set(w.clock().Add(d)) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), db: pgtest.New(t), now: start, dir: t.TempDir(),
		keys: map[identity.PersonID]*authenticator{}, actors: map[identity.PersonID]identity.Actor{}}
	w.audit = audit.New(audit.Config{Pool: w.db.Pool, Clock: w.clock})
	var err error
	w.who, err = identity.New(identity.Config{DB: w.audit, RPID: rpID, RPName: "Consilium", Origins: []string{origin}, Demo: true})
	w.ok(err)
	w.creds, err = credentialing.New(credentialing.Config{DB: w.audit, Identity: w.who, Zones: scheduling.LoadZone,
		AcceptUnverified: &credentialing.Acceptance{By: "tests", Until: start.AddDate(5, 0, 0)}})
	w.ok(err)
	w.blobs, err = workspace.OpenBlobs(w.dir+"/data", w.dir+"/keys")
	w.ok(err)
	t.Cleanup(func() { _ = w.blobs.Close() })
	secret, _, err := audit.GenerateKey("consilium.test/log")
	w.ok(err)
	w.sign, err = audit.NewSigner(secret)
	w.ok(err)
	w.cases, err = workspace.New(workspace.Config{DB: w.audit, Identity: w.who, Credentialing: w.creds, Blobs: w.blobs,
		Signer: w.sign, RPID: rpID, Origins: []string{origin}, Demo: true})
	w.ok(err)
	w.populate()
	return w
}

func (w *world) populate() {
	w.t.Helper()
	system := identity.System("seed", "")
	org := func(name, kind, zone, place string) identity.OrganizationID {
		return must(w.who.AddOrganization(w.ctx, system, identity.Organization{Name: name, Kind: kind, Zone: zone, Place: place}))(w.t)
	}
	w.hospital = org("Jacaranda Hill Hospital", "hospital", "Africa/Nairobi", "KE")
	w.institute = org("Maple Heart Institute", "specialist-center", "America/Toronto", "CA-ON")
	person := func(name, lang, zone, home, specialty string, org identity.OrganizationID, roles ...identity.Role) identity.PersonID {
		var grants []identity.Grant
		for _, r := range roles {
			grants = append(grants, identity.Grant{Organization: org, Role: r})
		}
		return must(w.who.AddPerson(w.ctx, system, identity.Person{Name: name, Language: lang, Languages: []string{lang, "en"}, Zone: zone, Home: home, Specialty: specialty}, grants...))(w.t)
	}
	w.otieno = person("Dr Amina Otieno", "en", "Africa/Nairobi", "KE", "", w.hospital, identity.RoleLocalPhysician)
	w.kamau = person("Dr Joseph Kamau", "en", "Africa/Nairobi", "KE", "", w.hospital, identity.RoleLocalPhysician)
	w.tremblay = person("Prof. Claire Tremblay", "fr", "America/Toronto", "CA-ON", "cardiology", w.institute, identity.RoleSpecialist)
	w.weber = person("Dr Jonas Weber", "de", "Europe/Berlin", "DE", "cardiology", w.institute, identity.RoleSpecialist)
	w.wanjiru = person("Grace Wanjiru", "en", "Africa/Nairobi", "", "", w.hospital, identity.RoleOfficer)
	w.kiptoo = person("Samuel Kiptoo", "en", "Africa/Nairobi", "", "", w.hospital, identity.RoleOfficer, identity.RoleAdministrator)
	w.mwangi = person("Peter Mwangi", "en", "Africa/Nairobi", "", "", w.hospital, identity.RoleCoordinator)
	w.idris = person("Salma Idris", "ar", "Africa/Nairobi", "", "", "")
	for _, p := range []identity.PersonID{w.otieno, w.kamau, w.tremblay, w.weber, w.wanjiru, w.kiptoo, w.mwangi, w.idris} {
		w.signIn(p)
	}
	w.license = w.hold(w.otieno, credentialing.KindLicense, "KE", "DEMO-KE-0001", credentialing.Claim{ValidTo: credentialing.Instant(start.AddDate(2, 0, 0))})
	w.hold(w.kamau, credentialing.KindLicense, "KE", "DEMO-KE-0002", credentialing.Claim{ValidTo: credentialing.Instant(start.AddDate(0, 0, -10))})
	w.hold(w.tremblay, credentialing.KindLicense, "CA-ON", "DEMO-ON-0001", credentialing.Claim{})
	w.hold(w.tremblay, credentialing.KindRegistration, "KE", "DEMO-KE-T-0001", credentialing.Claim{Type: "temporary-licence", Facility: string(w.hospital),
		Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	w.hold(w.tremblay, credentialing.KindMalpractice, "", "DEMO-COVER-1", credentialing.Claim{Territories: []string{"CA", "KE", "SA"}})
	w.hold(w.weber, credentialing.KindLicense, "DE", "DEMO-DE-0001", credentialing.Claim{})
	for _, p := range []identity.PersonID{w.otieno, w.kamau, w.tremblay, w.weber} {
		w.ok(w.creds.CheckExclusions(w.ctx, w.actors[w.wanjiru], credentialing.ExclusionCheck{Person: p, Lists: []string{"demo"}, ListVersion: "1"}))
	}
	must(w.creds.AddFacilityLicense(w.ctx, w.actors[w.wanjiru], credentialing.FacilityLicense{Organization: w.hospital, Jurisdiction: "KE", Issuer: "KMPDC", Number: "DEMO-F-1", ValidFrom: start.AddDate(-1, 0, 0)}))(w.t)
	must(w.creds.AddAgreement(w.ctx, w.actors[w.kiptoo], credentialing.Agreement{From: w.hospital, To: w.institute, Ground: "standard-contract",
		DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: start.AddDate(-1, 0, 0)}))(w.t)
}

func (w *world) signIn(p identity.PersonID) identity.Actor {
	w.t.Helper()
	token := must(w.who.SignInDemo(w.ctx, p))(w.t)
	actor, _, err := w.who.Authenticate(w.ctx, token)
	w.ok(err)
	w.actors[p] = actor
	return actor
}

// hold claims, verifies and approves a credential as the officers do.
func (w *world) hold(p identity.PersonID, kind credentialing.Kind, place, number string, c credentialing.Claim) credentialing.CredentialID {
	w.t.Helper()
	if c.ValidFrom.IsZero() {
		c.ValidFrom = credentialing.Instant(start.AddDate(-3, 0, 0))
	}
	verifier, approver := w.actors[w.wanjiru], w.actors[w.kiptoo]
	entered := must(w.creds.EnterClaim(w.ctx, verifier, credentialing.ClaimRequest{Person: p, Kind: kind, Issuer: "register of " + place + number[:4],
		Number: number, Jurisdiction: place, Claim: c}))(w.t)
	sum := must(w.creds.AttachEvidence(w.ctx, verifier, entered.Credential, credentialing.EvidenceFile{Bytes: []byte("Register page of " + number + "\n"), Source: "register"}))(w.t)
	method := "primary-source"
	if kind == credentialing.KindMalpractice {
		method = "certificate"
	}
	v := must(w.creds.Verify(w.ctx, verifier, credentialing.VerifyRequest{Credential: entered.Credential, Method: method, Source: "register", Result: credentialing.ResultFound, Evidence: sum}))(w.t)
	w.ok(w.creds.Approve(w.ctx, approver, v))
	return entered.Credential
}

// authenticator is a key in software that makes true WebAuthn answers.
type authenticator struct{ *demokey.Key }

func newAuthenticator() *authenticator {
	k, err := demokey.New(rpID, origin)
	if err != nil {
		panic(err)
	}
	return &authenticator{k}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// assert answers navigator.credentials.get for a challenge.
func (a *authenticator) assert(challenge []byte) []byte {
	options, _ := json.Marshal(map[string]string{"challenge": b64(challenge)})
	answer, err := a.Get(options)
	if err != nil {
		panic(err)
	}
	return answer
}

// key returns the person's enrolled passkey, enrolling one on first use.
func (w *world) key(p identity.PersonID) *authenticator {
	w.t.Helper()
	if a := w.keys[p]; a != nil {
		return a
	}
	a := newAuthenticator()
	ceremony, options, err := w.who.BeginEnrollment(w.ctx, w.actors[p])
	w.ok(err)
	response, err := a.Create(options)
	w.ok(err)
	if _, err := w.who.FinishEnrollment(w.ctx, w.actors[p], ceremony, response, "test key"); err != nil {
		w.t.Fatalf("enroll: %v", err)
	}
	w.keys[p] = a
	return a
}

// newCase is Mrs Idris's question.
func (w *world) newCase() workspace.NewCase {
	return workspace.NewCase{Specialty: "cardiology", Urgency: workspace.Soon, Place: "KE", Zone: "Africa/Nairobi", Languages: []string{"ar"},
		Patient:           workspace.Pseudonym{Initials: "S.I.", Sex: "female", BirthYear: 1993, Person: w.idris},
		Identity:          workspace.PatientIdentity{Name: "Salma Idris", BirthDate: "1993-04-02", Record: "JH-7781", Contact: "+254 700 000 000"},
		IdentityConfirmed: true,
		Clinical: workspace.Clinical{Language: "en", Title: "Murmur and breathlessness, 34 years",
			Question:   workspace.Question{Asked: "Does she need a repair before pregnancy?", Tried: "Diuretics", Feared: "Eisenmenger", ByWhen: "two weeks"},
			History:    "Murmur known since childhood. Breathless on two flights of stairs.",
			Medication: "Furosemide 40 mg once a day", Allergies: []workspace.Allergy{{Substance: "Penicillin", Reaction: "rash", Severity: "moderate"}},
			Findings: "SpO2 96 %, fixed split S2"}}
}

func (w *world) create() workspace.CaseID {
	w.t.Helper()
	return must(w.cases.Create(w.ctx, w.actors[w.otieno], w.newCase()))(w.t)
}

func (w *world) consent(id workspace.CaseID, purpose workspace.Purpose, classes ...workspace.Class) []workspace.ConsentID {
	w.t.Helper()
	req := workspace.ConsentRequest{Purpose: purpose, Classes: classes, Giver: workspace.Giver{Kind: "patient"}, How: workspace.SpokenWitnessed, Language: "ar"}
	if purpose == workspace.Advice || purpose == workspace.RecordSharing {
		req.Receiver, req.Destination = w.tremblay, "CA-ON"
	}
	return must(w.cases.RecordConsent(w.ctx, w.actors[w.otieno], id, req))(w.t)
}

// assigned is a submitted case with consents, given to Tremblay.
func (w *world) assigned() workspace.CaseID {
	w.t.Helper()
	id := w.create()
	w.key(w.otieno)
	w.key(w.tremblay)
	w.consent(id, workspace.LiveConsult)
	w.consent(id, workspace.Advice)
	w.consent(id, workspace.RecordSharing, workspace.ClassHistory, workspace.ClassLabs)
	w.ok(w.cases.Submit(w.ctx, w.actors[w.otieno], id))
	w.ok(w.cases.Assign(w.ctx, w.actors[w.otieno], id, w.tremblay))
	return id
}

func (w *world) opinion() workspace.OpinionContent {
	return workspace.OpinionContent{Language: "fr", Understanding: "CIA probable avec shunt gauche-droite.", Assessment: "Une fermeture percutanée est à discuter.",
		Differential:    []workspace.Likelihood{{Condition: "CIA ostium secundum", Likelihood: "likely"}},
		Recommendations: []workspace.Recommendation{{ID: 1, Text: "Échocardiographie transœsophagienne", Strength: "strong", Urgency: "days"}, {ID: 2, Text: "Bisoprolol 2,5 mg", Strength: "conditional", Urgency: "weeks"}},
		RedFlags:        "Cyanose", Confidence: 4,
		ReadBacks: []workspace.ReadBackFields{{Kind: "dose", Drug: "Bisoprolol", Dose: "2.5", Unit: "mg", Route: "oral", Frequency: "1/day"}}}
}

// advise signs an opinion.
func (w *world) advise(id workspace.CaseID) workspace.DocumentID {
	w.t.Helper()
	p := must(w.cases.PrepareOpinion(w.ctx, w.actors[w.tremblay], id, w.opinion()))(w.t)
	return must(w.cases.SubmitOpinion(w.ctx, w.actors[w.tremblay], id, p.Request, w.key(w.tremblay).assert(p.Challenge)))(w.t)
}

// readBack confirms all cards.
func (w *world) readBack(id workspace.CaseID) {
	w.t.Helper()
	v := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(w.t)
	for _, c := range v.Cards {
		w.ok(w.cases.ConfirmReadBack(w.ctx, w.actors[w.otieno], id, c.ID, "en"))
	}
}

func (w *world) decision(opinion workspace.DocumentID) workspace.DecisionContent {
	return workspace.DecisionContent{Language: "en", Outcome: workspace.AcceptWithChanges,
		Answers: []workspace.Answer{{Opinion: opinion, Recommendation: 1, Outcome: workspace.Accept},
			{Opinion: opinion, Recommendation: 2, Outcome: workspace.AcceptWithChanges, Reason: "start at 1.25 mg"}},
		Plan: "TEE on Thursday, then referral.", ToldPatient: "The hole between the chambers and the next test.", ToldLanguage: "ar", FollowUp: "2027-03-09"}
}

// ready is a case advised and read back, with the id of the opinion.
func (w *world) ready() (workspace.CaseID, workspace.DocumentID) {
	w.t.Helper()
	id := w.assigned()
	must(w.audit.Checkpoint(w.ctx, w.sign))(w.t)
	op := w.advise(id)
	w.readBack(id)
	return id, op
}

func (w *world) decide(id workspace.CaseID, op workspace.DocumentID) workspace.DocumentID {
	w.t.Helper()
	p := must(w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op)))(w.t)
	return must(w.cases.Sign(w.ctx, w.actors[w.otieno], id, p.Request, w.key(w.otieno).assert(p.Challenge)))(w.t)
}

func refusal(t testing.TB, err error, code string) *workspace.Refusal {
	t.Helper()
	var r *workspace.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want a refusal %q", err, code)
	}
	return r
}

// count runs a query behind the policies.
func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, w.db.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	var n int
	w.ok(conn.QueryRow(w.ctx, query, args...).Scan(&n))
	return n
}
