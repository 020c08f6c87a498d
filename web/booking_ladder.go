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

// askCard is how the reader, an interpreter, is asked for their seat.
func (s *Server) askCard(ctx context.Context, v *visit, own scheduling.Seat) (*pages.AskCard, error) {
	c := &pages.AskCard{Pair: own.Pair, Closed: own.AttestedAt.IsZero()}
	x, err := s.d.Scheduling.Asking(ctx, v.actor, own.ID)
	switch {
	case errors.Is(err, scheduling.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("appointment page: %w", err)
	default:
		c.Deadline = x.Deadline
	}
	for _, code := range scheduling.RefuseReasons {
		c.Reasons = append(c.Reasons, pages.Option{Value: code, Text: v.l.T(i18n.ID("ladder.reason." + code))})
	}
	return c, nil
}

// ladderCard tells those who arrange who was asked; nil if nobody ever was.
func (s *Server) ladderCard(ctx context.Context, v *visit, a scheduling.Appointment) (*pages.LadderCard, error) {
	list, err := s.d.Scheduling.Askings(ctx, v.actor, a.ID)
	if err != nil {
		return nil, fmt.Errorf("appointment page: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]identity.PersonID, len(list))
	for i, x := range list {
		ids[i] = x.Person
	}
	names, err := s.namesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	c := &pages.LadderCard{Waiting: a.Seeks()}
	legs := slices.ContainsFunc(list, func(x scheduling.Assignment) bool { return x.Leg > 0 })
	if legs && c.Waiting {
		missing, err := s.d.Scheduling.MissingLegs(ctx, v.actor, a.ID)
		if err != nil {
			return nil, fmt.Errorf("appointment page: %w", err)
		}
		for _, leg := range missing {
			if leg.Asked {
				c.Waits = append(c.Waits, leg.Pair)
			} else {
				c.Missing = append(c.Missing, leg.Pair)
			}
		}
	}
	for _, x := range list {
		row := pages.AskedRow{Name: names[x.Person], State: i18n.ID("ladder.state." + string(x.State)), When: x.AnsweredAt}
		if x.AnsweredAt.IsZero() {
			row.When = x.Deadline
		}
		if legs {
			row.Pair = x.Pair
		}
		if x.Reason != "" {
			row.Why = i18n.ID("ladder.reason." + x.Reason)
		}
		c.Rows = append(c.Rows, row)
		c.Silent = c.Silent || x.State == scheduling.AskLapsed && x.Start.Equal(a.StartAt)
	}
	if c.Waiting {
		choices, err := s.d.Scheduling.Choices(ctx, v.actor, a.ID)
		if err != nil {
			return nil, fmt.Errorf("appointment page: %w", err)
		}
		for _, o := range choices {
			text := o.Name
			if o.Silent {
				text = v.l.T(i18n.AskedChoice, i18n.V{"Name": o.Name})
			}
			c.Choices = append(c.Choices, pages.Option{Value: string(o.Person), Text: text})
		}
		if len(choices) == 0 && slices.ContainsFunc(list, func(x scheduling.Assignment) bool { return x.State == scheduling.Asked }) {
			c.Waiting = false // somebody is asked: no other time is needed yet
		}
	}
	return c, nil
}

// pickInterpreter asks the interpreter whom those who arrange have chosen.
func (s *Server) pickInterpreter(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	a, err := s.d.Scheduling.Pick(r.Context(), actorOf(r), appointmentID(r), version, identity.PersonID(f.Value("person")))
	if err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, i18n.LadderDone)
}
