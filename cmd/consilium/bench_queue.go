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
	"github.com/consilium-health/consilium/credentialing/identity"
)

const (
	benchCredentials = 2000 // on file, of which a twentieth waits for an officer
	benchQueueReads  = 40
)

// queue measures the page of the officers' queue, all of it from the request to the
// last byte, with so many credentials on file and one specialist in ten suspended, whom
// an officer has reported active again: all that is held waits for the second officer.
func (b *bench) queue(ctx context.Context, credentials int) ([]figure, error) {
	if err := b.a.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error { return copyCredentials(ctx, tx, credentials-4*benchPairs) }); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if err := b.report(ctx, b.officer, credentialing.StatusSuspended, b.licenses[:1]); err != nil {
		return nil, err
	}
	if _, err := b.a.scheduling.Reevaluate(ctx); err != nil {
		return nil, err
	}
	if err := b.report(ctx, b.officer, credentialing.StatusActive, b.licenses[:1]); err != nil {
		return nil, err
	}
	list, err := b.queueReads(ctx, fmt.Sprintf("officers' queue, %d bookings held, %d credentials", b.visits/benchPairs, credentials), 100*time.Millisecond, benchQueueReads)
	if err != nil {
		return nil, err
	}
	if err := b.report(ctx, b.second, credentialing.StatusActive, b.licenses[:1]); err != nil {
		return nil, err
	}
	_, err = b.a.scheduling.Reevaluate(ctx)
	return list, err
}

// queueAllHeld measures it once every specialist is suspended and waits to be active.
func (b *bench) queueAllHeld(ctx context.Context) ([]figure, error) {
	if err := b.report(ctx, b.officer, credentialing.StatusActive, b.licenses); err != nil {
		return nil, err
	}
	return b.queueReads(ctx, fmt.Sprintf("officers' queue, %d bookings held, all of them waiting", b.visits), time.Second, benchQueueReads/4)
}

// report records a status of licenses.
func (b *bench) report(ctx context.Context, who identity.Actor, status credentialing.Status, licenses []credentialing.CredentialID) error {
	for _, id := range licenses {
		if _, err := b.a.credentialing.ReportStatus(ctx, who, credentialing.StatusReport{Credential: id, Status: status, Source: "Issuer"}); err != nil {
			return err
		}
	}
	return nil
}

// queueReads reads the page n times: the visits held and one page of tasks, no more, as
// the second officer sees it first.
func (b *bench) queueReads(ctx context.Context, what string, p50 time.Duration, n int) ([]figure, error) {
	token, err := b.a.identity.SignInDemo(ctx, b.second.Person)
	if err != nil {
		return nil, err
	}
	handler := b.a.handler(nil)
	return timed(what, p50, 0, n, func(int) error {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, b.a.cfg.Origin+"/credentials", nil)
		r.AddCookie(&http.Cookie{Name: "login", Value: token})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		waits := fmt.Sprintf("<strong>%d</strong>", b.visits/benchPairs)
		if page := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(page, `rel="next"`) || !strings.Contains(page, waits) {
			return fmt.Errorf("the queue answers %d, or has one page only, or does not say that %s visits wait", w.Code, waits)
		}
		return nil
	})
}
