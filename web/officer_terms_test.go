package web

import (
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/web/i18n"
)

// byProxy are the fields of a privilege by proxy, with some changed.
func (o office) byProxy(with url.Values) url.Values {
	f := url.Values{"kind": {"privilege_by_proxy"}, "issuer": {"Havel Heart Clinic"}, "number": {"AGR-7"}, "facility": {string(o.clinic)}, "valid_from": {"2020-01-01"},
		"agreement_from": {"2020-01-01"}, "agreement_to": {"2098-12-31"}, "accreditor": {"Accreditor"}, "accredited_to": {"2097-06-30"}, "proxy_decision": {"granted"},
		"decided_on": {"2020-02-01"}, "shares": {"adverse-events", "yearly-review"}}
	for k, v := range with {
		f[k] = v
	}
	return f
}

// speaks changes the language of somebody's pages.
func (o office) speaks(t *testing.T, who, tag string) {
	t.Helper()
	actor, _, err := o.identity.Authenticate(t.Context(), o.token[who])
	if err != nil {
		t.Fatal(err)
	}
	if err := o.identity.SetPreferences(t.Context(), actor, tag, actor.Zone); err != nil {
		t.Fatal(err)
	}
}

func TestPrivilegeByProxyAndItsYearlyReviewThroughThePages(t *testing.T) {
	o := openOffice(t)
	catalogue, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	form := "/credentials/people/" + string(o.people["weber"]) + "/claim"
	for _, c := range []struct {
		with          url.Values
		field, reason string
	}{
		{url.Values{"agreement_to": {"2019-01-01"}}, "agreement_to", credentialing.RowEnds},
		{url.Values{"agreement_from": {""}}, "agreement_from", credentialing.RowRequired},
		{url.Values{"accredited_to": {""}}, "accredited_to", credentialing.RowRequired},
		{url.Values{"facility": {""}}, "facility", credentialing.RowRequired},
		{url.Values{"proxy_site": {string(o.clinic)}}, "proxy_site", credentialing.ReasonSameSite},
		{url.Values{"proxy_site": {"nowhere"}}, "proxy_site", ""},
		{url.Values{"decided_on": {"yesterday"}}, "decided_on", ""},
		{url.Values{"shares": {"complaints"}}, "shares", credentialing.ReasonShares},
		{url.Values{"kind": {"privilege"}}, "agreement_from", credentialing.ReasonNoTerms},
		{url.Values{"kind": {"malpractice"}, "territories": {"US"}}, "agreement_from", credentialing.ReasonNoTerms},
		{url.Values{"basis": {"occurrence"}}, "basis", credentialing.ReasonNoTerms},
	} {
		w := ask(o, "POST", form, o.byProxy(c.with).Encode(), o.as("wanjiru"), sameOrigin)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `href="#`+c.field) {
			t.Errorf("%v: %d, want a fault of %s", c.with, w.Code, c.field)
		}
		if !strings.Contains(w.Body.String(), "Accreditor") {
			t.Errorf("%v: what was filled in is lost", c.with)
		}
		if c.reason == "" {
			continue
		}
		for _, l := range i18n.Languages {
			o.speaks(t, "wanjiru", l.Tag)
			w := ask(o, "POST", form, o.byProxy(c.with).Encode(), o.as("wanjiru"), sameOrigin)
			if text := catalogue.Localizer(l.Tag, "UTC").T(i18n.ID("record.row." + c.reason)); !strings.Contains(w.Body.String(), html.EscapeString(text)) {
				t.Errorf("%v in %s: the page does not say %q", c.with, l.Tag, text)
			}
		}
		o.speaks(t, "wanjiru", "en")
	}
	at := o.send(t, "wanjiru", form, o.byProxy(nil))
	o.approved(t, at)
	body := get(o, at, o.as("kiptoo")).Body.String()
	for _, want := range []string{"Privilege by proxy", "AGR-7", "2098-12-31", "2097-06-30", "Adverse events", "Overdue", "No review on file yet."} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if body := get(o, "/credentials", o.as("kiptoo")).Body.String(); !strings.Contains(body, "Review what is shared by proxy") {
		t.Error("the queue has no review that is due")
	}
	today := time.Now().In(time.FixedZone("", 3*3600)).Format(time.DateOnly)
	review := url.Values{"held_on": {today}, "sent_on": {today}, "events": {"1"}, "complaints": {"0"}, "note": {"Told the wards."}}
	for field, wrong := range map[string]string{"held_on": "2999-01-01", "sent_on": "soon", "events": "some", "complaints": "-1"} {
		f := url.Values{}
		for k, v := range review {
			f[k] = v
		}
		f.Set(field, wrong)
		if w := ask(o, "POST", at+"/reviews", f.Encode(), o.as("kiptoo"), sameOrigin); w.Code != 422 || !strings.Contains(w.Body.String(), `href="#`+field) {
			t.Errorf("%s %q: %d", field, wrong, w.Code)
		}
	}
	if w := ask(o, "POST", at+"/reviews", review.Encode(), o.as("weber"), sameOrigin); w.Code == 303 || w.Code == 200 {
		t.Errorf("a specialist records the review: %d", w.Code)
	}
	o.send(t, "kiptoo", at+"/reviews", review)
	body = get(o, at, o.as("wanjiru")).Body.String()
	if !strings.Contains(body, "Told the wards.") || strings.Contains(body, "Overdue") {
		t.Error("the review is not on the page, or it is overdue still")
	}
	if body := get(o, "/credentials", o.as("kiptoo")).Body.String(); strings.Contains(body, "Review what is shared by proxy") {
		t.Error("the queue still asks for the review")
	}
	if body := get(o, form+"?renews="+strings.TrimPrefix(at, "/credentials/"), o.as("wanjiru")).Body.String(); !strings.Contains(body, `value="Accreditor"`) {
		t.Error("a renewal does not keep who accredited the site")
	}
	if body := get(o, "/credentials/people/"+string(o.people["weber"]), o.as("kiptoo")).Body.String(); !strings.Contains(body, "AGR-7") {
		t.Error("it is not on the specialist's file")
	}
	o.everyTongue(t, "kiptoo", at, form, "/credentials")
}

func TestTermsOfAnInsuranceThroughThePages(t *testing.T) {
	o := openOffice(t)
	form := "/credentials/people/" + string(o.people["weber"]) + "/claim"
	cover := func(with url.Values) url.Values {
		f := url.Values{"kind": {"malpractice"}, "issuer": {"Insurer"}, "number": {"P-1"}, "territories": {"us eu *"}, "currency": {"eur"}, "per_claim": {"1 000 000"},
			"aggregate": {"3000000"}, "valid_from": {"2020-01-01"}, "valid_to": {"2098-12-31"}, "basis": {"claims-made"}, "retroactive": {"2015-01-01"}, "tail": {"2099-12-31"},
			"activities": {"advise_physician"}}
		for k, v := range with {
			f[k] = v
		}
		return f
	}
	for _, c := range []struct {
		with  url.Values
		field string
	}{
		{url.Values{"territories": {""}}, "territories"}, {url.Values{"territories": {"US-"}}, "territories"}, {url.Values{"currency": {""}}, "currency"},
		{url.Values{"aggregate": {"10"}}, "aggregate"}, {url.Values{"basis": {""}}, "basis"}, {url.Values{"basis": {"occurrence"}}, "retroactive"},
		{url.Values{"basis": {"occurrence"}, "retroactive": {""}}, "tail"}, {url.Values{"tail": {"2097-01-01"}}, "tail"}, {url.Values{"retroactive": {"2099-06-01"}}, "retroactive"},
		{url.Values{"tail": {"later"}}, "tail"},
	} {
		w := ask(o, "POST", form, cover(c.with).Encode(), o.as("wanjiru"), sameOrigin)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `href="#`+c.field) {
			t.Errorf("%v: %d, want a fault of %s", c.with, w.Code, c.field)
		}
	}
	at := o.send(t, "wanjiru", form, cover(nil))
	body := get(o, at, o.as("kiptoo")).Body.String()
	for _, want := range []string{"US EU *", "EUR", "What is claimed while it runs", "2015-01-01", "2099-12-31"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	plain := o.send(t, "wanjiru", form, cover(url.Values{"number": {"P-2"}, "basis": {""}, "retroactive": {""}, "tail": {""}}))
	if body := get(o, plain, o.as("kiptoo")).Body.String(); !strings.Contains(body, "Not stated") {
		t.Error("a cover without terms does not say so")
	}
	bare := o.send(t, "wanjiru", form, cover(url.Values{"number": {"P-3"}, "retroactive": {""}, "tail": {""}}))
	if body := get(o, bare, o.as("kiptoo")).Body.String(); !strings.Contains(body, "No tail") || !strings.Contains(body, "all earlier acts are covered") {
		t.Error("a claims-made cover does not say what it lacks")
	}
	o.everyTongue(t, "kiptoo", at, plain, bare)
}
