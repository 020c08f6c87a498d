package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/pgtest"
	"github.com/consilium-health/consilium/web/mail"
)

// house is the pages on a real database with a small cast.
type house struct {
	http.Handler
	log      *audit.DB
	identity *identity.Service
	outbox   *mail.Outbox
	people   map[string]identity.PersonID
	token    map[string]string // of the login cookie
}

// seat is somebody of the small cast.
var smallCast = []struct {
	key, name, language, zone string
	role                      identity.Role
}{
	{"otieno", "Dr Amina Otieno", "en", "Africa/Nairobi", identity.RoleLocalPhysician},
	{"tremblay", "Prof. Claire Tremblay", "fr", "America/Toronto", identity.RoleSpecialist},
	{"aziz", "Layla Aziz", "ar", "Asia/Beirut", identity.RoleInterpreter},
	{"wanjiru", "Grace Wanjiru", "en", "Africa/Nairobi", identity.RoleOfficer},
}

const origin = "http://localhost:8080"

func open(t *testing.T, d Deps) house {
	t.Helper()
	ctx := context.Background()
	db := audit.New(audit.Config{Pool: pgtest.New(t).Pool})
	ids, err := identity.New(identity.Config{DB: db, RPID: "localhost", RPName: "Consilium", Origins: []string{origin}, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	h := house{log: db, identity: ids, outbox: mail.NewOutbox(db), people: map[string]identity.PersonID{}, token: map[string]string{}}
	seed := identity.System("seed", "")
	org, err := ids.AddOrganization(ctx, seed, identity.Organization{Name: "Jacaranda Hill Hospital", Kind: "hospital", Zone: "Africa/Nairobi", Place: "KE"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range smallCast {
		id, err := ids.AddPerson(ctx, seed, identity.Person{Name: c.name, Language: c.language, Languages: []string{c.language, "en"}, Zone: c.zone,
			Email: c.key + "@example.org"}, identity.Grant{Organization: org, Role: c.role})
		if err != nil {
			t.Fatal(err)
		}
		h.people[c.key] = id
		if h.token[c.key], err = ids.SignInDemo(ctx, id); err != nil {
			t.Fatal(err)
		}
		d.Cast = append(d.Cast, CastMember{Person: id})
	}
	d.Identity, d.PublicURL, d.Outbox = ids, origin, h.outbox
	if d.Log == nil {
		d.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h.Handler = New(d)
	return h
}

// as is a request of somebody of the cast.
func (h house) as(key string) func(*http.Request) { return header("Cookie", "login="+h.token[key]) }

func get(h http.Handler, path string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, path, "", with...)
}

func ask(h http.Handler, method, path, body string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8080"+path, bytes.NewBufferString(body))
	r.RemoteAddr = "127.0.0.1:1234"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range with {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }

func TestUnsafeRequestsOfOtherSitesAreRefused(t *testing.T) {
	h := open(t, Deps{})
	signedIn := h.as("otieno")
	for _, c := range []struct {
		name   string
		method string
		with   []func(*http.Request)
		want   int
	}{
		{"same origin by Sec-Fetch-Site", "POST", []func(*http.Request){signedIn, header("Sec-Fetch-Site", "same-origin")}, 303},
		{"cross site", "POST", []func(*http.Request){signedIn, header("Sec-Fetch-Site", "cross-site")}, 403},
		{"same site is another origin", "POST", []func(*http.Request){signedIn, header("Sec-Fetch-Site", "same-site")}, 403},
		{"typed by the person", "POST", []func(*http.Request){signedIn, header("Sec-Fetch-Site", "none")}, 303},
		{"old browser with our Origin", "POST", []func(*http.Request){signedIn, header("Origin", "http://localhost:8080")}, 303},
		{"old browser with another Origin", "POST", []func(*http.Request){signedIn, header("Origin", "http://evil.example")}, 403},
		{"null Origin", "POST", []func(*http.Request){signedIn, header("Origin", "null")}, 403},
		{"cookie with neither", "POST", []func(*http.Request){signedIn}, 403},
		{"other cookie with neither", "POST", []func(*http.Request){header("Cookie", "language=fr")}, 403},
		{"program without cookie", "POST", nil, 303},
		{"reading from anywhere", "GET", []func(*http.Request){signedIn, header("Sec-Fetch-Site", "cross-site")}, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(h, c.method, "/language", "language=fr&return=/", c.with...)
			if w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
		})
	}
}

func TestEveryRouteHasAPolicyAndStandsOnce(t *testing.T) {
	s := newServer(Deps{PublicURL: origin})
	seen := map[string]bool{}
	for _, r := range s.routes() {
		if r.who == nil || r.handler == nil {
			t.Errorf("%s %s has no policy or handler", r.method, r.pattern)
		}
		if seen[r.method+r.pattern] {
			t.Errorf("%s %s stands twice", r.method, r.pattern)
		}
		seen[r.method+r.pattern] = true
	}
}

func TestPagesForMembersAskNobodyToSignIn(t *testing.T) {
	h := open(t, Deps{})
	w := get(h, "/profile")
	if w.Code != 303 || w.Header().Get("Location") != "/sign-in?next=%2Fprofile" {
		t.Errorf("got %d %s", w.Code, w.Header().Get("Location"))
	}
	w = get(h, "/profile", header("Cookie", "login="+strings.Repeat("A", 43)))
	if w.Code != 303 || !strings.Contains(w.Header().Get("Set-Cookie"), "login=; Path=/; Max-Age=0") {
		t.Errorf("ended login: got %d, cookie %q", w.Code, w.Header().Get("Set-Cookie"))
	}
}

func TestLanguageComesFromProfileCookieHeaderInThisOrder(t *testing.T) {
	h := open(t, Deps{})
	for _, c := range []struct {
		name, cookie, header, want string
	}{
		{"nothing asked", "", "", `lang="en" dir="ltr"`},
		{"header", "", "fr-CA,fr;q=0.9", `lang="fr" dir="ltr"`},
		{"header, none complete", "", "de", `lang="en" dir="ltr"`},
		{"cookie over header", "language=ar", "fr", `lang="ar" dir="rtl"`},
		{"profile over cookie", "login=" + h.token["aziz"] + "; language=fr", "fr", `lang="ar" dir="rtl"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(h, "/", header("Cookie", c.cookie), header("Accept-Language", c.header))
			if !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("page has no %s:\n%.200s", c.want, w.Body)
			}
		})
	}
}

func TestTheCastAnswersOnlyThisMachine(t *testing.T) {
	h := open(t, Deps{Demo: true})
	from := func(addr, host string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = addr; r.Host = host }
	}
	for _, c := range []struct {
		name string
		with func(*http.Request)
		want int
	}{
		{"another machine", from("192.0.2.7:99", "localhost:8080"), 403},
		{"a name that a foreign server points here", from("127.0.0.1:99", "rebound.example"), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := get(h, "/demo", c.with); w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
		})
	}
	if w := get(open(t, Deps{}), "/demo"); w.Code != 404 {
		t.Errorf("without demo: status %d, want 404", w.Code)
	}
}

func TestAddressesStayOnTheSite(t *testing.T) {
	for in, want := range map[string]string{
		"/cases?x=1": "/cases?x=1", "": "/", "//evil.example": "/", "https://evil.example/": "/",
		"/\\evil.example": "/", "javascript:alert(1)": "/", "cases": "/",
	} {
		if got := local(in); got != want {
			t.Errorf("local(%q) = %q, want %q", in, got, want)
		}
	}
}
