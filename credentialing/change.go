package credentialing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ChangeChannel is where the database tells of each [Change] as it commits.
const ChangeChannel = "credential_change"

// Change says that what somebody may do can have changed, from when on and whom it
// concerns: a person, everybody of a case, or what an organization or a place does.
// A place counts for its parts too; "*" is everywhere. An organization with a place
// is the organization's cases there.
type Change struct {
	ID           string                  `json:"id"`
	Person       identity.PersonID       `json:"person,omitempty"`
	Case         string                  `json:"case,omitempty"`
	Organization identity.OrganizationID `json:"organization,omitempty"` // of a case: "" is that of the transaction
	Place        string                  `json:"place,omitempty"`
	Cause        string                  `json:"cause"` // code: "status-suspended", "consent", "place"
	From         time.Time               `json:"from"`  // zero: now
}

// RecordChange writes down, in the transaction of the command that made it, that
// others must look again at what they keep: bookings and running sessions follow.
func RecordChange(ctx context.Context, tx *audit.Tx, c Change) error {
	if c.From.IsZero() {
		c.From = tx.Now()
	}
	if c.Case != "" && c.Organization == "" {
		c.Organization = identity.OrganizationID(tx.Scope.Organization)
	}
	if c.Cause == "" || c.Person == "" && c.Case == "" && c.Organization == "" && c.Place == "" {
		return &Invalid{Field: "change"}
	}
	_, err := tx.Exec(ctx, `
		insert into credential_change (id, person_id, place, case_id, organization_id, cause, from_at, recorded_at)
		values (@id, @person, @place, @case, @organization, @cause, @from, @now)`,
		pgx.StrictNamedArgs{"id": newID(), "person": null(c.Person), "place": null(c.Place), "case": null(c.Case),
			"organization": null(c.Organization), "cause": c.Cause, "from": c.From, "now": tx.Now()})
	return mapped("record a change", err)
}

// causeEdition is the cause of a change of rules.
const causeEdition = "edition"

// changePause is after how long a follower looks by itself, if it is not woken.
const changePause = 10 * time.Second

// FollowChanges calls f for each change soon after its commit, and with the zero
// Change at the begin and every now and then: changes that were missed are not
// repeated, so f then looks at everything. Editions that another process published are
// in use before f is called. It ends with f's error, ctx or the
// connection to the database.
func (s *Service) FollowChanges(ctx context.Context, f func(Change) error) error {
	return s.db.Listen(ctx, ChangeChannel, changePause, func(payload string) error {
		var c Change
		if payload != "" {
			if err := json.Unmarshal([]byte(payload), &c); err != nil {
				return fmt.Errorf("credentialing: notification of a change: %w", err)
			}
		}
		if c.ID == "" || c.Cause == causeEdition {
			if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error { return s.freshRules(ctx, tx) }); err != nil {
				return fmt.Errorf("credentialing: take editions that were published elsewhere: %w", err)
			}
		}
		return f(c)
	})
}
