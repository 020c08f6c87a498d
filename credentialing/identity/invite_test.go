package identity_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/identitytest"
)

func TestInvitedPersonMakesTheFirstKeyAndIsSignedIn(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	serve := identitytest.Serve(t, h.db)
	before := h.size(t)
	token, err := h.Invite(ctx, h.cast.Admin.Actor, h.cast.Local.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // a mail scanner opens the link
		if p, err := serve.Invited(ctx, token); err != nil || p.ID != h.cast.Local.ID {
			t.Fatalf("invited %v, %v", p.ID, err)
		}
	}
	ceremony, options, err := serve.BeginInvited(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	key := identitytest.NewPasskey(t)
	login, person, err := serve.FinishInvited(ctx, token, ceremony, must[[]byte](t)(key.Create(options)), "phone")
	if err != nil || person != h.cast.Local.ID {
		t.Fatalf("made a key for %s, %v", person, err)
	}
	a, l, err := serve.Authenticate(ctx, login)
	if err != nil || a.Person != h.cast.Local.ID || l.Factor != identity.FactorPasskey {
		t.Errorf("login %+v, %v", l, err)
	}
	if diff := cmp.Diff(h.acts(t, before), []string{"passkey.invited", "login.started", "passkey.enrolled"}); diff != "" {
		t.Error(diff)
	}
	keys := must[[]identity.Passkey](t)(h.Passkeys(ctx, person))
	if len(keys) != 1 || keys[0].Label != "phone" {
		t.Fatalf("keys %+v", keys)
	}
	h.enrolled(t, keys[0])
	if err := h.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		leaf, err := h.db.Leaf(ctx, tx, keys[0].Leaf)
		if got := leaf.Event.Objects["proofed_by"]; got != string(h.cast.Admin.ID) {
			t.Errorf("proofed by %q, want the administrator", got)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.signIn(t, serve, key); err != nil {
		t.Errorf("signs in by the key: %v", err)
	}
	if _, err := serve.Invited(ctx, token); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("invitation after use: %v, want ErrNoLogin", err)
	}
	if _, err := h.Invite(ctx, h.cast.Admin.Actor, person); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("invited with a key enrolled: %v, want ErrForbidden", err)
	}
}

func TestInvitationsAreIssuedByThoseWhoAnswerForThePerson(t *testing.T) {
	h := newHouse(t)
	for _, tc := range []struct {
		name  string
		actor identity.Actor
		whom  identity.PersonID
		want  error
	}{
		{"operator", identity.System("user", ""), h.cast.Specialist.ID, nil},
		{"administrator of the organization", h.cast.Admin.Actor, h.cast.Local.ID, nil},
		{"administrator of another", h.cast.Admin.Actor, h.cast.Specialist.ID, identity.ErrForbidden},
		{"administrator, own person", h.cast.Admin.Actor, h.cast.Admin.ID, identity.ErrForbidden},
		{"colleague", h.cast.OtherLocal.Actor, h.cast.Local.ID, identity.ErrForbidden},
		{"nobody there", identity.System("user", ""), "0193a000-0000-7000-8000-00000000000a", identity.ErrNotFound},
	} {
		if _, err := h.Invite(t.Context(), tc.actor, tc.whom); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestInvitationEndsByTimeByANewOneAndBySpending(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	operator := identity.System("user", "")
	invite := func() string {
		token, err := h.Invite(ctx, operator, h.cast.Local.ID)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	refused := func(why, token string) {
		t.Helper()
		if _, _, err := h.BeginInvited(ctx, token); !errors.Is(err, identity.ErrNoLogin) {
			t.Errorf("%s: %v, want ErrNoLogin", why, err)
		}
	}
	refused("no token", "")
	refused("a login's token", h.cast.Local.Token)
	old := invite()
	token := invite()
	refused("replaced", old)
	h.pass(72 * time.Hour)
	refused("late", token)

	// Many answers at once, each to a ceremony of its own: one key is made.
	token = invite()
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			ceremony, options, err := h.BeginInvited(ctx, token)
			if errors.Is(err, identity.ErrNoLogin) {
				return // another was quicker
			}
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := identitytest.NewPasskey(t).Create(options)
			if err != nil {
				t.Error(err)
				return
			}
			switch _, _, err := h.FinishInvited(ctx, token, ceremony, answer, ""); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, identity.ErrNoLogin):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys := must[[]identity.Passkey](t)(h.Passkeys(ctx, h.cast.Local.ID)); won.Load() != 1 || len(keys) != 1 {
		t.Errorf("%d won, %d keys; want one", won.Load(), len(keys))
	}

	// An invitation opens its own person's ceremony only.
	mine, err := h.Invite(ctx, operator, h.cast.OtherLocal.ID)
	if err != nil {
		t.Fatal(err)
	}
	other, err := h.Invite(ctx, operator, h.cast.Specialist.ID)
	if err != nil {
		t.Fatal(err)
	}
	ceremony, options, err := h.BeginInvited(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.FinishInvited(ctx, mine, ceremony, must[[]byte](t)(identitytest.NewPasskey(t).Create(options)), ""); !errors.Is(err, identity.ErrChallenge) {
		t.Errorf("another invitation's ceremony: %v, want ErrChallenge", err)
	}
}
