package credentialing_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func (w *world) queued(actor identity.Actor, code string) *credentialing.QueueItem {
	w.t.Helper()
	queue, err := w.s.Queue(w.t.Context(), actor)
	w.must(err)
	i := slices.IndexFunc(queue, func(q credentialing.QueueItem) bool { return q.Pack == code })
	if i < 0 {
		return nil
	}
	return &queue[i]
}

func TestAnEditionOfTheOperatorIsInForceAndWaitsToBeConfirmed(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	operator := identity.System("operator", "")
	other, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	ask := w.advice("JO", start.Add(time.Hour))
	if d := w.decide(other, ask); d.Decision != credentialing.Deny {
		t.Fatalf("without rules: %s", d.Decision)
	}
	if _, _, err := w.s.AddEdition(t.Context(), w.grace, "JO.yaml", fixturePack(t, "JO"), time.Time{}, time.Time{}); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("an officer is no operator: %v", err)
	}
	a, found, err := w.s.AddEdition(t.Context(), operator, "JO.yaml", fixturePack(t, "JO"), time.Time{}, time.Time{})
	w.must(err)
	if len(found) > 0 || a.Standing != credentialing.AddedInForce || a.Replaces != (credentialing.Edition{}) {
		t.Fatalf("added: %+v %v", a, found)
	}
	if d := w.decide(other, ask); d.Decision != credentialing.PermitWithConditions {
		t.Errorf("another process: %s %v", d.Decision, d.Reasons)
	}
	again, _, err := w.s.AddEdition(t.Context(), operator, "copy.yaml", fixturePack(t, "JO"), time.Time{}, time.Time{})
	w.must(err)
	if again.Standing != credentialing.AddedKnown || again.Draft != a.Draft {
		t.Errorf("the same file again: %+v", again)
	}
	var editions, changes int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select (select count(*) from pack_edition where code = 'JO'),
		(select count(*) from credential_change where place = 'JO' and cause = 'edition')`).Scan(&editions, &changes))
	if editions != 1 || changes != 1 {
		t.Errorf("%d editions, %d changes, want one of each", editions, changes)
	}
	q := w.queued(w.samuel, "JO")
	if q == nil || q.Task != credentialing.TaskConfirm || q.Since.IsZero() || q.Blocked {
		t.Fatalf("the queue does not ask to confirm it: %+v", q)
	}
	if w.queued(w.samuel, "KE") != nil {
		t.Error("rules of the binary that nothing rests on are made work")
	}
	d, err := w.s.Draft(t.Context(), w.samuel, a.Draft)
	w.must(err)
	if !d.Published() || d.DraftedBy != "" || d.PublishedBy != "" {
		t.Errorf("how officers see it: %+v", d)
	}
	// Two officers confirm it; then an unconfirmed edition no longer takes its place.
	for _, rule := range []string{"JO-001", "JO-002"} {
		r, err := w.s.Review(t.Context(), w.grace, "JO")
		w.must(err)
		for _, i := range r.Items {
			if i.ID == rule {
				w.must(w.s.ConfirmRule(t.Context(), w.grace, credentialing.ConfirmRequest{Code: "JO", Rule: rule, RuleSHA256: i.RuleSHA256, Evidence: "read"}))
			}
		}
	}
	id, err := w.s.DraftConfirmed(t.Context(), w.grace, "JO")
	w.must(err)
	w.must(w.s.Publish(t.Context(), w.samuel, id, nil, 0))
	if q := w.queued(w.samuel, "JO"); q != nil {
		t.Errorf("confirmed rules are still work: %+v", q)
	}
	next := []byte(strings.Replace(string(fixturePack(t, "JO")), "fixture.1", "fixture.2", 1))
	a, _, err = w.s.AddEdition(t.Context(), operator, "JO.yaml", next, time.Time{}, time.Time{})
	w.must(err)
	if a.Standing != credentialing.AddedDraft {
		t.Errorf("in the place of a confirmed edition: %+v", a)
	}
	if p, _ := w.s.Rules().Pack("JO"); p.Status != "verified" {
		t.Errorf("the confirmed edition gave way: %s", p.Version)
	}
	w.must(w.s.Publish(t.Context(), w.grace, a.Draft, nil, 0))
	// What says of itself that it is confirmed needs those who confirmed it here.
	_, found, err = w.s.AddEdition(t.Context(), operator, "JO.yaml", []byte(strings.NewReplacer("fixture.1", "fixture.3", "status: unverified-starter", "status: verified",
		"verified_by: null", "verified_by: {name: Somebody, role: officer, organisation: Elsewhere, on: 2026-11-01, evidence: read}",
		"verified: {state: unverified-starter, by: null}", "verified: {state: verified, by: {name: Somebody, role: officer, organisation: Elsewhere, on: 2026-11-01, evidence: read}, on: 2026-11-01, evidence: read}").
		Replace(string(fixturePack(t, "JO")))), time.Time{}, time.Time{})
	w.must(err)
	if len(found) == 0 || found[0].File != "JO.yaml" {
		t.Errorf("a file confirms itself: %v", found)
	}
}

func TestAPackThatIsBroughtSaysWhatIsWrongWithIt(t *testing.T) {
	w := newWorld(t)
	operator := identity.System("operator", "")
	good := string(fixturePack(t, "JO"))
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown condition", "licence_own_jurisdiction]", "licence_of_the_moon]", "licence_of_the_moon"},
		{"citation that does not resolve", "cites: [fixture]", "cites: [nowhere]", `citation "nowhere" does not exist`},
		{"citation without an address", "https://example.org/fixture", "ftp:fixture", "not the address of a page"},
		{"citation read on no date", "read: 2026-11-21", "read: 2026-13-21", "no date"},
		{"unknown place", "JO", "QX", `code "QX" names no country`},
		{"unknown zone", "Asia/Amman", "Asia/Nowhere", "Asia/Nowhere"},
		{"unknown layer", "extends: [ZZ]", "extends: [ZZ, X-NONE]", "X-NONE"},
		{"no platform rules", "extends: [ZZ]", "extends: []", "platform rules"},
		{"ends before it begins", "effect: permit", "effective: {from: 2027-02-01, to: 2027-01-01}\n    effect: permit", "before it begins"},
		{"absurd year", "effect: permit", "effective: {from: 9999-01-01}\n    effect: permit", "from 1900 to 2200"},
		{"no date", "effect: permit", "effective: {from: 2027-02-30}\n    effect: permit", `:17: "2027-02-30" is neither a date nor an instant`},
		{"field nobody knows", "limits: [no-orders]", "limit: [no-orders]", "limit"},
		{"control character", "name: Jordan (fixture)", `name: "Jordan\0"`, "control characters"},
		{"over-long name", "name: Jordan", "name: " + strings.Repeat("Jordan ", 60), "longer than 200"},
		{"column twice", "code: JO", "code: JO\ncode: JO", "code"},
		{"another format", "jurisdiction-pack/1", "jurisdiction-pack/9", "jurisdiction-pack/9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := []byte(strings.ReplaceAll(good, test.old, test.new))
			if string(file) == good {
				t.Fatal("the fixture is written otherwise now")
			}
			_, found, err := w.s.AddEdition(t.Context(), operator, "JO.yaml", file, time.Time{}, time.Time{})
			w.must(err)
			var said []string
			for _, f := range found {
				said = append(said, f.Error())
			}
			if !strings.Contains(strings.Join(said, "\n"), test.want) || !strings.HasPrefix(strings.Join(said, "\n"), "JO.yaml") {
				t.Errorf("found %q, want %q", said, test.want)
			}
			if _, byOfficer, err := w.s.DraftEdition(t.Context(), w.grace, file, time.Time{}, time.Time{}); err != nil || len(byOfficer) != len(found) {
				t.Errorf("an officer is told something else: %v %v", byOfficer, err)
			}
		})
	}
	for name, test := range map[string]struct {
		file        string
		from, until time.Time
		want        error
	}{
		"empty":                 {"", time.Time{}, time.Time{}, credentialing.ErrEvidenceType},
		"another encoding":      {"name: \xe9", time.Time{}, time.Time{}, credentialing.ErrEncoding},
		"too large":             {strings.Repeat("#", credentialing.MaxPack+1), time.Time{}, time.Time{}, credentialing.ErrEvidenceType},
		"ends before it begins": {good, start, start, credentialing.ErrInvalid},
		"absurd year":           {good, start.AddDate(1000, 0, 0), time.Time{}, credentialing.ErrInvalid},
	} {
		if _, _, err := w.s.AddEdition(t.Context(), operator, "JO.yaml", []byte(test.file), test.from, test.until); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var kept int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select (select count(*) from pack_draft) + (select count(*) from pack_edition where by_operator)`).Scan(&kept))
	if kept != 0 {
		t.Errorf("%d editions were kept of what was refused", kept)
	}
}
