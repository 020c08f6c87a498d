package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// layout is the frame of a page with a title from the catalogue.
func (s *Server) layout(w http.ResponseWriter, r *http.Request, title i18n.ID, v ...i18n.V) (pages.Layout, error) {
	return s.titled(w, r, localizer(r).T(title, v...))
}

// titled is layout with a title that is data: of a case, a person.
func (s *Server) titled(w http.ResponseWriter, r *http.Request, title string) (pages.Layout, error) {
	v := visitOf(r)
	p := s.plain(r, title)
	if f := s.takeFlash(w, r); f != nil {
		p.Flash = f
	}
	if !v.signed {
		return p, nil
	}
	who, err := s.d.Identity.Person(r.Context(), v.actor.Person)
	if err != nil {
		return p, fmt.Errorf("person of the layout: %w", err)
	}
	p.Person, p.Guest = who.Name, v.actor.Guest()
	if len(v.actor.Roles) > 0 {
		p.Role = roleName(v.l, v.actor.Roles...)
	}
	if !p.Guest {
		p.Nav = s.navigation(v, r.URL.Path)
	}
	return p, nil
}

// plain is a layout that needs no database: of error pages and of nobody's visits.
func (s *Server) plain(r *http.Request, title string) pages.Layout {
	path := "/"
	if r.Method == http.MethodGet {
		path = r.URL.RequestURI()
	}
	return pages.Layout{
		Localizer: localizer(r), Title: title, Path: path, Demo: s.d.Demo, Asset: s.assets.url,
		Scripts: s.scripts("app.js"), NoBundle: !s.assets.has("dist/app.js"),
	}
}

// scripts keeps the entries that were built.
func (s *Server) scripts(entries ...string) []string {
	var out []string
	for _, e := range entries {
		if s.assets.has("dist/" + e) {
			out = append(out, e)
		}
	}
	return out
}

func roleName(l *i18n.Localizer, roles ...identity.Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, l.T(i18n.ID("role."+string(r))))
	}
	return strings.Join(names, " · ")
}

// render answers with a whole page. Components render into memory first, so that an
// error still becomes an error page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) error {
	var b bytes.Buffer
	if err := c.Render(r.Context(), &b); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", localizer(r).Tag())
	h.Add("Vary", "Accept-Encoding, Cookie, Accept-Language, HX-Request")
	body := b.Bytes()
	// No page repeats what a stranger could put into the request beside a secret, so
	// its compressed length tells nothing (BREACH).
	if len(body) > worthPacking && packs(r) {
		body = pack(body, gzip.BestSpeed)
		h.Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(status)
	_, err := w.Write(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// redirect sends the browser on after a command: 303, so that a reload repeats
// nothing. to is an address of this site.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, local(to), http.StatusSeeOther)
	return nil
}

// flashLife is how long a sentence waits for the next page.
const flashLife = time.Minute

// done is redirect with a sentence that the next page shows once. The cookie holds
// the message id alone: no value of a person.
func (s *Server) done(w http.ResponseWriter, r *http.Request, to string, level pages.Level, say i18n.ID) error {
	s.setCookie(w, cookieFlash, string(level)+":"+string(say), flashLife)
	return s.redirect(w, r, to)
}

func (s *Server) takeFlash(w http.ResponseWriter, r *http.Request) *pages.Flash {
	level, id, ok := strings.Cut(s.cookie(r, cookieFlash), ":")
	if !ok {
		return nil
	}
	s.dropCookie(w, cookieFlash)
	switch l := pages.Level(level); l {
	case pages.LevelOK, pages.LevelWarn, pages.LevelBad, pages.LevelInfo:
		// Messages with variables cannot come by cookie; those without can do no harm.
		if s.i18n.Has(i18n.ID(id)) && flashable[i18n.ID(id)] {
			return &pages.Flash{Level: l, Text: localizer(r).T(i18n.ID(id))}
		}
	}
	return nil
}

// local keeps an address within this site: a path, never another host.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// Limits of what a form may hold: text forms of a case are a few pages long.
const (
	maxForm  = 1 << 20
	maxParts = 8 << 20 // of a form with files in memory; the rest goes to temporary files
)

// form reads what was sent. Too large is errTooLarge, unreadable is errBadForm.
func (s *Server) form(w http.ResponseWriter, r *http.Request) (pages.Form, error) {
	return s.formOf(w, r, maxForm)
}

// upload reads a form with files of at most limit bytes in all.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, limit int64) (pages.Form, error) {
	return s.formOf(w, r, limit)
}

func (s *Server) formOf(w http.ResponseWriter, r *http.Request, limit int64) (pages.Form, error) {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(maxParts)
	} else {
		err = r.ParseForm()
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return pages.Form{}, errTooLarge
	case err != nil:
		return pages.Form{}, fmt.Errorf("%w: %w", errBadForm, err)
	}
	f := pages.Form{Values: r.PostForm}
	if r.MultipartForm != nil {
		f.Files = r.MultipartForm.File
	}
	return f, nil
}
