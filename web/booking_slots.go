package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/pages"
)

// slotRoutes are the addresses of free starts for programs.
func (s *Server) slotRoutes() []route {
	return []route{{http.MethodGet, "/cases/{case}/slots", member, s.slots}}
}

// slotsAnswer is the JSON of free starts. Times are RFC 3339.
type slotsAnswer struct {
	Slots       []slotAnswer `json:"slots"`
	More        bool         `json:"more,omitempty"` // than the limit
	WhyNot      []whyAnswer  `json:"why_not,omitempty"`
	ZoneVersion string       `json:"tzdata"`
}

type slotAnswer struct {
	Start   string        `json:"start"`
	End     string        `json:"end"`
	Parties []partyAnswer `json:"parties"`
}

type partyAnswer struct {
	Person string `json:"person"`
	Role   string `json:"role"`
	Local  string `json:"local"` // start on the person's clock
	Zone   string `json:"zone"`
}

type whyAnswer struct {
	Limit  string `json:"limit"`
	Person string `json:"person,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Gained int    `json:"gained"` // starts there would be without it
}

// slots answers with the starts at which the people of a case can meet:
// ?kind=&specialist=&duration=minutes&from=&to=RFC 3339&limit=.
func (s *Server) slots(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	f := pages.Form{Values: r.URL.Query()}
	c := readChoice(v.l, &f)
	req := scheduling.SearchRequest{Case: caseRef(r), Kind: c.kind, Specialist: c.specialist, Duration: c.duration, From: c.from}
	for name, at := range map[string]*time.Time{"from": &req.From, "to": &req.To} {
		raw := f.Value(name)
		if raw == "" || name == "from" && !c.from.IsZero() { // a date
			continue
		}
		var err error
		if *at, err = time.Parse(time.RFC3339, raw); err != nil {
			return errBadForm
		}
	}
	if raw := f.Value("limit"); raw != "" {
		n, err := strconv.Atoi(raw)
		if err != nil || n < 1 || n > 10_000 {
			return errBadForm
		}
		req.Limit = n
	}
	answer, err := s.d.Scheduling.Search(r.Context(), v.actor, req)
	if err != nil {
		return fmt.Errorf("free starts: %w", err)
	}
	out := slotsAnswer{Slots: make([]slotAnswer, 0, len(answer.Slots)), More: answer.More, ZoneVersion: answer.ZoneVersion}
	for _, slot := range answer.Slots {
		one := slotAnswer{Start: slot.Start.Format(time.RFC3339), End: slot.End().Format(time.RFC3339), Parties: make([]partyAnswer, 0, len(slot.Parties))}
		for _, p := range slot.Parties {
			one.Parties = append(one.Parties, partyAnswer{Person: string(p.Person), Role: string(p.Role), Local: p.Clock.Wall.String(), Zone: p.Clock.Zone})
		}
		out.Slots = append(out.Slots, one)
	}
	for _, why := range answer.WhyNot {
		one := whyAnswer{Limit: string(why.Limit), Person: string(why.Person), Gained: why.Gained}
		if why.Refusal != nil {
			one.Rule = why.Refusal.Rule
		}
		out.WhyNot = append(out.WhyNot, one)
	}
	return writeJSON(w, http.StatusOK, out)
}
