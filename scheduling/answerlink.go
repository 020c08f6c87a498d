package scheduling

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// AskLanding is what the page of an answer link shows: nothing of who takes part.
type AskLanding struct {
	Appointment AppointmentID
	Seat        SeatID
	Person      identity.PersonID // who is asked
	Language    string            // of theirs
	Zone        string            // their clock
	Pair        [2]string
	Start       time.Time
	Duration    time.Duration
	Deadline    time.Time
	State       AskState
	// Open tells that the link can be answered now.
	Open bool
}

// openAsking is the asking of a seat that waits for an answer.
func openAsking(ctx context.Context, tx *audit.Tx, a Appointment, seat SeatID) (Assignment, bool, error) {
	if !a.Seeks() {
		return Assignment{}, false, nil
	}
	list, err := assignmentsOf(ctx, tx, a.ID)
	if err != nil {
		return Assignment{}, false, err
	}
	for _, x := range list {
		if x.Seat == seat && x.State == Asked && tx.Now().Before(x.Deadline) {
			return x, true, nil
		}
	}
	return Assignment{}, false, nil
}

// newAnswerLink makes a link by which somebody answers an asking without signing in.
// Like that of an invitation it begins with the clinic's id.
func (s *Service) newAnswerLink(ctx context.Context, tx *audit.Tx, actor identity.Actor, x Assignment) (string, error) {
	org, err := uuid.Parse(string(x.Organization))
	if err != nil {
		return "", err
	}
	raw := append(org[:], make([]byte, secretBytes)...)
	if _, err := rand.Read(raw[len(org):]); err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.EncodeToString(raw)
	_, hash, err := parseLink(token)
	if err != nil {
		return "", err
	}
	if err := insertAnswerLink(ctx, tx, x, hash); err != nil {
		return "", err
	}
	e := actor.Event("answer_link.made")
	e.Objects = map[string]string{"appointment": string(x.Appointment), "seat": string(x.Seat), "assignment": string(x.ID)}
	tx.Append(e)
	return token, nil
}

// AnswerLanding reads what an answer link asks and spends nothing: programs that read
// mail open links too. A link that was never made, or whose visit is over or off, is
// ErrInvite.
func (s *Service) AnswerLanding(ctx context.Context, token string) (AskLanding, error) {
	org, hash, err := parseLink(token)
	if err != nil {
		return AskLanding{}, err
	}
	var out AskLanding
	err = s.db.Read(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
		out, _, err = s.answerLanding(ctx, tx, hash, false)
		return err
	})
	return out, err
}

func (s *Service) answerLanding(ctx context.Context, tx *audit.Tx, hash []byte, lock bool) (AskLanding, Appointment, error) {
	x, err := assignmentOfLink(ctx, tx, hash)
	if errors.Is(err, ErrNotFound) {
		return AskLanding{}, Appointment{}, ErrInvite
	}
	if err != nil {
		return AskLanding{}, Appointment{}, err
	}
	a, err := appointment(ctx, tx, x.Appointment, lock)
	if err != nil {
		return AskLanding{}, a, err
	}
	if lock { // again, now that nobody else answers
		if x, err = assignmentOfLink(ctx, tx, hash); err != nil {
			return AskLanding{}, a, err
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, x.Person)
	if err != nil {
		return AskLanding{}, a, fmt.Errorf("who is asked: %w", err)
	}
	p, ok := people[x.Person]
	if !ok || p.Disabled || !a.State.Occupies() || !tx.Now().Before(a.End()) {
		return AskLanding{}, a, ErrInvite
	}
	out := AskLanding{Appointment: a.ID, Seat: x.Seat, Person: p.ID, Language: p.Language, Zone: s.zoneOf(p), Pair: x.Pair, Start: x.Start, Duration: a.Duration,
		Deadline: x.Deadline, State: x.State}
	out.Open = x.State == Asked && a.Seeks() && x.Start.Equal(a.StartAt) && tx.Now().Before(x.Deadline)
	return out, a, nil
}

// AnswerByLink is the answer of whoever opened an answer link. The same answer again
// changes nothing; another one is ErrAskOver, as is one that comes too late: what was
// said is taken back by signing in. r.Via is ViaLink.
func (s *Service) AnswerByLink(ctx context.Context, token string, r Answer) (AskLanding, error) {
	if r.Response != Accepted && r.Response != Declined {
		return AskLanding{}, fmt.Errorf("%w: answer %q", ErrInvalidRequest, r.Response)
	}
	if err := r.check(); err != nil {
		return AskLanding{}, err
	}
	r.Via = ViaLink
	org, hash, err := parseLink(token)
	if err != nil {
		return AskLanding{}, err
	}
	var out AskLanding
	err = s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) error {
		land, a, err := s.answerLanding(ctx, tx, hash, true)
		if err != nil {
			return err
		}
		out = land
		said := map[Response]AskState{Accepted: AskAccepted, Declined: AskRefused}[r.Response]
		if !land.Open {
			if land.State == said {
				return nil
			}
			return ErrAskOver
		}
		actor := identity.Actor{Person: land.Person, Organization: org}
		if err := audit.Enter(ctx, tx, actor.Scope()); err != nil {
			return err
		}
		out.State, out.Open = said, false
		_, err = s.answerTx(ctx, tx, actor, a, land.Seat, r)
		return err
	})
	if err != nil {
		return AskLanding{}, fmt.Errorf("answer by link: %w", err)
	}
	if r.Response == Declined {
		// The no stands, whatever becomes of this: AskInterpreters does it a minute later.
		_, _ = s.advance(ctx, org, out.Appointment)
	}
	return out, nil
}
