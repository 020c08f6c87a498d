package mail

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

var renewLink = regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(origin) + `/renew/([A-Za-z0-9_-]{43})$`)

func TestReminderHoldsALinkOfItsPersonInTheirLanguage(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	cred, err := credentialing.New(credentialing.Config{DB: c.db, Identity: c.identity, Zones: time.LoadLocation})
	if err != nil {
		t.Fatal(err)
	}
	e, err := cred.EnterClaim(t.Context(), identity.System("seed", ""), credentialing.ClaimRequest{Person: c.claire, Kind: credentialing.KindLicense,
		Issuer: "College", Number: "1", Jurisdiction: "CA-ON", Claim: credentialing.Claim{ValidTo: credentialing.Date(2099, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Uploads: cred, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	for act, say := range map[string]string{"credential.expiring": "arrive bientôt à échéance", "credential.upload_asked": "vous demande le renouvellement"} {
		a := TellArgs{Leaf: 1, Act: act, Objects: map[string]string{"credential": string(e.Credential), "person": string(c.claire)}, Person: string(c.claire)}
		seen := map[string]bool{}
		for range 2 { // a job that is repeated makes another link
			m, err := w.write(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			found := renewLink.FindStringSubmatch(m.Body)
			if m.Language != "fr" || found == nil || !strings.Contains(m.Body, say) || !strings.Contains(m.Body, "sans vous connecter") {
				t.Fatalf("%s:\n%s", act, m.Body)
			}
			seen[found[1]] = true
			if x, err := cred.Linked(t.Context(), found[1]); err != nil || x.Person != c.claire {
				t.Errorf("%s: the link is of %s: %v", act, x.Person, err)
			}
		}
		if len(seen) != 2 {
			t.Errorf("%s: the same token twice", act)
		}
		a.Person = string(c.amina) // who does not hold it
		if m, err := w.write(t.Context(), a); err == nil {
			t.Errorf("%s: a colleague is written\n%s", act, m.Body)
		}
	}
}
