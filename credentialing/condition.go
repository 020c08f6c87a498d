package credentialing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"gopkg.in/yaml.v3"
)

// Condition is one entry of the closed list of conditions.
type Condition struct {
	Name string `yaml:"-"`
	Says string `yaml:"says"`
	CEL  string `yaml:"cel"`

	prg cel.Program
}

// conditionList is the file of conditions, compiled.
type conditionList struct {
	version string
	sha256  [sha256.Size]byte
	source  []byte
	byName  map[string]*Condition
}

// argKind is which argument a condition takes.
type argKind int

const (
	argNone argKind = iota
	argString
	argInt
	argStrings
	argAmounts
	argGroup
)

// conditionShape is what the program must know of a condition beside its
// expression: its argument, and whether its being true can only help the person
// (+1) or only harm (-1) when credentials, consents or presences are removed.
// Zero: neither, it does not depend on them.
type conditionShape struct {
	arg  argKind
	tone int
}

var conditionShapes = map[string]conditionShape{
	"licence_patient_jurisdiction":    {argNone, +1},
	"licence_own_jurisdiction":        {argNone, +1},
	"licence_prefix":                  {argString, +1},
	"registration":                    {argString, +1},
	"registration_prefix_US":          {argString, +1},
	"established_in_group":            {argGroup, 0},
	"malpractice_cover":               {argNone, +1},
	"malpractice_min":                 {argAmounts, +1},
	"exclusion_hit":                   {argNone, -1},
	"exclusion_check_older_than_days": {argInt, -1},
	"licence_suspended_anywhere":      {argNone, -1},
	"verification_overdue":            {argNone, -1},
	"compact_principal_not_good":      {argString, -1},
	"is_local_physician":              {argNone, 0},
	"local_physician_licensed":        {argNone, +1},
	"local_physician_requested":       {argNone, +1},
	"local_physician_present":         {argNone, +1},
	"local_physician_final_authority": {argNone, +1},
	"local_physician_signed":          {argNone, +1},
	"consent":                         {argString, +1},
	"data_transfer_basis":             {argStrings, 0},
	"data_transfer_recorded":          {argNone, 0},
	"data_crosses_border":             {argNone, 0},
	"common_language":                 {argNone, 0},
	"location_confirmed":              {argNone, +1},
	"identity_confirmed":              {argNone, +1},
	"live_video":                      {argNone, 0},
	"first_contact":                   {argNone, 0},
	"controlled_substance":            {argNone, 0},
	"prior_in_person_evaluation":      {argNone, 0},
	"facility_telehealth_licensed":    {argNone, +1},
	"institution_agreement":           {argNone, +1},
	"long_term_condition":             {argNone, 0},
	"in_person_within_days":           {argInt, 0},
}

// notMonotone are the rules known to grow stricter with a credential that helps
// elsewhere, with the reason.
var notMonotone = map[string]string{
	"DE-001": "a duty that binds only holders of a German license",
}

// costLimit stops an expression that runs away; the costliest condition over a
// hundred credentials stays far below.
const costLimit = 1_000_000

var usesArgument = regexp.MustCompile(`\bp\b`)

// parseConditions reads and compiles the list of conditions.
func parseConditions(file string, data []byte) (*conditionList, error) {
	var f struct {
		Format     string                `yaml:"format"`
		Version    string                `yaml:"version"`
		Conditions map[string]*Condition `yaml:"conditions"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, &PackError{File: file, Err: err}
	}
	if f.Format != conditionsFormat {
		return nil, &PackError{File: file, Err: fmt.Errorf("format %q is not %q", f.Format, conditionsFormat)}
	}
	facts := cel.MapType(cel.StringType, cel.DynType)
	env, err := cel.NewEnv(
		cel.Variable("s", facts), cel.Variable("lp", facts), cel.Variable("c0", facts),
		cel.Variable("consents", cel.ListType(cel.StringType)), cel.Variable("transfer", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("groups", cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.Variable("activity", cel.StringType), cel.Variable("p", cel.DynType))
	if err != nil {
		return nil, fmt.Errorf("make the language of conditions: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Conditions)) {
		c := f.Conditions[name]
		c.Name = name
		if err := c.compile(env); err != nil {
			errs = append(errs, &PackError{File: file, Rule: name, Err: err})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &conditionList{version: f.Version, sha256: sha256.Sum256(data), source: data, byName: f.Conditions}, nil
}

func (c *Condition) compile(env *cel.Env) error {
	shape, ok := conditionShapes[c.Name]
	if !ok {
		return errors.New("the program does not know this condition's argument and direction")
	}
	if c.Says == "" {
		return errors.New("no sentence")
	}
	if uses := usesArgument.MatchString(c.CEL); uses != (shape.arg != argNone) {
		return fmt.Errorf("its expression uses an argument: %t", uses)
	}
	ast, iss := env.Compile(c.CEL)
	if err := iss.Err(); err != nil {
		return err
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return fmt.Errorf("its expression gives %s, not a truth value", t)
	}
	prg, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return err
	}
	c.prg = prg
	return nil
}

// checkArg tells what is wrong with the argument a rule gives.
func (l *conditionList) checkArg(i Item, groups map[string][]string) error {
	if _, ok := l.byName[i.Name]; !ok {
		return fmt.Errorf("condition %q does not exist", i.Name)
	}
	ok := false
	switch conditionShapes[i.Name].arg {
	case argNone:
		ok = i.Arg == nil
	case argString:
		s, is := i.Arg.(string)
		ok = is && s != ""
	case argInt:
		n, is := i.Arg.(int64)
		ok = is && n >= 0
	case argGroup:
		s, is := i.Arg.(string)
		ok = is && len(groups[s]) > 0
	case argStrings:
		list, is := i.Arg.([]any)
		ok = is && len(list) > 0
		for _, e := range list {
			if _, is := e.(string); !is {
				ok = false
			}
		}
	case argAmounts:
		m, is := i.Arg.(map[string]any)
		if is && len(m) == 3 {
			_, a := m["currency"].(string)
			_, b := m["per_claim"].(int64)
			_, c := m["aggregate"].(int64)
			ok = a && b && c
		}
	}
	if !ok {
		return fmt.Errorf("condition %s does not take the argument %v", i.Name, i.Arg)
	}
	return nil
}

// lintTone keeps evaluation monotone: what helps stands plain where it permits and
// negated where it stops, what harms the other way round (design credentialing
// §16).
func lintTone(r *Rule) error {
	if _, known := notMonotone[r.ID]; known {
		return nil
	}
	check := func(i Item, want int, where string) error {
		tone := conditionShapes[i.Name].tone
		if i.Not {
			tone = -tone
		}
		if tone == -want {
			return fmt.Errorf("%s stands in %s: having less would allow more", i.code(), where)
		}
		return nil
	}
	want := -1 // a stop holds when things are missing
	if r.Effect == EffectPermit {
		want = +1
	}
	for _, i := range r.When {
		if err := check(i, want, string(r.Effect)+".when"); err != nil {
			return err
		}
	}
	for _, d := range r.Provided {
		if err := check(d.Condition, +1, "provided"); err != nil {
			return err
		}
	}
	return nil
}
