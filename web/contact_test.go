package web

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func TestPeopleSayHowTheyAreWrittenTo(t *testing.T) {
	h := open(t, Deps{Texts: true})
	ctx := context.Background()
	post := func(path string, f url.Values) (int, string) {
		w := ask(h, "POST", path, f.Encode(), h.as("otieno"), header("Sec-Fetch-Site", "same-origin"))
		return w.Code, w.Body.String()
	}
	if body := get(h, "/profile", h.as("otieno")).Body.String(); !strings.Contains(body, `href="/profile/messages"`) {
		t.Error("the profile does not lead there")
	}
	body := get(h, "/profile/messages", h.as("otieno")).Body.String()
	for _, want := range []string{`value="21:00"`, `value="07:00"`, "Africa/Nairobi", "Phone for text messages"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	form := url.Values{"channel": {"sms"}, "from": {"22:00"}, "until": {"06:30"}, "language": {"en"}}
	if code, body := post("/profile/messages", form); code != 422 || !strings.Contains(body, "First add a phone number") || !strings.Contains(body, `value="22:00"`) {
		t.Errorf("text messages to no number: status %d", code)
	}
	for name, bad := range map[string]url.Values{"no hour": {"channel": {"mail"}, "from": {""}, "until": {"06:30"}}, "hour 25": {"channel": {"mail"}, "from": {"25:00"}, "until": {"06:30"}},
		"no channel": {"from": {"22:00"}, "until": {"06:30"}}} {
		if code, _ := post("/profile/messages", bad); code != 422 {
			t.Errorf("%s: status %d", name, code)
		}
	}
	if code, body := post("/profile/messages/phone", url.Values{"phone": {"0700 000 001"}}); code != 422 || !strings.Contains(body, "no phone number with country code") || !strings.Contains(body, "0700 000 001") {
		t.Errorf("no country: status %d", code)
	}
	if code, body := post("/profile/messages/code", url.Values{"code": {"123456"}}); code != 409 || !strings.Contains(body, "Ask for another") {
		t.Errorf("a code nobody asked for: status %d", code)
	}
	if code, _ := post("/profile/messages/phone", url.Values{"phone": {"+254 700 000 001"}}); code != 303 {
		t.Fatalf("asking for a code: status %d", code)
	}
	body = get(h, "/profile/messages", h.as("otieno")).Body.String()
	if !strings.Contains(body, "+254700000001") || !strings.Contains(body, `name="code"`) {
		t.Errorf("the page does not ask for the code:\n%.4000s", body)
	}
	if code, body := post("/profile/messages/code", url.Values{"code": {"x"}}); code != 422 || !strings.Contains(body, "not the code") {
		t.Errorf("a wrong code: status %d", code)
	}
	var asked string
	err := h.log.Read(ctx, audit.Scope{Person: string(h.people["otieno"])}, func(tx *audit.Tx) error {
		return tx.QueryRow(ctx, `select id::text from contact_code where person_id = $1`, string(h.people["otieno"])).Scan(&asked)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, code, err := h.identity.IssueCode(ctx, h.people["otieno"], asked)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := post("/profile/messages/code", url.Values{"code": {code}}); code != 303 {
		t.Errorf("the code: status %d", code)
	}
	form.Set("language", "fr")
	if code, _ := post("/profile/messages", form); code != 303 {
		t.Errorf("text messages: status %d", code)
	}
	if c, err := h.identity.ContactOf(ctx, h.people["otieno"]); err != nil || c.Channel != identity.ChannelSMS || c.Quiet != (identity.Quiet{From: 22 * 60, Until: 6*60 + 30}) {
		t.Errorf("%+v, %v", c, err)
	}
	if body := get(h, "/profile/messages", h.as("otieno")).Body.String(); !strings.Contains(body, `lang="fr"`) || !strings.Contains(body, "Les SMS vont au") {
		t.Error("the language is not the one chosen")
	}
	if code, _ := post("/profile/messages/forget", url.Values{}); code != 303 {
		t.Errorf("forgetting: status %d", code)
	}
	if w := get(open(t, Deps{}), "/profile/messages"); w.Code != 303 {
		t.Errorf("nobody: status %d", w.Code)
	}
}
