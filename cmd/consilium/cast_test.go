package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// demonstration starts the service with the standing cast in a directory of its own.
func demonstration(t *testing.T, data string) (*app, *cast) {
	t.Helper()
	return demonstrationAt(t, data, "", "")
}

// beside runs a command of the operator beside a demonstration that runs, and answers
// what it prints.
func beside(ctx context.Context, a *app, command func(context.Context, environment, []string) error) func(args ...string) (string, error) {
	return func(args ...string) (string, error) {
		var out strings.Builder
		err := command(ctx, environment{getenv: env("CONSILIUM_DATA", a.cfg.Data, "CONSILIUM_ORIGIN", a.cfg.Origin), out: &out, err: &out}, args)
		return out.String(), err
	}
}

// demonstrationAt starts the service with the cast of a file, at a time.
func demonstrationAt(t *testing.T, data, file, clock string) (*app, *cast) {
	t.Helper()
	who, err := readCast(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(true, env("CONSILIUM_ADDR", "localhost:0", "CONSILIUM_ORIGIN", "http://localhost:8080", "CONSILIUM_DATA", data))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if clock != "" {
		if err := c.setClock(clock); err != nil {
			t.Fatal(err)
		}
	}
	a, err := start(context.Background(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	people, err := a.seed(context.Background(), who)
	if err != nil {
		t.Fatal(err)
	}
	return a, people
}

// dataDir is a directory that the database's account may reach.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "consilium-demo-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

// TestCastAnswersAsItsTableSays asks the packs about everybody of the cast: who may
// advise and see Mrs Idris in Nairobi, who not and why.
func TestCastAnswersAsItsTableSays(t *testing.T) {
	a, people := demonstration(t, dataDir(t))
	ctx := context.Background()
	s := seeder{a: a, file: people.file, cast: people, actors: map[string]identity.Actor{}}
	otieno, err := s.as(ctx, "otieno")
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.workspace.ListFor(ctx, otieno)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].State != workspace.Draft {
		t.Fatalf("Dr Otieno's cases: %+v, want one draft", list)
	}
	draft := list[0].ID
	ask := func(who string, act credentialing.Activity, specialist string, at time.Time) credentialing.Determination {
		t.Helper()
		var d credentialing.Determination
		err := a.db.Read(ctx, otieno.Scope(), func(tx *audit.Tx) error {
			facts, err := a.workspace.ContextTx(ctx, tx, draft, people.People[specialist])
			if err != nil {
				return err
			}
			// An interpreter is booked with the visit, and the physician is there.
			facts.Interpreter, facts.Local.Present = credentialing.Yes(), credentialing.Yes()
			d, err = a.credentialing.Judge(ctx, tx, credentialing.Ask{
				Person: people.People[who], Activity: act, At: at, Mode: credentialing.Plan, Case: facts,
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	soon := a.db.Now().Add(time.Hour)
	for _, test := range []struct {
		why, who string
		act      credentialing.Activity
		at       time.Time
		denied   bool
		reasons  []string
	}{
		{"licensed in Kenya", "otieno", credentialing.SignDecision, soon, false, []string{"permit:ZZ-002"}},
		{"license ended", "kamau", credentialing.SignDecision, soon, true, nil},
		{"registered in Kenya", "tremblay", credentialing.AdvisePhysician, soon, false, []string{"permit:KE-001"}},
		{"registered in Kenya", "tremblay", credentialing.JointVideoVisit, soon, false, []string{"permit:KE-001"}},
		{"ordering is beyond the registration", "tremblay", credentialing.PrescribeOrOrder, soon, true, []string{"forbid:KE-002"}},
		{"not the local physician", "tremblay", credentialing.SignDecision, soon, true, []string{"forbid:ZZ-001"}},
		{"not registered, not covered", "weber", credentialing.JointVideoVisit, soon, true, []string{"forbid:KE-002", "unmet:ZZ-020:malpractice_cover"}},
		{"permission of some days", "duarte", credentialing.JointVideoVisit, soon, false, []string{"permit:KE-001"}},
		{"permission has ended", "duarte", credentialing.JointVideoVisit, soon.AddDate(0, 0, 7), true, []string{"forbid:KE-002"}},
		{"suspended at home", "hale", credentialing.AdvisePhysician, soon, true, []string{"forbid:ZZ-012"}},
		{"an administrator", "kiptoo", credentialing.SignDecision, soon, true, []string{"forbid:ZZ-001"}},
	} {
		t.Run(test.who+" "+string(test.act)+" "+test.why, func(t *testing.T) {
			d := ask(test.who, test.act, "tremblay", test.at)
			if got := d.Decision == credentialing.Deny; got != test.denied {
				t.Errorf("denied %v, want %v: %v", got, test.denied, d.Reasons)
			}
			for _, r := range test.reasons {
				if !slices.Contains(d.Reasons, r) {
					t.Errorf("reasons %v lack %s", d.Reasons, r)
				}
			}
		})
	}
	// Dr Kamau is not the case's physician either; as its physician the license decides.
	t.Run("kamau as the local physician", func(t *testing.T) {
		var d credentialing.Determination
		if err := a.db.Read(ctx, otieno.Scope(), func(tx *audit.Tx) error {
			facts, err := a.workspace.ContextTx(ctx, tx, draft, "")
			if err != nil {
				return err
			}
			facts.Local.ID = people.People["kamau"]
			d, err = a.credentialing.Judge(ctx, tx, credentialing.Ask{Person: people.People["kamau"], Activity: credentialing.SignDecision, At: soon, Mode: credentialing.Act, Case: facts})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if d.Decision != credentialing.Deny || !slices.Contains(d.Reasons, "missing:ZZ-002:licence_patient_jurisdiction") {
			t.Errorf("got %s %v", d.Decision, d.Reasons)
		}
	})
	for who, want := range map[string]bool{"aziz": true, "farah": false} {
		t.Run("interpreter "+who, func(t *testing.T) {
			if err := a.db.Read(ctx, otieno.Scope(), func(tx *audit.Tx) error {
				ok, reason, _, err := a.credentialing.Qualified(ctx, tx, people.People[who], [2]string{"en", "ar"}, "simultaneous", soon)
				if err == nil && ok != want {
					err = errors.New("qualified: " + reason)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSecondStartKeepsTheCastAndItsCases(t *testing.T) {
	data := dataDir(t)
	a, first := demonstration(t, data)
	a.close()
	_, second := demonstration(t, data)
	if first.People["otieno"] != second.People["otieno"] || !first.Day.Equal(second.Day) {
		t.Errorf("the cast was made anew: %v, then %v", first.Day, second.Day)
	}
}

func TestResetForgetsOnlyADemonstration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := forget(dir); err == nil || !strings.Contains(err.Error(), "does not hold a demonstration") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
