package credentialing

import "strings"

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

// Explain turns a reason or condition code into what a page says. Every code of
// a Determination has a MessageID; an unknown code gets "scope.other".
func (rs *RuleSet) Explain(code string) Explanation {
	e := Explanation{Data: map[string]any{"Code": code}}
	kind, rest, _ := strings.Cut(code, ":")
	switch kind {
	case "permit", "forbid", "unknown":
		e.MessageID = "scope." + kind
		rs.explainRule(&e, rest)
	case "unmet", "missing":
		e.MessageID = "scope." + kind
		rule, cond, _ := strings.Cut(rest, ":")
		rs.explainRule(&e, rule)
		explainCondition(&e, cond)
	case "before", "after":
		e.MessageID = "scope." + kind
		explainCondition(&e, rest)
	case "limit":
		e.MessageID = "scope.limit." + rest
		e.Data["Limit"] = rest
		_, enforced := enforcedLimits[rest]
		e.Data["Enforced"] = enforced
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
	if !ok {
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

func explainCondition(e *Explanation, code string) {
	plain, not := strings.CutPrefix(code, "not ")
	name, arg, _ := strings.Cut(plain, "=")
	e.Data["Name"] = name
	e.Data["Argument"] = arg
	e.Condition = ConditionMessage(name, not)
}

// ConditionMessage is the id of the text that says a condition, plain or negated.
func ConditionMessage(name string, not bool) string {
	if not {
		return "scope.condition_not." + name
	}
	return "scope.condition." + name
}

// MessageIDs are all ids that Explain can give for these rules, conditions and
// limits: the catalogues must have them.
func (rs *RuleSet) MessageIDs() []string {
	ids := []string{"scope.permit", "scope.forbid", "scope.unknown", "scope.unmet", "scope.missing", "scope.before", "scope.after",
		"scope.no_permit", "scope.no_place", "scope.no_pack", "scope.pack_not_verified", "scope.other"}
	for _, what := range []string{"expired", "not_yet_valid", "suspended", "revoked", "surrendered", "unverified", "verification_overdue"} {
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
	for name := range rs.conditions.byName {
		ids = append(ids, ConditionMessage(name, false))
	}
	for _, r := range rs.rules {
		for _, t := range r.when {
			if t.not {
				ids = append(ids, ConditionMessage(rs.checks[t.check].cond.Name, true))
			}
		}
	}
	return sortedSet(ids)
}
