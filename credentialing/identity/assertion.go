package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// COSE algorithms a key may have (design: security, section 12).
const (
	AlgorithmES256 = -7
	AlgorithmEdDSA = -8
	AlgorithmRS256 = -257
)

// Kinds of keys.
const (
	KindPasskey       = "passkey"
	KindDemonstration = "demonstration"
)

// Assertion is a verified signature of a person's key over a challenge, with all
// that verifying it again offline needs. It is stored with what was signed.
type Assertion struct {
	CredentialID      []byte `json:"credential_id"`
	PublicKey         []byte `json:"public_key"` // COSE_Key
	Algorithm         int    `json:"algorithm"`  // COSE
	ClientData        []byte `json:"client_data"`
	AuthenticatorData []byte `json:"authenticator_data"`
	Signature         []byte `json:"signature"`
	RPID              string `json:"rp_id"`
	Origin            string `json:"origin"`
	Kind              string `json:"kind"` // KindPasskey or KindDemonstration
	UserPresent       bool   `json:"user_present"`
	UserVerified      bool   `json:"user_verified"`
	BackupEligible    bool   `json:"backup_eligible"`
	BackupState       bool   `json:"backup_state"`
	Counter           uint32 `json:"counter"`
	AAGUID            []byte `json:"aaguid"`
	EnrollmentLeaf    int64  `json:"enrollment_leaf"`
}

// VerifySignature verifies an assertion over the challenge for a site. It is pure:
// the server calls it when somebody signs, the offline verifier years later. What
// the Assertion says about itself is compared with the signed bytes, not believed.
func VerifySignature(a Assertion, challenge []byte, rpID string, origins []string) error {
	if err := verifySignature(a, challenge, rpID, origins); err != nil {
		return fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	return nil
}

func verifySignature(a Assertion, challenge []byte, rpID string, origins []string) error {
	if len(challenge) < 16 {
		return errors.New("challenge too short")
	}
	if err := verifyClientData(a, challenge, origins); err != nil {
		return err
	}
	flags, counter, err := parseAuthenticatorData(a.AuthenticatorData, rpID)
	if err != nil {
		return err
	}
	said := authenticatorFlags{a.UserPresent, a.UserVerified, a.BackupEligible, a.BackupState}
	if said != flags || a.Counter != counter || a.RPID != rpID {
		return errors.New("the record does not say what the authenticator signed")
	}
	switch {
	case !flags.present:
		return errors.New("user not present")
	case !flags.verified:
		return errors.New("user not verified")
	case flags.backedUp && !flags.backupEligible:
		return errors.New("backed up without being eligible")
	}
	hash := sha256.Sum256(a.ClientData)
	return verifyBytes(a.PublicKey, a.Algorithm, slices.Concat(a.AuthenticatorData, hash[:]), a.Signature)
}

func verifyClientData(a Assertion, challenge []byte, origins []string) error {
	data, err := parseObject(a.ClientData)
	if err != nil {
		return fmt.Errorf("client data: %w", err)
	}
	origin, _ := data["origin"].(string)
	if data["type"] != "webauthn.get" {
		return errors.New("client data: not an assertion")
	}
	if data["challenge"] != base64.RawURLEncoding.EncodeToString(challenge) {
		return errors.New("client data: another challenge")
	}
	if origin != a.Origin || !slices.Contains(origins, origin) {
		return errors.New("client data: another origin")
	}
	if cross, there := data["crossOrigin"]; there && cross != false {
		return errors.New("client data: signed inside another site's page")
	}
	if _, there := data["topOrigin"]; there {
		return errors.New("client data: signed inside another site's page")
	}
	return nil
}

type authenticatorFlags struct{ present, verified, backupEligible, backedUp bool }

// Flags of authenticator data (WebAuthn Level 3 §6.1).
const (
	flagPresent        = 0x01
	flagVerified       = 0x04
	flagBackupEligible = 0x08
	flagBackedUp       = 0x10
	flagAttested       = 0x40
	flagExtensions     = 0x80
)

// parseAuthenticatorData reads that of an assertion: 32 bytes hash of the RP id,
// one of flags, four of the counter, then extensions where flagged.
func parseAuthenticatorData(b []byte, rpID string) (authenticatorFlags, uint32, error) {
	var f authenticatorFlags
	if len(b) < 37 {
		return f, 0, errors.New("authenticator data too short")
	}
	if want := sha256.Sum256([]byte(rpID)); !bytes.Equal(b[:32], want[:]) {
		return f, 0, errors.New("authenticator data: another site")
	}
	bits := b[32]
	if bits&flagAttested != 0 || (bits&flagExtensions != 0) != (len(b) > 37) {
		return f, 0, errors.New("authenticator data: not that of an assertion")
	}
	f = authenticatorFlags{bits&flagPresent != 0, bits&flagVerified != 0, bits&flagBackupEligible != 0, bits&flagBackedUp != 0}
	return f, uint32(b[33])<<24 | uint32(b[34])<<16 | uint32(b[35])<<8 | uint32(b[36]), nil
}

func verifyBytes(coseKey []byte, algorithm int, signed, signature []byte) error {
	key, err := webauthncose.ParsePublicKey(coseKey)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	var actual int64
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		actual = k.Algorithm
	case webauthncose.OKPPublicKeyData:
		actual = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		actual = k.Algorithm
	}
	if int64(algorithm) != actual || !allowed(algorithm) {
		return fmt.Errorf("algorithm %d is not allowed for this key", algorithm)
	}
	ok, err := webauthncose.VerifySignature(key, signed, signature)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if !ok {
		return errors.New("signature does not match")
	}
	return nil
}

func allowed(algorithm int) bool {
	return algorithm == AlgorithmES256 || algorithm == AlgorithmEdDSA || algorithm == AlgorithmRS256
}

// keyAlgorithm reads the COSE algorithm of a public key.
func keyAlgorithm(coseKey []byte) (int, error) {
	key, err := webauthncose.ParsePublicKey(coseKey)
	if err != nil {
		return 0, err
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return int(k.Algorithm), nil
	case webauthncose.OKPPublicKeyData:
		return int(k.Algorithm), nil
	case webauthncose.RSAPublicKeyData:
		return int(k.Algorithm), nil
	}
	return 0, errors.New("unknown kind of key")
}

// actEnrolled is the act of an enrollment leaf.
const actEnrolled = "passkey.enrolled"

// VerifyEnrollment verifies that the leaf enrolled the assertion's key for that
// person, as the kind the assertion says. The leaf's inclusion in the log is the
// caller's to verify. It is pure.
func VerifyEnrollment(leaf audit.Leaf, a Assertion, person PersonID) error {
	sum := sha256.Sum256(a.PublicKey)
	switch e := leaf.Event; {
	case leaf.Index != a.EnrollmentLeaf,
		e.Act != actEnrolled,
		e.Objects["person"] != string(person),
		e.Objects["passkey"] != base64.RawURLEncoding.EncodeToString(a.CredentialID),
		e.Hashes["key"] != hex.EncodeToString(sum[:]):
		return fmt.Errorf("%w: the key is not the one enrolled for this person", ErrAssertion)
	case e.Reason != a.Kind:
		return fmt.Errorf("%w: enrolled as %s", ErrAssertion, e.Reason)
	}
	return nil
}

// parseObject reads one JSON object, refusing a key twice at any depth and bytes
// behind it; encoding/json would silently take the last, or one in other letters.
func parseObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("invalid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("bytes behind the object")
	}
	return object, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > 16 { // client data has depth one, with room for what browsers may add
		return nil, errors.New("nested too deeply")
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	object, list := map[string]any{}, []any{}
	for dec.More() {
		key := ""
		if open == '{' {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			key = k.(string) // the decoder gives only strings here
			if _, twice := object[key]; twice {
				return nil, fmt.Errorf("key %q twice", key)
			}
		}
		v, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		object[key] = v
		list = append(list, v)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if open == '{' {
		return object, nil
	}
	return list, nil
}
