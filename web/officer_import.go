package web

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// shownRows are as many rows of a file as a page shows of each outcome.
const shownRows = 200

func (s *Server) imports(w http.ResponseWriter, r *http.Request) error {
	return s.showImports(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showImports(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	list, err := s.d.Credentialing.Imports(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("registry files: %w", err)
	}
	p := pages.ImportsPage{Form: f, Encodings: encodingNames()}
	for _, i := range list {
		p.Files = append(p.Files, pages.ImportFile{Href: "/credentials/imports/" + string(i.ID), Source: i.Source, Received: i.ReceivedAt, Applied: i.AppliedAt})
	}
	if p.Layout, err = s.layout(w, r, i18n.RecordImports); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.Imports(p))
}

// uploaded reads one file of a form; it fails the field where there is none.
func (s *Server) uploaded(r *http.Request, f *pages.Form, field string, label i18n.ID, limit int64) ([]byte, error) {
	heads := f.Files[field]
	if len(heads) == 0 {
		f.Fail(field, i18n.FormRequired, i18n.V{"Field": localizer(r).T(label)})
		return nil, nil
	}
	body, err := heads[0].Open()
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	return data, nil
}

func (s *Server) receiveImport(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, credentialing.MaxImport+maxForm)
	if err != nil {
		return err
	}
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	}
	l := localizer(r)
	file := credentialing.ImportFile{Source: f.Require(l, "source", i18n.OfficerSource, 200)}
	if f.Value("encoding") != "" {
		file.Encoding = credentialing.Encoding(f.Choose(l, "encoding", i18n.ImportsEncoding, encodingNames()...))
	}
	if heads := f.Files["file"]; len(heads) == 0 {
		f.Fail("file", i18n.FormRequired, i18n.V{"Field": l.T(i18n.OfficerFile)})
	} else {
		body, err := heads[0].Open() // a large one is on disk
		if err != nil {
			return fmt.Errorf("open upload: %w", err)
		}
		defer body.Close()
		file.Content = body
	}
	if f.OK() {
		id, err := s.d.Credentialing.ReceiveImport(r.Context(), actorOf(r), file)
		if err == nil {
			http.Redirect(w, r, "/credentials/imports/"+string(id), http.StatusSeeOther)
			return nil
		}
		var row *credentialing.RowError
		switch {
		case errors.As(err, &row) && row.Row > 0:
			f.Fail("file", i18n.ImportsRowRefused, i18n.V{"Row": row.Row, "Problem": rowProblem(l, *row)})
		case errors.As(err, &row):
			f.Fail("file", i18n.RecordFileRefused, i18n.V{"Problem": rowProblem(localizer(r), *row)})
		default:
			if err := s.failForm(&f, err); err != nil {
				return fmt.Errorf("receive a registry file: %w", err)
			}
		}
	}
	return s.showImports(w, r, http.StatusUnprocessableEntity, f)
}

// encodingNames are the encodings that a form offers, but for finding it out.
func encodingNames() []string {
	var out []string
	for _, e := range credentialing.Encodings {
		if e != credentialing.EncodingDetect {
			out = append(out, string(e))
		}
	}
	return out
}

// importFields are what the columns of a file mean.
var importFields = map[string]i18n.ID{"kind": i18n.OfficerKind, "issuer": i18n.OfficerIssuer, "number": i18n.OfficerNumber, "jurisdiction": i18n.OfficerPlace,
	"status": i18n.OfficerStatus, "status_from": i18n.FaultStatusFrom, "valid_from": i18n.OfficerFrom, "valid_to": i18n.OfficerTo, "holder": i18n.OfficerHolder,
	"type": i18n.OfficerType, "activities": i18n.OfficerActivities}

// fieldNames are the names of columns as a reader knows them; a column of the file's own
// stays as it is.
func fieldNames(l *i18n.Localizer, fields []string) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		if out[i] = f; importFields[f] != "" {
			out[i] = l.T(importFields[f])
		}
	}
	return out
}

// rowProblem says what is wrong with a row, or with a file.
func rowProblem(l *i18n.Localizer, e credentialing.RowError) string {
	text := l.T(i18n.ID("record.row." + e.Reason))
	if label, ok := importFields[e.Field]; ok {
		return l.T(i18n.RowsFieldNamed, i18n.V{"Label": l.T(label), "Field": e.Field, "Problem": text})
	}
	if e.Field != "" { // a column of the file's own
		return l.T(i18n.RecordFieldProblem, i18n.V{"Field": e.Field, "Problem": text})
	}
	return text
}

func (s *Server) importPage(w http.ResponseWriter, r *http.Request) error {
	return s.showImport(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showImport(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	l := localizer(r)
	i, err := s.d.Credentialing.Preview(r.Context(), actorOf(r), credentialing.ImportID(r.PathValue("import")))
	if err != nil {
		return fmt.Errorf("registry file: %w", err)
	}
	ids := []identity.PersonID{i.ReceivedBy, i.AppliedBy}
	for _, row := range i.Rows {
		ids = append(ids, row.Person, row.Namesake)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	p := pages.ImportPage{Form: f, ID: string(i.ID), SHA256: hex.EncodeToString(i.SHA256[:]), Size: i.Size, Received: i.ReceivedAt, ReceivedBy: names[i.ReceivedBy],
		Applied: i.AppliedAt, AppliedBy: names[i.AppliedBy], Encoding: strings.ToUpper(string(i.Encoding))}
	for _, e := range i.Errors {
		p.Errors = append(p.Errors, pages.ImportError{Row: e.Row, Text: rowProblem(l, e)})
	}
	shown := map[credentialing.Outcome]int{}
	for _, o := range credentialing.Outcomes {
		p.Counts = append(p.Counts, pages.ImportCount{Name: "count_" + string(o), Outcome: i18n.ID("record.outcome." + string(o)), Count: i.Counts[o]})
	}
	for _, row := range i.Rows {
		if shown[row.Outcome]++; shown[row.Outcome] > shownRows {
			continue
		}
		p.Rows = append(p.Rows, importRow(l, row, names))
	}
	for _, n := range i.Counts {
		p.More += n
	}
	p.More -= len(p.Rows)
	if p.Layout, err = s.titled(w, r, i.Source); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/imports", Label: l.T(i18n.RecordImports)})
	return s.render(w, r, status, pages.Import(p))
}

func importRow(l *i18n.Localizer, row credentialing.PlannedRow, names map[identity.PersonID]string) pages.ImportRow {
	out := pages.ImportRow{Row: row.Row, Kind: kindID(row.Kind), Place: row.Jurisdiction, Number: row.Number, Person: names[row.Person],
		Outcome: i18n.ID("record.outcome." + string(row.Outcome)), Level: pages.LevelInfo, Namesake: names[row.Namesake], Fields: fieldNames(l, row.Fields)}
	if row.Credential != "" {
		out.Href = "/credentials/" + string(row.Credential)
	}
	if row.Status != "" {
		out.Status = i18n.ID("officer.status." + string(row.Status))
	}
	switch row.Outcome {
	case credentialing.OutcomeAdverse:
		out.Level = pages.LevelBad
	case credentialing.OutcomeUnmatched, credentialing.OutcomeAbsent:
		out.Level = pages.LevelWarn
	case credentialing.OutcomeNew, credentialing.OutcomeChanged:
		out.Level = pages.LevelOK
	}
	return out
}

func (s *Server) applyImport(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	seen := map[credentialing.Outcome]int{}
	for _, o := range credentialing.Outcomes {
		n, err := strconv.Atoi(f.Value("count_" + string(o)))
		if err != nil {
			return fmt.Errorf("%w: %w", errBadForm, err)
		}
		seen[o] = n
	}
	id := r.PathValue("import")
	_, err = s.d.Credentialing.ApplyImport(r.Context(), actorOf(r), credentialing.ImportID(id), seen)
	if err == nil {
		return s.done(w, r, "/credentials/imports/"+id, pages.LevelOK, i18n.RecordFlashApplied)
	}
	if err := s.failForm(&f, err); err != nil {
		return fmt.Errorf("apply a registry file: %w", err)
	}
	return s.showImport(w, r, http.StatusUnprocessableEntity, f)
}
