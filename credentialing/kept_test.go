package credentialing_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// service is another process on the same database.
func (w *world) service() *credentialing.Service {
	w.t.Helper()
	s, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	return s
}

// answer is what a service says to a question, with all that it rests on.
func (w *world) answer(s *credentialing.Service, ask credentialing.Ask) credentialing.Determination {
	w.t.Helper()
	var d credentialing.Determination
	w.must(w.db.Read(w.t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		f, err := s.ReadFiles(w.t.Context(), tx, ask)
		if err != nil {
			return err
		}
		d, err = f.Try(ask)
		return err
	}))
	return d
}

// What a process keeps of what is on file is never older than what is committed, whoever
// wrote it and whatever it was.
func TestNothingKeptOutlivesAChange(t *testing.T) {
	w := newWorld(t)
	w.clock.move(time.Since(start) + time.Hour) // the people of the world were entered by the machine's clock
	reg := w.cast()
	ctx := t.Context()
	keeps, writes := w.service(), w.service()
	exec := func(sql string, args ...any) func() error {
		return func() error { _, err := w.pg.Pool.Exec(ctx, sql, args...); return err }
	}
	status := func(st credentialing.Status, by identity.Actor) error {
		_, err := writes.ReportStatus(ctx, by, credentialing.StatusReport{Credential: reg.Credential, Status: st, Source: "register"})
		return err
	}
	lists := func(h ...credentialing.ExclusionHit) error {
		return writes.CheckExclusions(ctx, w.grace, credentialing.ExclusionCheck{Person: w.tremblay.Person, Lists: []string{"LEIE"}, Hits: h})
	}
	ask := w.ask(w.tremblay, credentialing.JointVideoVisit)
	var entered credentialing.Entered
	var sum [32]byte
	var verification credentialing.VerificationID
	var agreement credentialing.AgreementID
	exclusion := func() (id credentialing.ExclusionID) {
		w.must(w.pg.Pool.QueryRow(ctx, `select id from exclusion where person_id = $1 order by id desc limit 1`, string(w.tremblay.Person)).Scan(&id))
		return id
	}
	for _, step := range []struct {
		name  string
		do    func() error
		moves bool // it changes what the answer rests on
	}{
		{"nothing", func() error { return nil }, false},
		{"a claim", func() (err error) {
			r := license(w.tremblay, "FR", "FR-9", credentialing.Date(2030, 1, 1))
			if entered, err = writes.EnterClaim(ctx, w.grace, r); err != nil {
				return err
			}
			sum, err = writes.AttachEvidence(ctx, w.grace, entered.Credential, credentialing.EvidenceFile{Bytes: []byte("page"), Source: "register"})
			return err
		}, true},
		{"a look into the register", func() (err error) {
			verification, err = writes.Verify(ctx, w.grace, credentialing.VerifyRequest{Credential: entered.Credential, Method: "primary-source",
				Source: "register", Result: credentialing.ResultFound, Evidence: sum})
			return err
		}, false},
		{"its approval", func() error { return writes.Approve(ctx, w.samuel, verification) }, true},
		{"a suspension", func() error { return status(credentialing.StatusSuspended, w.grace) }, true},
		{"a reinstatement by one", func() error { return status(credentialing.StatusActive, w.grace) }, false},
		{"a reinstatement by two", func() error { return status(credentialing.StatusActive, w.samuel) }, true},
		{"a look into the lists", func() error { return lists() }, true},
		{"a hit", func() error { return lists(credentialing.ExclusionHit{List: "LEIE", Entry: "E-1"}) }, true},
		{"half a decision", func() error {
			_, err := writes.DecideExclusion(ctx, w.grace, exclusion(), true, "another person of that name")
			return err
		}, false},
		{"a decision", func() error {
			_, err := writes.DecideExclusion(ctx, w.samuel, exclusion(), true, "another person of that name")
			return err
		}, true},
		{"an agreement", func() (err error) {
			agreement, err = writes.AddAgreement(ctx, w.grace, credentialing.Agreement{From: w.nairobi, To: w.toronto, Ground: "adequacy"})
			return err
		}, true},
		{"its end", func() error { return writes.EndAgreement(ctx, w.grace, agreement) }, true},
		{"a license of the clinic", func() error {
			_, err := writes.AddFacilityLicense(ctx, w.grace, credentialing.FacilityLicense{Organization: w.nairobi, Jurisdiction: "KE", Issuer: "Land", Number: "2"})
			return err
		}, false},
		{"the end of a role", exec(`update role_grant set valid_until = $2 where person_id = $1`, string(w.tremblay.Person), start), true},
		{"a role", exec(`update role_grant set valid_until = null where person_id = $1`, string(w.tremblay.Person)), true},
		{"a language", exec(`update person set languages = array['de'] where id = $1`, string(w.tremblay.Person)), true},
		{"a home", exec(`update person set home = 'FR' where id = $1`, string(w.tremblay.Person)), true},
		{"the place of the clinic", exec(`update organization set place = 'UG' where id = $1`, string(w.nairobi)), true},
		{"cover of a group of places", func() error {
			_, err := writes.EnterClaim(ctx, w.grace, credentialing.ClaimRequest{Person: w.tremblay.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer",
				Number: "EU-1", Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), Territories: []string{"EU"}, Currency: "EUR", PerClaim: 1, Aggregate: 1}})
			return err
		}, true},
		{"the members of the group", func() error {
			raw := regexp.MustCompile(`(?m)^version: .*$`).ReplaceAll(credentialing.Embedded()["EU.yaml"], []byte(`version: "2027-01-01.1"`))
			_, found, err := writes.AddEdition(ctx, identity.System("operator", ""), "EU.yaml", bytes.Replace(raw, []byte(", SE]"), []byte("]"), 1), time.Time{}, time.Time{})
			if len(found) > 0 {
				return fmt.Errorf("%v", found)
			}
			return err
		}, true},
		{"a license of the local physician", func() error {
			_, err := writes.EnterClaim(ctx, w.grace, license(w.otieno, "KE", "KE-9", credentialing.Date(2030, 1, 1)))
			return err
		}, true},
	} {
		w.clock.move(time.Minute)
		w.answer(keeps, ask)
		before := w.answer(keeps, ask)
		if keeps.KeptPeople() < 2 {
			t.Fatalf("%s: nothing is kept", step.name)
		}
		w.must(step.do())
		got, want := w.answer(keeps, ask), w.answer(w.service(), ask)
		if !bytes.Equal(got.Facts, want.Facts) || !bytes.Equal(got.Answer, want.Answer) || got.Hash != want.Hash {
			t.Errorf("%s: answered from what was kept\n%s\nwant\n%s", step.name, got.Facts, want.Facts)
		}
		if moved := !bytes.Equal(before.Facts, want.Facts); moved != step.moves {
			t.Errorf("%s: changes what the answer rests on: %v, want %v", step.name, moved, step.moves)
		}
		then, fresh := w.asKnown(keeps, ask, start), w.asKnown(w.service(), ask, start)
		if !bytes.Equal(then.Facts, fresh.Facts) {
			t.Errorf("%s: as known at first, from what was kept\n%s\nwant\n%s", step.name, then.Facts, fresh.Facts)
		}
	}
}

// asKnown is what a service says from what was known at an earlier instant.
func (w *world) asKnown(s *credentialing.Service, ask credentialing.Ask, at time.Time) (d credentialing.Determination) {
	w.t.Helper()
	db := audit.New(audit.Config{Pool: w.pg.Pool, Clock: func() time.Time { return at }})
	w.must(db.Read(w.t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		f, err := s.ReadFiles(w.t.Context(), tx, ask)
		if err != nil {
			return err
		}
		d, err = f.Try(ask)
		return err
	}))
	return d
}

// What a transaction wrote itself counts for it, and for nobody when it is undone.
func TestWhatIsUndoneIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.clock.move(time.Since(start) + time.Hour)
	w.cast()
	ctx := t.Context()
	ask := w.ask(w.tremblay, credentialing.JointVideoVisit)
	before := w.answer(w.s, ask)
	undone := errors.New("undone")
	home := func(tx *audit.Tx, place string) error {
		_, err := tx.Exec(ctx, `update person set home = $2 where id = $1`, string(w.tremblay.Person), place)
		return err
	}
	err := w.db.Write(ctx, w.grace.Scope(), func(tx *audit.Tx) error {
		if err := home(tx, "FR"); err != nil {
			return err
		}
		f, err := w.s.ReadFiles(ctx, tx, ask)
		if err != nil {
			return err
		}
		d, err := f.Try(ask)
		if err == nil && bytes.Equal(d.Facts, before.Facts) {
			t.Error("the transaction does not see what it wrote")
		}
		return errors.Join(undone, err)
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if after := w.answer(w.s, ask); !bytes.Equal(after.Facts, before.Facts) {
		t.Errorf("answered from what was undone: %s", after.Facts)
	}
	w.must(w.db.Write(ctx, w.grace.Scope(), func(tx *audit.Tx) error { return home(tx, "DE") }))
	if after, want := w.answer(w.s, ask), w.answer(w.service(), ask); !bytes.Equal(after.Facts, want.Facts) {
		t.Errorf("answered %s, want %s", after.Facts, want.Facts)
	}
}

// Whoever answers while others write answers with what was committed before it asked.
func TestAnswersBesideWritersAreNeverOlderThanTheirQuestion(t *testing.T) {
	w := newWorld(t)
	w.clock.move(time.Since(start) + time.Hour)
	w.cast()
	ctx := t.Context()
	ask := w.ask(w.tremblay, credentialing.JointVideoVisit)
	var mu sync.Mutex
	var committed int // guarded by mu
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		s := w.service()
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				least := committed
				mu.Unlock()
				f := w.answer(s, ask)
				n := bytes.Count(f.Facts, []byte(`"issuer":"regulator of FR"`))
				if n < least {
					t.Errorf("%d licenses were committed, the answer knows %d", least, n)
					return
				}
			}
		})
	}
	for i := range 12 {
		_, err := w.s.EnterClaim(ctx, w.grace, license(w.tremblay, "FR", "FR-"+string(rune('a'+i)), credentialing.Date(2030, 1, 1)))
		w.must(err)
		mu.Lock()
		committed++
		mu.Unlock()
	}
	close(done)
	wg.Wait()
}

// Each table that is read of somebody must say when it is written to.
func TestEveryTableOnFileTellsOfItsChanges(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	var read []string
	w.must(w.db.Read(ctx, w.grace.Scope(), func(tx *audit.Tx) error {
		for _, sql := range w.service().ReadsOf(tx, w.ask(w.tremblay, credentialing.JointVideoVisit)) {
			for _, m := range regexp.MustCompile(`(?:from|join)\s+([a-z_]+)\s`).FindAllStringSubmatch(sql, -1) {
				read = append(read, m[1])
			}
		}
		return nil
	}))
	slices.Sort(read)
	read = slices.Compact(read)
	rows, err := w.pg.Pool.Query(ctx, `
		select c.relname
		from pg_trigger t
		join pg_class c on c.oid = t.tgrelid
		join pg_proc p on p.oid = t.tgfoid
		where p.proname = 'file_changed' and t.tgenabled = 'O' and t.tgtype = 1 | 4 | 8 | 16 and t.tgqual is null and t.tgattr = ''`)
	w.must(err)
	tells, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.must(err)
	for _, table := range read {
		switch table {
		case "unnest", "lateral", "file_change", "pack_edition": // of which the number of editions is asked each time
		default:
			if !slices.Contains(tells, table) {
				t.Errorf("%s is read of people and organizations, and does not tell of its changes", table)
			}
		}
	}
	if len(read) < 12 {
		t.Errorf("only %q are read", read)
	}
}
