package web

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

// certify puts on file that an interpreter carries a pair.
func (c clinic) certify(who, number string, pair ...string) {
	c.t.Helper()
	ctx := context.Background()
	now := time.Now()
	day := func(n int) credentialing.Moment {
		y, m, d := now.AddDate(0, 0, n).Date()
		return credentialing.Date(y, m, d)
	}
	e, err := c.cred.EnterClaim(ctx, c.actor("wanjiru"), credentialing.ClaimRequest{Person: c.people[who], Kind: credentialing.KindInterpreter, Issuer: "issuer", Number: number,
		Claim: credentialing.Claim{ValidFrom: day(-400), ValidTo: day(300), Pair: pair, Modes: []string{"simultaneous"}}})
	if err != nil {
		c.t.Fatal(err)
	}
	sum, err := c.cred.AttachEvidence(ctx, c.actor("wanjiru"), e.Credential, credentialing.EvidenceFile{Bytes: []byte("page of " + number), Source: "register"})
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := c.cred.Verify(ctx, c.actor("wanjiru"), credentialing.VerifyRequest{Credential: e.Credential, Method: "primary-source", Source: "register", Result: credentialing.ResultFound, Evidence: sum})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cred.Approve(ctx, c.actor("kiptoo"), v); err != nil {
		c.t.Fatal(err)
	}
}

// speaks sets what a person speaks.
func (c clinic) speaks(who string, languages ...string) {
	c.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.pg.AdminURL)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `update person set languages = $2 where id = $1`, string(c.people[who]), languages); err != nil {
		c.t.Fatal(err)
	}
}

var seatValue = regexp.MustCompile(`name="seat" value="([^"]+)"`)

// answers is what an interpreter says on the page of a visit.
func (c clinic) answers(who, at, answer string) {
	c.t.Helper()
	seat := seatValue.FindStringSubmatch(c.get(who, at).Body.String())
	if seat == nil {
		c.t.Fatalf("%s is not asked", who)
	}
	if w := c.post(who, at+"/answer", url.Values{"seat": {seat[1]}, "answer": {answer}, "promise": {"yes"}, "why": {"unavailable"}}); w.Code != 303 {
		c.t.Fatalf("%s says %s: status %d", who, answer, w.Code)
	}
}

func TestPageOfAVisitSaysWhichLegIsMissing(t *testing.T) {
	c := openClinic(t)
	c.speaks("otieno", "ar")
	c.speaks("tremblay", "fr")
	c.certify("farah", "DEMO-I-3", "en", "fr")
	form := c.form()
	form.Set("start", time.Now().UTC().Truncate(time.Hour).AddDate(0, 0, 3).Format(time.RFC3339))
	w := c.post("otieno", c.times(), form)
	at := w.Header().Get("Location")
	if w.Code != 303 {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	c.answers("farah", at, "decline")
	body := c.get("mwangi", at).Body.String()
	for _, want := range []string{"Nobody is left to ask for <bdi>English</bdi> and <bdi>French</bdi>", "No answer yet for <bdi>Arabic</bdi> and <bdi>English</bdi>"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	// Who is asked for the other leg may still say yes, and that is kept.
	c.answers("aziz", at, "accept")
	body = c.get("mwangi", at).Body.String()
	if !strings.Contains(body, "Nobody is left to ask for") || strings.Contains(body, "No answer yet for") {
		t.Error("the page does not say that one leg alone is missing")
	}
	if t.Failed() {
		t.Logf("%.12000s", body)
	}
}

func TestThreeLanguagesWithoutInterpretersAreExplained(t *testing.T) {
	c := openClinic(t)
	c.speaks("otieno", "sw")
	c.speaks("tremblay", "fr")
	body := c.get("otieno", c.times()+"?specialist="+string(c.people["tremblay"])).Body.String()
	if !strings.Contains(body, "have three different languages") {
		t.Errorf("%.4000s", body)
	}
}

func TestAFullWindowIsSaidToBeFull(t *testing.T) {
	c := openClinic(t)
	ctx := context.Background()
	if _, err := c.scheduling.SetAvailability(ctx, c.actor("tremblay"), c.people["tremblay"], scheduling.Availability{Hours: scheduling.Hours{Zone: "America/Toronto"}, Version: 1}); err != nil {
		t.Fatal(err)
	}
	y, m, d := time.Now().UTC().AddDate(0, 0, 4).Date()
	day := scheduling.DateOf(y, m, d)
	p, err := c.scheduling.Offer(ctx, c.actor("tremblay"), scheduling.OfferRequest{Clinic: c.organs["jacaranda"], Zone: "Africa/Nairobi",
		Rule: scheduling.Rule{Freq: scheduling.Weekly, Days: []scheduling.Weekday{day.Weekday()}, Start: 14 * 60, End: 16 * 60, From: &day, Until: &day}})
	if err != nil {
		t.Fatal(err)
	}
	rules := scheduling.DefaultProgram
	rules.Cases = 1
	if _, err := c.scheduling.SetProgram(ctx, c.actor("tremblay"), p.ID, p.Version, rules); err != nil {
		t.Fatal(err)
	}
	c.book()
	body := c.get("otieno", c.times()+"?specialist="+string(c.people["tremblay"])).Body.String()
	if !strings.Contains(body, "All program windows of") || strings.Contains(body, "is already booked at all") {
		t.Errorf("%.6000s", body)
	}
	w := c.post("otieno", c.times(), url.Values{"key": {uuid.NewString()}, "kind": {"advise_physician"}, "duration": {"30"}, "specialist": {string(c.people["tremblay"])},
		"start": {p.Windows[0].Start.Add(90 * time.Minute).Format(time.RFC3339)}})
	if w.Code != 409 || !strings.Contains(w.Body.String(), "This program window takes no more") || strings.Contains(w.Body.String(), "Somebody else was faster") {
		t.Errorf("status %d\n%.4000s", w.Code, w.Body)
	}
}
