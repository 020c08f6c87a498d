package credentialing_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// drawnRules are rules that a draft may bring, without their id.
var drawnRules = []string{
	`{id: %s, effect: forbid, activities: %s, when: [{not: licence_patient_jurisdiction}], %s}`,
	`{id: %s, effect: forbid, activities: %s, when: [first_contact], %s}`,
	`{id: %s, effect: forbid, activities: %s, when: [data_crosses_border], %s}`,
	`{id: %s, effect: forbid, activities: %s, when: [{not: {consent: telehealth}}], %s}`,
	`{id: %s, effect: permit, activities: %s, when: [local_physician_requested], limits: [no-orders], %s}`,
	`{id: %s, effect: permit, activities: %s, when: [licence_patient_jurisdiction], %s}`,
	`{id: %s, effect: permit, activities: %s, when: [location_confirmed], limits: [record-in-chart], enabled: false, %s}`,
}

// drawDraft is Kenya's or Germany's pack with rules more, and perhaps one less.
func drawDraft(t *rapid.T, version int) []byte {
	code := rapid.SampledFrom([]string{"KE", "DE"}).Draw(t, "pack")
	file := strings.Replace(string(credentialing.Embedded()[code+".yaml"]), `version: "2026-11-21.1"`, `version: "2030-01-01.`+strconv.Itoa(version)+`"`, 1)
	head, rules, ok := strings.Cut(file, "\nrules:\n")
	if !ok {
		t.Fatal("the pack is written otherwise now")
	}
	blocks := strings.Split(rules, "  - id: ")[1:]
	if len(blocks) > 1 && rapid.Bool().Draw(t, "a rule less") {
		i := rapid.IntRange(0, len(blocks)-1).Draw(t, "which")
		blocks = slices.Delete(blocks, i, i+1)
	}
	_, cites, _ := strings.Cut(head, "citations:\n  ")
	cite, _, _ := strings.Cut(cites, ":")
	out := head + "\nrules:\n"
	for _, b := range blocks {
		out += "  - id: " + b
	}
	out = strings.TrimRight(out, "\n") + "\n"
	for i := range rapid.IntRange(1, 4).Draw(t, "rules more") {
		acts := rapid.SampledFrom([]string{`["*"]`, `[joint_video_visit]`, `[advise_physician, sign_decision]`, `[prescribe_or_order, direct_consult]`}).Draw(t, "acts")
		rest := fmt.Sprintf(`text: "A drawn rule.", confidence: secondary, cites: [%s], verified: {state: unverified-starter, by: null}`, cite)
		out += "  - " + fmt.Sprintf(rapid.SampledFrom(drawnRules).Draw(t, "rule"), fmt.Sprintf("%s-%d", code, 900+i), acts, rest) + "\n"
	}
	return []byte(out)
}

// drawSubjects are bookings of the weeks to come and open cases of today.
func (w *world) drawSubjects(t *rapid.T) []credentialing.Subject {
	people := []identity.Actor{w.otieno, w.tremblay, w.tremblay, w.weber, w.kamau}
	fact := func(name string) *bool {
		return rapid.SampledFrom([]*bool{credentialing.Yes(), credentialing.Yes(), credentialing.Yes(), credentialing.Yes(), credentialing.Yes(), nil, credentialing.No()}).Draw(t, name)
	}
	var out []credentialing.Subject
	for i := range rapid.IntRange(6, 16).Draw(t, "how many") {
		ask := credentialing.Ask{Person: rapid.SampledFrom(people).Draw(t, "who").Person, Activity: rapid.SampledFrom(credentialing.Activities).Draw(t, "act"),
			At: w.clock.now(), Mode: credentialing.Plan}
		x := credentialing.Subject{Kind: "case", ID: strconv.Itoa(i), Organization: w.nairobi}
		if rapid.Bool().Draw(t, "a booking") {
			x.Kind = "appointment"
			ask.At = ask.At.Add(time.Duration(rapid.IntRange(1, 60*24).Draw(t, "hours ahead")) * time.Hour)
			ask.Through = ask.At.Add(30 * time.Minute)
		}
		ask.Case = credentialing.CaseContext{Organization: rapid.SampledFrom([]identity.OrganizationID{w.nairobi, w.nairobi, w.nairobi, w.toronto}).Draw(t, "clinic"),
			Places:            rapid.SampledFrom([][]string{{"KE"}, {"KE"}, {"KE"}, {"DE"}, {"DE"}, {"KE", "DE"}, {"SA"}}).Draw(t, "places"),
			LocationConfirmed: fact("location"), IdentityConfirmed: fact("identity"), FirstContact: fact("first contact"), Interpreter: credentialing.Yes(),
			Modality: "live-video", PatientLanguages: []string{"ar"},
			Local: credentialing.LocalPhysician{ID: w.otieno.Person, Requested: fact("requested"), Present: fact("present"), FinalAuthority: credentialing.Yes(),
				Signed: credentialing.No()}}
		for _, c := range []string{"telehealth", "share-with-specialist"} {
			if rapid.IntRange(0, 4).Draw(t, c) > 0 {
				ask.Case.Consents = append(ask.Case.Consents, credentialing.Consent{Type: c, Recorded: start})
			}
		}
		x.Ask = ask
		out = append(out, x)
	}
	return out
}

// TestTheReportListsExactlyWhatChanges compares what is said before an edition is
// published with evaluating each booking and open case alone, under the rules as they
// are and as they would be.
func TestTheReportListsExactlyWhatChanges(t *testing.T) {
	w := newWorld(t)
	w.cast()
	w.onFile(license(w.weber, "DE", "DEMO-DE-0001", credentialing.Moment{}))
	for _, p := range []identity.Actor{w.otieno, w.weber} {
		w.onFile(credentialing.ClaimRequest{Person: p.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "P-" + string(p.Person),
			Claim: credentialing.Claim{Territories: []string{"*"}}})
	}
	base, err := credentialing.NewRuleSet(credentialing.Embedded(), time.LoadLocation)
	w.must(err)
	draws, changed := 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		draws++
		file := drawDraft(t, draws)
		from := w.clock.now().Add(time.Duration(rapid.IntRange(-48, 40*24).Draw(t, "begins")) * time.Hour)
		until := time.Time{}
		if rapid.IntRange(0, 3).Draw(t, "at once") > 0 {
			from = time.Time{}
		}
		if rapid.Bool().Draw(t, "ends") {
			until = w.clock.now().Add(time.Duration(rapid.IntRange(41*24, 60*24).Draw(t, "until")) * time.Hour)
		}
		id, found, err := w.s.DraftEdition(t.Context(), w.grace, file, from, until)
		if err != nil || len(found) > 0 {
			t.Fatalf("draft: %v %v\n%s", err, found, file)
		}
		files := credentialing.Embedded()
		p, err := credentialing.ParsePack("pack.yaml", file)
		if err != nil {
			t.Fatal(err)
		}
		files[p.Code+".yaml"] = file
		then, err := credentialing.NewRuleSet(files, time.LoadLocation)
		if err != nil {
			t.Fatal(err)
		}
		subjects := w.drawSubjects(t)
		report, err := w.s.WhatIf(t.Context(), w.samuel, id, subjects)
		if err != nil || report.Evaluated != len(subjects) {
			t.Fatalf("report of %d: %+v, %v", len(subjects), report, err)
		}
		var got, want []string
		for _, d := range report.Differences {
			got = append(got, fmt.Sprint(d.Kind, d.ID, d.Before.Decision, d.Before.Conditions, d.After.Decision, d.After.Conditions))
			changed[d.Kind]++
		}
		err = w.db.Read(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
			for _, x := range subjects {
				if x.Ask.At.Before(from) || !until.IsZero() && !x.Ask.At.Before(until) {
					continue // the draft has nothing to say about that day
				}
				before, err := w.s.JudgeUnder(t.Context(), tx, x.Ask, base)
				if err != nil {
					return err
				}
				after, err := w.s.JudgeUnder(t.Context(), tx, x.Ask, then)
				if err != nil {
					return err
				}
				if before.Decision != after.Decision || !slices.Equal(before.Conditions, after.Conditions) {
					want = append(want, fmt.Sprint(x.Kind, x.ID, before.Decision, before.Conditions, after.Decision, after.Conditions))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the report lists\n%s\nand each alone\n%s\nunder\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), file)
		}
	})
	t.Logf("%d drafts change %v", draws, changed)
	if draws == 100 && (changed["appointment"] == 0 || changed["case"] == 0) {
		t.Errorf("%d drafts change %v: nothing was compared", draws, changed)
	}
}

// TestTheReportKnowsEditionsPublishedElsewhere: what another process has published
// since is in force when a draft is compared.
func TestTheReportKnowsEditionsPublishedElsewhere(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	other, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	subjects := []credentialing.Subject{{Kind: "case", ID: "one", Ask: w.advice("JO", w.clock.now().Add(time.Hour))}}
	first := w.draft(fixturePack(t, "JO"), time.Time{}, time.Time{})
	next := strings.NewReplacer("fixture.1", "fixture.2", "keeps the decision.", "has the decision.").Replace(string(fixturePack(t, "JO")))
	second := w.draft([]byte(next), time.Time{}, time.Time{})
	w.must(other.Publish(t.Context(), w.samuel, first, subjects, 1))
	r, err := w.s.WhatIf(t.Context(), w.samuel, second, subjects)
	w.must(err)
	if len(r.Differences) != 0 {
		t.Errorf("words alone change %+v", r.Differences)
	}
}
