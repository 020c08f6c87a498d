package credentialing

import (
	"context"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Agreed tells whether an agreement on file covers a class of data that goes from
// one organization to another at an instant. No agreement, no transfer, whatever a
// consent says.
func (s *Service) Agreed(ctx context.Context, tx *audit.Tx, from, to identity.OrganizationID, class string, at time.Time) (bool, error) {
	return agreementCovers(ctx, tx, from, to, class, at)
}

func agreementCovers(ctx context.Context, tx *audit.Tx, from, to identity.OrganizationID, class string, at time.Time) (bool, error) {
	var covers bool
	err := tx.QueryRow(ctx, `
		select exists (
		  select from agreement
		  where from_organization_id = $1 and to_organization_id = $2 and $3 = any(data_classes)
		    and valid_from <= $4 and (valid_to is null or valid_to > $4)
		    and known @> $5::timestamptz)`, // agreement_no_overlap
		string(from), string(to), class, at, tx.Now()).Scan(&covers)
	return covers, mapped("read agreement", err)
}
