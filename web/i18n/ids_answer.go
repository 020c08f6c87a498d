package i18n

// Messages of the answer area: an interpreter answers by a link, without signing in.
const (
	AnswerAccepted ID = "answer.accepted"
	AnswerOver     ID = "answer.over"
	AnswerRefused  ID = "answer.refused"
	AnswerSignin   ID = "answer.signin"
	AnswerTitle    ID = "answer.title"
	MailAnswerLink ID = "mail.answer.link"
)
