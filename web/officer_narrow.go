package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// readNarrowing reads what narrows a credential: the facility it is tied to, the
// amounts of an insurance, and a restriction.
func (s *Server) readNarrowing(r *http.Request, f *pages.Form, c *credentialing.Claim, narrower *credentialing.Restriction) error {
	l := localizer(r)
	if c.Facility = f.Value("facility"); c.Facility != "" {
		switch _, err := s.d.Identity.Organization(r.Context(), identity.OrganizationID(c.Facility)); {
		case errors.Is(err, identity.ErrNotFound):
			f.Fail("facility", i18n.ErrorInvalid)
		case err != nil:
			return fmt.Errorf("facility of a credential: %w", err)
		}
	}
	c.Currency = strings.ToUpper(f.Optional(l, "currency", i18n.ComplianceCurrency, 3))
	for field, to := range map[string]*int64{"per_claim": &c.PerClaim, "aggregate": &c.Aggregate} {
		v := strings.ReplaceAll(f.Value(field), " ", "")
		if v == "" {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			f.Fail(field, i18n.ComplianceAmountBad)
			continue
		}
		*to = n
	}
	narrower.Text = f.Optional(l, "restriction", i18n.ComplianceRestrictionText, 500)
	narrower.Places = strings.Fields(strings.ToUpper(f.Optional(l, "restricted_places", i18n.ComplianceRestrictedPlaces, 200)))
	for _, a := range f.All("restricted_acts") {
		narrower.Acts = append(narrower.Acts, credentialing.Activity(a))
	}
	return nil
}

// facilityName is the name of an organization; an id that names none stays as it is.
func (s *Server) facilityName(ctx context.Context, id string) (string, error) {
	o, err := s.d.Identity.Organization(ctx, identity.OrganizationID(id))
	if errors.Is(err, identity.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return "", fmt.Errorf("name of a facility: %w", err)
	}
	return o.Name, nil
}

// restrictionRows are the restrictions of a claim as a page shows them.
func restrictionRows(list []credentialing.Restriction) []pages.RestrictionRow {
	var out []pages.RestrictionRow
	for _, r := range list {
		row := pages.RestrictionRow{Text: r.Text, From: r.From.String(), To: r.To.String(), Told: len(r.Acts)+len(r.Places) == 0}
		for _, a := range r.Acts {
			row.Acts = append(row.Acts, i18n.ID("scope.activity."+string(a)))
		}
		for _, p := range r.Places {
			row.Places = append(row.Places, i18n.Place(p))
		}
		out = append(out, row)
	}
	return out
}
