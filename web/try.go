package web

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// localTime is how a browser writes a date and time without a zone.
const localTime = "2006-01-02T15:04"

// interpret is the activity of a question about an interpreter.
const interpret = "interpret"

// tryQuestion answers a question of an officer, also about the past: what is true at one
// instant as it was on record at another. A program gets the same as JSON.
func (s *Server) tryQuestion(w http.ResponseWriter, r *http.Request) error {
	l, actor := localizer(r), actorOf(r)
	f := pages.Form{Values: r.URL.Query()}
	asked := f.Values.Has("activity") || wantsJSON(r)
	// The next full minute: nothing of what is on file is younger than that.
	f.Prefill("at", s.now().Add(time.Minute).In(l.Zone()).Format(localTime))
	p := pages.TryPage{Unverified: s.unverifiedNotice(), Interprets: f.Value("activity") == interpret}
	if err := s.tryChoices(r.Context(), actor, l, &p); err != nil {
		return err
	}
	status := http.StatusOK
	if asked {
		q := s.readQuestion(l, &f, p.Clinics)
		var a credentialing.KnownAnswer
		var err error
		if f.OK() {
			if a, err = s.answerKnown(r.Context(), actor, q); err != nil {
				if err := s.failKnown(&f, err); err != nil {
					return fmt.Errorf("try a question: %w", err)
				}
			}
		}
		switch {
		case !f.OK() && wantsJSON(r):
			return s.refuseJSON(w, l, f)
		case !f.OK():
			status = http.StatusUnprocessableEntity
		case wantsJSON(r):
			return writeJSON(w, http.StatusOK, s.knownAnswerJSON(l, q, a))
		default:
			if p.Answer, err = s.tryAnswer(r.Context(), l, q, a); err != nil {
				return err
			}
		}
	}
	for _, field := range []string{"at", "known"} { // an instant of a link stands in the field as on the reader's clock
		if at, err := time.Parse(time.RFC3339Nano, f.Value(field)); err == nil {
			f.Values.Set(field, at.In(l.Zone()).Format(localTime))
		}
	}
	p.Form = f
	var err error
	if p.Layout, err = s.layout(w, r, i18n.OfficerTry); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.Try(p))
}

// knownQuestion is a question on both axes of time.
type knownQuestion struct {
	person    identity.PersonID
	activity  string // one of the activities, or interpret
	place     string
	at, until time.Time // until zero: at alone
	known     time.Time
	pair      [2]string // of interpret
	way       string
	ask       credentialing.Ask
}

// readQuestion reads a question. The facts of the case are taken as given, so that only
// person, place and time decide.
func (s *Server) readQuestion(l *i18n.Localizer, f *pages.Form, clinics []pages.Option) knownQuestion {
	acts := []string{interpret}
	for _, a := range credentialing.Activities {
		acts = append(acts, string(a))
	}
	q := knownQuestion{person: identity.PersonID(f.Require(l, "person", i18n.OfficerPerson, 40)), activity: f.Choose(l, "activity", i18n.OfficerActivity, acts...),
		known: s.readKnown(l, f, "known")}
	var ok bool
	if q.at, q.until, _, ok = readWhen(f.Value("at"), l.Zone()); !ok {
		f.Fail("at", i18n.OfficerWhenBad)
	}
	if q.activity == interpret {
		both := strings.Fields(strings.ReplaceAll(f.Value("languages"), ",", " "))
		if len(both) == 2 {
			q.pair = [2]string(both)
		} else {
			f.Fail("languages", i18n.ThenLanguagesBad)
		}
		if q.way = credentialing.InterpretModes[0]; f.Value("way") != "" {
			q.way = f.Choose(l, "way", i18n.ThenMode, credentialing.InterpretModes...)
		}
		return q
	}
	q.place = strings.ToUpper(f.Require(l, "place", i18n.OfficerWhere, 6))
	if clinic := f.Value("clinic"); clinic != "" && !slices.ContainsFunc(clinics, func(o pages.Option) bool { return o.Value == clinic }) {
		f.Fail("clinic", i18n.FormChoose, i18n.V{"Field": l.T(i18n.OfficerClinic)})
	}
	yes := credentialing.Yes()
	q.ask = credentialing.Ask{Mode: credentialing.Plan, Person: q.person, Activity: credentialing.Activity(q.activity), At: q.at, Through: q.until}
	q.ask.Case = credentialing.CaseContext{Organization: identity.OrganizationID(f.Value("clinic")), Places: []string{q.place}, LocationConfirmed: yes,
		IdentityConfirmed: yes, Modality: "live-video", Interpreter: yes, PatientLanguages: []string{}, FirstContact: credentialing.No(),
		ControlledSubstance: credentialing.No(), PriorInPerson: yes, LongTerm: credentialing.No(),
		Local: credentialing.LocalPhysician{ID: identity.PersonID(f.Value("local")), Requested: yes, Present: yes, FinalAuthority: yes, Signed: credentialing.No()}}
	for _, c := range []string{"telehealth", "share-with-specialist", "overseas-transfer", "remote-only-explained"} {
		q.ask.Case.Consents = append(q.ask.Case.Consents, credentialing.Consent{Type: c, Recorded: q.at})
	}
	return q
}

func (s *Server) answerKnown(ctx context.Context, actor identity.Actor, q knownQuestion) (credentialing.KnownAnswer, error) {
	if q.activity == interpret {
		return s.d.Credentialing.QualifiedKnown(ctx, actor, credentialing.Qualify{Person: q.person, Pair: q.pair, Mode: q.way, At: q.at, Through: q.until}, q.known)
	}
	return s.d.Credentialing.AskKnown(ctx, actor, q.ask, q.known)
}

func (s *Server) tryChoices(ctx context.Context, actor identity.Actor, l *i18n.Localizer, p *pages.TryPage) error {
	onFile, err := s.d.Credentialing.OnFile(ctx, actor)
	if err != nil {
		return fmt.Errorf("people on file: %w", err)
	}
	for _, who := range onFile {
		p.People = append(p.People, pages.Option{Value: string(who.ID), Text: who.Name})
	}
	byText := func(a, b pages.Option) int { return strings.Compare(a.Text, b.Text) }
	slices.SortFunc(p.People, byText)
	for _, a := range credentialing.Activities {
		p.Acts = append(p.Acts, pages.Option{Value: string(a), Text: l.T(i18n.ID("scope.activity." + string(a)))})
	}
	p.Acts = append(p.Acts, pages.Option{Value: interpret, Text: l.T(i18n.ThenInterpret)})
	p.Modes = options(l, "officer.mode.", credentialing.InterpretModes...)
	for _, code := range s.d.Credentialing.Rules().Places() {
		p.Places = append(p.Places, pages.Option{Value: code, Text: l.Place(code)})
	}
	slices.SortFunc(p.Places, byText)
	locals, err := s.d.Identity.PeopleWith(ctx, identity.RoleLocalPhysician, "")
	if err != nil {
		return fmt.Errorf("local physicians: %w", err)
	}
	for _, w := range locals {
		p.Locals = append(p.Locals, pages.Option{Value: string(w.ID), Text: w.Name})
	}
	clinics, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return fmt.Errorf("clinics: %w", err)
	}
	for _, o := range clinics {
		p.Clinics = append(p.Clinics, pages.Option{Value: string(o.ID), Text: o.Name})
	}
	return nil
}

func decisionLevel(d credentialing.Decision) pages.Level {
	switch d {
	case credentialing.Deny:
		return pages.LevelBad
	case credentialing.PermitWithConditions:
		return pages.LevelWarn
	}
	return pages.LevelOK
}

func answerRow(d credentialing.Determination) pages.AnswerRow {
	row := pages.AnswerRow{Href: "/credentials/answers/" + string(d.ID), Activity: i18n.ID("scope.activity." + string(d.Activity)),
		Decision: i18n.ID("scope.decision." + string(d.Decision)), Level: decisionLevel(d.Decision), Mode: i18n.OfficerMode, Given: d.DecidedAt, For: d.At}
	if d.Mode == credentialing.Act {
		row.Mode = i18n.OfficerAct
	}
	return row
}

// determination shows a stored answer and works it out again.
func (s *Server) determination(w http.ResponseWriter, r *http.Request) error {
	d, differs, err := s.d.Credentialing.Check(r.Context(), actorOf(r), credentialing.DeterminationID(r.PathValue("determination")))
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	l := localizer(r)
	p := pages.DeterminationPage{Row: answerRow(d), Reasons: s.reasonRows(l, d.Reasons), Conditions: s.reasonRows(l, d.Conditions),
		Facts: string(d.Facts), Hash: hex.EncodeToString(d.Hash[:]), Differs: differs != nil}
	for _, a := range d.ByPlace {
		p.Places = append(p.Places, i18n.Place(a.Place))
	}
	grounds, err := d.Grounds()
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	for _, g := range grounds {
		row := pages.GroundRow{Href: "/credentials/" + g.ID, Name: credentialName(l, g.Kind, g.Number, g.Issuer, g.Jurisdiction)}
		if g.Verified != nil {
			row.Verified, row.Evidence = g.Verified.At, g.Verified.Evidence
			row.File = row.Href + "/evidence/" + g.Verified.Evidence
		}
		p.Grounds = append(p.Grounds, row)
	}
	p.Accepted = d.AcceptUnverified
	packs, err := s.d.Credentialing.PacksOf(r.Context(), actorOf(r), d.Packs)
	if err != nil {
		return fmt.Errorf("editions of an answer: %w", err)
	}
	for i, e := range d.Packs {
		row := pages.EditionRow{Code: e.Code, Version: e.Version, SHA256: e.SHA256, State: packState(packs[i].Status), Level: packLevel(packs[i].Status)}
		if c := packs[i].VerifiedBy; c != nil && packs[i].Status == "verified" {
			row.Name, row.On = c.Name, c.On
		}
		p.Editions = append(p.Editions, row)
	}
	p.Editions = append(p.Editions, pages.EditionRow{Code: d.ConditionsList.Code, Version: d.ConditionsList.Version, SHA256: d.ConditionsList.SHA256})
	names, err := s.namesOf(r.Context(), []identity.PersonID{d.Person})
	if err != nil {
		return err
	}
	if p.Layout, err = s.layout(w, r, i18n.OfficerDetermination); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/people/" + string(d.Person), Label: names[d.Person]})
	return s.render(w, r, http.StatusOK, pages.Determination(p))
}

// reasonRows say codes as sentences.
func (s *Server) reasonRows(l *i18n.Localizer, codes []string) (out []pages.ReasonRow) {
	for _, code := range codes {
		e := s.d.Credentialing.Explain(code)
		row := pages.ReasonRow{Code: code, Sentence: l.Sentence(e.MessageID, e.Data), RuleText: e.RuleText, Source: e.Source, URL: e.SourceURL}
		if id, ok := e.Data["Credential"].(string); ok {
			row.Href, row.Code = "/credentials/"+id, ""
		}
		out = append(out, row)
	}
	return out
}

// tryAnswer shows an answer with all that it rests on.
func (s *Server) tryAnswer(ctx context.Context, l *i18n.Localizer, q knownQuestion, known credentialing.KnownAnswer) (*pages.TryAnswer, error) {
	a := &pages.TryAnswer{At: known.At, Until: q.until, Known: known.Known}
	var err error
	if a.Record, err = s.pastRecord(ctx, l, known); err != nil {
		return nil, err
	}
	if q.activity == interpret {
		a.Decision, a.Level, a.Ends = i18n.ThenQualifiedYes, pages.LevelOK, known.Qualification.Until
		if reason := known.Qualification.Reason; !known.Qualification.OK {
			a.Decision, a.Level, a.Reasons = i18n.ThenQualifiedNo, pages.LevelBad, s.reasonRows(l, []string{reason})
		}
		return a, nil
	}
	d := known.Determination
	a.Decision, a.Level, a.Ends, a.Accepted = i18n.ID("scope.decision."+string(d.Decision)), decisionLevel(d.Decision), d.Until, d.AcceptUnverified
	a.Reasons, a.Conditions, a.Hash = s.reasonRows(l, d.Reasons), s.reasonRows(l, d.Conditions), hex.EncodeToString(d.Hash[:])
	for _, e := range known.Editions {
		row := pages.EditionRow{Code: e.Code, Version: e.Version, SHA256: e.SHA256, Since: e.Since}
		if e.Code != d.ConditionsList.Code {
			row.State, row.Level = packState(e.Status), packLevel(e.Status)
		}
		a.Editions = append(a.Editions, row)
	}
	for _, r := range known.Rules {
		row := pages.RuleRow{Rule: r.Rule, Place: r.Place, Effect: i18n.ID("officer.effect." + string(r.Effect)), Holds: truthID(r.Holds), Level: pages.LevelInfo}
		if r.Holds != credentialing.False {
			switch r.Effect {
			case credentialing.EffectForbid:
				row.Level = pages.LevelBad
			case credentialing.EffectPermit:
				row.Level = pages.LevelOK
			}
		}
		for _, t := range slices.Concat(r.When, r.Duties) {
			e, not := s.d.Credentialing.Rules().ExplainCondition(t.Condition)
			text := l.Sentence(e.MessageID, e.Data)
			if not {
				text = l.T(i18n.OfficerOpposite, i18n.V{"Fact": text})
			}
			row.Facts = append(row.Facts, pages.FactRow{Text: text, Holds: truthID(t.Holds)})
		}
		a.Rules = append(a.Rules, row)
	}
	return a, nil
}

// pastRecord is what was on record about a person, for a page.
func (s *Server) pastRecord(ctx context.Context, l *i18n.Localizer, known credentialing.KnownAnswer) (r pages.PastRecord, err error) {
	names, err := s.namesOf(ctx, []identity.PersonID{known.Person})
	if err != nil {
		return r, err
	}
	r.Name, r.Checked = names[known.Person], known.CheckedAt
	r.File = "/credentials/people/" + string(known.Person) + "/as-known?" + url.Values{"valid": {known.At.In(l.Zone()).Format(localTime)},
		"known": {known.Known.In(l.Zone()).Format(localTime)}}.Encode()
	for _, c := range known.Credentials {
		r.Credentials = append(r.Credentials, pastRow(c))
	}
	for _, c := range known.Local {
		r.Local = append(r.Local, pastRow(c))
	}
	for _, e := range known.Exclusions {
		r.Exclusions = append(r.Exclusions, pages.StandRow{Text: l.T(i18n.RecordExcluded), Detail: e.List + " " + e.Entry, From: e.From, Until: e.To,
			Held: holds(e.From, e.To, known.At), Bad: true})
	}
	if r.Roles, err = s.roleRows(ctx, l, known.Roles); err != nil {
		return r, err
	}
	r.Statements = statementRows(known.OwnPlaces, known.At)
	for _, x := range known.Facility {
		r.Clinic = append(r.Clinic, pages.StandRow{Text: l.T(i18n.ThenLicense, i18n.V{"Number": x.Number}), Detail: l.Place(x.Jurisdiction), From: x.ValidFrom,
			Until: x.ValidTo, Held: x.InForce(known.At)})
	}
	for _, x := range known.Agreements {
		name, err := s.facilityName(ctx, string(x.To))
		if err != nil {
			return r, err
		}
		r.Clinic = append(r.Clinic, pages.StandRow{Text: l.T(i18n.ThenAgreement, i18n.V{"Name": name}), From: x.ValidFrom, Until: x.ValidTo, Held: x.InForce(known.At)})
	}
	return r, nil
}

// roleRows are roles with how they stood.
func (s *Server) roleRows(ctx context.Context, l *i18n.Localizer, roles []credentialing.PastRole) (out []pages.StandRow, err error) {
	for _, g := range roles {
		row := pages.StandRow{Text: roleName(l, g.Role), From: g.From, Until: g.Until, Held: g.Held}
		if g.Organization != "" {
			if row.Detail, err = s.facilityName(ctx, string(g.Organization)); err != nil {
				return nil, err
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// statementRows are the places that somebody worked from, as they stood at an instant.
func statementRows(list []credentialing.OwnPlaceState, at time.Time) (out []pages.OwnPlaceRow) {
	for _, o := range list {
		row := pages.OwnPlaceRow{Place: o.Place, Home: o.Home, At: o.SignedAt, Until: o.Until, Level: pages.LevelWarn, State: i18n.OwnPlaceMissing}
		if o.Stated(at) {
			row.Level, row.State = pages.LevelOK, i18n.OwnPlaceOK
		}
		out = append(out, row)
	}
	return out
}

func truthID(t credentialing.Truth) i18n.ID { return i18n.ID("officer.truth." + t.String()) }
