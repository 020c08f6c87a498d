package mail

import (
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// reminderTexts by kind of reminder.
var reminderTexts = map[scheduling.ReminderKind]i18n.ID{
	scheduling.RemindWeek: i18n.MailReminderWeek, scheduling.RemindDay: i18n.MailReminderDay,
	scheduling.RemindHour: i18n.MailReminderHour, scheduling.RemindSoon: i18n.MailReminderSoon,
}

// reminder writes that a visit comes up; what is off by then is reminded of no more.
func (w *Worker) reminder(m Message, a TellArgs, inv scheduling.Invitation) (Message, error) {
	if inv.Method == "CANCEL" || !w.c.Clock().Before(inv.Appointment.End()) {
		return Message{}, scheduling.ErrNotFound
	}
	l := w.i18n.Localizer(inv.Person.Language, inv.Zone)
	say := l.Isolated(i18n.MailOpen)
	if inv.Redeem {
		say = l.Isolated(i18n.MailPatientLink)
	}
	m.Subject = l.Isolated(i18n.MailReminderSubject)
	m.compose(l, inv.Person, l.Isolated(reminderTexts[scheduling.ReminderKind(a.Reason)]),
		l.Isolated(i18n.MailWhen, i18n.V{"When": l.Span(inv.Appointment.StartAt, inv.Appointment.End())}), say, inv.Link)
	return m, nil
}
