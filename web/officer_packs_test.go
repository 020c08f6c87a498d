package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// stricterKenya is another edition of Kenya's pack: nobody sees a patient on video.
func stricterKenya(t *testing.T) string {
	t.Helper()
	old := string(credentialing.Embedded()["KE.yaml"])
	file := strings.NewReplacer(`version: "2026-11-21.1"`, `version: "2027-01-01.1"`, "rules:\n", `rules:
  - id: KE-900
    effect: forbid
    activities: [joint_video_visit]
    when: [{not: licence_patient_jurisdiction}]
    text: A test edition stops joint visits of people without a license of the place.
    confidence: secondary
    cites: [kmpdc-2025]
    verified: {state: unverified-starter, by: null}
`).Replace(old)
	if !strings.Contains(file, "KE-900") || strings.Contains(file, "2026-11-21.1") {
		t.Fatal("Kenya's pack is written otherwise now")
	}
	return file
}

func TestAnOfficerSeesWhatAnEditionChangesBeforeItIsPublished(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	o := office{house: c.house, cred: c.cred}
	bad := strings.Replace(stricterKenya(t), "{not: licence_patient_jurisdiction}]\n    text: A test", "licence_of_the_moon]\n    text: A test", 1)
	w := o.file(t, "wanjiru", "/credentials/packs", bad, nil)
	if body := w.Body.String(); w.Code != 422 || !strings.Contains(body, "licence_of_the_moon") || !strings.Contains(body, "KE-900") || !regexp.MustCompile(`pack\.yaml\s*:\d+`).MatchString(body) {
		t.Errorf("the finding is not named: %d\n%s", w.Code, w.Body)
	}
	w = o.file(t, "wanjiru", "/credentials/packs", stricterKenya(t), nil)
	draft := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(draft, "/credentials/packs/") {
		t.Fatalf("draft: %d\n%s", w.Code, w.Body)
	}
	o.everyTongue(t, "kiptoo", "/credentials/packs", draft)
	for _, who := range []string{"wanjiru", "kiptoo"} {
		actor := c.actor(who)
		if err := c.identity.SetPreferences(t.Context(), actor, "en", "Africa/Nairobi"); err != nil {
			t.Fatal(err)
		}
	}
	if body := c.get("wanjiru", draft).Body.String(); strings.Contains(body, "/publish") || !strings.Contains(body, "another officer publishes it") {
		t.Error("who brought the edition is offered to publish it")
	}
	body := c.get("kiptoo", draft).Body.String()
	seen := regexp.MustCompile(`name="seen" value="(\d+)"`).FindStringSubmatch(body)
	if seen == nil || seen[1] != "1" || !strings.Contains(body, "Prof. Claire Tremblay") || !strings.Contains(body, "Jacaranda Hill Hospital") {
		t.Fatalf("the report does not list the booking alone: %v\n%s", seen, body)
	}
	if w := ask(o, "POST", draft+"/publish", "seen=0", o.as("kiptoo"), sameOrigin); w.Code == 303 {
		t.Error("published without having seen what changes")
	}
	o.send(t, "kiptoo", draft+"/publish", url.Values{"seen": {"1"}})
	if _, err := c.scheduling.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := c.scheduling.Appointment(t.Context(), c.actor("otieno"), scheduling.AppointmentID(at[len("/appointments/"):]))
	if err != nil {
		t.Fatal(err)
	}
	if a.State != scheduling.StateNeedsAttention {
		t.Errorf("the booking is %s, want needs_attention", a.State)
	}
	if body := c.get("kiptoo", "/credentials/packs").Body.String(); !strings.Contains(body, "2027-01-01.1") || !strings.Contains(body, "Published") {
		t.Error("the edition is not listed as published")
	}
	if w := c.get("otieno", "/credentials/packs"); w.Code != 403 {
		t.Errorf("a physician reads drafts: %d", w.Code)
	}
}

func TestEveryStateOfAPackHasItsWords(t *testing.T) {
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"unverified-starter", "in-review", "verified", "retired", "platform-policy"} {
		if !b.Has(packState(state)) {
			t.Errorf("no words for %s", state)
		}
	}
}
