package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// uploadRoutes are the addresses behind the link of a reminder, and what officers and
// holders do about links.
func (s *Server) uploadRoutes() []route {
	return []route{
		{http.MethodGet, "/renew/{token}", everyone, s.slowly(s.uploadPage)},
		{http.MethodPost, "/renew/{token}", everyone, s.slowly(s.uploadByLink)},
		{http.MethodPost, "/renew/{token}/finish", everyone, s.slowly(s.finishUpload)},
		{http.MethodPost, "/credentials/{credential}/links", member, s.askForUpload},
		{http.MethodPost, "/credentials/{credential}/links/{link}/revoke", member, s.revokeUploadLink},
	}
}

// uploadPage is behind a link in a mail. It shows and spends nothing: programs that read
// mail open links too. Who is signed in does not matter: the link alone counts.
func (s *Server) uploadPage(w http.ResponseWriter, r *http.Request) error {
	return s.showUpload(w, r, http.StatusOK, pages.Form{})
}

// linked is what stands behind the link of a request. The page is in the language of the
// person written to, unless the browser has been told another.
func (s *Server) linked(r *http.Request) (credentialing.LinkedCredential, error) {
	c, err := s.d.Credentialing.Linked(r.Context(), r.PathValue("token"))
	if err != nil {
		return c, fmt.Errorf("link to upload: %w", err)
	}
	who, err := s.d.Identity.Person(r.Context(), c.Person)
	if err != nil {
		return c, fmt.Errorf("link to upload: %w", err)
	}
	visitOf(r).l = s.i18n.Localizer(s.i18n.Match(s.cookie(r, cookieLanguage), who.Language), who.Zone)
	return c, nil
}

func (s *Server) showUpload(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	c, err := s.linked(r)
	if err != nil {
		return err
	}
	l := localizer(r)
	p := pages.UploadPage{Action: "/renew/" + r.PathValue("token"), Kind: kindID(c.Kind), Issuer: c.Issuer, Until: c.Expires, Count: c.Files,
		Full: c.Files >= credentialing.MaxLinkFiles, Form: f}
	p.Ends, _ = momentDay(l, c.Ends, time.Time{})
	p.Layout = s.plain(r, l.T(i18n.UploadTitle))
	if flash := s.takeFlash(w, r); flash != nil {
		p.Flash = flash
	}
	return s.render(w, r, status, pages.Upload(p))
}

// uploadLimit is the size of the largest form: all files of a link at once.
const uploadLimit = credentialing.MaxLinkFiles*credentialing.MaxEvidence + maxForm

func (s *Server) uploadByLink(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.linked(r); err != nil { // before anything is read
		return err
	}
	f, err := s.upload(w, r, uploadLimit)
	if err != nil {
		return err
	}
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	}
	l := localizer(r)
	u := credentialing.LinkedUpload{NoEnd: f.Has("no_end", "yes")}
	if u.ValidTo, err = credentialing.ParseMoment(f.Value("valid_to")); err != nil || !u.ValidTo.IsZero() && !u.ValidTo.IsDate() {
		f.Fail("valid_to", i18n.UploadErrorLastDay)
	}
	heads := f.Files["file"]
	switch {
	case len(heads) == 0:
		f.Fail("file", i18n.FormRequired, i18n.V{"Field": l.T(i18n.UploadFiles)})
	case len(heads) > credentialing.MaxLinkFiles:
		f.Fail("file", i18n.UploadErrorFull)
	}
	if f.OK() {
		for _, head := range heads {
			body, err := head.Open()
			if err != nil {
				return fmt.Errorf("open upload: %w", err)
			}
			defer body.Close()
			u.Files = append(u.Files, credentialing.EvidenceFile{Content: body})
		}
		_, err := s.d.Credentialing.UploadByLink(r.Context(), r.PathValue("token"), u)
		var one *credentialing.FileError
		var invalid *credentialing.Invalid
		switch id, refused := fileFault(err); {
		case err == nil:
			return s.done(w, r, "/renew/"+r.PathValue("token"), pages.LevelOK, i18n.UploadFlashArrived)
		case refused && errors.As(err, &one):
			f.Fail("file", i18n.UploadErrorNamed, i18n.V{"Name": heads[one.File].Filename, "Problem": l.T(id)})
		case errors.As(err, &invalid) && invalid.Field == "valid_to":
			f.Fail("valid_to", i18n.UploadErrorLastDay)
		case errors.Is(err, credentialing.ErrLinkFull):
			f.Fail("file", i18n.UploadErrorFull)
		default:
			return fmt.Errorf("upload by link: %w", err)
		}
	}
	return s.showUpload(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) finishUpload(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.linked(r); err != nil {
		return err
	}
	if err := s.d.Credentialing.FinishUpload(r.Context(), r.PathValue("token")); err != nil {
		return fmt.Errorf("close a link: %w", err)
	}
	return s.render(w, r, http.StatusOK, pages.Uploaded(s.plain(r, localizer(r).T(i18n.UploadFinishedTitle))))
}

func (s *Server) askForUpload(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("credential")
	if err := s.d.Credentialing.AskForUpload(r.Context(), actorOf(r), credentialing.CredentialID(id)); err != nil {
		return fmt.Errorf("ask for an upload: %w", err)
	}
	return s.done(w, r, "/credentials/"+id, pages.LevelOK, i18n.UploadFlashAsked)
}

func (s *Server) revokeUploadLink(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("credential")
	err := s.d.Credentialing.RevokeUploadLink(r.Context(), actorOf(r), credentialing.CredentialID(id), credentialing.UploadLinkID(r.PathValue("link")))
	if err != nil {
		return fmt.Errorf("revoke a link: %w", err)
	}
	return s.done(w, r, "/credentials/"+id, pages.LevelOK, i18n.UploadFlashRevoked)
}

// uploadLinks are the links of a credential for its page.
func (s *Server) uploadLinks(r *http.Request, id credentialing.CredentialID) ([]pages.UploadLinkRow, error) {
	list, err := s.d.Credentialing.UploadLinks(r.Context(), actorOf(r), id)
	if err != nil {
		return nil, fmt.Errorf("links to upload: %w", err)
	}
	var out []pages.UploadLinkRow
	for _, l := range list {
		row := pages.UploadLinkRow{ID: string(l.ID), Sent: l.IssuedAt, Until: l.ExpiresAt, Files: l.Files, State: i18n.UploadStateExpired}
		switch {
		case l.Open(s.now()):
			row.State, row.Open = i18n.UploadStateOpen, true
		case !l.RevokedAt.IsZero():
			row.State = i18n.UploadStateRevoked
		case !l.FinishedAt.IsZero():
			row.State = i18n.UploadStateFinished
		case !l.Needed:
			row.State = i18n.UploadStateSpent
		}
		out = append(out, row)
	}
	return out, nil
}
