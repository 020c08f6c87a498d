package web

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) attachEvidence(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, credentialing.MaxEvidence+maxForm)
	if err != nil {
		return err
	}
	file := credentialing.EvidenceFile{Source: f.Require(localizer(r), "file_source", i18n.OfficerSource, 300)}
	if heads := f.Files["file"]; len(heads) == 0 {
		f.Fail("file", i18n.FormRequired, i18n.V{"Field": localizer(r).T(i18n.OfficerFile)})
	} else {
		body, err := heads[0].Open()
		if err != nil {
			return fmt.Errorf("open upload: %w", err)
		}
		defer body.Close()
		file.Content = body
	}
	if f.OK() {
		_, err := s.d.Credentialing.AttachEvidence(r.Context(), actorOf(r), credentialing.CredentialID(r.PathValue("credential")), file)
		if err == nil {
			return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelOK, i18n.OfficerFlashEvidence)
		}
		if id, ok := fileFault(err); ok {
			f.Fail("file", id)
		} else if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("attach evidence: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

// openEvidence sends a file as it was kept. It is never shown inside a page of ours:
// the browser saves it, and a policy of its own lets nothing in it run.
func (s *Server) openEvidence(w http.ResponseWriter, r *http.Request) error {
	file, err := s.d.Credentialing.OpenEvidence(r.Context(), actorOf(r), credentialing.CredentialID(r.PathValue("credential")), r.PathValue("sha256"))
	if err != nil {
		return fmt.Errorf("open evidence: %w", err)
	}
	defer file.Close()
	h := w.Header()
	h.Set("Content-Type", file.Media)
	h.Set("Content-Length", strconv.FormatInt(file.Size, 10))
	h.Set("Content-Disposition", `attachment; filename="evidence-`+r.PathValue("sha256")[:12]+extension(file.Media)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = io.Copy(w, file) // it was read through before; who went away misses nothing
	return nil
}

// fileFault is the sentence of a file that is not taken.
func fileFault(err error) (i18n.ID, bool) {
	switch {
	case errors.Is(err, credentialing.ErrEvidenceEmpty):
		return i18n.UploadErrorEmpty, true
	case errors.Is(err, credentialing.ErrEvidenceLarge):
		return i18n.UploadErrorLarge, true
	case errors.Is(err, credentialing.ErrEvidenceType):
		return i18n.UploadErrorType, true
	case errors.Is(err, credentialing.ErrEvidenceErased):
		return i18n.UploadErrorErased, true
	case errors.Is(err, workspace.ErrMalware):
		return i18n.CaseErrorMalware, true
	case errors.Is(err, workspace.ErrNoScanner):
		return i18n.UploadErrorScanner, true
	}
	return "", false
}

func extension(media string) string {
	switch media {
	case "application/pdf":
		return ".pdf"
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	}
	return ".txt"
}

func (s *Server) verifyCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), credentialing.CredentialID(r.PathValue("credential"))
	req := credentialing.VerifyRequest{Credential: id, Claim: credentialing.ClaimID(f.Value("claim")),
		Method: f.Choose(l, "method", i18n.OfficerMethod, methods...), Source: f.Require(l, "source", i18n.OfficerSource, 300),
		SourceAddress: f.Optional(l, "address", i18n.OfficerAddress, 500), Result: credentialing.Result(f.Choose(l, "result", i18n.OfficerResult, results...)),
		SourceStatus: credentialing.Status(f.Choose(l, "status", i18n.OfficerStatus, statuses...))}
	if shows := f.Value("shows"); shows != "" {
		sum, err := hex.DecodeString(shows)
		if err != nil || len(sum) != len(req.Evidence) {
			f.Fail("shows", i18n.ErrorInvalid)
		} else {
			copy(req.Evidence[:], sum)
		}
	}
	if f.OK() {
		_, err := s.d.Credentialing.Verify(r.Context(), actorOf(r), req)
		if err == nil {
			return s.done(w, r, "/credentials/"+string(id), pages.LevelOK, i18n.OfficerFlashAnswer)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) approveCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	err = s.d.Credentialing.Approve(r.Context(), actorOf(r), credentialing.VerificationID(f.Value("verification")))
	if err == nil {
		return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelOK, i18n.OfficerFlashApproved)
	}
	if err := s.failForm(&f, err); err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) returnCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	reason := f.Require(localizer(r), "reason", i18n.OfficerReason, 500)
	if f.OK() {
		err := s.d.Credentialing.Reject(r.Context(), actorOf(r), credentialing.VerificationID(f.Value("verification")), reason)
		if err == nil {
			return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelInfo, i18n.OfficerFlashReturned)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("return: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) reportStatus(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), credentialing.CredentialID(r.PathValue("credential"))
	report := credentialing.StatusReport{Credential: id, Status: credentialing.Status(f.Choose(l, "new_status", i18n.OfficerStatus, statuses...)),
		Source: f.Require(l, "status_source", i18n.OfficerSource, 300)}
	if v := f.Value("status_from"); v != "" {
		at, err := time.ParseInLocation(localTime, v, l.Zone())
		if err != nil {
			f.Fail("status_from", i18n.OfficerWhenBad)
		}
		report.From = at.UTC()
	}
	if f.OK() {
		pending, err := s.d.Credentialing.ReportStatus(r.Context(), actorOf(r), report)
		switch {
		case err == nil && pending:
			return s.done(w, r, "/credentials/"+string(id), pages.LevelInfo, i18n.OfficerFlashPending)
		case err == nil && report.From.After(s.now()):
			return s.done(w, r, "/credentials/"+string(id), pages.LevelOK, i18n.FaultFlashLater)
		case err == nil:
			return s.done(w, r, "/credentials/"+string(id), pages.LevelOK, i18n.OfficerFlashStatus)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("report status: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

// The choices of the forms.
var (
	methods  = []string{"primary-source", "equivalent", "signed-credential", "certificate", "attested"}
	results  = []string{"found", "not-found", "needs-review", "failed"}
	statuses = []string{"active", "suspended", "revoked", "surrendered", "lapsed"}
)

func (s *Server) credential(w http.ResponseWriter, r *http.Request) error {
	return s.showCredential(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showCredential(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, l := actorOf(r), localizer(r)
	c, err := s.d.Credentialing.View(r.Context(), actor, credentialing.CredentialID(r.PathValue("credential")))
	if err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	ids := []identity.PersonID{c.Person}
	if c.Verification != nil {
		ids = append(ids, c.Verification.Verifier, c.Verification.Approver)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	officer, own := actor.Has(identity.RoleOfficer), actor.Person == c.Person
	p := pages.CredentialPage{ID: string(c.ID), PersonHref: "/credentials/people/" + string(c.Person), PersonName: names[c.Person], Row: credentialRow(l, c),
		Claim: string(c.ClaimID), From: orDash(c.Claim.ValidFrom.String()), To: orDash(c.Claim.ValidTo.String()), Holder: c.Claim.HolderName,
		Territory: strings.Join(c.Claim.Territories, " "), Form: f, NotOwn: officer && own, MayVerify: officer && !own}
	if c.Claim.Facility != "" {
		if org, err := s.d.Identity.Organization(r.Context(), identity.OrganizationID(c.Claim.Facility)); err == nil {
			p.Facility = org.Name
		}
	}
	p.Restrictions, p.Cover = restrictionRows(c.Claim.Restrictions), c.Kind == credentialing.KindMalpractice
	if err := s.fillTerms(r, &p, c); err != nil {
		return err
	}
	if c.Claim.Currency != "" {
		p.Amounts = c.Claim.Currency + "\u00a0" + l.Number(c.Claim.PerClaim) + " / " + l.Number(c.Claim.Aggregate)
	}
	for _, a := range c.Claim.Activities {
		p.Activities = append(p.Activities, i18n.ID("scope.activity."+string(a)))
	}
	if len(c.Claim.Pair) == 2 {
		p.Pair = l.Language(c.Claim.Pair[0]) + " – " + l.Language(c.Claim.Pair[1])
	}
	for _, m := range c.Claim.Modes {
		p.Modes = append(p.Modes, i18n.ID("officer.mode."+m))
	}
	p.Methods, p.Results, p.Statuses = options(l, "officer.method.", methods...), options(l, "officer.result.", results...), options(l, "officer.status.", statuses...)
	for _, e := range c.Evidence {
		source, fault := e.Source, e.Fault
		if e.ByLink {
			source = l.T(i18n.UploadByLink)
		}
		if e.Erased {
			fault = "erased"
		}
		p.Evidence = append(p.Evidence, pages.EvidenceRow{ByLink: e.ByLink, Fault: fault, Href: "/credentials/" + string(c.ID) + "/evidence/" + e.SHA256, Media: e.MediaType, Size: e.Size,
			Source: e.Source, At: e.CapturedAt, SHA256: e.SHA256})
		p.Files = append(p.Files, pages.Option{Value: e.SHA256, Text: source + " (" + e.SHA256[:12] + ")"})
	}
	if p.MayVerify {
		p.Form.Prefill("status", string(credentialing.StatusActive))
		p.Form.Prefill("source", c.Issuer)
		method := methods[0]
		if c.Kind == credentialing.KindMalpractice {
			method = "certificate" // enough for cover, which has no register
		}
		p.Form.Prefill("method", method)
		if n := len(p.Files); n > 0 {
			p.Form.Prefill("shows", p.Files[n-1].Value)
		}
	}
	if v := c.Verification; v != nil {
		p.Answer = &pages.AnswerView{Verification: string(v.ID), Verifier: names[v.Verifier], Approver: names[v.Approver],
			Method: i18n.ID("officer.method." + v.Method), Result: i18n.ID("officer.result." + string(v.Result)), Status: i18n.ID("officer.status." + string(v.SourceStatus)),
			Source: v.Source, Address: v.SourceAddress, At: v.AskedAt, NextDue: v.NextDue, Reason: v.Reason, State: i18n.ID("officer.state." + string(v.State)),
			Level: stateLevel(v.State), SHA256: v.Evidence}
		open := v.State == credentialing.StateAnswered || v.State == credentialing.StateNeedsReview
		p.MayDecide = officer && !own && open && v.Verifier != actor.Person
		p.NotYou = officer && open && v.Verifier == actor.Person
	}
	for _, st := range c.Statuses {
		if st.Superseded {
			continue
		}
		row := pages.StatusRow{Status: i18n.ID("officer.status." + string(st.Status)), Level: pages.LevelOK, From: st.From, Source: st.Source, Pending: st.Pending()}
		if st.Status.Adverse() {
			row.Level = pages.LevelBad
		}
		p.History = append(p.History, row)
	}
	if p.Links, err = s.uploadLinks(r, c.ID); err != nil {
		return err
	}
	title := l.T(kindID(c.Kind))
	if c.Jurisdiction != "" {
		title += " · " + l.Place(c.Jurisdiction)
	}
	if p.Layout, err = s.titled(w, r, title); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: p.PersonHref, Label: p.PersonName})
	return s.render(w, r, status, pages.Credential(p))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func stateLevel(st credentialing.State) pages.Level {
	switch st {
	case credentialing.StateApproved:
		return pages.LevelOK
	case credentialing.StateRejected:
		return pages.LevelBad
	case credentialing.StateNeedsReview:
		return pages.LevelWarn
	}
	return pages.LevelInfo
}
