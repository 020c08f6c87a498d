package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	ID        PanelID
	Name      string                    // 1 to 100 characters, once in a clinic
	Specialty string                    // code; "" takes requests of any
	Members   []identity.PersonID       // in the order of the turn among equals
	Shares    map[identity.PersonID]int // 1 to 10: of two, who has 2 gets twice as many as who has 1; missing is 1
	Paused    map[identity.PersonID]bool
	Version   int // 0 before it was first saved
}

// Share is how much of the requests a member gets, beside the others' shares.
func (p Panel) Share(id identity.PersonID) int { return max(p.Shares[id], 1) }

// PanelVersion is what a panel was from a change on.
type PanelVersion struct {
	Panel
	By identity.PersonID
	At time.Time
}

const mostShare = 10

// PanelField is a field of a panel that cannot be as it is.
type PanelField struct {
	Field  string            // name, taken (the name of another panel), specialty, members, share or paused (all of them)
	Person identity.PersonID // of specialty and share: which member
}

func (e *PanelField) Error() string { return "scheduling: panel: " + e.Field }

// Is makes a *PanelField an ErrInvalidRequest.
func (e *PanelField) Is(target error) bool { return target == ErrInvalidRequest }

// ErrPanelSpecialty means that a panel takes requests of another specialty than the case
// asks.
var ErrPanelSpecialty = errors.New("scheduling: panel of another specialty")

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
// within ninety days for their share, then by who had the last one longest ago, then by
// their place in the panel.
type Considered struct {
	Person identity.PersonID `json:"person"`
	Given  int               `json:"given"`           // requests within ninety days
	Share  int               `json:"share,omitempty"` // 0 is 1
	Last   *time.Time        `json:"last,omitzero"`   // the last one ever
	Answer TurnAnswer        `json:"answer"`
}

// TurnAnswer is what became of a member's turn.
type TurnAnswer string

// What can become of a turn.
const (
	TurnTaken     TurnAnswer = "taken"
	TurnForbidden TurnAnswer = "not-permitted" // by the rules, within the next two weeks
	TurnBusy      TurnAnswer = "no-time"       // for all of the next two weeks
	TurnPaused    TurnAnswer = "paused"        // takes no requests for now
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
	if p.ID != "" && !known(p.ID) {
		return p, ErrNotFound
	}
	if err := p.check(); err != nil {
		return p, err
	}
	specialists, err := s.people.PeopleWith(ctx, identity.RoleSpecialist, "")
	if err != nil {
		return p, fmt.Errorf("specialists on file: %w", err)
	}
	for _, id := range p.Members {
		i := slices.IndexFunc(specialists, func(o identity.Person) bool { return o.ID == id })
		switch {
		case i < 0:
			return p, &PanelField{Field: "members", Person: id}
		case p.Specialty != "" && specialists[i].Specialty != p.Specialty:
			return p, &PanelField{Field: "specialty", Person: id}
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
		e.Detail = map[string]any{"members": len(p.Members), "paused": len(p.Paused), "version": p.Version + 1}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("set panel: %w", err)
	}
	p.Version++
	return p, nil
}

// check tells what cannot be, as a *PanelField, and brings p into its one form.
func (p *Panel) check() error {
	p.Name = strings.TrimSpace(p.Name)
	if p.Name == "" || utf8.RuneCountInString(p.Name) > 100 || !utf8.ValidString(p.Name) || strings.ContainsRune(p.Name, 0) {
		return &PanelField{Field: "name"}
	}
	if len(p.Specialty) > 60 {
		return &PanelField{Field: "specialty"}
	}
	var members []identity.PersonID
	shares, paused := map[identity.PersonID]int{}, map[identity.PersonID]bool{}
	for _, id := range p.Members {
		if slices.Contains(members, id) {
			continue
		}
		members = append(members, id)
		if n, ok := p.Shares[id]; ok && (n < 1 || n > mostShare) {
			return &PanelField{Field: "share", Person: id}
		}
		if shares[id] = p.Share(id); p.Paused[id] {
			paused[id] = true
		}
	}
	if p.Members, p.Shares, p.Paused = members, shares, paused; len(members) == 0 || len(members) > mostMembers || !known(members...) {
		return &PanelField{Field: "members"}
	}
	if len(paused) == len(members) {
		return &PanelField{Field: "paused"}
	}
	return nil
}

// PanelHistory is what a panel of the actor's clinic was, the latest first, for those who
// arrange there.
func (s *Service) PanelHistory(ctx context.Context, actor identity.Actor, id PanelID) ([]PanelVersion, error) {
	if !known(id) {
		return nil, ErrNotFound
	}
	if actor.Organization == "" || !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var list []PanelVersion
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		list, err = panelVersions(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history of panel %s: %w", id, err)
	}
	return list, nil
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
// within ninety days for their share, of these who had none for the longest time, of
// these the first of the panel. Who pauses is passed over. One at a time for each panel. The same key gives once. ErrNoMember if nobody can.
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
		if want := list[0].Specialty; want != "" && facts.Specialty != "" && want != facts.Specialty {
			return ErrPanelSpecialty
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
		slices.SortStableFunc(t.Considered, before(list[0]))
		for i := range t.Considered {
			c := &t.Considered[i]
			if t.Person != "" {
				c.Answer = TurnLater
				continue
			}
			if list[0].Paused[c.Person] {
				c.Answer = TurnPaused
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
func before(p Panel) func(a, b Considered) int {
	return func(a, b Considered) int {
		return cmp.Or(fewer(a, b), cmp.Compare(slices.Index(p.Members, a.Person), slices.Index(p.Members, b.Person)))
	}
}

// fewer sorts who had fewest for their share, then who waits longest.
func fewer(a, b Considered) int {
	last := func(c Considered) int64 {
		if c.Last == nil {
			return -1 << 62
		}
		return c.Last.UnixMicro()
	}
	return cmp.Or(cmp.Compare(a.Given*max(b.Share, 1), b.Given*max(a.Share, 1)), cmp.Compare(last(a), last(b)))
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
