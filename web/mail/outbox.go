package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// ErrNotFound means that there is no such captured message or attachment.
var ErrNotFound = errors.New("mail: not found")

// Outbox keeps messages instead of sending them: the mail of the demonstration. Its
// rows hold working links of guests, so only the demonstration has one.
type Outbox struct {
	db *audit.DB
}

var _ Sender = (*Outbox)(nil)

// Captured is a message in the outbox.
type Captured struct {
	ID          string
	To          string // name
	Email       string
	Language    string
	Subject     string
	Body        string
	At          time.Time
	Attachments []string // names, in order
}

// NewOutbox returns the outbox in the database.
func NewOutbox(db *audit.DB) *Outbox { return &Outbox{db: db} }

// Send keeps the message; one with the same key is kept once.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return o.db.Write(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		kept, err := insertMessage(ctx, tx, id.String(), m)
		if err != nil || !kept {
			return err
		}
		for i, a := range m.Attachments {
			if err := insertAttachment(ctx, tx, id.String(), i, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// List gives captured messages, the newest first, older than the one given ("" for
// the newest of all).
func (o *Outbox) List(ctx context.Context, before string, most int) ([]Captured, error) {
	if before != "" && uuid.Validate(before) != nil {
		return nil, ErrNotFound
	}
	var out []Captured
	err := o.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		var err error
		out, err = selectMessages(ctx, tx, before, most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list outbox: %w", err)
	}
	return out, nil
}

// Attachment gives one file of a captured message.
func (o *Outbox) Attachment(ctx context.Context, message string, index int) (Attachment, error) {
	if uuid.Validate(message) != nil {
		return Attachment{}, ErrNotFound
	}
	var out Attachment
	err := o.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		var err error
		out, err = selectAttachment(ctx, tx, message, index)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return Attachment{}, fmt.Errorf("attachment of the outbox: %w", err)
	}
	return out, nil
}
