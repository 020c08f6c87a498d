package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Intake says who of a clinic may place cases into the windows of a presence.
type Intake string

// The intakes.
const (
	IntakeAny         Intake = "any" // whoever arranges for the clinic
	IntakeCoordinator Intake = "coordinator"
	IntakePhysician   Intake = "physician" // local physicians
)

// Intakes are the intakes in the order of the form.
var Intakes = []Intake{IntakeAny, IntakeCoordinator, IntakePhysician}

// Unfilled says what becomes of a window that is empty shortly before it begins.
type Unfilled string

// What becomes of it.
const (
	UnfilledKeep    Unfilled = "keep"
	UnfilledRelease Unfilled = "release" // the specialist is free for other things
)

// Program are the rules of a presence.
type Program struct {
	Cases       int // visits that fit into a window, 0 to 50; 0 is no limit
	Minutes     int // that may be booked of a window, 0 to 480; 0 is no limit
	IntakeHours int // until how long before a window cases are placed, 0 to 336; 0 is until it begins
	Intake      Intake
	Unfilled    Unfilled
	// Substitutes stand in when a window is given up, the first first; at most 10.
	Substitutes []identity.PersonID
}

// DefaultProgram has no limits.
var DefaultProgram = Program{Intake: IntakeAny, Unfilled: UnfilledKeep}

const mostSubstitutesOf = 10

func (p Program) validate(of identity.PersonID) error {
	switch {
	case p.Cases < 0 || p.Cases > 50, p.Minutes < 0 || p.Minutes > 480, p.IntakeHours < 0 || p.IntakeHours > 336:
		return fmt.Errorf("%w: limits of a program", ErrInvalidRequest)
	case !slices.Contains(Intakes, p.Intake), p.Unfilled != UnfilledKeep && p.Unfilled != UnfilledRelease:
		return fmt.Errorf("%w: rule of a program", ErrInvalidRequest)
	case len(p.Substitutes) > mostSubstitutesOf:
		return fmt.Errorf("%w: too many substitutes", ErrInvalidRequest)
	}
	for i, id := range p.Substitutes {
		if !known(id) || id == of || slices.Contains(p.Substitutes[:i], id) {
			return fmt.Errorf("%w: substitute", ErrInvalidRequest)
		}
	}
	return nil
}

// admits tells whether somebody may place a case.
func (i Intake) admits(actor identity.Actor) bool {
	switch i {
	case IntakeCoordinator:
		return actor.Job != "" || actor.Has(identity.RoleCoordinator)
	case IntakePhysician:
		return actor.Job != "" || actor.Has(identity.RoleLocalPhysician)
	}
	return true
}

// Codes of why a window of a program takes no more.
const (
	leadFull   = "program:full"
	leadLate   = "program:late"   // the time to place cases is over
	leadIntake = "program:intake" // others place cases there
)

// fullWindow is a window in which who plans may place nothing more, and why.
type fullWindow struct {
	Range
	lead string
}

// places are the windows of the specialist's presence, and those of them in which who
// plans may place nothing more.
func (p *plan) places(list []place) (all []Range, full []fullWindow) {
	for _, w := range list {
		all = append(all, w.Range)
		switch {
		case !w.by.admits(p.by):
			full = append(full, fullWindow{w.Range, leadIntake})
		case w.late:
			full = append(full, fullWindow{w.Range, leadLate})
		case !w.free:
			full = append(full, fullWindow{w.Range, leadFull})
		}
	}
	return all, full
}

// ranges are the times of windows.
func ranges(full []fullWindow) []Range {
	out := make([]Range, len(full))
	for i, w := range full {
		out[i] = w.Range
	}
	return out
}

// fullLead says why the first full window at or after an instant takes no more.
func (p *plan) fullLead(from time.Time) string {
	for _, w := range p.full {
		if w.End.After(from) {
			return w.lead
		}
	}
	return leadFull
}

// keepPlace makes sure that a window of limited capacity has a place for the visit that
// is about to be seated at a start, and lets nobody else take it until the transaction
// ends.
func (s *Service) keepPlace(ctx context.Context, tx *audit.Tx, p *plan, start time.Time) error {
	if p.own != nil && slices.ContainsFunc(p.full, func(r fullWindow) bool {
		return !p.own.Start.Before(r.Start) && p.own.Start.Before(r.End) && !start.Before(r.Start) && start.Before(r.End)
	}) {
		return nil // it keeps the place that it has
	}
	fits, err := lockPlace(ctx, tx, p.specialist, start, p.duration)
	if err != nil {
		return err
	}
	if !fits {
		return &fullSlot{leadFull, p.specialist}
	}
	return nil
}

// SetProgram changes the rules of a presence: for its specialist and for those who
// arrange for its clinic. What is booked already stays.
func (s *Service) SetProgram(ctx context.Context, actor identity.Actor, id PresenceID, version int, rules Program) (Presence, error) {
	var p Presence
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if p, err = openPresence(ctx, tx, actor, id, true); err != nil {
			return err
		}
		if p.Version != version {
			return ErrVersion
		}
		if err := rules.validate(p.Person); err != nil {
			return err
		}
		people, err := s.people.PeopleTx(ctx, tx, rules.Substitutes...)
		if err != nil {
			return fmt.Errorf("substitutes: %w", err)
		}
		for _, one := range rules.Substitutes {
			if q, ok := people[one]; !ok || q.Disabled {
				return fmt.Errorf("%w: substitute", ErrInvalidRequest)
			}
		}
		p.Program = rules
		if err := saveProgram(ctx, tx, p); err != nil {
			return err
		}
		p.Version++
		e := actor.Event("presence.program_set")
		e.Objects = map[string]string{"presence": string(p.ID)}
		e.Detail = map[string]any{"cases": int64(rules.Cases), "minutes": int64(rules.Minutes), "intake_hours": int64(rules.IntakeHours), "intake": string(rules.Intake),
			"unfilled": string(rules.Unfilled), "substitutes": int64(len(rules.Substitutes))}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Presence{}, fmt.Errorf("rules of presence %s: %w", id, err)
	}
	return p, nil
}

// Fill is what is booked in one window.
type Fill struct {
	Visits  int
	Minutes int
}

// Fills are what is booked in the windows of a presence, by occurrence.
func (s *Service) Fills(ctx context.Context, actor identity.Actor, id PresenceID) (map[Wall]Fill, error) {
	var out map[Wall]Fill
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		p, err := openPresence(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		out, err = fillsOf(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("what is booked in presence %s: %w", id, err)
	}
	return out, nil
}
