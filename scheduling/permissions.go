package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// scopeOnce is a Scope that reads what is on file for several questions at once. Its
// answers are those of Scope.
type scopeOnce interface {
	ReadFiles(ctx context.Context, tx *audit.Tx, asks ...credentialing.Ask) (*credentialing.Files, error)
}

// clinicians are those of the plan whose part is judged, in the order of the seats.
func (p *plan) clinicians() []identity.PersonID {
	var out []identity.PersonID
	for _, id := range p.order() {
		if p.roles[id].Clinician() {
			out = append(out, id)
		}
	}
	return out
}

// readPermissions finds out when each clinician may do their part.
func (s *Service) readPermissions(ctx context.Context, tx *audit.Tx, p *plan) error {
	list := p.clinicians()
	if once, ok := s.scope.(scopeOnce); ok {
		asks := make([]credentialing.Ask, len(list))
		for i, id := range list {
			asks[i] = p.ask(id, p.from, time.Time{})
		}
		var err error
		if p.files, err = once.ReadFiles(ctx, tx, asks...); err != nil {
			return fmt.Errorf("permissions: %w", err)
		}
	}
	for _, id := range list {
		var err error
		ask := p.ask(id, time.Time{}, time.Time{})
		if p.files != nil {
			p.spans[id], err = p.files.Spans(ask, p.from, p.to)
		} else {
			p.spans[id], err = s.scope.SpansFor(ctx, tx, ask, p.from, p.to)
		}
		if err != nil {
			return fmt.Errorf("permissions of %s: %w", id, err)
		}
	}
	return nil
}

// determine keeps the determination of each clinician over a whole visit, and returns
// them. A deny is no error.
func (s *Service) determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, p *plan, start, end time.Time) (map[identity.PersonID]credentialing.Determination, error) {
	list := p.clinicians()
	out := make(map[identity.PersonID]credentialing.Determination, len(list))
	if p.files == nil {
		for _, id := range list {
			d, err := s.scope.Determine(ctx, tx, actor, p.ask(id, start, end))
			if err != nil {
				return nil, fmt.Errorf("determination of %s: %w", id, err)
			}
			out[id] = d
		}
		return out, nil
	}
	asks := make([]credentialing.Ask, len(list))
	for i, id := range list {
		asks[i] = p.ask(id, start, end)
	}
	found, err := p.files.Determine(ctx, tx, actor, asks...)
	if err != nil {
		return nil, fmt.Errorf("determinations: %w", err)
	}
	for i, id := range list {
		out[id] = found[i]
	}
	return out, nil
}
