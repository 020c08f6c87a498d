package workspace

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// NewCase is what a local physician enters. All of it can be changed until the case
// is submitted.
type NewCase struct {
	Specialty string
	Urgency   Urgency
	Place     string // ISO 3166: where the patient is, as the physician knows it
	Zone      string // IANA
	Languages []string
	Patient   Pseudonym
	Identity  PatientIdentity
	// IdentityConfirmed: the physician checked identity and contact.
	IdentityConfirmed bool
	Clinical          Clinical
}

// check tells what a draft must have at the least.
func (n NewCase) check() error {
	var c checker
	c.need(n.Specialty != "", "specialty")
	c.need(oneOf(n.Urgency, Routine, Soon, Urgent, Emergency), "urgency")
	c.need(plainJurisdiction.MatchString(n.Place), "place")
	c.need(len(n.Languages) > 0, "languages")
	_, err := scheduling.LoadZone(n.Zone)
	c.need(n.Zone != "" && err == nil, "zone")
	c.need(n.Patient.Initials != "", "initials")
	c.need(oneOf(n.Patient.Sex, "female", "male", "other", "unknown"), "sex")
	c.need(n.Patient.BirthYear >= 1890 && n.Patient.BirthYear <= 2200, "birth_year")
	c.need(n.Clinical.Title != "", "title")
	c.need(n.Clinical.Language != "", "language")
	for _, a := range n.Clinical.Allergies {
		c.need(a.Substance != "" && oneOf(a.Severity, "mild", "moderate", "severe"), "allergies")
	}
	if n.Identity.BirthDate != "" {
		_, err := time.Parse(time.DateOnly, n.Identity.BirthDate)
		c.need(err == nil, "birth_date")
	}
	return c.err()
}

// Create opens a draft. The actor becomes its responsible local physician.
func (s *Service) Create(ctx context.Context, actor identity.Actor, n NewCase) (CaseID, error) {
	if r := mayCreate(actor); r != nil {
		return "", r
	}
	normalize(&n)
	if err := n.check(); err != nil {
		return "", err
	}
	if n.Patient.Person == "" && strings.Contains(n.Identity.Contact, "@") {
		// A patient with an address can be invited: the directory gets a person without
		// any role.
		var err error
		if n.Patient.Person, err = s.who.AddPerson(ctx, identity.System("case", actor.Organization), identity.Person{Name: n.Identity.Name,
			Language: patientLanguage(n.Languages), Languages: n.Languages, Zone: n.Zone, Email: n.Identity.Contact}); err != nil {
			return "", fmt.Errorf("create case: patient: %w", err)
		}
	}
	id := newID[CaseID]()
	// The key stands before the row; an orphan of a failed command opens nothing.
	if err := s.blobs.keys.create(id, n.Place); err != nil {
		return "", err
	}
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c := caseRow{createdBy: actor.Person}
		c.ID, c.Organization, c.State, c.Version, c.CreatedAt = id, actor.Organization, Draft, 1, tx.Now()
		c.Responsible = actor.Person
		var err error
		if c.Number, err = nextNumber(ctx, tx, actor.Organization); err != nil {
			return err
		}
		if err := s.fill(&c, n); err != nil {
			return err
		}
		if err := insertCase(ctx, tx, c); err != nil {
			return err
		}
		if err := insertMember(ctx, tx, c, actor.Person, RoleResponsible, actor.Person); err != nil {
			return err
		}
		if err := s.putPatient(ctx, tx, c, n); err != nil {
			return err
		}
		tx.Append((&access{c: c}).event(actor, "case.created"))
		return nil
	})
	return id, mapError(err)
}

// patientLanguage is the patient's language, English if none is known.
func patientLanguage(tags []string) string {
	if len(tags) == 0 {
		return "en"
	}
	return tags[0]
}

// fill puts what was entered into the row.
func (s *Service) fill(c *caseRow, n NewCase) error {
	c.Specialty, c.Urgency, c.Place, c.Zone, c.Languages, c.Patient = n.Specialty, n.Urgency, n.Place, n.Zone, n.Languages, n.Patient
	var err error
	c.sealed, err = s.blobs.keys.sealJSON(c.ID, "clinical_case", "content", string(c.ID), n.Clinical)
	return err
}

func (s *Service) putPatient(ctx context.Context, tx *audit.Tx, c caseRow, n NewCase) error {
	sealed, err := s.blobs.keys.sealJSON(c.ID, "case_patient", "identity", string(c.ID), n.Identity)
	if err != nil {
		return err
	}
	if err := upsertPatient(ctx, tx, c, sealed, n.IdentityConfirmed); err != nil {
		return err
	}
	if err := endMembers(ctx, tx, c.ID, RolePatient, n.Patient.Person); err != nil {
		return err
	}
	if n.Patient.Person != "" {
		return insertMember(ctx, tx, c, n.Patient.Person, RolePatient, c.Responsible)
	}
	return nil
}

// Edit replaces what was entered, while the case is a draft or was returned.
// version is the one the page showed.
func (s *Service) Edit(ctx context.Context, actor identity.Actor, id CaseID, version int, n NewCase) error {
	normalize(&n)
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayEdit(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.edit_refused", r, nil)
		}
		if err := n.check(); err != nil {
			return err
		}
		if acc.c.Version != version {
			return ErrVersion
		}
		if n.Place != acc.c.Place { // another place is asked anew
			acc.c.PlaceAt, acc.c.PlaceBy, acc.c.PlaceHow = time.Time{}, "", ""
		}
		if err := s.fill(&acc.c, n); err != nil {
			return err
		}
		if err := s.touch(ctx, tx, acc); err != nil {
			return err
		}
		if err := s.putPatient(ctx, tx, acc.c, n); err != nil {
			return err
		}
		tx.Append(acc.event(actor, "case.edited"))
		return nil
	})
}

// Submit asks the question: from now on it has a clock.
func (s *Service) Submit(ctx context.Context, actor identity.Actor, id CaseID) error {
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := maySubmit(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.submit_refused", r, nil)
		}
		clinical, err := s.clinical(acc.c)
		if err != nil {
			return err
		}
		var c checker
		c.need(clinical.Question.Asked != "", "asked")
		c.need(clinical.History != "", "history")
		if err := c.err(); err != nil {
			return err
		}
		acc.c.DueAt = tx.Now().Add(acc.c.Urgency.AnswerWithin())
		acc.c.Reason = ""
		if err := s.move(ctx, tx, acc, Submit); err != nil {
			return err
		}
		tx.Append(acc.event(actor, "case.submitted"))
		return nil
	})
}

// Candidate is a specialist of the case's specialty, with the answer whether the
// person may advise on it there and then.
type Candidate struct {
	Person       identity.Person
	Organization identity.OrganizationID
	Advise       credentialing.Determination
	Visit        credentialing.Determination // joint video visit
	SharesSpeech bool                        // works in a language of the patient
	WorksWithYou bool                        // works in the language of the case's texts
	OpenCases    int
	MissingFirst []string // consents to record before, condition codes
}

// Candidates lists the specialists of the case's specialty: who may advise first,
// the others with the reason.
func (s *Service) Candidates(ctx context.Context, actor identity.Actor, id CaseID) ([]Candidate, error) {
	var out []Candidate
	err := s.read(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayTriage(actor, acc.Facts); r != nil {
			return r
		}
		clinical, err := s.clinical(acc.c)
		if err != nil {
			return err
		}
		specialists, err := s.who.PeopleWithTx(ctx, tx, identity.RoleSpecialist, acc.c.Specialty)
		if err != nil {
			return err
		}
		for _, p := range specialists {
			if p.ID == acc.c.Responsible {
				continue // nobody advises themselves
			}
			c := Candidate{Person: p, SharesSpeech: shares(p.Languages, acc.c.Languages), WorksWithYou: shares(p.Languages, []string{clinical.Language})}
			where, err := s.organizationsOf(ctx, tx, p.ID)
			if err != nil {
				return err
			}
			if len(where) > 0 {
				c.Organization = where[0]
			}
			cc, err := s.context(ctx, tx, acc.c, p.ID, where)
			if err != nil {
				return err
			}
			ask := credentialing.Ask{Person: p.ID, At: tx.Now(), Mode: credentialing.Plan, Case: cc}
			ask.Activity = credentialing.AdvisePhysician
			if c.Advise, err = s.scopes.Judge(ctx, tx, ask); err != nil {
				return err
			}
			ask.Activity = credentialing.JointVideoVisit
			if c.Visit, err = s.scopes.Judge(ctx, tx, ask); err != nil {
				return err
			}
			for _, condition := range c.Advise.Conditions {
				if name, before := strings.CutPrefix(condition, "before:"); before {
					c.MissingFirst = append(c.MissingFirst, name)
				}
			}
			out = append(out, c)
		}
		return nil
	})
	rank := func(c Candidate) int {
		switch {
		case !c.Advise.Allowed():
			return 2
		case !c.Visit.Allowed():
			return 1
		default:
			return 0
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Person.Name, b.Person.Name)
	})
	return out, err
}

func shares(a, b []string) bool {
	primary := func(tag string) string { p, _, _ := strings.Cut(tag, "-"); return p }
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return primary(x) == primary(y) })
	})
}

// organizationsOf lists where a specialist works.
func (s *Service) organizationsOf(ctx context.Context, tx *audit.Tx, person identity.PersonID) ([]identity.OrganizationID, error) {
	grants, err := s.who.RolesOfTx(ctx, tx, person)
	if err != nil {
		return nil, err
	}
	return advises(grants, tx.Now()), nil
}

// Assign gives the case to a specialist who may advise on it there and then. The
// scope is determined and stored; a deny refuses.
func (s *Service) Assign(ctx context.Context, actor identity.Actor, id CaseID, specialist identity.PersonID) error {
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayTriage(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.assign_refused", r, nil)
		}
		where, err := s.organizationsOf(ctx, tx, specialist)
		if err != nil {
			return err
		}
		known, err := s.who.PeopleTx(ctx, tx, specialist)
		if err != nil {
			return err
		}
		if specialist == acc.c.Responsible { // nobody advises themselves
			return acc.refuse(tx, actor, "case.assign_refused", refuse(RefusedRole), nil)
		}
		if p, ok := known[specialist]; !ok || len(where) == 0 || p.Specialty != acc.c.Specialty {
			return ErrNotFound
		}
		d, err := s.determine(ctx, tx, actor, acc.c, specialist, where, credentialing.AdvisePhysician, credentialing.Plan)
		if err != nil {
			return err
		}
		if r := mayAssign(actor, acc.Facts, d); r != nil {
			return acc.refuse(tx, actor, "case.assign_refused", r, &d)
		}
		if acc.c.State != Triaged {
			if err := s.move(ctx, tx, acc, Triage); err != nil {
				return err
			}
			tx.Append(acc.event(actor, "case.triaged"))
		}
		if err := endMembers(ctx, tx, id, RoleSpecialist, specialist); err != nil {
			return err
		}
		if err := insertMember(ctx, tx, acc.c, specialist, RoleSpecialist, actor.Person); err != nil {
			return err
		}
		if err := s.move(ctx, tx, acc, Assign); err != nil {
			return err
		}
		e := acc.event(actor, "case.assigned")
		e.Objects["person"] = string(specialist)
		e.Determination = string(d.ID)
		e.Tell = people(specialist)
		tx.Append(e)
		return nil
	})
}

// simple runs a command that moves the case with a reason.
func (s *Service) simple(ctx context.Context, actor identity.Actor, id CaseID, act string, ev Event, reason string,
	may func(identity.Actor, Facts) *Refusal, tell func(caseRow) []string) error {
	reason = clean(reason)
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := may(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, act+"_refused", r, nil)
		}
		told := tell(acc.c)
		acc.c.Reason = reason
		if ev == Decline {
			if err := endMembers(ctx, tx, id, RoleSpecialist, ""); err != nil {
				return err
			}
		}
		if err := s.move(ctx, tx, acc, ev); err != nil {
			return err
		}
		e := acc.event(actor, act)
		e.Tell = told
		tx.Append(e)
		return nil
	})
}

// The reasons of return, decline and withdrawal are codes of a short list, so that
// nothing clinical stands in a case's open columns.
var reasons = []string{"more_history", "more_findings", "consent_missing", "not_my_field", "no_capacity", "conflict", "no_longer_needed", "other"}

// Return asks the local physician for more information.
func (s *Service) Return(ctx context.Context, actor identity.Actor, id CaseID, reason string) error {
	if !slices.Contains(reasons, reason) {
		return &ErrIncomplete{Fields: []string{"reason"}}
	}
	return s.simple(ctx, actor, id, "case.returned", Return, reason, mayReturn,
		func(c caseRow) []string { return people(c.Responsible) })
}

// Decline gives the case back to triage.
func (s *Service) Decline(ctx context.Context, actor identity.Actor, id CaseID, reason string) error {
	if !slices.Contains(reasons, reason) {
		return &ErrIncomplete{Fields: []string{"reason"}}
	}
	return s.simple(ctx, actor, id, "case.declined", Decline, reason, mayDecline,
		func(c caseRow) []string { return people(c.Responsible) })
}

// Withdraw ends a case that is no longer needed.
func (s *Service) Withdraw(ctx context.Context, actor identity.Actor, id CaseID, reason string) error {
	if !slices.Contains(reasons, reason) {
		return &ErrIncomplete{Fields: []string{"reason"}}
	}
	return s.simple(ctx, actor, id, "case.withdrawn", Withdraw, reason, mayWithdrawCase,
		func(c caseRow) []string { return people(c.Specialist) })
}

// placeHow is a code of how the place was asked: "asked_at_the_door".
var placeHow = regexp.MustCompile(`^[a-z_]{1,40}$`)

// ConfirmPlace records where the patient is now, asked and answered. Another place
// changes everything that is decided from now on.
func (s *Service) ConfirmPlace(ctx context.Context, actor identity.Actor, id CaseID, where string, how string) error {
	if !plainJurisdiction.MatchString(where) {
		return &ErrIncomplete{Fields: []string{"place"}}
	}
	if !placeHow.MatchString(how) {
		return &ErrIncomplete{Fields: []string{"how"}}
	}
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayConfirmPlace(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.place_refused", r, nil)
		}
		acc.c.Place, acc.c.PlaceAt, acc.c.PlaceBy, acc.c.PlaceHow = where, tx.Now(), actor.Person, how
		if err := insertPlace(ctx, tx, acc.c); err != nil {
			return err
		}
		if err := s.touch(ctx, tx, acc); err != nil {
			return err
		}
		tx.Append(acc.event(actor, "case.place_confirmed"))
		return nil
	})
}

// Say adds a message to the case's discussion.
func (s *Service) Say(ctx context.Context, actor identity.Actor, id CaseID, m Message) (MessageID, error) {
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := maySay(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.message_refused", r, nil)
		}
		var err error
		m.ID, err = s.say(ctx, tx, acc, actor, m)
		return err
	})
	return m.ID, err
}

// SayTx is Say within a running transaction of sessions, which decided who takes
// part: chat of a session is a message of its case. The transaction must be in the
// scope of the case's clinic.
func (s *Service) SayTx(ctx context.Context, tx *audit.Tx, actor identity.Actor, id CaseID, m Message) (MessageID, error) {
	row, err := selectCase(ctx, tx, id, false)
	if err != nil {
		return "", err
	}
	if m.Session == "" {
		return "", &ErrIncomplete{Fields: []string{"session"}}
	}
	return s.say(ctx, tx, &access{c: row}, actor, m)
}

// maxMessage bounds one message: ten pages.
const maxMessage = 20_000

func (s *Service) say(ctx context.Context, tx *audit.Tx, acc *access, actor identity.Actor, m Message) (MessageID, error) {
	m.Text = clean(m.Text)
	m.ID, m.Author, m.At = newID[MessageID](), actor.Person, tx.Now()
	if m.Audience == "" {
		m.Audience = "main"
	}
	var c checker
	c.need(m.Text != "" && len(m.Text) <= maxMessage, "text")
	c.need(m.Language != "", "language")
	c.need(oneOf(m.Audience, "main", "aside"), "audience")
	if err := c.err(); err != nil {
		return "", err
	}
	sealed, err := s.blobs.keys.seal(acc.c.ID, "case_message", "text", string(m.ID), []byte(m.Text))
	if err != nil {
		return "", err
	}
	if err := insertMessage(ctx, tx, acc.c, m, sealed); err != nil {
		return "", err
	}
	e := acc.event(actor, "case.message")
	e.Objects["message"] = string(m.ID)
	if m.Session == "" { // in a session people are there
		e.Tell = others(people(acc.c.Responsible, acc.c.Specialist), actor.Person)
	} else {
		e.Objects["session"] = m.Session
	}
	tx.Append(e)
	return m.ID, nil
}

func others(ids []string, but identity.PersonID) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return id == string(but) })
}

// clinical opens the sealed content of a case.
func (s *Service) clinical(c caseRow) (Clinical, error) {
	var out Clinical
	err := s.blobs.keys.unsealJSON(c.ID, "clinical_case", "content", string(c.ID), c.sealed, &out)
	return out, err
}
