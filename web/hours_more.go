package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// mostAway is how many days one absence may last.
const mostAway = 366

// listHours writes what is on file beside the week: rules, dates and trips.
func (s *Server) listHours(v *visit, a scheduling.Availability, p *pages.HoursPage) {
	utc := s.i18n.Localizer(v.l.Tag(), "UTC")
	date := func(d scheduling.Date) string { return utc.Date(dayOf(d)) }
	span := func(from, to scheduling.Minute) string { return from.String() + "–" + to.String() }
	today := scheduling.WallAt(v.l.Zone(), s.now()).Date
	for i, r := range a.Rules {
		if plainRule(r) {
			continue
		}
		days := make([]string, 0, len(r.Days))
		for _, d := range r.Days {
			days = append(days, weekdayName(v.l, d))
		}
		vars := i18n.V{"Days": strings.Join(days, v.l.T(i18n.HoursComma)), "Hours": span(r.Start, r.End)}
		item := pages.HoursItem{Do: "drop-rule", What: strconv.Itoa(i)}
		switch r.Freq {
		case scheduling.OnDates:
			item.Do = "drop-rule"
			list := make([]string, 0, len(r.Dates))
			over := true
			for _, d := range r.Dates {
				list = append(list, date(d))
				over = over && d < today
			}
			if over {
				continue
			}
			item.Text = v.l.Isolated(i18n.HoursRuleDates, i18n.V{"Days": strings.Join(list, v.l.T(i18n.HoursComma)), "Hours": span(r.Start, r.End)})
			p.Dates = append(p.Dates, item)
			continue
		case scheduling.Monthly:
			item.Text = v.l.Isolated(i18n.ID("hours.rule."+nthKey(r.Nth)), vars)
		default:
			vars["Count"] = max(r.Interval, 1)
			item.Text = v.l.N(i18n.HoursRuleWeeks, max(r.Interval, 1), vars)
		}
		if r.From != nil {
			item.Notes = append(item.Notes, v.l.T(i18n.HoursRuleFrom, i18n.V{"Day": date(*r.From)}))
		}
		if r.Until != nil {
			item.Notes = append(item.Notes, v.l.T(i18n.HoursRuleUntil, i18n.V{"Day": date(*r.Until)}))
		}
		if r.Zone != "" {
			item.Notes = append(item.Notes, r.Zone)
		}
		p.Rules = append(p.Rules, item)
	}
	overrides := slices.Clone(a.Overrides)
	slices.SortFunc(overrides, func(x, y scheduling.Override) int { return int(x.Date - y.Date) })
	for i := 0; i < len(overrides); i++ {
		o := overrides[i]
		last := i
		for len(o.Windows) == 0 && last+1 < len(overrides) && overrides[last+1].Date == overrides[last].Date+1 && len(overrides[last+1].Windows) == 0 {
			last++
		}
		until := overrides[last].Date
		i = last
		if until < today {
			continue
		}
		item := pages.HoursItem{Do: "drop-dates", What: o.Date.String() + "/" + until.String()}
		switch {
		case len(o.Windows) > 0:
			list := make([]string, 0, len(o.Windows))
			for _, w := range o.Windows {
				list = append(list, span(w[0], w[1]))
			}
			item.Text = v.l.Isolated(i18n.HoursOnly, i18n.V{"Day": date(o.Date), "Hours": strings.Join(list, v.l.T(i18n.HoursComma))})
		case until == o.Date:
			item.Text = v.l.Isolated(i18n.HoursAwayDay, i18n.V{"Day": date(o.Date)})
		default:
			item.Text = v.l.Isolated(i18n.HoursAwayDays, i18n.V{"From": date(o.Date), "Until": date(until)})
		}
		p.Dates = append(p.Dates, item)
	}
	for i, t := range a.Trips {
		if t.Until < today {
			continue
		}
		item := pages.HoursItem{Do: "drop-trip", What: strconv.Itoa(i), Text: v.l.Isolated(i18n.HoursTrip, i18n.V{"From": date(t.From), "Until": date(t.Until), "Zone": t.Zone})}
		for _, w := range t.Windows {
			item.Notes = append(item.Notes, span(w[0], w[1]))
		}
		p.Trips = append(p.Trips, item)
	}
}

func nthKey(n int) string {
	if n < 0 {
		return "last"
	}
	return strconv.Itoa(n)
}

// moreHours adds or drops one thing beside the week.
func (s *Server) moreHours(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	a, err := s.d.Scheduling.AvailabilityOf(r.Context(), v.actor, v.actor.Person)
	if err != nil {
		return fmt.Errorf("save hours: %w", err)
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	var fold []pages.Option
	switch {
	case version != a.Version: // the number of a rule means something else by now
		_, text, _ := s.explain(scheduling.ErrVersion)
		f.Fail("", text)
	default:
		if fold, err = s.changeHours(v, &f, &a); err != nil {
			return err
		}
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
	return s.showHours(w, r, http.StatusUnprocessableEntity, f, fold)
}

func (s *Server) changeHours(v *visit, f *pages.Form, a *scheduling.Availability) ([]pages.Option, error) {
	what := f.Value("what")
	switch f.Value("do") {
	case "drop-rule":
		i, err := strconv.Atoi(what)
		if err != nil || i < 0 || i >= len(a.Rules) {
			return nil, errBadForm
		}
		a.Rules = slices.Delete(slices.Clone(a.Rules), i, i+1)
	case "drop-trip":
		i, err := strconv.Atoi(what)
		if err != nil || i < 0 || i >= len(a.Trips) {
			return nil, errBadForm
		}
		a.Trips = slices.Delete(slices.Clone(a.Trips), i, i+1)
	case "drop-dates":
		first, last, ok := strings.Cut(what, "/")
		from, err1 := scheduling.ParseDate(first)
		until, err2 := scheduling.ParseDate(last)
		if !ok || err1 != nil || err2 != nil {
			return nil, errBadForm
		}
		a.Overrides = slices.DeleteFunc(slices.Clone(a.Overrides), func(o scheduling.Override) bool { return o.Date >= from && o.Date <= until })
	case "away":
		s.addAway(v, f, a)
	case "extra":
		return s.addExtra(v, f, a), nil
	case "rule":
		addRule(v.l, f, a)
	case "trip":
		addTrip(v.l, f, a)
	default:
		return nil, errBadForm
	}
	return nil, nil
}

func formDate(l *i18n.Localizer, f *pages.Form, field string, label i18n.ID) scheduling.Date {
	d, err := scheduling.ParseDate(f.Value(field))
	if err != nil {
		f.Fail(field, i18n.FormInvalid, i18n.V{"Field": l.T(label)})
	}
	return d
}

func formMinute(l *i18n.Localizer, f *pages.Form, field string, label i18n.ID) scheduling.Minute {
	m, err := scheduling.ParseMinute(f.Value(field))
	if err != nil {
		f.Fail(field, i18n.FormInvalid, i18n.V{"Field": l.T(label)})
	}
	return m
}

// days reads a first and a last date.
func formDays(l *i18n.Localizer, f *pages.Form, prefix string) (from, until scheduling.Date) {
	from = formDate(l, f, prefix+"_from", i18n.PresenceFrom)
	if f.Value(prefix+"_until") == "" {
		f.Values.Set(prefix+"_until", f.Value(prefix+"_from"))
	}
	until = formDate(l, f, prefix+"_until", i18n.PresenceUntil)
	if f.OK() && (until < from || until-from >= mostAway) {
		f.Fail(prefix+"_until", i18n.HoursOrder)
	}
	return from, until
}

func (s *Server) addAway(v *visit, f *pages.Form, a *scheduling.Availability) {
	from, until := formDays(v.l, f, "away")
	if !f.OK() {
		return
	}
	if until < scheduling.WallAt(v.l.Zone(), s.now()).Date {
		f.Fail("away_until", i18n.PresenceErrorPast)
		return
	}
	a.Overrides = slices.DeleteFunc(slices.Clone(a.Overrides), func(o scheduling.Override) bool { return o.Date >= from && o.Date <= until })
	for d := from; d <= until; d++ {
		a.Overrides = append(a.Overrides, scheduling.Override{Date: d})
	}
}

// addExtra opens hours on one date. A time that does not exist then is refused with
// the next that does; of one that comes twice the person says which.
func (s *Server) addExtra(v *visit, f *pages.Form, a *scheduling.Availability) (fold []pages.Option) {
	d := formDate(v.l, f, "extra_date", i18n.HoursDate)
	start, end := formMinute(v.l, f, "extra_start", i18n.BookingHoursFrom), formMinute(v.l, f, "extra_end", i18n.BookingHoursTo)
	how := f.Choose(v.l, "extra_how", i18n.HoursExtraHow, "more", "instead")
	if !f.OK() {
		return nil
	}
	zone := a.Zone
	for _, t := range a.Trips {
		if d >= t.From && d <= t.Until {
			zone = t.Zone
		}
	}
	loc, err := scheduling.LoadZone(zone)
	if err != nil {
		f.Fail("", i18n.ProfileZoneUnknown)
		return nil
	}
	last := d
	if end <= start {
		last++
	}
	twice := false
	for _, x := range []struct {
		field string
		wall  scheduling.Wall
	}{{"extra_start", scheduling.Wall{Date: d, Minute: start}}, {"extra_end", scheduling.Wall{Date: last, Minute: end}}} {
		c := scheduling.CheckWall(loc, x.wall)
		twice = twice || c.Kind == scheduling.WallFold
		if c.Kind == scheduling.WallGap {
			f.Fail(x.field, i18n.PresenceGap, i18n.V{"Local": readable(x.wall), "Next": readable(c.Next), "Zone": zone})
			f.Values.Set(x.field, c.Next.Minute.String()) // the next that exists is offered
		}
	}
	later := f.Value("later")
	if twice && later != "0" && later != "1" {
		for i, flag := range []bool{false, true} {
			h := scheduling.Hours{Zone: zone, Overrides: []scheduling.Override{{Date: d, Windows: [][2]scheduling.Minute{{start, end}}, Later: flag}}}
			noon := scheduling.ResolveWall(loc, scheduling.Wall{Date: d, Minute: 12 * 60})
			list, err := h.Expand(noon.AddDate(0, 0, -2), noon.AddDate(0, 0, 3))
			if err != nil || len(list) != 1 {
				continue
			}
			x := list[0]
			fold = append(fold, pages.Option{Value: strconv.Itoa(i), Text: x.Start.In(loc).Format("15:04 MST") + " – " + x.End.In(loc).Format("15:04 MST")})
		}
		f.Fail("later", i18n.BookingTypedFold, i18n.V{"Local": d.String() + " " + start.String() + "–" + end.String(), "Zone": zone})
	}
	if !f.OK() {
		return fold
	}
	i := slices.IndexFunc(a.Overrides, func(o scheduling.Override) bool { return o.Date == d })
	switch {
	case i >= 0 && how == "more" && len(a.Overrides[i].Windows) > 0:
		a.Overrides = slices.Clone(a.Overrides)
		a.Overrides[i].Windows = append(slices.Clone(a.Overrides[i].Windows), [2]scheduling.Minute{start, end})
		a.Overrides[i].Later = a.Overrides[i].Later || later == "1"
	case i >= 0:
		a.Overrides = slices.Clone(a.Overrides)
		a.Overrides[i] = scheduling.Override{Date: d, Windows: [][2]scheduling.Minute{{start, end}}, Later: later == "1"}
	case how == "instead":
		a.Overrides = append(slices.Clone(a.Overrides), scheduling.Override{Date: d, Windows: [][2]scheduling.Minute{{start, end}}, Later: later == "1"})
	default:
		a.Rules = append(slices.Clone(a.Rules), scheduling.Rule{Freq: scheduling.OnDates, Dates: []scheduling.Date{d}, Start: start, End: end, Later: later == "1"})
	}
	return nil
}

// addRule adds hours of a numbered weekday of the month, or every few weeks.
func addRule(l *i18n.Localizer, f *pages.Form, a *scheduling.Availability) {
	r := scheduling.Rule{Freq: scheduling.Weekly}
	every := f.Choose(l, "rule_every", i18n.PresenceFreq, "nth1", "nth2", "nth3", "nth4", "nth-1", "weeks1", "weeks2", "weeks3", "weeks4")
	if n, ok := strings.CutPrefix(every, "nth"); ok {
		r.Freq = scheduling.Monthly
		r.Nth, _ = strconv.Atoi(n)
	} else {
		r.Interval, _ = strconv.Atoi(strings.TrimPrefix(every, "weeks"))
	}
	var day scheduling.Weekday
	if err := day.UnmarshalText([]byte(f.Value("rule_day"))); err != nil {
		f.Fail("rule_day", i18n.FormChoose, i18n.V{"Field": l.T(i18n.PresenceDay)})
	}
	r.Days = []scheduling.Weekday{day}
	r.Start, r.End = formMinute(l, f, "rule_start", i18n.BookingHoursFrom), formMinute(l, f, "rule_end", i18n.BookingHoursTo)
	if f.Value("rule_from") != "" {
		d := formDate(l, f, "rule_from", i18n.PresenceFrom)
		r.From = &d
	} else if r.Interval > 1 {
		f.Fail("rule_from", i18n.FormRequired, i18n.V{"Field": l.T(i18n.PresenceFrom)})
	}
	if f.Value("rule_until") != "" {
		d := formDate(l, f, "rule_until", i18n.PresenceUntil)
		r.Until = &d
	}
	if r.From != nil && r.Until != nil && *r.Until < *r.From {
		f.Fail("rule_until", i18n.HoursOrder)
	}
	if f.OK() {
		a.Rules = append(slices.Clone(a.Rules), r)
	}
}

// addTrip adds days on another clock, with the usual hours or with hours of their own.
func addTrip(l *i18n.Localizer, f *pages.Form, a *scheduling.Availability) {
	t := scheduling.Trip{Zone: f.Require(l, "trip_zone", i18n.HoursTripZone, 64)}
	if _, err := scheduling.LoadZone(t.Zone); err != nil && t.Zone != "" {
		f.Fail("trip_zone", i18n.ProfileZoneUnknown)
	}
	t.From, t.Until = formDays(l, f, "trip")
	if f.Value("trip_start") != "" || f.Value("trip_end") != "" {
		t.Windows = [][2]scheduling.Minute{{formMinute(l, f, "trip_start", i18n.BookingHoursFrom), formMinute(l, f, "trip_end", i18n.BookingHoursTo)}}
	}
	for _, o := range a.Trips {
		if f.OK() && t.From <= o.Until && o.From <= t.Until {
			f.Fail("trip_from", i18n.HoursTripTwice)
		}
	}
	if f.OK() {
		a.Trips = append(slices.Clone(a.Trips), t)
	}
}
