package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
)

// forge turns one recorded permission into another word and makes the hash fit, as
// somebody who owns the database could; it returns the answer's id.
func (c clinic) forge() (id string) {
	c.t.Helper()
	ctx := c.t.Context()
	conn, err := pgx.Connect(ctx, c.pg.AdminURL)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	var facts, answer string
	if err := conn.QueryRow(ctx, `select id::text, facts, answer from determination where person_id = $1 and answer like '%"decision":"permit%' order by id limit 1`, string(c.people["tremblay"])).Scan(&id, &facts, &answer); err != nil {
		c.t.Fatal(err)
	}
	answer = strings.Replace(answer, `"decision":"permit`, `"decision":"deny-permit`, -1)
	hash := credentialing.HashOf([]byte(facts), []byte(answer))
	for _, sql := range []string{`alter table determination disable trigger user`, ``, `alter table determination enable trigger user`} {
		if sql == `` {
			_, err = conn.Exec(ctx, `update determination set answer = $2, hash = $3 where id = $1`, id, answer, hash[:])
		} else {
			_, err = conn.Exec(ctx, sql)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return id
}

func TestADifferenceStopsPublishingUntilAnOfficerExplainsItOnThePage(t *testing.T) {
	c := openClinic(t)
	c.book()
	o := office{house: c.house, cred: c.cred}
	for _, who := range []string{"wanjiru", "kiptoo"} {
		if err := c.identity.SetPreferences(t.Context(), c.actor(who), "en", "Africa/Nairobi"); err != nil {
			t.Fatal(err)
		}
	}
	draft := o.file(t, "wanjiru", "/credentials/packs", stricterKenya(t), nil).Header().Get("Location")
	body := c.get("kiptoo", "/credentials/replay").Body.String()
	if !strings.Contains(body, "Packs can be published") || !strings.Contains(body, "Not yet.") {
		t.Errorf("before anything was done:\n%s", body)
	}
	id := c.forge()
	if w := c.post("kiptoo", "/credentials/replay", url.Values{"period": {"century"}, "sample": {"many"}}); w.Code != 422 ||
		!strings.Contains(w.Body.String(), `href="#period"`) || !strings.Contains(w.Body.String(), `href="#sample"`) {
		t.Errorf("a bad form: %d", w.Code)
	}
	if w := c.post("tremblay", "/credentials/replay", url.Values{"period": {"day"}, "sample": {"10"}}); w.Code != 403 {
		t.Errorf("a specialist runs it: %d", w.Code)
	}
	o.send(t, "kiptoo", "/credentials/replay", url.Values{"period": {"day"}, "sample": {"10"}})
	body = c.get("kiptoo", "/credentials/replay").Body.String()
	for _, want := range []string{"Prof. Claire Tremblay", "/credentials/answers/" + id, "deny-permit", "Does not come out as recorded", "Samuel Kiptoo", "no edition of a pack is published"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	o.everyTongue(t, "kiptoo", "/credentials/replay", "/credentials", draft)
	if err := c.identity.SetPreferences(t.Context(), c.actor("kiptoo"), "en", "Africa/Nairobi"); err != nil {
		t.Fatal(err)
	}
	body = c.get("kiptoo", draft).Body.String()
	seen := regexp.MustCompile(`name="seen" value="(\d+)"`).FindStringSubmatch(body)
	if seen == nil || !strings.Contains(body, `href="/credentials/replay"`) {
		t.Fatalf("the draft does not lead to the difference\n%s", body)
	}
	if w := c.post("kiptoo", draft+"/publish", url.Values{"seen": {seen[1]}}); w.Code == 303 || !strings.Contains(w.Body.String(), "until an officer has written down why") {
		t.Fatalf("published with a difference: %d", w.Code)
	}
	at := "/credentials/replay/" + id
	if w := c.post("wanjiru", at, url.Values{"reason_" + id: {"  "}}); w.Code != 422 || !strings.Contains(w.Body.String(), `href="#reason_`+id+`"`) {
		t.Errorf("acknowledged without words: %d", w.Code)
	}
	if w := c.post("otieno", at, url.Values{"reason_" + id: {"never mind"}}); w.Code != 403 {
		t.Errorf("a physician acknowledges: %d", w.Code)
	}
	if w := c.post("wanjiru", "/credentials/replay/00000000-0000-7000-8000-000000000000", url.Values{"reason_00000000-0000-7000-8000-000000000000": {"what?"}}); w.Code != 404 {
		t.Errorf("a difference that is none: %d", w.Code)
	}
	o.send(t, "wanjiru", at, url.Values{"reason_" + id: {"Row altered by hand; incident 7."}})
	body = c.get("wanjiru", "/credentials/replay").Body.String()
	if !strings.Contains(body, "incident 7") || !strings.Contains(body, "Grace Wanjiru") || !strings.Contains(body, "Packs can be published") {
		t.Errorf("what was written does not stand on the page:\n%s", body)
	}
	o.send(t, "kiptoo", draft+"/publish", url.Values{"seen": {seen[1]}})
	if body := c.get("kiptoo", "/credentials/packs/in-force/KE").Body.String(); !strings.Contains(body, "2027-01-01.1") {
		t.Error("the edition is not in force")
	}
	o.everyTongue(t, "wanjiru", "/credentials/replay")
}
