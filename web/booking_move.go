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

// moveRoutes are the addresses at which an appointment gets another time.
func (s *Server) moveRoutes() []route {
	return []route{
		{http.MethodGet, "/appointments/{appointment}/move", member, s.movePage},
		{http.MethodPost, "/appointments/{appointment}/move", member, s.moveAppointment},
	}
}

func (s *Server) movePage(w http.ResponseWriter, r *http.Request) error {
	return s.showMove(w, r, http.StatusOK, pages.Form{Values: r.URL.Query()}, pages.MovePage{})
}

// showMove fills the page. f is what was sent; p what a move that failed adds.
func (s *Server) showMove(w http.ResponseWriter, r *http.Request, status int, f pages.Form, p pages.MovePage) error {
	v := visitOf(r)
	a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, appointmentID(r))
	if err != nil {
		return fmt.Errorf("page of another time: %w", err)
	}
	now := s.now()
	if !scheduling.MayMove(v.actor, a, now) {
		if !scheduling.Arranges(v.actor, a.Organization) {
			return scheduling.ErrForbidden
		}
		return scheduling.ErrState
	}
	from := now
	if day, err := scheduling.ParseDate(f.Value("from")); err == nil {
		from = scheduling.ResolveWall(v.l.Zone(), scheduling.Wall{Date: day})
	} else if near := a.StartAt.Add(-2 * 24 * time.Hour); near.After(now) {
		from = near
	}
	answer, err := s.d.Scheduling.MoveTimes(r.Context(), v.actor, a.ID, from, from.Add(timesAhead), slotsRead)
	var refusal *scheduling.Refusal
	if err != nil && !errors.Is(err, scheduling.ErrInvalidRequest) && !errors.As(err, &refusal) {
		return fmt.Errorf("page of another time: %w", err)
	}
	p.ID, p.Start, p.End, p.Version, p.Form, p.ZoneVersion = string(a.ID), a.StartAt, a.End(), strconv.Itoa(a.Version), f, answer.ZoneVersion
	p.Days, p.More = s.moveDays(v, answer.Slots)
	if p.More == "" {
		p.More = from.Add(timesAhead).In(v.l.Zone()).Format(time.DateOnly)
	}
	for _, x := range answer.WhyNot {
		row, err := s.why(r.Context(), v.l, x, answer.Interpreted)
		if err != nil {
			return fmt.Errorf("move page: %w", err)
		}
		p.Why = append(p.Why, row)
	}
	if p.Zones, err = s.moveZones(r.Context(), v, a); err != nil {
		return err
	}
	if p.Layout, err = s.layout(w, r, i18n.MoveTitle); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/appointments", Label: v.l.T(i18n.BookingListTitle)}, {Href: "/appointments/" + p.ID, Label: kindName(v.l, a.Kind)}}
	return s.render(w, r, status, pages.Move(p))
}

// moveDays are the times by day, those at night for somebody apart, and the day from
// which on there are more.
func (s *Server) moveDays(v *visit, slots []scheduling.Slot) (days []pages.SlotDay, more string) {
	dense := map[string]int{}
	for _, slot := range slots {
		dense[slot.Start.In(v.l.Zone()).Format(time.DateOnly)]++
	}
	shown := 0
	for _, slot := range slots {
		row := slotRow(v, slot)
		day := row.Start.In(v.l.Zone()).Format(time.DateOnly)
		if n := len(days); n == 0 || days[n-1].Day.In(v.l.Zone()).Format(time.DateOnly) != day {
			if n == daysShown || shown > slotsShown {
				return days, day
			}
			days = append(days, pages.SlotDay{Day: row.Start})
		}
		if dense[day] > denseDay && row.Start.In(v.l.Zone()).Minute()%30 != 0 {
			continue // any other time can be typed
		}
		last := &days[len(days)-1]
		if shown++; slot.Unsocial() {
			last.Night = append(last.Night, row)
		} else {
			last.Slots = append(last.Slots, row)
		}
	}
	return days, ""
}

// moveZones are the clocks on which a time may be typed: the reader's and those of the
// people seated.
func (s *Server) moveZones(ctx context.Context, v *visit, a scheduling.Appointment) ([]pages.Option, error) {
	ids := []identity.PersonID{v.actor.Person}
	for _, seat := range a.Seats {
		if !seat.Released && !slices.Contains(ids, seat.Person) {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("page of another time: %w", err)
	}
	var out []pages.Option
	for _, id := range ids {
		zone := people[id].Zone
		if id == a.AnchorPerson {
			zone = a.AnchorZone
		}
		if zone != "" && !slices.ContainsFunc(out, func(o pages.Option) bool { return o.Value == zone }) {
			out = append(out, pages.Option{Value: zone, Text: people[id].Name + " — " + zone})
		}
	}
	return out, nil
}

func (s *Server) moveAppointment(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	req := scheduling.MoveRequest{Appointment: appointmentID(r)}
	if req.Version, err = strconv.Atoi(f.Value("version")); err != nil {
		return errBadForm
	}
	if f.Value("local") != "" || f.Value("start") == "" && f.Value("zone") != "" {
		typed := scheduling.BookRequest{}
		s.typedTime(v.l, &f, &typed)
		req.StartLocal, req.Zone, req.Occurrence = typed.StartLocal, typed.Zone, typed.Occurrence
	} else if req.Start, err = time.Parse(time.RFC3339, f.Value("start")); err != nil {
		f.Fail("start", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.BookingTimesStart)})
	}
	if !f.OK() {
		return s.showMove(w, r, http.StatusUnprocessableEntity, f, pages.MovePage{})
	}
	a, err := s.d.Scheduling.Reschedule(r.Context(), v.actor, req)
	if err == nil {
		say := i18n.MoveDone
		if a.State == scheduling.StatePending {
			say = i18n.MoveDonePending
		}
		return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, say)
	}
	return s.moveFailed(w, r, f, err)
}

// moveFailed shows the page again: the old time stands.
func (s *Server) moveFailed(w http.ResponseWriter, r *http.Request, f pages.Form, err error) error {
	v := visitOf(r)
	p := pages.MovePage{}
	var taken *scheduling.SlotTaken
	var refusal *scheduling.Refusal
	var wall *scheduling.WallRefusal
	switch {
	case errors.As(err, &taken):
		p.Taken = true
		var err error
		if p.Full, err = s.fullWindow(r.Context(), v.l, taken); err != nil {
			return err
		}
		f.Values.Del("start")
		for _, slot := range taken.Nearest {
			p.Nearest = append(p.Nearest, slotRow(v, slot))
		}
		return s.showMove(w, r, http.StatusConflict, f, p)
	case errors.As(err, &refusal):
		row := pages.WhyRow{ID: i18n.ID("booking.why." + string(refusal.Limit)), Vars: i18n.V{}}
		if refusal.Person != "" {
			people, err := s.d.Identity.People(r.Context(), refusal.Person)
			if err != nil {
				return fmt.Errorf("refused move: %w", err)
			}
			row.Name = people[refusal.Person].Name
			row.Vars["Name"] = row.Name
		}
		if err := s.whyRefused(r.Context(), v.l, &row, *refusal, [2]string{}); err != nil {
			return fmt.Errorf("move: %w", err)
		}
		if refusal.Limit == scheduling.LimitInterpreter && refusal.Lead == "" {
			row.ID, row.Vars = i18n.MoveNoInterpreter, i18n.V{}
		}
		p.Refusal = &row
		return s.showMove(w, r, http.StatusUnprocessableEntity, f, p)
	case errors.As(err, &wall):
		p.Fold, err = wallFailed(v.l, &f, wall)
		if err != nil {
			return err
		}
		return s.showMove(w, r, http.StatusUnprocessableEntity, f, p)
	}
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return err
	}
	if errors.Is(err, scheduling.ErrVersion) || errors.Is(err, scheduling.ErrState) {
		return s.appointmentFailed(w, r, f, err) // the page shows how it stands now
	}
	f.Fail("", text)
	return s.showMove(w, r, status, f, p)
}

// wallFailed notes a typed time that does not exist, with the next that does, or that
// comes twice, with the choice.
func wallFailed(l *i18n.Localizer, f *pages.Form, wall *scheduling.WallRefusal) ([]pages.Option, error) {
	vars := i18n.V{"Zone": wall.Zone, "Local": readable(wall.Wall), "Next": readable(wall.Check.Next)}
	if wall.Check.Kind == scheduling.WallGap {
		f.Fail("local", i18n.BookingTypedGap, vars)
		f.Values.Set("local", wall.Check.Next.String())
		return nil, nil
	}
	f.Fail("occurrence", i18n.BookingTypedFold, vars)
	loc, err := scheduling.LoadZone(wall.Zone)
	if err != nil {
		return nil, err
	}
	var out []pages.Option
	for i, id := range []i18n.ID{i18n.BookingTypedFirst, i18n.BookingTypedSecond} {
		out = append(out, pages.Option{Value: strconv.Itoa(i + 1), Text: l.T(id, i18n.V{"Offset": i18n.ZoneName(wall.Check.Instants[i].In(loc))})})
	}
	return out, nil
}
