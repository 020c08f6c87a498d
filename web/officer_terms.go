package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// proxyFields and termFields are the fields of a claim that only a privilege by proxy or
// only liability cover has.
var (
	proxyFields = []string{"proxy_site", "agreement_from", "agreement_to", "accreditor", "accredited_from", "accredited_to", "proxy_decision", "decided_on", "shares"}
	termFields  = []string{"basis", "retroactive", "tail"}
)

// filled tells whether a form has something in one of the fields.
func filled(f *pages.Form, fields []string) bool {
	return slices.ContainsFunc(fields, func(name string) bool { return f.Value(name) != "" })
}

// readMoments reads dates and instants; what cannot be read fails its field.
func readMoments(f *pages.Form, fields map[string]*credentialing.Moment) {
	for field, to := range fields {
		m, err := credentialing.ParseMoment(f.Value(field))
		if err != nil {
			f.Fail(field, i18n.OfficerWhenBad)
		}
		*to = m
	}
}

// readTerms reads what only a privilege by proxy or only liability cover has. What was
// filled in for another kind goes along and is refused there: nothing is lost silently.
func (s *Server) readTerms(r *http.Request, f *pages.Form, req *credentialing.ClaimRequest) error {
	l := localizer(r)
	if req.Kind == credentialing.KindPrivilegeByProxy || filled(f, proxyFields) {
		p := &credentialing.Proxy{Site: identity.OrganizationID(f.Value("proxy_site")), Accreditor: f.Optional(l, "accreditor", i18n.ProxyAccreditor, 200),
			Decision: credentialing.ProxyDecision(f.Value("proxy_decision")), Shares: []credentialing.Share{}}
		if p.Site != "" {
			switch _, err := s.d.Identity.Organization(r.Context(), p.Site); {
			case errors.Is(err, identity.ErrNotFound):
				f.Fail("proxy_site", i18n.ErrorInvalid)
			case err != nil:
				return fmt.Errorf("distant site of a privilege: %w", err)
			}
		}
		for _, x := range f.All("shares") {
			p.Shares = append(p.Shares, credentialing.Share(x))
		}
		readMoments(f, map[string]*credentialing.Moment{"agreement_from": &p.AgreementFrom, "agreement_to": &p.AgreementTo,
			"accredited_from": &p.AccreditedFrom, "accredited_to": &p.AccreditedTo, "decided_on": &p.DecidedOn})
		req.Claim.Proxy = p
	}
	if filled(f, termFields) {
		t := &credentialing.Terms{Basis: credentialing.Basis(f.Value("basis"))}
		readMoments(f, map[string]*credentialing.Moment{"retroactive": &t.Retroactive, "tail": &t.Tail})
		req.Claim.Terms = t
	}
	return nil
}

// prefillTerms fills in what stays when a credential is renewed: not the ends, and not the
// tail, which was agreed for the policy that ends.
func prefillTerms(f *pages.Form, c credentialing.Claim) {
	if p := c.Proxy; p != nil {
		for field, value := range map[string]string{"proxy_site": string(p.Site), "agreement_from": p.AgreementFrom.String(), "accreditor": p.Accreditor} {
			f.Prefill(field, value)
		}
		for _, x := range p.Shares {
			f.Values.Add("shares", string(x))
		}
	}
	if t := c.Terms; t != nil {
		f.Prefill("basis", string(t.Basis))
		f.Prefill("retroactive", t.Retroactive.String())
	}
}

// fillTerms puts on a credential's page what a privilege by proxy rests on, with its
// reviews, and the terms of a cover.
func (s *Server) fillTerms(r *http.Request, p *pages.CredentialPage, c credentialing.CredentialView) error {
	if t := c.Claim.Terms; t != nil {
		p.Terms = &pages.CoverTerms{Basis: i18n.ID("proxy.basis." + string(t.Basis)), Retroactive: t.Retroactive.String(), Tail: t.Tail.String(),
			ClaimsMade: t.Basis == credentialing.ClaimsMade}
	}
	x := c.Claim.Proxy
	if x == nil {
		return nil
	}
	p.Proxy = &pages.ProxyView{Site: c.Issuer, Agreement: c.Number, From: orDash(x.AgreementFrom.String()), To: orDash(x.AgreementTo.String()),
		Accreditor: x.Accreditor, AccreditedFrom: orDash(x.AccreditedFrom.String()), AccreditedTo: orDash(x.AccreditedTo.String()),
		Decision: i18n.ID("proxy.decision." + string(x.Decision)), DecidedOn: x.DecidedOn.String(), Facility: p.Facility,
		Next: c.NextReview, Overdue: !s.now().Before(c.NextReview)}
	if x.Site != "" {
		name, err := s.facilityName(r.Context(), string(x.Site))
		if err != nil {
			return err
		}
		p.Proxy.SiteHere = name
	}
	for _, share := range x.Shares {
		p.Proxy.Shares = append(p.Proxy.Shares, i18n.ID("proxy.share."+string(share)))
	}
	ids := []identity.PersonID{}
	for _, v := range c.Reviews {
		ids = append(ids, v.By)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	for _, v := range c.Reviews {
		p.Proxy.Reviews = append(p.Proxy.Reviews, pages.ProxyReviewRow{At: v.HeldAt, Sent: v.SentAt, Events: v.Events, Complaints: v.Complaints, Note: v.Note, By: names[v.By]})
	}
	return nil
}

// recordReview is the yearly review of what is shared of a privilege by proxy.
func (s *Server) recordReview(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l, id := localizer(r), r.PathValue("credential")
	review := credentialing.ProxyReview{Note: f.Optional(l, "note", i18n.ProxyNote, 2000)}
	for field, to := range map[string]*int{"events": &review.Events, "complaints": &review.Complaints} {
		n, err := strconv.Atoi(f.Value(field))
		if err != nil || n < 0 || n > 10_000 {
			f.Fail(field, i18n.ProxyCountBad)
		}
		*to = n
	}
	for field, to := range map[string]*time.Time{"held_on": &review.HeldAt, "sent_on": &review.SentAt} {
		at, err := time.ParseInLocation(time.DateOnly, f.Value(field), l.Zone())
		if err != nil {
			f.Fail(field, i18n.OfficerWhenBad)
		}
		*to = at.UTC()
	}
	if f.OK() {
		err := s.d.Credentialing.RecordReview(r.Context(), actorOf(r), credentialing.CredentialID(id), review)
		if err == nil {
			return s.done(w, r, "/credentials/"+id, pages.LevelOK, i18n.ProxyFlashReviewed)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("record a review: %w", err)
		}
	}
	return s.showCredential(w, r, http.StatusUnprocessableEntity, f)
}
