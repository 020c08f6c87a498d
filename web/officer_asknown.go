package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// recordRoutes are the addresses about the record as a whole: its past, what ends
// soon, registry files, the rules' editions, and what a patient reads of it.
func (s *Server) recordRoutes() []route {
	officer := holding(identity.RoleOfficer)
	return []route{
		{http.MethodGet, "/credentials/expiring", officer, s.expiring},
		{http.MethodGet, "/credentials/packs", officer, s.packs},
		{http.MethodPost, "/credentials/packs", officer, s.draftPack},
		{http.MethodGet, "/credentials/packs/in-force/{code}", officer, s.reviewPage},
		{http.MethodPost, "/credentials/packs/in-force/{code}/verified", officer, s.makeVerified},
		{http.MethodGet, "/credentials/packs/in-force/{code}/rules/{rule}", officer, s.rulePage},
		{http.MethodPost, "/credentials/packs/in-force/{code}/rules/{rule}", officer, s.confirmRule},
		{http.MethodGet, "/credentials/packs/{draft}", officer, s.packPage},
		{http.MethodPost, "/credentials/packs/{draft}/publish", officer, s.publishPack},
		{http.MethodGet, "/credentials/imports", officer, s.imports},
		{http.MethodPost, "/credentials/imports", officer, s.receiveImport},
		{http.MethodGet, "/credentials/imports/{import}", officer, s.importPage},
		{http.MethodPost, "/credentials/imports/{import}/apply", officer, s.applyImport},
		{http.MethodGet, "/credentials/people/{person}/as-known", member, s.asKnown},
		{http.MethodGet, "/appointments/{appointment}/specialist", someone, s.whoIsSpecialist},
	}
}

// asKnown shows a person's file on both axes of time.
func (s *Server) asKnown(w http.ResponseWriter, r *http.Request) error {
	l, actor, id := localizer(r), actorOf(r), identity.PersonID(r.PathValue("person"))
	f := pages.Form{Values: r.URL.Query()}
	now := s.now()
	f.Prefill("valid", now.In(l.Zone()).Format(localTime))
	f.Prefill("known", now.In(l.Zone()).Format(localTime))
	valid, _, _, ok := readWhen(f.Value("valid"), l.Zone())
	if !ok {
		f.Fail("valid", i18n.OfficerWhenBad)
		valid = now
	} else if !r.URL.Query().Has("valid") {
		valid = now
	}
	known := s.readKnown(l, &f, "known")
	var places []string
	if place := strings.ToUpper(f.Value("place")); place != "" {
		places = append(places, place)
	}
	file, err := s.d.Credentialing.AsKnown(r.Context(), actor, id, valid, known, places...)
	if err != nil {
		if errors.Is(err, credentialing.ErrNotFound) {
			return fmt.Errorf("file as it was known: %w", err)
		}
		if e := s.failKnown(&f, err); e != nil {
			return fmt.Errorf("file as it was known: %w", e)
		}
		if file, err = s.d.Credentialing.AsKnown(r.Context(), actor, id, valid, now, places...); err != nil {
			return fmt.Errorf("file as it was known: %w", err)
		}
	}
	status := http.StatusOK
	if !f.OK() {
		status = http.StatusUnprocessableEntity
	}
	p := pages.AsKnownPage{Unverified: s.unverifiedNotice(), Form: f, Person: string(id), Valid: file.Valid, Known: file.Known, Checked: file.CheckedAt}
	for _, c := range file.Credentials {
		p.Credentials = append(p.Credentials, pastRow(c))
	}
	for _, e := range file.Exclusions {
		p.Exclusions = append(p.Exclusions, e.List+" "+e.Entry)
	}
	for _, a := range credentialing.Activities {
		p.Acts = append(p.Acts, i18n.ID("scope.activity."+string(a)))
	}
	tied := map[string]bool{} // places with rows of their own for a facility
	for _, row := range file.Matrix {
		shown := s.matrixRow(l, row)
		if row.Facility != "" {
			if shown.Facility, err = s.facilityName(r.Context(), string(row.Facility)); err != nil {
				return err
			}
		}
		tied[row.Place] = tied[row.Place] || row.Facility != ""
		p.Matrix = append(p.Matrix, shown)
	}
	for i := range p.Matrix {
		p.Matrix[i].Tied = tied[p.Matrix[i].Place]
	}
	if p.Record.Roles, err = s.roleRows(r.Context(), l, file.Roles); err != nil {
		return err
	}
	p.Record.Statements = statementRows(file.OwnPlaces, file.Valid)
	if actor.Has(identity.RoleOfficer) {
		p.Ask = "/credentials/try?" + url.Values{"person": {string(id)}, "at": {f.Value("valid")}, "known": {f.Value("known")}}.Encode()
	}
	ids := []identity.PersonID{id}
	for _, e := range file.Timeline {
		ids = append(ids, e.By, e.Second)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	for _, e := range file.Timeline {
		p.Timeline = append(p.Timeline, timelineRow(e, names))
	}
	if p.Layout, err = s.titled(w, r, l.T(i18n.RecordAsKnownTitle, i18n.V{"Name": names[id]})); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/people/" + string(id), Label: names[id]})
	return s.render(w, r, status, pages.AsKnown(p))
}

func pastRow(c credentialing.PastCredential) pages.PastRow {
	row := pages.PastRow{Href: "/credentials/" + c.ID, Kind: kindID(c.Kind), Place: c.Jurisdiction, Issuer: c.Issuer, Number: c.Number,
		Ends: c.Standing.Ends, Standing: i18n.OfficerCounts, Level: pages.LevelOK, Valid: c.Standing.Usable && c.Standing.Reason == ""}
	if reason := c.Standing.Reason; reason != "" {
		row.Standing, row.Level = i18n.ID("officer.standing."+reason), pages.LevelBad
	}
	return row
}

func (s *Server) matrixRow(l *i18n.Localizer, row credentialing.MatrixRow) pages.MatrixRow {
	out := pages.MatrixRow{Place: row.Place}
	for _, d := range row.Answers {
		main, more := mainReason(d)
		cell := pages.MatrixCell{Decision: i18n.ID("scope.decision." + string(d.Decision)), Level: decisionLevel(d.Decision),
			More: s.reasonRows(l, append(more, d.Conditions...))}
		if rows := s.reasonRows(l, main); len(rows) > 0 {
			cell.Reason = rows[0].Sentence
		}
		out.Cells = append(out.Cells, cell)
	}
	return out
}

// reasonWeight are the kinds of reasons of a refusal, the one that says most first.
var reasonWeight = []string{"no-pack", "pack-not-verified", "forbid", "unknown", "unmet", "no-permit", "missing", "credential"}

// mainReason is the reason that stands in a small place, and the others.
func mainReason(d credentialing.Determination) (first, more []string) {
	weights := reasonWeight
	if d.Decision != credentialing.Deny {
		weights = []string{"permit"}
	}
	for _, kind := range weights {
		for i, reason := range d.Reasons {
			if head, _, _ := strings.Cut(reason, ":"); head == kind {
				more = append(more, d.Reasons[:i]...)
				return []string{reason}, append(more, d.Reasons[i+1:]...)
			}
		}
	}
	return nil, d.Reasons
}

func timelineRow(e credentialing.RecordEvent, names map[identity.PersonID]string) pages.TimelineRow {
	row := pages.TimelineRow{What: i18n.ID("record.act." + string(e.What)), Level: pages.LevelInfo, At: e.At, By: names[e.By], Second: names[e.Second],
		Number: e.Number, From: e.From, Detail: e.Detail}
	if e.Credential != "" {
		row.Href = "/credentials/" + string(e.Credential)
	}
	if e.Kind != "" {
		row.Kind = kindID(e.Kind)
	}
	switch e.What {
	case credentialing.ActStatus:
		row.Status, row.Detail = i18n.ID("officer.status."+e.Detail), ""
		row.Level = pages.LevelOK
		if credentialing.Status(e.Detail).Adverse() {
			row.Level = pages.LevelBad
		}
	case credentialing.ActMatched, credentialing.ActConfirmed:
		row.Level = pages.LevelBad
	case credentialing.ActApproved, credentialing.ActCleared:
		row.Level = pages.LevelOK
	case credentialing.ActRejected, credentialing.ActDoubted:
		row.Level = pages.LevelWarn
	}
	return row
}
