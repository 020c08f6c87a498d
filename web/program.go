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

// programRoutes are the addresses at which presences are changed as a whole.
func (s *Server) programRoutes() []route {
	return []route{
		{http.MethodGet, "/presence/report", member, s.reportPage},
		{http.MethodPost, "/presence/{presence}/rules", member, s.saveProgram},
		{http.MethodPost, "/presence/{presence}/series", member, s.changeSeries},
		{http.MethodGet, "/presence/{presence}/instead", member, s.insteadPage},
		{http.MethodPost, "/presence/{presence}/substitute", member, s.substituteWindow},
	}
}

// presenceForms are what was sent to a presence and not taken.
type presenceForms struct {
	rules, series *pages.Form
	orphans       bool
}

// programCard fills in the rules of a presence and the forms that change it.
func (s *Server) programCard(ctx context.Context, v *visit, one scheduling.Presence, sent presenceForms) (pages.ProgramCard, error) {
	var c pages.ProgramCard
	if sent.rules != nil {
		c.Form = *sent.rules
	}
	r := one.Program
	c.Form.Prefill("cases", strconv.Itoa(r.Cases))
	c.Form.Prefill("minutes", strconv.Itoa(r.Minutes))
	c.Form.Prefill("hours", strconv.Itoa(r.IntakeHours))
	c.Form.Prefill("intake", string(r.Intake))
	c.Form.Prefill("unfilled", string(r.Unfilled))
	if sent.rules == nil {
		for _, id := range r.Substitutes {
			c.Form.Values.Add("substitute", string(id))
		}
	}
	for _, x := range scheduling.Intakes {
		c.Intakes = append(c.Intakes, pages.Option{Value: string(x), Text: v.l.T(i18n.ID("program.intake." + string(x)))})
	}
	for _, x := range []scheduling.Unfilled{scheduling.UnfilledKeep, scheduling.UnfilledRelease} {
		c.Unfilled = append(c.Unfilled, pages.Option{Value: string(x), Text: v.l.T(i18n.ID("program.unfilled." + string(x)))})
	}
	who, err := s.d.Identity.Person(ctx, one.Person)
	if err != nil {
		return c, fmt.Errorf("specialist of a presence: %w", err)
	}
	others, err := s.d.Identity.PeopleWith(ctx, identity.RoleSpecialist, who.Specialty)
	if err != nil {
		return c, fmt.Errorf("who could stand in: %w", err)
	}
	for _, o := range others {
		if o.ID != one.Person && !o.Disabled {
			c.Substitutes = append(c.Substitutes, pages.Option{Value: string(o.ID), Text: o.Name})
		}
	}
	f := pages.SeriesForm{Orphans: sent.orphans, Open: one.Rule.Until == nil, Edit: v.actor.Person == one.Person}
	if sent.series != nil {
		f.Form = *sent.series
	}
	now := s.now()
	for _, x := range one.Windows {
		if !x.Start.After(now) {
			continue
		}
		text := v.l.Span(x.Start, x.End)
		f.Froms = append(f.Froms, pages.Option{Value: x.Occurrence.String(), Text: v.l.T(i18n.ProgramThis, i18n.V{"When": text})})
		if x.State.On() {
			c.Instead = append(c.Instead, pages.Option{Value: x.Occurrence.String(), Text: text})
		}
	}
	if len(f.Froms) == 0 {
		return c, nil
	}
	f.Froms = append([]pages.Option{{Value: "all", Text: v.l.T(i18n.ProgramAll)}}, f.Froms...)
	for _, d := range scheduling.EveryDay() {
		f.Days = append(f.Days, pages.Option{Value: d.String(), Text: v.l.T(i18n.ID("booking.weekday." + d.String()))})
	}
	if len(one.Rule.Days) > 0 {
		f.Form.Prefill("series_day", one.Rule.Days[0].String())
	}
	f.Form.Prefill("series_start", one.Rule.Start.String())
	f.Form.Prefill("series_end", one.Rule.End.String())
	c.Series = &f
	return c, nil
}

func (s *Server) saveProgram(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	number := func(field string, most int) int {
		n, err := strconv.Atoi(f.Value(field))
		if err != nil || n < 0 || n > most {
			f.Fail(field, i18n.ProgramLimit)
		}
		return n
	}
	rules := scheduling.Program{Cases: number("cases", 50), Minutes: number("minutes", 480), IntakeHours: number("hours", 336),
		Intake: scheduling.Intake(f.Value("intake")), Unfilled: scheduling.Unfilled(f.Value("unfilled"))}
	for _, id := range f.All("substitute") {
		rules.Substitutes = append(rules.Substitutes, identity.PersonID(id))
	}
	if !f.OK() {
		return s.showPresenceWith(w, r, http.StatusUnprocessableEntity, presenceForms{rules: &f})
	}
	if _, err := s.d.Scheduling.SetProgram(r.Context(), actorOf(r), presenceID(r), version, rules); err != nil {
		return s.presenceFailed(w, r, err, presenceForms{rules: &f})
	}
	return s.done(w, r, "/presence/"+string(presenceID(r)), pages.LevelOK, i18n.ProgramSaved)
}

// presenceFailed shows the presence with what went wrong; an unexpected error goes on.
func (s *Server) presenceFailed(w http.ResponseWriter, r *http.Request, err error, out presenceForms) error {
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return err
	}
	for _, one := range []*pages.Form{out.rules, out.series} {
		if one != nil {
			one.Fail("", text)
		}
	}
	return s.showPresenceWith(w, r, status, out)
}

// changeSeries gives several windows other times, or ends the presence.
func (s *Server) changeSeries(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	one, err := s.d.Scheduling.Presence(r.Context(), v.actor, presenceID(r))
	if err != nil {
		return fmt.Errorf("change a presence: %w", err)
	}
	var from *scheduling.Wall
	if text := f.Value("series_from"); text != "all" {
		at, err := scheduling.ParseWall(text)
		if err != nil {
			f.Fail("series_from", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.ProgramFrom)})
		}
		from = &at
	}
	if f.Value("do") == "end" {
		if from == nil {
			i := slices.IndexFunc(one.Windows, func(x scheduling.Window) bool { return x.Start.After(s.now()) })
			if i < 0 {
				return scheduling.ErrPast
			}
			from = &one.Windows[i].Occurrence
		}
		if !f.OK() {
			return s.showPresenceWith(w, r, http.StatusUnprocessableEntity, presenceForms{series: &f})
		}
		if _, err := s.d.Scheduling.EndSeries(r.Context(), v.actor, scheduling.WindowRequest{Presence: one.ID, Version: version, Occurrence: *from}); err != nil {
			return s.seriesFailed(w, r, f, err)
		}
		return s.done(w, r, "/presence/"+string(one.ID), pages.LevelOK, i18n.ProgramEnded)
	}
	rule := one.Rule
	rule.From, rule.Until = nil, nil
	var day scheduling.Weekday
	if err := day.UnmarshalText([]byte(f.Value("series_day"))); err != nil {
		f.Fail("series_day", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.PresenceDay)})
	}
	rule.Days = []scheduling.Weekday{day}
	if rule.Start, err = scheduling.ParseMinute(f.Value("series_start")); err != nil {
		f.Fail("series_start", i18n.FormInvalid, i18n.V{"Field": v.l.T(i18n.PresenceStart)})
	}
	if rule.End, err = scheduling.ParseMinute(f.Value("series_end")); err != nil {
		f.Fail("series_end", i18n.FormInvalid, i18n.V{"Field": v.l.T(i18n.PresenceEnd)})
	}
	if text := f.Value("series_until"); text != "" {
		last, err := scheduling.ParseDate(text)
		if err != nil {
			f.Fail("series_until", i18n.FormInvalid, i18n.V{"Field": v.l.T(i18n.PresenceUntil)})
		}
		rule.Until = &last
	}
	if !f.OK() {
		return s.showPresenceWith(w, r, http.StatusUnprocessableEntity, presenceForms{series: &f})
	}
	next, err := s.d.Scheduling.EditSeries(r.Context(), v.actor, scheduling.SeriesEdit{Presence: one.ID, Version: version, From: from, Rule: rule,
		Drop: f.Value("series_drop") == "yes"})
	if err != nil {
		return s.seriesFailed(w, r, f, err)
	}
	return s.done(w, r, "/presence/"+string(next.ID), pages.LevelOK, i18n.ProgramEdited)
}

// seriesFailed says what is in the way of a change of several windows.
func (s *Server) seriesFailed(w http.ResponseWriter, r *http.Request, f pages.Form, err error) error {
	v := visitOf(r)
	const most = 5 // more would not be read
	var spans []string
	add := func(start, end time.Time) {
		if len(spans) < most {
			spans = append(spans, v.l.Span(start, end))
		}
	}
	var taken *scheduling.SeriesConflict
	var orphans *scheduling.Orphans
	var wall *scheduling.WallRefusal
	switch {
	case errors.As(err, &taken):
		for _, c := range taken.Taken {
			add(c.Start, c.End)
		}
		f.Fail("", i18n.ProgramTaken, i18n.V{"Windows": strings.Join(spans, "; ")})
		return s.showPresenceWith(w, r, http.StatusConflict, presenceForms{series: &f})
	case errors.As(err, &orphans):
		for _, x := range orphans.Windows {
			add(x.Start, x.End)
		}
		f.Fail("", i18n.ProgramOrphans, i18n.V{"Windows": strings.Join(spans, "; ")})
		return s.showPresenceWith(w, r, http.StatusConflict, presenceForms{series: &f, orphans: true})
	case errors.As(err, &wall):
		f.Fail("series_start", i18n.PresenceGap, i18n.V{"Local": readable(wall.Wall), "Next": readable(wall.Check.Next), "Zone": wall.Zone})
		return s.showPresenceWith(w, r, http.StatusUnprocessableEntity, presenceForms{series: &f})
	}
	return s.presenceFailed(w, r, err, presenceForms{series: &f})
}

func (s *Server) insteadPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	one, err := s.d.Scheduling.Presence(r.Context(), v.actor, presenceID(r))
	if err != nil {
		return fmt.Errorf("instead of a window: %w", err)
	}
	at, err := scheduling.ParseWall(r.URL.Query().Get("of"))
	if err != nil {
		return errNotFound
	}
	x, ok := one.Window(at)
	if !ok || !x.State.On() {
		return errNotFound
	}
	list, err := s.d.Scheduling.WindowProposals(r.Context(), v.actor, one.ID, at)
	if err != nil {
		return fmt.Errorf("instead of a window: %w", err)
	}
	p := pages.InsteadPage{ID: string(one.ID), Version: strconv.Itoa(one.Version), Window: at.String(), Start: x.Start, End: x.End}
	for _, o := range list {
		p.Rows = append(p.Rows, pages.InsteadRow{Substitute: string(o.Substitute), Name: o.Name, Local: o.Local.String(), Start: o.Start, End: o.End})
	}
	title, _, _, err := s.presenceTitle(r.Context(), v, one)
	if err != nil {
		return err
	}
	if p.Layout, err = s.layout(w, r, i18n.ProgramInstead); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/presence", Label: v.l.T(i18n.PresenceTitle)}, {Href: "/presence/" + p.ID, Label: title}}
	return s.render(w, r, http.StatusOK, pages.Instead(p))
}

func (s *Server) substituteWindow(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	req := scheduling.WindowRequest{Presence: presenceID(r)}
	if req.Version, err = strconv.Atoi(f.Value("version")); err != nil {
		return errBadForm
	}
	if req.Occurrence, err = scheduling.ParseWall(f.Value("window")); err != nil {
		return errBadForm
	}
	if _, err := s.d.Scheduling.SubstituteWindow(r.Context(), actorOf(r), req, identity.PersonID(f.Value("person"))); err != nil {
		return s.windowFailed(w, r, f, err)
	}
	return s.done(w, r, "/presence/"+string(req.Presence), pages.LevelOK, i18n.ProgramSubstituted)
}

func (s *Server) reportPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	f := pages.Form{Values: r.URL.Query()}
	if f.Values == nil {
		f = pages.Form{}
	}
	f.Prefill("month", s.now().In(v.l.Zone()).Format("2006-01"))
	p := pages.ReportPage{}
	status := http.StatusOK
	month, err := time.Parse("2006-01", f.Value("month"))
	if err != nil {
		f.Fail("month", i18n.FormInvalid, i18n.V{"Field": v.l.T(i18n.ProgramReportMonth)})
		status = http.StatusUnprocessableEntity
	} else {
		list, err := s.d.Scheduling.ProgramReport(r.Context(), v.actor, month.Year(), month.Month())
		if err != nil {
			return fmt.Errorf("report of programs: %w", err)
		}
		for _, m := range list {
			one, err := s.d.Scheduling.Presence(r.Context(), v.actor, m.Presence)
			if err != nil {
				return fmt.Errorf("report of programs: %w", err)
			}
			title, _, _, err := s.presenceTitle(r.Context(), v, one)
			if err != nil {
				return err
			}
			p.Rows = append(p.Rows, pages.ReportRow{ID: string(m.Presence), Title: title, Held: m.Held, Moved: m.Moved, Unused: m.Unused, Canceled: m.Canceled,
				Released: m.Released, Planned: m.Planned, Visits: m.Visits, Cases: m.Cases, Hours: hoursOf(m.Minutes), Ledger: hoursOf(m.Ledger)})
		}
	}
	p.Form = f
	if p.Layout, err = s.layout(w, r, i18n.ProgramReport); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/presence", Label: v.l.T(i18n.PresenceTitle)}}
	return s.render(w, r, status, pages.Report(p))
}

// hoursOf writes minutes as hours and minutes.
func hoursOf(minutes int) string { return fmt.Sprintf("%d:%02d", minutes/60, minutes%60) }
