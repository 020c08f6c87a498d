package workspace

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Each policy function stands here with who may and who may not, and why the rows
// are there. A policy without rows fails.
func TestPolicies(t *testing.T) {
	const clinic, elsewhere = identity.OrganizationID("clinic"), identity.OrganizationID("elsewhere")
	physician := identity.Actor{Person: "p", Organization: clinic, Roles: []identity.Role{identity.RoleLocalPhysician}}
	coordinator := identity.Actor{Person: "c", Organization: clinic, Roles: []identity.Role{identity.RoleCoordinator}}
	administrator := identity.Actor{Person: "a", Organization: clinic, Roles: []identity.Role{identity.RoleAdministrator, identity.RoleOfficer}}
	specialist := identity.Actor{Person: "s", Organization: elsewhere, Roles: []identity.Role{identity.RoleSpecialist}}
	guest := identity.Actor{Person: "g", Organization: clinic, Seat: "seat"}
	own := func(s State, roles ...Role) Facts { return Facts{State: s, Own: true, Roles: roles} }
	foreign := func(s State, roles ...Role) Facts { return Facts{State: s, Roles: roles} }
	permit := func(p identity.PersonID, a credentialing.Activity) credentialing.Determination {
		return credentialing.Determination{Person: p, Activity: a, Decision: credentialing.Permit}
	}
	denied := credentialing.Determination{Person: "p", Decision: credentialing.Deny, Reasons: []string{"no-permit"}}
	sign := func(d credentialing.Determination, f Facts, open, is, shown int) SignFacts {
		return SignFacts{Facts: f, Determination: d, OpenReadBacks: open, CaseVersion: is, ShownVersion: shown}
	}
	signs := permit("p", credentialing.SignDecision)
	file := func(f Facts, advising, consented, agreed bool) FileFacts {
		return FileFacts{Facts: f, Advising: advising, Consented: consented, Agreement: agreed}
	}
	ready := own(Advised, RoleResponsible)
	type row struct {
		why  string
		got  *Refusal
		want string // "" may
	}
	knows := func(yes bool) *Refusal {
		if yes {
			return nil
		}
		return refuse(RefusedRole)
	}
	table := map[string][]row{
		"mayCreate": {
			{"a local physician of a clinic", mayCreate(physician), ""},
			{"a specialist has no patients here", mayCreate(specialist), RefusedRole},
			{"a coordinator writes no questions", mayCreate(coordinator), RefusedRole},
			{"a guest has one seat and nothing else", mayCreate(guest), RefusedRole},
		},
		"mayKnow": {
			{"a member of another clinic", knows(mayKnow(specialist, foreign(Assigned, RoleSpecialist))), ""},
			{"the clinic's coordinator", knows(mayKnow(coordinator, own(Draft))), ""},
			{"a physician of the clinic who is not in the case", knows(mayKnow(physician, own(Draft))), RefusedRole},
			{"a coordinator of another clinic", knows(mayKnow(coordinator, foreign(Draft))), RefusedRole},
		},
		"mayOpen": {
			{"the responsible physician", mayOpen(physician, ready), ""},
			{"a patient by link sees the door, not the record", mayOpen(guest, own(Assigned, RolePatient)), RefusedRole},
		},
		"mayReadClinical": {
			{"the responsible physician", mayReadClinical(physician, ready), ""},
			{"the specialist", mayReadClinical(specialist, foreign(Assigned, RoleSpecialist)), ""},
			{"a coordinator never", mayReadClinical(coordinator, own(Assigned)), RefusedRole},
			{"an administrator never", mayReadClinical(administrator, own(Assigned)), RefusedRole},
			{"an observer watches the session, not the record", mayReadClinical(specialist, foreign(Assigned, RoleObserver)), RefusedRole},
		},
		"mayReadIdentity": {
			{"the responsible physician", mayReadIdentity(physician, ready), ""},
			{"the specialist sees a pseudonym", mayReadIdentity(specialist, foreign(Assigned, RoleSpecialist)), RefusedRole},
		},
		"mayEdit": {
			{"while it is a draft", mayEdit(physician, own(Draft, RoleResponsible)), ""},
			{"when it was returned", mayEdit(physician, own(Returned, RoleResponsible)), ""},
			{"not under the specialist's eyes", mayEdit(physician, own(Assigned, RoleResponsible)), RefusedState},
			{"not by others", mayEdit(coordinator, own(Draft)), RefusedRole},
		},
		"maySubmit": {
			{"the responsible physician", maySubmit(physician, own(Draft, RoleResponsible)), ""},
			{"once", maySubmit(physician, own(Submitted, RoleResponsible)), RefusedState},
			{"nobody else", maySubmit(coordinator, own(Draft)), RefusedRole},
		},
		"mayTriage": {
			{"the responsible physician", mayTriage(physician, own(Submitted, RoleResponsible)), ""},
			{"the clinic's coordinator", mayTriage(coordinator, own(Declined)), ""},
			{"not another clinic's", mayTriage(coordinator, foreign(Submitted)), RefusedRole},
			{"not a draft", mayTriage(physician, own(Draft, RoleResponsible)), RefusedState},
		},
		"mayAssign": {
			{"whom the rules permit", mayAssign(physician, own(Submitted, RoleResponsible), permit("s", credentialing.AdvisePhysician)), ""},
			{"nobody whom they deny", mayAssign(physician, own(Submitted, RoleResponsible), denied), RefusedScope},
			{"nobody without an answer", mayAssign(physician, own(Submitted, RoleResponsible), credentialing.Determination{}), RefusedScope},
		},
		"mayReturn": {
			{"the specialist", mayReturn(specialist, foreign(Assigned, RoleSpecialist)), ""},
			{"not after the opinion", mayReturn(specialist, foreign(Advised, RoleSpecialist)), RefusedState},
			{"not the one who asks", mayReturn(physician, own(Assigned, RoleResponsible)), RefusedRole},
		},
		"mayDecline": {
			{"the specialist", mayDecline(specialist, foreign(Assigned, RoleSpecialist)), ""},
			{"not for somebody else", mayDecline(coordinator, own(Assigned)), RefusedRole},
		},
		"mayWithdrawCase": {
			{"the responsible physician", mayWithdrawCase(physician, own(Submitted, RoleResponsible)), ""},
			{"not once there is an opinion", mayWithdrawCase(physician, ready), RefusedState},
		},
		"mayRecordConsent": {
			{"the patient", mayRecordConsent(guest, own(Assigned, RolePatient)), ""},
			{"the physician who heard it", mayRecordConsent(physician, own(Draft, RoleResponsible)), ""},
			{"not the one who would receive the data", mayRecordConsent(specialist, foreign(Assigned, RoleSpecialist)), RefusedRole},
			{"not when all is over", mayRecordConsent(physician, own(Closed, RoleResponsible)), RefusedState},
		},
		"mayWithdrawConsent": {
			{"the patient, whenever", mayWithdrawConsent(guest, own(Closed, RolePatient)), ""},
			{"not the coordinator", mayWithdrawConsent(coordinator, own(Assigned)), RefusedRole},
		},
		"mayConfirmPlace": {
			{"the patient at the door", mayConfirmPlace(guest, own(Assigned, RolePatient)), ""},
			{"the coordinator who asked", mayConfirmPlace(coordinator, own(Assigned)), ""},
			{"not the specialist, whose scope hangs on it", mayConfirmPlace(specialist, foreign(Assigned, RoleSpecialist)), RefusedRole},
		},
		"mayUpload": {
			{"the responsible physician", mayUpload(physician, own(Assigned, RoleResponsible)), ""},
			{"not after the decision", mayUpload(physician, own(Decided, RoleResponsible)), RefusedState},
			{"not the specialist", mayUpload(specialist, foreign(Assigned, RoleSpecialist)), RefusedRole},
		},
		"mayReadFile": {
			{"the responsible physician needs no consent to read the own patient's", mayReadFile(physician, file(ready, false, false, false)), ""},
			{"the specialist with scope, consent and agreement", mayReadFile(specialist, file(foreign(Assigned, RoleSpecialist), true, true, true)), ""},
			{"without scope", mayReadFile(specialist, file(foreign(Assigned, RoleSpecialist), false, true, true)), RefusedScope},
			{"without consent", mayReadFile(specialist, file(foreign(Assigned, RoleSpecialist), true, false, true)), RefusedConsent},
			{"without agreement, whatever the consent says", mayReadFile(specialist, file(foreign(Assigned, RoleSpecialist), true, true, false)), RefusedAgreement},
			{"a coordinator never", mayReadFile(coordinator, file(own(Assigned), true, true, true)), RefusedRole},
		},
		"maySay": {
			{"the specialist", maySay(specialist, foreign(Assigned, RoleSpecialist)), ""},
			{"not when all is over", maySay(physician, own(Closed, RoleResponsible)), RefusedState},
		},
		"mayDraftOpinion": {
			{"the specialist", mayDraftOpinion(specialist, foreign(Assigned, RoleSpecialist)), ""},
			{"a second opinion", mayDraftOpinion(specialist, foreign(Advised, RoleSpecialist)), ""},
			{"not the one who decides", mayDraftOpinion(physician, own(Assigned, RoleResponsible)), RefusedRole},
		},
		"maySubmitOpinion": {
			{"within scope", maySubmitOpinion(specialist, foreign(Assigned, RoleSpecialist), permit("s", credentialing.AdvisePhysician)), ""},
			{"not outside of it", maySubmitOpinion(specialist, foreign(Assigned, RoleSpecialist), denied), RefusedScope},
			{"not after the decision", maySubmitOpinion(specialist, foreign(Decided, RoleSpecialist), permit("s", credentialing.AdvisePhysician)), RefusedState},
		},
		"mayReadBack": {
			{"the responsible physician", mayReadBack(physician, ready), ""},
			{"not the specialist", mayReadBack(specialist, foreign(Advised, RoleSpecialist)), RefusedRole},
			{"not after the decision", mayReadBack(physician, own(Decided, RoleResponsible)), RefusedState},
		},
		"maySign": {
			{"the responsible physician, licensed now, cards read back, page fresh", maySign(physician, sign(signs, ready, 0, 7, 7)), ""},
			{"without license", maySign(physician, sign(denied, ready, 0, 7, 7)), RefusedScope},
			{"without an answer of the rules", maySign(physician, sign(credentialing.Determination{}, ready, 0, 7, 7)), RefusedScope},
			{"with somebody else's permission", maySign(physician, sign(permit("x", credentialing.SignDecision), ready, 0, 7, 7)), RefusedRole},
			{"with a permission to advise", maySign(physician, sign(permit("p", credentialing.AdvisePhysician), ready, 0, 7, 7)), RefusedRole},
			{"a specialist, even if the rules slipped", maySign(specialist, sign(permit("s", credentialing.SignDecision), foreign(Advised, RoleSpecialist), 0, 7, 7)), RefusedRole},
			{"an administrator, even if the rules slipped", maySign(administrator, sign(permit("a", credentialing.SignDecision), own(Advised), 0, 7, 7)), RefusedRole},
			{"with an open card", maySign(physician, sign(signs, ready, 1, 7, 7)), RefusedReadBack},
			{"a stale page", maySign(physician, sign(signs, ready, 0, 8, 7)), RefusedStale},
			{"without an opinion", maySign(physician, sign(signs, own(Assigned, RoleResponsible), 0, 7, 7)), RefusedState},
			{"twice", maySign(physician, sign(signs, own(Decided, RoleResponsible), 0, 7, 7)), RefusedState},
		},
		"mayHandBack": {
			{"after the decision", mayHandBack(physician, own(Decided, RoleResponsible)), ""},
			{"not before", mayHandBack(physician, ready), RefusedState},
			{"not the specialist", mayHandBack(specialist, foreign(Decided, RoleSpecialist)), RefusedRole},
		},
		"mayClose": {
			{"after the hand-back", mayClose(physician, own(HandedBack, RoleResponsible)), ""},
			{"not before", mayClose(physician, own(Decided, RoleResponsible)), RefusedState},
		},
		"mayExport": {
			{"who decided", mayExport(physician, own(Decided, RoleResponsible)), ""},
			{"who advised", mayExport(specialist, foreign(Advised, RoleSpecialist)), ""},
			{"not the administrator", mayExport(administrator, own(Decided)), RefusedRole},
			{"not before anything is signed", mayExport(physician, own(Assigned, RoleResponsible)), RefusedState},
		},
	}
	for name, rows := range table {
		for _, r := range rows {
			got := ""
			if r.got != nil {
				got = r.got.Code
			}
			if got != r.want {
				t.Errorf("%s: %s: got %q, want %q", name, r.why, got, r.want)
			}
		}
	}
	source, err := os.ReadFile("policy.go")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "policy.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "may") && len(table[f.Name.Name]) == 0 {
			t.Errorf("%s has no row here", f.Name.Name)
		}
	}
}
