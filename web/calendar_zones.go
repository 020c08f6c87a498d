package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) zonesPage(w http.ResponseWriter, r *http.Request) error {
	return s.showZones(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showZones(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	items, err := s.d.Scheduling.ZoneItems(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("zones page: %w", err)
	}
	var ids []identity.PersonID
	for _, i := range items {
		for _, p := range i.Parties {
			ids = append(ids, p.Person)
		}
	}
	people, err := s.d.Identity.People(r.Context(), ids...)
	if err != nil {
		return fmt.Errorf("people of zones page: %w", err)
	}
	wall := s.i18n.Localizer(v.l.Tag(), "UTC") // a wall time has no zone to convert from
	read := func(x scheduling.Wall) string {
		y, m, d := x.Date.Civil()
		return wall.Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) + " " + x.Minute.String()
	}
	p := pages.ZonesPage{Form: f}
	for _, i := range items {
		a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, i.Appointment)
		if err != nil {
			return fmt.Errorf("zones page: %w", err)
		}
		row := pages.ZoneRow{ID: i.ID, Appointment: string(i.Appointment), Kind: kindName(v.l, a.Kind), From: i.From, To: i.To, Conflict: i.Conflict,
			Moves: !i.OldStart.Equal(i.NewStart)}
		for n, c := range i.Parties {
			row.Parties = append(row.Parties, pages.ZonePartyRow{Name: people[c.Person].Name, Zone: c.Zone, Anchor: n == 0,
				Before: read(c.Before), Wall: read(c.Wall), Instant: read(c.Instant)})
		}
		p.Items = append(p.Items, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.ZonesTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Zones(p))
}

func zoneDecision(f pages.Form) (scheduling.ZoneDecision, error) {
	switch d := scheduling.ZoneDecision(f.Value("decision")); d {
	case scheduling.KeepWall, scheduling.KeepInstant:
		return d, nil
	}
	return "", errBadForm
}

func (s *Server) decideZone(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	d, err := zoneDecision(f)
	if err != nil {
		return err
	}
	err = s.d.Scheduling.DecideZoneItem(r.Context(), actorOf(r), r.PathValue("item"), d)
	if errors.Is(err, scheduling.ErrSlotTaken) {
		f.Fail("", i18n.ZonesConflictText)
		return s.showZones(w, r, http.StatusConflict, f)
	}
	if err != nil {
		return fmt.Errorf("decide about changed clock: %w", err)
	}
	return s.done(w, r, "/zone-changes", pages.LevelOK, i18n.ZonesDone)
}

func (s *Server) decideZones(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	d, err := zoneDecision(f)
	if err != nil {
		return err
	}
	_, left, err := s.d.Scheduling.DecideZoneItems(r.Context(), actorOf(r), d)
	if err != nil {
		return fmt.Errorf("decide about changed clocks: %w", err)
	}
	if left > 0 {
		return s.done(w, r, "/zone-changes", pages.LevelWarn, i18n.ZonesLeft)
	}
	return s.done(w, r, "/zone-changes", pages.LevelOK, i18n.ZonesDone)
}

// zonesWait tells those who coordinate of visits to decide.
func (s *Server) zonesWait(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if v.actor.Guest() || !v.actor.Has(identity.RoleCoordinator) {
		return nil, nil
	}
	items, err := s.d.Scheduling.ZoneItems(ctx, v.actor)
	if err != nil {
		return nil, fmt.Errorf("zones for home: %w", err)
	}
	if len(items) == 0 {
		return nil, nil
	}
	return []pages.HomeItem{{Href: "/zone-changes", Title: v.l.N(i18n.HomeZones, len(items))}}, nil
}
