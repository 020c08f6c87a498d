package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) casePage(w http.ResponseWriter, r *http.Request) error {
	return s.showCase(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showCase(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("case page: %w", err)
	}
	p := pages.CasePage{Form: f, View: view, You: string(v.actor.Person), AskedBy: view.People[view.Responsible].Name,
		Image: r.URL.Query().Get("image"), FileReasons: map[workspace.FileID]string{}, Next: nextStep(view),
		Actionable: view.You.Own, Needs: scheduling.Arranges(v.actor, view.Organization) || view.Specialist == v.actor.Person && view.Specialist != ""}
	org, err := s.d.Identity.Organization(r.Context(), view.Organization)
	if err != nil {
		return fmt.Errorf("clinic of a case: %w", err)
	}
	p.Clinic = org.Name
	if p.Visits, err = s.caseAppointments(r.Context(), v, scheduling.CaseRef(view.ID), view.Organization); err != nil {
		return err
	}
	if p.Lost, err = s.caseLost(r.Context(), v, view); err != nil {
		return err
	}
	if who, ok := view.People[view.Specialist]; ok && view.Specialist != "" {
		p.SpecialistOf = &pages.CaseSpecialist{Name: who.Name, Specialty: view.Specialty, Languages: who.Languages, Zone: who.Zone}
	}
	if d := view.Advising; d != nil {
		if d.Allowed() {
			p.Scope = s.scopeLines(v.l, *d)
		} else {
			p.Closed = []pages.CaseReason{s.reason(v.l, d.Lead())}
		}
		if view.Clinical == nil && d.Allowed() {
			p.Closed = []pages.CaseReason{{Sentence: v.l.T(i18n.CaseErrorConsent)}}
		}
	}
	for _, file := range view.Files {
		if file.Refusal != nil {
			p.FileReasons[file.ID] = s.refusalText(v.l, file.Refusal)
		}
	}
	title := v.l.T(i18n.CaseNumber, i18n.V{"Number": view.Number})
	if view.Clinical != nil {
		title = view.Clinical.Title
	}
	if p.Layout, err = s.titled(w, r, title); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	return s.render(w, r, status, pages.Case(p))
}

// nextStep is what the reader does next; "" if others have the next step.
func nextStep(v workspace.View) string {
	open := 0
	for _, c := range v.Cards {
		if c.ConfirmedAt.IsZero() {
			open++
		}
	}
	switch {
	case v.May["submit"]:
		return "submit"
	case v.May["triage"]:
		return "triage"
	case v.May["opinion"] && v.State == workspace.Assigned && v.Clinical != nil:
		return "opinion"
	case v.May["read_back"] && open > 0:
		return "cards"
	case v.May["decide"]:
		return "decide"
	case v.May["hand_back"]:
		return "hand_back"
	case v.May["close"]:
		return "close"
	case v.State == workspace.Assigned && v.You.Own && v.May["consent"]:
		return "times"
	default:
		return ""
	}
}

// caseFailed shows the case with what went wrong; an unexpected error goes on.
func (s *Server) caseFailed(w http.ResponseWriter, r *http.Request, f pages.Form, err error) error {
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound {
		return err
	}
	f.Fail("", text)
	return s.showCase(w, r, status, f)
}

func (s *Server) addMessage(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	text := f.Require(v.l, "text", i18n.CaseViewReply, 10000)
	if !f.OK() {
		return s.showCase(w, r, http.StatusUnprocessableEntity, f)
	}
	if _, err := s.d.Workspace.Say(r.Context(), v.actor, caseID(r), workspace.Message{Text: text, Language: v.l.Tag()}); err != nil {
		return s.caseFailed(w, r, f, fmt.Errorf("message: %w", err))
	}
	return s.redirect(w, r, caseAddress(caseID(r))+"#discussion")
}

func (s *Server) addFile(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, workspace.MaxFile+maxForm)
	if errors.Is(err, errTooLarge) {
		f = pages.Form{}
		f.Fail("file", i18n.ErrorTooLarge)
		return s.showCase(w, r, http.StatusRequestEntityTooLarge, f)
	}
	if err != nil {
		return err
	}
	if r.MultipartForm != nil {
		defer r.MultipartForm.RemoveAll()
	}
	v := visitOf(r)
	var classes []string
	for _, c := range workspace.Classes {
		classes = append(classes, string(c))
	}
	class := f.Choose(v.l, "class", i18n.CaseViewFileClass, classes...)
	sent := f.Files["file"]
	if len(sent) != 1 {
		f.Fail("file", i18n.CaseErrorNoFile)
	}
	if !f.OK() {
		return s.showCase(w, r, http.StatusUnprocessableEntity, f)
	}
	content, err := sent[0].Open()
	if err != nil {
		return fmt.Errorf("add file: %w", err)
	}
	defer content.Close()
	_, err = s.d.Workspace.Upload(r.Context(), v.actor, caseID(r), workspace.UploadRequest{Name: sent[0].Filename, Class: workspace.Class(class), Language: v.l.Tag(), Content: content})
	if err == nil {
		return s.done(w, r, caseAddress(caseID(r)), pages.LevelOK, i18n.CaseFlashFile)
	}
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound {
		return fmt.Errorf("add file: %w", err)
	}
	f.Fail("file", text)
	return s.showCase(w, r, status, f)
}

// caseFile sends a file. It is never a page of ours: attached, in a sandbox.
func (s *Server) caseFile(w http.ResponseWriter, r *http.Request) error {
	f, content, err := s.d.Workspace.OpenFile(r.Context(), actorOf(r), caseID(r), workspace.FileID(r.PathValue("file")))
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", f.MediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Length", fmt.Sprint(f.Size))
	if _, err := io.Copy(w, content); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

func (s *Server) triagePage(w http.ResponseWriter, r *http.Request) error {
	return s.showTriage(w, r, http.StatusOK, nil)
}

func (s *Server) showTriage(w http.ResponseWriter, r *http.Request, status int, failed *pages.Flash) error {
	v := visitOf(r)
	list, err := s.d.Workspace.Candidates(r.Context(), v.actor, caseID(r))
	if err != nil {
		return s.caseFailed(w, r, pages.Form{}, fmt.Errorf("triage: %w", err))
	}
	view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("triage: %w", err)
	}
	p := pages.CaseTriagePage{Case: string(view.ID), Place: view.Place, Error: failed}
	for _, c := range list {
		row := pages.CaseCandidate{ID: string(c.Person.ID), Name: c.Person.Name, Home: c.Person.Home, Languages: c.Person.Languages,
			Visit: c.Visit.Allowed(), Shares: c.SharesSpeech}
		if c.Organization != "" {
			org, err := s.d.Identity.Organization(r.Context(), c.Organization)
			if err != nil {
				return fmt.Errorf("triage: %w", err)
			}
			row.Center = org.Name
		}
		if c.Advise.Allowed() {
			for _, name := range c.MissingFirst {
				row.Before = append(row.Before, s.sentence(v.l, "before:"+name))
			}
			p.May = append(p.May, row)
			continue
		}
		row.Lead = s.reason(v.l, c.Advise.Lead())
		named, err := s.faults(r.Context(), v.l, c.Advise.Reasons)
		if err != nil {
			return fmt.Errorf("triage: %w", err)
		}
		for _, code := range c.Advise.Reasons {
			if text, ok := named[code]; ok {
				row.All = append(row.All, text)
			} else {
				row.All = append(row.All, s.sentence(v.l, code))
			}
		}
		p.MayNot = append(p.MayNot, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.CaseTriageTitle); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	return s.render(w, r, status, pages.CaseTriage(p))
}

func (s *Server) assignCase(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	err = s.d.Workspace.Assign(r.Context(), actorOf(r), caseID(r), identity.PersonID(f.Value("specialist")))
	if err == nil {
		return s.done(w, r, caseAddress(caseID(r)), pages.LevelOK, i18n.CaseFlashAssigned)
	}
	var refused *workspace.Refusal
	if errors.As(err, &refused) {
		return s.showTriage(w, r, http.StatusUnprocessableEntity, &pages.Flash{Level: pages.LevelBad, Text: s.refusalText(localizer(r), refused)})
	}
	return fmt.Errorf("assign case: %w", err)
}

func (s *Server) returnCase(w http.ResponseWriter, r *http.Request) error {
	return s.withReason(w, r, i18n.CaseFlashReturned, func(reason string) error {
		return s.d.Workspace.Return(r.Context(), actorOf(r), caseID(r), reason)
	})
}

func (s *Server) declineCase(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if err := s.d.Workspace.Decline(r.Context(), actorOf(r), caseID(r), f.Value("reason")); err != nil {
		return s.caseFailed(w, r, f, fmt.Errorf("decline case: %w", err))
	}
	// The case is no longer the specialist's to see.
	return s.done(w, r, "/cases", pages.LevelOK, i18n.CaseFlashDeclined)
}

func (s *Server) withdrawCase(w http.ResponseWriter, r *http.Request) error {
	return s.withReason(w, r, i18n.FlashSaved, func(reason string) error {
		return s.d.Workspace.Withdraw(r.Context(), actorOf(r), caseID(r), reason)
	})
}

func (s *Server) withReason(w http.ResponseWriter, r *http.Request, say i18n.ID, do func(reason string) error) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if err := do(f.Value("reason")); err != nil {
		return s.caseFailed(w, r, f, err)
	}
	return s.done(w, r, caseAddress(caseID(r)), pages.LevelOK, say)
}

func (s *Server) closeCase(w http.ResponseWriter, r *http.Request) error {
	if err := s.d.Workspace.Close(r.Context(), actorOf(r), caseID(r)); err != nil {
		return s.caseFailed(w, r, pages.Form{}, fmt.Errorf("close case: %w", err))
	}
	return s.done(w, r, caseAddress(caseID(r)), pages.LevelOK, i18n.CaseFlashClosed)
}

func (s *Server) handBack(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	req := workspace.HandBackRequest{To: f.Require(v.l, "to", i18n.CaseHandbackTo, 200), Summary: f.Require(v.l, "summary", i18n.CaseHandbackSummary, 10000), Language: v.l.Tag()}
	if !f.OK() {
		return s.showCase(w, r, http.StatusUnprocessableEntity, f)
	}
	if err := s.d.Workspace.HandBack(r.Context(), v.actor, caseID(r), req); err != nil {
		return s.caseFailed(w, r, f, fmt.Errorf("hand back: %w", err))
	}
	return s.done(w, r, caseAddress(caseID(r)), pages.LevelOK, i18n.CaseFlashHandedBack)
}
