package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Codes of why an appointment is canceled. No free text: it would speak of patients.
const (
	ReasonPatient     = "patient-unavailable"
	ReasonClinician   = "clinician-unavailable"
	ReasonInterpreter = "interpreter-unavailable"
	ReasonResolved    = "no-longer-needed"
	ReasonOther       = "other"
)

// CancelReasons are the codes a person may choose from, in the order of the form.
var CancelReasons = []string{ReasonPatient, ReasonClinician, ReasonInterpreter, ReasonResolved, ReasonOther}

// Attestation names the text that an interpreter agrees to when accepting.
const Attestation = "interpreter-confidentiality/1"

// open finds an appointment that the actor may know of, in the scope of its clinic:
// the actor's own seat, a guest's one seat, or any of the clinic the actor arranges
// for.
func open(ctx context.Context, tx *audit.Tx, actor identity.Actor, id AppointmentID, lock bool) (Appointment, error) {
	if !known(id) {
		return Appointment{}, ErrNotFound
	}
	org := actor.Organization
	seated := false
	if actor.Person != "" {
		switch of, err := clinicOfSeat(ctx, tx, id, actor.Person); {
		case err == nil:
			org, seated = of, true
		case err != ErrNotFound:
			return Appointment{}, err
		}
	}
	if !seated && !arranges(actor, org) || org == "" {
		return Appointment{}, ErrNotFound
	}
	if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(actor.Person)}); err != nil {
		return Appointment{}, err
	}
	a, err := appointment(ctx, tx, id, lock)
	if err != nil {
		return Appointment{}, err
	}
	if actor.Guest() {
		if seat, ok := a.Seat(actor.Person); !ok || string(seat.ID) != actor.Seat {
			return Appointment{}, ErrNotFound
		}
	}
	return a, nil
}

// Appointment reads one appointment: for the people seated and for those who arrange
// for its clinic. An interpreter who has not promised confidentiality gets it without
// anybody else.
func (s *Service) Appointment(ctx context.Context, actor identity.Actor, id AppointmentID) (Appointment, error) {
	var a Appointment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		a, err = open(ctx, tx, actor, id, false)
		return err
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("appointment %s: %w", id, err)
	}
	return a.readBy(actor), nil
}

// AppointmentsOf lists the appointments within [from, to) by start: the actor's own
// in all clinics and, for a coordinator, those of the clinic. A guest has one.
func (s *Service) AppointmentsOf(ctx context.Context, actor identity.Actor, from, to time.Time) ([]Appointment, error) {
	var list []Appointment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		own := map[identity.OrganizationID][]string{}
		if actor.Person != "" {
			var err error
			if own, err = ownAppointments(ctx, tx, actor.Person, from, to); err != nil {
				return err
			}
		}
		whole := identity.OrganizationID("")
		if actor.Job != "" || actor.Has(identity.RoleCoordinator) {
			whole = actor.Organization
		}
		if _, ok := own[whole]; !ok && whole != "" {
			own[whole] = []string{}
		}
		for org, ids := range own {
			if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(actor.Person)}); err != nil {
				return err
			}
			where := `organization_id = @organization and start_at < @to and start_at + duration > @from and (@whole or id = any(@ids::uuid[]))`
			found, err := appointmentsWhere(ctx, tx, where, pgx.StrictNamedArgs{"organization": string(org), "from": from, "to": to,
				"whole": org == whole, "ids": ids})
			if err != nil {
				return err
			}
			list = append(list, found...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("appointments: %w", err)
	}
	if actor.Guest() {
		list = slices.DeleteFunc(list, func(a Appointment) bool {
			seat, ok := a.Seat(actor.Person)
			return !ok || string(seat.ID) != actor.Seat
		})
	}
	for i, a := range list {
		list[i] = a.readBy(actor)
	}
	slices.SortFunc(list, func(a, b Appointment) int {
		if c := a.StartAt.Compare(b.StartAt); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list, nil
}

// AppointmentsOfCase lists the appointments of a case by start, for those who arrange
// for its clinic and, of the others, those in which they sit.
func (s *Service) AppointmentsOfCase(ctx context.Context, actor identity.Actor, ref CaseRef, organization identity.OrganizationID) ([]Appointment, error) {
	if !known(ref) || !known(organization) {
		return nil, ErrNotFound
	}
	var list []Appointment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		list, err = appointmentsWhere(ctx, tx, `organization_id = @organization and case_id = @case order by start_at, id`,
			pgx.StrictNamedArgs{"organization": string(organization), "case": string(ref)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("appointments of case %s: %w", ref, err)
	}
	list = slices.DeleteFunc(list, func(a Appointment) bool {
		_, seated := a.Seat(actor.Person)
		return !seated && !arranges(actor, organization)
	})
	for i, a := range list {
		list[i] = a.readBy(actor)
	}
	return list, nil
}

// mayCancel: who arranges, and whoever is seated except interpreters, who decline.
func mayCancel(actor identity.Actor, a Appointment) bool {
	if actor.Guest() {
		return false
	}
	seat, seated := a.Seat(actor.Person)
	return arranges(actor, a.Organization) || seated && seat.Role != RoleInterpreter
}

// Cancel ends an appointment before it began and frees everybody. version is the one
// that was read.
func (s *Service) Cancel(ctx context.Context, actor identity.Actor, id AppointmentID, version int, reason string) (Appointment, error) {
	if !slices.Contains(CancelReasons, reason) {
		return Appointment{}, fmt.Errorf("%w: reason %q", ErrInvalidRequest, reason)
	}
	var a Appointment
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if a, err = open(ctx, tx, actor, id, true); err != nil {
			return err
		}
		if !mayCancel(actor, a) {
			return ErrForbidden
		}
		if a.Version != version {
			return ErrVersion
		}
		to, ok := a.State.Next(EventCancel)
		if !ok {
			return ErrState
		}
		a.State, a.Reason, a.Sequence = to, reason, a.Sequence+1
		if a, err = saveState(ctx, tx, a); err != nil {
			return err
		}
		if err := releaseSeats(ctx, tx, a); err != nil {
			return err
		}
		if err := voidReminders(ctx, tx, a, -1); err != nil {
			return err
		}
		tell, err := s.invited(ctx, tx, a)
		if err != nil {
			return err
		}
		if err := s.syncAssignments(ctx, tx, a); err != nil {
			return err
		}
		e := actor.Event("appointment.canceled")
		e.Objects = map[string]string{"appointment": string(a.ID), "case": string(a.Case)}
		e.Reason = reason
		e.Tell = tell
		for i := range a.Seats {
			a.Seats[i].Released = true
		}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Appointment{}, fmt.Errorf("cancel appointment %s: %w", id, err)
	}
	return a, nil
}

// SendAgain tells one person seated of the appointment once more: a patient gets a
// fresh link. It is for those who arrange for the clinic.
func (s *Service) SendAgain(ctx context.Context, actor identity.Actor, id AppointmentID, seat SeatID) error {
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if !arranges(actor, a.Organization) {
			return ErrForbidden
		}
		if !a.State.Occupies() || a.State == StateHeld { // nobody is told of a hold
			return ErrState
		}
		for _, o := range a.Seats {
			if o.ID == seat && !o.Released {
				e := actor.Event("appointment.invited")
				e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(seat)}
				e.Tell = []string{string(o.Person)}
				tx.Append(e)
				return nil
			}
		}
		return ErrNotFound
	})
	if err != nil {
		return fmt.Errorf("send invitation to appointment %s again: %w", id, err)
	}
	return nil
}

// MayCancel tells whether the actor may cancel the appointment now, as Cancel asks.
func MayCancel(actor identity.Actor, a Appointment) bool {
	_, ok := a.State.Next(EventCancel)
	return ok && mayCancel(actor, a)
}

// Arranges tells whether the actor searches and books for a clinic.
func Arranges(actor identity.Actor, clinic identity.OrganizationID) bool {
	return arranges(actor, clinic)
}

// SeatFor finds the live seat of a person at the door of an appointment. tx is opened
// in the person's own scope; it leaves in the scope of the appointment's clinic. Who
// has no seat there gets ErrNotFound.
func (s *Service) SeatFor(ctx context.Context, tx *audit.Tx, id AppointmentID, person identity.PersonID) (Seat, Appointment, error) {
	if !known(id) || !known(person) {
		return Seat{}, Appointment{}, ErrNotFound
	}
	org, err := clinicOfSeat(ctx, tx, id, person)
	if err != nil {
		return Seat{}, Appointment{}, err
	}
	if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: tx.Scope.Person}); err != nil {
		return Seat{}, Appointment{}, err
	}
	a, err := appointment(ctx, tx, id, false)
	if err != nil {
		return Seat{}, Appointment{}, err
	}
	seat, ok := a.Seat(person)
	if !ok {
		return Seat{}, Appointment{}, ErrNotFound
	}
	return seat, a, nil
}

// Begin notes that the session of an appointment runs. tx is in the scope of its
// clinic. Beginning again changes nothing.
func (s *Service) Begin(ctx context.Context, tx *audit.Tx, id AppointmentID) error {
	return move(ctx, tx, id, EventBegin, StateInProgress, "appointment.began")
}

// Fulfill notes that the session of an appointment has ended and it took place, and
// how hard its hour was on each. Doing it again changes nothing.
func (s *Service) Fulfill(ctx context.Context, tx *audit.Tx, id AppointmentID) error {
	if err := move(ctx, tx, id, EventFulfill, StateFulfilled, "appointment.fulfilled"); err != nil {
		return err
	}
	return s.weigh(ctx, tx, id)
}

func move(ctx context.Context, tx *audit.Tx, id AppointmentID, ev Event, already State, act string) error {
	if !known(id) {
		return ErrNotFound
	}
	a, err := appointment(ctx, tx, id, true)
	if err != nil {
		return fmt.Errorf("appointment %s: %w", id, err)
	}
	if a.State == already {
		return nil
	}
	to, ok := a.State.Next(ev)
	if !ok {
		return fmt.Errorf("appointment %s is %s: %w", id, a.State, ErrState)
	}
	a.State = to
	if _, err := saveState(ctx, tx, a); err != nil {
		return err
	}
	tx.Append(audit.Event{Act: act, Actor: tx.Scope.Person, Objects: map[string]string{"appointment": string(id), "case": string(a.Case)}})
	return nil
}
