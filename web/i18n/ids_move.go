package i18n

// Messages of the move area: an appointment gets another time.
const (
	MailMovedBody     ID = "mail.moved.body"
	MailMovedSubject  ID = "mail.moved.subject"
	MoveDo            ID = "move.do"
	MoveDone          ID = "move.done"
	MoveDonePending   ID = "move.done_pending"
	MoveHint          ID = "move.hint"
	MoveLink          ID = "move.link"
	MoveNoInterpreter ID = "move.no_interpreter"
	MoveNow           ID = "move.now"
	MoveStands        ID = "move.stands"
	MoveTaken         ID = "move.taken"
	MoveTitle         ID = "move.title"
)
