package scheduling

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

const (
	// inviteOpens is how long before the start a link can be redeemed: the guest login
	// that it gives is short.
	inviteOpens = 30 * time.Minute
	// guestStays is how long beyond the planned end a guest may stay.
	guestStays = time.Hour
	// secretBytes of a link, 256 bits, beside the clinic's id.
	secretBytes = 32
)

// Invitation is what mail needs to write to one person about an appointment.
type Invitation struct {
	Appointment Appointment
	Seat        Seat
	Person      identity.Person
	// Zone is the clock to write times in: the patient's place, else the person's own.
	Zone string
	// Link is where the person goes: the page of the appointment, or for a patient a
	// link that takes the seat without an account. "" when the appointment is off.
	Link string
	// Redeem tells that Link takes the seat and works once.
	Redeem bool
	// Answer tells that by Link the person answers whether they interpret.
	Answer bool
	page   string // of the appointment
	// Method is what the calendar file does.
	Method ical.Method
	host   string
}

// shownName is the name in the calendar file. A patient's stands in none: calendars
// are shared (S9).
func (i Invitation) shownName() string {
	if i.Seat.Role == RolePatient {
		return ""
	}
	return i.Person.Name
}

// Calendar writes the calendar file for the person. The texts are the caller's, in
// the person's language, and neutral: no patient, no diagnosis, no title of a case
// (scheduling S9). The file names no other participant.
func (i Invitation) Calendar(summary, description, language string, stamp time.Time) (data []byte, contentType string, err error) {
	in := ical.Invitation{Method: i.Method, UID: i.Appointment.UID, Sequence: i.Appointment.Sequence, Stamp: stamp, Start: i.Appointment.StartAt,
		Duration: i.Appointment.Duration, Summary: summary, Description: description, Language: language,
		Organizer: ical.Attendee{Name: "Consilium", Email: "no-reply@" + mailHost(i.host)},
		Attendees: []ical.Attendee{{Name: i.shownName(), Email: i.Person.Email, Response: ical.Response(strings.ToUpper(string(i.Seat.Response)))}}}
	if !i.Redeem {
		in.URL = i.page // a link that works without signing in does not belong in shared calendars
	}
	data, err = ical.Write(in)
	if err != nil {
		return nil, "", fmt.Errorf("calendar file of appointment %s: %w", i.Appointment.ID, err)
	}
	return data, in.ContentType(), nil
}

// mailHost keeps the organizer's address valid on machines without a domain.
func mailHost(host string) string {
	if !strings.Contains(host, ".") {
		return host + ".invalid" // RFC 2606: never somebody's
	}
	return host
}

// Invitation gathers what one person is written about an appointment; actor is the
// job that writes, for the clinic that booked. For a patient it makes a fresh link;
// older ones that nobody used stay good. So for an interpreter who is asked: theirs is
// one to answer by.
func (s *Service) Invitation(ctx context.Context, actor identity.Actor, id AppointmentID, person identity.PersonID) (Invitation, error) {
	if actor.Job == "" {
		return Invitation{}, ErrForbidden
	}
	if !known(person) {
		return Invitation{}, ErrNotFound
	}
	var out Invitation
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if out, err = s.invitation(ctx, tx, a, person); err != nil {
			return err
		}
		if out.Link != "" && out.Seat.Role == RolePatient {
			token, err := s.newLink(ctx, tx, actor, a, out.Seat)
			if err != nil {
				return err
			}
			out.Link, out.Redeem = s.origin+"/invite/"+token, true
		}
		if out.Link != "" && out.Seat.Role == RoleInterpreter {
			x, open, err := openAsking(ctx, tx, a, out.Seat.ID)
			if err != nil || !open {
				return err
			}
			token, err := s.newAnswerLink(ctx, tx, actor, x)
			if err != nil {
				return err
			}
			out.Link, out.Answer = s.origin+"/answer/"+token, true
		}
		return nil
	})
	if err != nil {
		return Invitation{}, fmt.Errorf("invitation to appointment %s: %w", id, err)
	}
	return out, nil
}

// OwnInvitation gathers the same for the actor's own seat, without a new link: for
// the calendar file on the page of an appointment.
func (s *Service) OwnInvitation(ctx context.Context, actor identity.Actor, id AppointmentID) (Invitation, error) {
	var out Invitation
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		a, err := open(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		if _, seated := a.Seat(actor.Person); !seated {
			return ErrNotFound
		}
		out, err = s.invitation(ctx, tx, a, actor.Person)
		return err
	})
	if err != nil {
		return Invitation{}, fmt.Errorf("own invitation to appointment %s: %w", id, err)
	}
	return out, nil
}

// invitation is what is known of one person's part, with the address of the page of
// the appointment as the link.
func (s *Service) invitation(ctx context.Context, tx *audit.Tx, a Appointment, person identity.PersonID) (Invitation, error) {
	out := Invitation{Appointment: a, Method: ical.Request, host: s.host}
	found := false
	for _, seat := range a.Seats {
		if seat.Person == person {
			out.Seat, found = seat, true
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, person)
	if err != nil {
		return out, err
	}
	one, ok := people[person]
	if !found && person != a.CreatedBy || !ok {
		return out, ErrNotFound
	}
	out.Person, out.Zone = one, s.zoneOf(one)
	if a.sealedTo(person) {
		out.Appointment = a.unnamed(person)
	}
	if a.AnchorPerson == person {
		out.Zone = a.AnchorZone
	}
	if !a.State.Occupies() || out.Seat.Released {
		out.Method = ical.Cancel
		return out, nil
	}
	out.page = s.origin + "/appointments/" + string(a.ID)
	out.Link = out.page
	return out, nil
}

// newLink makes a link for one seat. The token begins with the clinic's id, so that
// whoever opens it is looked for in that clinic alone; the rest is random.
func (s *Service) newLink(ctx context.Context, tx *audit.Tx, actor identity.Actor, a Appointment, seat Seat) (string, error) {
	org, err := uuid.Parse(string(a.Organization))
	if err != nil {
		return "", err
	}
	raw := append([]byte(nil), org[:]...)
	raw = append(raw, make([]byte, secretBytes)...)
	if _, err := rand.Read(raw[len(org):]); err != nil {
		return "", err
	}
	id, err := newID()
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(raw)
	if err := insertInvite(ctx, tx, id, a, seat.ID, hash[:], a.End()); err != nil {
		return "", err
	}
	e := actor.Event("invite.made")
	e.Objects = map[string]string{"appointment": string(a.ID), "seat": string(seat.ID), "invite": id}
	tx.Append(e)
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// parseLink splits a token into its clinic and its hash.
func parseLink(token string) (org identity.OrganizationID, hash []byte, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 16+secretBytes {
		return "", nil, ErrInvite
	}
	id, err := uuid.FromBytes(raw[:16])
	if err != nil {
		return "", nil, ErrInvite
	}
	sum := sha256.Sum256(raw)
	return identity.OrganizationID(id.String()), sum[:], nil
}

// Landing is what the page of a link shows before it is used.
type Landing struct {
	Appointment AppointmentID
	Role        Role
	Language    string // of the person invited
	Zone        string // their clock
	Start       time.Time
	Duration    time.Duration
	Opens       time.Time // when the link can be used
	State       State
}

// InviteLanding reads what a link is for and spends nothing. A link that is good for
// nothing is ErrInvite.
func (s *Service) InviteLanding(ctx context.Context, token string) (Landing, error) {
	var out Landing
	err := s.linked(ctx, token, false, func(tx *audit.Tx, _ invite, a Appointment, seat Seat, p identity.Person) error {
		out = Landing{Appointment: a.ID, Role: seat.Role, Language: p.Language, Zone: s.zoneOf(p), Start: a.StartAt, Duration: a.Duration,
			Opens: a.StartAt.Add(-inviteOpens), State: a.State}
		if a.AnchorPerson == p.ID {
			out.Zone = a.AnchorZone
		}
		return nil
	})
	return out, err
}

// RedeemInvite takes the seat of a link: it works once, from shortly before the
// start. Of many at the same time one wins. It returns the guest's login token.
func (s *Service) RedeemInvite(ctx context.Context, token string) (login string, id AppointmentID, err error) {
	err = s.linked(ctx, token, true, func(tx *audit.Tx, i invite, a Appointment, seat Seat, p identity.Person) error {
		if opens := a.StartAt.Add(-inviteOpens); tx.Now().Before(opens) {
			return &EarlyInvite{Opens: opens}
		}
		if err := redeemInvite(ctx, tx, i.id); err != nil {
			return fmt.Errorf("redeem link: %w", err)
		}
		id = a.ID
		login, err = s.people.GuestLogin(ctx, tx, identity.GuestRequest{Person: p.ID, Seat: string(seat.ID), Organization: a.Organization,
			Until: a.End().Add(guestStays)})
		if err != nil {
			return fmt.Errorf("guest login: %w", err)
		}
		tx.Append(audit.Event{Act: "invite.redeemed", Actor: string(p.ID),
			Objects: map[string]string{"appointment": string(a.ID), "seat": string(seat.ID), "invite": i.id}})
		return nil
	})
	if err != nil {
		return "", "", err
	}
	return login, id, nil
}

// linked runs fn for a link that is good, in the scope of its clinic and person.
func (s *Service) linked(ctx context.Context, token string, write bool, fn func(*audit.Tx, invite, Appointment, Seat, identity.Person) error) error {
	org, hash, err := parseLink(token)
	if err != nil {
		return err
	}
	run := s.db.Read
	if write {
		run = s.write
	}
	return run(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) error {
		i, err := inviteOf(ctx, tx, hash, write)
		if err == ErrNotFound {
			return ErrInvite
		}
		if err != nil {
			return err
		}
		a, err := appointment(ctx, tx, i.appointment, false)
		if err != nil {
			return err
		}
		if i.redeemed || i.revoked || !tx.Now().Before(i.expires) || !a.State.Occupies() {
			return ErrInvite
		}
		for _, seat := range a.Seats {
			if seat.ID != i.seat || seat.Released {
				continue
			}
			people, err := s.people.PeopleTx(ctx, tx, seat.Person)
			if err != nil {
				return err
			}
			p, ok := people[seat.Person]
			if !ok || p.Disabled {
				return ErrInvite
			}
			if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(p.ID)}); err != nil {
				return err
			}
			return fn(tx, i, a, seat, p)
		}
		return ErrInvite
	})
}
