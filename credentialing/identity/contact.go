package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// Channel is how a person is written to.
type Channel string

// The channels. Text messages go to a number that its owner has proven to hold.
const (
	ChannelMail Channel = "mail"
	ChannelSMS  Channel = "sms"
	ChannelBoth Channel = "both"
)

// Channels are the channels in the order of the form.
var Channels = []Channel{ChannelMail, ChannelSMS, ChannelBoth}

// Quiet are the hours of a person's own clock in which nothing is sent that can wait,
// in minutes of the day, 0 to 1439. Both the same is none.
type Quiet struct{ From, Until int }

// DefaultQuiet holds for whoever said nothing: nine in the evening to seven.
var DefaultQuiet = Quiet{21 * 60, 7 * 60}

// Holds tells whether a minute of the day is quiet.
func (q Quiet) Holds(minute int) bool {
	if q.From <= q.Until {
		return q.From <= minute && minute < q.Until
	}
	return minute >= q.From || minute < q.Until
}

// Contact is how a person wants to be written to.
type Contact struct {
	Person  PersonID
	Channel Channel
	Phone   string // E.164, proven; "" is none
	Quiet   Quiet
	// Pending is a number to which a code was sent that was not typed yet.
	Pending string
}

// Texts tells whether text messages go to the person.
func (c Contact) Texts() bool { return c.Channel != ChannelMail && c.Phone != "" }

// Mails tells whether mail goes to the person.
func (c Contact) Mails() bool { return !c.Texts() || c.Channel == ChannelBoth }

var (
	// ErrNoPhone means that text messages were asked for and no number is proven.
	ErrNoPhone = errors.New("identity: no proven phone number")
	// ErrCode means that a code is not the one that was sent.
	ErrCode = errors.New("identity: wrong code")
	// ErrCodeOver means that no code waits to be typed: none was asked for, or it is too
	// old or was tried too often.
	ErrCodeOver = errors.New("identity: code is over")
	// ErrManyCodes means that so many codes were asked for that no more are sent today.
	ErrManyCodes = errors.New("identity: too many codes")
)

const (
	codeDigits  = 6
	codeStays   = 10 * time.Minute
	mostTries   = 5 // a code: of a million
	mostCodes   = 5 // a day
	codesWithin = 24 * time.Hour
)

// e164 is a number with its country, as ITU-T E.164 writes it.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

var phoneNoise = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "/", "", "\u00a0", "", "\u200e", "", "\u200f", "")

// ParsePhone reads a phone number with its country code as people type it: with
// spaces, dashes and brackets, with 00 for +, in the digits of any script of ours. What
// is none is *Invalid.
func ParsePhone(typed string) (string, error) {
	s := strings.Map(func(r rune) rune {
		for _, zero := range []rune{'٠', '۰', '０', '०'} {
			if r >= zero && r <= zero+9 {
				return '0' + r - zero
			}
		}
		if r == '＋' {
			return '+'
		}
		return r
	}, phoneNoise.Replace(strings.TrimSpace(typed)))
	if rest, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + rest
	}
	if !e164.MatchString(s) {
		return "", &Invalid{"phone"}
	}
	return s, nil
}

// ContactOf is how a person wants to be written to: by mail, where nothing was said. It
// is for the jobs that write, and within the service.
func (s *Service) ContactOf(ctx context.Context, id PersonID) (c Contact, err error) {
	err = s.db.Read(ctx, audit.Scope{Person: string(id)}, func(tx *audit.Tx) error {
		c, err = contactOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return Contact{}, fmt.Errorf("contact of %s: %w", id, err)
	}
	return c, nil
}

// QuietTx are the quiet hours of people, inside a running transaction.
func (s *Service) QuietTx(ctx context.Context, tx *audit.Tx, ids ...PersonID) (map[PersonID]Quiet, error) {
	return quietOf(ctx, tx, ids)
}

// SetContact changes how the actor is written to. Text messages need a proven number.
func (s *Service) SetContact(ctx context.Context, actor Actor, channel Channel, q Quiet) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	if channel != ChannelMail && channel != ChannelSMS && channel != ChannelBoth {
		return &Invalid{"channel"}
	}
	for _, m := range []int{q.From, q.Until} {
		if m < 0 || m >= 24*60 {
			return &Invalid{"quiet"}
		}
	}
	return s.changeContact(ctx, actor, "contact.set", func(_ *audit.Tx, c *Contact) error {
		if channel != ChannelMail && c.Phone == "" {
			return ErrNoPhone
		}
		c.Channel, c.Quiet = channel, q
		return nil
	})
}

// DropPhone forgets the actor's number; mail is left.
func (s *Service) DropPhone(ctx context.Context, actor Actor) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	return s.changeContact(ctx, actor, "contact.phone_dropped", func(_ *audit.Tx, c *Contact) error {
		c.Phone, c.Channel = "", ChannelMail
		return nil
	})
}

func (s *Service) changeContact(ctx context.Context, actor Actor, act string, change func(*audit.Tx, *Contact) error) error {
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		c, err := contactOf(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		if err := change(tx, &c); err != nil {
			return err
		}
		if err := saveContact(ctx, tx, c); err != nil {
			return err
		}
		e := actor.Event(act)
		e.Objects = map[string]string{"person": string(actor.Person)}
		e.Reason = string(c.Channel)
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("contact of %s: %w", actor.Person, err)
	}
	return nil
}

// AskCode asks for a code to be sent to a number, which is used only after the code was
// typed. At most mostCodes are sent a day.
func (s *Service) AskCode(ctx context.Context, actor Actor, phone string) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	phone, err := ParsePhone(phone)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		n, err := codesSince(ctx, tx, actor.Person, tx.Now().Add(-codesWithin))
		if err != nil {
			return err
		}
		if n >= mostCodes {
			return ErrManyCodes
		}
		if err := insertCode(ctx, tx, id.String(), actor.Person, phone, tx.Now().Add(codeStays)); err != nil {
			return err
		}
		e := actor.Event("contact.code_asked")
		e.Objects = map[string]string{"person": string(actor.Person), "code": id.String()}
		e.Tell = []string{string(actor.Person)}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("code for the phone of %s: %w", actor.Person, err)
	}
	return nil
}

// IssueCode makes the code that a job sends to a number. Asked again it makes another;
// only the last is good. ErrCodeOver means that nothing is to be sent any more.
func (s *Service) IssueCode(ctx context.Context, id PersonID, asked string) (phone, code string, err error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", "", err
	}
	code = fmt.Sprintf("%0*d", codeDigits, n)
	err = s.db.Write(ctx, audit.Scope{Person: string(id)}, func(tx *audit.Tx) error {
		if phone, err = setCode(ctx, tx, asked, id, hashCode(asked, code)); err != nil {
			return err
		}
		tx.Append(audit.Event{Act: "contact.code_made", Objects: map[string]string{"person": string(id), "code": asked}})
		return nil
	})
	if err != nil {
		return "", "", fmt.Errorf("code for the phone of %s: %w", id, err)
	}
	return phone, code, nil
}

func hashCode(asked, code string) []byte {
	sum := sha256.Sum256([]byte(asked + " " + code))
	return sum[:]
}

// ProvePhone takes the code that was sent. The number is used from then on; who chose no
// channel yet gets both. A wrong code counts: after mostTries of them ErrCodeOver.
func (s *Service) ProvePhone(ctx context.Context, actor Actor, code string) error {
	if actor.Person == "" {
		return ErrForbidden
	}
	var refused error
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		refused = nil
		asked, phone, hash, err := openCode(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		e := actor.Event("contact.phone_proven")
		e.Objects = map[string]string{"person": string(actor.Person), "code": asked}
		if subtle.ConstantTimeCompare(hash, hashCode(asked, strings.TrimSpace(code))) != 1 {
			e.Act, refused = "contact.code_wrong", ErrCode
			tx.Append(e)
			return countTry(ctx, tx, asked) // and commit it
		}
		c, err := contactOf(ctx, tx, actor.Person)
		if err != nil {
			return err
		}
		if c.Phone == "" {
			c.Channel = ChannelBoth
		}
		c.Phone = phone
		if err := saveContact(ctx, tx, c); err != nil {
			return err
		}
		tx.Append(e)
		return endCode(ctx, tx, asked)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return fmt.Errorf("phone of %s: %w", actor.Person, err)
	}
	return nil
}
