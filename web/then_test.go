package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// justNow is an instant before whatever is recorded next, since instants are recorded to
// the microsecond.
func justNow() time.Time { return time.Now().UTC().Truncate(time.Microsecond).Add(-time.Microsecond) }

// asked asks the question page as a program does.
func (o office) asked(t *testing.T, who string, q url.Values, status int) map[string]any {
	t.Helper()
	w := get(o, "/credentials/try?"+q.Encode(), o.as(who), header("Accept", "application/json"))
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %d %s\n%s", q, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAQuestionIsAnsweredAsItWouldHaveBeenThen suspends a license, ends a role and makes a
// statement, and asks before and after as the page and the program do.
func TestAQuestionIsAnsweredAsItWouldHaveBeenThen(t *testing.T) {
	o := openOffice(t)
	me := o.people["otieno"]
	license, _ := o.endingSoon(t, "otieno")
	o.send(t, "wanjiru", "/credentials/people/"+string(me)+"/exclusions", url.Values{"lists": {"LEIE"}})
	before := justNow()
	o.send(t, "wanjiru", "/credentials/"+string(license)+"/status", url.Values{"new_status": {"suspended"}, "status_source": {"Council"}})
	o.send(t, "otieno", "/credentials/own-place", url.Values{"place": {"KE"}, "agree": {"yes"}})
	soon := time.Now().Add(48 * time.Hour).UTC()
	q := url.Values{"person": {string(me)}, "activity": {"sign_decision"}, "place": {"ke"}, "local": {string(me)}, "at": {soon.Format(time.RFC3339)},
		"known": {before.Format(time.RFC3339Nano)}}
	then := o.asked(t, "wanjiru", q, 200)
	q.Del("known")
	now := o.asked(t, "wanjiru", q, 200)
	if then["decision"] == "deny" || now["decision"] != "deny" {
		t.Fatalf("before the suspension %v %v, after it %v", then["decision"], then["reasons"], now["decision"])
	}
	record := func(a map[string]any, key string) []any { return a["record"].(map[string]any)[key].([]any) }
	if c := record(then, "credentials")[0].(map[string]any); c["usable"] != true || c["id"] != string(license) || c["verified"] == nil {
		t.Errorf("the license then: %v", c)
	}
	if c := record(now, "credentials")[0].(map[string]any); c["usable"] != false || c["against"] != "suspended" {
		t.Errorf("the license now: %v", c)
	}
	if p := record(then, "own_places")[0].(map[string]any); p["place"] != "KE" || p["stated"] != false {
		t.Errorf("the statement then: %v", p)
	}
	if p := record(now, "own_places")[0].(map[string]any); p["stated"] != true {
		t.Errorf("the statement now: %v", p)
	}
	if len(record(then, "roles")) != 1 || len(then["editions"].([]any)) < 2 || len(then["hash"].(string)) != 64 || len(then["rules"].([]any)) == 0 {
		t.Errorf("roles, editions, hash or rules are missing: %v", then)
	}
	facts := then["facts"].(map[string]any)["question"].(map[string]any)
	if facts["decided_at"] != before.Format(time.RFC3339Nano) {
		t.Errorf("the facts were decided at %v, want %s", facts["decided_at"], before.Format(time.RFC3339Nano))
	}
	// The role ends: it was known to be open before.
	grants, err := o.identity.RolesOf(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	opened := justNow()
	if err := o.identity.EndGrant(t.Context(), identity.System("seed", ""), grants[0].ID); err != nil {
		t.Fatal(err)
	}
	if r := record(o.asked(t, "wanjiru", q, 200), "roles")[0].(map[string]any); r["held"] != false || r["until"] == nil {
		t.Errorf("the role that has ended: %v", r)
	}
	q.Set("known", opened.Format(time.RFC3339Nano))
	if r := record(o.asked(t, "wanjiru", q, 200), "roles")[0].(map[string]any); r["held"] != true || r["until"] != nil {
		t.Errorf("the role before its end was known: %v", r)
	}
	// A day is meant as a whole: the license that is good only for a part of the day is no good.
	q.Del("known")
	q.Set("at", soon.Format(time.DateOnly))
	if day := o.asked(t, "wanjiru", q, 200); day["through"] == nil {
		t.Errorf("the day: %v", day)
	}
	o.everyTongue(t, "kiptoo", "/credentials/try?"+q.Encode())
	o.everyTongue(t, "kiptoo", "/credentials/people/"+string(me)+"/as-known")
}

func TestAnInterpreterIsAskedAboutAsKnownThen(t *testing.T) {
	o := openOffice(t)
	grace := identity.Actor{Person: o.people["wanjiru"], Organization: o.clinic, Roles: []identity.Role{identity.RoleOfficer}}
	samuel := identity.Actor{Person: o.people["kiptoo"], Organization: o.clinic, Roles: []identity.Role{identity.RoleOfficer}}
	me := o.people["weber"]
	e, err := o.cred.EnterClaim(t.Context(), grace, credentialing.ClaimRequest{Person: me, Kind: credentialing.KindInterpreter, Issuer: "Court", Number: "I-1",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2099, 1, 1), Pair: []string{"ar", "en"}, Modes: []string{"simultaneous"}}})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := o.cred.AttachEvidence(t.Context(), grace, e.Credential, credentialing.EvidenceFile{Bytes: []byte("register page"), Source: "register"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := o.cred.Verify(t.Context(), grace, credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "register",
		Result: credentialing.ResultFound, Evidence: sum})
	if err != nil {
		t.Fatal(err)
	}
	before := justNow()
	if err := o.cred.Approve(t.Context(), samuel, v); err != nil {
		t.Fatal(err)
	}
	q := url.Values{"person": {string(me)}, "activity": {"interpret"}, "languages": {"en ar"}, "at": {time.Now().Add(time.Hour).Format(time.RFC3339)}}
	qualified := func() map[string]any { return o.asked(t, "wanjiru", q, 200)["qualification"].(map[string]any) }
	if a := qualified(); a["ok"] != true || a["until"] == nil || a["mode"] != "simultaneous" {
		t.Errorf("now: %v", a)
	}
	o.everyTongue(t, "kiptoo", "/credentials/try?"+q.Encode())
	q.Set("known", before.Format(time.RFC3339Nano))
	if a := qualified(); a["ok"] != false || a["reason"].(map[string]any)["code"] != "interpreter:unverified" {
		t.Errorf("before it was approved: %v", a)
	}
	o.everyTongue(t, "kiptoo", "/credentials/try?"+q.Encode())
	q.Set("way", "sign")
	if a := qualified(); a["ok"] != false {
		t.Errorf("another way: %v", a)
	}
}

func TestAQuestionAboutThePastIsRefusedByItsField(t *testing.T) {
	o := openOffice(t)
	whole := func() url.Values {
		return url.Values{"person": {string(o.people["otieno"])}, "activity": {"advise_physician"}, "place": {"KE"}, "at": {"2026-12-01T10:00"}}
	}
	for _, c := range []struct {
		field, value string
		status       int
		at           string // the field that is named; "" is the same
	}{
		{"at", "yesterday", 422, ""}, {"at", "2026-02-30", 422, ""}, {"at", "2026-02-30T10:00", 422, ""}, {"at", "1066-10-14T09:00", 422, ""},
		{"known", "soon", 422, ""}, {"known", "2026-13-01", 422, ""}, {"known", time.Now().AddDate(0, 0, 2).Format(time.DateOnly), 422, ""},
		{"known", time.Now().Add(time.Hour).Format(time.RFC3339), 422, ""}, {"known", "2001-02-03", 422, ""},
		{"person", "x", 404, ""}, {"person", "00000000-0000-7000-8000-000000000001", 404, ""}, {"person", "", 422, ""},
		{"activity", "paint", 422, ""}, {"activity", "", 422, ""}, {"place", "", 422, ""}, {"place", "Kenya as a whole", 422, ""},
		{"clinic", "x", 422, ""}, {"clinic", "00000000-0000-7000-8000-000000000001", 422, ""},
		{"activity", "interpret", 422, "languages"},
	} {
		q := whole()
		q.Set(c.field, c.value)
		at := c.at
		if at == "" {
			at = c.field
		}
		refused := o.asked(t, "wanjiru", q, c.status)
		fields, _ := refused["fields"].(map[string]any)
		if text, _ := fields[at].(string); text == "" || len(fields) != 1 || refused["error"] != text {
			t.Errorf("%s %q: %v", c.field, c.value, refused)
		}
		w := get(o, "/credentials/try?"+q.Encode(), o.as("wanjiru"))
		if w.Code != 422 || !strings.Contains(w.Body.String(), `href="#`+at+`"`) {
			t.Errorf("%s %q on the page: %d", c.field, c.value, w.Code)
		}
	}
	if got := o.asked(t, "wanjiru", url.Values{}, 422)["fields"].(map[string]any); len(got) != 3 {
		t.Errorf("nothing asked: %v", got)
	}
	w := get(o, "/credentials/try?"+whole().Encode(), o.as("otieno"), header("Accept", "application/json"))
	if w.Code != http.StatusForbidden {
		t.Errorf("a physician asks about others: %d", w.Code)
	}
	if w := get(o, "/credentials/try?"+whole().Encode(), header("Accept", "application/json")); !slices.Contains([]int{401, 303}, w.Code) {
		t.Errorf("nobody asks: %d", w.Code)
	}
}
