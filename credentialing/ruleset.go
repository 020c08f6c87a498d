package credentialing

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

//go:embed jurisdictions/*.yaml
var embedded embed.FS

// conditionsFile is the closed list of conditions, beside the packs.
const conditionsFile = "_conditions.yaml"

// Embedded are the packs that the binary brings: file name to content.
func Embedded() map[string][]byte {
	files := map[string][]byte{}
	entries, err := fs.ReadDir(embedded, "jurisdictions")
	if err != nil {
		panic(fmt.Sprintf("credentialing: embedded packs: %v", err)) // a broken build
	}
	for _, e := range entries {
		data, err := embedded.ReadFile(path.Join("jurisdictions", e.Name()))
		if err != nil {
			panic(fmt.Sprintf("credentialing: embedded packs: %v", err))
		}
		files[e.Name()] = data
	}
	return files
}

// RuleSet is a set of pack editions with their conditions compiled. It is
// immutable and may be used by many goroutines.
type RuleSet struct {
	conditions *conditionList
	packs      map[string]*Pack
	places     map[string]*place
	rules      map[string]*rule
	checks     []check
	groups     ref.Val
	zones      Zones
	zonesOf    map[string][]*time.Location // by jurisdiction
	checkDays  []int64                     // limits on the age of an exclusion check
}

// check is a condition with its argument; rules share them.
type check struct {
	cond *Condition
	arg  ref.Val
	code string
}

// term is a check as a rule uses it.
type term struct {
	check int
	not   bool
	code  string
}

type duty struct {
	term
	by string
}

type rule struct {
	*Rule
	pack     *Pack
	when     []term
	duties   []duty
	from, to time.Time // zero: open
}

func (r *rule) inForce(at time.Time) bool {
	return !at.Before(r.from) && (r.to.IsZero() || at.Before(r.to))
}

// place is what applies where a patient is: the pack and all its layers.
type place struct {
	code  string
	packs []*Pack
	rules []*rule
}

// NewRuleSet checks and compiles packs given by file name, with the list of
// conditions under _conditions.yaml. The error joins a *PackError for each thing
// that is wrong.
func NewRuleSet(files map[string][]byte, zones Zones) (*RuleSet, error) {
	if zones == nil {
		return nil, errors.New("credentialing: a rule set needs zone data")
	}
	conditions, err := parseConditions(conditionsFile, files[conditionsFile])
	if err != nil {
		return nil, err
	}
	rs := &RuleSet{conditions: conditions, packs: map[string]*Pack{}, places: map[string]*place{}, rules: map[string]*rule{},
		zones: zones, zonesOf: map[string][]*time.Location{}}
	var errs []error
	fileOf := map[string]string{}
	names := make([]string, 0, len(files))
	for name := range files {
		if name != conditionsFile {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		p, err := ParsePack(name, files[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, twice := fileOf[p.Code]; twice {
			errs = append(errs, &PackError{File: name, Err: fmt.Errorf("code %s is also in %s", p.Code, other)})
			continue
		}
		fileOf[p.Code] = name
		rs.packs[p.Code] = p
	}
	groups := map[string][]string{}
	for code, p := range rs.packs {
		if len(p.Members) > 0 {
			groups[code] = p.Members
		}
	}
	rs.groups = groupsVal(groups)
	index := map[string]int{}
	for _, code := range rs.Codes() {
		errs = append(errs, rs.compilePack(rs.packs[code], fileOf[code], groups, index)...)
	}
	for _, code := range rs.Codes() {
		p := rs.packs[code]
		layers, err := rs.layers(code, nil)
		if err != nil {
			errs = append(errs, &PackError{File: fileOf[code], Err: err})
			continue
		}
		if p.group() {
			continue
		}
		pl := &place{code: code, packs: layers}
		platform := false
		for _, l := range layers {
			platform = platform || l.Code == "ZZ"
			for i := range l.Rules {
				if r, ok := rs.rules[l.Rules[i].ID]; ok && r.InUse() {
					pl.rules = append(pl.rules, r)
				}
			}
		}
		if !platform {
			errs = append(errs, &PackError{File: fileOf[code], Err: errors.New("does not extend the platform rules ZZ")})
		}
		slices.SortFunc(pl.rules, func(a, b *rule) int { return strings.Compare(a.ID, b.ID) })
		rs.places[code] = pl
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rs, nil
}

// compilePack resolves the pack's zones and its rules' conditions.
func (rs *RuleSet) compilePack(p *Pack, file string, groups map[string][]string, index map[string]int) (errs []error) {
	bad := func(rule string, err error) {
		errs = append(errs, &PackError{File: file, Rule: rule, Line: p.lines[rule], Err: err})
	}
	var zones []*time.Location
	for _, name := range p.Timezones {
		z, err := rs.zones(name)
		if err != nil {
			bad("", fmt.Errorf("time zone %q: %w", name, err))
			continue
		}
		zones = append(zones, z)
	}
	rs.zonesOf[p.Code] = zones
	for i := range p.Rules {
		src := &p.Rules[i]
		if _, used := rs.rules[src.ID]; used {
			bad(src.ID, errors.New("id used in another pack"))
			continue
		}
		if err := lintTone(src); err != nil {
			bad(src.ID, err)
		}
		r := &rule{Rule: src, pack: p}
		for _, item := range src.When {
			t, err := rs.term(item, groups, index)
			if err != nil {
				bad(src.ID, err)
				continue
			}
			r.when = append(r.when, t)
		}
		for _, d := range src.Provided {
			t, err := rs.term(d.Condition, groups, index)
			if err != nil {
				bad(src.ID, err)
				continue
			}
			r.duties = append(r.duties, duty{t, d.By})
		}
		// A permission starts late and ends early, a stop the other way round.
		late := src.Effect == EffectPermit
		if m := src.Effective.From; !m.IsZero() {
			r.from = m.begins(zones, late)
		}
		if m := src.Effective.To; !m.IsZero() {
			r.to = m.ends(zones, !late)
		}
		rs.rules[src.ID] = r
	}
	return errs
}

func (rs *RuleSet) term(i Item, groups map[string][]string, index map[string]int) (term, error) {
	if err := rs.conditions.checkArg(i, groups); err != nil {
		return term{}, err
	}
	plainItem := i
	plainItem.Not = false
	key := fmt.Sprintf("%s %#v", i.Name, i.Arg)
	n, ok := index[key]
	if !ok {
		n = len(rs.checks)
		index[key] = n
		rs.checks = append(rs.checks, check{cond: rs.conditions.byName[i.Name], arg: argVal(i.Arg), code: plainItem.code()})
		if days, is := i.Arg.(int64); is && i.Name == "exclusion_check_older_than_days" {
			rs.checkDays = append(rs.checkDays, days)
		}
	}
	return term{check: n, not: i.Not, code: i.code()}, nil
}

// layers are the pack and all that it extends, each once, sorted by code.
func (rs *RuleSet) layers(code string, under []string) ([]*Pack, error) {
	if slices.Contains(under, code) {
		return nil, fmt.Errorf("extends itself by way of %s", strings.Join(under, ", "))
	}
	p, ok := rs.packs[code]
	if !ok {
		return nil, fmt.Errorf("extends %s, which does not exist", code)
	}
	all := []*Pack{p}
	for _, e := range p.Extends {
		more, err := rs.layers(e, append(slices.Clone(under), code))
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	slices.SortFunc(all, func(a, b *Pack) int { return strings.Compare(a.Code, b.Code) })
	return slices.Compact(all), nil
}

// Codes are the codes of all packs, sorted.
func (rs *RuleSet) Codes() []string {
	codes := make([]string, 0, len(rs.packs))
	for c := range rs.packs {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	return codes
}

// Places are the codes of the places that have a pack, sorted: where a patient may
// be said to be.
func (rs *RuleSet) Places() []string {
	codes := make([]string, 0, len(rs.places))
	for c := range rs.places {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	return codes
}

// Pack returns a pack by its code.
func (rs *RuleSet) Pack(code string) (*Pack, bool) {
	p, ok := rs.packs[code]
	return p, ok
}

// Rule returns a rule and its pack by the rule's id.
func (rs *RuleSet) Rule(id string) (*Rule, *Pack, bool) {
	r, ok := rs.rules[id]
	if !ok {
		return nil, nil, false
	}
	return r.Rule, r.pack, true
}

// Condition returns an entry of the list of conditions.
func (rs *RuleSet) Condition(name string) (Condition, bool) {
	c, ok := rs.conditions.byName[name]
	if !ok {
		return Condition{}, false
	}
	return Condition{Name: c.Name, Says: c.Says, CEL: c.CEL}, true
}

// Conditions is the version of the list of conditions.
func (rs *RuleSet) Conditions() Edition {
	return Edition{Code: "conditions", Version: rs.conditions.version, SHA256: fmt.Sprintf("%x", rs.conditions.sha256)}
}

// editions are the packs that a question rests on, sorted by code, each once: those
// that apply in its places, and those that say in which zones the days of the
// issuers of its credentials begin and end.
func (rs *RuleSet) editions(q *Question, held *Credentials) []Edition {
	var packs []*Pack
	codes := slices.Clone(q.Places)
	for i := range held.List {
		codes = append(codes, held.List[i].Jurisdiction)
	}
	if q.Local != nil {
		for i := range q.Local.Licenses {
			codes = append(codes, q.Local.Licenses[i].Jurisdiction)
		}
	}
	for _, code := range codes {
		if pl, ok := rs.places[code]; ok {
			packs = append(packs, pl.packs...)
		}
	}
	slices.SortFunc(packs, func(a, b *Pack) int { return strings.Compare(a.Code, b.Code) })
	packs = slices.Compact(packs)
	out := make([]Edition, 0, len(packs))
	for _, p := range packs {
		out = append(out, p.Edition())
	}
	return out
}

func groupsVal(groups map[string][]string) ref.Val {
	m := make(map[string]any, len(groups))
	for k, v := range groups {
		m[k] = types.NewStringList(types.DefaultTypeAdapter, v)
	}
	return types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
}

func argVal(v any) ref.Val {
	if v == nil {
		return types.NullValue
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}
