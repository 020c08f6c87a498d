package scheduling

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// VectorFormat is the format of vector files that RunVectors reads.
const VectorFormat = "scheduling-vectors/1"

// VectorResult is what one case of a vector file gave.
type VectorResult struct {
	ID       string
	Title    string
	Pass     bool
	Expected string // the slots expected, one a line
	Got      string // the slots found or what went wrong, one a line
}

type vectorFile struct {
	Format string       `json:"format"`
	Cases  []vectorCase `json:"cases"`
}

type vectorCase struct {
	ID               string                  `json:"id"`
	Title            string                  `json:"title"`
	Request          vectorRequest           `json:"request"`
	Parties          []vectorParty           `json:"parties"`
	Interpreters     []vectorParty           `json:"interpreters"`
	Expected         []vectorSlot            `json:"expected"`
	ExpectedByTZData map[string][]vectorSlot `json:"expected_by_tzdata"`
}

type vectorRequest struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Duration int64     `json:"duration_min"`
	Grid     int64     `json:"grid_min"`
	GridZone string    `json:"grid_zone"`
	Now      time.Time `json:"now"`
	AnyOf    []struct {
		Role       string   `json:"role"`
		Candidates []string `json:"candidates"`
	} `json:"any_of"`
	Interpret *struct {
		Between [2]string `json:"between"`
		Pivots  []string  `json:"pivots"`
	} `json:"interpret"`
}

type vectorParty struct {
	Hours
	ID           string         `json:"id"`
	Busy         [][2]time.Time `json:"busy"`
	BufferBefore int64          `json:"buffer_before_min"`
	BufferAfter  int64          `json:"buffer_after_min"`
	MinNotice    int64          `json:"min_notice_min"`
	MaxAhead     *int64         `json:"max_ahead_min"`
	Licence      *LicenseSpan   `json:"licence"`
	Pairs        [][2]string    `json:"pairs"`
}

type vectorSlot struct {
	Start        time.Time           `json:"start"`
	Candidates   map[string][]string `json:"candidates"`
	Interpreters []string            `json:"interpreters"`
}

// RunVectors runs the cases of a scheduling-vectors/1 file by both searches. A case
// passes when both find exactly the slots it expects under the zone data in use. An
// error means that the file could not be read.
func RunVectors(r io.Reader) ([]VectorResult, error) {
	var f vectorFile
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, fmt.Errorf("read scheduling vectors: %w", err)
	}
	if f.Format != VectorFormat {
		return nil, fmt.Errorf("read scheduling vectors: format %q is not %q", f.Format, VectorFormat)
	}
	results := make([]VectorResult, 0, len(f.Cases))
	for _, c := range f.Cases {
		results = append(results, c.run())
	}
	return results, nil
}

func (c vectorCase) run() VectorResult {
	res := VectorResult{ID: c.ID, Title: c.Title}
	want, err := c.expected()
	if err != nil {
		res.Got = err.Error()
		return res
	}
	res.Expected = describeSlots(want)
	q, parties, interpreters := c.query()
	got, err := Find(q, parties, interpreters)
	if err != nil {
		res.Got = "error: " + err.Error()
		return res
	}
	res.Got = describeSlots(got)
	if res.Got != res.Expected {
		return res
	}
	merged, err := findByMerging(q, parties, interpreters)
	if err != nil {
		res.Got = "by merging intervals: error: " + err.Error()
		return res
	}
	if m := describeSlots(merged); m != res.Expected {
		res.Got = "by merging intervals:\n" + m
		return res
	}
	res.Pass = true
	return res
}

// expected are the slots for the zone data in use: those of the latest release
// listed that is not newer. Releases between two listed ones changed nothing for
// the case.
func (c vectorCase) expected() ([]Found, error) {
	slots := c.Expected
	if len(c.ExpectedByTZData) > 0 {
		best := ""
		for v := range c.ExpectedByTZData {
			if v <= ZoneVersion() && v > best {
				best = v
			}
		}
		if best == "" {
			return nil, fmt.Errorf("no answer listed for zone data %s", ZoneVersion())
		}
		slots = c.ExpectedByTZData[best]
	}
	out := make([]Found, 0, len(slots))
	for _, s := range slots {
		out = append(out, Found{Start: s.Start, Candidates: s.Candidates, Interpreters: s.Interpreters})
	}
	return out, nil
}

func (c vectorCase) query() (q Query, parties, interpreters []Party) {
	q = Query{
		From: c.Request.From, To: c.Request.To, Now: c.Request.Now, GridZone: c.Request.GridZone,
		Duration: minutes(c.Request.Duration), Grid: minutes(c.Request.Grid),
	}
	for _, a := range c.Request.AnyOf {
		q.AnyOf = append(q.AnyOf, Pool{Role: a.Role, Candidates: a.Candidates})
	}
	if in := c.Request.Interpret; in != nil {
		q.Interpret = &Interpretation{Between: in.Between, Pivots: in.Pivots}
	}
	for _, p := range c.Parties {
		parties = append(parties, p.party())
	}
	for _, p := range c.Interpreters {
		interpreters = append(interpreters, p.party())
	}
	return q, parties, interpreters
}

func (p vectorParty) party() Party {
	out := Party{
		ID: p.ID, Hours: p.Hours, Licence: p.Licence, Pairs: p.Pairs,
		BufferBefore: minutes(p.BufferBefore), BufferAfter: minutes(p.BufferAfter), MinNotice: minutes(p.MinNotice),
	}
	if p.MaxAhead != nil {
		ahead := minutes(*p.MaxAhead)
		out.MaxAhead = &ahead
	}
	for _, b := range p.Busy {
		out.Busy = append(out.Busy, Range{b[0], b[1]})
	}
	return out
}

func minutes(n int64) time.Duration { return time.Duration(n) * time.Minute }

// describeSlots writes one slot a line, so that two answers compare as text.
func describeSlots(slots []Found) string {
	var b strings.Builder
	for _, s := range slots {
		b.WriteString(s.Start.UTC().Format(time.RFC3339))
		roles := make([]string, 0, len(s.Candidates))
		for role := range s.Candidates {
			roles = append(roles, role)
		}
		sort.Strings(roles)
		for _, role := range roles {
			fmt.Fprintf(&b, " %s=%s", role, strings.Join(s.Candidates[role], ","))
		}
		if len(s.Interpreters) > 0 {
			fmt.Fprintf(&b, " interpreters=%s", strings.Join(s.Interpreters, ","))
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "no slot\n"
	}
	return b.String()
}
