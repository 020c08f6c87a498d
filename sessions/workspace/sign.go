package workspace

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Prepared is a document to be shown and signed. Document are the exact bytes that
// the signature is made over.
type Prepared struct {
	Request   RequestID
	Kind      Kind
	Document  []byte
	Challenge []byte
	// Options are the options for navigator.credentials.get.
	Options      json.RawMessage
	ExpiresAt    time.Time
	Signer       string // name as it stands in the document
	License      string // number as it stands in the document
	Jurisdiction string
	Files        []FileID         // those the document vouches for
	Opinion      *OpinionContent  // of an opinion
	Decision     *DecisionContent // of a decision
}

// SaveOpinionDraft keeps what a specialist has written so far; version is the one
// the page showed, 0 for the first. It returns the next.
func (s *Service) SaveOpinionDraft(ctx context.Context, actor identity.Actor, id CaseID, version int, o OpinionContent) (int, error) {
	normalize(&o)
	o.Schema = 1
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayDraftOpinion(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "opinion.draft_refused", r, nil)
		}
		sealed, err := s.blobs.keys.sealJSON(id, "opinion_draft", "content", string(actor.Person), o)
		if err != nil {
			return err
		}
		written, err := upsertDraft(ctx, tx, acc.c, actor.Person, version, sealed)
		if err != nil {
			return err
		}
		if !written {
			return ErrVersion
		}
		tx.Append(acc.event(actor, "opinion.draft_saved"))
		return nil
	})
	return version + 1, err
}

// PrepareOpinion makes the document of an opinion, to be shown and signed.
func (s *Service) PrepareOpinion(ctx context.Context, actor identity.Actor, id CaseID, o OpinionContent) (Prepared, error) {
	normalize(&o)
	o.Schema = 1
	if o.Files == nil {
		o.Files = []FileID{}
	}
	if o.Differential == nil {
		o.Differential = []Likelihood{}
	}
	if o.ReadBacks == nil {
		o.ReadBacks = []ReadBackFields{}
	}
	if err := o.check(); err != nil {
		return Prepared{}, err
	}
	return s.prepare(ctx, actor, id, KindOpinion, func(ctx context.Context, tx *audit.Tx, acc *access, doc *document) error {
		doc.Opinion = &o
		files, err := selectFiles(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, reviewed := range o.Files {
			i := slices.IndexFunc(files, func(f fileRow) bool { return f.ID == reviewed })
			if i < 0 {
				return &ErrIncomplete{Fields: []string{"files"}}
			}
			doc.Files = append(doc.Files, files[i].document())
		}
		return nil
	})
}

// PrepareDecision makes the document of a decision, to be shown and signed.
func (s *Service) PrepareDecision(ctx context.Context, actor identity.Actor, id CaseID, d DecisionContent) (Prepared, error) {
	normalize(&d)
	d.Schema = 1
	if d.Answers == nil {
		d.Answers = []Answer{}
	}
	return s.prepare(ctx, actor, id, KindDecision, func(ctx context.Context, tx *audit.Tx, acc *access, doc *document) error {
		doc.Decision = &d
		docs, err := selectDocuments(ctx, tx, id)
		if err != nil {
			return err
		}
		weighed := map[DocumentID]int{}
		seen := map[FileID]bool{}
		for _, row := range docs {
			if row.Kind != KindOpinion {
				continue
			}
			o, err := s.openDocument(id, row)
			if err != nil {
				return err
			}
			weighed[row.ID] = len(o.Opinion.Recommendations)
			doc.Opinions = append(doc.Opinions, docOpinion{ID: row.ID, SHA256: hex.EncodeToString(row.SHA256)})
			for _, f := range o.Files {
				if !seen[f.ID] {
					seen[f.ID] = true
					doc.Files = append(doc.Files, f)
				}
			}
		}
		cards, err := selectReadBacks(ctx, tx, id, actor.Person)
		if err != nil {
			return err
		}
		for _, card := range cards {
			if !card.ConfirmedAt.IsZero() {
				doc.ReadBacks = append(doc.ReadBacks, docReadBack{ID: card.ID, Language: card.Language, ConfirmedAt: formatInstant(card.ConfirmedAt)})
			}
		}
		return d.check(weighed)
	})
}

func (f File) document() docFile {
	return docFile{ID: f.ID, SHA256: f.SHA256, Size: f.Size, Type: f.MediaType}
}

// prepare asks the policy, makes the document and keeps it as a sign_request.
func (s *Service) prepare(ctx context.Context, actor identity.Actor, id CaseID, kind Kind,
	content func(context.Context, *audit.Tx, *access, *document) error) (Prepared, error) {
	var p Prepared
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		d, err := s.scopeToSign(ctx, tx, actor, acc, kind)
		if err != nil {
			return err
		}
		r, err := s.policy(ctx, tx, actor, acc, kind, d, acc.c.Version)
		if err != nil {
			return err
		}
		if r != nil {
			return acc.refuse(tx, actor, string(kind)+".refused", r, &d)
		}
		clinic, err := s.who.OrganizationTx(ctx, tx, acc.c.Organization)
		if err != nil {
			return err
		}
		doc := document{Format: kind.Format(), ID: newID[DocumentID](), Case: id, Number: acc.c.Number,
			Clinic: docClinic{ID: clinic.ID, Name: clinic.Name}, Patient: docPatient{Pseudonym: acc.c.Patient, Place: acc.c.Place},
			Opinions: []docOpinion{}, Files: []docFile{}, ReadBacks: []docReadBack{}, PreparedAt: formatInstant(tx.Now())}
		if err := content(ctx, tx, acc, &doc); err != nil {
			return err
		}
		who, err := s.who.PeopleTx(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		license := licenseOf(d, acc.c.Place)
		doc.Signer = docSigner{Person: actor.Person, Name: who[actor.Person].Name, License: license.Number}
		doc.Determination = docDetermination{ID: d.ID, Hash: hex.EncodeToString(d.Hash[:]), Activity: d.Activity,
			Jurisdiction: acc.c.Place, Decision: d.Decision, Packs: d.Packs, License: license.ID}
		if doc.After, err = s.after(ctx, tx); err != nil {
			return err
		}
		if doc.Nonce, err = newNonce(); err != nil {
			return err
		}
		data, err := doc.bytes()
		if err != nil {
			return err
		}
		req := signRequest{ID: newID[RequestID](), Kind: kind, Document: doc.ID, Person: actor.Person, Login: actor.Login,
			CaseVersion: acc.c.Version, Challenge: kind.Challenge(data), PreparedAt: tx.Now(), ExpiresAt: tx.Now().Add(signWithin)}
		if req.sealed, err = s.blobs.keys.seal(id, "sign_request", "document", string(req.ID), data); err != nil {
			return err
		}
		if err := insertSignRequest(ctx, tx, acc.c, req); err != nil {
			return err
		}
		e := acc.event(actor, string(kind)+".prepared")
		e.Objects[string(kind)] = string(doc.ID)
		e.Hashes = map[string]string{"document": hexSum(data)}
		e.Determination = string(d.ID)
		tx.Append(e)
		p = Prepared{Request: req.ID, Kind: kind, Document: data, Challenge: req.Challenge, ExpiresAt: req.ExpiresAt,
			Signer: doc.Signer.Name, License: doc.Signer.License, Jurisdiction: acc.c.Place, Files: doc.files(), Opinion: doc.Opinion, Decision: doc.Decision}
		return nil
	})
	if err != nil {
		return Prepared{}, err
	}
	// Without a passkey the document stands and identity.ErrNoPasskey says what is
	// missing; the page makes a key and asks for the options again.
	p.Options, err = s.who.AssertionOptions(ctx, actor, p.Challenge)
	return p, err
}

// scopeToSign determines, now, what a signature of this kind needs, and stores it.
func (s *Service) scopeToSign(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, kind Kind) (credentialing.Determination, error) {
	activity := credentialing.AdvisePhysician
	if kind == KindDecision {
		activity = credentialing.SignDecision
	}
	where, err := s.organizationsOf(ctx, tx, actor.Person)
	if err != nil {
		return credentialing.Determination{}, err
	}
	return s.determine(ctx, tx, actor, acc.c, actor.Person, where, activity, credentialing.Act)
}

// policy asks the policy function of a kind.
func (s *Service) policy(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, kind Kind, d credentialing.Determination, shown int) (*Refusal, error) {
	if kind == KindOpinion {
		r := maySubmitOpinion(actor, acc.Facts, d)
		if r == nil && shown != acc.c.Version {
			r = refuse(RefusedStale)
		}
		return r, nil
	}
	cards, err := selectReadBacks(ctx, tx, acc.c.ID, actor.Person)
	if err != nil {
		return nil, err
	}
	open := 0
	for _, c := range cards {
		if c.ConfirmedAt.IsZero() {
			open++
		}
	}
	return maySign(actor, SignFacts{Facts: acc.Facts, Determination: d, OpenReadBacks: open, CaseVersion: acc.c.Version, ShownVersion: shown}), nil
}

// SubmitOpinion signs an opinion that PrepareOpinion made. response is the browser's
// answer, PublicKeyCredential.toJSON().
func (s *Service) SubmitOpinion(ctx context.Context, actor identity.Actor, id CaseID, request RequestID, response []byte) (DocumentID, error) {
	return s.sign(ctx, actor, id, KindOpinion, request, response)
}

// Sign signs a decision that PrepareDecision made. The signer's license and the
// patient's place are judged again at this instant, in the transaction that stores
// the signature: all of it or nothing.
func (s *Service) Sign(ctx context.Context, actor identity.Actor, id CaseID, request RequestID, response []byte) (DocumentID, error) {
	return s.sign(ctx, actor, id, KindDecision, request, response)
}

func (s *Service) sign(ctx context.Context, actor identity.Actor, id CaseID, kind Kind, request RequestID, response []byte) (DocumentID, error) {
	var signed DocumentID
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		req, err := lockSignRequest(ctx, tx, id, request)
		if err != nil {
			return err
		}
		refused := func(r *Refusal, d *credentialing.Determination) error {
			return acc.refuse(tx, actor, string(kind)+".refused", r, d)
		}
		switch {
		case req.Kind != kind:
			return ErrNotFound
		case req.Person != actor.Person || req.Login != actor.Login:
			return refused(refuse(RefusedOtherSigner), nil)
		case !req.UsedAt.IsZero() || tx.Now().After(req.ExpiresAt):
			return refused(refuse(RefusedExpired), nil)
		}
		d, err := s.scopeToSign(ctx, tx, actor, acc, kind)
		if err != nil {
			return err
		}
		r, err := s.policy(ctx, tx, actor, acc, kind, d, req.CaseVersion)
		if err != nil {
			return err
		}
		if r != nil {
			return refused(r, &d)
		}
		assertion, err := s.who.VerifyAssertion(ctx, tx, actor, req.Challenge, response)
		if err != nil {
			return err
		}
		signed = req.Document
		return s.keepSigned(ctx, tx, actor, acc, req, d, assertion)
	})
	if errors.Is(err, identity.ErrAssertion) {
		return "", errors.Join(s.refusedAssertion(ctx, actor, id, kind, request), refuse(RefusedAssertion))
	}
	return signed, err
}

// refusedAssertion records a signature that does not hold. The transaction that
// found it left nothing behind.
func (s *Service) refusedAssertion(ctx context.Context, actor identity.Actor, id CaseID, kind Kind, request RequestID) error {
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		e := acc.event(actor, string(kind)+".refused")
		e.Objects["sign_request"] = string(request)
		e.Reason = RefusedAssertion
		tx.Append(e)
		return nil
	})
}

// keepSigned stores document, cards, state, signature and leaf: the end of a
// command that was found in order.
func (s *Service) keepSigned(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, req signRequest,
	d credentialing.Determination, assertion identity.Assertion) error {
	id := acc.c.ID
	data, err := s.blobs.keys.unseal(id, "sign_request", "document", string(req.ID), req.sealed)
	if err != nil {
		return err
	}
	if !bytes.Equal(req.Kind.Challenge(data), req.Challenge) {
		return errors.New("workspace: the document kept is not the one shown")
	}
	doc, err := parseDocument(data, req.Kind)
	if err != nil {
		return err
	}
	row := documentRow{ID: req.Document, Kind: req.Kind, Author: actor.Person, Determination: d.ID, SignedAt: tx.Now()}
	sum := sha256Of(data)
	row.SHA256 = sum[:]
	if row.sealed, err = s.blobs.keys.seal(id, string(req.Kind), "document", string(row.ID), data); err != nil {
		return err
	}
	evidence, err := s.evidence(ctx, tx, acc, doc, d, actor.Person)
	if err != nil {
		return err
	}
	record := newSignatureRecord(req.Kind, row, d, assertion, hexSum(evidence))
	if row.record, err = audit.Canonical(record); err != nil {
		return err
	}
	recordSum := sha256Of(row.record)
	row.recordSHA256 = recordSum[:]
	if row.evidence, err = s.blobs.keys.seal(id, "document_signature", "evidence", string(row.ID), evidence); err != nil {
		return err
	}
	if err := useSignRequest(ctx, tx, req.ID); err != nil {
		return err
	}
	if err := insertDocument(ctx, tx, acc.c, row); err != nil {
		return err
	}
	step := SignDecision
	if req.Kind == KindOpinion {
		step = GiveOpinion
		for _, fields := range doc.Opinion.ReadBacks {
			card := readBackRow{kind: fields.Kind}
			card.ID, card.Opinion = newID[ReadBackID](), row.ID
			if card.sealed, err = s.blobs.keys.sealJSON(id, "read_back", "fields", string(card.ID), fields); err != nil {
				return err
			}
			if err := insertReadBack(ctx, tx, acc.c, card); err != nil {
				return err
			}
		}
		if err := deleteDraft(ctx, tx, id, actor.Person); err != nil {
			return err
		}
	}
	if err := s.move(ctx, tx, acc, step); err != nil {
		return err
	}
	e := acc.event(actor, string(req.Kind)+".signed")
	e.Objects[string(req.Kind)] = string(row.ID)
	e.Hashes = map[string]string{"document": hex.EncodeToString(row.SHA256), "signature": hex.EncodeToString(row.recordSHA256), "evidence": record.Evidence}
	e.Determination = string(d.ID)
	e.Tell = others(people(acc.c.Responsible, acc.c.Specialist), actor.Person)
	if row.Leaf, err = tx.AppendNow(ctx, e); err != nil {
		return err
	}
	return insertSignature(ctx, tx, acc.c, row)
}

// after names the newest checkpoint.
func (s *Service) after(ctx context.Context, tx *audit.Tx) (docAfter, error) {
	signed, err := s.db.LatestCheckpointTx(ctx, tx)
	if errors.Is(err, audit.ErrNoCheckpoint) {
		return docAfter{}, nil
	}
	if err != nil {
		return docAfter{}, err
	}
	c, err := s.signer.Verifier().Open(signed)
	if err != nil {
		return docAfter{}, fmt.Errorf("newest checkpoint: %w", err)
	}
	return docAfter{Size: c.Size, Root: c.Root.String()}, nil
}

// openDocument opens a stored document and checks that it is the one hashed.
func (s *Service) openDocument(id CaseID, row documentRow) (document, error) {
	data, err := s.documentBytes(id, row)
	if err != nil {
		return document{}, err
	}
	return parseDocument(data, row.Kind)
}

func (s *Service) documentBytes(id CaseID, row documentRow) ([]byte, error) {
	data, err := s.blobs.keys.unseal(id, string(row.Kind), "document", string(row.ID), row.sealed)
	if err != nil {
		return nil, err
	}
	if sum := sha256Of(data); !bytes.Equal(sum[:], row.SHA256) {
		return nil, fmt.Errorf("workspace: %s %s is not the one that was signed", row.Kind, row.ID)
	}
	return data, nil
}

// ConfirmReadBack records that the responsible physician read a card back.
func (s *Service) ConfirmReadBack(ctx context.Context, actor identity.Actor, id CaseID, card ReadBackID, language string) error {
	if language == "" {
		return &ErrIncomplete{Fields: []string{"language"}}
	}
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayReadBack(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "read_back.refused", r, nil)
		}
		cards, err := selectReadBacks(ctx, tx, id, actor.Person)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cards, func(c readBackRow) bool { return c.ID == card })
		if i < 0 {
			return ErrNotFound
		}
		if !cards[i].ConfirmedAt.IsZero() {
			return nil
		}
		if err := insertConfirmation(ctx, tx, acc.c, card, actor.Person, language); err != nil {
			return err
		}
		e := acc.event(actor, "read_back.confirmed")
		e.Objects["read_back"] = string(card)
		e.Objects["opinion"] = string(cards[i].Opinion)
		tx.Append(e)
		return nil
	})
}

// HandBackRequest is the answer on its way back to whoever asked.
type HandBackRequest struct {
	To       string // role or place, no person's name: "referring clinic", "ward 4"
	Summary  string
	Language string
}

// HandBack gives the decided case back; the specialist is told what became of the
// advice.
func (s *Service) HandBack(ctx context.Context, actor identity.Actor, id CaseID, req HandBackRequest) error {
	normalize(&req)
	var c checker
	c.need(req.To != "" && len(req.To) <= 200, "to")
	c.need(req.Summary != "", "summary")
	c.need(req.Language != "", "language")
	if err := c.err(); err != nil {
		return err
	}
	return s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayHandBack(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "case.hand_back_refused", r, nil)
		}
		acc.c.HandedTo, acc.c.HandBackAt = req.To, tx.Now()
		sealed, err := s.blobs.keys.seal(id, "case_hand_back", "summary", string(id), []byte(req.Summary))
		if err != nil {
			return err
		}
		if err := insertHandBack(ctx, tx, acc.c, actor.Person, req.Language, sealed); err != nil {
			return err
		}
		if err := s.move(ctx, tx, acc, HandBack); err != nil {
			return err
		}
		e := acc.event(actor, "case.handed_back")
		e.Tell = others(people(acc.c.Specialist), actor.Person)
		tx.Append(e)
		return nil
	})
}

// Close ends a case that was handed back.
func (s *Service) Close(ctx context.Context, actor identity.Actor, id CaseID) error {
	return s.simple(ctx, actor, id, "case.closed", Close, "", mayClose, func(c caseRow) []string { return people(c.Specialist) })
}

// Pending shows a document that waits for its signature, exactly as it was prepared,
// to the person and browser it was prepared for. Without a passkey Options is empty
// and the error is identity.ErrNoPasskey.
func (s *Service) Pending(ctx context.Context, actor identity.Actor, id CaseID, request RequestID) (Prepared, error) {
	var p Prepared
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		req, err := lockSignRequest(ctx, tx, id, request)
		if err != nil {
			return err
		}
		switch {
		case req.Person != actor.Person || req.Login != actor.Login:
			return ErrNotFound
		case !req.UsedAt.IsZero() || tx.Now().After(req.ExpiresAt):
			return refuse(RefusedExpired)
		}
		data, err := s.blobs.keys.unseal(id, "sign_request", "document", string(req.ID), req.sealed)
		if err != nil {
			return err
		}
		doc, err := parseDocument(data, req.Kind)
		if err != nil {
			return err
		}
		p = Prepared{Request: req.ID, Kind: req.Kind, Document: data, Challenge: req.Challenge, ExpiresAt: req.ExpiresAt.UTC(),
			Signer: doc.Signer.Name, License: doc.Signer.License, Jurisdiction: doc.Patient.Place, Files: doc.files(), Opinion: doc.Opinion, Decision: doc.Decision}
		return nil
	})
	if err != nil {
		return Prepared{}, err
	}
	p.Options, err = s.who.AssertionOptions(ctx, actor, p.Challenge)
	return p, err
}
