package credentialing_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// The model is the record of one credential told in the simplest way: lists of what
// happened, each with the moment at which it was known.
type model struct {
	claims   []modelClaim
	statuses []modelStatus
	proposal *modelStatus // good news that waits for a second officer
}

type modelClaim struct {
	from, to credentialing.Moment
	known    time.Time
	answered bool // waits for approval
	status   credentialing.Status
	approved time.Time // zero: not
}

type modelStatus struct {
	status credentialing.Status
	from   time.Time
	known  time.Time
	by     int // the officer who reported it
}

// at is what the record should say was known at a moment: the periods that count,
// whether they are verified, and the statuses.
func (m model) at(known time.Time) (periods []string, statuses []string) {
	var approved []modelClaim
	var current *modelClaim
	for i := range m.claims {
		c := m.claims[i]
		if c.known.After(known) {
			continue
		}
		current = &m.claims[i]
		if !c.approved.IsZero() && !c.approved.After(known) {
			approved = append(approved, c)
		}
	}
	// An approved claim stands unless a later approved one begins no later.
	for i, c := range approved {
		replaced := slices.ContainsFunc(approved[i+1:], func(n modelClaim) bool { return n.from.String() <= c.from.String() })
		if !replaced {
			periods = append(periods, fmt.Sprintf("%s..%s verified", c.from, c.to))
		}
	}
	if len(approved) == 0 && current != nil {
		periods = append(periods, fmt.Sprintf("%s..%s", current.from, current.to))
	}
	var list []modelStatus
	for _, s := range m.statuses {
		if !s.known.After(known) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b modelStatus) int { return a.from.Compare(b.from) })
	for _, s := range list {
		statuses = append(statuses, string(s.status)+" "+s.from.Format(time.RFC3339))
	}
	slices.Sort(periods)
	return periods, statuses
}

// approvedAt is how many versions of the claim were approved at a moment.
func (m model) approvedAt(known time.Time) (n int) {
	for _, c := range m.claims {
		if !c.approved.IsZero() && !c.approved.After(known) {
			n++
		}
	}
	return n
}

// TestRecordAgreesWithAModelOnBothAxes plays random histories of claims, answers,
// approvals, suspensions and reinstatements and asks, for every moment of each,
// what was known then.
func TestRecordAgreesWithAModelOnBothAxes(t *testing.T) {
	w := newWorld(t)
	officers := []identity.Actor{w.grace, w.samuel, w.third}
	asked, done := 0, map[string]int{}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		person := w.person(fmt.Sprintf("Person %d", seed), "KE", w.nairobi, identity.RoleLocalPhysician, "en")
		req := license(person, "KE", fmt.Sprintf("M-%d", seed), credentialing.Date(2028, 1, 1))
		var m model
		var entered credentialing.Entered
		var sum [32]byte
		var open credentialing.VerificationID
		verifier := -1
		moments := []time.Time{w.clock.now()}
		for range 24 {
			w.clock.move(time.Duration(1+r.IntN(30)) * time.Hour)
			now := w.clock.now()
			moments = append(moments, now)
			w.sameTasks(fmt.Sprintf("history %d, %s", seed, now))
			step := []int{0, 0, 1, 1, 1, 3, 3, 3, 3, 4, 5, 5}[r.IntN(12)]
			if len(m.claims) == 0 {
				step = 0
			}
			switch step {
			case 0: // a new version of the claim
				req.Claim.ValidFrom = credentialing.Date(2020+r.IntN(4), 1, 1)
				req.Claim.ValidTo = credentialing.Date(2027+r.IntN(4), 12, 31)
				entered, sum = w.enter(req)
				m.claims = append(m.claims, modelClaim{from: req.Claim.ValidFrom, to: req.Claim.ValidTo, known: now})
				open = ""
				done["claim"]++
			case 1: // the source answers
				c := &m.claims[len(m.claims)-1]
				if !c.approved.IsZero() {
					continue
				}
				verifier = r.IntN(len(officers))
				status := credentialing.StatusActive
				if r.IntN(4) == 0 {
					status = credentialing.StatusSuspended
				}
				id, err := w.s.Verify(t.Context(), officers[verifier], credentialing.VerifyRequest{Credential: entered.Credential, Method: "primary-source",
					Source: "register", Result: credentialing.ResultFound, SourceStatus: status, StatusFrom: now, Evidence: sum})
				w.must(err)
				c.answered, c.status, open = true, status, id
				if status.Adverse() {
					m.statuses = append(m.statuses, modelStatus{status, now, now, verifier})
					m.proposal = nil
				}
				c.approved = time.Time{}
				done["verify"]++
			case 3: // somebody approves
				c := &m.claims[len(m.claims)-1]
				if open == "" {
					continue
				}
				by := r.IntN(len(officers))
				err := w.s.Approve(t.Context(), officers[by], open)
				if by == verifier {
					if !errors.Is(err, credentialing.ErrSamePerson) {
						t.Fatalf("the verifier approves: %v", err)
					}
					continue
				}
				w.must(err)
				c.approved, open = now, ""
				if c.status == credentialing.StatusActive {
					from := now
					w.must(w.pg.Pool.QueryRow(t.Context(), `select status_from from verification where credential_id = $1 and claim_id = $2 and state = 'approved'
						order by id desc limit 1`, string(entered.Credential), string(entered.Claim)).Scan(&from))
					m.statuses = append(m.statuses, modelStatus{credentialing.StatusActive, from.UTC(), now, by})
				}
				done["approve"]++
			case 4: // bad news, some of it about the past
				from := now.Add(-time.Duration(r.IntN(100)) * time.Hour)
				_, err := w.s.ReportStatus(t.Context(), officers[r.IntN(len(officers))], credentialing.StatusReport{Credential: entered.Credential,
					Status: credentialing.StatusSuspended, From: from, Source: "alert"})
				w.must(err)
				m.statuses = append(m.statuses, modelStatus{credentialing.StatusSuspended, from, now, 0})
				m.proposal = nil
				done["suspend"]++
			case 5: // good news
				by := r.IntN(len(officers))
				pending, err := w.s.ReportStatus(t.Context(), officers[by], credentialing.StatusReport{Credential: entered.Credential,
					Status: credentialing.StatusActive, Source: "letter"})
				switch {
				case m.proposal == nil:
					if err != nil || !pending {
						t.Fatalf("the first report of good news: %t %v", pending, err)
					}
					m.proposal = &modelStatus{credentialing.StatusActive, now, now, by}
				case m.proposal.by == by:
					if !errors.Is(err, credentialing.ErrSamePerson) {
						t.Fatalf("the same officer twice: %v", err)
					}
				default:
					if err != nil || pending {
						t.Fatalf("the second officer: %t %v", pending, err)
					}
					m.statuses = append(m.statuses, modelStatus{credentialing.StatusActive, m.proposal.from, now, by})
					m.proposal = nil
					done["reinstate"]++
				}
			}
		}
		w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
			for _, known := range moments {
				c, err := w.s.CredentialsOf(t.Context(), tx, person.Person, known)
				if err != nil {
					return err
				}
				var periods, statuses []string
				for _, h := range c.List {
					p := fmt.Sprintf("%s..%s", h.ValidFrom, h.ValidTo)
					if h.Verified != nil {
						p += " verified"
					}
					periods = append(periods, p)
				}
				if len(c.List) > 0 {
					for _, s := range c.List[0].Status {
						statuses = append(statuses, string(s.Status)+" "+s.From.Format(time.RFC3339))
					}
				}
				slices.Sort(periods)
				wantPeriods, wantStatuses := m.at(known)
				if len(wantPeriods) > 1 {
					done["renewed"]++
				}
				if n := m.approvedAt(known); n > len(wantPeriods) {
					done["corrected"]++
				}
				if !slices.Equal(periods, wantPeriods) || !slices.Equal(statuses, wantStatuses) {
					t.Errorf("history %d, as known %s:\ngot  %v %v\nwant %v %v", seed, known.Format(time.RFC3339), periods, statuses, wantPeriods, wantStatuses)
				}
				asked++
			}
			return nil
		}))
	}
	for _, what := range []string{"claim", "verify", "approve", "suspend", "reinstate", "renewed", "corrected"} {
		if done[what] == 0 {
			t.Errorf("no history has a step %s: %v", what, done)
		}
	}
	if asked < 100 {
		t.Errorf("%d questions only", asked)
	}
}
