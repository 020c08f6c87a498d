package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// replyRoutes are the addresses of the answers by mail that are left to a person.
func (s *Server) replyRoutes() []route {
	return []route{
		{http.MethodGet, "/replies", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.repliesPage},
		{http.MethodPost, "/replies/{reply}", holding(identity.RoleLocalPhysician, identity.RoleCoordinator), s.replyDone},
	}
}

var answerLevels = map[scheduling.Response]pages.Level{scheduling.Accepted: pages.LevelOK, scheduling.Declined: pages.LevelBad, scheduling.Tentative: pages.LevelWarn}

func (s *Server) repliesPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	list, err := s.d.Scheduling.MailReplies(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("answers by mail: %w", err)
	}
	p := pages.RepliesPage{}
	for _, x := range list {
		row := pages.ReplyRow{ID: string(x.ID), Visit: "/appointments/" + string(x.Appointment), Start: x.Start, Address: x.Address, Came: x.ReceivedAt,
			Says: v.l.T(i18n.ID("replies.says." + string(x.Response))), Level: answerLevels[x.Response], Reason: i18n.ID("replies.reason." + x.Reason)}
		if !x.ProposedStart.IsZero() {
			row.Proposed, row.Move = v.l.DateTime(x.ProposedStart), row.Visit+"/move"
			if !x.ProposedEnd.IsZero() {
				row.Proposed = v.l.Span(x.ProposedStart, x.ProposedEnd)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.RepliesTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Replies(p))
}

func (s *Server) replyDone(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.form(w, r); err != nil {
		return err
	}
	if err := s.d.Scheduling.ReplyDone(r.Context(), visitOf(r).actor, scheduling.ReplyID(r.PathValue("reply"))); err != nil {
		return fmt.Errorf("answer by mail: %w", err)
	}
	return s.done(w, r, "/replies", pages.LevelOK, i18n.RepliesDone)
}

// repliesWait tells those who arrange of answers by mail that are left to them.
func (s *Server) repliesWait(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if s.d.Scheduling == nil || v.actor.Guest() || !v.actor.Has(identity.RoleCoordinator) && !v.actor.Has(identity.RoleLocalPhysician) {
		return nil, nil
	}
	list, err := s.d.Scheduling.MailReplies(ctx, v.actor)
	if err != nil {
		return nil, fmt.Errorf("answers by mail for home: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return []pages.HomeItem{{Href: "/replies", Title: v.l.N(i18n.HomeReplies, len(list))}}, nil
}
