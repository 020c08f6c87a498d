package credentialing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// PackError tells what is wrong in a pack, so that an officer can find it.
type PackError struct {
	File string
	Rule string // "" when the pack as a whole is meant
	Line int    // 0 when not known
	Err  error
}

func (e *PackError) Error() string {
	at := e.File
	if e.Line > 0 {
		at += fmt.Sprintf(":%d", e.Line)
	}
	if e.Rule != "" {
		at += ": " + e.Rule
	}
	return at + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *PackError) Unwrap() error { return e.Err }

// Edition names an immutable content of a pack.
type Edition struct {
	Code    string `json:"code"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // hex
}

// Effect is what a rule does when its conditions are true.
type Effect string

// The effects of rules.
const (
	EffectPermit  Effect = "permit"
	EffectForbid  Effect = "forbid"
	EffectRequire Effect = "require"
)

// Pack is the rules of one jurisdiction, or of a group of them, as written.
type Pack struct {
	Format     string              `yaml:"format"`
	Code       string              `yaml:"code"`
	Name       string              `yaml:"name"`
	Extends    []string            `yaml:"extends"`
	Timezones  []string            `yaml:"timezones"`
	Members    []string            `yaml:"members"`
	Version    string              `yaml:"version"`
	Status     string              `yaml:"status"`
	VerifiedBy *Confirmation       `yaml:"verified_by"`
	Citations  map[string]Citation `yaml:"citations"`
	Rules      []Rule              `yaml:"rules"`
	Facts      []PackFact          `yaml:"facts"`
	SHA256     [sha256.Size]byte   `yaml:"-"`
	Source     []byte              `yaml:"-"` // the file's bytes
	lines      map[string]int      // of rules, by id
	again      time.Time           // of VerifiedBy
}

// Edition names the pack's content.
func (p *Pack) Edition() Edition {
	return Edition{Code: p.Code, Version: p.Version, SHA256: fmt.Sprintf("%x", p.SHA256)}
}

// group tells whether the pack is a layer only: no patient is in such a place.
func (p *Pack) group() bool {
	return p.Code == "ZZ" || strings.HasPrefix(p.Code, "X-") || len(p.Members) > 0
}

// changes is the place whose answers another edition of the pack can change; "*" is
// everywhere.
func (p *Pack) changes() string {
	if p.group() {
		return "*"
	}
	return p.Code
}

// relied tells whether the pack may be relied on at an instant without accepting it
// unverified. A confirmed one may, until a month after it was to be looked at again.
func (p *Pack) relied(at time.Time) bool {
	end := p.reliedUntil()
	return p.Status == statePlatform || p.Status == stateVerified && (end.IsZero() || at.Before(end))
}

// LookAgain is when a confirmed pack is to be looked at again; zero if it is not
// confirmed, or names no date.
func (p *Pack) LookAgain() time.Time {
	if p.Status != stateVerified || p.VerifiedBy == nil {
		return time.Time{}
	}
	return p.again
}

// againGrace is how long a pack counts after the date to look at it again.
const againGrace = 30 * day

// reliedUntil is when a confirmed pack stops counting; zero if it does not.
func (p *Pack) reliedUntil() time.Time {
	if again := p.LookAgain(); !again.IsZero() {
		return again.Add(againGrace)
	}
	return time.Time{}
}

// Citation is where a rule's fact was read.
type Citation struct {
	Title      string `yaml:"title"`
	URL        string `yaml:"url"`
	Read       string `yaml:"read"`
	Confidence string `yaml:"confidence"`
	Note       string `yaml:"note"`
}

// Confirmation is who confirmed a rule or a pack.
type Confirmation struct {
	Name         string `yaml:"name"`
	Role         string `yaml:"role"`
	Organization string `yaml:"organisation"`
	On           string `yaml:"on"`
	Evidence     string `yaml:"evidence"`
	// Again is the date by which the pack is to be looked at again; "" is never.
	Again string `yaml:"again,omitempty"`
}

// Rule is one rule of a pack, as written.
type Rule struct {
	ID         string     `yaml:"id"`
	Effect     Effect     `yaml:"effect"`
	Activities []Activity `yaml:"activities"`
	When       []Item     `yaml:"when"`
	Provided   []Duty     `yaml:"provided"`
	Limits     []string   `yaml:"limits"`
	Enabled    *bool      `yaml:"enabled"`
	Effective  struct {
		From Moment `yaml:"from"`
		To   Moment `yaml:"to"`
	} `yaml:"effective"`
	Text       string   `yaml:"text"`
	Confidence string   `yaml:"confidence"`
	Cites      []string `yaml:"cites"`
	Verified   struct {
		State string        `yaml:"state"`
		By    *Confirmation `yaml:"by"`
		On    string        `yaml:"on"`
		Proof string        `yaml:"evidence"`
	} `yaml:"verified"`
}

// verifiedBy is who confirmed the rule, on which date and by which evidence.
func (r *Rule) verifiedBy() (who, on, evidence string) {
	on, evidence = r.Verified.On, r.Verified.Proof
	if by := r.Verified.By; by != nil {
		who = by.Name
		if by.On != "" {
			on = by.On
		}
		if by.Evidence != "" {
			evidence = by.Evidence
		}
	}
	return who, on, evidence
}

// InUse tells whether the rule is switched on.
func (r *Rule) InUse() bool { return r.Enabled == nil || *r.Enabled }

// covers tells whether the rule speaks of an activity.
func (r *Rule) covers(a Activity) bool {
	return slices.Contains(r.Activities, a) || slices.Contains(r.Activities, "*")
}

// PackFact is something worth knowing that no rule decides by.
type PackFact struct {
	ID         string   `yaml:"id"`
	Text       string   `yaml:"text"`
	Cites      []string `yaml:"cites"`
	Confidence string   `yaml:"confidence"`
}

// Item names a condition, perhaps with an argument, perhaps negated.
type Item struct {
	Name string
	Arg  any // nil, string, int64, []any or map[string]any
	Not  bool
}

// UnmarshalYAML reads `name`, `{name: argument}` or `{not: item}`.
func (i *Item) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&i.Name)
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return fmt.Errorf("line %d: a condition is a name or {name: argument}", n.Line)
	}
	key, val := n.Content[0].Value, n.Content[1]
	if key == "not" {
		var inner Item
		if err := val.Decode(&inner); err != nil {
			return err
		}
		if inner.Not {
			return fmt.Errorf("line %d: not of not", n.Line)
		}
		*i = inner
		i.Not = true
		return nil
	}
	var arg any
	if err := val.Decode(&arg); err != nil {
		return err
	}
	arg, err := plain(arg)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	i.Name, i.Arg = key, arg
	return nil
}

// plain turns YAML values into what conditions get: whole numbers are int64.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return int64(v), nil
	case []any:
		for i := range v {
			e, err := plain(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = e
		}
		return v, nil
	case map[string]any:
		for k := range v {
			e, err := plain(v[k])
			if err != nil {
				return nil, err
			}
			v[k] = e
		}
		return v, nil
	default:
		return nil, fmt.Errorf("an argument of type %T", v)
	}
}

// code is how reasons write the condition: name, or name=argument if it is plain.
func (i Item) code() string {
	c := i.Name
	switch a := i.Arg.(type) {
	case string:
		c += "=" + a
	case int64:
		c += fmt.Sprintf("=%d", a)
	}
	if i.Not {
		return "not " + c
	}
	return c
}

// Code is how reasons and explanations write the condition.
func (i Item) Code() string { return i.code() }

// Duty is a condition that a permission or a requirement brings along, and by when
// it must be met.
type Duty struct {
	Condition Item   `yaml:"condition"`
	By        string `yaml:"by"` // always, before, after
}

// When a duty must be met.
const (
	ByAlways = "always"
	ByBefore = "before"
	ByAfter  = "after"
)

var (
	codeForm = regexp.MustCompile(`^([A-Z]{2}(-[A-Z0-9]{1,3})?|X-[A-Z]+)$`)
	ruleForm = regexp.MustCompile(`^(.+)-([0-9]{3})$`)
)

// confidences are how well a rule's fact was read; of the last two no permission
// is made.
var confidences = []string{"quoted", "quoted-in-part", "quoted-superseded", "secondary", statePlatform, confidenceGeneral, confidenceOpen}

// ParsePack reads one pack and checks what can be seen from it alone. Conditions
// and layers are checked by [NewRuleSet].
func ParsePack(file string, data []byte) (*Pack, error) {
	p := &Pack{Source: data, SHA256: sha256.Sum256(data), lines: map[string]int{}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil {
		return nil, &PackError{File: file, Err: err}
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, &PackError{File: file, Err: errors.New("more than one document")}
	}
	var tree struct {
		Rules []yaml.Node `yaml:"rules"`
	}
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, &PackError{File: file, Err: err}
	}
	for i, n := range tree.Rules {
		if i < len(p.Rules) {
			p.lines[p.Rules[i].ID] = n.Line
		}
	}
	var errs []error
	bad := func(rule, format string, args ...any) {
		errs = append(errs, &PackError{File: file, Rule: rule, Line: p.lines[rule], Err: fmt.Errorf(format, args...)})
	}
	if p.Format != packFormat {
		bad("", "format %q is not %q", p.Format, packFormat)
	}
	if !codeForm.MatchString(p.Code) {
		bad("", "code %q", p.Code)
	}
	if p.Version == "" || p.Name == "" {
		bad("", "version and name are needed")
	}
	if len(p.Timezones) == 0 {
		bad("", "no time zone")
	}
	if p.Code != "ZZ" && p.Status == statePlatform {
		bad("", "only ZZ is platform policy")
	}
	if !slices.Contains([]string{stateStarter, stateReview, stateVerified, "retired", statePlatform}, p.Status) {
		bad("", "status %q", p.Status)
	}
	if p.Status == stateVerified && (p.VerifiedBy == nil || p.VerifiedBy.Name == "" || p.VerifiedBy.On == "") {
		bad("", "verified by nobody, or on no date")
	}
	if c := p.VerifiedBy; c != nil && c.Again != "" {
		again, err := time.Parse(time.DateOnly, c.Again)
		if err != nil {
			bad("", "to be looked at again on %q, which is no date", c.Again)
		}
		p.again = again
	}
	seen := map[string]bool{}
	for i := range p.Rules {
		p.lintRule(&p.Rules[i], seen, bad)
	}
	for _, f := range p.Facts {
		if seen[f.ID] {
			bad(f.ID, "id used twice")
		}
		seen[f.ID] = true
		for _, c := range f.Cites {
			if _, ok := p.Citations[c]; !ok {
				bad(f.ID, "citation %q does not exist", c)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func (p *Pack) lintRule(r *Rule, seen map[string]bool, bad func(rule, format string, args ...any)) {
	if m := ruleForm.FindStringSubmatch(r.ID); m == nil || m[1] != p.Code {
		bad(r.ID, "rule id is not %s-NNN", p.Code)
	}
	if seen[r.ID] {
		bad(r.ID, "id used twice")
	}
	seen[r.ID] = true
	if len(r.Activities) == 0 {
		bad(r.ID, "no activity")
	}
	for _, a := range r.Activities {
		if a != "*" && !a.Known() {
			bad(r.ID, "activity %q", a)
		}
	}
	if strings.TrimSpace(r.Text) == "" {
		bad(r.ID, "no text")
	}
	if !slices.Contains(confidences, r.Confidence) {
		bad(r.ID, "confidence %q", r.Confidence)
	}
	weak := r.Confidence == confidenceGeneral || r.Confidence == confidenceOpen
	if weak && r.InUse() && r.Effect != EffectForbid {
		bad(r.ID, "a rule of confidence %s may only forbid or be off", r.Confidence)
	}
	if len(r.Cites) == 0 && !weak && r.Confidence != statePlatform {
		bad(r.ID, "no citation")
	}
	for _, c := range r.Cites {
		if _, ok := p.Citations[c]; !ok {
			bad(r.ID, "citation %q does not exist", c)
		}
	}
	switch r.Effect {
	case EffectPermit:
		if len(r.When) == 0 {
			bad(r.ID, "permits without a condition")
		}
	case EffectForbid:
		if len(r.When) == 0 {
			bad(r.ID, "forbids without a condition")
		}
		if len(r.Provided)+len(r.Limits) > 0 {
			bad(r.ID, "a forbid has neither duties nor limits")
		}
	case EffectRequire:
		if len(r.Provided) == 0 {
			bad(r.ID, "requires nothing")
		}
	default:
		bad(r.ID, "effect %q", r.Effect)
	}
	for _, d := range r.Provided {
		if d.By != ByAlways && d.By != ByBefore && d.By != ByAfter {
			bad(r.ID, "a duty is due always, before or after, not %q", d.By)
		}
	}
	for _, l := range r.Limits {
		if _, ok := enforcedLimits[l]; !ok && !toldLimits[l] {
			bad(r.ID, "limit %q is neither enforced nor told", l)
		}
	}
	if who, on, evidence := r.verifiedBy(); r.Verified.State == stateVerified && (who == "" || on == "" || evidence == "") {
		bad(r.ID, "verified by nobody, on no date or without evidence")
	}
	if p.Status == stateVerified && r.Verified.State != stateVerified {
		bad(r.ID, "a verified pack has a rule that is not")
	}
}
