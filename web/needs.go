package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// needsRoutes are the addresses of what patients ask for their visits; a patient comes
// from their own visit, guests too.
func (s *Server) needsRoutes() []route {
	return []route{
		{http.MethodGet, "/cases/{case}/needs", member, s.caseNeedsPage},
		{http.MethodPost, "/cases/{case}/needs", member, s.saveCaseNeeds},
		{http.MethodGet, "/appointments/{appointment}/needs", someone, s.ownNeedsPage},
		{http.MethodPost, "/appointments/{appointment}/needs", someone, s.saveOwnNeeds},
		{http.MethodPost, "/profile/gender", member, s.saveGender},
	}
}

const (
	spareTimes = 2  // empty rows of times below those there are
	mostTimes  = 20 // rows of times that a form may have, see scheduling.Needs
)

// needsFor is what the page is about: where it was opened.
type needsFor struct {
	post   string
	own    bool
	now    scheduling.Needs
	before []scheduling.Needs
	back   []pages.Crumb
	ref    scheduling.CaseRef  // "" when opened from a visit
	seated []identity.PersonID // interpreters whom a patient knows from the visit
}

func (s *Server) needsOfCase(r *http.Request) (needsFor, error) {
	v := visitOf(r)
	ref := caseRef(r)
	at := needsFor{ref: ref, back: []pages.Crumb{{Href: "/cases", Label: v.l.T(i18n.NavCases)}, {Href: "/cases/" + string(ref), Label: v.l.T(i18n.BookingCase)}}}
	var err error
	if at.now, at.before, err = s.d.Scheduling.NeedsOf(r.Context(), v.actor, ref); err != nil {
		return at, fmt.Errorf("needs of a case: %w", err)
	}
	if v.actor.Has(identity.RoleLocalPhysician) || v.actor.Has(identity.RoleCoordinator) {
		at.post = "/cases/" + string(ref) + "/needs"
	}
	return at, nil
}

func (s *Server) needsOfVisit(r *http.Request) (needsFor, error) {
	v := visitOf(r)
	var at needsFor
	a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, appointmentID(r))
	if err != nil {
		return at, fmt.Errorf("needs for a visit: %w", err)
	}
	if at.now, at.before, err = s.d.Scheduling.OwnNeeds(r.Context(), v.actor, a.ID); err != nil {
		return at, fmt.Errorf("needs for a visit: %w", err)
	}
	path := "/appointments/" + string(a.ID)
	at.back = []pages.Crumb{{Href: path, Label: kindName(v.l, a.Kind)}}
	if seat, seated := a.Seat(v.actor.Person); seated && seat.Role == scheduling.RolePatient {
		at.own, at.post = true, path+"/needs"
		for _, o := range a.Seats {
			if o.Role == scheduling.RoleInterpreter {
				at.seated = append(at.seated, o.Person)
			}
		}
	}
	return at, nil
}

func (s *Server) caseNeedsPage(w http.ResponseWriter, r *http.Request) error {
	at, err := s.needsOfCase(r)
	if err != nil {
		return err
	}
	return s.showNeeds(w, r, http.StatusOK, pages.Form{}, at)
}

func (s *Server) ownNeedsPage(w http.ResponseWriter, r *http.Request) error {
	at, err := s.needsOfVisit(r)
	if err != nil {
		return err
	}
	return s.showNeeds(w, r, http.StatusOK, pages.Form{}, at)
}

func (s *Server) showNeeds(w http.ResponseWriter, r *http.Request, status int, f pages.Form, at needsFor) error {
	v := visitOf(r)
	ids := append([]identity.PersonID{at.now.By}, at.now.Not...)
	for _, b := range at.before {
		ids = append(append(ids, b.By), b.Not...)
	}
	people, err := s.d.Identity.People(r.Context(), append(ids, at.seated...)...)
	if err != nil {
		return fmt.Errorf("people of needs: %w", err)
	}
	p := pages.NeedsPage{Post: at.post, Own: at.own, ID: string(at.now.ID), Now: needsCard(v.l, at.now, people)}
	for _, b := range at.before {
		p.Before = append(p.Before, needsCard(v.l, b, people))
	}
	if at.post != "" {
		if err := s.fillNeeds(r.Context(), v, &p, &f, at, people); err != nil {
			return err
		}
	}
	if at.post != "" && at.ref != "" && at.now.ID != "" {
		if p.Against, err = s.againstNeeds(r.Context(), v, at); err != nil {
			return err
		}
	}
	p.Form = f
	if p.Layout, err = s.layout(w, r, i18n.NeedsTitle); err != nil {
		return err
	}
	p.Crumbs = at.back
	return s.render(w, r, status, pages.Needs(p))
}

// fillNeeds puts what holds into the form, unless one was sent.
func (s *Server) fillNeeds(ctx context.Context, v *visit, p *pages.NeedsPage, f *pages.Form, at needsFor, people map[identity.PersonID]identity.Person) error {
	for _, o := range []string{"wish-female", "must-female", "wish-male", "must-male"} {
		p.Whom = append(p.Whom, pages.Option{Value: o, Text: v.l.T(i18n.ID("needs.whom." + o))})
	}
	p.Days = []pages.Option{{Value: "all", Text: v.l.T(i18n.NeedsEveryDay)}}
	for _, d := range scheduling.EveryDay() {
		p.Days = append(p.Days, pages.Option{Value: d.String(), Text: weekdayName(v.l, d)})
	}
	p.How = []pages.Option{{Value: "must", Text: v.l.T(i18n.NeedsHowMust)}, {Value: "wish", Text: v.l.T(i18n.NeedsHowWish)}}
	known := slices.Clone(at.seated)
	if !at.own {
		list, err := s.d.Identity.PeopleWith(ctx, identity.RoleInterpreter, "")
		if err != nil {
			return fmt.Errorf("interpreters on file: %w", err)
		}
		for _, o := range list {
			known, people[o.ID] = append(known, o.ID), o
		}
	}
	for _, id := range slices.Concat(known, at.now.Not) {
		if !slices.ContainsFunc(p.People, func(o pages.Option) bool { return o.Value == string(id) }) {
			p.People = append(p.People, pages.Option{Value: string(id), Text: people[id].Name})
		}
	}
	if _, sent := f.Values["id"]; sent {
		rows := 0
		for i := range mostTimes {
			if f.Value("day-"+strconv.Itoa(i)) != "" {
				rows = i + 1
			}
		}
		p.ID = f.Value("id")
		p.Rows = upTo(min(rows+spareTimes, mostTimes))
		return nil
	}
	f.Prefill("interpreter", wishCode(at.now.Interpreter))
	f.Prefill("clinician", wishCode(at.now.Clinician))
	f.Prefill("diet", at.now.Diet)
	f.Prefill("fasting", at.now.Fasting)
	f.Prefill("words", at.now.Words)
	for _, id := range at.now.Not {
		f.Values["not"] = append(f.Values["not"], string(id))
	}
	n := 0
	for _, t := range at.now.Times {
		days := []string{"all"}
		if len(t.Days) < 7 {
			days = nil
			for _, d := range t.Days {
				days = append(days, d.String())
			}
		}
		for _, d := range days { // a row has one day or all
			set := func(field, value string) { f.Prefill(field+"-"+strconv.Itoa(n), value) }
			set("day", d)
			if t.Start != 0 || t.End != 24*60 {
				set("start", t.Start.String())
				set("end", scheduling.Minute(int(t.End)%(24*60)).String())
			}
			if t.From != nil {
				set("from", t.From.String())
			}
			if t.Until != nil {
				set("until", t.Until.String())
			}
			set("what", t.What)
			set("how", map[bool]string{true: "must", false: "wish"}[t.Must])
			n++
		}
	}
	p.Rows = upTo(min(n+spareTimes, max(n, mostTimes)))
	return nil
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// wishCode is a wish as the form sends it.
func wishCode(w scheduling.GenderWish) string {
	switch {
	case w.Gender == "":
		return ""
	case w.Must:
		return "must-" + string(w.Gender)
	}
	return "wish-" + string(w.Gender)
}

// readNeeds reads the form; what cannot be read is noted at its field.
func readNeeds(l *i18n.Localizer, f *pages.Form) scheduling.Needs {
	n := scheduling.Needs{ID: scheduling.NeedsID(f.Value("id")), Diet: f.Optional(l, "diet", i18n.NeedsDiet, 1000),
		Fasting: f.Optional(l, "fasting", i18n.NeedsFasting, 1000), Words: f.Optional(l, "words", i18n.NeedsWords, 1000)}
	for field, into := range map[string]*scheduling.GenderWish{"interpreter": &n.Interpreter, "clinician": &n.Clinician} {
		code := f.Value(field)
		if code == "" {
			continue
		}
		if !slices.Contains([]string{"wish-female", "must-female", "wish-male", "must-male"}, code) {
			f.Fail(field, i18n.ErrorInvalid)
			continue
		}
		*into = scheduling.GenderWish{Gender: identity.Gender(code[5:]), Must: code[:5] == "must-"}
	}
	for _, id := range f.All("not") {
		n.Not = append(n.Not, identity.PersonID(id))
	}
	for i := range mostTimes + 1 {
		if t, ok := readTime(l, f, i); ok {
			n.Times = append(n.Times, t)
		}
	}
	return n
}

// readTime reads one row of times; false if it is empty or cannot be read.
func readTime(l *i18n.Localizer, f *pages.Form, i int) (t scheduling.TimeWish, ok bool) {
	row := strconv.Itoa(i)
	value := func(field string) string { return f.Value(field + "-" + row) }
	fail := func(id i18n.ID) (scheduling.TimeWish, bool) {
		f.Fail("time-"+row, id, i18n.V{"Number": strconv.Itoa(i + 1)})
		return t, false
	}
	if value("day") == "" {
		if value("start")+value("end")+value("from")+value("until")+value("what") != "" {
			return fail(i18n.NeedsTimeDay)
		}
		return t, false
	}
	for _, d := range scheduling.EveryDay() {
		if value("day") == "all" || value("day") == d.String() {
			t.Days = append(t.Days, d)
		}
	}
	if t.End = 24 * 60; value("start")+value("end") != "" {
		var err, err2 error
		t.Start, err = scheduling.ParseMinute(value("start"))
		t.End, err2 = scheduling.ParseMinute(value("end"))
		if err != nil || err2 != nil || t.Start == t.End && t.Start != 0 {
			return fail(i18n.NeedsTimeHours)
		}
		if t.End == 0 {
			t.End = 24 * 60
		}
	}
	for field, into := range map[string]**scheduling.Date{"from": &t.From, "until": &t.Until} {
		if value(field) == "" {
			continue
		}
		d, err := scheduling.ParseDate(value(field))
		if err != nil {
			return fail(i18n.NeedsTimeDates)
		}
		*into = &d
	}
	if len(t.Days) == 0 || t.From != nil && t.Until != nil && *t.Until < *t.From {
		return fail(i18n.NeedsTimeDates)
	}
	if how := value("how"); how != "" && how != "must" && how != "wish" {
		return fail(i18n.ErrorInvalid)
	}
	t.Must, t.What = value("how") != "wish", value("what")
	if len([]rune(t.What)) > 200 {
		f.Fail("what-"+row, i18n.FormTooLong, i18n.V{"Field": l.T(i18n.NeedsWhat), "Max": 200})
		return t, false
	}
	return t, true
}

func (s *Server) saveCaseNeeds(w http.ResponseWriter, r *http.Request) error {
	return s.saveNeeds(w, r, s.needsOfCase, func(n scheduling.Needs) error {
		_, err := s.d.Scheduling.StateNeeds(r.Context(), actorOf(r), caseRef(r), n)
		return err
	})
}

func (s *Server) saveOwnNeeds(w http.ResponseWriter, r *http.Request) error {
	return s.saveNeeds(w, r, s.needsOfVisit, func(n scheduling.Needs) error {
		_, err := s.d.Scheduling.StateOwnNeeds(r.Context(), actorOf(r), appointmentID(r), n)
		return err
	})
}

func (s *Server) saveNeeds(w http.ResponseWriter, r *http.Request, open func(*http.Request) (needsFor, error), state func(scheduling.Needs) error) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	at, err := open(r)
	if err != nil {
		return err
	}
	if at.post == "" {
		return errForbidden
	}
	v := visitOf(r)
	n := readNeeds(v.l, &f)
	status := http.StatusUnprocessableEntity
	if f.OK() {
		err := state(n)
		var bad *scheduling.NeedsField
		switch {
		case err == nil:
			return s.done(w, r, at.post, pages.LevelOK, i18n.NeedsSaved)
		case errors.As(err, &bad) && bad.Field == "not":
			f.Fail("not", i18n.NeedsNotBad)
		case errors.As(err, &bad):
			f.Fail(bad.Field, i18n.ErrorInvalid)
		default:
			code, text, ok := s.explain(err)
			if !ok || code == http.StatusNotFound || code == http.StatusForbidden {
				return fmt.Errorf("save needs: %w", err)
			}
			status = code
			f.Fail("", text)
			if errors.Is(err, scheduling.ErrVersion) { // what was typed stays, to be sent once more over what is there now
				f.Values.Set("id", string(at.now.ID))
			}
		}
	}
	return s.showNeeds(w, r, status, f, at)
}

// needsCard writes a statement in the reader's language.
func needsCard(l *i18n.Localizer, n scheduling.Needs, people map[identity.PersonID]identity.Person) pages.NeedsCard {
	c := pages.NeedsCard{At: n.At, By: people[n.By].Name, ByPatient: n.ByPatient}
	for label, w := range map[i18n.ID]scheduling.GenderWish{i18n.NeedsInterpreter: n.Interpreter, i18n.NeedsClinician: n.Clinician} {
		if w.Gender != "" {
			c.Rows = append(c.Rows, pages.NeedRow{Label: label, Value: l.T(i18n.ID("needs.gender." + string(w.Gender))), Must: w.Must})
		}
	}
	slices.SortFunc(c.Rows, func(a, b pages.NeedRow) int { return -compareIDs(a.Label, b.Label) })
	for _, id := range n.Not {
		c.Rows = append(c.Rows, pages.NeedRow{Label: i18n.NeedsNot, Value: people[id].Name, Must: true})
	}
	for _, x := range []pages.NeedRow{{Label: i18n.NeedsDiet, Value: n.Diet}, {Label: i18n.NeedsFasting, Value: n.Fasting}, {Label: i18n.NeedsWords, Value: n.Words}} {
		if x.Value != "" {
			c.Rows = append(c.Rows, x)
		}
	}
	for _, t := range n.Times {
		c.Times = append(c.Times, needsTime(l, t))
	}
	return c
}

func compareIDs(a, b i18n.ID) int {
	if a < b {
		return -1
	}
	return 1
}

func needsTime(l *i18n.Localizer, t scheduling.TimeWish) pages.NeedTime {
	days := l.T(i18n.NeedsEveryDay)
	if len(t.Days) < 7 {
		days = ""
		for i, d := range t.Days {
			if i > 0 {
				days += ", "
			}
			days += weekdayName(l, d)
		}
	}
	out := pages.NeedTime{What: t.What, Must: t.Must}
	if t.Start == 0 && t.End == 24*60 {
		out.When = l.T(i18n.NeedsWhenAll, i18n.V{"Days": days})
	} else {
		out.When = l.T(i18n.NeedsWhen, i18n.V{"Days": days, "From": t.Start.String(), "To": t.End.String()})
	}
	if t.From != nil {
		out.From = dayIn(l, *t.From)
	}
	if t.Until != nil {
		out.To = dayIn(l, *t.Until)
	}
	return out
}

// needsAt is the card on the page where a time is looked for.
func (s *Server) needsAt(ctx context.Context, v *visit, ref scheduling.CaseRef) (*pages.NeedsCard, error) {
	n, _, err := s.d.Scheduling.NeedsOf(ctx, v.actor, ref)
	if err != nil {
		return nil, fmt.Errorf("needs of a case: %w", err)
	}
	people, err := s.d.Identity.People(ctx, append([]identity.PersonID{n.By}, n.Not...)...)
	if err != nil {
		return nil, fmt.Errorf("people of needs: %w", err)
	}
	c := needsCard(v.l, n, people)
	c.Change = "/cases/" + string(ref) + "/needs"
	return &c, nil
}

// againstNeeds are the visits to come that are against what the patient asks for now.
func (s *Server) againstNeeds(ctx context.Context, v *visit, at needsFor) ([]pages.AppointmentRow, error) {
	list, err := s.d.Scheduling.AgainstNeeds(ctx, v.actor, at.ref)
	if err != nil {
		return nil, fmt.Errorf("visits against needs: %w", err)
	}
	var out []pages.AppointmentRow
	for _, a := range list {
		out = append(out, pages.AppointmentRow{ID: string(a.ID), Start: a.StartAt, End: a.End()})
	}
	return out, nil
}

// whyNeeds says which wish of the patient is in the way, and that only they give way.
func whyNeeds(l *i18n.Localizer, row *pages.WhyRow, need scheduling.Need, wish *scheduling.TimeWish) {
	if need == "" {
		need = scheduling.NeedTimes
	}
	row.ID = i18n.ID("needs.why." + string(need))
	if need == scheduling.NeedTimes && wish != nil {
		t := needsTime(l, *wish)
		row.ID, row.Vars = i18n.NeedsWhyTime, i18n.V{"When": t.When}
		if t.What != "" {
			row.ID, row.Vars = i18n.NeedsWhyTimeWhat, i18n.V{"When": t.When, "What": t.What}
		}
	}
	row.Why = append(row.Why, l.T(i18n.NeedsWhyOwn))
}

func (s *Server) saveGender(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if err := s.d.Identity.SetGender(r.Context(), actorOf(r), identity.Gender(f.Value("gender"))); err != nil {
		if _, bad := errors.AsType[*identity.Invalid](err); bad {
			f.Fail("gender", i18n.ErrorInvalid)
			return s.showProfile(w, r, http.StatusUnprocessableEntity, f)
		}
		return fmt.Errorf("state gender: %w", err)
	}
	return s.done(w, r, "/profile", pages.LevelOK, i18n.FlashSaved)
}

// genders are the choices of the profile.
func genders(l *i18n.Localizer) []pages.Option {
	var out []pages.Option
	for _, g := range []identity.Gender{identity.GenderFemale, identity.GenderMale, identity.GenderOther} {
		out = append(out, pages.Option{Value: string(g), Text: l.T(i18n.ID("needs.gender." + string(g)))})
	}
	return out
}
