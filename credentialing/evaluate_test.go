package credentialing

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"pgregory.net/rapid"
)

// starter are the embedded packs, compiled once for all tests.
var starter = sync.OnceValue(func() *RuleSet {
	rs, err := NewRuleSet(Embedded(), time.LoadLocation)
	if err != nil {
		panic(err)
	}
	return rs
})

func vectorsOf(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("testdata/credentialing.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := readVectors(f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	f, err := os.Open("testdata/credentialing.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results, err := RunVectors(f, time.LoadLocation)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 20 {
		t.Fatalf("%d vectors, want 20", len(results))
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s %s\ngot  %s\nwant %s", r.ID, r.Title, r.Got, r.Expected)
		}
	}
}

func TestVectorsNoticeAWrongAnswer(t *testing.T) {
	data, err := os.ReadFile("testdata/credentialing.json")
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(data), `"decision": "deny"`, `"decision": "permit"`, 1)
	results, err := RunVectors(strings.NewReader(wrong), time.LoadLocation)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, r := range results {
		if !r.Pass {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d cases failed, want the one whose answer was changed", failed)
	}
}

func TestEmbeddedPacksAreThoseOfTheDesign(t *testing.T) {
	rs := starter()
	rules := 0
	for _, code := range rs.Codes() {
		p, _ := rs.Pack(code)
		rules += len(p.Rules)
	}
	if got, want := [3]int{len(rs.Codes()), rules, len(rs.conditions.byName)}, [3]int{27, 73, 34}; got != want {
		t.Errorf("packs, rules, conditions: %v, want %v", got, want)
	}
	if slices.Contains(rs.Places(), "EU") || slices.Contains(rs.Places(), "ZZ") || slices.Contains(rs.Places(), "X-IMLC") {
		t.Error("a layer is offered as a place")
	}
}

func TestLinterRefuses(t *testing.T) {
	const pack = `format: jurisdiction-pack/1
code: UG
name: Uganda
extends: [ZZ]
timezones: [Africa/Kampala]
version: "1"
status: unverified-starter
verified_by: null
citations:
  a: {title: A, url: u, read: 2026-11-21, confidence: quoted}
rules:
  - id: UG-001
    effect: permit
    activities: [advise_physician]
    when: [licence_own_jurisdiction]
    text: Something.
    confidence: quoted
    cites: [a]
    verified: {state: unverified-starter, by: null}
`
	cases := []struct{ why, from, to, want string }{
		{"nothing is wrong", "x", "x", ""},
		{"an unknown condition", "[licence_own_jurisdiction]", "[licence_of_friend]", `condition "licence_of_friend" does not exist`},
		{"an argument where none is taken", "[licence_own_jurisdiction]", "[{licence_own_jurisdiction: x}]", "does not take"},
		{"no argument where one is needed", "[licence_own_jurisdiction]", "[registration]", "does not take"},
		{"a group that does not exist", "[licence_own_jurisdiction]", "[{established_in_group: XX}]", "does not take"},
		{"a citation that does not exist", "cites: [a]", "cites: [b]", `citation "b"`},
		{"general knowledge permits", "confidence: quoted\n    cites", "confidence: general-knowledge\n    cites", "may only forbid"},
		{"an open question permits", "confidence: quoted\n    cites", "confidence: not-established\n    cites", "may only forbid"},
		{"an unknown limit", "    text:", "    limits: [be-nice]\n    text:", "neither enforced nor told"},
		{"an unknown activity", "[advise_physician]", "[operate]", `activity "operate"`},
		{"a key that the schema does not have", "    text:", "    txet: x\n    text:", "txet"},
		{"a rule id of another pack", "UG-001", "KE-001", "rule id"},
		{"a platform rule is missing", "extends: [ZZ]", "extends: []", "platform rules"},
		{"a layer that does not exist", "extends: [ZZ]", "extends: [ZZ, AF]", "AF, which does not exist"},
		{"a zone that does not exist", "Africa/Kampala", "Africa/Atlantis", "Atlantis"},
		{"having less allows more", "[licence_own_jurisdiction]", "[{not: licence_own_jurisdiction}]", "having less"},
		{"permits without a condition", "[licence_own_jurisdiction]", "[]", "permits without"},
		{"a duty without a time", "    text:", "    provided: [{condition: live_video, by: later}]\n    text:", "always, before or after"},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			files := Embedded()
			if c.from != "x" && !strings.Contains(pack, c.from) {
				t.Fatalf("the case changes nothing: %q", c.from)
			}
			files["UG.yaml"] = []byte(strings.Replace(pack, c.from, c.to, 1))
			_, err := NewRuleSet(files, time.LoadLocation)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestLinterNamesFileRuleAndLine(t *testing.T) {
	files := Embedded()
	files["KE.yaml"] = []byte(strings.Replace(string(files["KE.yaml"]), "cites: [kmpdc-2025]\n", "cites: [gone]\n", 1))
	_, err := NewRuleSet(files, time.LoadLocation)
	if err == nil || !strings.Contains(err.Error(), `KE.yaml:35: KE-002: citation "gone"`) {
		t.Errorf("got %v", err)
	}
}

func TestRuleIdsAreNeverSharedBetweenPacks(t *testing.T) {
	files := Embedded()
	files["copy.yaml"] = files["KE.yaml"]
	if _, err := NewRuleSet(files, time.LoadLocation); err == nil || !strings.Contains(err.Error(), "is also in") {
		t.Errorf("got %v", err)
	}
}

func TestUnverifiedPacksAreNotReliedOn(t *testing.T) {
	for _, v := range vectorsOf(t) {
		q := v.question(starter())
		q.AcceptUnverified = false
		d := Evaluate(q, v.Specialist)
		if d.Decision != Deny || !slices.ContainsFunc(d.Reasons, func(r string) bool { return strings.HasPrefix(r, "pack-not-verified:") }) {
			t.Errorf("%s: %s %v", v.ID, d.Decision, d.Reasons)
		}
	}
}

func TestPlaceWithoutPackDenies(t *testing.T) {
	v := vectorsOf(t)[6] // permits
	for _, place := range []string{"UG", "US-IL", "EU", "ZZ", "X-IMLC", ""} {
		q := v.question(starter())
		q.Places = []string{place}
		if d := Evaluate(q, v.Specialist); d.Decision != Deny || !slices.Contains(d.Reasons, "no-pack:"+place) {
			t.Errorf("%q: %s %v", place, d.Decision, d.Reasons)
		}
	}
	q := v.question(starter())
	q.Places = nil
	if d := Evaluate(q, v.Specialist); d.Decision != Deny {
		t.Errorf("no place at all: %s", d.Decision)
	}
}

func TestPlanningLeavesOpenWhatActingRefuses(t *testing.T) {
	v := vectorsOf(t)[19] // CRED-20, the local physician has not joined
	q := v.question(starter())
	q.Mode = Plan
	d := Evaluate(q, v.Specialist)
	if d.Decision != PermitWithConditions || !slices.Contains(d.Conditions, "before:local_physician_present") {
		t.Errorf("%s %v", d.Decision, d.Conditions)
	}
}

func TestLawByDate(t *testing.T) {
	// US-002 forbids from 1 January 2027, at the earliest start of that day in the
	// federal zones, which is New York's.
	v := vectorsOf(t)[6]
	q := v.question(starter())
	q.Activity = PrescribeOrOrder
	q.Case.ControlledSubstance, q.Case.PriorInPerson = Yes(), No()
	start := time.Date(2027, 1, 1, 5, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at   time.Time
		want bool
	}{{start.Add(-time.Second), false}, {start, true}} {
		q.At = c.at
		if got := slices.Contains(Evaluate(q, v.Specialist).Reasons, "forbid:US-002"); got != c.want {
			t.Errorf("at %s: US-002 forbids is %t", c.at, got)
		}
	}
}

func TestDayBoundaries(t *testing.T) {
	zone := func(names ...string) (out []*time.Location) {
		for _, n := range names {
			z, err := time.LoadLocation(n)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, z)
		}
		return out
	}
	utc := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	cases := []struct {
		why    string
		m      Moment
		zones  []*time.Location
		latest bool
		begins string
		ends   string
	}{
		{"one zone", Date(2026, 11, 30), zone("America/Los_Angeles"), true, "2026-11-30T08:00:00Z", "2026-12-01T08:00:00Z"},
		{"latest of two", Date(2026, 11, 30), zone("America/Chicago", "America/Denver"), true, "2026-11-30T07:00:00Z", "2026-12-01T07:00:00Z"},
		{"earliest of two", Date(2026, 11, 30), zone("America/Denver", "America/Chicago"), false, "2026-11-30T06:00:00Z", "2026-12-01T06:00:00Z"},
		{"no zone, latest", Date(2026, 11, 30), nil, true, "2026-11-30T12:00:00Z", "2026-12-01T12:00:00Z"},
		{"no zone, earliest", Date(2026, 11, 30), nil, false, "2026-11-29T10:00:00Z", "2026-11-30T10:00:00Z"},
		{"clocks go forward at midnight", Date(2026, 3, 29), zone("Asia/Beirut"), true, "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"},
		{"the day before the clocks go forward at midnight", Date(2026, 3, 28), zone("Asia/Beirut"), false, "2026-03-27T22:00:00Z", "2026-03-28T22:00:00Z"},
		{"midnight occurs twice", Date(2026, 11, 1), zone("America/Havana"), true, "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"clocks go back to before midnight", Date(2018, 2, 17), zone("America/Sao_Paulo"), true, "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
		{"end of a month", Date(2026, 12, 31), zone("Africa/Nairobi"), false, "2026-12-30T21:00:00Z", "2026-12-31T21:00:00Z"},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			if got, want := c.m.begins(c.zones, c.latest), utc(c.begins); !got.Equal(want) {
				t.Errorf("begins %s, want %s", got, want)
			}
			if got, want := c.m.ends(c.zones, c.latest), utc(c.ends); !got.Equal(want) {
				t.Errorf("ends %s, want %s", got, want)
			}
		})
	}
}

func TestEveryCodeHasAnExplanation(t *testing.T) {
	rs := starter()
	known := rs.MessageIDs()
	for _, v := range vectorsOf(t) {
		d := Evaluate(v.question(rs), v.Specialist)
		for _, code := range slices.Concat(d.Reasons, d.Conditions) {
			e := rs.Explain(code)
			if !slices.Contains(known, e.MessageID) {
				t.Errorf("%s: %q is not among the ids", code, e.MessageID)
			}
			if e.Rule != "" && e.RuleText == "" {
				t.Errorf("%s: no text of rule %s", code, e.Rule)
			}
		}
	}
	e := rs.Explain("unmet:KE-001:registration=temporary-licence")
	if e.MessageID != "scope.lacking.registration" || e.Rule != "KE-001" || e.Condition != "scope.condition.registration" ||
		e.Data["Argument"] != "temporary-licence" || e.Source == "" {
		t.Errorf("got %+v", e)
	}
}

func TestUnknownNeverHelps(t *testing.T) {
	for _, v := range vectorsOf(t) {
		blank := v.question(starter())
		blank.Case, blank.Local, blank.Transfer, blank.Consents = CaseFacts{}, nil, nil, nil
		full := Evaluate(v.question(starter()), v.Specialist)
		d := Evaluate(blank, v.Specialist)
		if d.Decision.rank() > full.Decision.rank() {
			t.Errorf("%s: knowing nothing gives %s, knowing all %s", v.ID, d.Decision, full.Decision)
		}
	}
}

// --- properties over random facts ---

func drawQuestion(t *rapid.T) (Question, Credentials) {
	rs := starter()
	places := rs.Places()
	at := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(-40*24, 60*24).Draw(t, "hours")) * time.Hour)
	place := rapid.SampledFrom(places).Draw(t, "place")
	homes := []string{place, "DE", "GB", "US-NY", "CA-ON", "FR", "KE"}
	home := rapid.SampledFrom(homes).Draw(t, "home")
	q := Question{At: at, Mode: rapid.SampledFrom([]Mode{Plan, Act}).Draw(t, "mode"), Activity: rapid.SampledFrom(Activities).Draw(t, "activity"),
		Places: []string{place}, AcceptUnverified: true, Rules: rs}
	if rapid.IntRange(0, 4).Draw(t, "second place") == 0 {
		q.Places = append(q.Places, rapid.SampledFrom(places).Draw(t, "place 2"))
	}
	q.Case = CaseFacts{
		LocationConfirmed: drawBool(t, "location"), IdentityConfirmed: drawBool(t, "identity"), Languages: []string{"en"},
		Interpreter: drawBool(t, "interpreter"), FirstContact: drawBool(t, "first"), ControlledSubstance: drawBool(t, "controlled"),
		PriorInPerson: drawBool(t, "prior"), FacilityLicensed: drawBool(t, "facility"), InstitutionAgreement: drawBool(t, "agreement"),
		LongTerm: drawBool(t, "long"),
	}
	if rapid.Bool().Draw(t, "video known") {
		m := rapid.SampledFrom([]string{"live-video", "phone"}).Draw(t, "modality")
		q.Case.Modality = &m
	}
	person := identity.PersonID(rapid.SampledFrom([]string{"S1", "L1"}).Draw(t, "person"))
	q.Local = &LocalFacts{ID: "L1", Requested: drawBool(t, "requested"), Present: drawBool(t, "present"),
		FinalAuthority: drawBool(t, "authority"), Signed: drawBool(t, "signed")}
	q.Local.Licenses = drawHeld(t, "local", place, home, KindLicense)
	q.Consents = []Consent{}
	for _, c := range []string{"telehealth", "share-with-specialist", "overseas-transfer", "remote-only-explained"} {
		if rapid.IntRange(0, 5).Draw(t, c) > 0 {
			q.Consents = append(q.Consents, Consent{Type: c, Recorded: at.Add(-48 * time.Hour)})
		}
	}
	q.Transfer = &Transfer{From: country(place), To: country(home), Basis: rapid.SampledFrom([]string{"", "standard-contract", "ae-exception-telehealth"}).Draw(t, "basis")}
	checked := at.Add(-time.Duration(rapid.IntRange(0, 40).Draw(t, "checked")) * 24 * time.Hour)
	held := Credentials{Person: person, Home: home, Languages: []string{"en"}, ExclusionCheckedAt: &checked}
	held.List = append(drawHeld(t, "licence", place, home, KindLicense), drawHeld(t, "registration", place, home, KindRegistration)...)
	held.List = append(held.List, drawHeld(t, "cover", place, home, KindMalpractice)...)
	return q, held
}

func drawBool(t *rapid.T, name string) *bool {
	switch rapid.IntRange(0, 5).Draw(t, name) {
	case 0:
		return nil
	case 1:
		return No()
	}
	return Yes()
}

func drawHeld(t *rapid.T, name, place, home string, kind Kind) []Held {
	out := []Held{}
	for i := range rapid.IntRange(0, 3).Draw(t, name) {
		c := Held{ID: name + string(rune('a'+i)), Kind: kind, ValidFrom: Date(2020, 1, 1), Activities: []Activity{},
			Jurisdiction: rapid.SampledFrom([]string{place, home, "US"}).Draw(t, "jurisdiction"),
			Status:       []StatusFrom{{StatusActive, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}},
			ValidTo:      Date(2026, 12, rapid.IntRange(1, 31).Draw(t, "ends")),
			Verified: &Verified{Method: methodPrimary, At: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
				NextDue: time.Date(2027, 10, 1, 0, 0, 0, 0, time.UTC)}}
		if rapid.IntRange(0, 7).Draw(t, "bad") == 0 {
			bad := rapid.SampledFrom([]Status{StatusSuspended, StatusRevoked, StatusLapsed}).Draw(t, "status")
			c.Status = append(c.Status, StatusFrom{bad, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)})
		}
		if rapid.IntRange(0, 7).Draw(t, "due") == 0 {
			c.Verified.NextDue = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
		}
		if rapid.IntRange(0, 5).Draw(t, "via") == 0 {
			c.Via = "IMLC"
		}
		c.CompactPrincipal = rapid.IntRange(0, 5).Draw(t, "principal") == 0
		switch kind {
		case KindRegistration:
			c.Type = rapid.SampledFrom([]string{"temporary-licence", "dea", "special-authorisation", "out-of-state-telehealth",
				"service-provider-declaration", "hk-mo-short-term", "limited-licence", "board-consultation-authorisation"}).Draw(t, "type")
		case KindMalpractice:
			c.Territories = []string{rapid.SampledFrom([]string{"*", place, country(place), "GB"}).Draw(t, "territory")}
			c.Currency, c.PerClaim, c.Aggregate = "CAD", 5_000_000, 10_000_000
		}
		out = append(out, c)
	}
	return out
}

// TestRemovingWhatHelpsNeverGrantsMore is rule C11: taking away a credential that
// is usable and not overdue, a consent or a presence never raises the decision.
func TestRemovingWhatHelpsNeverGrantsMore(t *testing.T) {
	removed := 0
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		before := Evaluate(q, held)
		check := func(what string, q Question, held Credentials) {
			removed++
			after := Evaluate(q, held)
			if after.Decision.rank() > before.Decision.rank() && !onlyNamed(before, after) {
				t.Fatalf("without %s: %s, with it %s\n%v\n%v", what, after.Decision, before.Decision, before.Reasons, after.Reasons)
			}
		}
		for i, c := range held.List {
			if s := q.Rules.StandingOf(c, q.At); s.Usable && !s.Overdue {
				less := held
				less.List = slices.Delete(slices.Clone(held.List), i, i+1)
				check(c.ID, q, less)
			}
		}
		for i, c := range q.Local.Licenses {
			if s := q.Rules.StandingOf(c, q.At); s.Usable && !s.Overdue {
				less, local := q, *q.Local
				local.Licenses = slices.Delete(slices.Clone(local.Licenses), i, i+1)
				less.Local = &local
				check(c.ID, less, held)
			}
		}
		for i, c := range q.Consents {
			less := q
			less.Consents = slices.Delete(slices.Clone(q.Consents), i, i+1)
			check(c.Type, less, held)
		}
		less, local := q, *q.Local
		local.Present = No()
		less.Local = &local
		check("the local physician", less, held)
	})
	if removed == 0 {
		t.Error("nothing was removed")
	}
}

// onlyNamed tells whether the named exceptions alone made the difference.
func onlyNamed(before, after Determination) bool {
	for _, r := range before.Reasons {
		if strings.HasPrefix(r, "unmet:") && !slices.Contains(after.Reasons, r) {
			rule := strings.Split(r, ":")[1]
			if _, named := notMonotone[rule]; !named {
				return false
			}
		}
	}
	for _, c := range slices.Concat(before.Conditions, after.Conditions) {
		if strings.Contains(c, "remote-only") || strings.Contains(c, "document-findings") {
			return true // DE-001
		}
	}
	return slices.ContainsFunc(before.Reasons, func(r string) bool { return strings.HasPrefix(r, "unmet:DE-001") })
}

// TestSpansAgreeWithEvaluate: between the instants Spans cuts at nothing changes.
func TestSpansAgreeWithEvaluate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		from, to := q.At.Add(-30*day), q.At.Add(60*day)
		spans := Spans(q, held, from, to)
		if !spans[0].From.Equal(from) || !spans[len(spans)-1].To.Equal(to) {
			t.Fatal("the spans do not cover the time asked")
		}
		for i := 1; i < len(spans); i++ {
			if !spans[i].From.Equal(spans[i-1].To) {
				t.Fatal("a gap between spans")
			}
		}
		for range 20 {
			at := from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from))-1).Draw(t, "at")))
			q.At = at
			want := Evaluate(q, held)
			i := slices.IndexFunc(spans, func(s Span) bool { return !at.Before(s.From) && at.Before(s.To) })
			if !spans[i].Determination.sameAnswer(want) {
				t.Fatalf("at %s: %v, want %v", at, spans[i].Determination.Reasons, want.Reasons)
			}
		}
		q.At = from
		over := EvaluateOver(q, held, to)
		for _, s := range spans {
			if over.Decision.rank() > s.Decision.rank() {
				t.Fatalf("over the whole %s, in a part %s", over.Decision, s.Decision)
			}
		}
	})
}

// TestOrderDoesNotMatter: credentials and places in any order, the same answer.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		want := Evaluate(q, held)
		slices.Reverse(held.List)
		slices.Reverse(q.Places)
		if got := Evaluate(q, held); !got.sameAnswer(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestReplayGivesTheSameHash, also of questions with a length.
func TestReplayGivesTheSameHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		if rapid.Bool().Draw(t, "long") {
			q.Through = q.At.Add(40 * day)
		}
		d := Decide(q, held)
		if err := Record(q, held, &d); err != nil {
			t.Fatal(err)
		}
		again, err := Replay(q.Rules, d.Facts, d.Answer, d.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if again.Decision != d.Decision || !slices.Equal(again.Reasons, d.Reasons) {
			t.Fatalf("got %v, want %v", again.Reasons, d.Reasons)
		}
		forged := []byte(strings.Replace(string(d.Facts), `"mode":"`, `"mode":"x`, 1))
		if _, err := Replay(q.Rules, forged, d.Answer, d.Hash); err == nil {
			t.Fatal("changed facts were replayed")
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	v := vectorsOf(b)[0]
	q := v.question(starter())
	for b.Loop() {
		Evaluate(q, v.Specialist)
	}
}

func BenchmarkSpans60Days(b *testing.B) {
	v := vectorsOf(b)[3]
	q := v.question(starter())
	for b.Loop() {
		Spans(q, v.Specialist, q.At.Add(-30*day), q.At.Add(30*day))
	}
}

func BenchmarkNewRuleSet(b *testing.B) {
	for b.Loop() {
		if _, err := NewRuleSet(Embedded(), time.LoadLocation); err != nil {
			b.Fatal(err)
		}
	}
}
