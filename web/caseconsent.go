package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) consentsPage(w http.ResponseWriter, r *http.Request) error {
	f := pages.Form{Values: r.URL.Query()}
	return s.showConsents(w, r, http.StatusOK, f)
}

func (s *Server) showConsents(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	view, err := s.d.Workspace.Open(r.Context(), v.actor, caseID(r))
	if err != nil {
		return fmt.Errorf("consents: %w", err)
	}
	p := pages.CaseConsentsPage{Form: f, Case: string(view.ID), Number: view.Number, Consents: view.Consents, Languages: workspace.ConsentLanguages,
		Names: map[string]string{}, May: view.May["consent"], Now: view.Now}
	for id, who := range view.People {
		p.Names[string(id)] = who.Name
	}
	if p.Layout, err = s.layout(w, r, i18n.CaseConsentsTitle); err != nil {
		return err
	}
	p.Crumbs = append(s.caseCrumbs(v.l), pages.Crumb{Href: caseAddress(view.ID), Label: view.Number})
	if !p.May {
		return s.render(w, r, status, pages.CaseConsents(p))
	}
	specialists, err := s.d.Identity.PeopleWith(r.Context(), identity.RoleSpecialist, view.Specialty)
	if err != nil {
		return fmt.Errorf("consents: %w", err)
	}
	for _, who := range specialists {
		p.Receivers = append(p.Receivers, pages.Option{Value: string(who.ID), Text: who.Name + " (" + v.l.Place(who.Home) + ")"})
	}
	p.Form.Prefill("language", workspace.ConsentLanguage(view.Languages))
	if view.Specialist != "" {
		p.Form.Prefill("receiver", string(view.Specialist))
	}
	p.Form.Prefill("how", string(workspace.SpokenWitnessed))
	p.Form.Prefill("giver", "patient")
	p.Language = p.Form.Value("language")
	p.Reviewed = workspace.ConsentReviewed(p.Language)
	i := slices.IndexFunc(specialists, func(who identity.Person) bool { return string(who.ID) == p.Form.Value("receiver") })
	if i >= 0 && slices.Contains(workspace.ConsentLanguages, p.Language) {
		for _, purpose := range workspace.Purposes {
			classes := []workspace.Class{""}
			if purpose == workspace.RecordSharing {
				classes = workspace.Classes
			}
			for _, class := range classes {
				text, err := workspace.ConsentText(p.Language, purpose, class, workspace.ConsentNames{Receiver: specialists[i].Name,
					Destination: workspace.Country(specialists[i].Home), Physician: view.People[view.Responsible].Name})
				if err != nil {
					return fmt.Errorf("consents: %w", err)
				}
				name := v.l.T(i18n.ID("case.purpose." + string(purpose)))
				key := string(purpose)
				if class != "" {
					name = v.l.T(i18n.CasePurposeClass, i18n.V{"Purpose": name, "Class": v.l.T(i18n.ID("case.class." + string(class)))})
					key += "." + string(class)
				}
				p.Texts = append(p.Texts, pages.CaseText{Key: key, Name: name, Text: text})
			}
		}
	}
	return s.render(w, r, status, pages.CaseConsents(p))
}

func (s *Server) recordConsents(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	l := v.l
	how := f.Choose(l, "how", i18n.CaseConsentsHow, "spoken_witnessed", "paper", "signed_on_screen")
	giver := f.Choose(l, "giver", i18n.CaseConsentsGiver, "patient", "guardian", "proxy")
	name := ""
	if giver != "patient" {
		name = f.Require(l, "giver_name", i18n.CaseConsentsGiverName, 200)
	}
	tag := f.Choose(l, "language", i18n.CaseConsentsLanguage, workspace.ConsentLanguages...)
	receiver := identity.PersonID(f.Value("receiver"))
	agreed := f.All("agree")
	if len(agreed) == 0 {
		f.Fail("agree", i18n.CaseConsentsNoneChecked)
	}
	if f.OK() {
		if err := s.recordAll(r.Context(), v.actor, caseID(r), agreed, receiver, workspace.ConsentRequest{Giver: workspace.Giver{Kind: giver, Name: name},
			How: workspace.How(how), Language: tag}); err == nil {
			return s.done(w, r, caseAddress(caseID(r), "consents"), pages.LevelOK, i18n.CaseFlashConsent)
		} else {
			status, text, ok := s.explain(err)
			if !ok || status == http.StatusNotFound {
				return fmt.Errorf("record consents: %w", err)
			}
			f.Fail("", text)
		}
	}
	return s.showConsents(w, r, http.StatusUnprocessableEntity, f)
}

// recordAll records each purpose that was agreed to; the classes of sharing go
// together.
func (s *Server) recordAll(ctx context.Context, actor identity.Actor, id workspace.CaseID, agreed []string, receiver identity.PersonID, base workspace.ConsentRequest) error {
	people, err := s.d.Identity.People(ctx, receiver)
	if err != nil {
		return err
	}
	var classes []workspace.Class
	var requests []workspace.ConsentRequest
	for _, key := range agreed {
		purpose, class, _ := strings.Cut(key, ".")
		if purpose == string(workspace.RecordSharing) {
			classes = append(classes, workspace.Class(class))
			continue
		}
		req := base
		req.Purpose = workspace.Purpose(purpose)
		if req.Purpose == workspace.Advice {
			req.Receiver, req.Destination = receiver, people[receiver].Home
		}
		requests = append(requests, req)
	}
	if len(classes) > 0 {
		req := base
		req.Purpose, req.Classes, req.Receiver, req.Destination = workspace.RecordSharing, classes, receiver, people[receiver].Home
		requests = append(requests, req)
	}
	for _, req := range requests {
		if _, err := s.d.Workspace.RecordConsent(ctx, actor, id, req); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) withdrawConsent(w http.ResponseWriter, r *http.Request) error {
	err := s.d.Workspace.WithdrawConsent(r.Context(), actorOf(r), caseID(r), workspace.ConsentID(r.PathValue("consent")), string(workspace.SpokenWitnessed))
	if err != nil {
		return fmt.Errorf("withdraw consent: %w", err)
	}
	return s.done(w, r, caseAddress(caseID(r), "consents"), pages.LevelOK, i18n.CaseFlashWithdrawn)
}
