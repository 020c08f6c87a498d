package web

import (
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// whoIsSpecialist tells a patient in plain words who the specialist of their visit
// is. It is worked out anew at each look: what has lapsed is not on it.
func (s *Server) whoIsSpecialist(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	a, ask, err := s.d.Scheduling.AboutSpecialist(r.Context(), v.actor, appointmentID(r))
	if err != nil {
		return fmt.Errorf("who is this specialist: %w", err)
	}
	public, err := s.d.Credentialing.Public(r.Context(), v.actor, ask)
	if err != nil {
		return fmt.Errorf("who is this specialist: %w", err)
	}
	people, err := s.d.Identity.People(r.Context(), ask.Person, ask.Case.Local.ID)
	if err != nil {
		return fmt.Errorf("who is this specialist: %w", err)
	}
	one := people[ask.Person]
	p := pages.WhoPage{Unverified: s.unverifiedNotice(), Name: one.Name, Languages: one.Languages, Home: public.Home, AsOf: public.AsOf,
		Covered: public.Covered, Stopped: public.Stopped, Doctor: people[ask.Case.Local.ID].Name}
	if id := i18n.ID("case.specialty." + one.Specialty); v.l.Has(id) {
		p.Specialty = id
	}
	for _, place := range public.Places {
		p.Places = append(p.Places, i18n.Place(place))
	}
	for _, f := range public.Confirmed {
		p.Confirmed = append(p.Confirmed, pages.ConfirmedRow{Kind: kindID(f.Kind), Issuer: f.Issuer, Number: f.Number, Place: f.Jurisdiction, Checked: f.CheckedAt, Ends: f.Ends})
	}
	for _, act := range public.May {
		row := pages.MayRow{Text: i18n.ID("record.may." + string(act.Activity)), Level: pages.LevelOK}
		if !act.Allowed {
			row = pages.MayRow{Text: i18n.ID("record.may_not." + string(act.Activity)), Level: pages.LevelBad}
		}
		p.May = append(p.May, row)
	}
	if clinic, err := s.d.Identity.Organization(r.Context(), a.Organization); err != nil {
		return fmt.Errorf("who is this specialist: %w", err)
	} else {
		p.Clinic = clinic.Name
	}
	if p.Layout, err = s.layout(w, r, i18n.RecordWhoTitle); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/appointments/" + string(a.ID), Label: kindName(v.l, a.Kind)}}
	return s.render(w, r, http.StatusOK, pages.Who(p))
}
