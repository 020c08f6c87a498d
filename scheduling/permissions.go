package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// scopeOnce is a Scope that reads what is on file for several questions at once. Its
// answers are those of Scope.
type scopeOnce interface {
	QueueFiles(b *pgx.Batch, tx *audit.Tx, asks ...credentialing.Ask) (func(ctx context.Context) (*credentialing.Files, error), error)
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

// queueFiles queues what is on file of the clinicians, where all of it can be read at
// once; what it returns keeps the files in the plan once the batch has been read.
func (s *Service) queueFiles(b *pgx.Batch, tx *audit.Tx, p *plan) (func(ctx context.Context) error, error) {
	once, ok := s.scope.(scopeOnce)
	if !ok {
		return func(context.Context) error { return nil }, nil
	}
	var asks []credentialing.Ask
	for _, id := range p.clinicians() {
		asks = append(asks, p.ask(id, p.from, time.Time{}))
	}
	files, err := once.QueueFiles(b, tx, asks...)
	if err != nil {
		return nil, fmt.Errorf("permissions: %w", err)
	}
	return func(ctx context.Context) (err error) {
		if p.files, err = files(ctx); err != nil {
			return fmt.Errorf("permissions: %w", err)
		}
		return nil
	}, nil
}

// readPermissions finds out when each clinician may do their part.
func (s *Service) readPermissions(ctx context.Context, tx *audit.Tx, p *plan) error {
	for _, id := range p.clinicians() {
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
	var found []credentialing.Determination
	var err error
	if p.later != nil {
		found, err = p.files.QueueDetermine(p.later, tx, actor, asks...)
	} else {
		found, err = p.files.Determine(ctx, tx, actor, asks...)
	}
	if err != nil {
		return nil, fmt.Errorf("determinations: %w", err)
	}
	for i, id := range list {
		out[id] = found[i]
	}
	return out, nil
}
