package credentialing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// read gives the rows of a file and what it is as a whole.
func read(t testing.TB, r io.Reader, told credentialing.Encoding) (rows []credentialing.RegistryRow, f credentialing.RegistryFile, err error) {
	t.Helper()
	f, err = credentialing.ReadRegistry(r, told, func(row credentialing.RegistryRow) error {
		rows = append(rows, row)
		return nil
	})
	return rows, f, err
}

func inUTF16(s string, big bool) string {
	var b strings.Builder
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(s))...) {
		if lo, hi := byte(u), byte(u>>8); big {
			b.Write([]byte{hi, lo})
		} else {
			b.Write([]byte{lo, hi})
		}
	}
	return b.String()
}

const named = header + "licence,Ordre des m\u00e9decins,1,FR,active,,,,Dr Zo\u00eb M\u00fcller\u2019s\n"

func TestRegistryFilesInOtherEncodings(t *testing.T) {
	windows := strings.NewReplacer("\u00e9", "\xe9", "\u00eb", "\xeb", "\u00fc", "\xfc", "\u2019", "\x92").Replace(named)
	latin := strings.NewReplacer("\u00e9", "\xe9", "\u00eb", "\xeb", "\u00fc", "\xfc", "\u2019", "'").Replace(named)
	asJSON := `[{"kind":"licence","issuer":"Ordre des m\u00e9decins","number":"1","jurisdiction":"FR","status":"active","holder":"Dr Zo` + "\u00eb M\u00fcller\u2019s\"}]"
	for _, c := range []struct {
		name, file   string
		told, read   credentialing.Encoding
		holder, form string
	}{
		{"UTF-8", named, credentialing.EncodingDetect, credentialing.EncodingUTF8, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"UTF-8 with its mark", "\xef\xbb\xbf" + named, credentialing.EncodingDetect, credentialing.EncodingUTF8, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"a mark counts more than what is told", "\xef\xbb\xbf" + named, credentialing.EncodingLatin1, credentialing.EncodingUTF8, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"UTF-16, little end first", inUTF16(named, false), credentialing.EncodingDetect, credentialing.EncodingUTF16, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"UTF-16, big end first", inUTF16(named, true), credentialing.EncodingDetect, credentialing.EncodingUTF16, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"UTF-16 JSON", inUTF16(asJSON, false), credentialing.EncodingDetect, credentialing.EncodingUTF16, "Dr Zo\u00eb M\u00fcller\u2019s", "json"},
		{"Windows-1252 when told", windows, credentialing.EncodingWindows, credentialing.EncodingWindows, "Dr Zo\u00eb M\u00fcller\u2019s", "csv"},
		{"ISO-8859-1 when told", latin, credentialing.EncodingLatin1, credentialing.EncodingLatin1, "Dr Zo\u00eb M\u00fcller's", "csv"},
	} {
		rows, f, err := read(t, strings.NewReader(c.file), c.told)
		if err != nil || len(rows) != 1 || len(f.Errors) != 0 || f.Encoding != c.read || f.Format != c.form {
			t.Errorf("%s: %+v, %d rows, %v", c.name, f, len(rows), err)
			continue
		}
		if rows[0].Holder != c.holder || rows[0].Issuer != "Ordre des m\u00e9decins" {
			t.Errorf("%s: %q of %q", c.name, rows[0].Holder, rows[0].Issuer)
		}
	}
	good := "licence,Council,0,KE,active,,,,Dr A\n"
	for _, c := range []struct {
		name, file string
		told       credentialing.Encoding
		row        int
		field      string
	}{
		{"Windows-1252 untold", header + good + strings.TrimPrefix(windows, header), credentialing.EncodingDetect, 2, "issuer"},
		{"one bad byte far on", header + good + "licence,Council,1,KE,active,,,,Dr \xe9\n", credentialing.EncodingDetect, 2, "holder"},
		{"a byte that Windows-1252 has not", header + good + "licence,Council,1,KE,active,,,,Dr \x81\n", credentialing.EncodingWindows, 2, "holder"},
		{"half a pair in UTF-16", "\xff\xfe" + inUTF16(header+good, false)[2:] + inUTF16("licence,Council,1,KE,active,,,,Dr ", false)[2:] + "\x00\xd8\n\x00", credentialing.EncodingDetect, 2, "holder"},
		{"UTF-16 without its mark", inUTF16(header, false)[2:], credentialing.EncodingDetect, 0, ""},
		{"a zero byte in a field", header + "licence,Coun\x00cil,1,KE,active,,,,\n", credentialing.EncodingDetect, 1, "issuer"},
		{"JSON in Windows-1252", `[{"kind":"licence","issuer":"C","number":"1","jurisdiction":"FR","status":"active","holder":"Zo` + "\xeb\"}]", credentialing.EncodingDetect, 1, "holder"},
	} {
		_, _, err := read(t, strings.NewReader(c.file), c.told)
		var at *credentialing.RowError
		if !errors.Is(err, credentialing.ErrEncoding) || !errors.As(err, &at) || at.Row != c.row || at.Field != c.field {
			t.Errorf("%s: %v, want row %d field %q", c.name, err, c.row, c.field)
		}
	}
}

// TestRegistryFileIsTheSameInEachEncoding writes any rows in each encoding that has
// their characters.
func TestRegistryFileIsTheSameInEachEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(header)
		for n := range rapid.IntRange(1, 5).Draw(t, "rows") {
			holder := rapid.StringOfN(rapid.RuneFrom([]rune("aZ \u00e9\u00fc\u00df\u00d1\"',;\u00a7")), 0, 20, -1).Draw(t, "holder")
			fmt.Fprintf(&b, "licence,Council,%d,KE,active,,,,\"%s\"\n", n, strings.ReplaceAll(holder, `"`, `""`))
		}
		text := b.String()
		latin := make([]byte, 0, len(text))
		for _, r := range text {
			latin = append(latin, byte(r))
		}
		var want string
		for told, file := range map[credentialing.Encoding]string{credentialing.EncodingDetect: text, credentialing.EncodingLatin1: string(latin), credentialing.EncodingWindows: string(latin)} {
			var rows []credentialing.RegistryRow
			f, err := credentialing.ReadRegistry(strings.NewReader(file), told, func(r credentialing.RegistryRow) error { rows = append(rows, r); return nil })
			if err != nil || len(f.Errors) > 0 {
				t.Fatalf("%s: %v %v", told, err, f.Errors)
			}
			got := fmt.Sprintf("%+v", rows)
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("%s: %s, want %s", told, got, want)
			}
		}
	})
}

// lines is a registry file of so many bytes that is nowhere as a whole.
type lines struct {
	left int64
	n    int
	json bool
	buf  []byte
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.buf) < len(p) && l.left > 0 {
		row := ""
		switch {
		case l.n == 0 && l.json:
			row = "["
		case l.n == 0:
			row = header
		case l.json:
			row = fmt.Sprintf(`{"kind":"licence","issuer":"Medical council of a country","number":"N-%09d","jurisdiction":"KE","status":"active","valid_from":"2020-01-01","valid_to":"2029-12-31","holder":"Dr Somebody Number %d"}`, l.n, l.n)
			if l.n > 1 {
				row = ",\n" + row
			}
		default:
			row = fmt.Sprintf("licence,Medical council of a country,N-%09d,KE,active,,2020-01-01,2029-12-31,\"Dr Somebody, Number %d of the register, with a long name%s\"\n", l.n, l.n, strings.Repeat(" and address", 18))
		}
		l.n++
		l.left -= int64(len(row))
		l.buf = append(l.buf, row...)
		if l.json && l.left <= 0 {
			l.buf = append(l.buf, "]"...)
		}
	}
	n := copy(p, l.buf)
	l.buf = l.buf[:copy(l.buf, l.buf[n:])]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// heap is what is alive or not yet swept.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// TestLargeRegistryFilesAreReadInBoundedMemory reads 200 MB of CSV and 8 MB of JSON.
func TestLargeRegistryFilesAreReadInBoundedMemory(t *testing.T) {
	for form, size := range map[bool]int64{false: credentialing.MaxImport, true: 8 << 20} {
		runtime.GC()
		began, most := heap(), uint64(0)
		f, err := credentialing.ReadRegistry(&lines{left: size, json: form}, credentialing.EncodingDetect, func(r credentialing.RegistryRow) error {
			if r.Row%5000 == 0 {
				most = max(most, heap())
			}
			return nil
		})
		if err != nil || len(f.Errors) > 0 || int64(f.Rows) < size/500 {
			t.Fatalf("%+v, %v", f, err)
		}
		// The numbers seen, hashed, take 16 bytes a row in a map that doubles; garbage as much again.
		grown := int64(most) - int64(began)
		t.Logf("json %v: %d rows took %d MB", form, f.Rows, grown>>20)
		if grown > 128<<20 {
			t.Errorf("json %v: %d rows took %d MB", form, f.Rows, grown>>20)
		}
	}
	// A row without an end is not waited for.
	for name, file := range map[string]io.Reader{
		"a quote that is not closed": io.MultiReader(strings.NewReader(header+"licence,\""), &endless{}),
		"a JSON text without an end": io.MultiReader(strings.NewReader(`[{"kind":"`), &endless{}),
		"JSON of white space":        io.MultiReader(strings.NewReader(`[`), &endless{with: ' '}),
		"a header without an end":    &endless{},
	} {
		_, f, err := read(t, file, credentialing.EncodingDetect)
		var refused *credentialing.RowError
		if err == nil && len(f.Errors) == 0 || err != nil && !errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// endless never stops.
type endless struct{ with byte }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = max(e.with, ' ')
		if e.with == 0 {
			p[i] = 'a'
		}
	}
	return len(p), nil
}

// shelf is a vault of plain files.
type shelf struct{ dir string }

func (s shelf) Put(_ context.Context, sum [32]byte, r io.Reader) error {
	f, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("%x", sum)))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, r)
	return err
}

func (s shelf) Open(_ context.Context, sum [32]byte) (io.ReadCloser, error) {
	return os.Open(filepath.Join(s.dir, fmt.Sprintf("%x", sum)))
}

func (s shelf) Remove(_ context.Context, sum [32]byte) error {
	return os.Remove(filepath.Join(s.dir, fmt.Sprintf("%x", sum)))
}

// TestLargeFileIsPreviewedAndAppliedWithoutHoldingIt applies a file of which two rows
// matter.
func TestLargeFileIsPreviewedAndAppliedWithoutHoldingIt(t *testing.T) {
	w := newWorld(t)
	vault := shelf{t.TempDir()}
	s, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation, Vault: vault,
		AcceptUnverified: &credentialing.Acceptance{By: "the tests", Until: start.AddDate(3, 0, 0)}})
	w.must(err)
	council := "Medical council of a country"
	hold := func(who identity.Actor, number string) credentialing.CredentialID {
		r := license(who, "KE", number, credentialing.Date(2029, 12, 31))
		r.Issuer = council
		return w.onFile(r).Credential
	}
	bad, gone := hold(w.kamau, "N-SUSPENDED"), hold(w.weber, "N-ABSENT")
	path := filepath.Join(t.TempDir(), "register.csv")
	f, err := os.Create(path)
	w.must(err)
	defer f.Close()
	_, err = io.Copy(f, io.MultiReader(&lines{left: 24 << 20}, strings.NewReader("licence,"+council+",N-SUSPENDED,KE,suspended,,,,\n")))
	w.must(err)
	runtime.GC()
	began, most, stop, done := heap(), uint64(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	}()
	id, err := s.ReceiveImport(t.Context(), w.grace, credentialing.ImportFile{Source: "register", Content: f})
	w.must(err)
	i, err := s.Preview(t.Context(), w.grace, id)
	w.must(err)
	close(stop)
	<-done
	grown := int64(most) - int64(began)
	t.Logf("a file of 24 MB took %d MB", grown>>20)
	if grown > 72<<20 {
		t.Errorf("a file of 24 MB took %d MB", grown>>20)
	}
	if i.Counts[credentialing.OutcomeAdverse] != 1 || i.Counts[credentialing.OutcomeAbsent] != 1 || i.Counts[credentialing.OutcomeUnmatched] < 40_000 || len(i.Rows) > 1300 {
		t.Fatalf("counts %v, %d rows", i.Counts, len(i.Rows))
	}
	again, err := s.ReceiveImport(t.Context(), w.samuel, credentialing.ImportFile{Source: "register", Content: f})
	w.must(err)
	told, err := s.ReceiveImport(t.Context(), w.samuel, credentialing.ImportFile{Source: "register", Encoding: credentialing.EncodingLatin1, Content: f})
	w.must(err)
	if again != id || told == id {
		t.Error("the same file is the same import, read otherwise another")
	}
	applied, err := s.ApplyImport(t.Context(), w.grace, id, i.Counts)
	w.must(err)
	after, err := s.Preview(t.Context(), w.grace, id)
	w.must(err)
	if !applied.Applied() || after.Counts[credentialing.OutcomeUnmatched] != i.Counts[credentialing.OutcomeUnmatched] {
		t.Errorf("after it was applied: %v, want %v", after.Counts, i.Counts)
	}
	if got := w.standing(bad, w.clock.now()); got != "suspended" {
		t.Errorf("the suspension: %q", got)
	}
	if got := w.standing(gone, w.clock.now()); got != "" {
		t.Errorf("who is absent: %q", got)
	}
	// The kept file is altered: it is neither previewed nor applied.
	w.must(os.WriteFile(filepath.Join(vault.dir, fmt.Sprintf("%x", i.SHA256)), []byte(header+"licence,C,1,KE,active,,,,\n"), 0o600))
	if _, err := s.Preview(t.Context(), w.grace, told); !errors.Is(err, credentialing.ErrEvidenceAltered) {
		t.Errorf("an altered file: %v", err)
	}
	w.must(os.Remove(filepath.Join(vault.dir, fmt.Sprintf("%x", i.SHA256))))
	if _, err := s.ApplyImport(t.Context(), w.grace, told, nil); !errors.Is(err, credentialing.ErrEvidenceLost) {
		t.Errorf("a missing file: %v", err)
	}
}
