// Package mail tells people what happened. An event of the audit log that names
// people to be told becomes one job a person, in the event's own transaction
// ([Tell]); the worker writes to that person in the person's language and zone and
// hands the message to a [Sender]: SMTP, or the outbox of the demonstration. A
// message is neutral: it names no patient, no diagnosis, no case.
package mail
