package web

import (
	"context"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// lapse lets the time to answer of whoever is asked pass.
func (c clinic) lapse() {
	c.t.Helper()
	ctx := context.Background()
	err := c.db.Write(ctx, audit.Scope{Organization: string(c.organs["jacaranda"])}, func(tx *audit.Tx) error {
		tx.Append(c.actor("mwangi").Event("test.deadline"))
		_, err := tx.Exec(ctx, `update interpreter_assignment set deadline = asked_at where state = 'asked'`)
		return err
	})
	if err == nil {
		_, err = c.scheduling.AskInterpreters(ctx)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestPageOfAVisitSaysThatNobodyAnsweredInTime(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	c.lapse() // Layla Aziz alone may interpret
	body := c.get("otieno", at).Body.String()
	for _, want := range []string{"Nobody answered in time", "Layla Aziz (asked before, did not answer)", "no answer by"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(body, "has declined") || strings.Contains(body, "has refused") {
		t.Error("who did not answer is said to have refused")
	}
	if t.Failed() {
		t.Logf("%.9000s", body)
	}
}
