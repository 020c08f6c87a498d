package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// waiting finds what waits for the visitor in one room. Each room has one in its
// file; home asks them in the order of waits.
type waiting func(ctx context.Context, v *visit) ([]pages.HomeItem, error)

// waits are the rooms that may have something waiting.
func (s *Server) waits() []waiting {
	return []waiting{s.passkeyWaits, s.casesWaiting, s.appointmentsWaiting, s.repliesWait, s.zonesWait, s.officerWaits}
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	if !v.signed {
		p := pages.WelcomePage{}
		var err error
		if p.Layout, err = s.layout(w, r, i18n.HomeWelcome); err != nil {
			return err
		}
		return s.render(w, r, http.StatusOK, pages.Welcome(p))
	}
	p := pages.HomePage{}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.HomeTitle); err != nil {
		return err
	}
	p.NewCase = v.actor.Has(identity.RoleLocalPhysician)
	for _, wait := range s.waits() {
		items, err := wait(r.Context(), v)
		if err != nil {
			return err
		}
		p.Items = append(p.Items, items...)
	}
	return s.render(w, r, http.StatusOK, pages.Home(p))
}

// passkeyWaits asks those who sign to make the key they sign with, before they stand
// in front of a document.
func (s *Server) passkeyWaits(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if v.actor.Guest() || !v.actor.Has(identity.RoleLocalPhysician) && !v.actor.Has(identity.RoleSpecialist) {
		return nil, nil
	}
	keys, err := s.d.Identity.Passkeys(ctx, v.actor.Person)
	if err != nil {
		return nil, fmt.Errorf("passkeys for home: %w", err)
	}
	if len(keys) > 0 {
		return nil, nil
	}
	return []pages.HomeItem{{Href: "/profile#passkeys", Title: v.l.T(i18n.HomePasskey)}}, nil
}
