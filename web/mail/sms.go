package mail

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// Text is one text message. It holds neither names nor anything of a case: it stands on
// locked screens.
type Text struct {
	Key      string `json:"id"` // the same when it is sent again
	To       string `json:"to"` // E.164
	Language string `json:"language"`
	Text     string `json:"text"`

	Leaf   int64           `json:"-"`
	Person identity.Person `json:"-"`
}

// LogValue keeps number and text out of logs.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.Key) }

// SMS hands a text message over. It may be called again with the same Key, after a
// failure or a lost answer. An error that errors.Is ErrRefused is final. It blocks for
// its medium.
type SMS interface {
	SendText(ctx context.Context, t Text) error
}

// ErrRefused means that a text message will never be taken, however often it is sent.
var ErrRefused = errors.New("mail: text message refused")

// Contacts tells how people want to be written to. It may be asked again; each code that
// it issues is another, and the last is good.
type Contacts interface {
	ContactOf(ctx context.Context, id identity.PersonID) (identity.Contact, error)
	IssueCode(ctx context.Context, id identity.PersonID, asked string) (phone, code string, err error)
}

var _ Contacts = (*identity.Service)(nil)

// SMSArgs is the job of one text message about one event. It holds ids and codes: the
// text is written when it is sent.
type SMSArgs struct {
	Tell TellArgs `json:"tell"`
}

// Kind is the name of the job.
func (SMSArgs) Kind() string { return "sms" }

// soonWithin is how near a visit is whose messages do not wait for the morning.
const soonWithin = 24 * time.Hour

// text makes the job of a text message, where the person wants one, in the morning if it
// can wait; mails tells whether they want mail too. Repeated it makes no second.
func (w *Worker) text(ctx context.Context, a TellArgs, m Message) (mails bool, err error) {
	if w.c.Contacts == nil || w.c.SMS == nil {
		return true, nil
	}
	c, err := w.c.Contacts.ContactOf(ctx, m.Person.ID)
	if err != nil {
		return false, fmt.Errorf("how to write of leaf %d: %w", a.Leaf, err)
	}
	if !c.Texts() {
		return true, nil
	}
	o := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
	if wait := w.quiet(c, m); wait > 0 {
		o.ScheduledAt = time.Now().Add(wait)
	}
	if _, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, SMSArgs{Tell: a}, o); err != nil {
		return false, fmt.Errorf("text message of leaf %d: %w", a.Leaf, err)
	}
	return c.Mails(), nil
}

// quiet is how long a message waits for the morning of its reader.
func (w *Worker) quiet(c identity.Contact, m Message) time.Duration {
	now := w.c.Clock()
	if !m.Start.IsZero() && m.Start.Sub(now) < soonWithin {
		return 0
	}
	loc, err := scheduling.LoadZone(m.Person.Zone)
	if err != nil {
		return 0
	}
	return scheduling.Awake(loc, now, c.Quiet).Sub(now)
}

// code sends the code that proves a number. It waits for nothing: somebody looks at the
// page that asks for it.
func (w *Worker) code(ctx context.Context, a TellArgs) error {
	if w.c.Contacts == nil || w.c.SMS == nil {
		return river.JobCancel(errors.New("no text messages are sent"))
	}
	who, err := w.c.People.Person(ctx, identity.PersonID(a.Person))
	if errors.Is(err, identity.ErrNotFound) {
		return river.JobCancel(err)
	}
	if err != nil {
		return fmt.Errorf("code of leaf %d: %w", a.Leaf, err)
	}
	phone, code, err := w.c.Contacts.IssueCode(ctx, who.ID, a.Objects["code"])
	if errors.Is(err, identity.ErrCodeOver) {
		return river.JobCancel(fmt.Errorf("code of leaf %d: %w", a.Leaf, err))
	}
	if err != nil {
		return fmt.Errorf("code of leaf %d: %w", a.Leaf, err)
	}
	l := w.i18n.Localizer(who.Language, who.Zone)
	// Each try sends another code, so each is another message.
	return w.send(ctx, Text{Key: a.key() + "-" + strconv.FormatInt(time.Now().UnixNano(), 36), To: phone, Language: l.Tag(),
		Text: l.T(i18n.SmsCode, i18n.V{"Code": code}), Leaf: a.Leaf, Person: who})
}

func (w *Worker) send(ctx context.Context, t Text) error {
	err := w.c.SMS.SendText(ctx, t)
	if errors.Is(err, ErrRefused) {
		return river.JobCancel(fmt.Errorf("text message of leaf %d: %w", t.Leaf, err))
	}
	if err != nil {
		return fmt.Errorf("text message of leaf %d: %w", t.Leaf, err)
	}
	return nil
}

// SMSWorker works off the jobs of kind "sms".
type SMSWorker struct {
	river.WorkerDefaults[SMSArgs]
	w *Worker
}

// Texts returns the worker of the text messages that w makes jobs of, for
// river.AddWorker.
func (w *Worker) Texts() *SMSWorker { return &SMSWorker{w: w} }

// Work writes and sends one text message. Who wants none any more gets none.
func (s *SMSWorker) Work(ctx context.Context, job *river.Job[SMSArgs]) error {
	w, a := s.w, job.Args.Tell
	if w.c.Contacts == nil || w.c.SMS == nil {
		return river.JobCancel(errors.New("no text messages are sent"))
	}
	c, err := w.c.Contacts.ContactOf(ctx, identity.PersonID(a.Person))
	if err != nil {
		return fmt.Errorf("text message of leaf %d: %w", a.Leaf, err)
	}
	if !c.Texts() {
		return nil
	}
	m, err := w.write(ctx, a)
	if errors.Is(err, identity.ErrNotFound) || errors.Is(err, scheduling.ErrNotFound) || errors.Is(err, credentialing.ErrNotFound) {
		return river.JobCancel(fmt.Errorf("text of leaf %d: %w", a.Leaf, err))
	}
	if err != nil {
		return fmt.Errorf("text of leaf %d: %w", a.Leaf, err)
	}
	return w.send(ctx, Text{Key: a.key() + "-sms", To: c.Phone, Language: m.Language, Text: m.short(), Leaf: a.Leaf, Person: m.Person})
}

// short is a message for small screens: what it is about, when, and the link.
func (m Message) short() string {
	parts := []string{"Consilium: " + m.Subject}
	if m.When != "" {
		parts = append(parts, m.When)
	}
	if m.Link != "" {
		parts = append(parts, m.Link)
	}
	return unisolated.Replace(strings.Join(parts, "\n"))
}

// unisolated drops the marks that keep directions apart: telephones show them as boxes.
var unisolated = strings.NewReplacer("\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "")

// Webhook sends text messages through an address of the operator's: each is a POST of
// its JSON, signed.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
	clock  func() time.Time
}

var _ SMS = (*Webhook)(nil)

// SignatureHeader holds "t=<seconds since 1970>,v1=<hex>", where hex is the HMAC-SHA256
// of "<t>.<body>" under the shared secret.
const SignatureHeader = "Consilium-Signature"

// shortestSecret is 128 bits in hex.
const shortestSecret = 32

// NewWebhook returns a sender. The address is https; http only on this machine. The
// secret has 32 characters or more.
func NewWebhook(address, secret string) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errors.New("the address for text messages is not https://host/path")
	}
	if len(secret) < shortestSecret {
		return nil, fmt.Errorf("the secret for text messages is shorter than %d characters", shortestSecret)
	}
	return &Webhook{url: address, secret: []byte(secret), clock: time.Now, client: &http.Client{Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Sign is the value of SignatureHeader for a body sent at a time.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(t + "."))
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// SendText posts the message. 2xx is taken; 4xx is final but for 408, 409, 425 and 429;
// all else may be tried again.
func (h *Webhook) SendText(ctx context.Context, t Text) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Idempotency-Key", t.Key)
	req.Header.Set(SignatureHeader, Sign(h.secret, body, h.clock()))
	resp, err := h.client.Do(req)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // the address may hold a secret of the operator's
		}
		return fmt.Errorf("webhook of text messages: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 == 4 && code != http.StatusRequestTimeout && code != http.StatusConflict && code != http.StatusTooEarly && code != http.StatusTooManyRequests:
		return fmt.Errorf("webhook of text messages answers %d: %w", code, ErrRefused)
	default:
		return fmt.Errorf("webhook of text messages answers %d", code)
	}
}

var _ SMS = (*Outbox)(nil)

// SendText keeps the text message of the demonstration beside its mail.
func (o *Outbox) SendText(ctx context.Context, t Text) error {
	to := t.Person
	to.Email = t.To
	return o.Send(ctx, Message{Key: t.Key, Leaf: t.Leaf, Person: to, Language: t.Language, Subject: "SMS", Body: t.Text + "\n"})
}
