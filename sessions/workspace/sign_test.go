package workspace_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/sessions/workspace"
)

func TestDecisionIsSignedByTheResponsiblePhysician(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.decide(id, op)
	v := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(t)
	if v.State != workspace.Decided || v.Decision == nil || len(v.Opinions) != 1 {
		t.Fatalf("got state %s, decision %v, opinions %d", v.State, v.Decision, len(v.Opinions))
	}
	if v.Decision.Signer != w.otieno || v.Opinions[0].Signer != w.tremblay {
		t.Fatalf("signers %s and %s", v.Decision.Signer, v.Opinions[0].Signer)
	}
	if v.Decision.License != "DEMO-KE-0001" {
		t.Errorf("license shown %q", v.Decision.License)
	}
	w.ok(w.cases.HandBack(w.ctx, w.actors[w.otieno], id, workspace.HandBackRequest{To: "referring clinic", Summary: "TEE booked.", Language: "en"}))
	seen := must(w.cases.Open(w.ctx, w.actors[w.tremblay], id))(t)
	if seen.State != workspace.HandedBack || seen.HandBack != "TEE booked." {
		t.Errorf("the specialist sees %s and %q", seen.State, seen.HandBack)
	}
	w.ok(w.cases.Close(w.ctx, w.actors[w.otieno], id))
}

func TestSignRefusesWhoeverIsNotTheLicensedResponsiblePhysician(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	content := w.decision(op)

	_, err := w.cases.PrepareDecision(w.ctx, w.actors[w.tremblay], id, content)
	if r := refusal(t, err, workspace.RefusedScope); r.Rule != "ZZ-001" {
		t.Errorf("specialist refused by %q, want ZZ-001", r.Rule)
	}
	_, err = w.cases.PrepareDecision(w.ctx, w.actors[w.kiptoo], id, content)
	if r := refusal(t, err, workspace.RefusedScope); r.Rule != "ZZ-001" {
		t.Errorf("administrator refused by %q, want ZZ-001", r.Rule)
	}
	if _, err = w.cases.PrepareDecision(w.ctx, w.actors[w.kamau], id, content); err != nil && !bytes.Contains([]byte(err.Error()), []byte("not found")) {
		t.Errorf("a physician outside the case got %v, want not found", err)
	} else if err == nil {
		t.Error("a physician outside the case prepared a decision")
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'decision.refused'`); n != 2 {
		t.Errorf("%d refusals in the log, want 2", n)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'case.access_refused'`); n != 1 {
		t.Errorf("%d refused openings in the log, want 1", n)
	}
	if n := w.count(`select count(*) from decision`); n != 0 {
		t.Errorf("%d decisions", n)
	}
}

func TestSignRefusesPhysicianWithLapsedLicense(t *testing.T) {
	w := newWorld(t)
	id := must(w.cases.Create(w.ctx, w.actors[w.kamau], w.newCase()))(t)
	_, err := w.cases.PrepareDecision(w.ctx, w.actors[w.kamau], id, workspace.DecisionContent{})
	r := refusal(t, err, workspace.RefusedScope)
	want := "missing:ZZ-002:licence_patient_jurisdiction"
	found := false
	for _, reason := range r.Reasons {
		found = found || reason == want
	}
	if !found {
		t.Errorf("reasons %v, want %s among them", r.Reasons, want)
	}
}

func TestSignAfterLicenseLapsedASecondBefore(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	end := start.AddDate(2, 0, 0)
	// A day before the end everything but the exclusion check is still in order.
	w.set(end.Add(-2 * time.Minute))
	w.signIn(w.otieno)
	w.signIn(w.wanjiru)
	w.ok(w.creds.CheckExclusions(w.ctx, w.actors[w.wanjiru], credentialing.ExclusionCheck{Person: w.otieno, Lists: []string{"demo"}, ListVersion: "2"}))
	w.reverify(w.license)
	p := must(w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op)))(t)
	w.set(end.Add(time.Second))
	_, err := w.cases.Sign(w.ctx, w.actors[w.otieno], id, p.Request, w.key(w.otieno).assert(p.Challenge))
	refusal(t, err, workspace.RefusedScope)
	w.set(end.Add(-time.Second))
	must(w.cases.Sign(w.ctx, w.actors[w.otieno], id, p.Request, w.key(w.otieno).assert(p.Challenge)))(t)
}

func TestSignAfterSuspension(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	p := must(w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op)))(t)
	must(w.creds.ReportStatus(w.ctx, w.actors[w.wanjiru], credentialing.StatusReport{Credential: w.license, Status: credentialing.StatusSuspended, Source: "board"}))(t)
	_, err := w.cases.Sign(w.ctx, w.actors[w.otieno], id, p.Request, w.key(w.otieno).assert(p.Challenge))
	refusal(t, err, workspace.RefusedScope)
}

func TestSignRefusesAnswersThatDoNotHold(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	other, otherOpinion := w.ready()
	actor := w.actors[w.otieno]
	p := must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t)
	q := must(w.cases.PrepareDecision(w.ctx, actor, other, w.decision(otherOpinion)))(t)
	good := w.key(w.otieno).assert(p.Challenge)

	flipped := func(field string) []byte {
		var r map[string]any
		_ = json.Unmarshal(good, &r)
		response := r["response"].(map[string]any)
		raw, _ := base64.RawURLEncoding.DecodeString(response[field].(string))
		raw[len(raw)-1] ^= 1
		response[field] = b64(raw)
		out, _ := json.Marshal(r)
		return out
	}
	foreign := newAuthenticator() // a key nobody enrolled
	copied := *w.key(w.otieno).Key
	copied.Origin = "http://localhost:9999"
	elsewhere := authenticator{&copied}
	for name, response := range map[string][]byte{
		"flipped signature":          flipped("signature"),
		"flipped authenticator data": flipped("authenticatorData"),
		"another document":           w.key(w.otieno).assert(q.Challenge),
		"key of another person":      w.key(w.tremblay).assert(p.Challenge),
		"key nobody enrolled":        foreign.assert(p.Challenge),
		"another origin":             elsewhere.assert(p.Challenge),
		"no answer":                  []byte(`{}`),
	} {
		_, err := w.cases.Sign(w.ctx, actor, id, p.Request, response)
		if err == nil {
			t.Fatalf("%s: signed", name)
		}
		refusal(t, err, workspace.RefusedAssertion)
	}
	if _, err := w.cases.Sign(w.ctx, actor, id, q.Request, w.key(w.otieno).assert(q.Challenge)); err == nil {
		t.Error("the request of another case was signed here")
	}
	if n := w.count(`select count(*) from decision`); n != 0 {
		t.Fatalf("%d decisions after refusals", n)
	}
	must(w.cases.Sign(w.ctx, actor, id, p.Request, good))(t)
	_, err := w.cases.Sign(w.ctx, actor, id, p.Request, good)
	refusal(t, err, workspace.RefusedExpired) // replayed
	if n := w.count(`select count(*) from decision`); n != 1 {
		t.Fatalf("%d decisions, want 1", n)
	}
}

func TestSignRefusesStaleAndForeignPages(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	actor := w.actors[w.otieno]
	p := must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t)
	again := w.signIn(w.otieno) // another browser
	_, err := w.cases.Sign(w.ctx, again, id, p.Request, w.key(w.otieno).assert(p.Challenge))
	refusal(t, err, workspace.RefusedOtherSigner)

	w.ok(w.cases.ConfirmPlace(w.ctx, actor, id, "KE", "asked_by_phone")) // the case changed
	_, err = w.cases.Sign(w.ctx, actor, id, p.Request, w.key(w.otieno).assert(p.Challenge))
	refusal(t, err, workspace.RefusedStale)

	p = must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t)
	w.pass(6 * time.Minute)
	_, err = w.cases.Sign(w.ctx, actor, id, p.Request, w.key(w.otieno).assert(p.Challenge))
	refusal(t, err, workspace.RefusedExpired)
}

func TestPatientElsewhereStopsTheSignature(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.ok(w.cases.ConfirmPlace(w.ctx, w.actors[w.otieno], id, "UG", "asked_by_phone"))
	_, err := w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op))
	r := refusal(t, err, workspace.RefusedScope)
	if len(r.Reasons) == 0 || r.Reasons[0] != "no-pack:UG" {
		t.Errorf("reasons %v, want no-pack:UG", r.Reasons)
	}
}

func TestDecisionWaitsForReadBack(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	op := w.advise(id)
	_, err := w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op))
	refusal(t, err, workspace.RefusedReadBack)
	w.readBack(id)
	must(w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, w.decision(op)))(t)
}

func TestOpinionNeverDecides(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	w.advise(id)
	if n := w.count(`select count(*) from clinical_case where state = 'advised'`); n != 1 {
		t.Fatal("the case is not advised")
	}
	// A second opinion stands beside the first and changes nothing.
	w.advise(id)
	if n := w.count(`select count(*) from opinion`); n != 2 {
		t.Fatalf("%d opinions, want 2", n)
	}
	_, err := w.cases.PrepareOpinion(w.ctx, w.actors[w.otieno], id, w.opinion())
	refusal(t, err, workspace.RefusedRole)
	_, err = w.cases.PrepareDecision(w.ctx, w.actors[w.otieno], id, workspace.DecisionContent{Language: "en", Outcome: workspace.Accept})
	if err == nil {
		t.Error("a decision without answers was prepared")
	}
}

// reverify asks the source again, as officers do before the clock runs out.
func (w *world) reverify(id credentialing.CredentialID) {
	w.t.Helper()
	w.signIn(w.kiptoo)
	sum := must(w.creds.AttachEvidence(w.ctx, w.actors[w.wanjiru], id, credentialing.EvidenceFile{Bytes: []byte("Register page, again\n"), Source: "register"}))(w.t)
	v := must(w.creds.Verify(w.ctx, w.actors[w.wanjiru], credentialing.VerifyRequest{Credential: id, Method: "primary-source", Source: "register", Result: credentialing.ResultFound, Evidence: sum}))(w.t)
	w.ok(w.creds.Approve(w.ctx, w.actors[w.kiptoo], v))
}

// Many browsers tabs press the button at once: one decision, one leaf.
func TestSignedOnceByManyAtOnce(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	actor := w.actors[w.otieno]
	p := must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t)
	q := must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t) // a second tab
	const tabs = 12
	results := make(chan error, tabs)
	for i := range tabs {
		prepared := p
		if i%2 == 1 {
			prepared = q
		}
		answer := w.key(w.otieno).assert(prepared.Challenge)
		go func() {
			_, err := w.cases.Sign(w.ctx, actor, id, prepared.Request, answer)
			results <- err
		}()
	}
	signed := 0
	for range tabs {
		if err := <-results; err == nil {
			signed++
		}
	}
	if signed != 1 || w.count(`select count(*) from decision`) != 1 || w.count(`select count(*) from audit_leaf where act = 'decision.signed'`) != 1 {
		t.Errorf("%d signatures succeeded, %d decisions, %d leaves; want one of each", signed, w.count(`select count(*) from decision`),
			w.count(`select count(*) from audit_leaf where act = 'decision.signed'`))
	}
}

// The connection dies somewhere inside Sign: all of it or nothing.
func TestSignIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	actor := w.actors[w.otieno]
	p := must(w.cases.PrepareDecision(w.ctx, actor, id, w.decision(op)))(t)
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancel(w.ctx)
		killed := make(chan struct{})
		go func() { // end the backend that signs, a little later each round
			defer close(killed)
			conn, err := pgx.Connect(w.ctx, w.db.AdminURL)
			if err != nil {
				return
			}
			defer conn.Close(w.ctx)
			for range i * 3 {
				_, _ = conn.Exec(w.ctx, `select 1`)
			}
			_, _ = conn.Exec(w.ctx, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'consilium_app' and datname = current_database() and state <> 'idle'`)
		}()
		_, err := w.cases.Sign(ctx, actor, id, p.Request, w.key(w.otieno).assert(p.Challenge))
		<-killed
		cancel()
		decisions := w.count(`select count(*) from decision`)
		for what, query := range map[string]string{
			"signatures": `select count(*) from document_signature where kind = 'decision'`,
			"leaves":     `select count(*) from audit_leaf where act = 'decision.signed'`,
			"states":     `select count(*) from clinical_case where state = 'decided'`,
			"used pages": `select count(*) from sign_request where kind = 'decision' and used_at is not null`,
		} {
			if n := w.count(query); n != decisions {
				t.Fatalf("round %d: %d decisions but %d %s", i, decisions, n, what)
			}
		}
		if err == nil && decisions != 1 {
			t.Fatalf("round %d: acknowledged, but %d decisions", i, decisions)
		}
		if decisions == 1 {
			break
		}
		if i > 200 {
			t.Fatalf("never signed: %v", err)
		}
	}
	if _, err := w.audit.VerifyAll(w.ctx); err != nil {
		t.Error(err)
	}
}
