package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// hoursRoutes are the addresses of the editor of one's own hours.
func (s *Server) hoursRoutes() []route {
	return []route{
		{http.MethodGet, "/availability", member, s.hoursPage},
		{http.MethodPost, "/availability", member, s.saveHours},
		{http.MethodPost, "/availability/more", member, s.moreHours},
	}
}

const (
	// otherClocks are shown beside one's own unless others are asked for.
	otherClocks = 3
	mostClocks  = 6
	gridStep    = 30 // minutes a cell of the grid stands for
)

// plainRule tells whether the week of the form shows a rule: every week, without
// bounds, on the owner's clock.
func plainRule(r scheduling.Rule) bool {
	return r.Freq == scheduling.Weekly && r.Interval <= 1 && r.From == nil && r.Until == nil && r.Zone == "" && r.Gap != scheduling.Skip
}

// weekOf spreads plain rules over the days of the week, by start. Rules that the week
// does not show are left over, in their order.
func weekOf(rules []scheduling.Rule) (week map[scheduling.Weekday][][2]scheduling.Minute, rest []scheduling.Rule) {
	week = map[scheduling.Weekday][][2]scheduling.Minute{}
	for _, r := range rules {
		if !plainRule(r) {
			rest = append(rest, r)
			continue
		}
		for _, d := range r.Days {
			if w := [2]scheduling.Minute{r.Start, r.End}; !slices.Contains(week[d], w) {
				week[d] = append(week[d], w)
			}
		}
	}
	for d := range week {
		slices.SortFunc(week[d], func(a, b [2]scheduling.Minute) int { return int(a[0] - b[0]) })
	}
	return week, rest
}

func weekdayName(l *i18n.Localizer, d scheduling.Weekday) string {
	return l.T(i18n.ID("booking.weekday." + d.String()))
}

func (s *Server) hoursPage(w http.ResponseWriter, r *http.Request) error {
	return s.showHours(w, r, http.StatusOK, pages.Form{}, nil)
}

func (s *Server) showHours(w http.ResponseWriter, r *http.Request, status int, f pages.Form, fold []pages.Option) error {
	v := visitOf(r)
	a, err := s.d.Scheduling.AvailabilityOf(r.Context(), v.actor, v.actor.Person)
	if err != nil {
		return fmt.Errorf("hours page: %w", err)
	}
	p := pages.HoursPage{Version: strconv.Itoa(a.Version), Zone: a.Zone, Fold: fold, Nothing: len(a.Rules)+len(a.Overrides) == 0}
	f.Prefill("zone", a.Zone)
	f.Prefill("notice", strconv.Itoa(int(a.MinNotice/time.Hour)))
	f.Prefill("horizon", strconv.Itoa(int(a.MaxAhead/(24*time.Hour))))
	f.Prefill("buffer", strconv.Itoa(int(a.BufferBefore/time.Minute)))
	f.Prefill("buffer_after", strconv.Itoa(int(a.BufferAfter/time.Minute)))
	f.Prefill("extra_how", "more")
	week, _ := weekOf(a.Rules)
	for _, d := range scheduling.EveryDay() {
		day := pages.HoursDay{Code: d.String(), Label: weekdayName(v.l, d)}
		if from, sent := f.Values["from-"+d.String()]; sent {
			to := f.All("to-" + d.String())
			for i := range from {
				day.Windows = append(day.Windows, [2]string{from[i], at(to, i)})
			}
		} else {
			for _, x := range week[d] {
				day.Windows = append(day.Windows, [2]string{x[0].String(), x[1].String()})
			}
		}
		if n := len(day.Windows); n == 0 || day.Windows[n-1] != [2]string{} {
			day.Windows = append(day.Windows, [2]string{})
		}
		p.Days = append(p.Days, day)
		p.Weekday = append(p.Weekday, pages.Option{Value: d.String(), Text: day.Label})
	}
	for _, z := range zoneinfo.Names() {
		p.Zones = append(p.Zones, pages.Option{Value: z, Text: z})
	}
	for _, n := range []string{"1", "2", "3", "4", "-1"} {
		p.Nths = append(p.Nths, pages.Option{Value: "nth" + n, Text: v.l.T(nthName(n))})
	}
	for n := 1; n <= 4; n++ {
		p.Nths = append(p.Nths, pages.Option{Value: "weeks" + strconv.Itoa(n), Text: v.l.N(i18n.HoursEvery, n)})
	}
	s.listHours(v, a, &p)
	if p.Clocks, err = s.clocksBeside(r.Context(), v, a.Zone, r.URL.Query()["clock"]); err != nil {
		return err
	}
	monday := weekAsked(r.URL.Query().Get("week"), a.Zone, s.now())
	if err := s.hoursWeek(v, a, monday, r.URL.Query()["clock"], &p); err != nil {
		return err
	}
	if p.Grid, p.Texts, err = hoursGrid(v, a, monday, p.Clocks); err != nil {
		return err
	}
	p.Form = f
	if p.Layout, err = s.layout(w, r, i18n.BookingHoursTitle); err != nil {
		return err
	}
	p.Scripts = s.scripts("app.js", "hours.js")
	return s.render(w, r, status, pages.Hours(p))
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func nthName(n string) i18n.ID {
	if n == "-1" {
		return i18n.HoursNthLast
	}
	return i18n.ID("hours.nth." + n)
}

// weekAsked is the Monday of the week that was asked for, or of this one.
func weekAsked(text, zone string, now time.Time) scheduling.Date {
	d, err := scheduling.ParseDate(text)
	if y, _, _ := d.Civil(); err != nil || y < 2000 || y > 2200 {
		loc, err := scheduling.LoadZone(zone)
		if err != nil {
			loc = time.UTC
		}
		d = scheduling.WallAt(loc, now).Date
	}
	return d - scheduling.Date(d.Weekday())
}

// clocksBeside are the clocks of the others: those asked for, else those of the people
// one meets, else those of the houses one could work with.
func (s *Server) clocksBeside(ctx context.Context, v *visit, own string, asked []string) ([]pages.HoursClock, error) {
	var out []pages.HoursClock
	add := func(zone, name string, most int) {
		if _, err := scheduling.LoadZone(zone); err != nil || zone == own || len(out) >= most {
			return
		}
		if !slices.ContainsFunc(out, func(c pages.HoursClock) bool { return c.Zone == zone }) {
			out = append(out, pages.HoursClock{Zone: zone, Name: name})
		}
	}
	for _, z := range asked {
		add(z, z, mostClocks)
	}
	if len(out) > 0 {
		return out, nil
	}
	now := s.now()
	visits, err := s.d.Scheduling.AppointmentsOf(ctx, v.actor, now.AddDate(0, -3, 0), now.AddDate(0, 3, 0))
	if err != nil {
		return nil, fmt.Errorf("clocks of others: %w", err)
	}
	for _, a := range visits {
		add(a.AnchorZone, a.AnchorZone, otherClocks)
	}
	houses, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return nil, fmt.Errorf("clocks of others: %w", err)
	}
	for _, o := range houses {
		add(o.Zone, o.Zone, otherClocks)
	}
	return out, nil
}

// hoursWeek fills in what is open in one week, and the clock changes to come.
func (s *Server) hoursWeek(v *visit, a scheduling.Availability, monday scheduling.Date, asked []string, p *pages.HoursPage) error {
	loc, err := scheduling.LoadZone(a.Zone)
	if err != nil {
		return err
	}
	utc := s.i18n.Localizer(v.l.Tag(), "UTC")
	dayText := func(d scheduling.Date) string { return utc.Date(dayOf(d)) }
	query := func(d scheduling.Date) string {
		return url.Values{"week": {d.String()}, "clock": asked}.Encode()
	}
	p.Week = pages.HoursWeek{Prev: query(monday - 7), Next: query(monday + 7)}
	y, m, d := monday.Civil()
	p.Week.Monday = time.Date(y, m, d, 12, 0, 0, 0, v.l.Zone())
	from, to := scheduling.ResolveWall(loc, scheduling.Wall{Date: monday}), scheduling.ResolveWall(loc, scheduling.Wall{Date: monday + 7})
	list, err := a.Expand(from, to)
	if err != nil {
		return fmt.Errorf("hours of a week: %w", err)
	}
	for day := monday; day < monday+7; day++ {
		row := pages.HoursWeekDay{Day: dayText(day)}
		for _, x := range list {
			if scheduling.WallAt(loc, x.Start).Date != day {
				continue
			}
			win := pages.HoursWindow{Own: rangeIn(x, loc, day)}
			for _, c := range p.Clocks {
				other, err := scheduling.LoadZone(c.Zone)
				if err != nil {
					return err
				}
				win.Others = append(win.Others, rangeIn(x, other, day))
			}
			row.Windows = append(row.Windows, win)
		}
		p.Week.Days = append(p.Week.Days, row)
	}
	notes, err := a.ClockNotes(scheduling.WallAt(loc, s.now()).Date, 366)
	if err != nil {
		return fmt.Errorf("clock changes: %w", err)
	}
	for _, n := range notes {
		id := i18n.HoursNoteFold
		vars := i18n.V{"Day": dayText(n.Date), "Zone": n.Zone, "Window": n.Start.String() + "–" + n.End.String(), "Hours": ""}
		switch {
		case n.From.IsZero():
			id = i18n.HoursNoteGone
		case n.Kind == scheduling.WallGap:
			id = i18n.HoursNoteGap
		}
		if !n.From.IsZero() {
			zone, err := scheduling.LoadZone(n.Zone)
			if err != nil {
				return err
			}
			vars["Hours"] = n.From.In(zone).Format("15:04 MST") + " – " + n.To.In(zone).Format("15:04 MST")
		}
		p.Notes = append(p.Notes, pages.HoursNote{Text: v.l.Isolated(id, vars)})
	}
	return nil
}

// dayOf is noon of a date in UTC, to be written by a localizer in UTC.
func dayOf(d scheduling.Date) time.Time {
	y, m, day := d.Civil()
	return time.Date(y, m, day, 12, 0, 0, 0, time.UTC)
}

// rangeIn writes a window on a clock; a day later or earlier than day is marked.
func rangeIn(x scheduling.Range, loc *time.Location, day scheduling.Date) string {
	one := func(t time.Time) string {
		w := scheduling.WallAt(loc, t)
		mark := ""
		if n := int(w.Date - day); n != 0 {
			mark = fmt.Sprintf(" (%+d)", n)
		}
		return w.Minute.String() + mark
	}
	return one(x.Start) + " – " + one(x.End) + " " + i18n.ZoneName(x.Start.In(loc))
}

// gridData is what the script of the grid is given.
type gridData struct {
	Step   int          `json:"step"`
	Days   []gridDay    `json:"days"`
	Clocks []gridClock  `json:"clocks"`
	Shown  []gridWindow `json:"shown"`
}

type gridDay struct {
	Code  string `json:"code"`
	Label string `json:"label"`
	Date  string `json:"date"`
}

// gridClock is what another's clock reads at each cell of each day.
type gridClock struct {
	Name  string     `json:"name"`
	Times [][]string `json:"times"`
}

// gridWindow is open in the week shown, from whatever rule; minutes of the day.
type gridWindow struct {
	Day  int `json:"day"`
	From int `json:"from"`
	To   int `json:"to"`
}

// hoursGrid writes the week for the script, which converts no times itself.
func hoursGrid(v *visit, a scheduling.Availability, monday scheduling.Date, clocks []pages.HoursClock) (data, texts string, err error) {
	loc, err := scheduling.LoadZone(a.Zone)
	if err != nil {
		return "", "", err
	}
	g := gridData{Step: gridStep, Clocks: []gridClock{}, Shown: []gridWindow{}}
	for i, d := range scheduling.EveryDay() {
		_, _, day := (monday + scheduling.Date(i)).Civil()
		g.Days = append(g.Days, gridDay{Code: d.String(), Label: weekdayName(v.l, d), Date: strconv.Itoa(day)})
	}
	for _, c := range clocks {
		other, err := scheduling.LoadZone(c.Zone)
		if err != nil {
			return "", "", err
		}
		one := gridClock{Name: c.Name}
		for i := range g.Days {
			var times []string
			for m := 0; m < 24*60; m += gridStep {
				w := scheduling.Wall{Date: monday + scheduling.Date(i), Minute: scheduling.Minute(m)}
				times = append(times, scheduling.WallAt(other, scheduling.ResolveWall(loc, w)).Minute.String())
			}
			one.Times = append(one.Times, times)
		}
		g.Clocks = append(g.Clocks, one)
	}
	from, to := scheduling.ResolveWall(loc, scheduling.Wall{Date: monday}), scheduling.ResolveWall(loc, scheduling.Wall{Date: monday + 7})
	list, err := a.Expand(from, to)
	if err != nil {
		return "", "", err
	}
	for _, x := range list {
		start, end := scheduling.WallAt(loc, x.Start), scheduling.WallAt(loc, x.End)
		for d := start.Date; d <= end.Date && d < monday+7; d++ {
			w := gridWindow{Day: int(d - monday), To: 24 * 60}
			if d == start.Date {
				w.From = int(start.Minute)
			}
			if d == end.Date {
				w.To = int(end.Minute)
			}
			if w.To > w.From {
				g.Shown = append(g.Shown, w)
			}
		}
	}
	messages, err := v.l.Messages("hours.grid.")
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(g)
	if err != nil {
		return "", "", err
	}
	t, err := json.Marshal(messages)
	return string(b), string(t), err
}

// saveHours saves the week and the limits. What else is on file stays.
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
	a := had
	_, a.Rules = weekOf(had.Rules)
	a.Rules = append(a.Rules, readWeek(v.l, &f)...)
	a.Zone = f.Require(v.l, "zone", i18n.BookingHoursZone, 64)
	if _, err := scheduling.LoadZone(a.Zone); err != nil && a.Zone != "" {
		f.Fail("zone", i18n.ProfileZoneUnknown)
	}
	a.MinNotice = time.Duration(number(v.l, &f, "notice", i18n.BookingHoursNotice, 24*60)) * time.Hour
	a.BufferBefore = time.Duration(number(v.l, &f, "buffer", i18n.HoursBefore, 240)) * time.Minute
	f.Prefill("buffer_after", f.Value("buffer"))
	a.BufferAfter = time.Duration(number(v.l, &f, "buffer_after", i18n.HoursAfter, 240)) * time.Minute
	f.Prefill("horizon", strconv.Itoa(int(had.MaxAhead/(24*time.Hour))))
	a.MaxAhead = time.Duration(number(v.l, &f, "horizon", i18n.HoursHorizon, 5*365)) * 24 * time.Hour
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
	return s.showHours(w, r, http.StatusUnprocessableEntity, f, nil)
}

// readWeek reads the windows of the week; days with the same window share a rule.
func readWeek(l *i18n.Localizer, f *pages.Form) []scheduling.Rule {
	var out []scheduling.Rule
	for _, d := range scheduling.EveryDay() {
		from, to := f.All("from-"+d.String()), f.All("to-"+d.String())
		for i := range max(len(from), len(to)) {
			a, b := at(from, i), at(to, i)
			if a == "" && b == "" {
				continue
			}
			start, err1 := scheduling.ParseMinute(a)
			end, err2 := scheduling.ParseMinute(b)
			if errors.Join(err1, err2) != nil {
				id := "from-" + d.String()
				if i > 0 {
					id += "-" + strconv.Itoa(i)
				}
				f.Fail(id, i18n.BookingHoursInvalid, i18n.V{"Day": weekdayName(l, d)})
				continue
			}
			if n := slices.IndexFunc(out, func(r scheduling.Rule) bool { return r.Start == start && r.End == end }); n < 0 {
				out = append(out, scheduling.Rule{Freq: scheduling.Weekly, Days: []scheduling.Weekday{d}, Start: start, End: end})
			} else if !slices.Contains(out[n].Days, d) {
				out[n].Days = append(out[n].Days, d)
			}
		}
	}
	return out
}

// number reads a whole number from 0 to most.
func number(l *i18n.Localizer, f *pages.Form, field string, label i18n.ID, most int) int {
	n, err := strconv.Atoi(f.Value(field))
	if err != nil || n < 0 || n > most {
		f.Fail(field, i18n.FormInvalid, i18n.V{"Field": l.T(label)})
	}
	return n
}
