package credentialing_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
)

const header = "kind,issuer,number,jurisdiction,status,status_from,valid_from,valid_to,holder\n"

func TestRegistryFilesAreReadStrictly(t *testing.T) {
	for _, c := range []struct {
		name, file string
		row        int
		field      string
		reason     string
	}{
		{"no issuer", header + "licence,,1,KE,active,,,,\n", 1, "issuer", credentialing.RowRequired},
		{"an unknown kind", header + "diploma,Council,1,KE,active,,,,\n", 1, "kind", credentialing.RowKind},
		{"an unknown status", header + "licence,Council,1,KE,ok,,,,\n", 1, "status", credentialing.RowStatus},
		{"an unknown place", header + "licence,Council,1,XQ,active,,,,\n", 1, "jurisdiction", credentialing.RowPlace},
		{"a date of another form", header + "licence,Council,1,KE,active,,03/02/2027,,\n", 1, "valid_from", credentialing.RowDate},
		{"a day that is none", header + "licence,Council,1,KE,active,,2027-02-30,,\n", 1, "valid_from", credentialing.RowDate},
		{"ends before it begins", header + "licence,Council,1,KE,active,,2027-02-03,2026-02-03,\n", 1, "valid_to", credentialing.RowEnds},
		{"a number twice", header + "licence,Council,1,KE,active,,,,\nlicence,Council,1,KE,revoked,,,,\n", 2, "number", credentialing.RowTwice},
		{"too few fields", header + "licence,Council,1,KE,active,,,,\nlicence,Council\n", 2, "", credentialing.RowColumns},
		{"an open quote", header + "licence,\"Council,1,KE,active,,,,\n", 1, "", credentialing.RowSyntax},
		{"a bell", header + "licence,Cou\x07ncil,1,KE,active,,,,\n", 1, "issuer", credentialing.RowControl},
		{"a novel", header + "licence," + strings.Repeat("c", 400) + ",1,KE,active,,,,\n", 1, "issuer", credentialing.RowTooLong},
		{"a number that is none in JSON", `[{"kind":"licence","issuer":"C","number":1,"jurisdiction":"KE","status":"active"}]`, 1, "number", credentialing.RowNotText},
		{"a field twice", `[{"kind":"licence","kind":"licence"}]`, 1, "kind", credentialing.RowColumnTwice},
		{"an unknown field", `[{"kind":"licence","extra":"x"}]`, 1, "extra", credentialing.RowColumn},
		{"cut off", `[{"kind":"licence"`, 1, "", credentialing.RowSyntax},
	} {
		_, _, bad, err := credentialing.ParseRegistry([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.ContainsFunc(bad, func(e credentialing.RowError) bool {
			return e.Row == c.row && e.Field == c.field && e.Reason == c.reason
		}) {
			t.Errorf("%s: %v, want row %d field %q reason %s", c.name, bad, c.row, c.field, c.reason)
		}
	}
	for _, c := range []struct {
		name, file string
		want       error
	}{
		{"Latin-1", header + "licence,Ordre des m\xe9decins,1,FR,active,,,,\n", credentialing.ErrEncoding},
		{"UTF-16 without a mark", "k\x00i\x00n\x00d\x00", credentialing.ErrEncoding},
		{"nothing", "", credentialing.ErrImportFormat},
		{"a header alone", header, credentialing.ErrImportFormat},
		{"semicolons", "kind;issuer;number\nlicence;C;1\n", credentialing.ErrImportFormat},
		{"no status column", "kind,issuer,number,jurisdiction\nlicence,C,1,KE\n", credentialing.ErrImportFormat},
		{"a column twice", "kind,kind,issuer,number,jurisdiction,status\n", credentialing.ErrImportFormat},
		{"an object", `{"rows":[]}`, credentialing.ErrImportFormat},
		{"two lists", `[{"kind":"licence","issuer":"C","number":"1","jurisdiction":"KE","status":"active"}][]`, credentialing.ErrImportFormat},
	} {
		if _, rows, _, err := credentialing.ParseRegistry([]byte(c.file)); !errors.Is(err, c.want) || rows != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	format, rows, bad, err := credentialing.ParseRegistry([]byte("\xef\xbb\xbf" + header + "licence,Medical council,KE-1,ke,active,,2020-01-01,2027-12-31,Dr A\n"))
	if err != nil || format != "csv" || len(bad) != 0 || len(rows) != 1 || rows[0].Jurisdiction != "KE" || rows[0].ValidTo != credentialing.Date(2027, 12, 31) {
		t.Errorf("a good file: %s %+v %v %v", format, rows, bad, err)
	}
}

func FuzzParseRegistry(f *testing.F) {
	f.Add([]byte(header + "licence,Council,1,KE,active,,2020-01-01,,Dr A\n"))
	f.Add([]byte(`[{"kind":"registration","issuer":"C","number":"1","jurisdiction":"KE","status":"suspended","type":"telehealth"}]`))
	f.Add([]byte("kind,issuer\n\"a"))
	f.Add([]byte("[{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		format, rows, bad, err := credentialing.ParseRegistry(data)
		if err != nil {
			if rows != nil || bad != nil {
				t.Fatal("a refused file has rows")
			}
			return
		}
		if format != "csv" && format != "json" || len(rows)+len(bad) == 0 {
			t.Fatalf("format %q without rows", format)
		}
		seen := map[string]bool{}
		for _, r := range rows {
			key := string(r.Kind) + "\x00" + r.Issuer + "\x00" + r.Number
			if r.Issuer == "" || r.Number == "" || r.Jurisdiction == "" || !r.Kind.Known() || !r.Status.Known() || seen[key] {
				t.Fatalf("row %+v", r)
			}
			seen[key] = true
		}
		for _, e := range bad {
			if e.Row < 1 || !slices.Contains(credentialing.RowReasons, e.Reason) {
				t.Fatalf("error %+v", e)
			}
		}
		again, rows2, bad2, err := credentialing.ParseRegistry(bytes.Clone(data))
		if err != nil || again != format || len(rows2) != len(rows) || len(bad2) != len(bad) {
			t.Fatal("read again it is something else")
		}
	})
}

func (w *world) receive(file string) credentialing.ImportID {
	w.t.Helper()
	id, err := w.s.ReceiveImport(w.t.Context(), w.grace, credentialing.ImportFile{Source: "Council file", Content: strings.NewReader(file)})
	w.must(err)
	return id
}

func (w *world) standing(of credentialing.CredentialID, at time.Time) string {
	w.t.Helper()
	v, err := w.s.View(w.t.Context(), w.third, of)
	w.must(err)
	f, err := w.s.File(w.t.Context(), w.third, v.Person, at)
	w.must(err)
	for _, c := range f.Credentials {
		if c.ID == of {
			return c.Standing.Reason
		}
	}
	return "none"
}

func TestAFileIsPreviewedAndThenAppliedWhole(t *testing.T) {
	w := newWorld(t)
	council := "regulator of KE"
	good := w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Date(2027, 6, 30)))
	bad := w.onFile(license(w.kamau, "KE", "KE-2", credentialing.Date(2027, 6, 30)))
	fresh, _ := w.enter(license(w.tremblay, "KE", "KE-3", credentialing.Date(2027, 6, 30)))
	absent := w.onFile(license(w.weber, "KE", "KE-9", credentialing.Moment{}))
	w.clock.move(time.Hour)
	row := func(number, status, ends, holder string) string {
		return "licence," + council + "," + number + ",KE," + status + ",,," + ends + "," + holder + "\n"
	}
	file := header + row("KE-1", "active", "2028-06-30", "") + row("KE-2", "suspended", "", "") + row("KE-3", "active", "2027-06-30", "") +
		row("KE-7", "active", "", "Layla Aziz")
	id := w.receive(file)
	if again := w.receive(file); again != id {
		t.Errorf("the same file is received twice: %s and %s", id, again)
	}
	i, err := w.s.Preview(t.Context(), w.grace, id)
	w.must(err)
	want := map[string]credentialing.Outcome{"KE-1": credentialing.OutcomeChanged, "KE-2": credentialing.OutcomeAdverse, "KE-3": credentialing.OutcomeNew,
		"KE-7": credentialing.OutcomeUnmatched, "KE-9": credentialing.OutcomeAbsent}
	if len(i.Rows) != len(want) || len(i.Errors) != 0 {
		t.Fatalf("preview: %+v, errors %v", i.Rows, i.Errors)
	}
	for _, r := range i.Rows {
		if r.Outcome != want[r.Number] {
			t.Errorf("%s is %s, want %s", r.Number, r.Outcome, want[r.Number])
		}
	}
	if u := i.Rows[slices.IndexFunc(i.Rows, func(r credentialing.PlannedRow) bool { return r.Number == "KE-7" })]; u.Namesake != w.layla.Person || u.Person != "" {
		t.Errorf("a name is %+v, want a second look and no match", u)
	}
	if w.standing(bad.Credential, w.clock.now()) != "" {
		t.Error("a preview changes the record")
	}
	if _, err := w.s.ApplyImport(t.Context(), w.grace, id, map[credentialing.Outcome]int{}); !errors.Is(err, credentialing.ErrStale) {
		t.Errorf("applied without having seen it: %v", err)
	}
	i, err = w.s.ApplyImport(t.Context(), w.grace, id, i.Counts)
	w.must(err)
	if got := w.standing(bad.Credential, w.clock.now().Add(24*time.Hour)); got != "suspended" {
		t.Errorf("bad news does not count at once: %q", got)
	}
	if got := w.standing(good.Credential, time.Date(2027, 8, 1, 0, 0, 0, 0, time.UTC)); got != "expired" {
		t.Errorf("a renewal counts before it is approved: %q", got)
	}
	if got := w.standing(absent.Credential, w.clock.now()); got != "" {
		t.Errorf("absence from a file ends a license: %q", got)
	}
	for _, c := range []credentialing.CredentialID{good.Credential, fresh.Credential} {
		v, err := w.s.View(t.Context(), w.samuel, c)
		w.must(err)
		if v.Verification == nil || v.State != credentialing.StateAnswered {
			t.Fatalf("%s is %s, want an answer that waits", v.Number, v.State)
		}
		if err := w.s.Approve(t.Context(), w.grace, v.Verification.ID); !errors.Is(err, credentialing.ErrSamePerson) {
			t.Errorf("who applied the file approves: %v", err)
		}
		w.must(w.s.Approve(t.Context(), w.samuel, v.Verification.ID))
	}
	if got := w.standing(good.Credential, time.Date(2027, 8, 1, 0, 0, 0, 0, time.UTC)); got != "" {
		t.Errorf("the approved renewal: %q", got)
	}
	if got := w.standing(fresh.Credential, w.clock.now()); got != "" {
		t.Errorf("the approved first answer: %q", got)
	}
	var before, after int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from audit_leaf`).Scan(&before))
	again, err := w.s.ApplyImport(t.Context(), w.samuel, w.receive(file), nil)
	w.must(err)
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from audit_leaf`).Scan(&after))
	if again.AppliedBy != w.grace.Person || before != after || len(again.Rows) != len(want) {
		t.Errorf("the same file again: applied by %s, %d events more", again.AppliedBy, after-before)
	}
}

func TestAFileWithABadRowChangesNothing(t *testing.T) {
	w := newWorld(t)
	e := w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Moment{}))
	w.enter(license(w.grace, "KE", "KE-2", credentialing.Moment{}))
	w.clock.move(time.Hour)
	for name, rest := range map[string]string{
		"a bad date":  "licence,regulator of KE,KE-5,KE,active,,soon,,\n",
		"other place": "licence,regulator of KE,KE-1,UG,active,,,,\n",
		"one's own":   "licence,regulator of KE,KE-2,KE,active,,2019-01-01,,\n",
	} {
		file := header + rest
		if name != "other place" {
			file += "licence,regulator of KE,KE-1,KE,revoked,,,,\n"
		}
		id := w.receive(file)
		i, err := w.s.Preview(t.Context(), w.grace, id)
		w.must(err)
		if len(i.Errors) != 1 || i.Errors[0].Row != 1 {
			t.Errorf("%s: errors %v", name, i.Errors)
		}
		if _, err := w.s.ApplyImport(t.Context(), w.grace, id, nil); !errors.Is(err, credentialing.ErrImportRows) {
			t.Errorf("%s: %v, want ErrImportRows", name, err)
		}
	}
	if got := w.standing(e.Credential, w.clock.now().Add(time.Hour)); got != "" {
		t.Errorf("half a file was applied: %q", got)
	}
	if _, err := w.s.ReceiveImport(t.Context(), w.grace, credentialing.ImportFile{Source: "x", Content: strings.NewReader("kind\xff")}); !errors.Is(err, credentialing.ErrEncoding) {
		t.Errorf("another encoding: %v", err)
	}
	if _, err := w.s.ReceiveImport(t.Context(), w.otieno, credentialing.ImportFile{Source: "x", Content: strings.NewReader(header)}); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician imports: %v", err)
	}
	var n int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from registry_row`).Scan(&n))
	if n != 0 {
		t.Errorf("%d rows of refused files", n)
	}
}

func TestTwoOfficersApplyAFileOnce(t *testing.T) {
	w := newWorld(t)
	for n := range 20 {
		w.onFile(license(w.otieno, "KE", fmt.Sprintf("KE-%d", n), credentialing.Moment{}))
	}
	var file strings.Builder
	file.WriteString(header)
	for n := range 20 {
		fmt.Fprintf(&file, "licence,regulator of KE,KE-%d,KE,suspended,,,,\n", n)
	}
	id := w.receive(file.String())
	var all sync.WaitGroup
	for _, who := range []int{0, 1} {
		actor := w.grace
		if who == 1 {
			actor = w.samuel
		}
		all.Go(func() {
			if _, err := w.s.ApplyImport(t.Context(), actor, id, nil); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	all.Wait()
	var n int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from credential_status where status = 'suspended'`).Scan(&n))
	if n != 20 {
		t.Errorf("%d suspensions of 20", n)
	}
}
