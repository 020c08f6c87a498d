package workspace

import (
	"context"
	"encoding/hex"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// maxCase is what one case may hold in files.
const maxCase = 2 << 30

// maxPerMinute is how many files one person may add to this clinic in a minute: more
// than a hand can choose, fewer than a script would.
const maxPerMinute = 20

// UploadRequest is a file on its way in.
type UploadRequest struct {
	Name     string
	Class    Class
	Language string // of what is written in it; "zxx" if nothing is
	Content  io.Reader
}

// Upload takes a file: counted and checked in quarantine, sealed with the key of the
// case, one event with hash, size and type. Without a scanner files are released
// only in the demonstration, and marked.
func (s *Service) Upload(ctx context.Context, actor identity.Actor, id CaseID, req UploadRequest) (FileID, error) {
	req.Name = clean(filepath.Base(req.Name))
	var c checker
	c.need(req.Name != "" && req.Name != "." && req.Name != "/" && len(req.Name) <= 200, "name")
	c.need(slices.Contains(Classes, req.Class), "class")
	c.need(req.Language != "", "language")
	if err := c.err(); err != nil {
		return "", err
	}
	// Who may not upload does not get to send 50 MB first.
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayUpload(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "file.refused", r, nil)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	got, err := s.blobs.receive(req.Content, req.Name)
	if err != nil {
		return "", err
	}
	scanned, err := s.scanned(ctx, got)
	if err != nil {
		s.blobs.discard(got)
		return "", err
	}
	file := newID[FileID]()
	if err := s.blobs.store(ctx, id, file, got); err != nil {
		return "", err
	}
	err = s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayUpload(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "file.refused", r, nil)
		}
		held, err := sizeOfFiles(ctx, tx, id)
		if err != nil {
			return err
		}
		if held+got.size > maxCase {
			return ErrTooLarge
		}
		recent, err := filesSince(ctx, tx, actor.Person, tx.Now().Add(-time.Minute))
		if err != nil {
			return err
		}
		if recent >= maxPerMinute {
			return ErrTooMany
		}
		f := fileRow{}
		f.File = File{ID: file, Class: req.Class, MediaType: got.mediaType, Size: got.size, Language: req.Language,
			Scan: scanned, UploadedBy: string(actor.Person), UploadedAt: tx.Now()}
		if f.sealedName, err = s.blobs.keys.seal(id, "case_file", "name", string(file), []byte(req.Name)); err != nil {
			return err
		}
		if err := insertFile(ctx, tx, acc.c, f, got.sha256); err != nil {
			return err
		}
		if err := s.touch(ctx, tx, acc); err != nil {
			return err
		}
		e := acc.event(actor, "file.added")
		e.Objects["file"] = string(file)
		e.Hashes = map[string]string{"content": hex.EncodeToString(got.sha256)}
		e.Detail = map[string]any{"size": got.size, "type": got.mediaType, "class": string(req.Class), "scan": f.Scan}
		tx.Append(e)
		return nil
	})
	if err != nil {
		s.blobs.remove(context.WithoutCancel(ctx), id, file)
		return "", err
	}
	return file, nil
}

// scanned asks the scanner about a file in quarantine. Whatever is not a plain "clean"
// keeps the file out.
func (s *Service) scanned(ctx context.Context, got received) (string, error) {
	if s.scan == nil {
		if s.demo {
			return "not_scanned_demonstration", nil
		}
		return "", ErrNoScanner
	}
	f, err := s.blobs.quarantine.Open(got.name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := s.scan.Scan(ctx, f); err != nil {
		return "", err
	}
	return "clean", nil
}

// OpenFile opens a file for reading, if the reader may see its class now; each
// opening is an event, a refusal too. The caller closes it.
func (s *Service) OpenFile(ctx context.Context, actor identity.Actor, id CaseID, file FileID) (File, io.ReadCloser, error) {
	var f fileRow
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		var err error
		if f, err = selectFile(ctx, tx, id, file); err != nil {
			return err
		}
		facts, d, err := s.fileFacts(ctx, tx, actor, acc, f.Class, true)
		if err != nil {
			return err
		}
		if r := mayReadFile(actor, facts); r != nil {
			if r.Code == RefusedScope && d != nil {
				if full := scope(*d); full != nil {
					r = full
				}
			}
			return acc.refuse(tx, actor, "file.view_refused", r, d)
		}
		e := acc.event(actor, "file.viewed")
		e.Objects["file"] = string(file)
		if d != nil {
			e.Determination = string(d.ID)
		}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return File{}, nil, err
	}
	if err := s.openName(id, &f); err != nil {
		return File{}, nil, err
	}
	r, err := s.blobs.open(ctx, id, file)
	return f.File, r, err
}

func (s *Service) openName(id CaseID, f *fileRow) error {
	name, err := s.blobs.keys.unseal(id, "case_file", "name", string(f.ID), f.sealedName)
	f.Name = string(name)
	return err
}

// fileFacts loads what decides about reading a class of files. With act the scope is
// determined and stored for this act; without, judged for a list.
func (s *Service) fileFacts(ctx context.Context, tx *audit.Tx, actor identity.Actor, acc *access, class Class, act bool) (FileFacts, *credentialing.Determination, error) {
	facts := FileFacts{Facts: acc.Facts}
	if acc.is(RoleResponsible) || !acc.is(RoleSpecialist) {
		return facts, nil, nil
	}
	where, err := s.organizationsOf(ctx, tx, actor.Person)
	if err != nil {
		return facts, nil, err
	}
	cc, err := s.context(ctx, tx, acc.c, actor.Person, where)
	if err != nil {
		return facts, nil, err
	}
	ask := credentialing.Ask{Person: actor.Person, Activity: credentialing.AdvisePhysician, At: tx.Now(), Mode: credentialing.Act, Case: cc}
	var d credentialing.Determination
	if act {
		d, err = s.scopes.Determine(ctx, tx, actor, ask)
	} else {
		d, err = s.scopes.Judge(ctx, tx, ask)
	}
	if err != nil {
		return facts, nil, err
	}
	facts.Advising = d.Allowed()
	reader, err := s.who.PeopleTx(ctx, tx, actor.Person)
	if err != nil {
		return facts, nil, err
	}
	facts.Consented, err = s.Allows(ctx, tx, acc.c.ID, RecordSharing, class, reader[actor.Person].Home, actor.Person, tx.Now())
	if err != nil {
		return facts, nil, err
	}
	facts.Agreement, err = s.agreed(ctx, tx, acc.c.Organization, where, class, tx.Now())
	return facts, &d, err
}

// agreed tells whether an agreement of the case's clinic with one of the receiver's
// organizations covers the class.
func (s *Service) agreed(ctx context.Context, tx *audit.Tx, from identity.OrganizationID, to []identity.OrganizationID, class Class, at time.Time) (bool, error) {
	if slices.Contains(to, from) {
		return true, nil // nothing leaves the clinic
	}
	for _, org := range to {
		ok, err := s.scopes.Agreed(ctx, tx, from, org, string(class), at)
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}
