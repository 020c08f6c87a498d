package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// People is the directory. It may be asked again and blocks for the database only.
type People interface {
	Person(ctx context.Context, id identity.PersonID) (identity.Person, error)
}

// Invitations gathers what a person is written about an appointment. Asked again it
// makes another link for a guest; the older stays good.
type Invitations interface {
	Invitation(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID, person identity.PersonID) (scheduling.Invitation, error)
	// MissingLegs are the languages for which nobody is found yet. It may be asked again.
	MissingLegs(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID) ([]scheduling.MissingLeg, error)
	Presences
}

var _ Invitations = (*scheduling.Service)(nil)

// Uploads makes links by which a holder sends a renewed document. It may be asked again:
// each is another link, and the older stay good.
type Uploads interface {
	IssueUploadLink(ctx context.Context, actor identity.Actor, id credentialing.CredentialID, person identity.PersonID) (token string, err error)
}

var _ Uploads = (*credentialing.Service)(nil)

// Sender hands a message over. It may be called again with the same Key, after a
// failure or a lost answer; the reader should then see one message where the medium
// allows it. It blocks for its medium.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Message is one written mail.
type Message struct {
	Key         string // the same for the same event and person
	Leaf        int64
	Person      identity.Person
	Language    string // of the text, BCP 47
	Subject     string
	Body        string // plain text, lines end in LF
	Attachments []Attachment

	When  string    // the time it is about, as the body says it; "" for none
	Link  string    // where it leads; "" for nowhere
	Start time.Time // of the visit it is about; zero for none
}

// LogValue keeps the text out of logs.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.Key) }

// Attachment is a file of a message.
type Attachment struct {
	Name        string
	ContentType string
	Data        []byte
}

// Config wires a Worker.
type Config struct {
	People      People
	Invitations Invitations
	Uploads     Uploads // nil: mails about credentials lead to the signed-in page
	Sender      Sender
	Contacts    Contacts // nil: everybody gets mail alone
	SMS         SMS      // nil: nobody gets text messages
	Origin      string   // address people open, without a slash at the end
	Clock       func() time.Time
}

// Worker works off the jobs of kind "tell".
type Worker struct {
	river.WorkerDefaults[TellArgs]
	c    Config
	i18n *i18n.Bundle
}

// NewWorker returns a Worker for river.AddWorker.
func NewWorker(c Config) (*Worker, error) {
	if c.People == nil || c.Invitations == nil || c.Sender == nil || c.Origin == "" {
		return nil, errors.New("mail: people, invitations, sender and origin are needed")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Origin = strings.TrimSuffix(c.Origin, "/")
	b, err := i18n.New()
	if err != nil {
		return nil, err
	}
	return &Worker{c: c, i18n: b}, nil
}

// Work tells one person of one event. Who is gone, or has no part in it any more, is
// not told, and the job is not tried again.
func (w *Worker) Work(ctx context.Context, job *river.Job[TellArgs]) error {
	if job.Args.Act == "contact.code_asked" {
		return w.code(ctx, job.Args)
	}
	m, err := w.write(ctx, job.Args)
	if errors.Is(err, identity.ErrNotFound) || errors.Is(err, scheduling.ErrNotFound) || errors.Is(err, credentialing.ErrNotFound) {
		return river.JobCancel(fmt.Errorf("tell of leaf %d: %w", job.Args.Leaf, err))
	}
	if err != nil {
		return fmt.Errorf("write of leaf %d: %w", job.Args.Leaf, err)
	}
	mails, err := w.text(ctx, job.Args, m)
	if err != nil || !mails {
		return err
	}
	if err := w.c.Sender.Send(ctx, m); err != nil {
		return fmt.Errorf("send of leaf %d: %w", job.Args.Leaf, err)
	}
	return nil
}

func (w *Worker) write(ctx context.Context, a TellArgs) (Message, error) {
	who, err := w.c.People.Person(ctx, identity.PersonID(a.Person))
	if err != nil {
		return Message{}, err
	}
	l := w.i18n.Localizer(who.Language, who.Zone)
	m := Message{Key: a.key(), Leaf: a.Leaf, Person: who, Language: l.Tag()}
	if a.Objects["appointment"] != "" && lookedAgain[a.Act] {
		return w.again(ctx, m, a, who)
	}
	if id := a.Objects["appointment"]; id != "" && appointmentActs[a.Act] {
		inv, err := w.c.Invitations.Invitation(ctx, identity.System("mail", identity.OrganizationID(a.Organization)), scheduling.AppointmentID(id), who.ID)
		if err != nil {
			return Message{}, err
		}
		m.Start = inv.Appointment.StartAt
		if a.Act == "appointment.reminded" {
			return w.reminder(m, a, inv)
		}
		return w.invitation(m, a, inv)
	}
	if a.Objects["presence"] != "" && presenceTexts[a.Act] != (text{}) {
		return w.presence(ctx, m, a)
	}
	if uploadActs[a.Act] && w.c.Uploads != nil {
		return w.renewal(ctx, m, a)
	}
	t := texts[a.Act]
	if t == (text{}) {
		t = text{i18n.MailNewsSubject, i18n.MailNewsBody}
	}
	link := w.c.Origin + "/"
	switch {
	case a.Objects["waiting"] != "":
		link = w.c.Origin + "/waiting"
	case a.Act == "reply.left":
		link = w.c.Origin + "/replies"
	case strings.HasPrefix(a.Act, "zone_update."):
		link = w.c.Origin + "/zone-changes"
	case a.Act == "interpreter.lapsed":
		link = w.c.Origin + "/appointments"
	case strings.HasPrefix(a.Act, "interpreter."):
		link = w.c.Origin + "/appointments/" + a.Objects["appointment"]
	case a.Objects["case"] != "":
		link = w.c.Origin + "/cases/" + a.Objects["case"]
	case strings.HasPrefix(a.Act, "statement."):
		link = w.c.Origin + "/credentials/own-place"
	case uploadActs[a.Act]:
		link = w.c.Origin + "/credentials/" + a.Objects["credential"]
	case a.Objects["appointment"] != "":
		link = w.c.Origin + "/appointments/" + a.Objects["appointment"]
	}
	m.Subject = l.Isolated(t.subject)
	body := l.Isolated(t.body)
	if a.Act == "interpreter.exhausted" || a.Act == "interpreter.short" {
		legs, err := w.c.Invitations.MissingLegs(ctx, identity.System("mail", identity.OrganizationID(a.Organization)), scheduling.AppointmentID(a.Objects["appointment"]))
		if err != nil && !errors.Is(err, scheduling.ErrNotFound) { // the visit may be gone
			return Message{}, err
		}
		for _, leg := range legs {
			body += "\n" + l.Isolated(i18n.MailLegsMissing, i18n.V{"From": i18n.Lang(leg.Pair[0]), "To": i18n.Lang(leg.Pair[1])})
		}
	}
	m.compose(l, who, body, "", l.Isolated(i18n.MailOpen), link)
	return m, nil
}

type text struct{ subject, body i18n.ID }

// texts of events of a case; an event without its own is told as news.
var texts = map[string]text{
	"waiting.offered": {i18n.MailWaitingOfferedSubject, i18n.MailWaitingOfferedBody},
	"waiting.expired": {i18n.MailWaitingExpiredSubject, i18n.MailWaitingExpiredBody},

	"reply.left":     {i18n.MailReplyLeftSubject, i18n.MailReplyLeftBody},
	"reply.declined": {i18n.MailReplyNoSubject, i18n.MailReplyNoBody},

	"interpreter.lapsed":    {i18n.MailLadderLapsedSubject, i18n.MailLadderLapsedBody},
	"interpreter.exhausted": {i18n.MailLadderExhaustedSubject, i18n.MailLadderExhaustedBody},
	"interpreter.short":     {i18n.MailLadderShortSubject, i18n.MailLadderShortBody},

	"credential.upload_asked": {i18n.MailUploadAskedSubject, i18n.MailUploadAskedBody},
	"credential.expiring":     {i18n.MailExpiringSubject, i18n.MailExpiringBody},

	"statement.ending": {i18n.MailStatementEndingSubject, i18n.MailStatementEndingBody},
	"statement.ended":  {i18n.MailStatementEndedSubject, i18n.MailStatementEndedBody},

	"case.assigned":     {i18n.MailAssignedSubject, i18n.MailAssignedBody},
	"case.message":      {i18n.MailMessageSubject, i18n.MailMessageBody},
	"case.returned":     {i18n.MailReturnedSubject, i18n.MailReturnedBody},
	"case.declined":     {i18n.MailRefusedSubject, i18n.MailRefusedBody},
	"case.withdrawn":    {i18n.MailRetractedSubject, i18n.MailRetractedBody},
	"case.handed_back":  {i18n.MailHandedBackSubject, i18n.MailHandedBackBody},
	"case.closed":       {i18n.MailClosedSubject, i18n.MailClosedBody},
	"opinion.signed":    {i18n.MailOpinionSubject, i18n.MailOpinionBody},
	"decision.signed":   {i18n.MailDecisionSubject, i18n.MailDecisionBody},
	"addendum.signed":   {i18n.MailAddendumSubject, i18n.MailAddendumBody},
	"zone_update.found": {i18n.MailClockFoundSubject, i18n.MailClockFoundBody},

	"zone_update.due":      {i18n.MailClocksDueSubject, i18n.MailClocksDueBody},
	"zone_update.standing": {i18n.MailClocksStandingSubject, i18n.MailClocksStandingBody},
	"zone_update.conflict": {i18n.MailClocksConflictSubject, i18n.MailClocksConflictBody},

	"consent.withdrawn": {i18n.MailWithdrawnSubject, i18n.MailWithdrawnBody},
	"case.set_aside":    {i18n.MailCaseSetAsideSubject, i18n.MailCaseSetAsideBody},
	"case.restored":     {i18n.MailCaseRestoredSubject, i18n.MailCaseRestoredBody},
}

// appointmentActs are the events that come with a calendar file or a time.
var appointmentActs = map[string]bool{
	"appointment.booked": true, "appointment.invited": true, "appointment.canceled": true, "appointment.moved": true,
	"appointment.rebooked": true,
	"seat.accepted":        true, "seat.declined": true, "interpreter.asked": true, "interpreter.rerouted": true,
	"appointment.reminded": true, "appointment.clock_moved": true, "appointment.clock_kept": true,
}

// invitation writes about an appointment as it stands when the mail is written: an
// invitation that is sent late does not invite to what was canceled meanwhile.
func (w *Worker) invitation(m Message, a TellArgs, inv scheduling.Invitation) (Message, error) {
	l := w.i18n.Localizer(inv.Person.Language, inv.Zone)
	t, file := text{i18n.MailInvitedSubject, i18n.MailInvitedBody}, "invitation.ics"
	switch {
	case inv.Method == "CANCEL":
		t, file = text{i18n.MailCanceledSubject, i18n.MailCanceledBody}, "cancellation.ics"
	case a.Act == "appointment.clock_moved" || a.Act == "appointment.clock_kept":
		moved := false
		if t, moved = clockText(a, inv); !moved {
			file = ""
		}
	case a.Act == "seat.declined":
		t, file = text{i18n.MailDeclinedSubject, i18n.MailDeclinedBody}, ""
	case inv.Seat.Role == scheduling.RoleInterpreter && inv.Seat.Response == scheduling.NeedsAction:
		t = text{i18n.MailAskedSubject, i18n.MailAskedBody}
	case a.Act == "appointment.moved":
		t = text{i18n.MailMovedSubject, i18n.MailMovedBody}
	case a.Act == "seat.accepted" && inv.Seat.Role != scheduling.RolePatient: // who hears of it now for the first time
		t = text{i18n.MailConfirmedSubject, i18n.MailConfirmedBody}
	}
	when := l.Isolated(i18n.MailWhen, i18n.V{"When": l.Span(inv.Appointment.StartAt, inv.Appointment.End())})
	say := l.Isolated(i18n.MailOpen)
	if inv.Redeem {
		say = l.Isolated(i18n.MailPatientLink)
	}
	if inv.Answer {
		say = l.Isolated(i18n.MailAnswerLink)
	}
	m.Subject = l.Isolated(t.subject)
	m.compose(l, inv.Person, l.Isolated(t.body), when, say, inv.Link)
	if file == "" || inv.Person.Email == "" {
		return m, nil
	}
	data, media, err := inv.Calendar(l.T(i18n.MailCalendarSummary), l.T(i18n.MailCalendarDescription), l.Tag(), w.c.Clock())
	if err != nil {
		return Message{}, err
	}
	m.Attachments = []Attachment{{Name: file, ContentType: media, Data: data}}
	return m, nil
}

// compose puts the parts of a mail one below the other; an address stands alone on its
// line, so that no program takes a full stop for a part of it.
func (m *Message) compose(l *i18n.Localizer, who identity.Person, body, when, say, link string) {
	m.When, m.Link = when, link
	parts := []string{l.Isolated(i18n.MailGreeting, i18n.V{"Name": who.Name}), "", body}
	if when != "" {
		parts = append(parts, "", when)
	}
	if link != "" {
		parts = append(parts, "", say, link)
	}
	parts = append(parts, "", l.Isolated(i18n.MailFooter))
	m.Body = strings.Join(parts, "\n") + "\n"
}
