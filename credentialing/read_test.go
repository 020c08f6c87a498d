package credentialing_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func tasks(t *testing.T, w *world, as identity.Actor) map[string]credentialing.QueueItem {
	t.Helper()
	q, err := w.s.Queue(t.Context(), as)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]credentialing.QueueItem{}
	for _, i := range q {
		out[i.Task+" "+i.Number] = i
	}
	return out
}

func TestQueueSaysWhatToDoNextAndWhoMayNot(t *testing.T) {
	w := newWorld(t)
	w.cast()
	e, sum := w.enter(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	if i, ok := tasks(t, w, w.grace)["verify DE-1"]; !ok || i.Blocked {
		t.Fatalf("a new claim: %+v", i)
	}
	w.verify(e, sum, "primary-source")
	if i := tasks(t, w, w.grace)["approve DE-1"]; !i.Blocked {
		t.Error("the verifier is offered the approval")
	}
	if i, ok := tasks(t, w, w.samuel)["approve DE-1"]; !ok || i.Blocked {
		t.Error("another officer is not offered the approval")
	}
	w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"LEIE"},
		Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: "E-1"}}}))
	q, err := w.s.Queue(t.Context(), w.samuel)
	w.must(err)
	if q[0].Task != credentialing.TaskMatch {
		t.Errorf("first is %s, want the match", q[0].Task)
	}
	w.clock.move(26 * 24 * time.Hour)
	if _, ok := tasks(t, w, w.samuel)["lists "]; !ok {
		t.Error("nobody is asked to look into the lists")
	}
	w.clock.move(170 * 24 * time.Hour) // the Kenyan permission ends on 31 May
	if _, ok := tasks(t, w, w.samuel)["expiring DEMO-KE-T001"]; ok {
		t.Error("a permission that is past is called expiring")
	}
	w.clock.move(-60 * 24 * time.Hour)
	if _, ok := tasks(t, w, w.samuel)["expiring DEMO-KE-T001"]; !ok {
		t.Error("nobody is told that a permission ends soon")
	}
	if _, err := w.s.Queue(t.Context(), w.otieno); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician reads the queue: %v", err)
	}
}

func TestFileIsReadByItsOwnerAndOfficersOnly(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	f, err := w.s.File(t.Context(), w.tremblay, w.tremblay.Person, w.clock.now())
	w.must(err)
	if len(f.Credentials) != 3 || f.ExclusionCheckedAt.IsZero() {
		t.Errorf("%d credentials", len(f.Credentials))
	}
	i := slices.IndexFunc(f.Credentials, func(c credentialing.CredentialView) bool { return c.ID == reg.Credential })
	c := f.Credentials[i]
	if !c.Standing.Usable || c.State != credentialing.StateApproved || len(c.Evidence) != 1 || len(c.Statuses) != 1 || c.Verification.Approver != w.samuel.Person {
		t.Errorf("got %+v", c)
	}
	if _, err := w.s.File(t.Context(), w.otieno, w.tremblay.Person, w.clock.now()); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("another physician: %v", err)
	}
	if _, err := w.s.View(t.Context(), w.otieno, reg.Credential); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("another physician, one credential: %v", err)
	}
	if _, err := w.s.View(t.Context(), w.grace, reg.Credential); err != nil {
		t.Errorf("an officer: %v", err)
	}
}

func TestEvidenceComesBackByteForByte(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	v, err := w.s.View(t.Context(), w.tremblay, reg.Credential)
	w.must(err)
	file, err := w.s.OpenEvidence(t.Context(), w.tremblay, reg.Credential, v.Evidence[0].SHA256)
	w.must(err)
	data, err := io.ReadAll(file)
	w.must(err)
	if media := file.Media; media != "text/plain" || string(data) != "register page of DEMO-KE-T001" {
		t.Errorf("%s %q", media, data)
	}
	if _, err := w.s.OpenEvidence(t.Context(), w.otieno, reg.Credential, v.Evidence[0].SHA256); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("another physician: %v", err)
	}
	var opened int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from audit_leaf where act = 'credential.evidence_opened'`).Scan(&opened))
	if opened != 1 {
		t.Errorf("%d events of reading, want 1", opened)
	}
}

func TestTriedQuestionShowsEveryRule(t *testing.T) {
	w := newWorld(t)
	w.cast()
	answer, err := w.s.AskKnown(t.Context(), w.grace, w.ask(w.weber, credentialing.JointVideoVisit), w.clock.now())
	d, rules := answer.Determination, answer.Rules
	w.must(err)
	i := slices.IndexFunc(rules, func(r credentialing.RuleAnswer) bool { return r.Rule == "KE-002" })
	if d.Allowed() || i < 0 || rules[i].Holds != credentialing.True {
		t.Errorf("%s, KE-002 %+v", d.Decision, rules)
	}
	if _, err := w.s.AskKnown(t.Context(), w.weber, w.ask(w.tremblay, credentialing.JointVideoVisit), w.clock.now()); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("a specialist tries questions: %v", err)
	}
	var stored int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from determination`).Scan(&stored))
	if stored != 0 {
		t.Error("a tried question was kept")
	}
}
