package mail

import (
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// TestStatementThatEndsIsToldInTheLanguageAndChannelOfItsPerson: a mail, or a text message
// for who wants one, with the way to the statement.
func TestStatementThatEndsIsToldInTheLanguageAndChannelOfItsPerson(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for act, say := range map[string]string{"statement.ending": "Veuillez le déclarer de nouveau", "statement.ended": "Les responsables voient qu’elle manque"} {
		m, err := w.write(t.Context(), TellArgs{Leaf: 1, Act: act, Objects: map[string]string{"person": string(c.claire)}, Person: string(c.claire)})
		if err != nil {
			t.Fatal(err)
		}
		if m.Language != "fr" || !strings.Contains(m.Body, say) || m.Link != origin+"/credentials/own-place" || !strings.Contains(m.Body, m.Link) {
			t.Errorf("%s:\n%s", act, m.Body)
		}
		if short := m.short(); !strings.Contains(short, m.Link) || strings.Contains(short, m.Person.Name) {
			t.Errorf("%s as a text message: %q", act, short)
		}
		said[m.Subject] = act
	}
	if len(said) != 2 {
		t.Errorf("the two are told with %d subjects", len(said))
	}
	g := newGateway(t)
	c = newClinic(t, func(o *Outbox) Sender { return o }, g.hook())
	c.phone(g, c.claire, "+14165550100", identity.ChannelSMS)
	if err := c.db.Write(t.Context(), audit.Scope{}, func(tx *audit.Tx) error {
		tx.Append(audit.Event{Act: "statement.ending", Objects: map[string]string{"person": string(c.claire)}, Tell: []string{string(c.claire)}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for len(g.texts("+14165550100")) == 0 {
		c.until("sms")
	}
	if text := g.texts("+14165550100")[0]; text.Language != "fr" || !strings.HasSuffix(text.Text, origin+"/credentials/own-place") {
		t.Errorf("the text message: %+v", text)
	}
	if got := c.mails(); len(got) != 0 {
		t.Errorf("who wants text messages alone got %d mails", len(got))
	}
}
