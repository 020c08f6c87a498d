package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/fhir"
	"github.com/consilium-health/consilium/web/i18n"
)

// fhirRoutes are the read-only FHIR R4 API of what is on file about a person. It answers
// refusals as FHIR does, not with a page.
func (s *Server) fhirRoutes() []route {
	return []route{
		{http.MethodGet, "/fhir/metadata", everyone, s.fhirMetadata},
		{http.MethodGet, "/fhir/Practitioner/{person}", everyone, s.inFHIR(s.fhirPractitioner)},
		{http.MethodGet, "/fhir/PractitionerRole", everyone, s.inFHIR(s.fhirRoles)},
		{http.MethodGet, "/fhir/VerificationResult", everyone, s.inFHIR(s.fhirVerifications)},
	}
}

func (s *Server) fhirBase() string { return strings.TrimSuffix(s.d.PublicURL, "/") + "/fhir" }

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
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errSignIn):
			return writeFHIR(w, http.StatusUnauthorized, fhir.Outcome("login", localizer(r).T(i18n.SigninTitle)))
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

func (s *Server) fhirPractitioner(w http.ResponseWriter, r *http.Request) error {
	src, err := s.fhirSource(r, identity.PersonID(r.PathValue("person")))
	if err != nil {
		return err
	}
	return writeFHIR(w, http.StatusOK, src.Practitioner())
}

func (s *Server) fhirRoles(w http.ResponseWriter, r *http.Request) error {
	return s.fhirSearch(w, r, "practitioner", fhir.Source.PractitionerRoles)
}

func (s *Server) fhirVerifications(w http.ResponseWriter, r *http.Request) error {
	return s.fhirSearch(w, r, "target", fhir.Source.VerificationResults)
}

// fhirSearch answers a search by one reference to a Practitioner; another parameter is
// refused, for ignoring it would answer another question.
func (s *Server) fhirSearch(w http.ResponseWriter, r *http.Request, param string, find func(fhir.Source) []fhir.Object) error {
	q := r.URL.Query()
	if len(q) != 1 || len(q[param]) != 1 {
		return errBadForm
	}
	src, err := s.fhirSource(r, identity.PersonID(strings.TrimPrefix(q.Get(param), "Practitioner/")))
	if err != nil {
		return err
	}
	return writeFHIR(w, http.StatusOK, fhir.Bundle(s.fhirBase(), s.fhirBase()+strings.TrimPrefix(r.URL.RequestURI(), "/fhir"), s.now(), find(src)))
}

// fhirSource gathers what is exported of a person; that it was is an event.
func (s *Server) fhirSource(r *http.Request, id identity.PersonID) (fhir.Source, error) {
	ctx := r.Context()
	src := fhir.Source{Base: s.fhirBase(), Organizations: map[identity.OrganizationID]string{}, Verifiers: map[identity.PersonID]identity.OrganizationID{}}
	var err error
	if src.File, err = s.d.Credentialing.ExportFile(ctx, actorOf(r), id); err != nil {
		return src, fmt.Errorf("export a file: %w", err)
	}
	if src.Person, err = s.d.Identity.Person(ctx, id); err != nil {
		return src, fmt.Errorf("export a file: %w", err)
	}
	if src.Roles, err = s.d.Identity.RolesOf(ctx, id); err != nil {
		return src, fmt.Errorf("export a file: %w", err)
	}
	all, err := s.d.Identity.Organizations(ctx)
	if err != nil {
		return src, fmt.Errorf("export a file: %w", err)
	}
	for _, o := range all {
		src.Organizations[o.ID] = o.Name
	}
	for _, c := range src.File.Credentials {
		if c.Counts.Verified == nil {
			continue
		}
		by := identity.PersonID(c.Counts.Verified.By)
		if _, known := src.Verifiers[by]; known || by == "" {
			continue
		}
		roles, err := s.d.Identity.RolesOf(ctx, by)
		if err != nil {
			return src, fmt.Errorf("export a file: %w", err)
		}
		if i := slices.IndexFunc(roles, func(g identity.Grant) bool { return g.Role == identity.RoleOfficer && g.Organization != "" }); i >= 0 {
			src.Verifiers[by] = roles[i].Organization
		}
	}
	return src, nil
}
