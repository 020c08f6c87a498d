package mail

import (
	"context"
	"strings"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// Presences gathers what a person is written about a specialist's presence. It may be
// asked again and blocks for the database only.
type Presences interface {
	Letter(ctx context.Context, actor identity.Actor, id scheduling.PresenceID, occurrence string, person identity.PersonID) (scheduling.PresenceLetter, error)
}

var _ Presences = (*scheduling.Service)(nil)

// presenceTexts are the events of a presence.
var presenceTexts = map[string]text{
	"presence.offered":    {i18n.MailPresenceOfferedSubject, i18n.MailPresenceOfferedBody},
	"presence.moved":      {i18n.MailPresenceMovedSubject, i18n.MailPresenceMovedBody},
	"presence.canceled":   {i18n.MailPresenceCanceledSubject, i18n.MailPresenceCanceledBody},
	"presence.hour_moves": {i18n.MailPresenceHourSubject, i18n.MailPresenceHourBody},
}

// presence writes about a presence as it stands when the mail is written, with the
// changes of the hour to come on the reader's clock and a calendar file of all of it.
func (w *Worker) presence(ctx context.Context, m Message, a TellArgs) (Message, error) {
	letterOn, err := w.c.Invitations.Letter(ctx, identity.System("mail", identity.OrganizationID(a.Organization)),
		scheduling.PresenceID(a.Objects["presence"]), a.Objects["occurrence"], identity.PersonID(a.Person))
	if err != nil {
		return Message{}, err
	}
	l := w.i18n.Localizer(letterOn.Person.Language, letterOn.Zone)
	var when []string
	if x := letterOn.Window; !x.Start.IsZero() && a.Act != "presence.hour_moves" {
		when = append(when, l.Isolated(i18n.MailWhen, i18n.V{"When": l.Span(x.Start, x.End)}))
	}
	for _, move := range letterOn.Moves {
		if a.Act == "presence.offered" || a.Act == "presence.hour_moves" && move.At.Local.String() == a.Objects["occurrence"] {
			when = append(when, l.Isolated(i18n.MailPresenceHourLine, i18n.V{"Day": l.Date(move.At.Start), "Now": l.Clock(move.At.Start), "Before": l.Clock(move.Before.Start)}))
		}
	}
	t := presenceTexts[a.Act]
	m.Subject = l.Isolated(t.subject)
	m.compose(l, letterOn.Person, l.Isolated(t.body), strings.Join(when, "\n"), l.Isolated(i18n.MailOpen), letterOn.Link)
	if letterOn.Person.Email == "" || a.Act == "presence.hour_moves" {
		return m, nil // nothing in the calendar changes: it knows the zone
	}
	data, media, err := letterOn.Calendar(l.T(i18n.MailPresenceSummary), l.T(i18n.MailCalendarDescription), l.Tag(), w.c.Clock())
	if err != nil {
		return Message{}, err
	}
	m.Attachments = []Attachment{{Name: "presence.ics", ContentType: media, Data: data}}
	return m, nil
}
