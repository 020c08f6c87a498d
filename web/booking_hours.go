package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// plain tells whether the form can show a rule: every week, without bounds, on the
// owner's clock.
func plainRule(r scheduling.Rule) bool {
	return r.Freq == scheduling.Weekly && r.Interval <= 1 && r.From == nil && r.Until == nil && r.Zone == "" && r.Gap != scheduling.Skip
}

// weekOf spreads plain rules over the days of the week. Rules that the form cannot
// show, among them a second window of a day, are left over.
func weekOf(rules []scheduling.Rule) (week map[scheduling.Weekday]scheduling.Rule, rest []scheduling.Rule) {
	week = map[scheduling.Weekday]scheduling.Rule{}
	for _, r := range rules {
		if !plainRule(r) {
			rest = append(rest, r)
			continue
		}
		var second []scheduling.Weekday
		for _, d := range r.Days {
			if _, ok := week[d]; ok {
				second = append(second, d)
				continue
			}
			one := r
			one.Days = []scheduling.Weekday{d}
			week[d] = one
		}
		if len(second) > 0 {
			r.Days = second
			rest = append(rest, r)
		}
	}
	return week, rest
}

func (s *Server) hoursPage(w http.ResponseWriter, r *http.Request) error {
	return s.showHours(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showHours(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	a, err := s.d.Scheduling.AvailabilityOf(r.Context(), v.actor, v.actor.Person)
	if err != nil {
		return fmt.Errorf("hours page: %w", err)
	}
	week, rest := weekOf(a.Rules)
	p := pages.HoursPage{Kept: len(rest)}
	f.Prefill("zone", a.Zone)
	f.Prefill("notice", strconv.Itoa(int(a.MinNotice/time.Hour)))
	f.Prefill("buffer", strconv.Itoa(int(a.BufferBefore/time.Minute)))
	f.Prefill("version", strconv.Itoa(a.Version))
	for _, d := range scheduling.EveryDay() {
		p.Days = append(p.Days, pages.HoursDay{Code: d.String(), Label: v.l.T(i18n.ID("booking.weekday." + d.String()))})
		from, to := "", ""
		if rule, ok := week[d]; ok {
			from, to = rule.Start.String(), rule.End.String()
		}
		f.Prefill("from-"+d.String(), from)
		f.Prefill("to-"+d.String(), to)
	}
	today := scheduling.WallAt(v.l.Zone(), s.now()).Date
	for _, o := range a.Overrides {
		if o.Date < today {
			continue
		}
		y, m, d := o.Date.Civil()
		row := pages.HoursDate{Day: time.Date(y, m, d, 12, 0, 0, 0, v.l.Zone())}
		for _, w := range o.Windows {
			row.Windows = append(row.Windows, w[0].String()+"–"+w[1].String())
		}
		p.Dates = append(p.Dates, row)
	}
	slices.SortFunc(p.Dates, func(a, b pages.HoursDate) int { return a.Day.Compare(b.Day) })
	p.Form = f
	if p.Layout, err = s.layout(w, r, i18n.BookingHoursTitle); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Hours(p))
}

func (s *Server) saveHours(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	had, err := s.d.Scheduling.AvailabilityOf(r.Context(), v.actor, v.actor.Person)
	if err != nil {
		return fmt.Errorf("save hours: %w", err)
	}
	// What the form does not show stays: further rules, dates, the horizon.
	_, rest := weekOf(had.Rules)
	a := had
	a.Rules = rest
	for _, d := range scheduling.EveryDay() {
		from, to := f.Value("from-"+d.String()), f.Value("to-"+d.String())
		if from == "" && to == "" {
			continue
		}
		start, err1 := scheduling.ParseMinute(from)
		end, err2 := scheduling.ParseMinute(to)
		if errors.Join(err1, err2) != nil {
			f.Fail("from-"+d.String(), i18n.BookingHoursInvalid, i18n.V{"Day": v.l.T(i18n.ID("booking.weekday." + d.String()))})
			continue
		}
		a.Rules = append(a.Rules, scheduling.Rule{Freq: scheduling.Weekly, Days: []scheduling.Weekday{d}, Start: start, End: end})
	}
	a.Zone = f.Require(v.l, "zone", i18n.BookingHoursZone, 64)
	if _, err := scheduling.LoadZone(a.Zone); err != nil && a.Zone != "" {
		f.Fail("zone", i18n.ProfileZoneUnknown)
	}
	a.MinNotice = time.Duration(number(v.l, &f, "notice", i18n.BookingHoursNotice, 24*60)) * time.Hour
	buffer := time.Duration(number(v.l, &f, "buffer", i18n.BookingHoursBuffer, 240)) * time.Minute
	if buffer != had.BufferBefore {
		a.BufferBefore, a.BufferAfter = buffer, buffer
	}
	if a.Version, err = strconv.Atoi(f.Value("version")); err != nil {
		return errBadForm
	}
	if f.OK() {
		if _, err = s.d.Scheduling.SetAvailability(r.Context(), v.actor, v.actor.Person, a); err == nil {
			return s.done(w, r, "/availability", pages.LevelOK, i18n.BookingDoneHours)
		}
		_, text, ok := s.explain(err)
		if !ok {
			return fmt.Errorf("save hours: %w", err)
		}
		f.Fail("", text)
	}
	return s.showHours(w, r, http.StatusUnprocessableEntity, f)
}

// number reads a whole number from 0 to most.
func number(l *i18n.Localizer, f *pages.Form, field string, label i18n.ID, most int) int {
	n, err := strconv.Atoi(f.Value(field))
	if err != nil || n < 0 || n > most {
		f.Fail(field, i18n.FormInvalid, i18n.V{"Field": l.T(label)})
	}
	return n
}
