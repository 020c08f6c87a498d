package credentialing_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func fixturePack(t testing.TB, code string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/packs/" + code + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (w *world) draft(file []byte, from, until time.Time) credentialing.DraftID {
	w.t.Helper()
	id, found, err := w.s.DraftEdition(w.t.Context(), w.grace, file, from, until)
	w.must(err)
	if len(found) > 0 {
		w.t.Fatalf("the linter finds %v", found)
	}
	return id
}

// advice asks whether Dr Weber may advise a physician in Jordan.
func (w *world) advice(place string, at time.Time) credentialing.Ask {
	return credentialing.Ask{Person: w.weber.Person, Activity: credentialing.AdvisePhysician, At: at, Mode: credentialing.Plan,
		Case: credentialing.CaseContext{Organization: w.nairobi, Places: []string{place}, LocationConfirmed: credentialing.Yes(),
			Consents: []credentialing.Consent{{Type: "share-with-specialist", Recorded: start}},
			Local: credentialing.LocalPhysician{ID: w.otieno.Person, Requested: credentialing.Yes(), Present: credentialing.Yes(),
				FinalAuthority: credentialing.Yes()}}}
}

func (w *world) decide(s *credentialing.Service, ask credentialing.Ask) (d credentialing.Determination) {
	w.t.Helper()
	w.must(w.db.Write(w.t.Context(), audit.Scope{}, func(tx *audit.Tx) (err error) {
		d, err = s.Determine(w.t.Context(), tx, identity.System("test", ""), ask)
		return err
	}))
	return d
}

func (w *world) jordan() {
	w.t.Helper()
	w.onFile(license(w.otieno, "JO", "JO-1", credentialing.Moment{}))
	w.onFile(license(w.weber, "DE", "DE-1", credentialing.Moment{}))
	w.onFile(credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "P-1",
		Claim: credentialing.Claim{Territories: []string{"*"}}})
	w.checkExclusions(w.weber, w.otieno)
}

func TestAnEditionIsInForceOnceASecondOfficerPublishesIt(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	other, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	begins := start.AddDate(0, 0, 10)
	id := w.draft(fixturePack(t, "JO"), begins, time.Time{})
	if again := w.draft(fixturePack(t, "JO"), begins, time.Time{}); again != id {
		t.Error("the same file is another draft")
	}
	early, late := w.advice("JO", begins.Add(-time.Second)), w.advice("JO", begins)
	if d := w.decide(w.s, late); d.Decision != credentialing.Deny {
		t.Errorf("a draft decides: %s", d.Decision)
	}
	subjects := []credentialing.Subject{{Kind: "appointment", ID: "early", Ask: early}, {Kind: "appointment", ID: "late", Ask: late},
		{Kind: "case", ID: "elsewhere", Ask: w.advice("KE", begins)}}
	r, err := w.s.WhatIf(t.Context(), w.samuel, id, subjects)
	w.must(err)
	if r.Evaluated != 3 || len(r.Differences) != 1 || r.Differences[0].ID != "late" || r.Differences[0].Before.Decision != credentialing.Deny ||
		r.Differences[0].After.Decision != credentialing.PermitWithConditions {
		t.Fatalf("the report: %+v", r)
	}
	if err := w.s.Publish(t.Context(), w.grace, id, subjects, 1); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("who drafted publishes: %v", err)
	}
	if err := w.s.Publish(t.Context(), w.samuel, id, subjects, 0); !errors.Is(err, credentialing.ErrStale) {
		t.Errorf("published without having seen what changes: %v", err)
	}
	w.must(w.s.Publish(t.Context(), w.samuel, id, subjects, 1))
	for name, s := range map[string]*credentialing.Service{"this process": w.s, "another": other} {
		if d := w.decide(s, late); d.Decision != credentialing.PermitWithConditions {
			t.Errorf("%s: %s %v", name, d.Decision, d.Reasons)
		}
		if d := w.decide(s, early); d.Decision != credentialing.Deny {
			t.Errorf("%s: in force before it begins: %s", name, d.Decision)
		}
	}
	var spans []credentialing.Span
	w.must(w.db.Read(t.Context(), audit.Scope{}, func(tx *audit.Tx) (err error) {
		spans, err = w.s.SpansFor(t.Context(), tx, late, begins.AddDate(0, 0, -1), begins.AddDate(0, 0, 1))
		return err
	}))
	if len(spans) != 2 || !spans[0].To.Equal(begins) || spans[0].Decision != credentialing.Deny || spans[1].Decision == credentialing.Deny {
		t.Errorf("spans %+v", spans)
	}
	if err := w.s.Publish(t.Context(), w.third, id, nil, 0); !errors.Is(err, credentialing.ErrExists) {
		t.Errorf("published twice: %v", err)
	}
	changed := strings.Replace(string(fixturePack(t, "JO")), "keeps the decision.", "decides.", 1)
	if _, _, err := w.s.DraftEdition(t.Context(), w.grace, []byte(changed), begins, time.Time{}); !errors.Is(err, credentialing.ErrEditionImmutable) {
		t.Errorf("a published version gets other content: %v", err)
	}
	var n int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from credential_change where place = 'JO' and cause = 'edition' and from_at = $1`, begins).Scan(&n))
	if n != 1 {
		t.Errorf("%d changes to look at again", n)
	}
}

func TestWhatWasDecidedBeforeAnEditionIsReplayedTheSame(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	w.must(w.s.Publish(t.Context(), w.samuel, w.draft(fixturePack(t, "JO"), time.Time{}, time.Time{}), nil, 0))
	ask := w.advice("JO", start.AddDate(0, 0, 3))
	old := w.decide(w.s, ask)
	if old.Decision != credentialing.PermitWithConditions {
		t.Fatalf("%s %v", old.Decision, old.Reasons)
	}
	stricter := strings.NewReplacer("fixture.1", "fixture.2", "rules:\n", `rules:
  - id: JO-010
    effect: forbid
    activities: ["*"]
    when: [{not: licence_patient_jurisdiction}]
    text: Nobody without a license of the place.
    confidence: secondary
    cites: [fixture]
    verified: {state: unverified-starter, by: null}
`).Replace(string(fixturePack(t, "JO")))
	w.clock.move(time.Hour)
	id := w.draft([]byte(stricter), time.Time{}, time.Time{})
	subjects := []credentialing.Subject{{Kind: "appointment", ID: "one", Ask: ask}}
	w.must(w.s.Publish(t.Context(), w.samuel, id, subjects, 1))
	if d := w.decide(w.s, ask); d.Decision != credentialing.Deny {
		t.Errorf("the new edition does not decide: %s", d.Decision)
	}
	fresh, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation}) // accepts nothing unverified
	w.must(err)
	for name, s := range map[string]*credentialing.Service{"this process": w.s, "another": fresh} {
		w.must(w.db.Read(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
			again, err := s.Replay(t.Context(), tx, old.ID)
			if err != nil || again.Hash != old.Hash || again.Decision != old.Decision {
				t.Errorf("%s: replay %s %v", name, again.Decision, err)
			}
			return nil
		}))
	}
}

func TestTheLinterNamesFileRuleAndLine(t *testing.T) {
	w := newWorld(t)
	good := string(fixturePack(t, "JO"))
	for name, c := range map[string]struct{ old, new, rule string }{
		"an unknown condition":    {"local_physician_requested, ", "local_physician_asked, ", "JO-001"},
		"a citation that is none": {"cites: [fixture]\n    verified: {state: unverified-starter, by: null}\n  - id: JO-002", "cites: [nowhere]\n    verified: {state: unverified-starter, by: null}\n  - id: JO-002", "JO-001"},
		"an unknown limit":        {"limits: [no-orders]", "limits: [be-careful]", "JO-001"},
		"another pack's rule":     {"id: JO-002", "id: KE-001", "KE-001"},
		"a rule twice":            {"id: JO-002", "id: JO-001", "JO-001"},
		"an unknown layer":        {"extends: [ZZ]", "extends: [ZZ, QQ]", ""},
		"an unknown zone":         {"Asia/Amman", "Asia/Nowhere", ""},
		"an unknown field":        {"code: JO", "code: JO\nmood: good", ""},
	} {
		file := strings.Replace(good, c.old, c.new, 1)
		if file == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, found, err := w.s.DraftEdition(t.Context(), w.grace, []byte(file), time.Time{}, time.Time{})
		w.must(err)
		if len(found) == 0 {
			t.Errorf("%s: nothing is found", name)
			continue
		}
		ok := false
		for _, f := range found {
			ok = ok || f.File == "pack.yaml" && f.Rule == c.rule && (c.rule == "" || f.Line > 15)
		}
		if !ok {
			t.Errorf("%s: %v, want rule %q with its line", name, found, c.rule)
		}
	}
	var n int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from pack_draft`).Scan(&n))
	if n != 0 {
		t.Errorf("%d drafts of refused files", n)
	}
	if _, _, err := w.s.DraftEdition(t.Context(), w.otieno, []byte(good), time.Time{}, time.Time{}); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician drafts: %v", err)
	}
	for _, code := range []string{"JO", "KZ", "MX"} {
		if found := credentialing.Lint(credentialing.Embedded(), map[string][]byte{code + ".yaml": fixturePack(t, code)}, time.LoadLocation); len(found) > 0 {
			t.Errorf("fixture %s: %v", code, found)
		}
	}
}

// TestTheSamePackForOtherDatesIsAnotherDraft, and the same for the same dates is not; one
// of them is published, once.
func TestTheSamePackForOtherDatesIsAnotherDraft(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	ctx := t.Context()
	file := fixturePack(t, "JO")
	from, until := start.AddDate(0, 1, 0), start.AddDate(1, 0, 0)
	open := w.draft(file, time.Time{}, time.Time{})
	drafts := map[credentialing.DraftID]string{open: "open"}
	for _, d := range []struct {
		from, until time.Time
		why         string
	}{{from, time.Time{}, "from a day on"}, {time.Time{}, until, "until a day"}, {from, until, "between two days"}} {
		id := w.draft(file, d.from, d.until)
		if was, known := drafts[id]; known {
			t.Errorf("%s is the draft of %s", d.why, was)
		}
		drafts[id] = d.why
		if again := w.draft(file, d.from, d.until); again != id {
			t.Errorf("%s again is another draft", d.why)
		}
		got, err := w.s.Draft(ctx, w.samuel, id)
		w.must(err)
		if !got.From.Equal(d.from) || !got.Until.Equal(d.until) {
			t.Errorf("%s: [%v, %v)", d.why, got.From, got.Until)
		}
		open = id
	}
	ask := w.advice("JO", start.Add(48*time.Hour))
	w.must(w.s.Publish(ctx, w.samuel, open, nil, 0))
	if d := w.decide(w.s, ask); d.Decision != credentialing.Deny {
		t.Errorf("before its first day it decides: %s", d.Decision)
	}
	w.clock.move(from.Add(time.Hour).Sub(w.clock.now()))
	ask.At = w.clock.now()
	w.checkExclusions(w.weber, w.otieno)
	if d := w.decide(w.s, ask); d.Decision != credentialing.PermitWithConditions {
		t.Errorf("from its first day on: %s %v", d.Decision, d.Reasons)
	}
	list, err := w.s.Drafts(ctx, w.samuel)
	w.must(err)
	for _, d := range list {
		if d.Published() != (d.ID == open) {
			t.Errorf("the draft %s is published: %t", drafts[d.ID], d.Published())
		}
		if err := w.s.Publish(ctx, w.samuel, d.ID, nil, 0); !errors.Is(err, credentialing.ErrExists) {
			t.Errorf("the version again, %s: %v", drafts[d.ID], err)
		}
	}
	if len(list) != 4 {
		t.Errorf("%d drafts, want 4", len(list))
	}
}
