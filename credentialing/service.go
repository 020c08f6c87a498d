package credentialing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Directory is how credentialing asks who people are; *identity.Service is one.
type Directory interface {
	// PeopleTx reads people within tx; it writes nothing and may be repeated.
	PeopleTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error)
}

// Acceptance says who takes it upon themselves that packs nobody confirmed are
// relied on, and until when. It is for tests and demonstrations, stands as a banner
// on every page and in every determination.
type Acceptance struct {
	By    string
	Until time.Time
}

// Config wires a Service.
type Config struct {
	DB       *audit.DB
	Identity Directory
	Zones    Zones // scheduling.LoadZone
	// AcceptUnverified lets unconfirmed packs count; nil: they do not.
	AcceptUnverified *Acceptance
	// Packs are the files to decide by; nil: those of the binary.
	Packs  map[string][]byte
	Clocks Clocks // zero: DefaultClocks
	// Vault keeps the bytes of evidence; nil: the database does.
	Vault Vault
	// Scan looks into evidence before it is kept; nil: nobody does.
	Scan Scanner
}

// Service keeps the record and answers questions from it.
type Service struct {
	db      *audit.DB
	people  Directory
	zones   Zones
	accept  *Acceptance
	clocks  Clocks
	vault   Vault                        // nil: the database
	scan    Scanner                      // nil: none
	base    map[string][]byte            // the binary's packs
	current atomic.Pointer[editionTable] // replaced whole when an edition is published
	kept    keptFiles
	past    pastRules
}

// New compiles the packs, registers their editions, and returns the service. An
// edition that the database knows with other content is ErrEditionImmutable.
func New(c Config) (*Service, error) {
	if c.DB == nil {
		return nil, errors.New("credentialing: no database")
	}
	if c.AcceptUnverified != nil && (c.AcceptUnverified.By == "" || c.AcceptUnverified.Until.IsZero()) {
		return nil, errors.New("credentialing: accepting unverified packs needs a name and an end")
	}
	if c.Packs == nil {
		c.Packs = Embedded()
	}
	if c.Clocks == (Clocks{}) {
		c.Clocks = DefaultClocks
	}
	rules, err := NewRuleSet(c.Packs, c.Zones)
	if err != nil {
		return nil, err
	}
	s := &Service{db: c.DB, people: c.Identity, zones: c.Zones, accept: c.AcceptUnverified, clocks: c.Clocks, vault: c.Vault, scan: c.Scan, base: c.Packs}
	s.current.Store(&editionTable{sets: []*RuleSet{rules}})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.register(ctx, rules); err != nil {
		return nil, err
	}
	return s, s.reload(ctx)
}

// Rules are the editions in force now.
func (s *Service) Rules() *RuleSet { return s.rulesAt(s.db.Now()) }

// Explain turns a reason or condition code into what a page says.
func (s *Service) Explain(code string) Explanation { return s.Rules().Explain(code) }

// AcceptsUnverified tells who accepted unconfirmed packs and until when; false if
// nobody did or the time is over.
func (s *Service) AcceptsUnverified() (Acceptance, bool) {
	if s.accept == nil || !s.db.Now().Before(s.accept.Until) {
		return Acceptance{}, false
	}
	return *s.accept, true
}

// register keeps the editions in use, so that determinations can be replayed after
// the binary has moved on.
func (s *Service) register(ctx context.Context, rules *RuleSet) error {
	actor := identity.System("packs", "")
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		var running bool // the database has decided by packs before
		if err := tx.QueryRow(ctx, `select exists (select 1 from pack_edition)`).Scan(&running); err != nil {
			return mapped("look for editions", err)
		}
		added := map[string]any{}
		places := map[string]bool{}
		for _, code := range rules.Codes() {
			p := rules.packs[code]
			fresh, err := registerEdition(ctx, tx, p.Edition(), p.Source, p.Status)
			if err != nil {
				return err
			}
			if fresh {
				added[p.Code] = p.Version
				if places[p.Code] = true; p.group() {
					places["*"] = true
				}
			}
		}
		list := rules.Conditions()
		fresh, err := registerEdition(ctx, tx, list, rules.conditions.source, "conditions")
		if err != nil {
			return err
		}
		if fresh {
			added[list.Code] = list.Version
			places["*"] = true
		}
		if len(added) > 0 {
			ev := actor.Event("packs.published")
			ev.Detail = added
			tx.Append(ev)
		}
		if !running || len(places) == 0 {
			return nil
		}
		// The binary came with other packs than the last: what is booked is looked at again.
		if places["*"] {
			places = map[string]bool{"*": true}
		}
		for _, place := range slices.Sorted(maps.Keys(places)) {
			if err := s.change(ctx, tx, "", place, causeEdition, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func officer(a identity.Actor) bool { return a.Has(identity.RoleOfficer) }

// system tells whether a background job acts: an import, a monitor, the seed.
func system(a identity.Actor) bool { return a.Person == "" && a.Job != "" }

// change records what others must look at again.
func (s *Service) change(ctx context.Context, tx *audit.Tx, person identity.PersonID, place, cause string, from time.Time) error {
	return RecordChange(ctx, tx, Change{Person: person, Place: place, Cause: cause, From: from})
}

// EnterClaim records what a person holds, as said by themselves, an officer or an
// import. The claim proves nothing until it is verified and approved.
func (s *Service) EnterClaim(ctx context.Context, actor identity.Actor, r ClaimRequest) (Entered, error) {
	if actor.Person != r.Person && !officer(actor) && !system(actor) || actor.Guest() {
		return Entered{}, ErrForbidden
	}
	if err := r.check(s.zones); err != nil {
		return Entered{}, err
	}
	var e Entered
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		id, err := findCredential(ctx, tx, r)
		if errors.Is(err, ErrNotFound) {
			id = CredentialID(newID())
			err = insertCredential(ctx, tx, id, actor.Person, r)
		}
		if err != nil {
			return err
		}
		e.Credential = id
		if e.Claim, err = insertClaim(ctx, tx, id, actor.Person, r.Claim); err != nil {
			return err
		}
		ev := actor.Event("credential.claimed")
		ev.Jurisdiction = r.Jurisdiction
		ev.Objects = map[string]string{"credential": string(id), "claim": string(e.Claim), "person": string(r.Person)}
		ev.Reason = string(r.Kind)
		tx.Append(ev)
		return nil
	})
	return e, err
}

// AttachEvidence keeps a file as it is, with its SHA-256, beside a credential.
func (s *Service) AttachEvidence(ctx context.Context, actor identity.Actor, id CredentialID, f EvidenceFile) ([32]byte, error) {
	// Who may not attach does not get to send a file first.
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if system(actor) {
			return nil
		}
		return s.mayKnow(ctx, tx, actor, id)
	})
	if err != nil {
		return [32]byte{}, err
	}
	k, err := s.keep(ctx, f)
	sum := k.sum
	if err != nil {
		return sum, err
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := lockCredential(ctx, tx, id)
		if err != nil {
			return err
		}
		if actor.Person != c.person && !officer(actor) && !system(actor) {
			return ErrNotFound // what is not one's own one does not know of
		}
		at := f.CapturedAt
		if at.IsZero() {
			at = tx.Now()
		}
		if err := attach(ctx, tx, id, actor.Person, k, f.Source, at, ""); err != nil {
			return err
		}
		ev := actor.Event("credential.evidence_attached")
		ev.Objects = map[string]string{"credential": string(id), "person": string(c.person)}
		ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", sum)}
		tx.Append(ev)
		return nil
	})
	return sum, err
}

// Verify records what the primary source answered about the current claim. The
// verifier is an officer and not the subject. Bad news in the answer counts at once.
func (s *Service) Verify(ctx context.Context, actor identity.Actor, r VerifyRequest) (VerificationID, error) {
	if !officer(actor) {
		return "", ErrForbidden
	}
	if r.SourceStatus == "" {
		r.SourceStatus = StatusActive
	}
	if err := r.check(); err != nil {
		return "", err
	}
	id := VerificationID(newID())
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := lockCredential(ctx, tx, r.Credential)
		if err != nil {
			return err
		}
		if c.person == actor.Person {
			return ErrSamePerson
		}
		if r.Claim != "" && r.Claim != c.claim {
			return ErrStale
		}
		r.Claim = c.claim
		if r.AskedAt.IsZero() || r.AskedAt.After(tx.Now()) {
			r.AskedAt = tx.Now()
		}
		if r.StatusFrom.IsZero() {
			r.StatusFrom = r.AskedAt
			if !r.SourceStatus.Adverse() && !c.content.ValidFrom.IsZero() && !c.everActive {
				// The first active status reaches back to when the claim begins.
				r.StatusFrom = c.content.ValidFrom.begins(nil, false)
			}
		}
		event := EventAnswer
		if r.Result != ResultFound {
			event = EventDoubt
		}
		state, _ := StateClaimed.Next(event)
		if err := closeOpenVerifications(ctx, tx, r.Credential, c.claim); err != nil {
			return err
		}
		if err := insertVerification(ctx, tx, id, c.person, actor.Person, state, r); err != nil {
			return err
		}
		ev := actor.Event("credential.verified")
		ev.Objects = map[string]string{"credential": string(r.Credential), "verification": string(id), "person": string(c.person)}
		ev.Reason = string(r.Result)
		if r.Evidence != [32]byte{} {
			ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", r.Evidence)}
		}
		tx.Append(ev)
		if r.Result == ResultFound && r.SourceStatus.Adverse() {
			st := StatusReport{Credential: r.Credential, Status: r.SourceStatus, From: r.StatusFrom, Source: r.Source}
			if _, err := insertStatus(ctx, tx, c.person, st, actor.Person, "", ""); err != nil {
				return err
			}
			return s.change(ctx, tx, c.person, "", "status-"+string(r.SourceStatus), st.From)
		}
		return nil
	})
	return id, err
}

// Approve makes a verified claim count. The approver is an officer, neither the
// verifier nor the subject; the database refuses otherwise too.
func (s *Service) Approve(ctx context.Context, actor identity.Actor, id VerificationID) error {
	return s.decide(ctx, actor, id, EventApprove, "")
}

// Reject returns a verification with a reason; the claim stays a claim.
func (s *Service) Reject(ctx context.Context, actor identity.Actor, id VerificationID, reason string) error {
	if reason == "" {
		return &Invalid{Field: "reason"}
	}
	return s.decide(ctx, actor, id, EventReject, reason)
}

func (s *Service) decide(ctx context.Context, actor identity.Actor, id VerificationID, e WorkEvent, reason string) error {
	if !officer(actor) {
		return ErrForbidden
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		v, err := lockVerification(ctx, tx, id)
		if err != nil {
			return err
		}
		if v.subject == actor.Person || v.verifier == actor.Person {
			return ErrSamePerson
		}
		state, ok := v.state.Next(e)
		if !ok {
			return ErrNotThisState
		}
		ev := actor.Event("credential." + string(state))
		ev.Objects = map[string]string{"credential": string(v.credential), "verification": string(id), "person": string(v.subject)}
		ev.Reason = reason
		if e == EventReject {
			ev.Reason = "returned"
			ev.Detail = map[string]any{"reason": reason}
			if err := nextVerification(ctx, tx, v, state, actor.Person, time.Time{}, reason); err != nil {
				return err
			}
			tx.Append(ev)
			return s.change(ctx, tx, v.subject, "", "returned", tx.Now())
		}
		if v.evidence == nil {
			return ErrEvidenceMissing
		}
		if f, err := selectEvidence(ctx, tx, [32]byte(v.evidence)); err != nil {
			return err
		} else if f.fault != "" {
			return ErrEvidenceAltered
		}
		if tx.Now().Sub(v.askedAt) > s.clocks.AnswerAge {
			return ErrAnswerOld
		}
		if err := nextVerification(ctx, tx, v, state, actor.Person, v.askedAt.Add(s.clocks.Reverify), ""); err != nil {
			return err
		}
		ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", v.evidence)}
		tx.Append(ev)
		if v.sourceStatus == StatusActive {
			st := StatusReport{Credential: v.credential, Status: StatusActive, From: v.statusFrom, Source: v.source}
			if _, err := insertStatus(ctx, tx, v.subject, st, v.verifier, actor.Person, ""); err != nil {
				return err
			}
		}
		return s.change(ctx, tx, v.subject, "", "approved", tx.Now())
	})
}

// ReportStatus records news about a credential. Bad news counts at once. That a
// credential is active again counts when a second officer reports the same: pending
// tells that the second is still needed.
func (s *Service) ReportStatus(ctx context.Context, actor identity.Actor, r StatusReport) (pending bool, err error) {
	if !officer(actor) && !(system(actor) && r.Status.Adverse()) {
		return false, ErrForbidden
	}
	if !r.Status.Known() {
		return false, &Invalid{Field: "status"}
	}
	if r.Source == "" {
		return false, &Invalid{Field: "source"}
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := lockCredential(ctx, tx, r.Credential)
		if err != nil {
			return err
		}
		if r.From.IsZero() {
			r.From = tx.Now()
		}
		ev := actor.Event("credential.status_reported")
		ev.Objects = map[string]string{"credential": string(r.Credential), "person": string(c.person)}
		ev.Reason = string(r.Status)
		tx.Append(ev)
		if r.Status.Adverse() {
			if _, err := insertStatus(ctx, tx, c.person, r, actor.Person, "", ""); err != nil {
				return err
			}
			return s.change(ctx, tx, c.person, "", "status-"+string(r.Status), r.From)
		}
		if c.person == actor.Person {
			return ErrSamePerson
		}
		proposal, by, from, err := openProposal(ctx, tx, r.Credential)
		switch {
		case errors.Is(err, ErrNotFound):
			pending = true
			_, err = insertStatus(ctx, tx, c.person, r, actor.Person, "", "")
			return err
		case err != nil:
			return err
		case by == actor.Person:
			return ErrSamePerson
		}
		r.From = from // two people stand for the same instant: the one first reported
		if _, err := insertStatus(ctx, tx, c.person, r, by, actor.Person, proposal); err != nil {
			return err
		}
		return s.change(ctx, tx, c.person, "", "status-active", r.From)
	})
	return pending, err
}

// CheckExclusions records a look into sanction lists and what was found. A strong
// match counts at once, a match by name after two working days undecided.
func (s *Service) CheckExclusions(ctx context.Context, actor identity.Actor, r ExclusionCheck) error {
	if !officer(actor) && !system(actor) {
		return ErrForbidden
	}
	if len(r.Lists) == 0 {
		return &Invalid{Field: "lists"}
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if r.At.IsZero() || r.At.After(tx.Now()) {
			r.At = tx.Now()
		}
		if err := insertExclusionCheck(ctx, tx, actor.Person, r); err != nil {
			return err
		}
		for _, h := range r.Hits {
			id, err := insertExclusion(ctx, tx, r, h, actor.Person)
			if err != nil {
				return err
			}
			if id == "" {
				continue // known already
			}
			from := h.From
			if !h.Strong {
				from = workingDaysAfter(tx.Now(), s.clocks.WeakMatchDays)
			}
			if err := s.change(ctx, tx, r.Person, "", "exclusion", from); err != nil {
				return err
			}
		}
		ev := actor.Event("exclusions.checked")
		ev.Objects = map[string]string{"person": string(r.Person)}
		ev.Reason = fmt.Sprintf("hits-%d", len(r.Hits))
		tx.Append(ev)
		return s.change(ctx, tx, r.Person, "", "exclusion-check", r.At)
	})
}

// DecideExclusion confirms a match or clears it. To confirm one officer is enough;
// to clear two are needed: pending tells that the second is still missing.
func (s *Service) DecideExclusion(ctx context.Context, actor identity.Actor, id ExclusionID, clear bool, reason string) (pending bool, err error) {
	if !officer(actor) {
		return false, ErrForbidden
	}
	if reason == "" {
		return false, &Invalid{Field: "reason"}
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		subject, by, err := lockExclusion(ctx, tx, id)
		if err != nil {
			return err
		}
		if subject == actor.Person {
			return ErrSamePerson
		}
		ev := actor.Event("exclusion.decided")
		ev.Objects = map[string]string{"exclusion": string(id), "person": string(subject)}
		ev.Reason = "confirmed"
		proposer, confirmer := actor.Person, identity.PersonID("")
		if clear {
			ev.Reason = "cleared"
			switch by {
			case "":
				pending = true
				ev.Reason = "clearing-proposed"
			case actor.Person:
				return ErrSamePerson
			default:
				proposer, confirmer = by, actor.Person
			}
		}
		tx.Append(ev)
		if err := insertExclusionDecision(ctx, tx, id, subject, clear, proposer, confirmer, reason); err != nil {
			return err
		}
		if pending {
			return nil
		}
		return s.change(ctx, tx, subject, "", "exclusion-"+ev.Reason, tx.Now())
	})
	return pending, err
}

// AddAgreement records an agreement between two organizations.
func (s *Service) AddAgreement(ctx context.Context, actor identity.Actor, a Agreement) (AgreementID, error) {
	if !officer(actor) && !actor.Has(identity.RoleAdministrator) && !system(actor) {
		return "", ErrForbidden
	}
	switch {
	case a.From == "" || a.To == "" || a.From == a.To:
		return "", &Invalid{Field: "organizations"}
	case a.Ground == "":
		return "", &Invalid{Field: "ground"}
	case !a.ValidTo.IsZero() && !a.ValidTo.After(a.ValidFrom):
		return "", &Invalid{Field: "valid_to"}
	}
	a.ID = AgreementID(newID())
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if a.ValidFrom.IsZero() {
			a.ValidFrom = tx.Now()
		}
		if err := insertAgreement(ctx, tx, a, actor.Person); err != nil {
			return err
		}
		ev := actor.Event("agreement.added")
		ev.Objects = map[string]string{"agreement": string(a.ID), "from": string(a.From), "to": string(a.To)}
		ev.Reason = a.Ground
		tx.Append(ev)
		return RecordChange(ctx, tx, Change{Organization: a.From, Cause: "agreement", From: a.ValidFrom})
	})
	return a.ID, err
}

// EndAgreement ends an agreement now. What was decided before stays as it was.
func (s *Service) EndAgreement(ctx context.Context, actor identity.Actor, id AgreementID) error {
	if !officer(actor) && !actor.Has(identity.RoleAdministrator) && !system(actor) {
		return ErrForbidden
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := lockAgreement(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := endAgreement(ctx, tx, a, actor.Person); err != nil {
			return err
		}
		ev := actor.Event("agreement.ended")
		ev.Objects = map[string]string{"agreement": string(id), "from": string(a.From), "to": string(a.To)}
		tx.Append(ev)
		return RecordChange(ctx, tx, Change{Organization: a.From, Cause: "agreement"})
	})
}

// AddFacilityLicense records a facility's license to give care at a distance.
func (s *Service) AddFacilityLicense(ctx context.Context, actor identity.Actor, l FacilityLicense) (FacilityLicenseID, error) {
	if !officer(actor) && !system(actor) {
		return "", ErrForbidden
	}
	switch {
	case l.Organization == "":
		return "", &Invalid{Field: "organization"}
	case !codeForm.MatchString(l.Jurisdiction):
		return "", &Invalid{Field: "jurisdiction"}
	case l.Issuer == "":
		return "", &Invalid{Field: "issuer"}
	case l.Number == "":
		return "", &Invalid{Field: "number"}
	case !l.ValidTo.IsZero() && !l.ValidTo.After(l.ValidFrom):
		return "", &Invalid{Field: "valid_to"}
	}
	l.ID = FacilityLicenseID(newID())
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if l.ValidFrom.IsZero() {
			l.ValidFrom = tx.Now()
		}
		if err := insertFacilityLicense(ctx, tx, l, actor.Person); err != nil {
			return err
		}
		ev := actor.Event("facility_license.added")
		ev.Objects = map[string]string{"facility_license": string(l.ID), "organization": string(l.Organization)}
		ev.Jurisdiction = l.Jurisdiction
		tx.Append(ev)
		return RecordChange(ctx, tx, Change{Organization: l.Organization, Place: l.Jurisdiction, Cause: "facility-license", From: l.ValidFrom})
	})
	return l.ID, err
}

// SignAttestation keeps the actor's own statement with the hash of its text.
func (s *Service) SignAttestation(ctx context.Context, actor identity.Actor, a Attestation) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	switch {
	case a.Kind != "application" && a.Kind != "confidentiality" && a.Kind != kindOwnPlace:
		return &Invalid{Field: "kind"}
	case a.Text == "" || a.TextVersion == "":
		return &Invalid{Field: "text"}
	case (a.Kind == kindOwnPlace) != (a.Place != ""), a.Place != "" && !placeExists(a.Place):
		return &Invalid{Field: "place"}
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		sum, err := insertAttestation(ctx, tx, actor.Person, a)
		if err != nil {
			return err
		}
		ev := actor.Event("attestation.signed")
		ev.Objects = map[string]string{"person": string(actor.Person)}
		ev.Hashes = map[string]string{"text": fmt.Sprintf("%x", sum)}
		ev.Reason = a.Kind
		ev.Jurisdiction = a.Place
		tx.Append(ev)
		return nil
	})
}
