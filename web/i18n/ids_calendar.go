package i18n

// Messages of the calendar area: reminders, calendar feeds, changes of zone rules and
// fair hours.
const (
	CalendarAddress     ID = "calendar.address"
	CalendarExplain     ID = "calendar.explain"
	CalendarMake        ID = "calendar.make"
	CalendarName        ID = "calendar.name"
	CalendarNone        ID = "calendar.none"
	CalendarOnce        ID = "calendar.once"
	CalendarRenew       ID = "calendar.renew"
	CalendarRevoke      ID = "calendar.revoke"
	CalendarRevoked     ID = "calendar.revoked"
	CalendarSince       ID = "calendar.since"
	CalendarTitle       ID = "calendar.title"
	MailReminderDay     ID = "mail.reminder.day"
	MailReminderHour    ID = "mail.reminder.hour"
	MailReminderSoon    ID = "mail.reminder.soon"
	MailReminderSubject ID = "mail.reminder.subject"
	MailReminderWeek    ID = "mail.reminder.week"
)
