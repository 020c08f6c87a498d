package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// caseRoutes are the addresses of the case pages.
func (s *Server) caseRoutes() []route {
	return []route{
		{http.MethodGet, "/cases", member, s.casesPage},
		{http.MethodGet, "/cases/new", holding(identity.RoleLocalPhysician), s.newCasePage},
		{http.MethodPost, "/cases/new", holding(identity.RoleLocalPhysician), s.createCase},
		{http.MethodGet, "/cases/{case}", member, s.casePage},
		{http.MethodGet, "/cases/{case}/edit/{step}", member, s.editCasePage},
		{http.MethodPost, "/cases/{case}/edit/{step}", member, s.editCase},
		{http.MethodPost, "/cases/{case}/submit", member, s.submitCase},
		{http.MethodGet, "/cases/{case}/identity", member, s.caseIdentity},
		{http.MethodGet, "/cases/{case}/consents", member, s.consentsPage},
		{http.MethodPost, "/cases/{case}/consents", member, s.recordConsents},
		{http.MethodPost, "/cases/{case}/consents/{consent}/withdraw", member, s.withdrawConsent},
		{http.MethodPost, "/cases/{case}/files", member, s.addFile},
		{http.MethodGet, "/cases/{case}/files/{file}", member, s.caseFile},
		{http.MethodPost, "/cases/{case}/messages", member, s.addMessage},
		{http.MethodGet, "/cases/{case}/specialists", member, s.triagePage},
		{http.MethodPost, "/cases/{case}/assign", member, s.assignCase},
		{http.MethodPost, "/cases/{case}/return", member, s.returnCase},
		{http.MethodPost, "/cases/{case}/decline", member, s.declineCase},
		{http.MethodPost, "/cases/{case}/withdraw", member, s.withdrawCase},
		{http.MethodGet, "/cases/{case}/opinion", member, s.opinionPage},
		{http.MethodPost, "/cases/{case}/opinion", member, s.saveOpinion},
		{http.MethodPost, "/cases/{case}/cards/{card}", member, s.readBack},
		{http.MethodGet, "/cases/{case}/decision", member, s.decisionPage},
		{http.MethodPost, "/cases/{case}/decision", member, s.prepareDecision},
		{http.MethodGet, "/cases/{case}/sign/{request}", member, s.signPage},
		{http.MethodPost, "/cases/{case}/sign/{request}", member, s.signCase},
		{http.MethodGet, "/cases/{case}/bundle", member, s.caseBundle},
		{http.MethodPost, "/cases/{case}/hand-back", member, s.handBack},
		{http.MethodPost, "/cases/{case}/close", member, s.closeCase},
	}
}

func caseID(r *http.Request) workspace.CaseID { return workspace.CaseID(r.PathValue("case")) }

func caseAddress(id workspace.CaseID, rest ...string) string {
	return strings.Join(append([]string{"/cases", string(id)}, rest...), "/")
}

// caseLanguages are those in which people write cases here.
var caseLanguages = []string{"en", "fr", "ar", "sw", "pt", "es", "ru", "zh", "de", "am", "bn", "fa", "hi", "id", "it", "ja", "kk", "ko", "my", "ne", "nl", "pl", "rw",
	"so", "th", "tr", "uk", "ur", "uz", "vi"}

// patientLanguages are those a patient can be asked about in the form.
var patientLanguages = []string{"ar", "en", "fr", "sw", "so", "am", "pt", "es", "ru", "zh", "de"}

// morePlaces are places a patient may be in for which there is no pack: the answer
// there is no, and saying so is the point.
var morePlaces = []string{"UG", "TZ", "RW", "ET", "SO", "SS", "LB", "JO", "EG"}

func (s *Server) places() []string {
	var out []string
	for _, code := range s.d.Credentialing.Rules().Codes() {
		if code != "ZZ" && code != "EU" && !strings.HasPrefix(code, "X-") {
			out = append(out, code)
		}
	}
	for _, code := range morePlaces {
		if !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	return out
}

func (s *Server) casesPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	list, err := s.d.Workspace.ListFor(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("list of cases: %w", err)
	}
	p := pages.CasesPage{MayNew: v.actor.Has(identity.RoleLocalPhysician)}
	for _, item := range list {
		if item.Yours != "" {
			p.Mine = append(p.Mine, item)
		} else {
			p.Board = append(p.Board, item)
		}
	}
	if p.Layout, err = s.layout(w, r, i18n.CaseListTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Cases(p))
}

// casesWaiting are the cases in which the visitor has the next step.
func (s *Server) casesWaiting(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if s.d.Workspace == nil || v.actor.Guest() {
		return nil, nil
	}
	list, err := s.d.Workspace.ListFor(ctx, v.actor)
	if err != nil {
		return nil, fmt.Errorf("cases that wait: %w", err)
	}
	var out []pages.HomeItem
	for _, c := range list {
		id := i18n.ID("")
		switch {
		case c.Yours == workspace.RoleResponsible:
			id = map[workspace.State]i18n.ID{workspace.Draft: i18n.CaseWaitDraft, workspace.Submitted: i18n.CaseWaitTriage, workspace.Triaged: i18n.CaseWaitTriage,
				workspace.Declined: i18n.CaseWaitTriage, workspace.Returned: i18n.CaseWaitReturned, workspace.Advised: i18n.CaseWaitDecide,
				workspace.Decided: i18n.CaseWaitHandBack}[c.State]
		case c.Yours == workspace.RoleSpecialist && c.State == workspace.Assigned:
			id = i18n.CaseWaitOpinion
		}
		if id == "" {
			continue
		}
		out = append(out, pages.HomeItem{Href: caseAddress(c.ID), Title: v.l.T(id, i18n.V{"Number": c.Number}), Detail: c.Title,
			Tag: v.l.T(i18n.ID("case.state." + string(c.State))), Level: pages.LevelInfo})
	}
	return out, nil
}

// the form

func (s *Server) newCasePage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	org, err := s.d.Identity.Organization(r.Context(), v.actor.Organization)
	if err != nil {
		return fmt.Errorf("clinic of a new case: %w", err)
	}
	f := pages.Form{}
	f.Prefill("language", baseTag(v.l.Tag()))
	f.Prefill("place", org.Place)
	f.Prefill("zone", org.Zone)
	f.Prefill("urgency", string(workspace.Soon))
	return s.showCaseForm(w, r, http.StatusOK, f, "patient", workspace.Case{})
}

func (s *Server) showCaseForm(w http.ResponseWriter, r *http.Request, status int, f pages.Form, step string, c workspace.Case) error {
	v := visitOf(r)
	p := pages.CaseFormPage{Form: f, Step: step, Case: string(c.ID), Number: c.Number, Places: s.places(), Languages: caseLanguages, Allergies: pages.CaseAllergies}
	var err error
	if p.Tongues, p.OtherTongues, err = s.tongues(r.Context(), v.l, f.All("languages")); err != nil {
		return err
	}
	if c.ID == "" {
		if p.Known, err = s.d.Workspace.Patients(r.Context(), v.actor); err != nil {
			return fmt.Errorf("known patients: %w", err)
		}
		p.Layout, err = s.layout(w, r, i18n.CaseFormNew)
	} else {
		p.Layout, err = s.layout(w, r, i18n.CaseFormEdit, i18n.V{"Number": c.Number})
		p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(c.ID), Label: c.Number})
	}
	if err != nil {
		return err
	}
	if len(p.Crumbs) == 0 {
		p.Crumbs = s.caseCrumbs(v.l)
	}
	return s.render(w, r, status, pages.CaseForm(p))
}

func (s *Server) caseCrumbs(l *i18n.Localizer) []pages.Crumb {
	return []pages.Crumb{{Href: "/cases", Label: l.T(i18n.CaseCrumb)}}
}

// readPatient takes the first step of the form into n.
func (s *Server) readPatient(l *i18n.Localizer, f *pages.Form, n *workspace.NewCase, known []workspace.KnownPatient) {
	n.Clinical.Title = f.Require(l, "title", i18n.CaseFieldTitle, 200)
	n.Specialty = f.Choose(l, "specialty", i18n.CaseFieldSpecialty, pages.CaseSpecialties...)
	n.Clinical.Language = f.Choose(l, "language", i18n.CaseFieldLanguage, caseLanguages...)
	var urgencies []string
	for _, u := range pages.CaseUrgencies {
		urgencies = append(urgencies, string(u))
	}
	n.Urgency = workspace.Urgency(f.Choose(l, "urgency", i18n.CaseFieldUrgency, urgencies...))
	n.Languages = nil
	for _, tag := range append(f.All("languages"), f.Value("language_other")) {
		if patientLanguage(tag) && !slices.Contains(n.Languages, tag) {
			n.Languages = append(n.Languages, tag)
		}
	}
	if len(n.Languages) == 0 {
		f.Fail("languages", i18n.FormRequired, i18n.V{"Field": l.T(i18n.CaseFieldLanguages)})
	}
	n.Place = f.Choose(l, "place", i18n.CaseFieldPlace, s.places()...)
	n.Zone = f.Require(l, "zone", i18n.CaseFieldZone, 64)
	n.IdentityConfirmed = f.Has("identity_confirmed", "yes")
	n.Identity.Record = f.Optional(l, "record", i18n.CaseFieldRecord, 64)
	n.Identity.BirthDate = f.Optional(l, "birth_date", i18n.CaseFieldBirth, 10)
	for _, k := range known {
		if f.Value("known") == string(k.Person.ID) {
			n.Patient = k.Pseudonym
			n.Identity.Name, n.Identity.Contact = k.Person.Name, k.Person.Email
			return
		}
	}
	if len(known) > 0 && f.Choose(l, "known", i18n.CaseFieldKnown, "new") != "new" {
		return
	}
	n.Identity.Name = f.Require(l, "name", i18n.CaseFieldName, 200)
	n.Identity.Contact = f.Optional(l, "contact", i18n.CaseFieldContact, 200)
	n.Patient.Initials = initialsOf(n.Identity.Name)
	n.Patient.Sex = f.Choose(l, "sex", i18n.CaseFieldSex, "female", "male", "other", "unknown")
	year, err := strconv.Atoi(f.Value("birth_year"))
	if err != nil || year < 1890 || year > s.now().Year() {
		f.Fail("birth_year", i18n.FormInvalid, i18n.V{"Field": l.T(i18n.CaseFieldBirthYear)})
	}
	n.Patient.BirthYear = year
}

// initialsOf makes the pseudonym of a name: "Salma Idris" is "S.I.".
func initialsOf(name string) string {
	var b strings.Builder
	for _, word := range strings.Fields(name) {
		for _, letter := range word {
			b.WriteString(strings.ToUpper(string(letter)) + ".")
			break
		}
	}
	return b.String()
}

func readQuestion(l *i18n.Localizer, f *pages.Form, n *workspace.NewCase) {
	q := &n.Clinical.Question
	q.Asked = f.Require(l, "asked", i18n.CaseFieldAsked, 4000)
	q.Tried = f.Optional(l, "tried", i18n.CaseFieldTried, 4000)
	q.Feared = f.Optional(l, "feared", i18n.CaseFieldFeared, 4000)
	q.ByWhen = f.Optional(l, "by_when", i18n.CaseFieldByWhen, 200)
}

func readHistory(l *i18n.Localizer, f *pages.Form, n *workspace.NewCase) {
	c := &n.Clinical
	c.History = f.Require(l, "history", i18n.CaseFieldHistory, 20000)
	c.Medication = f.Optional(l, "medication", i18n.CaseFieldMedication, 4000)
	c.Findings = f.Optional(l, "findings", i18n.CaseFieldFindings, 20000)
	c.Preference = f.Optional(l, "preference", i18n.CaseFieldPreference, 1000)
	c.Allergies = nil
	for i := 1; i <= pages.CaseAllergies; i++ {
		name := "allergy-" + strconv.Itoa(i) + "-"
		a := workspace.Allergy{Substance: f.Value(name + "substance"), Reaction: f.Value(name + "reaction"), Severity: f.Value(name + "severity")}
		if a == (workspace.Allergy{}) {
			continue
		}
		a.Substance = f.Require(l, name+"substance", i18n.CaseFieldSubstance, 200)
		a.Severity = f.Choose(l, name+"severity", i18n.CaseFieldSeverity, "mild", "moderate", "severe")
		c.Allergies = append(c.Allergies, a)
	}
}

// failFields puts what a room found incomplete beside the fields.
func failFields(l *i18n.Localizer, f *pages.Form, err error, names map[string]i18n.ID) bool {
	var incomplete *workspace.ErrIncomplete
	if !errors.As(err, &incomplete) {
		return false
	}
	for _, field := range incomplete.Fields {
		if label, ok := names[field]; ok {
			f.Fail(field, i18n.FormInvalid, i18n.V{"Field": l.T(label)})
		} else {
			f.Fail("", i18n.CaseErrorIncomplete)
		}
	}
	return true
}

var caseFieldNames = map[string]i18n.ID{"zone": i18n.CaseFieldZone, "place": i18n.CaseFieldPlace, "birth_date": i18n.CaseFieldBirth,
	"birth_year": i18n.CaseFieldBirthYear, "asked": i18n.CaseFieldAsked, "history": i18n.CaseFieldHistory, "languages": i18n.CaseFieldLanguages,
	"title": i18n.CaseFieldTitle, "sex": i18n.CaseFieldSex}

func (s *Server) createCase(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	known, err := s.d.Workspace.Patients(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("known patients: %w", err)
	}
	var n workspace.NewCase
	s.readPatient(v.l, &f, &n, known)
	if f.OK() {
		id, err := s.d.Workspace.Create(r.Context(), v.actor, n)
		if err == nil {
			return s.done(w, r, caseAddress(id, "edit", "question"), pages.LevelOK, i18n.CaseFlashCreated)
		}
		if !failFields(v.l, &f, err, caseFieldNames) {
			return fmt.Errorf("create case: %w", err)
		}
	}
	return s.showCaseForm(w, r, http.StatusUnprocessableEntity, f, "patient", workspace.Case{})
}

func (s *Server) editCasePage(w http.ResponseWriter, r *http.Request) error {
	step := r.PathValue("step")
	if !slices.Contains(pages.CaseSteps, step) {
		return errNotFound
	}
	n, c, err := s.d.Workspace.Editable(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("edit case: %w", err)
	}
	f := pages.Form{}
	f.Prefill("version", strconv.Itoa(c.Version))
	q := n.Clinical.Question
	for field, value := range map[string]string{"title": n.Clinical.Title, "specialty": n.Specialty, "language": n.Clinical.Language, "urgency": string(n.Urgency),
		"name": n.Identity.Name, "birth_date": n.Identity.BirthDate, "record": n.Identity.Record, "contact": n.Identity.Contact, "sex": n.Patient.Sex,
		"birth_year": strconv.Itoa(n.Patient.BirthYear), "place": n.Place, "zone": n.Zone, "asked": q.Asked, "tried": q.Tried, "feared": q.Feared,
		"by_when": q.ByWhen, "history": n.Clinical.History, "medication": n.Clinical.Medication, "findings": n.Clinical.Findings, "preference": n.Clinical.Preference} {
		f.Prefill(field, value)
	}
	f.Values["languages"] = n.Languages
	if n.IdentityConfirmed {
		f.Prefill("identity_confirmed", "yes")
	}
	for i, a := range n.Clinical.Allergies {
		name := "allergy-" + strconv.Itoa(i+1) + "-"
		f.Prefill(name+"substance", a.Substance)
		f.Prefill(name+"reaction", a.Reaction)
		f.Prefill(name+"severity", a.Severity)
	}
	return s.showCaseForm(w, r, http.StatusOK, f, step, c)
}

func (s *Server) editCase(w http.ResponseWriter, r *http.Request) error {
	step := r.PathValue("step")
	if !slices.Contains(pages.CaseSteps, step) {
		return errNotFound
	}
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	n, c, err := s.d.Workspace.Editable(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("edit case: %w", err)
	}
	next := caseAddress(c.ID, "consents")
	switch step {
	case "patient":
		s.readPatient(v.l, &f, &n, nil)
		next = caseAddress(c.ID, "edit", "question")
	case "question":
		readQuestion(v.l, &f, &n)
		next = caseAddress(c.ID, "edit", "history")
	case "history":
		readHistory(v.l, &f, &n)
	}
	version, _ := strconv.Atoi(f.Value("version"))
	if f.OK() {
		err := s.d.Workspace.Edit(r.Context(), v.actor, c.ID, version, n)
		switch {
		case err == nil:
			return s.done(w, r, next, pages.LevelOK, i18n.FlashSaved)
		case errors.Is(err, workspace.ErrVersion):
			f.Fail("", i18n.ErrorVersion)
		case !failFields(v.l, &f, err, caseFieldNames):
			return fmt.Errorf("edit case: %w", err)
		}
	}
	return s.showCaseForm(w, r, http.StatusUnprocessableEntity, f, step, c)
}

func (s *Server) submitCase(w http.ResponseWriter, r *http.Request) error {
	err := s.d.Workspace.Submit(r.Context(), actorOf(r), caseID(r))
	if err == nil {
		return s.done(w, r, caseAddress(caseID(r), "specialists"), pages.LevelOK, i18n.CaseFlashSubmitted)
	}
	f := pages.Form{}
	if !failFields(localizer(r), &f, err, map[string]i18n.ID{"asked": i18n.CaseFieldAsked, "history": i18n.CaseFieldHistory}) {
		return s.caseFailed(w, r, f, fmt.Errorf("submit case: %w", err))
	}
	return s.showCase(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) caseIdentity(w http.ResponseWriter, r *http.Request) error {
	who, err := s.d.Workspace.OpenIdentity(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("identity of a patient: %w", err)
	}
	c, err := s.d.Workspace.Open(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("identity of a patient: %w", err)
	}
	p := pages.CaseIdentityPage{Case: string(caseID(r)), Identity: who}
	if p.Layout, err = s.layout(w, r, i18n.CaseViewIdentityTitle, i18n.V{"Number": c.Number}); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(localizer(r)), pages.Crumb{Href: caseAddress(caseID(r)), Label: c.Number})
	return s.render(w, r, http.StatusOK, pages.CaseIdentity(p))
}

// reason says a code of a determination with the rule behind it.
func (s *Server) reason(l *i18n.Localizer, code string) pages.CaseReason {
	e := s.d.Credentialing.Explain(code)
	return pages.CaseReason{Sentence: s.sentence(l, code), Rule: e.RuleText, Source: e.Source}
}

// refusalText is the sentence of a refusal of the workspace.
func (s *Server) refusalText(l *i18n.Localizer, r *workspace.Refusal) string {
	if r.Lead != "" {
		return s.sentence(l, r.Lead)
	}
	return l.T(i18n.ID("case.error." + r.Code))
}

// scopeLines say what a determination allows and under which limits.
func (s *Server) scopeLines(l *i18n.Localizer, d credentialing.Determination) []pages.CaseReason {
	if !d.Allowed() {
		return nil
	}
	out := []pages.CaseReason{{Sentence: l.T(i18n.CaseScopeAdvise)}, {Sentence: l.T(i18n.CaseScopeNoOrders)}}
	for _, c := range d.Conditions {
		out = append(out, s.reason(l, c))
	}
	return out
}

// caseRefusal is the row of a refusal of the workspace.
func caseRefusal(err error, r *workspace.Refusal) errorRow {
	row := errorRow{err, http.StatusConflict, i18n.ErrorConflictTitle, i18n.ID("case.error." + r.Code), slog.LevelInfo}
	switch r.Code {
	case workspace.RefusedRole, workspace.RefusedConsent, workspace.RefusedAgreement, workspace.RefusedScope:
		row.status, row.title, row.level = http.StatusForbidden, i18n.ErrorForbiddenTitle, slog.LevelWarn
	case workspace.RefusedAssertion:
		row.status, row.title, row.level = http.StatusUnprocessableEntity, i18n.ErrorUnprocessableTitle, slog.LevelWarn
	}
	return row
}
