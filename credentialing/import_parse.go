package credentialing

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// importColumns are the fields of a registry file; the first five are needed.
var importColumns = []string{"kind", "issuer", "number", "jurisdiction", "status", "status_from", "valid_from", "valid_to", "holder", "type", "activities"}

// importKinds are the credentials that registers keep.
var importKinds = []Kind{KindLicense, KindRegistration, KindBoard, KindControlledDrug}

const neededColumns = 5

// longestField is more than any name, number or list of a register needs.
const longestField = 300

// maxRows is more than twice what the largest board of the starter packs has ever
// licensed; it bounds the memory of finding a number twice to some 80 MB.
const maxRows = 2_000_000

// maxRowErrors are as many as somebody will read; more of the same kind say no more.
const maxRowErrors = 500

// RegistryFile is what reading a file through tells of it as a whole.
type RegistryFile struct {
	Format   string // csv, json
	Encoding Encoding
	Rows     int        // that could be read
	Errors   []RowError // at most 500
}

// ReadRegistry reads a file that begins with a header of known columns (CSV, RFC 4180)
// or is a list of objects (JSON), and gives row each row as it comes. A row is read
// whole or listed with its field and reason; nothing is guessed. A byte that means
// nothing in the encoding refuses the file: the error, a *RowError that is ErrEncoding,
// says where. Memory grows with the number of rows, by some 40 bytes each, and not with
// their content. An error of row ends the reading and comes back.
func ReadRegistry(r io.Reader, told Encoding, row func(RegistryRow) error) (RegistryFile, error) {
	text, encoding, err := decoded(r, told)
	if err != nil {
		return RegistryFile{}, err
	}
	p := parser{file: RegistryFile{Format: "csv", Encoding: encoding}, seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		seen: map[[2]uint64]struct{}{}, give: row}
	first, err := firstOf(text)
	if err != nil {
		return p.file, err
	}
	if first == '[' || first == '{' {
		p.file.Format = "json"
		err = p.json(text)
	} else {
		err = p.csv(text)
	}
	if err != nil {
		return RegistryFile{}, err
	}
	if p.file.Rows+len(p.file.Errors) == 0 {
		return RegistryFile{}, &RowError{0, "", RowEmpty}
	}
	return p.file, nil
}

// firstOf skips white space and tells what comes then; 0 at the end.
func firstOf(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read registry file: %w", err)
		}
		if !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, r.UnreadByte()
		}
	}
}

type parser struct {
	file RegistryFile
	seed [2]maphash.Seed
	// seen are the rows that were read, by two hashes of 64 bits of what names them: two
	// numbers that are not the same meet once in 10^26 files.
	seen map[[2]uint64]struct{}
	give func(RegistryRow) error
}

func (p *parser) csv(text io.Reader) error {
	guard := &rowGuard{r: text}
	guard.renew()
	r := csv.NewReader(guard)
	r.ReuseRecord = true
	header, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return &RowError{0, "", RowEmpty}
	case notSyntax(err):
		return fmt.Errorf("read registry file: %w", err)
	case err != nil:
		return &RowError{0, "", RowSyntax}
	}
	names := make([]string, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch {
		case unreadable(name):
			return &RowError{0, "", RowEncoding}
		case !slices.Contains(importColumns, name):
			return &RowError{0, clip(name), RowColumn}
		case slices.Contains(names[:i], name):
			return &RowError{0, name, RowColumnTwice}
		}
		names[i] = name
	}
	for _, need := range importColumns[:neededColumns] {
		if !slices.Contains(names, need) {
			return &RowError{0, need, RowRequired}
		}
	}
	fields := make(map[string]string, len(names))
	for n := 1; ; n++ {
		guard.renew()
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errRowLong):
			p.fail(n, "", RowTooLong)
			return nil
		case errors.Is(err, csv.ErrFieldCount):
			p.fail(n, "", RowColumns)
			continue
		case notSyntax(err):
			return fmt.Errorf("read registry file: %w", err)
		case err != nil: // a quote that is not closed: what follows cannot be told apart
			p.fail(n, "", RowSyntax)
			return nil
		}
		for i, v := range record {
			fields[names[i]] = v
		}
		if err := p.row(n, fields); err != nil {
			return err
		}
	}
}

// notSyntax tells a failure of the medium from one of the file.
func notSyntax(err error) bool {
	var syntax *csv.ParseError
	return err != nil && !errors.As(err, &syntax) && !errors.Is(err, errRowLong)
}

func (p *parser) json(text io.Reader) error {
	medium := &failing{r: text}
	guard := &rowGuard{r: medium}
	guard.renew()
	d := json.NewDecoder(guard)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return medium.or(&RowError{0, "", RowSyntax})
	}
	for n := 1; ; n++ {
		guard.renew()
		if !d.More() {
			break
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			reason := RowSyntax
			if errors.Is(err, errRowLong) {
				reason = RowTooLong
			}
			p.fail(n, "", reason)
			return medium.or(nil)
		}
		fields, field, reason := jsonFields(raw)
		if !utf8.Valid(raw) { // the decoder has put U+FFFD there
			field = ""
			for name, v := range fields {
				if unreadable(v) {
					field = name
				}
			}
			return &RowError{n, field, RowEncoding}
		}
		if reason != "" {
			p.fail(n, field, reason)
			continue
		}
		if err := p.row(n, fields); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return medium.or(&RowError{0, "", RowSyntax})
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return medium.or(&RowError{0, "", RowSyntax})
	}
	return nil
}

// failing remembers that the medium failed, which a JSON decoder does not tell.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = fmt.Errorf("read registry file: %w", err)
	}
	return n, err
}

func (f *failing) or(err error) error {
	if f.err != nil {
		return f.err
	}
	return err
}

// unreadable tells whether bytes of a text meant nothing in its encoding.
func unreadable(v string) bool {
	return !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\ufffd")
}

// jsonFields reads one flat object of texts, each field once.
func jsonFields(raw []byte) (fields map[string]string, field, reason string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, "", RowSyntax
	}
	fields = map[string]string{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, "", RowSyntax
		}
		if !slices.Contains(importColumns, name) {
			return nil, clip(name), RowColumn
		}
		if _, twice := fields[name]; twice {
			return nil, name, RowColumnTwice
		}
		v, err := d.Token()
		if err != nil {
			return nil, name, RowSyntax
		}
		switch v := v.(type) {
		case string:
			fields[name] = v
		case nil:
			fields[name] = ""
		default:
			return nil, name, RowNotText
		}
	}
	return fields, "", ""
}

func (p *parser) fail(row int, field, reason string) {
	if len(p.file.Errors) < maxRowErrors {
		p.file.Errors = append(p.file.Errors, RowError{row, field, reason})
	}
}

// row reads the fields of one row; each that is wrong is told. The error ends the
// reading of the file.
func (p *parser) row(n int, fields map[string]string) error {
	for _, field := range importColumns {
		if unreadable(fields[field]) {
			return &RowError{n, field, RowEncoding}
		}
	}
	ok := true
	fail := func(field, reason string) {
		ok = false
		p.fail(n, field, reason)
	}
	get := func(field string) string {
		v := strings.TrimSpace(fields[field])
		switch {
		case len(v) > longestField:
			fail(field, RowTooLong)
			return ""
		case strings.ContainsFunc(v, unicode.IsControl):
			fail(field, RowControl)
			return ""
		}
		return v
	}
	row := RegistryRow{Row: n, Kind: Kind(get("kind")), Issuer: get("issuer"), Number: get("number"), Jurisdiction: strings.ToUpper(get("jurisdiction")),
		Status: Status(get("status")), Holder: get("holder"), Type: get("type")}
	for _, field := range importColumns[:neededColumns] {
		if strings.TrimSpace(fields[field]) == "" {
			fail(field, RowRequired)
		}
	}
	if row.Kind != "" && !slices.Contains(importKinds, row.Kind) {
		fail("kind", RowKind)
	}
	if row.Status != "" && !row.Status.Known() {
		fail("status", RowStatus)
	}
	if row.Jurisdiction != "" && !placeExists(row.Jurisdiction) {
		fail("jurisdiction", RowPlace)
	}
	date := func(field string) Moment {
		m, err := ParseMoment(get(field))
		switch {
		case err != nil:
			fail(field, RowDate)
		case !m.sane():
			fail(field, RowYear)
		}
		return m
	}
	row.StatusFrom, row.ValidFrom, row.ValidTo = date("status_from"), date("valid_from"), date("valid_to")
	if f, t := row.ValidFrom, row.ValidTo; !f.before(t) {
		fail("valid_to", RowEnds)
	}
	if list := get("activities"); list != "" {
		for _, a := range strings.Fields(list) {
			if !Activity(a).Known() {
				fail("activities", RowActivity)
				break
			}
			row.Activities = append(row.Activities, Activity(a))
		}
	}
	if row.Kind == KindRegistration && row.Type == "" {
		fail("type", RowRequired)
	}
	if !ok {
		return nil
	}
	key := rowKey(row.Kind, row.Issuer, row.Number)
	sum := [2]uint64{maphash.String(p.seed[0], key), maphash.String(p.seed[1], key)}
	if _, twice := p.seen[sum]; twice {
		p.fail(n, "number", RowTwice)
		return nil
	}
	if len(p.seen) == maxRows {
		return &RowError{n, "", RowTooMany}
	}
	p.seen[sum] = struct{}{}
	p.file.Rows++
	return p.give(row)
}

// placeExists tells whether a code names a country (ISO 3166-1) or a part of one.
func placeExists(code string) bool {
	if !codeForm.MatchString(code) || strings.HasPrefix(code, "X-") {
		return false
	}
	region, err := language.ParseRegion(country(code))
	return err == nil && region.IsCountry()
}

// clip shortens what a file says for an error about it.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, s)
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40])
	}
	return s
}
