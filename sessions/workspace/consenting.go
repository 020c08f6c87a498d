package workspace

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// ConsentRequest records one purpose for several classes of data.
type ConsentRequest struct {
	Purpose     Purpose
	Classes     []Class // for record_sharing: at least one
	Destination string  // ISO 3166; for advice and record_sharing
	Receiver    identity.PersonID
	// ReceiverOrganization instead of a person.
	ReceiverOrganization identity.OrganizationID
	Giver                Giver
	How                  How
	Language             string    // in which the text was shown or read out
	Until                time.Time // zero: no end
}

// RecordConsent records what the patient agreed to, with the text as it was shown.
func (s *Service) RecordConsent(ctx context.Context, actor identity.Actor, id CaseID, req ConsentRequest) ([]ConsentID, error) {
	normalize(&req.Giver)
	if err := req.check(); err != nil {
		return nil, err
	}
	var recorded []ConsentID
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayRecordConsent(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "consent.refused", r, nil)
		}
		ids := slices.DeleteFunc([]identity.PersonID{actor.Person, acc.c.Responsible, req.Receiver}, func(id identity.PersonID) bool { return id == "" })
		known, err := s.who.PeopleTx(ctx, tx, ids...)
		if err != nil {
			return err
		}
		var organization identity.Organization
		if req.ReceiverOrganization != "" {
			if organization, err = s.who.OrganizationTx(ctx, tx, req.ReceiverOrganization); err != nil {
				return ErrNotFound
			}
		}
		if _, ok := known[req.Receiver]; req.Receiver != "" && !ok {
			return ErrNotFound
		}
		classes := req.Classes
		if len(classes) == 0 {
			classes = []Class{""}
		}
		for _, class := range classes {
			c := consentRow{}
			c.Consent = Consent{ID: newID[ConsentID](), Purpose: req.Purpose, Class: class, Destination: Country(req.Destination),
				Receiver: req.Receiver, ReceiverOrganization: req.ReceiverOrganization, Giver: req.Giver, How: req.How,
				TextVersion: ConsentTextVersion, Language: req.Language, RecordedBy: actor.Person, RecordedAt: tx.Now(), Until: req.Until}
			if req.How == SpokenWitnessed {
				c.Witness = actor.Person
			}
			receiver := known[req.Receiver].Name
			if organization.Name != "" {
				receiver = organization.Name
			}
			text, err := ConsentText(req.Language, req.Purpose, class, ConsentNames{Receiver: receiver,
				Destination: c.Destination, Physician: known[acc.c.Responsible].Name})
			if err != nil {
				return err
			}
			c.Text, c.TextSHA256 = text, hexSum([]byte(text))
			if c.sealedText, err = s.blobs.keys.seal(id, "case_consent", "text", string(c.ID), []byte(text)); err != nil {
				return err
			}
			if c.sealedGiver, err = s.blobs.keys.sealJSON(id, "case_consent", "giver", string(c.ID), c.Giver); err != nil {
				return err
			}
			if err := insertConsent(ctx, tx, acc.c, c); err != nil {
				return err
			}
			e := acc.event(actor, "consent.recorded")
			e.Objects["consent"] = string(c.ID)
			e.Hashes = map[string]string{"text": c.TextSHA256}
			e.Reason = string(c.Purpose)
			tx.Append(e)
			recorded = append(recorded, c.ID)
		}
		return changed(ctx, tx, acc.c, "consent")
	})
	return recorded, err
}

func (r ConsentRequest) check() error {
	var c checker
	c.need(slices.Contains(Purposes, r.Purpose), "purpose")
	for _, class := range r.Classes {
		c.need(slices.Contains(Classes, class), "classes")
	}
	shared := r.Purpose == RecordSharing
	c.need(shared == (len(r.Classes) > 0), "classes")
	if shared || r.Purpose == Advice {
		c.need((r.Receiver != "") != (r.ReceiverOrganization != ""), "receiver")
		c.need(plainJurisdiction.MatchString(r.Destination), "destination")
	}
	c.need(oneOf(r.Giver.Kind, "patient", "guardian", "proxy"), "giver")
	c.need(r.Giver.Kind == "patient" || r.Giver.Name != "", "giver_name")
	c.need(oneOf(r.How, SignedOnScreen, SpokenWitnessed, OnPaper), "how")
	c.need(slices.Contains(ConsentLanguages, r.Language), "language")
	return c.err()
}

// WithdrawConsent records that a consent is taken back. It acts at once: whoever
// asks Allows afterwards hears no, and the event wakes running sessions.
func (s *Service) WithdrawConsent(ctx context.Context, actor identity.Actor, id CaseID, consent ConsentID, how string) error {
	if !oneOf(How(how), SignedOnScreen, SpokenWitnessed, OnPaper) {
		return &ErrIncomplete{Fields: []string{"how"}}
	}
	if !plainID.MatchString(string(consent)) {
		return ErrNotFound
	}
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayWithdrawConsent(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "consent.withdrawal_refused", r, nil)
		}
		all, err := selectConsents(ctx, tx, id)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(c consentRow) bool { return c.ID == consent })
		if i < 0 {
			return ErrNotFound
		}
		first, err := insertWithdrawal(ctx, tx, acc.c, consent, how, string(actor.Person))
		if err != nil || !first {
			return err // withdrawn before: nothing happens twice
		}
		e := acc.event(actor, "consent.withdrawn")
		e.Objects["consent"] = string(consent)
		e.Reason = string(all[i].Purpose)
		e.Tell = others(people(acc.c.Responsible, acc.c.Specialist), actor.Person)
		tx.Append(e)
		return changed(ctx, tx, acc.c, "consent")
	})
}

// Allows tells whether the consents of a case cover a purpose now: for a class of
// data ("" if none), going to a country ("" if nowhere), to a receiver ("" if
// nobody is named). The transaction must be in the scope of the case's clinic.
func (s *Service) Allows(ctx context.Context, tx *audit.Tx, id CaseID, purpose Purpose, class Class, destination string,
	receiver identity.PersonID, at time.Time) (bool, error) {
	var where []identity.OrganizationID
	if receiver != "" {
		var err error
		if where, err = s.organizationsOf(ctx, tx, receiver); err != nil {
			return false, err
		}
	}
	consents, err := s.consents(ctx, tx, id)
	if err != nil {
		return false, err
	}
	return Allows(consents, Use{Purpose: purpose, Class: class, Destination: destination, Receiver: receiver,
		ReceiverOrganizations: where, At: at}), nil
}

func (s *Service) consents(ctx context.Context, tx *audit.Tx, id CaseID) ([]Consent, error) {
	rows, err := selectConsents(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	out := make([]Consent, len(rows))
	for i, r := range rows {
		out[i] = r.Consent
	}
	return out, nil
}

// placeHolds is how long an answer to "where are you now?" counts: one day's visit,
// from the question at booking the same morning to the door.
const placeHolds = 12 * time.Hour

// context is what determinations must know of a case, with the consents narrowed to
// one receiver.
func (s *Service) context(ctx context.Context, tx *audit.Tx, c caseRow, receiver identity.PersonID, where []identity.OrganizationID) (credentialing.CaseContext, error) {
	consents, confirmed, err := selectContext(ctx, tx, c.ID)
	if err != nil {
		return credentialing.CaseContext{}, err
	}
	return caseContext(tx.Now(), c, consents, confirmed, receiver, where), nil
}

// caseContext is what determinations must know of a case now, from what was read.
func caseContext(now time.Time, c caseRow, consents []Consent, confirmed time.Time, receiver identity.PersonID,
	where []identity.OrganizationID) credentialing.CaseContext {
	asked := !c.PlaceAt.IsZero() && !now.Before(c.PlaceAt) && now.Before(c.PlaceAt.Add(placeHolds))
	identified := !confirmed.IsZero()
	requested := c.State != Draft && c.State != Withdrawn
	signed := c.State == Decided || c.State == HandedBack || c.State == Closed
	final := true // the engagement model: every case of this service stays the local physician's
	return credentialing.CaseContext{
		Case: string(c.ID), Organization: c.Organization, Places: []string{c.Place},
		LocationConfirmed: &asked, IdentityConfirmed: &identified, Modality: "live-video",
		PatientLanguages: c.Languages,
		Local:            credentialing.LocalPhysician{ID: c.Responsible, Requested: &requested, FinalAuthority: &final, Signed: &signed},
		Consents:         PackConsents(consents, c.Place, receiver, where),
		SiteFacility:     string(c.Organization),
	}
}

func (s *Service) determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, c caseRow, person identity.PersonID,
	where []identity.OrganizationID, activity credentialing.Activity, mode credentialing.Mode) (credentialing.Determination, error) {
	cc, err := s.context(ctx, tx, c, person, where)
	if err != nil {
		return credentialing.Determination{}, err
	}
	return s.scopes.Determine(ctx, tx, actor, credentialing.Ask{Person: person, Activity: activity, At: tx.Now(), Mode: mode, Case: cc})
}

// ContextTx is what a determination must know of a case, for sessions at the door.
// The transaction must be in the scope of the case's clinic.
func (s *Service) ContextTx(ctx context.Context, tx *audit.Tx, id CaseID, specialist identity.PersonID) (credentialing.CaseContext, error) {
	c, err := selectCase(ctx, tx, id, false)
	if err != nil {
		return credentialing.CaseContext{}, err
	}
	where, err := s.organizationsOf(ctx, tx, specialist)
	if err != nil {
		return credentialing.CaseContext{}, err
	}
	return s.context(ctx, tx, c, specialist, where)
}

var _ scheduling.CaseFacts = (*Service)(nil)

// Facts answers scheduling; see [scheduling.CaseFacts].
func (s *Service) Facts(ctx context.Context, tx *audit.Tx, ref scheduling.CaseRef, specialist identity.PersonID) (scheduling.Facts, error) {
	if !plainID.MatchString(string(ref)) {
		return scheduling.Facts{}, scheduling.ErrNotFound
	}
	c, cc, err := s.caseFacts(ctx, tx, CaseID(ref), specialist)
	if errors.Is(err, ErrNotFound) && tx.Scope.Person != "" {
		// A member of another clinic: the membership leads into the one that owns it.
		var parts []Role
		var org identity.OrganizationID
		if parts, org, err = membershipOf(ctx, tx, CaseID(ref), identity.PersonID(tx.Scope.Person)); err != nil {
			return scheduling.Facts{}, err
		}
		if len(parts) == 0 {
			return scheduling.Facts{}, scheduling.ErrNotFound
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: tx.Scope.Person}); err != nil {
			return scheduling.Facts{}, err
		}
		c, cc, err = s.caseFacts(ctx, tx, CaseID(ref), specialist)
	}
	if errors.Is(err, ErrNotFound) {
		return scheduling.Facts{}, scheduling.ErrNotFound
	}
	if err != nil {
		return scheduling.Facts{}, err
	}
	return c.facts(cc), nil
}
