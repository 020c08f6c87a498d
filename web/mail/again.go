package mail

import (
	"context"
	"errors"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// lookedAgain are the events of a visit that was looked at again: those who arrange
// for the clinic are told too, though they have no seat.
var lookedAgain = map[string]bool{"appointment.set_aside": true, "appointment.restored": true}

// again writes that a visit was set aside or takes place after all. The patient is
// told neutrally, without the reason; nobody gets a calendar file, the time stands.
func (w *Worker) again(ctx context.Context, m Message, a TellArgs, who identity.Person) (Message, error) {
	link := w.c.Origin + "/appointments/" + a.Objects["appointment"]
	inv, err := w.c.Invitations.Invitation(ctx, identity.System("mail", identity.OrganizationID(a.Organization)),
		scheduling.AppointmentID(a.Objects["appointment"]), who.ID)
	seated := err == nil && inv.Seat.ID != ""
	switch {
	case errors.Is(err, scheduling.ErrNotFound):
		inv = scheduling.Invitation{Person: who, Zone: who.Zone}
	case err != nil:
		return Message{}, err
	}
	l := w.i18n.Localizer(who.Language, inv.Zone)
	t := text{i18n.MailRestoredSubject, i18n.MailRestoredBody}
	if a.Act == "appointment.set_aside" {
		t = text{i18n.MailSetAsideSubject, i18n.MailSetAsideStaff}
		switch {
		case seated && inv.Seat.Role == scheduling.RolePatient:
			t.body = i18n.MailSetAsidePatient
		case seated && inv.Seat.Role != scheduling.RoleLocalPhysician:
			t.body = i18n.MailSetAsideSeated
		}
	}
	when, say := "", l.Isolated(i18n.MailOpen)
	if err == nil {
		when = l.Isolated(i18n.MailWhen, i18n.V{"When": l.Span(inv.Appointment.StartAt, inv.Appointment.End())})
		link = inv.Link
	}
	if inv.Redeem {
		say = l.Isolated(i18n.MailPatientLink)
	}
	m.Subject = l.Isolated(t.subject)
	m.compose(l, who, l.Isolated(t.body), when, say, link)
	return m, nil
}
