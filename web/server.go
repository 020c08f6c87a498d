package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/mail"
)

// Deps is what the pages stand on. Each room's builder adds the service of the room.
type Deps struct {
	Identity      *identity.Service
	Credentialing *credentialing.Service
	Scheduling    *scheduling.Service
	Workspace     *workspace.Service
	Sessions      *sessions.Service

	// Outbox holds the captured mail of the demonstration; nil where mail is sent.
	Outbox *mail.Outbox

	// Texts tells that text messages are sent.
	Texts bool

	// PublicURL is the address people open: "http://localhost:8080". Its scheme
	// decides over the name and the Secure flag of cookies.
	PublicURL string
	// ConnectSrc are origins that scripts may connect to beside our own: the address
	// of a media cluster. The embedded engine needs none.
	ConnectSrc []string
	// TrustedProxies are the peers whose X-Forwarded-For is believed; nil: nobody's.
	TrustedProxies []netip.Prefix
	// Demo opens /demo and /outbox and shows the banner.
	Demo bool
	// Cast lists the people of the demonstration in order of the story.
	Cast []CastMember
	// Ready tells whether the service can do its work, for /readyz; nil is yes.
	Ready func(ctx context.Context) error
	// TrustFile and Checkpoint are what a verifier needs; nil answers not found.
	TrustFile  func(ctx context.Context) ([]byte, error)
	Checkpoint func(ctx context.Context) ([]byte, error)
	Log        *slog.Logger     // nil: slog.Default
	Clock      func() time.Time // nil: time.Now
}

// CastMember is somebody of the demonstration.
type CastMember struct {
	Person identity.PersonID
	// Note is the message id of what the person shows, such as "cast.otieno"; one
	// without a message shows nothing.
	Note string
	// Patient comes by the link in her invitation instead of one click.
	Patient bool
}

// Server answers the pages. It is immutable after New.
type Server struct {
	d      Deps
	i18n   *i18n.Bundle
	assets *assets
	public *url.URL
	secure bool // https
	log    *slog.Logger
	errors []errorRow
	ways   *limiter // into the house
}

// New returns the handler of all pages. It panics when the binary was built with a
// broken catalogue or an address cannot be parsed: nothing could be shown at all.
func New(d Deps) http.Handler {
	s := newServer(d)
	return s.router()
}

func newServer(d Deps) *Server {
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	b, err := i18n.New()
	if err != nil {
		panic(err)
	}
	u, err := url.Parse(strings.TrimSuffix(d.PublicURL, "/"))
	if err != nil || u.Host == "" {
		panic("web: PublicURL must be an absolute address")
	}
	s := &Server{d: d, i18n: b, assets: newAssets(), public: u, secure: u.Scheme == "https", log: d.Log}
	s.errors = errorTable()
	s.ways = newLimiter(d.Clock, triesPerSec, triesBurst)
	if !s.assets.has("dist/app.js") {
		s.log.Warn("built without the browser bundle: run npm ci && npm run build in web/ts")
	}
	return s
}

// now is the clock of the pages, in UTC.
func (s *Server) now() time.Time { return s.d.Clock().UTC() }
