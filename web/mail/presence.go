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

	"presence.changed":     {i18n.MailProgramChangedSubject, i18n.MailProgramChangedBody},
	"presence.ended":       {i18n.MailProgramEndedSubject, i18n.MailProgramEndedBody},
	"presence.released":    {i18n.MailProgramReleasedSubject, i18n.MailProgramReleasedBody},
	"presence.unfilled":    {i18n.MailProgramUnfilledSubject, i18n.MailProgramUnfilledBody},
	"presence.substituted": {i18n.MailProgramSubstitutedSubject, i18n.MailProgramSubstitutedBody},
	"presence.topped_up":   {i18n.MailProgramToppedUpSubject, i18n.MailProgramToppedUpBody},
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
	if letterOn.Person.Email == "" || a.Act == "presence.hour_moves" || a.Act == "presence.unfilled" {
		return m, nil // nothing in the calendar changes: it knows the zone
	}
	data, media, err := letterOn.Calendar(l.T(i18n.MailPresenceSummary), l.T(i18n.MailCalendarDescription), l.Tag(), w.c.Clock())
	if err != nil {
		return Message{}, err
	}
	m.Attachments = []Attachment{{Name: "presence.ics", ContentType: media, Data: data}}
	if ended := a.Objects["ended"]; ended != "" { // the series that the new one follows
		if letterOn, err = w.c.Invitations.Letter(ctx, identity.System("mail", identity.OrganizationID(a.Organization)), scheduling.PresenceID(ended), "", identity.PersonID(a.Person)); err != nil {
			return Message{}, err
		}
		if data, media, err = letterOn.Calendar(l.T(i18n.MailPresenceSummary), l.T(i18n.MailCalendarDescription), l.Tag(), w.c.Clock()); err != nil {
			return Message{}, err
		}
		m.Attachments = append(m.Attachments, Attachment{Name: "presence-until.ics", ContentType: media, Data: data})
	}
	return m, nil
}
