package web

import (
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// expiring lists what ends within 90 days with the bookings that lie after the end.
func (s *Server) expiring(w http.ResponseWriter, r *http.Request) error {
	list, err := s.d.Credentialing.Expiring(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("what ends soon: %w", err)
	}
	subjects, err := s.subjects(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("what ends soon: %w", err)
	}
	var ids []identity.PersonID
	for _, e := range list {
		ids = append(ids, e.Person)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	p := pages.ExpiringPage{}
	for _, e := range list {
		row := pages.ExpiringRow{Href: "/credentials/" + string(e.Credential), Person: names[e.Person], Kind: kindID(e.Kind), Place: e.Jurisdiction, Number: e.Number,
			Ends: lastDay(localizer(r), e.Ends), Within: e.Within, After: bookedAfter(subjects, e), Level: pages.LevelInfo}
		switch {
		case e.Within <= 7 || row.After > 0:
			row.Level = pages.LevelBad
		case e.Within <= 30:
			row.Level = pages.LevelWarn
		}
		p.Rows = append(p.Rows, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.RecordExpiring); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, http.StatusOK, pages.Expiring(p))
}

// bookedAfter counts the holder's bookings that end after the credential does.
func bookedAfter(subjects []credentialing.Subject, e credentialing.Ending) int {
	n := 0
	for _, x := range subjects {
		if x.Kind == "appointment" && x.Ask.Person == e.Person && x.Ask.Through.After(e.Ends) {
			n++
		}
	}
	return n
}
