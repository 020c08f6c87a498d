package identity

import (
	"context"
	"fmt"
	"slices"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Roles is what StaffOf asks for the people of a clinic; Service answers it. It changes
// nothing and may be repeated.
type Roles interface {
	PeopleOfTx(ctx context.Context, tx *audit.Tx, org OrganizationID, r Role) ([]Person, error)
}

var _ Roles = (*Service)(nil)

// StaffOf are the people who have one of the roles in a clinic now and are not disabled,
// each once, in the order of the roles. Errors are those of PeopleOfTx.
func StaffOf(ctx context.Context, tx *audit.Tx, dir Roles, org OrganizationID, roles ...Role) ([]Person, error) {
	var out []Person
	for _, role := range roles {
		people, err := dir.PeopleOfTx(ctx, tx, org, role)
		if err != nil {
			return nil, fmt.Errorf("people of clinic %s who are %s: %w", org, role, err)
		}
		for _, p := range people {
			if !p.Disabled && !slices.ContainsFunc(out, func(o Person) bool { return o.ID == p.ID }) {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// StaffIDs are the ids of StaffOf, for the people an event is told to; never nil.
func StaffIDs(ctx context.Context, tx *audit.Tx, dir Roles, org OrganizationID, roles ...Role) ([]string, error) {
	people, err := StaffOf(ctx, tx, dir, org, roles...)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(people))
	for _, p := range people {
		out = append(out, string(p.ID))
	}
	return out, nil
}
