package credentialing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// RuleConfirmation is that an officer looked a rule up at its source and found it so.
// It is of the rule's content: a rule that is written otherwise needs another.
type RuleConfirmation struct {
	Code         string // of the pack
	Rule         string // id
	RuleSHA256   string // hex, of the content; see ReviewItem
	By           identity.PersonID
	Name         string
	Role         string
	Organization string
	LookedOn     Moment // date on which the source was read
	Evidence     string // what was read, where
	Address      string // of the source, "" if it has none
	File         string // SHA-256 in hex of a file kept with it; "" if none is
	Again        Moment // date by which somebody looks again
	At           time.Time
}

// ReviewItem is what an officer confirms singly: a rule of a pack, or the members of a
// group.
type ReviewItem struct {
	ID         string // of the rule; the code of the pack where its members are meant
	Rule       *Rule  // nil where the members are meant
	Members    []string
	Citations  []Citation
	RuleSHA256 string // hex
	Confirmed  *RuleConfirmation
}

// PackReview is how far a pack in force is confirmed.
type PackReview struct {
	Pack      *Pack
	Items     []ReviewItem
	Confirmed int
	// Drafter is who brought this edition, who does not confirm it; "" came with the
	// binary.
	Drafter identity.PersonID
}

// Complete tells whether every rule is confirmed.
func (r PackReview) Complete() bool { return len(r.Items) > 0 && r.Confirmed == len(r.Items) }

// reviewItems are what is to be confirmed of a pack.
func (p *Pack) reviewItems() []ReviewItem {
	var out []ReviewItem
	if len(p.Members) > 0 || len(p.Rules) == 0 {
		out = append(out, ReviewItem{ID: p.Code, Members: p.Members, RuleSHA256: p.contentHash(nil)})
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		item := ReviewItem{ID: r.ID, Rule: r, RuleSHA256: p.contentHash(r)}
		for _, c := range r.Cites {
			item.Citations = append(item.Citations, p.Citations[c])
		}
		out = append(out, item)
	}
	return out
}

// contentHash is of all that a rule says and rests on, but who confirmed it.
func (p *Pack) contentHash(r *Rule) string {
	content := struct {
		Code      string
		Zones     []string
		Members   []string
		Extends   []string
		Rule      *Rule
		Citations map[string]Citation
	}{Code: p.Code, Zones: p.Timezones, Citations: map[string]Citation{}}
	if r == nil {
		content.Members, content.Extends = p.Members, p.Extends
	} else {
		bare := *r
		bare.Verified = Rule{}.Verified
		content.Rule = &bare
		for _, c := range r.Cites {
			content.Citations[c] = p.Citations[c]
		}
	}
	data, err := json.Marshal(content)
	if err != nil { // it holds texts, numbers and lists only
		panic(fmt.Sprintf("credentialing: content of a rule: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

var confirmedVersion = regexp.MustCompile(`^(.+)-confirmed\.([0-9]+)$`)

// nextVersion is the version of the next confirmed edition.
func nextVersion(version string) string {
	if m := confirmedVersion.FindStringSubmatch(version); m != nil {
		n, err := strconv.Atoi(m[2])
		if err == nil {
			return m[1] + "-confirmed." + strconv.Itoa(n+1)
		}
	}
	return version + "-confirmed.1"
}

// confirmedEdition writes the pack anew as verified: each rule with who confirmed it,
// the whole by who makes the edition. Comments and order stay.
func confirmedEdition(p *Pack, version string, items []ReviewItem, by RuleConfirmation) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(p.Source, &doc); err != nil || len(doc.Content) != 1 {
		return nil, fmt.Errorf("read pack %s: %w", p.Code, err)
	}
	root := doc.Content[0]
	set := func(m *yaml.Node, key string, v any) error {
		var n yaml.Node
		if err := n.Encode(v); err != nil {
			return err
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if m.Content[i].Value == key {
				m.Content[i+1] = &n
				return nil
			}
		}
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &n)
		return nil
	}
	word := func(c RuleConfirmation) *Confirmation {
		return &Confirmation{Name: c.Name, Role: c.Role, Organization: c.Organization, On: c.LookedOn.String(), Evidence: c.evidence(), Again: c.Again.String()}
	}
	if err := set(root, "version", version); err != nil {
		return nil, err
	}
	if err := set(root, "status", stateVerified); err != nil {
		return nil, err
	}
	if err := set(root, "verified_by", word(by)); err != nil {
		return nil, err
	}
	confirmed := map[string]*RuleConfirmation{}
	for _, i := range items {
		confirmed[i.ID] = i.Confirmed
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "rules" {
			continue
		}
		for k, n := range root.Content[i+1].Content {
			c := confirmed[p.Rules[k].ID]
			if err := set(n, "verified", map[string]any{"state": stateVerified, "by": word(*c), "on": c.LookedOn.String(), "evidence": c.evidence()}); err != nil {
				return nil, err
			}
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// evidence is the confirmation's evidence in one line.
func (c RuleConfirmation) evidence() string {
	parts := []string{c.Evidence}
	if c.Address != "" {
		parts = append(parts, c.Address)
	}
	if c.File != "" {
		parts = append(parts, "SHA-256 "+c.File)
	}
	return strings.Join(parts, "; ")
}

// earliestAgain is the first date on which one of the confirmations is to be looked at
// again.
func earliestAgain(items []ReviewItem) Moment {
	var out Moment
	for _, i := range items {
		if out.IsZero() || i.Confirmed.Again.String() < out.String() {
			out = i.Confirmed.Again
		}
	}
	return out
}

// lacking are findings for each rule of a pack that says it is verified and that
// nobody here has confirmed so.
func lacking(p *Pack, confirmed map[string]*RuleConfirmation) []PackError {
	var out []PackError
	if p.Status != stateVerified {
		return nil
	}
	for _, i := range p.reviewItems() {
		c := confirmed[i.ID+" "+i.RuleSHA256]
		bad := func(why string) {
			out = append(out, PackError{File: draftFile, Rule: i.ID, Line: p.lines[i.ID], Err: fmt.Errorf("%s", why)})
		}
		var who, on string
		if i.Rule != nil {
			who, on, _ = i.Rule.verifiedBy()
		}
		switch {
		case c == nil:
			bad("says that it is verified, and no officer here has confirmed it as it is written")
		case i.Rule != nil && (who != c.Name || on != c.LookedOn.String()):
			bad("says that it was confirmed by somebody else, or on another date, than it was here")
		}
	}
	names := map[string]bool{}
	for _, c := range confirmed {
		names[c.Name] = true
	}
	if !names[p.VerifiedBy.Name] && len(out) == 0 {
		out = append(out, PackError{File: draftFile, Err: fmt.Errorf("says that it was verified by somebody who has confirmed none of it here")})
	}
	return out
}
