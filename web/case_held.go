package web

import (
	"context"
	"errors"
	"fmt"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/pages"
)

// caseLost says who of a case may not do their part at the moment, and why.
func (s *Server) caseLost(ctx context.Context, v *visit, view workspace.View) ([]pages.HeldWhy, error) {
	against, err := s.d.Workspace.Obstacles(ctx, v.actor, view.ID)
	if errors.Is(err, workspace.ErrNotFound) {
		return nil, nil // a reader without part in it
	}
	if err != nil {
		return nil, fmt.Errorf("what stands against a case: %w", err)
	}
	var out []pages.HeldWhy
	for _, o := range against {
		refusal := &scheduling.Refusal{Limit: scheduling.LimitLicense, Person: o.Person, Reasons: o.Reasons, Lead: o.Lead}
		rule := s.d.Credentialing.Explain(o.Lead)
		why, err := s.sentences(ctx, v.l, refusal)
		if err != nil {
			return nil, fmt.Errorf("what stands against a case: %w", err)
		}
		out = append(out, pages.HeldWhy{Name: view.People[o.Person].Name, Why: why,
			Rule: rule.Rule, RuleText: rule.RuleText})
	}
	return out, nil
}
