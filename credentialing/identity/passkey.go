package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// DemonstrationAAGUID is the authenticator model of the demonstration key: a key
// pair that the page itself keeps, for browsers without an authenticator. Whoever
// enrolls with it is taken in demo only, and the key is called a demonstration
// wherever it is shown.
const DemonstrationAAGUID = "c0f5111a-de30-4000-8000-6b6579000001"

// ceremonyLimit is how long a person may take between the options and the answer.
const ceremonyLimit = 5 * time.Minute

// maxPasskeys bounds the keys of one person; nobody carries twenty.
const maxPasskeys = 20

// Passkey is a person's enrolled key.
type Passkey struct {
	ID             []byte // credential id
	Person         PersonID
	Label          string // as the person named it
	Kind           string // KindPasskey or KindDemonstration
	PublicKey      []byte // COSE_Key
	Algorithm      int    // COSE
	AAGUID         []byte
	Transports     []string
	Attestation    string // format of the attestation at enrollment
	Counter        uint32
	BackupEligible bool
	BackupState    bool
	Enrolled       time.Time
	LastUsed       time.Time
	Leaf           int64 // index of the enrollment leaf
}

func (k Passkey) credential() webauthn.Credential {
	transports := make([]protocol.AuthenticatorTransport, len(k.Transports))
	for i, t := range k.Transports {
		transports[i] = protocol.AuthenticatorTransport(t)
	}
	return webauthn.Credential{
		ID: k.ID, PublicKey: k.PublicKey, AttestationFormat: k.Attestation, Transport: transports,
		Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.BackupEligible, BackupState: k.BackupState},
		Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID, SignCount: k.Counter},
	}
}

// holder is a person with keys, as the library wants to see one.
type holder struct {
	person Person
	keys   []Passkey
}

func (h holder) WebAuthnID() []byte          { return userHandle(h.person.ID) }
func (h holder) WebAuthnName() string        { return h.person.Name }
func (h holder) WebAuthnDisplayName() string { return h.person.Name }
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(h.keys))
	for i, k := range h.keys {
		list[i] = k.credential()
	}
	return list
}

// userHandle is what an authenticator keeps for the person: the 16 bytes of the id.
func userHandle(id PersonID) []byte {
	u, err := uuid.Parse(string(id))
	if err != nil {
		return nil
	}
	return u[:]
}

// ceremony is what is kept between options and answer.
type ceremony struct {
	ID      string
	Kind    string // "enroll", "signin", "stepup"
	Person  PersonID
	Login   LoginID
	Session webauthn.SessionData
}

// Passkeys are a person's keys that are not revoked, oldest first.
func (s *Service) Passkeys(ctx context.Context, id PersonID) (keys []Passkey, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		keys, err = s.PasskeysTx(ctx, tx, id)
		return err
	})
	return keys, err
}

// PasskeysTx is Passkeys inside a running transaction.
func (s *Service) PasskeysTx(ctx context.Context, tx *audit.Tx, id PersonID) ([]Passkey, error) {
	return passkeys(ctx, tx, id)
}

// usable drops demonstration keys where this is no demonstration.
func (s *Service) usable(keys []Passkey) []Passkey {
	return slices.DeleteFunc(keys, func(k Passkey) bool { return k.Kind == KindDemonstration && !s.demo })
}

// BeginEnrollment starts making a key for the actor. The options are the argument of
// PublicKeyCredential.parseCreationOptionsFromJSON, and of the demonstration key.
// A second key needs a fresh login.
func (s *Service) BeginEnrollment(ctx context.Context, actor Actor) (string, json.RawMessage, error) {
	if !mayEnroll(actor) {
		return "", nil, ErrForbidden
	}
	c := ceremony{ID: newID(), Kind: "enroll", Person: actor.Person, Login: actor.Login}
	var options *protocol.CredentialCreation
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		h, err := s.holder(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		if len(h.keys) >= maxPasskeys {
			return ErrForbidden
		}
		if len(h.keys) > 0 {
			if err := s.steppedUp(ctx, tx, actor); err != nil {
				return err
			}
		}
		if options, err = s.beginRegistration(h, &c); err != nil {
			return err
		}
		return insertCeremony(ctx, tx, c)
	})
	if err != nil {
		return "", nil, err
	}
	return marshalOptions(c.ID, options.Response)
}

// beginRegistration makes the options of an enrollment and keeps their challenge in c.
func (s *Service) beginRegistration(h holder, c *ceremony) (*protocol.CredentialCreation, error) {
	options, session, err := s.web.BeginRegistration(h,
		webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()))
	if err != nil {
		return nil, fmt.Errorf("begin enrollment: %w", err)
	}
	c.Session = *session
	return options, nil
}

// mayEnroll: who signed in as a person. A link opens a seat and makes no key.
func mayEnroll(a Actor) bool { return a.Person != "" && a.Login != "" && !a.Guest() }

// FinishEnrollment keeps the key that the browser made: response is the JSON of
// PublicKeyCredential.toJSON(). The ceremony is spent whether it succeeds or not.
func (s *Service) FinishEnrollment(ctx context.Context, actor Actor, id string, response []byte, label string) (Passkey, error) {
	if !mayEnroll(actor) {
		return Passkey{}, ErrForbidden
	}
	c, err := s.spend(ctx, id, "enroll")
	if err != nil {
		return Passkey{}, err
	}
	if c.Person != actor.Person || c.Login != actor.Login {
		return Passkey{}, ErrChallenge
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Passkey{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	var key Passkey
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		key, err = s.enrollment(ctx, tx, actor.Person, c, parsed, label)
		if err != nil {
			return err
		}
		return s.keepPasskey(ctx, tx, actor, &key, "")
	})
	return key, err
}

// enrollment verifies what the authenticator made for the ceremony.
func (s *Service) enrollment(ctx context.Context, tx *audit.Tx, id PersonID, c ceremony, parsed *protocol.ParsedCredentialCreationData, label string) (Passkey, error) {
	if len(label) > 200 {
		return Passkey{}, &Invalid{"label"}
	}
	h, err := s.holder(ctx, tx, id)
	if err != nil {
		return Passkey{}, err
	}
	made, err := s.web.CreateCredential(h, c.Session, parsed)
	if err != nil {
		return Passkey{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	return s.newPasskey(id, made, label)
}

// keepPasskey writes the enrollment leaf and the key that names it: the last thing
// of a command. by is who answered for the person, where somebody did.
func (s *Service) keepPasskey(ctx context.Context, tx *audit.Tx, actor Actor, key *Passkey, by PersonID) error {
	key.Enrolled = tx.Now()
	sum := sha256.Sum256(key.PublicKey)
	e := actor.Event(actEnrolled)
	e.Objects = map[string]string{"person": string(key.Person), "passkey": base64.RawURLEncoding.EncodeToString(key.ID)}
	if by != "" {
		e.Objects["proofed_by"] = string(by)
	}
	e.Hashes = map[string]string{"key": hex.EncodeToString(sum[:])}
	e.Reason = key.Kind
	var err error
	if key.Leaf, err = tx.AppendNow(ctx, e); err != nil {
		return err
	}
	return insertPasskey(ctx, tx, *key)
}

func (s *Service) newPasskey(id PersonID, made *webauthn.Credential, label string) (Passkey, error) {
	algorithm, err := keyAlgorithm(made.PublicKey)
	if err != nil || !allowed(algorithm) {
		return Passkey{}, fmt.Errorf("%w: algorithm %d", ErrAssertion, algorithm)
	}
	k := Passkey{
		ID: made.ID, Person: id, Label: label, Kind: KindPasskey, PublicKey: made.PublicKey, Algorithm: algorithm,
		AAGUID: made.Authenticator.AAGUID, Attestation: made.AttestationFormat, Counter: made.Authenticator.SignCount,
		BackupEligible: made.Flags.BackupEligible, BackupState: made.Flags.BackupState, Transports: []string{},
	}
	for _, t := range made.Transport {
		k.Transports = append(k.Transports, string(t))
	}
	if model := uuid.MustParse(DemonstrationAAGUID); bytes.Equal(k.AAGUID, model[:]) {
		if !s.demo {
			return Passkey{}, ErrForbidden
		}
		k.Kind = KindDemonstration
	}
	return k, nil
}

// RevokePasskey takes a key of the actor out of use. What it signed stays signed.
func (s *Service) RevokePasskey(ctx context.Context, actor Actor, id []byte) error {
	if !mayEnroll(actor) {
		return ErrForbidden
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.steppedUp(ctx, tx, actor); err != nil {
			return err
		}
		if err := revokePasskey(ctx, tx, actor.Person, id); err != nil {
			return err
		}
		e := actor.Event("passkey.revoked")
		e.Objects = map[string]string{"person": string(actor.Person), "passkey": base64.RawURLEncoding.EncodeToString(id)}
		tx.Append(e)
		return nil
	})
}

// BeginSignIn starts a sign-in of whoever holds a passkey for this site. The options
// are the argument of PublicKeyCredential.parseRequestOptionsFromJSON.
func (s *Service) BeginSignIn(ctx context.Context) (string, json.RawMessage, error) {
	options, session, err := s.web.BeginDiscoverableLogin()
	if err != nil {
		return "", nil, fmt.Errorf("begin sign-in: %w", err)
	}
	c := ceremony{ID: newID(), Kind: "signin", Session: *session}
	err = s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		// Anybody may begin, so each sweeps some of those that were left.
		if err := sweepCeremonies(ctx, tx); err != nil {
			return err
		}
		return insertCeremony(ctx, tx, c)
	})
	if err != nil {
		return "", nil, err
	}
	return marshalOptions(c.ID, options.Response)
}

// FinishSignIn makes the login of the person whose passkey answered. Its errors do
// not tell an unknown key from a wrong signature.
func (s *Service) FinishSignIn(ctx context.Context, id string, response []byte) (token string, person PersonID, err error) {
	c, err := s.spend(ctx, id, "signin")
	if err != nil {
		return "", "", err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	err = s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		var h holder
		_, used, err := s.web.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
			u, err := uuid.FromBytes(handle)
			if err != nil {
				return nil, err
			}
			h, err = s.holder(ctx, tx, PersonID(u.String()))
			return h, err
		}, c.Session, parsed)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAssertion, err)
		}
		person = h.person.ID
		if err := s.keyUsed(ctx, tx, Actor{Person: person}, used); err != nil {
			return err
		}
		token, err = s.startLogin(ctx, tx, person, FactorPasskey, used.ID)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return token, person, nil
}

// BeginStepUp starts proving that the actor is still there.
func (s *Service) BeginStepUp(ctx context.Context, actor Actor) (string, json.RawMessage, error) {
	if !mayEnroll(actor) {
		return "", nil, ErrForbidden
	}
	c := ceremony{ID: newID(), Kind: "stepup", Person: actor.Person, Login: actor.Login}
	var options *protocol.CredentialAssertion
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		h, err := s.holder(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		if len(h.keys) == 0 {
			return ErrNoPasskey
		}
		var session *webauthn.SessionData
		if options, session, err = s.web.BeginLogin(h); err != nil {
			return fmt.Errorf("begin step-up: %w", err)
		}
		c.Session = *session
		return insertCeremony(ctx, tx, c)
	})
	if err != nil {
		return "", nil, err
	}
	return marshalOptions(c.ID, options.Response)
}

// FinishStepUp makes the actor's login fresh and gives it a new token; the old one
// is dead.
func (s *Service) FinishStepUp(ctx context.Context, actor Actor, id string, response []byte) (token string, err error) {
	c, err := s.spend(ctx, id, "stepup")
	if err != nil {
		return "", err
	}
	if c.Person != actor.Person || c.Login != actor.Login {
		return "", ErrChallenge
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		l, err := lockLogin(ctx, tx, actor.Login)
		if err != nil {
			return err
		}
		h, err := s.holder(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		used, err := s.web.ValidateLogin(h, c.Session, parsed)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAssertion, err)
		}
		if err := s.keyUsed(ctx, tx, actor, used); err != nil {
			return err
		}
		var hash []byte
		token, hash = newToken()
		if err := renewLogin(ctx, tx, l.ID, hash, l.Organization, used.ID); err != nil {
			return err
		}
		tx.Append(loginEvent(actor, "login.stepped_up", l, ""))
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// AssertionOptions are the options with which the actor signs a document whose
// challenge is given: the argument of PublicKeyCredential.parseRequestOptionsFromJSON.
// ErrNoPasskey means that a key has to be made first.
func (s *Service) AssertionOptions(ctx context.Context, actor Actor, challenge []byte) (json.RawMessage, error) {
	if !mayEnroll(actor) {
		return nil, ErrForbidden
	}
	keys, err := s.Passkeys(ctx, actor.Person)
	if err != nil {
		return nil, err
	}
	h := holder{person: Person{ID: actor.Person}, keys: s.usable(keys)}
	if len(h.keys) == 0 {
		return nil, ErrNoPasskey
	}
	options, _, err := s.web.BeginLogin(h, webauthn.WithChallenge(challenge))
	if err != nil {
		return nil, fmt.Errorf("assertion options: %w", err)
	}
	return json.Marshal(options.Response)
}

// VerifyAssertion verifies, inside the transaction that keeps what is signed, the
// actor's answer to a document's challenge. That the challenge is this document's,
// unused and in time is the caller's to see to.
func (s *Service) VerifyAssertion(ctx context.Context, tx *audit.Tx, actor Actor, challenge, response []byte) (Assertion, error) {
	if !mayEnroll(actor) {
		return Assertion{}, ErrForbidden
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if h := parsed.Response.UserHandle; len(h) > 0 && !bytes.Equal(h, userHandle(actor.Person)) {
		return Assertion{}, fmt.Errorf("%w: another person's key", ErrAssertion)
	}
	k, err := lockPasskey(ctx, tx, actor.Person, parsed.RawID)
	if errors.Is(err, ErrNotFound) {
		return Assertion{}, fmt.Errorf("%w: no key of this person", ErrAssertion)
	}
	if err != nil {
		return Assertion{}, err
	}
	if k.Kind == KindDemonstration && !s.demo {
		return Assertion{}, ErrForbidden
	}
	raw, flags := parsed.Raw.AssertionResponse, parsed.Response.AuthenticatorData.Flags
	a := Assertion{
		CredentialID: k.ID, PublicKey: k.PublicKey, Algorithm: k.Algorithm,
		ClientData: raw.ClientDataJSON, AuthenticatorData: raw.AuthenticatorData, Signature: raw.Signature,
		RPID: s.rpID, Origin: parsed.Response.CollectedClientData.Origin, Kind: k.Kind,
		UserPresent: flags.HasUserPresent(), UserVerified: flags.HasUserVerified(),
		BackupEligible: flags.HasBackupEligible(), BackupState: flags.HasBackupState(),
		Counter: parsed.Response.AuthenticatorData.Counter, AAGUID: k.AAGUID, EnrollmentLeaf: k.Leaf,
	}
	if err := VerifySignature(a, challenge, s.rpID, s.origins); err != nil {
		return Assertion{}, err
	}
	if a.BackupEligible != k.BackupEligible {
		return Assertion{}, fmt.Errorf("%w: eligibility for backup never changes", ErrAssertion)
	}
	c := k.credential()
	c.Authenticator.UpdateCounter(a.Counter)
	c.Flags.BackupState = a.BackupState
	return a, s.keyUsed(ctx, tx, actor, &c)
}

// keyUsed remembers counter and flags. A counter that went back means a copy of the
// key may exist: an event that raises an alarm, while the person is not locked out.
func (s *Service) keyUsed(ctx context.Context, tx *audit.Tx, actor Actor, c *webauthn.Credential) error {
	if c.Authenticator.CloneWarning {
		e := actor.Event("passkey.counter_went_back")
		e.Objects = map[string]string{"person": string(actor.Person), "passkey": base64.RawURLEncoding.EncodeToString(c.ID)}
		tx.Append(e)
	}
	return updatePasskey(ctx, tx, c.ID, c.Authenticator.SignCount, c.Flags.BackupState)
}

// holder loads a person who is not disabled, with the keys that count here.
func (s *Service) holder(ctx context.Context, tx *audit.Tx, id PersonID) (holder, error) {
	p, err := s.PersonTx(ctx, tx, id)
	if err != nil {
		return holder{}, err
	}
	if p.Disabled {
		return holder{}, ErrNotFound
	}
	keys, err := passkeys(ctx, tx, id)
	return holder{p, s.usable(keys)}, err
}

// spend takes a ceremony out of use in a transaction of its own, so that an answer
// is tried once, whatever comes of it.
func (s *Service) spend(ctx context.Context, id, kind string) (c ceremony, err error) {
	if !isID(id) {
		return c, ErrChallenge
	}
	err = s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		c, err = spendCeremony(ctx, tx, id, kind)
		return err
	})
	return c, err
}

func marshalOptions(id string, options any) (string, json.RawMessage, error) {
	raw, err := json.Marshal(options)
	return id, raw, err
}
