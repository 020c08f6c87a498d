// Package demokey is the demonstration key in Go: a P-256 key that answers WebAuthn
// options as an authenticator would. The page makes the same with WebCrypto where a
// browser has no authenticator; the seed of the standing cast and the tests use this
// one. The server takes such keys in demo only and calls them demonstrations.
//
// What both must build:
//
//   - clientDataJSON: {"type":"webauthn.create" or "webauthn.get","challenge":…,
//     "origin":…,"crossOrigin":false}, the challenge as it stands in the options.
//   - authenticatorData: SHA-256 of the RP id, flags (user present 0x01, verified
//     0x04, and 0x40 when made), a counter of four bytes that stays zero, and when
//     made the AAGUID of [identity.DemonstrationAAGUID], two bytes of length, the
//     credential id and the COSE key {1:2, 3:-7, -1:1, -2:x, -3:y}.
//   - attestationObject: CBOR {"fmt":"none","attStmt":{},"authData":…}.
//   - signature: ECDSA with SHA-256 over authenticatorData || SHA-256(clientDataJSON),
//     in ASN.1 DER. WebCrypto gives r || s, which the page has to convert.
package demokey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Flags of authenticator data (WebAuthn Level 3 §6.1).
const (
	UserPresent  = 0x01
	UserVerified = 0x04
	attested     = 0x40
)

// Key is a credential at one site. The fields may be spoiled by tests.
type Key struct {
	ID      []byte
	RPID    string
	Origin  string
	AAGUID  uuid.UUID
	Flags   byte
	Counter uint32
	// Handle is the user handle kept when the key was made.
	Handle []byte

	private *ecdsa.PrivateKey
}

// New returns a fresh demonstration key for pages of the origin.
func New(rpID, origin string) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 32)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	return &Key{
		ID: id, RPID: rpID, Origin: origin, AAGUID: uuid.MustParse(identity.DemonstrationAAGUID),
		Flags: UserPresent | UserVerified, private: private,
	}, nil
}

// Create answers the options of an enrollment, as PublicKeyCredential.toJSON() would.
func (k *Key) Create(options json.RawMessage) ([]byte, error) {
	var o struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	err := json.Unmarshal(options, &o)
	if err != nil {
		return nil, err
	}
	if k.Handle, err = base64.RawURLEncoding.DecodeString(o.User.ID); err != nil {
		return nil, err
	}
	cose, err := k.cose()
	if err != nil {
		return nil, err
	}
	data := k.authenticatorData(k.Flags | attested)
	data = append(data, k.AAGUID[:]...)
	data = append(data, byte(len(k.ID)>>8), byte(len(k.ID)))
	data = append(data, k.ID...)
	data = append(data, cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		return nil, err
	}
	return k.answer(map[string]any{
		"clientDataJSON":    k.clientData("webauthn.create", o.Challenge),
		"attestationObject": object,
		"transports":        []string{"internal"},
	})
}

// Get answers the options of a sign-in, a step-up or a signature.
func (k *Key) Get(options json.RawMessage) ([]byte, error) {
	var o struct {
		Challenge string `json:"challenge"`
		Allow     []struct {
			ID string `json:"id"`
		} `json:"allowCredentials"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	if len(o.Allow) > 0 && !slices.ContainsFunc(o.Allow, func(a struct {
		ID string `json:"id"`
	}) bool {
		return a.ID == encode(k.ID)
	}) {
		return nil, errors.New("demokey: the options do not ask for this key")
	}
	return k.Assert(k.clientData("webauthn.get", o.Challenge))
}

// Assert signs client data as it is given.
func (k *Key) Assert(clientData []byte) ([]byte, error) {
	data := k.authenticatorData(k.Flags)
	hash := sha256.Sum256(clientData)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"clientDataJSON": clientData, "authenticatorData": data, "signature": signature}
	if k.Handle != nil {
		answer["userHandle"] = k.Handle
	}
	return k.answer(answer)
}

func (k *Key) clientData(kind, challenge string) []byte {
	raw, err := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}{kind, challenge, k.Origin, false})
	if err != nil {
		panic(err) // strings only
	}
	return raw
}

func (k *Key) authenticatorData(flags byte) []byte {
	site := sha256.Sum256([]byte(k.RPID))
	c := k.Counter
	return append(site[:], flags, byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

// cose is the public key as COSE_Key (RFC 9053 §7.1.1).
func (k *Key) cose() ([]byte, error) {
	point, err := k.private.PublicKey.Bytes() // 0x04 || x || y
	if err != nil {
		return nil, fmt.Errorf("demokey: %w", err)
	}
	return webauthncbor.Marshal(map[int]any{1: 2, 3: identity.AlgorithmES256, -1: 1, -2: point[1:33], -3: point[33:]})
}

// answer is the JSON of a PublicKeyCredential; bytes become base64url.
func (k *Key) answer(response map[string]any) ([]byte, error) {
	for name, v := range response {
		if b, ok := v.([]byte); ok {
			response[name] = encode(b)
		}
	}
	return json.Marshal(map[string]any{
		"id": encode(k.ID), "rawId": encode(k.ID), "type": "public-key", "authenticatorAttachment": "platform",
		"response": response, "clientExtensionResults": map[string]any{},
	})
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
