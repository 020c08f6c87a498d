package workspace

import (
	"context"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Item is a line of a list of cases.
type Item struct {
	Case
	// Title is "" for those who see no clinical content.
	Title string
	// Yours says what the reader is in the case; "" for the clinic's board.
	Yours Role
	// Missing are what a coordinator chases: consent, place, specialist, answer.
	Missing []string
}

// maxList is how many cases a list shows per clinic.
const maxList = 200

// ListFor lists the actor's cases in every clinic, and for coordinators,
// administrators and officers all of the own clinic, without clinical content. The
// newest change stands first.
func (s *Service) ListFor(ctx context.Context, actor identity.Actor) ([]Item, error) {
	var out []Item
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		mine, err := selectMemberCases(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		board := mayKnow(actor, Facts{Own: true})
		if _, ok := mine[actor.Organization]; board && !ok && actor.Organization != "" {
			mine[actor.Organization] = nil
		}
		for org, ids := range mine {
			if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(actor.Person)}); err != nil {
				return err
			}
			wanted := ids
			if board && org == actor.Organization {
				wanted = nil
			}
			rows, err := selectCases(ctx, tx, wanted, maxList)
			if err != nil {
				return err
			}
			for _, row := range rows {
				item, err := s.item(ctx, tx, row, actor, slices.Contains(ids, string(row.ID)))
				if err != nil {
					return err
				}
				out = append(out, item)
			}
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Item) int { return b.ChangedAt.Compare(a.ChangedAt) })
	return out, err
}

func (s *Service) item(ctx context.Context, tx *audit.Tx, row caseRow, actor identity.Actor, member bool) (Item, error) {
	item := Item{Case: row.Case}
	if member {
		item.Yours = RoleSpecialist
		if row.Responsible == actor.Person {
			item.Yours = RoleResponsible
		}
		clinical, err := s.clinical(row)
		if err != nil {
			return item, err
		}
		item.Title = clinical.Title
	}
	consents, err := s.consents(ctx, tx, row.ID)
	if err != nil {
		return item, err
	}
	item.Missing = missing(row.Case, consents, tx.Now())
	return item, nil
}

// missing lists what keeps a case from going on.
func missing(c Case, consents []Consent, now time.Time) []string {
	if c.State.Over() || c.State == HandedBack {
		return nil
	}
	var out []string
	has := func(p Purpose) bool {
		return slices.ContainsFunc(consents, func(x Consent) bool { return x.Purpose == p && x.InForce(now) })
	}
	if !has(Advice) || !has(RecordSharing) {
		out = append(out, "consent_advice")
	}
	if !has(LiveConsult) {
		out = append(out, "consent_live")
	}
	if c.Patient.Initials == "" {
		out = append(out, "patient")
	}
	if c.Specialist == "" && c.State != Draft {
		out = append(out, "specialist")
	}
	if !c.DueAt.IsZero() && now.After(c.DueAt) && (c.State == Submitted || c.State == Triaged || c.State == Assigned || c.State == Declined) {
		out = append(out, "overdue")
	}
	return out
}

// FileView is a file with whether the reader may open it, and why not.
type FileView struct {
	File
	Refusal *Refusal // nil: may open
}

// SignedDocument is an opinion or a decision as signed.
type SignedDocument struct {
	ID             DocumentID
	Kind           Kind
	Signer         identity.PersonID
	SignerName     string // as it stands in the document
	License        string
	Jurisdiction   string
	SignedAt       time.Time
	SHA256         string
	CredentialKind string // passkey or demonstration
	Opinion        *OpinionContent
	Decision       *DecisionContent
}

// View is a case as one person sees it.
type View struct {
	Case
	You      Facts
	People   map[identity.PersonID]identity.Person
	Members  []Member
	Clinical *Clinical // nil: not for this reader
	Files    []FileView
	Consents []Consent // with texts for those who record them
	Messages []Message
	Opinions []SignedDocument
	Decision *SignedDocument
	Cards    []ReadBack
	Missing  []string
	// Draft is the reader's own opinion in the making.
	Draft        *OpinionContent
	DraftVersion int
	// Advising is the scope of a specialist reader at this instant.
	Advising         *credentialing.Determination
	HandBack         string // summary
	HandBackLanguage string
	// May are the steps open to the reader; what is not here is not rendered.
	May map[string]bool
	Now time.Time
}

// Open shows a case. A specialist sees it while advising is permitted; the opening
// is an event, since it is access to clinical content.
func (s *Service) Open(ctx context.Context, actor identity.Actor, id CaseID) (View, error) {
	var v View
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayOpen(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.view_refused", r, nil)
		}
		v = View{Case: acc.c.Case, You: acc.Facts, Now: tx.Now()}
		if err := s.fillOpen(ctx, tx, actor, acc, &v); err != nil {
			return err
		}
		v.May = may(actor, acc.Facts)
		e := acc.event(actor, "case.viewed")
		reads := mayReadClinical(actor, acc.Facts) == nil
		if acc.is(RoleSpecialist) && !acc.is(RoleResponsible) {
			where, err := s.organizationsOf(ctx, tx, actor.Person)
			if err != nil {
				return err
			}
			d, err := s.determine(ctx, tx, actor, acc.c, actor.Person, where, credentialing.AdvisePhysician, credentialing.Act)
			if err != nil {
				return err
			}
			v.Advising = &d
			e.Determination = string(d.ID)
			// No scope or no consent to show the history means no content.
			if reads {
				shown, err := s.historyShared(ctx, tx, actor, acc, d)
				if err != nil {
					return err
				}
				reads = shown
			}
			if !reads {
				e.Reason = "scope"
			}
		}
		if reads {
			if err := s.fillClinical(ctx, tx, actor, acc, &v); err != nil {
				return err
			}
		} else {
			e.Reason = "no-content"
		}
		tx.Append(e)
		return nil
	})
	return v, err
}

// historyShared tells whether a specialist may read the case's texts now.
func (s *Service) historyShared(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, d credentialing.Determination) (bool, error) {
	facts, _, err := s.fileFacts(ctx, tx, actor, acc, ClassHistory, false)
	if err != nil {
		return false, err
	}
	facts.Advising = d.Allowed()
	return mayReadFile(actor, facts) == nil, nil
}

// fillOpen loads what everybody who may know of the case sees.
func (s *Service) fillOpen(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, v *View) error {
	var err error
	if v.Members, err = selectMembers(ctx, tx, acc.c.ID); err != nil {
		return err
	}
	rows, err := selectConsents(ctx, tx, acc.c.ID)
	if err != nil {
		return err
	}
	ids := []identity.PersonID{acc.c.Responsible, acc.c.PlaceBy, actor.Person}
	for _, r := range rows {
		if acc.is(RoleResponsible) || acc.is(RolePatient) {
			text, err := s.blobs.keys.unseal(acc.c.ID, "case_consent", "text", string(r.ID), r.sealedText)
			if err != nil {
				return err
			}
			r.Text = string(text)
			kind := r.Giver.Kind
			if err := s.blobs.keys.unsealJSON(acc.c.ID, "case_consent", "giver", string(r.ID), r.sealedGiver, &r.Giver); err != nil {
				return err
			}
			r.Giver.Kind = kind
		}
		v.Consents = append(v.Consents, r.Consent)
		ids = append(ids, r.Receiver, r.RecordedBy)
	}
	v.Missing = missing(acc.c.Case, v.Consents, tx.Now())
	for _, m := range v.Members {
		ids = append(ids, m.Person)
	}
	ids = slices.DeleteFunc(ids, func(id identity.PersonID) bool { return id == "" })
	v.People, err = s.who.PeopleTx(ctx, tx, ids...)
	return err
}

// fillClinical loads the content.
func (s *Service) fillClinical(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, v *View) error {
	id := acc.c.ID
	clinical, err := s.clinical(acc.c)
	if err != nil {
		return err
	}
	v.Clinical = &clinical
	files, err := selectFiles(ctx, tx, id)
	if err != nil {
		return err
	}
	facts := map[Class]FileFacts{}
	for _, f := range files {
		if err := s.openName(id, &f); err != nil {
			return err
		}
		if _, ok := facts[f.Class]; !ok {
			if facts[f.Class], _, err = s.fileFacts(ctx, tx, actor, acc, f.Class, false); err != nil {
				return err
			}
		}
		v.Files = append(v.Files, FileView{File: f.File, Refusal: mayReadFile(actor, facts[f.Class])})
	}
	messages, err := selectMessages(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, m := range messages {
		text, err := s.blobs.keys.unseal(id, "case_message", "text", string(m.ID), m.sealed)
		if err != nil {
			return err
		}
		m.Text = string(text)
		v.Messages = append(v.Messages, m.Message)
	}
	docs, err := selectDocuments(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, row := range docs {
		doc, err := s.openDocument(id, row)
		if err != nil {
			return err
		}
		var record signatureRecord
		if err := decodeCanonical(row.record, &record); err != nil {
			return err
		}
		signed := SignedDocument{ID: row.ID, Kind: row.Kind, Signer: row.Author, SignerName: doc.Signer.Name, License: doc.Signer.License,
			Jurisdiction: doc.Determination.Jurisdiction, SignedAt: row.SignedAt, SHA256: record.DocumentSHA256,
			CredentialKind: record.CredentialKind, Opinion: doc.Opinion, Decision: doc.Decision}
		if row.Kind == KindDecision {
			v.Decision = &signed
		} else {
			v.Opinions = append(v.Opinions, signed)
		}
	}
	cards, err := selectReadBacks(ctx, tx, id, acc.c.Responsible)
	if err != nil {
		return err
	}
	for _, card := range cards {
		if err := s.blobs.keys.unsealJSON(id, "read_back", "fields", string(card.ID), card.sealed, &card.Fields); err != nil {
			return err
		}
		v.Cards = append(v.Cards, card.ReadBack)
	}
	if acc.is(RoleSpecialist) {
		sealed, version, _, err := selectDraft(ctx, tx, id, actor.Person)
		if err != nil {
			return err
		}
		if sealed != nil {
			var draft OpinionContent
			if err := s.blobs.keys.unsealJSON(id, "opinion_draft", "content", string(actor.Person), sealed, &draft); err != nil {
				return err
			}
			v.Draft, v.DraftVersion = &draft, version
		}
	}
	sealed, language, err := selectHandBack(ctx, tx, id)
	if err != nil || sealed == nil {
		return err
	}
	summary, err := s.blobs.keys.unseal(id, "case_hand_back", "summary", string(id), sealed)
	v.HandBack, v.HandBackLanguage = string(summary), language
	return err
}

// may lists the steps open to a reader, by the same functions that the commands ask.
// Signing and giving an opinion are decided at the act; here stands only whether the
// reader's part and the state allow the page.
func may(a identity.Actor, f Facts) map[string]bool {
	ok := func(r *Refusal) bool { return r == nil }
	return map[string]bool{
		"edit": ok(mayEdit(a, f)), "submit": ok(maySubmit(a, f)), "triage": ok(mayTriage(a, f)), "return": ok(mayReturn(a, f)),
		"decline": ok(mayDecline(a, f)), "withdraw": ok(mayWithdrawCase(a, f)), "consent": ok(mayRecordConsent(a, f)),
		"withdraw_consent": ok(mayWithdrawConsent(a, f)), "place": ok(mayConfirmPlace(a, f)), "upload": ok(mayUpload(a, f)),
		"say": ok(maySay(a, f)), "opinion": ok(mayDraftOpinion(a, f)), "read_back": ok(mayReadBack(a, f)),
		"decide": !a.Guest() && f.is(RoleResponsible) && f.State == Advised, "hand_back": ok(mayHandBack(a, f)),
		"close": ok(mayClose(a, f)), "export": ok(mayExport(a, f)), "identity": ok(mayReadIdentity(a, f)),
	}
}

// OpenIdentity opens the patient's identity; the opening is an event.
func (s *Service) OpenIdentity(ctx context.Context, actor identity.Actor, id CaseID) (PatientIdentity, error) {
	var p PatientIdentity
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayReadIdentity(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "patient.identity_refused", r, nil)
		}
		sealed, _, err := selectPatient(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.blobs.keys.unsealJSON(id, "case_patient", "identity", string(id), sealed, &p); err != nil {
			return err
		}
		tx.Append(acc.event(actor, "patient.identity_viewed"))
		return nil
	})
	return p, err
}

// Editable loads what was entered, for the form that changes it, with the version
// that Edit asks for.
func (s *Service) Editable(ctx context.Context, actor identity.Actor, id CaseID) (NewCase, Case, error) {
	var n NewCase
	var c Case
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayEdit(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.edit_refused", r, nil)
		}
		c = acc.c.Case
		n = NewCase{Specialty: c.Specialty, Urgency: c.Urgency, Place: c.Place, Zone: c.Zone, Languages: c.Languages, Patient: c.Patient}
		var err error
		if n.Clinical, err = s.clinical(acc.c); err != nil {
			return err
		}
		sealed, confirmed, err := selectPatient(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.blobs.keys.unsealJSON(id, "case_patient", "identity", string(id), sealed, &n.Identity); err != nil {
			return err
		}
		n.IdentityConfirmed = !confirmed.IsZero()
		tx.Append(acc.event(actor, "patient.identity_viewed"))
		return nil
	})
	return n, c, err
}

// KnownPatient is a patient of one of the actor's own cases.
type KnownPatient struct {
	Person    identity.Person
	Pseudonym Pseudonym
	Languages []string
	Place     string
}

// Patients lists the patients of the cases for which the actor is responsible, so
// that a second question about somebody is about the same person.
func (s *Service) Patients(ctx context.Context, actor identity.Actor) ([]KnownPatient, error) {
	if r := mayCreate(actor); r != nil {
		return nil, r
	}
	var out []KnownPatient
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		mine, err := selectMemberCases(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		rows, err := selectCases(ctx, tx, append([]string{}, mine[actor.Organization]...), maxList)
		if err != nil {
			return err
		}
		seen := map[identity.PersonID]bool{"": true}
		var ids []identity.PersonID
		for _, row := range rows {
			if row.Responsible == actor.Person && !seen[row.Patient.Person] {
				seen[row.Patient.Person] = true
				ids = append(ids, row.Patient.Person)
				out = append(out, KnownPatient{Pseudonym: row.Patient, Languages: row.Languages, Place: row.Place})
			}
		}
		who, err := s.who.PeopleTx(ctx, tx, ids...)
		for i := range out {
			out[i].Person = who[out[i].Pseudonym.Person]
		}
		return err
	})
	return out, err
}
