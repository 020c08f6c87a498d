package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// presenceRoutes are the addresses of specialists' presences.
func (s *Server) presenceRoutes() []route {
	return []route{
		{http.MethodGet, "/presence", member, s.presencesPage},
		{http.MethodGet, "/presence/new", holding(identity.RoleSpecialist), s.offerPage},
		{http.MethodPost, "/presence", holding(identity.RoleSpecialist), s.offerPresence},
		{http.MethodGet, "/presence/{presence}", member, s.presencePage},
		{http.MethodGet, "/presence/{presence}/calendar.ics", member, s.presenceFile},
		{http.MethodPost, "/presence/{presence}/window", member, s.changeWindow},
	}
}

func presenceID(r *http.Request) scheduling.PresenceID {
	return scheduling.PresenceID(r.PathValue("presence"))
}

// presenceTitle names a presence by its two sides.
func (s *Server) presenceTitle(ctx context.Context, v *visit, p scheduling.Presence) (title string, who identity.Person, clinic identity.Organization, err error) {
	if who, err = s.d.Identity.Person(ctx, p.Person); err != nil {
		return "", who, clinic, fmt.Errorf("specialist of a presence: %w", err)
	}
	if clinic, err = s.d.Identity.Organization(ctx, p.Organization); err != nil {
		return "", who, clinic, fmt.Errorf("clinic of a presence: %w", err)
	}
	return v.l.T(i18n.PresenceWith, i18n.V{"Name": who.Name, "Clinic": clinic.Name}), who, clinic, nil
}

func (s *Server) presencesPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	list, err := s.d.Scheduling.Presences(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("presences page: %w", err)
	}
	p := pages.PresencesPage{MayOffer: v.actor.Has(identity.RoleSpecialist)}
	p.MayClose = p.MayOffer || v.actor.Has(identity.RoleCoordinator) || v.actor.Has(identity.RoleOfficer) || v.actor.Has(identity.RoleLocalPhysician)
	now := s.now()
	for _, one := range list {
		title, _, _, err := s.presenceTitle(r.Context(), v, one)
		if err != nil {
			return err
		}
		row := pages.PresenceItem{ID: string(one.ID), Title: title}
		for _, x := range one.Windows {
			if !x.State.On() || !x.End.After(now) {
				continue
			}
			if row.Left++; row.Next.IsZero() || x.Start.Before(row.Next) {
				row.Next, row.NextEnd = x.Start, x.End
			}
		}
		p.List = append(p.List, row)
	}
	slices.SortStableFunc(p.List, func(a, b pages.PresenceItem) int { // those that are over last
		switch {
		case a.Next.IsZero() == b.Next.IsZero():
			return a.Next.Compare(b.Next)
		case b.Next.IsZero():
			return -1
		}
		return 1
	})
	if p.Layout, err = s.layout(w, r, i18n.PresenceTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Presences(p))
}

// offerFields are those of the form, in its order.
var offerFields = []string{"clinic", "freq", "day", "interval", "nth", "start", "end", "anchor", "from", "until", "open"}

func (s *Server) offerPage(w http.ResponseWriter, r *http.Request) error {
	f := pages.Form{Values: r.URL.Query()}
	if f.Value("clinic") == "" && f.Value("until") == "" && f.Value("open") == "" {
		return s.showOffer(w, r, http.StatusOK, f, pages.OfferPage{})
	}
	req, clinic, err := s.readOffer(r, &f)
	if err != nil {
		return err
	}
	p := pages.OfferPage{}
	status := http.StatusUnprocessableEntity
	if f.OK() {
		if err := s.preview(r.Context(), visitOf(r), req, clinic, &p); err == nil {
			status = http.StatusOK
		} else if err := s.offerFailed(&f, err); err != nil {
			return err
		}
	}
	return s.showOffer(w, r, status, f, p)
}

// readOffer reads the form; what is wrong is noted in it.
func (s *Server) readOffer(r *http.Request, f *pages.Form) (scheduling.OfferRequest, identity.Organization, error) {
	v := visitOf(r)
	f.Prefill("interval", "1")
	f.Prefill("nth", "1")
	req := scheduling.OfferRequest{}
	clinics, err := s.clinics(r.Context(), v)
	if err != nil {
		return req, identity.Organization{}, err
	}
	var clinic identity.Organization
	for _, o := range clinics {
		if string(o.ID) == f.Value("clinic") {
			clinic = o
		}
	}
	if clinic.ID == "" {
		f.Fail("clinic", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.PresenceClinic)})
	}
	req.Clinic = clinic.ID
	req.Rule.Freq = scheduling.Freq(f.Choose(v.l, "freq", i18n.PresenceFreq, string(scheduling.Weekly), string(scheduling.Monthly)))
	var day scheduling.Weekday
	if err := day.UnmarshalText([]byte(f.Value("day"))); err != nil {
		f.Fail("day", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.PresenceDay)})
	}
	req.Rule.Days = []scheduling.Weekday{day}
	if req.Rule.Freq == scheduling.Monthly {
		req.Rule.Nth, _ = strconv.Atoi(f.Choose(v.l, "nth", i18n.PresenceNth, "1", "2", "3", "4", "-1"))
	} else {
		req.Rule.Interval, _ = strconv.Atoi(f.Choose(v.l, "interval", i18n.PresenceInterval, "1", "2", "3", "4"))
	}
	minute := func(field string, label i18n.ID) scheduling.Minute {
		m, err := scheduling.ParseMinute(f.Value(field))
		if err != nil {
			f.Fail(field, i18n.FormInvalid, i18n.V{"Field": v.l.T(label)})
		}
		return m
	}
	req.Rule.Start, req.Rule.End = minute("start", i18n.PresenceStart), minute("end", i18n.PresenceEnd)
	date := func(field string, label i18n.ID) *scheduling.Date {
		d, err := scheduling.ParseDate(f.Value(field))
		if err != nil {
			f.Fail(field, i18n.FormInvalid, i18n.V{"Field": v.l.T(label)})
			return nil
		}
		return &d
	}
	req.Rule.From = date("from", i18n.PresenceFrom)
	if req.Open = f.Value("open") == "yes"; !req.Open {
		req.Rule.Until = date("until", i18n.PresenceUntil)
	}
	req.Zone = v.l.Zone().String()
	if f.Choose(v.l, "anchor", i18n.PresenceAnchor, "mine", "clinic") == "clinic" {
		req.Zone = clinic.Zone
	}
	for _, text := range f.All("skip") {
		d, err := scheduling.ParseDate(text)
		if err != nil {
			return req, clinic, errBadForm
		}
		req.Skip = append(req.Skip, d)
	}
	return req, clinic, nil
}

// clinics are those for which somebody can be present: all but the specialist's own.
func (s *Server) clinics(ctx context.Context, v *visit) ([]identity.Organization, error) {
	list, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return nil, fmt.Errorf("clinics: %w", err)
	}
	return slices.DeleteFunc(list, func(o identity.Organization) bool { return o.ID == v.actor.Organization }), nil
}

// preview fills in the windows that would be offered, on both clocks.
func (s *Server) preview(ctx context.Context, v *visit, req scheduling.OfferRequest, clinic identity.Organization, p *pages.OfferPage) error {
	list, err := req.Occurrences(s.now())
	if err != nil {
		return err
	}
	if !list[0].Start.After(s.now()) {
		return scheduling.ErrPast
	}
	var rows []pages.WindowRow
	for _, o := range list {
		if !slices.Contains(req.Skip, o.Local.Date) {
			rows = append(rows, pages.WindowRow{Start: o.Start, End: o.End})
		}
	}
	if err := s.warnClosed(ctx, v, rows, clinic, v.actor.Person); err != nil {
		return err
	}
	p.Moves, err = markMoves(v, rows, list, clinic.Zone)
	p.Preview = &pages.WindowTable{Zone: clinic.Zone, Theirs: clinic.Name, Rows: rows}
	p.Anchor = req.Zone
	return err
}

// markMoves says at which rows the hour moves on the reader's or the other's clock,
// and whether it does anywhere.
func markMoves(v *visit, rows []pages.WindowRow, list []scheduling.Occurrence, other string) (bool, error) {
	found := false
	for _, zone := range []string{v.l.Zone().String(), other} {
		moves, err := scheduling.HourMoves(list, zone)
		if err != nil {
			return false, err
		}
		for _, m := range moves {
			i := slices.IndexFunc(rows, func(r pages.WindowRow) bool { return r.Start.Equal(m.At.Start) })
			if i < 0 {
				continue
			}
			text := v.l.T(i18n.PresenceMoves, i18n.V{"Now": clockIn(m.At.Start, zone), "Before": clockIn(m.Before.Start, zone)})
			if found = true; !slices.Contains(rows[i].Moves, text) {
				rows[i].Moves = append(rows[i].Moves, text)
			}
		}
	}
	return found, nil
}

// clockIn is a time of day on the clock of a zone that is known, with the zone.
func clockIn(t time.Time, zone string) string {
	loc, err := scheduling.LoadZone(zone)
	if err != nil {
		loc = time.UTC
	}
	return t.In(loc).Format("15:04") + " " + i18n.ZoneName(t.In(loc))
}

func (s *Server) showOffer(w http.ResponseWriter, r *http.Request, status int, f pages.Form, p pages.OfferPage) error {
	v := visitOf(r)
	clinics, err := s.clinics(r.Context(), v)
	if err != nil {
		return err
	}
	for _, o := range clinics {
		p.Clinics = append(p.Clinics, pages.Option{Value: string(o.ID), Text: o.Name + " — " + o.Zone})
	}
	for _, d := range scheduling.EveryDay() {
		p.Days = append(p.Days, pages.Option{Value: d.String(), Text: v.l.T(i18n.ID("booking.weekday." + d.String()))})
	}
	for _, n := range []string{"1", "2", "3", "4"} {
		p.Intervals = append(p.Intervals, pages.Option{Value: n, Text: n})
		p.Nths = append(p.Nths, pages.Option{Value: n, Text: v.l.T(i18n.ID("presence.nth." + n))})
	}
	p.Nths = append(p.Nths, pages.Option{Value: "-1", Text: v.l.T(i18n.PresenceNthLast)})
	p.Freqs = []pages.Option{{Value: string(scheduling.Weekly), Text: v.l.T(i18n.PresenceFreqWeekly)}, {Value: string(scheduling.Monthly), Text: v.l.T(i18n.PresenceFreqMonthly)}}
	p.Anchors = []pages.Option{{Value: "mine", Text: v.l.T(i18n.PresenceAnchorMine, i18n.V{"Zone": v.l.Zone().String()})}, {Value: "clinic", Text: v.l.T(i18n.PresenceAnchorClinic)}}
	f.Prefill("freq", string(scheduling.Weekly))
	f.Prefill("interval", "1")
	f.Prefill("nth", "1")
	f.Prefill("anchor", "clinic")
	p.Form = f
	for _, name := range offerFields {
		p.Hidden = append(p.Hidden, [2]string{name, f.Value(name)})
	}
	for _, day := range f.All("skip") {
		p.Hidden = append(p.Hidden, [2]string{"skip", day})
	}
	if p.Layout, err = s.layout(w, r, i18n.PresenceNew); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/presence", Label: v.l.T(i18n.PresenceTitle)}}
	return s.render(w, r, status, pages.Offer(p))
}

// offerFailed notes in the form why a presence cannot be; an unexpected error goes on.
func (s *Server) offerFailed(f *pages.Form, err error) error {
	var wall *scheduling.WallRefusal
	switch {
	case errors.As(err, &wall):
		f.Fail("start", i18n.PresenceGap, i18n.V{"Local": readable(wall.Wall), "Next": readable(wall.Check.Next), "Zone": wall.Zone})
		f.Values.Set("start", wall.Check.Next.Minute.String()) // the next that exists is offered
	case errors.Is(err, scheduling.ErrSeriesEnd):
		f.Fail("until", i18n.PresenceErrorEnd)
	case errors.Is(err, scheduling.ErrWindowLength):
		f.Fail("end", i18n.PresenceErrorLength)
	case errors.Is(err, scheduling.ErrPast):
		f.Fail("from", i18n.PresenceErrorPast)
	default:
		_, text, ok := s.explain(err)
		if !ok {
			return err
		}
		f.Fail("", text)
	}
	return nil
}

func (s *Server) offerPresence(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	req, clinic, err := s.readOffer(r, &f)
	if err != nil {
		return err
	}
	if !f.OK() {
		return s.showOffer(w, r, http.StatusUnprocessableEntity, f, pages.OfferPage{})
	}
	made, err := s.d.Scheduling.Offer(r.Context(), v.actor, req)
	if err == nil {
		return s.done(w, r, "/presence/"+string(made.ID), pages.LevelOK, i18n.PresenceDoneOffered)
	}
	p := pages.OfferPage{}
	var conflict *scheduling.SeriesConflict
	if errors.As(err, &conflict) {
		for _, c := range conflict.Taken {
			p.Taken = append(p.Taken, pages.TakenRow{Start: c.Start, End: c.End, Date: c.Local.Date.String(), Why: v.l.T(i18n.ID("presence.conflict." + string(c.Cause)))})
		}
		if err := s.preview(r.Context(), v, req, clinic, &p); err != nil {
			return err
		}
		return s.showOffer(w, r, http.StatusConflict, f, p)
	}
	if err := s.offerFailed(&f, err); err != nil {
		return fmt.Errorf("offer presence: %w", err)
	}
	return s.showOffer(w, r, http.StatusUnprocessableEntity, f, p)
}

func (s *Server) presencePage(w http.ResponseWriter, r *http.Request) error {
	return s.showPresence(w, r, http.StatusOK, pages.Form{}, nil)
}

// showPresenceWith shows the page with forms that were sent and not taken.
func (s *Server) showPresenceWith(w http.ResponseWriter, r *http.Request, status int, sent presenceForms) error {
	return s.showPresenceAnd(w, r, status, pages.Form{}, nil, sent)
}

func (s *Server) showPresence(w http.ResponseWriter, r *http.Request, status int, f pages.Form, fold []pages.Option) error {
	return s.showPresenceAnd(w, r, status, f, fold, presenceForms{})
}

func (s *Server) showPresenceAnd(w http.ResponseWriter, r *http.Request, status int, f pages.Form, fold []pages.Option, sent presenceForms) error {
	v := visitOf(r)
	one, err := s.d.Scheduling.Presence(r.Context(), v.actor, presenceID(r))
	if err != nil {
		return fmt.Errorf("presence page: %w", err)
	}
	title, who, clinic, err := s.presenceTitle(r.Context(), v, one)
	if err != nil {
		return err
	}
	p := pages.PresencePage{ID: string(one.ID), Version: strconv.Itoa(one.Version), Anchor: one.AnchorZone, Form: f, Fold: fold,
		Table: pages.WindowTable{Zone: clinic.Zone, Theirs: clinic.Name}}
	if v.actor.Person != one.Person {
		p.Table.Zone, p.Table.Theirs = who.Zone, who.Name
	}
	loc, err := scheduling.LoadZone(one.AnchorZone)
	if err != nil {
		return err
	}
	fills, err := s.d.Scheduling.Fills(r.Context(), v.actor, one.ID)
	if err != nil {
		return fmt.Errorf("presence page: %w", err)
	}
	var others []identity.PersonID
	for _, x := range one.Windows {
		others = append(others, x.Person)
	}
	names, err := s.namesOf(r.Context(), others)
	if err != nil {
		return err
	}
	if p.Program, err = s.programCard(r.Context(), v, one, sent); err != nil {
		return err
	}
	now := s.now()
	var regular []scheduling.Occurrence
	for _, x := range one.Windows {
		row := pages.WindowRow{Start: x.Start, End: x.End, State: v.l.T(i18n.ID("presence.state." + string(x.State)))}
		switch x.State {
		case scheduling.WindowMoved:
			row.Level, row.Was = pages.LevelWarn, scheduling.ResolveWall(loc, x.Occurrence)
		case scheduling.WindowCanceled, scheduling.WindowReleased:
			row.Level = pages.LevelBad
		default:
			row.Level = pages.LevelOK
			regular = append(regular, scheduling.Occurrence{Local: x.Occurrence, Start: x.Start, End: x.End})
		}
		if fill := fills[x.Occurrence]; x.State.On() && one.Program.Cases > 0 {
			row.Fill = v.l.T(i18n.ProgramFillOf, i18n.V{"Booked": strconv.Itoa(fill.Visits), "Cases": strconv.Itoa(one.Program.Cases)})
		} else if fill.Visits > 0 {
			row.Fill = v.l.N(i18n.ProgramFill, fill.Visits)
		}
		if x.Person != one.Person {
			row.StandIn = v.l.T(i18n.ProgramStandin, i18n.V{"Name": names[x.Person]})
		}
		p.Table.Rows = append(p.Table.Rows, row)
		if x.State.On() && x.Start.After(now) {
			p.Change = append(p.Change, pages.Option{Value: x.Occurrence.String(), Text: v.l.Span(x.Start, x.End)})
		}
	}
	if p.Moves, err = markMoves(v, p.Table.Rows, regular, p.Table.Zone); err != nil {
		return err
	}
	if err := s.warnClosed(r.Context(), v, p.Table.Rows, clinic, one.Person); err != nil {
		return err
	}
	slices.SortStableFunc(p.Table.Rows, func(a, b pages.WindowRow) int { return a.Start.Compare(b.Start) })
	if p.Layout, err = s.titled(w, r, title); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/presence", Label: v.l.T(i18n.PresenceTitle)}}
	return s.render(w, r, status, pages.Presence(p))
}

// changeWindow moves or cancels one window.
func (s *Server) changeWindow(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	req := scheduling.WindowRequest{Presence: presenceID(r)}
	if req.Version, err = strconv.Atoi(f.Value("version")); err != nil {
		return errBadForm
	}
	if req.Occurrence, err = scheduling.ParseWall(f.Value("window")); err != nil {
		f.Fail("window", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.PresenceWindow)})
	}
	back := "/presence/" + url.PathEscape(string(req.Presence))
	if f.Value("do") == "cancel" {
		if !f.OK() {
			return s.showPresence(w, r, http.StatusUnprocessableEntity, f, nil)
		}
		if _, err := s.d.Scheduling.CancelWindow(r.Context(), v.actor, req); err != nil {
			return s.windowFailed(w, r, f, err)
		}
		return s.done(w, r, back, pages.LevelOK, i18n.PresenceDoneCanceled)
	}
	to, err := scheduling.ParseWall(strings.Replace(f.Value("local"), " ", "T", 1))
	if err != nil {
		f.Fail("local", i18n.BookingTypedInvalid)
	}
	if !f.OK() {
		return s.showPresence(w, r, http.StatusUnprocessableEntity, f, nil)
	}
	which, _ := strconv.Atoi(f.Value("occurrence"))
	if _, err := s.d.Scheduling.MoveWindow(r.Context(), v.actor, req, to, which); err != nil {
		return s.windowFailed(w, r, f, err)
	}
	return s.done(w, r, back, pages.LevelOK, i18n.PresenceDoneMoved)
}

func (s *Server) windowFailed(w http.ResponseWriter, r *http.Request, f pages.Form, err error) error {
	var wall *scheduling.WallRefusal
	if errors.As(err, &wall) {
		fold, err := wallFailed(localizer(r), &f, wall)
		if err != nil {
			return err
		}
		return s.showPresence(w, r, http.StatusUnprocessableEntity, f, fold)
	}
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return err
	}
	f.Fail("", text)
	return s.showPresence(w, r, status, f, nil)
}

// presenceFile is a presence as a calendar file for the reader.
func (s *Server) presenceFile(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	letter, err := s.d.Scheduling.Letter(r.Context(), v.actor, presenceID(r), "", v.actor.Person)
	if err != nil {
		return fmt.Errorf("calendar file: %w", err)
	}
	data, media, err := letter.Calendar(v.l.T(i18n.MailPresenceSummary), v.l.T(i18n.MailCalendarDescription), v.l.Tag(), s.now())
	if err != nil {
		return fmt.Errorf("calendar file: %w", err)
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Disposition", `attachment; filename="presence.ics"`)
	if _, err = w.Write(data); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}
