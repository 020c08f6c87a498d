package web

import (
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) reviewPage(w http.ResponseWriter, r *http.Request) error {
	return s.showReview(w, r, http.StatusOK, pages.Form{})
}

// showReview is a pack in force with how far it is confirmed.
func (s *Server) showReview(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, l := actorOf(r), localizer(r)
	review, err := s.d.Credentialing.Review(r.Context(), actor, r.PathValue("code"))
	if err != nil {
		return fmt.Errorf("rules of a place: %w", err)
	}
	pack := review.Pack
	p := pages.ReviewPage{Unverified: s.unverifiedNotice(), Form: f, Code: pack.Code, Name: pack.Name, Version: pack.Version, State: packState(pack.Status),
		Level: packLevel(pack.Status), Done: review.Confirmed, All: len(review.Items), Complete: review.Complete(),
		Own: review.Drafter == actor.Person && pack.Status != "verified"}
	if c := pack.VerifiedBy; c != nil && pack.Status == "verified" {
		p.VerifiedBy, p.VerifiedOn, p.Again = c.Name, c.On, c.Again
		p.Late = !pack.LookAgain().IsZero() && !s.now().Before(pack.LookAgain())
	}
	for _, i := range review.Items {
		p.Rules = append(p.Rules, s.ruleRow(pack, i))
	}
	if p.Layout, err = s.titled(w, r, l.T(i18n.ComplianceReview, i18n.V{"Name": pack.Name})); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/packs", Label: l.T(i18n.RecordPacks)})
	return s.render(w, r, status, pages.Review(p))
}

func (s *Server) ruleRow(pack *credentialing.Pack, i credentialing.ReviewItem) pages.ReviewRow {
	row := pages.ReviewRow{Href: "/credentials/packs/in-force/" + pack.Code + "/rules/" + i.ID, ID: i.ID, State: i18n.ComplianceNotConfirmed, Level: pages.LevelWarn}
	for _, m := range i.Members {
		row.Members = append(row.Members, i18n.Place(m))
	}
	if i.Rule != nil {
		row.Effect, row.Text, row.Confidence = i18n.ID("officer.effect."+string(i.Rule.Effect)), i.Rule.Text, i.Rule.Confidence
	}
	for _, c := range i.Citations {
		row.Sources = append(row.Sources, pages.RuleSource{Title: c.Title, URL: c.URL, Read: c.Read, Confidence: c.Confidence, Note: c.Note})
	}
	if c := i.Confirmed; c != nil {
		row.State, row.Level, row.Name, row.On, row.Evidence, row.Again = i18n.ComplianceConfirmed, pages.LevelOK, c.Name, c.LookedOn.String(), c.Evidence, c.Again.String()
		row.Address, row.File = c.Address, c.File
	}
	return row
}

func (s *Server) makeVerified(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	id, err := s.d.Credentialing.DraftConfirmed(r.Context(), actorOf(r), r.PathValue("code"))
	if err == nil {
		http.Redirect(w, r, "/credentials/packs/"+string(id), http.StatusSeeOther)
		return nil
	}
	if err := s.failForm(&f, err); err != nil {
		return fmt.Errorf("make a confirmed edition: %w", err)
	}
	return s.showReview(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) rulePage(w http.ResponseWriter, r *http.Request) error {
	return s.showRule(w, r, http.StatusOK, pages.Form{})
}

// showRule is one rule beside its source, with the form that confirms it.
func (s *Server) showRule(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, l := actorOf(r), localizer(r)
	review, err := s.d.Credentialing.Review(r.Context(), actor, r.PathValue("code"))
	if err != nil {
		return fmt.Errorf("rule: %w", err)
	}
	for _, i := range review.Items {
		if i.ID != r.PathValue("rule") {
			continue
		}
		p := pages.RulePage{Form: f, Code: review.Pack.Code, Row: s.ruleRow(review.Pack, i), SHA256: i.RuleSHA256,
			Own: review.Drafter == actor.Person && review.Pack.Status != "verified"}
		if i.Rule != nil {
			for _, a := range i.Rule.Activities {
				if a.Known() {
					p.Activities = append(p.Activities, i18n.ID("scope.activity."+string(a)))
				}
			}
			for _, c := range i.Rule.When {
				p.When = append(p.When, s.conditionText(l, c.Code()))
			}
			for _, d := range i.Rule.Provided {
				p.Duties = append(p.Duties, s.conditionText(l, d.Condition.Code()))
			}
			for _, limit := range i.Rule.Limits {
				e := s.d.Credentialing.Explain("limit:" + limit)
				p.Duties = append(p.Duties, l.Sentence(e.MessageID, e.Data))
			}
		}
		today := s.now().In(l.Zone())
		p.Form.Prefill("looked_on", today.Format("2006-01-02"))
		p.Form.Prefill("again", today.AddDate(1, 0, 0).Format("2006-01-02"))
		if p.Layout, err = s.titled(w, r, i.ID); err != nil {
			return err
		}
		p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/packs", Label: l.T(i18n.RecordPacks)},
			pages.Crumb{Href: "/credentials/packs/in-force/" + review.Pack.Code, Label: review.Pack.Name})
		return s.render(w, r, status, pages.Rule(p))
	}
	return errNotFound
}

// conditionText is the sentence of a condition, or of its opposite.
func (s *Server) conditionText(l *i18n.Localizer, code string) string {
	e, not := s.d.Credentialing.Rules().ExplainCondition(code)
	text := l.Sentence(e.MessageID, e.Data)
	if not {
		text = l.T(i18n.OfficerOpposite, i18n.V{"Fact": text})
	}
	return text
}

func (s *Server) confirmRule(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, credentialing.MaxEvidence+maxForm)
	if err != nil {
		return err
	}
	l := localizer(r)
	req := credentialing.ConfirmRequest{Code: r.PathValue("code"), Rule: r.PathValue("rule"), RuleSHA256: f.Value("rule_sha256"),
		Evidence: f.Require(l, "evidence", i18n.ComplianceEvidence, 500), Address: f.Optional(l, "address", i18n.ComplianceAddress, 500)}
	if len(f.Files["file"]) > 0 {
		if req.File, err = s.uploaded(r, &f, "file", i18n.ComplianceFile, credentialing.MaxEvidence); err != nil {
			return err
		}
	}
	for field, to := range map[string]*credentialing.Moment{"looked_on": &req.LookedOn, "again": &req.Again} {
		m, err := credentialing.ParseMoment(f.Value(field))
		if err != nil {
			f.Fail(field, i18n.OfficerWhenBad)
		}
		*to = m
	}
	if f.OK() {
		err := s.d.Credentialing.ConfirmRule(r.Context(), actorOf(r), req)
		if err == nil {
			return s.done(w, r, "/credentials/packs/in-force/"+req.Code, pages.LevelOK, i18n.ComplianceFlashConfirmed)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("confirm a rule: %w", err)
		}
	}
	return s.showRule(w, r, http.StatusUnprocessableEntity, f)
}
