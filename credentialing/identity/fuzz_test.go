package identity

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What parseObject takes, encoding/json takes too, and writing the result and reading
// it again loses no key: no duplicate slipped in.
func FuzzObjectsAreReadStrictly(f *testing.F) {
	for _, s := range []string{
		`{"type":"webauthn.get","challenge":"AAAA","origin":"http://localhost:8080","crossOrigin":false}`,
		`{"a":1,"a":2}`, `{"a":{"b":[1,{"c":null}]}}`, `{"a":1} x`, `{"a":1e400}`, "{\"\xff\":1}", `{"\u0061":1,"a":2}`, `[`, ``, `{"a":`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := parseObject(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("took invalid JSON %q", data)
		}
		written, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseObject(written)
		if err != nil {
			t.Fatalf("%q written as %q: %v", data, written, err)
		}
		twice, err := json.Marshal(again)
		if err != nil || !bytes.Equal(written, twice) {
			t.Fatalf("%q became %q", written, twice)
		}
	})
}

// Authenticator data that strangers send never panics, and what is taken is long
// enough and says what its flags say.
func FuzzAuthenticatorData(f *testing.F) {
	f.Add(make([]byte, 37))
	f.Add(make([]byte, 36))
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, data []byte) {
		flags, _, err := parseAuthenticatorData(data, "localhost")
		if err == nil && (len(data) < 37 || flags.present != (data[32]&flagPresent != 0)) {
			t.Fatalf("took %x", data)
		}
		if err := VerifySignature(Assertion{PublicKey: data, AuthenticatorData: data, ClientData: data, Signature: data}, make([]byte, 32), "localhost", nil); err == nil {
			t.Fatal("verified nonsense")
		}
		if len(data) > 0 {
			_, _ = keyAlgorithm(data) // must not panic
		}
	})
}
