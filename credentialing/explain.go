package credentialing

import (
	"slices"
	"strings"
)

// Explanation is what a page needs to say a reason or a condition as a sentence:
// the id of a text in the catalogues and the data for it, with the rule behind it
// in its own words. RuleText is in English, as the packs are.
type Explanation struct {
	MessageID  string
	Data       map[string]any
	Rule       string // id; "" if no rule is behind it
	RuleText   string
	Source     string // title of the rule's first citation
	SourceURL  string
	Confidence string // how well the source was read
	Name       string // of the rule's pack
	// Condition is the id of a text that says the condition; "" if there is none.
	// Its data are the same.
	Condition string
}

// Explain turns a reason or condition code into what a page says: one whole
// sentence. An unknown code gets "scope.other".
func (rs *RuleSet) Explain(code string) Explanation {
	e := Explanation{Data: map[string]any{"Code": code}}
	kind, rest, _ := strings.Cut(code, ":")
	switch kind {
	case "permit", "unknown":
		e.MessageID = "scope." + kind
		rs.explainRule(&e, rest)
	case "forbid":
		e.MessageID = "scope.forbid"
		if strings.HasPrefix(rest, "ZZ-") {
			e.MessageID += "." + rest // the platform's own rules have their own sentences
		}
		rs.explainRule(&e, rest)
	case "unmet", "missing":
		rule, cond, _ := strings.Cut(rest, ":")
		rs.explainRule(&e, rule)
		e.MessageID = rs.explainCondition(&e, "scope.lacking.", cond)
	case "before", "after":
		e.MessageID = rs.explainCondition(&e, "scope.due.", rest)
	case "limit":
		e.MessageID = "scope.limit." + rest
		e.Data["Limit"] = rest
	case "no-permit", "no-place":
		e.MessageID = "scope." + strings.ReplaceAll(kind, "-", "_")
	case "no-pack", "pack-not-verified":
		e.MessageID = "scope." + strings.ReplaceAll(kind, "-", "_")
		e.Data["Place"] = rest
		if p, ok := rs.packs[rest]; ok {
			e.Name = p.Name
		}
	case "credential":
		id, what, _ := strings.Cut(rest, ":")
		e.MessageID = "scope.credential." + strings.ReplaceAll(what, "-", "_")
		e.Data["Credential"] = id
	case "interpreter":
		e.MessageID = "scope.interpreter." + strings.ReplaceAll(rest, "-", "_")
	default:
		e.MessageID = "scope.other"
	}
	return e
}

func (rs *RuleSet) explainRule(e *Explanation, id string) {
	e.Rule = id
	e.Data["Rule"] = id
	r, ok := rs.rules[id]
	if !ok { // of an edition that is not in force: its id says whose it is
		if m := ruleForm.FindStringSubmatch(id); m != nil {
			e.Data["Place"] = m[1]
		}
		return
	}
	e.RuleText = r.Text
	e.Confidence = r.Confidence
	e.Name = r.pack.Name
	e.Data["Place"] = r.pack.Code
	if len(r.Cites) > 0 {
		c := r.pack.Citations[r.Cites[0]]
		e.Source, e.SourceURL = c.Title, c.URL
	}
}

// explainCondition names the text of a condition in one of the families
// "scope.condition." (the bare fact), "scope.lacking." (it is not so) and
// "scope.due." (it must still become so).
func (rs *RuleSet) explainCondition(e *Explanation, family, code string) string {
	plain, _ := strings.CutPrefix(code, "not ")
	name, arg, _ := strings.Cut(plain, "=")
	e.Data["Name"] = name
	e.Data["Argument"] = arg
	e.Condition = conditionID("scope.condition.", name, arg)
	return conditionID(family, name, arg)
}

// conditionID is the id of a condition's text. Each kind of consent has its own.
func conditionID(family, name, arg string) string {
	if name == "consent" {
		return family + name + "." + arg
	}
	return family + name
}

// ExplainCondition is what a page says of a condition of a [RuleAnswer]: the bare
// fact, and whether the rule asks for its opposite.
func (rs *RuleSet) ExplainCondition(code string) (e Explanation, not bool) {
	e.Data = map[string]any{"Code": code}
	e.MessageID = rs.explainCondition(&e, "scope.condition.", code)
	return e, strings.HasPrefix(code, "not ")
}

// MessageIDs are all ids that Explain and ExplainCondition can give for these rules:
// the catalogues must have them.
func (rs *RuleSet) MessageIDs() []string {
	ids := []string{"scope.permit", "scope.forbid", "scope.unknown", "scope.no_permit", "scope.no_place", "scope.no_pack",
		"scope.pack_not_verified", "scope.other"}
	for _, what := range []string{"expired", "not_yet_valid", "suspended", "revoked", "surrendered", "unverified", "verification_overdue", "other_facility", "restricted"} {
		ids = append(ids, "scope.credential."+what)
	}
	for _, what := range []string{"no_certificate", "excluded", "mode", "expired", "not_yet_valid", "suspended", "revoked", "surrendered",
		"unverified", "verification_overdue"} {
		ids = append(ids, "scope.interpreter."+what)
	}
	for l := range enforcedLimits {
		ids = append(ids, "scope.limit."+l)
	}
	for l := range toldLimits {
		ids = append(ids, "scope.limit."+l)
	}
	say := func(code string) { ids = append(ids, rs.Explain(code).MessageID) }
	for _, r := range rs.rules {
		say(string(r.Effect) + ":" + r.ID)
		for _, t := range r.when {
			e, _ := rs.ExplainCondition(t.code)
			ids = append(ids, e.MessageID)
			if r.Effect == EffectPermit {
				say("missing:" + r.ID + ":" + t.code)
			}
		}
		for _, d := range r.duties {
			e, _ := rs.ExplainCondition(d.code)
			ids = append(ids, e.MessageID)
			switch d.by {
			case ByAfter:
				say("after:" + d.code)
			case ByBefore:
				say("before:" + d.code)
				fallthrough
			default:
				say("unmet:" + r.ID + ":" + d.code)
			}
		}
	}
	return sortedSet(slices.DeleteFunc(ids, func(id string) bool { return id == "scope.require" }))
}
