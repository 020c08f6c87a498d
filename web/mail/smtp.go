package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"

	gomail "github.com/wneessen/go-mail"
)

// SMTPConfig is how a mail server is reached. TLS is demanded: a message holds links
// that let a guest in.
type SMTPConfig struct {
	Host     string
	Port     int    // 0: 587, or 465 with Implicit
	Username string // "" sends without authentication
	Password string
	Implicit bool   // TLS from the first byte (port 465) instead of STARTTLS
	From     string // address the mail comes from
	TLS      *tls.Config
}

// SMTP sends by a mail server.
type SMTP struct {
	client *gomail.Client
	from   string
}

var _ Sender = (*SMTP)(nil)

// NewSMTP returns a sender; it connects for each message.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	o := []gomail.Option{gomail.WithTLSPolicy(gomail.TLSMandatory)}
	if c.TLS != nil {
		o = append(o, gomail.WithTLSConfig(c.TLS))
	}
	if c.Implicit {
		o = append(o, gomail.WithSSL())
		if c.Port == 0 {
			c.Port = 465
		}
	}
	if c.Port != 0 {
		o = append(o, gomail.WithPort(c.Port))
	}
	if c.Username != "" {
		o = append(o, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(c.Username), gomail.WithPassword(c.Password))
	}
	client, err := gomail.NewClient(c.Host, o...)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	if c.From == "" {
		return nil, errors.New("mail: sender address is needed")
	}
	return &SMTP{client: client, from: c.From}, nil
}

// Send sends one message. Its Message-ID is made of the key, so that a reader's
// program shows a repetition once. Who has no address is not written to.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if m.Person.Email == "" {
		return nil
	}
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	if err := s.client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("send %s: %w", m.Key, err)
	}
	return nil
}

func (s *SMTP) message(m Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.FromFormat("Consilium", s.from); err != nil {
		return nil, fmt.Errorf("mail: sender address: %w", err)
	}
	if err := msg.AddToFormat(m.Person.Name, m.Person.Email); err != nil {
		return nil, fmt.Errorf("mail: address of %s: %w", m.Person.ID, err)
	}
	msg.Subject(m.Subject)
	sum := sha256.Sum256([]byte(m.Key))
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@consilium.invalid")
	msg.SetDate()
	msg.SetGenHeader("Content-Language", m.Language)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation answers
	msg.SetBodyString(gomail.TypeTextPlain, m.Body)
	for _, a := range m.Attachments {
		if err := msg.AttachReader(a.Name, bytes.NewReader(a.Data), gomail.WithFileContentType(gomail.ContentType(a.ContentType))); err != nil {
			return nil, fmt.Errorf("mail: attach %s: %w", a.Name, err)
		}
	}
	return msg, nil
}
