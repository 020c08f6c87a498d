package web

import (
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

// waitingRoutes are the addresses of the waiting list.
func (s *Server) waitingRoutes() []route {
	return []route{
		{http.MethodGet, "/waiting", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.waitingPage},
		{http.MethodPost, "/waiting/{waiting}", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.answerWaiting},
		{http.MethodPost, "/cases/{case}/waiting", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.addWaiting},
	}
}

func (s *Server) waitingPage(w http.ResponseWriter, r *http.Request) error {
	return s.showWaiting(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showWaiting(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	list, err := s.d.Scheduling.WaitingList(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("waiting list: %w", err)
	}
	var ids []identity.PersonID
	for _, x := range list {
		if !slices.Contains(ids, x.Specialist) {
			ids = append(ids, x.Specialist)
		}
	}
	people, err := s.d.Identity.People(r.Context(), ids...)
	if err != nil {
		return fmt.Errorf("waiting list: %w", err)
	}
	p := pages.WaitingPage{Form: f}
	place := 0
	for _, x := range list {
		row := pages.WaitingRow{ID: string(x.ID), Case: string(x.Case), Version: x.Version, Kind: kindName(v.l, x.Kind), Name: people[x.Specialist].Name,
			Earliest: x.Earliest, Latest: x.Latest, Since: x.CreatedAt, State: v.l.T(i18n.ID("arrange.waiting.state." + string(x.State))), Until: x.OfferedUntil}
		if !x.Start.IsZero() {
			row.Start, row.End = x.Start, x.Start.Add(x.Duration)
		}
		switch x.State {
		case scheduling.WaitingOpen, scheduling.WaitingOffered:
			place++
			row.Place = place
		case scheduling.WaitingBooked:
			row.Level, row.Visit = pages.LevelOK, "/appointments/"+string(x.Appointment)
		case scheduling.WaitingExpired:
			row.Level = pages.LevelBad
		}
		switch {
		case x.State == scheduling.WaitingOffered && s.now().Before(x.OfferedUntil):
			row.Level = pages.LevelWarn
			p.Offers = append(p.Offers, row)
		case row.Place > 0:
			row.Start, row.Until = time.Time{}, time.Time{} // an offer that is over goes on to the next
			p.Open = append(p.Open, row)
		default:
			p.Ended = append(p.Ended, row)
		}
	}
	if p.Layout, err = s.layout(w, r, i18n.ArrangeWaitingTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Waiting(p))
}

func (s *Server) addWaiting(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	c := readChoice(v.l, &f)
	req := scheduling.WaitRequest{Case: caseRef(r), Kind: c.kind, Specialist: c.specialist, Duration: c.duration, Earliest: c.from}
	day, err := scheduling.ParseDate(f.Value("latest"))
	if err != nil {
		f.Fail("latest", i18n.ArrangeWaitingDay)
		return s.showTimes(w, r, http.StatusUnprocessableEntity, f, pages.TimesPage{Book: f})
	}
	req.Latest = scheduling.ResolveWall(v.l.Zone(), scheduling.Wall{Date: day + 1})
	if _, err = s.d.Scheduling.Wait(r.Context(), v.actor, req); err == nil {
		return s.done(w, r, "/waiting", pages.LevelOK, i18n.ArrangeWaitingDoneAdded)
	}
	status, text, ok := s.explain(err)
	switch {
	case !ok || status == http.StatusNotFound || status == http.StatusForbidden:
		return fmt.Errorf("put on the waiting list: %w", err)
	case errors.Is(err, scheduling.ErrState):
		text = i18n.ArrangeWaitingTwice
	case errors.Is(err, scheduling.ErrInvalidRequest):
		text = i18n.ArrangeWaitingDay
	}
	f.Fail("", text)
	return s.showTimes(w, r, status, f, pages.TimesPage{Book: f})
}

// answerWaiting takes what is offered, lets it pass, or takes the entry off the list.
func (s *Server) answerWaiting(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	id := scheduling.WaitingID(r.PathValue("waiting"))
	to, say := "/waiting", i18n.ArrangeWaitingDonePassed
	switch f.Value("do") {
	case "take":
		var a scheduling.Appointment
		if a, err = s.d.Scheduling.TakeOffer(r.Context(), v.actor, id, version); err == nil {
			to, say = "/appointments/"+string(a.ID), i18n.BookingDoneBooked
			if a.State == scheduling.StatePending {
				say = i18n.BookingDonePending
			}
		}
	case "pass":
		err = s.d.Scheduling.PassOffer(r.Context(), v.actor, id, version)
	case "stop":
		say, err = i18n.ArrangeWaitingDoneStopped, s.d.Scheduling.StopWaiting(r.Context(), v.actor, id, version)
	default:
		return errBadForm
	}
	if err == nil {
		return s.done(w, r, to, pages.LevelOK, say)
	}
	status, text, ok := s.explain(err)
	var refusal *scheduling.Refusal
	if errors.As(err, &refusal) {
		row := pages.WhyRow{ID: i18n.ID("booking.why." + string(refusal.Limit)), Vars: i18n.V{}}
		people, err := s.d.Identity.People(r.Context(), refusal.Person)
		if err != nil {
			return fmt.Errorf("refused offer: %w", err)
		}
		row.Name = people[refusal.Person].Name
		row.Vars["Name"] = row.Name
		if err := s.whyRefused(r.Context(), v.l, &row, *refusal, [2]string{}); err != nil {
			return fmt.Errorf("refused offer: %w", err)
		}
		f.Fail("", row.ID, row.Vars)
		return s.showWaiting(w, r, http.StatusUnprocessableEntity, f)
	}
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return fmt.Errorf("answer for the waiting list: %w", err)
	}
	f.Fail("", text)
	return s.showWaiting(w, r, status, f)
}
