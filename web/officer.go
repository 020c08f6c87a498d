package web

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	for _, q := range queue {
		if q.Blocked || q.Task == credentialing.TaskExpiring {
			continue
		}
		t := officerTask(q, names)
		item := pages.HomeItem{Href: t.Href, Title: v.l.T(t.Task), Detail: t.Person, Level: t.Level}
		if t.Kind != "" {
			item.Tag = v.l.T(t.Kind)
		}
		out = append(out, item)
	}
	return out, nil
}

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
		Number: q.Number, Since: q.Since, Blocked: q.Blocked}
	switch q.Task {
	case credentialing.TaskMatch, credentialing.TaskOverdue:
		t.Level = pages.LevelBad
	case credentialing.TaskExpiring, credentialing.TaskCheckList, credentialing.TaskReview:
		t.Level = pages.LevelWarn
	}
	if q.Kind != "" {
		t.Kind = kindID(q.Kind)
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
	names, err := s.namesOf(r.Context(), append(queuePeople(queue), onFile...))
	if err != nil {
		return err
	}
	p := pages.OfficerPage{Unverified: s.unverifiedNotice()}
	for _, q := range queue {
		p.Tasks = append(p.Tasks, officerTask(q, names))
	}
	for _, id := range onFile {
		p.People = append(p.People, pages.OfficerPerson{Href: "/credentials/people/" + string(id), Name: names[id]})
	}
	slices.SortFunc(p.People, func(a, b pages.OfficerPerson) int { return strings.Compare(a.Name, b.Name) })
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
		p.Credentials = append(p.Credentials, credentialRow(c))
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

func credentialRow(c credentialing.CredentialView) pages.CredentialRow {
	row := pages.CredentialRow{Href: "/credentials/" + string(c.ID), Kind: kindID(c.Kind), Type: c.Claim.Type, Place: c.Jurisdiction, Issuer: c.Issuer,
		Number: c.Number, Ends: c.Standing.Ends, State: i18n.ID("officer.state." + string(c.State)), Standing: i18n.OfficerCounts, Level: pages.LevelOK}
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
		f.Fail(invalid.Field, i18n.ErrorInvalid)
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
	return s.showClaim(w, r, http.StatusOK, pages.Form{})
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
	for field, to := range map[string]*credentialing.Moment{"valid_from": &req.Claim.ValidFrom, "valid_to": &req.Claim.ValidTo} {
		m, err := credentialing.ParseMoment(f.Value(field))
		if err != nil {
			f.Fail(field, i18n.OfficerWhenBad)
		}
		*to = m
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

func (s *Server) attachEvidence(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, credentialing.MaxEvidence+maxForm)
	if err != nil {
		return err
	}
	file := credentialing.EvidenceFile{Source: f.Require(localizer(r), "file_source", i18n.OfficerSource, 300)}
	if heads := f.Files["file"]; len(heads) == 0 {
		f.Fail("file", i18n.FormRequired, i18n.V{"Field": localizer(r).T(i18n.OfficerFile)})
	} else {
		body, err := heads[0].Open()
		if err != nil {
			return fmt.Errorf("open upload: %w", err)
		}
		defer body.Close()
		if file.Bytes, err = io.ReadAll(io.LimitReader(body, credentialing.MaxEvidence+1)); err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
	}
	if f.OK() {
		_, err := s.d.Credentialing.AttachEvidence(r.Context(), actorOf(r), credentialing.CredentialID(r.PathValue("credential")), file)
		if err == nil {
			return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelOK, i18n.OfficerFlashEvidence)
		}
		if errors.Is(err, credentialing.ErrEvidenceType) {
			f.Fail("file", i18n.ErrorEvidenceType)
		} else if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("attach evidence: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

// openEvidence sends a file as it was kept. It is never shown inside a page of ours:
// the browser saves it, and a policy of its own lets nothing in it run.
func (s *Server) openEvidence(w http.ResponseWriter, r *http.Request) error {
	media, data, err := s.d.Credentialing.OpenEvidence(r.Context(), actorOf(r), credentialing.CredentialID(r.PathValue("credential")), r.PathValue("sha256"))
	if err != nil {
		return fmt.Errorf("open evidence: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", `attachment; filename="evidence-`+r.PathValue("sha256")[:12]+extension(media)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(data)
	return nil
}

func extension(media string) string {
	switch media {
	case "application/pdf":
		return ".pdf"
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	}
	return ".txt"
}

func (s *Server) verifyCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), credentialing.CredentialID(r.PathValue("credential"))
	req := credentialing.VerifyRequest{Credential: id, Claim: credentialing.ClaimID(f.Value("claim")),
		Method: f.Choose(l, "method", i18n.OfficerMethod, methods...), Source: f.Require(l, "source", i18n.OfficerSource, 300),
		SourceAddress: f.Optional(l, "address", i18n.OfficerAddress, 500), Result: credentialing.Result(f.Choose(l, "result", i18n.OfficerResult, results...)),
		SourceStatus: credentialing.Status(f.Choose(l, "status", i18n.OfficerStatus, statuses...))}
	if shows := f.Value("shows"); shows != "" {
		sum, err := hex.DecodeString(shows)
		if err != nil || len(sum) != len(req.Evidence) {
			f.Fail("shows", i18n.ErrorInvalid)
		} else {
			copy(req.Evidence[:], sum)
		}
	}
	if f.OK() {
		_, err := s.d.Credentialing.Verify(r.Context(), actorOf(r), req)
		if err == nil {
			return s.done(w, r, "/credentials/"+string(id), pages.LevelOK, i18n.OfficerFlashAnswer)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) approveCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	err = s.d.Credentialing.Approve(r.Context(), actorOf(r), credentialing.VerificationID(f.Value("verification")))
	if err == nil {
		return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelOK, i18n.OfficerFlashApproved)
	}
	if err := s.failForm(&f, err); err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) returnCredential(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	reason := f.Require(localizer(r), "reason", i18n.OfficerReason, 500)
	if f.OK() {
		err := s.d.Credentialing.Reject(r.Context(), actorOf(r), credentialing.VerificationID(f.Value("verification")), reason)
		if err == nil {
			return s.done(w, r, "/credentials/"+r.PathValue("credential"), pages.LevelInfo, i18n.OfficerFlashReturned)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("return: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) reportStatus(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), credentialing.CredentialID(r.PathValue("credential"))
	report := credentialing.StatusReport{Credential: id, Status: credentialing.Status(f.Choose(l, "new_status", i18n.OfficerStatus, statuses...)),
		Source: f.Require(l, "status_source", i18n.OfficerSource, 300)}
	if f.OK() {
		pending, err := s.d.Credentialing.ReportStatus(r.Context(), actorOf(r), report)
		switch {
		case err == nil && pending:
			return s.done(w, r, "/credentials/"+string(id), pages.LevelInfo, i18n.OfficerFlashPending)
		case err == nil:
			return s.done(w, r, "/credentials/"+string(id), pages.LevelOK, i18n.OfficerFlashStatus)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("report status: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}

// The choices of the forms.
var (
	methods  = []string{"primary-source", "equivalent", "signed-credential", "certificate", "attested"}
	results  = []string{"found", "not-found", "needs-review", "failed"}
	statuses = []string{"active", "suspended", "revoked", "surrendered", "lapsed"}
)

func (s *Server) credential(w http.ResponseWriter, r *http.Request) error {
	return s.showCredential(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showCredential(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, l := actorOf(r), localizer(r)
	c, err := s.d.Credentialing.View(r.Context(), actor, credentialing.CredentialID(r.PathValue("credential")))
	if err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	ids := []identity.PersonID{c.Person}
	if c.Verification != nil {
		ids = append(ids, c.Verification.Verifier, c.Verification.Approver)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	officer, own := actor.Has(identity.RoleOfficer), actor.Person == c.Person
	p := pages.CredentialPage{ID: string(c.ID), PersonHref: "/credentials/people/" + string(c.Person), PersonName: names[c.Person], Row: credentialRow(c),
		Claim: string(c.ClaimID), From: orDash(c.Claim.ValidFrom.String()), To: orDash(c.Claim.ValidTo.String()), Holder: c.Claim.HolderName,
		Territory: strings.Join(c.Claim.Territories, " "), Form: f, NotOwn: officer && own, MayVerify: officer && !own}
	if c.Claim.Facility != "" {
		if org, err := s.d.Identity.Organization(r.Context(), identity.OrganizationID(c.Claim.Facility)); err == nil {
			p.Facility = org.Name
		}
	}
	for _, a := range c.Claim.Activities {
		p.Activities = append(p.Activities, i18n.ID("scope.activity."+string(a)))
	}
	if len(c.Claim.Pair) == 2 {
		p.Pair = l.Language(c.Claim.Pair[0]) + " – " + l.Language(c.Claim.Pair[1])
	}
	for _, m := range c.Claim.Modes {
		p.Modes = append(p.Modes, i18n.ID("officer.mode."+m))
	}
	p.Methods, p.Results, p.Statuses = options(l, "officer.method.", methods...), options(l, "officer.result.", results...), options(l, "officer.status.", statuses...)
	for _, e := range c.Evidence {
		p.Evidence = append(p.Evidence, pages.EvidenceRow{Href: "/credentials/" + string(c.ID) + "/evidence/" + e.SHA256, Media: e.MediaType, Size: e.Size,
			Source: e.Source, At: e.CapturedAt, SHA256: e.SHA256})
		p.Files = append(p.Files, pages.Option{Value: e.SHA256, Text: e.Source + " (" + e.SHA256[:12] + ")"})
	}
	if p.MayVerify {
		p.Form.Prefill("status", string(credentialing.StatusActive))
		p.Form.Prefill("source", c.Issuer)
		method := methods[0]
		if c.Kind == credentialing.KindMalpractice {
			method = "certificate" // enough for cover, which has no register
		}
		p.Form.Prefill("method", method)
		if n := len(p.Files); n > 0 {
			p.Form.Prefill("shows", p.Files[n-1].Value)
		}
	}
	if v := c.Verification; v != nil {
		p.Answer = &pages.AnswerView{Verification: string(v.ID), Verifier: names[v.Verifier], Approver: names[v.Approver],
			Method: i18n.ID("officer.method." + v.Method), Result: i18n.ID("officer.result." + string(v.Result)), Status: i18n.ID("officer.status." + string(v.SourceStatus)),
			Source: v.Source, Address: v.SourceAddress, At: v.AskedAt, NextDue: v.NextDue, Reason: v.Reason, State: i18n.ID("officer.state." + string(v.State)),
			Level: stateLevel(v.State), SHA256: v.Evidence}
		open := v.State == credentialing.StateAnswered || v.State == credentialing.StateNeedsReview
		p.MayDecide = officer && !own && open && v.Verifier != actor.Person
		p.NotYou = officer && open && v.Verifier == actor.Person
	}
	for _, st := range c.Statuses {
		if st.Superseded {
			continue
		}
		row := pages.StatusRow{Status: i18n.ID("officer.status." + string(st.Status)), Level: pages.LevelOK, From: st.From, Source: st.Source, Pending: st.Pending()}
		if st.Status.Adverse() {
			row.Level = pages.LevelBad
		}
		p.History = append(p.History, row)
	}
	title := l.T(kindID(c.Kind))
	if c.Jurisdiction != "" {
		title += " · " + l.Place(c.Jurisdiction)
	}
	if p.Layout, err = s.titled(w, r, title); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: p.PersonHref, Label: p.PersonName})
	return s.render(w, r, status, pages.Credential(p))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func stateLevel(st credentialing.State) pages.Level {
	switch st {
	case credentialing.StateApproved:
		return pages.LevelOK
	case credentialing.StateRejected:
		return pages.LevelBad
	case credentialing.StateNeedsReview:
		return pages.LevelWarn
	}
	return pages.LevelInfo
}

// localTime is how a browser writes a date and time without a zone.
const localTime = "2006-01-02T15:04"

func (s *Server) tryQuestion(w http.ResponseWriter, r *http.Request) error {
	l, actor := localizer(r), actorOf(r)
	f := pages.Form{Values: r.URL.Query()}
	asked := f.Values.Has("activity")
	// The next full minute: nothing of what is on file is younger than that.
	f.Prefill("at", s.now().Add(time.Minute).In(l.Zone()).Format(localTime))
	p := pages.TryPage{Unverified: s.unverifiedNotice()}
	if err := s.tryChoices(r.Context(), actor, l, &p); err != nil {
		return err
	}
	status := http.StatusOK
	if asked {
		ask := s.askOf(l, &f)
		if f.OK() {
			d, rules, err := s.d.Credentialing.Question(r.Context(), actor, ask)
			if err == nil {
				p.Answer = s.tryAnswer(l, d, rules)
			} else if err := s.failForm(&f, err); err != nil {
				return fmt.Errorf("try a question: %w", err)
			}
		}
		if !f.OK() {
			status = http.StatusUnprocessableEntity
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

// askOf reads a question. The facts of the case are taken as given, so that only
// person, place and time decide.
func (s *Server) askOf(l *i18n.Localizer, f *pages.Form) credentialing.Ask {
	acts := make([]string, 0, len(credentialing.Activities))
	for _, a := range credentialing.Activities {
		acts = append(acts, string(a))
	}
	yes := credentialing.Yes()
	ask := credentialing.Ask{Mode: credentialing.Plan, Person: identity.PersonID(f.Require(l, "person", i18n.OfficerPerson, 40)),
		Activity: credentialing.Activity(f.Choose(l, "activity", i18n.OfficerActivity, acts...))}
	place := f.Require(l, "place", i18n.OfficerWhere, 6)
	at, err := time.ParseInLocation(localTime, f.Value("at"), l.Zone())
	if err != nil {
		f.Fail("at", i18n.OfficerWhenBad)
	}
	ask.At = at.UTC()
	ask.Case = credentialing.CaseContext{Organization: identity.OrganizationID(f.Value("clinic")), Places: []string{place}, LocationConfirmed: yes,
		IdentityConfirmed: yes, Modality: "live-video", Interpreter: yes, PatientLanguages: []string{}, FirstContact: credentialing.No(),
		ControlledSubstance: credentialing.No(), PriorInPerson: yes, LongTerm: credentialing.No(),
		Local: credentialing.LocalPhysician{ID: identity.PersonID(f.Value("local")), Requested: yes, Present: yes, FinalAuthority: yes, Signed: credentialing.No()}}
	for _, c := range []string{"telehealth", "share-with-specialist", "overseas-transfer", "remote-only-explained"} {
		ask.Case.Consents = append(ask.Case.Consents, credentialing.Consent{Type: c, Recorded: ask.At})
	}
	return ask
}

func (s *Server) tryChoices(ctx context.Context, actor identity.Actor, l *i18n.Localizer, p *pages.TryPage) error {
	onFile, err := s.d.Credentialing.OnFile(ctx, actor)
	if err != nil {
		return fmt.Errorf("people on file: %w", err)
	}
	names, err := s.namesOf(ctx, onFile)
	if err != nil {
		return err
	}
	for _, id := range onFile {
		p.People = append(p.People, pages.Option{Value: string(id), Text: names[id]})
	}
	byText := func(a, b pages.Option) int { return strings.Compare(a.Text, b.Text) }
	slices.SortFunc(p.People, byText)
	for _, a := range credentialing.Activities {
		p.Acts = append(p.Acts, pages.Option{Value: string(a), Text: l.T(i18n.ID("scope.activity." + string(a)))})
	}
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
	for _, e := range append(slices.Clone(d.Packs), d.ConditionsList) {
		p.Editions = append(p.Editions, pages.EditionRow{Code: e.Code, Version: e.Version, SHA256: e.SHA256})
	}
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

func (s *Server) tryAnswer(l *i18n.Localizer, d credentialing.Determination, rules []credentialing.RuleAnswer) *pages.TryAnswer {
	a := &pages.TryAnswer{Decision: i18n.ID("scope.decision." + string(d.Decision)), Level: decisionLevel(d.Decision),
		Reasons: s.reasonRows(l, d.Reasons), Conditions: s.reasonRows(l, d.Conditions)}
	for _, r := range rules {
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
	return a
}

func truthID(t credentialing.Truth) i18n.ID { return i18n.ID("officer.truth." + t.String()) }
