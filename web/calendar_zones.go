package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
	p := pages.ZonesPage{Form: f, All: len(items), Groups: zoneGroups(items)}
	items = items[:min(len(items), zonesShown)]
	history, err := s.d.Scheduling.ZoneHistory(r.Context(), v.actor, 10)
	if err != nil {
		return fmt.Errorf("zones page: %w", err)
	}
	standing, err := s.d.Scheduling.ZoneStandingOf(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("zones page: %w", err)
	}
	ids := []identity.PersonID{}
	if standing.By != "" {
		ids = append(ids, standing.By)
	}
	for _, d := range history {
		ids = append(ids, d.By)
	}
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
	for _, i := range items {
		a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, i.Appointment)
		if err != nil {
			return fmt.Errorf("zones page: %w", err)
		}
		row := pages.ZoneRow{ID: i.ID, Appointment: string(i.Appointment), Kind: kindName(v.l, a.Kind), From: i.From, To: i.To, Conflict: i.Conflict,
			Moves: !i.OldStart.Equal(i.NewStart), Move: scheduling.MayMove(v.actor, a, s.now()), Due: i.Due(), Late: !s.now().Before(i.Due())}
		for n, c := range i.Parties {
			row.Parties = append(row.Parties, pages.ZonePartyRow{Name: people[c.Person].Name, Zone: c.Zone, Anchor: n == 0,
				Before: read(c.Before), Wall: read(c.Wall), Instant: read(c.Instant)})
		}
		p.Items = append(p.Items, row)
	}
	p.Standing = standingCard(v, standing, people[standing.By].Name)
	for _, d := range history {
		a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, d.Appointment)
		if err != nil {
			return fmt.Errorf("zones page: %w", err)
		}
		row := pages.ZoneDoneRow{Appointment: string(a.ID), Kind: kindName(v.l, a.Kind), Text: i18n.ClocksHistoryKeptInstant, Before: d.OldStart, After: d.NewStart,
			By: i18n.ClocksHistoryBy, Name: people[d.By].Name, When: d.At}
		if d.Decision == scheduling.KeepWall && !d.OldStart.Equal(d.NewStart) {
			row.Text = i18n.ClocksHistoryKeptWall
		}
		if d.Standing {
			row.By = i18n.ClocksHistoryStanding
		}
		p.History = append(p.History, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.ZonesTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Zones(p))
}

// zonesShown is how many visits the page lists; the clocks count all.
const zonesShown = 50

// zoneGroups counts the visits that wait by the clock at which they are held, most
// visits first.
func zoneGroups(items []scheduling.ZoneItem) []pages.ZoneGroup {
	var out []pages.ZoneGroup
	at := map[string]int{}
	for _, i := range items {
		n, ok := at[i.Zone()]
		if !ok {
			n = len(out)
			at[i.Zone()] = n
			out = append(out, pages.ZoneGroup{Zone: i.Zone()})
		}
		g := &out[n]
		g.Visits++
		g.Moves = g.Moves || !i.OldStart.Equal(i.NewStart)
		if i.Conflict {
			g.Conflicts++
		}
	}
	slices.SortStableFunc(out, func(a, b pages.ZoneGroup) int { return b.Visits - a.Visits })
	return out
}

func standingCard(v *visit, z scheduling.ZoneStanding, name string) pages.ZoneStandingCard {
	c := pages.ZoneStandingCard{Version: z.Version, Name: name, Since: z.At, Edit: v.actor.Has(identity.RoleCoordinator),
		Text: v.l.T(i18n.ID("clocks.standing." + string(z.Decision)))}
	for _, d := range scheduling.ZoneDecisions {
		c.Options = append(c.Options, pages.Option{Value: string(d), Text: v.l.T(i18n.ID("clocks.standing." + string(d)))})
	}
	c.Form.Prefill("decision", string(z.Decision))
	return c
}

// setZoneStanding puts on file what is done when nobody decides in time.
func (s *Server) setZoneStanding(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	if _, err := s.d.Scheduling.SetZoneStanding(r.Context(), actorOf(r), scheduling.ZoneDecision(f.Value("decision")), version); err != nil {
		return fmt.Errorf("standing decision about clocks: %w", err)
	}
	return s.done(w, r, "/zone-changes", pages.LevelOK, i18n.ClocksStandingSaved)
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
	_, left, err := s.d.Scheduling.DecideZoneItems(r.Context(), actorOf(r), d, f.Value("zone"))
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
