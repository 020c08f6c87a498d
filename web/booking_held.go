package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// held says why a visit needs attention and how it could take place: all of it to
// those who arrange for the clinic, to others seated only what is about themselves.
// Nil: nothing to say.
func (s *Server) held(ctx context.Context, v *visit, a scheduling.Appointment, people map[identity.PersonID]identity.Person) (*pages.HeldCard, error) {
	if a.State != scheduling.StateNeedsAttention || v.actor.Guest() {
		return nil, nil
	}
	against, err := s.d.Scheduling.Obstacles(ctx, v.actor, a.ID)
	if err != nil {
		return nil, fmt.Errorf("why a visit needs attention: %w", err)
	}
	arranges := scheduling.Arranges(v.actor, a.Organization)
	card := &pages.HeldCard{ID: string(a.ID), Version: strconv.Itoa(a.Version), Own: !arranges}
	for _, o := range against {
		refusal := &scheduling.Refusal{Limit: scheduling.LimitLicense, Person: o.Person, Reasons: o.Reasons, Lead: o.Lead}
		why, err := s.sentences(ctx, v.l, refusal)
		if err != nil {
			return nil, fmt.Errorf("why a visit needs attention: %w", err)
		}
		card.Why = append(card.Why, pages.HeldWhy{Name: people[o.Person].Name, Role: v.l.T(i18n.ID("role." + string(o.Role))),
			Why: why, Rule: o.Rule, RuleText: s.ruleText(o.Lead), Until: o.Until})
	}
	if !arranges {
		if len(card.Why) == 0 {
			return nil, nil
		}
		return card, nil
	}
	ways, err := s.d.Scheduling.Substitutes(ctx, v.actor, a.ID)
	if err != nil {
		return nil, fmt.Errorf("what is possible instead: %w", err)
	}
	for _, w := range ways {
		way := pages.HeldWay{Name: w.Name, Interprets: w.Interprets, Start: w.Start, End: w.Start.Add(a.Duration), Change: string(w.Change),
			Specialist: string(w.Specialist), Silent: w.Silent}
		switch w.Change {
		case scheduling.SamePeople:
			way.Text, way.Name = i18n.HeldDoInterpreter, w.Interprets
			if seat, ok := a.Seat(w.Physician); !ok || seat.Role != scheduling.RoleLocalPhysician || w.Interprets == "" {
				way.Text = i18n.HeldDoPhysician
			}
		case scheduling.OtherSpecialist:
			way.Text = i18n.HeldDoSpecialist
		case scheduling.OtherTime:
			way.Text = i18n.HeldDoTime
		case scheduling.Narrower:
			way.Text = i18n.HeldDoNarrower
		case scheduling.Alone:
			way.Text = i18n.HeldDoAlone
		}
		card.Ways = append(card.Ways, way)
	}
	return card, nil
}

// substitute rebooks a visit that needs attention in the way chosen.
func (s *Server) substitute(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	start, err := time.Parse(time.RFC3339, f.Value("start"))
	if err != nil {
		return errBadForm
	}
	a, err := s.d.Scheduling.Substitute(r.Context(), actorOf(r), scheduling.SubstituteRequest{Appointment: appointmentID(r), Version: version,
		Change: scheduling.Substitution(f.Value("change")), Specialist: identity.PersonID(f.Value("specialist")), Start: start})
	var refusal *scheduling.Refusal
	if errors.Is(err, scheduling.ErrSlotTaken) || errors.As(err, &refusal) {
		f.Fail("", i18n.HeldGone)
		return s.showAppointment(w, r, http.StatusConflict, f)
	}
	if err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, i18n.HeldDone)
}
