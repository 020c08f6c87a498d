package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

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
		{http.MethodGet, "/panels/{panel}", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.panelPage},
		{http.MethodPost, "/panels/{panel}", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.changePanel},
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
	p := pages.PanelsPage{}
	if p.New, err = s.panelForm(r.Context(), v.l, f, scheduling.Panel{}); err != nil {
		return err
	}
	for _, x := range list {
		row, err := s.panelRow(r.Context(), x)
		if err != nil {
			return err
		}
		p.Panels = append(p.Panels, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.ArrangePanelTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Panels(p))
}

// panelRow is a panel as a list shows it.
func (s *Server) panelRow(ctx context.Context, x scheduling.Panel) (pages.PanelRow, error) {
	row := pages.PanelRow{ID: string(x.ID), Name: x.Name}
	if x.Specialty != "" {
		row.Specialty = i18n.ID("case.specialty." + x.Specialty)
	}
	people, err := s.d.Identity.People(ctx, x.Members...)
	if err != nil {
		return row, fmt.Errorf("members of a panel: %w", err)
	}
	for _, id := range x.Members {
		row.Members = append(row.Members, pages.PanelMember{Name: people[id].Name, Share: x.Share(id), Paused: x.Paused[id]})
	}
	return row, nil
}

// panelForm makes a panel, or changes the one given: what it is stands in the form unless
// one was sent.
func (s *Server) panelForm(ctx context.Context, l *i18n.Localizer, f pages.Form, had scheduling.Panel) (pages.PanelForm, error) {
	out := pages.PanelForm{Post: "/panels", Version: strconv.Itoa(had.Version)}
	if had.ID != "" {
		out.Post += "/" + string(had.ID)
	}
	for _, code := range pages.CaseSpecialties {
		out.Specialties = append(out.Specialties, pages.Option{Value: code, Text: l.T(i18n.ID("case.specialty." + code))})
	}
	specialists, err := s.d.Identity.PeopleWith(ctx, identity.RoleSpecialist, "")
	if err != nil {
		return out, fmt.Errorf("panels: %w", err)
	}
	rank := func(id identity.PersonID) int {
		if i := slices.Index(had.Members, id); i >= 0 {
			return i
		}
		return len(had.Members)
	}
	slices.SortStableFunc(specialists, func(a, b identity.Person) int { return rank(a.ID) - rank(b.ID) })
	for _, o := range specialists {
		c := pages.PanelChoice{ID: string(o.ID), Name: o.Name}
		if slices.Contains(pages.CaseSpecialties, o.Specialty) {
			c.Specialty = l.T(i18n.ID("case.specialty." + o.Specialty))
		}
		out.Choices = append(out.Choices, c)
	}
	if _, sent := f.Values["version"]; !sent {
		f.Prefill("name", had.Name)
		f.Prefill("specialty", had.Specialty)
		for i, id := range had.Members {
			f.Values["members"] = append(f.Values["members"], string(id))
			f.Prefill("order-"+string(id), strconv.Itoa(i+1))
			f.Prefill("share-"+string(id), strconv.Itoa(had.Share(id)))
			if had.Paused[id] {
				f.Values["paused"] = append(f.Values["paused"], string(id))
			}
		}
	} else if had.ID == "" {
		out.Version = f.Value("version")
	}
	out.Form = f
	return out, nil
}

// readPanel reads the form; what cannot be read is noted at its field.
func readPanel(l *i18n.Localizer, f *pages.Form) scheduling.Panel {
	p := scheduling.Panel{Name: f.Require(l, "name", i18n.ArrangePanelName, 100), Specialty: f.Value("specialty"),
		Shares: map[identity.PersonID]int{}, Paused: map[identity.PersonID]bool{}}
	if p.Specialty != "" && !slices.Contains(pages.CaseSpecialties, p.Specialty) {
		f.Fail("specialty", i18n.ErrorInvalid)
	}
	number := func(field string, most int, text i18n.ID) int {
		raw := f.Value(field)
		if raw == "" {
			return 0
		}
		n, err := strconv.Atoi(raw)
		if err != nil || n < 1 || n > most {
			f.Fail(field, text)
		}
		return n
	}
	order := map[identity.PersonID]int{}
	for _, raw := range f.All("members") {
		id := identity.PersonID(raw)
		p.Members = append(p.Members, id)
		order[id] = number("order-"+raw, 50, i18n.PanelOrderBad)
		if n := number("share-"+raw, 10, i18n.PanelShareBad); n > 0 {
			p.Shares[id] = n
		}
	}
	for _, raw := range f.All("paused") {
		p.Paused[identity.PersonID(raw)] = true
	}
	slices.SortFunc(p.Members, func(a, b identity.PersonID) int { // without a number last
		return cmp.Or(cmp.Compare(cmp.Or(order[a], 99), cmp.Or(order[b], 99)), cmp.Compare(a, b))
	})
	if len(p.Members) == 0 {
		f.Fail("members", i18n.PanelNobody)
	}
	return p
}

func (s *Server) savePanel(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	if p := readPanel(v.l, &f); f.OK() {
		if _, err = s.d.Scheduling.SavePanel(r.Context(), v.actor, p); err == nil {
			return s.done(w, r, "/panels", pages.LevelOK, i18n.FlashSaved)
		}
		if err := s.panelFailed(r.Context(), &f, err); err != nil {
			return err
		}
	}
	return s.showPanels(w, r, http.StatusUnprocessableEntity, f)
}

// panelFailed notes at its field what a panel cannot be; another error goes on.
func (s *Server) panelFailed(ctx context.Context, f *pages.Form, err error) error {
	bad, ok := errors.AsType[*scheduling.PanelField](err)
	if !ok {
		return fmt.Errorf("save panel: %w", err)
	}
	people, e := s.d.Identity.People(ctx, bad.Person)
	if e != nil {
		return fmt.Errorf("save panel: %w", e)
	}
	name := i18n.V{"Name": people[bad.Person].Name}
	switch bad.Field {
	case "taken":
		f.Fail("name", i18n.PanelTaken)
	case "specialty":
		f.Fail("members", i18n.PanelOther, name)
	case "paused":
		f.Fail("members", i18n.PanelAllPaused)
	case "members":
		f.Fail("members", i18n.PanelNobody)
	default:
		f.Fail(bad.Field, i18n.ErrorInvalid)
	}
	return nil
}

// panelOf finds a panel of the reader's clinic.
func (s *Server) panelOf(r *http.Request) (scheduling.Panel, error) {
	list, err := s.d.Scheduling.Panels(r.Context(), actorOf(r))
	if err != nil {
		return scheduling.Panel{}, fmt.Errorf("panel: %w", err)
	}
	i := slices.IndexFunc(list, func(p scheduling.Panel) bool { return string(p.ID) == r.PathValue("panel") })
	if i < 0 {
		return scheduling.Panel{}, errNotFound
	}
	return list[i], nil
}

func (s *Server) panelPage(w http.ResponseWriter, r *http.Request) error {
	return s.showPanel(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showPanel(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	had, err := s.panelOf(r)
	if err != nil {
		return err
	}
	p := pages.PanelPage{}
	if p.Edit, err = s.panelForm(r.Context(), v.l, f, had); err != nil {
		return err
	}
	history, err := s.d.Scheduling.PanelHistory(r.Context(), v.actor, had.ID)
	if err != nil {
		return fmt.Errorf("panel: %w", err)
	}
	for _, x := range history {
		row, err := s.panelRow(r.Context(), x.Panel)
		if err != nil {
			return err
		}
		people, err := s.d.Identity.People(r.Context(), x.By)
		if err != nil {
			return fmt.Errorf("panel: %w", err)
		}
		row.By, row.At = people[x.By].Name, x.At
		p.Before = append(p.Before, row)
	}
	if p.Layout, err = s.titled(w, r, had.Name); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/panels", Label: v.l.T(i18n.ArrangePanelTitle)}}
	return s.render(w, r, status, pages.PanelEdit(p))
}

func (s *Server) changePanel(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	had, err := s.panelOf(r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	status := http.StatusUnprocessableEntity
	if p := readPanel(v.l, &f); f.OK() {
		p.ID = had.ID
		if p.Version, err = strconv.Atoi(f.Value("version")); err != nil {
			return errBadForm
		}
		_, err := s.d.Scheduling.SavePanel(r.Context(), v.actor, p)
		switch {
		case err == nil:
			return s.done(w, r, "/panels", pages.LevelOK, i18n.FlashSaved)
		case errors.Is(err, scheduling.ErrVersion): // what was typed stays, beside what is there now
			status = http.StatusConflict
			f.Fail("", i18n.ErrorVersion)
		default:
			if err := s.panelFailed(r.Context(), &f, err); err != nil {
				return err
			}
		}
	}
	return s.showPanel(w, r, status, f)
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
	case errors.Is(err, scheduling.ErrPanelSpecialty):
		status, text = http.StatusUnprocessableEntity, i18n.PanelWrong
	case !ok || slices.Contains([]int{http.StatusNotFound, http.StatusForbidden}, status):
		return fmt.Errorf("give to a panel: %w", err)
	}
	f.Fail("", text)
	return s.showTimes(w, r, status, f, pages.TimesPage{Notice: text})
}
