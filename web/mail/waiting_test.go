package mail

import (
	"context"
	"strings"
	"testing"
)

func TestOfferToWhoWaitsLeadsToTheWaitingList(t *testing.T) {
	c := newClinic(t, func(o *Outbox) Sender { return o })
	w, err := NewWorker(Config{People: c.identity, Invitations: c.schedule, Sender: c.outbox, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	for act, want := range map[string]string{"waiting.offered": "Une heure s’est libérée pour un dossier en attente", "waiting.expired": "Rien ne s’est libéré pour un dossier en attente"} {
		m, err := w.write(context.Background(), TellArgs{Leaf: 1, Act: act, Person: string(c.claire),
			Objects: map[string]string{"waiting": "01a2111d-5ead-75c3-b112-bea56a1d2f1d", "case": string(c.ref)}})
		if err != nil || m.Subject != want || !strings.Contains(m.Body, "\n"+origin+"/waiting\n") {
			t.Errorf("%s: %q, %v\n%s", act, m.Subject, err, m.Body)
		}
	}
}
