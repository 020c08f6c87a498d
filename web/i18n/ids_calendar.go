package i18n

// Messages of the calendar area: reminders, calendar feeds, changes of zone rules and
// fair hours.
const (
	MailReminderDay     ID = "mail.reminder.day"
	MailReminderHour    ID = "mail.reminder.hour"
	MailReminderSoon    ID = "mail.reminder.soon"
	MailReminderSubject ID = "mail.reminder.subject"
	MailReminderWeek    ID = "mail.reminder.week"
)
