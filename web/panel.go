package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// panelRoutes are the addresses of panels.
func (s *Server) panelRoutes() []route {
	return []route{
		{http.MethodGet, "/panels", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.panelsPage},
		{http.MethodPost, "/panels", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.savePanel},
		{http.MethodPost, "/cases/{case}/panel", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.givePanel},
	}
}

func (s *Server) panelsPage(w http.ResponseWriter, r *http.Request) error {
	return s.showPanels(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showPanels(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	list, err := s.d.Scheduling.Panels(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("panels: %w", err)
	}
	specialists, err := s.d.Identity.PeopleWith(r.Context(), identity.RoleSpecialist, "")
	if err != nil {
		return fmt.Errorf("panels: %w", err)
	}
	p := pages.PanelsPage{Form: f}
	names := map[identity.PersonID]string{}
	for _, o := range specialists {
		names[o.ID] = o.Name
		p.Choices = append(p.Choices, pages.Option{Value: string(o.ID), Text: o.Name})
	}
	for _, x := range list {
		row := pages.PanelRow{ID: string(x.ID), Name: x.Name}
		for _, m := range x.Members {
			row.Members = append(row.Members, names[m])
		}
		p.Panels = append(p.Panels, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.ArrangePanelTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Panels(p))
}

func (s *Server) savePanel(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	p := scheduling.Panel{Name: f.Require(v.l, "name", i18n.ArrangePanelName, 100)}
	for _, id := range f.All("members") {
		p.Members = append(p.Members, identity.PersonID(id))
	}
	if len(p.Members) == 0 {
		f.Fail("members", i18n.ArrangePanelInvalid)
	}
	if !f.OK() {
		return s.showPanels(w, r, http.StatusUnprocessableEntity, f)
	}
	if _, err = s.d.Scheduling.SavePanel(r.Context(), v.actor, p); err == nil {
		return s.done(w, r, "/panels", pages.LevelOK, i18n.FlashSaved)
	}
	if errors.Is(err, scheduling.ErrInvalidRequest) {
		f.Fail("name", i18n.ArrangePanelInvalid)
		return s.showPanels(w, r, http.StatusUnprocessableEntity, f)
	}
	return fmt.Errorf("save panel: %w", err)
}

// panelAsk is the part of the page of times that gives the request to a panel; nil if
// the clinic has none.
func (s *Server) panelAsk(ctx context.Context, v *visit, ref scheduling.CaseRef, c choice, p *pages.TimesPage) (*pages.PanelAsk, error) {
	list, err := s.d.Scheduling.Panels(ctx, v.actor)
	if err != nil {
		return nil, fmt.Errorf("panels: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	out := &pages.PanelAsk{Case: string(ref), Key: uuid.NewString(), Hidden: [][2]string{{"kind", string(c.kind)}, {"duration", p.Choice.Value("duration")}, {"from", p.Choice.Value("from")}}}
	for _, x := range list {
		out.Panels = append(out.Panels, pages.Option{Value: string(x.ID), Text: x.Name})
	}
	if len(out.Panels) == 1 {
		out.Form.Prefill("panel", out.Panels[0].Value)
	}
	t, err := s.d.Scheduling.TurnOf(ctx, v.actor, ref)
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	if t.ID == "" || t.Person != c.specialist {
		return out, nil
	}
	var ids []identity.PersonID
	for _, m := range t.Considered {
		ids = append(ids, m.Person)
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	out.Turn = &pages.TurnNote{Name: people[t.Person].Name, At: t.At}
	for _, m := range t.Considered {
		row := pages.TurnRow{Name: people[m.Person].Name, Given: m.Given, Answer: i18n.ID("arrange.panel.answer." + string(m.Answer)), Taken: m.Answer == scheduling.TurnTaken}
		if m.Last != nil {
			row.Last = *m.Last
		}
		out.Turn.Considered = append(out.Turn.Considered, row)
	}
	return out, nil
}

// givePanel gives the request to the member whose turn it is and shows their times.
func (s *Server) givePanel(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	c := readChoice(v.l, &f)
	t, err := s.d.Scheduling.GiveTurn(r.Context(), v.actor, scheduling.PanelID(f.Value("panel")), caseRef(r), c.kind, f.Value("key"))
	if err == nil {
		q := url.Values{"specialist": {string(t.Person)}}
		for _, k := range []string{"kind", "duration", "from"} {
			if f.Value(k) != "" {
				q.Set(k, f.Value(k))
			}
		}
		http.Redirect(w, r, "/cases/"+string(caseRef(r))+"/times?"+q.Encode(), http.StatusSeeOther)
		return nil
	}
	status, text, ok := s.explain(err)
	switch {
	case errors.Is(err, scheduling.ErrNoMember):
		status, text = http.StatusUnprocessableEntity, i18n.ArrangePanelNobody
	case !ok || slices.Contains([]int{http.StatusNotFound, http.StatusForbidden}, status):
		return fmt.Errorf("give to a panel: %w", err)
	}
	f.Fail("", text)
	return s.showTimes(w, r, status, f, pages.TimesPage{Notice: text})
}
