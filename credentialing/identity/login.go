package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Limits of logins (design: security, section 4): idle and absolute.
const (
	idleLimit        = 30 * time.Minute
	idleLimitOfficer = 15 * time.Minute // who reads evidence or changes rights
	absoluteLimit    = 12 * time.Hour
	guestLimit       = 4 * time.Hour
	// touchAfter is how old last_seen may get before a request writes it again.
	touchAfter = time.Minute
	// stepUpLimit is how long an assertion counts as fresh.
	stepUpLimit = 5 * time.Minute
)

// Factors by which a login was made.
const (
	FactorPasskey = "passkey"
	FactorDemo    = "demo"
	FactorGuest   = "guest"
)

// Authenticate says who a token is, with the roles in force now. Each request asks;
// nothing about rights is kept in the cookie. The error is ErrNoLogin or the
// database's.
func (s *Service) Authenticate(ctx context.Context, token string) (Actor, Login, error) {
	hash, ok := hashToken(token)
	if !ok {
		return Actor{}, Login{}, ErrNoLogin
	}
	var in signedIn
	err := s.db.Ask(ctx, audit.Scope{}, func(b *pgx.Batch, now time.Time) { queueLogin(b, now, hash, &in) })
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoLogin
	}
	if err != nil {
		return Actor{}, Login{}, err
	}
	l, p := in.login, in.person
	var roles []Role
	if l.Seat == "" {
		roles = rolesIn(in.grants, l.Organization)
	}
	if now := s.db.Now(); now.Sub(l.LastSeen) >= touchAfter {
		l.LastSeen, l.IdleUntil = now, earlier(now.Add(idleOf(roles)), l.AbsoluteUntil)
		if l.Seat != "" {
			l.IdleUntil = l.AbsoluteUntil
		}
		err := s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return touchLogin(ctx, tx, l) })
		if err != nil {
			return Actor{}, Login{}, fmt.Errorf("touch login %s: %w", l.ID, err)
		}
	}
	return actorOf(l, p, roles), l, nil
}

func actorOf(l Login, p Person, roles []Role) Actor {
	a := Actor{Person: p.ID, Login: l.ID, Roles: roles, Seat: l.Seat, Language: p.Language, Zone: p.Zone}
	if l.Seat == "" {
		a.Organization = l.Organization
	}
	return a
}

// SignInDemo signs a person of the cast in with one click. It is open in demo only.
func (s *Service) SignInDemo(ctx context.Context, id PersonID) (token string, err error) {
	if !s.demo {
		return "", ErrForbidden
	}
	err = s.db.Write(ctx, audit.Scope{Person: string(id)}, func(tx *audit.Tx) error {
		token, err = s.startLogin(ctx, tx, id, FactorDemo, nil)
		return err
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// startLogin makes the login of a person who proved to be that person.
func (s *Service) startLogin(ctx context.Context, tx *audit.Tx, id PersonID, factor string, credential []byte) (string, error) {
	p, err := s.PersonTx(ctx, tx, id)
	if err != nil {
		return "", err
	}
	if p.Disabled {
		return "", ErrNoLogin
	}
	grants, err := grantsInForce(ctx, tx, id)
	if err != nil {
		return "", err
	}
	now := tx.Now()
	l := Login{ID: LoginID(newID()), Person: id, Organization: workplace(grants), Factor: factor, Created: now, LastSeen: now, AbsoluteUntil: now.Add(absoluteLimit)}
	l.IdleUntil = now.Add(idleOf(rolesIn(grants, l.Organization)))
	if factor == FactorPasskey {
		l.StepUpAt = now
	}
	token, hash := newToken()
	if err := insertLogin(ctx, tx, l, hash, credential); err != nil {
		return "", fmt.Errorf("start login of %s: %w", id, err)
	}
	tx.Append(loginEvent(Actor{Person: id, Login: l.ID}, "login.started", l, factor))
	return token, nil
}

func loginEvent(actor Actor, act string, l Login, reason string) audit.Event {
	e := actor.Event(act)
	e.Organization = string(l.Organization)
	e.Objects = map[string]string{"login": string(l.ID), "person": string(l.Person)}
	if l.Seat != "" {
		e.Objects["seat"] = l.Seat
	}
	e.Reason = reason
	return e
}

// workplace is the organization a person begins a login for: that of the oldest
// grant that is work. Patients and interpreters on their own have none.
func workplace(grants []Grant) OrganizationID {
	for _, g := range grants {
		if g.Role != RolePatient && g.Organization != "" {
			return g.Organization
		}
	}
	return ""
}

// rolesIn picks the roles a login for org acts in. A patient is one everywhere.
func rolesIn(grants []Grant, org OrganizationID) []Role {
	var roles []Role
	for _, g := range grants {
		if g.Organization == org || org == "" && g.Role == RolePatient {
			if !slices.Contains(roles, g.Role) {
				roles = append(roles, g.Role)
			}
		}
	}
	return roles
}

func idleOf(roles []Role) time.Duration {
	if slices.Contains(roles, RoleOfficer) || slices.Contains(roles, RoleAdministrator) {
		return idleLimitOfficer
	}
	return idleLimit
}

// ActFor turns the login to another organization the person works for: a new token,
// and the old one is dead.
func (s *Service) ActFor(ctx context.Context, actor Actor, org OrganizationID) (token string, err error) {
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		l, err := lockLogin(ctx, tx, actor.Login)
		if err != nil || l.Person != actor.Person || l.Seat != "" {
			return errors.Join(ErrNoLogin, err)
		}
		grants, err := grantsInForce(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(grants, func(g Grant) bool { return g.Organization == org && g.Role != RolePatient }) {
			return ErrNotFound
		}
		var hash []byte
		token, hash = newToken()
		if err := renewLogin(ctx, tx, l.ID, hash, org, nil); err != nil {
			return err
		}
		l.Organization = org
		tx.Append(loginEvent(actor, "login.turned", l, ""))
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// GuestRequest asks for the login that a redeemed link opens.
type GuestRequest struct {
	Person       PersonID
	Seat         string // the one seat it may take
	Organization OrganizationID
	Until        time.Time // end of the session; four hours at most are given
}

// GuestLogin makes the login of a redeemed link inside the transaction that spends
// the link. It opens one seat, no record, and never enrolls a key.
func (s *Service) GuestLogin(ctx context.Context, tx *audit.Tx, r GuestRequest) (string, error) {
	now := tx.Now()
	if r.Seat == "" {
		return "", &Invalid{"seat"}
	}
	until := earlier(r.Until, now.Add(guestLimit))
	if !until.After(now) {
		return "", ErrNoLogin
	}
	p, err := s.PersonTx(ctx, tx, r.Person)
	if err != nil {
		return "", err
	}
	if p.Disabled {
		return "", ErrNoLogin
	}
	l := Login{ID: LoginID(newID()), Person: r.Person, Organization: r.Organization, Factor: FactorGuest, Seat: r.Seat, Created: now, LastSeen: now, IdleUntil: until, AbsoluteUntil: until}
	token, hash := newToken()
	if err := insertLogin(ctx, tx, l, hash, nil); err != nil {
		return "", fmt.Errorf("guest login for seat %s: %w", r.Seat, err)
	}
	tx.Append(loginEvent(Actor{Person: r.Person, Login: l.ID}, "login.started", l, FactorGuest))
	return token, nil
}

// EndGuestLogins ends the guest logins of a seat inside the transaction that ends
// the session or takes the seat away.
func (s *Service) EndGuestLogins(ctx context.Context, tx *audit.Tx, actor Actor, seat, reason string) error {
	ended, err := revokeSeat(ctx, tx, seat, reason)
	if err != nil {
		return fmt.Errorf("end guest logins of seat %s: %w", seat, err)
	}
	for _, l := range ended {
		tx.Append(loginEvent(actor, "login.ended", l, reason))
	}
	return nil
}

// SignOut ends the actor's login. Signing out twice is no error.
func (s *Service) SignOut(ctx context.Context, actor Actor) error {
	err := s.end(ctx, actor, actor.Login, "signed-out")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Logins are the actor's own that are open, newest first.
func (s *Service) Logins(ctx context.Context, actor Actor) (list []Login, err error) {
	if actor.Person == "" || actor.Guest() {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		list, err = openLogins(ctx, tx, actor.Person)
		return err
	})
	return list, err
}

// EndLogin ends one of the actor's own logins.
func (s *Service) EndLogin(ctx context.Context, actor Actor, id LoginID) error {
	if actor.Guest() && id != actor.Login {
		return ErrNotFound
	}
	return s.end(ctx, actor, id, "ended-by-person")
}

// EndOtherLogins ends all of the actor's own logins but this one and says how many.
func (s *Service) EndOtherLogins(ctx context.Context, actor Actor) (n int, err error) {
	if actor.Person == "" || actor.Guest() {
		return 0, ErrForbidden
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		ended, err := revokeOthers(ctx, tx, actor.Person, actor.Login, "ended-by-person")
		if err != nil {
			return err
		}
		n = len(ended)
		e := actor.Event("login.others_ended")
		e.Objects = map[string]string{"person": string(actor.Person)}
		tx.Append(e)
		return nil
	})
	return n, err
}

func (s *Service) end(ctx context.Context, actor Actor, id LoginID, reason string) error {
	if actor.Person == "" || id == "" {
		return ErrNotFound
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		l, err := revokeLogin(ctx, tx, actor.Person, id, reason)
		if err != nil {
			return err
		}
		tx.Append(loginEvent(actor, "login.ended", l, reason))
		return nil
	})
}

// Live tells whether the login is still open. Sockets ask when the log says that
// logins ended, and every few seconds in case they were not told.
func (s *Service) Live(ctx context.Context, id LoginID) (live bool, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		live, err = loginLive(ctx, tx, id)
		return err
	})
	return live, err
}

// KeepAlive keeps the login of somebody who sits in an open session from idling out;
// the session's socket calls it once a minute. Its limit and its freshness stay as
// they are. ErrNoLogin means that the login has ended and the socket dies with it.
func (s *Service) KeepAlive(ctx context.Context, id LoginID) error {
	if !isID(string(id)) {
		return ErrNoLogin
	}
	return s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		live, err := loginLive(ctx, tx, id)
		if err != nil {
			return err
		}
		l, err := lockLogin(ctx, tx, id)
		if err != nil {
			return err
		}
		if now := tx.Now(); !live || !l.IdleUntil.After(now) {
			return ErrNoLogin
		} else if l.Seat == "" {
			roles, err := rolesFor(ctx, tx, l.Person, l.Organization)
			if err != nil {
				return err
			}
			l.LastSeen, l.IdleUntil = now, earlier(now.Add(idleOf(roles)), l.AbsoluteUntil)
		} else {
			l.LastSeen = now
		}
		return touchLogin(ctx, tx, l)
	})
}

// SteppedUp tells whether the login proved its person by an assertion of the last
// five minutes, as the riskier commands ask for.
func (l Login) SteppedUp(now time.Time) bool {
	return !l.StepUpAt.IsZero() && now.Sub(l.StepUpAt) <= stepUpLimit
}

// StepUpTx refuses with ErrStepUp unless the actor's login is fresh; commands of
// other rooms ask it inside their transaction. Jobs have no login to be fresh, and
// in demo a login by one click has no key to step up with until one is made.
func (s *Service) StepUpTx(ctx context.Context, tx *audit.Tx, actor Actor) error {
	return s.steppedUp(ctx, tx, actor)
}

func (s *Service) steppedUp(ctx context.Context, tx *audit.Tx, actor Actor) error {
	if actor.Job != "" {
		return nil
	}
	l, err := lockLogin(ctx, tx, actor.Login)
	if err != nil || l.Person != actor.Person {
		return errors.Join(ErrNoLogin, err)
	}
	if l.SteppedUp(tx.Now()) || s.demo && l.Factor == FactorDemo {
		return nil
	}
	return ErrStepUp
}

func newToken() (token string, hash []byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(raw), sum[:]
}

func hashToken(token string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 32 {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
