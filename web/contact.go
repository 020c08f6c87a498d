package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// contactRoutes are the addresses at which people say how they are written to; guests
// too, for themselves.
func (s *Server) contactRoutes() []route {
	return []route{
		{http.MethodGet, "/profile/messages", someone, s.contactPage},
		{http.MethodPost, "/profile/messages", someone, s.saveContact},
		{http.MethodPost, "/profile/messages/phone", someone, s.slowly(s.askCode)},
		{http.MethodPost, "/profile/messages/code", someone, s.slowly(s.provePhone)},
		{http.MethodPost, "/profile/messages/forget", someone, s.dropPhone},
	}
}

func (s *Server) contactPage(w http.ResponseWriter, r *http.Request) error {
	return s.showContact(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showContact(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	c, err := s.d.Identity.ContactOf(r.Context(), v.actor.Person)
	if err != nil {
		return fmt.Errorf("messages page: %w", err)
	}
	who, err := s.d.Identity.Person(r.Context(), v.actor.Person)
	if err != nil {
		return fmt.Errorf("messages page: %w", err)
	}
	f.Prefill("channel", string(c.Channel))
	f.Prefill("language", v.l.Tag())
	f.Prefill("from", scheduling.Minute(c.Quiet.From).String())
	f.Prefill("until", scheduling.Minute(c.Quiet.Until).String())
	p := pages.ContactPage{Form: f, Zone: who.Zone, Texts: s.d.Texts, Phone: c.Phone, Pending: c.Pending}
	for _, channel := range identity.Channels {
		p.Channels = append(p.Channels, pages.Option{Value: string(channel), Text: v.l.T(i18n.ID("contact.channel." + string(channel)))})
	}
	if p.Layout, err = s.layout(w, r, i18n.ContactTitle); err != nil {
		return err
	}
	if !v.actor.Guest() {
		p.Crumbs = []pages.Crumb{{Href: "/profile", Label: v.l.T(i18n.ProfileTitle)}}
	}
	return s.render(w, r, status, pages.Contact(p))
}

// dayMinute reads a time of day of a form.
func dayMinute(f *pages.Form, l *i18n.Localizer, field string, label i18n.ID) int {
	t, err := time.Parse("15:04", f.Require(l, field, label, 5))
	if err != nil && f.OK() {
		f.Fail(field, i18n.ErrorInvalid)
	}
	return t.Hour()*60 + t.Minute()
}

func (s *Server) saveContact(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	channel := f.Choose(v.l, "channel", i18n.ContactChannel, "mail", "sms", "both")
	quiet := identity.Quiet{From: dayMinute(&f, v.l, "from", i18n.ContactQuietFrom), Until: dayMinute(&f, v.l, "until", i18n.ContactQuietUntil)}
	if !f.OK() {
		return s.showContact(w, r, http.StatusUnprocessableEntity, f)
	}
	if err := s.d.Identity.SetContact(r.Context(), v.actor, identity.Channel(channel), quiet); err != nil {
		return s.contactFailed(w, r, f, "channel", err)
	}
	if tag := f.Value("language"); tag != "" && tag != v.l.Tag() {
		who, err := s.d.Identity.Person(r.Context(), v.actor.Person)
		if err != nil {
			return fmt.Errorf("language of messages: %w", err)
		}
		if err := s.d.Identity.SetPreferences(r.Context(), v.actor, tag, who.Zone); err != nil {
			return s.contactFailed(w, r, f, "language", err)
		}
	}
	return s.done(w, r, "/profile/messages", pages.LevelOK, i18n.ContactSaved)
}

// contactFailed shows the page with what went wrong with a field.
func (s *Server) contactFailed(w http.ResponseWriter, r *http.Request, f pages.Form, field string, err error) error {
	if bad, ok := errors.AsType[*identity.Invalid](err); ok {
		text := i18n.ErrorInvalid
		if bad.Field == "phone" {
			text = i18n.ContactPhoneBad
		}
		f.Fail(field, text)
		return s.showContact(w, r, http.StatusUnprocessableEntity, f)
	}
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusForbidden {
		return err
	}
	f.Fail(field, text)
	return s.showContact(w, r, status, f)
}

func (s *Server) askCode(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if !s.d.Texts {
		return errNotFound
	}
	if err := s.d.Identity.AskCode(r.Context(), actorOf(r), f.Value("phone")); err != nil {
		return s.contactFailed(w, r, f, "phone", err)
	}
	return s.done(w, r, "/profile/messages", pages.LevelOK, i18n.ContactPhoneSent)
}

func (s *Server) provePhone(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	err = s.d.Identity.ProvePhone(r.Context(), actorOf(r), f.Value("code"))
	if errors.Is(err, identity.ErrCodeOver) {
		return s.contactFailed(w, r, f, "phone", err) // the field of the code is gone
	}
	if err != nil {
		return s.contactFailed(w, r, f, "code", err)
	}
	return s.done(w, r, "/profile/messages", pages.LevelOK, i18n.ContactProven)
}

func (s *Server) dropPhone(w http.ResponseWriter, r *http.Request) error {
	if err := s.d.Identity.DropPhone(r.Context(), actorOf(r)); err != nil {
		return fmt.Errorf("forget a number: %w", err)
	}
	return s.done(w, r, "/profile/messages", pages.LevelOK, i18n.ContactPhoneDropped)
}
