package credentialing

import (
	"context"
	"errors"
	"fmt"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// AskForUpload has the holder of a credential written to, with a link to send the
// renewed document by. Only officers ask, and not themselves.
func (s *Service) AskForUpload(ctx context.Context, actor identity.Actor, id CredentialID) error {
	if !officer(actor) {
		return ErrForbidden
	}
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := lockCredential(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.person == actor.Person {
			return ErrSamePerson
		}
		ev := actor.Event("credential.upload_asked")
		ev.Objects = map[string]string{"credential": string(id), "person": string(c.person)}
		ev.Tell = []string{string(c.person)}
		tx.Append(ev)
		return nil
	})
}

// IssueUploadLink makes a link for a mail to the holder of a credential and returns
// its token, which is kept nowhere else. Called again it makes another; the older stay
// good, for a mail may be sent twice, until there are more than four.
func (s *Service) IssueUploadLink(ctx context.Context, actor identity.Actor, id CredentialID, person identity.PersonID) (token string, err error) {
	if !system(actor) {
		return "", ErrForbidden
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := lockCredential(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.person != person {
			return ErrNotFound
		}
		claim, err := countingClaim(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := replaceLinks(ctx, tx, id); err != nil {
			return err
		}
		var hash []byte
		token, hash = newLinkToken()
		link := UploadLinkID(newID())
		if err := insertLink(ctx, tx, link, hash, id, person, claim); err != nil {
			return err
		}
		ev := actor.Event("credential.link_issued")
		ev.Objects = map[string]string{"upload_link": string(link), "credential": string(id), "person": string(person)}
		tx.Append(ev)
		return nil
	})
	return token, err
}

// UploadLinks are the links of a credential, the last first, for an officer or its
// holder.
func (s *Service) UploadLinks(ctx context.Context, actor identity.Actor, id CredentialID) (out []UploadLink, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.mayKnow(ctx, tx, actor, id); err != nil {
			return err
		}
		out, err = selectLinks(ctx, tx, id)
		return err
	})
	return out, err
}

// mayKnow tells an officer and the holder from everybody else.
func (s *Service) mayKnow(ctx context.Context, tx *audit.Tx, actor identity.Actor, id CredentialID) error {
	person, err := holderOf(ctx, tx, id)
	if err != nil {
		return err
	}
	if !officer(actor) && (actor.Person != person || actor.Guest()) {
		return ErrNotFound
	}
	return nil
}

// RevokeUploadLink ends a link at once. Officers and the holder may.
func (s *Service) RevokeUploadLink(ctx context.Context, actor identity.Actor, id CredentialID, link UploadLinkID) error {
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := s.mayKnow(ctx, tx, actor, id); err != nil {
			return err
		}
		if err := revokeLink(ctx, tx, id, link, actor.Person); err != nil {
			return err
		}
		ev := actor.Event("credential.link_revoked")
		ev.Objects = map[string]string{"upload_link": string(link), "credential": string(id)}
		tx.Append(ev)
		return nil
	})
}

// Linked is what stands behind a link. It changes nothing: programs that read mail
// open links too. ErrLink if the link is not good.
func (s *Service) Linked(ctx context.Context, token string) (out LinkedCredential, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		l, err := s.goodLink(ctx, tx, token, false)
		if err != nil {
			return err
		}
		out = LinkedCredential{Person: l.person, Kind: l.kind, Issuer: l.issuer, Ends: l.ending.ValidTo, Expires: l.ExpiresAt, Files: l.Files}
		return nil
	})
	return out, err
}

// goodLink finds an open link and what it is for, and refuses where its person no
// longer takes part.
func (s *Service) goodLink(ctx context.Context, tx *audit.Tx, token string, lock bool) (linkRow, error) {
	hash, err := hashLinkToken(token)
	if err != nil {
		return linkRow{}, err
	}
	l, err := selectLink(ctx, tx, hash, lock)
	if errors.Is(err, ErrNotFound) {
		return linkRow{}, ErrLink
	}
	if err != nil {
		return linkRow{}, err
	}
	if !l.Open(tx.Now()) || l.disabled {
		return linkRow{}, ErrLink
	}
	return l, nil
}

// UploadByLink keeps what was sent by a link: the files beside the credential, and
// the period they speak of as a claim that waits for an officer. It verifies nothing.
// Where an officer has entered the next period meanwhile, or it is on file with the
// same last day, the files alone are kept. The whole is one event. It returns how many
// files the link has taken.
func (s *Service) UploadByLink(ctx context.Context, token string, u LinkedUpload) (files int, err error) {
	// Who has no good link does not get to send files first.
	var ending Claim
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		l, err := s.goodLink(ctx, tx, token, false)
		ending = l.ending
		if err == nil && l.Files+len(u.Files) > MaxLinkFiles {
			err = ErrLinkFull
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := u.check(ending); err != nil {
		return 0, err
	}
	kept := make([]keptFile, len(u.Files))
	for i, f := range u.Files {
		f.Source = sourceLink
		if kept[i], err = s.keep(ctx, f); err != nil {
			return 0, &FileError{i, err}
		}
	}
	actor := identity.System("upload-link", "")
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		l, err := s.goodLink(ctx, tx, token, true)
		if err != nil {
			return err
		}
		if files = l.Files + len(kept); files > MaxLinkFiles {
			return ErrLinkFull
		}
		if err := countFiles(ctx, tx, l.ID, files); err != nil {
			return err
		}
		ev := actor.Event("credential.uploaded_by_link")
		ev.Objects = map[string]string{"upload_link": string(l.ID), "credential": string(l.credential), "person": string(l.person)}
		ev.Hashes = map[string]string{}
		if (l.current == l.claim || l.currentByLink) && (l.current == l.claim || l.content.ValidTo != u.ValidTo) {
			id, err := insertClaimBy(ctx, tx, l.credential, "", u.renews(l.ending), l.ID)
			if err != nil {
				return err
			}
			ev.Objects["claim"] = string(id)
		}
		for i, k := range kept {
			if err := attach(ctx, tx, l.credential, "", k, sourceLink, tx.Now(), l.ID); err != nil {
				return err
			}
			ev.Hashes[fmt.Sprintf("evidence-%d", i+1)] = fmt.Sprintf("%x", k.sum)
		}
		tx.Append(ev)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return files, nil
}

// FinishUpload ends a link because whoever holds it says that all was sent.
func (s *Service) FinishUpload(ctx context.Context, token string) error {
	actor := identity.System("upload-link", "")
	return s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		l, err := s.goodLink(ctx, tx, token, true)
		if err != nil {
			return err
		}
		if err := finishLink(ctx, tx, l.ID); err != nil {
			return err
		}
		ev := actor.Event("credential.link_finished")
		ev.Objects = map[string]string{"upload_link": string(l.ID), "credential": string(l.credential), "person": string(l.person)}
		tx.Append(ev)
		return nil
	})
}
