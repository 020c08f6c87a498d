package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// faultIDs are the texts of what stands against a credential that can be named.
var faultIDs = map[string]i18n.ID{
	"not-yet-valid": i18n.FaultBegins, "suspended": i18n.FaultSuspended, "revoked": i18n.FaultRevoked, "surrendered": i18n.FaultSurrendered,
	"unverified": i18n.FaultUnverified, "verification-overdue": i18n.FaultOverdue,
}

// faults are the sentences that name the credentials of which reasons of an answer
// speak, by reason: which one it is, and since or until when.
func (s *Server) faults(ctx context.Context, l *i18n.Localizer, codes []string) (map[string]string, error) {
	list, err := s.d.Credentialing.Faults(ctx, codes)
	if err != nil {
		return nil, fmt.Errorf("what stands against credentials: %w", err)
	}
	out := make(map[string]string, len(list))
	for _, f := range list {
		if text := s.fault(l, f); text != "" {
			out[f.Code] = text
		}
	}
	return out, nil
}

// fault names one; "" if nothing more can be said than the general sentence.
func (s *Server) fault(l *i18n.Localizer, f credentialing.Fault) string {
	v := i18n.V{"Credential": credentialName(l, f.Kind, f.Number, f.Issuer, f.Jurisdiction)}
	id := faultIDs[f.What]
	switch f.What {
	case "expired":
		day, past := momentDay(l, f.ValidTo, s.now())
		if id, v["Day"] = i18n.FaultEnds, day; past {
			id = i18n.FaultEnded
		}
		if f.ValidTo.IsZero() { // reported as lapsed
			id = i18n.FaultLapsed
			v["Day"] = l.Date(f.Since)
		}
	case "not-yet-valid":
		v["Day"], _ = momentDay(l, f.ValidFrom, s.now())
	case "suspended", "revoked", "surrendered":
		v["Day"] = l.Date(f.Since)
	case "verification-overdue":
		v["Day"] = l.Date(f.NextDue)
	}
	if id == "" {
		return ""
	}
	return l.T(id, v)
}

// credentialName says which credential is meant.
func credentialName(l *i18n.Localizer, kind credentialing.Kind, number, issuer, place string) string {
	v := i18n.V{"Kind": l.T(i18n.ID("officer.kind." + string(kind))), "Number": number, "Issuer": issuer}
	if place == "" {
		return l.T(i18n.FaultCredential, v)
	}
	v["Place"] = i18n.Place(place)
	return l.T(i18n.FaultCredentialOf, v)
}

// momentDay is a date as it stands, or the reader's day of an instant, and whether it
// is over.
func momentDay(l *i18n.Localizer, m credentialing.Moment, now time.Time) (day string, past bool) {
	if m.IsDate() {
		at, err := time.ParseInLocation(time.DateOnly, m.String(), l.Zone())
		if err != nil {
			return m.String(), false
		}
		return l.Date(at.Add(12 * time.Hour)), now.After(at.AddDate(0, 0, 1))
	}
	at, err := time.Parse(time.RFC3339Nano, m.String())
	if err != nil {
		return "", false
	}
	return l.Date(at), now.After(at)
}

// lastDay is the reader's day on which something ends that is over at an instant; ""
// if it does not end.
func lastDay(l *i18n.Localizer, ends time.Time) string {
	if ends.IsZero() {
		return ""
	}
	return l.Date(ends.Add(-time.Minute))
}

// sentences say a refusal: the leading reason, which credentials are behind it, then
// the other reasons that a person can do something about.
func (s *Server) sentences(ctx context.Context, l *i18n.Localizer, why *scheduling.Refusal) ([]string, error) {
	named, err := s.faults(ctx, l, why.Reasons)
	if err != nil {
		return nil, err
	}
	var out []string
	add := func(text string) {
		if text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	if why.Lead != "" {
		add(s.sentence(l, why.Lead))
	}
	for _, code := range why.Reasons {
		if len(out) < 3 {
			add(named[code])
		}
	}
	for _, code := range why.Reasons {
		if len(out) < 3 && (strings.HasPrefix(code, "unmet:") || strings.HasPrefix(code, "missing:") || strings.HasPrefix(code, "forbid:")) {
			add(s.sentence(l, code))
		}
	}
	return out, nil
}
