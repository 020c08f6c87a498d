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

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// officerRoutes are the addresses of the officer pages, and of one's own file.
func (s *Server) officerRoutes() []route {
	officer := holding(identity.RoleOfficer)
	return []route{
		{http.MethodGet, "/credentials", officer, s.officerQueue},
		{http.MethodGet, "/credentials/try", officer, s.tryQuestion},
		{http.MethodGet, "/credentials/mine", member, s.ownFile},
		{http.MethodGet, "/credentials/people/{person}", member, s.personFile},
		{http.MethodGet, "/credentials/people/{person}/claim", member, s.claimForm},
		{http.MethodPost, "/credentials/people/{person}/claim", member, s.enterClaim},
		{http.MethodPost, "/credentials/people/{person}/exclusions", officer, s.checkExclusions},
		{http.MethodPost, "/credentials/people/{person}/exclusions/{exclusion}", officer, s.decideExclusion},
		{http.MethodGet, "/credentials/answers/{determination}", officer, s.determination},
		{http.MethodGet, "/credentials/{credential}", member, s.credential},
		{http.MethodPost, "/credentials/{credential}/evidence", member, s.attachEvidence},
		{http.MethodGet, "/credentials/{credential}/evidence/{sha256}", member, s.openEvidence},
		{http.MethodPost, "/credentials/{credential}/verify", officer, s.verifyCredential},
		{http.MethodPost, "/credentials/{credential}/approve", officer, s.approveCredential},
		{http.MethodPost, "/credentials/{credential}/return", officer, s.returnCredential},
		{http.MethodPost, "/credentials/{credential}/status", officer, s.reportStatus},
		{http.MethodPost, "/credentials/{credential}/reviews", officer, s.recordReview},
	}
}

// officerWaits are the tasks of an officer for the start page.
func (s *Server) officerWaits(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if !v.actor.Has(identity.RoleOfficer) || s.d.Credentialing == nil {
		return nil, nil
	}
	queue, err := s.d.Credentialing.Queue(ctx, v.actor)
	if err != nil {
		return nil, fmt.Errorf("tasks of an officer: %w", err)
	}
	names, err := s.namesOf(ctx, queuePeople(queue))
	if err != nil {
		return nil, err
	}
	var out []pages.HomeItem
	more := 0
	for _, q := range queue {
		if q.Blocked || q.Task == credentialing.TaskExpiring {
			continue
		}
		if len(out) == homeTasks {
			more++
			continue
		}
		t := officerTask(q, names)
		item := pages.HomeItem{Href: t.Href, Title: v.l.T(t.Task), Detail: t.Person, Level: t.Level}
		if t.Kind != "" {
			item.Tag = v.l.T(t.Kind)
		}
		out = append(out, item)
	}
	if more > 0 {
		out = append(out, pages.HomeItem{Href: "/credentials", Title: v.l.N(i18n.DeskQueueAnd, more), Level: pages.LevelInfo})
	}
	return out, nil
}

// homeTasks are as many tasks as the start page lists.
const homeTasks = 20

func queuePeople(queue []credentialing.QueueItem) []identity.PersonID {
	ids := make([]identity.PersonID, 0, len(queue))
	for _, q := range queue {
		ids = append(ids, q.Person)
	}
	return ids
}

// namesOf are people's names by id.
func (s *Server) namesOf(ctx context.Context, ids []identity.PersonID) (map[identity.PersonID]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id identity.PersonID) bool { return id == "" })
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	out := make(map[identity.PersonID]string, len(people))
	for id, p := range people {
		out[id] = p.Name
	}
	return out, nil
}

func (s *Server) unverifiedNotice() *pages.Unverified {
	if a, ok := s.d.Credentialing.AcceptsUnverified(); ok {
		return &pages.Unverified{By: a.By, Until: a.Until}
	}
	return nil
}

func kindID(k credentialing.Kind) i18n.ID { return i18n.ID("officer.kind." + string(k)) }

func officerTask(q credentialing.QueueItem, names map[identity.PersonID]string) pages.OfficerTask {
	t := pages.OfficerTask{Task: i18n.ID("officer.task." + q.Task), Level: pages.LevelInfo, Person: names[q.Person], Place: q.Jurisdiction,
		Number: q.Number, Since: q.Since, Blocked: q.Blocked, ByLink: q.ByLink, Bookings: q.Relied.Bookings, Cases: q.Relied.Cases}
	switch q.Task {
	case credentialing.TaskMatch, credentialing.TaskEvidence, credentialing.TaskOverdue:
		t.Level = pages.LevelBad
	case credentialing.TaskExpiring, credentialing.TaskCheckList, credentialing.TaskReview, credentialing.TaskPack, credentialing.TaskConfirm,
		credentialing.TaskSharing:
		t.Level = pages.LevelWarn
	}
	if q.Kind != "" {
		t.Kind = kindID(q.Kind)
	}
	if q.Pack != "" {
		t.Person = ""
		t.Href = "/credentials/packs/in-force/" + q.Pack
		return t
	}
	t.Href = "/credentials/people/" + string(q.Person)
	if q.Credential != "" {
		t.Href = "/credentials/" + string(q.Credential)
	}
	return t
}

func (s *Server) officerQueue(w http.ResponseWriter, r *http.Request) error {
	queue, err := s.d.Credentialing.Queue(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("officers' queue: %w", err)
	}
	onFile, err := s.d.Credentialing.OnFile(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("people on file: %w", err)
	}
	p := pages.OfficerPage{Unverified: s.unverifiedNotice(), Find: strings.TrimSpace(r.URL.Query().Get("name"))}
	if err := s.fillQueue(r, &p, queue); err != nil {
		return err
	}
	for _, who := range onFile {
		if p.Find == "" || strings.Contains(strings.ToLower(who.Name), strings.ToLower(p.Find)) {
			p.People = append(p.People, pages.OfficerPerson{Href: "/credentials/people/" + string(who.ID), Name: who.Name})
		}
	}
	slices.SortFunc(p.People, func(a, b pages.OfficerPerson) int { return strings.Compare(a.Name, b.Name) })
	p.PeoplePages = pageOf(localizer(r), r, "people", len(p.People), queueRows)
	p.PeoplePages.Anchor = "people"
	p.People = p.People[p.PeoplePages.From:p.PeoplePages.To]
	if p.Layout, err = s.layout(w, r, i18n.OfficerTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Officer(p))
}

func (s *Server) ownFile(w http.ResponseWriter, r *http.Request) error {
	r.SetPathValue("person", string(actorOf(r).Person))
	return s.showFile(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) personFile(w http.ResponseWriter, r *http.Request) error {
	return s.showFile(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showFile(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	id, actor := identity.PersonID(r.PathValue("person")), actorOf(r)
	file, err := s.d.Credentialing.File(r.Context(), actor, id, s.now())
	if err != nil {
		return fmt.Errorf("person's file: %w", err)
	}
	p := pages.FilePage{Unverified: s.unverifiedNotice(), Person: string(id), Own: actor.Person == id, Officer: actor.Has(identity.RoleOfficer),
		Checked: file.ExclusionCheckedAt, Form: f}
	for _, c := range file.Credentials {
		p.Credentials = append(p.Credentials, credentialRow(localizer(r), c))
	}
	for _, m := range file.Exclusions {
		p.Matches = append(p.Matches, pages.MatchRow{ID: string(m.ID), Number: m.List + " " + m.Entry, Strong: m.Strong, Decision: m.Decision,
			Pending: m.Decision == "" && m.Proposer != ""})
	}
	if p.Officer {
		answers, err := s.d.Credentialing.DeterminationsOf(r.Context(), actor, id, 20)
		if err != nil {
			return fmt.Errorf("answers about a person: %w", err)
		}
		for _, d := range answers {
			p.Answers = append(p.Answers, answerRow(d))
		}
	}
	names, err := s.namesOf(r.Context(), []identity.PersonID{id})
	if err != nil {
		return err
	}
	if p.Layout, err = s.titled(w, r, names[id]); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.PersonFile(p))
}

// officerCrumbs lead back to the queue, for those who have one.
func (s *Server) officerCrumbs(r *http.Request) []pages.Crumb {
	if !actorOf(r).Has(identity.RoleOfficer) {
		return nil
	}
	return []pages.Crumb{{Href: "/credentials", Label: localizer(r).T(i18n.OfficerTitle)}}
}

func credentialRow(l *i18n.Localizer, c credentialing.CredentialView) pages.CredentialRow {
	row := pages.CredentialRow{Href: "/credentials/" + string(c.ID), Kind: kindID(c.Kind), Type: c.Claim.Type, Place: c.Jurisdiction, Issuer: c.Issuer,
		Number: c.Number, Ends: lastDay(l, c.Standing.Ends), State: i18n.ID("officer.state." + string(c.State)), Standing: i18n.OfficerCounts, Level: pages.LevelOK}
	if c.State == credentialing.StateApproved { // the newest period counts, even one that is yet to begin
		row.Ends, _ = momentDay(l, c.Claim.ValidTo, time.Time{})
	}
	if reason := c.Standing.Reason; reason != "" {
		row.Standing, row.Level = i18n.ID("officer.standing."+reason), pages.LevelBad
		if reason == "unverified" || reason == "not-yet-valid" {
			row.Level = pages.LevelWarn
		}
	}
	return row
}

// fail puts an expected error of the room into the form; an unexpected one comes
// back.
func (s *Server) failForm(f *pages.Form, err error) error {
	var invalid *credentialing.Invalid
	if errors.As(err, &invalid) {
		text := i18n.ErrorInvalid
		if invalid.Reason != "" {
			text = i18n.ID("record.row." + invalid.Reason)
		}
		f.Fail(invalid.Field, text)
		return nil
	}
	_, text, ok := s.explain(err)
	if !ok || errors.Is(err, credentialing.ErrNotFound) {
		return err
	}
	f.Fail("", text)
	return nil
}

func (s *Server) claimForm(w http.ResponseWriter, r *http.Request) error {
	f := pages.Form{}
	if id := r.URL.Query().Get("renews"); id != "" {
		if err := s.renewal(r, credentialing.CredentialID(id), &f); err != nil {
			return fmt.Errorf("renewal: %w", err)
		}
	}
	return s.showClaim(w, r, http.StatusOK, f)
}

// renewal fills the form with what stays when a credential is renewed: all but the end.
func (s *Server) renewal(r *http.Request, id credentialing.CredentialID, f *pages.Form) error {
	c, err := s.d.Credentialing.View(r.Context(), actorOf(r), id)
	if err != nil {
		return err
	}
	if string(c.Person) != r.PathValue("person") {
		return errNotFound
	}
	for field, value := range map[string]string{"kind": string(c.Kind), "issuer": c.Issuer, "number": c.Number, "jurisdiction": c.Jurisdiction,
		"type": c.Claim.Type, "holder": c.Claim.HolderName, "territories": strings.Join(c.Claim.Territories, " "), "facility": c.Claim.Facility,
		"currency": c.Claim.Currency, "pair": strings.Join(c.Claim.Pair, " "), "valid_from": dayAfter(c.Claim.ValidTo)} {
		f.Prefill(field, value)
	}
	if c.Claim.PerClaim > 0 || c.Claim.Aggregate > 0 {
		f.Prefill("per_claim", strconv.FormatInt(c.Claim.PerClaim, 10))
		f.Prefill("aggregate", strconv.FormatInt(c.Claim.Aggregate, 10))
	}
	for _, a := range c.Claim.Activities {
		f.Values.Add("activities", string(a))
	}
	for _, m := range c.Claim.Modes {
		f.Values.Add("modes", m)
	}
	prefillTerms(f, c.Claim)
	return nil
}

// dayAfter is the date after a bare date; "" of an instant or none.
func dayAfter(m credentialing.Moment) string {
	day, err := time.Parse(time.DateOnly, m.String())
	if err != nil {
		return ""
	}
	return day.AddDate(0, 0, 1).Format(time.DateOnly)
}

func (s *Server) showClaim(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	id, actor, l := identity.PersonID(r.PathValue("person")), actorOf(r), localizer(r)
	if actor.Person != id && !actor.Has(identity.RoleOfficer) {
		return errNotFound
	}
	p := pages.ClaimPage{Person: string(id), Form: f}
	for _, k := range credentialing.Kinds {
		p.Kinds = append(p.Kinds, pages.Option{Value: string(k), Text: l.T(kindID(k))})
	}
	for _, a := range credentialing.Activities {
		p.Acts = append(p.Acts, pages.Option{Value: string(a), Text: l.T(i18n.ID("scope.activity." + string(a)))})
	}
	p.Modes = options(l, "officer.mode.", "simultaneous", "consecutive", "sign")
	for _, b := range credentialing.Bases {
		p.Bases = append(p.Bases, pages.Option{Value: string(b), Text: l.T(i18n.ID("proxy.basis." + string(b)))})
	}
	for _, d := range credentialing.ProxyDecisions {
		p.Decisions = append(p.Decisions, pages.Option{Value: string(d), Text: l.T(i18n.ID("proxy.decision." + string(d)))})
	}
	for _, x := range credentialing.ProxyShares {
		p.Shares = append(p.Shares, pages.Option{Value: string(x), Text: l.T(i18n.ID("proxy.share." + string(x)))})
	}
	clinics, err := s.d.Identity.Organizations(r.Context())
	if err != nil {
		return fmt.Errorf("clinics: %w", err)
	}
	p.Facilities = []pages.Option{{Value: "", Text: l.T(i18n.ComplianceFacilityNone)}}
	p.Sites = []pages.Option{{Value: "", Text: l.T(i18n.ProxySiteNone)}}
	p.Bases = append([]pages.Option{{Value: "", Text: l.T(i18n.ProxyNotStated)}}, p.Bases...)
	p.Decisions = append([]pages.Option{{Value: "", Text: l.T(i18n.ProxyNotStated)}}, p.Decisions...)
	for _, o := range clinics {
		p.Facilities = append(p.Facilities, pages.Option{Value: string(o.ID), Text: o.Name})
		p.Sites = append(p.Sites, pages.Option{Value: string(o.ID), Text: o.Name})
	}
	names, err := s.namesOf(r.Context(), []identity.PersonID{id})
	if err != nil {
		return err
	}
	if p.Layout, err = s.layout(w, r, i18n.OfficerEnterClaim); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/people/" + string(id), Label: names[id]})
	return s.render(w, r, status, pages.EnterClaim(p))
}

// options are choices whose texts stand under prefix and value.
func options(l *i18n.Localizer, prefix string, values ...string) []pages.Option {
	var out []pages.Option
	for _, v := range values {
		out = append(out, pages.Option{Value: v, Text: l.T(i18n.ID(prefix + v))})
	}
	return out
}

func (s *Server) enterClaim(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l := localizer(r)
	kinds := make([]string, 0, len(credentialing.Kinds))
	for _, k := range credentialing.Kinds {
		kinds = append(kinds, string(k))
	}
	req := credentialing.ClaimRequest{
		Person: identity.PersonID(r.PathValue("person")),
		Kind:   credentialing.Kind(f.Choose(l, "kind", i18n.OfficerKind, kinds...)),
		Issuer: f.Require(l, "issuer", i18n.OfficerIssuer, 200), Number: f.Require(l, "number", i18n.OfficerNumber, 100),
		Jurisdiction: strings.ToUpper(f.Optional(l, "jurisdiction", i18n.OfficerPlace, 6)),
		Claim: credentialing.Claim{Type: f.Optional(l, "type", i18n.OfficerType, 100), HolderName: f.Optional(l, "holder", i18n.OfficerHolder, 200),
			Territories: strings.Fields(strings.ToUpper(f.Optional(l, "territories", i18n.OfficerTerritories, 200))),
			Pair:        strings.Fields(f.Optional(l, "pair", i18n.OfficerPair, 40)), Modes: f.All("modes")},
	}
	for _, a := range f.All("activities") {
		req.Claim.Activities = append(req.Claim.Activities, credentialing.Activity(a))
	}
	narrower := credentialing.Restriction{}
	if err := s.readNarrowing(r, &f, &req.Claim, &narrower); err != nil {
		return err
	}
	readMoments(&f, map[string]*credentialing.Moment{"valid_from": &req.Claim.ValidFrom, "valid_to": &req.Claim.ValidTo,
		"restricted_from": &narrower.From, "restricted_to": &narrower.To})
	if err := s.readTerms(r, &f, &req); err != nil {
		return err
	}
	if narrower.Text != "" || len(narrower.Acts)+len(narrower.Places) > 0 {
		req.Claim.Restrictions = []credentialing.Restriction{narrower}
	}
	if f.OK() {
		e, err := s.d.Credentialing.EnterClaim(r.Context(), actorOf(r), req)
		if err == nil {
			return s.done(w, r, "/credentials/"+string(e.Credential), pages.LevelOK, i18n.OfficerFlashClaim)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("enter claim: %w", err)
		}
	}
	return s.showClaim(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) checkExclusions(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), identity.PersonID(r.PathValue("person"))
	check := credentialing.ExclusionCheck{Person: id}
	for _, list := range strings.FieldsFunc(f.Require(l, "lists", i18n.OfficerLists, 400), func(c rune) bool { return strings.ContainsRune(",،;", c) }) {
		if list = strings.TrimSpace(list); list != "" {
			check.Lists = append(check.Lists, list)
		}
	}
	if entry := f.Optional(l, "entry", i18n.OfficerEntry, 200); entry != "" && len(check.Lists) > 0 {
		check.Hits = []credentialing.ExclusionHit{{List: check.Lists[0], Entry: entry, Strong: f.Has("strong", "yes")}}
	}
	if f.OK() {
		err := s.d.Credentialing.CheckExclusions(r.Context(), actorOf(r), check)
		if err == nil {
			return s.done(w, r, "/credentials/people/"+string(id), pages.LevelOK, i18n.OfficerFlashChecked)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("check exclusions: %w", err)
		}
	}
	return s.showFile(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) decideExclusion(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l := localizer(r)
	reason := f.Require(l, "reason", i18n.OfficerReason, 500)
	decision := f.Choose(l, "decision", i18n.OfficerMatchStrong, "clear", "confirm")
	if f.OK() {
		pending, err := s.d.Credentialing.DecideExclusion(r.Context(), actorOf(r), credentialing.ExclusionID(r.PathValue("exclusion")), decision == "clear", reason)
		switch {
		case err == nil && pending:
			return s.done(w, r, "/credentials/people/"+r.PathValue("person"), pages.LevelInfo, i18n.OfficerFlashPending)
		case err == nil:
			return s.done(w, r, "/credentials/people/"+r.PathValue("person"), pages.LevelOK, i18n.OfficerFlashDecided)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("decide exclusion: %w", err)
		}
	}
	return s.showFile(w, r, http.StatusUnprocessableEntity, f)
}
