package mail

import (
	"context"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func TestVisitSetAsideAndRestoredIsToldToEachInTheirWords(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	ctx := context.Background()
	peter, err := c.identity.AddPerson(ctx, identity.System("seed", ""), identity.Person{Name: "Peter Mwangi", Language: "en", Languages: []string{"en"},
		Zone: "Africa/Nairobi", Email: "peter@example.org"}, identity.Grant{Organization: c.org, Role: identity.RoleCoordinator})
	if err != nil {
		t.Fatal(err)
	}
	a := c.sure()
	everybody := []string{string(c.amina), string(c.claire), string(c.layla), string(c.salma), string(peter)}
	tell := func(act string) map[string]Captured {
		t.Helper()
		if err := c.db.Write(ctx, audit.Scope{Organization: string(c.org)}, func(tx *audit.Tx) error {
			tx.Append(audit.Event{Act: act, System: "reevaluate", Reason: "forbid:ZZ-012", Tell: everybody,
				Objects: map[string]string{"appointment": string(a.ID), "case": string(a.Case)}})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		c.wait(5)
		return c.mails()
	}
	page := origin + "/appointments/" + string(a.ID) + "\n"
	got := tell("appointment.set_aside")
	for _, want := range []struct{ name, language, subject, says, link string }{
		{"Dr Otieno", "en", "A visit needs attention", "Please decide.", page},
		{"Peter Mwangi", "en", "A visit needs attention", "Please decide.", page},
		{"Prof. Tremblay", "fr", "Un rendez-vous demande votre attention", "votre place sont conservées", page},
		{"Layla Aziz", "ar", "زيارة تحتاج إلى انتباه", "مقعدك محفوظان", page},
		{"Mrs Idris", "ar", "زيارة تحتاج إلى انتباه", "لا يلزمك فعل شيء", origin + "/invite/"},
	} {
		m := got[want.name]
		if m.Language != want.language || m.Subject != want.subject || !strings.Contains(m.Body, want.says) || !strings.Contains(m.Body, "\n"+want.link) {
			t.Errorf("%s: got %s %q\n%s", want.name, m.Language, m.Subject, m.Body)
		}
		if strings.Contains(m.Body, "ZZ-012") || len(m.Attachments) != 0 {
			t.Errorf("%s is told a rule or sent a file:\n%s", want.name, m.Body)
		}
	}
	got = tell("appointment.restored")
	for name, subject := range map[string]string{"Dr Otieno": "The visit takes place as planned", "Prof. Tremblay": "Le rendez-vous a lieu comme prévu",
		"Mrs Idris": "تُجرى الزيارة كما كان مقررًا", "Peter Mwangi": "The visit takes place as planned"} {
		if m := got[name]; m.Subject != subject {
			t.Errorf("%s: got %q, want %q", name, m.Subject, subject)
		}
	}
	got = tell("appointment.rebooked")
	if m := got["Dr Otieno"]; m.Subject != "Invitation to a video consultation" || len(m.Attachments) != 1 {
		t.Errorf("rebooked: %q with %d files", m.Subject, len(m.Attachments))
	}
}
