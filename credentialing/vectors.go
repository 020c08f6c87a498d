package credentialing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"
)

// VectorFormat is the format of vector files that RunVectors reads.
const VectorFormat = "credentialing-vectors/1"

// VectorResult is what one case of a vector file gave.
type VectorResult struct {
	ID       string
	Title    string
	Pass     bool
	Expected string
	Got      string // the answer, or what went wrong
}

type vectorFile struct {
	Format       string   `json:"format"`
	PacksVersion string   `json:"packs_version"`
	Vectors      []vector `json:"vectors"`
}

type vector struct {
	ID               string      `json:"id"`
	Title            string      `json:"title"`
	Mode             Mode        `json:"mode"`
	At               time.Time   `json:"at"`
	DecidedAt        time.Time   `json:"decided_at"`
	Activity         Activity    `json:"activity"`
	AcceptUnverified bool        `json:"accept_unverified"`
	Specialist       Credentials `json:"specialist"`
	Case             struct {
		CaseFacts
		Places []string `json:"patient_locations"`
	} `json:"case"`
	Local    *LocalFacts `json:"local_physician"`
	Consents []Consent   `json:"consents"`
	Transfer *Transfer   `json:"transfer"`
	Expect   struct {
		Decision   Decision            `json:"decision"`
		Reasons    []string            `json:"reasons"`
		Conditions []string            `json:"conditions"`
		ByPlace    map[string]Decision `json:"by_location"`
	} `json:"expect"`
}

func (v vector) question(rules *RuleSet) Question {
	return Question{At: v.At, DecidedAt: v.DecidedAt, Mode: v.Mode, Activity: v.Activity, Places: v.Case.Places, Case: v.Case.CaseFacts,
		Local: v.Local, Consents: v.Consents, Transfer: v.Transfer, AcceptUnverified: v.AcceptUnverified, Rules: rules}
}

// RunVectors decides the cases of a credentialing-vectors/1 file by the packs of the
// binary, with the product's zone data. A case passes when the decision and those of the places are equal, every reason listed
// is given, the conditions are exactly those listed, and a replay of the recorded
// facts gives the same hash. An error means that the file could not be read.
func RunVectors(r io.Reader, zones Zones) ([]VectorResult, error) {
	rules, err := NewRuleSet(Embedded(), zones)
	if err != nil {
		return nil, err
	}
	vectors, err := readVectors(r)
	if err != nil {
		return nil, err
	}
	out := make([]VectorResult, 0, len(vectors))
	for _, v := range vectors {
		out = append(out, v.run(rules))
	}
	return out, nil
}

func readVectors(r io.Reader) ([]vector, error) {
	var f vectorFile
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, fmt.Errorf("read credentialing vectors: %w", err)
	}
	if f.Format != VectorFormat {
		return nil, fmt.Errorf("read credentialing vectors: format %q is not %q", f.Format, VectorFormat)
	}
	return f.Vectors, nil
}

func (v vector) run(rules *RuleSet) VectorResult {
	q := v.question(rules)
	d := Evaluate(q, v.Specialist)
	res := VectorResult{ID: v.ID, Title: v.Title, Expected: v.describe(v.Expect.Decision, v.Expect.Reasons, v.Expect.Conditions, v.Expect.ByPlace)}
	got := map[string]Decision{}
	for _, p := range d.ByPlace {
		got[p.Place] = p.Decision
	}
	res.Got = v.describe(d.Decision, d.Reasons, d.Conditions, got)
	want := sortedSet(slices.Clone(v.Expect.Conditions))
	res.Pass = d.Decision == v.Expect.Decision && slices.Equal(want, d.Conditions)
	for _, r := range v.Expect.Reasons {
		res.Pass = res.Pass && slices.Contains(d.Reasons, r)
	}
	for place, decision := range v.Expect.ByPlace {
		res.Pass = res.Pass && got[place] == decision
	}
	if !res.Pass {
		return res
	}
	if err := Record(q, v.Specialist, &d); err != nil {
		res.Pass, res.Got = false, err.Error()
		return res
	}
	again, err := Replay(rules, d.Facts, d.Answer, d.Hash)
	if err != nil || !bytes.Equal(again.Facts, d.Facts) {
		res.Pass, res.Got = false, fmt.Sprintf("replay: %v", err)
	}
	return res
}

func (v vector) describe(d Decision, reasons, conditions []string, by map[string]Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nreasons %s\nconditions %s", d, strings.Join(reasons, " "), strings.Join(conditions, " "))
	places := make([]string, 0, len(by))
	for p := range by {
		places = append(places, p)
	}
	sort.Strings(places)
	for _, p := range places {
		fmt.Fprintf(&b, "\n%s %s", p, by[p])
	}
	return b.String()
}
