package sessions

import (
	"context"
	"fmt"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// Checks are what the check of devices and network found for the people of a visit, by
// person: for the clinic of the visit of everybody, for others of themselves.
func (s *Service) Checks(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID) (map[identity.PersonID]DeviceCheck, error) {
	if !plainID.MatchString(string(id)) {
		return nil, ErrNotFound
	}
	out := map[identity.PersonID]DeviceCheck{}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		list, err := checksOf(ctx, tx, id)
		for _, p := range list {
			if p.Check != nil {
				out[p.Person] = *p.Check
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("device checks of appointment %s: %w", id, err)
	}
	return out, nil
}
