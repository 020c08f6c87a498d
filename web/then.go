package web

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// readWhen reads an instant as a browser writes it or as RFC 3339, or a day, which is
// meant from its first to its last moment in a zone: until is then when it ends, and else
// zero. A minute that is named on a clock is a minute long in exact.
func readWhen(text string, zone *time.Location) (at, until time.Time, exact time.Duration, ok bool) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), time.Time{}, 0, true
	}
	if t, err := time.ParseInLocation(localTime, text, zone); err == nil {
		return t.UTC(), time.Time{}, time.Minute, true
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t.UTC(), t.AddDate(0, 0, 1).UTC(), 0, true
	}
	return time.Time{}, time.Time{}, 0, false
}

// readKnown reads an instant of knowledge: a minute or a day is known at its end, as far
// as it is over. Empty is now.
func (s *Server) readKnown(l *i18n.Localizer, f *pages.Form, field string) time.Time {
	now := s.now().UTC()
	if f.Value(field) == "" {
		return now
	}
	at, until, exact, ok := readWhen(f.Value(field), l.Zone())
	switch {
	case !ok:
		f.Fail(field, i18n.OfficerWhenBad)
		return now
	case at.After(now):
		f.Fail(field, i18n.ThenFuture)
		return now
	case until.IsZero():
		until = at.Add(exact)
	}
	if exact > 0 || until.After(at) {
		at = until.Add(-1)
	}
	if at.After(now) {
		return now
	}
	return at
}

// failKnown says at its field why a question about the past has no answer; an error comes
// back that is not the asker's.
func (s *Server) failKnown(f *pages.Form, err error) error {
	var invalid *credentialing.Invalid
	switch {
	case errors.Is(err, credentialing.ErrNotYetKnown):
		f.Fail("known", i18n.ThenNotyet)
	case errors.Is(err, credentialing.ErrNotFound):
		f.Fail("person", i18n.ThenPersonNone)
	case errors.As(err, &invalid) && invalid.Field == "at":
		f.Fail("at", i18n.ThenYear)
	case errors.As(err, &invalid) && invalid.Field == "known":
		f.Fail("known", i18n.ThenFuture)
	case errors.As(err, &invalid) && invalid.Field == "pair":
		f.Fail("languages", i18n.ThenLanguagesBad)
	default:
		return s.failForm(f, err)
	}
	return nil
}

// knownJSON is the answer to a question about the past for programs. Instants are RFC
// 3339 in UTC; what is empty is left out.
type knownJSON struct {
	Person   string `json:"person"`
	Activity string `json:"activity"`
	Place    string `json:"place,omitempty"`
	At       string `json:"at"`
	Through  string `json:"through,omitempty"`
	Known    string `json:"known"`

	Decision         string          `json:"decision,omitempty"`
	Reasons          []codeJSON      `json:"reasons,omitempty"`
	Conditions       []codeJSON      `json:"conditions,omitempty"`
	Rules            []ruleJSON      `json:"rules,omitempty"`
	AcceptUnverified bool            `json:"accept_unverified,omitempty"`
	Qualification    *qualifiedJSON  `json:"qualification,omitempty"`
	Record           recordJSON      `json:"record"`
	Editions         []editionJSON   `json:"editions,omitempty"`
	Hash             string          `json:"hash,omitempty"`
	Facts            json.RawMessage `json:"facts,omitempty"`
	Answer           json.RawMessage `json:"answer,omitempty"`
}

type codeJSON struct {
	Code string `json:"code"`
	Text string `json:"text"` // in the reader's language
}

type ruleJSON struct {
	Rule   string `json:"rule"`
	Place  string `json:"place"`
	Effect string `json:"effect"`
	Holds  string `json:"holds"`
}

type qualifiedJSON struct {
	OK     bool       `json:"ok"`
	Reason *codeJSON  `json:"reason,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Pair   [2]string  `json:"languages"`
	Mode   string     `json:"mode"`
}

type recordJSON struct {
	Home        string           `json:"home,omitempty"`
	Credentials []credentialJSON `json:"credentials"`
	CheckedAt   *time.Time       `json:"exclusions_checked_at,omitempty"`
	Exclusions  []heldJSON       `json:"exclusions"`
	Roles       []heldJSON       `json:"roles"`
	OwnPlaces   []ownPlaceJSON   `json:"own_places"`
	Local       []credentialJSON `json:"local_physician_licences,omitempty"`
	Facility    []heldJSON       `json:"clinic_licences,omitempty"`
	Agreements  []heldJSON       `json:"clinic_agreements,omitempty"`
}

type credentialJSON struct {
	credentialing.Held
	StatusAt string `json:"status_at,omitempty"`
	Usable   bool   `json:"usable"`
	Overdue  bool   `json:"overdue"`
	Against  string `json:"against,omitempty"`
}

// heldJSON is something that holds for a time.
type heldJSON struct {
	List         string     `json:"list,omitempty"`
	Entry        string     `json:"entry,omitempty"`
	Role         string     `json:"role,omitempty"`
	Organization string     `json:"organization,omitempty"`
	Jurisdiction string     `json:"jurisdiction,omitempty"`
	Number       string     `json:"number,omitempty"`
	Ground       string     `json:"ground,omitempty"`
	From         time.Time  `json:"from"`
	Until        *time.Time `json:"until,omitempty"`
	Held         bool       `json:"held"`
}

type ownPlaceJSON struct {
	Place    string     `json:"place"`
	Home     bool       `json:"home"`
	StatedAt *time.Time `json:"stated_at,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	Stated   bool       `json:"stated"`
	License  string     `json:"licence,omitempty"`
	Against  string     `json:"against,omitempty"`
}

type editionJSON struct {
	credentialing.Edition
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func holds(from, until, at time.Time) bool {
	return !at.Before(from) && (until.IsZero() || at.Before(until))
}

// codes are reasons or conditions with their sentences.
func (s *Server) codes(l *i18n.Localizer, list []string) (out []codeJSON) {
	for _, code := range list {
		e := s.d.Credentialing.Explain(code)
		out = append(out, codeJSON{code, l.Sentence(e.MessageID, e.Data)})
	}
	return out
}

func credentialsJSON(list []credentialing.PastCredential) []credentialJSON {
	out := make([]credentialJSON, 0, len(list))
	for _, c := range list {
		out = append(out, credentialJSON{Held: c.Held, StatusAt: string(c.Standing.StatusAt), Usable: c.Standing.Usable, Overdue: c.Standing.Overdue,
			Against: c.Standing.Reason})
	}
	return out
}

// knownAnswerJSON is what the page shows, for programs.
func (s *Server) knownAnswerJSON(l *i18n.Localizer, q knownQuestion, a credentialing.KnownAnswer) knownJSON {
	out := knownJSON{Person: string(a.Person), Activity: q.activity, Place: q.place, At: a.At.Format(time.RFC3339), Known: a.Known.Format(time.RFC3339Nano)}
	if !q.until.IsZero() {
		out.Through = q.until.Format(time.RFC3339)
	}
	if d := a.Determination; d.Decision != "" {
		out.Decision, out.Reasons, out.Conditions = string(d.Decision), s.codes(l, d.Reasons), s.codes(l, d.Conditions)
		out.AcceptUnverified, out.Hash, out.Facts, out.Answer = d.AcceptUnverified, hex.EncodeToString(d.Hash[:]), d.Facts, d.Answer
		for _, r := range a.Rules {
			out.Rules = append(out.Rules, ruleJSON{r.Rule, r.Place, string(r.Effect), r.Holds.String()})
		}
	} else {
		out.Qualification = &qualifiedJSON{OK: a.Qualification.OK, Until: timeOrNil(a.Qualification.Until), Pair: q.pair, Mode: q.way}
		if reason := a.Qualification.Reason; reason != "" {
			out.Qualification.Reason = &s.codes(l, []string{reason})[0]
		}
	}
	r := &out.Record
	r.Home, r.CheckedAt, r.Credentials = a.Home, timeOrNil(a.CheckedAt), credentialsJSON(a.Credentials)
	r.Exclusions, r.Roles, r.OwnPlaces = []heldJSON{}, []heldJSON{}, []ownPlaceJSON{}
	for _, e := range a.Exclusions {
		r.Exclusions = append(r.Exclusions, heldJSON{List: e.List, Entry: e.Entry, From: e.From, Until: timeOrNil(e.To), Held: holds(e.From, e.To, a.At)})
	}
	for _, g := range a.Roles {
		r.Roles = append(r.Roles, heldJSON{Role: string(g.Role), Organization: string(g.Organization), From: g.From, Until: timeOrNil(g.Until), Held: g.Held})
	}
	for _, o := range a.OwnPlaces {
		r.OwnPlaces = append(r.OwnPlaces, ownPlaceJSON{Place: o.Place, Home: o.Home, StatedAt: timeOrNil(o.SignedAt), Until: timeOrNil(o.Until), Stated: o.Stated(a.At),
			License: string(o.License), Against: o.Fault})
	}
	if len(a.Local) > 0 {
		r.Local = credentialsJSON(a.Local)
	}
	for _, x := range a.Facility {
		r.Facility = append(r.Facility, heldJSON{Jurisdiction: x.Jurisdiction, Number: x.Number, From: x.ValidFrom, Until: timeOrNil(x.ValidTo), Held: x.InForce(a.At)})
	}
	for _, x := range a.Agreements {
		r.Agreements = append(r.Agreements, heldJSON{Organization: string(x.To), Ground: x.Ground, From: x.ValidFrom, Until: timeOrNil(x.ValidTo), Held: x.InForce(a.At)})
	}
	for _, e := range a.Editions {
		out.Editions = append(out.Editions, editionJSON{e.Edition, e.Status, e.Since})
	}
	return out
}

// refuseJSON says for each field of a question what is wrong with it.
func (s *Server) refuseJSON(w http.ResponseWriter, l *i18n.Localizer, f pages.Form) error {
	status := http.StatusUnprocessableEntity
	fields := map[string]string{}
	first := ""
	for _, e := range f.Errors {
		text := l.T(e.ID, e.Vars)
		if first == "" {
			first = text
		}
		fields[e.Field] = text
		if e.ID == i18n.ThenPersonNone && e.Field == "person" {
			status = http.StatusNotFound
		}
	}
	return writeJSON(w, status, map[string]any{"error": first, "fields": fields})
}
