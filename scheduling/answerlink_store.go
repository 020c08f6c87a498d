package scheduling

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

func insertAnswerLink(ctx context.Context, tx *audit.Tx, x Assignment, hash []byte) error {
	_, err := tx.Exec(ctx, `
		insert into interpreter_link (organization_id, token_sha256, assignment_id, created_at)
		values ($1, $2, $3, $4)`, string(x.Organization), hash, string(x.ID), tx.Now())
	if err != nil {
		return fmt.Errorf("insert answer link: %w", err)
	}
	return nil
}

// assignmentOfLink is what a link of the scope's clinic asks.
func assignmentOfLink(ctx context.Context, tx *audit.Tx, hash []byte) (Assignment, error) {
	rows, _ := tx.Query(ctx, `
		select `+assignmentColumns+`
		from interpreter_assignment
		where organization_id = $1 and id = (
			select l.assignment_id
			from interpreter_link l
			where l.organization_id = $1 and l.token_sha256 = $2)`, tx.Scope.Organization, hash)
	x, err := pgx.CollectExactlyOneRow(rows, scanAssignment)
	return x, oneRow(err)
}
