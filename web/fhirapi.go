package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/fhir"
	"github.com/consilium-health/consilium/web/i18n"
)

// fhirRoutes are the read-only FHIR R4 API of what is on file about a person. It answers
// refusals as FHIR does, not with a page.
func (s *Server) fhirRoutes() []route {
	routes := []route{{http.MethodGet, "/fhir/metadata", everyone, s.fhirMetadata}}
	for _, kind := range []string{"Practitioner", "PractitionerRole", "VerificationResult"} {
		routes = append(routes,
			route{http.MethodGet, "/fhir/" + kind, everyone, s.inFHIR(s.fhirSearch(kind))},
			route{http.MethodGet, "/fhir/" + kind + "/{id}", everyone, s.inFHIR(s.fhirRead(kind))},
			route{http.MethodGet, "/fhir/" + kind + "/{id}/_history", everyone, s.inFHIR(s.fhirHistory(kind))},
			route{http.MethodGet, "/fhir/" + kind + "/{id}/_history/{version}", everyone, s.inFHIR(s.fhirVersion(kind))})
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		routes = append(routes, route{method, "/fhir/*", everyone, s.inFHIR(fhirNotThis)})
	}
	return routes
}

// errFHIR is a refusal in the words of FHIR R4 issue-type.
type errFHIR struct {
	status int
	code   string
	text   i18n.ID
}

func (e errFHIR) Error() string { return "fhir: " + e.code }

var (
	errFHIRQuery = errFHIR{http.StatusBadRequest, "invalid", i18n.ErrorInvalid}
	errFHIRGone  = errFHIR{http.StatusGone, "deleted", i18n.ErrorNotFound}
	errFHIROther = errFHIR{http.StatusNotAcceptable, "not-supported", i18n.ErrorInvalid}
)

// fhirNotThis answers what the API does not do: another type of resource, or a change.
func fhirNotThis(_ http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return errFHIR{http.StatusMethodNotAllowed, "not-supported", i18n.ErrorInvalid}
	}
	return errFHIR{http.StatusNotFound, "not-supported", i18n.ErrorNotFound}
}

func (s *Server) fhirBase() string { return strings.TrimSuffix(s.d.PublicURL, "/") + "/fhir" }

func (s *Server) fhirSelf(r *http.Request) string {
	return s.fhirBase() + strings.TrimPrefix(r.URL.RequestURI(), "/fhir")
}

func writeFHIR(w http.ResponseWriter, status int, o fhir.Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write FHIR: %w", err)
	}
	w.Header().Set("Content-Type", "application/fhir+json; fhirVersion=4.0")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// inFHIR lets members in and turns errors into an OperationOutcome.
func (s *Server) inFHIR(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := member(visitOf(r))
		if err == nil {
			err = h(w, r)
		}
		var refused errFHIR
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errSignIn):
			return writeFHIR(w, http.StatusUnauthorized, fhir.Outcome("login", localizer(r).T(i18n.SigninTitle)))
		case errors.As(err, &refused):
			return writeFHIR(w, refused.status, fhir.Outcome(refused.code, localizer(r).T(refused.text)))
		}
		row := s.row(err)
		s.log.Log(r.Context(), row.level, "refused", "request", visitOf(r).ref, "status", row.status, "error", err.Error())
		code := map[int]string{400: "invalid", 403: "forbidden", 404: "not-found"}[row.status]
		if code == "" {
			code = "exception"
		}
		return writeFHIR(w, row.status, fhir.Outcome(code, localizer(r).T(row.text)))
	}
}

func (s *Server) fhirMetadata(w http.ResponseWriter, _ *http.Request) error {
	return writeFHIR(w, http.StatusOK, fhir.Capability(s.fhirBase(), s.now()))
}

// fhirQuery reads the parameters of a request: those allowed, once each, and the format,
// which is JSON. Another is refused, for ignoring it would answer another question.
func fhirQuery(r *http.Request, allowed func(param string) bool) (url.Values, error) {
	q := r.URL.Query()
	for param, values := range q {
		switch {
		case len(values) != 1 || param != "_format" && !allowed(param):
			return nil, errFHIRQuery
		case param == "_format" && !slices.Contains([]string{"json", "application/json", "application/fhir+json", "text/json"}, values[0]):
			return nil, errFHIROther
		}
	}
	return q, nil
}

func noParams(string) bool { return false }

// fhirVersions are the versions of the resource that an address names.
func (s *Server) fhirVersions(r *http.Request, kind string) ([]fhir.Version, error) {
	id := r.PathValue("id")
	person := identity.PersonID(id)
	if kind != "Practitioner" {
		var err error
		if person, err = s.d.Credentialing.ExportOf(r.Context(), actorOf(r), id); err != nil {
			return nil, fmt.Errorf("export a file: %w", err)
		}
	}
	sources, err := s.fhirSources(r.Context(), actorOf(r), person)
	if err != nil {
		return nil, err
	}
	all, err := fhir.Histories(sources, kind)
	if err != nil {
		return nil, err
	}
	if len(all[id]) == 0 {
		return nil, errNotFound
	}
	return all[id], nil
}

func writeVersion(w http.ResponseWriter, v fhir.Version) error {
	if v.Resource == nil {
		return errFHIRGone
	}
	w.Header().Set("ETag", v.ETag())
	w.Header().Set("Last-Modified", v.At.UTC().Format(http.TimeFormat))
	return writeFHIR(w, http.StatusOK, v.Resource)
}

func (s *Server) fhirRead(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := fhirQuery(r, noParams); err != nil {
			return err
		}
		versions, err := s.fhirVersions(r, kind)
		if err != nil {
			return err
		}
		return writeVersion(w, versions[len(versions)-1])
	}
}

func (s *Server) fhirVersion(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := fhirQuery(r, noParams); err != nil {
			return err
		}
		versions, err := s.fhirVersions(r, kind)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(r.PathValue("version"))
		if err != nil || n < 1 || n > len(versions) || strconv.Itoa(n) != r.PathValue("version") {
			return errNotFound
		}
		return writeVersion(w, versions[n-1])
	}
}

// fhirHistory lists the versions of a resource, the newest first: at most _count of them,
// those that came at _since or later.
func (s *Server) fhirHistory(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		q, err := fhirQuery(r, func(param string) bool { return param == "_count" || param == "_since" })
		if err != nil {
			return err
		}
		var since time.Time
		if q.Has("_since") {
			if since, err = time.Parse(time.RFC3339Nano, q.Get("_since")); err != nil {
				return errFHIRQuery
			}
		}
		most := -1
		if q.Has("_count") {
			if most, err = strconv.Atoi(q.Get("_count")); err != nil || most < 0 {
				return errFHIRQuery
			}
		}
		versions, err := s.fhirVersions(r, kind)
		if err != nil {
			return err
		}
		versions = slices.DeleteFunc(versions, func(v fhir.Version) bool { return v.At.Before(since) })
		slices.Reverse(versions)
		total := len(versions)
		if most >= 0 && most < total {
			versions = versions[:most]
		}
		return writeFHIR(w, http.StatusOK, fhir.HistoryBundle(s.fhirBase(), s.fhirSelf(r), s.now(), kind, r.PathValue("id"), total, versions))
	}
}

// fhirSearch answers a search by what names a person or a resource. Several values of a
// parameter have commas between and are any of them; several parameters are all.
func (s *Server) fhirSearch(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		q, err := fhirQuery(r, func(param string) bool { return fhir.Searches(kind, param) })
		if err != nil {
			return err
		}
		people, keep, err := s.fhirWanted(r, kind, q)
		if err != nil {
			return err
		}
		found := []fhir.Object{}
		for _, person := range people {
			sources, err := s.fhirSources(r.Context(), actorOf(r), person)
			if err != nil {
				return err
			}
			list, err := fhir.Current(sources, kind)
			if err != nil {
				return err
			}
			for _, o := range list {
				if keep(o) && (kind != "PractitionerRole" || q.Has("_id") || fhir.Active(o)) {
					found = append(found, o)
				}
			}
		}
		return writeFHIR(w, http.StatusOK, fhir.Bundle(s.fhirBase(), s.fhirSelf(r), s.now(), found))
	}
}

// mostSearched is how many values a search may name.
const mostSearched = 50

// fhirWanted reads a search: whose files may hold what is meant, and which resources of
// them are.
func (s *Server) fhirWanted(r *http.Request, kind string, q url.Values) (people []identity.PersonID, keep func(fhir.Object) bool, err error) {
	var tests []func(fhir.Object) bool
	keep = func(o fhir.Object) bool {
		return !slices.ContainsFunc(tests, func(test func(fhir.Object) bool) bool { return !test(o) })
	}
	add := func(person identity.PersonID) {
		if !slices.Contains(people, person) {
			people = append(people, person)
		}
	}
	q = url.Values(q)
	for _, param := range []string{"practitioner", "target", "identifier", "_id"} {
		if !q.Has(param) {
			continue
		}
		values := strings.Split(q.Get(param), ",")
		if len(values) > mostSearched || slices.Contains(values, "") {
			return nil, nil, errFHIRQuery
		}
		first := len(tests) == 0 // the others narrow what it found
		switch param {
		case "practitioner", "target":
			for _, v := range values {
				add(identity.PersonID(strings.TrimPrefix(strings.TrimPrefix(v, s.fhirBase()+"/"), "Practitioner/")))
			}
			tests = append(tests, func(fhir.Object) bool { return true })
		case "_id":
			tests = append(tests, func(o fhir.Object) bool { return slices.Contains(values, o["id"].(string)) })
			for _, id := range values {
				person := identity.PersonID(id)
				if first && kind != "Practitioner" {
					if person, err = s.d.Credentialing.ExportOf(r.Context(), actorOf(r), id); err != nil {
						return nil, nil, fmt.Errorf("search: %w", err)
					}
				}
				if first {
					add(person)
				}
			}
		case "identifier":
			var any []func(fhir.Object) bool
			for _, v := range values {
				system, value, split := strings.Cut(v, "|")
				if !split {
					system, value = "", v
				}
				if value == "" {
					return nil, nil, errFHIRQuery
				}
				any = append(any, func(o fhir.Object) bool { return fhir.Matches(o, system, !split, value) })
				if !split || system != "" {
					if system == "" || system == s.fhirBase()+"/person" {
						if _, err := s.d.Identity.Person(r.Context(), identity.PersonID(value)); err == nil {
							add(identity.PersonID(value))
						} else if !errors.Is(err, identity.ErrNotFound) {
							return nil, nil, fmt.Errorf("search: %w", err)
						}
					}
				}
				if system == "" {
					numbered, err := s.d.Credentialing.ExportsByNumber(r.Context(), actorOf(r), value)
					if err != nil {
						return nil, nil, fmt.Errorf("search: %w", err)
					}
					for _, person := range numbered {
						add(person)
					}
				}
			}
			tests = append(tests, func(o fhir.Object) bool {
				return slices.ContainsFunc(any, func(test func(fhir.Object) bool) bool { return test(o) })
			})
		}
	}
	if len(tests) == 0 {
		return nil, nil, errFHIRQuery
	}
	return people, keep, nil
}

// fhirSources gathers what is exported of a person at each instant at which it changed;
// that it was is an event.
func (s *Server) fhirSources(ctx context.Context, actor identity.Actor, id identity.PersonID) ([]fhir.Source, error) {
	versions, err := s.d.Credentialing.Export(ctx, actor, id)
	if err != nil {
		return nil, fmt.Errorf("export a file: %w", err)
	}
	person, err := s.d.Identity.Person(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("export a file: %w", err)
	}
	all, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return nil, fmt.Errorf("export a file: %w", err)
	}
	names, verifiers := map[identity.OrganizationID]string{}, map[identity.PersonID]identity.OrganizationID{}
	for _, o := range all {
		names[o.ID] = o.Name
	}
	out := make([]fhir.Source, 0, len(versions))
	for _, v := range versions {
		for _, c := range v.File.Credentials {
			if c.Counts.Verified == nil {
				continue
			}
			if err := s.verifierOf(ctx, identity.PersonID(c.Counts.Verified.By), verifiers); err != nil {
				return nil, err
			}
		}
		one := person
		one.Languages = v.Languages
		out = append(out, fhir.Source{Base: s.fhirBase(), At: v.At, Person: one, File: v.File, Roles: v.Roles, Organizations: names, Verifiers: verifiers})
	}
	return out, nil
}

// verifierOf notes for which organization somebody verifies.
func (s *Server) verifierOf(ctx context.Context, by identity.PersonID, known map[identity.PersonID]identity.OrganizationID) error {
	if _, is := known[by]; is || by == "" {
		return nil
	}
	roles, err := s.d.Identity.RolesOf(ctx, by)
	if err != nil {
		return fmt.Errorf("export a file: %w", err)
	}
	if i := slices.IndexFunc(roles, func(g identity.Grant) bool { return g.Role == identity.RoleOfficer && g.Organization != "" }); i >= 0 {
		known[by] = roles[i].Organization
	}
	return nil
}
