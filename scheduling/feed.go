package scheduling

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

const (
	feedBack    = 30 * 24 * time.Hour  // how far a feed goes back
	feedAhead   = 180 * 24 * time.Hour // and ahead
	feedRefresh = 15 * time.Minute
)

// FeedSince tells since when the actor's calendar feed has its address; zero if
// there is none.
func (s *Service) FeedSince(ctx context.Context, actor identity.Actor) (at time.Time, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		at, err = feedSince(ctx, tx, actor.Person)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("calendar feed: %w", err)
	}
	return at, nil
}

// MakeFeed gives the actor's feed a new secret address, which is told only now, and
// ends the old one. Only people with an account of their own have a feed.
func (s *Service) MakeFeed(ctx context.Context, actor identity.Actor) (address string, err error) {
	if actor.Person == "" || actor.Guest() {
		return "", ErrForbidden
	}
	person, err := uuid.Parse(string(actor.Person))
	if err != nil {
		return "", ErrForbidden
	}
	// The person's id comes first, so that whoever asks is looked for in that person's
	// rows alone; the rest is random.
	raw := make([]byte, len(person)+secretBytes)
	copy(raw, person[:])
	if _, err := rand.Read(raw[len(person):]); err != nil {
		return "", err
	}
	hash := sha256.Sum256(raw)
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		id, err := newID()
		if err != nil {
			return err
		}
		if _, err := revokeFeed(ctx, tx, actor.Person); err != nil {
			return err
		}
		if err := insertFeed(ctx, tx, id, actor.Person, hash[:]); err != nil {
			return err
		}
		e := actor.Event("feed.made")
		e.Objects = map[string]string{"feed": id}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("make calendar feed: %w", err)
	}
	return s.origin + "/calendar/" + base64.RawURLEncoding.EncodeToString(raw) + "/consilium.ics", nil
}

// RevokeFeed ends the address of the actor's feed. Without one it does nothing.
func (s *Service) RevokeFeed(ctx context.Context, actor identity.Actor) error {
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		id, err := revokeFeed(ctx, tx, actor.Person)
		if err != nil || id == "" {
			return err
		}
		e := actor.Event("feed.revoked")
		e.Objects = map[string]string{"feed": id}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("revoke calendar feed: %w", err)
	}
	return nil
}

// Feed is what a person's calendar reads.
type Feed struct {
	Person       identity.Person
	Zone         string
	Appointments []Appointment // in which the person sits, by start
	origin       string
}

// ReadFeed reads the feed of a secret address. One that is good for nothing is
// ErrNotFound.
func (s *Service) ReadFeed(ctx context.Context, token string) (Feed, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 16+secretBytes {
		return Feed{}, ErrNotFound
	}
	id, err := uuid.FromBytes(raw[:16])
	if err != nil {
		return Feed{}, ErrNotFound
	}
	sum := sha256.Sum256(raw)
	person := identity.PersonID(id.String())
	out := Feed{origin: s.origin}
	var now time.Time
	err = s.db.Read(ctx, audit.Scope{Person: string(person)}, func(tx *audit.Tx) error {
		now = tx.Now()
		if err := knownFeed(ctx, tx, person, sum[:]); err != nil {
			return err
		}
		people, err := s.people.PeopleTx(ctx, tx, person)
		if err != nil {
			return err
		}
		p, ok := people[person]
		if !ok || p.Disabled {
			return ErrNotFound
		}
		out.Person, out.Zone = p, s.zoneOf(p)
		return nil
	})
	if err != nil {
		return Feed{}, fmt.Errorf("calendar feed: %w", err)
	}
	list, err := s.AppointmentsOf(ctx, identity.Actor{Person: person}, now.Add(-feedBack), now.Add(feedAhead))
	if err != nil {
		return Feed{}, fmt.Errorf("calendar feed: %w", err)
	}
	for _, a := range list {
		if _, seated := a.Seat(person); seated && a.shownInFeed() {
			out.Appointments = append(out.Appointments, a)
		}
	}
	return out, nil
}

// shownInFeed: what took place or is meant to. What is canceled disappears.
func (a Appointment) shownInFeed() bool {
	switch a.State {
	case StatePending, StateBooked, StateNeedsAttention, StateInProgress, StateFulfilled:
		return true
	}
	return false
}

// Calendar writes the feed and the tag that changes exactly when its content does.
// The texts are the caller's, in the person's language, and neutral (S9).
func (f Feed) Calendar(name, summary, description, language string, stamp time.Time) (data []byte, tag string, err error) {
	p := ical.Publication{Name: name, Refresh: feedRefresh, Stamp: time.Unix(0, 0).UTC()}
	for _, a := range f.Appointments {
		p.Events = append(p.Events, ical.Published{UID: a.UID, Sequence: a.Sequence, Start: a.StartAt, Duration: a.Duration, Summary: summary,
			Description: description, Language: language, URL: f.origin + "/appointments/" + string(a.ID),
			Tentative: a.State == StatePending || a.State == StateNeedsAttention})
	}
	same, err := ical.WritePublication(p)
	if err != nil {
		return nil, "", fmt.Errorf("calendar feed: %w", err)
	}
	sum := sha256.Sum256(same)
	p.Stamp = stamp
	if data, err = ical.WritePublication(p); err != nil {
		return nil, "", fmt.Errorf("calendar feed: %w", err)
	}
	return data, `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

func feedSince(ctx context.Context, tx *audit.Tx, person identity.PersonID) (at time.Time, err error) {
	err = tx.QueryRow(ctx, `
		select created_at
		from feed_token
		where person_id = $1 and revoked_at is null`, string(person)).Scan(&at)
	if oneRow(err) == ErrNotFound {
		return time.Time{}, nil
	}
	return at.UTC(), err
}

// knownFeed is ErrNotFound for every secret but the person's present one.
func knownFeed(ctx context.Context, tx *audit.Tx, person identity.PersonID, hash []byte) error {
	var one int
	return oneRow(tx.QueryRow(ctx, `
		select 1
		from feed_token
		where person_id = $1 and token_sha256 = $2 and revoked_at is null`, string(person), hash).Scan(&one))
}

func revokeFeed(ctx context.Context, tx *audit.Tx, person identity.PersonID) (id string, err error) {
	err = tx.QueryRow(ctx, `
		update feed_token
		set revoked_at = $2
		where person_id = $1 and revoked_at is null
		returning id::text`, string(person), tx.Now()).Scan(&id)
	if oneRow(err) == ErrNotFound {
		return "", nil
	}
	return id, err
}

func insertFeed(ctx context.Context, tx *audit.Tx, id string, person identity.PersonID, hash []byte) error {
	_, err := tx.Exec(ctx, `
		insert into feed_token (id, person_id, token_sha256, created_at)
		values (@id, @person, @hash, @now)`,
		pgx.StrictNamedArgs{"id": id, "person": string(person), "hash": hash, "now": tx.Now()})
	return err
}
