package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

const (
	benchCredentials = 2000 // on file, of which a twentieth waits for an officer
	benchQueueReads  = 40
)

// queue measures the page of the officers' queue, all of it from the request to the
// last byte, with so many credentials on file and one specialist in ten suspended.
func (b *bench) queue(ctx context.Context, credentials int) ([]figure, error) {
	if err := b.a.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return copyCredentials(ctx, tx, credentials-4*benchPairs) }); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	report := func(status credentialing.Status, officers ...int) error {
		for _, who := range officers {
			actor := b.officer
			if who == 1 {
				actor = b.second
			}
			if _, err := b.a.credentialing.ReportStatus(ctx, actor, credentialing.StatusReport{Credential: b.licenses[0], Status: status, Source: "Issuer"}); err != nil {
				return err
			}
		}
		_, err := b.a.scheduling.Reevaluate(ctx)
		return err
	}
	if err := report(credentialing.StatusSuspended, 0); err != nil {
		return nil, err
	}
	token, err := b.a.identity.SignInDemo(ctx, b.officer.Person)
	if err != nil {
		return nil, err
	}
	handler := b.a.handler(nil)
	// The visits held and one page of tasks, no more, as an officer sees it first.
	list, err := timed(fmt.Sprintf("officers' queue, %d bookings, %d credentials", b.visits, credentials), 100*time.Millisecond, 0, min(benchQueueReads, 5+b.visits/100), func(int) error {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, b.a.cfg.Origin+"/credentials", nil)
		r.AddCookie(&http.Cookie{Name: "login", Value: token})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `rel="next"`) {
			return fmt.Errorf("the queue answers %d, or has one page only", w.Code)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, report(credentialing.StatusActive, 0, 1)
}
