package workspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func sha256Of(data []byte) [32]byte { return sha256.Sum256(data) }

// parseDocument reads a document strictly: canonical JSON, known fields, this kind.
func parseDocument(data []byte, kind Kind) (document, error) {
	var doc document
	if err := decodeCanonical(data, &doc); err != nil {
		return doc, fmt.Errorf("document: %w", err)
	}
	if doc.Format != kind.Format() || (doc.Opinion != nil) != (kind == KindOpinion) || (doc.Decision != nil) != (kind == KindDecision) {
		return doc, fmt.Errorf("document: not of format %s", kind.Format())
	}
	return doc, nil
}

// decodeCanonical reads canonical JSON into v and refuses what v does not know.
func decodeCanonical(data []byte, v any) error {
	if _, err := audit.ParseCanonical(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// signatureRecord is what is stored of an assertion; its canonical JSON is hashed
// into the leaf. Byte strings are base64url without padding.
type signatureRecord struct {
	Format            string                        `json:"format"` // consilium/signature/v1
	Kind              Kind                          `json:"kind"`
	Document          DocumentID                    `json:"document"`
	DocumentSHA256    string                        `json:"document_sha256"`
	Person            identity.PersonID             `json:"person"`
	SignedAt          string                        `json:"signed_at"`
	Determination     credentialing.DeterminationID `json:"determination"`
	DeterminationHash string                        `json:"determination_hash"`
	Evidence          string                        `json:"evidence_sha256"`
	CredentialID      string                        `json:"credential_id"`
	CredentialKind    string                        `json:"credential_kind"` // passkey or demonstration
	PublicKey         string                        `json:"public_key"`      // COSE
	Algorithm         int                           `json:"algorithm"`       // COSE
	ClientData        string                        `json:"client_data"`
	AuthenticatorData string                        `json:"authenticator_data"`
	Signature         string                        `json:"signature"`
	RPID              string                        `json:"rp_id"`
	Origin            string                        `json:"origin"`
	UserPresent       bool                          `json:"user_present"`
	UserVerified      bool                          `json:"user_verified"`
	BackupEligible    bool                          `json:"backup_eligible"`
	BackupState       bool                          `json:"backup_state"`
	Counter           uint32                        `json:"counter"`
	AAGUID            string                        `json:"aaguid"`
	EnrollmentLeaf    int64                         `json:"enrollment_leaf"`
}

const signatureFormat = "consilium/signature/v1"

func newSignatureRecord(kind Kind, row documentRow, d credentialing.Determination, a identity.Assertion, evidence string) signatureRecord {
	b64 := base64.RawURLEncoding.EncodeToString
	return signatureRecord{Format: signatureFormat, Kind: kind, Document: row.ID, DocumentSHA256: hex.EncodeToString(row.SHA256),
		Person: row.Author, SignedAt: formatInstant(row.SignedAt), Determination: d.ID, DeterminationHash: hex.EncodeToString(d.Hash[:]),
		Evidence: evidence, CredentialID: b64(a.CredentialID), CredentialKind: a.Kind, PublicKey: b64(a.PublicKey), Algorithm: a.Algorithm,
		ClientData: b64(a.ClientData), AuthenticatorData: b64(a.AuthenticatorData), Signature: b64(a.Signature), RPID: a.RPID,
		Origin: a.Origin, UserPresent: a.UserPresent, UserVerified: a.UserVerified, BackupEligible: a.BackupEligible,
		BackupState: a.BackupState, Counter: a.Counter, AAGUID: b64(a.AAGUID), EnrollmentLeaf: a.EnrollmentLeaf}
}

// assertion turns a record back into what identity verifies.
func (r signatureRecord) assertion() (identity.Assertion, error) {
	a := identity.Assertion{Algorithm: r.Algorithm, RPID: r.RPID, Origin: r.Origin, Kind: r.CredentialKind, UserPresent: r.UserPresent,
		UserVerified: r.UserVerified, BackupEligible: r.BackupEligible, BackupState: r.BackupState, Counter: r.Counter, EnrollmentLeaf: r.EnrollmentLeaf}
	for _, f := range []struct {
		to   *[]byte
		from string
	}{{&a.CredentialID, r.CredentialID}, {&a.PublicKey, r.PublicKey}, {&a.ClientData, r.ClientData},
		{&a.AuthenticatorData, r.AuthenticatorData}, {&a.Signature, r.Signature}, {&a.AAGUID, r.AAGUID}} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(f.from)
		if err != nil {
			return a, errors.New("not base64url")
		}
		*f.to = b
	}
	return a, nil
}

// evidence is what a signature rests on, as of its instant: the determination with
// its facts, the people, the consents in the language shown. Its hash is in the leaf.
type evidence struct {
	Format        string                `json:"format"` // consilium/evidence/v1
	Document      DocumentID            `json:"document"`
	Determination evidenceDetermination `json:"determination"`
	Signer        evidencePerson        `json:"signer"`
	Credentials   []evidenceCredential  `json:"credentials"`
	Responsible   identity.PersonID     `json:"responsible"`
	Place         evidencePlace         `json:"place"`
	Consents      []evidenceConsent     `json:"consents"`
}

const evidenceFormat = "consilium/evidence/v1"

type evidenceDetermination struct {
	ID     credentialing.DeterminationID `json:"id"`
	Facts  string                        `json:"facts"`
	Answer string                        `json:"answer"`
	Hash   string                        `json:"hash"`
}

type evidencePerson struct {
	Person identity.PersonID `json:"person"`
	Name   string            `json:"name"`
	Title  string            `json:"title"`
	Home   string            `json:"home"`
}

type evidenceCredential struct {
	ID           string `json:"id"`
	Kind         string `json:"kind"`
	Type         string `json:"type"`
	Issuer       string `json:"issuer"`
	Number       string `json:"number"`
	Jurisdiction string `json:"jurisdiction"`
	VerifiedBy   string `json:"verified_by"`
	VerifiedAt   string `json:"verified_at"`
	Method       string `json:"method"`
}

type evidencePlace struct {
	Place   string `json:"place"`
	AskedAt string `json:"asked_at"`
	How     string `json:"how"`
}

type evidenceConsent struct {
	ID          ConsentID `json:"id"`
	Purpose     Purpose   `json:"purpose"`
	Class       Class     `json:"class"`
	Destination string    `json:"destination"`
	Receiver    string    `json:"receiver"`
	Giver       string    `json:"giver"`
	How         How       `json:"how"`
	Language    string    `json:"language"`
	TextVersion string    `json:"text_version"`
	Text        string    `json:"text"`
	TextSHA256  string    `json:"text_sha256"`
	RecordedAt  string    `json:"recorded_at"`
	WithdrawnAt string    `json:"withdrawn_at"`
}

// evidence gathers what a signature rests on and returns its canonical bytes.
func (s *Service) evidence(ctx context.Context, tx *audit.Tx, acc *access, doc document, d credentialing.Determination, signer identity.PersonID) ([]byte, error) {
	who, err := s.who.PeopleTx(ctx, tx, signer)
	if err != nil {
		return nil, err
	}
	p := who[signer]
	e := evidence{Format: evidenceFormat, Document: doc.ID, Responsible: acc.c.Responsible,
		Determination: evidenceDetermination{ID: d.ID, Facts: string(d.Facts), Answer: string(d.Answer), Hash: hex.EncodeToString(d.Hash[:])},
		Signer:        evidencePerson{Person: signer, Name: p.Name, Title: p.Title, Home: p.Home},
		Credentials:   []evidenceCredential{}, Consents: []evidenceConsent{},
		Place: evidencePlace{Place: acc.c.Place, How: acc.c.PlaceHow}}
	if !acc.c.PlaceAt.IsZero() {
		e.Place.AskedAt = formatInstant(acc.c.PlaceAt)
	}
	for _, h := range heldOf(d) {
		c := evidenceCredential{ID: h.ID, Kind: string(h.Kind), Type: h.Type, Issuer: h.Issuer, Number: h.Number, Jurisdiction: h.Jurisdiction}
		if h.Verified != nil {
			c.VerifiedBy, c.VerifiedAt, c.Method = h.Verified.By, formatInstant(h.Verified.At), h.Verified.Method
		}
		e.Credentials = append(e.Credentials, c)
	}
	rows, err := selectConsents(ctx, tx, acc.c.ID)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		text, err := s.blobs.keys.unseal(acc.c.ID, "case_consent", "text", string(r.ID), r.sealedText)
		if err != nil {
			return nil, err
		}
		c := evidenceConsent{ID: r.ID, Purpose: r.Purpose, Class: r.Class, Destination: r.Destination, Receiver: string(r.Receiver),
			Giver: r.Giver.Kind, How: r.How, Language: r.Language, TextVersion: r.TextVersion, Text: string(text), TextSHA256: r.TextSHA256,
			RecordedAt: formatInstant(r.RecordedAt)}
		if c.Receiver == "" {
			c.Receiver = string(r.ReceiverOrganization)
		}
		if !r.WithdrawnAt.IsZero() {
			c.WithdrawnAt = formatInstant(r.WithdrawnAt)
		}
		e.Consents = append(e.Consents, c)
	}
	return audit.Canonical(e)
}

// judgedFacts is the part of a determination's facts that the evidence repeats and
// the verifier compares.
type judgedFacts struct {
	Question struct {
		At       string   `json:"at"`
		Mode     string   `json:"mode"`
		Activity string   `json:"activity"`
		Places   []string `json:"places"`
		Local    *struct {
			ID identity.PersonID `json:"id"`
		} `json:"local_physician"`
	} `json:"question"`
	Specialist struct {
		ID          identity.PersonID    `json:"id"`
		Credentials []credentialing.Held `json:"credentials"`
	} `json:"specialist"`
}

// heldOf lists the credentials that a determination judged.
func heldOf(d credentialing.Determination) []credentialing.Held {
	var f judgedFacts
	if json.Unmarshal(d.Facts, &f) != nil {
		return nil
	}
	return f.Specialist.Credentials
}

// licenseOf is the license or registration a permission in a place rests on, as it
// is shown: the one of that place, else the first license.
func licenseOf(d credentialing.Determination, place string) credentialing.Held {
	var first credentialing.Held
	for _, h := range heldOf(d) {
		if h.Kind != credentialing.KindLicense && h.Kind != credentialing.KindRegistration {
			continue
		}
		if h.Jurisdiction == place {
			return h
		}
		if first.ID == "" {
			first = h
		}
	}
	return first
}
