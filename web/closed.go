package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// closedRoutes are the addresses of the holidays of the reader's house.
func (s *Server) closedRoutes() []route {
	who := holding(identity.RoleCoordinator, identity.RoleOfficer, identity.RoleSpecialist, identity.RoleLocalPhysician)
	return []route{
		{http.MethodGet, "/presence/holidays", who, s.closedPage},
		{http.MethodPost, "/presence/holidays", who, s.saveClosed},
	}
}

func (s *Server) closedPage(w http.ResponseWriter, r *http.Request) error {
	list, err := s.d.Scheduling.ClosedDays(r.Context(), actorOf(r).Organization)
	if err != nil {
		return fmt.Errorf("holidays page: %w", err)
	}
	lines := make([]string, len(list))
	for i, d := range list {
		lines[i] = d.Date.String() + " " + d.Name
	}
	f := pages.Form{}
	f.Prefill("days", strings.Join(lines, "\n"))
	return s.showClosed(w, r, http.StatusOK, f)
}

func (s *Server) showClosed(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	may, err := s.d.Scheduling.MayClose(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("holidays page: %w", err)
	}
	p := pages.ClosedPage{Form: f, Edit: may}
	if !may {
		for _, line := range strings.Split(f.Value("days"), "\n") {
			day, name, _ := strings.Cut(line, " ")
			if d, err := scheduling.ParseDate(day); err == nil {
				p.Days = append(p.Days, pages.ClosedRow{Day: dayIn(localizer(r), d), Name: name})
			}
		}
	}
	if p.Layout, err = s.layout(w, r, i18n.ClosedTitle); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/presence", Label: localizer(r).T(i18n.PresenceTitle)}}
	return s.render(w, r, status, pages.Closed(p))
}

func (s *Server) saveClosed(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	list, err := scheduling.ParseClosedDays(f.Optional(localizer(r), "days", i18n.ClosedList, 20_000))
	var bad *scheduling.ClosedLine
	if errors.As(err, &bad) {
		f.Fail("days", i18n.ClosedBad, i18n.V{"Number": strconv.Itoa(bad.Number), "Line": bad.Line})
	}
	if !f.OK() {
		return s.showClosed(w, r, http.StatusUnprocessableEntity, f)
	}
	if err := s.d.Scheduling.SetClosedDays(r.Context(), actorOf(r), list); err != nil {
		return fmt.Errorf("save holidays: %w", err)
	}
	return s.done(w, r, "/presence/holidays", pages.LevelOK, i18n.ClosedSaved)
}

// dayIn writes a date in the reader's language, the same on every clock.
func dayIn(l *i18n.Localizer, d scheduling.Date) string {
	y, m, day := d.Civil()
	return l.Date(time.Date(y, m, day, 12, 0, 0, 0, l.Zone()))
}

// warnClosed marks the windows that fall on a holiday of the clinic or of a house of the
// specialist's, on the clock there.
func (s *Server) warnClosed(ctx context.Context, v *visit, rows []pages.WindowRow, clinic identity.Organization, specialist identity.PersonID) error {
	houses := []identity.Organization{clinic}
	grants, err := s.d.Identity.RolesOf(ctx, specialist)
	if err != nil {
		return fmt.Errorf("houses of a specialist: %w", err)
	}
	for _, g := range grants {
		if g.Organization == "" || slices.ContainsFunc(houses, func(o identity.Organization) bool { return o.ID == g.Organization }) {
			continue
		}
		house, err := s.d.Identity.Organization(ctx, g.Organization)
		if err != nil {
			return fmt.Errorf("houses of a specialist: %w", err)
		}
		houses = append(houses, house)
	}
	ids := make([]identity.OrganizationID, len(houses))
	for i, o := range houses {
		ids[i] = o.ID
	}
	list, err := s.d.Scheduling.ClosedDays(ctx, ids...)
	if err != nil || len(list) == 0 {
		return err
	}
	for _, house := range houses {
		loc, err := scheduling.LoadZone(house.Zone)
		if err != nil {
			loc = time.UTC
		}
		for i := range rows {
			day := scheduling.WallAt(loc, rows[i].Start).Date
			for _, d := range list {
				if d.Organization == house.ID && d.Date == day {
					rows[i].Closed = append(rows[i].Closed, v.l.T(i18n.ClosedWarn, i18n.V{"Day": d.Name, "House": house.Name}))
				}
			}
		}
	}
	return nil
}
