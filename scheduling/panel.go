package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// PanelID and TurnID are UUIDv7.
type (
	PanelID string
	TurnID  string
)

// ErrNoMember means that no member of a panel may and can take a request.
var ErrNoMember = errors.New("scheduling: no member of the panel can")

const (
	turnsCounted = 90 * 24 * time.Hour // turns before that are forgotten
	mostMembers  = 50
)

// Panel is a group of specialists who take a clinic's requests in turn.
type Panel struct {
	ID      PanelID
	Name    string
	Members []identity.PersonID // sorted
	Version int                 // 0 before it was first saved
}

// Turn says which member got a request and why.
type Turn struct {
	ID         TurnID
	Panel      PanelID
	Case       CaseRef
	Kind       Kind
	Person     identity.PersonID
	Considered []Considered // in the order of the turn
	At         time.Time
}

// Considered is one member when a request was given: the order is by fewest requests
// within ninety days, then by who had the last one longest ago, then by id.
type Considered struct {
	Person identity.PersonID `json:"person"`
	Given  int               `json:"given"`         // requests within ninety days
	Last   *time.Time        `json:"last,omitzero"` // the last one ever
	Answer TurnAnswer        `json:"answer"`
}

// TurnAnswer is what became of a member's turn.
type TurnAnswer string

// What can become of a turn.
const (
	TurnTaken     TurnAnswer = "taken"
	TurnForbidden TurnAnswer = "not-permitted" // by the rules, within the next two weeks
	TurnBusy      TurnAnswer = "no-time"       // for all of the next two weeks
	TurnUnwanted  TurnAnswer = "unwanted"      // not whom the patient asked for
	TurnGone      TurnAnswer = "gone"          // no longer there, or part of the case otherwise
	TurnLater     TurnAnswer = "later"         // somebody before them took it
)

// SavePanel makes or changes a panel of the actor's clinic, for those who arrange
// there. p.Version is the one that was read.
func (s *Service) SavePanel(ctx context.Context, actor identity.Actor, p Panel) (Panel, error) {
	if actor.Organization == "" || !arranges(actor, actor.Organization) {
		return p, ErrForbidden
	}
	p.Name = strings.TrimSpace(p.Name)
	slices.Sort(p.Members)
	p.Members = slices.Compact(p.Members)
	if p.Name == "" || len(p.Name) > 100 || len(p.Members) == 0 || len(p.Members) > mostMembers || !known(p.Members...) || p.ID != "" && !known(p.ID) {
		return p, fmt.Errorf("%w: panel", ErrInvalidRequest)
	}
	specialists, err := s.people.PeopleWith(ctx, identity.RoleSpecialist, "")
	if err != nil {
		return p, fmt.Errorf("specialists on file: %w", err)
	}
	for _, id := range p.Members {
		if !slices.ContainsFunc(specialists, func(o identity.Person) bool { return o.ID == id }) {
			return p, fmt.Errorf("%w: %s is no specialist", ErrInvalidRequest, id)
		}
	}
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if p.ID == "" {
			id, err := newID()
			if err != nil {
				return err
			}
			p.ID = PanelID(id)
		}
		if err := savePanel(ctx, tx, p, actor.Person); err != nil {
			return err
		}
		e := actor.Event("panel.set")
		e.Objects = map[string]string{"panel": string(p.ID)}
		e.Detail = map[string]any{"members": len(p.Members), "version": p.Version + 1}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("set panel: %w", err)
	}
	p.Version++
	return p, nil
}

// Panels lists the panels of the actor's clinic by name, for those who arrange there.
func (s *Service) Panels(ctx context.Context, actor identity.Actor) ([]Panel, error) {
	if actor.Organization == "" || !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var list []Panel
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		list, err = panels(ctx, tx, "", false)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("panels: %w", err)
	}
	return list, nil
}

// TurnOf reads the last turn by which a case was given to a member of a panel; a zero
// Turn if it never was.
func (s *Service) TurnOf(ctx context.Context, actor identity.Actor, ref CaseRef) (Turn, error) {
	if !known(ref) || !arranges(actor, actor.Organization) {
		return Turn{}, ErrNotFound
	}
	var t Turn
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		t, err = turnWhere(ctx, tx, `case_id = $2 order by at desc, id desc limit 1`, string(ref))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return Turn{}, fmt.Errorf("turn of case %s: %w", ref, err)
	}
	return t, nil
}

// GiveTurn gives a request of a case to the member of a panel whose turn it is, of
// those who may take part and have a time within two weeks: who had fewest requests
// within ninety days, of these who had none for the longest time, of these the lowest
// id. One at a time for each panel. The same key gives once. ErrNoMember if nobody can.
func (s *Service) GiveTurn(ctx context.Context, actor identity.Actor, panel PanelID, ref CaseRef, kind Kind, key string) (Turn, error) {
	if !known(panel) || !known(ref) {
		return Turn{}, ErrNotFound
	}
	if _, ok := visits[kind]; !ok || key == "" || len(key) > 100 {
		return Turn{}, fmt.Errorf("%w: kind or key", ErrInvalidRequest)
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return Turn{}, err
	}
	var t Turn
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		facts, err := s.cases.Facts(ctx, tx, ref, "")
		if err != nil {
			return err
		}
		if !arranges(actor, facts.Organization) {
			return ErrForbidden
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(facts.Organization), Person: string(actor.Person)}); err != nil {
			return err
		}
		list, err := panels(ctx, tx, panel, true)
		switch {
		case err != nil:
			return err
		case len(list) == 0:
			return ErrNotFound
		}
		if t, err = turnWhere(ctx, tx, `panel_id = $2 and key = $3`, string(panel), key); !errors.Is(err, ErrNotFound) {
			if err == nil && t.Case != ref {
				return ErrKeyReused
			}
			return err
		}
		t = Turn{Panel: panel, Case: ref, Kind: kind, At: tx.Now()}
		if t.Considered, err = turns(ctx, tx, list[0], tx.Now().Add(-turnsCounted)); err != nil {
			return err
		}
		slices.SortStableFunc(t.Considered, before)
		for i := range t.Considered {
			c := &t.Considered[i]
			if t.Person != "" {
				c.Answer = TurnLater
				continue
			}
			if c.Answer, err = s.canTake(ctx, tx, actor, planned{ref: ref, kind: kind, specialist: c.Person}, candidates); err != nil {
				return err
			}
			if c.Answer == TurnTaken {
				t.Person = c.Person
			}
		}
		if t.Person == "" {
			return ErrNoMember
		}
		id, err := newID()
		if err != nil {
			return err
		}
		t.ID = TurnID(id)
		if err := insertTurn(ctx, tx, t, key, actor.Person); err != nil {
			return err
		}
		e := actor.Event("panel.turn_given")
		e.Objects = map[string]string{"panel": string(panel), "case": string(ref), "person": string(t.Person), "turn": string(t.ID)}
		e.Detail = map[string]any{"considered": len(t.Considered)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Turn{}, fmt.Errorf("give case %s to panel %s: %w", ref, panel, err)
	}
	return t, nil
}

// before is the order of the turn.
func before(a, b Considered) int {
	last := func(c Considered) int64 {
		if c.Last == nil {
			return -1 << 62
		}
		return c.Last.UnixMicro()
	}
	return cmp.Or(cmp.Compare(a.Given, b.Given), cmp.Compare(last(a), last(b)), cmp.Compare(a.Person, b.Person))
}

// canTake tells whether a member may take part in a visit and has a time within two
// weeks.
func (s *Service) canTake(ctx context.Context, tx *audit.Tx, actor identity.Actor, w planned, candidates []identity.Person) (TurnAnswer, error) {
	w.from = tx.Now()
	w.to = w.from.Add(defaultAhead)
	p, err := s.plan(ctx, tx, actor, w, candidates)
	switch {
	case errors.Is(err, ErrState):
		return "", err // the case is over, for everybody
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalidRequest):
		return TurnGone, nil
	case err != nil:
		return "", err
	case len(permitted(p.spans[w.specialist])) == 0:
		return TurnForbidden, nil
	}
	if !p.wanted() {
		return TurnUnwanted, nil
	}
	answer, err := p.answer(defaultGrid, 1)
	if err != nil {
		return "", err
	}
	if len(answer.Slots) == 0 {
		return TurnBusy, nil
	}
	return TurnTaken, nil
}
