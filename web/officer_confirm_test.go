package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestAPackBecomesVerifiedThroughThePagesOfTwoOfficers(t *testing.T) {
	c := openClinic(t)
	o := office{house: c.house, cred: c.cred}
	base := "/credentials/packs/in-force/KE"
	body := c.get("wanjiru", base).Body.String()
	rules := regexp.MustCompile(base+`/rules/(KE-\d+)`).FindAllStringSubmatch(body, -1)
	if len(rules) == 0 || !strings.Contains(body, "Confirmed: 0 of ") || strings.Contains(body, base+"/verified") {
		t.Fatalf("the begin of a review:\n%s", body)
	}
	o.everyTongue(t, "wanjiru", "/credentials/packs", base, base+"/rules/KE-001")
	if err := c.identity.SetPreferences(t.Context(), c.actor("wanjiru"), "en", "Africa/Nairobi"); err != nil {
		t.Fatal(err)
	}
	hash := regexp.MustCompile(`name="rule_sha256" value="([0-9a-f]{64})"`)
	for i, rule := range rules {
		at := base + "/rules/" + rule[1]
		page := c.get("wanjiru", at).Body.String()
		sum := hash.FindStringSubmatch(page)
		if sum == nil || !strings.Contains(page, "Its sources") || !strings.Contains(page, "What the rule says") {
			t.Fatalf("%s does not stand beside its source\n%s", rule[1], page)
		}
		form := url.Values{"rule_sha256": {sum[1]}, "evidence": {"KMPDC notice of 11 June 2025, read in full"}, "address": {"https://kmpdc.example/notice"},
			"looked_on": {"2026-01-20"}, "again": {"2099-01-01"}}
		if i == 0 {
			empty := url.Values{"rule_sha256": {sum[1]}, "evidence": {""}}
			if w := o.file(t, "wanjiru", at, "shown", empty); w.Code != 422 || !strings.Contains(w.Body.String(), `href="#evidence"`) {
				t.Errorf("confirmed without evidence: %d", w.Code)
			}
			if w := o.file(t, "otieno", at, "shown", form); w.Code != 403 {
				t.Errorf("a physician confirms a rule: %d", w.Code)
			}
		}
		if w := o.file(t, "wanjiru", at, "what the register shows of "+rule[1], form); w.Code != 303 {
			t.Fatalf("confirm %s: %d\n%s", rule[1], w.Code, w.Body)
		}
	}
	body = c.get("wanjiru", base).Body.String()
	if !strings.Contains(body, "Confirmed by <bdi>Grace Wanjiru</bdi>") || !strings.Contains(body, base+"/verified") {
		t.Fatalf("all are confirmed:\n%s", body)
	}
	draft := o.send(t, "wanjiru", base+"/verified", url.Values{})
	if w := ask(o, "POST", draft+"/publish", "seen=0", o.as("wanjiru"), sameOrigin); w.Code != 422 {
		t.Errorf("published by who made it: %d", w.Code)
	}
	o.send(t, "kiptoo", draft+"/publish", url.Values{"seen": {"0"}})
	if body := c.get("kiptoo", "/credentials/packs").Body.String(); !strings.Contains(body, "2026-11-21.1-confirmed.1") || !strings.Contains(body, "Confirmed by <bdi>Grace Wanjiru</bdi>") {
		t.Error("the list does not say who confirmed it")
	}
	o.everyTongue(t, "kiptoo", base, base+"/rules/KE-001", "/credentials/packs")
	// An answer names who confirmed the rules it rests on.
	at := c.book()
	if at == "" {
		t.Fatal("no booking")
	}
	answers := c.get("kiptoo", "/credentials/people/"+string(c.people["tremblay"])).Body.String()
	answer := regexp.MustCompile(`/credentials/answers/[0-9a-f-]+`).FindString(answers)
	if answer == "" {
		t.Fatal("no answer is kept")
	}
	if err := c.identity.SetPreferences(t.Context(), c.actor("kiptoo"), "en", "Africa/Nairobi"); err != nil {
		t.Fatal(err)
	}
	if body := c.get("kiptoo", answer).Body.String(); !strings.Contains(body, "Confirmed by <bdi>Grace Wanjiru</bdi>") {
		t.Errorf("the answer does not say who confirmed its rules\n%s", body)
	}
}
