package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// ownPlaceText is the version of the statement's text; it rises when the text changes.
const ownPlaceText = "own-place/1"

// ownPlaceRoutes are the addresses of the yearly statement about where a specialist sits.
func (s *Server) ownPlaceRoutes() []route {
	return []route{
		{http.MethodGet, "/credentials/own-place", member, s.ownPlace},
		{http.MethodPost, "/credentials/own-place", member, s.stateOwnPlace},
	}
}

func (s *Server) ownPlace(w http.ResponseWriter, r *http.Request) error {
	return s.showOwnPlace(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showOwnPlace(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, now := actorOf(r), s.now()
	list, err := s.d.Credentialing.OwnPlaces(r.Context(), actor)
	if err != nil {
		return fmt.Errorf("own places: %w", err)
	}
	p := pages.OwnPlacePage{Form: f}
	var ids []identity.PersonID
	for _, o := range list {
		ids = append(ids, o.Person)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	for _, o := range list {
		row := pages.OwnPlaceRow{Place: o.Place, Home: o.Home, At: o.SignedAt, Until: o.Until, Level: pages.LevelWarn, State: i18n.OwnPlaceMissing,
			License: i18n.OwnPlaceLicenseGood, Href: "/credentials/people/" + string(o.Person)}
		if actor.Has(identity.RoleOfficer) {
			row.Person = names[o.Person]
		}
		if o.InOrder(now) {
			row.Level, row.State = pages.LevelOK, i18n.OwnPlaceOK
		}
		switch {
		case o.Fault == "none":
			row.License = i18n.OwnPlaceLicenseNone
		case o.Fault != "":
			row.License = i18n.OwnPlaceLicenseBad
		}
		if o.License != "" {
			row.Href = "/credentials/" + string(o.License)
		}
		if o.Person == actor.Person {
			p.May = true
			if o.Home {
				p.Form.Prefill("place", o.Place)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.OwnPlaceTitle); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.OwnPlace(p))
}

func (s *Server) stateOwnPlace(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l := localizer(r)
	place := strings.ToUpper(f.Require(l, "place", i18n.OwnPlacePlace, 6))
	if !f.Has("agree", "yes") {
		f.Fail("agree", i18n.FormRequired, i18n.V{"Field": l.T(i18n.OwnPlaceAgree)})
	}
	if f.OK() {
		err := s.d.Credentialing.SignAttestation(r.Context(), actorOf(r), credentialing.Attestation{Kind: "own-place", TextVersion: ownPlaceText,
			Text: l.T(i18n.OwnPlaceText), Language: l.Tag(), Place: place})
		var invalid *credentialing.Invalid
		switch {
		case err == nil:
			return s.done(w, r, "/credentials/own-place", pages.LevelOK, i18n.OwnPlaceDone)
		case errors.As(err, &invalid) && invalid.Field == "place":
			f.Fail("place", i18n.OwnPlacePlaceBad)
		default:
			return fmt.Errorf("state an own place: %w", err)
		}
	}
	return s.showOwnPlace(w, r, http.StatusUnprocessableEntity, f)
}
