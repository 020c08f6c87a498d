package identity_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/identitytest"
)

func TestTokensOpenNothingButTheirOwnLogin(t *testing.T) {
	h := newHouse(t)
	good := h.cast.Local.Token
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil || len(raw) != 32 {
		t.Fatalf("token of %d bytes, %v; want 32", len(raw), err)
	}
	for i := range raw {
		raw[i] ^= 1
		h.dead(t, base64.RawURLEncoding.EncodeToString(raw), "flipped bit")
		raw[i] ^= 1
	}
	for _, token := range []string{"", good + "=", good[:42], good + "A", "' or true --"} {
		h.dead(t, token, token)
	}
	// What the database keeps is not what the browser has.
	conn, err := pgx.Connect(t.Context(), h.pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, _ := conn.Query(t.Context(), `select token_hash from login`)
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(hashes) < 9 {
		t.Fatal(len(hashes), err)
	}
	for _, hash := range hashes {
		if bytes.Equal(hash, raw) {
			t.Error("the token itself is in the database")
		}
		h.dead(t, base64.RawURLEncoding.EncodeToString(hash), "a hash as token")
	}
}

func TestLoginEndsWhenIdleAndAtItsLimit(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	begin := h.db.Now()
	physician, officer := h.cast.Local.Token, h.cast.Officer.Token
	h.pass(14 * time.Minute)
	for _, token := range []string{physician, officer} {
		if _, l, err := h.Authenticate(ctx, token); err != nil || !l.LastSeen.Equal(h.db.Now()) {
			t.Errorf("at 14 minutes: %v, seen %v", err, l.LastSeen)
		}
	}
	h.pass(16 * time.Minute)
	h.dead(t, officer, "officer idle for 16 minutes")
	if _, _, err := h.Authenticate(ctx, physician); err != nil {
		t.Errorf("physician idle for 16 minutes: %v", err)
	}
	for h.db.Now().Before(begin.Add(11*time.Hour + 45*time.Minute)) {
		h.pass(15 * time.Minute)
		if _, _, err := h.Authenticate(ctx, physician); err != nil {
			t.Fatalf("kept busy, at %v: %v", h.db.Now().Sub(begin), err)
		}
	}
	h.pass(15 * time.Minute)
	h.dead(t, physician, "after twelve hours of work")

	idle := h.cast.Specialist.Token
	h.dead(t, idle, "never used again")
}

func TestOpenSessionKeepsALoginAliveUntilItsLimit(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me, away := h.cast.Officer, h.cast.Second
	for range 71 { // up to 11 h 50 min
		h.pass(10 * time.Minute)
		if err := h.KeepAlive(ctx, me.Actor.Login); err != nil {
			t.Fatal(err)
		}
	}
	a, l, err := h.Authenticate(ctx, me.Token)
	if err != nil || a.Person != me.ID || l.SteppedUp(h.db.Now()) {
		t.Errorf("after hours in a session: %v, stepped up %v", err, l.SteppedUp(h.db.Now()))
	}
	if err := h.KeepAlive(ctx, away.Actor.Login); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("idled out before: %v, want ErrNoLogin", err)
	}
	h.pass(10 * time.Minute)
	if err := h.KeepAlive(ctx, me.Actor.Login); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("at the limit: %v, want ErrNoLogin", err)
	}
	if err := h.KeepAlive(ctx, ""); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("no login: %v", err)
	}
}

func TestLastSeenIsWrittenOnceAMinute(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	seen := func() time.Time {
		_, l, err := h.Authenticate(ctx, h.cast.Local.Token)
		if err != nil {
			t.Fatal(err)
		}
		return l.LastSeen
	}
	first := seen()
	h.pass(59 * time.Second)
	if got := seen(); !got.Equal(first) {
		t.Errorf("written after 59 seconds: %v", got.Sub(first))
	}
	h.pass(time.Second)
	if got := seen(); got.Sub(first) != time.Minute {
		t.Errorf("after a minute: %v", got.Sub(first))
	}
}

func TestSignInByOneClickIsOpenInDemoOnly(t *testing.T) {
	h := newHouse(t)
	serve := identitytest.Serve(t, h.db)
	if _, err := serve.SignInDemo(t.Context(), h.cast.Local.ID); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("in serve: %v, want ErrForbidden", err)
	}
	for _, id := range []identity.PersonID{"", "x", "0193a000-0000-7000-8000-00000000000a"} {
		if _, err := h.SignInDemo(t.Context(), id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", id, err)
		}
	}
}

func TestLoginsAreListedAndEndedByTheirPersonOnly(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := h.cast.Local
	second := identitytest.SignIn(t, h.Service, me.ID)
	third := identitytest.SignIn(t, h.Service, me.ID)
	logins, err := h.Logins(ctx, me.Actor)
	if err != nil || len(logins) != 3 {
		t.Fatalf("%d logins, %v; want 3", len(logins), err)
	}
	if err := h.EndLogin(ctx, h.cast.OtherLocal.Actor, second.Actor.Login); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("ended by another: %v, want ErrNotFound", err)
	}
	if err := h.EndLogin(ctx, me.Actor, "x"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("no id: %v", err)
	}
	before := h.size(t)
	if err := h.EndLogin(ctx, me.Actor, second.Actor.Login); err != nil {
		t.Fatal(err)
	}
	h.dead(t, second.Token, "ended")
	if live, err := h.Live(ctx, second.Actor.Login); live || err != nil {
		t.Errorf("ended login is live: %v, %v", live, err)
	}
	if n, err := h.EndOtherLogins(ctx, me.Actor); err != nil || n != 1 {
		t.Errorf("ended %d others, %v; want 1", n, err)
	}
	h.dead(t, third.Token, "ended with the others")
	if live, err := h.Live(ctx, me.Actor.Login); !live || err != nil {
		t.Errorf("own login: %v, %v", live, err)
	}
	for range 2 {
		if err := h.SignOut(ctx, me.Actor); err != nil {
			t.Error(err)
		}
	}
	h.dead(t, me.Token, "signed out")
	if diff := cmp.Diff(h.acts(t, before), []string{"login.ended", "login.others_ended", "login.ended"}); diff != "" {
		t.Error(diff)
	}
}

func TestDisablingEndsAllLoginsAtOnce(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := h.cast.Local
	key := me.Key(t)
	for _, tc := range []struct {
		name  string
		actor identity.Actor
		whom  identity.PersonID
	}{
		{"by a colleague", h.cast.OtherLocal.Actor, me.ID},
		{"of another organization", h.cast.Admin.Actor, h.cast.Specialist.ID},
		{"of oneself", h.cast.Admin.Actor, h.cast.Admin.ID},
	} {
		if err := h.Disable(ctx, tc.actor, tc.whom); !errors.Is(err, identity.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", tc.name, err)
		}
	}
	if err := h.Disable(ctx, h.cast.Admin.Actor, me.ID); err != nil {
		t.Fatal(err)
	}
	h.dead(t, me.Token, "disabled")
	if live, _ := h.Live(ctx, me.Actor.Login); live {
		t.Error("login of a disabled person is live")
	}
	if _, err := h.SignInDemo(ctx, me.ID); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("signs in again: %v", err)
	}
	ceremony, options, err := h.BeginSignIn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := key.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.FinishSignIn(ctx, ceremony, answer); !errors.Is(err, identity.ErrAssertion) {
		t.Errorf("signs in by key: %v, want ErrAssertion", err)
	}
	if list, err := h.PeopleWith(ctx, identity.RoleLocalPhysician, ""); err != nil || len(list) != 1 {
		t.Errorf("directory: %v, %v", list, err)
	}
}

func TestGuestLoginOpensOneSeatForAWhile(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	guest := func(until time.Duration) (token string, err error) {
		err = h.db.Write(ctx, audit.Scope{Organization: string(h.cast.Hospital.ID)}, func(tx *audit.Tx) error {
			token, err = h.GuestLogin(ctx, tx, identity.GuestRequest{
				Person: h.cast.Patient.ID, Seat: "seat-1", Organization: h.cast.Hospital.ID, Until: h.db.Now().Add(until),
			})
			return err
		})
		return token, err
	}
	short, err := guest(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	long, err := guest(48 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guest(0); !errors.Is(err, identity.ErrNoLogin) {
		t.Errorf("after the session: %v", err)
	}
	a, l, err := h.Authenticate(ctx, short)
	if err != nil || !a.Guest() || a.Seat != "seat-1" || a.Organization != "" || len(a.Roles) != 0 || l.Organization != h.cast.Hospital.ID {
		t.Errorf("guest actor %+v, login %+v, %v", a, l, err)
	}
	for name, err := range map[string]error{
		"enrolls a key": func() error { _, _, err := h.BeginEnrollment(ctx, a); return err }(),
		"steps up":      func() error { _, _, err := h.BeginStepUp(ctx, a); return err }(),
		"signs":         func() error { _, err := h.AssertionOptions(ctx, a, make([]byte, 32)); return err }(),
		"lists logins":  func() error { _, err := h.Logins(ctx, a); return err }(),
	} {
		if !errors.Is(err, identity.ErrForbidden) {
			t.Errorf("a guest %s: %v, want ErrForbidden", name, err)
		}
	}
	if err := h.EndLogin(ctx, a, h.cast.Patient.Actor.Login); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a guest ends the person's own login: %v", err)
	}
	h.pass(59 * time.Minute) // idle all the while: it waits in the lobby
	if _, _, err := h.Authenticate(ctx, short); err != nil {
		t.Errorf("within the session: %v", err)
	}
	h.pass(time.Minute)
	h.dead(t, short, "guest after the session")
	h.pass(3*time.Hour - time.Second)
	if _, _, err := h.Authenticate(ctx, long); err != nil {
		t.Errorf("just within four hours: %v", err)
	}
	h.pass(time.Second)
	h.dead(t, long, "guest after four hours")

	token, err := guest(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		return h.EndGuestLogins(ctx, tx, identity.System("session", h.cast.Hospital.ID), "seat-1", "session-ended")
	}); err != nil {
		t.Fatal(err)
	}
	h.dead(t, token, "guest of an ended session")
}

func TestActForTurnsTheLoginToAnotherWorkplace(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.pass(time.Second)
	if _, err := h.AddGrant(ctx, identity.System("seed", ""), h.cast.Specialist.ID, identity.Grant{Organization: h.cast.Hospital.ID, Role: identity.RoleCoordinator}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ActFor(ctx, h.cast.Specialist.Actor, h.cast.Agency.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("where the person does not work: %v", err)
	}
	token, err := h.ActFor(ctx, h.cast.Specialist.Actor, h.cast.Hospital.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.dead(t, h.cast.Specialist.Token, "the token before")
	a, _, err := h.Authenticate(ctx, token)
	if err != nil || a.Organization != h.cast.Hospital.ID || !cmp.Equal(a.Roles, []identity.Role{identity.RoleCoordinator}) {
		t.Errorf("roles of both workplaces add up: %+v, %v", a, err)
	}
}
