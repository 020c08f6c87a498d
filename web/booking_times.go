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

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

const (
	timesAhead = 14 * 24 * time.Hour // searched from the first day on
	daysShown  = 7                   // days with times on one page
	slotsShown = 60                  // times after which no further day begins: a page stays light
	denseDay   = 24                  // times of a day beyond which only half hours are listed
	slotsRead  = 14 * 24 * 4         // every quarter of an hour of the range
)

var (
	visitKinds   = []scheduling.Kind{scheduling.JointVideoVisit, scheduling.Advice}
	visitMinutes = []int{15, 30, 45, 60}
)

// choice is what the first form of the page says, read from the address or from the
// hidden fields of the form that books.
type choice struct {
	kind       scheduling.Kind
	specialist identity.PersonID
	duration   time.Duration
	from       time.Time // zero: now
}

func readChoice(l *i18n.Localizer, f *pages.Form) choice {
	c := choice{kind: scheduling.Kind(f.Value("kind")), specialist: identity.PersonID(f.Value("specialist"))}
	if !slices.Contains(visitKinds, c.kind) {
		c.kind = visitKinds[0]
	}
	n, err := strconv.Atoi(f.Value("duration"))
	if err != nil || !slices.Contains(visitMinutes, n) {
		n = 30
	}
	c.duration = time.Duration(n) * time.Minute
	if day, err := scheduling.ParseDate(f.Value("from")); err == nil {
		c.from = scheduling.ResolveWall(l.Zone(), scheduling.Wall{Date: day})
	}
	f.Prefill("kind", string(c.kind))
	f.Prefill("duration", strconv.Itoa(n))
	return c
}

func caseRef(r *http.Request) scheduling.CaseRef { return scheduling.CaseRef(r.PathValue("case")) }

func (s *Server) timesPage(w http.ResponseWriter, r *http.Request) error {
	return s.showTimes(w, r, http.StatusOK, pages.Form{Values: r.URL.Query()}, pages.TimesPage{})
}

// showTimes fills the page. sent holds the choice; p what a booking that failed adds.
func (s *Server) showTimes(w http.ResponseWriter, r *http.Request, status int, sent pages.Form, p pages.TimesPage) error {
	v := visitOf(r)
	ref := caseRef(r)
	p.Case = string(ref)
	p.Choice = pages.Form{Values: url.Values{}}
	for _, k := range []string{"kind", "specialist", "duration", "from"} {
		if sent.Value(k) != "" {
			p.Choice.Prefill(k, sent.Value(k))
		}
	}
	c := readChoice(v.l, &p.Choice)
	if sent.Value("from") != "" && c.from.IsZero() { // no date: the search of today stands below
		p.Choice.Fail("from", i18n.SeekDay)
		status = max(status, http.StatusUnprocessableEntity)
	}
	list, err := s.d.Scheduling.Specialists(r.Context(), v.actor, ref, c.kind)
	if err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	for _, o := range list {
		text := v.l.T(i18n.BookingTimesOnList, i18n.V{"Name": o.Name, "Place": i18n.Place(o.Home)})
		if o.Home == "" {
			text = o.Name
		}
		if !o.Wanted {
			text += " (" + v.l.T(i18n.NeedsNotWanted) + ")"
		}
		if o.Assigned {
			text += " (" + v.l.T(i18n.BookingTimesAssigned) + ")"
		}
		p.Who = append(p.Who, pages.Option{Value: string(o.Person), Text: text, Off: !o.Permitted})
		if !o.Permitted && o.Refusal != nil {
			row, err := s.refused(r.Context(), v.l, o)
			if err != nil {
				return fmt.Errorf("times page: %w", err)
			}
			p.Refused = append(p.Refused, row)
		}
		if o.Assigned && o.Permitted && c.specialist == "" {
			c.specialist = o.Person
			p.Choice.Prefill("specialist", string(o.Person))
		}
	}
	for _, k := range visitKinds {
		p.Kinds = append(p.Kinds, pages.Option{Value: string(k), Text: kindName(v.l, k), Hint: v.l.T(i18n.ID("booking.kind." + string(k) + ".hint"))})
	}
	for _, n := range visitMinutes {
		p.Durations = append(p.Durations, pages.Option{Value: strconv.Itoa(n), Text: v.l.N(i18n.BookingMinutes, n)})
	}
	if p.Needs, err = s.needsAt(r.Context(), v, ref); err != nil {
		return err
	}
	if p.Panel, err = s.panelAsk(r.Context(), v, ref, c, &p); err != nil {
		return err
	}
	if c.specialist != "" {
		if err := s.searchTimes(r.Context(), v, ref, c, &p); err != nil {
			return err
		}
	}
	if p.Layout, err = s.layout(w, r, i18n.BookingTimesTitle); err != nil {
		return err
	}
	p.Crumbs = []pages.Crumb{{Href: "/cases", Label: v.l.T(i18n.NavCases)}, {Href: "/cases/" + p.Case, Label: v.l.T(i18n.BookingCase)}}
	return s.render(w, r, status, pages.Times(p))
}

func (s *Server) refused(ctx context.Context, l *i18n.Localizer, o scheduling.Option) (pages.Refused, error) {
	why, err := s.sentences(ctx, l, o.Refusal)
	return pages.Refused{Name: o.Name, Place: o.Home, Why: why, Rule: o.Refusal.Rule, RuleText: s.ruleText(o.Refusal.Lead)}, err
}

func (s *Server) ruleText(code string) string {
	if code == "" {
		return ""
	}
	return s.d.Credentialing.Explain(code).RuleText
}

func (s *Server) searchTimes(ctx context.Context, v *visit, ref scheduling.CaseRef, c choice, p *pages.TimesPage) error {
	req := scheduling.SearchRequest{Case: ref, Kind: c.kind, Specialist: c.specialist, Duration: c.duration, From: c.from, Limit: slotsRead}
	if now := s.now(); req.From.Before(now) {
		req.From = now
	}
	req.To = req.From.Add(timesAhead)
	answer, err := s.d.Scheduling.Search(ctx, v.actor, req)
	if errors.Is(err, scheduling.ErrInvalidRequest) {
		p.Notice = i18n.ErrorInvalid // a specialist who cannot be one: no times
		return nil
	}
	if err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	p.Searched, p.Interpreted, p.ZoneVersion = true, answer.Interpreted, answer.ZoneVersion
	fairTimes(v, answer, p)
	dense := map[string]int{} // times of each day
	for _, slot := range answer.Slots {
		dense[slot.Start.In(v.l.Zone()).Format(time.DateOnly)]++
	}
	shown := 0
	soonest := soonestOf(answer.Slots)
	for i, slot := range answer.Slots {
		row := slotRow(v, slot)
		if i == soonest {
			p.Soonest = &row
			continue
		}
		day := row.Start.In(v.l.Zone()).Format(time.DateOnly)
		if n := len(p.Days); n == 0 || p.Days[n-1].Day.In(v.l.Zone()).Format(time.DateOnly) != day {
			if n == daysShown || shown > slotsShown {
				p.More = s.timesFrom(p, day)
				break
			}
			p.Days = append(p.Days, pages.SlotDay{Day: row.Start})
		}
		if dense[day] > denseDay && row.Start.In(v.l.Zone()).Minute()%30 != 0 {
			continue // any other time can be typed
		}
		last := &p.Days[len(p.Days)-1]
		if shown++; slot.Unsocial() {
			last.Night = append(last.Night, row)
		} else {
			last.Slots = append(last.Slots, row)
		}
	}
	if p.More == "" {
		p.More = s.timesFrom(p, req.To.In(v.l.Zone()).Format(time.DateOnly))
	}
	if p.Why, err = s.whys(ctx, v.l, answer.WhyNot, answer.Interpreted); err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	if p.Cuts, err = s.whys(ctx, v.l, answer.Cuts, answer.Interpreted); err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	if err := s.adviceInstead(ctx, v, req, c, answer, p); err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	for _, u := range answer.Unqualified {
		p.Unqualified = append(p.Unqualified, pages.Refused{Name: u.Name, Why: []string{s.sentence(v.l, u.Reason)}})
	}
	if p.Held, err = s.heldTimes(ctx, v, ref, c.specialist); err != nil {
		return err
	}
	return s.zones(ctx, v, ref, c, p, answer)
}

// soonestOf is the first slot that is as the patient wishes, else the first.
func soonestOf(list []scheduling.Slot) int {
	return max(0, slices.IndexFunc(list, func(x scheduling.Slot) bool { return len(x.Unmet) == 0 }))
}

// timesFrom is the address of the same search from another day on.
func (s *Server) timesFrom(p *pages.TimesPage, day string) string {
	q := url.Values{"kind": {p.Choice.Value("kind")}, "specialist": {p.Choice.Value("specialist")}, "duration": {p.Choice.Value("duration")}, "from": {day}}
	return "/cases/" + p.Case + "/times?" + q.Encode()
}

// slotRow leaves out the reader, whose clock stands first already.
func slotRow(v *visit, slot scheduling.Slot) pages.SlotRow {
	row := pages.SlotRow{Start: slot.Start, End: slot.End(), Pivot: slot.Pivot}
	for _, n := range slot.Unmet {
		row.Unmet = append(row.Unmet, i18n.ID("needs.unmet."+string(n)))
	}
	for _, o := range slot.Parties {
		if o.Person != v.actor.Person {
			row.Others = append(row.Others, pages.ClockRow{Name: o.Name, Role: string(o.Role), Zone: o.Clock.Zone, Pair: o.Pair})
		}
	}
	return row
}

// zones are the clocks on which a time may be typed: the reader's and those of the
// people of the visit.
func (s *Server) zones(ctx context.Context, v *visit, ref scheduling.CaseRef, c choice, p *pages.TimesPage, answer scheduling.SearchAnswer) error {
	add := func(name, zone string) {
		if !slices.ContainsFunc(p.Zones, func(o pages.Option) bool { return o.Value == zone }) {
			p.Zones = append(p.Zones, pages.Option{Value: zone, Text: name + " — " + zone})
		}
	}
	ids := []identity.PersonID{v.actor.Person, c.specialist}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return fmt.Errorf("times page: %w", err)
	}
	for _, id := range ids {
		if one, ok := people[id]; ok {
			add(one.Name, one.Zone)
		}
	}
	if len(answer.Slots) > 0 {
		for _, o := range answer.Slots[0].Parties {
			add(o.Name, o.Clock.Zone)
		}
	}
	return nil
}

// adviceInstead offers advice without the patient where the specialist's permission
// keeps a joint visit away and advice does not need it.
func (s *Server) adviceInstead(ctx context.Context, v *visit, req scheduling.SearchRequest, c choice, answer scheduling.SearchAnswer, p *pages.TimesPage) error {
	permission := func(w scheduling.Reason) bool {
		return w.Refusal != nil && w.Refusal.Limit == scheduling.LimitLicense && w.Refusal.Person == c.specialist
	}
	if c.kind != scheduling.JointVideoVisit || !slices.ContainsFunc(slices.Concat(answer.WhyNot, answer.Cuts), permission) {
		return nil
	}
	req.Kind, req.Limit = scheduling.Advice, 1
	instead, err := s.d.Scheduling.Search(ctx, v.actor, req)
	if err != nil || len(instead.Slots) == 0 {
		return err
	}
	people, err := s.d.Identity.People(ctx, c.specialist)
	if err != nil {
		return err
	}
	q := url.Values{"kind": {string(scheduling.Advice)}, "specialist": {string(c.specialist)}, "duration": {p.Choice.Value("duration")}}
	if from := p.Choice.Value("from"); from != "" {
		q.Set("from", from)
	}
	p.Advice, p.AdviceBy = "/cases/"+p.Case+"/times?"+q.Encode(), people[c.specialist].Name
	return nil
}

func (s *Server) whys(ctx context.Context, l *i18n.Localizer, list []scheduling.Reason, pair [2]string) ([]pages.WhyRow, error) {
	var out []pages.WhyRow
	for _, w := range list {
		row, err := s.why(ctx, l, w, pair)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// why says one cause.
func (s *Server) why(ctx context.Context, l *i18n.Localizer, w scheduling.Reason, pair [2]string) (pages.WhyRow, error) {
	row := pages.WhyRow{ID: i18n.ID("booking.why." + string(w.Limit)), Vars: i18n.V{"Name": w.Name}, Gained: w.Gained, First: w.First, Name: w.Name}
	if w.Limit == scheduling.LimitNeeds {
		whyNeeds(l, &row, w.Need, w.Wish)
		if w.Meets > 0 {
			row.Why = append(row.Why, l.T(i18n.NeedsWhyMeets, i18n.V{"Time": lasting(l, w.Meets)}))
		}
		return row, nil
	}
	if w.Refusal == nil {
		if w.Limit == scheduling.LimitRest { // by which rule is not known
			row.ID, row.Vars = whyRest(l, w.Name, nil)
		}
		return row, nil
	}
	return row, s.whyRefused(ctx, l, &row, *w.Refusal, pair)
}

func (s *Server) whyRefused(ctx context.Context, l *i18n.Localizer, row *pages.WhyRow, why scheduling.Refusal, pair [2]string) (err error) {
	switch why.Limit {
	case scheduling.LimitNeeds:
		whyNeeds(l, row, why.Need, why.Wish)
	case scheduling.LimitRest:
		row.ID, row.Vars = whyRest(l, row.Name, why.Rest)
	case scheduling.LimitLicense:
		if why.Lead == "" { // of an interpreter
			row.ID = i18n.BookingWhyCertificate
			return nil
		}
		row.Rule, row.RuleText, row.Until = why.Rule, s.ruleText(why.Lead), why.Until
		row.Why, err = s.sentences(ctx, l, &why)
	case scheduling.LimitCapacity:
		if id, ok := capacityWhy[why.Lead]; ok {
			row.ID = id
		}
	case scheduling.LimitInterpreter:
		if id, ok := interpreterWhy[why.Lead]; ok {
			row.ID = id
		} else {
			row.Vars = i18n.V{"From": i18n.Lang(pair[0]), "To": i18n.Lang(pair[1])}
		}
	}
	return err
}

func (s *Server) bookTime(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	p := pages.TimesPage{Book: f}
	c := readChoice(v.l, &f)
	req := scheduling.BookRequest{Key: f.Value("key"), Case: caseRef(r), Kind: c.kind, Specialist: c.specialist, Duration: c.duration,
		Note: p.Book.Optional(v.l, "note", i18n.BookingTimesNote, 500)}
	if typed := f.Value("local"); typed != "" || f.Value("start") == "" && f.Value("zone") != "" {
		s.typedTime(v.l, &p.Book, &req)
	} else if req.Start, err = time.Parse(time.RFC3339, f.Value("start")); err != nil {
		p.Book.Fail("start", i18n.FormChoose, i18n.V{"Field": v.l.T(i18n.BookingTimesStart)})
	}
	if !p.Book.OK() {
		return s.showTimes(w, r, http.StatusUnprocessableEntity, f, p)
	}
	if _, sent := f.Values["override"]; sent {
		if reason := f.Value("override"); len([]rune(reason)) < 5 {
			p.Book.Fail("override", i18n.ArrangeOverrideShort) // beside the refusal that it was for
		} else {
			req.Override = reason
		}
	}
	if f.Value("do") == "hold" {
		a, err := s.d.Scheduling.Hold(r.Context(), v.actor, req, 0)
		if err != nil {
			return s.bookingFailed(w, r, f, p, err)
		}
		return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, i18n.ArrangeHoldDone)
	}
	a, err := s.d.Scheduling.Book(r.Context(), v.actor, req)
	if err == nil {
		say := i18n.BookingDoneBooked
		if a.State == scheduling.StatePending {
			say = i18n.BookingDonePending
		}
		return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, say)
	}
	return s.bookingFailed(w, r, f, p, err)
}

func (s *Server) typedTime(l *i18n.Localizer, f *pages.Form, req *scheduling.BookRequest) {
	wall, err := scheduling.ParseWall(strings.Replace(f.Value("local"), " ", "T", 1))
	if err != nil {
		f.Fail("local", i18n.BookingTypedInvalid)
	}
	if _, err := scheduling.LoadZone(f.Value("zone")); err != nil {
		f.Fail("zone", i18n.FormChoose, i18n.V{"Field": l.T(i18n.BookingTypedZone)})
	}
	req.StartLocal, req.Zone = &wall, f.Value("zone")
	req.Occurrence, _ = strconv.Atoi(f.Value("occurrence"))
}

// bookingFailed shows the page again with what refuses, or with other times.
func (s *Server) bookingFailed(w http.ResponseWriter, r *http.Request, f pages.Form, p pages.TimesPage, err error) error {
	v := visitOf(r)
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
		p.Book.Values.Del("start")
		for _, slot := range taken.Nearest {
			p.Nearest = append(p.Nearest, slotRow(v, slot))
		}
		p.Book.Values.Set("key", uuid.NewString()) // what comes next is another booking
		return s.showTimes(w, r, http.StatusConflict, f, p)
	case errors.As(err, &refusal):
		row := pages.WhyRow{ID: i18n.ID("booking.why." + string(refusal.Limit)), Vars: i18n.V{}}
		if refusal.Person != "" {
			people, err := s.d.Identity.People(r.Context(), refusal.Person)
			if err != nil {
				return fmt.Errorf("refused booking: %w", err)
			}
			row.Name = people[refusal.Person].Name
			row.Vars["Name"] = row.Name
		}
		pair, err := s.pairOf(r.Context(), v, caseRef(r), f)
		if err != nil {
			return err
		}
		if err := s.whyRefused(r.Context(), v.l, &row, *refusal, pair); err != nil {
			return fmt.Errorf("book: %w", err)
		}
		p.Refusal = &row
		if refusal.Limit.Overridable() {
			p.Override = startOf(f)
		}
		p.Book.Values.Set("key", uuid.NewString())
		return s.showTimes(w, r, http.StatusUnprocessableEntity, f, p)
	case errors.As(err, &wall):
		vars := i18n.V{"Zone": wall.Zone, "Local": readable(wall.Wall), "Next": readable(wall.Check.Next)}
		if wall.Check.Kind == scheduling.WallGap {
			p.Book.Fail("local", i18n.BookingTypedGap, vars)
			p.Book.Values.Set("local", wall.Check.Next.String())
			return s.showTimes(w, r, http.StatusUnprocessableEntity, f, p)
		}
		p.Book.Fail("occurrence", i18n.BookingTypedFold, vars)
		loc, err := scheduling.LoadZone(wall.Zone)
		if err != nil {
			return err
		}
		for i, id := range []i18n.ID{i18n.BookingTypedFirst, i18n.BookingTypedSecond} {
			offset := i18n.ZoneName(wall.Check.Instants[i].In(loc))
			p.Fold = append(p.Fold, pages.Option{Value: strconv.Itoa(i + 1), Text: v.l.T(id, i18n.V{"Offset": offset})})
		}
		return s.showTimes(w, r, http.StatusUnprocessableEntity, f, p)
	}
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return err
	}
	p.Book.Fail("", text)
	return s.showTimes(w, r, status, f, p)
}

// fullWindow says why a window of a program takes no more; "" if the time was taken.
func (s *Server) fullWindow(ctx context.Context, l *i18n.Localizer, taken *scheduling.SlotTaken) (string, error) {
	id, ok := capacityWhy[taken.Full]
	if !ok {
		return "", nil
	}
	people, err := s.d.Identity.People(ctx, taken.Whose)
	if err != nil {
		return "", fmt.Errorf("full window: %w", err)
	}
	return l.T(id, i18n.V{"Name": people[taken.Whose].Name}), nil
}

// pairOf is the pair of languages of a visit, for the sentence about interpreters.
func (s *Server) pairOf(ctx context.Context, v *visit, ref scheduling.CaseRef, f pages.Form) ([2]string, error) {
	c := readChoice(v.l, &f)
	answer, err := s.d.Scheduling.Search(ctx, v.actor, scheduling.SearchRequest{Case: ref, Kind: c.kind, Specialist: c.specialist, Duration: c.duration, Limit: 1})
	if err != nil {
		return [2]string{}, fmt.Errorf("refused booking: %w", err)
	}
	return answer.Interpreted, nil
}

func readable(w scheduling.Wall) string { return w.Date.String() + " " + w.Minute.String() }
