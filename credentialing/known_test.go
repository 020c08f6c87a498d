package credentialing_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// within runs statements as the service does, by its clock.
func (w *world) within(do func(tx *audit.Tx) error) {
	w.t.Helper()
	w.must(w.db.Write(w.t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		tx.Append(w.grace.Event("test.changed"))
		return do(tx)
	}))
}

// pastWorld plays histories of all that decides and keeps what was answered meanwhile.
type pastWorld struct {
	*world
	r     *rand.Rand
	asks  []credentialing.Ask
	quals []credentialing.Qualify

	certificate credentialing.Entered
	sum         [32]byte
	open        credentialing.VerificationID
	pending     bool // a suspended certificate waits for a second officer
	match       credentialing.ExclusionID
	cleared     int // officers who have cleared it
	grants      []modelGrant
	stated      map[string][]time.Time // by place
	versions    int
	done        map[string]int
}

// modelGrant is a role told in the simplest way.
type modelGrant struct {
	id           string
	from, until  time.Time // until zero: open
	known, ended time.Time // when it was recorded, and its end; ended zero: it is not
}

type pastMoment struct {
	known     time.Time
	answers   []credentialing.Determination
	qualified []credentialing.Qualification
	home      string
}

// pastSteps are what may change an answer.
var pastSteps = []string{"grant", "end", "home", "state", "match", "clear", "check", "edition", "claim", "approve", "suspend", "reinstate"}

// step does one of them, if it can be done now.
func (w *pastWorld) step(what string) {
	now := w.clock.now()
	person := w.tremblay.Person
	last := w.grants[len(w.grants)-1]
	switch over := !last.until.IsZero() && !last.until.After(now); {
	case what == "end" && over:
		what = "grant"
	case what == "grant" && last.until.IsZero():
		what = "end"
	}
	switch what {
	case "grant":
		if slices.ContainsFunc(w.grants, func(g modelGrant) bool { return g.until.IsZero() || g.until.After(now) }) {
			return
		}
		g := modelGrant{id: uuid.Must(uuid.NewV7()).String(), from: now, known: now}
		w.within(func(tx *audit.Tx) error {
			_, err := tx.Exec(w.t.Context(), `insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at)
				values ($1, $2, $3, 'specialist', $4, $4)`, g.id, string(person), string(w.toronto), now)
			return err
		})
		w.grants = append(w.grants, g)
	case "end":
		i := len(w.grants) - 1
		if !w.grants[i].until.IsZero() {
			return
		}
		until := now.Add([]time.Duration{0, 5 * time.Hour, 30 * time.Hour, 900 * time.Hour}[w.r.IntN(4)]) // also an end to come
		w.within(func(tx *audit.Tx) error {
			_, err := tx.Exec(w.t.Context(), `update role_grant set valid_until = $2 where id = $1`, w.grants[i].id, until)
			return err
		})
		w.grants[i].until, w.grants[i].ended = until, now
	case "home":
		w.within(func(tx *audit.Tx) error {
			_, err := tx.Exec(w.t.Context(), `update person set home = $2, languages = $3 where id = $1`, string(person),
				[]string{"CA-ON", "DE", "GB"}[w.r.IntN(3)], [][]string{{"fr", "en"}, {"ar", "en"}, {"en"}}[w.r.IntN(3)])
			return err
		})
	case "state":
		place := []string{"CA-ON", "DE"}[w.r.IntN(2)]
		w.must(w.s.SignAttestation(w.t.Context(), w.tremblay, credentialing.Attestation{Kind: "own-place", TextVersion: "1", Text: "Yes.", Language: "en", Place: place}))
		w.stated[place] = append(w.stated[place], now)
	case "match":
		if w.match != "" {
			return
		}
		w.must(w.s.CheckExclusions(w.t.Context(), w.grace, credentialing.ExclusionCheck{Person: person, Lists: []string{"LEIE"},
			Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: now.Format(time.RFC3339), Strong: w.r.IntN(2) == 0}}}))
		f, err := w.s.File(w.t.Context(), w.grace, person, now)
		w.must(err)
		w.match, w.cleared = f.Exclusions[len(f.Exclusions)-1].ID, 0
	case "clear":
		if w.match == "" {
			return
		}
		_, err := w.s.DecideExclusion(w.t.Context(), []identity.Actor{w.grace, w.samuel}[w.cleared], w.match, true, "another person")
		w.must(err)
		if w.cleared++; w.cleared == 2 {
			w.match = ""
		}
	case "check":
		w.checkExclusions(w.tremblay, w.layla)
	case "edition":
		w.versions++
		file := strings.Replace(string(credentialing.Embedded()["KE.yaml"]), `version: "2026-11-21.1"`, fmt.Sprintf(`version: "2031-01-01.%d"`, w.versions), 1)
		_, cites, _ := strings.Cut(file, "citations:\n  ")
		cite, _, _ := strings.Cut(cites, ":")
		rule := []string{"effect: forbid, activities: [advise_physician], when: [data_crosses_border]",
			"effect: permit, activities: [advise_physician], when: [local_physician_requested]"}[w.r.IntN(2)]
		file = strings.TrimRight(file, "\n") + fmt.Sprintf("\n  - {id: KE-9%02d, %s, "+
			"text: \"A drawn rule.\", confidence: secondary, cites: [%s], verified: {state: unverified-starter, by: null}}\n", w.versions, rule, cite)
		from := now.Add(time.Duration(w.r.IntN(80*24)-20*24) * time.Hour)
		id, found, err := w.s.DraftEdition(w.t.Context(), w.grace, []byte(file), from, time.Time{})
		if len(found) > 0 {
			w.t.Fatal(found)
		}
		w.must(err)
		w.must(w.s.Publish(w.t.Context(), w.samuel, id, nil, 0))
	case "claim":
		req := credentialing.ClaimRequest{Person: w.layla.Person, Kind: credentialing.KindInterpreter, Issuer: "court", Number: "I-1",
			Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2027, 1, 1+w.r.IntN(28)), Pair: []string{"ar", "en"},
				Modes: [][]string{{"simultaneous"}, {"consecutive", "simultaneous"}}[w.r.IntN(2)]}}
		w.certificate, w.sum = w.enter(req)
		w.open = w.verify(w.certificate, w.sum, "primary-source")
	case "approve":
		if w.open == "" {
			return
		}
		w.must(w.s.Approve(w.t.Context(), w.samuel, w.open))
		w.open = ""
	case "suspend":
		if w.certificate.Credential == "" {
			return
		}
		_, err := w.s.ReportStatus(w.t.Context(), w.grace, credentialing.StatusReport{Credential: w.certificate.Credential, Status: credentialing.StatusSuspended,
			From: now.Add(-time.Duration(w.r.IntN(48)) * time.Hour), Source: "court"})
		w.must(err)
		w.pending = false
	case "reinstate":
		if w.certificate.Credential == "" {
			return
		}
		who := []identity.Actor{w.grace, w.samuel}[0]
		if w.pending {
			who = w.samuel
		}
		pending, err := w.s.ReportStatus(w.t.Context(), who, credentialing.StatusReport{Credential: w.certificate.Credential, Status: credentialing.StatusActive, Source: "court"})
		w.must(err)
		w.pending = pending
	}
	w.done[what]++
}

// look keeps what the service answers now.
func (w *pastWorld) look() pastMoment {
	m := pastMoment{known: w.clock.now()}
	for _, ask := range w.asks {
		m.answers = append(m.answers, w.determine(ask))
	}
	w.must(w.db.Read(w.t.Context(), w.grace.Scope(), func(tx *audit.Tx) (err error) {
		m.qualified, err = w.s.QualifiedAll(w.t.Context(), tx, w.quals)
		if err != nil {
			return err
		}
		return tx.QueryRow(w.t.Context(), `select home from person where id = $1`, string(w.tremblay.Person)).Scan(&m.home)
	}))
	return m
}

// TestWhatWasAnsweredIsAnsweredAgain plays random histories of roles, homes, statements,
// matches, checks, editions and certificates, keeps what was answered at each moment
// about several days, and asks again when the history is over: as known at each moment
// the same answer comes, with the same facts byte for byte. Roles and statements are
// compared with a model of both axes.
func TestWhatWasAnsweredIsAnsweredAgain(t *testing.T) {
	total := map[string]int{}
	decided := map[string]bool{}
	for seed := range uint64(2) {
		w := &pastWorld{world: newWorld(t), r: rand.New(rand.NewPCG(seed, 11)), stated: map[string][]time.Time{}, done: total}
		w.cast()
		for _, days := range []int{3, 25, 70} {
			for _, a := range []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit} {
				ask := w.ask(w.tremblay, a)
				ask.At = start.AddDate(0, 0, days)
				if days == 25 {
					ask.Through = ask.At.AddDate(0, 0, 1)
				}
				w.asks = append(w.asks, ask)
			}
			for _, mode := range credentialing.InterpretModes[:2] {
				w.quals = append(w.quals, credentialing.Qualify{Person: w.layla.Person, Pair: [2]string{"en", "ar"}, Mode: mode, At: start.AddDate(0, 0, days),
					Through: start.AddDate(0, 0, days).Add(time.Hour)})
			}
		}
		var first string
		w.must(w.pg.Pool.QueryRow(t.Context(), `select id::text from role_grant where person_id = $1`, string(w.tremblay.Person)).Scan(&first))
		w.grants = []modelGrant{{id: first, from: start.AddDate(-1, 0, 0), known: start.AddDate(-1, 0, 0)}}
		moments := []pastMoment{w.look()}
		for range 3 {
			for _, i := range w.r.Perm(len(pastSteps)) {
				w.clock.move(time.Duration(1+w.r.IntN(40)) * time.Hour)
				w.step(pastSteps[i])
				moments = append(moments, w.look())
			}
		}
		w.clock.move(time.Hour)
		for _, m := range moments {
			for i, ask := range w.asks {
				got, err := w.s.AskKnown(t.Context(), w.third, ask, m.known)
				w.must(err)
				want := m.answers[i]
				decided[string(want.Decision)] = true
				if got.Determination.Hash != want.Hash {
					t.Fatalf("history %d, question %d as known %s: %s\n%s\nthen it was %s\n%s", seed, i, m.known, got.Determination.Decision,
						got.Determination.Facts, want.Decision, want.Facts)
				}
				if len(got.Editions) != len(want.Packs)+1 || got.Home != m.home {
					t.Errorf("history %d as known %s: editions %v for %v, home %q for %q", seed, m.known, got.Editions, want.Packs, got.Home, m.home)
				}
				for _, e := range got.Editions {
					if e.Since.IsZero() || e.Since.After(m.known) {
						t.Errorf("as known %s an edition of %s decides", m.known, e.Since)
					}
				}
				w.sameAsModel(ask.At, m.known, got)
			}
			for i, q := range w.quals {
				got, err := w.s.QualifiedKnown(t.Context(), w.third, q, m.known)
				w.must(err)
				want := m.qualified[i]
				decided[fmt.Sprint("interprets ", want.OK)] = true
				if got.Qualification.OK != want.OK || got.Qualification.Reason != want.Reason || !got.Qualification.Until.Equal(want.Until) {
					t.Fatalf("history %d, interpreter for %s as known %s: %+v, then it was %+v", seed, q.At, m.known, got.Qualification, want)
				}
			}
		}
	}
	for _, what := range pastSteps {
		if total[what] == 0 {
			t.Errorf("no history has a step %s: %v", what, total)
		}
	}
	for _, one := range []string{"deny", "permit-with-conditions", "interprets true", "interprets false"} {
		if !decided[one] {
			t.Errorf("no answer is %q: %v", one, decided)
		}
	}
}

// sameAsModel compares roles and statements with the model.
func (w *pastWorld) sameAsModel(at, known time.Time, got credentialing.KnownAnswer) {
	w.t.Helper()
	var want []string
	for _, g := range w.grants {
		if g.known.After(known) {
			continue
		}
		until := g.until
		if g.ended.After(known) {
			until = time.Time{}
		}
		held := !at.Before(g.from) && (until.IsZero() || at.Before(until))
		want = append(want, fmt.Sprint(g.from.Unix(), until.Unix(), held))
	}
	var have []string
	for _, r := range got.Roles {
		have = append(have, fmt.Sprint(r.From.Unix(), r.Until.Unix(), r.Held))
	}
	if !slices.Equal(have, want) {
		w.t.Fatalf("roles at %s as known %s: %v, want %v", at, known, have, want)
	}
	for _, place := range []string{"CA-ON", "DE"} {
		var last time.Time
		for _, s := range w.stated[place] {
			if !s.After(known) && !s.After(at) {
				last = s
			}
		}
		i := slices.IndexFunc(got.OwnPlaces, func(o credentialing.OwnPlaceState) bool { return o.Place == place })
		switch {
		case i < 0 && (!last.IsZero() || got.Home == place):
			w.t.Fatalf("%s is not among the places at %s as known %s", place, at, known)
		case i >= 0 && !got.OwnPlaces[i].SignedAt.Equal(last):
			w.t.Fatalf("%s was stated %s at %s as known %s, want %s", place, got.OwnPlaces[i].SignedAt, at, known, last)
		}
	}
}

func TestAQuestionAboutThePastThatHasNoAnswerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ask := w.ask(w.tremblay, credentialing.AdvisePhysician)
	w.clock.move(time.Hour)
	_, err := w.pg.Pool.Exec(t.Context(), `insert into person (id, name, language, languages, zone, home, created_at) values ($1, 'Later', 'en', '{en}', 'UTC', 'KE', $2)`,
		"00000000-0000-7000-8000-00000000000a", w.clock.now())
	w.must(err)
	later := ask
	later.Person = "00000000-0000-7000-8000-00000000000a"
	nobody, year, twice := ask, ask, ask
	nobody.Person, year.At, twice.Activity = "x", time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC), "paint"
	for _, c := range []struct {
		why   string
		actor identity.Actor
		ask   credentialing.Ask
		known time.Time
		want  error
		field string
	}{
		{"now", w.grace, ask, w.clock.now(), nil, ""},
		{"their own", w.tremblay, ask, w.clock.now(), nil, ""},
		{"what will be known", w.grace, ask, w.clock.now().Add(time.Second), credentialing.ErrInvalid, "known"},
		{"known in no year", w.grace, ask, time.Date(12, 1, 1, 0, 0, 0, 0, time.UTC), credentialing.ErrInvalid, "known"},
		{"true in no year", w.grace, year, w.clock.now(), credentialing.ErrInvalid, "at"},
		{"no activity", w.grace, twice, w.clock.now(), credentialing.ErrInvalid, "activity"},
		{"nobody", w.grace, nobody, w.clock.now(), credentialing.ErrNotFound, ""},
		{"another's", w.weber, ask, w.clock.now(), credentialing.ErrNotFound, ""},
		{"before the person was on record", w.grace, later, w.clock.now().Add(-time.Minute), credentialing.ErrNotYetKnown, ""},
		{"before any rules were", w.grace, ask, start.Add(-time.Minute), credentialing.ErrNotYetKnown, ""},
	} {
		_, err := w.s.AskKnown(t.Context(), c.actor, c.ask, c.known)
		var invalid *credentialing.Invalid
		if !errors.Is(err, c.want) || errors.As(err, &invalid) && invalid.Field != c.field {
			t.Errorf("%s: %v, want %v %s", c.why, err, c.want, c.field)
		}
	}
	for why, q := range map[string]credentialing.Qualify{
		"one language":  {Person: w.layla.Person, Pair: [2]string{"ar", "ar"}, Mode: "simultaneous", At: start},
		"no way":        {Person: w.layla.Person, Pair: [2]string{"ar", "en"}, Mode: "singing", At: start},
		"no instant":    {Person: w.layla.Person, Pair: [2]string{"ar", "en"}, Mode: "sign"},
		"nobody at all": {Pair: [2]string{"ar", "en"}, Mode: "sign", At: start},
	} {
		if _, err := w.s.QualifiedKnown(t.Context(), w.grace, q, w.clock.now()); !errors.Is(err, credentialing.ErrInvalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
