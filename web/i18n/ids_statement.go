package i18n

// Messages of the statement area: mails about the yearly statement of where a specialist
// sits.
const (
	MailStatementEndedBody     ID = "mail.statement.ended.body"
	MailStatementEndedSubject  ID = "mail.statement.ended.subject"
	MailStatementEndingBody    ID = "mail.statement.ending.body"
	MailStatementEndingSubject ID = "mail.statement.ending.subject"
)
