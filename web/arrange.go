package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// arrangeRoutes are the addresses of holds, visits that did not take place, and rest.
func (s *Server) arrangeRoutes() []route {
	return []route{
		{http.MethodPost, "/appointments/{appointment}/hold", member, s.decideHold},
		{http.MethodPost, "/appointments/{appointment}/missed", member, s.missedAppointment},
		{http.MethodGet, "/rest-rules", member, s.restPage},
		{http.MethodPost, "/rest-rules", holding(identity.RoleOfficer), s.saveRest},
	}
}

// lasting writes a length of time in words.
func lasting(l *i18n.Localizer, d time.Duration) string {
	h, m := int(d/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case h == 0:
		return l.N(i18n.BookingMinutes, m)
	case m == 0:
		return l.N(i18n.ArrangeHours, h)
	}
	return l.T(i18n.ArrangeHoursMinutes, i18n.V{"Hours": l.N(i18n.ArrangeHours, h), "Minutes": l.N(i18n.BookingMinutes, m)})
}

// whyRest says which rule of rest is in the way.
func whyRest(l *i18n.Localizer, name string, f *scheduling.RestFault) (i18n.ID, i18n.V) {
	if f == nil {
		return i18n.ArrangeWhyRest, i18n.V{"Name": name}
	}
	return i18n.ID("arrange.why." + string(f.Rule)), i18n.V{"Name": name, "Asked": lasting(l, f.Asked), "Would": lasting(l, f.Would)}
}

func (s *Server) restPage(w http.ResponseWriter, r *http.Request) error {
	return s.showRest(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showRest(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	rules, err := s.d.Scheduling.RestOf(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("rest rules: %w", err)
	}
	p := pages.RestPage{Form: f, Version: strconv.Itoa(rules.Version), Edit: v.actor.Has(identity.RoleOfficer)}
	for _, one := range []struct {
		name  string
		label i18n.ID
		value time.Duration
		unit  time.Duration
	}{
		{"between", i18n.ArrangeRestBetween, rules.Between, time.Hour},
		{"row", i18n.ArrangeRestRow, rules.InARow, time.Minute},
		{"break", i18n.ArrangeRestBreak, rules.Break, time.Minute},
		{"day", i18n.ArrangeRestDay, rules.InterpretDay, time.Hour},
	} {
		p.Form.Prefill(one.name, strconv.FormatFloat(float64(one.value)/float64(one.unit), 'f', -1, 64))
		text := lasting(v.l, one.value)
		if one.value == 0 {
			text = v.l.T(i18n.ArrangeRestNone)
		}
		p.Rows = append(p.Rows, pages.RestRow{Label: one.label, Value: text})
	}
	if p.Layout, err = s.layout(w, r, i18n.ArrangeRestTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Rest(p))
}

func (s *Server) saveRest(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	rules := scheduling.RestRules{}
	if rules.Version, err = strconv.Atoi(f.Value("version")); err != nil {
		return errBadForm
	}
	for _, one := range []struct {
		name  string
		label i18n.ID
		into  *time.Duration
		unit  time.Duration
		most  time.Duration
	}{
		{"between", i18n.ArrangeRestBetween, &rules.Between, time.Hour, 24 * time.Hour},
		{"row", i18n.ArrangeRestRow, &rules.InARow, time.Minute, 12 * time.Hour},
		{"break", i18n.ArrangeRestBreak, &rules.Break, time.Minute, 4 * time.Hour},
		{"day", i18n.ArrangeRestDay, &rules.InterpretDay, time.Hour, 24 * time.Hour},
	} {
		n, err := strconv.ParseFloat(f.Value(one.name), 64)
		*one.into = time.Duration(n * float64(one.unit)).Round(time.Minute)
		if err != nil || !(n >= 0) || n*float64(one.unit) > float64(one.most) {
			f.Fail(one.name, i18n.ArrangeRestNumber, i18n.V{"Field": v.l.T(one.label), "Most": lasting(v.l, one.most)})
		}
	}
	if f.OK() {
		_, err := s.d.Scheduling.SetRest(r.Context(), v.actor, rules)
		if err == nil {
			return s.done(w, r, "/rest-rules", pages.LevelOK, i18n.FlashSaved)
		}
		status, text, ok := s.explain(err)
		if !ok {
			return err
		}
		f.Fail("", text)
		return s.showRest(w, r, status, f)
	}
	return s.showRest(w, r, http.StatusUnprocessableEntity, f)
}

// holdCard is what the page of a held time says; nil for other visits.
func (s *Server) holdCard(ctx context.Context, v *visit, a scheduling.Appointment) (*pages.HoldCard, error) {
	if a.State != scheduling.StateHeld && a.State != scheduling.StateLapsed {
		return nil, nil
	}
	people, err := s.d.Identity.People(ctx, a.CreatedBy)
	if err != nil {
		return nil, fmt.Errorf("held time: %w", err)
	}
	over := a.State == scheduling.StateLapsed || !s.now().Before(a.HeldUntil)
	return &pages.HoldCard{ID: string(a.ID), Version: a.Version, Until: a.HeldUntil, Over: over, By: people[a.CreatedBy].Name,
		Decide: scheduling.Arranges(v.actor, a.Organization)}, nil
}

// startOf is the start that a form asked for, chosen or typed, as the form sends it; ""
// if there is none.
func startOf(f pages.Form) string {
	if start := f.Value("start"); start != "" {
		return start
	}
	wall, err := scheduling.ParseWall(strings.Replace(f.Value("local"), " ", "T", 1))
	if err != nil {
		return ""
	}
	loc, err := scheduling.LoadZone(f.Value("zone"))
	if err != nil {
		return ""
	}
	c := scheduling.CheckWall(loc, wall)
	if i, err := strconv.Atoi(f.Value("occurrence")); err == nil && c.Kind == scheduling.WallFold && i >= 1 && i <= len(c.Instants) {
		return c.Instants[i-1].Format(time.RFC3339)
	}
	if c.Kind != scheduling.WallOK {
		return ""
	}
	return c.NextAt.Format(time.RFC3339)
}

// heldTimes are the times that the clinic holds of the people of a search.
func (s *Server) heldTimes(ctx context.Context, v *visit, ref scheduling.CaseRef, specialist identity.PersonID) ([]pages.HeldRow, error) {
	list, err := s.d.Scheduling.Holds(ctx, v.actor, ref, specialist)
	if err != nil {
		return nil, fmt.Errorf("held times: %w", err)
	}
	var ids []identity.PersonID
	for _, a := range list {
		ids = append(ids, a.CreatedBy)
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("held times: %w", err)
	}
	var out []pages.HeldRow
	for _, a := range list {
		out = append(out, pages.HeldRow{ID: string(a.ID), Start: a.StartAt, End: a.End(), Until: a.HeldUntil, By: people[a.CreatedBy].Name, Own: a.CreatedBy == v.actor.Person})
	}
	return out, nil
}

// decideHold makes a hold a booking, or gives it back.
func (s *Server) decideHold(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	id := appointmentID(r)
	if f.Value("do") == "release" {
		if err := s.d.Scheduling.Release(r.Context(), actorOf(r), id, version); err != nil {
			return s.appointmentFailed(w, r, f, err)
		}
		return s.done(w, r, "/appointments/"+string(id), pages.LevelOK, i18n.ArrangeHoldReleased)
	}
	a, err := s.d.Scheduling.Confirm(r.Context(), actorOf(r), id, version)
	if err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	say := i18n.BookingDoneBooked
	if a.State == scheduling.StatePending {
		say = i18n.BookingDonePending
	}
	return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, say)
}

// setAside is what was set aside for a visit; nil if nothing.
func (s *Server) setAside(l *i18n.Localizer, a scheduling.Appointment, people map[identity.PersonID]identity.Person) *pages.SetAsideCard {
	if a.Override == "" {
		return nil
	}
	c := &pages.SetAsideCard{Reason: a.Override}
	for _, o := range a.Overridden {
		row := pages.SetAsideRow{ID: i18n.ID("arrange.aside." + string(o.Limit)), Vars: i18n.V{"Name": people[o.Person].Name}}
		if o.Limit == scheduling.LimitRest && o.Rest != nil {
			row.ID, row.Vars = whyRest(l, people[o.Person].Name, o.Rest)
		}
		c.Limits = append(c.Limits, row)
	}
	return c
}

// missedCard lets clinicians and those who arrange say that somebody did not come.
func (s *Server) missedCard(v *visit, a scheduling.Appointment, name func(scheduling.Appointment, scheduling.Seat) string) *pages.MissedCard {
	if !scheduling.MayMiss(v.actor, a, s.now()) {
		return nil
	}
	c := &pages.MissedCard{ID: string(a.ID), Version: a.Version}
	for _, seat := range a.Seats {
		if !seat.Released && seat.Person != v.actor.Person {
			c.Seats = append(c.Seats, pages.Option{Value: string(seat.ID), Text: name(a, seat)})
		}
	}
	return c
}

func (s *Server) missedAppointment(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	a, err := s.d.Scheduling.Missed(r.Context(), actorOf(r), appointmentID(r), version, scheduling.SeatID(f.Value("seat")))
	if err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, i18n.ArrangeMissedDone)
}
