package web

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// localTime is how a browser writes a date and time without a zone.
const localTime = "2006-01-02T15:04"

func (s *Server) tryQuestion(w http.ResponseWriter, r *http.Request) error {
	l, actor := localizer(r), actorOf(r)
	f := pages.Form{Values: r.URL.Query()}
	asked := f.Values.Has("activity")
	// The next full minute: nothing of what is on file is younger than that.
	f.Prefill("at", s.now().Add(time.Minute).In(l.Zone()).Format(localTime))
	p := pages.TryPage{Unverified: s.unverifiedNotice()}
	if err := s.tryChoices(r.Context(), actor, l, &p); err != nil {
		return err
	}
	status := http.StatusOK
	if asked {
		ask := s.askOf(l, &f)
		if f.OK() {
			d, rules, err := s.d.Credentialing.Question(r.Context(), actor, ask)
			if err == nil {
				p.Answer = s.tryAnswer(l, d, rules)
			} else if err := s.failForm(&f, err); err != nil {
				return fmt.Errorf("try a question: %w", err)
			}
		}
		if !f.OK() {
			status = http.StatusUnprocessableEntity
		}
	}
	p.Form = f
	var err error
	if p.Layout, err = s.layout(w, r, i18n.OfficerTry); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.Try(p))
}

// askOf reads a question. The facts of the case are taken as given, so that only
// person, place and time decide.
func (s *Server) askOf(l *i18n.Localizer, f *pages.Form) credentialing.Ask {
	acts := make([]string, 0, len(credentialing.Activities))
	for _, a := range credentialing.Activities {
		acts = append(acts, string(a))
	}
	yes := credentialing.Yes()
	ask := credentialing.Ask{Mode: credentialing.Plan, Person: identity.PersonID(f.Require(l, "person", i18n.OfficerPerson, 40)),
		Activity: credentialing.Activity(f.Choose(l, "activity", i18n.OfficerActivity, acts...))}
	place := f.Require(l, "place", i18n.OfficerWhere, 6)
	at, err := time.ParseInLocation(localTime, f.Value("at"), l.Zone())
	if err != nil {
		f.Fail("at", i18n.OfficerWhenBad)
	}
	ask.At = at.UTC()
	ask.Case = credentialing.CaseContext{Organization: identity.OrganizationID(f.Value("clinic")), Places: []string{place}, LocationConfirmed: yes,
		IdentityConfirmed: yes, Modality: "live-video", Interpreter: yes, PatientLanguages: []string{}, FirstContact: credentialing.No(),
		ControlledSubstance: credentialing.No(), PriorInPerson: yes, LongTerm: credentialing.No(),
		Local: credentialing.LocalPhysician{ID: identity.PersonID(f.Value("local")), Requested: yes, Present: yes, FinalAuthority: yes, Signed: credentialing.No()}}
	for _, c := range []string{"telehealth", "share-with-specialist", "overseas-transfer", "remote-only-explained"} {
		ask.Case.Consents = append(ask.Case.Consents, credentialing.Consent{Type: c, Recorded: ask.At})
	}
	return ask
}

func (s *Server) tryChoices(ctx context.Context, actor identity.Actor, l *i18n.Localizer, p *pages.TryPage) error {
	onFile, err := s.d.Credentialing.OnFile(ctx, actor)
	if err != nil {
		return fmt.Errorf("people on file: %w", err)
	}
	names, err := s.namesOf(ctx, onFile)
	if err != nil {
		return err
	}
	for _, id := range onFile {
		p.People = append(p.People, pages.Option{Value: string(id), Text: names[id]})
	}
	byText := func(a, b pages.Option) int { return strings.Compare(a.Text, b.Text) }
	slices.SortFunc(p.People, byText)
	for _, a := range credentialing.Activities {
		p.Acts = append(p.Acts, pages.Option{Value: string(a), Text: l.T(i18n.ID("scope.activity." + string(a)))})
	}
	for _, code := range s.d.Credentialing.Rules().Places() {
		p.Places = append(p.Places, pages.Option{Value: code, Text: l.Place(code)})
	}
	slices.SortFunc(p.Places, byText)
	locals, err := s.d.Identity.PeopleWith(ctx, identity.RoleLocalPhysician, "")
	if err != nil {
		return fmt.Errorf("local physicians: %w", err)
	}
	for _, w := range locals {
		p.Locals = append(p.Locals, pages.Option{Value: string(w.ID), Text: w.Name})
	}
	clinics, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return fmt.Errorf("clinics: %w", err)
	}
	for _, o := range clinics {
		p.Clinics = append(p.Clinics, pages.Option{Value: string(o.ID), Text: o.Name})
	}
	return nil
}

func decisionLevel(d credentialing.Decision) pages.Level {
	switch d {
	case credentialing.Deny:
		return pages.LevelBad
	case credentialing.PermitWithConditions:
		return pages.LevelWarn
	}
	return pages.LevelOK
}

func answerRow(d credentialing.Determination) pages.AnswerRow {
	row := pages.AnswerRow{Href: "/credentials/answers/" + string(d.ID), Activity: i18n.ID("scope.activity." + string(d.Activity)),
		Decision: i18n.ID("scope.decision." + string(d.Decision)), Level: decisionLevel(d.Decision), Mode: i18n.OfficerMode, Given: d.DecidedAt, For: d.At}
	if d.Mode == credentialing.Act {
		row.Mode = i18n.OfficerAct
	}
	return row
}

// determination shows a stored answer and works it out again.
func (s *Server) determination(w http.ResponseWriter, r *http.Request) error {
	d, differs, err := s.d.Credentialing.Check(r.Context(), actorOf(r), credentialing.DeterminationID(r.PathValue("determination")))
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	l := localizer(r)
	p := pages.DeterminationPage{Row: answerRow(d), Reasons: s.reasonRows(l, d.Reasons), Conditions: s.reasonRows(l, d.Conditions),
		Facts: string(d.Facts), Hash: hex.EncodeToString(d.Hash[:]), Differs: differs != nil}
	for _, a := range d.ByPlace {
		p.Places = append(p.Places, i18n.Place(a.Place))
	}
	grounds, err := d.Grounds()
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	for _, g := range grounds {
		row := pages.GroundRow{Href: "/credentials/" + g.ID, Name: credentialName(l, g.Kind, g.Number, g.Issuer, g.Jurisdiction)}
		if g.Verified != nil {
			row.Verified, row.Evidence = g.Verified.At, g.Verified.Evidence
			row.File = row.Href + "/evidence/" + g.Verified.Evidence
		}
		p.Grounds = append(p.Grounds, row)
	}
	p.Accepted = d.AcceptUnverified
	packs, err := s.d.Credentialing.PacksOf(r.Context(), actorOf(r), d.Packs)
	if err != nil {
		return fmt.Errorf("editions of an answer: %w", err)
	}
	for i, e := range d.Packs {
		row := pages.EditionRow{Code: e.Code, Version: e.Version, SHA256: e.SHA256, State: packState(packs[i].Status), Level: packLevel(packs[i].Status)}
		if c := packs[i].VerifiedBy; c != nil && packs[i].Status == "verified" {
			row.Name, row.On = c.Name, c.On
		}
		p.Editions = append(p.Editions, row)
	}
	p.Editions = append(p.Editions, pages.EditionRow{Code: d.ConditionsList.Code, Version: d.ConditionsList.Version, SHA256: d.ConditionsList.SHA256})
	names, err := s.namesOf(r.Context(), []identity.PersonID{d.Person})
	if err != nil {
		return err
	}
	if p.Layout, err = s.layout(w, r, i18n.OfficerDetermination); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/people/" + string(d.Person), Label: names[d.Person]})
	return s.render(w, r, http.StatusOK, pages.Determination(p))
}

// reasonRows say codes as sentences.
func (s *Server) reasonRows(l *i18n.Localizer, codes []string) (out []pages.ReasonRow) {
	for _, code := range codes {
		e := s.d.Credentialing.Explain(code)
		row := pages.ReasonRow{Code: code, Sentence: l.Sentence(e.MessageID, e.Data), RuleText: e.RuleText, Source: e.Source, URL: e.SourceURL}
		if id, ok := e.Data["Credential"].(string); ok {
			row.Href, row.Code = "/credentials/"+id, ""
		}
		out = append(out, row)
	}
	return out
}

func (s *Server) tryAnswer(l *i18n.Localizer, d credentialing.Determination, rules []credentialing.RuleAnswer) *pages.TryAnswer {
	a := &pages.TryAnswer{Decision: i18n.ID("scope.decision." + string(d.Decision)), Level: decisionLevel(d.Decision),
		Reasons: s.reasonRows(l, d.Reasons), Conditions: s.reasonRows(l, d.Conditions)}
	for _, r := range rules {
		row := pages.RuleRow{Rule: r.Rule, Place: r.Place, Effect: i18n.ID("officer.effect." + string(r.Effect)), Holds: truthID(r.Holds), Level: pages.LevelInfo}
		if r.Holds != credentialing.False {
			switch r.Effect {
			case credentialing.EffectForbid:
				row.Level = pages.LevelBad
			case credentialing.EffectPermit:
				row.Level = pages.LevelOK
			}
		}
		for _, t := range slices.Concat(r.When, r.Duties) {
			e, not := s.d.Credentialing.Rules().ExplainCondition(t.Condition)
			text := l.Sentence(e.MessageID, e.Data)
			if not {
				text = l.T(i18n.OfficerOpposite, i18n.V{"Fact": text})
			}
			row.Facts = append(row.Facts, pages.FactRow{Text: text, Holds: truthID(t.Holds)})
		}
		a.Rules = append(a.Rules, row)
	}
	return a
}

func truthID(t credentialing.Truth) i18n.ID { return i18n.ID("officer.truth." + t.String()) }
