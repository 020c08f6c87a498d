package scheduling

import (
	"context"
	"fmt"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// AboutSpecialist reads a visit and the question that its specialist's part rests on,
// for those who may read who the specialist is: the patient on their seat, those who
// arrange for the clinic, and the clinic's people who sit there; see ReadsWho.
func (s *Service) AboutSpecialist(ctx context.Context, actor identity.Actor, id AppointmentID) (Appointment, credentialing.Ask, error) {
	var a Appointment
	var ask credentialing.Ask
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if a, err = open(ctx, tx, actor, id, false); err != nil {
			return err
		}
		if !ReadsWho(actor, a) {
			return ErrNotFound
		}
		who := a.specialist()
		if who == "" {
			return ErrNotFound
		}
		facts, err := s.cases.Facts(ctx, tx, a.Case, who)
		if err != nil {
			return err
		}
		p := &plan{planned: planned{ref: a.Case, kind: a.Kind, specialist: who}, facts: facts, interpreted: a.Interpreted != [2]string{}}
		ask = p.ask(who, a.StartAt, a.End())
		return nil
	})
	if err != nil {
		return Appointment{}, credentialing.Ask{}, fmt.Errorf("specialist of appointment %s: %w", id, err)
	}
	return a, ask, nil
}
