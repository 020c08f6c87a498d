package credentialing

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// proxied is a privilege by proxy that counts, as far as its claim can say.
func proxied() ClaimRequest {
	return ClaimRequest{Person: "S1", Kind: KindPrivilegeByProxy, Issuer: "Maple Heart Institute", Number: "A-2026-7", Claim: Claim{
		ValidFrom: Date(2026, 1, 1), ValidTo: Date(2028, 12, 31), Facility: "hospital",
		Proxy: &Proxy{Site: "site", AgreementFrom: Date(2025, 7, 1), AgreementTo: Date(2027, 6, 30), Accreditor: "The Joint Commission", AccreditedTo: Date(2027, 3, 31),
			Decision: ProxyGranted, DecidedOn: Date(2025, 12, 1), Shares: []Share{ShareEvents, ShareReview}}}}
}

func TestPrivilegeByProxyIsRefusedWithFieldAndReason(t *testing.T) {
	if err := proxied().check(time.LoadLocation); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, field string
		reason     string
		change     func(r *ClaimRequest)
	}{
		{"without its agreement", "agreement_from", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy = nil }},
		{"an agreement without a begin", "agreement_from", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.AgreementFrom = Moment{} }},
		{"ends before it begins", "agreement_to", RowEnds, func(r *ClaimRequest) { r.Claim.Proxy.AgreementTo = Date(2025, 6, 1) }},
		{"a year beyond all", "agreement_to", RowYear, func(r *ClaimRequest) { r.Claim.Proxy.AgreementTo = Date(3000, 1, 1) }},
		{"no facility relies on it", "facility", RowRequired, func(r *ClaimRequest) { r.Claim.Facility = "" }},
		{"a facility that relies on itself", "proxy_site", ReasonSameSite, func(r *ClaimRequest) { r.Claim.Proxy.Site = "hospital" }},
		{"nobody accredited the site", "accreditor", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.Accreditor = "" }},
		{"characters nobody reads", "accreditor", RowControl, func(r *ClaimRequest) { r.Claim.Proxy.Accreditor = "T\x00JC" }},
		{"an accreditation without end", "accredited_to", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.AccreditedTo = Moment{} }},
		{"an accreditation that ends before it begins", "accredited_to", RowEnds, func(r *ClaimRequest) { r.Claim.Proxy.AccreditedFrom = Date(2027, 4, 1) }},
		{"no decision", "proxy_decision", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.Decision = "" }},
		{"a decision that nobody takes", "proxy_decision", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.Decision = "sung" }},
		{"no day of the decision", "decided_on", RowRequired, func(r *ClaimRequest) { r.Claim.Proxy.DecidedOn = Moment{} }},
		{"decided after the agreement has ended", "decided_on", ReasonAhead, func(r *ClaimRequest) { r.Claim.Proxy.DecidedOn = Date(2027, 7, 2) }},
		{"no events are shared", "shares", ReasonShares, func(r *ClaimRequest) { r.Claim.Proxy.Shares = []Share{ShareReview} }},
		{"no yearly review", "shares", ReasonShares, func(r *ClaimRequest) { r.Claim.Proxy.Shares = []Share{ShareEvents, ShareComplaints} }},
		{"shares what is not known", "shares", "", func(r *ClaimRequest) { r.Claim.Proxy.Shares = append(r.Claim.Proxy.Shares, "songs") }},
		{"an own privilege with an agreement", "agreement_from", ReasonNoTerms, func(r *ClaimRequest) { r.Kind = KindPrivilege }},
		{"a license with an agreement", "agreement_from", ReasonNoTerms, func(r *ClaimRequest) { r.Kind, r.Jurisdiction = KindLicense, "US-CA" }},
		{"the terms of an insurance", "basis", ReasonNoTerms, func(r *ClaimRequest) { r.Claim.Terms = &Terms{Basis: Occurrence} }},
	} {
		r := proxied()
		c.change(&r)
		var invalid *Invalid
		if err := r.check(time.LoadLocation); !errors.As(err, &invalid) || invalid.Field != c.field || invalid.Reason != c.reason {
			t.Errorf("%s: %v, want %s: %s", c.why, err, c.field, c.reason)
		}
	}
}

func TestTermsOfCoverAreRefusedWithFieldAndReason(t *testing.T) {
	cover := func() ClaimRequest {
		return ClaimRequest{Person: "S1", Kind: KindMalpractice, Issuer: "Insurer", Number: "P-1", Claim: Claim{ValidFrom: Date(2026, 1, 1), ValidTo: Date(2026, 12, 31),
			Territories: []string{"US", "CA-QC", "*", "EU"}, Currency: "USD", PerClaim: 1_000_000, Aggregate: 3_000_000,
			Terms: &Terms{Basis: ClaimsMade, Retroactive: Date(2020, 1, 1), Tail: Date(2029, 12, 31)}}}
	}
	if err := cover().check(time.LoadLocation); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, field, reason string
		change             func(r *ClaimRequest)
	}{
		{"no territory", "territories", "", func(r *ClaimRequest) { r.Claim.Territories = nil }},
		{"a territory that is none", "territories", RowPlace, func(r *ClaimRequest) { r.Claim.Territories = []string{"XQ"} }},
		{"neither basis", "basis", ReasonBasis, func(r *ClaimRequest) { r.Claim.Terms.Basis = "" }},
		{"by occurrence with a retroactive day", "retroactive", ReasonOccurs, func(r *ClaimRequest) { r.Claim.Terms = &Terms{Basis: Occurrence, Retroactive: Date(2020, 1, 1)} }},
		{"by occurrence with a tail", "tail", ReasonOccurs, func(r *ClaimRequest) { r.Claim.Terms = &Terms{Basis: Occurrence, Tail: Date(2029, 1, 1)} }},
		{"retroactive to after the end", "retroactive", RowEnds, func(r *ClaimRequest) { r.Claim.Terms.Retroactive = Date(2027, 1, 2) }},
		{"a tail before the end", "tail", ReasonTail, func(r *ClaimRequest) { r.Claim.Terms.Tail = Date(2026, 6, 1) }},
		{"a tail that ends with the policy", "tail", ReasonTail, func(r *ClaimRequest) { r.Claim.Terms.Tail = r.Claim.ValidTo }},
		{"a tail of a policy without end", "tail", ReasonTail, func(r *ClaimRequest) { r.Claim.ValidTo = Moment{} }},
		{"amounts without a currency", "currency", ReasonCurrency, func(r *ClaimRequest) { r.Claim.Currency = "" }},
		{"no code of a currency", "currency", ReasonCurrency, func(r *ClaimRequest) { r.Claim.Currency = "US$" }},
		{"a total below one claim", "aggregate", ReasonAmounts, func(r *ClaimRequest) { r.Claim.Aggregate = 999_999 }},
		{"an agreement", "agreement_from", ReasonNoTerms, func(r *ClaimRequest) { r.Claim.Proxy = &Proxy{} }},
	} {
		r := cover()
		c.change(&r)
		var invalid *Invalid
		if err := r.check(time.LoadLocation); !errors.As(err, &invalid) || invalid.Field != c.field || invalid.Reason != c.reason {
			t.Errorf("%s: %v, want %s: %s", c.why, err, c.field, c.reason)
		}
	}
}

// TestCredentialCountsOnlyWithinWhatItRestsOn: the first of its own end and those of the
// agreement and the accreditation ends a privilege by proxy, a retroactive day begins a
// cover; and the clock knows each of these instants.
func TestCredentialCountsOnlyWithinWhatItRestsOn(t *testing.T) {
	rs := starter()
	c := proxied().Claim
	held := Held{ID: "p", Kind: KindPrivilegeByProxy, ValidFrom: c.ValidFrom, ValidTo: c.ValidTo, Activities: []Activity{}, RestsOn: c.Proxy.rests(), Timezone: "UTC",
		Status: []StatusFrom{{StatusActive, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}, Verified: &Verified{Method: methodPrimary}}
	at := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 12, 0, 0, 0, time.UTC) }
	if st := rs.StandingOf(held, at(2027, 3, 31)); !st.Usable || !st.Ends.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("on the last day of the accreditation: %+v", st)
	}
	if st := rs.StandingOf(held, at(2027, 4, 1)); st.Usable || st.Reason != "expired" {
		t.Errorf("after the accreditation: %+v", st)
	}
	held.RestsOn[1].To = Date(2030, 1, 1) // accredited for longer: the agreement ends it
	if st := rs.StandingOf(held, at(2027, 7, 1)); st.Usable || st.Reason != "expired" {
		t.Errorf("after the agreement: %+v", st)
	}
	held.RestsOn[0].From = Date(2026, 6, 1)
	if st := rs.StandingOf(held, at(2026, 5, 31)); st.Usable || st.Reason != "not-yet-valid" {
		t.Errorf("before the agreement: %+v", st)
	}
	cuts := changes(&Question{Rules: rs}, &Credentials{List: []Held{held}}, at(2026, 1, 2), at(2028, 1, 1))
	for _, want := range []time.Time{time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)} {
		if !slices.ContainsFunc(cuts, want.Equal) {
			t.Errorf("%v is not among %v", want, cuts)
		}
	}
	terms := Terms{Basis: ClaimsMade, Retroactive: Date(2026, 9, 1), Tail: Date(2031, 1, 1)}
	cover := Held{ID: "c", Kind: KindMalpractice, ValidFrom: Date(2026, 1, 1), ValidTo: Date(2026, 12, 31), Timezone: "UTC", Activities: []Activity{}, Territories: []string{"*"},
		RestsOn: terms.rests(), Status: held.Status, Verified: &Verified{Method: methodCertificate}}
	for day, usable := range map[time.Time]bool{at(2026, 8, 31): false, at(2026, 9, 1): true, at(2026, 12, 31): true, at(2027, 1, 1): false} {
		if st := rs.StandingOf(cover, day); st.Usable != usable {
			t.Errorf("cover on %v: %+v", day, st)
		}
	}
}

// TestPrivilegesNeverReplaceALicense (C12): whatever privileges a person has somewhere,
// own or by proxy, for whatever acts and however well verified, no answer is better for it.
func TestPrivilegesNeverReplaceALicense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, held := drawQuestion(t)
		before := Evaluate(q, held)
		more := held
		more.List = slices.Clone(held.List)
		for range rapid.IntRange(1, 4).Draw(t, "privileges") {
			p := Held{ID: "privilege", Kind: rapid.SampledFrom([]Kind{KindPrivilege, KindPrivilegeByProxy}).Draw(t, "kind"),
				Jurisdiction: rapid.SampledFrom([]string{"", q.Places[0], held.Home, "US"}).Draw(t, "jurisdiction"), Type: rapid.SampledFrom([]string{"", "telehealth", "temporary-licence"}).Draw(t, "type"),
				ValidFrom: Date(2020, 1, 1), Activities: []Activity{}, Status: []StatusFrom{{StatusActive, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}},
				Territories: []string{"*"}, Currency: "USD", PerClaim: 9_000_000, Aggregate: 9_000_000, CompactPrincipal: rapid.Bool().Draw(t, "principal"),
				Verified: &Verified{Method: methodPrimary, At: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), NextDue: time.Date(2027, 10, 1, 0, 0, 0, 0, time.UTC)}}
			if rapid.Bool().Draw(t, "some acts") {
				p.Activities = append(p.Activities, rapid.SampledFrom(Activities).Draw(t, "act"))
			}
			more.List = append(more.List, p)
		}
		if after := Evaluate(q, more); after.Decision.rank() > before.Decision.rank() {
			t.Fatalf("with privileges %s, without %s", after.Decision, before.Decision)
		}
	})
}

func TestCoverOfAGroupOfPlacesCoversItsMembers(t *testing.T) {
	rs := starter()
	got := rs.territories([]string{"EU", "CH", "ES"})
	for _, want := range []string{"EU", "CH", "ES", "DE", "PT"} {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(p string) bool { return p != want })); n != 1 {
			t.Errorf("%s stands %d times in %v", want, n, got)
		}
	}
	if list := []string{"US", "CA-QC"}; !slices.Equal(rs.territories(list), list) {
		t.Error("places are groups of none")
	}
}
