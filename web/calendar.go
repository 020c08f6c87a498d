package web

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// calendarRoutes are the addresses of the private calendar and of changed clock rules.
func (s *Server) calendarRoutes() []route {
	return []route{
		{http.MethodGet, "/calendar", member, s.calendarPage},
		{http.MethodPost, "/calendar", member, s.makeCalendar},
		{http.MethodPost, "/calendar/revoke", member, s.revokeCalendar},
		{http.MethodGet, "/calendar/{token}/consilium.ics", everyone, s.slowly(s.calendarFeed)},
		{http.MethodGet, "/zone-changes", member, s.zonesPage},
		{http.MethodPost, "/zone-changes/standing", member, s.setZoneStanding},
		{http.MethodPost, "/zone-changes", member, s.decideZones},
		{http.MethodPost, "/zone-changes/{item}", member, s.decideZone},
	}
}

func (s *Server) calendarPage(w http.ResponseWriter, r *http.Request) error {
	return s.showCalendar(w, r, "")
}

func (s *Server) showCalendar(w http.ResponseWriter, r *http.Request, address string) error {
	p := pages.CalendarPage{Address: address}
	var err error
	if p.Since, err = s.d.Scheduling.FeedSince(r.Context(), actorOf(r)); err != nil {
		return fmt.Errorf("calendar page: %w", err)
	}
	if p.Layout, err = s.layout(w, r, i18n.CalendarTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Calendar(p))
}

// makeCalendar answers with the page itself: the address is shown once and stands
// neither in a cookie nor in the history.
func (s *Server) makeCalendar(w http.ResponseWriter, r *http.Request) error {
	address, err := s.d.Scheduling.MakeFeed(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("make calendar: %w", err)
	}
	return s.showCalendar(w, r, address)
}

func (s *Server) revokeCalendar(w http.ResponseWriter, r *http.Request) error {
	if err := s.d.Scheduling.RevokeFeed(r.Context(), actorOf(r)); err != nil {
		return fmt.Errorf("end calendar: %w", err)
	}
	return s.done(w, r, "/calendar", pages.LevelOK, i18n.CalendarRevoked)
}

// calendarFeed answers a calendar program, which has no login. It asks every quarter
// of an hour and mostly learns that nothing has changed.
func (s *Server) calendarFeed(w http.ResponseWriter, r *http.Request) error {
	feed, err := s.d.Scheduling.ReadFeed(r.Context(), r.PathValue("token"))
	if err != nil {
		return fmt.Errorf("calendar feed: %w", err)
	}
	l := s.i18n.Localizer(feed.Person.Language, feed.Zone)
	data, tag, err := feed.Calendar(l.T(i18n.CalendarName), l.T(i18n.MailCalendarSummary), l.T(i18n.MailCalendarDescription), l.Tag(), s.now())
	if err != nil {
		return fmt.Errorf("calendar feed: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/calendar; charset=utf-8")
	h.Set("Cache-Control", "private, no-cache") // keep it, but ask each time
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}
