package scheduling

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// credentialed replaces the tests' own rules and directory by the real services, with
// what the standing cast has on file: Prof. Tremblay may join visits in Kenya until a
// date, Dr Otieno decides, Layla Aziz interprets, Yusuf Farah's certificate has ended.
func credentialed(t testing.TB, registrationEnds credentialing.Moment) *world {
	w := newWorld(t)
	w.onFile = map[string]credentialing.CredentialID{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ids, err := identity.New(identity.Config{DB: w.audit, RPID: "consilium.example", RPName: "Consilium", Origins: []string{"https://consilium.example:8443"}, Demo: true})
	must(err)
	cred, err := credentialing.New(credentialing.Config{DB: w.audit, Identity: ids, Zones: LoadZone,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: worldStart.AddDate(3, 0, 0)}})
	must(err)
	w.admin(`update person set home = 'KE' where id = $1`, string(w.amina))
	w.admin(`update person set home = 'CA-ON' where id = $1`, string(w.claire))
	for id, role := range map[identity.PersonID]identity.Role{w.amina: identity.RoleLocalPhysician, w.claire: identity.RoleSpecialist,
		w.layla: identity.RoleInterpreter, w.yusuf: identity.RoleInterpreter} {
		org := w.clinic
		if id == w.claire {
			org = w.other
		}
		w.admin(`insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at) values (gen_random_uuid(), $1, $2, $3, $4, $4)`,
			string(id), string(org), string(role), worldStart.AddDate(-1, 0, 0))
	}
	grace := w.actor(w.person("Grace Wanjiru", "en", []string{"en"}, "Africa/Nairobi"), w.clinic, identity.RoleOfficer)
	samuel := w.actor(w.person("Samuel Kiptoo", "en", []string{"en"}, "Africa/Nairobi"), w.clinic, identity.RoleOfficer)
	onFile := func(person identity.PersonID, kind credentialing.Kind, place, number string, c credentialing.Claim) {
		t.Helper()
		e, err := cred.EnterClaim(ctx, grace, credentialing.ClaimRequest{Person: person, Kind: kind, Issuer: "issuer " + place, Number: number, Jurisdiction: place, Claim: c})
		must(err)
		sum, err := cred.AttachEvidence(ctx, grace, e.Credential, credentialing.EvidenceFile{Bytes: []byte("register page of " + number), Source: "register"})
		must(err)
		method := "primary-source"
		if kind == credentialing.KindMalpractice {
			method = "certificate"
		}
		v, err := cred.Verify(ctx, grace, credentialing.VerifyRequest{Credential: e.Credential, Method: method, Source: "register", Result: credentialing.ResultFound, Evidence: sum})
		must(err)
		must(cred.Approve(ctx, samuel, v))
		w.onFile[number] = e.Credential
	}
	years := credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1)}
	onFile(w.amina, credentialing.KindLicense, "KE", "DEMO-KE-0001", years)
	onFile(w.claire, credentialing.KindLicense, "CA-ON", "DEMO-ON-0001", years)
	onFile(w.claire, credentialing.KindRegistration, "KE", "DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2026, 6, 1),
		ValidTo: registrationEnds, Facility: string(w.clinic), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	onFile(w.claire, credentialing.KindMalpractice, "", "DEMO-C-1", credentialing.Claim{ValidFrom: years.ValidFrom, ValidTo: years.ValidTo, Timezone: "America/Toronto",
		Territories: []string{"CA", "KE"}, Currency: "CAD", PerClaim: 5_000_000, Aggregate: 10_000_000})
	speaks := credentialing.Claim{ValidFrom: years.ValidFrom, ValidTo: years.ValidTo, Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}}
	onFile(w.layla, credentialing.KindInterpreter, "", "DEMO-I-1", speaks)
	speaks.ValidTo = credentialing.Date(2026, 11, 20)
	onFile(w.yusuf, credentialing.KindInterpreter, "", "DEMO-I-2", speaks)
	for _, p := range []identity.PersonID{w.amina, w.claire} {
		must(cred.CheckExclusions(ctx, grace, credentialing.ExclusionCheck{Person: p, Lists: []string{"all"}}))
	}
	_, err = cred.AddFacilityLicense(ctx, grace, credentialing.FacilityLicense{Organization: w.clinic, Jurisdiction: "KE", Issuer: "regulator of KE", Number: "DEMO-KE-F1",
		ValidFrom: worldStart.AddDate(0, -6, 0), ValidTo: worldStart.AddDate(1, 0, 0)})
	must(err)
	_, err = cred.AddAgreement(ctx, grace, credentialing.Agreement{From: w.clinic, To: w.other, Ground: "standard-contract",
		DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: worldStart.AddDate(0, -6, 0)})
	must(err)
	w.cred, w.officer, w.approver = cred, grace, samuel
	f := w.cases.facts[w.ref]
	f.Context.LocationConfirmed, f.Context.IdentityConfirmed = credentialing.Yes(), credentialing.Yes()
	f.Context.PatientLanguages = []string{"ar"}
	f.Context.Local = credentialing.LocalPhysician{ID: w.amina, Requested: credentialing.Yes(), FinalAuthority: credentialing.Yes(), Signed: credentialing.No()}
	f.Context.Consents = []credentialing.Consent{{Type: "telehealth", Recorded: worldStart}, {Type: "share-with-specialist", Recorded: worldStart}}
	w.cases.facts[w.ref] = f
	if w.s, err = New(Config{DB: w.audit, Identity: ids, Credentialing: cred, Cases: w.cases, Origin: "https://consilium.example:8443"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRealRulesPermitTheMainAppointment(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Slots) == 0 {
		t.Fatalf("no slot: %+v", answer.WhyNot)
	}
	if len(answer.Unqualified) != 1 || answer.Unqualified[0].Person != w.yusuf || answer.Unqualified[0].Reason != "interpreter:expired" {
		t.Errorf("unqualified %+v, want Yusuf Farah's ended certificate", answer.Unqualified)
	}
	a, err := w.s.Book(ctx, w.otieno(), w.request(answer.Slots[0].Start))
	if err != nil {
		t.Fatal(err)
	}
	if n := w.count(`select count(*) from determination d join seat s on s.determination_id = d.id and s.person_id = d.person_id
		where d.decision <> 'deny' and d.at = $1 and d.through = $2`, a.StartAt, a.End()); n != 2 {
		t.Errorf("%d seats rest on a determination of theirs over the whole visit, want 2", n)
	}
	// The local physician's presence can only be known then.
	if !slices.ContainsFunc(a.Tasks, func(k Task) bool { return k.Condition == "local_physician_present" && k.Person == w.claire }) {
		t.Errorf("tasks %+v, want the local physician's presence", a.Tasks)
	}
	if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
		t.Fatal(err)
	}
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.salma)
	if err != nil {
		t.Fatal(err)
	}
	w.setClock(a.StartAt.Add(-10 * time.Minute))
	token, id, err := w.s.RedeemInvite(ctx, inv.Link[len("https://consilium.example:8443/invite/"):])
	if err != nil || id != a.ID || token == "" {
		t.Errorf("redeemed %q for %s, %v", token, id, err)
	}
}

func TestRealRulesEndTheOfferWithTheKenyanPermission(t *testing.T) {
	w := credentialed(t, credentialing.Date(2026, 11, 30)) // Monday; valid through it in Nairobi
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)
	if n := len(answer.Slots); n == 0 || answer.Slots[n-1].End().After(ends) {
		t.Fatalf("%d slots, the last at %v, want some and none after %v", n, answer.Slots[max(n-1, 0)].Start, ends)
	}
	i := slices.IndexFunc(answer.Cuts, func(r Reason) bool { return r.Limit == LimitLicense && r.Person == w.claire })
	if i < 0 || answer.Cuts[i].Refusal.Lead != "forbid:KE-002" || !answer.Cuts[i].Refusal.Until.Equal(ends) {
		t.Fatalf("cuts %+v, want KE-002 from %v", answer.Cuts, ends)
	}
	_, err = w.s.Book(ctx, w.otieno(), w.request(time.Date(2026, 12, 1, 13, 0, 0, 0, time.UTC)))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Limit != LimitLicense || refusal.Rule != "KE-002" || refusal.Jurisdiction != "KE" {
		t.Errorf("the day after: %v, want KE-002", err)
	}
}

func TestSpecialistsAreListedWithTheReasonAgainstThem(t *testing.T) {
	w := credentialed(t, credentialing.Date(2026, 11, 30))
	weber := w.person("Dr Jonas Weber", "de", []string{"de", "en"}, "Europe/Berlin")
	w.admin(`update person set home = 'DE' where id = $1`, string(weber))
	w.admin(`update person set specialty = 'cardiology' where id = any($1)`, []string{string(weber), string(w.claire)})
	w.admin(`insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at) values (gen_random_uuid(), $1, $2, 'specialist', $3, $3)`,
		string(weber), string(w.other), worldStart.AddDate(-1, 0, 0))
	list, err := w.s.Specialists(ctx, w.otieno(), w.ref, JointVideoVisit)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Person != w.claire || !list[0].Permitted || list[0].Refusal == nil || list[0].Refusal.Until.IsZero() {
		t.Fatalf("list %+v, want Tremblay first with the end of her permission", list)
	}
	if list[1].Person != weber || list[1].Permitted || list[1].Refusal == nil || !slices.Contains(list[1].Refusal.Reasons, "forbid:KE-002") {
		t.Errorf("Weber %+v, want KE-002 against him", list[1])
	}
	if _, err := w.s.Specialists(ctx, w.actor(w.claire, w.other, identity.RoleSpecialist), w.ref, JointVideoVisit); !errors.Is(err, ErrNotFound) {
		t.Errorf("a specialist of another clinic asks: %v, want ErrNotFound", err)
	}
}
