package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// inviteLimit is how long the invitation to make a first passkey is good for: over
// a weekend, not longer.
const inviteLimit = 72 * time.Hour

// Invite lets a person without any passkey make the first one: whoever issues it
// answers for whom it is given to, and stands in the enrollment's leaf. The token
// goes into a link; opening the link spends nothing, making the key does. A new
// invitation ends the one before. People who lost all keys come by recovery, not
// by this: ErrForbidden while a key is enrolled.
func (s *Service) Invite(ctx context.Context, actor Actor, id PersonID) (token string, err error) {
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		grants, err := grantsInForce(ctx, tx, id)
		if err != nil {
			return err
		}
		if !mayInvite(actor, id, grants) {
			return ErrForbidden
		}
		if err := s.steppedUp(ctx, tx, actor); err != nil {
			return err
		}
		h, err := s.holder(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(h.keys) > 0 {
			return ErrForbidden
		}
		if err := revokeInvites(ctx, tx, id); err != nil {
			return err
		}
		var hash []byte
		token, hash = newToken()
		if err := insertInvite(ctx, tx, hash, id, actor.Person); err != nil {
			return fmt.Errorf("invite %s: %w", id, err)
		}
		e := actor.Event("passkey.invited")
		e.Objects = map[string]string{"person": string(id)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// mayInvite: the operator's commands, or an administrator for the people of the own
// organization and no other; never the own person.
func mayInvite(a Actor, id PersonID, grants []Grant) bool {
	return a.Person != id && mayGrant(a, grants...)
}

// Invited tells whose invitation a token is, for the page that offers to make the
// key. ErrNoLogin means that it is no good, without saying why.
func (s *Service) Invited(ctx context.Context, token string) (p Person, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		p, _, err = s.invited(ctx, tx, token, false)
		return err
	})
	return p, err
}

// invited finds a good invitation, its person and who issued it.
func (s *Service) invited(ctx context.Context, tx *audit.Tx, token string, lock bool) (Person, PersonID, error) {
	hash, ok := hashToken(token)
	if !ok {
		return Person{}, "", ErrNoLogin
	}
	id, by, err := goodInvite(ctx, tx, hash, lock)
	if err != nil {
		return Person{}, "", err
	}
	p, err := s.PersonTx(ctx, tx, id)
	if err != nil {
		return Person{}, "", err
	}
	if p.Disabled {
		return Person{}, "", ErrNoLogin
	}
	return p, by, nil
}

// BeginInvited starts making the first key of an invited person.
func (s *Service) BeginInvited(ctx context.Context, token string) (string, json.RawMessage, error) {
	c := ceremony{ID: newID(), Kind: "enroll"}
	var options *protocol.CredentialCreation
	err := s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		p, _, err := s.invited(ctx, tx, token, false)
		if err != nil {
			return err
		}
		c.Person = p.ID
		h, err := s.holder(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		options, err = s.beginRegistration(h, &c)
		if err != nil {
			return err
		}
		return insertCeremony(ctx, tx, c)
	})
	if err != nil {
		return "", nil, err
	}
	return marshalOptions(c.ID, options.Response)
}

// FinishInvited keeps the key, spends the invitation and signs the person in.
func (s *Service) FinishInvited(ctx context.Context, token, id string, response []byte, label string) (login string, person PersonID, err error) {
	c, err := s.spend(ctx, id, "enroll")
	if err != nil {
		return "", "", err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	err = s.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		p, by, err := s.invited(ctx, tx, token, true)
		if err != nil {
			return err
		}
		// The ceremony of an invitation has no login; one of a signed-in person is not taken.
		if c.Person != p.ID || c.Login != "" {
			return ErrChallenge
		}
		hash, _ := hashToken(token)
		if err := spendInvite(ctx, tx, hash); err != nil {
			return err
		}
		person = p.ID
		key, err := s.enrollment(ctx, tx, person, c, parsed, label)
		if err != nil {
			return err
		}
		// Keeping the key locks the head of the log, so the login's row comes before.
		if login, err = s.startLogin(ctx, tx, person, FactorPasskey, key.ID); err != nil {
			return err
		}
		return s.keepPasskey(ctx, tx, Actor{Person: person}, &key, by)
	})
	if err != nil {
		return "", "", err
	}
	return login, person, nil
}
