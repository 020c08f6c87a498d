package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// reviewer is what looking again asks of credentialing; *credentialing.Service gives it.
type reviewer interface {
	ReviewAll(ctx context.Context, tx *audit.Tx, actor identity.Actor, asks []credentialing.Ask,
		keep func(i int, d credentialing.Determination) bool) ([]credentialing.Review, error)
}

// staff is what looking again asks of identity; *identity.Service gives it.
type staff interface {
	PeopleOfTx(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, r identity.Role) ([]identity.Person, error)
}

// ErrNoReviews means that the Config's Credentialing and Identity cannot answer for
// many cases at once.
var ErrNoReviews = errors.New("workspace: cannot look at cases again")

// Obstacle is why somebody may not do their part in an open case now.
type Obstacle struct {
	Person        identity.PersonID `json:"person"`
	Role          Role              `json:"role"`
	Lead          string            `json:"lead"` // code to show first; credentialing explains it
	Reasons       []string          `json:"reasons"`
	Determination string            `json:"determination"`
}

// Reviewed says what looking again at open cases did.
type Reviewed struct {
	Cases    int // looked at
	SetAside int // somebody lost their part
	Restored int // everybody has theirs again
	Skipped  int // could not be judged; tried again a minute later
}

const (
	reviewBatch = 1000                // cases in one transaction
	reviewWatch = 90 * 24 * time.Hour // how far ahead the clock is looked at
	reviewRetry = time.Minute         // after a case could not be judged
)

// watched are the states in which a case waits for somebody whose scope counts.
var watched = []State{Submitted, Triaged, Assigned, Advised, Returned, Declined}

// Reevaluate looks again at every open case that a recorded change concerns or for
// which the clock has changed something. Whose specialist may no longer advise, or
// whose physician no longer decide, is marked and all concerned are told; the case
// itself stays as it is. Recorded changes are followed by scheduling's Reevaluate,
// which goes first.
func (s *Service) Reevaluate(ctx context.Context) (Reviewed, error) {
	var all Reviewed
	for {
		due := map[identity.OrganizationID][]string{}
		if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			due, err = selectCasesDue(ctx, tx)
			return err
		}); err != nil {
			return all, fmt.Errorf("cases to look at again: %w", err)
		}
		taken := 0
		for org, ids := range due {
			done, err := s.reviewCases(ctx, org, ids)
			if err != nil {
				return all, fmt.Errorf("look again at cases of %s: %w", org, err)
			}
			all.Cases += done.Cases
			all.SetAside += done.SetAside
			all.Restored += done.Restored
			all.Skipped += done.Skipped
			taken += done.Cases + done.Skipped
		}
		if taken == 0 {
			return all, nil
		}
	}
}

// reviewCases looks at a batch of one clinic; if it fails, at halves of it, so that
// one case that cannot be judged does not keep the others.
func (s *Service) reviewCases(ctx context.Context, org identity.OrganizationID, ids []string) (Reviewed, error) {
	var done Reviewed
	scope := audit.Scope{Organization: string(org)}
	err := s.db.Write(ctx, scope, func(tx *audit.Tx) (err error) {
		done, err = s.reviewCasesTx(ctx, tx, org, ids)
		return err
	})
	switch {
	case err == nil:
		return done, nil
	case ctx.Err() != nil || errors.Is(err, ErrNoReviews):
		return Reviewed{}, err
	case len(ids) == 1:
		later := s.db.Write(ctx, scope, func(tx *audit.Tx) error {
			return updateCaseReviews(ctx, tx, []caseReview{{id: CaseID(ids[0]), next: tx.Now().Add(reviewRetry), keep: true}})
		})
		return Reviewed{Skipped: 1}, later
	}
	first, err := s.reviewCases(ctx, org, ids[:len(ids)/2])
	if err != nil {
		return first, err
	}
	second, err := s.reviewCases(ctx, org, ids[len(ids)/2:])
	return Reviewed{Cases: first.Cases + second.Cases, SetAside: first.SetAside + second.SetAside, Restored: first.Restored + second.Restored,
		Skipped: first.Skipped + second.Skipped}, err
}

// part is one person whose scope a case rests on.
type part struct {
	of     int // index of the case
	person identity.PersonID
	role   Role
}

func (s *Service) reviewCasesTx(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, ids []string) (Reviewed, error) {
	scopes, ok := s.scopes.(reviewer)
	people, ok2 := s.who.(staff)
	if !ok || !ok2 {
		return Reviewed{}, ErrNoReviews
	}
	reviews, err := lockCaseReviews(ctx, tx, ids)
	if err != nil || len(reviews) == 0 {
		return Reviewed{}, err
	}
	locked := make([]string, len(reviews))
	at := map[CaseID]int{}
	for i, r := range reviews {
		locked[i], at[r.id] = string(r.id), i
	}
	rows, err := selectCases(ctx, tx, locked, len(locked))
	if err != nil {
		return Reviewed{}, err
	}
	var asks []scheduling.CaseAsk
	var parts []part
	cases := make([]caseRow, len(reviews))
	for _, c := range rows {
		i := at[c.ID]
		cases[i] = c
		if !slices.Contains(watched, c.State) {
			continue
		}
		if c.Responsible != "" {
			parts, asks = append(parts, part{i, c.Responsible, RoleResponsible}), append(asks, scheduling.CaseAsk{Case: scheduling.CaseRef(c.ID), Specialist: c.Specialist})
		}
		if c.Specialist != "" && c.State == Assigned {
			parts, asks = append(parts, part{i, c.Specialist, RoleSpecialist}), append(asks, scheduling.CaseAsk{Case: scheduling.CaseRef(c.ID), Specialist: c.Specialist})
		}
	}
	facts, err := s.FactsOf(ctx, tx, asks)
	if err != nil {
		return Reviewed{}, err
	}
	questions := make([]credentialing.Ask, len(parts))
	for i, p := range parts {
		questions[i] = credentialing.Ask{Person: p.person, Activity: credentialing.AdvisePhysician, At: tx.Now(), Mode: credentialing.Plan,
			Watch: tx.Now().Add(reviewWatch), Case: facts[i].Context}
		if p.role == RoleResponsible {
			questions[i].Activity = credentialing.SignDecision
		}
	}
	actor := identity.System("reevaluate", org)
	answers, err := scopes.ReviewAll(ctx, tx, actor, questions, func(i int, d credentialing.Determination) bool {
		had, against := reviews[parts[i].of].against(parts[i].person)
		return d.Allowed() == against || !d.Allowed() && !slices.Equal(had.Reasons, d.Reasons)
	})
	if err != nil {
		return Reviewed{}, err
	}
	found := make([][]Obstacle, len(reviews))
	for i := range reviews {
		reviews[i].next = time.Time{}
	}
	for i, answer := range answers {
		r := &reviews[parts[i].of]
		r.soon(answer.NextChange)
		r.soon(facts[i].Until)
		r.soon(tx.Now().Add(reviewWatch))
		d := answer.Determination
		if d.Allowed() {
			continue
		}
		o := Obstacle{Person: parts[i].person, Role: parts[i].role, Lead: d.Lead(), Reasons: d.Reasons, Determination: string(d.ID)}
		if had, ok := r.against(o.Person); ok && o.Determination == "" {
			o.Determination = had.Determination
		}
		found[parts[i].of] = append(found[parts[i].of], o)
	}
	done := Reviewed{Cases: len(reviews)}
	var tell []string
	for i := range reviews {
		had := reviews[i].held
		reviews[i].held = found[i]
		act := ""
		switch {
		case len(found[i]) > 0 && len(had) == 0:
			act = "case.set_aside"
			done.SetAside++
		case len(found[i]) == 0 && len(had) > 0 && slices.Contains(watched, cases[i].State):
			act = "case.restored"
			done.Restored++
		default:
			continue
		}
		if tell == nil {
			if tell, err = identity.StaffIDs(ctx, tx, people, org, identity.RoleCoordinator); err != nil {
				return Reviewed{}, err
			}
		}
		e := (&access{c: cases[i]}).event(actor, act)
		if len(found[i]) > 0 {
			e.Reason, e.Determination = found[i][0].Lead, found[i][0].Determination
		}
		e.Tell = slices.Concat(peopleOf(cases[i]), tell)
		tx.Append(e)
	}
	return done, updateCaseReviews(ctx, tx, reviews)
}

func peopleOf(c caseRow) []string { return people(c.Responsible, c.Specialist) }

// Obstacles tells what stands against the people of a case, as it was found last.
func (s *Service) Obstacles(ctx context.Context, actor identity.Actor, id CaseID) ([]Obstacle, error) {
	var out []Obstacle
	err := s.read(ctx, actor, id, func(tx *audit.Tx, acc *access) (err error) {
		out, err = selectObstacles(ctx, tx, acc.c.ID)
		if !acc.Own {
			out = slices.DeleteFunc(out, func(o Obstacle) bool { return o.Person != actor.Person })
		}
		return err
	})
	return out, err
}

// caseReview is when a case is looked at again and what stood against it.
type caseReview struct {
	id   CaseID
	next time.Time
	held []Obstacle
	keep bool // held stays as it is
}

// soon brings the next look forward.
func (r *caseReview) soon(t time.Time) {
	if !t.IsZero() && (r.next.IsZero() || t.Before(r.next)) {
		r.next = t
	}
}

func (r *caseReview) against(person identity.PersonID) (Obstacle, bool) {
	for _, o := range r.held {
		if o.Person == person {
			return o, true
		}
	}
	return Obstacle{}, false
}

func selectCasesDue(ctx context.Context, tx *audit.Tx) (map[identity.OrganizationID][]string, error) {
	rows, err := tx.Query(ctx, `
		select organization_id::text, case_id::text
		from cases_due($1, $2)`, tx.Now(), reviewBatch)
	if err != nil {
		return nil, err
	}
	out := map[identity.OrganizationID][]string{}
	var org identity.OrganizationID
	var id string
	_, err = pgx.ForEachRow(rows, []any{&org, &id}, func() error {
		out[org] = append(out[org], id)
		return nil
	})
	return out, err
}

// lockCaseReviews takes what is due and free, with the cases themselves.
func lockCaseReviews(ctx context.Context, tx *audit.Tx, ids []string) ([]caseReview, error) {
	rows, err := tx.Query(ctx, `
		select r.case_id::text, r.held
		from case_review r
		join clinical_case c on c.organization_id = r.organization_id and c.id = r.case_id
		where r.organization_id = $1 and r.case_id = any($2::uuid[]) and r.next_change_at <= $3
		for update of r, c skip locked`, tx.Scope.Organization, ids, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("lock reviews of cases: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (caseReview, error) {
		var r caseReview
		var raw []byte
		if err := row.Scan(&r.id, &raw); err != nil {
			return r, err
		}
		return r, json.Unmarshal(raw, &r.held)
	})
}

func updateCaseReviews(ctx context.Context, tx *audit.Tx, list []caseReview) error {
	n := len(list)
	id, next, held := make([]string, n), make([]*time.Time, n), make([]*string, n)
	for i, r := range list {
		id[i] = string(r.id)
		if !r.next.IsZero() {
			next[i] = &r.next
		}
		if r.keep {
			continue
		}
		raw, err := json.Marshal(append([]Obstacle{}, r.held...))
		if err != nil {
			return err
		}
		text := string(raw)
		held[i] = &text
	}
	_, err := tx.Exec(ctx, `
		update case_review r
		set next_change_at = n.next, held = coalesce(n.held, r.held), reviewed_at = @now
		from unnest(@id::uuid[], @next::timestamptz[], @held::jsonb[]) as n(id, next, held)
		where r.organization_id = @organization and r.case_id = n.id`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": id, "next": next, "held": held, "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("save reviews of cases: %w", err)
	}
	return nil
}

func selectObstacles(ctx context.Context, tx *audit.Tx, id CaseID) ([]Obstacle, error) {
	var raw []byte
	err := tx.QueryRow(ctx, `select held from case_review where case_id = $1`, string(id)).Scan(&raw)
	if err != nil {
		return nil, fmt.Errorf("obstacles of case %s: %w", id, err)
	}
	var out []Obstacle
	return out, json.Unmarshal(raw, &out)
}
