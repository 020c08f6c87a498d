package credentialing

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
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

// maxRowErrors are as many as somebody will read; more of the same kind say no more.
const maxRowErrors = 500

// ParseRegistry reads a file that begins with a header of known columns (CSV, RFC
// 4180) or is a list of objects (JSON). A row is read whole or listed with its field
// and reason; nothing is guessed. format is "csv" or "json".
func ParseRegistry(data []byte) (format string, rows []RegistryRow, bad []RowError, err error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return "", nil, nil, ErrEncoding
	}
	if len(data) > MaxImport {
		return "", nil, nil, &RowError{0, "", RowTooLong}
	}
	p := parser{seen: map[string]int{}}
	format = "csv"
	if head := bytes.TrimLeft(data, " \t\r\n"); len(head) > 0 && (head[0] == '[' || head[0] == '{') {
		format = "json"
		err = p.json(head)
	} else {
		err = p.csv(data)
	}
	if err != nil {
		return format, nil, nil, err
	}
	if len(p.rows)+len(p.bad) == 0 {
		return format, nil, nil, &RowError{0, "", RowEmpty}
	}
	return format, p.rows, p.bad, nil
}

type parser struct {
	rows []RegistryRow
	bad  []RowError
	seen map[string]int
}

func (p *parser) csv(data []byte) error {
	r := csv.NewReader(bytes.NewReader(data))
	r.ReuseRecord = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return &RowError{0, "", RowEmpty}
	}
	if err != nil {
		return &RowError{0, "", RowSyntax}
	}
	names := make([]string, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch {
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
	for n := 1; ; n++ {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, csv.ErrFieldCount):
			p.fail(n, "", RowColumns)
			continue
		case err != nil: // a quote that is not closed: what follows cannot be told apart
			p.fail(n, "", RowSyntax)
			return nil
		}
		fields := make(map[string]string, len(names))
		for i, v := range record {
			fields[names[i]] = v
		}
		p.row(n, fields)
	}
}

func (p *parser) json(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return &RowError{0, "", RowSyntax}
	}
	for n := 1; d.More(); n++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			p.fail(n, "", RowSyntax)
			return nil
		}
		fields, field, reason := jsonFields(raw)
		if reason != "" {
			p.fail(n, field, reason)
			continue
		}
		p.row(n, fields)
	}
	if _, err := d.Token(); err != nil {
		return &RowError{0, "", RowSyntax}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &RowError{0, "", RowSyntax}
	}
	return nil
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
	if len(p.bad) < maxRowErrors {
		p.bad = append(p.bad, RowError{row, field, reason})
	}
}

// row reads the fields of one row; each that is wrong is told.
func (p *parser) row(n int, fields map[string]string) {
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
		case strings.ContainsFunc(v, func(c rune) bool { return unicode.IsControl(c) || c == '\ufffd' }):
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
		if err != nil {
			fail(field, RowDate)
		}
		return m
	}
	row.StatusFrom, row.ValidFrom, row.ValidTo = date("status_from"), date("valid_from"), date("valid_to")
	if f, t := row.ValidFrom, row.ValidTo; !f.IsZero() && !t.IsZero() && !f.begins(nil, false).Before(t.ends(nil, true)) {
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
		return
	}
	key := string(row.Kind) + "\x00" + row.Issuer + "\x00" + row.Number
	if _, twice := p.seen[key]; twice {
		p.fail(n, "number", RowTwice)
		return
	}
	p.seen[key] = n
	p.rows = append(p.rows, row)
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
