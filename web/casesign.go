package web

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) opinionPage(w http.ResponseWriter, r *http.Request) error {
	view, err := s.d.Workspace.Open(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("opinion editor: %w", err)
	}
	f := pages.Form{}
	f.Prefill("version", strconv.Itoa(view.DraftVersion))
	f.Prefill("language", baseTag(localizer(r).Tag()))
	if view.Draft != nil {
		f = opinionForm(*view.Draft, view.DraftVersion)
	}
	return s.showOpinion(w, r, http.StatusOK, f, view)
}

func (s *Server) showOpinion(w http.ResponseWriter, r *http.Request, status int, f pages.Form, view workspace.View) error {
	if !view.May["opinion"] || view.Clinical == nil {
		return errForbidden
	}
	v := visitOf(r)
	p := pages.CaseOpinionPage{Form: f, Case: string(view.ID), Clinical: view.Clinical, Files: view.Files, Languages: caseLanguages}
	p.Patient = v.l.T(i18n.CaseViewPatientLine, i18n.V{"Initials": view.Patient.Initials, "Sex": v.l.T(i18n.ID("case.sex." + view.Patient.Sex)), "Age": view.Patient.Age(view.Now)})
	if view.Advising != nil {
		p.Scope = s.scopeLines(v.l, *view.Advising)
	}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.CaseOpinionTitle, i18n.V{"Number": view.Number}); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	return s.render(w, r, status, pages.CaseOpinion(p))
}

// opinionForm fills the form with a draft.
func opinionForm(o workspace.OpinionContent, version int) pages.Form {
	f := pages.Form{}
	for field, value := range map[string]string{"version": strconv.Itoa(version), "language": o.Language, "understanding": o.Understanding, "assessment": o.Assessment,
		"red_flags": o.RedFlags, "would_change": o.WouldChange, "references": o.References, "limits": o.Limits} {
		f.Prefill(field, value)
	}
	if o.Confidence > 0 {
		f.Prefill("confidence", strconv.Itoa(o.Confidence))
	}
	if o.Teaches {
		f.Prefill("teaches", "yes")
	}
	for _, file := range o.Files {
		f.Values.Add("files", string(file))
	}
	put := func(name string, i int, fields map[string]string) {
		for k, value := range fields {
			f.Prefill(name+"-"+strconv.Itoa(i+1)+"-"+k, value)
		}
	}
	for i, d := range o.Differential {
		put("diagnosis", i, map[string]string{"condition": d.Condition, "likelihood": d.Likelihood})
	}
	for i, d := range o.Recommendations {
		put("recommendation", i, map[string]string{"text": d.Text, "strength": d.Strength, "urgency": d.Urgency})
	}
	for i, c := range o.ReadBacks {
		what := c.Drug + c.Substance + c.Site + c.What // one of them is set
		put("card", i, map[string]string{"kind": c.Kind, "what": what, "dose": c.Dose, "unit": c.Unit, "route": c.Route, "frequency": c.Frequency, "side": c.Side, "date": c.Date})
	}
	return f
}

// readOpinion takes the form into an opinion, as far as it is filled in.
func readOpinion(l *i18n.Localizer, f *pages.Form) workspace.OpinionContent {
	o := workspace.OpinionContent{Schema: 1, Language: f.Value("language"),
		Understanding: f.Optional(l, "understanding", i18n.CaseOpinionUnderstanding, 10000), Assessment: f.Optional(l, "assessment", i18n.CaseOpinionAssessment, 20000),
		RedFlags: f.Optional(l, "red_flags", i18n.CaseOpinionRedFlags, 4000), WouldChange: f.Optional(l, "would_change", i18n.CaseOpinionWouldChange, 4000),
		References: f.Optional(l, "references", i18n.CaseOpinionReferences, 4000), Limits: f.Optional(l, "limits", i18n.CaseOpinionLimits, 4000),
		Teaches: f.Has("teaches", "yes")}
	o.Confidence, _ = strconv.Atoi(f.Value("confidence"))
	for _, file := range f.All("files") {
		o.Files = append(o.Files, workspace.FileID(file))
	}
	field := func(name string, i int, k string) string { return f.Value(name + "-" + strconv.Itoa(i) + "-" + k) }
	for i := 1; i <= pages.CaseDiagnoses; i++ {
		if c := field("diagnosis", i, "condition"); c != "" {
			o.Differential = append(o.Differential, workspace.Likelihood{Condition: c, Likelihood: field("diagnosis", i, "likelihood")})
		}
	}
	for i := 1; i <= pages.CaseRecommendations; i++ {
		if text := field("recommendation", i, "text"); text != "" {
			o.Recommendations = append(o.Recommendations, workspace.Recommendation{ID: len(o.Recommendations) + 1, Text: text,
				Strength: field("recommendation", i, "strength"), Urgency: field("recommendation", i, "urgency")})
		}
	}
	for i := 1; i <= pages.CaseCards; i++ {
		c := workspace.ReadBackFields{Kind: field("card", i, "kind")}
		what := field("card", i, "what")
		switch c.Kind {
		case "dose":
			c.Drug, c.Dose, c.Unit, c.Route, c.Frequency = what, field("card", i, "dose"), field("card", i, "unit"), field("card", i, "route"), field("card", i, "frequency")
		case "allergy":
			c.Substance = what
		case "laterality":
			c.Site, c.Side = what, field("card", i, "side")
		case "date":
			c.What, c.Date = what, field("card", i, "date")
		default:
			continue
		}
		o.ReadBacks = append(o.ReadBacks, c)
	}
	return o
}

// failOpinion puts what an opinion lacks beside its fields.
func failOpinion(l *i18n.Localizer, f *pages.Form, err error) bool {
	var incomplete *workspace.ErrIncomplete
	if !errors.As(err, &incomplete) {
		return false
	}
	labels := map[string]i18n.ID{"language": i18n.CaseOpinionLanguage, "understanding": i18n.CaseOpinionUnderstanding, "assessment": i18n.CaseOpinionAssessment, "confidence": i18n.CaseOpinionConfidence}
	for _, field := range incomplete.Fields {
		name, number := field, 1
		for i, c := range field {
			if c == '.' {
				name = field[:i]
				number, _ = strconv.Atoi(field[i+1:])
				break
			}
		}
		n := strconv.Itoa(number)
		switch name {
		case "recommendations":
			f.Fail("recommendation-"+n+"-text", i18n.FormRequired, i18n.V{"Field": l.T(i18n.CaseOpinionRecommendation, i18n.V{"Number": number})})
		case "differential":
			f.Fail("diagnosis-"+n+"-likelihood", i18n.FormRequired, i18n.V{"Field": l.T(i18n.CaseOpinionDifferential, i18n.V{"Number": number})})
		case "read_backs":
			f.Fail("card-"+n+"-what", i18n.FormRequired, i18n.V{"Field": l.T(i18n.CaseOpinionCard, i18n.V{"Number": number})})
		default:
			if label, ok := labels[name]; ok {
				f.Fail(name, i18n.FormRequired, i18n.V{"Field": l.T(label)})
			} else {
				f.Fail("", i18n.CaseErrorIncomplete)
			}
		}
	}
	return true
}

func (s *Server) saveOpinion(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	o := readOpinion(v.l, &f)
	version, _ := strconv.Atoi(f.Value("version"))
	again := func(status int) error {
		view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
		if err != nil {
			return fmt.Errorf("opinion editor: %w", err)
		}
		return s.showOpinion(w, r, status, f, view)
	}
	if !f.OK() {
		return again(http.StatusUnprocessableEntity)
	}
	next, err := s.d.Workspace.SaveOpinionDraft(r.Context(), v.actor, caseID(r), version, o)
	if errors.Is(err, workspace.ErrVersion) {
		f.Fail("", i18n.ErrorVersion)
		return again(http.StatusConflict)
	}
	if err != nil {
		return fmt.Errorf("save opinion: %w", err)
	}
	f.Values.Set("version", strconv.Itoa(next))
	if f.Value("do") != "sign" {
		return s.done(w, r, caseAddress(caseID(r), "opinion"), pages.LevelOK, i18n.CaseOpinionSaved)
	}
	prepared, err := s.d.Workspace.PrepareOpinion(r.Context(), v.actor, caseID(r), o)
	if err == nil || errors.Is(err, identity.ErrNoPasskey) {
		return s.redirect(w, r, caseAddress(caseID(r), "sign", string(prepared.Request)))
	}
	var refused *workspace.Refusal
	switch {
	case failOpinion(v.l, &f, err):
	case errors.As(err, &refused):
		f.Fail("", i18n.ID("case.error."+refused.Code))
	default:
		return fmt.Errorf("prepare opinion: %w", err)
	}
	return again(http.StatusUnprocessableEntity)
}

func (s *Server) readBack(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	if err := s.d.Workspace.ConfirmReadBack(r.Context(), v.actor, caseID(r), workspace.ReadBackID(r.PathValue("card")), v.l.Tag()); err != nil {
		return s.caseFailed(w, r, pages.Form{}, fmt.Errorf("read back: %w", err))
	}
	return s.redirect(w, r, caseAddress(caseID(r))+"#cards")
}

func (s *Server) decisionPage(w http.ResponseWriter, r *http.Request) error {
	view, err := s.d.Workspace.Open(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("decision page: %w", err)
	}
	f := pages.Form{}
	f.Prefill("language", baseTag(localizer(r).Tag()))
	if len(view.Languages) > 0 {
		f.Prefill("told_language", view.Languages[0])
	}
	return s.showDecision(w, r, http.StatusOK, f, view)
}

func (s *Server) showDecision(w http.ResponseWriter, r *http.Request, status int, f pages.Form, view workspace.View) error {
	if !view.May["decide"] || view.Clinical == nil || len(view.Opinions) == 0 {
		return errForbidden
	}
	v := visitOf(r)
	tongues := slices.Clone(view.Languages)
	for _, tag := range patientLanguages {
		if !slices.Contains(tongues, tag) {
			tongues = append(tongues, tag)
		}
	}
	p := pages.CaseDecisionPage{Form: f, Case: string(view.ID), Opinions: view.Opinions, Cards: view.Cards, Languages: caseLanguages, Tongues: tongues}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.CaseDecisionTitle, i18n.V{"Number": view.Number}); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	return s.render(w, r, status, pages.CaseDecision(p))
}

func (s *Server) prepareDecision(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}
	outcomes := []string{"accept", "accept_with_changes", "decline", "otherwise"}
	d := workspace.DecisionContent{Schema: 1, Language: f.Choose(v.l, "language", i18n.CaseDecisionLanguage, caseLanguages...),
		Outcome: workspace.Outcome(f.Choose(v.l, "outcome", i18n.CaseDecisionOutcome, outcomes...)),
		Plan:    f.Require(v.l, "plan", i18n.CaseDecisionPlan, 10000), ToldPatient: f.Require(v.l, "told", i18n.CaseDecisionTold, 10000),
		ToldLanguage: f.Require(v.l, "told_language", i18n.CaseDecisionToldLanguage, 35), FollowUp: f.Value("follow_up")}
	for _, o := range view.Opinions {
		for _, rec := range o.Opinion.Recommendations {
			name := "answer-" + string(o.ID) + "-" + strconv.Itoa(rec.ID) + "-"
			a := workspace.Answer{Opinion: o.ID, Recommendation: rec.ID,
				Outcome: workspace.Outcome(f.Choose(v.l, name+"outcome", i18n.CaseDecisionYourAnswer, outcomes...)), Reason: f.Value(name + "reason")}
			if a.Outcome != workspace.Accept && a.Outcome != "" {
				a.Reason = f.Require(v.l, name+"reason", i18n.CaseDecisionReason, 4000)
			}
			d.Answers = append(d.Answers, a)
		}
	}
	if f.OK() {
		prepared, err := s.d.Workspace.PrepareDecision(r.Context(), v.actor, caseID(r), d)
		if err == nil || errors.Is(err, identity.ErrNoPasskey) {
			return s.redirect(w, r, caseAddress(caseID(r), "sign", string(prepared.Request)))
		}
		var refused *workspace.Refusal
		switch {
		case failFields(v.l, &f, err, map[string]i18n.ID{"follow_up": i18n.CaseDecisionFollowUp, "plan": i18n.CaseDecisionPlan}):
		case errors.As(err, &refused):
			return s.refusedToSign(w, r, f, view, refused)
		default:
			return fmt.Errorf("prepare decision: %w", err)
		}
	}
	return s.showDecision(w, r, http.StatusUnprocessableEntity, f, view)
}

// refusedToSign shows the decision form with the rule that refuses, in words.
func (s *Server) refusedToSign(w http.ResponseWriter, r *http.Request, f pages.Form, view workspace.View, refused *workspace.Refusal) error {
	if refused.Lead != "" {
		e := s.d.Credentialing.Explain(refused.Lead)
		f.Fail("", i18n.ID(e.MessageID), sentenceData(e))
	} else {
		f.Fail("", i18n.ID("case.error."+refused.Code))
	}
	if view.Clinical == nil || len(view.Opinions) == 0 {
		return s.showCase(w, r, http.StatusUnprocessableEntity, f)
	}
	return s.showDecision(w, r, http.StatusUnprocessableEntity, f, view)
}

func (s *Server) signPage(w http.ResponseWriter, r *http.Request) error {
	return s.showSign(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showSign(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	prepared, err := s.d.Workspace.Pending(r.Context(), v.actor, caseID(r), workspace.RequestID(r.PathValue("request")))
	noKey := errors.Is(err, identity.ErrNoPasskey)
	if err != nil && !noKey {
		return s.caseFailed(w, r, f, fmt.Errorf("sign page: %w", err))
	}
	view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("sign page: %w", err)
	}
	p := pages.CaseSignPage{Form: f, Case: string(view.ID), Prepared: prepared, Opinions: view.Opinions, NoKey: noKey, DemoKeys: s.d.Demo}
	for _, file := range view.Files {
		if slices.Contains(prepared.Files, file.ID) {
			p.Files = append(p.Files, file.Name)
		}
	}
	title := i18n.CaseSignTitleDecision
	if prepared.Kind == workspace.KindOpinion {
		title = i18n.CaseSignTitleOpinion
	}
	if p.Layout, err = s.layout(w, r, title); err != nil {
		return err
	}
	p.Scripts = s.scripts("app.js", "passkey.js")
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	return s.render(w, r, status, pages.CaseSign(p))
}

func (s *Server) signCase(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	ctx, actor, id, request := r.Context(), actorOf(r), caseID(r), workspace.RequestID(r.PathValue("request"))
	say := i18n.CaseFlashDecision
	prepared, err := s.d.Workspace.Pending(ctx, actor, id, request)
	if err == nil || errors.Is(err, identity.ErrNoPasskey) {
		if prepared.Kind == workspace.KindOpinion {
			say = i18n.CaseFlashOpinion
			_, err = s.d.Workspace.SubmitOpinion(ctx, actor, id, request, []byte(f.Value("assertion")))
		} else {
			_, err = s.d.Workspace.Sign(ctx, actor, id, request, []byte(f.Value("assertion")))
		}
	}
	if err == nil {
		return s.done(w, r, caseAddress(id), pages.LevelOK, say)
	}
	var refused *workspace.Refusal
	if !errors.As(err, &refused) {
		return fmt.Errorf("sign: %w", err)
	}
	if refused.Lead != "" {
		e := s.d.Credentialing.Explain(refused.Lead)
		f.Fail("", i18n.ID(e.MessageID), sentenceData(e))
	} else {
		f.Fail("", i18n.ID("case.error."+refused.Code))
	}
	if refused.Code == workspace.RefusedAssertion {
		return s.showSign(w, r, http.StatusUnprocessableEntity, f)
	}
	return s.showCase(w, r, http.StatusConflict, f)
}

func (s *Server) caseBundle(w http.ResponseWriter, r *http.Request) error {
	view, err := s.d.Workspace.Open(r.Context(), actorOf(r), caseID(r))
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	// A bundle is a few hundred kilobytes: whole in memory, an error is still a page.
	var b bytes.Buffer
	if err := s.d.Workspace.Bundle(r.Context(), actorOf(r), caseID(r), &b); err != nil {
		return s.caseFailed(w, r, pages.Form{}, fmt.Errorf("bundle: %w", err))
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": workspace.BundleName(view.Number)}))
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}
