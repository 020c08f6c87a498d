package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func (s *Server) profilePage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	f := pages.Form{}
	f.Prefill("language", v.l.Tag())
	f.Prefill("zone", v.actor.Zone)
	return s.showProfile(w, r, http.StatusOK, f)
}

func (s *Server) showProfile(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	who, err := s.d.Identity.Person(r.Context(), v.actor.Person)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	f.Prefill("gender", string(who.Gender))
	p := pages.ProfilePage{Form: f, DemoKeys: s.d.Demo, Genders: genders(v.l)}
	if p.Layout, err = s.layout(w, r, i18n.ProfileTitle); err != nil {
		return err
	}
	p.Scripts = s.scripts("app.js", "passkey.js")
	logins, err := s.d.Identity.Logins(r.Context(), v.actor)
	if err != nil {
		return fmt.Errorf("logins of the profile: %w", err)
	}
	for _, g := range logins {
		p.Logins = append(p.Logins, pages.LoginRow{ID: string(g.ID), Factor: g.Factor, Created: g.Created, Until: g.AbsoluteUntil, This: g.ID == v.actor.Login})
	}
	keys, err := s.d.Identity.Passkeys(r.Context(), v.actor.Person)
	if err != nil {
		return fmt.Errorf("passkeys of the profile: %w", err)
	}
	for _, k := range keys {
		p.Passkeys = append(p.Passkeys, pages.PasskeyRow{ID: base64.RawURLEncoding.EncodeToString(k.ID), Label: k.Label, Demonstration: k.Kind == "demonstration", Enrolled: k.Enrolled, Leaf: k.Leaf})
	}
	if p.Organizations, err = s.workplaces(r, &p.Form); err != nil {
		return err
	}
	return s.render(w, r, status, pages.Profile(p))
}

// workplaces are the organizations the person works for, the present one chosen.
func (s *Server) workplaces(r *http.Request, f *pages.Form) ([]pages.Option, error) {
	actor := actorOf(r)
	grants, err := s.d.Identity.RolesOf(r.Context(), actor.Person)
	if err != nil {
		return nil, fmt.Errorf("workplaces: %w", err)
	}
	f.Prefill("organization", string(actor.Organization))
	seen := map[identity.OrganizationID]bool{"": true}
	var out []pages.Option
	for _, g := range grants {
		if seen[g.Organization] {
			continue
		}
		seen[g.Organization] = true
		org, err := s.d.Identity.Organization(r.Context(), g.Organization)
		if err != nil {
			return nil, fmt.Errorf("workplaces: %w", err)
		}
		out = append(out, pages.Option{Value: string(org.ID), Text: org.Name})
	}
	return out, nil
}

// actFor turns the login to another organization the person works for.
func (s *Server) actFor(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	token, err := s.d.Identity.ActFor(r.Context(), actorOf(r), identity.OrganizationID(f.Value("organization")))
	if err != nil {
		return fmt.Errorf("act for another organization: %w", err)
	}
	s.signIn(w, token)
	return s.redirect(w, r, "/")
}

func (s *Server) revokePasskey(w http.ResponseWriter, r *http.Request) error {
	id, err := base64.RawURLEncoding.DecodeString(r.PathValue("passkey"))
	if err != nil {
		return errNotFound
	}
	if err := s.d.Identity.RevokePasskey(r.Context(), actorOf(r), id); err != nil {
		return fmt.Errorf("revoke passkey: %w", err)
	}
	return s.done(w, r, "/profile", pages.LevelOK, i18n.ProfilePasskeyRevoked)
}

func (s *Server) endOtherLogins(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.d.Identity.EndOtherLogins(r.Context(), actorOf(r)); err != nil {
		return fmt.Errorf("end other logins: %w", err)
	}
	return s.done(w, r, "/profile", pages.LevelOK, i18n.FlashLoginEnded)
}

// enrollPage offers to make the first passkey to who was invited. Opening it spends
// nothing: programs that look into links before people do leave it good.
func (s *Server) enrollPage(w http.ResponseWriter, r *http.Request) error {
	token := r.PathValue("token")
	who, err := s.d.Identity.Invited(r.Context(), token)
	if err != nil {
		return inviteError(err)
	}
	p := pages.EnrollPage{Token: token, Name: who.Name, DemoKeys: s.d.Demo}
	if p.Layout, err = s.layout(w, r, i18n.EnrollTitle); err != nil {
		return err
	}
	p.Path = "/" // a change of language must not carry the token
	p.Scripts = s.scripts("app.js", "passkey.js")
	return s.render(w, r, http.StatusOK, pages.Enroll(p))
}

// inviteError says of a bad invitation that it is bad, not that one should sign in.
func inviteError(err error) error {
	if errors.Is(err, identity.ErrNoLogin) {
		return errInvite
	}
	return fmt.Errorf("invitation to enroll: %w", err)
}

func (s *Server) beginInvited(w http.ResponseWriter, r *http.Request) error {
	var c ceremony
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	id, options, err := s.d.Identity.BeginInvited(r.Context(), c.Token)
	if err != nil {
		return inviteError(err)
	}
	return writeJSON(w, http.StatusOK, ceremony{Ceremony: id, Options: options})
}

func (s *Server) finishInvited(w http.ResponseWriter, r *http.Request) error {
	var c ceremony
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	login, _, err := s.d.Identity.FinishInvited(r.Context(), c.Token, c.Ceremony, c.Response, c.Label)
	if err != nil {
		return inviteError(err)
	}
	s.signIn(w, login)
	s.setCookie(w, cookieFlash, string(pages.LevelOK)+":"+string(i18n.ProfilePasskeyDone), flashLife)
	return writeJSON(w, http.StatusOK, map[string]string{"to": "/profile"})
}

func (s *Server) saveProfile(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	var tags []string
	for _, l := range i18n.Languages {
		tags = append(tags, l.Tag)
	}
	tag := f.Choose(v.l, "language", i18n.ProfileLanguage, tags...)
	zone := f.Require(v.l, "zone", i18n.ProfileZone, 64)
	if f.OK() {
		err := s.d.Identity.SetPreferences(r.Context(), v.actor, tag, zone)
		var invalid *identity.Invalid
		switch {
		case err == nil:
			return s.done(w, r, "/profile", pages.LevelOK, i18n.FlashSaved)
		case errors.As(err, &invalid) && invalid.Field == "zone":
			f.Fail("zone", i18n.ProfileZoneUnknown)
		default:
			return fmt.Errorf("save profile: %w", err)
		}
	}
	return s.showProfile(w, r, http.StatusUnprocessableEntity, f)
}

func (s *Server) endLogin(w http.ResponseWriter, r *http.Request) error {
	if err := s.d.Identity.EndLogin(r.Context(), actorOf(r), identity.LoginID(r.PathValue("login"))); err != nil {
		return fmt.Errorf("end login: %w", err)
	}
	return s.done(w, r, "/profile", pages.LevelOK, i18n.FlashLoginEnded)
}

func (s *Server) beginEnrollment(w http.ResponseWriter, r *http.Request) error {
	id, options, err := s.d.Identity.BeginEnrollment(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("begin enrollment: %w", err)
	}
	return writeJSON(w, http.StatusOK, ceremony{Ceremony: id, Options: options})
}

func (s *Server) finishEnrollment(w http.ResponseWriter, r *http.Request) error {
	var c ceremony
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	if _, err := s.d.Identity.FinishEnrollment(r.Context(), actorOf(r), c.Ceremony, c.Response, c.Label); err != nil {
		return fmt.Errorf("finish enrollment: %w", err)
	}
	// The page reloads by script and then says so.
	s.setCookie(w, cookieFlash, string(pages.LevelOK)+":"+string(i18n.ProfilePasskeyDone), flashLife)
	return writeJSON(w, http.StatusOK, map[string]string{"to": "/profile"})
}

// beginStepUp and finishStepUp make the login fresh, for commands that ask for it. The
// token changes with it; the old one is dead.
func (s *Server) beginStepUp(w http.ResponseWriter, r *http.Request) error {
	id, options, err := s.d.Identity.BeginStepUp(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("begin confirmation: %w", err)
	}
	return writeJSON(w, http.StatusOK, ceremony{Ceremony: id, Options: options})
}

func (s *Server) finishStepUp(w http.ResponseWriter, r *http.Request) error {
	var c ceremony
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	token, err := s.d.Identity.FinishStepUp(r.Context(), actorOf(r), c.Ceremony, c.Response)
	if err != nil {
		return fmt.Errorf("finish confirmation: %w", err)
	}
	s.signIn(w, token)
	return writeJSON(w, http.StatusOK, struct{}{})
}
