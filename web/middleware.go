package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// tag gives the request its id, its nonce and, until somebody is recognized, the
// reader's language; it writes one line of log when the answer is out. The line has
// the pattern of the route, not the address: addresses may hold tokens.
func (s *Server) tag(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := make([]byte, 18)
		_, _ = rand.Read(raw) // never fails
		v := &visit{ref: uuid.Must(uuid.NewV7()).String(), nonce: base64.RawStdEncoding.EncodeToString(raw)}
		v.l = s.i18n.Localizer(s.i18n.Match(s.cookie(r, cookieLanguage), r.Header.Get("Accept-Language")), "UTC")
		ctx := templ.WithNonce(context.WithValue(r.Context(), visitKey{}, v), v.nonce)
		rec := &recorder{ResponseWriter: w}
		began := time.Now()
		r = r.WithContext(ctx)
		next.ServeHTTP(rec, r)
		pattern := ""
		if rc := chi.RouteContext(r.Context()); rc != nil {
			pattern = rc.RoutePattern()
		}
		s.log.InfoContext(ctx, "request", "request", v.ref, "method", r.Method, "route", pattern,
			"status", rec.code(), "person", string(v.actor.Person), "ms", time.Since(began).Milliseconds())
	})
}

// recorder remembers the status for the log. Unwrap lets http.ResponseController
// and the WebSocket upgrade reach the writer below.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// recover turns a panic into the page of an unexpected error.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.ErrorContext(r.Context(), "panic", "request", visitOf(r).ref, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			s.fail(w, r, errPanic)
		}()
		next.ServeHTTP(w, r)
	})
}

// headers writes what the browser shall keep to (design security, section 8).
func (s *Server) headers(next http.Handler) http.Handler {
	socket := "ws://" + s.public.Host
	if s.secure {
		socket = "wss://" + s.public.Host
	}
	connect := strings.Join(append([]string{"'self'", socket}, s.d.ConnectSrc...), " ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", strings.Join([]string{
			"default-src 'none'", "script-src 'nonce-" + visitOf(r).nonce + "'", "style-src 'self'",
			"img-src 'self' blob:", "media-src 'self' blob: mediastream:", "font-src 'self'",
			"connect-src " + connect, "worker-src 'self'", "form-action 'self'", "frame-ancestors 'none'",
			"base-uri 'none'", "object-src 'none'", "require-trusted-types-for 'script'",
			"trusted-types consilium default",
		}, "; "))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), screen-wake-lock=(self)")
		h.Set("Cache-Control", "no-store")
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses unsafe requests that another site made. The standard library's
// check lets a request through that has neither Sec-Fetch-Site nor Origin, taking it
// for a program; one that carries a cookie is a browser too old to say, or a forgery.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := protection.Check(r)
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" && r.Header.Get("Cookie") != "" {
				err = errors.New("cookie without origin")
			}
		}
		if err != nil {
			s.fail(w, r, errCrossOrigin)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recognize reads the login cookie. A login that ended is removed from the browser,
// and the visit goes on as nobody's.
func (s *Server) recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := s.cookie(r, cookieLogin)
		if token == "" {
			next.ServeHTTP(w, r)
			return
		}
		v := visitOf(r)
		actor, login, err := s.d.Identity.Authenticate(r.Context(), token)
		switch {
		case errors.Is(err, identity.ErrNoLogin):
			s.dropCookie(w, cookieLogin)
		case err != nil:
			s.fail(w, r, fmt.Errorf("recognize: %w", err))
			return
		default:
			v.actor, v.login, v.signed = actor, login, true
			v.l = s.i18n.Localizer(s.i18n.Match(actor.Language, s.cookie(r, cookieLanguage), r.Header.Get("Accept-Language")), actor.Zone)
		}
		next.ServeHTTP(w, r)
	})
}

// do asks the policy, runs the handler and hands its error to the table.
func (s *Server) do(who policy, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := who(visitOf(r))
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// Names of cookies; __Host- where the site has TLS.
const (
	cookieLogin    = "login"
	cookieLanguage = "language"
	cookieFlash    = "flash"
)

func (s *Server) cookieName(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie writes a cookie that scripts cannot read; life 0 is until the browser
// closes.
func (s *Server) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds()),
	})
}

func (s *Server) dropCookie(w http.ResponseWriter, name string) {
	s.setCookie(w, name, "", -time.Second)
}

// signIn puts the login into the browser; the server's row says how long it lives.
func (s *Server) signIn(w http.ResponseWriter, token string) {
	s.setCookie(w, cookieLogin, token, 0)
}
