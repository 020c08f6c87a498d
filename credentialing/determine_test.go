package credentialing_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

func TestDeterminationReplaysAndStaysAsItWas(t *testing.T) {
	w := newWorld(t)
	reg := w.cast()
	ask := w.ask(w.tremblay, credentialing.JointVideoVisit)
	ask.Through = ask.At.Add(30 * time.Minute)
	d := w.determine(ask)
	w.clock.move(time.Hour)
	_, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: reg.Credential, Status: credentialing.StatusRevoked, Source: "alert"})
	w.must(err)
	w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		again, err := w.s.Replay(t.Context(), tx, d.ID)
		if err != nil {
			return err
		}
		if again.Hash != d.Hash || again.Decision != credentialing.PermitWithConditions {
			t.Errorf("replayed to %s", again.Decision)
		}
		stored, err := w.s.Stored(t.Context(), tx, d.ID)
		if err == nil && (!slices.Equal(stored.Reasons, d.Reasons) || !slices.Equal(stored.Limits, d.Limits)) {
			t.Errorf("stored %v %v", stored.Reasons, stored.Limits)
		}
		return err
	}))
	var act, reason string
	w.must(w.pg.Pool.QueryRow(t.Context(), `select act, convert_from(data, 'UTF8') from audit_leaf where act = 'scope.determined' order by index desc limit 1`).Scan(&act, &reason))
	if !strings.Contains(reason, string(d.ID)) {
		t.Errorf("the log does not name the determination: %s", reason)
	}
}

func TestReplayAfterThePacksMovedOn(t *testing.T) {
	w := newWorld(t)
	w.cast()
	d := w.determine(w.ask(w.tremblay, credentialing.JointVideoVisit))
	files := credentialing.Embedded()
	files["KE.yaml"] = []byte(strings.Replace(strings.Replace(string(files["KE.yaml"]), `version: "2026-11-21.1"`, `version: "2026-12-01.1"`, 1),
		"effect: permit", "effect: permit\n    enabled: false", 1))
	next, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation, Packs: files,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	w.must(w.db.Write(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		now, err := next.Determine(t.Context(), tx, w.grace, w.ask(w.tremblay, credentialing.JointVideoVisit))
		if err != nil {
			return err
		}
		if now.Allowed() {
			t.Error("the new edition does not count")
		}
		again, err := next.Replay(t.Context(), tx, d.ID)
		if err == nil && again.Decision != d.Decision {
			t.Errorf("replayed to %s", again.Decision)
		}
		return err
	}))
}

func TestPublishedEditionDoesNotChange(t *testing.T) {
	w := newWorld(t)
	files := credentialing.Embedded()
	files["KE.yaml"] = append(files["KE.yaml"], "# a remark\n"...)
	if _, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation, Packs: files}); !errors.Is(err, credentialing.ErrEditionImmutable) {
		t.Errorf("got %v", err)
	}
}

func TestUnacceptedPacksRefuse(t *testing.T) {
	w := newWorld(t)
	w.cast()
	s, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation})
	w.must(err)
	w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		d, err := s.Judge(t.Context(), tx, w.ask(w.tremblay, credentialing.JointVideoVisit))
		if d.Allowed() || !slices.Contains(d.Reasons, "pack-not-verified:KE") {
			t.Errorf("%s %v", d.Decision, d.Reasons)
		}
		return err
	}))
}

func TestVectorsThroughTheStore(t *testing.T) {
	// Each vector's facts are evaluated, stored, and replayed to the same hash.
	w := newWorld(t)
	f, err := os.Open("testdata/credentialing.json")
	w.must(err)
	defer f.Close()
	stored := credentialing.StoreVectors(t, w.s, w.db, f, w.otieno.Person)
	if len(stored) != 20 {
		t.Fatalf("%d stored", len(stored))
	}
	w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		for id, hash := range stored {
			d, err := w.s.Replay(t.Context(), tx, id)
			if err != nil || d.Hash != hash {
				t.Errorf("%s: %v", id, err)
			}
		}
		return nil
	}))
}

func TestSpansForCutWherePermissionsEnd(t *testing.T) {
	w := newWorld(t)
	w.cast()
	from, to := start, start.AddDate(0, 0, 400)
	var spans []credentialing.Span
	w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) (err error) {
		spans, err = w.s.SpansFor(t.Context(), tx, w.ask(w.tremblay, credentialing.JointVideoVisit), from, to)
		return err
	}))
	var allowedUntil time.Time
	for i, s := range spans {
		if i > 0 && !s.From.Equal(spans[i-1].To) {
			t.Fatal("a gap between spans")
		}
		if s.Determination.Allowed() {
			allowedUntil = s.To
		}
	}
	if !spans[0].Determination.Allowed() || !spans[len(spans)-1].To.Equal(to) {
		t.Fatal("not the whole time, or not allowed at first")
	}
	// Her registration in Kenya ends with 31 May 2027 there. The lists were looked into
	// today; the looks until the visits are still to come and end nothing.
	if want := time.Date(2027, 5, 31, 21, 0, 0, 0, time.UTC); !allowedUntil.Equal(want) {
		t.Errorf("allowed until %s, want %s", allowedUntil, want)
	}
}

// A plan relies on the monthly look into the exclusion lists going on: its age counts
// now. At the door it counts then, and a look that was missed stops plans as well.
func TestPlanReachesBeyondTheMonthlyLookIntoTheLists(t *testing.T) {
	w := newWorld(t)
	w.cast()
	far := w.ask(w.tremblay, credentialing.JointVideoVisit)
	far.At = start.AddDate(0, 0, 60)
	if d := w.determine(far); !d.Allowed() {
		t.Errorf("planned for two months ahead: %s %v", d.Decision, d.Reasons)
	}
	far.Mode = credentialing.Act
	if d := w.determine(far); !slices.Contains(d.Reasons, "forbid:ZZ-011") {
		t.Errorf("acted on without another look: %s %v", d.Decision, d.Reasons)
	}
	w.clock.move(31*24*time.Hour + time.Minute)
	far.Mode = credentialing.Plan
	if d := w.determine(far); !slices.Contains(d.Reasons, "forbid:ZZ-011") {
		t.Errorf("planned after a look was missed: %s %v", d.Decision, d.Reasons)
	}
}

func TestAgreementEndsTheGroundOfTransfer(t *testing.T) {
	w := newWorld(t)
	w.cast()
	var id credentialing.AgreementID
	w.must(w.pg.Pool.QueryRow(t.Context(), `select id from agreement where to_organization_id = $1`, string(w.toronto)).Scan(&id))
	w.clock.move(time.Hour)
	w.must(w.s.EndAgreement(t.Context(), w.samuel, id))
	d := w.determine(w.ask(w.tremblay, credentialing.JointVideoVisit))
	if !slices.Contains(d.Conditions, "before:data_transfer_recorded") {
		t.Errorf("planning leaves it open: %s %v", d.Decision, d.Conditions)
	}
	act := w.ask(w.tremblay, credentialing.JointVideoVisit)
	act.Mode = credentialing.Act
	if d := w.determine(act); !slices.Contains(d.Reasons, "unmet:ZZ-023:data_transfer_recorded") {
		t.Errorf("acting refuses: %s %v", d.Decision, d.Reasons)
	}
}

func TestInterpreterIsQualifiedByCertificate(t *testing.T) {
	w := newWorld(t)
	w.onFile(credentialing.ClaimRequest{Person: w.layla.Person, Kind: credentialing.KindInterpreter, Issuer: "guild", Number: "I-1",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2026, 12, 31), Timezone: "Asia/Beirut",
			Pair: []string{"ar", "en"}, Modes: []string{"simultaneous", "consecutive"}}})
	cases := []struct {
		why    string
		pair   [2]string
		mode   string
		at     time.Time
		ok     bool
		reason string
	}{
		{"either direction", [2]string{"en", "ar"}, "simultaneous", start, true, ""},
		{"a region does not matter", [2]string{"en-GB", "ar"}, "consecutive", start, true, ""},
		{"another pair", [2]string{"fr", "ar"}, "simultaneous", start, false, "interpreter:no-certificate"},
		{"another mode", [2]string{"en", "ar"}, "sign", start, false, "interpreter:mode"},
		{"after its end", [2]string{"en", "ar"}, "simultaneous", time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC), false, "interpreter:expired"},
		{"before its beginning", [2]string{"en", "ar"}, "simultaneous", time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC), false, "interpreter:not-yet-valid"},
	}
	for _, c := range cases {
		w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
			ok, reason, until, err := w.s.Qualified(t.Context(), tx, w.layla.Person, c.pair, c.mode, c.at)
			if ok != c.ok || reason != c.reason {
				t.Errorf("%s: %t %q", c.why, ok, reason)
			}
			if ok && !until.Equal(time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)) {
				t.Errorf("%s: until %s", c.why, until)
			}
			return err
		}))
	}
}
