package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) packs(w http.ResponseWriter, r *http.Request) error {
	return s.showPacks(w, r, http.StatusOK, pages.Form{}, nil)
}

func (s *Server) showPacks(w http.ResponseWriter, r *http.Request, status int, f pages.Form, found []credentialing.PackError) error {
	drafts, err := s.d.Credentialing.Drafts(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("editions: %w", err)
	}
	p := pages.PacksPage{Unverified: s.unverifiedNotice(), Form: f}
	for _, e := range found {
		p.Findings = append(p.Findings, pages.Finding{File: e.File, Line: e.Line, Rule: e.Rule, Text: e.Err.Error()})
	}
	rules := s.d.Credentialing.Rules()
	for _, code := range rules.Codes() {
		if one, ok := rules.Pack(code); ok {
			row := pages.PackRow{Code: code, Version: one.Version, State: packState(one.Status), Level: packLevel(one.Status), Rules: len(one.Rules)}
			if one.Status != "platform-policy" {
				row.Href = "/credentials/packs/in-force/" + code
			}
			if c := one.VerifiedBy; c != nil && one.Status == "verified" {
				row.Name, row.On = c.Name, c.On
			}
			p.InForce = append(p.InForce, row)
		}
	}
	for _, d := range drafts {
		row := pages.PackRow{Href: "/credentials/packs/" + string(d.ID), Code: d.Edition.Code, Version: d.Edition.Version, State: i18n.RecordPackDrafted,
			Level: pages.LevelWarn, Rules: len(d.Rules), At: d.DraftedAt}
		if d.Published() {
			row.State, row.Level, row.At = i18n.RecordPackPublished, pages.LevelOK, d.PublishedAt
		}
		p.Drafts = append(p.Drafts, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.RecordPacks); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.Packs(p))
}

func packState(status string) i18n.ID { return i18n.ID("record.pack." + status) }

func packLevel(status string) pages.Level {
	if status == "verified" || status == "platform-policy" {
		return pages.LevelOK
	}
	return pages.LevelWarn
}

func (s *Server) draftPack(w http.ResponseWriter, r *http.Request) error {
	f, err := s.upload(w, r, credentialing.MaxPack+maxForm)
	if err != nil {
		return err
	}
	file, err := s.uploaded(r, &f, "file", i18n.OfficerFile, credentialing.MaxPack)
	if err != nil {
		return err
	}
	var from time.Time
	if v := f.Value("from"); v != "" {
		if from, err = time.ParseInLocation(localTime, v, localizer(r).Zone()); err != nil {
			f.Fail("from", i18n.OfficerWhenBad)
		}
	}
	var found []credentialing.PackError
	if f.OK() {
		var id credentialing.DraftID
		id, found, err = s.d.Credentialing.DraftEdition(r.Context(), actorOf(r), file, from.UTC(), time.Time{})
		switch {
		case err == nil && len(found) == 0:
			http.Redirect(w, r, "/credentials/packs/"+string(id), http.StatusSeeOther)
			return nil
		case err == nil:
			f.Fail("file", i18n.RecordPackFindings)
		case errors.Is(err, credentialing.ErrEncoding):
			f.Fail("file", i18n.ErrorEncoding)
		default:
			if err := s.failForm(&f, err); err != nil {
				return fmt.Errorf("draft an edition: %w", err)
			}
		}
	}
	return s.showPacks(w, r, http.StatusUnprocessableEntity, f, found)
}

// subjects are what all future bookings and open cases of all clinics rest on.
func (s *Server) subjects(ctx context.Context, actor identity.Actor) ([]credentialing.Subject, error) {
	var out []credentialing.Subject
	clinics, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return nil, fmt.Errorf("clinics: %w", err)
	}
	for _, o := range clinics {
		if s.d.Scheduling != nil {
			booked, err := s.d.Scheduling.Subjects(ctx, actor, o.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, booked...)
		}
		if s.d.Workspace != nil {
			open, err := s.d.Workspace.Subjects(ctx, actor, o.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, open...)
		}
	}
	return out, nil
}

func (s *Server) packPage(w http.ResponseWriter, r *http.Request) error {
	return s.showPack(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showPack(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	actor, l := actorOf(r), localizer(r)
	d, err := s.d.Credentialing.Draft(r.Context(), actor, credentialing.DraftID(r.PathValue("draft")))
	if err != nil {
		return fmt.Errorf("edition: %w", err)
	}
	p := pages.PackPage{Unverified: s.unverifiedNotice(), Form: f, ID: string(d.ID), Code: d.Edition.Code, Version: d.Edition.Version, SHA256: d.Edition.SHA256,
		Name: d.Name, State: packState(d.Status), Level: packLevel(d.Status), From: d.From, Drafted: d.DraftedAt, Published: d.PublishedAt,
		Own: d.DraftedBy == actor.Person}
	for _, rule := range d.Rules {
		row := pages.PackRule{ID: rule.ID, Effect: i18n.ID("officer.effect." + string(rule.Effect)), Text: rule.Text, Confidence: rule.Confidence}
		if len(rule.Cites) > 0 {
			row.Source, row.URL = d.Citations[rule.Cites[0]].Title, d.Citations[rule.Cites[0]].URL
		}
		p.Rules = append(p.Rules, row)
	}
	ids := []identity.PersonID{d.DraftedBy, d.PublishedBy}
	var report credentialing.Report
	if !d.Published() {
		open, err := s.d.Credentialing.UnexplainedReplays(r.Context(), actor)
		if err != nil {
			return fmt.Errorf("past answers that differ: %w", err)
		}
		p.ReplayOpen = len(open) > 0
		subjects, err := s.subjects(r.Context(), actor)
		if err != nil {
			return fmt.Errorf("what an edition changes: %w", err)
		}
		if report, err = s.d.Credentialing.WhatIf(r.Context(), actor, d.ID, subjects); err != nil {
			return fmt.Errorf("what an edition changes: %w", err)
		}
		for _, x := range report.Differences {
			ids = append(ids, x.Ask.Person)
		}
	}
	clinics, err := s.d.Identity.Organizations(r.Context())
	if err != nil {
		return fmt.Errorf("clinics: %w", err)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	names[""] = l.T(i18n.DeskOperator)
	p.DraftedBy, p.PublishedBy, p.Evaluated = names[d.DraftedBy], names[d.PublishedBy], report.Evaluated
	for _, x := range report.Differences {
		row := pages.PackChange{Kind: i18n.ID("record.subject." + x.Kind), Person: names[x.Ask.Person], Activity: i18n.ID("scope.activity." + string(x.Ask.Activity)),
			At: x.Ask.At, Before: i18n.ID("scope.decision." + string(x.Before.Decision)), BeforeLevel: decisionLevel(x.Before.Decision),
			After: i18n.ID("scope.decision." + string(x.After.Decision)), AfterLevel: decisionLevel(x.After.Decision)}
		for _, place := range x.Ask.Case.Places {
			row.Places = append(row.Places, i18n.Place(place))
		}
		for _, o := range clinics {
			if o.ID == x.Organization {
				row.Clinic = o.Name
			}
		}
		main, _ := mainReason(x.After)
		if rows := s.reasonRows(l, main); len(rows) > 0 {
			row.Reason = rows[0].Sentence
		}
		p.Changes = append(p.Changes, row)
	}
	if p.Layout, err = s.titled(w, r, d.Name+" "+d.Edition.Version); err != nil {
		return err
	}
	p.Crumbs = append(s.officerCrumbs(r), pages.Crumb{Href: "/credentials/packs", Label: l.T(i18n.RecordPacks)})
	return s.render(w, r, status, pages.Pack(p))
}

func (s *Server) publishPack(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	seen, err := strconv.Atoi(f.Value("seen"))
	if err != nil {
		return fmt.Errorf("%w: %w", errBadForm, err)
	}
	subjects, err := s.subjects(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("publish an edition: %w", err)
	}
	id := r.PathValue("draft")
	err = s.d.Credentialing.Publish(r.Context(), actorOf(r), credentialing.DraftID(id), subjects, seen)
	if err == nil {
		return s.done(w, r, "/credentials/packs/"+id, pages.LevelOK, i18n.RecordFlashPublished)
	}
	if err := s.failForm(&f, err); err != nil {
		return fmt.Errorf("publish an edition: %w", err)
	}
	return s.showPack(w, r, http.StatusUnprocessableEntity, f)
}
