package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// flashable are the messages that done may show: those without variables.
var flashable = map[i18n.ID]bool{
	i18n.FlashSaved: true, i18n.FlashSignedOut: true, i18n.FlashLoginEnded: true, i18n.ProfilePasskeyDone: true,
	i18n.ProfilePasskeyRevoked: true, i18n.ClocksStandingSaved: true,
	i18n.ProgramSaved: true, i18n.ProgramEdited: true, i18n.ProgramEnded: true, i18n.ProgramSubstituted: true, i18n.ClosedSaved: true,
	i18n.ContactSaved: true, i18n.ContactPhoneSent: true, i18n.ContactPhoneDropped: true, i18n.ContactProven: true,
	i18n.BookingDoneBooked: true, i18n.BookingDonePending: true, i18n.BookingDoneCanceled: true, i18n.BookingDoneAccepted: true,
	i18n.BookingDoneDeclined: true, i18n.BookingDoneHours: true, i18n.BookingDoneResent: true,
	i18n.OfficerFlashClaim: true, i18n.OfficerFlashEvidence: true, i18n.OfficerFlashAnswer: true, i18n.OfficerFlashApproved: true,
	i18n.OfficerFlashReturned: true, i18n.OfficerFlashStatus: true, i18n.OfficerFlashPending: true, i18n.FaultFlashLater: true, i18n.OfficerFlashChecked: true,
	i18n.OfficerFlashDecided:  true,
	i18n.RecordFlashPublished: true, i18n.RecordFlashApplied: true, i18n.ComplianceFlashConfirmed: true, i18n.LadderDone: true,
	i18n.CaseFlashCreated: true, i18n.CaseFlashSubmitted: true, i18n.CaseFlashAssigned: true, i18n.CaseFlashConsent: true,
	i18n.CaseFlashWithdrawn: true, i18n.CaseFlashFile: true, i18n.CaseFlashOpinion: true, i18n.CaseFlashDecision: true,
	i18n.CaseFlashHandedBack: true, i18n.CaseFlashClosed: true, i18n.CaseFlashDeclined: true, i18n.CaseFlashReturned: true,
	i18n.CaseOpinionSaved: true, i18n.CalendarRevoked: true, i18n.ZonesDone: true, i18n.ZonesLeft: true,
	i18n.ArrangeHoldReleased: true, i18n.ArrangeHoldDone: true, i18n.ArrangeMissedDone: true,
	i18n.ArrangeWaitingDoneAdded: true, i18n.ArrangeWaitingDonePassed: true, i18n.ArrangeWaitingDoneStopped: true,
	i18n.ReplayFlashRan: true, i18n.ReplayFlashAcknowledged: true,
	i18n.OwnPlaceDone: true, i18n.UploadFlashArrived: true, i18n.UploadFlashAsked: true, i18n.UploadFlashRevoked: true,
	i18n.MoveDone: true, i18n.MoveDonePending: true, i18n.PresenceDoneOffered: true, i18n.PresenceDoneMoved: true, i18n.PresenceDoneCanceled: true,
}

// coreRoutes are the addresses that no room owns.
func (s *Server) coreRoutes() []route {
	return []route{
		{http.MethodGet, "/", everyone, s.home},
		{http.MethodPost, "/language", everyone, s.setLanguage},
		{http.MethodGet, "/sign-in", everyone, s.signInPage},
		{http.MethodPost, "/sign-in/begin", everyone, s.slowly(s.beginSignIn)},
		{http.MethodPost, "/sign-in/finish", everyone, s.slowly(s.finishSignIn)},
		{http.MethodPost, "/sign-out", everyone, s.signOut},
		{http.MethodGet, "/demo", everyone, s.demoPage},
		{http.MethodPost, "/demo", everyone, s.slowly(s.demoSignIn)},
		{http.MethodGet, "/profile", member, s.profilePage},
		{http.MethodPost, "/profile", member, s.saveProfile},
		{http.MethodPost, "/profile/passkeys/begin", member, s.beginEnrollment},
		{http.MethodPost, "/profile/passkeys/finish", member, s.finishEnrollment},
		{http.MethodPost, "/profile/passkeys/{passkey}/revoke", member, s.revokePasskey},
		{http.MethodPost, "/profile/organization", member, s.actFor},
		{http.MethodPost, "/profile/logins/end-others", member, s.endOtherLogins},
		{http.MethodGet, "/enroll/{token}", everyone, s.slowly(s.enrollPage)},
		{http.MethodPost, "/enroll/begin", everyone, s.slowly(s.beginInvited)},
		{http.MethodPost, "/enroll/finish", everyone, s.slowly(s.finishInvited)},
		{http.MethodPost, "/step-up/begin", member, s.beginStepUp},
		{http.MethodPost, "/step-up/finish", member, s.finishStepUp},
		{http.MethodPost, "/profile/logins/{login}/end", member, s.endLogin},
		{http.MethodGet, "/outbox", everyone, s.outboxPage},
		{http.MethodGet, "/outbox/{message}/{attachment}", everyone, s.outboxAttachment},
		{http.MethodGet, "/.well-known/consilium-trust.json", everyone, s.trustFile},
		{http.MethodGet, "/.well-known/consilium-checkpoint", everyone, s.checkpoint},
	}
}

// setLanguage changes the language for this browser and, for a member, the profile.
func (s *Server) setLanguage(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	tag := s.i18n.Match(f.Value("language"))
	s.setCookie(w, cookieLanguage, tag, 365*24*time.Hour)
	if v := visitOf(r); v.signed {
		if err := s.d.Identity.SetPreferences(r.Context(), v.actor, tag, v.actor.Zone); err != nil {
			return fmt.Errorf("set language: %w", err)
		}
	}
	return s.redirect(w, r, f.Value("return"))
}

// askToSignIn sends nobody to the sign-in page, and back to a page that was asked for.
func (s *Server) askToSignIn(w http.ResponseWriter, r *http.Request) {
	to := "/sign-in"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.Path)
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"to": to})
		return
	}
	if r.Header.Get("HX-Request") == "true" {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusOK)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) error {
	next := local(r.URL.Query().Get("next"))
	if visitOf(r).signed {
		return s.redirect(w, r, next)
	}
	p := pages.SignInPage{Next: next}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.SigninTitle); err != nil {
		return err
	}
	p.Scripts = s.scripts("app.js", "passkey.js")
	return s.render(w, r, http.StatusOK, pages.SignIn(p))
}

// ceremony is what the browser and the server say to each other about a passkey.
type ceremony struct {
	Ceremony string          `json:"ceremony"`
	Options  json.RawMessage `json:"options,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
	Label    string          `json:"label,omitempty"`
	Next     string          `json:"next,omitempty"`
	Token    string          `json:"token,omitempty"` // of an invitation
}

func (s *Server) beginSignIn(w http.ResponseWriter, r *http.Request) error {
	id, options, err := s.d.Identity.BeginSignIn(r.Context())
	if err != nil {
		return fmt.Errorf("begin sign-in: %w", err)
	}
	return writeJSON(w, http.StatusOK, ceremony{Ceremony: id, Options: options})
}

func (s *Server) finishSignIn(w http.ResponseWriter, r *http.Request) error {
	var c ceremony
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	token, _, err := s.d.Identity.FinishSignIn(r.Context(), c.Ceremony, c.Response)
	if err != nil {
		return fmt.Errorf("finish sign-in: %w", err)
	}
	s.signIn(w, token)
	return writeJSON(w, http.StatusOK, map[string]string{"to": local(c.Next)})
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if v := visitOf(r); v.signed {
		if err := s.d.Identity.SignOut(r.Context(), v.actor); err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	s.dropCookie(w, cookieLogin)
	return s.done(w, r, "/", pages.LevelOK, i18n.FlashSignedOut)
}

// fromLoopback tells whether a request was made on this machine and for this
// machine: the peer's address, and a Host that no foreign name server answered for.
func fromLoopback(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !net.ParseIP(peer).IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// demoOnly opens a page of the demonstration to this machine alone.
func (s *Server) demoOnly(r *http.Request) error {
	if !s.d.Demo {
		return errNotFound
	}
	if !fromLoopback(r) {
		return errLoopback
	}
	return nil
}

func (s *Server) demoPage(w http.ResponseWriter, r *http.Request) error {
	if err := s.demoOnly(r); err != nil {
		return err
	}
	p := pages.DemoPage{Host: s.public.Host}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.DemoTitle); err != nil {
		return err
	}
	if p.Cast, err = s.cast(r.Context(), p.Layout); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Demo(p))
}

func (s *Server) cast(ctx context.Context, p pages.Layout) ([]pages.CastRow, error) {
	var ids []identity.PersonID
	for _, m := range s.d.Cast {
		ids = append(ids, m.Person)
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("cast: %w", err)
	}
	var out []pages.CastRow
	for _, m := range s.d.Cast {
		who, ok := people[m.Person]
		if !ok {
			continue
		}
		row := pages.CastRow{Person: string(who.ID), Name: who.Name, Zone: who.Zone, Now: s.now(), Patient: m.Patient}
		for _, tag := range who.Languages {
			row.Languages = append(row.Languages, p.Language(tag))
		}
		if id := i18n.ID(m.Note); p.Has(id) {
			row.Note = p.T(id)
		}
		roles, err := s.d.Identity.RolesOf(ctx, m.Person)
		if err != nil {
			return nil, fmt.Errorf("cast: %w", err)
		}
		for i, g := range roles {
			if i == 0 && g.Organization != "" {
				org, err := s.d.Identity.Organization(ctx, g.Organization)
				if err != nil {
					return nil, fmt.Errorf("cast: %w", err)
				}
				row.Organization = org.Name
			}
			row.Roles = append(row.Roles, roleName(p.Localizer, g.Role))
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *Server) demoSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := s.demoOnly(r); err != nil {
		return err
	}
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if v := visitOf(r); v.signed {
		if err := s.d.Identity.SignOut(r.Context(), v.actor); err != nil && !errors.Is(err, identity.ErrNoLogin) {
			return fmt.Errorf("leave the former person: %w", err)
		}
	}
	token, err := s.d.Identity.SignInDemo(r.Context(), identity.PersonID(f.Value("person")))
	if err != nil {
		return fmt.Errorf("enter as somebody of the cast: %w", err)
	}
	s.signIn(w, token)
	s.dropCookie(w, cookieLanguage)
	return s.redirect(w, r, "/")
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.d.Ready != nil {
		if err := s.d.Ready(r.Context()); err != nil {
			s.log.WarnContext(r.Context(), "not ready", "error", err.Error())
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = w.Write([]byte("ready\n"))
}

func (s *Server) trustFile(w http.ResponseWriter, r *http.Request) error {
	return serveFile(w, r, s.d.TrustFile, "application/json")
}

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) error {
	return serveFile(w, r, s.d.Checkpoint, "text/plain; charset=utf-8")
}

func serveFile(w http.ResponseWriter, r *http.Request, read func(context.Context) ([]byte, error), media string) error {
	if read == nil {
		return errNotFound
	}
	body, err := read(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(body)
	return nil
}
