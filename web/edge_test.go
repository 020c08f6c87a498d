package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

func TestPolicyNamesTheNonceOfThisAnswerOnly(t *testing.T) {
	h := open(t, Deps{ConnectSrc: []string{"wss://media.example.org"}})
	nonce := regexp.MustCompile(`script-src 'nonce-([^']{20,})'`)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/sign-in", "/nothing-here"} {
		w := get(h, path)
		csp := w.Header().Get("Content-Security-Policy")
		m := nonce.FindStringSubmatch(csp)
		if m == nil || seen[m[1]] {
			t.Fatalf("%s: %q", path, csp)
		}
		seen[m[1]] = true
		for _, s := range regexp.MustCompile(`<script[^>]*nonce="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if s[1] != m[1] {
				t.Errorf("%s: a script has the nonce %q", path, s[1])
			}
		}
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
			"require-trusted-types-for 'script'", "connect-src 'self' ws://localhost:8080 wss://media.example.org;"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy without %s", path, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Cache-Control": "no-store", "Strict-Transport-Security": ""} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestCookiesOfASecureSiteAreBoundToTheHost(t *testing.T) {
	s := newServer(Deps{PublicURL: "https://consult.example.org"})
	h := s.router()
	w := ask(h, "POST", "/language", "language=fr&return=/", sameOrigin)
	if c := w.Header().Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-language=fr; Path=/;") || !strings.Contains(c, "; Secure") || strings.Contains(c, "Domain") {
		t.Errorf("cookie %q", c)
	}
	if w.Header().Get("Strict-Transport-Security") == "" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "wss://consult.example.org") {
		t.Errorf("headers %v", w.Header())
	}
}

func TestFormsThatAreTooLargeOrUnreadableAreRefused(t *testing.T) {
	h := open(t, Deps{})
	for _, c := range []struct {
		name, path, media, body string
		want                    int
	}{
		{"too large", "/profile", "application/x-www-form-urlencoded", "zone=" + strings.Repeat("a", maxForm), 413},
		{"too large for a script", "/sign-in/finish", "application/json", `{"label":"` + strings.Repeat("a", maxForm) + `"}`, 413},
		{"not a form", "/profile", "application/x-www-form-urlencoded", "zone=%zz", 400},
		{"not JSON", "/sign-in/finish", "application/json", "{", 400},
		{"parts without a boundary", "/profile", "multipart/form-data", "x", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := ask(h, "POST", c.path, c.body, h.as("otieno"), sameOrigin, header("Content-Type", c.media)); w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
		})
	}
}

func TestScriptsGetErrorsAsJSONInTheReadersLanguage(t *testing.T) {
	h := open(t, Deps{})
	w := ask(h, "POST", "/sign-in/finish", `{"ceremony":"00000000-0000-7000-8000-000000000000","response":{}}`, sameOrigin,
		header("Content-Type", "application/json"), header("Accept", "application/json"), header("Cookie", "language=fr"))
	var got struct{ Error, Code, Reference string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code < 400 || w.Code >= 500 {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	if !strings.HasPrefix(got.Code, "error.") || got.Reference == "" || strings.Contains(got.Error, "identity:") || got.Error == "" {
		t.Errorf("got %+v", got)
	}
	w = ask(h, "POST", "/profile/passkeys/begin", `{}`, sameOrigin, header("Content-Type", "application/json"), header("Accept", "application/json"))
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"to":"/sign-in"`) {
		t.Errorf("nobody: %d %s", w.Code, w.Body)
	}
}

func TestUnexpectedErrorsTellTheReaderNothingOfThemselves(t *testing.T) {
	var log bytes.Buffer
	s := newServer(Deps{PublicURL: origin, Log: slog.New(slog.NewTextHandler(&log, nil))})
	secret := errors.New("pq: relation of Salma Idris")
	broken := func(http.ResponseWriter, *http.Request) error { return fmt.Errorf("book: %w", secret) }
	panics := func(http.ResponseWriter, *http.Request) error { panic("name of a patient") }
	for _, h := range []handler{broken, panics} {
		w := get(s.tag(s.recover(s.do(everyone, h))), "/")
		if w.Code != 500 || strings.Contains(w.Body.String(), "Salma") || strings.Contains(w.Body.String(), "patient\"") || !strings.Contains(w.Body.String(), "Reference:") {
			t.Errorf("%d\n%s", w.Code, w.Body)
		}
	}
	if strings.Contains(log.String(), "name of a patient") {
		t.Error("the value of a panic is in the log")
	}
}

func TestErrorsHaveTheStatusOfTheTable(t *testing.T) {
	s := newServer(Deps{PublicURL: origin})
	for _, c := range []struct {
		err  error
		want int
	}{
		{identity.ErrNotFound, 404},
		{fmt.Errorf("book: %w", &scheduling.SlotTaken{}), 409},
		{fmt.Errorf("book: %w", &scheduling.Refusal{Limit: scheduling.LimitLicense}), 422},
		{&identity.Invalid{Field: "zone"}, 422},
		{fmt.Errorf("%w: %w", scheduling.ErrInvalidRequest, errors.New("x")), 422},
		{errors.New("anything else"), 500},
	} {
		if got := s.row(c.err).status; got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
	if _, _, ok := s.explain(errors.New("anything else")); ok {
		t.Error("an unexpected error is explained in a form")
	}
}
