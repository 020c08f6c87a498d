package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// NeedsID is a UUIDv7.
type NeedsID string

// GenderWish is whom the patient asked for.
type GenderWish struct {
	Gender identity.Gender `json:"gender,omitempty"` // "" is anybody
	Must   bool            `json:"must,omitempty"`   // else a wish, which orders
}

// TimeWish is a time of the week that the patient asked to be kept free of visits: of a
// prayer, a day of rest, the end of a fast. It is read on the clock where the patient is.
type TimeWish struct {
	Days  []Weekday `json:"days"`
	Start Minute    `json:"start"`
	End   Minute    `json:"end"` // not after Start: on the next date
	From  *Date     `json:"from,omitempty"`
	Until *Date     `json:"until,omitempty"` // inclusive
	Must  bool      `json:"must,omitempty"`  // else a wish, which orders
	What  string    `json:"what,omitempty"`  // in the patient's words
}

// Needs are what a patient asked for their visits, in their own words where there are
// any. They are stated anew as a whole; what was stated before stays readable.
type Needs struct {
	ID          NeedsID             `json:"-"` // "" if nothing was stated
	Interpreter GenderWish          `json:"interpreter,omitzero"`
	Clinician   GenderWish          `json:"clinician,omitzero"` // the specialist
	Not         []identity.PersonID `json:"not,omitempty"`      // interpreters who are not to interpret: relatives, people they know
	Times       []TimeWish          `json:"times,omitempty"`
	Diet        string              `json:"diet,omitempty"`
	Fasting     string              `json:"fasting,omitempty"`
	Words       string              `json:"words,omitempty"` // anything else

	By        identity.PersonID `json:"-"` // who wrote it down
	ByPatient bool              `json:"-"`
	At        time.Time         `json:"-"`
}

// LogValue keeps what a patient asked for out of logs.
func (n Needs) LogValue() slog.Value { return slog.StringValue(string(n.ID)) }

// Empty tells whether nothing is asked for.
func (n Needs) Empty() bool {
	return n.Interpreter.Gender == "" && n.Clinician.Gender == "" && len(n.Not) == 0 && len(n.Times) == 0 &&
		n.Diet == "" && n.Fasting == "" && n.Words == ""
}

const (
	mostTimeWishes = 20
	mostNot        = 20
	longestNeed    = 200  // characters of what a time is for
	longestWords   = 1000 // of a note
)

// NeedsField is a field of Needs that cannot be as it is.
type NeedsField struct {
	Field string // interpreter, clinician, not, times, diet, fasting or words
	Row   int    // of times, from 0
}

func (e *NeedsField) Error() string { return "scheduling: needs: " + e.Field }

// Is makes a *NeedsField an ErrInvalidRequest.
func (e *NeedsField) Is(target error) bool { return target == ErrInvalidRequest }

// check tells what cannot be, as a *NeedsField, and brings n into its one form.
func (n *Needs) check() error {
	for field, w := range map[string]*GenderWish{"interpreter": &n.Interpreter, "clinician": &n.Clinician} {
		switch w.Gender {
		case "":
			w.Must = false
		case identity.GenderFemale, identity.GenderMale:
		default:
			return &NeedsField{Field: field}
		}
	}
	n.Not = slices.Clone(n.Not)
	slices.Sort(n.Not)
	n.Not = slices.Compact(n.Not)
	if len(n.Not) > mostNot || !known(n.Not...) {
		return &NeedsField{Field: "not"}
	}
	if len(n.Times) > mostTimeWishes {
		return &NeedsField{Field: "times", Row: mostTimeWishes}
	}
	n.Times = slices.Clone(n.Times)
	for i := range n.Times {
		t := &n.Times[i]
		t.What = strings.TrimSpace(t.What)
		t.Days = slices.Clone(t.Days)
		slices.Sort(t.Days)
		t.Days = slices.Compact(t.Days)
		if utf8.RuneCountInString(t.What) > longestNeed || !utf8.ValidString(t.What) || t.rule().validate() != nil ||
			t.From != nil && t.Until != nil && *t.Until < *t.From {
			return &NeedsField{Field: "times", Row: i}
		}
	}
	for field, text := range map[string]*string{"diet": &n.Diet, "fasting": &n.Fasting, "words": &n.Words} {
		*text = strings.TrimSpace(*text)
		if utf8.RuneCountInString(*text) > longestWords || !utf8.ValidString(*text) || strings.ContainsRune(*text, 0) {
			return &NeedsField{Field: field}
		}
	}
	return nil
}

func (t TimeWish) rule() Rule {
	return Rule{Freq: Weekly, Days: t.Days, Start: t.Start, End: t.End, From: t.From, Until: t.Until}
}

// readsNeeds tells whether the actor schedules or treats: those who arrange for the
// clinic, and the specialist of the case or of a visit of it. Interpreters never.
func readsNeeds(actor identity.Actor, clinic identity.OrganizationID, specialist bool) bool {
	return arranges(actor, clinic) || specialist && !actor.Guest() && actor.Person != ""
}

// NeedsOf reads what the patient of a case asked for, for those who arrange for its
// clinic and for the specialist it is assigned to, with all that was stated before, the
// latest first. Nothing stated is no error.
func (s *Service) NeedsOf(ctx context.Context, actor identity.Actor, ref CaseRef) (now Needs, before []Needs, err error) {
	if !known(ref) {
		return Needs{}, nil, ErrNotFound
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, "")
		if err != nil {
			return err
		}
		if !readsNeeds(actor, facts.Organization, facts.Assigned == actor.Person && facts.Assigned != "") {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		now, before, err = needsHistory(ctx, tx, ref, facts.Patient)
		return err
	})
	if err != nil {
		return Needs{}, nil, fmt.Errorf("needs of case %s: %w", ref, err)
	}
	return now, before, nil
}

// StateNeeds writes down what the patient of a case asked for, for those who arrange for
// its clinic. n.ID is the statement that was read, "" if there was none; ErrVersion means
// that another was made since. What cannot be is a *NeedsField.
func (s *Service) StateNeeds(ctx context.Context, actor identity.Actor, ref CaseRef, n Needs) (Needs, error) {
	if !known(ref) {
		return n, ErrNotFound
	}
	if err := n.check(); err != nil {
		return n, err
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, "")
		if err != nil {
			return err
		}
		if !arranges(actor, facts.Organization) || actor.Person == "" {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		n, err = s.stateNeeds(ctx, tx, actor, ref, facts.Patient, n, false)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("state needs of case %s: %w", ref, err)
	}
	return n, nil
}

// OwnNeeds reads what the patient of an appointment asked for: for the patient on their
// own seat, for those who arrange, and for the specialist seated.
func (s *Service) OwnNeeds(ctx context.Context, actor identity.Actor, id AppointmentID) (now Needs, before []Needs, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		seat, seated := a.Seat(actor.Person)
		own := seated && seat.Role == RolePatient
		if a.Case == "" || !own && !readsNeeds(actor, a.Organization, seated && seat.Role == RoleSpecialist) {
			return ErrForbidden
		}
		now, before, err = needsHistory(ctx, tx, a.Case, a.patient())
		return err
	})
	if err != nil {
		return Needs{}, nil, fmt.Errorf("needs for appointment %s: %w", id, err)
	}
	return now, before, nil
}

// StateOwnNeeds is StateNeeds by the patient, from their seat in an appointment.
func (s *Service) StateOwnNeeds(ctx context.Context, actor identity.Actor, id AppointmentID, n Needs) (Needs, error) {
	if err := n.check(); err != nil {
		return n, err
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if seat, seated := a.Seat(actor.Person); !seated || seat.Role != RolePatient || a.Case == "" {
			return ErrForbidden
		}
		n, err = s.stateNeeds(ctx, tx, actor, a.Case, actor.Person, n, true)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("state own needs for appointment %s: %w", id, err)
	}
	return n, nil
}

// stateNeeds keeps a statement in the clinic that the transaction is in.
func (s *Service) stateNeeds(ctx context.Context, tx *audit.Tx, actor identity.Actor, ref CaseRef, patient identity.PersonID, n Needs, own bool) (Needs, error) {
	had, _, err := needsHistory(ctx, tx, ref, patient)
	if err != nil {
		return n, err
	}
	if had.ID != n.ID {
		return n, ErrVersion
	}
	if slices.Contains(n.Not, patient) {
		return n, &NeedsField{Field: "not"}
	}
	interpreters, err := s.people.PeopleTx(ctx, tx, n.Not...)
	if err != nil {
		return n, fmt.Errorf("people who are not to interpret: %w", err)
	}
	if len(interpreters) != len(n.Not) {
		return n, &NeedsField{Field: "not"}
	}
	id, err := newID()
	if err != nil {
		return n, err
	}
	n.ID, n.By, n.ByPatient, n.At = NeedsID(id), actor.Person, own, tx.Now()
	if err := insertNeeds(ctx, tx, ref, patient, had.ID, n); err != nil {
		return n, err
	}
	e := actor.Event("needs.stated") // what was asked for is not written into the trail
	e.Organization = tx.Scope.Organization
	e.Objects = map[string]string{"case": string(ref), "needs": id}
	e.Detail = map[string]any{"by_patient": own}
	tx.Append(e)
	return n, nil
}

// patient is who sits in an appointment as the patient; "" if nobody does.
func (a Appointment) patient() identity.PersonID {
	for _, seat := range a.Seats {
		if seat.Role == RolePatient {
			return seat.Person
		}
	}
	return ""
}

func (n Needs) stated() ([]byte, error) { return json.Marshal(n) }

// AgainstNeeds are the visits to come of a case that are against what its patient must
// have now: at a time to be kept free, with an interpreter or a specialist they do not
// want. They stand until somebody who arranges moves or cancels them.
func (s *Service) AgainstNeeds(ctx context.Context, actor identity.Actor, ref CaseRef) ([]Appointment, error) {
	if !known(ref) {
		return nil, ErrNotFound
	}
	var out []Appointment
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, "")
		if err != nil {
			return err
		}
		if !readsNeeds(actor, facts.Organization, facts.Assigned == actor.Person && facts.Assigned != "") {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		n, _, err := needsHistory(ctx, tx, ref, facts.Patient)
		if err != nil || n.Empty() {
			return err
		}
		list, err := appointmentsWhere(ctx, tx, `organization_id = @organization and case_id = @case and start_at > @now
			and state in ('held', 'pending', 'booked', 'needs_attention')`,
			pgx.StrictNamedArgs{"organization": string(facts.Organization), "case": string(ref), "now": tx.Now()}) // appointment_case
		if err != nil {
			return err
		}
		var ids []identity.PersonID
		for _, a := range list {
			for _, seat := range a.Seats {
				ids = append(ids, seat.Person)
			}
		}
		people, err := s.people.PeopleTx(ctx, tx, ids...)
		if err != nil {
			return fmt.Errorf("people of visits: %w", err)
		}
		p := plan{facts: facts, people: people}
		for _, a := range list {
			against, err := n.against(a, people, p.patientZone())
			if err != nil {
				return err
			}
			if against {
				out = append(out, a)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("visits against needs of case %s: %w", ref, err)
	}
	return out, nil
}
