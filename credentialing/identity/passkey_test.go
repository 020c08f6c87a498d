package identity_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/demokey"
	"github.com/consilium-health/consilium/credentialing/identity/identitytest"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signIn goes through a sign-in with the key.
func (h *house) signIn(t *testing.T, s *identity.Service, key *demokey.Key) (string, identity.PersonID, error) {
	t.Helper()
	ceremony, options, err := s.BeginSignIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.FinishSignIn(t.Context(), ceremony, must[[]byte](t)(key.Get(options)))
}

func (h *house) verify(actor identity.Actor, challenge, response []byte) (a identity.Assertion, err error) {
	ctx := context.Background()
	err = h.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err = h.VerifyAssertion(ctx, tx, actor, challenge, response)
		return err
	})
	return a, err
}

func TestEnrolledKeySignsItsPersonIn(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	key := identitytest.NewPasskey(t)
	before := h.size(t)
	made := identitytest.Enroll(t, h.Service, h.cast.Local.Actor, key)
	if made.Kind != identity.KindPasskey || made.Leaf != before || !bytes.Equal(made.ID, key.ID) || made.Algorithm != identity.AlgorithmES256 {
		t.Errorf("made %+v", made)
	}
	stored := must[[]identity.Passkey](t)(h.Passkeys(ctx, h.cast.Local.ID))
	if diff := cmp.Diff(stored, []identity.Passkey{made}); diff != "" {
		t.Error(diff)
	}
	token, person, err := h.signIn(t, identitytest.Serve(t, h.db), key)
	if err != nil || person != h.cast.Local.ID {
		t.Fatalf("signed in as %s, %v", person, err)
	}
	a, l, err := h.Authenticate(ctx, token)
	if err != nil || a.Person != h.cast.Local.ID || l.Factor != identity.FactorPasskey || !l.SteppedUp(h.db.Now()) {
		t.Errorf("login %+v, %v; want a fresh one by passkey", l, err)
	}
	if token == h.cast.Local.Token || a.Login == h.cast.Local.Actor.Login {
		t.Error("signing in gave the old login")
	}
	if diff := cmp.Diff(h.acts(t, before), []string{"passkey.enrolled", "login.started"}); diff != "" {
		t.Error(diff)
	}
	stored = must[[]identity.Passkey](t)(h.Passkeys(ctx, h.cast.Local.ID))
	if !stored[0].LastUsed.Equal(h.db.Now()) {
		t.Errorf("last used %v", stored[0].LastUsed)
	}
}

func TestEnrollmentOptionsAskForVerifiedDiscoverableKeys(t *testing.T) {
	h := newHouse(t)
	first := h.cast.Local.Key(t)
	_, raw, err := h.BeginEnrollment(t.Context(), h.cast.Local.Actor)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		RP        struct{ ID, Name string }
		User      struct{ ID, Name string }
		Challenge string
		Params    []struct{ Alg int }                            `json:"pubKeyCredParams"`
		Exclude   []struct{ ID string }                          `json:"excludeCredentials"`
		Selection struct{ ResidentKey, UserVerification string } `json:"authenticatorSelection"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	if o.RP.ID != "localhost" || o.User.Name != h.cast.Local.Name || len(o.Challenge) != 43 ||
		o.Selection.ResidentKey != "required" || o.Selection.UserVerification != "required" {
		t.Errorf("options %s", raw)
	}
	for _, p := range o.Params {
		if p.Alg != -7 && p.Alg != -8 && p.Alg != -257 {
			t.Errorf("offers algorithm %d", p.Alg)
		}
	}
	if len(o.Exclude) != 1 || o.Exclude[0].ID != base64.RawURLEncoding.EncodeToString(first.ID) {
		t.Errorf("excludes %v, want the key that is there", o.Exclude)
	}
}

func TestSignInRefusesWhatDoesNotVerify(t *testing.T) {
	h := newHouse(t)
	for name, spoil := range map[string]func(*demokey.Key){
		"user not verified": func(k *demokey.Key) { k.Flags = demokey.UserPresent },
		"user not present":  func(k *demokey.Key) { k.Flags = demokey.UserVerified },
		"another site":      func(k *demokey.Key) { k.RPID = "evil.test" },
		"another origin":    func(k *demokey.Key) { k.Origin = "http://localhost:8081" },
		"no user handle":    func(k *demokey.Key) { k.Handle = nil },
		"another person":    func(k *demokey.Key) { k.Handle = bytes.Repeat([]byte{1}, 16) },
		"unknown key":       func(k *demokey.Key) { k.ID = []byte("unknown") },
		"backup flag alone": func(k *demokey.Key) { k.Flags |= 0x10 },
		"backup eligible":   func(k *demokey.Key) { k.Flags |= 0x08 },
	} {
		key := identitytest.NewPasskey(t)
		someone := identitytest.Add(t, h.Service, identity.Person{Name: "S", Language: "en", Zone: "UTC"})
		identitytest.Enroll(t, h.Service, someone.Actor, key)
		spoil(key)
		if token, _, err := h.signIn(t, h.Service, key); !errors.Is(err, identity.ErrAssertion) || token != "" {
			t.Errorf("%s: %v, want ErrAssertion", name, err)
		}
	}
	stranger := identitytest.NewPasskey(t)
	stranger.ID, stranger.Handle = h.cast.Local.Key(t).ID, h.cast.Local.Key(t).Handle
	if _, _, err := h.signIn(t, h.Service, stranger); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("another private key under a known id: %v, want ErrAssertion", err)
	}
}

func TestEnrollmentRefusesWhatDoesNotVerify(t *testing.T) {
	h := newHouse(t)
	for name, spoil := range map[string]func(*demokey.Key){
		"user not verified": func(k *demokey.Key) { k.Flags = demokey.UserPresent },
		"another site":      func(k *demokey.Key) { k.RPID = "evil.test" },
		"another origin":    func(k *demokey.Key) { k.Origin = "http://evil.test" },
	} {
		key := identitytest.NewPasskey(t)
		spoil(key)
		ceremony, options, err := h.BeginEnrollment(t.Context(), h.cast.Local.Actor)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.FinishEnrollment(t.Context(), h.cast.Local.Actor, ceremony, must[[]byte](t)(key.Create(options)), "")
		if !errors.Is(err, identity.ErrAssertion) {
			t.Errorf("%s: %v, want ErrAssertion", name, err)
		}
	}
	key := h.cast.Local.Key(t)
	ceremony, options, err := h.BeginEnrollment(t.Context(), h.cast.OtherLocal.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.FinishEnrollment(t.Context(), h.cast.OtherLocal.Actor, ceremony, must[[]byte](t)(key.Create(options)), ""); !errors.Is(err, identity.ErrExists) {
		t.Errorf("a key of another person: %v, want ErrExists", err)
	}
	if keys := must[[]identity.Passkey](t)(h.Passkeys(t.Context(), h.cast.OtherLocal.ID)); len(keys) != 0 {
		t.Errorf("enrolled %v", keys)
	}
}

func TestDemonstrationKeyIsTakenInDemoOnly(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	serve := identitytest.Serve(t, h.db)
	me := h.cast.Local
	ceremony, options, err := serve.BeginEnrollment(ctx, me.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serve.FinishEnrollment(ctx, me.Actor, ceremony, must[[]byte](t)(identitytest.NewKey(t).Create(options)), ""); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("enrolls in serve: %v, want ErrForbidden", err)
	}

	// One enrolled in demo is of no use once the same database is served.
	key := me.Key(t)
	made := must[[]identity.Passkey](t)(h.Passkeys(ctx, me.ID))
	if len(made) != 1 || made[0].Kind != identity.KindDemonstration {
		t.Fatalf("made %+v, want a demonstration", made)
	}
	if _, _, err := h.signIn(t, serve, key); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("signs in to serve: %v", err)
	}
	challenge := bytes.Repeat([]byte{7}, 32)
	if _, err := serve.AssertionOptions(ctx, me.Actor, challenge); !errors.Is(err, identity.ErrNoPasskey) {
		t.Errorf("is asked to sign in serve: %v", err)
	}
	answer := me.Sign(t, challenge)
	err = h.db.Write(ctx, me.Actor.Scope(), func(tx *audit.Tx) error {
		_, err := serve.VerifyAssertion(ctx, tx, me.Actor, challenge, answer)
		return err
	})
	if !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("signs in serve: %v, want ErrForbidden", err)
	}
	a, err := h.verify(me.Actor, challenge, answer)
	if err != nil || a.Kind != identity.KindDemonstration {
		t.Errorf("signs in demo as %q, %v", a.Kind, err)
	}
}

func TestCeremonyIsSpentOnceInTimeByItsOwnLogin(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me, key := h.cast.Local, h.cast.Local.Key(t)
	begin := func() (string, []byte) {
		ceremony, options, err := h.BeginSignIn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return ceremony, must[[]byte](t)(key.Get(options))
	}
	first, answer := begin()
	if _, _, err := h.FinishSignIn(ctx, first, answer); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.FinishSignIn(ctx, first, answer); !errors.Is(err, identity.ErrChallenge) {
		t.Errorf("replayed: %v, want ErrChallenge", err)
	}
	second, _ := begin()
	if _, _, err := h.FinishSignIn(ctx, second, answer); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("answer to another challenge: %v, want ErrAssertion", err)
	}
	late, answer := begin()
	h.pass(5 * time.Minute)
	if _, _, err := h.FinishSignIn(ctx, late, answer); !errors.Is(err, identity.ErrChallenge) {
		t.Errorf("late: %v, want ErrChallenge", err)
	}
	for _, id := range []string{"", "x", "0193a000-0000-7000-8000-00000000000a"} {
		if _, _, err := h.FinishSignIn(ctx, id, answer); !errors.Is(err, identity.ErrChallenge) {
			t.Errorf("ceremony %q: %v, want ErrChallenge", id, err)
		}
	}
	enroll, options, err := h.BeginEnrollment(ctx, me.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.FinishSignIn(ctx, enroll, answer); !errors.Is(err, identity.ErrChallenge) {
		t.Errorf("ceremony of another kind: %v, want ErrChallenge", err)
	}
	other := identitytest.SignIn(t, h.Service, me.ID)
	if _, err := h.FinishEnrollment(ctx, other.Actor, enroll, must[[]byte](t)(identitytest.NewKey(t).Create(options)), ""); !errors.Is(err, identity.ErrChallenge) {
		t.Errorf("another login's ceremony: %v, want ErrChallenge", err)
	}
}

func TestRacingAnswersToOneCeremonyGiveOneLogin(t *testing.T) {
	h := newHouse(t)
	key := h.cast.Local.Key(t)
	ceremony, options, err := h.BeginSignIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := must[[]byte](t)(key.Get(options))
	before := h.size(t)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, _, err := h.FinishSignIn(t.Context(), ceremony, answer); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, identity.ErrChallenge):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 49 || h.size(t) != before+1 {
		t.Errorf("%d won, %d lost, %d leaves; want 1, 49, 1", won.Load(), lost.Load(), h.size(t)-before)
	}
}

func TestRacingEnrollmentsKeepEachKeyOnceWithItsOwnLeaf(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := h.cast.Local
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			key := identitytest.NewPasskey(t)
			ceremony, options, err := h.BeginEnrollment(ctx, me.Actor)
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := key.Create(options)
			if err != nil {
				t.Error(err)
				return
			}
			var done atomic.Int32
			var twice sync.WaitGroup
			for range 2 {
				twice.Go(func() {
					if _, err := h.FinishEnrollment(ctx, me.Actor, ceremony, answer, ""); err == nil {
						done.Add(1)
					} else if !errors.Is(err, identity.ErrChallenge) {
						t.Error(err)
					}
				})
			}
			twice.Wait()
			if done.Load() != 1 {
				t.Errorf("one ceremony enrolled %d times", done.Load())
			}
		})
	}
	wg.Wait()
	keys := must[[]identity.Passkey](t)(h.Passkeys(ctx, me.ID))
	if len(keys) != 12 {
		t.Errorf("%d keys, want 12", len(keys))
	}
	for _, k := range keys {
		h.enrolled(t, k)
	}
}

// enrolled fails unless the key's leaf is its enrollment.
func (h *house) enrolled(t *testing.T, k identity.Passkey) {
	t.Helper()
	a := identity.Assertion{CredentialID: k.ID, PublicKey: k.PublicKey, Kind: k.Kind, EnrollmentLeaf: k.Leaf}
	if err := h.db.Read(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
		leaf, err := h.db.Leaf(t.Context(), tx, k.Leaf)
		if err != nil {
			return err
		}
		return identity.VerifyEnrollment(leaf, a, k.Person)
	}); err != nil {
		t.Error(err)
	}
}

func TestDocumentSignatureVerifiesOfflineWithItsEnrollment(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := h.cast.Local
	challenge := bytes.Repeat([]byte{9}, 32)
	a, err := h.verify(me.Actor, challenge, me.Sign(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var again identity.Assertion
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if err := identity.VerifySignature(again, challenge, "localhost", []string{"http://localhost:8080"}); err != nil {
		t.Errorf("after storing: %v", err)
	}
	secret, _, err := audit.GenerateKey("consilium.test/log")
	if err != nil {
		t.Fatal(err)
	}
	signer := must[audit.Signer](t)(audit.NewSigner(secret))
	checkpoint := must[[]byte](t)(h.db.Checkpoint(ctx, signer))
	size := must[audit.Checkpoint](t)(signer.Verifier().Open(checkpoint)).Size
	proof := must[audit.Proof](t)(h.db.Prove(ctx, nil, a.EnrollmentLeaf, size))
	if err := audit.VerifyProof(proof, checkpoint, signer.Verifier()); err != nil {
		t.Fatal(err)
	}
	leaf := must[audit.Leaf](t)(proof.Event())
	if err := identity.VerifyEnrollment(leaf, a, me.ID); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*identity.Assertion, *identity.PersonID){
		"another person":     func(_ *identity.Assertion, p *identity.PersonID) { *p = h.cast.OtherLocal.ID },
		"another key":        func(a *identity.Assertion, _ *identity.PersonID) { a.PublicKey = append([]byte{0}, a.PublicKey...) },
		"another credential": func(a *identity.Assertion, _ *identity.PersonID) { a.CredentialID = []byte("x") },
		"another leaf":       func(a *identity.Assertion, _ *identity.PersonID) { a.EnrollmentLeaf-- },
		"called a passkey":   func(a *identity.Assertion, _ *identity.PersonID) { a.Kind = identity.KindPasskey },
	} {
		b, p := a, me.ID
		spoil(&b, &p)
		if err := identity.VerifyEnrollment(leaf, b, p); !errors.Is(err, identity.ErrAssertion) {
			t.Errorf("%s: %v, want ErrAssertion", name, err)
		}
	}
}

func TestNobodySignsWithAnothersKeyOrForAnotherDocument(t *testing.T) {
	h := newHouse(t)
	me, other := h.cast.Local, h.cast.OtherLocal
	challenge := bytes.Repeat([]byte{1}, 32)
	answer := me.Sign(t, challenge)
	for name, tc := range map[string]struct {
		actor     identity.Actor
		challenge []byte
		answer    []byte
		want      error
	}{
		"another person":   {other.Actor, challenge, answer, identity.ErrAssertion},
		"another document": {me.Actor, bytes.Repeat([]byte{2}, 32), answer, identity.ErrAssertion},
		"no answer":        {me.Actor, challenge, nil, identity.ErrAssertion},
		"not JSON":         {me.Actor, challenge, []byte("{"), identity.ErrAssertion},
		"nobody":           {identity.Actor{}, challenge, answer, identity.ErrForbidden},
		"a job":            {identity.System("seed", ""), challenge, answer, identity.ErrForbidden},
	} {
		if _, err := h.verify(tc.actor, tc.challenge, tc.answer); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := h.verify(me.Actor, challenge, answer); err != nil {
		t.Error(err)
	}
	if err := h.RevokePasskey(t.Context(), me.Actor, me.Key(t).ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.verify(me.Actor, challenge, answer); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("revoked key: %v, want ErrAssertion", err)
	}
	if _, err := h.AssertionOptions(t.Context(), me.Actor, challenge); !errors.Is(err, identity.ErrNoPasskey) {
		t.Errorf("options without keys: %v, want ErrNoPasskey", err)
	}
}

func TestEverySingleBitChangeBreaksASignature(t *testing.T) {
	h := newHouse(t)
	me := h.cast.Local
	challenge := bytes.Repeat([]byte{3}, 32)
	a, err := h.verify(me.Actor, challenge, me.Sign(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	verify := func() error {
		return identity.VerifySignature(a, challenge, identitytest.RPID, []string{identitytest.Origin})
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"client data": a.ClientData, "authenticator data": a.AuthenticatorData, "signature": a.Signature, "challenge": challenge,
	} {
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if err := verify(); !errors.Is(err, identity.ErrAssertion) {
				t.Errorf("%s with bit %d changed: %v, want ErrAssertion", name, i, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	for name, spoil := range map[string]func(*identity.Assertion){
		"user present":  func(a *identity.Assertion) { a.UserPresent = false },
		"user verified": func(a *identity.Assertion) { a.UserVerified = false },
		"eligible":      func(a *identity.Assertion) { a.BackupEligible = true },
		"backed up":     func(a *identity.Assertion) { a.BackupState = true },
		"counter":       func(a *identity.Assertion) { a.Counter++ },
		"algorithm":     func(a *identity.Assertion) { a.Algorithm = identity.AlgorithmEdDSA },
		"rp id":         func(a *identity.Assertion) { a.RPID = "evil.test" },
		"origin":        func(a *identity.Assertion) { a.Origin = "http://evil.test" },
	} {
		b := a
		spoil(&b)
		if err := identity.VerifySignature(b, challenge, identitytest.RPID, []string{identitytest.Origin}); !errors.Is(err, identity.ErrAssertion) {
			t.Errorf("record with another %s: %v, want ErrAssertion", name, err)
		}
	}
}

func TestClientDataIsReadStrictly(t *testing.T) {
	h := newHouse(t)
	me := h.cast.Local
	key := me.Key(t)
	challenge := bytes.Repeat([]byte{4}, 32)
	c := base64.RawURLEncoding.EncodeToString(challenge)
	const o = identitytest.Origin
	for _, tc := range []struct {
		name, data string
		ok         bool
	}{
		{"as browsers write it", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `","crossOrigin":false}`, true},
		{"without crossOrigin", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `"}`, true},
		{"other order, unknown keys", `{"new":{"a":[1.5,null]},"origin":"` + o + `","challenge":"` + c + `","type":"webauthn.get"}`, true},
		{"challenge twice", `{"type":"webauthn.get","challenge":"x","challenge":"` + c + `","origin":"` + o + `"}`, false},
		{"unknown key twice, deep", `{"a":{"b":1,"b":1},"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `"}`, false},
		{"key in capitals", `{"Type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `"}`, false},
		{"an enrollment's", `{"type":"webauthn.create","challenge":"` + c + `","origin":"` + o + `"}`, false},
		{"padded challenge", `{"type":"webauthn.get","challenge":"` + c + `=","origin":"` + o + `"}`, false},
		{"origin with a path", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `/"}`, false},
		{"origin in capitals", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + strings.ToUpper(o) + `"}`, false},
		{"cross origin", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `","crossOrigin":true}`, false},
		{"cross origin as text", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `","crossOrigin":"false"}`, false},
		{"top origin", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `","topOrigin":"http://evil.test"}`, false},
		{"bytes behind", `{"type":"webauthn.get","challenge":"` + c + `","origin":"` + o + `"} {}`, false},
		{"a list", `["webauthn.get"]`, false},
	} {
		answer := must[[]byte](t)(key.Assert([]byte(tc.data)))
		_, err := h.verify(me.Actor, challenge, answer)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, identity.ErrAssertion) {
			t.Errorf("%s: %v, want ok %v", tc.name, err, tc.ok)
		}
	}
	for name, spoil := range map[string]func(*demokey.Key){
		"user not verified":                 func(k *demokey.Key) { k.Flags = demokey.UserPresent },
		"user not present":                  func(k *demokey.Key) { k.Flags = demokey.UserVerified },
		"backed up, not eligible":           func(k *demokey.Key) { k.Flags |= 0x10 },
		"eligible since":                    func(k *demokey.Key) { k.Flags |= 0x08 },
		"flag of attested data, none there": func(k *demokey.Key) { k.Flags |= 0x40 },
		"flag of extensions, none there":    func(k *demokey.Key) { k.Flags |= 0x80 },
		"another site":                      func(k *demokey.Key) { k.RPID = "127.0.0.1" },
	} {
		k := *key
		spoil(&k)
		_, err := h.verify(me.Actor, challenge, must[[]byte](t)(k.Assert([]byte(`{"type":"webauthn.get","challenge":"`+c+`","origin":"`+o+`"}`))))
		if !errors.Is(err, identity.ErrAssertion) {
			t.Errorf("%s: %v, want ErrAssertion", name, err)
		}
	}
}

func TestCounterThatWentBackRaisesAnAlarm(t *testing.T) {
	h := newHouse(t)
	me := h.cast.Local
	key := me.Key(t)
	sign := func(n int, counter uint32) []string {
		before := h.size(t)
		key.Counter = counter
		challenge := bytes.Repeat([]byte{byte(n)}, 32)
		if _, err := h.verify(me.Actor, challenge, me.Sign(t, challenge)); err != nil {
			t.Fatal(err)
		}
		return h.acts(t, before)
	}
	alarm := []string{"passkey.counter_went_back"}
	for i, tc := range []struct {
		counter uint32
		want    []string
	}{{0, nil}, {0, nil}, {5, nil}, {6, nil}, {6, alarm}, {3, alarm}, {7, nil}} {
		if got := sign(i, tc.counter); !cmp.Equal(got, tc.want) {
			t.Errorf("step %d, counter %d: %v, want %v", i, tc.counter, got, tc.want)
		}
	}
}

func TestSecondKeyAndRightsNeedAFreshLogin(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	serve := identitytest.Serve(t, h.db)
	key := identitytest.NewPasskey(t)
	identitytest.Enroll(t, h.Service, h.cast.Admin.Actor, key)
	actor := func(token string) identity.Actor {
		a, _, err := serve.Authenticate(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	token, _, err := h.signIn(t, serve, key)
	if err != nil {
		t.Fatal(err)
	}
	admin := actor(token)
	colleague := identity.Grant{Organization: h.cast.Hospital.ID, Role: identity.RoleCoordinator}
	stepUp := func(a identity.Actor, k *demokey.Key) (string, error) {
		ceremony, options, err := serve.BeginStepUp(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		return serve.FinishStepUp(ctx, a, ceremony, must[[]byte](t)(k.Get(options)))
	}
	grants := func(a identity.Actor) map[string]error {
		h.pass(time.Microsecond)
		g, err := serve.AddGrant(ctx, a, h.cast.Local.ID, colleague)
		results := map[string]error{"grant": err}
		if err == nil {
			h.pass(time.Microsecond)
			results["end"] = serve.EndGrant(ctx, a, g.ID)
		}
		_, _, results["second key"] = serve.BeginEnrollment(ctx, a)
		return results
	}
	for name, err := range grants(admin) {
		if err != nil {
			t.Errorf("%s just after sign-in: %v", name, err)
		}
	}
	h.pass(5 * time.Minute)
	for name, err := range grants(admin) {
		if !errors.Is(err, identity.ErrStepUp) {
			t.Errorf("%s after five minutes: %v, want ErrStepUp", name, err)
		}
	}
	stranger := *identitytest.NewPasskey(t)
	stranger.ID, stranger.Handle = key.ID, key.Handle
	if _, err := stepUp(admin, &stranger); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("step-up with a forged key: %v", err)
	}
	fresh, err := stepUp(admin, key)
	if err != nil {
		t.Fatal(err)
	}
	h.dead(t, token, "token before the step-up")
	for name, err := range grants(actor(fresh)) {
		if err != nil {
			t.Errorf("%s after step-up: %v", name, err)
		}
	}
	if err := serve.Disable(ctx, actor(fresh), h.cast.Local.ID); err != nil {
		t.Errorf("disable after step-up: %v", err)
	}
}
