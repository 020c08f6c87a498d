package credentialing

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Proxy is what a privilege by proxy rests on: a facility relies on the decision of a
// distant site by a written agreement with it (42 CFR 482.22(a)(3), 485.616(c)). The
// facility is the one the claim is tied to, the distant site its issuer, the number that
// of the agreement. It gives leave within the facility and never stands for a license.
type Proxy struct {
	Site           identity.OrganizationID `json:"site,omitempty"` // of the distant site, if it works with this product
	AgreementFrom  Moment                  `json:"agreement_from"`
	AgreementTo    Moment                  `json:"agreement_to"` // zero: until one side ends it
	Accreditor     string                  `json:"accreditor"`   // who accredited the distant site
	AccreditedFrom Moment                  `json:"accredited_from"`
	AccreditedTo   Moment                  `json:"accredited_to"` // never open
	Decision       ProxyDecision           `json:"decision"`      // the distant site's last one about the person
	DecidedOn      Moment                  `json:"decided_on"`
	Shares         []Share                 `json:"shares"` // what goes back to the distant site
}

// ProxyDecision is the last decision of a distant site about a person's privileges.
type ProxyDecision string

// The decisions that leave a privilege standing. One that takes it away is reported as a
// status and acts at once.
const (
	ProxyGranted ProxyDecision = "granted"
	ProxyRenewed ProxyDecision = "renewed"
	ProxyLimited ProxyDecision = "limited"
)

// ProxyDecisions are all of them, in the order in which pages list them.
var ProxyDecisions = []ProxyDecision{ProxyGranted, ProxyRenewed, ProxyLimited}

// Share is what a facility tells the distant site of the person's work.
type Share string

// What is shared. Events and complaints must be; the review of a year tells of both.
const (
	ShareEvents      Share = "adverse-events"
	ShareComplaints  Share = "complaints"
	ShareReview      Share = "yearly-review"
	SharePerformance Share = "performance"
)

// ProxyShares are all of them, in the order in which pages list them.
var ProxyShares = []Share{ShareEvents, ShareComplaints, ShareReview, SharePerformance}

// Reasons why what a privilege by proxy or a cover says cannot be, beside [RowReasons].
const (
	ReasonShares   = "proxy_shares"       // events and the yearly review must be shared
	ReasonAhead    = "ahead"              // it lies after the agreement has ended, or ahead of today
	ReasonSameSite = "proxy_same_site"    // a facility is no distant site of its own
	ReasonNoTerms  = "not_of_this_kind"   // this belongs to another kind of credential
	ReasonTail     = "tail_before_end"    // reports are taken until after the end, or not at all
	ReasonOccurs   = "occurrence_has_not" // cover by occurrence has neither
	ReasonBasis    = "basis"              // neither claims-made nor occurrence
	ReasonCurrency = "currency"           // amounts without the code of a currency
	ReasonAmounts  = "aggregate_below"    // the yearly total is below that of one claim
)

// ClaimReasons are the reasons of an [Invalid] claim that no row of a file has.
var ClaimReasons = []string{ReasonShares, ReasonAhead, ReasonSameSite, ReasonNoTerms, ReasonTail, ReasonOccurs, ReasonBasis, ReasonCurrency, ReasonAmounts}

// check says what is wrong with what a privilege by proxy rests on, given its claim.
func (p Proxy) check(c Claim) error {
	switch {
	case c.Facility == "":
		return &Invalid{"facility", RowRequired}
	case string(p.Site) == c.Facility:
		return &Invalid{"proxy_site", ReasonSameSite}
	case p.AgreementFrom.IsZero():
		return &Invalid{"agreement_from", RowRequired}
	case !p.AgreementFrom.sane():
		return &Invalid{"agreement_from", RowYear}
	case !p.AgreementTo.sane():
		return &Invalid{"agreement_to", RowYear}
	case !p.AgreementFrom.before(p.AgreementTo):
		return &Invalid{"agreement_to", RowEnds}
	case p.Accreditor == "":
		return &Invalid{"accreditor", RowRequired}
	case utf8.RuneCountInString(p.Accreditor) > longestField:
		return &Invalid{"accreditor", RowTooLong}
	case unreadable(p.Accreditor):
		return &Invalid{"accreditor", RowControl}
	case p.AccreditedTo.IsZero():
		return &Invalid{"accredited_to", RowRequired}
	case !p.AccreditedTo.sane():
		return &Invalid{"accredited_to", RowYear}
	case !p.AccreditedFrom.sane():
		return &Invalid{"accredited_from", RowYear}
	case !p.AccreditedFrom.before(p.AccreditedTo):
		return &Invalid{"accredited_to", RowEnds}
	case !slices.Contains(ProxyDecisions, p.Decision):
		return &Invalid{"proxy_decision", RowRequired}
	case p.DecidedOn.IsZero():
		return &Invalid{"decided_on", RowRequired}
	case !p.DecidedOn.sane():
		return &Invalid{"decided_on", RowYear}
	case !p.AgreementTo.IsZero() && !p.DecidedOn.before(p.AgreementTo):
		return &Invalid{"decided_on", ReasonAhead}
	case !slices.Contains(p.Shares, ShareEvents) || !slices.Contains(p.Shares, ShareReview):
		return &Invalid{"shares", ReasonShares}
	}
	for _, s := range p.Shares {
		if !slices.Contains(ProxyShares, s) {
			return &Invalid{Field: "shares"}
		}
	}
	return nil
}

// rests are the times within which a privilege by proxy counts: with its agreement and
// with the distant site's accreditation.
func (p *Proxy) rests() []Period {
	if p == nil {
		return nil
	}
	return []Period{{p.AgreementFrom, p.AgreementTo}, {p.AccreditedFrom, p.AccreditedTo}}
}

// Basis is what brings liability cover into play.
type Basis string

// The bases of cover.
const (
	ClaimsMade Basis = "claims-made" // what is claimed while the policy runs
	Occurrence Basis = "occurrence"  // what happens while the policy runs, whenever claimed
)

// Bases are all of them, in the order in which pages list them.
var Bases = []Basis{ClaimsMade, Occurrence}

// Terms are the terms of liability cover beside its territories and amounts.
type Terms struct {
	Basis Basis `json:"basis"`
	// Retroactive is the first day whose acts are covered, of a claims-made policy; zero:
	// none is named, all earlier acts are.
	Retroactive Moment `json:"retroactive"`
	// Tail is the last day on which claims are still taken after the policy has ended, of
	// a claims-made policy; zero: none was agreed. It covers no act after the end.
	Tail Moment `json:"tail"`
}

// check says what is wrong with the terms of a cover, given its claim.
func (t Terms) check(c Claim) error {
	switch {
	case !slices.Contains(Bases, t.Basis):
		return &Invalid{"basis", ReasonBasis}
	case t.Basis == Occurrence && !t.Retroactive.IsZero():
		return &Invalid{"retroactive", ReasonOccurs}
	case t.Basis == Occurrence && !t.Tail.IsZero():
		return &Invalid{"tail", ReasonOccurs}
	case !t.Retroactive.sane():
		return &Invalid{"retroactive", RowYear}
	case !t.Tail.sane():
		return &Invalid{"tail", RowYear}
	case !t.Retroactive.before(c.ValidTo):
		return &Invalid{"retroactive", RowEnds}
	case !t.Tail.IsZero() && (c.ValidTo.IsZero() || !c.ValidTo.before(t.Tail) || c.ValidTo == t.Tail):
		return &Invalid{"tail", ReasonTail}
	}
	return nil
}

// rests are the times within which acts are covered: not before the retroactive day.
func (t *Terms) rests() []Period {
	if t == nil || t.Retroactive.IsZero() {
		return nil
	}
	return []Period{{From: t.Retroactive}}
}

// Period is a time; a zero end is open.
type Period struct {
	From Moment `json:"from"`
	To   Moment `json:"to"`
}

// checkTerms says what is wrong with what only one kind of credential has.
func (r ClaimRequest) checkTerms() error {
	c := r.Claim
	switch {
	case c.Proxy == nil && r.Kind == KindPrivilegeByProxy:
		return &Invalid{"agreement_from", RowRequired}
	case c.Proxy != nil && r.Kind != KindPrivilegeByProxy:
		return &Invalid{"agreement_from", ReasonNoTerms}
	case c.Terms != nil && r.Kind != KindMalpractice:
		return &Invalid{"basis", ReasonNoTerms}
	case c.Currency == "" && c.PerClaim+c.Aggregate > 0, c.Currency != "" && !currencyCode(c.Currency):
		return &Invalid{"currency", ReasonCurrency}
	case c.PerClaim < 0:
		return &Invalid{Field: "per_claim"}
	case c.Aggregate < 0, c.Aggregate > 0 && c.Aggregate < c.PerClaim:
		return &Invalid{"aggregate", ReasonAmounts}
	}
	if c.Proxy != nil {
		if err := c.Proxy.check(c); err != nil {
			return err
		}
	}
	if c.Terms != nil {
		return c.Terms.check(c)
	}
	return nil
}

// currencyCode tells whether s has the form of a code of ISO 4217.
func currencyCode(s string) bool {
	return len(s) == 3 && !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < 'A' || b > 'Z' })
}

// reviewYears is how often what was shared with a distant site is reviewed.
const reviewYears = 1

// ReviewDue is when what is shared of a privilege by proxy is to be reviewed next: a year
// after the last review, or after the privilege began to count; zero for other kinds.
func ReviewDue(c Claim, kind Kind, last time.Time) time.Time {
	if kind != KindPrivilegeByProxy || c.Proxy == nil {
		return time.Time{}
	}
	if last.IsZero() {
		from := c.ValidFrom
		if from.IsZero() {
			from = c.Proxy.AgreementFrom
		}
		last = from.begins(nil, false)
	}
	return last.AddDate(reviewYears, 0, 0)
}
