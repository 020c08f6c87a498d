package web

import (
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"
)

// route is one address. Every route says who may come in; the service behind it
// asks again, for the object.
type route struct {
	method  string
	pattern string
	who     policy
	handler handler
}

// handler is a page or an action. What it returns goes to the error table; it
// returns nil once it has answered.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes are all addresses, in the order of the site.
func (s *Server) routes() []route {
	return slices.Concat(
		s.coreRoutes(),
		s.caseRoutes(),
		s.bookingRoutes(),
		s.hoursRoutes(),
		s.calendarRoutes(),
		s.slotRoutes(),
		s.arrangeRoutes(),
		s.waitingRoutes(),
		s.needsRoutes(),
		s.replyRoutes(),
		s.panelRoutes(),
		s.moveRoutes(),
		s.answerRoutes(),
		s.contactRoutes(),
		s.programRoutes(),
		s.closedRoutes(),
		s.presenceRoutes(),
		s.roomRoutes(),
		s.feedRoutes(),
		s.officerRoutes(),
		s.uploadRoutes(),
		s.ownPlaceRoutes(),
		s.recordRoutes(),
		s.replayRoutes(),
		s.fhirRoutes(),
	)
}

func (s *Server) router() http.Handler {
	r := chi.NewRouter()
	r.Use(s.tag, s.recover, s.headers, s.sameOrigin, s.recognize)
	for _, t := range s.routes() {
		r.Method(t.method, t.pattern, s.do(t.who, t.handler))
		if t.method == http.MethodGet { // net/http drops the body of the answer
			r.Method(http.MethodHead, t.pattern, s.do(t.who, t.handler))
		}
	}
	r.NotFound(s.do(everyone, func(http.ResponseWriter, *http.Request) error { return errNotFound }).ServeHTTP)
	r.MethodNotAllowed(s.do(everyone, func(http.ResponseWriter, *http.Request) error { return errNotFound }).ServeHTTP)

	// Files need no login and no page around their errors.
	top := chi.NewRouter()
	top.Method(http.MethodGet, "/static/*", s.assets)
	top.Method(http.MethodHead, "/static/*", s.assets)
	top.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	top.Get("/readyz", s.ready)
	top.Mount("/", r)
	return top
}
